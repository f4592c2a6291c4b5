"""Repeated syncs under faults end where a clean run ends; `make soak` runs it for half an hour."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from worlds import SOURCES, faults, soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "20"))
SEED = int(os.environ.get("SOAK_SEED", "7"))


@pytest.mark.story
@pytest.mark.soak
def test_syncs_under_faults_end_where_a_clean_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for crm in SOURCES:
        # Set during the soak, gone after it.
        monkeypatch.setenv(f"AIRFLOW_CONN_{crm.upper()}_DEFAULT", "{}")
    report = soak(SECONDS, tmp_path, seed=SEED, share=0.02 if SECONDS > 60 else 0.05)
    with capsys.disabled():
        sys.stdout.write(f"\n{report}\n")
    assert report.differences == []
    assert report.mail == 0
    assert report.writes > 0
    assert report.faults.total() > 0
    if SECONDS >= 600:
        assert len(report.faults) >= 15


def test_every_fault_that_leaves_the_end_open_has_its_share() -> None:
    plan = faults(0.02, 7)
    for crm in SOURCES:
        assert sum(rule.share or 0 for rule in plan.rules if rule.crm == crm) == pytest.approx(0.02)
