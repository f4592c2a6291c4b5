"""PersistIQ's replies, bounces and opt-outs reach HubSpot in real Airflow, over real HTTP, and only once."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import moment
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

FILE = Path(__file__).resolve().parents[2] / "dags" / "engagement_to_hubspot.py"
EVENTS = {"message_received": "replied_at", "message_bounced": "bounced_at", "message_optout": "opted_out_at"}


def run(tmp_path: Path, **params: Any) -> DagResult:
    given = {"staging": f"file://{tmp_path}/files", "start": "2020-01-01T00:00:00Z", **params}
    return run_dag_file(FILE, given)


def shared_people(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Return (lead id, contact id) of the people that both CRMs hold."""
    contacts = sandbox.hubspot.store
    pairs = [
        (lead.id, str(found.id))
        for lead in sandbox.persistiq.store.ordered
        if (key := email_key(lead.data.get("email"))) and (found := contacts.resolve(key, "email"))
    ]
    assert len(pairs) > 5
    return pairs


def held(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """Return the engagement that HubSpot holds, by contact."""
    found = {}
    for contact in sandbox.hubspot.store.contacts.values():
        values = {k.removeprefix("persistiq_"): v for k, v in contact.properties.items() if k.startswith("persistiq_")}
        if values:
            found[str(contact.id)] = {k: v if k == "last_campaign" else moment(v) for k, v in values.items()}
    return found


def expected(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """Return the same by the events of PersistIQ's store."""
    contact_of = dict(shared_people(sandbox))
    wanted: dict[str, dict[str, Any]] = {}
    for event in sandbox.persistiq.store.events:
        contact = contact_of.get(event.lead_id or "")
        if contact and event.kind in EVENTS:
            record = wanted.setdefault(contact, {})
            record[EVENTS[event.kind]] = datetime.fromtimestamp(event.at // 1000, UTC).replace(
                microsecond=event.at % 1000 * 1000
            )
            if event.campaign_id:
                record["last_campaign"] = sandbox.persistiq.store.campaigns[event.campaign_id].name
    return wanted


def test_contacts_get_what_happened_and_a_second_run_writes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    (first, _), (second, _), (third, _), *_ = shared_people(sandbox)
    campaigns = list(sandbox.persistiq.store.campaigns)
    for lead_id, kind, campaign in (
        (first, "message_received", campaigns[0]),
        (first, "message_received", campaigns[1]),
        (second, "message_bounced", campaigns[2]),
        (third, "message_optout", None),
        (third, "message_opened", campaigns[3]),
    ):
        sandbox.persistiq.store.record(kind, lead_id=lead_id, campaign_id=campaign)
        time.sleep(0.003)
    people = len(sandbox.hubspot.store.contacts)

    result = run(tmp_path)
    assert result.state == "success"
    (done,) = result.returned("engagement")
    assert held(sandbox) == expected(sandbox) != {}
    assert done["updated"] == len(held(sandbox))
    assert done["failed"] == done["unchanged"] == 0
    assert result.returned("properties") == [
        {"group_created": True, "created": made_properties(sandbox), "existing": 0}
    ]
    # Nobody was created, and nobody mailed.
    assert len(sandbox.hubspot.store.contacts) == people
    assert sandbox.persistiq.store.messages_sent == []
    assert sandbox.persistiq.stats.writes == 0

    writes, before = sandbox.hubspot.stats.writes, held(sandbox)
    again = run(tmp_path)
    assert again.state == "success"
    assert sandbox.hubspot.stats.writes == writes
    assert held(sandbox) == before
    assert again.returned("engagement")[0]["unchanged"] == done["updated"]

    # One thing more is one contact more, in one request.
    sandbox.persistiq.store.record("message_received", lead_id=second, campaign_id=campaigns[0])
    third_run = run(tmp_path)
    assert third_run.returned("engagement")[0]["updated"] == 1
    assert sandbox.hubspot.stats.writes == writes + 1
    assert held(sandbox) == expected(sandbox)


def made_properties(sandbox: Sandbox) -> list[str]:
    group = [p["name"] for p in sandbox.hubspot.store.properties.values() if p["groupName"] == "persistiq"]
    assert sandbox.hubspot.store.groups["persistiq"]["label"] == "PersistIQ"
    assert len(group) == 4
    return group


def test_a_dry_run_writes_nothing_at_all(sandbox: Sandbox, tmp_path: Path) -> None:
    result = run(tmp_path, dry_run=True)
    # The properties aren't there, and a dry run makes none.
    assert result.returned("properties")[0]["group_created"] is True
    assert sum(api.stats.writes for api in sandbox.apis) == 0
    assert result.state == "success"
    assert result.returned("engagement")[0]["updated"] > 0


def test_neither_xcom_nor_file_nor_log_has_an_address(
    sandbox: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path)
    assert "@" not in json.dumps([task.returned for task in result.tasks])
    (file,) = (tmp_path / "files").rglob("*.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["outcome"] for row in rows} == {"updated"}
    assert "@" not in file.read_text()
    printed = "".join(capfd.readouterr())
    assert not [p.email for p in sandbox.people if p.email and p.email in printed]


def test_without_start_it_reads_the_interval_and_the_overlap(sandbox: Sandbox, tmp_path: Path) -> None:
    result = run(tmp_path, start=None, overlap_hours=48)
    (window,) = result.returned("window")
    span = datetime.fromisoformat(window["end"]) - datetime.fromisoformat(window["start"])
    assert span.total_seconds() // 3600 in (48, 49)


def test_a_key_that_may_not_make_properties_is_told(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from airflow_providers_leads.sandbox.hubspot.account import Token

    token = Token("narrow", frozenset({"crm.objects.contacts.read", "crm.objects.contacts.write"}))
    sandbox.hubspot.store.tokens._known["narrow-token"] = token
    env = json.loads(sandbox.connection_env()["AIRFLOW_CONN_HUBSPOT_DEFAULT"]) | {"password": "narrow-token"}
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(env))
    result = run(tmp_path)
    assert result.state == "failed"
    assert "crm.schemas.contacts.write" in "".join(capfd.readouterr())
    assert sandbox.hubspot.stats.writes == 0 or held(sandbox) == {}
