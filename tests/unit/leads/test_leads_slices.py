"""A merge in slices gives what a merge in one piece gives."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from leads_rows import JANUARY, JUNE, lead, merged

from airflow_providers_leads.leads import slices
from airflow_providers_leads.leads.policy import MergePolicy


def test_slices_change_nothing_and_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    rows = [
        lead(
            str(number),
            rng.choice([f"p{rng.randrange(60)}@example.org", None, "n/a"]),
            source=rng.choice(["hubspot", "persistiq"]),
            city=rng.choice(["Bonn", "Köln", None]),
            updated_at=rng.choice([JANUARY, JUNE, None]),
            properties=rng.choice(['{"a":1}', '{"b":2}', None]),
        )
        for number in range(300)
    ]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    whole, counts = merged(tmp_path / "whole", rows, policy=MergePolicy(priority=("hubspot",)), lineage=True)
    monkeypatch.setattr(slices, "ROWS_PER_SLICE", 40)
    sliced, counts_sliced = merged(tmp_path / "sliced", rows, policy=MergePolicy(priority=("hubspot",)), lineage=True)
    assert counts_sliced == counts
    for name, found in whole.items():
        assert sorted(map(str, sliced[name])) == sorted(map(str, found)), name
    assert not list(tmp_path.glob("leads-spill-*"))
