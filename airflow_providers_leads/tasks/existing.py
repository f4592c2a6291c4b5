"""What a plan is compared with: who must not be written, and what the destination holds now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

import pendulum

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.leads.files.staging import count_rows, read_rows, write_rows
from airflow_providers_leads.leads.memory.hashing import ADDRESS, keyed
from airflow_providers_leads.leads.model.identity import email_key, spellings
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.lookup import addresses_to_look_up, unfound
from airflow_providers_leads.leads.plan.suppression import (
    DO_NOT_CONTACT,
    Suppressions,
    is_list_uri,
    read_suppressions,
)
from airflow_providers_leads.tasks.extract import extract
from airflow_providers_leads.tasks.inputs import PlanTask, check_accounts, uri_in
from airflow_providers_leads.tasks.memory import absent_for_sure, folder_at
from airflow_providers_leads.tasks.paths import storage_path

_MOST_REMEMBERED: Final = 10_000
"""People whom a memory is asked for before a destination is read as a whole."""


def suppressions_of(task: PlanTask) -> Suppressions:
    """Return who must not be written: by lists, and by what CRMs are told never to contact."""

    also = None
    if task.memory is not None:
        key = folder_at(str(task.memory["memory"])).key
        also = partial(keyed, key, ADDRESS)
    found = Suppressions(also)
    lists = [uri_in(entry, "uri") if isinstance(entry, Mapping) else entry for entry in task.suppressions]
    for entry in lists:
        if not isinstance(entry, str) or not entry.strip():
            raise ValueError("suppressions must be URIs of lists, or connection ids")
        if is_list_uri(entry):
            count = read_suppressions(storage_path(entry), found)
            task.log.log(30 if count == 0 else 20, "%d entries in the suppression list %s", count, entry)
    hooks = [task.hook, *(get_leads_hook(entry) for entry in lists if not is_list_uri(entry))]
    for hook in {hook.conn_id: hook for hook in reversed(hooks)}.values():
        for domain in sorted(hook.blocked_domains()):
            if not found.add_domain(domain, DO_NOT_CONTACT):
                task.log.warning("%s: a do-not-contact domain is no domain and can't be compared", hook.conn_id)
    return found


def what_it_holds(task: PlanTask, target_scope: str | None) -> tuple[str, datetime | None]:
    """Return a file of what the destination holds, and since when changes to it are unknown."""
    hook, asked = task.hook, task.own_properties if "properties" in task.hook.scope_keys else set()
    for item in task.existing:
        if not isinstance(item, Mapping):
            check_accounts(hook, [storage_path(str(item))])
            return str(item), None
        # A partial read knows only some records: taking it for all would create the others twice. Where only one scope
        # is written to, a read of the others may not have held it, so it is read anew.
        whole = item.get("conn_id") == hook.conn_id and item.get("complete") and target_scope is None
        if whole and item.get("account") and not hook.is_account(item["account"]):
            task.log.warning("%s: it was another account's when it was extracted: reading it anew", hook.conn_id)
            continue
        if whole and asked <= set(item.get("properties") or ()):
            task.log.info("%s: comparing with what was extracted before", hook.conn_id)
            return str(item["uri"]), _time(item.get("watermark"))
    uri = f"{task.stem}.existing.parquet"
    scope: dict[str, Any] = {} if target_scope is None else hook.parts.to_read([target_scope])
    scope |= {"properties": sorted(asked)} if asked else {}
    since = pendulum.now("UTC")
    if _known_to_be_absent(task, uri, scope, target_scope):
        return uri, since
    if count_rows(storage_path(task.golden)) <= hook.lookup_rows and _looked_up(task, uri, scope):
        return uri, since
    task.log.info("%s: reading all that it holds", hook.conn_id)
    extract(hook, uri, scope=scope, log=task.log)
    return uri, since


def _known_to_be_absent(task: PlanTask, uri: str, scope: Mapping[str, Any], target_scope: str | None) -> bool:
    """Write what the destination holds of those who are there by what is remembered; false: memory can't tell."""
    hook, golden = task.hook, storage_path(task.golden)
    if task.memory is None or not hook.lookup_rows or count_rows(golden) > _MOST_REMEMBERED:
        return False
    addresses = addresses_to_look_up(golden, storage_path(task.members) if task.members else None)
    people = sorted({key for key in map(email_key, addresses) if key})
    there = absent_for_sure(task.memory, hook, target_scope, people)
    if there is None or len(there) > hook.lookup_rows:
        return False
    # What this very run has read of the destination is no memory yet.
    parts = [item["uri"] for item in task.existing if isinstance(item, Mapping) and item.get("conn_id") == hook.conn_id]
    wanted = set(people)
    read = {
        (lead.source_scope, lead.source_id): lead
        for part in parts
        for lead in read_rows(storage_path(str(part)), Lead)
        if lead.email_key in wanted and target_scope in (None, lead.source_scope)
    }
    asked = sorted(set(there) - {lead.email_key for lead in read.values() if lead.email_key})
    task.log.info(
        "%s: %d of %d people are remembered there, %d are looked up", hook.conn_id, len(there), len(people), len(asked)
    )
    spelled = [spelling for key in asked for spelling in spellings(key, key)]
    known = {
        (lead.source_scope, lead.source_id): lead for lead in (hook.find_leads(spelled, **scope) if spelled else ())
    }
    write_rows(storage_path(uri), Lead, ({**known, **read}).values())
    # Who isn't found under the address may have got another one: then the whole is read.
    return len(known) >= len(asked)


def _looked_up(task: PlanTask, uri: str, scope: Mapping[str, Any]) -> bool:
    """Write what the destination holds of the golden people; false: they can't be looked up for sure."""
    hook, golden = task.hook, storage_path(task.golden)
    members = storage_path(task.members) if task.members else None
    addresses = addresses_to_look_up(golden, members)
    if len(addresses) > hook.lookup_rows:
        return False
    task.log.info("%s: looking up %d addresses", hook.conn_id, len(addresses))
    rows = write_rows(storage_path(uri), Lead, hook.find_leads(addresses, **scope))
    task.log.info("%s: it holds %d records of them", hook.conn_id, rows)
    missing = unfound(golden, members, storage_path(uri), hook.conn_type, hook.conn_id) if members else 0
    if missing:
        # Taking them for absent would create their people a second time.
        task.log.info("%s: %d records known before were not found by address", hook.conn_id, missing)
    return not missing


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
