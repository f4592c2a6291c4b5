from __future__ import annotations

import inspect
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pendulum
import pyarrow.parquet as pq
import pytest
import requests_mock as rm
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_providers_leads.hooks.perspective.hook import CHART_SUBTYPES, KPI_SUBTYPES
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import LeadsNotFoundError
from airflow_providers_leads.operators.metrics import (
    PersistIQExportCampaignStatsOperator,
    PerspectiveExportMetricsOperator,
)
from airflow_providers_leads.tasks.sources import metrics_sql as _metrics_sql

FUNNELS = "https://api.perspective.co/v1/funnels"
CAMPAIGNS = "https://api.persistiq.com/v1/campaigns"
DAY = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T01:00:00+01:00"}
NEXT_DAY = {"start": "2026-01-02T00:00:00Z", "end": "2026-01-03T00:00:00Z"}
SNAPSHOT = "2026-01-02T00:00:00+00:00"


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    extra = {"rate_limit": 10**6, "max_retries": 0}
    for name, value in {
        "PERSPECTIVE_DEFAULT": {"conn_type": "perspective", "password": "k", "extra": extra},
        "PERSISTIQ_DEFAULT": {"conn_type": "persistiq", "password": "k", "extra": extra},
        "WAREHOUSE": {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")},
        "STRANGE": {"conn_type": "no_such_type"},
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(value))


@pytest.fixture
def api() -> Iterator[rm.Mocker]:
    with rm.Mocker() as mocker:
        yield mocker


@pytest.fixture
def funnel(api: rm.Mocker) -> rm.Mocker:
    """A funnel f/1 in which every metric has data."""
    root = f"{FUNNELS}/f%2f1/metrics"
    for subtype in KPI_SUBTYPES:
        api.get(f"{root}/kpis/{subtype}", json={"data": {"type": subtype, "value": 12.5, "count": 8}})
    for subtype in CHART_SUBTYPES:
        api.get(f"{root}/charts/{subtype}", json={"data": [{"key": "a", "value": 1}, {"key": "b", "value": 2}]})
    insight = {"title": "?", "answers": {"A": 2, "B": 1}, "groupedAnswers": {"A; B": 1}}
    api.get(f"{root}/insights/q1", json={"data": insight})
    api.get(f"{FUNNELS}/f%2f1/contacts", json={"data": [], "meta": {"hasNext": False}})
    return api


def metrics(**given: Any) -> dict[str, Any]:
    given = {"task_id": "t", "funnel_id": "f/1", **DAY, **given}
    result: dict[str, Any] = PerspectiveExportMetricsOperator(**given).execute({})  # type: ignore[typeddict-item]
    return result


def stats(run: Any = None, **given: Any) -> dict[str, Any]:
    given = {"task_id": "t", "snapshot_at": SNAPSHOT, **given}
    context: Any = {"dag_run": run}
    result: dict[str, Any] = PersistIQExportCampaignStatsOperator(**given).execute(context)
    return result


def table(tmp_path: Path, name: str = "perspective_metrics", columns: str = "*") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as conn:
        return sorted(conn.execute(f'SELECT {columns} FROM "{name}"').fetchall(), key=repr)


IDENTITY = '"source", "funnel_id", "metric", "key", "value", "count", "start", "end", "offset"'


# Perspective --------------------------------------------------------------------------------------------------------


def test_a_funnel_goes_to_a_file(funnel: rm.Mocker, tmp_path: Path) -> None:
    result = metrics(output=f"file://{tmp_path}/m/", insights=["q1"], offset="Europe/Berlin")
    uri = f"file://{tmp_path}/m/f_1.20260101T000000.000Z-20260102T000000.000Z.60.parquet"
    assert result == {
        "rows": 9 + 14 + 3, "uri": uri, "metrics": 18, "empty": 0, "funnel_id": "f/1",
        "start": "2026-01-01T00:00:00.000Z", "end": "2026-01-02T00:00:00.000Z", "offset": 60,
    }  # fmt: skip
    rows = pq.read_table(uri.removeprefix("file://")).to_pylist()
    assert len(rows) == 26
    assert {row["metric"] for row in rows} == {
        *KPI_SUBTYPES, *CHART_SUBTYPES, "insight.q1.answers", "insight.q1.grouped_answers",
    }  # fmt: skip
    assert {(row["start"], row["end"], row["offset"]) for row in rows} == {
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), 60)
    }
    assert {request.qs["offset"][0] for request in funnel.request_history} == {"60"}
    again = metrics(output=f"file://{tmp_path}/m", insights="q1", offset="60")
    assert again["uri"] == uri
    assert [path.name for path in (tmp_path / "m").iterdir()] == [uri.rsplit("/", 1)[1]]


