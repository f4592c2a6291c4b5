"""Labelled people: leads whose person is known, spoilt in the ways in which CRMs spoil them.

Every copy says whom it belongs to and where the default rules must put it, so that identity and merge can be scored.
The expected values come from a reference of a few lines, which shares no code with the merge.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from people_spellings import LOOKALIKES, PHONE_SPELLINGS, SPELLINGS, Address, canonical, mistyped

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import (
    ALIASES_PROPERTY,
    MERGED_IDS_PROPERTY,
    PROFILE_FIELDS,
    STICKY_FIELDS,
    Lead,
)

IMPORTED: Final = datetime(2026, 3, 1, 4, tzinfo=UTC)
"""The one ``updated_at`` that a bulk import gave to a third of all records."""
SWITCHBOARDS: Final = ("303000100", "303000200", "893000300")

Identity = tuple[str, str, str]

_PLACES: Final = (
    ("hubspot", "hubspot_default"), ("hubspot", "hubspot_us"), ("perspective", "funnel_a"),
    ("perspective", "funnel_b"), ("persistiq", "persistiq_default"),
)  # fmt: skip
_FIRST: Final = ("Anna", "Jürgen", "Zoë", "Max", "Lea", "Björn", "Ida", "Noël", "Tom", "Eva", "Paul", "Mia")
_LAST: Final = ("Müller", "Schmidt", "Weiß", "Lindqvist", "Novák", "Ross", "Keller", "Ångström", "Vogel", "Braun")
_DOMAINS: Final = ("example.org", "bücher-shop.de", "weiß-gmbh.de", "gmail.com", "firma.example", "tōkyō.example")
_ROLES: Final = ("info", "noreply", "test")
_NO_ADDRESS: Final = ("n/a", "ann@", "ann(at)example.org", "@example.org", "unknown")
_FIRST_SUBSCRIBER: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class Copy:
    """One record of one CRM with the truth about it.

    :param lead: the record
    :param person: number of the person it belongs to
    :param cluster: label shared by the copies that the default rules must join; ``None``: it belongs to the rejects
    :param reason: why it belongs to the rejects
    :param spoilt: names of what was done to it
    """

    lead: Lead
    person: int
    cluster: str | None
    reason: str | None = None
    spoilt: frozenset[str] = frozenset()

    @property
    def identity(self) -> Identity:
        """The record's source, scope and id."""
        return identity(self.lead)


@dataclass(frozen=True, slots=True)
class Person:
    """What is true of one person over all copies.

    :param records: identities of the copies
    :param addresses: keys of the addresses that the person really has
    :param opted_out: true when any copy is
    :param bounced: true when any copy is
    """

    records: frozenset[Identity]
    addresses: frozenset[str]
    opted_out: bool
    bounced: bool


@dataclass(slots=True)
class LabelledPeople:
    """The copies in random order, and the people they belong to by number."""

    copies: list[Copy] = field(default_factory=list)
    people: dict[int, Person] = field(default_factory=dict)


def identity(lead: Lead) -> Identity:
    """Return a record's source, scope and id."""
    return lead.source, lead.source_scope, lead.source_id


def winners(leads: Iterable[Lead], priority: Sequence[str] = ()) -> dict[str, Lead]:
    """Return the record whose value must survive, per field that any record knows.

    The first present value in the order: source priority, newest ``updated_at`` with unknown last, source, scope, id.

    :param leads: the records of one person
    :param priority: sources, best first; others come after them, on a par
    """

    def place(lead: Lead) -> tuple[Any, ...]:
        rank = priority.index(lead.source) if lead.source in priority else len(priority)
        age = -lead.updated_at.timestamp() if lead.updated_at else float("inf")
        return rank, age, *identity(lead)

    ordered = sorted(leads, key=place)
    first = {name: next((lead for lead in ordered if getattr(lead, name) is not None), None) for name in PROFILE_FIELDS}
    return {name: lead for name, lead in first.items() if lead}


def clusters(copies: Iterable[Copy]) -> dict[str, list[Lead]]:
    """Return the records that the default rules must join, by label."""
    found = defaultdict(list)
    for copy in copies:
        if copy.cluster:
            found[copy.cluster].append(copy.lead)
    return found


def people(count: int, seed: int = 1) -> LabelledPeople:
    """Return labelled people; the same arguments give the same people.

    :param count: people, at least; groups of strangers are never cut
    :param seed: of the random numbers
    """
    maker = _Maker(random.Random(seed))
    kinds, weights = zip(*_KINDS.items(), strict=True)
    while maker.count < count:
        maker.rng.choices(kinds, weights)[0](maker)
    return maker.finish()


