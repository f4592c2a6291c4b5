from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from leads_rows import JANUARY, JUNE, lead

from airflow_providers_leads.leads.files.staging import StagingError, write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, PROFILE_FIELDS, Lead
from airflow_providers_leads.leads.plan.planning import (
    MODES,
    Held,
    PlanRules,
    check_mode,
    iter_plan,
    plan_row,
)
from airflow_providers_leads.leads.plan.property_types import TEXT
from airflow_providers_leads.leads.plan.suppression import DO_NOT_CONTACT, Suppressions

WRITABLE = frozenset({"first_name", "phone", "city"})
KEY = "ann@example.org"
_numbers = itertools.count()


def rules(mode: Any = "update", *, writable: Iterable[str] = WRITABLE, blocked: Iterable[str] = ()) -> PlanRules:
    suppressions = Suppressions()
    for domain in blocked:
        assert suppressions.add_domain(domain, DO_NOT_CONTACT)
    return PlanRules(mode=mode, writable=frozenset(writable), suppressions=suppressions)


def person(**fields: Any) -> Lead:
    return lead(KEY, source="golden", **fields)


def aliases(*keys: str) -> str:
    return msgspec.json.encode({ALIASES_PROPERTY: keys}).decode()


def row(action: Any, reason: str | None = None, target_id: str | None = "7", **rest: Any) -> PlanRow:
    scope = rest.pop("target_scope", "s" if target_id else None)
    return PlanRow(email_key=KEY, action=action, reason=reason, target_id=target_id, target_scope=scope, **rest)


def at(**fields: Any) -> Lead:
    """Return what the destination holds."""
    return lead("7", source_scope="s", **fields)


create = row("create", target_id=None)
same = row("unchanged")
PLANS = {
    "new": (person(city="Bonn"), None, rules(), row("create", target_id=None, values={"city": "Bonn"})),
    "new with nothing but an address": (person(), None, rules(), create),
    "new, a field without a place": (person(city="Bonn", status="open"), None, rules(writable=["phone"]), create),
    "new in fill": (person(city="Bonn"), None, rules("fill"), row("create", target_id=None, values={"city": "Bonn"})),
    "new in create_only": (
        person(city="Bonn"), None, rules("create_only"), row("create", target_id=None, values={"city": "Bonn"}),
    ),
    "differs": (
        person(city="Bonn", phone="1"), at(city="Köln", phone="1"), rules(),
        row("update", values={"city": "Bonn"}, before={"city": "Köln"}),
    ),
    "missing there": (
        person(city="Bonn"), at(), rules(), row("update", values={"city": "Bonn"}, before={"city": None}),
    ),
    "differs in case": (
        person(city="BONN"), at(city="Bonn"), rules(), row("update", values={"city": "BONN"}, before={"city": "Bonn"}),
    ),
    "differs where nothing can be written": (person(status="open"), at(status="new"), rules(), same),
    "differs in fill": (person(city="Bonn"), at(city="Köln"), rules("fill"), same),
    "missing there in fill": (
        person(city="Bonn", phone="1"), at(city="Köln"), rules("fill"),
        row("update", values={"phone": "1"}, before={"phone": None}),
    ),
    "empty there in fill": (
        person(phone="1"), at(phone=""), rules("fill"), row("update", values={"phone": "1"}, before={"phone": ""}),
    ),
    "differs in create_only": (person(city="Bonn"), at(city="Köln"), rules("create_only"), same),
    "the same": (person(city="Bonn"), at(city="Bonn"), rules(), same),
    "unknown never clears": (person(city=None), at(city="Köln"), rules(), same),
    "empty never clears": (person(city=""), at(city="Köln"), rules(), same),
    "white space is folded": (person(city=" Bad \u00a0 Ems\n"), at(city="Bad Ems"), rules(), same),
    "addresses in other spellings": (person(email="ANN@Example.org"), at(email=KEY), rules(), same),
    "opted out": (person(opted_out=True, city="Bonn"), None, rules(), row("suppress", "opted_out", None)),
    "opted out there": (person(city="Bonn"), at(opted_out=True), rules(), row("suppress", "opted_out")),
    "opted in there": (person(opted_out=True), at(opted_out=False), rules(), row("suppress", "opted_out")),
    "bounced": (person(bounced=True), at(), rules(), row("suppress", "bounced")),
    "bounced there": (person(), at(bounced=True), rules("create_only"), row("suppress", "bounced")),
    "opted out and bounced": (person(bounced=True), at(opted_out=True), rules(), row("suppress", "opted_out")),
    "neither": (person(opted_out=False, bounced=False), at(opted_out=False, bounced=False), rules(), same),
    "blocked domain": (
        person(), None, rules("fill", blocked=["example.org"]), row("suppress", "do_not_contact_domain", None),
    ),
    "blocked domain, existing": (
        person(), at(), rules(blocked=["example.org"]), row("suppress", "do_not_contact_domain"),
    ),
    "opted out at a blocked domain": (
        person(opted_out=True), None, rules(blocked=["example.org"]), row("suppress", "opted_out", None),
    ),
    "another domain is blocked": (person(), None, rules(blocked=["example.com", "mail.example.org"]), create),
}  # fmt: skip


