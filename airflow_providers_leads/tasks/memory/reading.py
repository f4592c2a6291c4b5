"""What a read shows beside what is remembered: another account, other kinds of values, far fewer records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from airflow_providers_leads.hooks.account import read_mark
from airflow_providers_leads.hooks.base import LeadsHook
from airflow_providers_leads.leads.memory.generation import Folder, Generation, Kind
from airflow_providers_leads.leads.memory.reads import read_facts, remembered_rows, retyped
from airflow_providers_leads.leads.memory.whereabouts import shows_same
from airflow_providers_leads.leads.plan.property_types import PROPERTY
from airflow_providers_leads.tasks.memory.reads import kinds_of, write_kinds
from airflow_providers_leads.tasks.paths import storage_path

_FEW_RECORDS: Final = 10
"""A CRM with fewer remembered records breaks no circuit: a share of so few says nothing."""


def check_read(folder: Folder, hook: LeadsHook, result: dict[str, Any], least: float | None, log: Any) -> None:
    """Break the circuit when a complete read gave far fewer records than the last one, and mark another account.

    :param folder: the sync's memory
    :param hook: of the CRM
    :param result: of the extract; ``other_account`` is added where the memory is of another, ``known_as`` where it
        knows the account under another connection
    :param least: share of the remembered records that a complete read must give, ``None``: any
    :param log: the task's logger
    :raises ValueError: with the numbers and the way on
    """
    kinds: Mapping[str, Kind] = {}
    if (names := result.get("properties")) and (types := hook.property_types()).known:
        kinds = kinds_of(folder.key, types, names)
        result["kinds"] = write_kinds(str(result["uri"]), kinds)
    generation, reason = folder.current()
    if generation is None:
        log.warning("Memory %s: %s. This run starts to remember, and compares with no past", folder.path, reason)
        return
    if not same_account(generation, hook):
        if not _known_by_records(folder, generation, hook, result):
            result["other_account"] = True
            log.warning("%s: it leads to another account than the one that is remembered", hook.conn_id)
            return
        log.info("%s: another key of the account that is remembered, by the records that it shows", hook.conn_id)
    _tell_kinds(generation, hook, result, kinds, log)
    if known_as := _known_as(generation, hook):
        result["known_as"] = known_as
        log.info("%s: it leads to the account that is remembered of '%s'", hook.conn_id, known_as)
    elif not any(scope.conn_id == hook.conn_id for scope in generation.scopes.values()):
        log.warning("%s: the memory knows nothing of it yet: what it holds is taken for old", hook.conn_id)
    last = remembered_rows(generation, known_as or hook.conn_id)
    if not result.get("complete") or least is None or last is None or last < _FEW_RECORDS:
        return
    if result["rows"] < least * last:
        raise ValueError(
            f"{hook.label}: a complete read gave {result['rows']} records, and {last} were there at the last one: less "
            f"than min_share_of_last, {least:g}. Nothing was concluded or written. If they are really gone, let one "
            "run pass with min_share_of_last=0."
        )


def _tell_kinds(
    generation: Generation, hook: LeadsHook, result: Mapping[str, Any], kinds: Mapping[str, Kind], log: Any
) -> None:
    facts = read_facts(result)
    changed = retyped(generation, [replace(facts, kinds=kinds)] if facts else [])
    for name in sorted({place[2].removeprefix(PROPERTY) for places in changed for place in places}):
        log.warning(
            "%s: %s is not of the type that it was: what became of its values is nobody's edit", hook.conn_id, name
        )


def same_account(generation: Generation, hook: LeadsHook) -> bool:
    """Tell whether a connection leads to the account that is remembered of it, as far as that is known."""
    marks = {scope.account for scope in generation.scopes.values() if scope.conn_id == hook.conn_id and scope.account}
    return all(hook.is_account(mark) for mark in marks)


def _known_by_records(folder: Folder, generation: Generation, hook: LeadsHook, result: Mapping[str, Any]) -> bool:
    """Tell whether an account that tells no id of its own is the remembered one, by another key."""
    marks = {scope.account for scope in generation.scopes.values() if scope.conn_id == hook.conn_id and scope.account}
    if any((mark := read_mark(each)) is None or mark.id for each in marks) or not result["rows"]:
        return False
    return shows_same(folder, generation, storage_path(str(result["uri"])), hook.conn_type)


def _known_as(generation: Generation, hook: LeadsHook) -> str | None:
    """Return the other connection under which the account of one is remembered that is not remembered itself."""
    scopes = [scope for name, scope in generation.scopes.items() if name.startswith(f"{hook.conn_type}|")]
    if any(scope.conn_id == hook.conn_id for scope in scopes):
        return None
    return next((each.conn_id for each in scopes if each.account and hook.is_account(each.account)), None)
