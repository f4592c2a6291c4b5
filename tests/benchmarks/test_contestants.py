"""The merge beside one that pandas makes of the same leads, by code that shares nothing with it but the words."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from bench_contestants import run_ours, run_pandas
from bench_merge import differences

from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.merge import slices
from airflow_providers_leads.leads.model.schema import Lead

_ROWS = 800


def entangled(rng: random.Random, source: str) -> list[Lead]:
    """Return leads full of what joins and parts people: aliases, merged ids, shared mailboxes, equal times and none."""

    def person() -> str:
        return f"p{rng.randrange(300)}@x.de"

    rows = []
    for number in range(_ROWS):
        email = rng.choice([*(person() for _ in range(20)), None, "bad", f"info@{rng.randrange(9)}.de", "sales+x@y.de"])
        shared = bool(email) and str(email).startswith(("info", "sales"))
        told: dict[str, object] = {}
        if rng.random() < 0.3:
            told["a"] = rng.randrange(3)
        if rng.random() < 0.1:
            told["b"] = 'ü"'
        if rng.random() < 0.05:
            told["email_aliases"] = [rng.choice([person(), f"q{number}@x.de", "info@1.de"])]
        if rng.random() < 0.03:
            told["merged_ids"] = [str(rng.randrange(_ROWS))]
        rows.append(
            Lead(
                source,
                "account",
                str(number),
                email,
                email if email and "@" in email else None,
                first_name=rng.choice(["Ann"] * 9 + [None] if shared else ["Ann", "Bob", None]),
                city=rng.choice(["A", "B", None]),
                opted_out=rng.choice([True, False, None]),
                updated_at=rng.choice([datetime(2026, 1, rng.randrange(1, 28), tzinfo=UTC), None]),
                created_at=datetime(2025, 1, rng.randrange(1, 28), tzinfo=UTC),
                properties=json.dumps(told) if told else None,
            )
        )
    return rows


def made_by(run: Callable[..., int], files: list[str], folder: Path) -> tuple[Path, int, list[tuple[str, ...]]]:
    folder.mkdir()
    golden = run(files, folder, "2GB", 2)
    rejects = pq.read_table(folder / "rejects.parquet").to_pylist()
    return folder, golden, sorted((row["source"], row["source_id"], row["reason"]) for row in rejects)


@pytest.mark.parametrize("rows_per_slice", [1_000_000, 300, 20], ids=["whole", "read again", "written"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_people_with_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, rows_per_slice: int
) -> None:
    rng = random.Random(seed)
    files = [str(tmp_path / f"{source}.parquet") for source in ("hubspot", "persistiq")]
    for file in files:
        write_rows(file, Lead, entangled(rng, Path(file).stem))
    monkeypatch.setattr(slices, "ROWS_PER_SLICE", rows_per_slice)
    ours, golden, rejects = made_by(run_ours, files, tmp_path / "ours")
    theirs, expected, rejected = made_by(run_pandas, files, tmp_path / "pandas")
    assert (golden, rejects) == (expected, rejected)
    assert differences(ours, theirs) == {}
    assert {reason for _, _, reason in rejects} == {"no_email", "invalid_email", "shared_mailbox"}
