"""What a plan is compared with, and asked anew before each try's first write: who must not be written, and what the
destination holds now.

A plan knows both as of its making. Until a write somebody may object: while it waits for an answer, or for the next try
of its task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import pendulum
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_providers_leads.hooks.account import read_mark
from airflow_providers_leads.hooks.base import LeadsHook, get_leads_hook
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.leads.files.plan_facts import PlanFacts, plan_metadata, read_plan_facts
from airflow_providers_leads.leads.files.provenance import read_accounts
from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.memory.generation import scope_name
from airflow_providers_leads.leads.memory.intended import known_plans
from airflow_providers_leads.leads.memory.planned import PlanMemory
from airflow_providers_leads.leads.memory.whereabouts import shows_same
from airflow_providers_leads.leads.merge.objections import objector_keys
from airflow_providers_leads.leads.model.identity import IdentityRules, email_key, person_key, spellings
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.properties import aliases_in
from airflow_providers_leads.leads.model.schema import STICKY_FIELDS, Lead
from airflow_providers_leads.leads.plan.lookup import addresses_to_look_up, missed, unfound
from airflow_providers_leads.leads.plan.suppression import (
    DO_NOT_CONTACT,
    Suppressions,
    is_list_uri,
    read_suppressions,
)
from airflow_providers_leads.tasks.extract import extract
from airflow_providers_leads.tasks.inputs import PlanTask, check_accounts
from airflow_providers_leads.tasks.memory.folders import folder_at
from airflow_providers_leads.tasks.memory.planning import absent_for_sure, plan_memory
from airflow_providers_leads.tasks.paths import storage_path

_MOST_REMEMBERED: Final = 10_000
"""People whom a memory is asked for before a destination is read as a whole."""


SAME: Final = "same"
OTHER: Final = "other"
UNSURE: Final = "unsure"


def remembered_account(task: PlanTask, target_scope: str | None) -> str:
    """Tell of which account is what is remembered of a destination: the one that its connection leads to, or another.

    Where an account tells no id of its own its key may be a new one: that only its records show, see
    :func:`of_other_account`.
    """
    if task.memory is None:
        return SAME
    hook, folder = task.hook, folder_at(str(task.memory["memory"]))
    scope = target_scope or hook.conn_id
    generation, _ = folder.current()
    kept = generation.accounts.get(scope_name(hook.conn_type, scope)) if generation else None
    for facts, _, _ in known_plans(folder.plans(folder.writing())):
        if (facts.conn_type, facts.scope or facts.conn_id) == (hook.conn_type, scope):
            kept = facts.account or kept
    if kept is None or (mark := read_mark(kept)) is None or hook.is_account(kept):
        return SAME
    mine = read_mark(hook.account)
    return OTHER if mark.id and mine and mine.id else UNSURE


def of_other_account(task: PlanTask, known: str, existing: str) -> bool:
    """Tell whether what is remembered of a destination is of another account, once it was read.

    :param task: the plan
    :param known: what :func:`remembered_account` said
    :param existing: URI of the file of what the destination holds, all of it where that was unsure
    """
    if known == UNSURE and task.memory is not None:
        folder = folder_at(str(task.memory["memory"]))
        generation, _ = folder.current()
        alike = generation and shows_same(folder, generation, storage_path(existing), task.hook.conn_type)
        known = SAME if alike else OTHER
    if known == OTHER:
        task.log.warning(
            "%s: it leads to another account than the one that is remembered: what people did there is not known",
            task.hook.conn_id,
        )
    return known == OTHER


def what_it_holds(task: PlanTask, target_scope: str | None, known: str = SAME) -> tuple[str, datetime | None]:
    """Return a file of what the destination holds, and since when changes to it are unknown.

    :param task: the plan
    :param target_scope: the one scope that is written to
    :param known: what :func:`remembered_account` said: where that was unsure, all of it is to be read
    """
    hook, asked = task.hook, task.own_properties if "properties" in task.hook.scope_keys else set()
    for item in task.existing:
        if not isinstance(item, Mapping):
            check_accounts(hook, [storage_path(str(item))])
            return str(item), None
        # A partial read knows only some records: taking it for all would create the others twice. Where only one scope
        # is written to, a read of the others may not have held it, so it is read anew.
        all_of_it = item.get("conn_id") == hook.conn_id and item.get("complete") and target_scope is None
        if all_of_it and item.get("account") and not hook.is_account(item["account"]):
            task.log.warning("%s: it was another account's when it was extracted: reading it anew", hook.conn_id)
            continue
        if all_of_it and asked <= set(item.get("properties") or ()):
            task.log.info("%s: comparing with what was extracted before", hook.conn_id)
            return str(item["uri"]), _time(item.get("watermark"))
    uri = f"{task.stem}.existing.parquet"
    scope: dict[str, Any] = {} if target_scope is None else hook.parts.to_read([target_scope])
    scope |= {"properties": sorted(asked)} if asked else {}
    since = pendulum.now("UTC")
    if known != UNSURE and _known_to_be_absent(task, uri, scope, target_scope):
        return uri, since
    few = known != UNSURE and task.people <= hook.lookup_rows
    past = plan_memory(task.memory, hook, target_scope) if few and known == SAME and task.memory is not None else None
    if few and _looked_up(task, uri, scope, past):
        return uri, since
    task.log.info("%s: reading all that it holds", hook.conn_id)
    extract(hook, uri, scope=scope, log=task.log)
    return uri, since


def _known_to_be_absent(task: PlanTask, uri: str, scope: Mapping[str, Any], target_scope: str | None) -> bool:
    """Write what the destination holds of those who are there by what is remembered; false: memory can't tell."""
    hook, golden = task.hook, storage_path(task.golden)
    if task.memory is None or task.joins or not hook.lookup_rows or task.people > _MOST_REMEMBERED:
        return False
    addresses = addresses_to_look_up(golden, storage_path(task.members) if task.members else None)
    people = sorted({key for key in map(email_key, addresses) if key})
    there = absent_for_sure(task.memory, hook, target_scope, people)
    if there is None:
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
    if len(asked) > hook.lookup_rows:
        return False
    task.log.info(
        "%s: %d of %d people are remembered there, %d are looked up", hook.conn_id, len(there), len(people), len(asked)
    )
    spelled = [spelling for key in asked for spelling in spellings(key, key)]
    known = {
        (lead.source_scope, lead.source_id): lead for lead in (hook.find_leads(spelled, **scope) if spelled else ())
    }
    write_rows(storage_path(uri), Lead, ({**known, **read}).values())
    # Who isn't found under the address may have got another one. A person of several records doesn't stand for two.
    met = {key for lead in known.values() for key in (lead.email_key, *aliases_in(lead.properties))}
    return met.issuperset(asked)