@pytest.mark.parametrize(
    ("start", "end", "offset", "sent", "warned"),
    [
        ("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", "Europe/Berlin", 60, True),
        ("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", "Europe/Berlin", 120, True),
        ("2026-03-30T00:00:00+02:00", "2026-03-31T00:00:00+02:00", "Europe/Berlin", 120, False),
        ("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", "60", 60, False),
    ],
)
def test_a_day_on_which_the_clocks_change_is_told(
    funnel: rm.Mocker, tmp_path: Path, start: str, end: str, offset: str, sent: int, warned: bool
) -> None:
    operator = PerspectiveExportMetricsOperator(
        task_id="t", funnel_id="f/1", start=start, end=end, offset=offset, output=f"file://{tmp_path}/m"
    )
    with mock.patch.object(operator.log, "warning") as warning:
        assert operator.execute({})["offset"] == sent
    told = [call.args[0] % call.args[1:] for call in warning.call_args_list if "clocks change" in call.args[0]]
    assert bool(told) == warned
    assert {request.qs["offset"][0] for request in funnel.request_history} == {str(sent)}


def test_only_what_is_named_is_asked_for(funnel: rm.Mocker, tmp_path: Path) -> None:
    result = metrics(
        output=f"file://{tmp_path}/one.parquet",
        kpis="[]",
        charts='["chart_page_to_page_conversion_rate", "chart_visitor_devices"]',
        ab_test="variant",
    )
    assert result["uri"] == f"file://{tmp_path}/one.parquet"
    assert [(r.path.rsplit("/", 1)[1], r.qs.get("abtest")) for r in funnel.request_history] == [
        ("chart_page_to_page_conversion_rate", ["variant"]),
        ("chart_visitor_devices", None),
    ]
    names = set(pq.read_table(tmp_path / "one.parquet")["metric"].to_pylist())
    assert names == {"chart_page_to_page_conversion_rate.variant", "chart_visitor_devices"}


def test_sql_twice_is_the_same_rows_and_other_windows_stay(funnel: rm.Mocker, tmp_path: Path) -> None:
    result = metrics(sql_conn_id="warehouse")
    assert (result["rows"], result["table"], "uri" in result) == (23, "perspective_metrics", False)
    first = table(tmp_path, columns=IDENTITY)
    assert len(first) == 23
    assert ("perspective", "f/1", "kpi_new_contacts", "", 12.5, 8, *_day(0), 0) in first
    metrics(sql_conn_id="warehouse", **NEXT_DAY)
    metrics(sql_conn_id="warehouse", offset=60)
    with_others = table(tmp_path, columns=IDENTITY)
    assert len(with_others) == 3 * 23
    metrics(sql_conn_id="warehouse")
    assert table(tmp_path, columns=IDENTITY) == with_others


def _day(number: int) -> tuple[str, str]:
    day = datetime(2026, 1, 1) + timedelta(days=number)
    return f"{day:%Y-%m-%d}T00:00:00.000Z", f"{day + timedelta(days=1):%Y-%m-%d}T00:00:00.000Z"


def test_only_the_metrics_asked_for_are_replaced(funnel: rm.Mocker, tmp_path: Path) -> None:
    metrics(sql_conn_id="warehouse")
    path = f"{FUNNELS}/f%2f1/metrics/charts/chart_visitor_devices"
    funnel.get(path, json={"data": [{"key": "c", "value": 3}]})
    metrics(sql_conn_id="warehouse", kpis=[], charts=["chart_visitor_devices"])
    rows = table(tmp_path, columns='"metric", "key"')
    assert len(rows) == 22
    assert [row for row in rows if row[0] == "chart_visitor_devices"] == [("chart_visitor_devices", "c")]


