"""PersistIQ's memory: leads with their addresses, campaigns with their members, and the events that writes leave."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_providers_leads.sandbox.core.clock import Clock, iso_pacific
from airflow_providers_leads.sandbox.core.config import SandboxConfig
from airflow_providers_leads.sandbox.core.people import Copy, Person, short_code
from airflow_providers_leads.sandbox.core.people_words import DNC_DOMAINS

BUILT_IN = (
    "company_name", "email", "first_name", "last_name", "address", "city", "state", "phone", "title", "industry",
    "snippet", "snippet2", "snippet3", "snippet4",
)  # fmt: skip
CUSTOM = ("linkedin", "country", "website", "lead_score")
FIELDS = BUILT_IN + CUSTOM
STATUSES = ("active", "replied", "engaged", "working", "unresponsive", "bounced", "optedout", "qualified", "new")
WEBHOOKS = ("post_new_prospect", "post_updated_prospect", "raw_events", "post_email_reply", "post_email_opened")
GROUPS = {
    "campaign": {
        "campaign_created", "campaign_updated", "campaign_paused", "campaign_unpaused", "campaign_step_created",
        "campaign_step_deleted", "campaign_deleted", "campaign_step_postion_updated",
    },
    "settings": {
        "lead_status_object_created", "lead_status_object_updated", "lead_status_object_deleted", "lead_status",
        "trigger_action_created", "trigger_action_updated", "trigger_created", "trigger_updated", "trigger_deleted",
        "schedule_created", "schedule_updated", "schedule_deleted",
    },
    "lead_detail": {
        "lead_created", "lead_updated", "lead_deleted", "lead_status_updated", "lead_owner_updated", "lead_linked",
        "lead_unlinked", "lead_tagged", "lead_untagged", "campaign_lead_created", "message_sent", "message_received",
        "message_bounced", "message_optout", "message_opened", "message_clicked",
    },
}  # fmt: skip


@dataclass(slots=True)
class Lead:
    """One lead; rows carry no times on the wire, only filters know them."""

    id: str
    status: str
    data: dict[str, str]
    created: int
    updated: int
    creator_id: str | None = None
    owner_id: str | None = None
    bounced: bool = False
    optedout: bool = False
    sent: int = 0
    replied: int = 0
    last_sent: int | None = None


@dataclass(slots=True)
class Campaign:
    """One campaign; only an active one sends mail when a lead joins."""

    id: str
    name: str
    owner: dict[str, Any]
    active: bool
    members: dict[str, dict[str, str]] = field(default_factory=dict)
    """Lead id to {id, mailbox_id}, in order of joining."""


@dataclass(slots=True, frozen=True)
class Event:
    """One event, held small: what it shows of lead and user is looked up when asked for."""

    number: int
    at: int
    kind: str
    user_id: str | None = None
    campaign_id: str | None = None
    lead_id: str | None = None
    params: dict[str, Any] | None = None
    diff: dict[str, Any] | None = None


class PersistIQStore:
    """State of one company."""

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        """Start with users, statuses and fields, without leads."""
        self.config, self.clock = config, clock
        self.leads: dict[str, Lead] = {}
        self.ordered: list[Lead] = []
        self.scan: tuple[Any, list[Lead]] = (None, [])
        self.by_email: dict[str, str] = {}
        self.statuses = {f"lss_{short_code(n)}": name for n, name in enumerate(STATUSES, 1)}
        self.fields = {f"lcf_{short_code(n)}": name for n, name in enumerate(FIELDS, 1)}
        self.dnc = {f"dom_{short_code(n)}": name for n, name in enumerate(DNC_DOMAINS, 1)}
        self.tags = {f"tag_{short_code(n)}": name for n, name in enumerate(("vip", "event", "partner"), 1)}
        self.users = [_user(n, name) for n, name in enumerate(("Tiana Brand", "Chester Lind", "Noor Haddad"), 1)]
        self.users[2]["activated"] = False
        self.campaigns: dict[str, Campaign] = {}
        self.disconnected_mailboxes: set[str] = {self.users[2]["default_mailbox_id"]}
        self.replies: list[dict[str, Any]] = []
        self.events: list[Event] = []
        self.webhook = {key: value for n in WEBHOOKS for key, value in ((n, False), (f"{n}_url", None))}
        self.messages_sent: list[dict[str, str]] = []
        """Every message a write caused: mail that a careless client would have sent."""
        self.version = 0
        """Moves with every write, so that a filtered walk can be answered from one scan."""
        self._made = 1_000_000

    def next_id(self, prefix: str) -> str:
        """Return an id that no seeded object has."""
        self._made += 1
        return f"{prefix}_{short_code(self._made)}"

    def user(self, user_id: str | None) -> dict[str, Any] | None:
        """Return a user by id."""
        return next((user for user in self.users if user["id"] == user_id), None)

    def find(self, email: str) -> Lead | None:
        """Return the lead of an address; letter case does not matter, white space does."""
        lead_id = self.by_email.get(email.lower())
        return self.leads[lead_id] if lead_id else None

    def add(self, lead: Lead) -> None:
        """Take a lead in; the first one keeps an address."""
        self.leads[lead.id] = lead
        self.ordered.append(lead)
        if email := lead.data.get("email"):
            self.by_email.setdefault(email.lower(), lead.id)
        self.version += 1

    def change(self, lead: Lead, data: dict[str, str], **flags: Any) -> dict[str, Any]:
        """Write values and return what changed; the time of update moves only then."""
        diff: dict[str, Any] = {}
        for name, value in data.items():
            if (lead.data.get(name) or "") != value:
                diff[name] = [lead.data.get(name), value]
        for name, value in flags.items():
            if getattr(lead, name) != value:
                diff[name] = [getattr(lead, name), value]
        if not diff:
            return diff
        if "email" in diff:
            self.by_email.pop((lead.data.get("email") or "").lower(), None)
            self.by_email[data["email"].lower()] = lead.id
        lead.data |= data
        for name, value in flags.items():
            setattr(lead, name, value)
        lead.updated = max(self.clock.now(), lead.updated + 1)
        self.version += 1
        if diff.keys() - {"status", "owner_id"}:
            self.record("lead_updated", lead_id=lead.id, diff=diff)
        for name, kind in (("status", "lead_status_updated"), ("owner_id", "lead_owner_updated")):
            if name in diff:
                self.record(kind, lead_id=lead.id, diff={name: diff[name]})
        return diff

    def record(self, kind: str, **about: Any) -> None:
        """Add an event that happens now."""
        self.events.append(Event(len(self.events) + 1, self.clock.now(), kind, **about))
        self.version += 1

    def between(self, start: int | None, end: int | None) -> list[Event]:
        """Return events of a time range; both ends belong to it, which the vendor leaves open."""
        low = 0 if start is None else bisect_left(self.events, start, key=lambda e: e.at)
        high = len(self.events) if end is None else bisect_right(self.events, end, key=lambda e: e.at)
        return self.events[low:high]

    def mailable(self, lead: Lead) -> bool:
        """Tell whether a campaign would write to a lead."""
        domain = (lead.data.get("email") or "").strip().lower().rpartition("@")[2]
        return not (lead.bounced or lead.optedout or domain in self.dnc.values())

    def mailboxes(self) -> set[str]:
        """Return every mailbox id of the company."""
        return {box["id"] for user in self.users for box in user["mailboxes"]}

    def join(self, campaign: Campaign, lead: Lead, mailbox_id: str) -> dict[str, Any]:
        """Put a lead into a campaign; an active campaign writes to it at once."""
        campaign.members[lead.id] = {"id": self.next_id("cl"), "mailbox_id": mailbox_id}
        self.record("campaign_lead_created", campaign_id=campaign.id, lead_id=lead.id)
        if campaign.active and self.mailable(lead):
            lead.sent += 1
            lead.last_sent = self.clock.now()
            self.record("message_sent", campaign_id=campaign.id, lead_id=lead.id)
            self.messages_sent.append({"kind": "campaign", "campaign_id": campaign.id, "lead_id": lead.id})
        return self.member_body(campaign, lead)

    # --- bodies -----------------------------------------------------------------------------------------------------

    def lead_body(self, lead: Lead) -> dict[str, Any]:
        """Return a lead as JSON; every field stands there, null where unset."""
        return {
            "id": lead.id,
            "status": lead.status,
            "data": {name: lead.data.get(name) or None for name in FIELDS},
            "creator_id": lead.creator_id,
            "owner_id": lead.owner_id,
            "bounced": lead.bounced,
            "optedout": lead.optedout,
            "sent_count": lead.sent,
            "replied_count": lead.replied,
            "last_sent_at": iso_pacific(lead.last_sent) if lead.last_sent else None,
        }

    def member_body(self, campaign: Campaign, lead: Lead) -> dict[str, Any]:
        """Return a campaign's member as JSON."""
        member = campaign.members.get(lead.id, {"id": None, "mailbox_id": campaign.owner["default_mailbox_id"]})
        return {
            "id": member["id"],
            "campaign_id": campaign.id,
            "mailbox_id": member["mailbox_id"],
            "lead": self.lead_body(lead),
        }

    def campaign_body(self, campaign: Campaign) -> dict[str, Any]:
        """Return a campaign as JSON, with its counters as they are now."""
        leads = [self.leads[lead_id] for lead_id in campaign.members]
        return {
            "id": campaign.id,
            "name": campaign.name,
            "creator": {key: campaign.owner[key] for key in ("id", "name", "email")},
            "stats": {
                "prospects_contacted": sum(lead.sent > 0 for lead in leads),
                "prospects_reached": sum(lead.sent > 0 and not lead.bounced for lead in leads),
                "prospects_opened": sum(lead.replied > 0 for lead in leads),
                "prospects_replied": sum(lead.replied > 0 for lead in leads),
                "prospects_bounced": sum(lead.bounced for lead in leads),
                "prospects_optedout": sum(lead.optedout for lead in leads),
                "total_prospects": len(leads),
            },
        }

    def event_body(self, event: Event) -> dict[str, Any]:
        """Return an event in the shape of the vendor's reference."""
        user, lead = self.user(event.user_id), self.leads.get(event.lead_id or "")
        campaign = self.campaigns.get(event.campaign_id or "")
        return {
            "id": f"evt_{short_code(event.number)}",
            "kind": event.kind,
            "event_at": iso_pacific(event.at),
            "user_id": event.user_id,
            "user": {key: user[key] for key in ("id", "name", "email")} if user else None,
            "campaign": {"id": campaign.id, "name": campaign.name} if campaign else None,
            "lead": {"id": lead.id, **{key: lead.data.get(key) for key in ("email", "last_name", "first_name")}}
            if lead
            else None,
            "params": event.params,
            "diff": event.diff,
        }