@pytest.mark.parametrize(("golden", "existing", "by", "expected"), PLANS.values(), ids=PLANS)
def test_plan_row(golden: Lead, existing: Lead | None, by: PlanRules, expected: PlanRow) -> None:
    found = plan_row(golden, Held(existing, int(existing is not None)), by)
    assert found.records == (expected.action in ("update", "unchanged"))
    assert found == msgspec.structs.replace(expected, records=found.records)


@pytest.mark.parametrize("mode", MODES)
def test_a_secondary_address_of_another_record_is_not_created(mode: Any) -> None:
    found = plan_row(person(city="Bonn"), Held(), rules(mode), alias_of="9")
    assert found == PlanRow(email_key=KEY, action="unchanged", reason="secondary_address", target_id="9")


def test_suppression_and_a_record_of_ones_own_go_before_a_secondary_address() -> None:
    assert plan_row(person(opted_out=True), Held(), rules(), alias_of="9").reason == "opted_out"
    assert plan_row(person(city="Bonn"), Held(at(), 1), rules(), alias_of="9").target_id == "7"


@pytest.mark.parametrize(("city", "action"), [("Bonn", "update"), ("Köln", "unchanged")])
def test_duplicates_in_the_destination_are_reported(city: str, action: str) -> None:
    found = plan_row(person(city=city), Held(at(city="Köln"), 3), rules())
    assert (found.action, found.reason, found.records) == (action, "3 records of this address in the destination", 3)


@pytest.mark.parametrize("existing", [None, at(email="ANN@example.org")], ids=["create", "update"])
def test_the_address_itself_is_never_among_the_values(existing: Lead | None) -> None:
    golden = person(**dict.fromkeys(PROFILE_FIELDS, "x"), properties='{"a":1}')
    found = plan_row(
        golden,
        Held(existing, int(existing is not None)),
        rules(writable=[*PROFILE_FIELDS, "email", "email_key", "opted_out"]),
    )
    assert set(found.values) == set(PROFILE_FIELDS)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (None, None, True), (None, "", True), ("", " \t", True), ("a b", " a\u00a0\n b ", True),
        ("ab", "a b", False), ("a", "A", False), ("a", None, False),
    ],
)  # fmt: skip
def test_same_value(left: str | None, right: str | None, same: bool) -> None:
    assert TEXT.same(left, right) is TEXT.same(right, left) is same


@pytest.mark.parametrize("mode", ["", "Update", "upsert"])
def test_an_unknown_mode_is_refused_with_the_known_ones(mode: str) -> None:
    with pytest.raises(ValueError, match="update, fill, create_only"):
        check_mode(mode)
    with pytest.raises(ValueError, match="update, fill, create_only"):
        list(iter_plan("/nowhere/golden.parquet", "/nowhere/existing.parquet", rules(mode)))


def planned(
    golden: list[Lead], existing: list[Lead], by: PlanRules | None = None, *, scope: str | None = None
) -> list[PlanRow]:
    folder = f"memory://plan/{next(_numbers)}"
    write_rows(f"{folder}/golden.parquet", Lead, golden)
    write_rows(f"{folder}/existing.parquet", Lead, existing)
    return list(iter_plan(f"{folder}/golden.parquet", f"{folder}/existing.parquet", by or rules(), scope=scope))


def people(*names: str, **fields: Any) -> list[Lead]:
    return [lead(f"{name}@example.org", f"{name}@example.org", source="golden", **fields) for name in names]


def test_a_plan_is_in_the_order_of_addresses_and_has_every_golden_row() -> None:
    existing = [
        lead("1", "dora@example.org"),
        lead("2", "zoe@example.org"),
        lead("3", None),
        lead("4", "BOB@example.org"),
    ]
    found = planned(people("dora", "bob", "änne", "ann", city="Bonn"), existing)
    assert [(row.email_key.partition("@")[0], row.action, row.target_id) for row in found] == [
        ("ann", "create", None),
        ("bob", "update", "4"),
        ("dora", "update", "1"),
        ("änne", "create", None),
    ]


