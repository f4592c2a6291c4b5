"""Leads out of a SQL database and into one, with SQLite."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_providers_leads.leads.files.staging import StagingError, read_rows, write_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.sources.reading import FileOptions, table_leads
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsFromSqlOperator,
    LeadsToSqlOperator,
)
from airflow_providers_leads.tasks.sources import metrics_sql
from airflow_providers_leads.tasks.sources import sql as sql_sources
from airflow_providers_leads.tasks.sources.sql import LeadsDatabaseError


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    file = tmp_path / "warehouse.db"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f'{{"conn_type": "sqlite", "host": "{file}"}}')
    with closing(sqlite3.connect(file)) as connection:
        yield connection


def read(tmp_path: Path, sql: str, **arguments: Any) -> dict[str, Any]:
    operator = LeadsFromSqlOperator(
        task_id="sql", sql_conn_id="warehouse", sql=sql, output=str(tmp_path / "out"), source="shop", **arguments
    )
    return operator.execute({})


def write(run_id: str, **arguments: Any) -> dict[str, Any]:
    return LeadsToSqlOperator(task_id="to", sql_conn_id="warehouse", **arguments).execute({"run_id": run_id})


def test_a_query_gives_leads(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.executescript(
        "CREATE TABLE customers (id INTEGER, EMAIL TEXT, vorname TEXT, unsubscribed BOOLEAN, plan TEXT, spent REAL);"
        "INSERT INTO customers VALUES (7, 'ann@example.com', 'Ann', 0, 'pro', 12.5), (8, 'bob@example.com', NULL, 1, "
        "NULL, 3), (9, NULL, 'X', 0, 'free', NULL);"
    )
    result = read(
        tmp_path, "SELECT * FROM customers WHERE id > :least ORDER BY id", parameters={"least": 1},
        columns={"source_id": "id"},
    )  # fmt: skip
    leads = list(read_rows(result["uri"], Lead))
    assert [(one.source_id, one.email_key, one.first_name, one.opted_out, one.properties) for one in leads] == [
        ("7", "ann@example.com", "Ann", False, '{"plan":"pro","spent":"12.5"}'),
        ("8", "bob@example.com", None, True, '{"spent":"3"}'),
    ]
    assert (result["rows"], result["rejects"], result["complete"]) == (2, 1, False)
    assert result["columns"]["opted_out"] == ["unsubscribed"]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 AS vorname, 2 AS e_mal", "sql:warehouse has no column that is named for an address.*'e_mal'"),
        ("CREATE TABLE t (x INTEGER)", "sql gives no rows"),
    ],
)
def test_queries_that_give_no_leads(database: sqlite3.Connection, tmp_path: Path, sql: str, message: str) -> None:
    with pytest.raises(StagingError, match=message):
        read(tmp_path, sql)
    assert not list(tmp_path.rglob("*.parquet"))


def test_more_rows_than_are_fetched_at_once(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("CREATE TABLE people (mail TEXT)")
    database.executemany("INSERT INTO people VALUES (?)", ((f"p{n}@example.com",) for n in range(25_000)))
    database.commit()
    result = read(tmp_path, "SELECT mail FROM people")
    assert result["rows"] == len({lead.email_key for lead in read_rows(result["uri"], Lead)}) == 25_000


def test_a_parameter_that_is_null_and_lets_no_row_through_is_told(
    database: sqlite3.Connection, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sql = "SELECT 'ann@example.com' AS email WHERE 2 > :since"
    assert read(tmp_path, sql, parameters={"since": None})["rows"] == 0
    assert "parameter 'since' is NULL" in capfd.readouterr().out
    assert read(tmp_path, f"{sql} OR :since IS NULL", parameters={"since": None})["rows"] == 1
    assert read(tmp_path, sql, parameters={"since": 3})["rows"] == 0
    assert "NULL" not in capfd.readouterr().out


NUMBERS = st.integers() | st.booleans() | st.floats()
CELLS = st.none() | st.text(max_size=3) | NUMBERS | st.just({"a": "x", "b": {"c": 1}})


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("unsubscribed", Decimal("0.00"), False),
        ("unsubscribed", Decimal("1.00"), True),
        ("unsubscribed", b"\x00", False),
        ("unsubscribed", memoryview(b"\x01"), True),
        ("unsubscribed", 0.0, False),
        ("bounced", Decimal("0.000"), False),
        ("bounced", bytearray(b"\x01"), True),
        ("phone", Decimal("4.930123456E+9"), "4930123456"),
        ("phone", Decimal("4930123456.0000"), "4930123456"),
        ("postal_code", Decimal("1067.00"), "1067"),
        ("phone", 4930123456.0, "4930123456"),
        ("company", b"M\xc3\xbcller", "M\u00fcller"),
        ("company", b"\xff\x00", "ff00"),
        ("postal_code", "1067.0", "1067"),
        ("postal_code", "SW1A 1.0", "SW1A 1.0"),
        ("company", float("nan"), None),
        ("company", "0000-00-00", None),
        ("updated_at", "0000-00-00 00:00:00", None),
        ("updated_at", datetime.max, None),
        ("updated_at", date(9999, 12, 31), None),
        ("company", Decimal("NaN"), None),
        ("company", "Acme\u200b", "Acme"),
        ("company", "Ac\0me\0", "Acme"),
        ("company", "\0", None),
        ("phone", "=+4930123456", "+4930123456"),
        ("phone", "= 030 123456", "030 123456"),
        ("title", ["Buyer"], "Buyer"),
        ("title", ("Buyer", None, "Head"), "Buyer;Head"),
        ("title", [1, 2.0, True], "1;2;true"),
        ("title", ["a;b"], "a;b"),
        ("title", ["a;b", "c"], '["a;b","c"]'),
        ("title", [["a"], ["b"]], '[["a"],["b"]]'),
        ("title", [], None),
        ("title", [None], None),
        ("unsubscribed", [], None),
    ],
)
def test_values_of_databases_mean_what_they_meant_there(column: str, cell: Any, expected: Any) -> None:
    fetched = iter(([("ann@example.com", cell)], []))
    cursor = SimpleNamespace(description=[("EMAIL",), (column,)], fetchmany=lambda _: next(fetched))
    read = table_leads(sql_sources._rows(cursor), FileOptions(), "sql:x", "x", "x")
    (made,) = read.made
    field = {"unsubscribed": "opted_out"}.get(column, column)
    (lead,) = made.leads.to_pylist()
    assert lead[field] == expected


class DataError(Exception):
    """As drivers name it."""


@pytest.mark.parametrize("error", [ValueError("year -44 is out of range"), OverflowError(), DataError("'x@y.de'")])
@pytest.mark.parametrize("late", [False, True])
def test_a_value_that_a_driver_cannot_give_says_what_to_do(error: Exception, late: bool) -> None:
    def fetchmany(_: int) -> list[tuple[str, str]]:
        if late and fetched:
            return [fetched.pop()]
        raise error

    fetched = [("ann@example.com", "1")]
    cursor = SimpleNamespace(description=[("email",), ("born",)], fetchmany=fetchmany)
    with pytest.raises(LeadsDatabaseError, match=r"one of the columns 'email', 'born' holds .*CAST") as caught:
        [*table_leads(sql_sources._rows(cursor), FileOptions(), "sql:x", "x", "x").made]
    assert "44" not in str(caught.value)
    assert "y.de" not in str(caught.value)


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), CELLS, CELLS), min_size=1, max_size=12), st.integers(1, 5))
def test_rows_that_are_turned_in_pieces_are_the_same_as_at_once(rows: list[tuple[Any, ...]], size: int) -> None:
    def turned(size: int) -> tuple[dict[str, list[str | None]], list[int]]:
        fetched = iter((rows, []))
        cursor = SimpleNamespace(description=[("email",), ("B",), ("b",)], fetchmany=lambda _: next(fetched))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sql_sources, "_TURNED", size)
            (batch,) = sql_sources._rows(cursor).rows
        return {name: column.to_pylist() for name, column in batch.columns.items()}, list(batch.lines)

    at_once, lines = turned(len(rows))
    assert turned(size) == (at_once, lines)
    assert lines == [*range(1, len(rows) + 1)]


def test_a_run_replaces_its_own_rows_and_keeps_others(database: sqlite3.Connection, tmp_path: Path) -> None:
    def leads(name: str, *emails: str) -> str:
        uri = str(tmp_path / f"{name}.parquet")
        rows = (Lead("shop", "shop", email, email, email, opted_out=True, properties='{"a":1}') for email in emails)
        write_rows(uri, Lead, rows)
        return uri

    one, other = leads("one", "ann@example.com", "bob@example.com"), leads("other", "cid@example.com")
    assert write("r1", input=[one, other], table="leads")["rows"] == 3
    assert write("r2", input={"uri": one}, table="leads")["rows"] == 2
    leads("one", "dan@example.com")
    assert write("r1", input=one, table="leads") == {"table": "leads", "rows": 1, "run_id": "r1"}
    rows = database.execute(
        "SELECT run_id, file, row_number, email, opted_out, properties FROM leads ORDER BY 1, 2, 3"
    ).fetchall()
    assert rows == [
        ("r1", one, 0, "dan@example.com", 1, '{"a":1}'),
        ("r1", other, 0, "cid@example.com", 1, '{"a":1}'),
        ("r2", one, 0, "ann@example.com", 1, '{"a":1}'),
        ("r2", one, 1, "bob@example.com", 1, '{"a":1}'),
    ]
    write("r3", input=other, table="leads", replace="all")
    assert database.execute("SELECT run_id, email FROM leads").fetchall() == [("r3", "cid@example.com")]


@pytest.mark.parametrize("folder", ["", "a-long-name/" * 30])
def test_files_of_one_name_are_told_apart(folder: str, database: sqlite3.Connection, tmp_path: Path) -> None:
    """Merges of two tasks, and of two DAGs whose runs have the same id, are all called ``golden.parquet``."""
    for name in ("ann", "bob"):
        uri = f"{tmp_path}/{folder}{name}/golden.parquet"
        write_rows(uri, Lead, [Lead("s", "s", "1", f"{name}@example.com", f"{name}@example.com")])
        for _ in range(2):
            write("r", input=uri, table="people")
    rows = database.execute("SELECT email, length(file) <= 255 FROM people ORDER BY 1").fetchall()
    assert rows == [("ann@example.com", 1), ("bob@example.com", 1)]


def test_a_table_is_not_emptied_by_each_mapped_task() -> None:
    arguments: dict[str, Any] = {"task_id": "to", "table": "people", "replace": "all"}
    with pytest.raises(ValueError, match=r"input=extract\.output"):
        LeadsToSqlOperator.partial(**arguments, sql_conn_id="warehouse")
    # Into several databases.
    LeadsToSqlOperator.partial(**arguments, input="s3://b/golden.parquet").expand(sql_conn_id=["one", "other"])


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT mail FROM p WHERE mail = :who OR :none IS NOT NULL", '{"who": "b@example.com", "none": null}'),
        ("SELECT mail FROM p WHERE mail = :who", "{'who': 'b@example.com'}"),
        ("SELECT mail FROM p WHERE mail IN (?, ?)", '["b@example.com", 2]'),
        ("SELECT mail FROM p WHERE mail IN (?, ?)", ("b@example.com", 2)),
    ],
)
def test_parameters_that_a_template_renders_to_text(
    sql: str, parameters: Any, database: sqlite3.Connection, tmp_path: Path
) -> None:
    database.executescript("CREATE TABLE p (mail TEXT); INSERT INTO p VALUES ('a@example.com'), ('b@example.com')")
    found = read(tmp_path, sql, parameters=parameters, columns="{'email': 'mail', 'phone': None}")
    assert [lead.email for lead in read_rows(found["uri"], Lead)] == ["b@example.com"]


def test_a_text_is_no_list_of_its_letters(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.executescript("CREATE TABLE p (mail TEXT); INSERT INTO p VALUES ('a@example.com')")
    with pytest.raises(ValueError, match="parameters must be a mapping or a list, not a text"):
        read(tmp_path, "SELECT mail FROM p WHERE ? = ?", parameters="42")


def test_a_nul_character_keeps_no_row_out_of_a_table(database: sqlite3.Connection, tmp_path: Path) -> None:
    uri = f"{tmp_path}/leads.parquet"
    write_rows(
        uri, Lead, [Lead(source="hubspot", source_scope="h", source_id="1", city="K\0\u00f6ln\0", company="ACME")]
    )
    assert write("r1", input=uri, table="people")["rows"] == 1
    assert database.execute("SELECT city, company, phone FROM people").fetchall() == [("K\u00f6ln", "ACME", None)]


def test_a_merge_goes_into_tables_with_its_types(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.executescript(
        "CREATE TABLE p (mail TEXT, updated_at TEXT); INSERT INTO p VALUES ('a@example.com', '2026-01-02T03:04:05Z')"
    )
    golden = LeadsDeduplicateOperator(
        task_id="merge", inputs=[read(tmp_path, "SELECT * FROM p")], output=str(tmp_path / "m")
    ).execute({})
    for key in ("golden", "members", "conflicts", "rejects"):
        write("r", input=golden, key=key, table=key)
    (row,) = database.execute("SELECT email, updated_at, member_count FROM golden").fetchall()
    assert row == ("a@example.com", "2026-01-02T03:04:05.000Z", 1)
    assert database.execute("SELECT count(*) FROM members").fetchone() == (1,)


def test_a_failure_leaves_what_was_there(
    database: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = str(tmp_path / "one.parquet")
    write_rows(uri, Lead, [Lead("s", "s", "1", "ann@example.com", "ann@example.com")])
    write("r1", input=uri, table="leads")

    def failing(value: object) -> object:
        raise OSError("gone")

    monkeypatch.setattr(metrics_sql, "_cell", failing)
    with pytest.raises(OSError, match="gone"):
        write("r1", input=uri, table="leads")
    assert database.execute("SELECT count(*) FROM leads").fetchone() == (1,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input": [], "table": "t"}, "input is empty"),
        ({"input": "gone.parquet", "table": "t"}, "does not exist"),
        ({"input": "x.parquet", "table": "a b"}, "table must be a name"),
        ({"input": {"golden": None}, "key": "golden", "table": "t"}, "with the key 'golden'"),
    ],
)
def test_bad_arguments(database: sqlite3.Connection, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write("r", **arguments)


class Streaming(sqlite3.Cursor):
    """A cursor that is named as drivers name those that stream, and knows its columns once it has fetched."""

    fetched = False
    itersize = 0

    def fetchmany(self, size: int = 0) -> list[Any]:
        type(self).fetched = True
        return super().fetchmany(size)

    @property
    def description(self) -> Any:
        return super().description if type(self).fetched else None


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
def test_drivers_that_would_fetch_everything_stream(
    database: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: str
) -> None:
    database.execute("CREATE TABLE people (mail TEXT)")
    database.execute("INSERT INTO people VALUES ('ann@example.com')")
    database.commit()
    asked: list[Any] = []

    class Connection(sqlite3.Connection):
        def cursor(self, kind: Any = None) -> Any:
            asked.append(kind)
            return super().cursor(Streaming)

    Connection.__module__ = "driver.connections"
    monkeypatch.setitem(sys.modules, "driver", ModuleType("driver"))
    monkeypatch.setitem(sys.modules, "driver.cursors", SimpleNamespace(SSCursor="streams"))
    file = str(tmp_path / "warehouse.db")
    hook = SimpleNamespace(dialect_name=dialect, get_conn=lambda: sqlite3.connect(file, factory=Connection))
    monkeypatch.setattr("airflow_providers_leads.tasks.sources.sql.sql_hook", lambda conn_id: hook)
    monkeypatch.setattr(Streaming, "fetched", False)
    assert read(tmp_path, "SELECT mail FROM people")["rows"] == 1
    assert asked == [{"postgresql": "leads", "mysql": "streams"}[dialect]]
