"""Two runs of a sync that are triggered at once: one writes, the other one says why it doesn't."""

from __future__ import annotations

import pytest
from memory_world import HUBSPOT, PERSISTIQ, World

from airflow_providers_leads.leads.memory.generation import SyncMemoryError

BOTH = (HUBSPOT, PERSISTIQ)


def test_a_run_that_read_before_another_one_wrote_undoes_nothing(world: World) -> None:
    edited, theirs = (world.comes_to_hubspot(title="Buyer") for _ in range(2))
    world.run(BOTH, BOTH)
    world.edits(HUBSPOT, edited, "title", "Head")
    world.edits(PERSISTIQ, theirs, "title", "Chief")
    late = world.comes_to_persistiq(title="Late")
    world.runs = 50
    slow = [world.extract(conn_id) for conn_id in BOTH]
    world.runs = 40
    world.run(BOTH, BOTH)
    world.runs = 50
    with pytest.raises(SyncMemoryError, match=r"since hubspot_default, persistiq_default was read.*Clear the extracts"):
        world.merge(slow)
    assert [world.holds(crm, person, "title") for crm in BOTH for person in (edited, theirs)] == ["Head", "Chief"] * 2
    assert len(world.in_hubspot(late)) == 1


@pytest.mark.slow
def test_a_run_that_read_before_another_one_died_writing_takes_its_writes_for_nobodys(world: World) -> None:
    edited = world.comes_to_hubspot(title="Buyer")
    world.run(BOTH, BOTH)
    world.edits(HUBSPOT, edited, "title", "Head")
    world.runs = 50
    slow = [world.extract(conn_id) for conn_id in BOTH]
    world.runs = 40
    world.run(BOTH, BOTH, remember=False)
    world.runs = 50
    with pytest.raises(SyncMemoryError, match="Nothing was merged"):
        world.merge(slow)
    world.run(BOTH, BOTH)
    assert [world.holds(crm, edited, "title") for crm in BOTH] == ["Head", "Head"]


def test_nobody_reads_while_another_run_writes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.comes_to_hubspot(title="Buyer")
    world.run(BOTH, BOTH, remember=False)
    context = world.context

    def running(task_id: str, map_index: int = -1) -> object:
        made = context(task_id, map_index)
        made["ti"].get_dagrun_state = lambda dag_id, run_id: "running"
        return made

    monkeypatch.setattr(world, "context", running)
    world.runs = 2
    with pytest.raises(SyncMemoryError, match=r"run run-1 of sync is writing.*max_active_runs=1"):
        world.extract(HUBSPOT)
