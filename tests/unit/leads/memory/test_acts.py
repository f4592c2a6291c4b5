"""The table of acts: each kind of field, edited, cleared or both, on one side or several, in each pair of CRMs.

All of it happens in one world between two runs, because runs cost time and people don't.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from people_at_work import FIELDS, HUBSPOT, PERSISTIQ, PERSPECTIVE, World
from what_should_be import FIRST, VALUES, Office, Person

from airflow_providers_leads.leads.merge.policy import MergePolicy

BOTH = (HUBSPOT, PERSISTIQ)
ALL = (PERSPECTIVE, *BOTH)
FLOWS = [
    pytest.param(BOTH, BOTH, {}, id="hubspot and persistiq"),
    pytest.param(ALL, BOTH, {}, id="all three"),
    pytest.param((PERSPECTIVE,), (HUBSPOT,), {}, id="perspective to a hubspot that is not read"),
    *(
        pytest.param(sources, writable, options, id=name, marks=pytest.mark.memory)
        for name, sources, writable, options in (
            ("persistiq first", BOTH, BOTH, {"policy": MergePolicy(priority=(PERSISTIQ,))}),
            ("perspective to hubspot", (PERSPECTIVE, HUBSPOT), (HUBSPOT,), {}),
            ("perspective to persistiq", (PERSPECTIVE, PERSISTIQ), (PERSISTIQ,), {}),
            ("hubspot to perspective", (HUBSPOT, PERSPECTIVE), (PERSPECTIVE,), {}),
            ("perspective to a persistiq that is not read", (PERSPECTIVE,), (PERSISTIQ,), {}),
        )
    ),
]


def in_step(world: World, count: int) -> tuple[Office, list[Person]]:
    """Make people whom all CRMs know, alike."""
    office, first = Office(world), world.sources[0]
    people = [office.comes(first) for _ in range(count)]
    values: dict[str, Any] = {name.replace(".", "__"): value for name, value in FIRST.items()}
    for crm in {*office.crms} - {*world.writable, first}:
        for person in people:
            person.ids[crm] = {world[crm].comes(person.email, **values).id}
    world.run()
    office.look()
    assert all(person.whole for person in people)
    return office, people


def acts(crms: list[str]) -> list[list[tuple[str, str, str | None]]]:
    """Return what people do, a list per person."""
    done: list[list[tuple[str, str, str | None]]] = [[]]
    for name in FIELDS:
        new, other = VALUES[name][1], VALUES[name][-1]
        done += [[(crm, name, value)] for crm in crms for value in (new, None)]
        for one, two in itertools.permutations(crms, 2):
            done += [[(one, name, new), (two, name, value)] for value in (new, other, None)]
            done.append([(one, name, None), (two, name, None)])
            done.append([(one, name, new), (two, other_field(name), None)])
    return done


def other_field(name: str) -> str:
    return FIELDS[(FIELDS.index(name) + 1) % len(FIELDS)]


@pytest.mark.parametrize(("sources", "writable", "options"), FLOWS)
def test_what_people_did_stays_and_goes_everywhere(
    tmp_path: Path, sources: tuple[str, ...], writable: tuple[str, ...], options: dict[str, Any]
) -> None:
    world = World(tmp_path, sources=sources, writable=writable, **options)
    todo = acts(sorted(world.crms))
    office, people = in_step(world, len(todo))
    for person, steps in zip(people, todo, strict=True):
        for crm, name, value in steps:
            office.edits(person, crm, name, value)
    left = office.foretell()
    world.run()
    assert office.complaints(left) == []
    assert world.run() == world.run(incremental=True) == 0, world.writes
    assert office.complaints(left) == []
