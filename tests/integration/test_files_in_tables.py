"""Every file that a run writes goes into a table of every database at hand, and a query gives leads of any type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.sql.hooks.sql import DbApiHook
from postgres_process import running_postgres

from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.enrol import LeadsEnrolOperator
from airflow_providers_leads.operators.hubspot import HubSpotSearchContactsOperator
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsFromFileOperator,
    LeadsFromSqlOperator,
    LeadsToSqlOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.tasks.sources import sql as sql_sources
from airflow_providers_leads.tasks.sources.sql import LeadsDatabaseError

Asked = Callable[[str], list[tuple[Any, ...]]]
ENGINES = ["sqlite", "duckdb", pytest.param("postgres", marks=pytest.mark.postgres)]


class DuckDBHook(DbApiHook):
    """As the providers for DuckDB are, none of which the suite installs."""

    conn_name_attr = "duck_conn_id"
    placeholder = "?"
    supports_autocommit = False
    dialect_name = "duckdb"
    escape_word_format = '"{}"'

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def get_conn(self) -> Any:
        return duckdb.connect(str(self._file))


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    with running_postgres() as running:
        yield running.connection()


@pytest.fixture
def asked(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Give the connection ``warehouse``, and what asks its database."""
    kind = request.param
    if kind == "duckdb":
        monkeypatch.setattr(sql_sources, "sql_hook", lambda conn_id: DuckDBHook(tmp_path / "warehouse.duckdb"))
    elif kind == "sqlite":
        connection = {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    else:
        running, name = request.getfixturevalue("server"), f"test_{uuid4().hex}"
        monkeypatch.setenv("AIRFLOW_CONN_SERVER", json.dumps({**running, "schema": "postgres"}))
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**running, "schema": name}))
        _ask("server", f"CREATE DATABASE {name}")
    return lambda statement: _ask("warehouse", statement)


def _ask(conn_id: str, statement: str) -> list[tuple[Any, ...]]:
    hook = sql_sources.sql_hook(conn_id)
    with closing(hook.get_conn()) as conn:
        if hook.supports_autocommit:
            hook.set_autocommit(conn, True)
        with closing(conn.cursor()) as cursor:
            cursor.execute(statement)
            found = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        conn.commit()
    return found


