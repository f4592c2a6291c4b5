"""Where a sync's memory lies, and whether another run is writing to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from airflow.providers.common.compat.sdk import Context, conf

from airflow_providers_leads.leads.memory.generation import Folder, SyncMemoryError
from airflow_providers_leads.leads.memory.hashing import ADDRESS, keyed
from airflow_providers_leads.leads.memory.looking import erase_people
from airflow_providers_leads.tasks.arguments import given
from airflow_providers_leads.tasks.paths import check_local, safe_name, storage_path, uri_or_none


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
    """Return a sync's memory, which can be written to and which no other run is writing to; ``None``: it has none.

    :raises ValueError: when it can't be written
    :raises SyncMemoryError: when another run is writing
    """
    uri = memory_uri(value, context)
    if uri is None:
        return None
    folder = folder_at(uri)
    folder.open()
    refuse_beside(folder, context)
    return folder


def folder_at(uri: str) -> Folder:
    """Return the memory at a URI."""
    return Folder(storage_path(uri), conf.get("leads", "memory_key", fallback=None) or None, storage_path)


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


def address_hash(known: Mapping[str, Any]) -> Callable[[str], int | None]:
    """Return what makes of an address the hash by which a memory knows it.

    :param known: what the merge says of its memory
    """
    return partial(keyed, folder_at(str(known["memory"])).key, ADDRESS)


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
