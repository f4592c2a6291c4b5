"""A plan and its results, person by person: a page at a time, never more of a file in memory than a row group.

A page is known by the number of the row that it begins after, so the first and the ten-thousandth cost the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Self

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_providers_leads.leads.files.columns import strings, truth
from airflow_providers_leads.report.row_files import Group, RowFile

PAGE_ROWS: Final = 50
PENDING: Final = "pending"
"""Outcome of a planned row without a result, where there are results: the write was stopped before it."""
PLANNED: Final = "planned"
"""Outcome of all rows where there are no results."""

_PLAN: Final = (
    "email_key", "action", "reason", "target_id", "target_scope", "records", "values", "before", "properties",
    "properties_before", "requests",
)  # fmt: skip
_RESULTS: Final = ("email_key", "outcome", "target_id", "reason", "request_id", "fields")
_FIRST_LOOK: Final = 500
_PROPERTIES: Final = "properties."

Mask = Callable[[pa.Table], pa.Array | None]


class Place(NamedTuple):
    """Where a person stands: which file, and the number of the row in it."""

    file: Literal["plan", "results"]
    row: int

    def __str__(self) -> str:
        """Return the place as it stands in an address: it names nobody."""
        return f"{self.file[0]}{self.row}"


def place_in(text: str) -> Place | None:
    """Return the place that a text names, ``None`` when it names none."""
    match = re.fullmatch(r"([pr])(\d{1,12})", text, re.ASCII)
    return match and Place("plan" if match[1] == "p" else "results", int(match[2]))


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows are shown; ``None`` takes any.

    :param action: of the plan
    :param outcome: of the results, :data:`PENDING` or :data:`PLANNED`
    :param reason: of either
    :param field: field that is to be written; of the destination's own ones as ``properties.name``
    """

    action: str | None = None
    outcome: str | None = None
    reason: str | None = None
    field: str | None = None


class Change(NamedTuple):
    """One field of a person.

    :param before: what the destination had, ``None`` for nothing
    :param after: what was to be written
    :param written: whether it was, ``None`` when that is unknown or not yet decided
    """

    field: str
    before: str | None
    after: str
    written: bool | None


@dataclass(slots=True)
class PersonRow:
    """What was planned for a person in one destination, and what became of it."""

    place: Place
    email_key: str
    action: str | None = None
    outcome: str | None = None
    reason: str | None = None
    target_id: str | None = None
    target_scope: str | None = None
    records: int = 0
    requests: float = 0.0
    request_id: str | None = None
    changes: list[Change] = field(default_factory=list)


class Page(NamedTuple):
    """Some rows in their order.

    :param after: row after which the next page begins, ``None`` on the last
    :param before: row before which the page before ends, ``None`` on the first
    """

    rows: list[PersonRow]
    after: int | None
    before: int | None


class Write:
    """One destination's plan and results, open for reading; close it in the end.

    :param plan: path object, ``None`` when there is none
    :param results: likewise
    """

    def __init__(self, plan: Any = None, results: Any = None) -> None:
        self.plan = RowFile(plan, "action") if plan is not None else None
        try:
            self.results = RowFile(results, "outcome") if results is not None else None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for file in (self.plan, getattr(self, "results", None)):
            if file is not None:
                file.close()

    @property
    def rows(self) -> int:
        """People."""
        return max((file.rows for file in (self.plan, self.results) if file), default=0)


def page(write: Write, filters: Filters, *, after: int = -1, before: int | None = None, size: int = PAGE_ROWS) -> Page:
    """Return a page of rows.

    :param write: the plan and its results
    :param filters: which rows
    :param after: only rows behind this one
    :param before: instead, the last rows in front of this one
    :param size: rows of a page
    """
    side, own, other, missing = _sides(write, filters)
    file = write.plan if side == "plan" else write.results
    if file is None or (missing and write.plan and write.results and write.results.rows >= write.plan.rows):
        return Page([], None, None)
    back = before is not None
    partner = write.results if side == "plan" else write.plan
    rows = _numbers(file, own, after=after, before=before)
    if other or missing:
        rows = _matching(file, partner, rows, other, missing=missing, least=size + 1)
    numbers = [number for number, _ in zip(rows, range(size + 1), strict=False)]
    more, numbers = len(numbers) > size, sorted(numbers[:size])
    if not numbers:
        return Page([], None, None)
    begun = more if back else after >= 0
    ended = not more and not back
    return Page(_people(write, side, numbers), None if ended else numbers[-1], numbers[0] if begun else None)


def person(write: Write, place: Place) -> PersonRow | None:
    """Return one row, ``None`` when there is none at this place."""
    file = write.plan if place.file == "plan" else write.results
    if file is None or place.row >= file.rows:
        return None
    return _people(write, place.file, [place.row])[0]


