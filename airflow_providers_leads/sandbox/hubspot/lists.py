"""HubSpot's lists, as far as a contact shows which of them it is in.

https://developers.hubspot.com/docs/api-reference/latest/crm/lists/memberships/get-lists-per-record
"""

from __future__ import annotations

from airflow_providers_leads.sandbox.core.clock import iso_utc
from airflow_providers_leads.sandbox.core.shell import Call, Reply
from airflow_providers_leads.sandbox.hubspot.errors import bad_request
from airflow_providers_leads.sandbox.hubspot.store import HubSpotStore, require
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
