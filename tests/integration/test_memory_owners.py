"""Owners of a sync rename its connections between two runs, over real HTTP."""

from __future__ import annotations

import os

import pytest
from memory_world import HUBSPOT, PERSISTIQ, World


def test_a_renamed_connection_to_the_same_account_keeps_its_past(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    both = (HUBSPOT, PERSISTIQ)
    people = [world.comes_to_hubspot(title="Buyer") for _ in range(12)]
    world.run(both, both)
    gone, cleared, edited = people[:3]
    world.deletes(gone)
    world.edits(PERSISTIQ, cleared, "title", "")
    world.run(both, both)
    renamed = tuple(f"{conn_id}_eu" for conn_id in both)
    for old, new in zip(both, renamed, strict=True):
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
