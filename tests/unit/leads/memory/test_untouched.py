"""Records that are as they were remembered are left out of a plan's states by one number, and nothing is lost by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import pytest
from people_at_work import HUBSPOT, PERSISTIQ, World
from test_acts import in_step

from airflow_providers_leads.leads.memory.planned import PlanMemory

LISTS = ("edited", "clears", "noted", "forms")


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """How many records each plan looked at, and how many there were, once both ways were seen to find the same."""
    looked: list[tuple[int, int]] = []
    by_number = PlanMemory.states

    def fields(states: ibis.Table | None) -> dict[str, Any]:
        """Which fields of which records were edited, cleared or noted; all but the time at which that was seen."""
        found = [] if states is None else states.to_pyarrow().to_pylist()
        return {row["source_id"]: [sorted(one["field"] for one in row[name]) for name in LISTS] for row in found}

    def both_ways(memory: PlanMemory, connection: Any) -> ibis.Table | None:
        one_by_one = fields(by_number(replace(memory, probe=""), connection))
        found = by_number(memory, connection)
        assert fields(found) == one_by_one
        if found is not None:
            touched, existing = (
                connection.con.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0]
                for name in ("plan_touched", "plan_existing")
            )
            looked.append((touched, existing))
        return found

    monkeypatch.setattr(PlanMemory, "states", both_ways)
    return looked


def test_only_the_touched_are_looked_at_one_by_one(tmp_path: Path, compared: list[tuple[int, int]]) -> None:
    world = World(tmp_path, sources=(HUBSPOT, PERSISTIQ), writable=(HUBSPOT, PERSISTIQ))
    office, people = in_step(world, 8)
    world.run()
    office.look()
    compared.clear()
    office.edits(people[0], HUBSPOT, "city", "Lübeck")
    office.edits(people[1], PERSISTIQ, "phone", None)
    world.run()

    assert compared == [(1, 8), (1, 8)]
