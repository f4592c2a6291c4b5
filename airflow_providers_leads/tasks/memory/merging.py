"""What a merge recalls, and what it says of that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from airflow_providers_leads.leads.files.staging import appearing
from airflow_providers_leads.leads.memory.generation import Folder, SyncMemoryError
from airflow_providers_leads.leads.memory.reads import file_facts
from airflow_providers_leads.leads.memory.recall import OUTPUTS, Recall
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.plan.property_types import PROPERTY
from airflow_providers_leads.tasks.memory.reads import read_as_json, reads_of
from airflow_providers_leads.tasks.paths import storage_path


def recall_for(folder: Folder, inputs: Sequence[Any], policy: MergePolicy, stem: str, log: Any) -> Recall:
    """Return what a merge is to recall.

    :param folder: the sync's memory
    :param inputs: results of extracts and lookups
    :param policy: of the merge
    :param stem: URI of the folder of the merge's files
    :param log: the task's logger
    :raises SyncMemoryError: when another run has written since the inputs were read
    """
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
        "reads": [read_as_json(read) for read in recall.reads],
        "policy": {name: getattr(recall.policy, name) for name in ("cleared", "deleted", "address")}
        | {"priority": list(recall.policy.priority)},
    }
    # Partitions of the golden records are handed on by their URIs alone.
    with appearing(storage_path(str(recall.beside))) as part:
        part.write_bytes(msgspec.json.encode(facts))
    return facts
