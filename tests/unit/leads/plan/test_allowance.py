"""How many leads may join campaigns in a day, whoever adds them and however often they try."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.plan.allowance import Allowance

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Clock:
    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def ids(first: int, count: int) -> list[str]:
    return [f"l{number}" for number in range(first, first + count)]


def task(folder: Path, owner: str, clock: Clock, **more: Any) -> Allowance:
    return Allowance(str(folder), owner, clock=clock, sleep=lambda seconds: None, **more)


def test_all_tasks_of_a_day_share_it(tmp_path: Path) -> None:
    clock = Clock()
    first = task(tmp_path, "a", clock)
    assert first.claim(ids(0, 6), None, 10) == ids(0, 6)
    first.settle(["l5"])
    uncapped = task(tmp_path, "b", clock)
    assert uncapped.claim(ids(10, 2), None, None) == ids(10, 2)
    uncapped.settle([])
    assert task(tmp_path, "c", clock).foresee(ids(20, 9), None, 10) == ids(20, 3)
    third = task(tmp_path, "c", clock)
    assert third.claim(ids(20, 9), None, 10) == ids(20, 3)
    assert third.claimed == 3
    assert task(tmp_path, "d", clock).claim(ids(30, 1), None, 10) == []
    clock.now += timedelta(days=1)
    # Who was killed may have added its three after midnight; the others were done.
    assert task(tmp_path, "e", clock).claim(ids(40, 20), None, 10) == ids(40, 7)
    clock.now += timedelta(days=2)
    assert task(tmp_path, "f", clock).claim(ids(60, 20), None, 10) == ids(60, 10)


def test_a_retry_goes_on_with_whom_it_has_written_down(tmp_path: Path) -> None:
    clock = Clock(datetime(2026, 5, 4, 23, 59, tzinfo=UTC))
    assert task(tmp_path, "a", clock).claim(ids(0, 8), 5, 6) == ids(0, 5)
    clock.now += timedelta(minutes=2)
    # Two of the five had joined when the first try was killed, so they are no longer among those who shall.
    retry = task(tmp_path, "a", clock)
    assert retry.claim(ids(2, 6), 5, 6) == ids(2, 3)
    assert retry.claimed == 5
    # That one was there already is no news: it was this task that has added it.
    retry.settle([], ["l2"])
    assert task(tmp_path, "b", clock).claim(ids(10, 6), 5, 6) == ids(10, 1)
    again = task(tmp_path, "a", clock)
    assert again.claim(ids(5, 3), 5, None) == []
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize(("zone", "left"), [("UTC", 1), ("Europe/Berlin", 4), ("America/New_York", 1)])
def test_a_day_begins_at_the_midnight_of_its_zone(tmp_path: Path, zone: str, left: int) -> None:
    clock = Clock(datetime(2026, 5, 4, 21, 30, tzinfo=UTC))
    first = task(tmp_path, "a", clock)
    first.claim(ids(0, 3), None, None)
    first.settle([])
    # Half past midnight in Berlin, half past ten in the evening in UTC.
    clock.now += timedelta(hours=1)
    assert len(task(tmp_path, "b", clock, day=ZoneInfo(zone)).claim(ids(10, 9), None, 4)) == left


def test_what_was_done_past_midnight_counts_for_the_new_day(tmp_path: Path) -> None:
    clock = Clock(datetime(2026, 5, 4, 23, 59, tzinfo=UTC))
    first = task(tmp_path, "a", clock)
    first.claim(ids(0, 3), None, 4)
    clock.now += timedelta(minutes=5)
    first.settle([])
    assert task(tmp_path, "b", clock).claim(ids(10, 9), None, 4) == ids(10, 1)


@pytest.mark.story
def test_tasks_at_once_never_add_too_many(tmp_path: Path) -> None:
    for day in range(8):
        start, chosen = Barrier(4), dict[str, list[str]]()

        def work(owner: str, at: datetime, start: Barrier = start, chosen: dict[str, list[str]] = chosen) -> None:
            allowance = Allowance(str(tmp_path / at.isoformat()[:10]), owner, clock=lambda: at)
            start.wait()
            chosen[owner] = allowance.claim([f"{owner}{number}" for number in range(10)], None, 12)

        threads = [Thread(target=work, args=(owner, NOON + timedelta(days=day))) for owner in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(map(len, chosen.values())) <= 12


def test_a_damaged_note_is_not_taken_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "2026-05-04.x.json").write_text("{")
    with pytest.raises(StagingError, match="can't be read as a note of who joined"):
        task(tmp_path, "a", Clock()).claim(ids(0, 1), None, 1)
    (tmp_path / "2026-05-04.x.json").rename(tmp_path / "2026-04-04.x.json")
    assert task(tmp_path, "a", Clock()).claim(ids(0, 1), None, 1) == ["l0"]
    assert [file.name for file in tmp_path.iterdir()] == ["2026-05-04.a.json"]
