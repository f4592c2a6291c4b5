"""A user's function over a file of leads."""

from __future__ import annotations

import string
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.merge.functions import FunctionError, filter_leads, map_leads
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, Lead

SECRET = "planted.person@secret-company.example"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def lead(number: int, **values: Any) -> Lead:
    address = f"p{number}@x.example"
    base: dict[str, Any] = {"email": address, "email_key": address, "city": f"c{number % 3}", "updated_at": NOW}
    return Lead(source="hubspot", source_scope="crm", source_id=str(number), **{**base, **values})


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    rows = [lead(number) for number in range(7)]
    rows[2] = lead(2, opted_out=True)
    rows[5] = lead(5, bounced=True, opted_out=False)
    rows[6] = lead(6, email=None, email_key=None)
    write_rows(str(tmp_path / "in.parquet"), Lead, rows)
    return str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet")


def ids(uri: str) -> list[int]:
    return [int(row.source_id) for row in read_rows(uri, Lead)]


KEEP_C0 = {
    "dicts": lambda leads: [one["city"] == "c0" for one in leads],
    "arrow": lambda leads: pc.equal(leads["city"], "c0"),
}


@pytest.mark.parametrize("form", ["dicts", "arrow"])
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_what_the_function_keeps_is_written_and_opt_outs_always(
    form: Any, batch_rows: int, files: tuple[str, str]
) -> None:
    source, target = files
    seen: list[int] = []
    counts = filter_leads(source, target, KEEP_C0[form], form=form, batch_rows=batch_rows, progress=seen.append)
    assert ids(target) == [0, 2, 3, 5, 6]
    assert counts == {"rows": 5, "dropped": 2, "protected": 2, "rejects": 1}
    assert seen[-1] == 7
    kept = {row.source_id: row for row in read_rows(target, Lead)}
    assert [row for row in read_rows(source, Lead) if row.source_id in kept] == list(kept.values())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), max_size=12), st.integers(1, 5))
