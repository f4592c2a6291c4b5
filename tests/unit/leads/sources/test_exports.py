"""What programs leave in the files that they export."""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.sources.reading import FileOptions, read_file


def leads_of(file: Path) -> list[dict[str, Any]]:
    with ExitStack() as stack:
        read = read_file(ObjectStoragePath(f"file://{file}"), FileOptions(), "fair", "fair", stack)
        return [lead for made in read.made for lead in made.leads.to_pylist()]


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("46085", "2026-03-04 00:00:00"),
        ("46085.5", "2026-03-04 12:00:00"),
        ("46085,25", "2026-03-04 06:00:00"),
        ("20516", None),
        ("2026-03-04T12:00:00.844Z", "2026-03-04 12:00:00.844000"),
        ("2026-03-04 12:00:00,5", "2026-03-04 12:00:00.500000"),
        ("2026-03-04 4:05 PM", "2026-03-04 16:05:00"),
        ("99999", None),
    ],
)
def test_times_as_programs_write_them(tmp_path: Path, cell: str, time: str | None) -> None:
    (file := tmp_path / "fair.csv").write_text(f"email;updated_at\nann@example.com;{cell}\n")
    assert leads_of(file)[0]["updated_at"] == (time and datetime.fromisoformat(f"{time}+00:00"))


def test_a_reason_for_which_mail_came_back_says_that_it_did(tmp_path: Path) -> None:
    rows = "Email,Email hard bounce reason\nann@example.com,Unknown user\nbob@example.com,\ncy@example.com,none\n"
    (file := tmp_path / "contacts.csv").write_text(rows)
    assert [lead["bounced"] for lead in leads_of(file)] == [True, None, False]


@pytest.mark.parametrize("cut", [slice(200), slice(100, None)], ids=["cut off", "not packed"])
def test_a_packed_file_that_is_damaged_is_named(tmp_path: Path, cut: slice) -> None:
    rows = "".join(f"p{number * 7919 % 1_000}@example.com\n" for number in range(1_000))
    (file := tmp_path / "fair.csv.gz").write_bytes(gzip.compress(f"email\n{rows}".encode())[cut])
    with pytest.raises(StagingError, match=r"copy it anew|not packed") as raised:
        leads_of(file)
    assert str(file) in str(raised.value)


def test_parquet_with_times_that_python_has_not_and_a_name_twice(tmp_path: Path) -> None:
    addresses = [["ann@example.com"], ["other@example.com"]]
    table = pa.table(
        [*map(pa.array, addresses), pa.array([2**62], pa.timestamp("us"))], ["email", "email", "updated_at"]
    )
    pq.write_table(table, file := tmp_path / "people.parquet")
    [lead] = leads_of(file)
    assert (lead["email"], lead["updated_at"]) == ("ann@example.com", None)
    assert "out of range" in lead["properties"]


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("WAHR", "FALSCH"), ("VRAI", "FAUX"), ("VERDADERO", "FALSO"), ("VERDADEIRO", "FALSO"), ("VERO", "FALSO"),
        ("WAAR", "ONWAAR"), ("SANT", "FALSKT"), ("SANN", "USANN"), ("SAND", "FALSK"), ("PRAWDA", "FAŁSZ"),
        ("TOSI", "EPÄTOSI"), ("IGAZ", "HAMIS"), ("PRAVDA", "NEPRAVDA"), ("ИСТИНА", "ЛОЖЬ"),
    ],
)  # fmt: skip
def test_a_spreadsheet_writes_true_and_false_in_its_language(tmp_path: Path, yes: str, no: str) -> None:
    rows = f"email;unsubscribed;bounced\nann@example.com;{yes};{yes}\nbob@example.com;{no};{no}\n"
    (file := tmp_path / "fair.csv").write_text(rows, encoding="utf-8")
    assert [(lead["opted_out"], lead["bounced"]) for lead in leads_of(file)] == [(True, True), (False, False)]
    (file := tmp_path / "fair.csv").write_text(f"email;newsletter\nann@example.com;{yes}\nbob@example.com;{no}\n")
    assert [lead["opted_out"] for lead in leads_of(file)] == [False, True]
