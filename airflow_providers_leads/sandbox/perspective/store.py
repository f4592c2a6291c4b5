"""Perspective's memory: workspaces, funnels and their contacts, and what automations did."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_providers_leads.sandbox.core.clock import Clock, iso_utc
from airflow_providers_leads.sandbox.core.config import PerspectiveGrant, SandboxConfig
from airflow_providers_leads.sandbox.core.people import FUNNELS, Copy, Person, funnel_id
from airflow_providers_leads.sandbox.core.shell import Call
from airflow_providers_leads.sandbox.perspective.errors import refuse

SORT_FIELDS = ("ps_converted_at", "email", "firstName", "lastName")
FLAT_FIELDS = ("firstName", "lastName", "email", "phone", "status", "website", "birthday")
ADDRESS_FIELDS = ("street", "houseNumber", "postalCode", "city", "state", "country")
EMAIL = re.compile(r"[^\s@]+@[^\s@.]+(\.[^\s@.]+)+")
STATUSES = ("new", "lead", "qualified", "customer", "lost")

Contact = dict[str, Any]
SortKey = tuple[bool, str, str]


@dataclass
class Funnel:
    """One funnel with its own contacts, statuses and sort orders."""

    id: str
    name: str
    workspace: str
    status: str = "online"
    statuses: tuple[str, ...] = STATUSES
    contacts: dict[str, Contact] = field(default_factory=dict)
    orders: dict[str, list[SortKey]] = field(default_factory=lambda: {name: [] for name in SORT_FIELDS})
    sessions: Any = None
    """Visits, made when the first metric asks for them."""

    def keys(self, contact: Contact) -> dict[str, SortKey]:
        """Return where a contact stands in each order; in MongoDB a missing value comes before all others."""
        values = {name: contact.get(name) for name in SORT_FIELDS} | {
            "ps_converted_at": contact["meta"].get("ps_converted_at")
        }
        return {name: (value is not None, value or "", contact["id"]) for name, value in values.items()}

    def add(self, contact: Contact) -> None:
        """Take a contact in."""
        self.contacts[contact["id"]] = contact
        for name, key in self.keys(contact).items():
            insort(self.orders[name], key)

    def change(self, contact: Contact, name: str, value: str) -> None:
        """Set one value, wherever it lives, and keep the orders true."""
        before = self.keys(contact)
        if name in FLAT_FIELDS:
            contact[name] = value
        elif name in ADDRESS_FIELDS:
            contact.setdefault("address", {})[name] = value
        else:
            contact.setdefault("properties", {})[name] = value
        for order, key in self.keys(contact).items():
            if key != before[order]:
                keys = self.orders[order]
                keys.pop(bisect_left(keys, before[order]))
                insort(keys, key)


class PerspectiveStore:
    """State of one company: workspaces, funnels, and what its automations did."""

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        """Start with three workspaces and their funnels, without contacts."""
        self.config, self.clock = config, clock
        self.workspaces = {"ws_energy": "Nordlicht Energie", "ws_talent": "Talent Kompass", "ws_empty": "Archive"}
        homes = ("ws_energy", "ws_energy", "ws_talent", "ws_talent", "ws_empty")
        names = ("Solar check", "Heating quiz", "Apply in 60 seconds", "Open day", "Untitled funnel")
        self.funnels = {
            funnel_id(n): Funnel(funnel_id(n), name, home, "online" if n <= FUNNELS else "offline")
            for n, (name, home) in enumerate(zip(names, homes, strict=True), 1)
        }
        self.automations_fired: list[dict[str, str]] = []
        """Every automation a write set off: mail that a careless client would have sent."""
        self.keys = {config.perspective_key: PerspectiveGrant(), **config.perspective_keys}
        self._made = 0

    def next_id(self) -> str:
        """Return an id in the vendor's shape that no seeded contact has."""
        self._made += 1
        return f"6a00{self._made:020x}"

    def fire(self, funnel: Funnel, contact: Contact, trigger: str, *, skip: bool) -> None:
        """Note that automations bound to a change ran."""
        if not skip:
            self.automations_fired.append({"funnelId": funnel.id, "contactId": contact["id"], "trigger": trigger})


def funnel_of(store: PerspectiveStore, call: Call) -> Funnel:
    """Return the funnel of the path, if the key may see it."""
    funnel = store.funnels.get(call.params["funnelId"])
    if funnel is None:
        raise refuse(404, "Funnel not found")
    allowed = call.grant.workspaces
    if allowed is not None and funnel.workspace not in allowed:
        # Whether 403 or 404 is answered here is not documented; 403 is what the key model suggests.
        raise refuse(403, "Forbidden")
    return funnel


SOURCES = ("facebook", "google", "instagram", "newsletter", None)
INTERESTS = ("Solar", "Heating", "Storage")


def as_contact(person: Person, copy: Copy) -> Contact:
    """Write a seeded copy as a funnel would: answers as properties, times under `meta`."""
    fields, number = copy.fields, int(copy.source_id, 16)
    if fields.get("visitor"):
        return {
            "id": copy.source_id,
            "status": STATUSES[0],
            "meta": {"ps_first_seen_at": iso_utc(copy.created), "ps_timezone": "Europe/Berlin"},
            "utmParams": {},
            "properties": {},
        }
    names = {"firstName": "first_name", "lastName": "last_name", "email": "email", "phone": "phone"}
    contact: Contact = {"id": copy.source_id, "status": STATUSES[person.person_id % 3]}
    contact |= {name: fields[key] for name, key in (names | {"website": "website"}).items() if fields.get(key)}
    parts = ("street", "house_number", "postal_code", "city", "state", "country")
    contact["address"] = {n: fields[key] for n, key in zip(ADDRESS_FIELDS, parts, strict=True) if fields.get(key)}
    contact["meta"] = {
        "ps_first_seen_at": iso_utc(copy.created - 1000 * (30 + number % 400)),
        "ps_converted_at": iso_utc(copy.created),
        "ps_timezone": "Europe/Berlin",
        "ps_start_slug": "start",
    }
    source = SOURCES[number % len(SOURCES)]
    contact["utmParams"] = {"utm_source": source, "utm_medium": "paid"} if source else {}
    chosen = [name for bit, name in enumerate(INTERESTS) if (number % 7 + 1) >> bit & 1]
    contact["properties"] = {
        "question_1": ("Yes", "No", "Not sure")[number % 3],
        "question_2": "; ".join(chosen),
        "sq_earliestStartDay": ("Now", "In a month", "Later")[number % 5 % 3],
    } | {name: fields[name] for name in ("company", "title", "industry") if fields.get(name)}
    return contact


def seed(store: PerspectiveStore, people: Iterable[Person]) -> None:
    """Fill the funnels with the Perspective copies of the seeded people."""
    for person in people:
        for copy in person.copies:
            if copy.crm == "perspective":
                store.funnels[copy.scope].add(as_contact(person, copy))
