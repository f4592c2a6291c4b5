"""The report at the end of the main job, in real Airflow: also of a run that failed, and without hiding that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

FILE = Path(__file__).resolve().parents[2] / "dags" / "leads_sync.py"


def run(tmp_path: Path, **params: Any) -> DagResult:
    return run_dag_file(FILE, {"staging": f"file://{tmp_path}/files", **params})


def report(result: DagResult) -> tuple[dict[str, Any], str]:
    (made,) = result.returned("report")
    return made, Path(made["report"].removeprefix("file://")).read_text()


@pytest.mark.story
def test_the_report_tells_what_the_run_did_and_the_next_one_shows_the_trend(sandbox: Sandbox, tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.state == "success"
    made, html = report(result)
    assert made["status"] == "ok"
    merged, upserted = result.returned("deduplicate")[0]["rows"], result.returned("upsert")
    created, updated = (sum(part[outcome] for part in upserted) for outcome in ("created", "updated"))
    assert made["summary"] == (
        f"{merged['inputs']:,} leads from 3 sources are {merged['golden']:,} people; "
        f"in 2 destinations {created:,} created and {updated:,} updated."
    )
    assert made["summary"] in html
    for person in sandbox.people:
        assert not person.email or person.email not in html
    assert "The last runs" not in html
    _, again = report(run(tmp_path, dry_run=True))
    assert "The last runs" in again
    assert "planned only: nothing was written" in again


@pytest.mark.story
@pytest.mark.parametrize("broken", ["source", "destination"])
def test_a_failed_run_is_reported_and_stays_failed(
    broken: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"conn_type": "persistiq", "host": "http://127.0.0.1:9", "password": "k", "extra": {"max_retries": 0}}
    monkeypatch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", json.dumps(nowhere))
    sources = ["hubspot_default", "persistiq_default"] if broken == "source" else ["hubspot_default"]
    result = run(tmp_path, sources=sources, destinations=["hubspot_default", "persistiq_default"])
    assert result.state == "failed"
    made, html = report(result)
    assert made["status"] == "problem"
    assert "needs a look" in html
    named = "was not read (task extract [1])" if broken == "source" else "was not finished (task upsert [1])"
    assert f"<b>persistiq_default</b> {named}: " in html
    assert "the host is unreachable" in html
    assert "the picture is incomplete" in made["summary"]
    assert "every person was taken" not in html
    assert ("not merged" in made["summary"]) is (broken == "source")
