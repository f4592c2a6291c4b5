"""What a file says of the accounts that it is of and of its merge, through every hand that it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from airflow_providers_leads.leads.files import provenance
from airflow_providers_leads.leads.files.parts import Parts
from airflow_providers_leads.leads.files.provenance import accounts_metadata, members_of, read_accounts
from airflow_providers_leads.leads.files.staging import StagingError, file_metadata, write_rows
from airflow_providers_leads.leads.merge import functions
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.model.schema import Lead


def leads(scope: str, count: int = 3) -> list[Lead]:
    return [
        Lead(
            source="hubspot", source_scope=scope, source_id=f"{scope}{n}", email=f"p{n}@x.example",
            email_key=f"p{n}@x.example",
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture
def merged(tmp_path: Path) -> dict[str, Any]:
    for scope, mark in (("a", "one"), ("b", "two")):
        metadata = accounts_metadata({scope: [mark]})
        write_rows(tmp_path / f"{scope}.parquet", Lead, leads(scope), metadata=metadata)
    targets: dict[str, Any] = {name: UPath(tmp_path) / "m" / f"{name}.parquet" for name in OUTPUTS}
    merge_files([tmp_path / "a.parquet", tmp_path / "b.parquet"], targets)
    return targets


def test_accounts_of_all_inputs_stand_in_every_output_of_a_merge(merged: dict[str, Any]) -> None:
    for path in merged.values():
        assert read_accounts([path]) == {"a": ["one"], "b": ["two"]}


def test_two_accounts_of_one_connection_both_stand_there(tmp_path: Path) -> None:
    for mark in ("one", "two"):
        write_rows(tmp_path / mark, Lead, leads("a"), metadata=accounts_metadata({"a": [mark]}))
    assert read_accounts([tmp_path / "one", tmp_path / "two"]) == {"a": ["one", "two"]}


def test_what_knows_no_account_says_so(tmp_path: Path) -> None:
    write_rows(tmp_path / "x", Lead, leads("a"))
    assert read_accounts([tmp_path / "x"]) == {}
    write_rows(tmp_path / "y", Lead, leads("a"), metadata={provenance.ACCOUNTS: "[1]"})
    with pytest.raises(StagingError, match="Run its extract again"):
        read_accounts([tmp_path / "y"])


def test_what_other_software_says_in_bytes_keeps_no_file_from_being_read(tmp_path: Path) -> None:
    table = pa.table({"email": ["a@x.example"]}).replace_schema_metadata({b"leads.merge": b"m", b"\xff": b"\x80\xfe"})
    pq.write_table(table, tmp_path / "own.parquet")
    assert file_metadata(tmp_path / "own.parquet")["leads.merge"] == "m"


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_a_file_in_parts_knows_its_account(tmp_path: Path, parts: int) -> None:
    metadata = accounts_metadata({"a": ["one"]})
    file: Parts[Lead] = Parts(tmp_path / "x.parquet", Lead, "o", metadata=metadata)
    for _ in range(parts):
        file.append(leads("a"))
    file.assemble(leads("a") if parts == 3 else ())
    assert read_accounts([tmp_path / "x.parquet"]) == {"a": ["one"]}


@pytest.mark.parametrize(("work", "answer"), [("filter_leads", True), ("map_leads", {"city": "Köln"})])
def test_a_function_over_golden_records_leaves_it_there(
    merged: dict[str, Any], tmp_path: Path, work: str, answer: Any
) -> None:
    target, function = UPath(tmp_path) / "f" / "golden.parquet", lambda rows: [answer] * len(rows)
    getattr(functions, work)(
        merged["golden"], target, function, form="dicts", batch_rows=10, progress=lambda done: None
    )
    assert file_metadata(target) == file_metadata(merged["golden"])
    assert str(members_of(target)) == str(merged["members"])


def test_a_merge_without_members_names_none(merged: dict[str, Any], tmp_path: Path) -> None:
    merge_files([tmp_path / "a.parquet"], {"golden": tmp_path / "alone.parquet"})
    assert members_of(UPath(tmp_path) / "alone.parquet") is None


def test_the_same_merge_has_the_same_name_and_another_has_not(merged: dict[str, Any], tmp_path: Path) -> None:
    def name(*inputs: str) -> str:
        targets = {one: tmp_path / "again" / f"{one}.parquet" for one in ("golden", "members")}
        merge_files([tmp_path / f"{one}.parquet" for one in inputs], targets)
        return file_metadata(targets["golden"])[provenance.MERGE]

    assert name("a", "b") == file_metadata(merged["golden"])[provenance.MERGE]
    assert name("a") != name("a", "b")