def to_sql(run_id: str, table: str, **arguments: Any) -> dict[str, Any]:
    operator = LeadsToSqlOperator(task_id="t", sql_conn_id="warehouse", table=table, **arguments)
    return operator.execute({"run_id": run_id})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, str]]:
    """Every file of a run: name → what a task returned, and the key of the file in it."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch, Sandbox(people=60, seed=7, limits=False) as sandbox:
        for name, value in sandbox.connection_env().items():
            extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 1}
            patch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
        context: Any = {"ti": SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)}
        out = lambda name: f"file://{folder}/{name}"  # noqa: E731
        (folder / "fair.csv").write_text("E-Mail;Vorname\nneu@example.com;Neu\nkeine;Cy\n")
        (folder / "none.csv").write_text("E-Mail;Vorname\n")
        fair = LeadsFromFileOperator(task_id="f", input=out("fair.csv"), source="fair", output=out("f")).execute({})
        none = LeadsFromFileOperator(task_id="n", input=out("none.csv"), source="none", output=out("n")).execute({})
        crm, outreach = (
            LeadsExtractOperator(task_id=name, conn_id=f"{name}_default", output=out(name)).execute({})
            for name in ("hubspot", "persistiq")
        )
        merged = LeadsDeduplicateOperator(
            task_id="g", inputs=[crm, outreach, fair], output=out("g"), memory=out("memory")
        ).execute(context)
        plain = LeadsDeduplicateOperator(task_id="p", inputs=[crm, fair], output=out("p")).execute({})
        planned = LeadsUpsertOperator(
            task_id="u", conn_id="persistiq_default", golden=merged, existing=[outreach], output=out("u")
        ).execute(context)
        enrolled = LeadsEnrolOperator(
            task_id="e", conn_id="persistiq_default", leads=merged, output=out("e"), dry_run=True,
            campaign_id=next(iter(sandbox.persistiq.store.campaigns)),
        ).execute({})  # fmt: skip
        found = HubSpotSearchContactsOperator(task_id="s", query="a", output=out("search.parquet")).execute({})
        parts = folder / "parts.parquet"
        parts.mkdir()
        for number in range(3):
            write_rows(f"{parts}/part-{number}.parquet", Lead, list(read_rows(storage(crm["uri"]), Lead))[number::3])
    return {
        "leads": (crm, "uri"), "no_leads": (none, "uri"), "rejects_of_file": (fair, "rejects_uri"),
        "golden": (plain, "golden"), "members": (plain, "members"), "conflicts": (plain, "conflicts"),
        "rejects": (plain, "rejects"), "golden_remembered": (merged, "golden"),
        "members_remembered": (merged, "members"), "conflicts_remembered": (merged, "conflicts"),
        "plan": (planned, "plan"), "existing": (planned, "existing"), "results": (planned, "results"),
        "enrolled": (enrolled, "results"), "search": (found, "uri"), "parts": (f"file://{parts}", "uri"),
    }  # fmt: skip


def storage(uri: str) -> str:
    return uri.removeprefix("file://")


def as_told(value: Any) -> Any:
    """Return a value as its table has it: times as the moments that they are, what is nested as what its JSON says."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        with suppress(ValueError):
            return as_told(json.loads(value))
    if isinstance(value, list):
        return [as_told(one) for one in value]
    if isinstance(value, dict):
        return {name: as_told(one) for name, one in value.items()}
    if isinstance(value, str) and len(value) >= 20 and value[4:5] == value[7:8] == "-" and "T" in value:
        return datetime.fromisoformat(value)
    return value.astimezone(UTC) if isinstance(value, datetime) else value


@pytest.mark.parametrize("asked", ENGINES, indirect=True)
def test_every_file_goes_into_a_table_as_it_is(asked: Asked, files: dict[str, tuple[Any, str]]) -> None:
    for name, (result, key) in files.items():
        uri = storage(result if isinstance(result, str) else str(result[key]))
        expected = pq.read_table(uri)
        for run_id in ("r1", "r2", "r1"):
            assert to_sql(run_id, name, input=result, key=key)["rows"] == expected.num_rows, name
        # Beside the table's own column of that name.
        columns = ", ".join(f'"{"file_2" if one == "file" else one}"' for one in expected.column_names)
        rows = asked(f"SELECT {columns} FROM {name} WHERE run_id = 'r1' ORDER BY file, row_number")
        assert len(asked(f"SELECT run_id FROM {name}")) == 2 * expected.num_rows
        of_file = [tuple(map(as_told, row.values())) for row in expected.to_pylist()]
        assert [tuple(map(as_told, row)) for row in rows] == of_file, name
        to_sql("r3", name, input=result, key=key, replace="all")
        assert len(asked(f"SELECT run_id FROM {name}")) == expected.num_rows


@pytest.mark.parametrize("asked", ENGINES, indirect=True)
def test_a_kill_in_the_middle_leaves_the_table_as_it_was(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Lead("s", "s", str(n), f"p{n}@example.com", f"p{n}@example.com", opted_out=n == 1) for n in range(2_500)]
    write_rows(tmp_path / "leads.parquet", Lead, rows)
    to_sql("r1", "people", input=str(tmp_path / "leads.parquet"))
    before = asked("SELECT * FROM people ORDER BY row_number")
    batches = sql_sources._batches

    def killed(*arguments: Any) -> Iterator[Any]:
        yield next(batches(*arguments))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sql_sources, "_batches", killed)
        for replace in ("run", "all"):
            with pytest.raises(KeyboardInterrupt):
                to_sql("r1", "people", input=str(tmp_path / "leads.parquet"), replace=replace)
            assert asked("SELECT * FROM people ORDER BY row_number") == before
    assert to_sql("r1", "people", input=str(tmp_path / "leads.parquet"))["rows"] == 2_500
    assert asked("SELECT * FROM people ORDER BY row_number") == before


