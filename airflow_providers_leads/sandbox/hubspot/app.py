"""The HubSpot stand-in: which calls exist under which versions, and who may make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from airflow_providers_leads.sandbox.core.clock import Clock, iso_utc
from airflow_providers_leads.sandbox.core.config import SandboxConfig
from airflow_providers_leads.sandbox.core.limits import HubSpotLimits
from airflow_providers_leads.sandbox.core.people import Person
from airflow_providers_leads.sandbox.core.shell import Call, Operation, Reply, Vendor
from airflow_providers_leads.sandbox.hubspot import account, batches, contacts, lists
from airflow_providers_leads.sandbox.hubspot import associations as links
from airflow_providers_leads.sandbox.hubspot.errors import bad_request, missing_scopes, rate_limited, refuse
from airflow_providers_leads.sandbox.hubspot.search import search
from airflow_providers_leads.sandbox.hubspot.store import HubSpotStore, seed

MAX_URL = 16_000
"""Characters; the nominal limit is about half, clients measured this one."""

READ = frozenset({"crm.objects.contacts.read"})
WRITE = frozenset({"crm.objects.contacts.write"})
READ_SCHEMA = frozenset({"crm.objects.contacts.read", "crm.schemas.contacts.read"})
WRITE_SCHEMA = frozenset({"crm.schemas.contacts.write"})
READ_LISTS = frozenset({"crm.lists.read"})
WRITE_LISTS = frozenset({"crm.lists.write"})
OWNERS = frozenset({"crm.objects.owners.read"})

V3, DATED = "/crm/v3/objects/{type}", "/crm/objects/{version}/{type}"
RECORDS = ("/crm/v4/objects/{from}/{fromId}/associations", "/crm/objects/{version}/{from}/{fromId}/associations")
PAIRS = ("/crm/v4/associations/{from}/{to}", "/crm/associations/{version}/{from}/{to}")
PROPERTIES = ("/crm/v3/properties/{type}", "/crm/properties/{version}/{type}")
LISTS = ("/crm/v3/lists", "/crm/lists/{version}")
ACCOUNT = ("/account-info/v3", "/account-info/{version}")
OWNER_ROOTS = ("/crm/v3/owners", "/crm/owners/{version}")
# HubSpot's contacts guide links records by a typed path under v3; the default PUT exists only under v4 and dates.
GUIDE = "/crm/v3/objects/{from}/{fromId}/associations/{to}/{toId}/{typeId}"

Handler = Callable[[HubSpotStore, Call], Reply]
Row = tuple[tuple[str, ...], str, str, Handler, bool, frozenset[str]]

ROWS: tuple[Row, ...] = (
    # roots, method, suffix, handler, writes, scopes
    ((V3, DATED), "GET", "", contacts.list_contacts, False, READ),
    ((V3, DATED), "POST", "", contacts.create_contact, True, WRITE),
    ((V3, DATED), "POST", "/merge", contacts.merge, True, WRITE),
    ((V3, DATED), "POST", "/gdpr-delete", contacts.gdpr_delete, True, WRITE),
    ((V3, DATED), "POST", "/search", search, False, READ),
    ((V3, DATED), "GET", "/{id}", contacts.get_contact, False, READ),
    ((V3, DATED), "PATCH", "/{id}", contacts.update_contact, True, WRITE),
    ((V3, DATED), "DELETE", "/{id}", contacts.archive_contact, True, WRITE),
    ((V3, DATED), "POST", "/batch/read", batches.batch_read, False, READ),
    ((V3, DATED), "POST", "/batch/create", batches.batch_create, True, WRITE),
    ((V3, DATED), "POST", "/batch/update", batches.batch_update, True, WRITE),
    ((V3, DATED), "POST", "/batch/upsert", batches.batch_upsert, True, WRITE),
    ((V3, DATED), "POST", "/batch/archive", batches.batch_archive, True, WRITE),
    (RECORDS, "GET", "/{to}", links.list_links, False, READ),
    (RECORDS, "PUT", "/default/{to}/{toId}", links.put_default, True, WRITE),
    (RECORDS, "PUT", "/{to}/{toId}", links.put_labels, True, WRITE),
    (RECORDS, "DELETE", "/{to}/{toId}", links.delete_all, True, WRITE),
    ((GUIDE,), "PUT", "", links.put_typed, True, WRITE),
    ((GUIDE,), "DELETE", "", links.delete_typed, True, WRITE),
    (PAIRS, "GET", "/labels", links.labels, False, READ),
    (PAIRS, "POST", "/batch/associate/default", links.batch_default, True, WRITE),
    (PAIRS, "POST", "/batch/create", links.batch_create, True, WRITE),
    (PAIRS, "POST", "/batch/read", links.batch_read, False, READ),
    (PAIRS, "POST", "/batch/archive", links.batch_archive, True, WRITE),
    (PAIRS, "POST", "/batch/labels/archive", links.batch_labels_archive, True, WRITE),
    (PROPERTIES, "GET", "", account.list_properties, False, READ_SCHEMA),
    (PROPERTIES, "POST", "", account.create_property, True, WRITE_SCHEMA),
    (PROPERTIES, "GET", "/groups", account.list_groups, False, READ_SCHEMA),
    (PROPERTIES, "POST", "/groups", account.create_group, True, WRITE_SCHEMA),
    (PROPERTIES, "POST", "/batch/read", account.batch_properties, False, READ_SCHEMA),
    (PROPERTIES, "POST", "/batch/create", account.batch_properties, True, WRITE_SCHEMA),
    (PROPERTIES, "POST", "/batch/archive", account.batch_properties, True, WRITE_SCHEMA),
    (PROPERTIES, "GET", "/{name}", account.get_property, False, READ_SCHEMA),
    (PROPERTIES, "PATCH", "/{name}", account.update_property, True, WRITE_SCHEMA),
    (PROPERTIES, "DELETE", "/{name}", account.archive_property, True, WRITE_SCHEMA),
    (OWNER_ROOTS, "GET", "", account.list_owners, False, OWNERS),
    # HubSpot's Python client ends this path, and no other one here, with a slash.
    (OWNER_ROOTS, "GET", "/", account.list_owners, False, OWNERS),
    (OWNER_ROOTS, "GET", "/{id}", account.get_owner, False, OWNERS),
    (LISTS, "GET", "/records/{objectTypeId}/{id}/memberships", lists.list_memberships, False, READ_LISTS),
    (LISTS, "GET", "/{listId}", lists.get_list, False, READ_LISTS),
    (LISTS, "GET", "/object-type-id/{objectTypeId}/name/{listName}", lists.get_list_by_name, False, READ_LISTS),
    (LISTS, "GET", "/{listId}/memberships", lists.list_members, False, READ_LISTS),
    (LISTS, "PUT", "/{listId}/memberships/add", lists.add_members, True, WRITE_LISTS),
    (LISTS, "PUT", "/{listId}/memberships/remove", lists.remove_members, True, WRITE_LISTS),
    (ACCOUNT, "GET", "/details", account.details, False, frozenset()),
    (ACCOUNT, "GET", "/api-usage/daily/private-apps", account.daily_usage, False, frozenset()),
    (("/oauth/v1", "/oauth/v3", "/oauth/{version}"), "POST", "/token", account.exchange, False, frozenset()),
)


def operations() -> Iterator[Operation]:
    """Yield one operation per row and version."""
    for roots, method, suffix, handler, writes, scopes in ROWS:
        bucket = {"/search": "search", "/token": "none"}.get(suffix, "main")
        for root in roots:
            yield Operation(method, root + suffix, handler, writes, scopes, bucket)


def gate(limits: HubSpotLimits, store: HubSpotStore, call: Call, operation: Operation | None) -> dict[str, str]:
    """Check address length, token, limit, scope and object type, in this order."""
    if call.raw_length > MAX_URL:
        raise refuse(414, "")
    if operation and operation.bucket == "none":
        return {}
    token = store.tokens.check(call.headers.get("authorization", ""))
    search_call = bool(operation and operation.bucket == "search")
    exceeded, headers = limits.spend(token.name, search=search_call, oauth=token.oauth)
    if exceeded:
        error = rate_limited(exceeded)
        error.headers |= headers
        raise error
    store.calls_today += 1
    if operation and operation.needs and not operation.needs & token.scopes:
        error = missing_scopes(operation.needs)
        error.headers |= headers
        raise error
    kind = call.params.get("type")
    if kind is not None and kind not in ("contacts", "contact", "0-1"):
        error = bad_request(f"Unable to infer object type from: {kind}")
        error.headers |= headers
        raise error
    return headers


def vendor(config: SandboxConfig, clock: Clock, people: Iterable[Person]) -> Vendor:
    """Build the HubSpot stand-in with its seeded contacts."""
    store = HubSpotStore(config, clock)
    store.tokens = account.Tokens(config)
    store.owners = account.seed_owners(iso_utc(store.born))
    store.groups = {
        name: account.make_group(name, label)
        for name, label in (("contactinformation", "Contact information"), ("emailinformation", "Email information"))
    }
    seed(store, people)
    lists.seed_lists(store)
    limits = HubSpotLimits.make(
        config.hubspot_burst,
        config.hubspot_search,
        config.hubspot_daily,
        enabled=config.limits,
        scale=config.time_scale,
        search_in_burst=config.search_in_burst,
    )
    return Vendor(
        name="hubspot",
        store=store,
        operations=tuple(operations()),
        gate=partial(gate, limits, store),
        refuse=refuse,
        records=lambda: {
            "contacts": len(store.live),
            "archived": len(store.archived),
            "associations": sum(map(len, store.links.values())) // 2,
            "properties": len(store.properties),
        },
    )
