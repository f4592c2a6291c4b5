"""The PersistIQ stand-in: users, leads, lists and the gate; campaigns and replies stand beside it.

https://apidocs.persistiq.com and the vendor's OpenAPI file disagree in places; both body forms are taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from airflow_providers_leads.sandbox.core.clock import Clock
from airflow_providers_leads.sandbox.core.config import SandboxConfig
from airflow_providers_leads.sandbox.core.limits import NO_LIMIT, Buckets, persistiq_headers
from airflow_providers_leads.sandbox.core.people import Person
from airflow_providers_leads.sandbox.core.shell import ApiError, Call, Operation, Reply, Vendor
from airflow_providers_leads.sandbox.persistiq import campaigns
from airflow_providers_leads.sandbox.persistiq.errors import bad_params, per_item, refuse
from airflow_providers_leads.sandbox.persistiq.lists import list_reply, moment
from airflow_providers_leads.sandbox.persistiq.store import FIELDS, GROUPS, WEBHOOKS, Lead, PersistIQStore, seed

MAX_CREATE = 10
EMAIL = re.compile(r"[^\s@,;<>()]+@([^\W_]([\w-]*[^\W_])?\.)+[^\W\d_][\w-]+")
DOMAIN = re.compile(r"([^\W_]([\w-]*[^\W_])?\.)+[^\W\d_][\w-]+")
# The numbers 1 and 0 equal True and False as keys.
TRUTH = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}

# --- leads ----------------------------------------------------------------------------------------------------------


def list_leads(store: PersistIQStore, call: Call) -> Reply:
    """Page through leads in order of creation, by status name or id, address, or times the rows do not show.

    Whether the times are inclusive is not documented; "after" is taken at its word.
    """
    if (email := call.query.get("email")) is not None:
        match = store.find(email)
        rows = [lead for lead in (match,) if lead and _filter(store, call)(lead)]
    elif any(call.query.get(name) for name in ("status", "status_id", "updated_after", "created_after")):
        rows = _scan(store, call)
    else:
        rows = store.ordered
    return list_reply(store, call, "leads", rows, store.lead_body, 100)


def _scan(store: PersistIQStore, call: Call) -> list[Lead]:
    """Return the leads that pass the filters; one scan serves all pages until the next write."""
    key = (store.version, tuple(sorted(pair for pair in call.query.multi_items() if pair[0] != "page")))
    if store.scan[0] != key:
        store.scan = (key, list(filter(_filter(store, call), store.ordered)))
    return store.scan[1]


def _filter(store: PersistIQStore, call: Call) -> Callable[[Lead], bool]:
    """Return a test for the filters of a call; a status that nobody defined has no leads."""
    statuses = {call.query.get("status")} - {None, ""}
    if status_id := call.query.get("status_id"):
        statuses.add(store.statuses.get(status_id, ""))
    updated, created = moment(call, "updated_after"), moment(call, "created_after")
    return lambda lead: (
        statuses <= {lead.status}
        and (updated is None or lead.updated > updated)
        and (created is None or lead.created > created)
    )


def lead_of(store: PersistIQStore, key: str) -> Lead:
    """Return a lead by id."""
    lead = store.leads.get(key)
    if lead is None:
        raise refuse(404, "Lead not found")
    return lead


def get_lead(store: PersistIQStore, call: Call) -> Reply:
    """Read one lead by id, or by address as the OpenAPI file allows."""
    key = call.params["id"]
    lead = store.find(key) if "@" in key else None
    body = store.lead_body(lead or lead_of(store, key))
    if store.config.single_lead_form == "lead":
        return Reply({"status": "success", "error": None, "lead": body})
    return Reply({"status": "success", "errors": None, "leads": [body]})


def create_leads(store: PersistIQStore, call: Call) -> Reply:
    """Create up to ten leads; what is wrong with one of them is told with status 200."""
    body = call.json_object()
    dup, creator = body.get("dup", "skip"), body.get("creator_id")
    if dup not in ("skip", "update"):
        raise bad_params("dup must be skip or update")
    if creator is not None and store.user(creator) is None:
        raise bad_params("Creator not found")
    single = "lead" in body and "leads" not in body
    posted = [body["lead"]] if single else body.get("leads")
    if not isinstance(posted, list) or not posted or not all(isinstance(item, dict) for item in posted):
        raise bad_params("Leads is missing")
    if len(posted) > MAX_CREATE:
        # What the vendor answers to more than ten is not documented; taking some of them would be worse.
        raise bad_params(f"Maximum of {MAX_CREATE} leads per request")
    leads, errors = [], []
    for item in posted:
        outcome = create_lead(store, item, dup, creator)
        if isinstance(outcome, Lead):
            leads.append(store.lead_body(outcome))
        elif outcome:
            errors.append(outcome)
    status = "error" if errors else "success"
    if single:
        body = {"status": status, "error": errors[0] if errors else None, "lead": leads[0] if leads else None}
        return Reply(body)
    return Reply({"status": status, "errors": errors, "leads": leads})


def create_lead(
    store: PersistIQStore, item: dict[str, Any], dup: str, creator: str | None
) -> Lead | dict[str, Any] | None:
    """Create or meet one lead: the lead, an error entry, or nothing for a duplicate left alone and not told."""
    data = {name: _text(value) for name, value in item.items() if name in FIELDS and value is not None}
    email = data.get("email", "")
    trouble = "Email can't be blank" if not email.strip() else None if EMAIL.fullmatch(email) else "Email is invalid"
    if trouble:
        shown = {"id": None, "status": "active", "data": {"email": email, **data}}
        return per_item(trouble, lead=shown)
    known = store.find(email)
    if known and dup == "skip":
        return known if store.config.skipped_in_leads else None
    if known:
        store.change(known, {name: value for name, value in data.items() if name != "email"})
        return known
    now = store.clock.now()
    lead = Lead(store.next_id("l"), "active", data, now, now, creator, creator)
    store.add(lead)
    store.record("lead_created", lead_id=lead.id, user_id=creator, params=dict(data))
    return lead


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def update_lead(store: PersistIQStore, call: Call) -> Reply:
    """Change one lead; `bounced` is echoed as text, as in the vendor's own sample."""
    lead, body = lead_of(store, call.params["id"]), call.json_object()
    data = {} if body.get("data") is None else body["data"]
    flags: dict[str, Any] = {}
    if not isinstance(data, dict):
        raise bad_params("Data must be a hash")
    values = {name: "" if value is None else _text(value) for name, value in data.items() if name in FIELDS}
    for name in ("bounced", "optedout"):
        if name in body:
            if not isinstance(body[name], bool | str | int) or body[name] not in TRUTH:
                raise bad_params(f"{name.capitalize()} is invalid")
            flags[name] = TRUTH[body[name]]
    if status := body.get("status"):
        if status not in store.statuses.values():
            raise bad_params("Status is invalid")
        flags["status"] = status
    if status_id := body.get("status_id"):
        if status_id not in store.statuses:
            raise bad_params("Status is invalid")
        flags["status"] = store.statuses[status_id]
    if owner := body.get("owner_id"):
        if store.user(owner) is None:
            raise bad_params("Owner not found")
        flags["owner_id"] = owner
    if "email" in values:
        _check_new_email(store, lead, values["email"])
    store.change(lead, values, **flags)
    shown = store.lead_body(lead)
    if "bounced" in flags:
        shown["bounced"] = str(lead.bounced).lower()
    return Reply({"status": "success", "error": None, "lead": shown})


