"""What people do between two runs of a sync with a memory stays as they left it.

Runs cost time, people don't: each test lets many people be acted on in one world. The whole table of acts is tried
without a request in ``tests/unit/leads/memory``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from memory_world import DESTINATIONS, FUNNEL, HUBSPOT, PERSISTIQ, PERSPECTIVE, World

from airflow_providers_leads.leads.memory.generation import VERSION, Folder, Writing

DAY = 86_400_000
FIELDS = ("title", "phone", "city")
OTHER = {HUBSPOT: PERSISTIQ, PERSISTIQ: HUBSPOT}
VALUES = {"title": "Buyer", "phone": "+49 30 1", "city": "Bonn", "first_name": "Ann"}


def in_step(world: World, count: int, **options: Any) -> Iterator[str]:
    """Make people whom both CRMs know, alike."""
    emails = [world.comes_to_hubspot(**VALUES) for _ in range(count)]
    world.run(**options)
    writes = world.writes()
    world.run(**options)
    assert world.writes() == writes, "the second run writes nothing"
    assert all(len(world.in_persistiq(email)) == 1 for email in emails)
    return iter(emails)


def quiet(world: World, runs: int = 2, **options: Any) -> None:
    """Run some more, which writes nothing."""
    writes = world.writes()
    for _ in range(runs):
        world.run(**options)
    assert world.writes() == writes


def both(world: World, email: str, field: str) -> list[str | None]:
    return [world.holds(crm, email, field) for crm in DESTINATIONS]


@pytest.mark.memory
@pytest.mark.parametrize("preferred", [None, "hubspot", "persistiq"])
def test_edits_stay_and_go_to_the_other_whatever_the_policy_prefers(world: World, preferred: str | None) -> None:
    options = {"policy": {"priority": [preferred]} if preferred else None}
    people = in_step(world, 14, **options)
    checks: list[tuple[str, str]] = []
    for here in DESTINATIONS:
        for field in FIELDS:
            for touched in (False, True):
                email = next(people)
                world.edits(here, email, field, "new value")
                if touched:
                    world.touches(email)
                checks.append((email, field))
    same, different = next(people), next(people)
    for crm in DESTINATIONS:
        world.edits(crm, same, "title", "Head")
        world.edits(crm, different, "title", f"of {crm}")
    world.run(**options)
    for email, field in checks:
        assert both(world, email, field) == ["new value"] * 2
    assert both(world, same, "title") == ["Head"] * 2
    one, other = both(world, different, "title")
    assert one == other == (f"of {preferred}_default" if preferred else one)
    assert one in ("of hubspot_default", "of persistiq_default")
    assert "both_changed" in world.rules()
    quiet(world, **options)
    assert "both_changed" not in world.rules()


@pytest.mark.story
def test_cleared_fields_deleted_records_and_new_addresses_stay_so(world: World) -> None:
    people = in_step(world, 8)
    cleared = {here: next(people) for here in DESTINATIONS}
    moved = {here: next(people) for here in DESTINATIONS}
    deleted, objecting, bystander = next(people), next(people), next(people)
    for here in DESTINATIONS:
        world.edits(here, cleared[here], "title", "")
        world.edits(here, moved[here], "email", f"moved.{here}@people.example")
    world.deletes(deleted)
    (lead,) = world.in_persistiq(objecting)
    world.persistiq.change(lead, {}, optedout=True)

    def stay() -> None:
        for here in DESTINATIONS:
            assert world.holds(here, cleared[here], "title") is None
            assert world.holds(OTHER[here], cleared[here], "title") == "Buyer"
            addresses = (moved[here], f"moved.{here}@people.example")
            assert [len(world.in_hubspot(a)) + len(world.in_persistiq(a)) for a in addresses] == [1, 1]
        assert world.in_hubspot(deleted) == []

    world.run()
    stay()
    assert "cleared_here: title" in (world.plan(HUBSPOT)[cleared[HUBSPOT]].reason or "")
    assert world.plan(HUBSPOT)[deleted].reason == "deleted_here"
    assert {row.reason for row in world.plan(PERSISTIQ).values()} >= {"address_changed"}
    quiet(world)
    stay()
    # A value that somebody gives anywhere is a new one; whoever comes anew is no ghost; an objection outlives both the
    # record and the address.
    for here in DESTINATIONS:
        world.edits(OTHER[here], cleared[here], "title", "Seller")
        world.edits(here, f"moved.{here}@people.example", "title", "Head")
    world.converts(deleted, first_name="Ann")
    world.deletes(objecting)
    world.run()
    for here in DESTINATIONS:
        assert both(world, cleared[here], "title") == ["Seller"] * 2
        assert world.holds(OTHER[here], moved[here], "title") == "Head"
    assert len(world.in_hubspot(deleted)) == 1
    world.edits(PERSISTIQ, objecting, "email", "objects@people.example")
    world.run()
    assert world.in_hubspot("objects@people.example") == world.in_hubspot(objecting) == []
    assert len(world.in_hubspot(bystander)) == len(world.in_persistiq(bystander)) == 1
    quiet(world)


@pytest.mark.memory
def test_the_policy_may_spread_and_recreate(world: World) -> None:
    options = {"policy": {"cleared": "spread", "deleted": "recreate", "address": "spread"}}
    people = in_step(world, 4, **options)
    cleared = {here: next(people) for here in DESTINATIONS}
    moved, deleted = next(people), next(people)
    for here in DESTINATIONS:
        world.edits(here, cleared[here], "title", "")
    world.edits(HUBSPOT, moved, "email", "moved@people.example")
    world.deletes(deleted)
    world.run(**options)
    for email in cleared.values():
        assert both(world, email, "title") == [None, None]
    assert len(world.in_hubspot(deleted)) == 1
    assert len(world.in_hubspot("moved@people.example")) == len(world.in_persistiq("moved@people.example")) == 1
    quiet(world, **options)


@pytest.mark.memory
def test_what_people_do_in_a_destination_that_is_not_read_stays(world: World) -> None:
    edited, cleared, moved, deleted = (world.converts(first_name="Ann", phone="+49 30 1") for _ in range(4))
    one_way: dict[str, Any] = {"sources": [PERSPECTIVE], "destinations": [HUBSPOT]}
    world.run(**one_way)
    world.edits(HUBSPOT, edited, "first_name", "Anna")
    world.edits(HUBSPOT, cleared, "phone", "")
    world.edits(HUBSPOT, moved, "email", "moved@people.example")
    world.deletes(deleted)
    quiet(world, **one_way)
    assert world.holds(HUBSPOT, edited, "first_name") == "Anna"
    assert world.holds(HUBSPOT, cleared, "phone") is None
    assert world.in_hubspot(moved) == world.in_hubspot(deleted) == []
    # A later edit where the merge looks replaces an earlier one here.
    (contact,) = (c for c in world.perspective.funnels[FUNNEL].contacts.values() if c["email"] == edited)
    contact["firstName"] = "Anne"
    world.run(**one_way)
    assert world.holds(HUBSPOT, edited, "first_name") == "Anne"
    quiet(world, **one_way)
    assert world.in_hubspot(moved) == world.in_hubspot(deleted) == []


@pytest.mark.story
def test_an_incremental_run_asks_only_for_people_who_are_remembered(world: World) -> None:
    for _ in range(100):
        world.comes_to_persistiq(world.comes_to_hubspot(**VALUES), **VALUES)
    # Long ago: the reads of what changed reach back a little.
    for record in (*world.hubspot.contacts.values(), *world.persistiq.leads.values()):
        record.created -= DAY
        record.updated -= DAY

    def requests() -> int:
        return sum(api.stats.requests for api in world.sandbox.apis)

    world.run_incremental()
    before = requests()
    new = [world.comes_to_hubspot(**VALUES) for _ in range(200)]
    world.run_incremental()
    assert all(len(world.in_persistiq(email)) == 1 for email in new)
    # 20 requests of creation, and the handful that each task spends: nobody is asked for, and nothing read in full.
    assert requests() - before <= 40
    before = requests()
    new = [world.comes_to_persistiq(**VALUES) for _ in range(200)]
    edited = "p1@people.example"
    world.edits(HUBSPOT, edited, "title", "Head")
    world.run_incremental()
    assert all(len(world.in_hubspot(email)) == 1 for email in new)
    assert both(world, edited, "title") == ["Head"] * 2
    assert requests() - before <= 60


# What goes wrong ------------------------------------------------------------------------------------------------------


def dies_before(world: World, step: str) -> Callable[[], None]:
    """Return a run that ends before one of its steps, as when its worker is killed."""

    def run() -> None:
        world.runs += 1
        extracted = [world.extract(conn_id) for conn_id in DESTINATIONS]
        golden = world.merge(extracted)
        for conn_id in DESTINATIONS:
            if step == f"before {conn_id}":
                return
            world.upsert(conn_id, golden, extracted)
            if step == f"after {conn_id}":
                for results in (world.folder / str(world.runs) / "upsert").glob(f"{conn_id}*.results.parquet"):
                    results.unlink()
                return

    return run


@pytest.mark.story
@pytest.mark.parametrize(
    "step",
    [
        *(
            pytest.param(step, marks=pytest.mark.memory)
            for step in ("before persistiq_default", "after hubspot_default")
        ),
        "after persistiq_default",
    ],
)
def test_own_writes_are_nobodys_edits_though_the_run_died_before_it_remembered(world: World, step: str) -> None:
    people = in_step(world, 3)
    edited, other, cleared = next(people), next(people), next(people)
    world.edits(HUBSPOT, edited, "title", "Head")
    world.comes_to_persistiq("late@people.example", title="Clerk")
    dies_before(world, step)()
    # After the dead run's writes somebody edits what it wrote.
    world.edits(PERSISTIQ, edited, "city", "Ulm")
    world.edits(HUBSPOT, cleared, "phone", "")
    world.run()
    assert both(world, edited, "title") == ["Head"] * 2
    assert both(world, edited, "city") == ["Ulm"] * 2
    assert world.holds(HUBSPOT, cleared, "phone") is None
    assert len(world.in_hubspot("late@people.example")) == 1
    quiet(world)
    assert both(world, other, "title") == ["Buyer"] * 2


@pytest.mark.story
def test_a_crm_that_suddenly_gives_a_tenth_stops_the_run_and_deletes_nobody(world: World) -> None:
    people = list(in_step(world, 20))
    for email in people[2:]:
        world.deletes(email)
    with pytest.raises(ValueError, match=r"gave 2 records, and 20 were there .* min_share_of_last=0"):
        world.run(extract={"min_share_of_last": 0.5})
    world.run()
    assert world.golden["memory"]["shrunken"] == [HUBSPOT]
    assert world.golden["memory"]["counts"]["gone"] == 0


@pytest.mark.story
def test_a_plan_that_changes_too_much_stops_before_the_first_write(world: World) -> None:
    people = list(in_step(world, 60))
    for email in people:
        world.edits(HUBSPOT, email, "title", "Head")
    writes = world.writes()
    with pytest.raises(ValueError, match=r"changes or creates 60 records where there are 60: .* max_changes=none"):
        world.run(max_changes=0.5)
    assert world.writes() == writes
    world.run(max_changes=None)
    assert both(world, people[0], "title") == ["Head"] * 2


@pytest.mark.memory
def test_a_second_run_at_once_is_refused(world: World) -> None:
    email, *_ = in_step(world, 1)
    world.edits(HUBSPOT, email, "title", "Head")
    world.runs += 1
    extracted = [world.extract(conn_id) for conn_id in DESTINATIONS]
    old = world.merge(extracted)
    world.run()
    world.runs = 99
    writes = world.writes()
    with pytest.raises(ValueError, match="another run has remembered since this one merged"):
        world.upsert(PERSISTIQ, old, extracted)
    assert world.writes() == writes


def test_of_two_runs_that_begin_to_write_at_one_moment_none_writes_beside_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.comes_to_hubspot(title="Buyer")
    world.runs += 1
    extracted = [world.extract(conn_id) for conn_id in DESTINATIONS]
    golden = world.merge(extracted)
    begin, other = Folder.begin, Writing(run="run-other", dag="sync")

    def at_one_moment(folder: Folder, mark: Writing) -> None:
        begin(folder, other)
        begin(folder, mark)

    refused = pytest.raises(ValueError, match="another run, run-other, has begun to write since this one merged")
    with monkeypatch.context() as patch, refused:
        patch.setattr(Folder, "begin", at_one_moment)
        world.upsert(PERSISTIQ, golden, extracted)
    folder = Folder(f"{world.folder}/memory")
    assert (world.writes(), [mark.run for mark in folder.writing()]) == (0, ["run-other"])
    # The other one has done the same, and a retry of either goes on.
    folder.settle([other])
    assert world.upsert(PERSISTIQ, golden, extracted)["created"] == 1
    world.remember(golden)


@pytest.mark.memory
@pytest.mark.parametrize("damage", ["missing", "truncated", "version", "pointer"])
def test_a_memory_that_cannot_be_used_is_no_past_at_all(
    world: World, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    email, *_ = in_step(world, 1)
    folder = world.folder / "memory"
    (newest,) = sorted(folder.glob("generation-*.json"))[-1:]
    match damage:
        case "missing":
            for file in folder.glob("*.parquet"):
                file.unlink()
        case "truncated":
            newest.write_bytes(newest.read_bytes()[:20])
        case "version":
            newest.write_bytes(newest.read_bytes().replace(b'"version":%d' % VERSION, b'"version":99'))
        case "pointer":
            (folder / "current.json").unlink()
    world.run()
    assert world.golden["memory"]["first"]
    assert len(world.in_hubspot(email)) == len(world.in_persistiq(email)) == 1
    world.edits(PERSISTIQ, email, "title", "Head")
    world.run()
    assert both(world, email, "title") == ["Head"] * 2


def test_a_memory_that_cannot_be_written_is_told_before_the_first_request(world: World) -> None:
    (world.folder / "file").write_text("no folder")
    world.memory = f"file://{world.folder}/file/memory"
    requests = sum(api.stats.requests for api in world.sandbox.apis)
    with pytest.raises(ValueError, match="can't be written"):
        world.run()
    assert sum(api.stats.requests for api in world.sandbox.apis) == requests
