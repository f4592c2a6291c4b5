"""Pages of plans and results: the same rows as reading all of them gives, whatever the filter, file by row group."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_files import NOW

from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import RowWriter, StagingError
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.report.masking import visible
from airflow_providers_leads.report.rows import (
    Filters,
    Page,
    PersonRow,
    Place,
    Write,
    find,
    page,
    person,
    place_in,
    rows_of,
)

ROWS = 1_000
OUTCOMES = {"create": "created", "update": "updated", "unchanged": "unchanged", "suppress": "suppressed"}
TRICKY = 'a","phone":"b'


def plan_rows() -> list[PlanRow]:
    chance = random.Random(7)
    rows = []
    for number in range(ROWS):
        action: Any = chance.choice(list(OUTCOMES))
        values = {name: TRICKY for name in ("city", "phone") if chance.random() < 0.4}
        rows.append(
            PlanRow(
                email_key=f"p{chance.getrandbits(40)}.{number}@example.org",
                action=action,
                reason="opted_out" if action == "suppress" else None,
                values=values if action in ("create", "update") else {},
                properties={'q"[{': "x"} if number % 97 == 0 else {},
                before=dict.fromkeys(values) if action == "update" else {},
            )
        )
    return rows


def result_rows(rows: list[PlanRow]) -> list[WriteResult]:
    """Return results in another order, the last tenth missing."""
    results = []
    for number, row in enumerate(rows[: ROWS * 9 // 10]):
        outcome: Any = OUTCOMES[row.action]
        reason = row.reason
        if outcome == "created" and number % 5 == 0:
            outcome, reason = "failed", f"refused {number % 3}"
        results.append(WriteResult(email_key=row.email_key, outcome=outcome, reason=reason, fields=list(row.values)))
    return results[100:] + results[:100]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("rows")
    facts = PlanFacts(conn_id="c", conn_type="hubspot", mode="update", planned_at=NOW, requests_per_second=1.0)
    rows = plan_rows()
    made = {"plan": folder / "c.plan.parquet", "results": folder / "c.results.parquet"}
    with RowWriter(str(made["plan"]), PlanRow, batch_rows=64, metadata=facts.metadata()) as writer:
        for row in rows:
            writer.write(row)
    with RowWriter(str(made["results"]), WriteResult, batch_rows=48) as results:
        for result in result_rows(rows):
            results.write(result)
    return made


@pytest.fixture
def write(files: dict[str, Path]) -> Iterator[Write]:
    with Write(files["plan"], files["results"]) as opened:
        yield opened


def all_pages(write: Write, filters: Filters, size: int) -> list[Page]:
    pages = [page(write, filters, size=size)]
    while (after := pages[-1].after) is not None:
        pages.append(page(write, filters, after=after, size=size))
    return pages


def expected(filters: Filters) -> set[str]:
    rows = plan_rows()
    results = {result.email_key: result for result in result_rows(rows)}
    keys = set()
    for row in rows:
        result = results.get(row.email_key)
        outcome = result.outcome if result else "pending"
        reasons = {row.reason, result.reason if result else None}
        fields = {*row.values, *(f"properties.{name}" for name in row.properties)}
        if (
            filters.action in (None, row.action)
            and filters.outcome in (None, outcome)
            and (filters.reason is None or filters.reason in reasons)
            and (filters.field is None or filters.field in fields)
        ):
            keys.add(row.email_key)
    return keys


FILTERS = [
    Filters(),
    Filters(action="create"),
    Filters(outcome="failed"),
    Filters(outcome="pending"),
    Filters(outcome="pending", action="update"),
    Filters(reason="refused 1"),
    Filters(field="phone"),
    Filters(field='properties.q"[{'),
    Filters(field="b"),
    Filters(outcome="failed", field="city"),
    Filters(outcome="created", action="create", field="phone"),
    Filters(outcome="created", action="suppress"),
    Filters(action="nonsense"),
]


@pytest.mark.parametrize("size", [7, 50, 2_000])
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_pages_hold_each_row_that_fits_once(filters: Filters, size: int, write: Write) -> None:
    pages = all_pages(write, filters, size)
    keys = [row.email_key for one in pages for row in one.rows]
    assert len(keys) == len(set(keys))
    assert set(keys) == expected(filters)
    assert all(len(one.rows) <= size for one in pages)
    assert pages[0].before is None
    # Back again, from the last page to the first.
    for earlier, later in zip(pages[-2::-1], pages[:0:-1], strict=True):
        assert later.before is not None
        back = page(write, filters, before=later.before, size=size)
        assert [row.place for row in back.rows] == [row.place for row in earlier.rows]


def test_a_row_says_what_was_planned_and_what_became_of_it(write: Write) -> None:
    rows = {row.email_key: row for row in plan_rows()}
    results = {result.email_key: result for result in result_rows(list(rows.values()))}
    shown = [row for one in all_pages(write, Filters(), 100) for row in one.rows]
    for row in shown:
        check_row(row, rows[row.email_key], results.get(row.email_key))
        assert person(write, row.place) == row
    key = shown[500].email_key
    assert find(write, key) == shown[500].place
    assert find(write, "nobody@example.org") is None
    assert person(write, Place("plan", ROWS)) is None


def check_row(row: PersonRow, plan: PlanRow, result: WriteResult | None) -> None:
    assert (row.action, row.outcome) == (plan.action, result.outcome if result else "pending")
    assert row.reason == ((result.reason if result else None) or plan.reason)
    after = {**plan.values, **{f"properties.{name}": value for name, value in plan.properties.items()}}
    assert {change.field: change.after for change in row.changes} == after
    for change in row.changes:
        if row.outcome == "failed":
            assert change.written is False
        elif row.outcome in ("created", "updated") and not change.field.startswith("properties."):
            assert change.written is True


@pytest.mark.parametrize("kind", ["plan", "results"])
def test_one_file_alone_is_shown_as_far_as_it_goes(kind: str, files: dict[str, Path]) -> None:
    with Write(**{kind: files[kind]}) as write:
        rows = page(write, Filters(), size=2_000).rows
        assert len(rows) == write.rows
        assert {row.outcome for row in rows} == (
            {"planned"} if kind == "plan" else {"created", "updated", "unchanged", "suppressed", "failed"}
        )
        assert page(write, Filters(outcome="failed")).rows == [] or kind == "results"
        assert page(write, Filters(action="create")).rows == [] or kind == "plan"


def test_a_folder_of_parts_is_read_as_one(files: dict[str, Path], tmp_path: Path, write: Write) -> None:
    import pyarrow.parquet as pq

    folder = tmp_path / "c.plan.parquet"
    folder.mkdir()
    table = pq.read_table(files["plan"])
    for number, start in enumerate(range(0, ROWS, 300)):
        pq.write_table(table.slice(start, 300), folder / f"part-{number}.parquet", row_group_size=70)
    (folder / ".part-9.parquet.part").write_bytes(b"on its way")
    with Write(folder, files["results"]) as parts:
        for filters in FILTERS:
            assert [row.email_key for row in page(parts, filters, after=400).rows] == [
                row.email_key for row in page(write, filters, after=400).rows
            ] or filters.outcome
            assert {r.email_key for one in all_pages(parts, filters, 90) for r in one.rows} == expected(filters)


@pytest.mark.parametrize("harm", ["gone", "damaged", "empty", "other"])
def test_what_cannot_be_read_is_named(harm: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "x.plan.parquet"
    if harm == "damaged":
        file.write_bytes(b"PAR1" + b"x" * 100)
    elif harm == "empty":
        file.mkdir()
    elif harm == "other":
        pq.write_table(pa.table({"email_key": ["a@example.org"]}), file)
    with pytest.raises(StagingError, match=r"x\.plan\.parquet"):
        Write(file)


def test_all_rows_of_a_person_are_returned(files: dict[str, Path]) -> None:
    key = plan_rows()[321].email_key
    assert [row["email_key"] for row in rows_of(files["plan"], "action", key, ("email_key", "none"))] == [key]


@pytest.mark.parametrize("text", ["p1", "r0", "p999999999999"])
def test_a_place_is_read_as_it_is_written(text: str) -> None:
    place = place_in(text)
    assert place is not None
    assert str(place) == text


@pytest.mark.parametrize("text", ["", "p", "x1", "p-1", "p1 ", "p١", "p" + "9" * 13, "../p1"])
def test_what_is_no_place_is_none(text: str) -> None:
    assert place_in(text) is None


def test_what_nobody_sees_is_made_visible() -> None:
    assert visible("a\u202eb\x00c\u200bd\u2028e") == "a�b�c�d�e"
    assert visible("Zoë 李 علی\u200cرضا 👩\u200d💻") == "Zoë 李 علی\u200cرضا 👩\u200d💻"
    assert visible("abcdef", 3) == "abc…"
