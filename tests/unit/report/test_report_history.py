from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from report_files import NOW

from airflow_providers_leads.report.history import FOLDER, Entry, keep, recent


def entry(n: int, run_id: str | None = None, **fields: int) -> Entry:
    at = NOW + timedelta(hours=n)
    return Entry(kind="sync", dag_id="d", run_id=run_id or f"run+{n}:00", at=at, status="ok", summary="", **fields)


def test_runs_come_in_the_order_of_time_and_a_repeated_run_replaces_its_own(tmp_path: Path) -> None:
    for n in (3, 1, 2, 0):
        keep(str(tmp_path), entry(n))
    keep(str(tmp_path), entry(1, people=7))
    found = recent(str(tmp_path), 10)
    assert [e.run_id for e in found] == [f"run+{n}:00" for n in range(4)]
    assert [e.people for e in found] == [0, 7, 0, 0]
    assert len(recent(str(tmp_path), 2)) == 2
    assert recent(str(tmp_path), 2)[-1].run_id == "run+3:00"


def test_a_run_does_not_see_itself_nor_those_after_it(tmp_path: Path) -> None:
    for n in range(4):
        keep(str(tmp_path), entry(n))
    assert [e.at.hour for e in recent(str(tmp_path), 9, until=entry(2).at)] == [12, 13]


def test_two_runs_of_one_moment_are_both_kept(tmp_path: Path) -> None:
    keep(str(tmp_path), entry(0, "a"))
    keep(str(tmp_path), entry(0, "b"))
    assert len(recent(str(tmp_path), 9)) == 2


def test_what_is_no_entry_is_passed_over_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    assert recent(str(tmp_path), 5) == []
    keep(str(tmp_path), entry(0))
    (tmp_path / FOLDER / "20990101T000000000000.x.json").write_text("{broken")
    (tmp_path / FOLDER / "20990101T000000000000.y.json").write_text('{"kind": 3}')
    assert len(recent(str(tmp_path), 5)) == 1
    assert not list(tmp_path.rglob("*.part"))