def _check_new_email(store: PersistIQStore, lead: Lead, email: str) -> None:
    if email == lead.data.get("email"):
        return
    if not EMAIL.fullmatch(email):
        raise bad_params("Email is invalid" if email else "Email can't be blank")
    holder = store.find(email)
    if holder and holder is not lead:
        raise bad_params("Email has already been taken")


# --- lists ----------------------------------------------------------------------------------------------------------


def _pairs(rows: dict[str, str], *names: str) -> list[dict[str, str]]:
    return [{"id": key, **dict.fromkeys(names, value)} for key, value in rows.items()]


def unpaged(key: str, rows: Callable[[PersistIQStore], list[Any]]) -> Callable[[PersistIQStore, Call], Reply]:
    """Make a handler for a list that comes in one piece."""
    return lambda store, call: Reply({"status": "success", "errors": [], key: rows(store)})


def paged(key: str, rows: Callable[[PersistIQStore], list[Any]]) -> Callable[[PersistIQStore, Call], Reply]:
    """Make a handler for a list without filters."""
    return lambda store, call: list_reply(store, call, key, rows(store), lambda row: row, 100)


def create_dnc(store: PersistIQStore, call: Call) -> Reply:
    """Add a do-not-contact domain; a repeated one is refused, which the vendor leaves open."""
    name = call.json_object().get("name")
    if not isinstance(name, str) or not name:
        raise bad_params("Name is missing")
    if not DOMAIN.fullmatch(name):
        raise bad_params("Name is invalid")
    if name.lower() in store.dnc.values():
        raise bad_params("Name has already been taken")
    key = store.next_id("dom")
    store.dnc[key] = name.lower()
    return Reply({"status": "success", "errors": None, "dnc_domain": {"id": key, "name": name.lower()}})


