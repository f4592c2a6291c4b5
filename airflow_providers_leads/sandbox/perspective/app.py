"""The Perspective stand-in: workspaces, contacts of a funnel, one-field updates; metrics stand beside it.

https://developers.perspective.co
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

from airflow_providers_leads.sandbox.core.clock import Clock, iso_utc
from airflow_providers_leads.sandbox.core.config import SandboxConfig
from airflow_providers_leads.sandbox.core.limits import NO_LIMIT, Buckets, perspective_headers
from airflow_providers_leads.sandbox.core.people import Person
from airflow_providers_leads.sandbox.core.shell import ApiError, Call, Operation, Reply, Vendor
from airflow_providers_leads.sandbox.perspective import metrics
from airflow_providers_leads.sandbox.perspective.errors import refuse
from airflow_providers_leads.sandbox.perspective.store import (
    ADDRESS_FIELDS,
    EMAIL,
    FLAT_FIELDS,
    SORT_FIELDS,
    Contact,
    Funnel,
    PerspectiveStore,
    funnel_of,
    seed,
)

FORBIDDEN_ON_CREATE = ("meta", "utmParams", "properties")
MAX_PAGE, DEFAULT_PAGE = 100, 50


def contact_of(funnel: Funnel, call: Call) -> Contact:
    """Return the contact of the path."""
    contact = funnel.contacts.get(call.params["contactId"])
    if contact is None:
        raise refuse(404, "Contact not found")
    return contact


def list_workspaces(store: PerspectiveStore, call: Call) -> Reply:
    """List the workspaces a key may see, each with its funnels, which the API calls campaigns."""
    allowed = call.grant.workspaces
    data = [
        {
            "id": home,
            "name": name,
            "campaigns": [
                {"id": f.id, "name": f.name, "status": f.status} for f in store.funnels.values() if f.workspace == home
            ],
        }
        for home, name in store.workspaces.items()
        if allowed is None or home in allowed
    ]
    return Reply({"data": data})


def whole(call: Call, name: str, default: int, low: int, high: int | None) -> int:
    """Return a whole-number query value within its bounds."""
    text = call.query.get(name, str(default))
    number = int(text) if re.fullmatch(r"\d{1,9}", text) else -1
    if number < low or (high is not None and number > high):
        raise refuse(400, f"Invalid {name}")
    return number


def list_contacts(store: PerspectiveStore, call: Call) -> Reply:
    """Page through a funnel's contacts; pages count from 0. Visitors who never converted are listed too.

    The vendor does not say whether they are; MongoDB puts them last in descending and first in ascending order.
    """
    funnel = funnel_of(store, call)
    page, limit = whole(call, "page", 0, 0, None), whole(call, "limit", DEFAULT_PAGE, 1, MAX_PAGE)
    sort_field, sort_order = call.query.get("sortField", SORT_FIELDS[0]), call.query.get("sortOrder", "-1")
    if sort_field not in SORT_FIELDS or sort_order not in ("-1", "1"):
        raise refuse(400, "Invalid sortField or sortOrder")
    keys, start, total = funnel.orders[sort_field], page * limit, len(funnel.contacts)
    end = min(total, start + limit)
    picked = keys[start:end] if sort_order == "1" else keys[max(0, total - end) : max(0, total - start)][::-1]
    rows = [funnel.contacts[contact_id] for _, _, contact_id in picked]
    if store.config.list_omits_details:
        rows = [{key: row[key] for key in row if key not in ("utmParams", "properties")} for row in rows]
    meta = {"total": total, "page": page, "limit": limit, "hasNext": start + limit < total}
    return Reply({"data": rows, "meta": meta})


def get_contact(store: PerspectiveStore, call: Call) -> Reply:
    """Read one contact."""
    return Reply({"data": contact_of(funnel_of(store, call), call)})


def _skip(body: dict[str, Any]) -> bool:
    skip = body.pop("skipAutomationTrigger", False)
    if not isinstance(skip, bool):
        raise refuse(400, "skipAutomationTrigger must be a boolean")
    return skip


def check_field(funnel: Funnel, name: str, value: Any) -> None:
    """Refuse a value that its field does not take; on the wire every value is a string."""
    if not isinstance(value, str):
        raise refuse(400, f"{name} must be a string")
    if name == "email" and not EMAIL.fullmatch(value):
        raise refuse(400, "Invalid email format")
    if name == "status" and value not in funnel.statuses:
        raise refuse(400, f"Unknown status: {value}")


def create_contact(store: PerspectiveStore, call: Call) -> Reply:
    """Create a contact; every call makes a new one, whatever its address."""
    funnel, body = funnel_of(store, call), call.json_object()
    if forbidden := [key for key in FORBIDDEN_ON_CREATE if key in body]:
        raise refuse(400, f"Not allowed on create: {', '.join(forbidden)}")
    skip, address = _skip(body), body.pop("address", None)
    # Custom names have to follow as updates; dropping them in silence would hide a client's mistake.
    if unknown := sorted(set(body) - {*FLAT_FIELDS, "timezone"}):
        raise refuse(400, f"Unknown field: {', '.join(unknown)}")
    if not body.get("email") and not body.get("phone"):
        raise refuse(400, "Email or phone is required")
    for name, value in body.items():
        check_field(funnel, name, value)
    if address is not None:
        if not isinstance(address, dict) or set(address) - set(ADDRESS_FIELDS):
            raise refuse(400, "Invalid address")
        for name, value in address.items():
            check_field(funnel, name, value)
    now = iso_utc(store.clock.now())
    meta = {"ps_first_seen_at": now}
    if store.config.api_contacts_converted:
        meta["ps_converted_at"] = now
    contact = {"id": store.next_id(), "status": funnel.statuses[0], **body, "meta": meta}
    contact |= {"address": address} if address else {}
    contact |= {"utmParams": {}, "properties": {}}
    funnel.add(contact)
    store.fire(funnel, contact, f"status:{contact['status']}", skip=skip)
    return Reply({"data": contact}, 201)


def update_value(store: PerspectiveStore, call: Call) -> Reply:
    """Set one field; a name that is none becomes a custom property, as the vendor does with typing errors."""
    funnel = funnel_of(store, call)
    contact, body = contact_of(funnel, call), call.json_object()
    skip, name = _skip(body), body.get("fieldName")
    if not isinstance(name, str) or not name or "value" not in body:
        raise refuse(400, "fieldName and value are required")
    if unknown := sorted(set(body) - {"fieldName", "value"}):
        raise refuse(400, f"Unknown key: {', '.join(unknown)}")
    if name.startswith("ps_"):
        raise refuse(400, f"Reserved field name: {name}")
    target = "postalCode" if name == "zip" else name
    check_field(funnel, target, body["value"])
    funnel.change(contact, target, body["value"])
    store.fire(funnel, contact, f"status:{body['value']}" if name == "status" else f"field:{name}", skip=skip)
    now = iso_utc(store.clock.now())
    return Reply({"data": {"id": contact["id"], "fieldName": name, "value": body["value"], "updatedAt": now}})


def gate(buckets: Buckets, store: PerspectiveStore, call: Call, operation: Operation | None) -> dict[str, str]:
    """Check key, limit and permission; a missing and a wrong key differ in their text only."""
    key = call.headers.get("x-perspective-api-key", "")
    if not key:
        raise refuse(401, "API key is required")
    if key not in store.keys:
        raise refuse(401, "Invalid or unauthorized API key")
    spent = buckets.spend(key)
    headers = perspective_headers(spent)
    if not spent.allowed:
        body = {"error": "Rate limit exceeded", "status": 429, "retryAfter": spent.wait_whole}
        raise ApiError(429, body, headers)
    call.grant = store.keys[key]
    if operation and not operation.needs & call.grant.permissions:
        raise ApiError(403, refuse(403, "Forbidden").body, headers)
    return headers


def vendor(config: SandboxConfig, clock: Clock, people: Iterable[Person]) -> Vendor:
    """Build the Perspective stand-in with its seeded contacts."""
    store = PerspectiveStore(config, clock)
    seed(store, people)
    root = "/v1/funnels/{funnelId}"
    rows = (
        ("GET", "/v1/workspaces", list_workspaces, "workspaces:read"),
        ("GET", f"{root}/contacts", list_contacts, "crm:read"),
        ("GET", f"{root}/contacts/{{contactId}}", get_contact, "crm:read"),
        ("POST", f"{root}/contacts", create_contact, "crm:write"),
        ("PUT", f"{root}/contacts/{{contactId}}/values", update_value, "crm:write"),
        ("GET", f"{root}/metrics/kpis/{{subtype}}", metrics.get_kpi, "metrics:read"),
        ("GET", f"{root}/metrics/charts/{{subtype}}", metrics.get_chart, "metrics:read"),
        ("GET", f"{root}/metrics/insights/{{insightId}}", metrics.get_insight, "metrics:read"),
    )
    limit = config.perspective_per_minute if config.limits else NO_LIMIT
    return Vendor(
        name="perspective",
        store=store,
        operations=tuple(Operation(m, path, h, m != "GET", frozenset({need})) for m, path, h, need in rows),
        gate=partial(gate, Buckets(limit, 60 / config.time_scale), store),
        refuse=refuse,
        records=lambda: {
            "workspaces": len(store.workspaces),
            "funnels": len(store.funnels),
            "contacts": sum(len(funnel.contacts) for funnel in store.funnels.values()),
            "automations_fired": len(store.automations_fired),
        },
    )
