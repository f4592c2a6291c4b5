"""Whom a CRM holds is known from memory, so that an incremental run asks about few people, however many there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from memory_world import HUBSPOT, PERSISTIQ, World
from upsert_tries import hurried

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.hubspot.store import Contact
from airflow_providers_leads.sandbox.persistiq.store import Lead

NEW = 200


# Reading all of the fewer takes more requests than may be spent, too.
@pytest.mark.story
@pytest.mark.parametrize("people", [3_000, pytest.param(10_000, marks=pytest.mark.memory)])
def test_200_new_contacts_take_at_most_60_requests_whoever_else_is_there(
    people: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    with Sandbox(people=0, limits=False) as sandbox, hurried():
        for name, value in sandbox.connection_env().items():
            monkeypatch.setenv(name, value)
        world = World(sandbox, tmp_path)
        at = world.persistiq.clock.now() - 86_400_000
        for number in range(people):
            email = f"h{number}@people.example"
            world.hubspot.insert(Contact(70_000_000_000 + number, {}, at, at), {"email": email})
            world.persistiq.add(Lead(world.persistiq.next_id("l"), "active", {"email": email}, at, at))
        assert {result["created"] for result in world.run_incremental().values()} == {0}
        spent = []
        for coming in (NEW, NEW):
            emails = [world.comes_to_hubspot() for _ in range(coming)]
            for api in sandbox.apis:
                api.stats.reset()
            results = world.run_incremental()
            assert (results[HUBSPOT]["created"], results[PERSISTIQ]["created"]) == (0, coming)
            assert all(len(world.in_persistiq(email)) == 1 for email in emails[:5])
            spent.append({api.name: api.stats.requests for api in sandbox.apis})
        record_property("requests", spent)
        assert len(world.persistiq.leads) == people + 2 * NEW
        assert max(sum(each.values()) for each in spent) <= 60, spent
