"""The seeded people: who exists, which CRM holds which copy of them, and how each copy is spoilt.

The result depends on (number, seed, anchor) alone. The first people follow `RECIPES` one by one, so that a sandbox of
forty already holds every kind of trouble; the rest are drawn from the same recipes at random.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, Literal

from airflow_providers_leads.sandbox.core import people_words as words

Kind = Literal["contactable", "opted_out", "bounced", "dnc", "no_email", "invalid_email"]
Fields = dict[str, Any]

YEAR_MS = 365 * 86_400_000
FUNNELS = 4
"""Funnels that receive contacts; a further one stays empty."""


@dataclass(slots=True)
class Copy:
    """One person as one CRM (and one scope in it: the funnel) holds them."""

    crm: Literal["perspective", "hubspot", "persistiq"]
    scope: str
    fields: Fields
    created: int
    updated: int
    source_id: str = ""


@dataclass(slots=True)
class Person:
    """A real person behind any number of copies: the truth that tests compare with."""

    person_id: int
    kind: Kind
    email: str | None
    """Trimmed, lower case, ASCII domain: what every spelling of the address comes down to."""
    fields: Fields
    copies: list[Copy] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the truth about this person as JSON-ready data."""
        return {
            "person_id": self.person_id,
            "kind": self.kind,
            "email": self.email,
            **{name: value for name, value in self.fields.items() if name != "email"},
            "copies": [(copy.crm, copy.scope, copy.source_id) for copy in self.copies],
        }


def funnel_id(number: int) -> str:
    """Return the id of a funnel: 24 hex digits, as real ones have."""
    return f"65f0a{number:019x}"


# --- spoiling: each twist changes the copies of one person in place -------------------------------------------------

Twist = Callable[[Person, Random], None]


def _loose(person: Person) -> Iterator[Copy]:
    """Copies in CRMs that keep an address as it was typed; HubSpot trims and lowers."""
    return (copy for copy in person.copies if copy.crm != "hubspot" and copy.fields.get("email"))


def shout(person: Person, random: Random) -> None:
    """Spell addresses in other letter cases."""
    for copy in _loose(person):
        local, _, domain = copy.fields["email"].partition("@")
        copy.fields["email"] = random.choice(
            (f"{local.title()}@{domain}", f"{local.upper()}@{domain.upper()}", f"{local}@{domain.capitalize()}")
        )


def pad(person: Person, random: Random) -> None:
    """Surround addresses by white space of three sorts."""
    for copy in _loose(person):
        before, after = random.choice(words.SPACES), random.choice(("", *words.SPACES))
        copy.fields["email"] = f"{before}{copy.fields['email']}{after}"


