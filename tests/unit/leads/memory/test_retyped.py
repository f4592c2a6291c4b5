"""A property that gets another type, or loses an option: what its CRM makes of the values then is nobody's edit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from people_at_work import HUBSPOT, PERSISTIQ, World, emails

from airflow_providers_leads.leads.memory.generation import Kind, kind_of
from airflow_providers_leads.leads.merge.policy import MergePolicy

PERSON, EMPTIED, CLEARED, EDITED = emails(range(4))
NOTE = "properties.note"
OLD = {
    "another type": ({"note": Kind(kind="text")}, {"note": Kind(kind="number")}),
    "an option less": tuple({"note": kind_of("ab", "choice", kept)} for kept in (("0042", "n"), ("n",))),
}


def put(world: World, source: str, person: str, value: str | None) -> None:
    (record,) = world[source].of(person)
    world[source].set(record, {NOTE: value})


def notes(world: World, person: str) -> list[str | None]:
    return [record.values.get(NOTE) for source in (HUBSPOT, PERSISTIQ) for record in world[source].of(person)]


@pytest.mark.parametrize(
    ("change", "cleared"),
    [pytest.param("another type", "spread", marks=pytest.mark.story),
     pytest.param("an option less", "spread", marks=pytest.mark.slow),
     pytest.param("another type", "keep", marks=pytest.mark.slow)],
)  # fmt: skip
def test_what_a_crm_makes_of_values_is_nobodys_edit(
    tmp_path: Path, change: str, cleared: Literal["keep", "spread"]
) -> None:
    before, after = OLD[change]
    world = World(tmp_path, policy=MergePolicy(cleared=cleared), writable=(PERSISTIQ,))
    world.kinds = {HUBSPOT: before}
    for person in (PERSON, EMPTIED, CLEARED, EDITED):
        world[HUBSPOT].comes(person, properties__note="0042")
    world.run()
    if cleared == "keep":
        put(world, PERSISTIQ, CLEARED, None)
    world.run()
    put(world, HUBSPOT, EMPTIED, None)
    if change == "another type":
        put(world, HUBSPOT, PERSON, "42")
        put(world, HUBSPOT, CLEARED, "42")
    world.kinds = {HUBSPOT: after}
    for _ in range(2):
        world.run()
        assert world.recall.edits == {}
        assert notes(world, EMPTIED) == [None, "0042"]
        assert cleared == "spread" or notes(world, CLEARED) == ["42", None]
    # From here on it is as any other.
    put(world, HUBSPOT, EDITED, "7")
    put(world, HUBSPOT, PERSON, None)
    world.run()
    assert notes(world, EDITED) == ["7", "7"]
    assert (notes(world, PERSON)[1] is None) == (cleared == "spread")
