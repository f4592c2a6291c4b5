"""Metrics in a real PostgreSQL: a server of the test's own, in a temporary folder, gone afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
import requests_mock as rm
from airflow.providers.common.sql.hooks.sql import DbApiHook
from msgspec.structs import astuple
from postgres_process import running_postgres

from airflow_providers_leads.hooks.perspective.hook import CHART_SUBTYPES, KPI_SUBTYPES
from airflow_providers_leads.hooks.perspective.metrics import PERSPECTIVE_METRICS
from airflow_providers_leads.leads.model.metrics import MetricRow, MetricWindow
from airflow_providers_leads.operators.metrics import (
    PersistIQExportCampaignStatsOperator,
    PerspectiveExportMetricsOperator,
)
from airflow_providers_leads.tasks.sources.metrics_sql import replace_rows, sql_hook

pytestmark = pytest.mark.postgres

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
NOW = datetime(2026, 1, 3, 4, 5, 6, tzinfo=UTC)
WINDOW = MetricWindow(scope_id="f1", start=START, end=END, offset=60, fetched_at=NOW)
ASKED = {"source": "perspective", "funnel_id": "f1", "start": START, "end": END, "offset": 60, "metric": "m"}
FUNNEL = "https://api.perspective.co/v1/funnels/f1/metrics"


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    """The connection to a PostgreSQL of our own, as Airflow writes it."""
    with running_postgres() as running:
        yield running.connection()


@pytest.fixture
def hook(server: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> DbApiHook:
    """The hook of a database that only this test uses."""
    database = f"test_{uuid4().hex}"
    monkeypatch.setenv("AIRFLOW_CONN_SERVER", json.dumps({**server, "schema": "postgres"}))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**server, "schema": database}))
    extra = {"rate_limit": 10**6, "max_retries": 0}
    for crm in ("perspective", "persistiq"):
        connection = {"conn_type": crm, "password": "k", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{crm.upper()}_DEFAULT", json.dumps(connection))
    execute(sql_hook("server"), f"CREATE DATABASE {database}")
    return sql_hook("warehouse")


def execute(hook: DbApiHook, *statements: str) -> list[tuple[Any, ...]]:
    with closing(hook.get_conn()) as conn:
        hook.set_autocommit(conn, True)
        with closing(conn.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def rows(*keys: str) -> list[MetricRow]:
    return PERSPECTIVE_METRICS.rows(WINDOW, "m", [(key, 1.5, 3) for key in keys])


def write(hook: DbApiHook, *keys: str, name: str = "perspective_metrics") -> int:
    return replace_rows(hook, name, PERSPECTIVE_METRICS, [ASKED], rows(*keys))


def keys(hook: DbApiHook, name: str = "perspective_metrics") -> list[str]:
    return [row[0] for row in execute(hook, f'SELECT "key" FROM {name} ORDER BY 1')]


def test_a_funnel_twice_through_the_operator(hook: DbApiHook) -> None:
    with rm.Mocker() as api:
        for subtype in KPI_SUBTYPES:
            api.get(f"{FUNNEL}/kpis/{subtype}", json={"data": {"type": subtype, "value": 12.5, "count": 8}})
        for subtype in CHART_SUBTYPES:
            points = [{"key": "Ä'; --", "value": 1}, {"key": "100 % %s", "value": 2}]
            api.get(f"{FUNNEL}/charts/{subtype}", json={"data": points})

        def export(start: datetime, end: datetime, **given: Any) -> dict[str, Any]:
            operator = PerspectiveExportMetricsOperator(
                task_id="t", funnel_id="f1", start=start, end=end, sql_conn_id="warehouse", **given
            )
            result: dict[str, Any] = operator.execute({})  # type: ignore[typeddict-item]
            return result

        select = (
            'SELECT source, funnel_id, metric, "key", value, count, "start", "end", "offset" FROM {} ORDER BY 3, 4, 7'
        )
        assert export(START, END)["rows"] == 23
        first = execute(hook, select.format("perspective_metrics"))
        assert ("perspective", "f1", "kpi_new_contacts", "", 12.5, 8, START, END, 0) in first
        export(END, NOW)
        both = execute(hook, select.format("perspective_metrics"))
        assert len(both) == 46
        export(START, END)
        assert execute(hook, select.format("perspective_metrics")) == both
        execute(hook, "CREATE SCHEMA analytics")
        assert export(START, END, table="analytics.metrics")["table"] == "analytics.metrics"
        assert execute(hook, select.format("analytics.metrics")) == first


def test_campaigns_twice_through_the_operator(hook: DbApiHook) -> None:
    campaigns = [{"id": f"c_{n}", "stats": {"prospects_contacted": n, "total_prospects": 9}} for n in (1, 2)]
    with rm.Mocker() as api:
        api.get("https://api.persistiq.com/v1/campaigns", json={"campaigns": campaigns, "has_more": False})
        for _ in range(2):
            operator = PersistIQExportCampaignStatsOperator(task_id="t", snapshot_at=START, sql_conn_id="warehouse")
            assert operator.execute({})["rows"] == 4  # type: ignore[typeddict-item]
    found = execute(hook, 'SELECT campaign_id, metric, value, "start" FROM persistiq_campaign_stats ORDER BY 1, 2')
    assert found == [
        ("c_1", "prospects_contacted", 1.0, START),
        ("c_1", "total_prospects", 9.0, START),
        ("c_2", "prospects_contacted", 2.0, START),
        ("c_2", "total_prospects", 9.0, START),
    ]


def test_times_are_times(hook: DbApiHook) -> None:
    write(hook, "a")
    types = dict(
        execute(hook, "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'")
    )
    assert {types[name] for name in ("start", "end", "fetched_at")} == {"timestamp with time zone"}
    assert execute(hook, "SELECT fetched_at FROM perspective_metrics") == [(NOW,)]


@pytest.mark.parametrize("batch", [1, 1_000])
def test_an_error_on_the_way_leaves_the_window_as_it_was(
    batch: int, hook: DbApiHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_providers_leads.tasks.sources.metrics_sql._BATCH_ROWS", batch)
    write(hook, "a", "b")
    with pytest.raises(Exception, match="duplicate key"):
        replace_rows(hook, "perspective_metrics", PERSPECTIVE_METRICS, [ASKED], rows("c") + rows("c"))
    assert keys(hook) == ["a", "b"]
    # The connection that failed left no lock behind.
    write(hook, "d")
    assert keys(hook) == ["d"]


def _at_once(number: int, work: Callable[[int], Any]) -> list[BaseException | None]:
    together = Barrier(number)

    def one(index: int) -> None:
        together.wait()
        work(index)

    with ThreadPoolExecutor(number) as pool:
        return [future.exception() for future in [pool.submit(one, index) for index in range(number)]]


def test_mapped_tasks_that_meet_while_the_table_is_made(hook: DbApiHook) -> None:
    hooks = [sql_hook("warehouse") for _ in range(8)]

    def work(index: int) -> None:
        scope = {"funnel_id": f"f{index}"}
        window = MetricWindow(scope_id=f"f{index}", start=START, end=END, offset=60, fetched_at=NOW)
        made = PERSPECTIVE_METRICS.rows(window, "m", [("a", 1.0, None)])
        replace_rows(hooks[index], "perspective_metrics", PERSPECTIVE_METRICS, [ASKED | scope], made)

    assert _at_once(8, work) == [None] * 8
    assert keys(hook) == ["a"] * 8


def test_two_runs_of_one_window_at_once_never_double_it(hook: DbApiHook) -> None:
    write(hook, "old")
    execute(hook, "DELETE FROM perspective_metrics")
    columns = ", ".join(f'"{name}"' for name in PERSPECTIVE_METRICS.columns)
    slow = [*astuple(rows("a")[0])]
    with closing(hook.get_conn()) as conn, closing(conn.cursor()) as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute(f"INSERT INTO perspective_metrics ({columns}) VALUES ({', '.join(['%s'] * 10)})", slow)
        # The other one sees nothing to delete, and waits for this one when it inserts.
        other = pool.submit(write, sql_hook("warehouse"), "a")
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        deadline = time.monotonic() + 30
        while not execute(hook, waiting) and not other.done() and time.monotonic() < deadline:
            time.sleep(0.01)
        conn.commit()
        assert "duplicate key" in str(other.exception())
    assert keys(hook) == ["a"]
    write(hook, "a")
    assert keys(hook) == ["a"]


def test_a_user_who_may_write_but_not_create(hook: DbApiHook, server: dict[str, Any], monkeypatch: Any) -> None:
    write(hook, "a")
    execute(
        hook,
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "DROP ROLE IF EXISTS writer",
        "CREATE ROLE writer LOGIN",
        "GRANT SELECT, INSERT, DELETE ON perspective_metrics TO writer",
    )
    database = execute(hook, "SELECT current_database()")[0][0]
    connection = {**server, "schema": database, "login": "writer"}
    monkeypatch.setenv("AIRFLOW_CONN_WRITER", json.dumps(connection))
    write(sql_hook("writer"), "b")
    assert keys(hook) == ["b"]
    with pytest.raises(Exception, match="permission denied for schema public"):
        write(sql_hook("writer"), "b", name="another")
    execute(hook, "DROP OWNED BY writer", "DROP ROLE writer")


def test_an_own_table_with_times_as_text(hook: DbApiHook) -> None:
    texts = ", ".join(
        f'"{name}" text' for name in PERSPECTIVE_METRICS.columns if name not in ("value", "count", "offset")
    )
    execute(hook, f'CREATE TABLE own ({texts}, "value" real, "count" int, "offset" int, note text)')
    for _ in range(2):
        write(hook, "a", name="own")
    assert execute(hook, 'SELECT "key", "start", "value" FROM own') == [("a", "2026-01-01T00:00:00.000Z", 1.5)]
