"""HubSpot's lists of contacts: which there are, who is in one, and which a contact is in.

https://developers.hubspot.com/docs/api-reference/latest/crm/lists/memberships/get-lists-per-record
"""

from __future__ import annotations

from typing import Any

from airflow_providers_leads.sandbox.core.clock import iso_utc
from airflow_providers_leads.sandbox.core.shell import Call, Reply
from airflow_providers_leads.sandbox.hubspot.errors import bad_request, failure
from airflow_providers_leads.sandbox.hubspot.store import HubSpotStore, RecordList, require
from airflow_providers_leads.sandbox.hubspot.types import ALIASES


def list_memberships(store: HubSpotStore, call: Call) -> Reply:
    """List the lists that a contact is in."""
    if ALIASES.get(call.params["objectTypeId"]) != "contacts":
        raise bad_request(f"Unable to infer object type from: {call.params['type']}")
    contact = require(store.resolve(call.params["id"]))
    rows = [
        {
            "listId": list_id,
            "listVersion": 1,
            "firstAddedTimestamp": iso_utc(added),
            "lastAddedTimestamp": iso_utc(added),
        }
        for list_id, added in sorted(store.memberships.get(contact.id, {}).items())
    ]
    return Reply({"results": rows, "total": len(rows)})


def get_list(store: HubSpotStore, call: Call) -> Reply:
    """Return one list by its id."""
    list_id = call.params["listId"]
    if list_id not in store.lists:
        raise failure(404, f"List does not exist with ID {list_id}.")
    return _told(store, list_id)


def get_list_by_name(store: HubSpotStore, call: Call) -> Reply:
    """Return one list by its exact name."""
    name = call.params["listName"]
    kind = call.params["objectTypeId"]
    known = [one for one, each in store.lists.items() if (each.name, each.object_type) == (name, kind)]
    list_id = next((one for one in known if store.lists[one].deleted is None), None)
    if list_id is None:
        raise failure(404, "List does not exist with the given name.")
    return _told(store, list_id)


def _told(store: HubSpotStore, list_id: str) -> Reply:
    size, known = sum(list_id in memberships for memberships in store.memberships.values()), store.lists[list_id]
    described = {
        "listId": list_id,
        "name": known.name,
        "objectTypeId": known.object_type,
        "processingType": known.processing,
        "processingStatus": "COMPLETE",
        "deletedAt": None if known.deleted is None else iso_utc(known.deleted),
        "size": size,
    }
    return Reply({"list": described})


def seed_lists(store: HubSpotStore) -> None:
    """Start with a list that people fill by hand, one that HubSpot fills, and one of companies."""
    store.lists |= {
        "7": RecordList("Trade fair 2026"),
        "8": RecordList("Customers", "DYNAMIC"),
        "9": RecordList("Key accounts", object_type="0-2"),
    }
    for number, contact in enumerate(store.contacts.values()):
        lists = store.memberships.setdefault(contact.id, {})
        if number % 5:
            lists["7"] = store.born
        if contact.properties.get("lifecyclestage") == "customer":
            lists["8"] = store.born


def list_members(store: HubSpotStore, call: Call) -> Reply:
    """List who is in a list, by record id."""
    list_id = call.params["listId"]
    if list_id not in store.lists:
        raise failure(404, f"List does not exist with ID {list_id}.")
    limit, after = int(call.query.get("limit", "100")), int(call.query.get("after", "0"))
    everyone = sorted(contact for contact, memberships in store.memberships.items() if list_id in memberships)
    rest = [contact for contact in everyone if contact > after]
    page = rest[:limit]
    rows = [
        {"recordId": str(contact), "membershipTimestamp": iso_utc(store.memberships[contact][list_id])}
        for contact in page
    ]
    body: dict[str, Any] = {"results": rows, "total": len(everyone)}
    if len(rest) > limit:
        body["paging"] = {"next": {"after": str(page[-1])}}
    return Reply(body)


def add_members(store: HubSpotStore, call: Call) -> Reply:
    """Add records to a list that is filled by hand."""
    list_id, ids, missing = _asked(store, call)
    now = store.clock.now()
    added = [one for one in ids if list_id not in store.memberships.get(one, {})]
    for one in added:
        store.memberships.setdefault(one, {})[list_id] = now
    return Reply(_change(added=added, missing=missing))


def remove_members(store: HubSpotStore, call: Call) -> Reply:
    """Remove records from a list that is filled by hand."""
    list_id, ids, missing = _asked(store, call)
    removed = [one for one in ids if store.memberships.get(one, {}).pop(list_id, None) is not None]
    return Reply(_change(removed=removed, missing=missing))


def _asked(store: HubSpotStore, call: Call) -> tuple[str, list[int], list[str]]:
    list_id = call.params["listId"]
    if list_id not in store.lists:
        raise failure(404, f"List does not exist with ID {list_id}.")
    if store.lists[list_id].processing == "DYNAMIC":
        raise bad_request("Records cannot be added to or removed from a list of this processing type.")
    asked = call.json()
    if not isinstance(asked, list) or not all(str(one).isdecimal() for one in asked):
        raise bad_request("Invalid input JSON: an array of record ids was expected")
    known = {str(one): int(one) for one in asked if int(one) in store.contacts}
    return list_id, list(known.values()), [str(one) for one in asked if str(one) not in known]


def _change(added: list[int] | None = None, removed: list[int] | None = None, *, missing: list[str]) -> dict[str, Any]:
    return {
        "recordsIdsAdded": [str(one) for one in added or ()],
        "recordIdsRemoved": [str(one) for one in removed or ()],
        "recordIdsMissing": missing,
    }
