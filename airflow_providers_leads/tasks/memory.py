"""A sync's memory in the tasks of a run: where it lies, what breaks the circuit, and when a run may write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
from airflow.providers.common.compat.sdk import Context, conf

from airflow_providers_leads.hooks.account import read_mark
from airflow_providers_leads.hooks.base import LeadsHook
from airflow_providers_leads.leads.files.provenance import memory_uri_in
from airflow_providers_leads.leads.files.staging import appearing
from airflow_providers_leads.leads.memory.generation import Folder, Generation, SyncMemoryError, Writing, scope_name
from airflow_providers_leads.leads.memory.hashing import ADDRESS, keyed
from airflow_providers_leads.leads.memory.looking import erase_people
from airflow_providers_leads.leads.memory.planned import PlanMemory
from airflow_providers_leads.leads.memory.reads import ReadFacts, file_facts, read_facts, remembered_rows, retyped
from airflow_providers_leads.leads.memory.recall import OUTPUTS, Recall
from airflow_providers_leads.leads.memory.remember import Kept, other_runs, remember
from airflow_providers_leads.leads.memory.whereabouts import knows_all, people_there, shows_same
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.plan.property_types import PROPERTY
from airflow_providers_leads.tasks.arguments import given
from airflow_providers_leads.tasks.paths import check_local, safe_name, storage_path, uri_or_none

_FEW_RECORDS: Final = 10
"""A CRM with fewer remembered records breaks no circuit: a share of so few says nothing."""
_FEW_CHANGES: Final = 50


def memory_uri(value: Any, context: Context) -> str | None:
    """Return the URI of a sync's memory, ``None`` when it is to have none.

    :param value: a URI; true for a folder named after the DAG below ``[leads] staging``; false or ``None``
    :param context: the task's context
    :raises ValueError: when it is true and there is no ``[leads] staging``, or it is a disk that is gone with the task
    """
    wanted = given(value)
    word = str(wanted).strip().lower()
    if wanted is None or word == "false":
        return None
    if word != "true":
        uri = (uri_or_none("memory", wanted) or "").rstrip("/")
        check_local(uri)
        return uri
    staging = conf.get("leads", "staging", fallback=None)
    if not staging:
        raise ValueError("memory is true and the Airflow option [leads] staging is not set: give memory a URI")
    ti: Any = context["ti"]
    uri = f"{staging.rstrip('/')}/memory/{safe_name(str(ti.dag_id))}"
    check_local(uri)
    return uri


def open_memory(value: Any, context: Context) -> Folder | None:
    """Return a sync's memory, which can be written to, ``None`` when it is to have none.

    :raises ValueError: when it can't be written
    """
    uri = memory_uri(value, context)
    if uri is None:
        return None
    folder = folder_at(uri)
    folder.open()
    return folder


def folder_at(uri: str) -> Folder:
    """Return the memory at a URI."""
    return Folder(storage_path(uri), conf.get("leads", "memory_key", fallback=None) or None, storage_path)


def address_hash(known: Mapping[str, Any]) -> Callable[[str], int | None]:
    """Return what makes of an address the hash by which a memory knows it.

    :param known: what the merge says of its memory
    """
    return partial(keyed, folder_at(str(known["memory"])).key, ADDRESS)


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
    if (names := result.get("properties")) and (types := hook.property_types()).known:
        kinds = {name: types.of(f"{PROPERTY}{name}") for name in names}
        result["kinds"] = {name: {"kind": kind.kind, "options": sorted(kind.options)} for name, kind in kinds.items()}
    generation, reason = folder.current()
    if generation is None:
        log.warning("Memory %s: %s. This run starts to remember, and compares with no past", folder.path, reason)
        return
    if not _same_account(generation, hook):
        if not _known_by_records(folder, generation, hook, result):
            result["other_account"] = True
            log.warning("%s: it leads to another account than the one that is remembered", hook.conn_id)
            return
        log.info("%s: another key of the account that is remembered, by the records that it shows", hook.conn_id)
    _tell_kinds(generation, hook, result, log)
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


def _tell_kinds(generation: Generation, hook: LeadsHook, result: Mapping[str, Any], log: Any) -> None:
    facts = read_facts(result)
    changed = retyped(generation, [facts] if facts else [])
    for name in sorted({place[2].removeprefix(PROPERTY) for places in changed for place in places}):
        log.warning(
            "%s: %s is not of the type that it was: what became of its values is nobody's edit", hook.conn_id, name
        )


def recall_for(
    folder: Folder, inputs: Sequence[Any], policy: MergePolicy, stem: str, context: Context, log: Any
) -> Recall:
    """Return what a merge is to recall.

    :param folder: the sync's memory
    :param inputs: results of extracts and lookups
    :param policy: of the merge
    :param stem: URI of the folder of the merge's files
    :param context: the task's context
    :param log: the task's logger
    :raises ValueError: when another run is writing, or has written since the inputs were read
    """
    refuse_beside(folder, context)
    reads = reads_of(inputs)
    outputs = {name: storage_path(f"{stem}/memory.{name}.parquet") for name in OUTPUTS}
    beside, files = f"{stem}/memory.json", file_facts(inputs)
    recall = Recall(folder, reads, outputs, policy, beside=beside, now=datetime.now(UTC), files=files)
    if older := sorted({read.conn_id for read in reads if read.token not in (None, recall.result.token)}):
        raise SyncMemoryError(
            f"Memory {folder.path}: something was written or remembered since {', '.join(older)} was read, which would "
            "pass for what people have done. Nothing was merged. Clear the extracts and what comes after them, or "
            "leave it to the next run; give the DAG max_active_runs=1."
        )
    if recall.result.first:
        log.warning("Memory %s: %s. This run compares with no past", folder.path, recall.result.first)
    return recall


def reads_of(inputs: Iterable[Any]) -> list[ReadFacts]:
    """Return what some tasks have read."""
    return [facts for item in inputs if (facts := read_facts(item))]


def recalled(folder: Folder, recall: Recall, inputs: Sequence[Any], log: Any) -> dict[str, Any]:
    """Return what a merge's result says of its memory, for the tasks after it and for reports.

    :param folder: the sync's memory
    :param recall: what the merge recalled
    :param inputs: URIs of what it merged
    :param log: the task's logger
    """
    result = recall.result
    generation = recall.generation
    for source, field in result.vanished:
        log.warning(
            "%s: most values of %s are gone at once, and pass for nobody's doing. Check what the key may read", source,
            field.removeprefix(PROPERTY),
        )  # fmt: skip
    for conn_id in result.shrunken:
        log.warning("%s: a complete read gave too few records to conclude that the others were deleted", conn_id)
    if not result.first:
        log.info(
            "Since the last run: %(edits)d fields changed and %(cleared)d cleared by people, %(gone)d records gone, "
            "%(moved)d with another address, %(new)d new",
            result.counts,
        )
    facts = {
        "memory": str(folder.path),
        "generation": result.generation,
        "token": result.token,
        "probe": generation.probe if generation else "",
        "gaps": sorted(generation.gaps) if generation else [],
        "first": result.first,
        "baseline": [str(uri) for uri in recall.baseline],
        "delta": str(recall.outputs["delta"]),
        "people": str(recall.outputs["people"]),
        "inputs": [str(uri) for uri in inputs],
        "fields": recall.fields,
        "counts": result.counts,
        "edits": result.edits,
        "shrunken": result.shrunken,
        "vanished": [list(each) for each in result.vanished],
        "reads": [_read_as_json(read) for read in recall.reads],
        "policy": {name: getattr(recall.policy, name) for name in ("cleared", "deleted", "address")}
        | {"priority": list(recall.policy.priority)},
    }
    # Partitions of the golden records are handed on by their URIs alone.
    with appearing(storage_path(str(recall.beside))) as part:
        part.write_bytes(msgspec.json.encode(facts))
    return facts


def _read_as_json(read: ReadFacts) -> dict[str, Any]:
    return {
        "conn_id": read.conn_id,
        "source": read.source,
        "account": read.account,
        "read_at": read.at.isoformat() if read.at else None,
        "complete": read.complete,
        "parts": dict(read.parts),
        "known_as": read.known_as,
        "narrows_properties": read.properties is not None,
        "properties": sorted(read.properties or ()),
        "kinds": msgspec.to_builtins(read.kinds),
    }


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
    place = scope_name(hook.conn_type, scope or hook.conn_id)
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
        probe="" if place in known.get("gaps", ()) else known.get("probe", ""),
    )


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
    if generation is None or not knows_all(generation, hook.conn_type, at) or not _same_account(generation, hook):
        return None
    return people_there(folder, generation, people, hook.conn_type, at)


def _same_account(generation: Generation, hook: LeadsHook) -> bool:
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


def begin_writing(known: Mapping[str, Any], context: Context, conn_id: str, plan: str, results: str) -> None:
    """Note what a run sets out to write, before its first write.

    :raises SyncMemoryError: when another run has written or remembered since this one merged
    """
    ti: Any = context["ti"]
    folder = folder_at(str(known["memory"]))
    refuse_beside(folder, context)
    kept = msgspec.convert({name: known[name] for name in Kept.__struct_fields__}, Kept)
    mark = Writing(run=ti.run_id, dag=ti.dag_id, plans={conn_id: [plan, results]})
    reason, again = other_runs(folder, kept, ti.run_id), mark in folder.writing()
    if not reason:
        folder.begin(mark)
        # Of two that begin at one moment, each sees the other's mark once its own is there.
        reason = other_runs(folder, kept, ti.run_id)
        if reason and not again:
            folder.settle([mark])
    if reason:
        raise SyncMemoryError(f"Memory {folder.path}: {reason}. Nothing was written; the next run plans anew.")


def remember_run(known: Mapping[str, Any], members: Sequence[str], context: Context) -> Generation:
    """Let what a run read and wrote be the memory that counts.

    :param known: of the merge's result
    :param members: URIs of the merge's members
    :param context: the task's context
    """
    ti: Any = context["ti"]
    folder = folder_at(str(known["memory"]))
    kept = msgspec.convert({name: known[name] for name in Kept.__struct_fields__}, Kept)
    on_store = msgspec.structs.replace(
        kept,
        baseline=[storage_path(uri) for uri in kept.baseline],
        delta=storage_path(kept.delta),
        people=storage_path(kept.people),
        inputs=[storage_path(uri) for uri in kept.inputs],
    )
    paths = [storage_path(uri) for uri in members]
    return remember(folder, on_store, reads_of(known["reads"]), paths, run=ti.run_id)


def refuse_beside(folder: Folder, context: Context) -> None:
    """Refuse to read, merge or write while another run writes, as far as Airflow tells.

    :raises SyncMemoryError: naming the run
    """
    ti: Any = context["ti"]
    for mark in folder.writing():
        if mark.run == ti.run_id or not mark.dag:
            continue
        state = None
        with suppress(Exception):
            # Outside of a running task nobody can be asked; a run that ended is no matter.
            state = ti.get_dagrun_state(dag_id=mark.dag, run_id=mark.run)
        if state == "running":
            raise SyncMemoryError(
                f"Memory {folder.path}: run {mark.run} of {mark.dag} is writing. Two runs of a sync can't write at "
                "once: give the DAG max_active_runs=1, or try again when it has ended."
            )


def erase_from(uris: Iterable[str], people: Iterable[str]) -> int:
    """Remove people from memories and keep them out; return how many records were removed.

    :param uris: of the memories' folders
    :param people: email keys
    :raises ValueError: when there is no memory at a URI
    """
    keys, removed = list(people), 0
    folders = [folder_at(str(uri).rstrip("/")) for uri in uris]
    for folder in folders:
        if not (folder.path / "current.json").exists():
            raise ValueError(f"memories: there is no memory at {folder.path}")
    for folder in folders:
        removed += erase_people(folder, keys)
    return removed
