"""What the owners of a sync change between two runs, once it has run for weeks, undoes nothing of what people did."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from people_at_work import HUBSPOT, PERSISTIQ, PERSPECTIVE, Crm, World, emails

from airflow_providers_leads.leads.memory.generation import Folder, Gap, Generation, Scope, SyncMemoryError
from airflow_providers_leads.leads.memory.looking import erase_people
from airflow_providers_leads.leads.memory.reads import (
    ReadFacts,
    concluding,
    next_scopes,
    remembered_rows,
    under_new_names,
)

PEOPLE = emails(range(12))


def held(world: World, source: str, email: str, name: str = "title") -> list[str | None]:
    return [record.values.get(name) for record in world[source].of(email)]


def changed(world: World, source: str, email: str, **values: str | None) -> None:
    (record,) = world[source].of(email)
    world[source].set(record, {name.replace("__", "."): value for name, value in values.items()})


def deleted(world: World, source: str, email: str) -> None:
    (record,) = world[source].of(email)
    del world[source].records[record.id]


@pytest.mark.story
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


@pytest.mark.story
@pytest.mark.parametrize(
    "writing", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["remembered", "after a run that died"]
)
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


@pytest.mark.story
def test_a_crm_that_is_taken_out_leaves_its_objections_behind(tmp_path: Path) -> None:
    world = World(tmp_path, sources=(PERSPECTIVE, HUBSPOT, PERSISTIQ))
    for email in PEOPLE:
        world[PERSISTIQ].comes(email, title="Buyer")
    world.run()
    person = PEOPLE[0]
    changed(world, PERSISTIQ, person, opted_out="true")
    deleted(world, HUBSPOT, person)
    world.run()
    world.sources, world.writable = (PERSPECTIVE, HUBSPOT), (HUBSPOT,)
    world[PERSPECTIVE].comes(person, title="Head")
    for incremental in (False, True, False):
        world.run(incremental=incremental)
        assert held(world, HUBSPOT, person) == []
        assert world.plans[HUBSPOT].get(person) is None or world.plans[HUBSPOT][person].reason == "opted_out"


@pytest.mark.story
def test_a_property_that_joins_in_an_incremental_run_is_nobodys_edit_in_what_was_not_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    others = {name: name for name in ("tier", "born", "topics")}
    world.names = {HUBSPOT: others, PERSISTIQ: others}
    for email in PEOPLE:
        world[HUBSPOT].comes(email, properties__note="as it was")
    world.run()
    for email in PEOPLE:
        changed(world, PERSISTIQ, email, properties__note="as it was")
    world.run()
    world.names = {}
    assert world.run(incremental=True) == 0
    changed(world, PERSISTIQ, PEOPLE[0], properties__note="edited")
    changed(world, HUBSPOT, PEOPLE[1], properties__note=None)
    world.run()
    assert world.recall.edits == {}
    assert held(world, HUBSPOT, PEOPLE[0], "properties.note") == ["edited"]
    # From here on it has a past like every other.
    changed(world, PERSISTIQ, PEOPLE[2], properties__note="edited")
    changed(world, HUBSPOT, PEOPLE[3], properties__note=None)
    assert world.run() == 1
    assert world.recall.edits == {source: {"properties.note": 1} for source in (HUBSPOT, PERSISTIQ)}
    assert held(world, HUBSPOT, PEOPLE[3], "properties.note") == [None]


@pytest.mark.story
@pytest.mark.parametrize("emptied", [HUBSPOT, pytest.param(PERSISTIQ, marks=pytest.mark.slow)])
def test_a_new_value_fills_what_was_cleared_also_when_a_week_of_writes_fails(tmp_path: Path, emptied: str) -> None:
    world = World(tmp_path)
    (person,) = emails([0])
    world[HUBSPOT].comes(person, title="Buyer")
    world.run()
    changed(world, emptied, person, title=None)
    world.run()
    changed(world, PERSISTIQ if emptied == HUBSPOT else HUBSPOT, person, title="Head")
    world.refuses = {person}
    for _ in range(3):
        world.run()
        assert held(world, emptied, person) == [None]
    world.refuses = set()
    assert world.run() == 1
    assert held(world, emptied, person) == ["Head"]


def test_a_funnel_that_is_gone_is_missed_once() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    two, one = (
        ReadFacts("perspective_default", PERSPECTIVE, complete=True, parts=parts)
        for parts in ({"a": 100, "b": 10}, {"b": 10})
    )
    generation = Generation(
        number=1, sync="s", run="r", at=now, since=now, files=[], records=0, probe="",
        scopes=next_scopes(None, [two], now),
    )  # fmt: skip
    assert concluding(generation, [one]) == ([], ["perspective_default"])
    after = msgspec.structs.replace(generation, scopes=next_scopes(generation, [one], now))
    assert remembered_rows(after, "perspective_default") == 10
    assert concluding(after, [one]) == ([(PERSPECTIVE, "b")], [])


def test_a_renamed_connection_is_known_by_its_new_name_wherever_a_generation_names_it() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    places = ("hubspot|old", "hubspot|other", "perspective|funnel")
    gaps = {name: {"note": Gap(until=now)} for name in places}
    generation = Generation(
        number=1, sync="s", run="r", at=now, since=now, files=[], records=0, probe="", gaps=gaps,
        looks=dict.fromkeys(places, now), accounts=dict.fromkeys(places, "key:1"),
        scopes={"hubspot|old": Scope(conn_id="old"), "perspective|funnel": Scope(conn_id="p")},
    )  # fmt: skip
    after = under_new_names(generation, {("hubspot", "old"): "new", ("perspective", "p"): "q"})
    named = {"hubspot|new", "hubspot|other", "perspective|funnel"}
    assert set(after.gaps) == set(after.looks) == set(after.accounts) == named
    assert {name: scope.conn_id for name, scope in after.scopes.items()} == {
        "hubspot|new": "new", "perspective|funnel": "q",
    }  # fmt: skip


def test_a_memory_of_another_key_is_no_past_and_lets_nobody_in_who_was_erased(tmp_path: Path) -> None:
    world = World(tmp_path)
    world[HUBSPOT].comes(PEOPLE[0], title="Buyer")
    world.run()
    path, key = world.memory.path, world.memory.key
    other = Folder(path, "ab" * 16)
    other.open()
    assert other.current()[0] is None
    assert "another key" in str(other.current()[1])
    assert Folder(path, key).current()[0] is not None
    erase_people(world.memory, [PEOPLE[0]])
    with pytest.raises(SyncMemoryError, match="erased"):
        other.open()
    Folder(path, key).open()
    # The key that lay beside the files is gone with them.
    (Path(str(path)) / "current.json").unlink()
    with pytest.raises(SyncMemoryError, match="erased"):
        world.run()


@pytest.mark.story
@pytest.mark.parametrize(
    "known", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["remembered", "after a run that died"]
)
def test_an_edit_of_a_property_that_was_not_read_for_weeks_is_as_old_as_its_record_says(
    tmp_path: Path, known: bool
) -> None:
    world = World(tmp_path)
    for email in PEOPLE:
        world[HUBSPOT].comes(email, title="Buyer", properties__note="n")
    world.run()
    both, ours, touched, cleared = PEOPLE[:4]
    changed(world, HUBSPOT, both, properties__note="older")
    changed(world, HUBSPOT, cleared, properties__note=None)
    changed(world, HUBSPOT, ours, properties__note="ours")
    for number in range(3):
        changed(world, HUBSPOT, PEOPLE[5], title=f"Title {number}")
        world.run(unread=["note"])
    changed(world, PERSISTIQ, both, properties__note="newer")
    changed(world, PERSISTIQ, touched, properties__note="newer")
    if known:
        world.run(unread=["note"])
    else:
        world.run(unread=["note"], dies="remember")
        world.run(unread=["note"])
    for _ in range(3):
        world.run()
        assert held(world, HUBSPOT, both, "properties.note") == held(world, PERSISTIQ, both, "properties.note")
        assert held(world, PERSISTIQ, both, "properties.note") == ["newer"]
        assert held(world, PERSISTIQ, ours, "properties.note") == ["ours"]
        assert held(world, HUBSPOT, touched, "properties.note") == ["newer"]
        assert held(world, HUBSPOT, cleared, "properties.note") == [None]
    assert world.writes == []
    # A complete read has closed the gap.
    assert world.generation.gaps == {}


@pytest.mark.story
def test_a_property_that_is_read_again_by_incremental_runs_has_its_gap_until_a_complete_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    for email in PEOPLE:
        world[HUBSPOT].comes(email, properties__note="n")
    world.run()
    changed(world, HUBSPOT, PEOPLE[0], properties__note="older")
    world.run(unread=["note"])
    changed(world, PERSISTIQ, PEOPLE[0], properties__note="newer")
    world.run(unread=["note"], incremental=True)
    changed(world, HUBSPOT, PEOPLE[1], properties__note="later")
    world.run(incremental=True)
    ((gap,),) = (each.values() for name, each in world.generation.gaps.items() if name.startswith(HUBSPOT))
    assert gap.again is not None and gap.until < gap.again
    assert held(world, PERSISTIQ, PEOPLE[1], "properties.note") == ["later"]
    # Whoever was seen since has no gap: an edit is dated by the last look.
    changed(world, PERSISTIQ, PEOPLE[1], properties__note="theirs")
    world.run(incremental=True)
    changed(world, HUBSPOT, PEOPLE[1], properties__note="last")
    world.run(incremental=True)
    assert held(world, PERSISTIQ, PEOPLE[1], "properties.note") == ["last"]
    for _ in range(2):
        world.run()
        assert held(world, HUBSPOT, PEOPLE[0], "properties.note") == ["newer"]
    assert world.generation.gaps == {}


@pytest.mark.story
def test_what_was_cleared_while_nobody_read_it_stays_so_where_the_plan_alone_looks(tmp_path: Path) -> None:
    world = World(tmp_path, sources=(PERSPECTIVE,), writable=(HUBSPOT,))
    for email in PEOPLE:
        world[PERSPECTIVE].comes(email, properties__note="n")
    world.run()
    world.run(unread=["note"])
    changed(world, HUBSPOT, PEOPLE[0], properties__note=None)
    world.run(unread=["note"])
    for _ in range(2):
        assert world.run() == 0, world.writes
        assert world.plans[HUBSPOT][PEOPLE[0]].reason == "cleared_here: properties.note"
    changed(world, PERSPECTIVE, PEOPLE[0], properties__note="m")
    world.run()
    assert held(world, HUBSPOT, PEOPLE[0], "properties.note") == ["m"]


@pytest.mark.story
def test_what_people_did_to_records_that_were_hidden_for_a_day_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    for email in PEOPLE:
        world[HUBSPOT].comes(email, title="Buyer")
    world.run()
    hidden = {email: world[HUBSPOT].of(email)[0] for email in PEOPLE[:4]}
    for record in hidden.values():
        del world[HUBSPOT].records[record.id]
    world.run()
    assert held(world, HUBSPOT, PEOPLE[0]) == []
    for record in hidden.values():
        world[HUBSPOT].records[record.id] = record
    cleared, edited, theirs, _ = hidden
    changed(world, HUBSPOT, cleared, title=None)
    changed(world, HUBSPOT, edited, title="Head")
    changed(world, PERSISTIQ, theirs, title="Chief")
    for _ in range(2):
        world.run()
        assert (held(world, HUBSPOT, cleared), held(world, PERSISTIQ, cleared)) == ([None], ["Buyer"])
        assert held(world, HUBSPOT, edited) == held(world, PERSISTIQ, edited) == ["Head"]
        assert held(world, HUBSPOT, theirs) == held(world, PERSISTIQ, theirs) == ["Chief"]
    assert world.writes == []
