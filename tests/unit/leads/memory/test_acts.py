"""The table of acts: each kind of field, edited, cleared or both, on one side or several, in each pair of CRMs.

All of it happens in one world between two runs, because runs cost time and people don't.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from people_at_work import FIELDS, HUBSPOT, PERSISTIQ, PERSPECTIVE, World, emails
from what_should_be import FIRST, VALUES, Office, Person

from airflow_providers_leads.leads.memory.decide import Look, decide, same_but_for_form
from airflow_providers_leads.leads.merge.policy import MergePolicy

BOTH = (HUBSPOT, PERSISTIQ)
ALL = (PERSPECTIVE, *BOTH)
FLOWS = [
    pytest.param(BOTH, BOTH, {}, id="hubspot and persistiq"),
    pytest.param(ALL, BOTH, {}, id="all three", marks=pytest.mark.story),
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


FORMS = {
    "title": str.upper,
    "phone": lambda value: value.replace(" ", ""),
    "properties.topics": lambda value: ";".join(sorted(value.split(";"), reverse=True)),
    "properties.born": lambda value: str(int(datetime.fromisoformat(f"{value}T00:00:00+00:00").timestamp() * 1000)),
}
"""What a CRM may make of values when it stores them."""


@pytest.mark.story
def test_what_a_crm_makes_of_a_value_is_nobodys_edit(tmp_path: Path) -> None:
    world = World(tmp_path)
    world[HUBSPOT].stores = lambda name, value: FORMS[name](value) if name in FORMS and not value.isdecimal() else value
    world[PERSISTIQ].stores = lambda name, value: value.replace("+49", "+49-") if name == "phone" else value
    office = Office(world)
    people = [office.comes(crm) for crm in (HUBSPOT, PERSISTIQ) for _ in FIELDS]
    world.run()
    assert world.run() == 0, world.writes
    office.look()
    for person, name in zip(people, FIELDS * 2, strict=True):
        crm = HUBSPOT if person in people[: len(FIELDS)] else PERSISTIQ
        office.edits(person, crm, name, VALUES[name][1])
    left = {person.email: office.held(person) for person in people}
    assert world.run() == len(people)
    assert [world.run(), world.run(incremental=True), world.run()] == [0, 0, 0], world.writes
    for number, person in enumerate(people):
        crm = HUBSPOT if number < len(FIELDS) else PERSISTIQ
        now = office.held(person)
        # The author's own words stand, and the other has them in its form.
        assert now[crm] == left[person.email][crm]
        assert all(same_but_for_form(now[HUBSPOT][each], now[PERSISTIQ][each]) for each in FIELDS)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("+49 30 1", "+49301", True), ("+49 30 1", "+49 30 2", False), ("Ann", "ANN", True), ("Ann", "Anna", False),
        ("a;b", "b;a", True), ("a;b", "a", False), ("2020-01-01", "1577836800000", True),
        ("2020-01-01", "1577923200000", False), ("https://www.x.example/", "x.example", True), ("", None, False),
        ("2020-01-01", "2020-01-01T00:00:00Z", True), ("…", "!", False), ("x", None, False),
        ("99999999999999999", "1", False),
        # Phone numbers as long as milliseconds, in groups and without.
        ("0171 99 88 77 6", "01719988776", True), ("4917199887766", "49 171 99887766", True),
        ("01719988776", "01719988777", False),
        # Another number is another value, however alike its digits.
        ("1.5", "15", False), ("-5", "5", False), ("1000.0", "1000", True), ("0.50", "0.5", True),
    ],
)  # fmt: skip
def test_the_same_but_for_its_form(one: str | None, other: str | None, same: bool) -> None:
    assert same_but_for_form(one, other) is same_but_for_form(other, one) is same


@pytest.mark.story
@pytest.mark.parametrize("first", BOTH)
def test_an_edit_of_what_a_run_has_copied_is_the_later_one(tmp_path: Path, first: str) -> None:
    world = World(tmp_path, policy=MergePolicy(priority=(first,)))
    office, people = in_step(world, 2)
    for person, crms in zip(people, (BOTH, BOTH[::-1]), strict=True):
        office.edits(person, crms[0], "title", "Head")
    world.run(incremental=True)
    for person, crms in zip(people, (BOTH, BOTH[::-1]), strict=True):
        office.edits(person, crms[1], "title", "Buyer")
    world.run(incremental=True)
    assert [office.held(person)[crm]["title"] for person in people for crm in BOTH] == ["Buyer"] * 4
    assert world.run(incremental=True) == world.run() == 0


def test_what_a_property_held_at_the_first_run_is_no_edit(tmp_path: Path) -> None:
    world = World(tmp_path)
    office = Office(world)
    people = [office.comes(HUBSPOT, properties__note="first") for _ in BOTH]
    for person in people:
        person.ids[PERSISTIQ] = {world[PERSISTIQ].comes(person.email, properties__note="first").id}
    world.run()
    for person, crm in zip(people, BOTH, strict=True):
        office.edits(person, crm, "properties.note", "second")
    world.run()
    held = [office.held(person)[crm]["properties.note"] for person in people for crm in BOTH]
    assert held == ["second"] * 4


@pytest.mark.parametrize("first", [0, 1])
def test_a_copy_in_the_form_of_its_crm_comes_after_what_it_was_made_of(first: int) -> None:
    after, until = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
    copy = Look("false", after, until, edited=True, place=(first, HUBSPOT, "", "1"), copied=True)
    original = Look("no", after, until, edited=True, place=(1 - first, PERSISTIQ, "", "2"))
    assert decide([copy, original]).winner == 1
    # Of the copies of what is gone, the policy's order decides.
    assert decide([copy, replace(original, copied=True)]).winner == first
    assert decide([replace(copy, fresh=True, copied=False, after=until), original]).winner == 0


def test_times_that_contradict_each_other_leave_it_to_the_order() -> None:
    """Of clocks that differ: an edit that ends before it begins, and two that are both later than the other."""
    early, late = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
    one = Look("a", late, early, edited=True, fresh=True, place=(0, HUBSPOT, "", "1"))
    assert decide([one]).winner == 0
    assert decide([replace(one, value="b", place=(1, PERSISTIQ, "", "2")), one]).winner == 1


@pytest.mark.story
def test_a_property_of_another_name_there_keeps_what_people_did(tmp_path: Path) -> None:
    names = {HUBSPOT: {"tier": "hs_tier", "note": "hs_note"}, PERSISTIQ: {"hs_tier": "tier"}}
    world = World(tmp_path, names=names)
    values = {"properties__tier": "gold", "properties__note": "n"}
    theirs = [world[PERSISTIQ].comes(f"p{number}@people.example", **values) for number in range(8)]
    world.run()
    ours = [world[HUBSPOT].of(str(record.email))[0] for record in theirs]
    acts_of: list[tuple[Any, dict[str, str | None]]] = [
        (ours[0], {"properties.hs_tier": "silver"}), (theirs[1], {"properties.tier": "silver"}),
        (ours[2], {"properties.hs_note": "m"}), (theirs[3], {"properties.note": "m"}),
        (ours[4], {"properties.hs_tier": "silver"}), (theirs[4], {"properties.tier": "bronze"}),
        (ours[5], {"properties.hs_tier": None}), (theirs[6], {"properties.tier": None}),
    ]  # fmt: skip
    for record, changes in acts_of:
        world[HUBSPOT if record in ours else PERSISTIQ].set(record, changes)
    world.run()
    held = [
        tuple(each.get(f"properties.{name}") for each, name in zip((one.values, two.values) * 2, PAIRS, strict=True))
        for one, two in zip(ours, theirs, strict=True)
    ]
    assert held[:4] == [
        ("silver", "silver", "n", "n"), ("silver", "silver", "n", "n"), ("gold", "gold", "m", "n"),
        ("gold", "gold", "m", "m"),
    ]  # fmt: skip
    assert held[4][0] == held[4][1] in ("silver", "bronze")
    assert held[5:] == [(None, "gold", "n", "n"), ("gold", None, "n", "n"), ("gold", "gold", "n", "n")]
    assert world.run() == world.run() == 0, world.writes
    world[PERSISTIQ].set(theirs[2], {"properties.note": "later"})
    world.run()
    assert ours[2].values["properties.hs_note"] == "later"


PAIRS = ("hs_tier", "tier", "hs_note", "note")


@pytest.mark.story
@pytest.mark.parametrize("reads_there", [False, True], ids=["unread", "read"])
def test_of_edits_where_the_merge_looks_and_where_the_plan_alone_does_the_later_wins(
    tmp_path: Path, reads_there: bool
) -> None:
    sources = (PERSPECTIVE, HUBSPOT) if reads_there else (PERSPECTIVE,)
    world = World(tmp_path, sources=sources, writable=(HUBSPOT,))
    office, people = in_step(world, 4)
    acts = ((HUBSPOT, "Chief"), (PERSPECTIVE, "Head"), (HUBSPOT, "Buyer"), (HUBSPOT, None), (PERSPECTIVE, "Boss"))
    for number, (crm, value) in enumerate(acts):
        for person in people[number % 2 :]:
            office.edits(person, crm, "title", value)
        world.run()
        for person in people[number % 2 :]:
            assert office.held(person)[HUBSPOT]["title"] == value
        assert world.run() == world.run() == 0, world.writes
        office.look()


def test_what_was_there_before_the_first_run_and_stayed_is_nobodys_edit_where_the_plan_alone_looks(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, sources=(PERSPECTIVE,), writable=(HUBSPOT,), policy=MergePolicy(priority=(HUBSPOT,)))
    there, untouched = emails(range(2))
    for email in (there, untouched):
        theirs = world[PERSPECTIVE].comes(email, title="Buyer", phone="+49 30 1")
        ours = world[HUBSPOT].comes(email, title="Buyer", phone="+49 30 1" if email == untouched else "")
        world[HUBSPOT].set(ours, {"title": "Buyer"})
    world.run()
    assert [row.email_key for _, row in world.writes] == [there]
    for email in (there, untouched):
        (theirs,), (ours,) = world[PERSPECTIVE].of(email), world[HUBSPOT].of(email)
        world[PERSPECTIVE].set(theirs, {"title": "Head"})
        world.run()
        assert ours.values["title"] == "Head"
        # Somebody's correction of what a run has never written stands as well.
        world[HUBSPOT].set(ours, {"phone": "+49 30 9"})
        assert world.run() == 0
        assert world.plans[HUBSPOT][email].reason == "edited_here: phone"