@pytest.mark.parametrize("existing", [[], [lead("1", None)]], ids=["empty destination", "records without address"])
def test_everybody_is_created_where_nobody_is_known(existing: list[Lead]) -> None:
    assert [row.action for row in planned(people("ann", "bob"), existing)] == ["create", "create"]


def test_who_objected_in_a_record_without_a_usable_address_is_not_created() -> None:
    odd = "b@example.org, z@example.org"
    existing = [lead("7", odd, opted_out=True), lead("8", "c@example.org; y@example.org", opted_out=False)]
    rows = planned(people("a", "b", "c"), existing)
    assert [(row.action, row.reason) for row in rows] == [
        ("create", None),
        ("suppress", "opted_out"),
        ("suppress", "odd_address"),
    ]


def test_no_golden_record_gives_an_empty_plan() -> None:
    assert planned([], [lead()]) == []


DUPLICATES = [
    lead("9", updated_at=JANUARY, city="old"),
    lead("2", updated_at=JUNE, source_scope="b", city="scope"),
    lead("8", updated_at=JUNE, source_scope="a", city="id"),
    lead("5", updated_at=JUNE, source_scope="a", city="chosen"),
    lead("1", city="no time"),
]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["forwards", "backwards"])
@pytest.mark.parametrize(
    ("left_out", "chosen"), [(set(), "5"), ({"5"}, "8"), ({"5", "8"}, "2"), ({"5", "8", "2"}, "9")]
)
def test_of_duplicates_the_same_record_is_chosen_each_time(left_out: set[str], chosen: str, order: slice) -> None:
    existing = [record for record in DUPLICATES[order] if record.source_id not in left_out]
    (found,) = planned(people("ann", city="Bonn"), existing)
    assert (found.action, found.target_id) == ("update", chosen)
    assert found.reason == f"{len(existing)} records of this address in the destination"


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (None, ("update", "2", "3 records of this address in the destination")),
        ("a", ("update", "1", None)),
        ("b", ("update", "2", "2 records of this address in the destination")),
        ("c", ("create", None, None)),
    ],
)
def test_only_records_of_the_scope_count_as_existing(scope: str | None, expected: tuple[Any, ...]) -> None:
    existing = [
        lead("1", source_scope="a", updated_at=JANUARY),
        lead("2", source_scope="b", updated_at=JUNE),
        lead("3", source_scope="b", updated_at=JANUARY),
    ]
    (found,) = planned(people("ann", city="Bonn"), existing, scope=scope)
    assert (found.action, found.target_id, found.reason) == expected


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["forwards", "backwards"])
def test_secondary_addresses_are_known_and_belong_to_one_record_each_time(order: slice) -> None:
    existing = [
        lead("1", "ann@example.org", properties=aliases("ann.lee@example.org", "shared@example.org")),
        lead("2", "bob@example.org", properties=aliases("shared@example.org")),
        lead("3", "own@example.org", properties='{"note":"\\"email_aliases\\""}'),
        lead("4", None, properties=f'{{"{ALIASES_PROPERTY}":null}}'),
    ]
    found = planned(people("ann.lee", "shared", "ann", "new"), existing[order])
    assert [(row.email_key, row.action, row.reason, row.target_id) for row in found] == [
        ("ann.lee@example.org", "unchanged", "secondary_address", "1"),
        ("ann@example.org", "unchanged", None, "1"),
        ("new@example.org", "create", None, None),
        ("shared@example.org", "unchanged", "secondary_address", "1"),
    ]


ODD = (
    "ann@example.org, lee@example.org",
    "mailto:ann@example.org",
    "ann @example.org",
    "ann@example.org;x",
    "x ann@example.org",
)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("mode", MODES)
def test_whom_a_record_names_in_an_odd_form_is_not_made_beside_it(mode: Any, odd: str) -> None:
    existing = [lead("3", odd), lead("4", "bob@example.org"), lead("5", "no address"), lead("6", None)]
    found = planned(people("ann", "bob", "new"), existing, rules(mode))
    assert [(row.email_key, row.action, row.reason, row.target_id) for row in found] == [
        (KEY, "suppress", "odd_address", "3"),
        ("bob@example.org", "unchanged", None, "4"),
        ("new@example.org", "create", None, None),
    ]


