"""The cookbook's jobs do what they say: its text is run as it stands, and the sandbox's accounts are looked into."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from block_runs import environment, run_dag
from code_blocks import blocks

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.sandbox import Sandbox


class Place:
    """Three CRMs, a warehouse and a folder for a bucket."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox = folder, sandbox
        (folder / "bucket").mkdir()
        known = {
            name: {**value, "extra": {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 1}}
            for name, value in sandbox.connections().items()
        }
        known["warehouse"] = {"conn_type": "sqlite", "host": str(folder / "warehouse.db")}
        self.environment = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in known.items()}
        self.environment["AIRFLOW__LEADS__STAGING"] = f"file://{folder}/staging"

    def run(self, name: str, **params: Any) -> None:
        """Run a DAG of the cookbook by its name."""
        (block,) = [one for one in blocks() if one.page.endswith("cookbook.md") and f"def {name}(" in one.text]
        text = block.text.replace("s3://aws_default@my-bucket", f"file://{self.folder}/bucket")
        for param, value in params.items():
            assert f'"{param}": None' in text
            text = text.replace(f'"{param}": None', f'"{param}": {value!r}')
        with environment(self.environment):
            run_dag(text, self.folder / "dags", name)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Sandbox(people=100, seed=7, limits=False) as sandbox:
        yield Place(tmp_path, sandbox)


def addresses(sandbox: Sandbox) -> dict[str, Any]:
    return {email_key(c.properties.get("email")): c for c in sandbox.hubspot.store.contacts.values()}  # type: ignore[misc]


def test_who_converted_is_in_hubspot_with_owner_stage_and_utm(place: Place) -> None:
    sandbox = place.sandbox
    before = {key: dict(contact.properties) for key, contact in addresses(sandbox).items()}
    place.run("funnel_to_crm")
    made = [contact.properties for key, contact in addresses(sandbox).items() if key not in before]
    petra = next(one["id"] for one in sandbox.hubspot.store.owners if one["email"] == "petra.lang@vendor.example")
    assert made
    assert {(one.get("hubspot_owner_id"), one.get("lifecyclestage")) for one in made} == {(petra, "lead")}
    assert any(one.get("utm_source") for one in made)
    # Who was there keeps stage and owner, and whatever else stood there.
    for key, contact in addresses(sandbox).items():
        for name, value in before.get(key, {}).items():
            assert contact.properties.get(name) == value or name in ("lastmodifieddate", "hs_lastmodifieddate")
    writes = sandbox.hubspot.stats.writes
    place.run("funnel_to_crm")
    assert sandbox.hubspot.stats.writes == writes


@pytest.mark.story
def test_new_contacts_of_a_list_are_in_the_campaign_once(place: Place) -> None:
    store = place.sandbox.persistiq.store
    campaign = next(one for one in store.campaigns.values() if one.active)
    members, mails = set(campaign.members), len(store.messages_sent)
    place.run("new_contacts_to_a_campaign", campaign_id=campaign.id)
    crm = place.sandbox.hubspot.store
    listed = {
        email_key(contact.properties.get("email"))
        for contact in crm.contacts.values()
        if "7" in crm.memberships.get(contact.id, {}) and contact.properties.get("hs_lead_status") == "NEW"
    }
    joined = {email_key(store.leads[one].data["email"]) for one in set(campaign.members) - members}
    assert joined
    assert joined <= listed
    barred = {email_key(p.email) for p in place.sandbox.people if p.kind in ("opted_out", "bounced", "dnc")}
    assert joined & barred == set()
    assert len(store.messages_sent) - mails == len(joined)
    place.run("new_contacts_to_a_campaign", campaign_id=campaign.id)
    assert len(store.messages_sent) - mails == len(joined)


@pytest.mark.story
def test_nobody_is_created_for_a_campaign_that_is_not_there(place: Place) -> None:
    (place.folder / "bucket" / "do-not-contact.csv").write_text("email\n")
    before = set(place.sandbox.persistiq.store.leads)
    with pytest.raises(AssertionError):
        place.run("crm_to_outreach", campaign_id="c_nowhere")
    assert set(place.sandbox.persistiq.store.leads) == before


def test_metrics_are_in_the_warehouse_and_a_day_again_replaces_it(place: Place) -> None:
    def rows() -> tuple[int, int]:
        with closing(sqlite3.connect(place.folder / "warehouse.db")) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return tuple(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in sorted(tables))

    place.run("metrics_to_warehouse")
    first = rows()
    assert len(first) == 2
    assert all(first)


@pytest.mark.story
def test_a_trade_fairs_list_is_in_all_crms_without_who_objected(place: Place) -> None:
    sandbox = place.sandbox
    hated = next(p for p in sandbox.people if p.kind == "opted_out" and any(c.crm == "hubspot" for c in p.copies))
    (place.folder / "bucket" / "fair.csv").write_text(
        "Messe 2026;;;\nE-Mail;Vorname;Firma;Abgemeldet\nNeu@Fair.example;Neu;Acme;\nnein@fair.example;Nein;Acme;x\n"
        f"{hated.email};Hated;Acme;\n", encoding="cp1252", errors="replace",
    )  # fmt: skip
    reads = sandbox.hubspot.stats.requests
    place.run("fair_to_crms")
    assert addresses(sandbox)["neu@fair.example"].properties["company"] == "Acme"
    leads = {email_key(lead.data["email"]): lead for lead in sandbox.persistiq.store.leads.values()}
    assert leads["neu@fair.example"].data["company_name"] == "Acme"
    contacts = {
        email_key(one.get("email"))
        for funnel in sandbox.perspective.store.funnels.values()
        for one in funnel.contacts.values()
    }
    assert "neu@fair.example" in contacts
    assert "nein@fair.example" not in {*addresses(sandbox), *leads, *contacts}
    assert sandbox.hubspot.stats.requests - reads < 20
    writes = [api.stats.writes for api in sandbox.apis]
    place.run("fair_to_crms")
    assert [api.stats.writes for api in sandbox.apis] == writes
