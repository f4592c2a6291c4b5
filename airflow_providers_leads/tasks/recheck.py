"""A plan file that has waited, brought up to date with its destination before it is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import pendulum

from airflow_providers_leads.leads.files.plan_facts import read_plan_facts
from airflow_providers_leads.leads.files.staging import RowWriter, read_rows, write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.tasks.arguments import one_of
from airflow_providers_leads.tasks.extract import extract
from airflow_providers_leads.tasks.paths import storage_path
from airflow_providers_leads.tasks.progress import phase

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.files.plan_facts import PlanFacts


def recheck(
    hook: LeadsHook, plan: str, stem: str, options: Mapping[str, Any], if_stale: str, *, log: Any
) -> dict[str, Any]:
    """Write the plan as it is to be applied now.

    Returned are its URI, the write options, how many rows have changed, and the URI of what the destination holds now,
    ``None`` where nobody looked.

    :param hook: of the destination
    :param plan: URI of the plan file
    :param stem: URI without ending of the files to write
    :param options: write options
    :param if_stale: ``replan``, ``refuse`` or ``ignore``
    :param log: the task's logger
    :raises ValueError: when the plan is of another connection, account or scope, or ``if_stale`` is something else
    """
    from airflow_providers_leads.leads.plan.recheck import IF_STALE, iter_recheck

    if_stale = one_of("if_stale", if_stale, IF_STALE)
    facts = read_plan_facts(storage_path(plan))
    found = {"plan": plan, "options": _options(hook, plan, facts, options), "stale": 0, "current": None}
    if if_stale == "ignore":
        return found
    people = sum(row.action in ("create", "update") for row in read_rows(storage_path(plan), PlanRow))
    if not people:
        return found
    current, checked = f"{stem}.current.parquet", f"{stem}.checked.parquet"
    now = pendulum.now("UTC")
    with phase(log, f"What {hook.conn_id} holds now"):
        whole = _read_current(hook, plan, current, facts, log)
    rows = iter_recheck(
        storage_path(plan), storage_path(current),
        mode=facts.mode, scope=facts.scope, refuse=if_stale == "refuse", whole=whole,  # type: ignore[arg-type]
        types=hook.property_types().moving_freely(facts.back), only=facts.only,
    )  # fmt: skip
    stale = 0
    metadata = msgspec.structs.replace(facts, planned_at=now, existing_at=now).metadata()
    with RowWriter(storage_path(checked), PlanRow, metadata=metadata) as writer:
        for planned, row in zip(read_rows(storage_path(plan), PlanRow), rows, strict=True):
            stale += (planned.action, planned.values, planned.properties) != (row.action, row.values, row.properties)
            row.requests = hook.write_cost(row)
            writer.write(row)
    if stale:
        log.warning(
            "%s: %d of %d leads are no longer as they were when planned at %s; %s",
            hook.conn_id, stale, people, facts.planned_at,
            "they are left alone" if if_stale == "refuse" else "they are planned anew",
        )  # fmt: skip
    return found | {"plan": checked, "stale": stale, "current": current}


def _options(hook: LeadsHook, plan: str, facts: PlanFacts, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the write options; the plan itself says which scope it is for."""
    if facts.conn_id != hook.conn_id:
        raise ValueError(
            f"{plan} was made for connection '{facts.conn_id}', not for '{hook.conn_id}': its record ids mean other "
            "people there. Plan for this connection."
        )
    if facts.account and not hook.is_account(facts.account):
        raise ValueError(
            f"{plan} was made while {hook.label} was for another account: its record ids mean other people there. "
            "Nothing was written. Plan again."
        )
    options = {**(hook.parts.to_write(facts.scope) if facts.scope else {}), **given}
    hook.check_write_options(**options)
    scope = hook.target_scope(**options)
    if facts.scope != scope:
        raise ValueError(f"{plan} was made for {facts.scope!r}, and write_options say {scope!r}. Plan for that.")
    return options


def _read_current(hook: LeadsHook, plan: str, uri: str, facts: PlanFacts, log: Any) -> bool:
    """Write what the destination holds now; true when that is all it holds, false when people were looked up."""
    from airflow_providers_leads.tasks.existing import few_people, scope_of

    scope = scope_of(hook, facts)
    if facts.properties and "properties" in hook.scope_keys:
        scope["properties"] = facts.properties
    if (few := few_people(hook, plan, facts)) is not None:
        addresses, records = few
        log.info("%s: looking up %d addresses to see what has changed since the plan", hook.conn_id, len(addresses))
        write_rows(storage_path(uri), Lead, hook.find_leads(addresses, **scope))
        if records <= {lead.source_id for lead in read_rows(storage_path(uri), Lead)}:
            return False
        # Whose record isn't found under an address that is known may have got another one, or be gone.
    log.info("%s: reading what it holds to see what has changed since the plan", hook.conn_id)
    extract(hook, uri, scope=scope, log=log)
    return True