def test_no_data_is_an_empty_result_and_takes_old_rows_away(funnel: rm.Mocker, tmp_path: Path) -> None:
    metrics(sql_conn_id="warehouse")
    for subtype in KPI_SUBTYPES:
        url = f"{FUNNELS}/f%2f1/metrics/kpis/{subtype}"
        funnel.get(url, status_code=404, json={"error": "Not found", "status": 404})
    for subtype in CHART_SUBTYPES:
        funnel.get(f"{FUNNELS}/f%2f1/metrics/charts/{subtype}", json={"data": []})
    result = metrics(sql_conn_id="warehouse", output=f"file://{tmp_path}/empty.parquet")
    assert (result["rows"], result["metrics"], result["empty"]) == (0, 16, 16)
    assert table(tmp_path) == []
    assert pq.read_table(tmp_path / "empty.parquet").num_rows == 0


@pytest.mark.parametrize("contacts", [404, 403], ids=["funnel not found", "key for metrics only"])
def test_a_funnel_that_was_deleted_takes_no_old_rows_away(funnel: rm.Mocker, tmp_path: Path, contacts: int) -> None:
    metrics(sql_conn_id="warehouse", charts=())
    before = table(tmp_path)
    funnel.get(f"{FUNNELS}/f%2f1/metrics/kpis/{KPI_SUBTYPES[-1]}", status_code=404, json={"error": "Funnel not found"})
    funnel.get(f"{FUNNELS}/f%2f1/contacts", status_code=contacts, json={"error": "x"})
    funnel.get("https://api.perspective.co/v1/workspaces", json={"data": [{"id": "w", "campaigns": [{"id": "f/2"}]}]})

    with pytest.raises(LeadsNotFoundError, match="nothing was written"):
        metrics(sql_conn_id="warehouse", charts=())

    assert table(tmp_path) == before and len(before) == len(KPI_SUBTYPES)


