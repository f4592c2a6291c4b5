"""From PersistIQ's events to HubSpot's contacts: what people did with their mail, one record per person.

Here is also what of it a contact lacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from airflow_providers_leads.leads.files.list_entries import addresses_within
from airflow_providers_leads.leads.model.identity import email_key, spellings
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, moment, text

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.hubspot import HubSpotHook

FIELD_OF: Final[Mapping[str, str]] = {
    "message_received": "replied_at",
    "message_bounced": "bounced_at",
    "message_optout": "opted_out_at",
}
"""Kind of a PersistIQ event → field."""
TIMES: Final = tuple(FIELD_OF.values())
FIELDS: Final = (*TIMES, "last_campaign")

GROUP: Final[Mapping[str, str]] = {"name": "persistiq", "label": "PersistIQ"}
"""HubSpot's group for the properties below."""
PROPERTIES: Final[tuple[Mapping[str, str], ...]] = (
    *(
        {"name": f"persistiq_{field}", "label": f"PersistIQ: {words}", "type": "datetime", "field_type": "date"}
        for field, words in zip(TIMES, ("last reply", "last bounce", "last opt-out"), strict=True)
    ),
    {"name": "persistiq_last_campaign", "label": "PersistIQ: last campaign", "type": "string", "field_type": "text"},
)
"""HubSpot properties that hold the fields."""
PROPERTY_OF: Final[Mapping[str, str]] = {field: f"persistiq_{field}" for field in FIELDS}
"""Field → HubSpot property."""


class Engagement(msgspec.Struct):
    """What one person did last.

    :param replied_at: last reply
    :param bounced_at: last bounce
    :param opted_out_at: last opt-out
    :param last_campaign: name of the campaign that the newest of these belongs to, among those of which it is known
    :param campaign_at: time of that one
    """

    replied_at: datetime | None = None
    bounced_at: datetime | None = None
    opted_out_at: datetime | None = None
    last_campaign: str | None = None
    campaign_at: datetime | None = None

    def add(self, other: Engagement) -> None:
        """Take in what else the person did; the order doesn't matter."""
        for name in TIMES:
            times = [time for record in (self, other) if (time := getattr(record, name))]
            setattr(self, name, max(times, default=None))
        known = [(r.campaign_at, r.last_campaign) for r in (self, other) if r.campaign_at and r.last_campaign]
        self.campaign_at, self.last_campaign = max(known, default=(None, None))


class Folded(msgspec.Struct):
    """Events by person.

    :param people: email key → what the person did
    :param addresses: email key → the address as PersistIQ has it
    :param counts: field → number of events
    :param without_address: events of leads that have no usable address any more
    """

    people: dict[str, Engagement]
    addresses: dict[str, str]
    counts: Counter[str]
    without_address: int = 0


def fold(events: Iterable[Mapping[str, Any]]) -> Folded:
    """Return what a list of PersistIQ events says of each person; other kinds of events are passed over."""
    folded = Folded(people={}, addresses={}, counts=Counter())
    for event in events:
        field = FIELD_OF.get(str(event.get("kind")))
        when = moment(event.get("event_at"))
        if field is None or when is None:
            continue
        folded.counts[field] += 1
        address = text((event.get("lead") or {}).get("email"))
        key = email_key(address)
        # HubSpot keeps milliseconds: what is finer would differ from what it holds for ever.
        when = when.replace(microsecond=when.microsecond // 1000 * 1000)
        if key is None or address is None:
            folded.without_address += 1
            # Two addresses in one field are none, but whoever opted out there has opted out.
            for one in sorted(addresses_within(address)) if address and field == "opted_out_at" else ():
                folded.addresses.setdefault(one, one)
                folded.people.setdefault(one, Engagement()).add(Engagement(opted_out_at=when))
            continue
        campaign = text((event.get("campaign") or {}).get("name"))
        happened = Engagement(last_campaign=campaign, campaign_at=when, **{field: when})
        folded.addresses.setdefault(key, address)
        folded.people.setdefault(key, Engagement()).add(happened)
    return folded


def missing(engagement: Engagement, existing: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a contact doesn't have yet; a time never goes back.

    :param engagement: what the person did
    :param existing: field → value that the contact has
    """
    times = {name: moment(existing.get(name)) for name in TIMES}
    changes: dict[str, Any] = {}
    for name, known in times.items():
        time = getattr(engagement, name)
        if time and (known is None or time > known):
            changes[name] = time
    last = max(filter(None, times.values()), default=None)
    campaign, when = engagement.last_campaign, engagement.campaign_at
    if campaign and when and (last is None or when >= last) and campaign != text(existing.get("last_campaign")):
        changes["last_campaign"] = campaign
    return changes


def contact_changes(
    hook: HubSpotHook, folded: Folded, property_of: Mapping[str, str]
) -> tuple[list[dict[str, Any]], int, int]:
    """Return the updates to send, how many contacts need none, and how many people HubSpot doesn't hold.

    :param hook: of HubSpot
    :param folded: what people did
    :param property_of: field → HubSpot property
    """
    if not folded.people:
        return [], 0, 0
    matched: set[str] = set()
    inputs: list[dict[str, Any]] = []
    unchanged = 0
    addresses = (one for key, address in folded.addresses.items() for one in spellings(key, address))
    for contact in _each_once(hook.find_leads(addresses, properties=[*property_of.values()])):
        extra = msgspec.json.decode(contact.properties) if contact.properties else {}
        keys = {contact.email_key, *extra.get(ALIASES_PROPERTY, ())} & folded.people.keys()
        matched |= keys
        # A person with two addresses may have answered from both.
        whole = Engagement()
        for key in sorted(keys):
            whole.add(folded.people[key])
        existing = {field: extra.get(name) for field, name in property_of.items()}
        changes = {
            property_of[field]: value for field, value in missing(whole, existing).items() if field in property_of
        }
        if changes:
            inputs.append({"id": contact.source_id, "properties": changes})
        else:
            unchanged += 1
    return inputs, unchanged, len(folded.people) - len(matched)


def _each_once(leads: Any) -> Any:
    seen: set[str] = set()
    for lead in leads:
        if lead.source_id not in seen:
            seen.add(lead.source_id)
            yield lead