@pytest.mark.parametrize("asked", ENGINES, indirect=True)
def test_what_a_database_says_names_nobody(asked: Asked, tmp_path: Path) -> None:
    write_rows(tmp_path / "leads.parquet", Lead, [Lead("s", "s", "1", "ann@example.com", "ann@example.com")])
    to_sql("r1", "people", input=str(tmp_path / "leads.parquet"))
    asked("CREATE UNIQUE INDEX once ON people (email)")
    with pytest.raises(LeadsDatabaseError, match="'warehouse': people was not changed: ") as caught:
        to_sql("r2", "people", input=str(tmp_path / "leads.parquet"))
    assert "@example" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert len(asked("SELECT email FROM people")) == 1
    write_rows(tmp_path / "others.parquet", Lead, [Lead("s", "s", "1")])
    with pytest.raises(LeadsDatabaseError, match="the query failed"):
        from_sql(tmp_path, "SELECT email, no_such_column FROM people")


def from_sql(tmp_path: Path, sql: str, **more: Any) -> list[Lead]:
    result = LeadsFromSqlOperator(
        task_id="s", sql_conn_id="warehouse", sql=sql, source="shop", output=f"{tmp_path}/out", **more
    ).execute({})
    return list(read_rows(result["uri"], Lead))


@pytest.mark.parametrize("asked", ENGINES, indirect=True)
def test_queries_without_rows_and_with_a_name_twice(asked: Asked, tmp_path: Path) -> None:
    assert (
        from_sql(tmp_path, "SELECT * FROM (SELECT 'ann@example.com' AS email, 'Ann' AS first_name) t WHERE 1 = 0") == []
    )
    (lead,) = from_sql(tmp_path, "SELECT 'ann@example.com' AS email, 'Ann' AS first_name, 'Cy' AS first_name")
    assert (lead.first_name, lead.properties) == ("Ann", '{"first_name (2)":"Cy"}')


TYPES = {
    "duckdb": """SELECT 'ann@example.com' AS email, 12.50::DECIMAL(10,2) AS spent,
        123456789012345678901234567890::HUGEINT AS big,
        ['a', 'b'] AS tags, {'utm': {'source': 'x'}, 'n': 1} AS meta,
        MAP {'k': 1} AS pairs,
        '550e8400-e29b-41d4-a716-446655440000'::UUID AS uid, 'happy'::ENUM('sad', 'happy') AS mood,
        TIMESTAMPTZ '2026-03-04 10:30:00+02:00' AS created_at, TIMESTAMP '2026-03-05 10:30:00' AS updated_at,
        DATE '2026-03-06' AS born, INTERVAL 1 DAY AS span, '\\xFF\\xFE'::BLOB AS raw, true AS yes, NULL AS nothing,
        false AS unsubscribed, 491701234567::BIGINT AS phone""",
    "postgres": """SELECT 'ann@example.com' AS email, 12.50::numeric AS spent, 123456789012345678901234567890::numeric
        AS big, ARRAY['a', 'b'] AS tags, '{"utm": {"source": "x"}, "n": 1}'::jsonb AS meta, '{"k": 1}'::json AS pairs,
        '550e8400-e29b-41d4-a716-446655440000'::uuid AS uid, 'happy'::mood AS mood,
        timestamptz '2026-03-04 10:30:00+02:00' AS created_at, timestamp '2026-03-05 10:30:00' AS updated_at,
        date '2026-03-06' AS born,
        interval '1 day' AS span, '\\xfffe'::bytea AS raw, true AS yes, NULL::text AS nothing,
        B'0' AS unsubscribed, 491701234567::bigint AS phone""",
}