def _looked_up(task: PlanTask, uri: str, scope: Mapping[str, Any], past: PlanMemory | None) -> bool:
    """Write what the destination holds of the golden people; false: they can't be looked up for sure."""
    hook, golden = task.hook, storage_path(task.golden)
    if task.joins:
        # By the policy they may be there under addresses, or a phone, that nobody can list.
        return False
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
    if missing or past is None or not (lost := missed(golden, storage_path(uri), past)):
        return not missing
    task.log.info("%s: %d records that are remembered were not found by address", hook.conn_id, len(lost))
    if (by_id := hook.leads_by_id(list(lost), **scope)) is None:
        # Who was there under some address and comes anew would be made beside it.
        return not any(lost.values())
    known = {lead.source_id: lead for lead in (*read_rows(storage_path(uri), Lead), *by_id)}
    write_rows(storage_path(uri), Lead, known.values())
    return True


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


EVERYWHERE: Final = "everywhere"
"""Where a CRM's do-not-contact domains count by default: in every destination, not in that CRM only."""


def source_connections(files: Iterable[Any], log: Any) -> list[str]:
    """Return the connections of CRMs that the rows of files were read by.

    :param files: path objects or footers of files of leads or golden records
    :param log: the task's logger
    """
    found: list[str] = []
    for conn_id in read_accounts(files):
        try:
            get_leads_hook(conn_id)
        except LeadsSettingsError:
            # No CRM: a database, or something else that has no domains that are not to be contacted.
            continue
        except AirflowNotFoundException:
            log.warning("%s is not defined any more: its do-not-contact domains are not known", conn_id)
            continue
        found.append(conn_id)
    return found


def suppressions_of(
    hook: LeadsHook,
    names: Sequence[str],
    log: Any,
    *,
    identity: IdentityRules | None = None,
    also: Callable[[str], int | None] | None = None,
) -> Suppressions:
    """Return who must not be written: by lists, and by what CRMs are told never to contact.

    :param hook: of the destination
    :param names: URIs of lists, and connection ids
    :param log: the task's logger
    :param identity: who is one person
    :param also: see :class:`~airflow_providers_leads.leads.plan.suppression.Suppressions`
    :raises AddressListError: naming the list that can't be read
    """
    found = Suppressions(also, identity)
    for name in names:
        if is_list_uri(name):
            count = read_suppressions(storage_path(name), found)
            log.log(30 if count == 0 else 20, "%d entries in the suppression list %s", count, name)
    hooks = [hook, *(get_leads_hook(name) for name in names if not is_list_uri(name))]
    for one in {each.conn_id: each for each in reversed(hooks)}.values():
        for domain in sorted(one.blocked_domains()):
            if not found.add_domain(domain, DO_NOT_CONTACT):
                log.warning("%s: a do-not-contact domain is no domain and can't be compared", one.conn_id)
    return found


