"""HubSpot contacts one by one: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any
from urllib.parse import urlencode

from airflow_providers_leads.sandbox.core.shell import Call, Reply, as_text_list
from airflow_providers_leads.sandbox.hubspot.associations import inline_associations, inline_links
from airflow_providers_leads.sandbox.hubspot.errors import bad_request
from airflow_providers_leads.sandbox.hubspot.store import Contact, HubSpotStore, require

MAX_PAGE, MAX_PAGE_WITH_HISTORY = 100, 50
LOWEST_CURSOR = 100_000
"""List cursors are record ids and search cursors are offsets; no id is this small, no offset this large."""


def flag(call: Call, name: str) -> bool:
    """Read a yes or no of the query; HubSpot's Python client spells them `True` and `False`."""
    value = call.query.get(name, "false").lower()
    if value not in ("true", "false"):
        raise bad_request(f"Invalid value for {name}: {value}")
    return value == "true"


def _rendered(store: HubSpotStore, call: Call, contact: Contact) -> dict[str, Any]:
    body = store.render(
        contact,
        as_text_list(call.query.getlist("properties")),
        as_text_list(call.query.getlist("propertiesWithHistory")),
    )
    links = inline_associations(store, contact.id, as_text_list(call.query.getlist("associations")))
    return body | {"associations": links} if links else body


def list_contacts(store: HubSpotStore, call: Call) -> Reply:
    """Page through contacts by id; `after` is the id of the next one."""
    most = MAX_PAGE_WITH_HISTORY if call.query.get("propertiesWithHistory") else MAX_PAGE
    limit = call.query.get("limit", "10")
    if not limit.isdecimal() or not 1 <= int(limit) <= most:
        raise bad_request(f"limit must be between 1 and {most}, got {limit}")
    after = call.query.get("after")
    if after is not None and not (after.isdecimal() and int(after) >= LOWEST_CURSOR):
        raise bad_request(f"Cannot deserialize value of type `ObjectCursor` from String {after!r}")
    ids = store.archived if flag(call, "archived") else store.live
    start = bisect_left(ids, int(after)) if after else 0
    end = start + int(limit)
    body: dict[str, Any] = {"results": [_rendered(store, call, store.contacts[n]) for n in ids[start:end]]}
    if end < len(ids):
        query = [pair for pair in call.query.multi_items() if pair[0] != "after"]
        link = f"{call.origin}{call.path}?{urlencode([*query, ('after', ids[end])])}"
        body["paging"] = {"next": {"after": str(ids[end]), "link": link}}
    return Reply(body)


def get_contact(store: HubSpotStore, call: Call) -> Reply:
    """Read one contact by id or by a unique property."""
    return Reply(_rendered(store, call, _named(store, call, archived=flag(call, "archived"))))


def _named(store: HubSpotStore, call: Call, *, archived: bool = False) -> Contact:
    id_property, value = call.query.get("idProperty"), call.params["id"]
    store.check_id_property(id_property)
    if archived and value.isdecimal():
        binned = store.contacts.get(int(value))
        return require(binned if binned and binned.archived is not None else None)
    return require(store.resolve(value, id_property))


def create_contact(store: HubSpotStore, call: Call) -> Reply:
    """Create one contact with its links, all or nothing."""
    body = call.json_object()
    change = store.plan_create(body.get("properties"), inline_links(store, body.get("associations")))
    return Reply(rendered_write(store, change.commit(), change.names), 201)


def update_contact(store: HubSpotStore, call: Call) -> Reply:
    """Change some properties of one contact; an id that was merged away reaches the survivor."""
    contact = _named(store, call)
    change = store.plan_update(contact, call.json_object().get("properties"))
    return Reply(rendered_write(store, change.commit(), change.names))


def rendered_write(store: HubSpotStore, contact: Contact, names: tuple[str, ...]) -> dict[str, Any]:
    """Return a written contact with what was sent and what identifies it."""
    return store.render(contact, dict.fromkeys((*names, "email", "firstname", "lastname")))


def archive_contact(store: HubSpotStore, call: Call) -> Reply:
    """Archive one contact; the answer for an unknown id is not documented, 404 is taken."""
    store.archive(require(store.resolve(call.params["id"], through_merge=False)))
    return Reply(status=204)


def gdpr_delete(store: HubSpotStore, call: Call) -> Reply:
    """Delete a contact for good; an address that nobody has is blocked from ever being added."""
    body = call.json_object()
    value, id_property = str(body.get("objectId") or ""), body.get("idProperty")
    if not value:
        raise bad_request("objectId is required")
    store.check_id_property(id_property)
    contact = store.resolve(value, id_property)
    if contact is None and id_property is None and value.isdecimal():
        contact = store.contacts.get(int(value))
    if contact:
        store.forget(contact)
    elif id_property == "email":
        store.blocked.add(value.strip().lower())
    else:
        require(None)
    return Reply(status=204)


def merge(store: HubSpotStore, call: Call) -> Reply:
    """Join two contacts; there is no way back."""
    body = call.json_object()
    keys = (body.get("primaryObjectId"), body.get("objectIdToMerge"))
    if not all(keys) or keys[0] == keys[1]:
        raise bad_request("primaryObjectId and objectIdToMerge must be two different ids")
    primary, other = (require(store.resolve(str(key))) for key in keys)
    if primary is other:
        raise bad_request("These contacts were merged already")
    store.merge(primary, other)
    return Reply(store.render(primary, ("email", "hs_additional_emails", "hs_merged_object_ids")))
