"""When a run may write, and what of it is remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.leads.memory.generation import Generation, SyncMemoryError, Writing
from airflow_providers_leads.leads.memory.remember import Kept, other_runs, remember
from airflow_providers_leads.tasks.memory.folders import folder_at, refuse_beside
from airflow_providers_leads.tasks.memory.reads import reads_of
from airflow_providers_leads.tasks.paths import storage_path


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
