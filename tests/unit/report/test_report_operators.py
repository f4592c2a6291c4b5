from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from report_files import write_merge, write_numbers, write_run

from airflow_providers_leads.get_provider_info import get_provider_info
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.operators import links
from airflow_providers_leads.operators.report import LeadsMetricsReportOperator, LeadsReportOperator
from airflow_providers_leads.report.history import recent

AT = pendulum.datetime(2026, 5, 1)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__LEADS__STAGING", f"file://{tmp_path}/staging")
    return tmp_path / "staging" / "reports"


def context(run_id: str = "manual__2026-05-01T00:00:00+00:00", **ti: Any) -> Any:
    states = ti.pop("states", {"extract_0": "success"})
    given = {"dag_id": "d", "task_id": "report", "run_id": run_id, "map_index": -1, **ti}
    dag_run = SimpleNamespace(logical_date=AT, run_after=AT, start_date=AT)
    return {"ti": SimpleNamespace(**given, get_task_states=lambda **_: {run_id: states}), "dag_run": dag_run}


def sync(**kwargs: Any) -> LeadsReportOperator:
    return LeadsReportOperator(task_id="report", **kwargs)


def test_a_report_is_made_of_the_files_below_a_folder_and_a_repeated_run_replaces_its_own(
    tmp_path: Path, reports: Path
) -> None:
    write_run(tmp_path / "run")
    operator = sync(files=f"file://{tmp_path}/run/")
    first = operator.run(context())
    file = reports / "d" / "report" / "manual__2026-05-01T00_00_00+00_00.html"
    assert first["report"] == f"file://{file}"
    assert first["status"] == "problem"
    assert "@" not in json.dumps(first)
    assert operator.run(context()) == first
    assert [path.name for path in file.parent.glob("*.html")] == [file.name]
    assert [(e.report, e.summary) for e in recent(file.parent, 9)] == [(file.name, first["summary"])]
    assert "The last runs" not in file.read_text()


def test_the_runs_before_are_shown(tmp_path: Path, reports: Path) -> None:
    write_run(tmp_path / "run")
    earlier = context("earlier")
    earlier["dag_run"].logical_date = AT.subtract(days=1)
    sync(files=f"file://{tmp_path}/run").run(earlier)
    made = sync(files=f"file://{tmp_path}/run").run(context())
    assert "The last runs" in Path(made["report"].removeprefix("file://")).read_text()


def test_a_report_is_made_of_the_results_of_tasks(tmp_path: Path, reports: Path) -> None:
    write_merge(tmp_path / "run")
    merged = {name: f"file://{tmp_path}/run/golden/{name}.parquet" for name in ("members", "conflicts", "rejects")}
    made = sync(inputs=[[None], merged]).run(context(states={"upsert_0": "failed", "x": "upstream_failed", "y": None}))
    html = Path(made["report"].removeprefix("file://")).read_text()
    assert "task upsert_0: it was ended before it could say why" in html
    assert "task x: did not run, because one before it failed" in html
    assert made["status"] == "problem"


def test_a_run_that_left_nothing_has_a_report(tmp_path: Path, reports: Path) -> None:
    assert sync(files=f"file://{tmp_path}/none").run(context())["status"] == "problem"


@pytest.mark.parametrize("shown", [True, "True", False, "false"])
def test_addresses_are_shown_on_demand_only(shown: Any, tmp_path: Path, reports: Path) -> None:
    write_run(tmp_path / "run")
    made = sync(files=f"file://{tmp_path}/run", show_addresses=shown).run(context())
    html = Path(made["report"].removeprefix("file://")).read_text()
    assert ("dan@example.org" in html) is (str(shown).lower() == "true")


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({}, "files or inputs"),
        ({"files": "{{ x }}", "history": "none"}, "history"),
        ({"files": "f", "show_addresses": "perhaps"}, "show_addresses"),
    ],
)
def test_a_bad_argument_is_told(kwargs: dict[str, Any], said: str, reports: Path) -> None:
    with pytest.raises(ValueError, match=said):
        sync(**kwargs).run(context())
    assert not reports.exists()


def test_without_a_place_for_reports_it_is_told_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[leads\] reports"):
        sync(files=f"file://{tmp_path}").run(context())


def test_a_damaged_file_is_named_and_no_report_is_left(tmp_path: Path, reports: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / "golden" / "members.parquet").write_bytes(b"PAR1")
    with pytest.raises(StagingError, match=r"members\.parquet"):
        sync(files=f"file://{tmp_path}/run").run(context())
    assert not list(reports.rglob("*"))


def test_metrics_of_the_last_window_and_of_mapped_tasks(tmp_path: Path, reports: Path) -> None:
    write_numbers(f"{tmp_path}/m/f.parquet", "f_1", {"kpi_new_contacts": {"": 4}})
    write_numbers(f"{tmp_path}/other.parquet", "f_2", {"kpi_new_contacts": {"": 5}})
    made = LeadsMetricsReportOperator(
        task_id="report",
        files=f"file://{tmp_path}/m",
        inputs=[{"uri": f"file://{tmp_path}/other.parquet"}, {"table": "t"}],
    ).run(context(map_index=3))
    assert made["summary"] == "2 funnels had 0 sessions and 9 new contacts."
    assert made["report"].endswith("00_00.3.html")


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        ("{reports}/d/report/r.html", "/leads/reports/view/d/report/r.html"),
        ("s3://elsewhere/d/report/r.html", ""),
        ("https://reports.example/r.html", "https://reports.example/r.html"),
        ("{reports}-evil/d/report/r.html", ""),
        (None, ""),
    ],
)
def test_the_link_leads_to_airflows_page_or_to_what_a_browser_can_open(
    uri: str | None, link: str, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned = {"report": uri and uri.format(reports=f"file://{reports}")}
    monkeypatch.setattr(links.XCom, "get_value", lambda **_: returned)
    key: Any = SimpleNamespace()
    assert links.ReportLink().get_link(sync(), ti_key=key) == link
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/team/")
    expected = f"https://airflow.example/team{link}" if link.startswith("/") else link
    assert links.ReportLink().get_link(sync(), ti_key=key) == expected


def test_a_task_that_returned_nothing_has_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links.XCom, "get_value", lambda **_: None)
    key: Any = SimpleNamespace()
    assert links.ReportLink().get_link(sync(), ti_key=key) == ""


def test_airflow_may_load_the_link() -> None:
    assert "airflow_providers_leads.operators.links.ReportLink" in get_provider_info()["extra-links"]
    assert [type(link) for link in sync().operator_extra_links] == [links.ReportLink]


@pytest.mark.parametrize("module", ["operators.report", "plugins.reports"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    code = f"import airflow_providers_leads.{module}, json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"duckdb", "pyarrow", "ibis", "requests", "vl_convert", "airflow_providers_leads.report.sync"}
    assert module != "plugins.reports" or "airflow_providers_leads.plugins.reports_app" not in loaded