def _user(number: int, name: str) -> dict[str, Any]:
    mailbox, email = f"mbox_{short_code(number)}", f"{name.split()[0].lower()}@vendor.example"
    return {
        "id": f"u_{short_code(number)}",
        "name": name,
        "email": email,
        "activated": True,
        "default_mailbox_id": mailbox,
        "salesforce_id": None,
        "mailboxes": [{"id": mailbox, "email": email, "campaign_ids": []}],
    }


NAMES = {
    "company_name": "company", "email": "email", "first_name": "first_name", "last_name": "last_name", "city": "city",
    "state": "state", "phone": "phone", "title": "title", "industry": "industry", "country": "country",
    "website": "website",
}  # fmt: skip


def as_lead(person: Person, copy: Copy, owner: str) -> Lead:
    """Write a seeded copy as PersistIQ would hold it."""
    fields = copy.fields
    data = {name: fields[key] for name, key in NAMES.items() if fields.get(key)}
    if street := " ".join(fields[key] for key in ("street", "house_number") if key in fields):
        data["address"] = street
    if person.person_id % 3 == 0:
        data["lead_score"] = str(person.person_id % 100)
    lead = Lead(copy.source_id, STATUSES[person.person_id % 4], data, copy.created, copy.updated, owner, owner)
    lead.bounced, lead.optedout = bool(fields.get("bounced")), bool(fields.get("opted_out"))
    if lead.bounced or lead.optedout:
        lead.status = "bounced" if lead.bounced else "optedout"
    if person.person_id % 5 == 0:
        lead.sent, lead.last_sent = 1 + person.person_id % 3, copy.updated
        lead.replied = int(lead.status == "replied")
    return lead