def lists_of(results: Iterable[str]) -> tuple[list[str], IdentityRules | None]:
    """Return the lists by which results of writes were planned, and who is one person by their policy.

    :param results: URIs of results files
    """
    names: list[str] = []
    identity = None
    for uri in results:
        path = storage_path(uri)
        if plan_metadata(path):
            facts = read_plan_facts(path)
            names += facts.suppressions
            identity = facts.identity if identity is None or facts.identity.joins else identity
    return names, identity


class Objections:
    """What stands against writing to people now.

    :param suppressions: whom lists and domains name
    :param identity: who is one person
    """

    def __init__(self, suppressions: Suppressions, identity: IdentityRules) -> None:
        self._suppressions = suppressions
        self._identity = identity
        self._people: dict[str, str] = {}
        self._records: dict[str, str] = {}

    def look_at(self, leads: Iterable[Lead]) -> None:
        """Take in who has objected, or can't be reached, by a destination's records."""
        for lead in leads:
            if reason := next((name for name in STICKY_FIELDS if getattr(lead, name)), None):
                self._records[lead.source_id] = reason
                for key in (lead.email_key, *aliases_in(lead.properties), *objector_keys(lead)):
                    if key:
                        self._people[person_key(key, self._identity)] = reason

    def reason(self, row: PlanRow) -> str | None:
        """Return why a planned row must not be written now, ``None`` when nothing stands against it."""
        if row.action not in ("create", "update") or "opted_out" in row.values:
            # A row that says that very thing is written.
            return None
        if row.target_id in self._records and row.action == "update":
            return self._records[str(row.target_id)]
        keys = [row.email_key, *row.addresses]
        objected = (self._people.get(person_key(key, self._identity)) for key in keys)
        return next(filter(None, objected), None) or self._suppressions.reason(keys)


def objections(hook: LeadsHook, plan: str, log: Any, *, current: str | None = None, look: bool = True) -> Objections:
    """Return what stands against a plan's rows now.

    :param hook: of the destination
    :param plan: URI of the plan file
    :param log: the task's logger
    :param current: URI of a file of what the destination holds now, as far as somebody has just read it
    :param look: false doesn't read the destination; lists are read all the same
    :raises AddressListError: naming the list that can't be read
    """
    facts = read_plan_facts(storage_path(plan))
    found = Objections(suppressions_of(hook, facts.suppressions, log, identity=facts.identity), facts.identity)
    if look:
        found.look_at(read_rows(storage_path(current), Lead) if current else held_now(hook, plan, facts, log))
    return found


def just_read(plan: str, within: timedelta) -> bool:
    """Tell whether a plan was compared with what the destination held so short a time ago."""
    at = read_plan_facts(storage_path(plan)).existing_at
    return at is not None and pendulum.now("UTC") - within <= at


def held_now(hook: LeadsHook, plan: str, facts: PlanFacts, log: Any) -> Iterator[Lead]:
    """Yield what the destination holds now of those whom a plan would write to.

    :param hook: of the destination
    :param plan: URI of the plan file
    :param facts: of the plan
    :param log: the task's logger
    """
    scope, few = scope_of(hook, facts), few_people(hook, plan, facts)
    if few is not None:
        addresses, records = few
        if not addresses:
            return
        log.info("%s: looking up %d addresses to see who has objected", hook.conn_id, len(addresses))
        for lead in hook.find_leads(addresses, **scope):
            records.discard(lead.source_id)
            yield lead
        if not records:
            return
        # Who isn't found under an address that is known may have got another one.
        log.info("%s: %d records were not found by address", hook.conn_id, len(records))
    log.info("%s: reading what it holds to see who has objected", hook.conn_id)
    yield from hook.iter_leads(**scope)


def few_people(hook: LeadsHook, plan: str, facts: PlanFacts) -> tuple[list[str], set[str]] | None:
    """Return whom a plan would write to, where they are found by their addresses with less work than by reading all.

    :param hook: of the destination
    :param plan: URI of the plan file
    :param facts: of the plan
    :return: their addresses in every spelling, and the ids of records to update; ``None`` when they are too many, or
        are known under addresses that nobody can list
    """
    most = 0 if facts.identity.joins else hook.lookup_rows
    addresses: dict[str, None] = {}
    records: set[str] = set()
    for row in read_rows(storage_path(plan), PlanRow):
        if row.action in ("create", "update"):
            for key in (row.email_key, *row.addresses):
                addresses.update(dict.fromkeys(spellings(key, key)))
            if row.action == "update" and row.target_id:
                records.add(row.target_id)
            if len(addresses) > most:
                return None
    return list(addresses), records


def scope_of(hook: LeadsHook, facts: PlanFacts) -> dict[str, Any]:
    """Return the scope by which what a plan is for is read."""
    return {} if facts.scope is None else hook.parts.to_read([facts.scope])