class _Maker:
    """The state of one generation: random numbers, the next ids, the copies so far."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.count = 0
        self.copies: list[Copy] = []
        self.addresses: dict[int, set[str]] = {}
        self.profiles: dict[int, dict[str, str]] = {}
        self._ids: dict[tuple[str, str], int] = defaultdict(int)

    def person(self) -> int:
        self.count += 1
        number = self.count
        self.addresses[number] = set()
        self.profiles[number] = {
            **{name: f"{name} {number}" for name in PROFILE_FIELDS},
            "first_name": self.rng.choice(_FIRST),
            # Numbered, so that strangers never share a name.
            "last_name": f"{self.rng.choice(_LAST)}-{number}",
            "phone": f"151{_FIRST_SUBSCRIBER + number * 7}",
            "country": self.rng.choice(("DE", "AT", "US")),
        }
        if self.rng.random() < 0.08:
            self.profiles[number]["phone"] = self.rng.choice(SWITCHBOARDS)
        return number

    def address(self, person: int, tag: str = "") -> Address:
        local = f"{self.profiles[person]['first_name'].lower()}{tag}{person}"
        return local, self.rng.choice(_DOMAINS)

    def copy(
        self, person: int, address: Address | None, *, cluster: str | None = "", reason: str | None = None,
        place: tuple[str, str] | None = None, named: bool = False, properties: Mapping[str, Any] | None = None,
        owned: bool = True,
    ) -> Copy:  # fmt: skip
        """Add a copy at an address, in a random spelling.

        :param cluster: label, default the person's own
        :param named: keep both names as they are
        :param owned: whether the address is truly the person's
        """
        rng, spoilt = self.rng, set()
        source, scope = place or rng.choice(_PLACES)
        self._ids[source, scope] += 1
        email = None
        if address:
            spelling = rng.choice(list(SPELLINGS)) if rng.random() < 0.6 else "plain"
            spoilt.add(spelling)
            email = SPELLINGS[spelling](*address, rng)
            if owned:
                self.addresses[person].add(canonical(*address))
        values = self._profile(person, spoilt, named)
        lead = Lead(
            source=source, source_scope=scope, source_id=str(self._ids[source, scope]), email=email,
            email_key=email_key(email), updated_at=self._time(spoilt), created_at=self._created(),
            properties=msgspec.json.encode(properties).decode() if properties else None, **values,
        )  # fmt: skip
        label = str(person) if cluster == "" else cluster
        made = Copy(lead, person, None if reason else label, reason, frozenset(spoilt))
        self.copies.append(made)
        return made

    def _profile(self, person: int, spoilt: set[str], named: bool) -> dict[str, Any]:
        rng = self.rng
        values: dict[str, Any] = {}
        for name, value in self.profiles[person].items():
            if name == "phone":
                value = rng.choice(PHONE_SPELLINGS)(value)
            elif rng.random() < 0.3 and not (named and name.endswith("_name")):
                value = f"{value} v{rng.randint(1, 3)}"
            absent = rng.random() < 0.3 and not (named and name.endswith("_name"))
            values[name] = None if absent else value
        if not named and rng.random() < 0.05:
            spoilt.add("swapped_names")
            values["first_name"], values["last_name"] = values["last_name"], values["first_name"]
        return values | dict.fromkeys(STICKY_FIELDS) | {rng.choice(STICKY_FIELDS): rng.choice((None, False))}

    def _time(self, spoilt: set[str]) -> datetime | None:
        draw = self.rng.random()
        if draw < 0.15:
            spoilt.add("no_time")
            return None
        if draw < 0.5:
            spoilt.add("import_time")
            return IMPORTED
        return IMPORTED + timedelta(microseconds=self.rng.randint(-(10**13), 10**13))

    def _created(self) -> datetime | None:
        return IMPORTED - timedelta(days=self.rng.randint(1, 900)) if self.rng.random() < 0.7 else None

    def more(self, person: int, addresses: Sequence[Address], at_most: int) -> None:
        """Add up to a number of copies at some of the addresses, and now and then one that nobody can match."""
        rng = self.rng
        for _ in range(rng.randint(0, at_most)):
            local, domain = rng.choice(addresses)
            draw = rng.random()
            if draw < 0.04:
                wrong = (local, mistyped(domain, rng))
                self.copy(person, wrong, cluster=f"{person}/{canonical(*wrong)}", owned=False)
                self.spoil("typo")
            elif draw < 0.07:
                self.copy(person, None, reason="no_email")
                self.spoil("phone_only")
                self.change(phone=PHONE_SPELLINGS[0](self.profiles[person]["phone"]))
            elif draw < 0.09:
                self.copy(person, None, reason="invalid_email")
                self.spoil("invalid_email")
                self.change(email=rng.choice(_NO_ADDRESS))
            else:
                self.copy(person, (local, domain))

    def spoil(self, name: str) -> None:
        """Note what was done to the latest copy."""
        self.copies[-1] = replace(self.copies[-1], spoilt=self.copies[-1].spoilt | {name})

    def change(self, **values: Any) -> None:
        """Change fields of the latest copy's record."""
        self.copies[-1] = replace(self.copies[-1], lead=msgspec.structs.replace(self.copies[-1].lead, **values))

    def finish(self) -> LabelledPeople:
        """Opt one copy of some people out, let one bounce, read some records twice and shuffle."""
        by_person: dict[int, list[int]] = defaultdict(list)
        for place, copy in enumerate(self.copies):
            by_person[copy.person].append(place)
        for places in by_person.values():
            for name in STICKY_FIELDS:
                if self.rng.random() < 0.06:
                    place = self.rng.choice(places)
                    copy = self.copies[place]
                    lead = msgspec.structs.replace(copy.lead, **{name: True})
                    self.copies[place] = replace(copy, lead=lead, spoilt=copy.spoilt | {name})
        found = {
            person: Person(
                records=frozenset(self.copies[place].identity for place in places),
                addresses=frozenset(self.addresses[person]),
                opted_out=any(self.copies[place].lead.opted_out for place in places),
                bounced=any(self.copies[place].lead.bounced for place in places),
            )
            for person, places in by_person.items()
        }
        again = [replace(copy, spoilt=copy.spoilt | {"read_twice"}) for copy in self.copies if self.rng.random() < 0.01]
        copies = self.copies + again
        self.rng.shuffle(copies)
        return LabelledPeople(copies, found)