def seed(store: PersistIQStore, people: Iterable[Person]) -> None:
    """Fill a company with the PersistIQ copies of the seeded people, six campaigns and what happened so far."""
    copies = [(person, copy) for person in people for copy in person.copies if copy.crm == "persistiq"]
    copies.sort(key=lambda pair: pair[1].created)
    happened: list[tuple[int, str, dict[str, Any]]] = []
    first = copies[0][1].created if copies else store.clock.now()
    names = ("Welcome series", "Solar follow-up", "Event invitation", "Win back", "Draft: partners", "Newsletter intro")
    for number, name in enumerate(names, 1):
        owner = store.users[(number - 1) % 3]
        campaign = Campaign(f"c_{short_code(number)}", name, owner, active=number in (1, 2, 6))
        store.campaigns[campaign.id] = campaign
        owner["mailboxes"][0]["campaign_ids"].append(campaign.id)
        happened.append((first - number, "campaign_created", {"campaign_id": campaign.id, "user_id": owner["id"]}))
    campaigns = list(store.campaigns.values())
    for person, copy in copies:
        owner = store.users[person.person_id % 2]
        lead = as_lead(person, copy, owner["id"])
        store.add(lead)
        about: dict[str, Any] = {"lead_id": lead.id, "user_id": owner["id"]}
        happened.append((lead.created, "lead_created", about))
        if not lead.last_sent:
            continue
        campaign = campaigns[person.person_id // 5 % 4]
        campaign.members[lead.id] = {"id": f"cl_{lead.id[2:]}", "mailbox_id": campaign.owner["default_mailbox_id"]}
        about = {"lead_id": lead.id, "campaign_id": campaign.id}
        happened.append((lead.last_sent, "message_sent", about))
        if lead.replied:
            happened.append((lead.last_sent + 1, "message_received", about))
            store.replies.append(_reply(store, lead, campaign, len(store.replies) + 1))
    happened.sort(key=lambda row: row[0])
    store.events = [Event(number, at, kind, **about) for number, (at, kind, about) in enumerate(happened, 1)]


def _reply(store: PersistIQStore, lead: Lead, campaign: Campaign, number: int) -> dict[str, Any]:
    return {
        "id": f"rep_{short_code(number)}",
        "from_email": (lead.data.get("email") or "").strip(),
        "to_emails": [campaign.owner["email"]],
        "cc_emails": [],
        "subject": f"Re: {campaign.name}",
        "body": "<p>Thank you, please call me.</p>",
        "preview": "Thank you, please call me.",
        "sent_at": iso_pacific((lead.last_sent or lead.updated) + 1),
        "sentiment": "positive",
        "kind": "reply",
        "lead_id": lead.id,
        "campaign_id": campaign.id,
        "step_message_id": None,
    }
