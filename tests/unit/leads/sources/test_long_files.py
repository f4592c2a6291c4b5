"""A file of the corpus that is too long to be kept: made row by row, with what is right of each row known."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.operators.leads import LeadsFromFileOperator

HEADER = "E-Mail;Vorname;Telefon;PLZ;Erstellt am;Abgemeldet;Notiz\r\n"
NAMES = ("Ann", "Jörg", "Zoë", "Łucja")


def row(number: int) -> tuple[str, dict[str, Any] | str]:
    """Return a line (or several) as a spreadsheet writes it, and the lead that is right or why there is none."""
    name, address = NAMES[number % 4], f"p{number}@example.com"
    lead = {
        "email_key": address, "first_name": name, "phone": f"+4930{number:07}", "postal_code": f"{number % 99_999:05}",
        "created_at": f"2026-{1 + number % 12:02}-{13 + number % 15:02}",
        "opted_out": True if number % 50 == 0 else None,
    }  # fmt: skip
    day, note = f"{13 + number % 15:02}.{1 + number % 12:02}.2026", ""
    if number % 1_009 == 0:
        return f";{name};;;{day};;\r\n", "no_email"
    if number % 1_013 == 0:
        return f"{name};{name};;;{day};;\r\n", "invalid_email"
    if number % 1_019 == 0:
        return f"{address};{name};;;{day};;;;zu;viel\r\n", "too_many_cells"
    phone = lead["phone"]
    if number % 1_021 == 0:
        phone, lead["phone"] = "4,93E+11", None
    if number % 997 == 0:
        note = f'"Halle 3; Stand ""{number}""\r\nzweite Zeile"'
    spelled = f" {address.upper()} " if number % 7 == 0 else address
    marked = "ja" if lead["opted_out"] else ""
    return f"{spelled};{name};{phone};{lead['postal_code']};{day};{marked};{note}\r\n", lead


def rows(count: int) -> Iterator[tuple[str, dict[str, Any] | str]]:
    return (row(number) for number in range(1, count + 1))


@pytest.mark.parametrize("count", [30_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_long_file_gives_each_of_its_leads(tmp_path: Path, count: int) -> None:
    file = tmp_path / "long.csv"
    with file.open("w", encoding="cp1250", errors="replace", newline="") as text:
        text.write(HEADER)
        text.writelines(line for line, _ in rows(count))
    gc.collect()
    before = pa.total_allocated_bytes()
    result = LeadsFromFileOperator(
        task_id="f", input=str(file), source="fair", output=f"{tmp_path}/out", encoding="cp1250"
    ).execute({})
    assert pa.total_allocated_bytes() - before < 64 << 20
    reasons = Counter(right for _, right in rows(count) if isinstance(right, str))
    lost = sum(isinstance(right, dict) and right["phone"] is None for _, right in rows(count))
    assert (result["rows"], result["rejects"]) == (count - reasons.total(), reasons.total())
    assert result["lost"] == {"phone": lost}
    rejects = pq.read_table(result["rejects_uri"], columns=["reason"]).column("reason").to_pylist()
    assert Counter(rejects) == reasons
    expected = (right for _, right in rows(count) if isinstance(right, dict))
    with pq.ParquetFile(result["uri"]) as leads:
        for batch in leads.iter_batches(columns=[*row(1)[1]]):  # type: ignore[misc]
            for lead in batch.to_pylist():
                lead["created_at"] = f"{lead['created_at']:%Y-%m-%d}"
                lead["opted_out"] = lead["opted_out"] or None
                assert lead == next(expected)
    assert next(expected, None) is None
