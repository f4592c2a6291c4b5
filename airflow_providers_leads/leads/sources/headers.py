"""Where a table begins: the row that names its columns, below titles and blank rows, in one row or in two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.sources.names import (
    ColumnsError,
    consent_kind,
    folded,
    is_email,
    listing,
    meaning,
    unique_names,
)

SEARCHED: Final = 30
"""Rows among which the names of columns are looked for."""
_NAME_IT: Final = "If one of them holds addresses, name it: columns={'email': 'its name'}. "


@dataclass(slots=True)
class Header:
    """What stands above a table's rows.

    :param names: of the columns, all different
    :param groups: headings above the names
    :param rows: how many rows there are before the first of the table
    """

    names: list[str]
    groups: list[str] = field(default_factory=list)
    rows: int = 1


def find_header(rows: Sequence[Sequence[str]], wanted: Mapping[str, Sequence[str]], at: int | None = None) -> Header:
    """Return the row that names the columns.

    :param rows: the first ones of a table, blank ones too
    :param wanted: columns that the user names
    :param at: number of the row, from 1; 0: there is none, and columns are called ``Column 1`` and so on; default found
    :raises ColumnsError: when no row names a column of addresses
    """
    if at == 0:
        width = max(map(len, rows), default=0)
        return Header(unique_names([""] * width), rows=0)
    if at is not None:
        if at > len(rows):
            raise ColumnsError(f"has no row {at}")
        return _below(rows, at - 1)
    named = {folded(one) for one in wanted.get("email", ())}
    if not named and _is_list(rows):
        return Header(["email"], rows=0)
    first = next((place for place, row in enumerate(rows[:SEARCHED]) if _holds_address(row)), SEARCHED)
    above = rows[: min(first, SEARCHED)]
    for place, row in enumerate(above):
        if any((folded(cell) in named) if named else is_email(cell) for cell in row):
            return _below(rows, place)
    width = max((sum(map(bool, row)) for row in rows), default=0)
    for place, row in enumerate(() if named else above):
        # Not a title of one cell above a table of several.
        if sum(map(bool, row)) > (width > 1) and any((meaning(cell) or ("",))[0] == "email" for cell in row):
            return _below(rows, place)
    raise ColumnsError(_without_addresses(rows, wanted))


def _is_list(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether a table is nothing but addresses below each other."""
    present = [row for row in rows if any(map(str.strip, row))]
    return bool(present) and all(len(row) == 1 and _holds_address(row) for row in present)


def _holds_address(row: Sequence[str]) -> bool:
    return any("@" in cell and email_key(cell.strip()) for cell in row)


def _below(rows: Sequence[Sequence[str]], place: int) -> Header:
    """Return the header at a row, with the headings above it or the names below it where cells are merged."""
    row = list(rows[place])
    below = rows[place + 1] if place + 1 < len(rows) else ()
    if _continues(row, below):
        width = max(len(row), len(below))
        upper, lower = _filled(row, width), [*below, *[""] * (width - len(below))]
        names = [low.strip() or high for low, high in zip(lower, upper, strict=True)]
        groups = [high if low.strip() else "" for low, high in zip(lower, upper, strict=True)]
        return Header(unique_names(names), groups, rows=place + 2)
    above = rows[place - 1] if place else ()
    headings = [cell for cell in above if cell.strip()]
    # A title stands alone; headings stand above several columns each.
    groups = _filled(above, len(row)) if 1 < len(headings) < sum(bool(cell.strip()) for cell in row) else []
    return Header(unique_names(row), groups, rows=place + 1)


def _continues(row: Sequence[str], below: Sequence[str]) -> bool:
    """Tell whether the row below the names has more of them: names, under a name that spans several columns."""
    if _holds_address(below) or not any(not cell.strip() for cell in row[1:]):
        return False
    cells = [(place, cell) for place, cell in enumerate(below) if cell.strip()]
    if len(cells) < 2 or any(place < len(row) and is_email(row[place]) for place, _ in cells):
        return False
    return sum(bool(meaning(cell) or consent_kind(cell)) for _, cell in cells) >= 2


def _filled(cells: Sequence[str], width: int) -> list[str]:
    """Return headings with each in all the columns that it spans."""
    filled: list[str] = []
    for cell in [*cells, *[""] * (width - len(cells))][:width]:
        filled.append(cell.strip() or (filled[-1] if filled else ""))
    return filled


def _without_addresses(rows: Sequence[Sequence[str]], wanted: Mapping[str, Sequence[str]]) -> str:
    """Return why there is no column of addresses, with the columns that there are and the one that may be meant."""
    present = [row for row in rows[:SEARCHED] if any(cell.strip() for cell in row)]
    if not present:
        return "has no rows"
    first = next((place for place, row in enumerate(present) if _holds_address(row)), len(present))
    if first == 0:
        # What stands there is somebody's data, and not shown.
        return (
            "has no row that names its columns: the first one holds an address. Give header_row=0 and the columns by "
            "their places, such as columns={'email': 'Column 2'}"
        )
    best = max(present[:first], key=lambda row: (sum(bool(meaning(cell)) for cell in row), sum(map(bool, row))))
    names = unique_names(best)
    holding = next((row for row in present[first:]), ())
    at = next((place for place, cell in enumerate(holding) if "@" in cell and email_key(cell.strip())), None)
    if wanted.get("email"):
        missing = f"has no column {wanted['email'][0]!r} for email"
    else:
        missing = "has no column that is named for an address"
    if at is not None and at < len(names):
        near = f"{names[at]!r} holds addresses: give columns={{'email': {names[at]!r}}}. "
    else:
        close = _nearest(wanted.get("email", ("email",))[0], names)
        near = f"The nearest is {close!r}: if that is it, give columns={{'email': {close!r}}}. " if close else _NAME_IT
    return f"{missing}. {near}{listing(names)}"


def _nearest(name: str, names: Sequence[str]) -> str | None:
    forms = {folded(one).replace("_", ""): one for one in names}
    usual = ("email", "mail", "emailadresse")
    for wanted in dict.fromkeys((folded(name).replace("_", ""), *usual)):
        holding = [one for form, one in forms.items() if wanted in form]
        close = holding or [forms[form] for form in get_close_matches(wanted, list(forms), n=1)]
        if close:
            return close[0]
    return None
