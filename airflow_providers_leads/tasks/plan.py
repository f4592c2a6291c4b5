"""What golden records mean for one CRM, into a plan file; without a write to the CRM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_providers_leads.tasks.arguments import given_entries
from airflow_providers_leads.tasks.extract import extract
from airflow_providers_leads.tasks.inputs import check_accounts
from airflow_providers_leads.tasks.paths import storage_path
from airflow_providers_leads.tasks.progress import Progress, phase

_MOST_REMEMBERED = 10_000

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.model.outcomes import PlanRow
    from airflow_providers_leads.leads.plan.suppression import Suppressions

_BATCH_ROWS = 5_000
# To look at the clock takes longer than to compare a row.
_LOOK_ROWS = 1_000
LEFT_ALONE = "left_alone"
"""Reason of a row whose differences the CRM has no sure way to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTask:
    """One plan that is asked for.

    :param hook: of the destination
    :param stem: URI without ending of the files to write
    :param golden: URI of the golden records
    :param members: URI of their members, ``None`` when unknown
    :param existing: what the destination holds: results of extracts and URIs
    :param mode: see :class:`~airflow_providers_leads.leads.plan.planning.PlanRules`
    :param options: write options
    :param suppressions: URIs of lists, and connections
    :param properties: golden property → the destination's property
    :param push_opt_outs: see :class:`~airflow_providers_leads.leads.plan.planning.PlanRules`
    :param log: the task's logger
    :param account: mark of the destination's account, for the plan file; default as far as it is known
    :param memory: what the merge says of its memory, ``None`` without one
    :param max_changes: share of the destination's records that may be created or changed, ``None``: any
    """

    hook: LeadsHook
    stem: str
    golden: str
    members: str | None
    existing: Sequence[Any]
    mode: str
    options: Mapping[str, Any]
    suppressions: Sequence[str]
    properties: Mapping[str, str]
    push_opt_outs: bool
    log: Any
    account: str | None = None
    memory: Mapping[str, Any] | None = None
    max_changes: float | None = None


def property_names(properties: Any) -> dict[str, str]:
    """Return golden property → the destination's property as given to an operator.

    :raises ValueError: when it is no mapping of names to names, or two go to one place
    """
    if properties is not None and not isinstance(properties, Mapping):
        raise ValueError("properties must be a mapping such as {'utm_source': 'utm_source'}")
    names = given_entries(properties)
    if not all(isinstance(name, str) and name.strip() for pair in names.items() for name in pair):
        raise ValueError("properties must map names to names")
    if len(set(names.values())) < len(names):
        raise ValueError("properties: two of them go to the same property of the destination")
    return names


def write_plan(task: PlanTask) -> dict[str, Any]:
    """Write the plan and return its URI and counts; everything that is wrong with the input is told before."""
    from airflow_providers_leads.leads.files.provenance import members_of
    from airflow_providers_leads.leads.files.staging import RowWriter, count_rows, open_parquet
    from airflow_providers_leads.leads.model.outcomes import PlanRow
    from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS
    from airflow_providers_leads.leads.plan.facts import ACTIONS, PlanFacts, PlanTotals
    from airflow_providers_leads.leads.plan.planning import PlanRules, check_mode, iter_plan
    from airflow_providers_leads.tasks.memory import check_changes, plan_memory

    hook, log, planned_at = task.hook, task.log, pendulum.now("UTC")
    check_mode(task.mode)
    hook.check_write_options(**task.options)
    golden = storage_path(task.golden)
    open_parquet(golden, LEAD_COLUMNS).close(force=True)
    members = members_of(golden, storage_path(task.members) if task.members else None, storage_path)
    task = replace(task, members=None if members is None else str(members))
    check_accounts(hook, [golden, *([] if members is None else [members])])
    with phase(log, f"Who must not be written to {hook.conn_id}"):
        suppressions = _suppressions(task)
    hook.check_properties(list(task.properties.values()))
    if task.push_opt_outs and "opted_out" not in hook.writable_flags:
        log.info("Opt-outs are not pushed to %s: the API has no sure way to tell them", hook.conn_id)
    scope = hook.target_scope(**task.options)
    with phase(log, f"What {hook.conn_id} holds now"):
        existing, existing_at = _existing(task, scope)
    rules = PlanRules(
        mode=task.mode,  # type: ignore[arg-type]  # checked above
        writable=hook.writable_fields(),
        suppressions=suppressions,
        properties=task.properties,
        push_opt_outs=task.push_opt_outs and "opted_out" in hook.writable_flags,
        types=hook.property_types(),
    )
    memory = None
    if task.memory is not None:
        memory = plan_memory(task.memory, hook, scope, rules.properties.values())
    facts = PlanFacts(
        conn_id=hook.conn_id,
        conn_type=hook.conn_type,
        account=task.account or hook.known_account,
        mode=task.mode,
        scope=scope,
        planned_at=planned_at,
        existing_at=existing_at,
        requests_per_second=hook.requests_per_second,
        properties=sorted(task.properties.values()),
        property_keys=sorted(task.properties),
    )
    totals = PlanTotals()
    plan = f"{task.stem}.plan.parquet"
    rows = iter_plan(golden, storage_path(existing), rules, scope=scope, members_uri=members, memory=memory)
    total = count_rows(golden)
    progress = Progress(log, f"{hook.conn_id}: compared", total=total)
    with (
        phase(log, f"Compare with {hook.conn_id}"),
        RowWriter(storage_path(plan), PlanRow, batch_rows=_BATCH_ROWS, metadata=facts.metadata()) as writer,
    ):
        for done, row in enumerate(_with_cost(hook, rows), start=1):
            totals.add(row)
            writer.write(row)
            if done % _LOOK_ROWS == 0:
                progress.at(done)
    unmet = sorted(set(task.properties) - rules.met) if total else []
    if unmet:
        log.warning(
            "%s: properties: no golden record has %s, so nothing is written from there. The keys are those of the "
            "column properties in %s",
            hook.conn_id, ", ".join(map(repr, unmet)), task.golden,
        )  # fmt: skip
    if task.memory is not None:
        changes = totals.actions["create"] + totals.actions["update"]
        check_changes(task.memory, hook, changes, count_rows(storage_path(existing)), task.max_changes, log)
    minutes = totals.minutes(facts.requests_per_second)
    log.info(
        "Plan for %s: create %d, update %d, unchanged %d, suppress %d; %d people have duplicates there. "
        "Writing it takes %d requests, which the quota lets through in %s minutes",
        hook.conn_id, *(totals.actions[action] for action in ACTIONS), totals.duplicates, totals.requests, minutes,
    )  # fmt: skip
    return {
        "plan": plan,
        "existing": existing,
        "conn_id": hook.conn_id,
        **{action: totals.actions[action] for action in ACTIONS},
        "duplicates": totals.duplicates,
        "requests": totals.requests,
        "minutes": minutes,
        "unknown_properties": unmet,
        **({"memory": dict(task.memory)} if task.memory is not None else {}),
    }


