"""Rows and files that the tests of the domain start from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq

from airflow_providers_leads.leads.files.places import as_path, parts_of
from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import Lead

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)


def lead(
    source_id: str = "1", email: str | None = "ann@example.org", *, source: str = "hubspot", **fields: Any
) -> Lead:
    """Return a lead whose key follows from its address, as the hooks make them."""
    fields = {"source_scope": "", "email_key": email_key(email), **fields}
    return Lead(source=source, source_id=source_id, email=email, **fields)


def table(uri: Any) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file, or of a folder of parts, as dicts."""
    rows: list[dict[str, Any]] = []
    for part in parts_of(as_path(uri)):
        with part.open("rb") as file:
            rows += pq.read_table(file).to_pylist()
    return rows


def merged(
    folder: Any, *files: Iterable[Lead], policy: MergePolicy | None = None, lineage: bool = False
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, int]]:
    """Merge the rows of several files; return the rows per output and the counts."""
    inputs = [f"{folder}/input{number}.parquet" for number in range(len(files))]
    for uri, rows in zip(inputs, files, strict=True):
        write_rows(uri, Lead, rows)
    outputs = {name: f"{folder}/{name}.parquet" for name in OUTPUTS}
    counts = merge_files(inputs, outputs, policy=policy, lineage=lineage)
    found = {name: table(uri) for name, uri in outputs.items()}
    for conflict in found["conflicts"]:
        # What they were sorted by is said by their order.
        conflict["candidates"] = [{k: v for k, v in c.items() if k != "place"} for c in conflict["candidates"]]
    return found, counts
