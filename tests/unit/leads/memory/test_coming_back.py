"""Who and what comes back: deleted once more, restored, under the last address, merged, with a new value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from people_at_work import HUBSPOT, PERSISTIQ, PERSPECTIVE, World

ANN, NEW = "ann@people.example", "new@people.example"


def known(folder: Path, *sources: str, **values: str) -> tuple[World, Any, Any]:
    """Return a sync that knows a person in HubSpot and PersistIQ, and the two records."""
    world = World(folder, sources=(*sources, HUBSPOT, PERSISTIQ))
    mine = world[HUBSPOT].comes(ANN, **values)
    for name in ("bob", "cyn"):
        # Of an account that is suddenly empty nobody counts as deleted.
        world[HUBSPOT].comes(f"{name}@people.example", title="Head")
    world.run()
    return world, mine, world[PERSISTIQ].of(ANN)[0]


def counts(world: World) -> tuple[int, int]:
    return len(world[HUBSPOT].records), len(world[PERSISTIQ].records)


def of_ann(world: World) -> list[str]:
    return [record.id for record in world[HUBSPOT].of(ANN)]


def test_who_came_anew_and_is_deleted_once_more_stays_deleted(tmp_path: Path) -> None:
    world, mine, _ = known(tmp_path, PERSPECTIVE)
    del world[HUBSPOT].records[mine.id]
    world.run()
    world[PERSPECTIVE].comes(ANN)
    world.run()
    (again,) = of_ann(world)
    del world[HUBSPOT].records[again]
    world.run()
    assert of_ann(world) == []


def test_a_record_that_had_moved_is_the_same_persons_when_it_is_restored(tmp_path: Path) -> None:
    world, mine, _ = known(tmp_path)
    world[HUBSPOT].set(mine, {"email": NEW})
    world.run()
    del world[HUBSPOT].records[mine.id]
    world.run()
    world[HUBSPOT].records[mine.id] = mine
    assert world.run() == 0, world.writes
    assert counts(world) == (3, 3)


@pytest.mark.parametrize("alone", [True, False])
def test_who_objected_under_an_address_that_is_gone_objects_whenever_they_come_under_it(
    tmp_path: Path, alone: bool
) -> None:
    world, mine, theirs = known(tmp_path, PERSPECTIVE)
    world[PERSISTIQ].set(theirs, {"opted_out": "true", "email": NEW})
    world.run()
    del world[PERSISTIQ].records[theirs.id]
    if alone:
        del world[HUBSPOT].records[mine.id]
    world.run()
    world[PERSPECTIVE].comes(NEW)
    assert [world.run() for _ in range(3)] == [0, 0, 0], world.writes


def test_a_value_that_comes_with_a_new_record_fills_what_was_cleared_before(tmp_path: Path) -> None:
    world, mine, theirs = known(tmp_path, PERSPECTIVE, phone="+49 30 1", title="Buyer")
    world[HUBSPOT].set(mine, {"phone": None})
    world[PERSISTIQ].set(theirs, {"title": None})
    world.run()
    world[PERSPECTIVE].comes(ANN, phone="+49 30 2", title="Head")
    # What could not be written at once is written later.
    world.refuses = {ANN}
    world.run()
    world.refuses.clear()
    world.run()
    expected = {"phone": "+49 30 2", "title": "Head"}
    assert (mine.values, theirs.values) == (expected, expected)
    assert world.run() == 0


def test_a_new_record_without_a_time_is_decided_of_once(tmp_path: Path) -> None:
    world, mine, theirs = known(tmp_path, title="Buyer")
    del world[PERSISTIQ].records[theirs.id]
    world.run()
    world[PERSISTIQ].comes(ANN, title="Head")
    world.run()
    assert mine.values["title"] == "Head"
    assert world.run() == 0, world.writes


@pytest.mark.parametrize("place", [HUBSPOT, PERSISTIQ])
def test_no_record_is_made_beside_one_whose_address_was_emptied(tmp_path: Path, place: str) -> None:
    world, mine, theirs = known(tmp_path, title="Buyer")
    world[place].set({HUBSPOT: mine, PERSISTIQ: theirs}[place], {"email": None})
    assert world.run() == 0, world.writes


def test_an_objection_that_a_merged_record_handed_over_may_be_taken_back(tmp_path: Path) -> None:
    world, mine, _ = known(tmp_path, title="Buyer")
    other = world[HUBSPOT].comes(NEW, title="Head")
    world.run()
    world[HUBSPOT].set(other, {"opted_out": "true"})
    world.run()
    del world[HUBSPOT].records[other.id]
    mine.merged.append(other.id)
    world[HUBSPOT].set(mine, {"opted_out": "true", "title": "Chief"})
    assert world.run() == 0, world.writes
    world[HUBSPOT].set(mine, {"opted_out": "false"})
    world.run()
    assert "Chief" in {lead.values["title"] for lead in world[PERSISTIQ].records.values()}


def test_who_moved_and_objected_in_a_crm_that_is_only_written_to_is_known_by_the_new_address(tmp_path: Path) -> None:
    world = World(tmp_path, sources=(PERSPECTIVE, HUBSPOT))
    world[HUBSPOT].comes(ANN)
    world.run()
    (theirs,) = world[PERSISTIQ].of(ANN)
    world[PERSISTIQ].set(theirs, {"opted_out": "true", "email": NEW})
    world.run()
    del world[PERSISTIQ].records[theirs.id]
    world[PERSPECTIVE].comes(NEW)
    assert world.run() == 0, world.writes
