"""New people into a campaign, in real Airflow, over real HTTP, against the three sandbox CRMs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

FILE = Path(__file__).resolve().parents[2] / "dags" / "outreach_enrol.py"


def run(tmp_path: Path, **params: Any) -> DagResult:
    return run_dag_file(FILE, {"staging": f"file://{tmp_path}/files", **params})


def active(sandbox: Sandbox) -> Any:
    """Return a campaign that mails whoever joins it."""
    return next(campaign for campaign in sandbox.persistiq.store.campaigns.values() if campaign.active)


def rows(uri: str) -> list[dict[str, Any]]:
    return pq.read_table(uri.removeprefix("file://")).to_pylist()


def mailed(sandbox: Sandbox) -> set[str | None]:
    store = sandbox.persistiq.store
    return {email_key(store.leads[m["lead_id"]].data["email"]) for m in store.messages_sent}


def test_new_people_are_mailed_once_and_a_second_run_mails_nobody(sandbox: Sandbox, tmp_path: Path) -> None:
    campaign = active(sandbox)
    before = set(sandbox.persistiq.store.leads)
    result = run(tmp_path, campaign_id=campaign.id)
    assert result.state == "success"
    (created,), (enrolled,) = result.returned("create"), result.returned("enrol")
    assert enrolled["enrolled"] == created["created"] > 0
    assert enrolled["failed"] == enrolled["ambiguous"] == enrolled["suppressed"] == 0
    new = set(sandbox.persistiq.store.leads) - before
    assert new <= set(campaign.members)
    assert {row["target_id"] for row in rows(enrolled["results"])} == new
    keys = {email_key(sandbox.persistiq.store.leads[lead_id].data["email"]) for lead_id in new}
    assert mailed(sandbox) == keys
    expected = {
        p.email for p in sandbox.people
        if p.kind == "contactable" and not any(copy.crm == "persistiq" for copy in p.copies)
    }  # fmt: skip
    assert expected <= keys

    sent, writes = len(sandbox.persistiq.store.messages_sent), sandbox.persistiq.stats.writes
    again = run(tmp_path, campaign_id=campaign.id)
    assert again.state == "success"
    assert again.returned("enrol")[0]["enrolled"] == 0
    assert len(sandbox.persistiq.store.messages_sent) == sent
    assert sandbox.persistiq.stats.writes == writes


def test_nobody_who_must_not_be_mailed_is_enrolled(sandbox: Sandbox, tmp_path: Path) -> None:
    blocked = {email_key(p.email) for p in sandbox.people if p.kind in ("opted_out", "bounced", "dnc")}
    assert blocked
    campaign = active(sandbox)
    members = set(campaign.members)
    run(tmp_path, campaign_id=campaign.id)
    store = sandbox.persistiq.store
    joined = {email_key(store.leads[lead_id].data["email"]) for lead_id in set(campaign.members) - members}
    assert joined
    assert joined & blocked == set()
    assert mailed(sandbox) & blocked == set()
    # And in the other CRMs nothing is written at all.
    assert sandbox.hubspot.stats.writes == sandbox.perspective.stats.writes == 0


@pytest.mark.parametrize("params", [{}, {"campaign_id": "any", "dry_run": True}], ids=["no campaign", "dry run"])
def test_as_it_comes_and_in_a_dry_run_nothing_is_written(
    sandbox: Sandbox, tmp_path: Path, params: dict[str, Any]
) -> None:
    if params:
        params = {**params, "campaign_id": active(sandbox).id}
    result = run(tmp_path, **params)
    assert result.state == "success"
    assert sum(api.stats.writes for api in sandbox.apis) == 0
    assert result.returned("create")[0]["created"] > 0
    (enrol,) = [task for task in result.tasks if task.task_id == "enrol"]
    assert enrol.state == ("success" if params else "skipped")


@pytest.mark.story
def test_a_day_holds_for_two_runs_and_existing_people_join_where_meant(sandbox: Sandbox, tmp_path: Path) -> None:
    campaign = active(sandbox)
    params = {"campaign_id": campaign.id, "max_leads_per_day": 3, "timezone": "Europe/Berlin"}
    (first,) = run(tmp_path, **params, max_leads=2).returned("enrol")
    assert (first["enrolled"], first["suppressed"] > 0) == (2, True)
    (second,) = run(tmp_path, **params, outcomes=["created", "unchanged"]).returned("enrol")
    assert second["enrolled"] == 1
    reasons = {row["reason"] for row in rows(second["results"]) if row["outcome"] == "suppressed"}
    assert "max_leads_per_day" in reasons
    assert len(sandbox.persistiq.store.messages_sent) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"campaign_id": "c_unknown"},
        *(
            pytest.param(wrong, marks=pytest.mark.story)
            for wrong in ({"mailbox_id": "mbox_unknown"}, {"outcomes": []}, {"timezone": "Mars/Crater"})
        ),
    ],
    ids=str,
)
def test_nobody_is_created_whom_no_campaign_can_take(wrong: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """Created by a run that fails then, they would be nobody new to the next one."""
    before = set(sandbox.persistiq.store.leads)
    result = run_dag_file(
        FILE, {"staging": f"file://{tmp_path}/files", "campaign_id": active(sandbox).id, **wrong}, retries=0
    )
    assert {task.task_id: task.state for task in result.tasks}["sources"] == "failed"
    assert set(sandbox.persistiq.store.leads) == before
    assert sandbox.persistiq.store.messages_sent == []


def test_xcom_holds_no_address(sandbox: Sandbox, tmp_path: Path) -> None:
    result = run(tmp_path, campaign_id=active(sandbox).id)
    assert "@" not in json.dumps([task.returned for task in result.tasks])


@pytest.mark.story
def test_people_of_a_list_and_of_golden_records_join_who_were_there_before(sandbox: Sandbox, tmp_path: Path) -> None:
    campaign, before = active(sandbox), set(sandbox.persistiq.store.leads)
    params = {"campaign_id": campaign.id, "outcomes": ["unchanged"]}
    narrowed = {"sources": ["hubspot_default"], "lists": ["Trade fair 2026"], "filters": {"hs_lead_status": "NEW"}}
    result = run(tmp_path, dry_run=True, **params, **narrowed)
    assert result.state == "success"
    (read,), (golden,) = result.returned("extract"), result.returned("deduplicate")
    assert 0 < read["rows"] < len(sandbox.hubspot.store.contacts)

    result = run(tmp_path, **params, golden=golden["golden"])
    assert result.state == "success"
    (created,), (enrolled,) = result.returned("create"), result.returned("enrol")
    assert created["unchanged"] > 0
    assert {row["target_id"] for row in rows(enrolled["results"])} <= before
    assert enrolled["enrolled"] + enrolled["unchanged"] + enrolled["suppressed"] == created["unchanged"]
    assert "skipped" in {task.state for task in result.tasks if task.task_id == "extract"}
    joined = {row["target_id"] for row in rows(enrolled["results"]) if row["outcome"] == "enrolled"}
    # Whom that run has created is there before the next, and joins by it; nobody joins twice.
    (again,) = run(tmp_path, **params, golden=golden["golden"]).returned("enrol")
    assert joined
    assert not joined & {row["target_id"] for row in rows(again["results"]) if row["outcome"] == "enrolled"}
    assert run(tmp_path, **params, golden=golden["golden"]).returned("enrol")[0]["enrolled"] == 0
