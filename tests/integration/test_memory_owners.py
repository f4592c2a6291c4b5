"""Owners of a sync rename its connections between two runs, over real HTTP."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from memory_world import HUBSPOT, PERSISTIQ, World

from airflow_providers_leads.sandbox import Sandbox

BOTH = (HUBSPOT, PERSISTIQ)


def with_a_past(world: World) -> list[str]:
    """Let people come and a sync run twice, and return who was deleted, whose title was cleared, and one more."""
    people = [world.comes_to_hubspot(title="Buyer") for _ in range(12)]
    world.run(BOTH, BOTH)
    gone, cleared, *_ = people
    world.deletes(gone)
    world.edits(PERSISTIQ, cleared, "title", "")
    world.run(BOTH, BOTH)
    return people[:3]


@pytest.mark.story
def test_a_renamed_connection_to_the_same_account_keeps_its_past(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, cleared, edited = with_a_past(world)
    renamed = tuple(f"{conn_id}_eu" for conn_id in BOTH)
    for old, new in zip(BOTH, renamed, strict=True):
        monkeypatch.setenv(f"AIRFLOW_CONN_{new.upper()}", os.environ[f"AIRFLOW_CONN_{old.upper()}"])
    world.edits(PERSISTIQ, edited, "title", "Head")
    for _ in range(2):
        world.run(renamed, renamed)
        assert world.golden["memory"]["counts"]["new"] == 0
        assert (world.in_hubspot(gone), world.holds(PERSISTIQ, cleared, "title")) == ([], None)
        assert world.holds(HUBSPOT, edited, "title") == "Head"
    writes = world.writes()
    world.run(renamed, renamed)
    assert world.writes() == writes


@pytest.mark.story
def test_another_key_of_an_account_without_an_id_keeps_its_past(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, cleared, edited = with_a_past(world)
    name = f"AIRFLOW_CONN_{PERSISTIQ.upper()}"
    value = json.loads(os.environ[name])
    world.persistiq.config = replace(world.persistiq.config, persistiq_key="rotated-persistiq-key")
    monkeypatch.setenv(name, json.dumps({**value, "password": "rotated-persistiq-key"}))
    world.edits(PERSISTIQ, edited, "title", "Head")
    for _ in range(2):
        world.run(BOTH, BOTH)
        assert world.golden["memory"]["first"] is None
        assert (world.in_hubspot(gone), world.holds(PERSISTIQ, cleared, "title")) == ([], None)
        assert world.holds(HUBSPOT, edited, "title") == "Head"
    # Another company, with other leads, some of them by ids that the first one has.
    with Sandbox(people=0, limits=False) as other:
        leads = list(world.persistiq.leads.values())
        for number, lead in enumerate(leads):
            data = {"email": gone if number == 0 else f"other{number}@people.example", "title": "Other"}
            other.persistiq.store.add(replace(lead, data=data))
        monkeypatch.setenv(name, json.dumps({**value, "host": other.persistiq.origin, "password": other.persistiq.key}))
        world.run(BOTH, BOTH, max_changes=None)
        assert world.golden["memory"]["first"].startswith("it is of another account")