@pytest.mark.parametrize("asked", ENGINES[1:], indirect=True)
def test_types_of_databases_mean_what_they_meant_there(
    asked: Asked, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kind = "duckdb" if "duckdb" in request.node.callspec.id else "postgres"
    if kind == "postgres":
        asked("CREATE TYPE mood AS ENUM ('sad', 'happy')")
    (lead,) = from_sql(tmp_path, TYPES[kind])
    assert (lead.opted_out, lead.phone) == (False, "491701234567")
    assert lead.created_at == datetime(2026, 3, 4, 8, 30, tzinfo=UTC)
    assert lead.updated_at == datetime(2026, 3, 5, 10, 30, tzinfo=UTC)
    assert json.loads(lead.properties or "") == {
        "spent": "12.50", "big": "123456789012345678901234567890", "tags": "a;b", "meta.utm.source": "x",
        "meta.n": "1", "pairs.k": "1", "uid": "550e8400-e29b-41d4-a716-446655440000", "mood": "happy",
        "born": "2026-03-06", "span": "1 day" if kind == "postgres" else "1 day, 0:00:00", "raw": "fffe", "yes": "true",
    }  # fmt: skip


@pytest.mark.parametrize("asked", ENGINES[1:], indirect=True)
def test_leads_within_objects_and_a_view_that_fails_on_its_way(
    asked: Asked, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    duck = "duckdb" in request.node.callspec.id
    person = "{'email': 'ann@example.com'}" if duck else """'{"email": "ann@example.com"}'::jsonb"""
    (lead,) = from_sql(tmp_path, f"SELECT {person} AS person")
    assert lead.email_key == "ann@example.com"
    rows = "range(40000) AS t(i)" if duck else "generate_series(0, 39999) AS t(i)"
    asked(
        "CREATE VIEW people AS SELECT 'p' || i || '@example.com' AS email, "
        f"CAST(CASE WHEN i = 30000 THEN 'ann@example.com' ELSE '1' END AS INTEGER) AS number FROM {rows}"
    )
    for file in tmp_path.glob("out/*"):
        file.unlink()
    with pytest.raises(LeadsDatabaseError, match="the query failed: ") as caught:
        from_sql(tmp_path, "SELECT * FROM people")
    assert "ann@" not in str(caught.value)
    assert not list(tmp_path.glob("out/*")), "half of it would pass for the whole"


ODD = """SELECT 'ann@example.com' AS email, 'infinity'::timestamptz AS updated_at, '-infinity'::timestamp AS created_at,
    '0044-03-15 BC'::date AS born, '20000-01-01'::date AS ends, time '24:00' AS closes, 'NaN'::numeric AS ratio,
    ARRAY['infinity'::date, '2026-01-01'] AS days, ARRAY['24:00'::time] AS hours, interval '1 month -5 minutes' AS span,
    ARRAY[interval '1 month'] AS spans, daterange('2026-01-01', 'infinity') AS stay, int4range(1, NULL) AS seats,
    tstzrange('2026-01-01 00:00+00', NULL) AS used, ARRAY[ROW('a', 1)]::text AS pairs"""


@pytest.mark.postgres
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_what_python_has_no_value_for_is_what_postgresql_calls_it(
    server: dict[str, Any], driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip(driver)
    address = f"host={server['host']} port={server['port']} user={server['login']} dbname=postgres"
    hook = SimpleNamespace(
        dialect_name="postgresql", get_conn=lambda: module.connect(address, options="-c timezone=UTC")
    )
    monkeypatch.setattr(sql_sources, "sql_hook", lambda conn_id: hook)
    (lead,) = from_sql(tmp_path, ODD)
    # As a time of change it would be the latest of all, for good.
    assert (lead.updated_at, lead.created_at) == (None, None)
    assert json.loads(lead.properties or "") == {
        "updated_at": "infinity", "created_at": "-infinity", "born": "0044-03-15 BC", "ends": "20000-01-01",
        "closes": "24:00:00", "days": "infinity;2026-01-01", "hours": "24:00:00", "span": "1 mon -00:05:00",
        "spans": "1 mon", "stay": "[2026-01-01,infinity)", "seats": "[1,)", "used": '["2026-01-01 00:00:00+00",)',
        "pairs": '{"(a,1)"}',
    }  # fmt: skip
