"""What the owners of a sync change between two runs, once it has run for weeks, undoes nothing of what people did."""

from __future__ import annotations

from pathlib import Path

import pytest
from people_at_work import HUBSPOT, PERSISTIQ, PERSPECTIVE, Crm, World, emails

PEOPLE = emails(range(12))


def held(world: World, source: str, email: str, name: str = "title") -> list[str | None]:
    return [record.values.get(name) for record in world[source].of(email)]


def changed(world: World, source: str, email: str, **values: str | None) -> None:
    (record,) = world[source].of(email)
    world[source].set(record, {name.replace("__", "."): value for name, value in values.items()})


def deleted(world: World, source: str, email: str) -> None:
    (record,) = world[source].of(email)
    del world[source].records[record.id]


def test_a_crm_that_joins_undoes_no_edit_and_brings_nobody_back(tmp_path: Path) -> None:
    world = World(tmp_path, sources=(PERSPECTIVE, HUBSPOT), writable=(HUBSPOT,))
    world.crms[PERSISTIQ] = Crm(PERSISTIQ, world)
    for email in PEOPLE:
        world[PERSPECTIVE].comes(email)
        for source in (HUBSPOT, PERSISTIQ):
            world[source].comes(email, title="Buyer" if source == HUBSPOT else "Old")
    world.run()
    edited, cleared, gone = PEOPLE[:3]
    changed(world, HUBSPOT, edited, title="Head")
    changed(world, HUBSPOT, cleared, title=None)
    deleted(world, HUBSPOT, gone)
    world.run()
    world.run()
    world.sources, world.writable = (PERSPECTIVE, HUBSPOT, PERSISTIQ), (HUBSPOT, PERSISTIQ)
    for _ in range(3):
        world.run()
        assert (held(world, HUBSPOT, edited), held(world, PERSISTIQ, edited)) == (["Head"], ["Head"])
        assert (held(world, HUBSPOT, cleared), held(world, HUBSPOT, gone)) == ([None], [])
    assert world.writes == []
    # Whoever is entered there from now on comes anew.
    deleted(world, PERSISTIQ, gone)
    world.run()
    world[PERSISTIQ].comes(gone, title="Back")
    world.run()
    assert held(world, HUBSPOT, gone) == ["Back"]


@pytest.mark.parametrize("writing", [False, True], ids=["remembered", "after a run that died"])
def test_a_connection_of_another_name_has_the_past_of_its_account(tmp_path: Path, writing: bool) -> None:
    world = World(tmp_path)
    for email in PEOPLE:
        world[HUBSPOT].comes(email, title="Buyer")
    world.run()
    edited, cleared, gone, late = PEOPLE[:4]
    changed(world, PERSISTIQ, cleared, title=None)
    deleted(world, PERSISTIQ, gone)
    world.run()
    changed(world, HUBSPOT, late, title="Chief")
    if writing:
        world.run(dies="remember")
    for source in (HUBSPOT, PERSISTIQ):
        world.known_as[source], world[source].conn_id = world[source].conn_id, f"{source}_renamed"
    changed(world, PERSISTIQ, edited, title="Head")
    world.run()
    for _ in range(2):
        assert (world.recall.first, world.recall.counts["new"]) == (None, 0)
        assert (held(world, HUBSPOT, edited), held(world, PERSISTIQ, cleared)) == (["Head"], [None])
        assert (held(world, PERSISTIQ, gone), held(world, PERSISTIQ, late)) == ([], ["Chief"])
        assert world.run(incremental=True) == world.run() == 0