def test_a_failure_in_the_middle_rolls_back(funnel: rm.Mocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics(sql_conn_id="warehouse")
    before = table(tmp_path)
    monkeypatch.setattr(_metrics_sql, "_BATCH_ROWS", 5)
    devices = f"{FUNNELS}/f%2f1/metrics/charts/chart_button_clicks"
    cells = _metrics_sql._cell

    def failing(value: object) -> object:
        if value == "stop":
            raise KeyboardInterrupt
        return cells(value)

    monkeypatch.setattr(_metrics_sql, "_cell", failing)
    funnel.get(devices, json={"data": [{"key": "stop", "value": 1}]})
    with pytest.raises(KeyboardInterrupt):
        metrics(sql_conn_id="warehouse")
    assert table(tmp_path) == before


def test_a_database_error_rolls_back(funnel: rm.Mocker, tmp_path: Path) -> None:
    metrics(sql_conn_id="warehouse")
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as conn:
        conn.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON perspective_metrics WHEN NEW.\"key\" = 'b' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        conn.commit()
    before = table(tmp_path)
    with pytest.raises(sqlite3.IntegrityError, match="refused"):
        metrics(sql_conn_id="warehouse")
    assert table(tmp_path) == before


def test_an_own_table_in_another_schema_is_used_as_it_is(funnel: rm.Mocker, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as conn:
        columns = 'note, "fetched_at", "offset", "end", "start", "count", "value", "key", metric, funnel_id, source'
        conn.execute(f'CREATE TABLE "Mine" ({columns})')
        conn.commit()
    result = metrics(sql_conn_id="warehouse", table="main.Mine")
    assert result["table"] == "main.Mine"
    assert len(table(tmp_path, "Mine")) == 23


def test_a_table_of_another_form_is_an_error_that_names_the_column(funnel: rm.Mocker, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as conn:
        conn.execute("CREATE TABLE perspective_metrics (source, funnel_id)")
        conn.commit()
    # SQLite takes an unknown name in double quotes for a text, and so only sees it when writing.
    with pytest.raises(sqlite3.OperationalError, match="metric"):
        metrics(sql_conn_id="warehouse")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "output or sql_conn_id must be given"),
        ({"output": "", "sql_conn_id": "None"}, "output or sql_conn_id must be given"),
        ({"funnel_id": " "}, "funnel_id must not be empty"),
        ({"start": "2026-01-01T00:00:00"}, "start has no time zone"),
        ({"start": None}, "start must be a datetime"),
        ({"start": DAY["end"]}, "start must be before end"),
        ({"offset": "Mars/Olympus"}, "offset must be"),
        ({"kpis": ["kpi_nothing"]}, "kpis must be one of"),
        ({"charts": "chart_nothing"}, "charts must be one of"),
        ({"insights": ["q1", ""]}, "insights must be a list of ids"),
        ({"kpis": [], "charts": "()"}, "kpis, charts and insights are all empty"),
        ({"ab_test": "both"}, "ab_test must be one of"),
        ({"ab_test": "all", "charts": ["chart_visitor_devices"]}, "ab_test is only for"),
        ({"sql_conn_id": "warehouse", "table": 'a"; DROP TABLE b; --'}, "table must be a name"),
        ({"sql_conn_id": "warehouse", "table": ""}, "table must be a name"),
        ({"sql_conn_id": "warehouse", "table": "a.b.c.d"}, "table must be a name"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    given: dict[str, Any], said: str, api: rm.Mocker, tmp_path: Path
) -> None:
    if given and not {"output", "sql_conn_id"} & given.keys():
        given = {**given, "output": f"file://{tmp_path}/m"}
    with pytest.raises(ValueError, match=said):
        metrics(**given)
    assert api.call_count == 0


@pytest.mark.parametrize(
    ("conn_id", "said"),
    [
        ("perspective_default", "sql_conn_id must name a SQL database, and 'perspective' is none"),
        ("strange", "the provider of its type 'no_such_type' is not installed"),
        ("missing", "missing"),
    ],
)
def test_a_connection_that_is_no_database_is_refused_before_any_request(
    conn_id: str, said: str, api: rm.Mocker
) -> None:
    with pytest.raises(Exception, match=said) as caught:
        metrics(sql_conn_id=conn_id)
    assert "AirflowFailException" in [kind.__name__ for kind in type(caught.value).__mro__]
    assert conn_id == "missing" or isinstance(caught.value, LeadsSettingsError)
    assert api.call_count == 0


def test_without_common_sql_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, api: rm.Mocker) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.common.sql.hooks.sql", None)
    with pytest.raises(Exception, match=r"airflow-providers-leads\[sql\]"):
        metrics(sql_conn_id="warehouse")


# PersistIQ ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def campaigns(api: rm.Mocker) -> rm.Mocker:
    rows = [
        {"id": "c_1", "name": "One", "stats": {"prospects_contacted": 4, "prospects_replied": 1}},
        {"id": "c_2", "name": "Two", "stats": {"prospects_contacted": 0, "total_prospects": 9}},
        {"id": "c_3", "name": "New", "stats": None},
    ]
    api.get(CAMPAIGNS, json={"status": "success", "errors": [], "has_more": False, "campaigns": rows})
    return api


STATS = '"source", "campaign_id", "metric", "key", "value", "count", "start", "end", "offset"'
AT = "2026-01-02T00:00:00.000Z"
ROWS = [
    ("persistiq", "c_1", "prospects_contacted", "", 4.0, None, AT, AT, 0),
    ("persistiq", "c_1", "prospects_replied", "", 1.0, None, AT, AT, 0),
    ("persistiq", "c_2", "prospects_contacted", "", 0.0, None, AT, AT, 0),
    ("persistiq", "c_2", "total_prospects", "", 9.0, None, AT, AT, 0),
]


def test_all_campaigns_to_both_twice(campaigns: rm.Mocker, tmp_path: Path) -> None:
    for _ in range(2):
        result = stats(sql_conn_id="warehouse", output=f"file://{tmp_path}/s")
        uri = f"file://{tmp_path}/s/persistiq_default.20260102T000000.000Z.parquet"
        assert result == {
            "rows": 4, "uri": uri, "table": "persistiq_campaign_stats", "sql_conn_id": "warehouse", "campaigns": 3,
            "snapshot_at": AT,
        }  # fmt: skip
        assert table(tmp_path, "persistiq_campaign_stats", STATS) == ROWS
        assert pq.read_table(uri.removeprefix("file://")).num_rows == 4
    stats(sql_conn_id="warehouse", snapshot_at=datetime(2026, 1, 3, tzinfo=UTC))
    assert len(table(tmp_path, "persistiq_campaign_stats")) == 8


def test_one_campaign_leaves_the_others_alone(campaigns: rm.Mocker, tmp_path: Path) -> None:
    stats(sql_conn_id="warehouse")
    result = stats(sql_conn_id="warehouse", campaign_id="c_2")
    assert (result["campaigns"], result["rows"]) == (1, 2)
    assert table(tmp_path, "persistiq_campaign_stats", STATS) == ROWS
    with pytest.raises(LeadsNotFoundError, match="campaign 'c_9' was not found"):
        stats(sql_conn_id="warehouse", campaign_id="c_9")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({"data_interval_end": "2026-01-02T00:00:00Z", "logical_date": "2026-01-01T00:00:00Z"}, AT),
        ({"logical_date": "2026-01-02T00:00:00Z"}, AT),
        ({}, "2026-01-05T06:07:08.900Z"),
    ],
)
def test_a_snapshot_is_named_after_its_run(
    run: dict[str, str], expected: str, campaigns: rm.Mocker, tmp_path: Path
) -> None:
    times = {"data_interval_end": None, "logical_date": None, "run_after": "2026-01-05T06:07:08.900123Z"} | run
    dag_run = SimpleNamespace(**{name: time and pendulum.parse(time) for name, time in times.items()})
    for empty in (None, "", "None"):
        assert stats(dag_run, snapshot_at=empty, output=f"file://{tmp_path}")["snapshot_at"] == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "output or sql_conn_id must be given"),
        ({"snapshot_at": "2026-01-02", "output": "file:///tmp/x"}, "snapshot_at has no time zone"),
        ({"snapshot_at": "yesterday", "output": "file:///tmp/x"}, "snapshot_at must be a datetime"),
        ({"table": "a b", "sql_conn_id": "warehouse"}, "table must be a name"),
    ],
)
def test_bad_snapshots_are_refused_before_any_request(given: dict[str, Any], said: str, api: rm.Mocker) -> None:
    with pytest.raises(ValueError, match=said):
        stats(**given)
    assert api.call_count == 0


