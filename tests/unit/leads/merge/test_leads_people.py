"""Who is one person beyond one address, seen in what a merge makes of it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from leads_rows import JANUARY, JUNE, lead, merged

from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.model.identity import IdentityRules
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, MERGED_IDS_PROPERTY, Lead

PHONE, OTHER_PHONE = "+493023125001", "+493023125002"


def told(*, aliases: Sequence[str] = (), merged_ids: Sequence[str] = ()) -> str:
    return msgspec.json.encode({ALIASES_PROPERTY: aliases, MERGED_IDS_PROPERTY: merged_ids}).decode()


def policy(**rules: Any) -> MergePolicy:
    return MergePolicy(identity=IdentityRules(**rules))


def phones(**rules: Any) -> MergePolicy:
    return policy(match_on=("email", "phone"), **rules)


def people(outputs: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Return for each person the ids of its records, under its address."""
    found: dict[str, list[str]] = {}
    for member in outputs["members"]:
        found.setdefault(member["email_key"], []).append(member["source_id"])
    assert sorted(found) == sorted(row["email_key"] for row in outputs["golden"])
    return {key: " ".join(sorted(ids)) for key, ids in sorted(found.items())}


def rejected(outputs: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    return {row["source_id"]: row["reason"] for row in outputs["rejects"]}


Case = tuple[MergePolicy, list[Lead], dict[str, str], dict[str, str]]

CASES: dict[str, Case] = {
    "a secondary address joins": (
        MergePolicy(),
        [lead("1", "a@x.de", properties=told(aliases=["b@x.de"])), lead("2", "b@x.de"), lead("3", "c@x.de")],
        {"a@x.de": "1 2", "c@x.de": "3"}, {},
    ),
    "a secondary address that nobody has joins those who list it": (
        MergePolicy(),
        [lead("1", "a@x.de", properties=told(aliases=["z@x.de"])),
         lead("2", "b@x.de", properties=told(aliases=["z@x.de"]))],
        {"a@x.de": "1 2"}, {},
    ),
    "a secondary address of a record without address joins nobody": (
        MergePolicy(),
        [lead("1", None, properties=told(aliases=["b@x.de"])), lead("2", "b@x.de")],
        {"b@x.de": "2"}, {"1": "no_email"},
    ),
    "a merged id joins": (
        MergePolicy(),
        [lead("1", "a@x.de", properties=told(merged_ids=["2", "99"])), lead("2", "b@x.de")],
        {"a@x.de": "1 2"}, {},
    ),
    "a merged id of another source or scope is another record": (
        MergePolicy(),
        [lead("1", "a@x.de", properties=told(merged_ids=["2"])),
         lead("2", "b@x.de", source="persistiq"), lead("2", "c@x.de", source_scope="eu")],
        {"a@x.de": "1", "b@x.de": "2", "c@x.de": "2"}, {},
    ),
    "a merged id of a record without address": (
        MergePolicy(),
        [lead("1", "a@x.de", properties=told(merged_ids=["2"])), lead("2", None)],
        {"a@x.de": "1"}, {"2": "no_email"},
    ),
    "chains of both": (
        MergePolicy(),
        [lead("1", "m@x.de", properties=told(aliases=["b@x.de"])),
         lead("2", "b@x.de", properties=told(merged_ids=["3"])),
         lead("3", "z@x.de", properties=told(aliases=["a@x.de"])),
         lead("4", "a@x.de", source="persistiq"), lead("5", "q@x.de")],
        # The address of the best record stands for the person.
        {"m@x.de": "1 2 3 4", "q@x.de": "5"}, {},
    ),
    "tags, dots and domains are distinct by default": (
        MergePolicy(),
        [lead("1", "ann@x.de"), lead("2", "ann+a@x.de"), lead("3", "a.b@gmail.com"), lead("4", "ab@gmail.com")],
        {"a.b@gmail.com": "3", "ab@gmail.com": "4", "ann+a@x.de": "2", "ann@x.de": "1"}, {},
    ),
    "tags, dots and domains when asked for": (
        policy(plus_tags=True, gmail_dots=True, domain_aliases={"x.com": "x.de"}),
        [lead("1", "ann@x.de", updated_at=JUNE), lead("2", "ann+a@x.com"), lead("3", "a.b+c@googlemail.com"),
         lead("4", "ab@gmail.com"), lead("5", "a.nn@x.de")],
        {"a.b+c@googlemail.com": "3 4", "a.nn@x.de": "5", "ann@x.de": "1 2"}, {},
    ),
    "rules hold for secondary addresses too": (
        policy(plus_tags=True),
        [lead("1", "a@x.de", properties=told(aliases=["b+1@x.de"])), lead("2", "b+2@x.de")],
        {"a@x.de": "1 2"}, {},
    ),
    "a shared mailbox of one name is one person": (
        MergePolicy(),
        [lead("1", "info@x.de", first_name="Ann", last_name="Lee"),
         lead("2", "info@x.de", first_name=" ann", last_name="LEE ")],
        {"info@x.de": "1 2"}, {},
    ),
    "a shared mailbox without names is one": (
        MergePolicy(), [lead("1", "info@x.de"), lead("2", "info@x.de")], {"info@x.de": "1 2"}, {},
    ),
    "strangers behind a shared mailbox": (
        MergePolicy(),
        [lead("1", "info@x.de", first_name="Ann"), lead("2", "info@x.de", first_name="Bob"), lead("3", "a@x.de")],
        {"a@x.de": "3"}, {"1": "shared_mailbox", "2": "shared_mailbox"},
    ),
    "a shared mailbox with a name partly missing": (
        MergePolicy(),
        [lead("1", "Info+x@x.de", first_name="Ann"), lead("2", "info+x@x.de")],
        {}, {"1": "shared_mailbox", "2": "shared_mailbox"},
    ),
    "a shared mailbox as a secondary address joins nobody": (
        MergePolicy(),
        [lead("1", "a@x.de", properties=told(aliases=["info@x.de"])),
         lead("2", "b@x.de", properties=told(aliases=["info@x.de"])), lead("3", "info@x.de")],
        {"a@x.de": "1", "b@x.de": "2", "info@x.de": "3"}, {},
    ),
    "the secondary addresses of a shared mailbox join nobody": (
        MergePolicy(),
        [lead("1", "info@x.de", properties=told(aliases=["a@x.de"], merged_ids=["3"])), lead("2", "a@x.de"),
         lead("3", "b@x.de")],
        {"a@x.de": "2", "b@x.de": "3", "info@x.de": "1"}, {},
    ),
    "the list of shared mailboxes is the user's": (
        policy(role_addresses=("sales", "desk@x.de")),
        [lead("1", "info@x.de", first_name="Ann"), lead("2", "info@x.de", first_name="Bob"),
         lead("3", "sales@x.de", first_name="Ann"), lead("4", "sales@x.de", first_name="Bob"),
         lead("5", "desk@x.de", first_name="Ann"), lead("6", "desk@x.de"), lead("7", "desk@y.de", first_name="Ann"),
         lead("8", "desk@y.de")],
        {"desk@y.de": "7 8", "info@x.de": "1 2"}, dict.fromkeys("3456", "shared_mailbox"),
    ),
    "no shared mailboxes at all": (
        policy(role_addresses=()),
        [lead("1", "info@x.de", first_name="Ann"), lead("2", "info@x.de", first_name="Bob")], {"info@x.de": "1 2"}, {},
    ),
    "phones join nobody by default": (
        MergePolicy(),
        [lead("1", "a@x.de", phone=PHONE), lead("2", "b@x.de", phone=PHONE), lead("3", None, phone=PHONE)],
        {"a@x.de": "1", "b@x.de": "2"}, {"3": "no_email"},
    ),
    "a phone joins, however it is written": (
        phones(phone_region="DE"),
        [lead("1", "a@x.de", phone="030 23125001"), lead("2", "b@x.de", phone="+49 (0)30 / 2312 5001"),
         lead("3", "c@x.de", phone="n/a"), lead("4", "d@x.de", phone="n/a")],
        {"a@x.de": "1 2", "c@x.de": "3", "d@x.de": "4"}, {},
    ),
    "a record with a phone only joins the person who has it": (
        phones(),
        [lead("1", None, phone=PHONE, updated_at=JUNE), lead("2", "b@x.de", phone=PHONE), lead("3", "?", phone=PHONE)],
        {"b@x.de": "1 2 3"}, {},
    ),
    "records with the same phone but no address": (
        phones(),
        [lead("1", None, phone=PHONE), lead("2", "n/a", phone=PHONE), lead("3", None, phone="123")],
        {}, {"1": "no_email", "2": "invalid_email", "3": "no_email"},
    ),
    "a secondary address of a record with a phone only": (
        phones(),
        [lead("1", None, phone=PHONE, properties=told(aliases=["b@x.de"])), lead("2", "b@x.de"),
         lead("3", None, phone=OTHER_PHONE, properties=told(aliases=["z@x.de"]))],
        {"b@x.de": "1 2"}, {"3": "no_email"},
    ),
    "a chain over phones and addresses": (
        phones(),
        [lead("1", "a@x.de", phone=PHONE), lead("2", "b@x.de", phone=PHONE), lead("3", "b@x.de", phone=OTHER_PHONE),
         lead("4", None, phone=OTHER_PHONE), lead("5", "c@x.de", properties=told(aliases=["b@x.de"]))],
        {"a@x.de": "1 2 3 4 5"}, {},
    ),
    "the phone of a shared mailbox joins nobody": (
        phones(),
        [lead("1", "info@x.de", phone=PHONE), lead("2", "a@x.de", phone=PHONE)], {"a@x.de": "2", "info@x.de": "1"}, {},
    ),
    "a switchboard joins nobody": (
        phones(max_emails_per_phone=2),
        [*(lead(str(number), f"{name}@x.de", phone=PHONE) for number, name in enumerate("abc")),
         lead("3", None, phone=PHONE), lead("4", "d@x.de", phone=OTHER_PHONE), lead("5", "e@x.de", phone=OTHER_PHONE)],
        {"a@x.de": "0", "b@x.de": "1", "c@x.de": "2", "d@x.de": "4 5"}, {"3": "no_email"},
    ),
    "row 32: extensions are other people": (
        phones(),
        [lead("1", "a@x.de", phone="+1 212 736 5000 x12"), lead("2", "b@x.de", phone="+1 212 736 5000 x34"),
         lead("3", "c@x.de", phone="+1 212-736-5000 ext. 12"), lead("4", "d@x.de", phone="+1 212 736 5000")],
        {"a@x.de": "1 3", "b@x.de": "2", "d@x.de": "4"}, {},
    ),
    "row 33: a chain of shared numbers": (
        phones(max_emails_per_phone=3),
        [lead(f"{n}{m}", f"{n}@x.de", phone=f"+4930231250{place:02}") for n, m, place in
         [*((name, side, number + side) for number, name in enumerate("abcd") for side in (0, 1)),
          ("y", 0, 50), ("z", 0, 50)]],
        {"a@x.de": "a0 a1", "b@x.de": "b0 b1", "c@x.de": "c0 c1", "d@x.de": "d0 d1", "y@x.de": "y0 z0"}, {},
    ),
    "row 33: names that differ": (
        phones(max_emails_per_phone=4),
        [lead("1", "a@x.de", phone=PHONE, first_name="Ann", last_name="Lee"),
         lead("2", "b@x.de", phone=PHONE, first_name=" ann", last_name="LEE"),
         lead("3", "c@x.de", phone=PHONE, first_name="Bob", last_name="Lee"),
         lead("4", None, phone=PHONE, first_name="Bob", last_name="Lee"), lead("5", None, phone=PHONE),
         lead("6", "f@x.de", phone=PHONE)],
        {"a@x.de": "1 2", "c@x.de": "3 4", "f@x.de": "6"}, {"5": "no_email"},
    ),
    "row 33: part of a name": (
        phones(),
        [lead("1", "a@x.de", phone=PHONE, first_name="Ann", last_name="Lee"),
         lead("2", None, phone=PHONE, first_name="Ann"), lead("3", "b@x.de", phone=PHONE)],
        {"a@x.de": "1 2 3"}, {},
    ),
    "row 33: names that differ along a chain": (
        phones(),
        [lead("1", "a@x.de", phone=PHONE, first_name="Ann"), lead("2", "b@x.de", phone=PHONE),
         lead("3", "b@x.de", phone=OTHER_PHONE), lead("4", "c@x.de", phone=OTHER_PHONE, first_name="Bob")],
        {"a@x.de": "1", "b@x.de": "2 3", "c@x.de": "4"}, {},
    ),
    "row 31: one spelling": (
        MergePolicy(),
        [lead("1", "İbrahim@x.com"), lead("2", "ibrahim@x.com"), lead("3", "i̇brahim@x.com"),
         lead("4", "\u202aibrahim@x.com\u202c"), lead("5", "ibra\u200ehim@x.com")],
        {"ibrahim@x.com": "1 2 3 4 5"}, {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_who_is_one_person(name: str, tmp_path: Path) -> None:
    rules, leads, expected, reasons = CASES[name]
    outputs, counts = merged(tmp_path, leads, policy=rules)
    assert people(outputs) == expected
    assert rejected(outputs) == reasons
    assert counts["members"] + counts["rejects"] == counts["inputs"] == len(leads)


@pytest.mark.parametrize(("limit", "shared"), [(2, 1), (3, None)])
def test_switchboards_are_counted(limit: int, shared: int | None, tmp_path: Path) -> None:
    leads = [lead(name, f"{name}@x.de", phone=PHONE) for name in "abc"]
    # The same address twice is one address.
    _, counts = merged(tmp_path, [*leads, lead("d", "a@x.de", phone=PHONE)], policy=phones(max_emails_per_phone=limit))
    assert counts.get("shared_phones") == shared
    assert counts["golden"] == (3 if shared else 1)


def test_a_golden_row_keeps_the_secondary_addresses_of_all_records(tmp_path: Path) -> None:
    leads = [
        lead("1", "a@x.de", properties=told(aliases=["b@x.de"]), updated_at=JUNE),
        lead("2", "b@x.de", properties=told(aliases=["c@x.de", "b@x.de"]), updated_at=JANUARY),
        lead("3", "c@x.de"),
    ]
    outputs, _ = merged(tmp_path, leads)
    (golden,) = outputs["golden"]
    assert (golden["email_key"], golden["member_count"]) == ("a@x.de", 3)
    assert msgspec.json.decode(golden["properties"])[ALIASES_PROPERTY] == ["b@x.de", "c@x.de"]
    assert {row["address"]: row["rank"] for row in outputs["members"]} == {"a@x.de": 0, "b@x.de": 1, "c@x.de": 2}


def test_a_long_chain_is_followed_to_its_end(tmp_path: Path) -> None:
    names = [f"p{number}@x.de" for number in range(500)]
    leads = [
        lead(str(number), name, properties=told(aliases=[names[number + 1]])) for number, name in enumerate(names[:-1])
    ]
    random.Random(1).shuffle(leads)
    _, counts = merged(tmp_path, [*leads, lead("last", names[-1])])
    assert (counts["golden"], counts["members"]) == (1, 500)


names = st.sampled_from(["a@x.de", "b@x.de", "b+1@x.de", "c@x.de", "d@gmail.com", "info@x.de", None])
joined_lead = st.builds(
    lead,
    st.sampled_from(["1", "2", "3", "4"]),
    names,
    source=st.sampled_from(["hubspot", "persistiq"]),
    phone=st.sampled_from([None, None, PHONE, OTHER_PHONE, "030 23125003"]),
    first_name=st.sampled_from([None, "Ann"]),
    properties=st.builds(
        lambda aliases, ids: told(aliases=aliases, merged_ids=ids),
        st.lists(names.filter(bool), max_size=1),
        st.lists(st.sampled_from(["2", "3"]), max_size=1),
    )
    | st.none(),
)


def _components(leads: Iterable[Lead], outputs: dict[str, list[dict[str, Any]]]) -> None:
    """No address is in two golden rows, and none is lost on the way."""
    owner: dict[str, str] = {}
    for member in outputs["members"]:
        if member["address"] is not None:
            assert owner.setdefault(member["address"], member["email_key"]) == member["email_key"]
    refused = {row["email"] for row in outputs["rejects"]}
    assert {row.email for row in leads if row.email} <= set(owner) | refused


# No shrinking: at several merges a try it would take minutes.
@settings(max_examples=4, deadline=None, phases=[Phase.reuse, Phase.generate])
@given(
    st.lists(joined_lead, min_size=6, max_size=16),
    st.sampled_from([MergePolicy(), phones(phone_region="DE", plus_tags=True, max_emails_per_phone=2)]),
    st.randoms(use_true_random=False),
)
def test_order_and_files_never_decide_who_is_one_person(
    tmp_path_factory: pytest.TempPathFactory, leads: list[Lead], rules: MergePolicy, rng: Any
) -> None:
    whole, counts = merged(tmp_path_factory.mktemp("whole"), leads, policy=rules)
    files: list[list[Lead]] = [[] for _ in range(rng.randint(1, 3))]
    for row in rng.sample(leads, len(leads)):
        rng.choice(files).append(row)
    parted, counts_parted = merged(tmp_path_factory.mktemp("parted"), *files, policy=rules)
    for name in whole:
        assert sorted(map(repr, parted[name])) == sorted(map(repr, whole[name])), name
    assert counts_parted == counts
    assert counts["members"] + counts["rejects"] == counts["inputs"] == len(leads)
    _components(leads, whole)


@settings(max_examples=4, deadline=None, phases=[Phase.reuse, Phase.generate])
@given(
    st.lists(joined_lead, min_size=6, max_size=16),
    st.sampled_from([MergePolicy(), phones(phone_region="DE", plus_tags=True, max_emails_per_phone=9)]),
)
def test_merging_golden_records_again_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, leads: list[Lead], rules: MergePolicy
) -> None:
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    merged(first, leads, policy=rules)
    once = list(read_rows(str(first / "golden.parquet"), Lead))
    outputs, _ = merged(second, once, policy=rules)
    again = list(read_rows(str(second / "golden.parquet"), Lead))
    assert sorted(again, key=lambda row: row.source_id) == sorted(once, key=lambda row: row.source_id)
    assert (outputs["conflicts"], outputs["rejects"]) == ([], [])


@pytest.mark.parametrize("rules", [{}, {"plus_tags": True}, {"match_on": ("email", "phone")}])
def test_who_objected_in_a_record_without_a_usable_address_has_objected(tmp_path: Path, rules: dict[str, Any]) -> None:
    rows = [
        lead("1", "ann@x.de, bob@y.de", opted_out=True, phone=PHONE),
        lead("2", "mailto:carl@x.de", opted_out=True),
        lead("3", "dora@x.de; emil@x.de", opted_out=False),
        *(lead(str(n), key) for n, key in enumerate(("ann@x.de", "bob@y.de", "carl@x.de", "dora@x.de"), 4)),
    ]
    outputs, _ = merged(tmp_path, rows, policy=policy(**rules))
    objecting = {row["email_key"] for row in outputs["golden"] if row["opted_out"]}
    assert objecting == {"ann@x.de", "bob@y.de", "carl@x.de"}
