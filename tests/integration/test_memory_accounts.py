"""A CRM that a sync writes to and doesn't read is led to another account, or its people get other addresses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from memory_world import HUBSPOT, PERSISTIQ, PERSPECTIVE, World

from airflow_providers_leads.hooks import account
from airflow_providers_leads.hooks.base import LeadsHook
from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.leads.memory.generation import Generation
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.persistiq.store import Lead as PersistIQLead
from airflow_providers_leads.tasks.memory.folders import folder_at

ROTATED = "another-key-of-this-account"


@pytest.fixture(autouse=True)
def no_ids_known() -> Iterator[None]:
    account._IDS.clear()
    yield
    account._IDS.clear()


def lead_to(crm: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, key: str | None = None) -> None:
    """Let the connection lead to another account."""
    name, api = f"AIRFLOW_CONN_{crm.upper()}_DEFAULT", getattr(sandbox, crm)
    value = json.loads(os.environ[name])
    monkeypatch.setenv(name, json.dumps({**value, "host": api.origin, "password": key or api.key}))


def named_like(known: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another connection lead to an account."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", os.environ[f"AIRFLOW_CONN_{known.upper()}"])


def run(world: World) -> list[str]:
    """Run the sync, and return the reasons of its plan."""
    world.run((PERSPECTIVE,), (PERSISTIQ,))
    return sorted({row.reason or row.action for row in world.plan(PERSISTIQ).values()})


def generation(world: World) -> Generation:
    """Return the generation of the memory that counts."""
    found, _ = folder_at(str(world.memory)).current()
    assert found is not None
    return found


def test_nobody_counts_as_deleted_in_an_account_that_was_never_written_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [world.converts(first_name="Ann") for _ in range(4)]
    assert run(world) == ["create"]
    gone, cleared, *_ = people
    world.deletes(gone, PERSISTIQ)
    world.edits(PERSISTIQ, cleared, "first_name", "")
    with Sandbox(people=0, limits=False, persistiq_key=ROTATED) as other:
        # A lead there has the id of one of ours, and is somebody else.
        (ours,) = world.in_persistiq(cleared)
        at = world.persistiq.clock.now()
        [other.persistiq.store.next_id("l") for _ in people]
        stranger = PersistIQLead(ours.id, "active", {"email": people[3], "first_name": "Eve"}, at, at)
        other.persistiq.store.add(stranger)
        lead_to("persistiq", other, monkeypatch, ROTATED)
        assert run(world) == ["create", "update"]
        world.persistiq = other.persistiq.store
        assert [len(world.in_persistiq(person)) for person in people] == [1] * 4
        # From here on it has a past there.
        world.deletes(people[0], PERSISTIQ)
        assert run(world) == ["deleted_here", "unchanged"]


def test_another_key_of_the_account_that_is_written_to_keeps_its_past(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [world.converts(first_name="Ann") for _ in range(4)]
    run(world)
    world.deletes(people[0], PERSISTIQ)
    world.persistiq.config = replace(world.persistiq.config, persistiq_key=ROTATED)
    lead_to("persistiq", world.sandbox, monkeypatch, ROTATED)
    assert run(world) == ["deleted_here", "unchanged"]


@pytest.mark.parametrize("died", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_hubspot_account_is_known_by_its_id(world: World, monkeypatch: pytest.MonkeyPatch, died: bool) -> None:
    people = [world.converts(first_name="Ann") for _ in range(3)]
    world.run((PERSPECTIVE,), (HUBSPOT,), remember=not died)
    world.deletes(people[0])
    if not died:
        assert world.run((PERSPECTIVE,), (HUBSPOT,))[HUBSPOT]["suppressed"] == 1
    with Sandbox(people=0, limits=False) as other:
        lead_to("hubspot", other, monkeypatch)
        assert world.run((PERSPECTIVE,), (HUBSPOT,))[HUBSPOT]["created"] == 3


@pytest.mark.parametrize("crm", [HUBSPOT, pytest.param(PERSISTIQ, marks=pytest.mark.slow)])
def test_a_record_of_another_address_is_found_by_its_id_where_few_are_looked_up(world: World, crm: str) -> None:
    moved, deleted = (world.converts(first_name="Ann") for _ in range(2))
    world.run((PERSPECTIVE,), (crm,))
    world.edits(crm, moved, "email", "ann2@people.example")
    world.deletes(deleted, crm)
    world.run((PERSPECTIVE,), (crm,))
    rows = world.plan(crm)
    assert (rows[moved].action, rows[moved].reason) == ("unchanged", "address_changed")
    assert rows[deleted].reason == "deleted_here"
    # It is the person's, who comes anew, and whoever was deleted is made then.
    for person in (moved, deleted):
        world.converts(person, first_name="Ann", phone="+49 30 1")
    result = world.run((PERSPECTIVE,), (crm,))[crm]
    assert (result["created"], result["updated"]) == (1, 1)
    assert world.holds(crm, "ann2@people.example", "phone") == world.holds(crm, deleted, "phone") == "+49 30 1"


def test_whoever_comes_anew_is_not_made_beside_a_record_that_is_not_asked_for_by_id(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HubSpotHook, "leads_by_id", LeadsHook.leads_by_id)
    moved = world.converts(first_name="Ann")
    world.run((PERSPECTIVE,), (HUBSPOT,))
    world.edits(HUBSPOT, moved, "email", "ann2@people.example")
    world.converts(moved, first_name="Ann")
    assert world.run((PERSPECTIVE,), (HUBSPOT,))[HUBSPOT]["created"] == 0


@pytest.mark.story
def test_a_renamed_connection_that_is_only_written_to_keeps_its_past(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [world.converts(first_name="Ann") for _ in range(4)]
    run(world)
    gone, edited, *_ = people
    renamed = f"{PERSISTIQ}_eu"
    named_like(PERSISTIQ, renamed, monkeypatch)
    world.deletes(gone, PERSISTIQ)
    world.edits(PERSISTIQ, edited, "first_name", "Anna")
    for again in (False, True):
        world.run((PERSPECTIVE,), (renamed,), remember=again)
        reasons = {row.reason for row in world.plan(renamed).values()}
        assert {"deleted_here"} < reasons and "create" not in {row.action for row in world.plan(renamed).values()}
        assert (world.in_persistiq(gone), world.holds(PERSISTIQ, edited, "first_name")) == ([], "Anna")
    # From here on it is known by its new name, and the old one by none.
    writes = world.writes()
    world.run((PERSPECTIVE,), (renamed,))
    assert (world.writes(), world.in_persistiq(gone)) == (writes, [])
    assert {name for name in generation(world).accounts if name.startswith("persistiq")} == {f"persistiq|{renamed}"}


@pytest.mark.story
def test_a_second_connection_to_an_account_takes_no_past_from_the_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [world.converts(first_name="Ann") for _ in range(4)]
    run(world)
    second = "second_persistiq"
    named_like(PERSISTIQ, second, monkeypatch)
    world.deletes(people[0], PERSISTIQ)
    world.run((PERSPECTIVE,), (PERSISTIQ, second))
    for conn_id in (PERSISTIQ, second):
        assert {row.reason or row.action for row in world.plan(conn_id).values()} == {"deleted_here", "unchanged"}
    assert {f"persistiq|{PERSISTIQ}", f"persistiq|{second}"} <= set(generation(world).accounts)
    assert run(world) == ["deleted_here", "unchanged"]