# Both ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operator",
    [
        PerspectiveExportMetricsOperator(task_id="t", funnel_id="{{ 'f' }}", start="{{ 's' }}", end="e"),
        PersistIQExportCampaignStatsOperator(task_id="t", campaign_id="{{ 'c' }}"),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_every_argument_is_a_template_that_renders(operator: Any) -> None:
    parameters = set(inspect.signature(type(operator).__init__).parameters) - {"self", "kwargs"}
    names = parameters - {"output"} | {"output_uri"}
    assert set(operator.template_fields) == names
    assert not names & set(dir(BaseOperator))
    for name in names:
        assert f":param {name.removesuffix('_uri')}:" in type(operator).__doc__
        setattr(operator, name, "{{ 'rendered' }}")
    operator.render_template_fields({})
    assert {getattr(operator, name) for name in names} == {"rendered"}


def test_a_quote_of_the_connection_and_that_of_mysql() -> None:
    ddl = _metrics_sql._create
    from airflow_providers_leads.hooks.perspective.metrics import PERSPECTIVE_METRICS

    mysql = _metrics_sql._FLAVOURS["mysql"]
    text = ddl("`m`", PERSPECTIVE_METRICS, mysql, mysql.quotes)
    assert text.startswith("CREATE TABLE IF NOT EXISTS `m` (`source` VARCHAR(32) NOT NULL, `funnel_id` VARCHAR(255)")
    assert "PRIMARY KEY" not in text


def test_importing_the_operators_loads_no_heavy_library() -> None:
    code = "import airflow_providers_leads.operators.metrics, json, sys; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout.splitlines()[-1]))
    assert {"pyarrow", "requests", "duckdb", "airflow.providers.common.sql.hooks.sql"} & loaded == set()
