"""The metrics DAGs in real Airflow, over real HTTP, against the sandbox: to Parquet and to SQLite, twice."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

DAGS = Path(__file__).resolve().parents[2] / "dags"
# All that the sandbox's people did.
ALWAYS = {"start": "2020-01-01T00:00:00+00:00", "end": "2030-01-01T00:00:00+00:00"}


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "warehouse.db"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(file)}))
    return file


def run(dag_id: str, tmp_path: Path, **params: Any) -> DagResult:
    params = {"staging": f"file://{tmp_path}/files", "sql_conn_id": "warehouse", **params}
    result = run_dag_file(DAGS / f"{dag_id}.py", params)
    assert result.state == "success"
    return result


def table(file: Path, name: str, *, without: str = "fetched_at") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as conn:
        conn.row_factory = sqlite3.Row
        rows = conn.execute(f'SELECT * FROM "{name}"').fetchall()
    return sorted((tuple(value for name, value in dict(row).items() if name != without) for row in rows), key=repr)


def files(result: DagResult, folder: Path) -> list[dict[str, Any]]:
    uris = [returned["uri"] for returned in result.returned("export")]
    assert sorted(uri.removeprefix("file://") for uri in uris) == sorted(map(str, folder.glob("*")))
    return [row for uri in uris for row in pq.read_table(uri.removeprefix("file://")).to_pylist()]


def test_every_funnel_of_every_workspace_twice(sandbox: Sandbox, tmp_path: Path, warehouse: Path) -> None:
    funnels = sandbox.perspective.store.funnels
    assert len(funnels) > 1
    first = run("perspective_metrics", tmp_path, **ALWAYS, timezone="Europe/Berlin")
    exported = first.returned("export")
    assert {done["funnel_id"] for done in exported} == set(funnels)
    assert {(done["metrics"], done["offset"]) for done in exported} == {(16, 60)}
    rows = files(first, tmp_path / "files" / "perspective_metrics")
    held = table(warehouse, "perspective_metrics")
    assert len(rows) == len(held) == sum(done["rows"] for done in exported) > 0
    assert {row["metric"] for row in rows} >= {"kpi_new_contacts", "chart_activity_by_daytime"}
    # Daily values add up to the total.
    for funnel in {row["funnel_id"] for row in rows}:
        of = [row for row in rows if row["funnel_id"] == funnel]
        (total,) = [row["value"] for row in of if row["metric"] == "kpi_new_contacts"]
        assert total == sum(row["value"] for row in of if row["metric"] == "chart_contacts_over_time") > 0

    second = run("perspective_metrics", tmp_path, **ALWAYS, timezone="Europe/Berlin")
    assert second.returned("export") == exported
    assert table(warehouse, "perspective_metrics") == held
    assert len(files(second, tmp_path / "files" / "perspective_metrics")) == len(rows)


def test_a_funnel_without_data_is_an_empty_result(sandbox: Sandbox, tmp_path: Path, warehouse: Path) -> None:
    store = sandbox.perspective.store
    sparse = next(iter(store.funnels.values()))
    sparse.contacts.clear()
    sparse.sessions = None
    result = run("perspective_metrics", tmp_path, funnel_ids=[sparse.id], **ALWAYS)
    (exported,) = result.returned("export")
    assert (exported["rows"], exported["empty"]) == (0, 16)
    assert files(result, tmp_path / "files" / "perspective_metrics") == []
    assert table(warehouse, "perspective_metrics") == []


def test_a_run_without_a_time_range_reads_a_whole_day(sandbox: Sandbox, tmp_path: Path) -> None:
    funnel = next(iter(sandbox.perspective.store.funnels))
    result = run("perspective_metrics", tmp_path, funnel_ids=[funnel], sql_conn_id=None)
    (exported,) = result.returned("export")
    assert exported["start"].endswith("T00:00:00.000Z")
    assert exported["end"].endswith("T00:00:00.000Z")
    assert exported["start"] < exported["end"]
    assert "table" not in exported


def test_every_campaign_twice(sandbox: Sandbox, tmp_path: Path, warehouse: Path) -> None:
    campaigns = sandbox.persistiq.store.campaigns
    assert len(campaigns) > 1
    given = {"snapshot_at": "2026-01-02T00:00:00+00:00"}
    first = run("persistiq_campaign_stats", tmp_path, **given)
    exported = first.returned("export")
    assert [(done["campaigns"], done["rows"]) for done in exported] == [(1, 7)] * len(campaigns)
    rows = files(first, tmp_path / "files" / "persistiq_campaign_stats")
    assert {row["campaign_id"]: row["value"] for row in rows if row["metric"] == "total_prospects"} == {
        campaign.id: len(campaign.members) for campaign in campaigns.values()
    }
    held = table(warehouse, "persistiq_campaign_stats")
    assert len(held) == 7 * len(campaigns)

    second = run("persistiq_campaign_stats", tmp_path, **given)
    assert second.returned("export") == exported
    assert table(warehouse, "persistiq_campaign_stats") == held

    # The next run is a snapshot of its own, named after the run.
    third = run("persistiq_campaign_stats", tmp_path, staging=None)
    assert "uri" not in third.returned("export")[0]
    assert len(table(warehouse, "persistiq_campaign_stats")) == 2 * len(held)


@pytest.mark.parametrize(
    ("params", "interval", "expected"),
    [
        ({}, ("2026-03-01T00:00Z", "2026-03-02T00:00Z"), ("2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00")),
        ({}, (None, None), ("2026-03-04T00:00:00+00:00", "2026-03-05T00:00:00+00:00")),
        # Of no length, as Airflow 3 makes them of "@daily".
        ({}, ("2026-03-05T06:00Z", "2026-03-05T06:00Z"), ("2026-03-04T00:00:00+00:00", "2026-03-05T00:00:00+00:00")),
        (
            {"start": "2026-02-01T00:00:00Z", "end": "2026-02-08T00:00:00Z"},
            ("2026-03-01T00:00Z", "2026-03-02T00:00Z"),
            ("2026-02-01T00:00:00Z", "2026-02-08T00:00:00Z"),
        ),
        ({"start": "2026-02-01T00:00:00Z"}, (None, None), ("2026-02-01T00:00:00Z", None)),
    ],
)
def test_the_window_is_what_was_asked_for_else_the_interval_else_yesterday(
    params: dict[str, Any], interval: tuple[str | None, str | None], expected: tuple[str, str | None]
) -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(DAGS / "perspective_metrics.py"))
    assert bag.import_errors == {}
    window: Any = bag.dags["perspective_metrics"].task_dict["window"]
    start, end = (time and pendulum.parse(time) for time in interval)
    run = SimpleNamespace(
        data_interval_start=start, data_interval_end=end, run_after=pendulum.parse("2026-03-05T06:00:00Z")
    )
    found = window.python_callable(params={"start": None, "end": None, **params}, dag_run=run)
    assert (found["start"], found["end"]) == expected
