"""What becomes of whole people: deleted, moved to other addresses, merged, made again; and of bad memories."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from people_at_work import HUBSPOT, PERSISTIQ, PERSPECTIVE, Record, World

from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.memory.generation import VERSION, Folder, Generation, SyncMemoryError
from airflow_providers_leads.leads.memory.looking import status
from airflow_providers_leads.leads.model.outcomes import WriteResult

CRMS = (HUBSPOT, PERSISTIQ)
# Where people came from, and where somebody acts.
ORIGINS = [
    (PERSISTIQ, HUBSPOT),
    *(pytest.param(*pair, marks=pytest.mark.slow) for pair in [(HUBSPOT,) * 2, (PERSISTIQ,) * 2, CRMS]),
]


def in_step(world: World, count: int, first: str = HUBSPOT) -> list[dict[str, Record]]:
    """Make people whom both CRMs know, alike: the record in each."""
    ours = [world[first].comes(f"p{number}@people.example", title="Buyer", phone="+49 30 1") for number in range(count)]
    world.run()
    return [{crm: world[crm].of(str(record.email))[0] for crm in world.crms} for record in ours]


def created(world: World) -> list[tuple[str, str]]:
    return [(crm, row.email_key) for crm, row in world.writes if row.action == "create"]


def counts(world: World) -> list[int]:
    return [len(world[crm].records) for crm in CRMS]


@pytest.mark.story
def test_people_who_move_merge_swap_and_come_back_are_one_record_each(tmp_path: Path) -> None:
    world = World(tmp_path)
    people = in_step(world, 12)
    hubspot, persistiq = world[HUBSPOT], world[PERSISTIQ]
    moved, both, swapped, other, merged, survivor, again, recreated, objecting, deleted, *_ = people
    persistiq.set(moved[PERSISTIQ], {"email": "moved@people.example", "title": "Head"})
    for crm in CRMS:
        world[crm].set(both[crm], {"email": "both@people.example"})
    one, two = swapped[HUBSPOT].email, other[HUBSPOT].email
    hubspot.set(swapped[HUBSPOT], {"email": two})
    hubspot.set(other[HUBSPOT], {"email": one})
    survivor[HUBSPOT].merged.append(merged[HUBSPOT].id)
    hubspot.set(survivor[HUBSPOT], {})
    del hubspot.records[merged[HUBSPOT].id]
    # Deleted and made again by hand at once; deleted for good; opted out and given another address.
    del hubspot.records[recreated[HUBSPOT].id]
    mine = hubspot.comes(recreated[PERSISTIQ].email, title="Anew")
    del persistiq.records[deleted[PERSISTIQ].id]
    persistiq.set(objecting[PERSISTIQ], {"opted_out": "true"})
    del hubspot.records[again[HUBSPOT].id]
    before = counts(world)
    world.run()
    assert counts(world) == before, created(world)
    assert moved[HUBSPOT].values["title"] == "Head"
    assert (moved[HUBSPOT].email, both[HUBSPOT].email) == ("p0@people.example", "both@people.example")
    assert world.plans[PERSISTIQ]["p9@people.example"].reason == "deleted_here"
    assert world.run() == world.run(incremental=True) == 0, world.writes
    assert counts(world) == before
    # The objection outlives the address and the record; who is entered anew after a deletion is nobody's ghost.
    persistiq.set(objecting[PERSISTIQ], {"email": "objects@people.example"})
    del hubspot.records[objecting[HUBSPOT].id]
    anew = hubspot.comes(str(again[PERSISTIQ].email), title="Back")
    hubspot.set(moved[HUBSPOT], {"title": "Chief"})
    before = counts(world)
    world.run()
    assert counts(world) == before, world.writes
    assert moved[PERSISTIQ].values["title"] == "Chief"
    assert {anew.id, mine.id} <= set(hubspot.records)
    assert world.run() == 0, world.writes
    del persistiq.records[objecting[PERSISTIQ].id]
    hubspot.comes("objects@people.example")
    before = counts(world)
    world.run()
    assert counts(world) == before, "an objection holds under every address that somebody had"


def ann_and_bea(first: str, here: str, folder: Path) -> tuple[World, Record, Record]:
    """Let two people come to one CRM, and return their records in another, or the same, once a run has copied them."""
    world = World(folder)
    for name in ("Ann", "Bea"):
        world[first].comes(f"{name.lower()}@people.example", title=name)
    world.run()
    (ann,), (bea,) = (world[here].of(f"{name}@people.example") for name in ("ann", "bea"))
    return world, ann, bea


def addresses(world: World) -> dict[str, list[tuple[str | None, str | None]]]:
    return {crm: sorted((r.email, r.values.get("title")) for r in world[crm].records.values()) for crm in CRMS}


@pytest.mark.story
@pytest.mark.parametrize(("first", "here"), ORIGINS)
def test_two_people_who_swap_addresses_never_become_one(first: str, here: str, tmp_path: Path) -> None:
    world, ann, bea = ann_and_bea(first, here, tmp_path)
    world[here].set(ann, {"email": bea.email})
    world[here].set(bea, {"email": "ann@people.example"})
    for _ in range(3):
        world.run()
        # Whose the address is now is theirs everywhere: what is known of either is still there.
        assert [sorted(title for _, title in rows) for rows in addresses(world).values()] == [["Ann", "Bea"]] * 2
    assert world.run() == 0, world.writes


@pytest.mark.story
@pytest.mark.parametrize(("first", "here"), ORIGINS)
def test_who_takes_over_an_address_is_made_nowhere_a_second_time(first: str, here: str, tmp_path: Path) -> None:
    world, ann, bea = ann_and_bea(first, here, tmp_path)
    world[here].set(ann, {"email": "new@people.example"})
    world[here].set(bea, {"email": "ann@people.example"})
    for _ in range(3):
        world.run()
        assert counts(world) == [2, 2], created(world)
    assert world.run() == world.run(incremental=True) == 0, world.writes
    assert [record.values["title"] for record in (ann, bea)] == ["Ann", "Bea"]


@pytest.mark.story
def test_a_value_that_somebody_puts_back_after_a_run_died_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    (person,) = in_step(world, 1)
    for here, there in (CRMS, CRMS[::-1]):
        before = person[here].values["title"]
        world[here].set(person[here], {"title": "Head"})
        world.run(remembers=False)
        assert person[there].values["title"] == "Head"
        world[here].set(person[here], {"title": before})
        world.run()
        assert [person[crm].values["title"] for crm in CRMS] == [before] * 2
        assert world.run() == 0, world.writes


@pytest.mark.story
def test_a_conversion_after_the_deletion_makes_the_person_again(tmp_path: Path) -> None:
    world = World(tmp_path, sources=(PERSPECTIVE, *CRMS))
    people = in_step(world, 2, first=PERSPECTIVE)
    for person in people:
        del world[HUBSPOT].records[person[HUBSPOT].id]
    world.run()
    assert not world[HUBSPOT].records
    world[PERSPECTIVE].comes(people[0][PERSPECTIVE].email, title="Buyer", phone="+49 30 1")
    world.run()
    assert [record.email for record in world[HUBSPOT].records.values()] == ["p0@people.example"]
    assert world.run() == world.run(incremental=True) == 0, world.writes


@pytest.mark.story
def test_a_record_that_the_sync_made_late_is_no_sign_of_a_person_who_was_deleted(tmp_path: Path) -> None:
    world = World(tmp_path, sources=(PERSPECTIVE, *CRMS))
    for number in range(3):
        world[PERSPECTIVE].comes(f"p{number}@people.example", title="Buyer")
    real = world._write
    # At first only one of the two takes the person.
    world._write = lambda crm, row: (  # type: ignore[method-assign]
        WriteResult(email_key=row.email_key, outcome="failed", refused=True)
        if crm.source == PERSISTIQ and row.email_key == "p0@people.example"
        else real(crm, row)
    )
    world.run()
    (record,) = world[HUBSPOT].of("p0@people.example")
    del world[HUBSPOT].records[record.id]
    world.run()
    world._write = real  # type: ignore[method-assign]
    world.run()
    assert len(world[PERSISTIQ].of("p0@people.example")) == 1
    assert world.run() == 0, world.writes
    assert world[HUBSPOT].of("p0@people.example") == []


@pytest.mark.story
def test_a_write_that_was_refused_is_tried_again_and_undone_by_nobody(tmp_path: Path) -> None:
    world = World(tmp_path)
    (person,) = in_step(world, 1)
    world[PERSISTIQ].set(person[PERSISTIQ], {"title": "Head"})
    world.refuses = {"p0@people.example"}
    assert [world.run() for _ in range(2)] == [0, 0]
    assert (person[HUBSPOT].values["title"], person[PERSISTIQ].values["title"]) == ("Buyer", "Head")
    world.refuses.clear()
    world.run()
    assert (person[HUBSPOT].values["title"], person[PERSISTIQ].values["title"]) == ("Head", "Head")
    assert world.run() == 0


@pytest.mark.story
def test_an_edit_while_the_run_goes_on_is_seen_by_the_next(tmp_path: Path) -> None:
    world = World(tmp_path)
    (person, other) = in_step(world, 2)
    world[PERSISTIQ].set(person[PERSISTIQ], {"title": "Head"})

    def meanwhile(step: str) -> None:
        if step == "plan:persistiq":
            world[HUBSPOT].set(person[HUBSPOT], {"phone": "+49 30 2"})
            world[PERSISTIQ].set(other[PERSISTIQ], {"title": "Chief"})

    world.run(meanwhile=meanwhile)
    world.run(incremental=True)
    for crm in CRMS:
        assert person[crm].values == {"title": "Head", "phone": "+49 30 2"}
        assert other[crm].values["title"] == "Chief"
    assert world.run() == 0


@pytest.mark.parametrize("order", [pytest.param(list, marks=pytest.mark.memory), lambda rows: rows[::-1]])
def test_the_order_of_what_is_read_decides_nothing(tmp_path: Path, order: Callable[[list[Any]], list[Any]]) -> None:
    world = World(tmp_path, order=order)
    people = in_step(world, 6)
    for number, person in enumerate(people):
        world[PERSISTIQ].set(person[PERSISTIQ], {"title": "Head", "email": f"m{number}@people.example"})
        world[HUBSPOT].set(person[HUBSPOT], {"title": "Chief", "phone": None if number % 2 else "+49 30 2"})
    world.run()
    titles = [(person[HUBSPOT].values["title"], person[PERSISTIQ].values["title"]) for person in people]
    phones = [(person[HUBSPOT].values.get("phone"), person[PERSISTIQ].values.get("phone")) for person in people]
    assert (titles, phones, counts(world)) == (TITLES, PHONES, [6, 6])
    assert world.run() == 0


TITLES = [("Chief", "Chief")] * 6
PHONES = [("+49 30 2", "+49 30 2"), (None, "+49 30 1")] * 3


# Bad memories ---------------------------------------------------------------------------------------------------------


def damaged(folder: Path, how: str) -> None:
    (manifest,) = folder.glob("generation-*.json")
    (rows,) = folder.glob("generation-*.parquet")
    match how:
        case "no rows":
            rows.unlink()
        case "half of the rows":
            rows.write_bytes(rows.read_bytes()[: rows.stat().st_size // 2])
        case "no bytes":
            rows.write_bytes(b"")
        case "rows of something else":
            rows.write_bytes((folder.parent / "run1" / f"{HUBSPOT}.parquet").read_bytes())
        case "other rows":
            manifest.write_bytes(manifest.read_bytes().replace(b'"records":2', b'"records":3'))
        case "half of the manifest":
            manifest.write_bytes(manifest.read_bytes()[:20])
        case "an older version":
            manifest.write_bytes(manifest.read_bytes().replace(b'"version":%d' % VERSION, b'"version":0'))
        case "no pointer":
            (folder / "current.json").unlink()
        case "half of the pointer":
            (folder / "current.json").write_bytes((folder / "current.json").read_bytes()[:10])


DAMAGES = (
    "no rows", "half of the rows", "no bytes", "rows of something else", "other rows", "half of the manifest",
    "an older version", "no pointer", "half of the pointer",
)  # fmt: skip


def test_a_damaged_memory_is_no_past_at_all(tmp_path: Path) -> None:
    world = World(tmp_path)
    (person,) = in_step(world, 1)
    folder = Path(str(world.memory.path))
    whole = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert world.memory.current()[0] is not None
    for how in DAMAGES:
        damaged(folder, how)
        generation, reason = world.memory.current()
        assert (generation, bool(reason)) == (None, True), how
        for path, content in whole.items():
            path.write_bytes(content)
    damaged(folder, "half of the rows")
    world[PERSISTIQ].set(person[PERSISTIQ], {"title": "Head"})
    world.run()
    assert "not a readable Parquet file" in str(world.recall.first)
    world[PERSISTIQ].set(person[PERSISTIQ], {"title": "Head"})
    world.run()
    assert (world.recall.first, counts(world)) == (None, [1, 1])
    assert person[HUBSPOT].values["title"] == "Head"


def test_a_memory_of_another_account_is_no_past_and_not_mixed_with_the_new_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    in_step(world, 3)
    # The same connection, another account: other people, some under ids that the old one had.
    old = dict(world[HUBSPOT].records)
    world[HUBSPOT].records.clear()
    stranger = world[HUBSPOT].comes("stranger@people.example", title="Clerk")
    world[HUBSPOT].records.pop(stranger.id)
    stranger.id = next(iter(old))
    world[HUBSPOT].records[stranger.id] = stranger
    world.run(accounts={HUBSPOT: True})
    assert world.recall.first
    # Nobody was deleted: the three are made in the new account, and the stranger comes to the other CRM.
    assert counts(world) == [4, 4]
    assert world.run() == 0
    assert world.recall.first is None
    assert {scope["gone"] for scope in status(world.memory)["scopes"]} == {0}


@pytest.mark.story
def test_two_runs_at_once_are_one_too_many(tmp_path: Path) -> None:
    world = World(tmp_path)
    (person,) = in_step(world, 1)
    world[PERSISTIQ].set(person[PERSISTIQ], {"title": "Head"})
    inner: list[int] = []

    def meanwhile(step: str) -> None:
        if step == "remember" and not inner:
            inner.append(1)
            world.run()
            world.runs = 50

    with pytest.raises(SyncMemoryError, match="another run has remembered"):
        world.run(meanwhile=meanwhile)
    assert world.run() == 0


def test_older_generations_go_and_what_counts_stays(tmp_path: Path) -> None:
    folder, now = Folder(tmp_path / "memory"), datetime(2026, 1, 1, tzinfo=UTC)
    folder.open()
    for number in range(1, 8):
        name = f"generation-{number:06}.parquet"
        write_rows(folder.path / name, Row, ())
        folder.publish(
            Generation(number=number, sync="s", run="r", at=now, since=now, files=[name], records=0, probe="")
        )
    names = {path.name for path in (tmp_path / "memory").glob("generation-*")}
    assert names == {f"generation-{number:06}.{kind}" for number in (5, 6, 7) for kind in ("json", "parquet")}
    # What a killed run left is nothing that could push out what counts.
    for number in (90, 91, 92):
        (tmp_path / "memory" / f"generation-{number:06}.json").write_bytes(b"{}")
    folder.prune(keep=1)
    current, _ = folder.current()
    assert current is not None
    assert current.number == 7
    assert not (tmp_path / "memory" / "generation-000006.json").exists()


class Row(msgspec.Struct):
    source: str = ""
    source_scope: str = ""
    source_id: str = ""
    person: int = 0
    email_hash: int = 0
    made: bool = False


@pytest.mark.parametrize(("deaths", "incremental"), [(1, False), pytest.param(2, True, marks=pytest.mark.story)])
def test_whose_address_changes_before_a_died_run_is_remembered_is_not_made_again(
    tmp_path: Path, deaths: int, incremental: bool
) -> None:
    world = World(tmp_path, sources=(PERSPECTIVE,), writable=(HUBSPOT,))
    world[PERSPECTIVE].comes("first@people.example")
    world.run()
    world[PERSPECTIVE].comes("ada@people.example", title="Head")
    for _ in range(deaths):
        world.run(dies="results:hubspot")
    (ada,) = world[HUBSPOT].of("ada@people.example")
    world[HUBSPOT].set(ada, {"email": "ada@elsewhere.example"})

    world.run(incremental=incremental)

    assert sorted(record.email for record in world[HUBSPOT].records.values()) == [
        "ada@elsewhere.example",
        "first@people.example",
    ]


@pytest.mark.story
@pytest.mark.parametrize("dies", ["results:persistiq", pytest.param("remember", marks=pytest.mark.memory)])
def test_what_people_do_after_a_first_run_that_died_is_as_safe_as_later(tmp_path: Path, dies: str) -> None:
    world = World(tmp_path)
    for name in ("edited", "cleared", "deleted", "moved", "left"):
        world[HUBSPOT].comes(f"{name}@people.example", title="Buyer")
    world.run(dies=dies)
    crm = world[PERSISTIQ]
    copies = {record.email.partition("@")[0]: record for record in crm.records.values()}
    crm.set(copies["edited"], {"title": "Head"})
    crm.set(copies["cleared"], {"title": None})
    crm.set(copies["moved"], {"email": "elsewhere@people.example"})
    del crm.records[copies["deleted"].id]

    world.run()

    def titles(source: str) -> dict[str, str | None]:
        return {r.email.partition("@")[0]: r.values.get("title") for r in world[source].records.values()}

    assert titles(PERSISTIQ) == {"edited": "Head", "cleared": None, "elsewhere": "Buyer", "left": "Buyer"}
    originals = dict.fromkeys(("cleared", "deleted", "moved", "left"), "Buyer")
    assert titles(HUBSPOT) == {"edited": "Head", **originals}
    assert world.run() == 0


@pytest.mark.story
def test_an_edit_that_a_died_run_copied_stays_where_the_record_of_its_author_is_not_seen(tmp_path: Path) -> None:
    world = World(tmp_path, sources=(PERSPECTIVE, HUBSPOT, PERSISTIQ))
    conversion = world[PERSPECTIVE].comes("ada@people.example", title="Buyer")
    world.run()
    (lead,), (contact,) = (world[crm].of("ada@people.example") for crm in (PERSISTIQ, HUBSPOT))
    world[PERSISTIQ].set(lead, {"title": "Head"})
    world.run(dies="plan:persistiq", incremental=True)
    # By its new address the next incremental run doesn't find the record.
    world[PERSISTIQ].set(lead, {"email": "ada@elsewhere.example"})
    world.run()
    world[PERSPECTIVE].set(conversion, {"phone": "+49 30 1"})

    world.run(incremental=True)

    assert (contact.values["title"], lead.values["title"]) == ("Head", "Head")
    assert world.run() == 0


@pytest.mark.parametrize(
    ("phone", "author"),
    [(None, HUBSPOT),
     *(pytest.param(*pair, marks=pytest.mark.story)
       for pair in (("+49 30 2", HUBSPOT), ("+49 30 2", PERSISTIQ), (None, PERSISTIQ)))],
)  # fmt: skip
def test_an_edit_right_after_a_copy_is_not_undone_by_the_form_in_which_the_copy_is_kept(
    tmp_path: Path, author: str, phone: str | None
) -> None:
    world = World(tmp_path)
    other = HUBSPOT if author == PERSISTIQ else PERSISTIQ
    world[other].stores = lambda name, value: value.replace(" ", "")
    record = world[author].comes("ada@people.example", phone="+49 30 1")
    world.run()
    world[author].set(record, {"phone": phone})

    world.run()

    (copy,) = world[other].of("ada@people.example")
    # By default what is cleared in one CRM is nobody else's business.
    assert (record.values.get("phone"), copy.values["phone"]) == (phone, "+49302" if phone else "+49301")
    assert world.run() == 0


@pytest.mark.story
def test_a_sync_of_many_properties_remembers_each_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"properties.q{number:03}" for number in range(70)]
    monkeypatch.setattr("people_at_work.FIELDS", ("title", *names))
    world = World(tmp_path)
    contact = world[HUBSPOT].comes("ada@people.example")
    world[HUBSPOT].set(contact, dict.fromkeys(names, "as it was"))
    world.run()
    (lead,) = world[PERSISTIQ].of("ada@people.example")
    edits = {names[0]: "first", names[-1]: "last"}
    world[PERSISTIQ].set(lead, edits)

    world.run()

    assert {name: contact.values[name] for name in names} == {**dict.fromkeys(names, "as it was"), **edits}
    assert world.run() == 0


@pytest.mark.story
@pytest.mark.parametrize(
    ("names", "mapping"),
    [
        pytest.param(["q", "q_until"], {}, id="one ends as a column of the other"),
        pytest.param(["Q", "q", "Ä^"], {}, id="but for capital letters"),
        pytest.param(["q"], {PERSISTIQ: {"q": "Q"}}, id="the destination's has a capital letter"),
    ],
)
def test_properties_whose_names_are_alike_are_kept_apart(
    tmp_path: Path, names: list[str], mapping: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [f"properties.{name}" for name in names]
    monkeypatch.setattr("people_at_work.FIELDS", ("title", *fields))
    world = World(tmp_path, names=mapping or None)
    contact = world[HUBSPOT].comes("ada@people.example")
    world[HUBSPOT].set(contact, dict.fromkeys(fields, "as it was"))
    world.run()
    assert world.run() == 0
    (lead,) = world[PERSISTIQ].of("ada@people.example")
    copies = [f"properties.{mapping.get(PERSISTIQ, {}).get(name, name)}" for name in names]
    assert [lead.values[copy] for copy in copies] == ["as it was"] * len(names)
    world[HUBSPOT].set(contact, {fields[0]: "edited"})

    world.run()

    assert [lead.values[copy] for copy in copies] == ["edited", *["as it was"] * (len(names) - 1)]
    assert world.run() == 0
