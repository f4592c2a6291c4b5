"""What a plan knows by a sync's memory, and when it changes too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.hooks.base import LeadsHook
from airflow_providers_leads.leads.files.provenance import memory_uri_in
from airflow_providers_leads.leads.memory.generation import Folder, scope_name
from airflow_providers_leads.leads.memory.planned import PlanMemory
from airflow_providers_leads.leads.memory.reads import remembered_rows
from airflow_providers_leads.leads.memory.whereabouts import knows_all, people_there
from airflow_providers_leads.tasks.arguments import given
from airflow_providers_leads.tasks.memory.folders import folder_at, memory_uri
from airflow_providers_leads.tasks.memory.reading import same_account
from airflow_providers_leads.tasks.paths import storage_path

_FEW_CHANGES: Final = 50


def memory_of(golden: Any, wanted: Any, context: Context) -> Mapping[str, Any] | None:
    """Return what the merge's result says of its memory, ``None`` when a plan is to use none.

    :param golden: result of the merge, or a URI
    :param wanted: the operator's ``memory``
    :param context: the task's context
    :raises ValueError: when a memory is asked for that the merge did not have
    """
    uri = memory_uri(wanted, context)
    if given(wanted) is not None and uri is None:
        return None
    known = golden.get("memory") if isinstance(golden, Mapping) else None
    if known is None and isinstance(golden, str) and (beside := memory_uri_in(storage_path(golden))):
        known = msgspec.json.decode(storage_path(beside).read_bytes())
    if uri is not None and (known is None or known["memory"] != uri):
        raise ValueError(
            "memory: the golden records were merged without it. Give LeadsDeduplicateOperator the same memory."
        )
    return known


def plan_memory(known: Mapping[str, Any], hook: LeadsHook, scope: str | None) -> PlanMemory:
    """Return a memory as a plan for one destination uses it.

    :param known: of the merge's result
    :param hook: of the destination
    :param scope: the one scope that is written to, ``None`` where there are none
    """
    folder = folder_at(str(known["memory"]))
    policy = known["policy"]
    known_as = _written_as(known, folder, hook) if scope is None else None
    places = {scope_name(hook.conn_type, each) for each in (scope or hook.conn_id, known_as) if each}
    merged = any(read["conn_id"] == hook.conn_id and read["complete"] for read in known["reads"]) and scope is None
    return PlanMemory(
        source=hook.conn_type,
        scope=scope or hook.conn_id,
        key=folder.key,
        fields=known["fields"],
        baseline=[storage_path(uri) for uri in known["baseline"]],
        delta=storage_path(known["delta"]),
        people=storage_path(known["people"]),
        merged=merged,
        priority=policy["priority"],
        cleared=policy["cleared"],
        deleted=policy["deleted"],
        address=policy["address"],
        erased=folder.erased(),
        # What an older version has merged doesn't tell it, nor do whole rows where a property was not read for a while.
        vanished=frozenset(name for source, name in known.get("vanished", ()) if source == hook.conn_type),
        probe="" if places & set(known.get("gaps", ())) else known.get("probe", ""),
        known_as=known_as,
    )


def _written_as(known: Mapping[str, Any], folder: Folder, hook: LeadsHook) -> str | None:
    """Return the connection under whose name the account of another one is remembered, which was only written to."""
    generation, _ = folder.current()
    read = {each["conn_id"] for each in known["reads"]}
    own = scope_name(hook.conn_type, hook.conn_id)
    if generation is None or hook.conn_id in read or own in generation.accounts:
        return None
    places = (name.partition("|") for name in sorted(generation.accounts))
    mine = [part for source, _, part in places if source == hook.conn_type and part not in read]
    return next((part for part in mine if hook.is_account(generation.accounts[scope_name(hook.conn_type, part)])), None)


def absent_for_sure(
    known: Mapping[str, Any] | None, hook: LeadsHook, scope: str | None, people: Sequence[str]
) -> list[str] | None:
    """Return which people a destination must be asked for, ``None`` when memory can't tell.

    :param known: of the merge's result
    :param hook: of the destination
    :param scope: the one scope that is written to
    :param people: email keys
    """
    if known is None:
        return None
    folder = folder_at(str(known["memory"]))
    return remembered_people(folder, hook, people, scope)


def remembered_people(
    folder: Folder, hook: LeadsHook, people: Sequence[str], scope: str | None = None
) -> list[str] | None:
    """Return which of some people have a record in a CRM by what is remembered, ``None`` when memory can't tell."""
    generation, _ = folder.current()
    at = scope or hook.conn_id
    if generation is None or not knows_all(generation, hook.conn_type, at) or not same_account(generation, hook):
        return None
    return people_there(folder, generation, people, hook.conn_type, at)


def check_changes(
    known: Mapping[str, Any], hook: LeadsHook, changes: int, existing: int, most: float | None, log: Any
) -> None:
    """Break the circuit when a plan changes more than a share of what the destination holds.

    :param known: of the merge's result
    :param hook: of the destination
    :param changes: rows that create or update
    :param existing: records that the destination holds
    :param most: the share, ``None``: any
    :param log: the task's logger
    :raises ValueError: with the numbers and the way on
    """
    if known["first"]:
        if most is not None:
            log.info("%s: max_changes doesn't count in the first run with a memory, which has no past", hook.conn_id)
        return
    if most is None:
        return
    generation, _ = folder_at(str(known["memory"])).current()
    base = max(existing, remembered_rows(generation, hook.conn_id) or 0)
    if not base or changes <= max(_FEW_CHANGES, most * base):
        return
    raise ValueError(
        f"{hook.label}: the plan changes or creates {changes} records where there are {base}: more than max_changes, "
        f"{most:g}. Nothing was written. Look at the plan; if it is right, let one run pass with max_changes=none."
    )
