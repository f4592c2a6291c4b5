"""What a plan reads of a bucket: each file once, however many slices its people are planned in."""

from __future__ import annotations

from collections import Counter
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
from leads_rows import lead

from airflow_providers_leads.leads.files.staging import VERSION_METADATA, as_path, write_rows
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan import slices
from airflow_providers_leads.leads.plan.planning import PlanRules, iter_plan

READ: Counter[str] = Counter()


class _CountedFile(MemoryFile):
    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        READ[self.path.rpartition("/")[2]] += len(data)
        return data


class CountedBucket(MemoryFileSystem):
    """Keeps files in memory and counts the bytes that are read of each."""

    protocol = "counted"
    store: dict[str, Any] = {}  # noqa: RUF012  # as the base class has it
    pseudo_dirs = [""]  # noqa: RUF012

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode, **options)
        if mode == "rb":
            return _CountedFile(self, path, file.getvalue())
        return file


@pytest.fixture
def bucket() -> str:
    fsspec.register_implementation("counted", CountedBucket, clobber=True)
    READ.clear()
    return "counted://bucket"


def test_each_file_is_read_once(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_SLICE_ROWS", 500)
    addresses = [f"person{number:05}@example.org" for number in range(5_000)]
    files = {name: f"{bucket}/{name}.parquet" for name in ("golden", "existing", "members")}
    write_rows(files["golden"], Lead, [lead(email, email, source="golden", city="Köln") for email in addresses])
    write_rows(files["existing"], Lead, [lead(str(n), email) for n, email in enumerate(addresses)])
    members = {
        "source": ["hubspot"] * len(addresses), "source_scope": [""] * len(addresses),
        "source_id": [str(number) for number in range(len(addresses))],
        "email_key": [email_key(email) for email in addresses], "address": addresses,
    }  # fmt: skip
    with as_path(files["members"]).open("wb") as file:
        pq.write_table(pa.table(members).replace_schema_metadata(VERSION_METADATA), file)
    READ.clear()
    rules = PlanRules(mode="update", writable=frozenset({"city"}))
    rows = list(iter_plan(files["golden"], files["existing"], rules, members_uri=files["members"]))
    assert [row.action for row in rows] == ["update"] * len(addresses)
    for name, uri in files.items():
        size = as_path(uri).stat().st_size
        # Its end, where the footer is, is looked at beforehand as well.
        assert READ[f"{name}.parquet"] <= 1.2 * size + 4 * 65_536, name