def test_every_row_is_kept_or_counted(mask: list[bool], batch_rows: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        source, target = f"{folder}/in.parquet", f"{folder}/out.parquet"
        write_rows(source, Lead, [lead(n, opted_out=n % 4 == 3) for n in range(len(mask))])
        left = iter(mask)
        counts = filter_leads(source, target, lambda leads: [next(left) for _ in leads], batch_rows=batch_rows)
        assert ids(target) == [n for n, keep in enumerate(mask) if keep or n % 4 == 3]
        assert counts["rows"] + counts["dropped"] == len(mask)


@pytest.mark.parametrize("form", ["dicts", "arrow"])
def test_what_the_function_leaves_out_stays_as_it_is(form: Any, files: tuple[str, str]) -> None:
    source, target = files

    def upper(leads: Any) -> Any:
        if form == "arrow":
            return pa.table({"city": pc.utf8_upper(leads["city"])})
        return [{"city": one["city"].upper()} if one["city"] == "c1" else {} for one in leads]

    counts = map_leads(source, target, upper, form=form, batch_rows=2)
    before, after = list(read_rows(source, Lead)), list(read_rows(target, Lead))
    assert [(old.source_id, old.opted_out, old.email, old.updated_at) for old in before] == [
        (new.source_id, new.opted_out, new.email, new.updated_at) for new in after
    ]
    assert {new.city for new in after} == ({"C0", "C1", "C2"} if form == "arrow" else {"c0", "C1", "c2"})
    assert counts == {"rows": 7, "changed": 7 if form == "arrow" else 2, "rejects": 1}


def test_a_lead_changed_in_place_and_returned_whole_is_a_change(files: tuple[str, str]) -> None:
    source, target = files

    def tidy(leads: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for one in leads:
            one["city"] = "  "
        return leads

    assert map_leads(source, target, tidy)["changed"] == 7
    assert {row.city for row in read_rows(target, Lead)} == {None}


def test_the_address_key_follows_the_address(files: tuple[str, str]) -> None:
    source, target = files
    addresses = iter(["  New@X.Example ", "no address", None])

    def readdress(leads: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"email": next(addresses)} if one["source_id"] in "013" else {} for one in leads]

    assert map_leads(source, target, readdress)["rejects"] == 3
    keys = [row.email_key for row in read_rows(target, Lead)]
    assert keys == ["new@x.example", None, "p2@x.example", None, "p4@x.example", "p5@x.example", None]


def returning(value: Any, at: int | None = None) -> Callable[[Any], Any]:
    """Return a function that returns a value, or has it at one place of a list."""

    def function(leads: Any) -> Any:
        if at is None:
            return value
        return [value if int(one["source_id"]) == at else True if value in ("maybe", 1) else {} for one in leads]

    return function


WRONG_MASKS = [
    (None, None, "must return a list of true or false, one for each lead, and returned nothing"),
    (SECRET, None, "returned a str"),
    ([True], None, "rows 1 to 3: the function was given 3 leads and returned 1"),
    ("maybe", 4, "row 5: the function must return true or false and returned a str"),
    (1, 1, "row 2: the function must return true or false and returned a int"),
    (pa.array([True, None, True]), None, "row 2: the function must return true or false and returned nothing"),
]
WRONG_LEADS = [
    (None, None, "must return a list of dicts, one for each lead, and returned nothing"),
    ([{}], None, "given 3 leads and returned 1"),
    (SECRET, 4, "row 5: the function must return a dict and returned a str"),
    ({"citty": SECRET}, 4, "row 5: the function returned the unknown field 'citty'"),
    ({SECRET: 1}, 4, "row 5: the function returned the unknown field; a lead has"),
    ({"city": 4711}, 4, r"row 5: .* Expected `str \| null`, got `int` - at `\$.city`"),
    ({"opted_out": SECRET}, 4, r"row 5: .* Expected `bool \| null`, got `str`"),
    ({"updated_at": datetime(2026, 1, 1)}, 4, "row 5: created_at and updated_at must have a time zone"),
    ({"source_id": SECRET}, 4, "row 5: the function must not change 'source_id': it says which record it is"),
    ({"source": "persistiq"}, 0, "row 1: the function must not change 'source'"),
    ({"opted_out": False}, 2, "row 3: the function must not change 'opted_out': it stays true"),
    ({"opted_out": None}, 2, "row 3: the function must not change 'opted_out'"),
    ({"bounced": False}, 5, "row 6: the function must not change 'bounced'"),
    ({"email_key": SECRET}, 4, "row 5: email_key follows from email: change that"),
    ({"properties": SECRET}, 4, "row 5: properties must be the text of a JSON object"),
    ({"properties": "[1]"}, 4, "row 5: properties must be the text of a JSON object"),
]


@pytest.mark.parametrize(
    "mask",
    [
        lambda leads: np.array([one["city"] == "c0" for one in leads]),
        lambda leads: pd.DataFrame(leads)["city"] == "c0",
        lambda leads: [np.bool_(one["city"] == "c0") for one in leads],
        lambda leads: iter([one["city"] == "c0" for one in leads]),
    ],
    ids=["array", "series", "numpy's booleans", "iterator"],
)
def test_row_3_masks_of_numpy_and_pandas_are_masks(mask: Any, files: tuple[str, str]) -> None:
    source, target = files
    filter_leads(source, target, mask, batch_rows=3)
    assert ids(target) == [0, 2, 3, 5, 6]


@pytest.mark.parametrize("missing", [float("nan"), pd.NA, pd.NaT, np.nan, None], ids=repr)
def test_rows_1_and_3_values_of_data_frames_are_the_values_they_are(missing: Any, files: tuple[str, str]) -> None:
    source, target = files
    changes = {
        "city": missing,
        "title": np.str_("Dr."),
        "updated_at": pd.Timestamp("2026-02-01T00:00Z"),
        "phone": "nan",
    }
    map_leads(source, target, lambda leads: pd.DataFrame([changes for _ in leads], dtype=object))
    assert {(row.city, row.title, row.updated_at, row.phone) for row in read_rows(target, Lead)} == {
        (None, "Dr.", datetime(2026, 2, 1, tzinfo=UTC), "nan")
    }


@pytest.mark.parametrize(
    ("work", "value", "at", "said"),
    [(filter_leads, *case) for case in WRONG_MASKS] + [(map_leads, *case) for case in WRONG_LEADS],
)
def test_what_can_not_be_used_is_told_by_row_and_nothing_is_written(
    work: Any, value: Any, at: int | None, said: str, files: tuple[str, str], tmp_path: Path
) -> None:
    source, target = files
    with pytest.raises(FunctionError, match=said) as raised:
        work(source, target, returning(value, at), batch_rows=3)
    assert SECRET not in str(raised.value)
    assert "4711" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"city": pa.array([1.5] * 7)}, None),
        ({"opted_out": pa.array([SECRET] * 7)}, "the column 'opted_out' as string; it must be bool"),
        ({"updated_at": pa.array([SECRET] * 7)}, "the column 'updated_at' as string; it must be timestamp"),
        ({"source_id": pa.array(list(string.digits[1:8]))}, "row 1: the function must not change 'source_id'"),
        ({"opted_out": pa.array([False] * 7)}, "row 3: the function must not change 'opted_out'"),
        ({"citty": pa.array(["x"] * 7)}, "unknown field 'citty'"),
        ({"city": pa.array(["x"] * 6)}, "given 7 leads and returned 6"),
    ],
)
def test_a_table_is_held_to_the_same(table: Any, said: str | None, files: tuple[str, str]) -> None:
    source, target = files
    if said is None:
        assert map_leads(source, target, lambda leads: pa.table(table), form="arrow")["changed"] == 7
        return
    with pytest.raises(FunctionError, match=said) as raised:
        map_leads(source, target, lambda leads: pa.table(table), form="arrow")
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(("error", "kind"), [(KeyError("k"), KeyError), (ValueError("v"), RuntimeError)])
def test_an_error_of_the_function_keeps_its_traceback_and_gets_the_rows(
    error: Exception, kind: type[Exception], files: tuple[str, str], tmp_path: Path
) -> None:
    def broken(leads: list[dict[str, Any]]) -> list[bool]:
        if leads[0]["source_id"] != "0":
            raise error
        return [True] * len(leads)

    with pytest.raises(kind) as raised:
        filter_leads(*files, broken, batch_rows=3)
    told = [str(raised.value), *getattr(raised.value, "__notes__", [])]
    assert any("rows 4 to 6" in line for line in told)
    assert raised.value is error or raised.value.__cause__ is error
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_further_columns_of_a_file_are_carried_along(files: tuple[str, str]) -> None:
    source, target = files
    table = pq.read_table(source)
    pq.write_table(table.append_column("rank", pa.array(range(7))), source)
    map_leads(source, target, lambda leads: [{"city": "x"}] * len(leads), batch_rows=3)
    written = pq.read_table(target)
    assert written.column_names == [*LEAD_COLUMNS, "rank"]
    assert written["rank"].to_pylist() == list(range(7))
    assert written.schema.metadata == table.schema.metadata