def find(write: Write, email_key: str) -> Place | None:
    """Return where a person stands."""
    for side, file in (("plan", write.plan), ("results", write.results)):
        if file is not None and (found := _look_up(file, [email_key], ("email_key",))):
            return Place("plan" if side == "plan" else "results", found[email_key][0])
    return None


def rows_of(uri: Any, kind: str, email_key: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return all rows of a person in a file.

    :param uri: URI or path object
    :param kind: a column that such a file has
    :param columns: what to read, as far as it is there
    :raises StagingError: see :class:`~airflow_providers_leads.report.row_files.RowFile`
    """

    found: list[dict[str, Any]] = []
    with closing(RowFile(uri, kind)) as file:
        for group in file.groups:
            places = _true_places(pc.equal(file.read(group, ("email_key",)).column("email_key"), email_key))
            if places:
                found += file.read(group, columns).take(places).to_pylist()
    return found


# Which rows ---------------------------------------------------------------------------------------------------------


def _sides(write: Write, filters: Filters) -> tuple[Literal["plan", "results"], dict[str, str], dict[str, str], bool]:
    """Return the file to go through, its filters, those of the other file, and whether to want no row there."""
    of_plan = {name: value for name in ("action", "field") if (value := getattr(filters, name))}
    of_results: dict[str, str] = {}
    missing = filters.outcome == PENDING and write.results is not None
    if filters.outcome and not missing and not (filters.outcome == PLANNED and write.results is None):
        of_results["outcome"] = filters.outcome
    if filters.reason:
        (of_results if _reason_stands_in_results(write, filters.reason) else of_plan)["reason"] = filters.reason
    if write.plan is None:
        # Nobody knows what was planned.
        return "results", of_results if not of_plan else {"outcome": ""}, {}, False
    if of_results and write.results is None:
        return "plan", {"action": ""}, {}, False
    return ("results", of_results, of_plan, False) if of_results else ("plan", of_plan, {}, missing)


def _reason_stands_in_results(write: Write, reason: str) -> bool:
    if write.results is None or write.plan is None:
        return write.plan is None
    results, plan = (
        sum(number for (_, told), number in file.counts().items() if told == reason)
        for file in (write.results, write.plan)
    )
    return results >= plan and results > 0


def _mask(filters: Mapping[str, str]) -> tuple[list[str], Mask]:
    """Return the columns that filters take, and the function that applies them to these."""
    columns: list[str] = []
    for name, value in filters.items():
        columns.append(name if name != "field" else _holder(value))

    def apply(table: pa.Table) -> pa.Array | None:

        kept = None
        for (name, value), column in zip(filters.items(), columns, strict=True):
            if column not in table.column_names:
                fits = pc.is_null(table.column(0), nan_is_null=False)
                fits = pc.and_(fits, pc.invert(fits))
            elif name == "field":
                fits = pc.match_substring_regex(table.column(column), _key_pattern(value))
            else:
                fits = pc.equal(table.column(column), value)
            kept = fits if kept is None else pc.and_kleene(kept, fits)
        return kept

    return columns, apply


def _holder(name: str) -> str:
    return "properties" if name.startswith(_PROPERTIES) else "values"


def _key_pattern(name: str) -> str:
    """Return a pattern of the objects that have a key: within their texts quotes are escaped."""
    key = msgspec.json.encode(name.removeprefix(_PROPERTIES)).decode()
    return rf"[{{,]\s*{re.escape(key)}\s*:"


def _numbers(file: RowFile, filters: Mapping[str, str], *, after: int, before: int | None) -> Iterator[int]:
    """Yield the numbers of the rows that fit; with ``before`` backwards from there."""
    columns, apply = _mask(filters)
    back = before is not None
    for group in reversed(file.groups) if back else file.groups:
        low = max(group.first, 0 if back else after + 1)
        high = min(group.first + group.rows, before if before is not None else file.rows)
        if low >= high:
            continue
        if not filters:
            yield from reversed(range(low, high)) if back else range(low, high)
            continue
        # The address is there in every file; it stands in for a column that an older one lacks.
        table = file.read(group, columns)
        places = _true_places(apply(table))
        numbers = [number for place in places if low <= (number := group.first + place) < high]
        yield from reversed(numbers) if back else numbers


def _true_places(mask: pa.Array | None) -> list[int]:

    if mask is None:
        return []
    whole = mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask
    places: list[int] = pc.indices_nonzero(pc.fill_null(whole, truth(False))).to_pylist()
    return places


def _matching(
    file: RowFile,
    partner: RowFile | None,
    numbers: Iterator[int],
    filters: Mapping[str, str],
    *,
    missing: bool,
    least: int,
) -> Iterator[int]:
    """Yield those rows whose partner in the other file fits, or that have none.

    Ever more rows are looked up at once, so that few passes over the other file do, however rare those that fit.
    """
    if partner is None:
        return
    size = max(_FIRST_LOOK, least)
    columns, apply = _mask(filters)
    while some := [number for number, _ in zip(numbers, range(size), strict=False)]:
        keys = {number: row["email_key"] for number, row in _take(file, some, ("email_key",))}
        found = _look_up(partner, list(keys.values()), columns, apply, near=some[0] / max(file.rows, 1))
        for number in some:
            there = found.get(keys[number])
            if there is None if missing else there is not None and there[1] is not None:
                yield number
        size *= 4


# Reading them -------------------------------------------------------------------------------------------------------


def _take(file: RowFile, numbers: Sequence[int], columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and row of the rows with these numbers, in the order of the file."""
    waiting = sorted(numbers)
    for group in file.groups:
        end = group.first + group.rows
        inside = [number for number in waiting if group.first <= number < end]
        if inside:
            table = file.read(group, columns).take([number - group.first for number in inside])
            yield from zip(inside, table.to_pylist(), strict=True)


def _look_up(
    file: RowFile,
    keys: Sequence[str],
    columns: Iterable[str],
    mask: Mask | None = None,
    *,
    near: float = 0.0,
) -> dict[str, tuple[int, dict[str, Any] | None]]:
    """Return address → number and row, ``None`` in place of a row that doesn't fit.

    :param near: where to begin, as a share of the file: both files of a write are mostly in one order
    """

    names = list(dict.fromkeys(["email_key", *columns]))
    sought, found = strings(list(keys)), {}
    missing = set(keys)
    for group in _from(file.groups, near * file.rows):
        places = _true_places(pc.is_in(file.read(group, ("email_key",)).column("email_key"), value_set=sought))
        if places:
            table = file.read(group, names).take(places)
            kept = mask(table) if mask else None
            fits = set(range(len(places))) if kept is None else set(_true_places(kept))
            for at, (place, row) in enumerate(zip(places, table.to_pylist(), strict=True)):
                found[row["email_key"]] = (group.first + place, row if at in fits else None)
            missing -= found.keys()
            if not missing:
                break
    return found


def _from(groups: Sequence[Group], row: float) -> list[Group]:
    return sorted(groups, key=lambda group: max(group.first - row, row - group.first - group.rows, 0))


def _people(write: Write, side: Literal["plan", "results"], numbers: Sequence[int]) -> list[PersonRow]:
    file, partner = (write.plan, write.results) if side == "plan" else (write.results, write.plan)
    columns, others = (_PLAN, _RESULTS) if side == "plan" else (_RESULTS, _PLAN)
    if file is None:
        return []
    own = dict(_take(file, numbers, columns))
    joined: dict[str, tuple[int, dict[str, Any] | None]] = {}
    if partner is not None:
        keys = [row["email_key"] for row in own.values()]
        joined = _look_up(partner, keys, others, near=numbers[0] / max(file.rows, 1))
    made = []
    for number, row in own.items():
        other = joined.get(row["email_key"], (0, None))[1] or {}
        plan, result = (row, other) if side == "plan" else (other, row)
        made.append(_person(Place(side, number), plan, result, applied=write.results is not None))
    return made


def _person(place: Place, plan: Mapping[str, Any], result: Mapping[str, Any], *, applied: bool) -> PersonRow:
    outcome = result.get("outcome") or (PENDING if applied else PLANNED)
    return PersonRow(
        place=place,
        email_key=plan.get("email_key") or result.get("email_key") or "",
        action=plan.get("action"),
        outcome=outcome,
        reason=result.get("reason") or plan.get("reason"),
        target_id=result.get("target_id") or plan.get("target_id"),
        target_scope=plan.get("target_scope"),
        records=plan.get("records") or 0,
        requests=plan.get("requests") or 0.0,
        request_id=result.get("request_id"),
        changes=_changes(plan, result, outcome),
    )


def _changes(plan: Mapping[str, Any], result: Mapping[str, Any], outcome: str) -> list[Change]:
    fields = _decoded(result.get("fields"), list)
    changes = []
    for values, before, prefix in (("values", "before", ""), ("properties", "properties_before", _PROPERTIES)):
        held = _decoded(plan.get(before), dict)
        for name, value in _decoded(plan.get(values), dict).items():
            written: bool | None = None
            if outcome in ("created", "updated"):
                written = name in fields or f"{prefix}{name}" in fields or None
            elif outcome not in (PLANNED, "ambiguous"):
                written = False
            had = held.get(name)
            changes.append(Change(f"{prefix}{name}", None if had is None else str(had), str(value), written))
    if not plan:
        # Without its plan only the names are known.
        changes = [Change(str(name), None, "", True) for name in fields]
    return changes


def _decoded(text: Any, kind: type) -> Any:
    """Return the object or list that a column of text holds, an empty one for anything else."""
    try:
        value = msgspec.json.decode(text) if isinstance(text, (str, bytes)) and text else None
    except msgspec.DecodeError:
        value = None
    return value if isinstance(value, kind) else kind()