def _with_cost(hook: LeadsHook, rows: Iterable[PlanRow]) -> Iterator[PlanRow]:
    for row in rows:
        row.requests = hook.write_cost(row)
        if row.action == "update" and not row.requests:
            # Planned as an update it would be planned again by every run, and never written.
            row.action, row.reason, row.values, row.before = "unchanged", row.reason or LEFT_ALONE, {}, {}
        yield row


def _suppressions(task: PlanTask) -> Suppressions:
    from airflow_providers_leads.hooks.base import get_leads_hook
    from airflow_providers_leads.leads.memory.hashing import ADDRESS, keyed
    from airflow_providers_leads.leads.plan.suppression import (
        DO_NOT_CONTACT,
        Suppressions,
        is_list_uri,
        read_suppressions,
    )
    from airflow_providers_leads.tasks.memory import folder_at

    also = None
    if task.memory is not None:
        key = folder_at(str(task.memory["memory"])).key
        also = partial(keyed, key, ADDRESS)
    found = Suppressions(also)
    for entry in task.suppressions:
        if not isinstance(entry, str) or not entry.strip():
            raise ValueError("suppressions must be URIs of lists, or connection ids")
        if is_list_uri(entry):
            count = read_suppressions(storage_path(entry), found)
            task.log.log(30 if count == 0 else 20, "%d entries in the suppression list %s", count, entry)
    hooks = [task.hook, *(get_leads_hook(entry) for entry in task.suppressions if not is_list_uri(entry))]
    for hook in {hook.conn_id: hook for hook in reversed(hooks)}.values():
        for domain in sorted(hook.blocked_domains()):
            if not found.add_domain(domain, DO_NOT_CONTACT):
                task.log.warning("%s: a do-not-contact domain is no domain and can't be compared", hook.conn_id)
    return found


def _existing(task: PlanTask, target_scope: str | None) -> tuple[str, datetime | None]:
    """Return a file of what the destination holds, and since when changes to it are unknown."""
    from airflow_providers_leads.leads.files.staging import count_rows

    hook, asked = task.hook, set(task.properties.values()) if "properties" in task.hook.scope_keys else set()
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
    from airflow_providers_leads.leads.files.staging import count_rows, read_rows, write_rows
    from airflow_providers_leads.leads.model.identity import email_key, spellings
    from airflow_providers_leads.leads.model.schema import Lead
    from airflow_providers_leads.leads.plan.lookup import addresses_to_look_up
    from airflow_providers_leads.tasks.memory import absent_for_sure

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
    from airflow_providers_leads.leads.files.staging import write_rows
    from airflow_providers_leads.leads.model.schema import Lead
    from airflow_providers_leads.leads.plan.lookup import addresses_to_look_up, unfound

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
