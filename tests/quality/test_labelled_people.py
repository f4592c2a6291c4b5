"""The yardstick itself: it is only worth something when it is right."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest
from labelled_people import IMPORTED, SWITCHBOARDS, clusters, people, winners
from merge_scores import PairScore, pair_score
from people_spellings import LOOKALIKES, PHONE_SPELLINGS, SPELLINGS, canonical, mistyped

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import Lead

ADDRESSES = [
    ("ann", "example.org"),
    ("zoë", "bücher-shop.de"),
    ("noël.two.7", "weiß-gmbh.de"),
    ("max3", "tōkyō.example"),
]
LATER = IMPORTED + timedelta(days=1)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_gives_the_address_s_key(spelling: str) -> None:
    for address in ADDRESSES:
        for seed in range(5):
            written = SPELLINGS[spelling](*address, random.Random(seed))
            assert email_key(written) == canonical(*address), ascii(written)


@pytest.mark.parametrize("name", LOOKALIKES)
def test_lookalikes_are_two_usable_addresses(name: str) -> None:
    one, other = (email_key(f"{local}@{domain}") for local, domain in LOOKALIKES[name]("ann"))
    assert one and other and one != other


def test_a_mistyped_address_is_usable_and_another() -> None:
    for local, domain in ADDRESSES:
        for seed in range(20):
            assert email_key(f"{local}@{mistyped(domain, random.Random(seed))}") not in (None, canonical(local, domain))


@pytest.mark.parametrize("number", ["15120000007", *SWITCHBOARDS])
def test_every_spelling_of_a_phone_is_one_valid_number(number: str) -> None:
    phonenumbers = pytest.importorskip("phonenumbers")
    parsed = [phonenumbers.parse(spelling(number), "DE") for spelling in PHONE_SPELLINGS]
    assert all(map(phonenumbers.is_valid_number, parsed))
    assert {phonenumbers.format_number(p, phonenumbers.PhoneNumberFormat.E164) for p in parsed} == {f"+49{number}"}


def test_the_same_seed_gives_the_same_people_and_another_seed_others() -> None:
    assert people(50, seed=3) == people(50, seed=3)
    assert people(50, seed=3) != people(50, seed=4)


def test_copies_and_people_tell_the_same_story() -> None:
    labelled = people(600)
    assert len(labelled.people) >= 600
    for number, person in labelled.people.items():
        own = [copy for copy in labelled.copies if copy.person == number]
        assert person.records == {copy.identity for copy in own}
        assert person.opted_out == any(copy.lead.opted_out for copy in own)
        assert person.bounced == any(copy.lead.bounced for copy in own)
        joined = {copy.lead.email_key for copy in own if copy.cluster == str(number)}
        assert joined <= person.addresses
    # A record has one identity, except where an extract holds it twice.
    identities = Counter(copy.identity for copy in labelled.copies)
    twice = {copy.identity for copy in labelled.copies if "read_twice" in copy.spoilt}
    assert {identity for identity, count in identities.items() if count > 1} == twice


def test_every_kind_of_damage_is_there() -> None:
    copies = people(3000).copies
    found = Counter(name for copy in copies for name in copy.spoilt)
    expected = {
        *SPELLINGS, *LOOKALIKES, "secondary_address", "chain", "merged_ids", "shared_mailbox", "own_role_address",
        "role_alias", "typo", "phone_only", "invalid_email", "swapped_names", "no_time", "import_time", "opted_out",
        "bounced", "read_twice",
    }  # fmt: skip
    assert set(found) == expected
    assert min(found.values()) >= 10
    assert found["import_time"] >= 2000
    assert Counter(copy.reason for copy in copies).keys() == {None, "no_email", "invalid_email", "shared_mailbox"}
    # The same id stands for strangers in other accounts, or merged ids would be no test.
    assert len({copy.lead.source_id for copy in copies}) < len({copy.identity for copy in copies}) / 3


def test_a_cluster_is_never_of_two_people() -> None:
    labelled = people(1000)
    person = {copy.identity: copy.person for copy in labelled.copies}
    for leads in clusters(labelled.copies).values():
        assert len({person[lead.source, lead.source_scope, lead.source_id] for lead in leads}) == 1


def _lead(source: str = "hubspot", scope: str = "a", source_id: str = "1", city: str | None = "Bonn", **more) -> Lead:
    return Lead(source=source, source_scope=scope, source_id=source_id, city=city, **more)


@pytest.mark.parametrize(
    ("best", "other", "priority"),
    [
        (_lead(updated_at=LATER), _lead(source_id="0", updated_at=IMPORTED), ()),
        (_lead(updated_at=IMPORTED), _lead(source_id="0"), ()),
        (_lead(), _lead(source_id="0", city=None, updated_at=LATER), ()),
        (_lead("persistiq"), _lead("hubspot", updated_at=LATER), ("persistiq",)),
        (_lead("persistiq"), _lead("crm", updated_at=LATER), ("hubspot", "persistiq")),
        (_lead("hubspot"), _lead("persistiq", "0", "0"), ()),
        (_lead(scope="a", source_id="2"), _lead(scope="b", source_id="1"), ()),
        (_lead(source_id="10"), _lead(source_id="9"), ()),
    ],
    ids=["newest", "unknown time", "absent", "priority", "unlisted", "source", "scope", "id"],
)  # fmt: skip
def test_the_reference_picks_the_winner(best: Lead, other: Lead, priority: tuple[str, ...]) -> None:
    for leads in ([best, other], [other, best]):
        assert winners(leads, priority)["city"] is best


def test_the_reference_has_no_winner_where_nobody_knows() -> None:
    assert "state" not in winners([_lead()])


@pytest.mark.parametrize(
    ("truth", "placed", "score"),
    [
        ({1: "a", 2: "a", 3: "b"}, {1: "x", 2: "x", 3: "y"}, PairScore(1, 1, 1)),
        ({1: "a", 2: "a", 3: "b"}, {1: "x", 2: "y", 3: "y"}, PairScore(0, 1, 1)),
        ({1: "a", 2: "a", 3: "a", 4: "b"}, {1: "x", 2: "x", 3: "x", 4: "x"}, PairScore(3, 6, 3)),
        ({1: "a", 2: "a", 3: "a"}, {1: "x", 2: "x"}, PairScore(1, 1, 3)),
    ],
    ids=["right", "wrong pair", "all in one", "one left out"],
)
def test_pair_score(truth: dict[int, str], placed: dict[int, str], score: PairScore) -> None:
    assert pair_score(truth, placed) == score


def test_shares_of_nothing_are_whole() -> None:
    nothing = pair_score({}, {})
    assert (nothing.precision, nothing.recall) == (1.0, 1.0)
