"""What golden records mean for one CRM, into a plan file; without a write to the CRM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_providers_leads.leads.files.plan_facts import ACTIONS, Looked, PlanFacts, PlanTotals
from airflow_providers_leads.leads.files.provenance import identity_of, members_of, other_partitions, share_of
from airflow_providers_leads.leads.files.staging import RowWriter, count_rows, footer_of
from airflow_providers_leads.leads.merge.shares import MEMBERS
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, PROFILE_FIELDS
from airflow_providers_leads.leads.plan.fields import check_rules, property_sources, sources_of, with_owners
from airflow_providers_leads.leads.plan.planning import PlanRules, check_mode, iter_plan
from airflow_providers_leads.leads.plan.property_types import PROPERTY
from airflow_providers_leads.tasks.arguments import given_entries
from airflow_providers_leads.tasks.existing import (
    EVERYWHERE,
    of_other_account,
    remembered_account,
    source_connections,
    suppressions_of,
    what_it_holds,
)
from airflow_providers_leads.tasks.inputs import PlanTask, check_accounts, names_of_lists
from airflow_providers_leads.tasks.memory.folders import address_hash
from airflow_providers_leads.tasks.memory.planning import check_changes, plan_memory
from airflow_providers_leads.tasks.paths import storage_path
from airflow_providers_leads.tasks.progress import Progress, phase

__all__ = ["LEFT_ALONE", "PlanTask", "property_names", "write_plan"]

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.memory.planned import PlanMemory
    from airflow_providers_leads.leads.plan.fields import FieldRule

_BATCH_ROWS = 5_000
# To look at the clock takes longer than to compare a row.
_LOOK_ROWS = 1_000
LEFT_ALONE = "left_alone"
"""Reason of a row whose differences the CRM has no sure way to write."""


def property_names(properties: Any) -> dict[str, str]:
    """Return golden property → the destination's property as given to an operator.

    :raises ValueError: when it is no mapping of names to names, or two go to one place
    """
    names = given_entries("properties", properties)
    if not all(isinstance(name, str) and name.strip() for pair in names.items() for name in pair):
        raise ValueError("properties must map names to names")
    if len(set(names.values())) < len(names):
        raise ValueError("properties: two of them go to the same property of the destination")
    return names


def write_plan(task: PlanTask) -> dict[str, Any]:
    """Write the plan and return its URI and counts; everything that is wrong with the input is told before."""
    hook, log, planned_at = task.hook, task.log, pendulum.now("UTC")
    check_mode(task.mode)
    hook.check_write_options(**task.options)
    golden = footer_of(storage_path(task.golden), LEAD_COLUMNS)
    members = members_of(golden, storage_path(task.members) if task.members else None, storage_path)
    identity = identity_of(golden)
    task = replace(task, members=None if members is None else str(members), identity=identity, people=golden.rows)
    check_accounts(hook, [golden, *([] if members is None else [members])])
    with phase(log, f"Who must not be written to {hook.conn_id}"):
        lists = names_of_lists(task.suppressions)
        if task.do_not_contact == EVERYWHERE:
            lists = list(dict.fromkeys([*lists, *source_connections([golden], log)]))
        also = None if task.memory is None else address_hash(task.memory)
        suppressions = suppressions_of(hook, lists, log, identity=identity, also=also)
    task = replace(task, fields=_placed(task))
    hook.check_properties(sorted(task.own_properties))
    types = hook.property_types()
    task = replace(task, fields=with_owners(task.fields, types))
    back = sorted(name for name, rule in task.fields.items() if rule.back)
    owners = hook.owners if any(rule.owner for rule in task.fields.values()) else {}
    check_rules(task.fields, types, owners, hook.label)
    if task.push_opt_outs and "opted_out" not in hook.writable_flags:
        log.info("Opt-outs are not pushed to %s: the API has no sure way to tell them", hook.conn_id)
    scope = hook.target_scope(**task.options)
    with phase(log, f"What {hook.conn_id} holds now"):
        remembered = remembered_account(task, scope)
        existing, existing_at = what_it_holds(task, scope, remembered)
    rules = PlanRules(
        mode=task.mode,  # type: ignore[arg-type]  # checked above
        writable=hook.writable_fields(),
        suppressions=suppressions,
        properties=task.properties,
        fields=task.fields,
        owners=owners,
        push_opt_outs=task.push_opt_outs and "opted_out" in hook.writable_flags,
        types=types.moving_freely(back),
    )
    memory = None
    if task.memory is not None:
        foreign = of_other_account(task, remembered, existing)
        memory = replace(plan_memory(task.memory, hook, scope), foreign=foreign)
        if memory.known_as:
            log.info("%s: it leads to the account that is remembered of '%s'", hook.conn_id, memory.known_as)
    facts = PlanFacts(
        conn_id=hook.conn_id,
        conn_type=hook.conn_type,
        account=task.account or hook.known_account,
        mode=task.mode,
        scope=scope,
        planned_at=planned_at,
        existing_at=existing_at,
        requests_per_second=hook.requests_per_second,
        properties=sorted(task.own_properties),
        property_keys=sorted({*task.properties, *property_sources(task.fields)}),
        only={name: rule.only for name, rule in task.fields.items() if rule.only},
        back=back,
        suppressions=lists,
        identity=identity,
        quota=hook.quota,
        fields=sorted(rules.writable),
        looked=_looked(task, existing, existing_at),
        other_account=memory is not None and memory.foreign,
        known_as=memory.known_as if memory else None,
    )
    totals = PlanTotals()
    plan = f"{task.stem}.plan.parquet"
    compared, weighed = _shares(golden, existing, members and members.path, memory)
    rows = iter_plan(
        golden.path, compared, rules, scope=scope, members_uri=weighed, memory=memory, identity=identity,
        other_golden=other_partitions(golden, storage_path) if identity.joins else (),
    )  # fmt: skip
    progress = Progress(log, f"{hook.conn_id}: compared", total=golden.rows)
    with (
        phase(log, f"Compare with {hook.conn_id}"),
        RowWriter(storage_path(plan), PlanRow, batch_rows=_BATCH_ROWS, metadata=facts.metadata()) as writer,
    ):
        for done, row in enumerate(_with_cost(hook, rows), start=1):
            totals.add(row)
            writer.write(row)
            if done % _LOOK_ROWS == 0:
                progress.at(done)
    unmet = sorted((set(task.properties) | sources_of(task.fields)) - rules.met) if golden.rows else []
    if unmet:
        log.warning(
            "%s: properties: no golden record has %s, so nothing is written from there. The keys are those of the "
            "column properties in %s",
            hook.conn_id, ", ".join(map(repr, unmet)), task.golden,
        )  # fmt: skip
    if task.memory is not None:
        changes = totals.actions["create"] + totals.actions["update"]
        check_changes(task.memory, hook, changes, count_rows(storage_path(existing)), task.max_changes, log)
    minutes = totals.minutes(facts)
    log.info(
        "Plan for %s: create %d, update %d, unchanged %d, suppress %d; %d people have duplicates there. "
        "Writing it takes %d requests, which the quota lets through in %s minutes at least",
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
        **({"quota": quota} if (quota := hook.day_quota) else {}),
    }


def _looked(task: PlanTask, existing: str, at: datetime | None) -> Looked | None:
    """Return what a memory is to take in of what the destination holds."""
    if task.memory is None or at is None:
        return None
    narrows = "properties" in task.hook.scope_keys
    return Looked(uri=existing, at=at, properties=sorted(task.own_properties) if narrows else None)


def _shares(golden: Any, existing: str, members: Any, memory: PlanMemory | None) -> tuple[Any, Any]:
    """Return what a plan reads of what the destination holds and of the members: of one partition its share of both."""
    whole = storage_path(existing)
    if members is None or (memory is not None and not memory.merged):
        # Who is gone from a destination that the merge has not read is seen by all that it holds.
        return whole, members
    share = share_of(golden, whole)
    return (whole, members) if share is whole else (share, share_of(golden, members, MEMBERS))


def _placed(task: PlanTask) -> dict[str, FieldRule]:
    """Return the table of fields by lead field where that is what a field is, else by ``properties.`` + its name.

    :raises ValueError: for a field that two entries fill, or that is written from nowhere here
    """
    hook, placed = task.hook, dict[str, Any]()
    if not task.fields:
        return placed
    writable = hook.writable_fields() | hook.explicit_fields
    for name, rule in task.fields.items():
        of_lead = name if name in PROFILE_FIELDS else hook.lead_fields.get(name)
        if of_lead is not None and of_lead not in writable:
            raise ValueError(f"{hook.label}: fields: {name!r} is nothing that a plan writes to {hook.hook_name}")
        place = of_lead or f"{PROPERTY}{name}"
        if place in placed or name in task.properties.values():
            raise ValueError(f"{hook.label}: fields: {name!r} is filled twice")
        placed[place] = rule
    return placed


def _with_cost(hook: LeadsHook, rows: Iterable[PlanRow]) -> Iterator[PlanRow]:
    for row in rows:
        row.requests = hook.write_cost(row)
        if row.action == "update" and not row.requests:
            # Planned as an update it would be planned again by every run, and never written.
            row.action, row.reason, row.values, row.before = "unchanged", row.reason or LEFT_ALONE, {}, {}
        yield row
