"""What HubSpot can be watched for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from airflow_providers_leads.hooks.streams import Found, Item, Poll, Query, State, Stream
from airflow_providers_leads.http.errors import LeadsNotFoundError
from airflow_providers_leads.leads.model.schema import moment


def _creations(hook: Any, query: Query, since: datetime) -> Iterator[Item]:
    created = {"propertyName": "createdate", "operator": "GTE", "value": since}
    groups = [{"filters": [created, *(query.get("filters") or ())]}]
    for contact in hook.search_contacts(filter_groups=groups, properties=["createdate"]):
        at = moment(contact.get("createdAt"))
        if at is not None:
            yield Item(str(contact["id"]), at, str(contact["id"]))


def _property(hook: Any, query: Query, state: State | None) -> tuple[Found, State]:
    name, key = query["property_name"], query["contact"]
    by_email = "@" in key
    if not state:
        # Reads drop unknown names without a word: the wait would never end.
        hook.get_property(name)
    try:
        contact = hook.get_contact(key, id_property="email" if by_email else None, properties=[name])
    except LeadsNotFoundError:
        if not by_email:
            raise
        # Somebody may be about to create it.
        return None, {"known": True}
    value = (contact.get("properties") or {}).get(name)
    values = query.get("values")
    if value in (None, "") or (values and not set(values) & {value, *value.split(";")}):
        return None, {"known": True}
    # Not the value: it may be an address.
    return {"contact_id": str(contact["id"]), "property_name": name}, {"known": True}


STREAMS: Final[Mapping[str, Stream | Poll]] = {
    # The search index lags behind by seconds, sometimes by a minute; the vendor states no bound.
    "contacts": Stream(_creations, timedelta(minutes=10)),
    "property": _property,
}
