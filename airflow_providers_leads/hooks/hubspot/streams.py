"""What HubSpot can be watched for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from airflow_providers_leads.hooks.hubspot.properties import property_type
from airflow_providers_leads.hooks.streams import Found, Item, Poll, Query, State, Stream
from airflow_providers_leads.http.errors import LeadsNotFoundError
from airflow_providers_leads.leads.model.schema import moment
from airflow_providers_leads.leads.plan.property_types import PropertyType, Unconvertible


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
        # Reads drop unknown names without a word, and no value is ever another than its type writes: the wait would
        # never end.
        state = _known(name, property_type(hook.get_property(name)), query.get("values") or ())
    try:
        contact = hook.get_contact(key, id_property="email" if by_email else None, properties=[name])
    except LeadsNotFoundError:
        if not by_email:
            raise
        # Somebody may be about to create it.
        return None, state
    value = (contact.get("properties") or {}).get(name)
    if value in (None, "") or not _reached(str(value), state):
        return None, state
    # Not the value: it may be an address.
    return {"contact_id": str(contact["id"]), "property_name": name}, state


def _known(name: str, kind: PropertyType, values: Iterable[str]) -> State:
    """Return what is to be known at later looks: the values that are waited for, as HubSpot writes them.

    :raises ValueError: for one that the property never has
    """
    try:
        return {"kind": kind.kind, "values": [kind.convert(value) or "" for value in values]}
    except Unconvertible as error:
        raise ValueError(f"a value that {name} is to have is none that it can have: {error}") from None


def _reached(value: str, state: State) -> bool:
    if not (wanted := state.get("values")):
        return True
    kind = PropertyType(state.get("kind", "text"))
    return any(kind.same(one, held) for one in wanted for held in {value, *value.split(";")})


STREAMS: Final[Mapping[str, Stream | Poll]] = {
    # The search index lags behind by seconds, sometimes by a minute; the vendor states no bound.
    "contacts": Stream(_creations, timedelta(minutes=10)),
    "property": _property,
}