def _ordinary(make: _Maker) -> None:
    person = make.person()
    address = make.address(person)
    make.copy(person, address)
    make.more(person, [address], 3)


def _lookalikes(make: _Maker) -> None:
    """Two strangers whose addresses differ by what a careless rule takes off."""
    one, other = make.person(), make.person()
    name = make.rng.choice(list(LOOKALIKES))
    addresses = LOOKALIKES[name](make.address(one)[0])
    for person, own in zip((one, other), addresses, strict=True):
        make.copy(person, own)
        make.spoil(name)
        make.more(person, [own], 2)


def _secondary_addresses(make: _Maker) -> None:
    """HubSpot knows further addresses of the record; at times two accounts make a chain of three."""
    person = make.person()
    first, second, third = make.address(person), make.address(person, ".two."), make.address(person, ".three.")
    known = [first, second]
    make.copy(person, first, place=_PLACES[0], properties=_aliases(make, second))
    make.spoil("secondary_address")
    make.copy(person, second, place=make.rng.choice(_PLACES[1:]))
    if make.rng.random() < 0.4:
        make.copy(person, third, place=_PLACES[1], properties=_aliases(make, second))
        make.spoil("chain")
        known.append(third)
    make.more(person, known, 1)


def _merged_ids(make: _Maker) -> None:
    """HubSpot merged two records; the one that went is still in an older extract, under another address."""
    person = make.person()
    first, second = make.address(person), make.address(person, ".old.")
    place = make.rng.choice(_PLACES[:2])
    gone = make.copy(person, second, place=place)
    make.copy(person, first, place=place, properties={MERGED_IDS_PROPERTY: [gone.lead.source_id]})
    make.spoil("merged_ids")
    make.more(person, [first, second], 2)


def _aliases(make: _Maker, address: Address) -> dict[str, list[str | None]]:
    return {ALIASES_PROPERTY: [email_key(SPELLINGS["plain"](*address, make.rng))]}


def _role_address(make: _Maker, person: int) -> Address:
    return make.rng.choice(_ROLES), f"firma{person}.example"


def _shared_mailbox(make: _Maker) -> None:
    """Two or more strangers behind one mailbox; some also write from their own address."""
    strangers = [make.person() for _ in range(make.rng.randint(2, 5))]
    mailbox = _role_address(make, strangers[0])
    for person in strangers:
        for _ in range(make.rng.randint(1, 2)):
            make.copy(person, mailbox, reason="shared_mailbox", named=True, owned=False)
            make.spoil("shared_mailbox")
        if make.rng.random() < 0.5:
            make.copy(person, make.address(person))


def _own_role_address(make: _Maker) -> None:
    """One person behind a role address, in one record or in several that agree in the names."""
    person = make.person()
    mailbox = _role_address(make, person)
    for _ in range(make.rng.randint(1, 3)):
        make.copy(person, mailbox, named=True)
        make.spoil("own_role_address")


def _role_alias(make: _Maker) -> None:
    """Two strangers whose records, in two accounts, carry the same role address as a secondary one."""
    strangers = (make.person(), make.person())
    mailbox = _role_address(make, strangers[0])
    for person, place in zip(strangers, _PLACES[:2], strict=True):
        own = make.address(person)
        make.copy(person, own, place=place, named=True, properties=_aliases(make, mailbox))
        make.spoil("role_alias")
        make.more(person, [own], 1)


_KINDS: Final[dict[Callable[[_Maker], None], int]] = {
    _ordinary: 70,
    _lookalikes: 4,
    _secondary_addresses: 8,
    _merged_ids: 4,
    _shared_mailbox: 3,
    _own_role_address: 3,
    _role_alias: 2,
}
"""Maker of a person or a group of strangers → how often, relative to the others."""