def age(person: Person, random: Random) -> None:
    """Give the first copy older values and an older time than the others."""
    old = person.copies[0]
    old.fields["company"] = random.choice(words.COMPANIES) + " (alt)"
    old.fields["phone"] = phone(random)
    old.fields["last_name"] = random.choice(words.LAST_NAMES)
    old.updated = old.created = min(copy.created for copy in person.copies) - random.randrange(86_400_000, YEAR_MS // 4)


def thin(person: Person, random: Random) -> None:
    """Lose some values of every copy."""
    for copy in person.copies:
        for name in random.sample(sorted(set(copy.fields) - {"email", "first_name", "phone"}), 4):
            del copy.fields[name]


def punycode(person: Person, _: Random) -> None:
    """Write the domain in ASCII everywhere but in the first copy."""
    for copy in person.copies[1:]:
        if copy.fields.get("email"):
            copy.fields["email"] = canonical_email(copy.fields["email"])


def decompose(person: Person, _: Random) -> None:
    """Write accents as separate code points everywhere but in the first copy: same look, other bytes."""
    for copy in person.copies[1:]:
        for name in ("first_name", "last_name", "city"):
            if name in copy.fields:
                copy.fields[name] = unicodedata.normalize("NFD", copy.fields[name])


def opt_out(crm: str) -> Twist:
    """Opt the person out in one copy only."""

    def twist(person: Person, _: Random) -> None:
        next(copy for copy in person.copies if copy.crm == crm).fields["opted_out"] = True

    return twist


def bounce(person: Person, _: Random) -> None:
    """Mark the PersistIQ copy as bounced."""
    next(copy for copy in person.copies if copy.crm == "persistiq").fields["bounced"] = True


def lose_email(person: Person, _: Random) -> None:
    """Leave a phone number only."""
    for copy in person.copies:
        copy.fields.pop("email", None)


def visit_only(person: Person, _: Random) -> None:
    """Leave a visitor who gave neither address nor number, hence never converted."""
    for copy in person.copies:
        copy.fields = {"visitor": True}


def break_email(person: Person, random: Random) -> None:
    """Replace the address by something that is none, in the CRMs that take anything."""
    for copy in _loose(person):
        copy.fields["email"] = random.choice(words.INVALID_EMAILS)


def share_instant(person: Person, _: Random) -> None:
    """Put all copies at one whole second, where many other people stand too."""
    for copy in person.copies:
        copy.created = copy.updated = copy.created // 86_400_000 * 86_400_000


# --- recipes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """A sort of person: where copies stand (P, P2 = another funnel, H, Q), what is wrong with them, how frequent."""

    homes: str
    twists: tuple[Twist, ...] = ()
    kind: Kind = "contactable"
    weight: int = 1
    domain: str | None = None
    sibling: str = ""
    """How this address differs from the person's before: `+` adds a tag, `.` moves the dot. Different people."""


RECIPES = (
    Recipe("P H Q", (shout, pad, age), weight=12),
    Recipe("P", weight=30),
    Recipe("H", weight=30),
    Recipe("Q", weight=20),
    Recipe("P P H", (shout, age), weight=8),
    Recipe("P P2 P Q", (pad,), weight=6),
    Recipe("P H Q", (punycode, shout), domain="bücher.example", weight=2),
    Recipe("P2 Q", (punycode, pad), domain="kaffee-rösterei.example", weight=2),
    Recipe("H Q", (age, thin), weight=10),
    Recipe("P Q", (shout, thin, decompose), weight=10),
    Recipe("P H Q", (opt_out("hubspot"), shout), kind="opted_out", weight=3),
    Recipe("P H Q", (opt_out("persistiq"), pad), kind="opted_out", weight=3),
    Recipe("P Q", (bounce, shout), kind="bounced", weight=2),
    Recipe("P H Q", (bounce,), kind="bounced", weight=1),
    Recipe("P H", (shout,), kind="dnc", domain=words.DNC_DOMAINS[0], weight=2),
    Recipe("P Q", (pad,), kind="dnc", domain=words.DNC_DOMAINS[1], weight=2),
    Recipe("P", (lose_email,), kind="no_email", weight=3),
    Recipe("H", (lose_email,), kind="no_email", weight=2),
    Recipe("P", (visit_only,), kind="no_email", weight=4),
    Recipe("P", (break_email,), kind="invalid_email", weight=2),
    Recipe("Q", (break_email,), kind="invalid_email", weight=1),
    Recipe("P H", weight=6),
    Recipe("P Q", sibling="+"),
    Recipe("P H", sibling="."),
    Recipe("H Q", (share_instant,), weight=4),
    Recipe("P P2", (share_instant, shout), weight=4),
    Recipe("P2 H", (decompose, pad), weight=3),
    Recipe("P H Q", (thin,), weight=8),
)


def make_people(number: int, seed: int, anchor: int) -> list[Person]:
    """Make `number` people whose copies were written in the year before `anchor` (epoch milliseconds)."""
    random = Random(f"people/{seed}")
    weights = [recipe.weight for recipe in RECIPES]
    taken: set[str] = set()
    instants: set[int] = set()
    people: list[Person] = []
    for person_id in range(1, number + 1):
        recipe = RECIPES[person_id - 1] if person_id <= len(RECIPES) else random.choices(RECIPES, weights)[0]
        fields = draw_fields(random, recipe, people[-1] if people else None, taken)
        truth = None if recipe.kind in ("no_email", "invalid_email") else canonical_email(fields["email"])
        person = Person(person_id, _kind_of(recipe, fields), truth, fields)
        person.copies = [draw_copy(home, fields, random, anchor, instants) for home in recipe.homes.split()]
        for twist in recipe.twists:
            twist(person, random)
        if person.email is None:
            person.fields = {name: value for name, value in fields.items() if name != "email"}
        people.append(person)
    number_copies(people)
    return people


def _kind_of(recipe: Recipe, fields: Fields) -> Kind:
    """Return a person's kind: who has the domain of the person before may have one that must not be contacted."""
    domain = fields["email"].rpartition("@")[2]
    return "dnc" if recipe.sibling and domain in words.DNC_DOMAINS else recipe.kind


def draw_fields(random: Random, recipe: Recipe, before: Person | None, taken: set[str]) -> Fields:
    """Draw what is true of one person; no two people share an address, not even in another spelling."""
    first, last = random.choice(words.FIRST_NAMES), random.choice(words.LAST_NAMES)
    domain = recipe.domain or random.choice(words.DOMAINS)
    local = f"{ascii_name(first)}.{ascii_name(last)}"
    if recipe.sibling and before and before.email:
        other, _, domain = before.fields["email"].partition("@")
        local = f"{other}+news" if recipe.sibling == "+" else other.replace(".", "", 1).replace("+news", "")
    candidates = (f"{local}{n or ''}@{domain}" for n in count())
    email = next(address for address in candidates if canonical_email(address) not in taken)
    taken.add(canonical_email(email))
    city, state, postal_code = random.choice(words.CITIES)
    return {
        "email": email,
        "first_name": first,
        "last_name": last,
        "phone": phone(random),
        "company": random.choice(words.COMPANIES),
        "title": random.choice(words.TITLES),
        "website": f"https://www.{domain}",
        "street": random.choice(words.STREETS),
        "house_number": str(random.randrange(1, 200)),
        "postal_code": postal_code,
        "city": city,
        "state": state,
        "country": "Germany",
        "industry": random.choice(words.INDUSTRIES),
    }


def draw_copy(home: str, fields: Fields, random: Random, anchor: int, instants: set[int]) -> Copy:
    """Draw one copy of a person with a creation instant that no other copy has, unless a twist says otherwise."""
    created = anchor - random.randrange(3_600_000, YEAR_MS)
    while created in instants:
        created += 1
    instants.add(created)
    updated = min(anchor, created + random.randrange(0, 30 * 86_400_000)) if home in "HQ" else created
    crm, scope = {
        "H": ("hubspot", "contacts"),
        "Q": ("persistiq", "leads"),
        "P": ("perspective", funnel_id(1 + random.randrange(2))),
        "P2": ("perspective", funnel_id(3 + random.randrange(FUNNELS - 2))),
    }[home]
    return Copy(crm, scope, dict(fields), created, updated)  # type: ignore[arg-type]


def number_copies(people: list[Person]) -> None:
    """Give each copy the id its CRM would have: ascending with creation, in the shape the vendor uses."""
    shapes: dict[str, Callable[[int], str]] = {
        "hubspot": lambda n: str(101_000_000 + n * 53),
        "perspective": lambda n: f"6720{n:020x}",
        "persistiq": lambda n: f"l_{short_code(n)}",
    }
    for crm, shape in shapes.items():
        copies = [copy for person in people for copy in person.copies if copy.crm == crm]
        copies.sort(key=lambda copy: copy.created)
        for number, copy in enumerate(copies, 1):
            copy.source_id = shape(number)


# --- small helpers --------------------------------------------------------------------------------------------------


def canonical_email(address: str) -> str:
    """Return the one spelling of a valid address: trimmed, composed, lower case, ASCII domain."""
    local, _, domain = unicodedata.normalize("NFC", address.strip()).lower().rpartition("@")
    return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"


def ascii_name(name: str) -> str:
    """Return a name as it would stand in an address."""
    folded = name.replace("ß", "ss").replace("ł", "l").replace("Ł", "L").replace("ø", "o")
    return unicodedata.normalize("NFD", folded).encode("ascii", "ignore").decode().lower()


def phone(random: Random) -> str:
    """Return an invented German number in one of the ways people type it."""
    digits = f"{random.randrange(10**6, 10**7)}"
    return random.choice((f"+49 30 {digits}", f"030/{digits}", f"+4930{digits}", f"0049 30 {digits[:3]} {digits[3:]}"))


def short_code(number: int) -> str:
    """Return a short opaque code, distinct per number, as PersistIQ's hashed ids look."""
    alphabet = "23456789BCDGJKLMNPQRVWXYZbdegjklmnpqrvwxyz"
    scrambled = number * 2_654_435_761 % 42**6  # a prime factor, hence no two numbers share a code
    code = ""
    for _ in range(6):
        scrambled, digit = divmod(scrambled, len(alphabet))
        code += alphabet[digit]
    return code
