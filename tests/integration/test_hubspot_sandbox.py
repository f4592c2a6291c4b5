"""The HubSpot hook against the sandbox: real HTTP, real state, in both path forms."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.sandbox import Fault, Sandbox

Connect = Callable[..., HubSpotHook]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=400, limits=False) as running:
        yield running


@pytest.fixture
def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Connect:
    def make(**conn: Any) -> HubSpotHook:
        given = {"conn_type": "hubspot", "host": sandbox.hubspot.origin, "password": sandbox.hubspot.key, **conn}
        monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(given))
        hook = HubSpotHook()
        hook.client.sleep = lambda seconds: None
        hook.client.limiters = {}
        return hook

    return make


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_every_way_of_reading_agrees(connect: Connect, version: str) -> None:
    hook = connect(extra={"api_version": version})
    good, message = hook.test_connection()
    assert good, message
    leads = list(hook.iter_leads())
    ids = [lead.source_id for lead in leads]
    assert len(ids) == len(set(ids)) > 150
    found = list(hook.find_leads(lead.email for lead in leads if lead.email))
    assert {lead.source_id for lead in found} >= {lead.source_id for lead in leads if lead.email}
    since = sorted(lead.updated_at for lead in leads if lead.updated_at)[len(leads) // 2]
    changed = {lead.source_id for lead in hook.iter_leads(updated_after=since)}
    assert changed == {lead.source_id for lead in leads if lead.updated_at and lead.updated_at >= since}
    wide = [f"no_such_property_{i:04d}" for i in range(500)]
    assert [row["id"] for row in hook.list_contacts(properties=["email", *wide])] == ids


def test_a_contact_from_the_cradle_to_the_grave(connect: Connect) -> None:
    hook = connect()
    ann = hook.create_contact({"email": "Ann@new.example", "lifecyclestage": "customer"})
    assert hook.get_contact("ANN@new.example", id_property="email")["id"] == ann["id"]
    changed = hook.update_contact(ann["id"], {"lifecyclestage": "lead"}, clear_lifecyclestage_first=True)
    assert changed["properties"]["lifecyclestage"] == "lead"
    old = hook.create_contact({"email": "old@new.example"})
    assert hook.merge_contacts(ann["id"], old["id"])["id"] == ann["id"]
    (found,) = hook.find_leads(["old@new.example", "ann@new.example"])
    assert found.source_id == ann["id"]
    assert json.loads(found.properties or "")["email_aliases"] == ["old@new.example"]
    assert hook.archive_contact(ann["id"]) is True
    assert hook.archive_contact(ann["id"]) is False
    assert ann["id"] in {lead.source_id for lead in hook.iter_leads(archived=True)}


def test_a_plan_runs_twice_with_the_same_end(connect: Connect, sandbox: Sandbox) -> None:
    hook = connect()
    creates = [PlanRow(email_key=f"p{i}@plan.example", action="create", values={"city": "Ulm"}) for i in range(150)]
    # The first answer is lost after it took effect.
    sandbox.hubspot.faults = lambda index, call: Fault(when="after", cut=True) if index == 0 else None
    results = list(hook.apply_plan(creates))
    assert {r.outcome for r in results} <= {"created", "updated"}
    again = list(hook.apply_plan(creates))
    assert {r.outcome for r in again} == {"updated"}
    assert {r.target_id for r in again} == {r.target_id for r in results}
    merged = hook.merge_contacts(str(results[0].target_id), str(results[1].target_id))
    updates = [
        PlanRow(email_key=r.email_key, action="update", target_id=r.target_id, values={"city": "Bonn"}) for r in results
    ]
    written = {r.email_key: r for r in hook.apply_plan(updates)}
    assert {r.outcome for r in written.values()} == {"updated"}
    assert written[results[1].email_key].target_id == merged["id"]
    assert {lead.city for lead in hook.find_leads(r.email_key for r in results)} == {"Bonn"}


def test_batches_account_for_every_input(connect: Connect) -> None:
    hook = connect()
    inputs = [{"email": f"b{i % 130}@batch.example", "firstname": str(i)} for i in range(180)]
    inputs.insert(7, {"email": "no address"})
    result = hook.batch_upsert_contacts(inputs)
    assert ([f.index for f in result.failed], len(result.succeeded)) == ([7], 180)
    ids = [s.id for s in result.succeeded[:3]]
    read = hook.batch_read_contacts([*ids, "1"], properties=["firstname"])
    assert [f.category for f in read.failed] == ["OBJECT_NOT_FOUND"]
    made = hook.batch_create_contacts([{"email": "c@batch.example"}, {"email": "c@batch.example"}, inputs[0]])
    assert ([s.index for s in made.succeeded], [f.category for f in made.failed]) == ([0], ["CONFLICT", "CONFLICT"])
    assert hook.batch_archive_contacts([*ids, "1"])


def test_a_create_whose_answer_is_lost_is_found_again(connect: Connect, sandbox: Sandbox) -> None:
    hook = connect()
    sandbox.hubspot.faults = lambda index, call: Fault(when="after", cut=True) if index == 0 else None
    result = hook.batch_create_contacts([{"email": "lost@batch.example"}, {"firstname": "Ann"}])
    # Somebody else may have made it at that moment.
    assert [(s.index, s.new) for s in result.succeeded] == [(0, None)]
    assert [(f.index, f.ambiguous) for f in result.failed] == [(1, True)]


def test_oauth_lives_through_an_expired_token(sandbox: Sandbox, connect: Connect) -> None:
    config = sandbox.config
    hook = connect(
        password=None,
        extra={
            "client_id": config.oauth_client_id,
            "client_secret": config.oauth_client_secret,
            "refresh_token": config.oauth_refresh_token,
        },
    )
    assert hook.test_connection()[0]
    sandbox.hubspot.faults = lambda index, call: Fault(status=401, body={}) if index == 0 else None
    assert hook.test_connection()[0]
