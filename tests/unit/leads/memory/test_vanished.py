"""A field of which nearly all values are gone from a CRM at once, as when a key loses a right, and then are back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from people_at_work import HUBSPOT, PERSISTIQ, World, emails

from airflow_providers_leads.leads.merge.policy import MergePolicy

PEOPLE = emails(range(12))


def put(world: World, source: str, person: str, name: str, value: str | None) -> None:
    (record,) = world[source].of(person)
    world[source].set(record, {name: value})


def held(world: World, person: str, name: str) -> list[str | None]:
    return [record.values.get(name) for source in (HUBSPOT, PERSISTIQ) for record in world[source].of(person)]


@pytest.mark.story
@pytest.mark.parametrize("cleared", ["spread", pytest.param("keep", marks=pytest.mark.slow)])
def test_values_that_a_key_may_not_read_for_a_day_are_nobodys_doing(tmp_path: Path, cleared: Any) -> None:
    world = World(tmp_path, policy=MergePolicy(cleared=cleared))
    for person in PEOPLE:
        world[HUBSPOT].comes(person, phone="+49 30 1", properties__note="n")
    world.run()
    edited, emptied, ours, *_ = PEOPLE
    for name in ("phone", "properties.note"):
        for person in PEOPLE:
            put(world, HUBSPOT, person, name, None)
        put(world, PERSISTIQ, edited, name, "+49 30 2")
    for _ in range(2):
        world.run()
        assert world.recall.vanished == [(HUBSPOT, "phone"), (HUBSPOT, "properties.note")]
        for name in ("phone", "properties.note"):
            assert held(world, ours, name)[0] is None
            assert held(world, ours, name)[1] is not None
    for name, before in (("phone", "+49 30 1"), ("properties.note", "n")):
        for person in PEOPLE:
            put(world, HUBSPOT, person, name, before)
        put(world, PERSISTIQ, emptied, name, None)
        put(world, HUBSPOT, ours, name, "+49 30 3")
    world.run()
    for name, before in (("phone", "+49 30 1"), ("properties.note", "n")):
        assert held(world, emptied, name) == ([None, None] if cleared == "spread" else [before, None])
        assert held(world, ours, name) == ["+49 30 3"] * 2
        assert held(world, PEOPLE[5], name) == [before] * 2
    assert world.run() == 0


def test_what_people_empty_in_less_than_half_of_the_records_is_emptied(tmp_path: Path) -> None:
    world = World(tmp_path, policy=MergePolicy(cleared="spread"))
    people = emails(range(24))
    for person in people:
        world[HUBSPOT].comes(person, phone="+49 30 1")
    world.run()
    for person in people[:11]:
        put(world, HUBSPOT, person, "phone", None)
    world.run()
    assert world.recall.vanished == []
    assert [held(world, person, "phone") for person in people[:11]] == [[None, None]] * 11
