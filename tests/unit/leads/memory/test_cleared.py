"""What somebody empties in one CRM is emptied in the others where the policy says so, custom properties as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from people_at_work import FIELDS, HUBSPOT, PERSISTIQ, PERSPECTIVE, World, emails

from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.plan.fields import FieldRule

SPREAD = MergePolicy(cleared="spread")
PERSON, OTHER, THIRD = emails(range(3))
FIRST: dict[str, str] = {
    "title": "Buyer", "phone": "+49 30 1", "properties.tier": "gold", "properties.born": "2020-01-01",
    "properties.topics": "a;b", "properties.note": "n",
}  # fmt: skip


def a_world(folder: Path, **options: Any) -> World:
    world = World(folder, policy=SPREAD, **options)
    for person in (PERSON, OTHER, THIRD):
        world[world.sources[0]].comes(person, **{name.replace(".", "__"): value for name, value in FIRST.items()})
    world.run()
    return world


def put(world: World, source: str, person: str, name: str, value: str | None) -> None:
    (record,) = world[source].of(person)
    world[source].set(record, {name: value})


def held(world: World, source: str, person: str, name: str) -> str | None:
    (record,) = world[source].of(person)
    return record.values.get(name)


@pytest.mark.story
@pytest.mark.parametrize("where", [HUBSPOT, pytest.param(PERSISTIQ, marks=pytest.mark.slow)])
def test_every_field_that_is_emptied_in_one_crm_is_emptied_in_the_other(tmp_path: Path, where: str) -> None:
    world = a_world(tmp_path)
    for name in FIELDS:
        put(world, where, PERSON, name, None)
    put(world, where, OTHER, "properties.note", "m")
    world.run()
    for source in (HUBSPOT, PERSISTIQ):
        assert {name: held(world, source, PERSON, name) for name in FIELDS} == dict.fromkeys(FIELDS)
        assert held(world, source, OTHER, "properties.note") == "m"
    assert world.run() == 0
    # A new value anywhere fills it again.
    put(world, HUBSPOT, PERSON, "properties.note", "o")
    world.run()
    assert held(world, PERSISTIQ, PERSON, "properties.note") == "o"
    assert world.run() == 0


def test_a_property_of_another_name_is_emptied_unless_somebody_has_changed_it_there(tmp_path: Path) -> None:
    world = a_world(tmp_path, sources=(HUBSPOT, PERSISTIQ), writable=(PERSISTIQ,), names={PERSISTIQ: {"note": "memo"}})
    put(world, HUBSPOT, PERSON, "properties.note", None)
    put(world, HUBSPOT, OTHER, "properties.note", None)
    put(world, PERSISTIQ, OTHER, "properties.memo", "mine")
    put(world, PERSISTIQ, THIRD, "properties.memo", None)
    world.run()
    assert held(world, PERSISTIQ, PERSON, "properties.memo") is None
    assert held(world, PERSISTIQ, OTHER, "properties.memo") == "mine"
    assert held(world, PERSISTIQ, THIRD, "properties.memo") is None
    assert world.plans[PERSISTIQ][OTHER].reason == "edited_here: properties.memo"
    assert world.run() == 0


def test_what_somebody_changes_in_a_crm_that_no_merge_reads_is_not_emptied(tmp_path: Path) -> None:
    world = a_world(tmp_path, sources=(PERSPECTIVE,), writable=(HUBSPOT,))
    for person in (PERSON, OTHER):
        put(world, PERSPECTIVE, person, "properties.note", None)
        put(world, PERSPECTIVE, person, "title", None)
    put(world, HUBSPOT, OTHER, "properties.note", "mine")
    put(world, HUBSPOT, OTHER, "title", "Mine")
    put(world, HUBSPOT, THIRD, "properties.note", None)
    for _ in range(2):
        world.run()
        assert [held(world, HUBSPOT, PERSON, name) for name in ("title", "properties.note")] == [None, None]
        assert [held(world, HUBSPOT, OTHER, name) for name in ("title", "properties.note")] == ["Mine", "mine"]
        assert held(world, HUBSPOT, THIRD, "properties.note") is None


@pytest.mark.parametrize("mode", ["fill", pytest.param("create_only", marks=pytest.mark.slow)])
def test_nothing_is_emptied_by_a_plan_that_replaces_nothing(tmp_path: Path, mode: str) -> None:
    world = a_world(tmp_path)
    put(world, HUBSPOT, PERSON, "title", None)
    put(world, HUBSPOT, PERSON, "properties.note", None)
    world.mode = mode
    assert world.run() == 0
    assert held(world, PERSISTIQ, PERSON, "title") == "Buyer"


def test_a_table_of_fields_goes_with_a_memory(tmp_path: Path) -> None:
    world = World(tmp_path, policy=SPREAD, names={HUBSPOT: {}, PERSISTIQ: {}})
    world.fields[PERSISTIQ] = {
        "properties.memo": FieldRule(source="note"),
        "properties.kept": FieldRule(source="note", only="create"),
        "properties.kind": FieldRule(constant="lead"),
        "phone": FieldRule(source="properties.tier"),
    }
    for person in (PERSON, OTHER, THIRD):
        world[HUBSPOT].comes(person, properties__note="n", properties__tier="gold")
    world.run()
    names = ("properties.memo", "properties.kept", "properties.kind", "phone")
    assert [held(world, PERSISTIQ, PERSON, name) for name in names] == ["n", "n", "lead", "gold"]
    for name in ("properties.note", "properties.tier"):
        put(world, HUBSPOT, PERSON, name, None)
    put(world, HUBSPOT, OTHER, "properties.note", "m")
    put(world, PERSISTIQ, OTHER, "properties.kind", "customer")
    put(world, PERSISTIQ, THIRD, "properties.kind", None)
    world.run()
    assert [held(world, PERSISTIQ, PERSON, name) for name in names] == [None, "n", "lead", None]
    assert held(world, PERSISTIQ, OTHER, "properties.memo") == "m"
    # What people made of a constant stays.
    assert held(world, PERSISTIQ, OTHER, "properties.kind") == "customer"
    assert held(world, PERSISTIQ, THIRD, "properties.kind") is None
    assert world.run() == 0
