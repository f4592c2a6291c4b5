"""Leads from a file into the CRMs, in real Airflow: at the cost of the file, and with everybody's opt-out honoured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

FILE = Path(__file__).resolve().parents[2] / "dags" / "leads_import.py"


def run(tmp_path: Path, content: str, **params: Any) -> DagResult:
    file = tmp_path / "fair.csv"
    file.write_text(content, encoding="cp1252")
    named = {"file": f"file://{file}", "source": "trade_fair", "staging": f"file://{tmp_path}/files"}
    return run_dag_file(FILE, {**named, **params})


@pytest.mark.story
def test_new_people_are_created_gaps_filled_and_opt_outs_honoured(sandbox: Sandbox, tmp_path: Path) -> None:
    contacts = sandbox.hubspot.store.contacts
    barring = {"hs_email_optout", "hs_email_hard_bounce_reason_enum"}
    known = next(
        contact
        for contact in contacts.values()
        if {"email", "firstname"} <= contact.properties.keys() and not barring & contact.properties.keys()
    )
    email, name = known.properties["email"], known.properties["firstname"]
    known.properties.pop("city", None)
    before = len(contacts)
    content = (
        "E-Mail;Vorname;Nachname;Ort;Abgemeldet\n"
        f"{email};Jemand;Anders;Köln;\n"
        "neu@fair.example;Jörg;Süß;München;\n"
        "nein@fair.example;Nie;Mehr;Bonn;ja\n"
        "Summe;;3;;\n"
    )
    for api in sandbox.apis:
        api.stats.reset()
    dry = run(tmp_path, content, dry_run=True)
    assert dry.state == "success"
    assert len(contacts) == before
    assert {plan["conn_id"]: plan["create"] for plan in dry.returned("plan")}["hubspot_default"] == 1

    result = run(tmp_path, content)
    assert result.state == "success"
    applied = dict(zip((plan["conn_id"] for plan in result.returned("plan")), result.returned("apply"), strict=True))
    assert applied["hubspot_default"]["created"] == 1
    assert applied["persistiq_default"]["created"] >= 1
    assert [one["rejects"] for one in result.returned("read")] == [1]
    made = next(contact for contact in contacts.values() if contact.properties.get("email") == "neu@fair.example")
    assert (made.properties["firstname"], made.properties["city"]) == ("Jörg", "München")
    assert (known.properties["firstname"], known.properties["city"]) == (name, "Köln")
    everyone = {contact.properties.get("email") for contact in contacts.values()}
    everyone |= {lead.data.get("email") for lead in sandbox.persistiq.store.leads.values()}
    assert "nein@fair.example" not in everyone
    # Nobody but the people of the file was asked for.
    assert sum(found["people"] for found in result.returned("look_up")) == 6
    assert not [
        route for route in sandbox.hubspot.stats.by_route if route.startswith("GET") and route.endswith("contacts")
    ]
    again = run(tmp_path, content)
    assert [one["created"] + one["updated"] for one in again.returned("apply")] == [0, 0]
