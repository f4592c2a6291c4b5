"""HubSpot's memory: contacts with their unique values, neighbours of other object types, links between them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_providers_leads.sandbox.core.clock import Clock, iso_utc
from airflow_providers_leads.sandbox.core.config import SandboxConfig
from airflow_providers_leads.sandbox.core.people import Person
from airflow_providers_leads.sandbox.hubspot.errors import bad_request, bad_values, conflict, failure
from airflow_providers_leads.sandbox.hubspot.properties import (
    DEFAULT_NAMES,
    STAGES,
    SYSTEM_NAMES,
    Property,
    as_text,
    default_properties,
    problem,
)
from airflow_providers_leads.sandbox.hubspot.types import REVERSE

Link = tuple[str, int]
"""Association category and type id."""

NEIGHBOURS = ("companies", "deals", "tickets", "calls", "emails", "meetings", "notes", "tasks")
FIRST_NEIGHBOUR_ID = 20_000_001
MAX_MERGED = 250


@dataclass(slots=True)
class Contact:
    """One contact; `history` holds values that were replaced, newest first."""

    id: int
    properties: dict[str, str]
    created: int
    updated: int
    archived: int | None = None
    history: dict[str, list[tuple[str, int]]] = field(default_factory=dict)


@dataclass(slots=True)
class RecordList:
    """A list of records; people fill a `MANUAL` one by hand, HubSpot itself a `DYNAMIC` one by its filters."""

    name: str
    processing: str = "MANUAL"
    object_type: str = "0-1"
    deleted: int | None = None


@dataclass(slots=True)
class Change:
    """A validated write, not yet done: what it claims for itself alone, and how to do it."""

    claims: set[tuple[str, str]]
    commit: Callable[[], Contact]
    names: tuple[str, ...]


class HubSpotStore:
    """State of one account."""

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        """Start with an account that has definitions, owners and neighbours but no contacts."""
        self.config, self.clock = config, clock
        self.born = clock.now()
        self.contacts: dict[int, Contact] = {}
        self.live: list[int] = []
        self.archived: list[int] = []
        self.unique: dict[str, dict[str, int]] = {}
        self.merged: dict[int, int] = {}
        self.blocked: set[str] = set()
        self.properties: dict[str, Property] = default_properties(iso_utc(self.born))
        self.archived_properties: dict[str, Property] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.owners: list[dict[str, Any]] = []
        self.tokens: Any = None
        self.calls_today = 0
        self.neighbours: dict[str, dict[int, str]] = {
            kind: {FIRST_NEIGHBOUR_ID + 1_000_000 * i + n: f"{kind} {n}" for n in range(5)}
            for i, kind in enumerate(NEIGHBOURS)
        }
        self.links: dict[tuple[str, int], dict[tuple[str, int], set[Link]]] = {}
        self._next_id = 101_000_001
        self.memberships: dict[int, dict[str, int]] = {}
        """Contact id → list id → when the contact was added."""
        self.lists: dict[str, RecordList] = {}
        self._lag = int(config.search_lag_seconds * 1000)
        self._indexed: dict[int, Contact] = {}
        self._pending: deque[tuple[int, int, Contact | None]] = deque()

    # --- reading ----------------------------------------------------------------------------------------------------

    def get(self, contact_id: int) -> Contact | None:
        """Return a live contact by its own id; ids merged into it do not count."""
        contact = self.contacts.get(contact_id)
        return contact if contact and contact.archived is None else None

    def resolve(self, value: str, id_property: str | None = None, *, through_merge: bool = True) -> Contact | None:
        """Return the live contact that a value of `id_property` names; secondary addresses name it too."""
        if id_property in (None, "hs_object_id"):
            if not value.isdecimal():
                return None
            contact_id = int(value)
            return self.get(self.merged.get(contact_id, contact_id) if through_merge else contact_id)
        known = self.unique.get(str(id_property), {}).get(value.strip().lower())
        return self.get(known) if known is not None else None

    def check_id_property(self, name: str | None) -> None:
        """Refuse an `idProperty` that does not identify a contact."""
        if name not in (None, "hs_object_id") and not self.properties.get(name, {}).get("hasUniqueValue"):
            raise bad_request(f"Unable to use non-unique property {name} as idProperty")

    def value(self, contact: Contact, name: str) -> str | None:
        """Return a property as the wire shows it; empty is null."""
        match name:
            case "hs_object_id":
                return str(contact.id)
            case "createdate":
                return iso_utc(contact.created)
            case "lastmodifieddate":
                return iso_utc(contact.updated)
            case "hs_email_domain":
                return contact.properties.get("email", "").partition("@")[2] or None
        return contact.properties.get(name) or None

    def render(
        self, contact: Contact, names: Iterable[str] | None = None, history: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Return a contact as JSON; unknown names are dropped, three system properties are always there."""
        history = tuple(history)
        selected = dict.fromkeys((*(names or (() if history else DEFAULT_NAMES)), *history, *SYSTEM_NAMES))
        body: dict[str, Any] = {
            "id": str(contact.id),
            "properties": {name: self.value(contact, name) for name in selected if name in self.properties},
            "createdAt": iso_utc(contact.created),
            "updatedAt": iso_utc(contact.updated),
            "archived": contact.archived is not None,
        }
        if contact.archived is not None:
            body["archivedAt"] = iso_utc(contact.archived)
        if history:
            body["propertiesWithHistory"] = {
                name: self.past(contact, name) for name in history if name in self.properties
            }
        return body

    def past(self, contact: Contact, name: str) -> list[dict[str, Any]]:
        """Return every value a property had, newest first."""
        older = contact.history.get(name, [])
        current = self.value(contact, name)
        since = older[0][1] if older else contact.created
        values = [(current, since)] if current is not None or older else []
        # Each remembered entry holds the replaced value and when it was replaced; it began at the entry after it.
        for index, (text, _) in enumerate(older):
            values.append((text, older[index + 1][1] if index + 1 < len(older) else contact.created))
        return [
            {"value": text or "", "timestamp": iso_utc(at), "sourceType": "INTEGRATION", "sourceId": "sandbox"}
            for text, at in values
        ]

    # --- writing ----------------------------------------------------------------------------------------------------

    def clean(self, raw: Any) -> dict[str, str]:
        """Validate property values and return them as stored; raises 400 with every problem found."""
        if not isinstance(raw, dict):
            raise bad_request("Invalid input JSON: properties must be an object")
        issues: list[tuple[str, str, str]] = []
        values: dict[str, str] = {}
        owners = {owner["id"] for owner in self.owners if not owner["archived"]}
        for name, value in raw.items():
            prop, text = self.properties.get(name), as_text(value)
            if prop is None:
                issues.append((name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
            elif text is None:
                issues.append((name, "INVALID_VALUE", f"{name} must be a string"))
            elif prop["modificationMetadata"]["readOnlyValue"]:
                issues.append((name, "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.'))
            elif text and (reason := problem(prop, text, owners)):
                issues.append((name, *reason))
            else:
                values[name] = text.lower() if name in ("email", "hs_additional_emails") else text
        if issues:
            raise bad_values(issues)
        return values

    def plan_create(self, raw: Any, links: dict[tuple[str, int], set[Link]] | None = None) -> Change:
        """Validate a create with its links; nothing is written before the commit."""
        values = {name: text for name, text in self.clean(raw).items() if text}
        # The vendor's guides say "must" in one place, "recommended" in another; refusing finds careless clients.
        if not any(values.get(name) for name in ("email", "firstname", "lastname")):
            raise bad_request("At least one of email, firstname or lastname is required")
        if values.get("email") in self.blocked:
            raise bad_request("The email address was deleted on request and cannot be added again")
        claims = self._claims(values, None)
        if "lifecyclestage" not in values:
            values["lifecyclestage"] = "lead"
        pinned = values.get("hs_pinned_engagement_id")
        if pinned and not any(str(other) == pinned for _, other in links or {}):
            raise bad_request("The pinned activity must be associated with the contact")

        def commit() -> Contact:
            now = self.clock.now()
            contact = Contact(self._next_id, {}, now, now)
            self.insert(contact, values)
            for target, kinds in (links or {}).items():
                self.link(("contacts", contact.id), target, kinds)
            return contact

        return Change(claims, commit, tuple(values))

    def plan_update(self, contact: Contact, raw: Any) -> Change:
        """Validate an update; the lifecycle stage silently refuses to go back."""
        values = self.clean(raw)
        claims = self._claims(values, contact)
        pinned = values.get("hs_pinned_engagement_id")
        if pinned and not any(str(other) == pinned for _, other in self.links.get(("contacts", contact.id), {})):
            raise bad_request("The pinned activity must already be associated with the contact")

        def commit() -> Contact:
            self.assign(contact, values)
            return contact

        return Change(claims, commit, tuple(values))

    def insert(self, contact: Contact, values: dict[str, str]) -> None:
        """Add a contact with values that were validated (or seeded)."""
        self._next_id = max(self._next_id, contact.id + 53)
        contact.properties = values
        self.contacts[contact.id] = contact
        insort(self.live, contact.id)
        for name, key in self._keys(values):
            self.unique.setdefault(name, {}).setdefault(key, contact.id)
        self._index(contact)

    def assign(self, contact: Contact, values: dict[str, str]) -> None:
        """Write values; `updatedAt` moves only if something changed."""
        changes = {}
        for name, text in values.items():
            before = contact.properties.get(name, "")
            if name == "lifecyclestage" and text and before and self._stage(text) < self._stage(before):
                continue
            if text.startswith(";") and self.properties[name]["fieldType"] == "checkbox":
                text = ";".join(dict.fromkeys(part for part in f"{before}{text}".split(";") if part))
            if text != before:
                changes[name] = text
        if not changes:
            return
        now = self.clock.now()
        for name, key in self._keys(contact.properties):
            self.unique[name].pop(key, None)
        if "email" in changes and "hs_additional_emails" not in changes:
            self._promote(contact, changes)
        for name, text in changes.items():
            contact.history.setdefault(name, []).insert(0, (contact.properties.get(name, ""), now))
            contact.properties[name] = text
        for name, key in self._keys(contact.properties):
            self.unique.setdefault(name, {})[key] = contact.id
        contact.updated = max(now, contact.updated + 1)
        self._index(contact)

    def archive(self, contact: Contact) -> None:
        """Move a contact to the bin."""
        contact.archived = self.clock.now()
        self.live.pop(bisect_left(self.live, contact.id))
        insort(self.archived, contact.id)
        if not self.config.archived_keeps_email:
            self._release(contact)
        self._index(contact)

    def forget(self, contact: Contact) -> None:
        """Delete a contact for good, with its links."""
        ids = self.live if contact.archived is None else self.archived
        ids.pop(bisect_left(ids, contact.id))
        del self.contacts[contact.id]
        self._release(contact)
        for target in list(self.links.get(("contacts", contact.id), {})):
            self.unlink(("contacts", contact.id), target)
        contact.archived = contact.archived or self.clock.now()
        self._index(contact)

    def merge(self, primary: Contact, other: Contact) -> None:
        """Join `other` into `primary`: empty values are filled, addresses become secondary, links move."""
        ids = [part for c in (primary, other) for part in c.properties.get("hs_merged_object_ids", "").split(";")]
        ids = [part for part in dict.fromkeys([*ids, str(other.id)]) if part]
        if len(ids) > MAX_MERGED:
            raise bad_request("Merging these contacts would result in a contact with more than 250 identities")
        self.live.pop(bisect_left(self.live, other.id))
        del self.contacts[other.id]
        self._release(other)
        emails = [key for name, key in self._keys(other.properties) if name == "email"]
        emails += primary.properties.get("hs_additional_emails", "").split(";")
        values = {name: text for name, text in other.properties.items() if not primary.properties.get(name)}
        if not primary.properties.get("email") and emails:
            values["email"] = emails[0]
        own = values.get("email", primary.properties.get("email"))
        values["hs_additional_emails"] = ";".join(dict.fromkeys(e for e in emails if e and e != own))
        values["hs_merged_object_ids"] = ";".join(ids)
        self.merged.update({int(part): primary.id for part in ids})
        for target, kinds in list(self.links.get(("contacts", other.id), {}).items()):
            self.unlink(("contacts", other.id), target)
            if target != ("contacts", primary.id):
                self.link(("contacts", primary.id), target, kinds)
        self.assign(primary, values)
        other.archived = self.clock.now()
        self._index(other)

    def _stage(self, value: str) -> int:
        return [option["value"] for option in self.properties["lifecyclestage"]["options"]].index(value)

    def _promote(self, contact: Contact, changes: dict[str, str]) -> None:
        """Swap primary and secondary when the new address is one of the contact's own secondary ones."""
        secondary = [part for part in contact.properties.get("hs_additional_emails", "").split(";") if part]
        if changes["email"] in secondary:
            secondary[secondary.index(changes["email"])] = contact.properties.get("email", "")
            changes["hs_additional_emails"] = ";".join(part for part in secondary if part)

    def _keys(self, values: dict[str, str]) -> list[tuple[str, str]]:
        """Return the (property, key) pairs that name a contact; all its addresses share one space."""
        keys = [
            (name, text.lower())
            for name, text in values.items()
            if text and self.properties.get(name, {}).get("hasUniqueValue")
        ]
        return keys + [("email", part) for part in values.get("hs_additional_emails", "").split(";") if part]

    def _claims(self, values: dict[str, str], own: Contact | None) -> set[tuple[str, str]]:
        claims = set(self._keys(values))
        for name, key in sorted(claims):
            holder = self.unique.get(name, {}).get(key)
            if holder is not None and (own is None or holder != own.id):
                if name == "email":
                    raise conflict(holder)
                raise bad_values([(name, "CONFLICTING_UNIQUE_VALUE", f"{key} is already used by contact {holder}")])
        return claims

    def _release(self, contact: Contact) -> None:
        for name, key in self._keys(contact.properties):
            if self.unique.get(name, {}).get(key) == contact.id:
                del self.unique[name][key]

    # --- links ------------------------------------------------------------------------------------------------------

    def exists(self, kind: str, record_id: int) -> bool:
        """Tell whether a record of any type can be linked to."""
        return self.get(record_id) is not None if kind == "contacts" else record_id in self.neighbours[kind]

    def link(self, one: tuple[str, int], other: tuple[str, int], kinds: set[Link]) -> None:
        """Set the links of a pair, in both directions."""
        self.links.setdefault(one, {})[other] = kinds
        self.links.setdefault(other, {})[one] = {(category, REVERSE[number]) for category, number in kinds}

    def unlink(self, one: tuple[str, int], other: tuple[str, int]) -> None:
        """Remove all links of a pair; a pin cannot outlive them."""
        self.links.get(one, {}).pop(other, None)
        self.links.get(other, {}).pop(one, None)
        for (kind, number), (_, target) in ((one, other), (other, one)):
            contact = self.contacts.get(number) if kind == "contacts" else None
            if contact and contact.properties.get("hs_pinned_engagement_id") == str(target):
                contact.properties["hs_pinned_engagement_id"] = ""

    # --- the search index -------------------------------------------------------------------------------------------

    def searchable(self) -> dict[int, Contact]:
        """Return contacts as search knows them: without a lag, as they are."""
        if not self._lag:
            return self.contacts
        now = self.clock.now()
        while self._pending and self._pending[0][0] <= now:
            _, contact_id, snapshot = self._pending.popleft()
            if snapshot:
                self._indexed[contact_id] = snapshot
            else:
                self._indexed.pop(contact_id, None)
        return self._indexed

    def _index(self, contact: Contact) -> None:
        if not self._lag:
            return
        visible = self.contacts.get(contact.id) is contact and contact.archived is None
        snapshot = Contact(contact.id, dict(contact.properties), contact.created, contact.updated)
        self._pending.append((self.clock.now() + self._lag, contact.id, snapshot if visible else None))

    def settle_index(self) -> None:
        """Let search know everything at once: seeded contacts have been there for long."""
        self._pending = deque((0, contact_id, snapshot) for _, contact_id, snapshot in self._pending)
        self.searchable()


def require(contact: Contact | None) -> Contact:
    """Return the contact or answer 404, without a category as on the live API."""
    if contact is None:
        raise failure(404, "resource not found")
    return contact


FIELDS = {
    "email": "email",
    "first_name": "firstname",
    "last_name": "lastname",
    "phone": "phone",
    "company": "company",
    "title": "jobtitle",
    "website": "website",
    "city": "city",
    "state": "state",
    "postal_code": "zip",
    "country": "country",
    "industry": "industry",
}


def seed(store: HubSpotStore, people: Iterable[Person]) -> None:
    """Fill an account with the HubSpot copies of the seeded people."""
    copies = [(person, copy) for person in people for copy in person.copies if copy.crm == "hubspot"]
    companies = sorted(store.neighbours["companies"])
    for person, copy in sorted(copies, key=lambda pair: int(pair[1].source_id)):
        values = {name: copy.fields[key] for key, name in FIELDS.items() if copy.fields.get(key)}
        street = " ".join(copy.fields[key] for key in ("street", "house_number") if key in copy.fields)
        values |= {"address": street} if street else {}
        values["lifecyclestage"] = STAGES[person.person_id % 6]
        if person.person_id % 3:
            values["hs_lead_status"] = "NEW"
        if person.person_id % 2:
            values["hubspot_owner_id"] = store.owners[person.person_id % 2]["id"]
        if copy.fields.get("opted_out"):
            values["hs_email_optout"] = "true"
        contact = Contact(int(copy.source_id), {}, copy.created, copy.updated)
        store.insert(contact, values)
        if person.person_id % 4 == 0:
            company = companies[person.person_id % len(companies)]
            store.link(("contacts", contact.id), ("companies", company), {("HUBSPOT_DEFINED", 279)})
    store.settle_index()