def test_a_record_of_ones_own_and_an_objection_go_before_an_odd_one() -> None:
    existing = [lead("3", ODD[0]), lead("7", KEY), lead("8", "bob@example.org, x@example.org", opted_out=True)]
    ann, bob = planned(people("ann", "bob"), existing)
    assert (ann.action, ann.target_id) == ("unchanged", "7")
    assert (bob.action, bob.reason) == ("suppress", "opted_out")


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["forwards", "backwards"])
def test_of_several_odd_records_the_same_is_named_each_time(order: slice) -> None:
    (found,) = planned(people("ann"), [lead("3", ODD[0]), lead("4", ODD[1])][order])
    assert (found.reason, found.target_id) == ("odd_address", "3")


@pytest.mark.parametrize("missing", ["golden", "existing"])
def test_a_file_that_is_not_there_is_named(missing: str, tmp_path: Path) -> None:
    uris = {name: str(tmp_path / f"{name}.parquet") for name in ("golden", "existing")}
    for name in uris.keys() - {missing}:
        write_rows(uris[name], Lead, [])
    with pytest.raises(StagingError, match=f"{missing}.parquet does not exist"):
        list(iter_plan(uris["golden"], uris["existing"], rules()))


class Destination:
    """A CRM in memory: it folds white space and takes what a plan says."""

    def __init__(self, records: list[Lead]) -> None:
        self.records = {(record.source_scope, record.source_id): record for record in records}

    def apply(self, plan: list[PlanRow], scope: str) -> None:
        for row in plan:
            stored: dict[str, Any] = {name: " ".join(value.split()) or None for name, value in row.values.items()}
            if row.action == "create":
                new = lead(f"new{len(self.records)}", row.email_key, source_scope=scope, **stored)
                self.records[new.source_scope, new.source_id] = new
            elif row.action == "update":
                at = (row.target_scope or "", row.target_id or "")
                self.records[at] = msgspec.structs.replace(self.records[at], updated_at=JUNE, **stored)


few_words = st.sampled_from([None, "", " ", "a", "A", "a b", " a \u00a0b"])
few_flags = st.sampled_from([None, None, None, False, True])
keys = st.sampled_from([f"{name}@{domain}" for name in "abcdef" for domain in ("example.org", "blocked.org")])
profile: dict[str, Any] = dict.fromkeys(("first_name", "phone", "city", "status"), few_words)
profile |= dict.fromkeys(("opted_out", "bounced"), few_flags)
golden_people = st.lists(
    st.builds(lambda key, **fields: lead(key, key, source="golden", **fields), keys, **profile),
    unique_by=lambda row: row.source_id,
    min_size=4,
    max_size=10,
)
held_records = st.lists(
    st.builds(
        lead,
        st.sampled_from([str(number) for number in range(12)]),
        keys | st.none(),
        source_scope=st.sampled_from(["a", "b"]),
        updated_at=st.sampled_from([None, JANUARY, JUNE]),
        properties=st.none() | st.builds(aliases, keys),
        **profile,
    ),
    unique_by=lambda record: (record.source_scope, record.source_id),
    max_size=10,
)


@settings(max_examples=6, deadline=None, phases=[Phase.reuse, Phase.generate])
@given(golden_people, held_records, st.sampled_from(MODES), st.sampled_from([None, "a"]))
def test_planning_again_after_a_plan_was_applied_writes_nothing(
    golden: list[Lead], existing: list[Lead], mode: Any, scope: str | None
) -> None:
    by = rules(mode, blocked=["blocked.org"])
    destination = Destination(existing)
    before = dict(destination.records)
    first = planned(golden, existing, by, scope=scope)
    assert [row.email_key for row in first] == sorted(row.source_id for row in golden)
    assert planned(golden[::-1], existing[::-1], by, scope=scope) == first

    destination.apply(first, scope or "a")
    second = planned(golden, list(destination.records.values()), by, scope=scope)
    assert {row.action for row in second} <= {"unchanged", "suppress"}
    assert [row.email_key for row in second if row.action == "suppress"] == [
        row.email_key for row in first if row.action == "suppress"
    ]

    per_key = Counter(
        record.email_key for record in destination.records.values() if scope in (None, record.source_scope)
    )
    held = Counter(record.email_key for record in existing if scope in (None, record.source_scope))
    assert all(per_key[key] == max(1, held[key]) for key in (row.email_key for row in first if row.action == "create"))
    for at, record in before.items():
        after = destination.records[at]
        touched = {name for name in PROFILE_FIELDS if getattr(record, name) != getattr(after, name)}
        assert touched <= by.writable
        assert mode != "create_only" or not touched
        assert mode != "fill" or not any(getattr(record, name) for name in touched)
        assert all(getattr(after, name) for name in touched)