def list_events(store: PersistIQStore, call: Call) -> Reply:
    """Page through events, oldest first."""
    group = call.query.get("group")
    if group is not None and group not in GROUPS:
        raise bad_params("Group is invalid")
    conditions = {f"{key}_id": value for key in ("campaign", "lead", "user") if (value := call.query.get(key))}
    rows = store.between(moment(call, "start_at"), moment(call, "end_at"))
    if group or conditions:
        rows = [
            event
            for event in rows
            if (not group or event.kind in GROUPS[group])
            and all(getattr(event, name) == value for name, value in conditions.items())
        ]
    return list_reply(store, call, "events", rows, store.event_body, 500)


def get_webhook(store: PersistIQStore, call: Call) -> Reply:
    """Read the webhook settings."""
    return Reply(store.webhook)


def put_webhook(store: PersistIQStore, call: Call) -> Reply:
    """Replace the webhook settings; what is left out is switched off, the harsher of the two readings of PUT."""
    body = call.json_object()
    if unknown := sorted(set(body) - store.webhook.keys()):
        raise bad_params(f"Unknown parameter: {unknown[0]}")
    for name in WEBHOOKS:
        store.webhook[name] = body.get(name, False) is True
        store.webhook[f"{name}_url"] = body.get(f"{name}_url")
    return Reply(store.webhook)


# --- the vendor -----------------------------------------------------------------------------------------------------


def gate(buckets: Buckets, store: PersistIQStore, call: Call, operation: Operation | None) -> dict[str, str]:
    """Check limit and key; a wrong key is repeated in the message, so clients have to mask it."""
    key = call.headers.get("x-api-key", "")
    spent = buckets.spend(key)
    headers, reset = persistiq_headers(spent, with_reset=store.config.persistiq_sends_reset)
    if not spent.allowed:
        message = f"You performed more than {spent.limit} requests per minute. Limit will be reseted at {reset}."
        raise ApiError(429, {"error": {"reason": "too_many_requests", "message": message}}, headers)
    if key != store.config.persistiq_key:
        message = f"Failed to find api key: {key}.  Did you set header 'x-api-key' in your request?"
        error = refuse(401, message)
        error.headers |= headers
        raise error
    return headers


OPERATIONS = (
    ("GET", "/users", paged("users", lambda store: store.users)),
    ("GET", "/leads", list_leads),
    ("POST", "/leads", create_leads),
    ("GET", "/leads/{id}", get_lead),
    ("PATCH", "/leads/{id}", update_lead),
    ("PUT", "/leads/{id}", update_lead),
    ("GET", "/lead_statuses", unpaged("lead_statuses", lambda store: _pairs(store.statuses, "name"))),
    ("GET", "/lead_fields", unpaged("lead_fields", lambda store: _pairs(store.fields, "name", "label"))),
    ("GET", "/campaigns", campaigns.list_campaigns),
    ("POST", "/campaigns", campaigns.create_campaign),
    ("POST", "/campaigns/duplicate", campaigns.duplicate_campaign),
    ("GET", "/campaigns/{id}/leads", campaigns.list_members),
    ("POST", "/campaigns/{id}/leads", campaigns.add_members),
    ("DELETE", "/campaigns/{id}/leads/{leadId}", campaigns.remove_member),
    ("GET", "/campaigns/{id}/replies", campaigns.list_replies),
    ("POST", "/campaigns/{id}/replies", campaigns.send_reply),
    ("GET", "/events", list_events),
    ("GET", "/dnc_domains", paged("dnc_domains", lambda store: _pairs(store.dnc, "name"))),
    ("POST", "/dnc_domains", create_dnc),
    ("GET", "/tags", paged("tags", lambda store: _pairs(store.tags, "name"))),
    ("GET", "/webhook_plugin", get_webhook),
    ("PUT", "/webhook_plugin", put_webhook),
)


def vendor(config: SandboxConfig, clock: Clock, people: Iterable[Person]) -> Vendor:
    """Build the PersistIQ stand-in with its seeded leads."""
    store = PersistIQStore(config, clock)
    seed(store, people)
    limit = config.persistiq_per_minute if config.limits else NO_LIMIT
    return Vendor(
        name="persistiq",
        store=store,
        operations=tuple(Operation(m, f"/v1{path}", handler, m != "GET") for m, path, handler in OPERATIONS),
        gate=partial(gate, Buckets(limit, 60 / config.time_scale), store),
        refuse=refuse,
        records=lambda: {
            "leads": len(store.leads),
            "campaigns": len(store.campaigns),
            "campaign_leads": sum(len(campaign.members) for campaign in store.campaigns.values()),
            "events": len(store.events),
            "dnc_domains": len(store.dnc),
            "messages_sent": len(store.messages_sent),
        },
    )
