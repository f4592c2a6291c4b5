"""Sheets of Excel workbooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Final

from airflow_providers_leads.leads.files.columns import strings
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.sources.headers import SEARCHED, Header, find_header
from airflow_providers_leads.leads.sources.names import ColumnsError
from airflow_providers_leads.leads.sources.rows import TOO_MANY_CELLS, Rows, Table
from airflow_providers_leads.leads.sources.typed import cell_text

_BATCH_ROWS: Final = 10_000
_PACKED: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How workbooks of either age begin."""
_PAGES: Final = (b"<html", b"<!doctype", b"<table", b"<meta", b"<body", b"<head")
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")
_PROTECTED: Final = "is protected by a password. Save it without one."


def open_sheet(
    file: IO[bytes],
    path: object,
    wanted: Mapping[str, Sequence[str]],
    *,
    sheet: str | None = None,
    header_row: int | None = None,
) -> Table:
    """Return a sheet of an Excel workbook.

    :param file: open for reading
    :param path: for messages
    :param wanted: columns that the user names
    :param sheet: its name; default the first that people see and that has a column of addresses
    :param header_row: see :func:`~.delimited.open_delimited`
    :raises StagingError: when it can't be read, or ``python-calamine`` is not installed
    :raises ColumnsError: when there is no such sheet, or none with a column of addresses
    """
    try:
        import python_calamine as calamine
    except ImportError:
        raise StagingError(
            f"{path} is an Excel workbook, which needs python-calamine: pip install "
            "'airflow-providers-leads[excel]', or save it as CSV."
        ) from None
    try:
        book = calamine.load_workbook(file)
    except calamine.PasswordError:
        raise StagingError(f"{path} {_PROTECTED}") from None
    except calamine.CalamineError:
        raise StagingError(f"{path} {_what_it_is(file)}") from None
    sheets = {
        meta.name: meta.visible == calamine.SheetVisibleEnum.Visible
        for meta in book.sheets_metadata
        if meta.typ == calamine.SheetTypeEnum.WorkSheet
    }
    if sheet is not None and sheet not in sheets:
        raise ColumnsError(f"has no sheet {sheet!r}. Its sheets are {_listed(sheets)}")
    tables = _tables(book, [sheet] if sheet is not None else _seen(sheets), wanted, header_row)
    failure: ColumnsError | None = None
    for name, found, header in tables:
        if isinstance(header, ColumnsError):
            failure = failure or header
            continue
        facts: dict[str, Any] = {"sheet": name} if len(sheets) > 1 else {}
        if sheet is None and (others := [other for other, _, one in tables if isinstance(one, Header)]):
            facts["sheets_left_out"] = others
        return Table(header.names, _sheet_rows(_cells(found, header), header.names, header.rows), header.groups, facts)
    hidden = [name for name, seen in sheets.items() if not seen]
    more = f". Its hidden sheets were not looked at: {', '.join(map(repr, hidden))}" if hidden and sheet is None else ""
    raise ColumnsError(f"{failure or 'has no rows'}{more}")


def _what_it_is(file: IO[bytes]) -> str:
    """Return what a file is that can't be read as a workbook, and what to do."""
    file.seek(0)
    whole = file.read()
    if _ENCRYPTED in whole:
        return _PROTECTED
    text = whole[:512].strip(b"\xef\xbb\xbf \t\r\n").lower()
    if not text:
        return "is empty."
    if whole.startswith(_PACKED):
        return "is no Excel workbook, or a damaged one."
    if text.startswith(_PAGES):
        return "is a web page under the name of a workbook, as some programs export: open it in Excel and save it anew."
    if text.startswith(b"<"):
        return "is XML under the name of a workbook: open it in Excel and save it anew."
    return "is no Excel workbook, or a damaged one. If it is text, give format='csv'."


def _listed(sheets: Mapping[str, bool]) -> str:
    return ", ".join(f"{name!r}{'' if seen else ' (hidden)'}" for name, seen in sheets.items())


def _seen(sheets: Mapping[str, bool]) -> list[str]:
    """Return the sheets that are read where none is named: what somebody has hidden may be an older list."""
    return [name for name, seen in sheets.items() if seen]


def _tables(
    book: Any, names: Sequence[str], wanted: Mapping[str, Sequence[str]], header_row: int | None
) -> Iterator[tuple[str, Any, Header | ColumnsError]]:
    """Yield each sheet, and the names of its columns or why there are none; only its first rows are looked at."""
    for name in names:
        sheet = book.get_sheet_by_name(name)
        top = sheet.to_python(skip_empty_area=False, nrows=SEARCHED + 2)
        first = [[cell_text(cell) or "" for cell in row] for row in top]
        try:
            yield name, sheet, find_header(first, wanted, header_row)
        except ColumnsError as error:
            yield name, sheet, error


def _cells(sheet: Any, header: Header) -> list[list[Any]]:
    # Blank rows and columns at the front count for people who look a line up.
    cells: list[list[Any]] = sheet.to_python(skip_empty_area=False)
    _fill_merged(cells, sheet.merged_cell_ranges or (), header.rows)
    return cells


def _fill_merged(cells: list[list[Any]], merged: Sequence[tuple[tuple[int, int], tuple[int, int]]], first: int) -> None:
    """Write the value of cells that are merged over several rows into each of them, below the names of the columns."""
    for (top, left), (bottom, _) in merged:
        if top < first or bottom == top or left >= len(cells[top]):
            continue
        for row in cells[top + 1 : bottom + 1]:
            row[left] = cells[top][left]


def _sheet_rows(cells: list[list[Any]], names: Sequence[str], first: int) -> Iterator[Rows]:
    for start in range(first, len(cells), _BATCH_ROWS):
        texts = [[cell_text(cell) for cell in row] for row in cells[start : start + _BATCH_ROWS]]
        broken = [
            (start + place + 1, TOO_MANY_CELLS, ";".join(cell or "" for cell in row))
            for place, row in enumerate(texts)
            if any((cell or "").strip() for cell in row[len(names) :])
        ]
        bad = {line for line, _, _ in broken}
        kept = [(start + place + 1, row) for place, row in enumerate(texts) if start + place + 1 not in bad]
        columns = {
            name: strings([row[place] if place < len(row) else None for _, row in kept])
            for place, name in enumerate(names)
        }
        yield Rows(columns, [line for line, _ in kept], broken)
