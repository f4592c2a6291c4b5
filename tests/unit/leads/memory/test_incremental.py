"""Which stretch of changes a run reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.leads.memory.watermarks import Read, Round, Watermark, plan_round, read_watermark

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def at(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def plan(mark: Watermark | None, now: datetime = NOW, **options: Any) -> Round:
    given: dict[str, Any] = {"scope": {}, "settle": MINUTE, "overlap": 5 * MINUTE} | options
    return plan_round(mark, now, **given)


def test_the_first_run_reads_everything() -> None:
    assert plan(None, scope={"archived": True}) == Round(
        [Read({"archived": True})], Watermark(at(NOW), at(NOW), None, {"archived": True}), full=True
    )


def test_the_next_run_goes_on_before_the_watermark_and_leaves_what_is_young() -> None:
    mark = Watermark(at(NOW - 10 * MINUTE), at(NOW - DAY))
    found = plan(mark)
    assert found.reads == [Read({}, at(NOW - 15 * MINUTE), at(NOW - MINUTE))]
    assert found.watermark == Watermark(at(NOW - MINUTE), at(NOW - DAY), None, {})
    # Where changes are found at once nothing is left, and nothing bounds the read.
    assert plan(mark, settle=timedelta()).reads == [Read({}, at(NOW - 15 * MINUTE))]


@pytest.mark.parametrize(
    ("full_at", "every", "full"),
    [
        (NOW - 7 * DAY, 7 * DAY, True),
        (NOW - 6 * DAY, 7 * DAY, False),
        (None, 7 * DAY, True),
        (None, None, False),
        (NOW - 700 * DAY, None, False),
    ],
)
def test_everything_is_read_again_when_it_is_due(full_at: datetime | None, every: timedelta | None, full: bool) -> None:
    mark = Watermark(at(NOW - MINUTE), full_at and at(full_at))
    found = plan(mark, full_every=every)
    assert found.full is full
    assert found.watermark.full_at == (at(NOW) if full else mark.full_at)


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=365)])
def test_a_watermark_in_the_future_is_told(ahead: timedelta) -> None:
    with pytest.raises(ValueError, match="lies in the future"):
        plan(Watermark(at(NOW + ahead)))


def test_a_watermark_slightly_ahead_stays_where_it_is() -> None:
    mark = Watermark(at(NOW + MINUTE))
    assert plan(mark, overlap=timedelta()).reads == []
    assert plan(mark, overlap=timedelta()).watermark.at == mark.at


def narrowed(parts: list[str]) -> dict[str, Any]:
    return {"funnel_ids": parts}


def test_a_new_part_is_read_in_full_and_one_that_is_gone_is_told() -> None:
    mark = Watermark(at(NOW - DAY), None, ["a", "gone"])
    found = plan(mark, settle=timedelta(), parts=["a", "new"], narrowed=narrowed)
    since = at(NOW - DAY - 5 * MINUTE)
    assert found.reads == [Read({"funnel_ids": ["a"]}, since), Read({"funnel_ids": ["new"]})]
    assert (found.gone, found.watermark.parts, found.full) == (["gone"], ["a", "new"], False)
    assert plan(mark, parts=[], narrowed=narrowed).reads == []


@pytest.mark.parametrize("stored", ["yesterday", "2026-01-01T00:00:00", 5, {"at": None}, {"since": "x"}, [], {}])
def test_what_is_no_watermark_is_told(stored: Any) -> None:
    with pytest.raises(ValueError, match="stored watermark"):
        read_watermark(stored)


@pytest.mark.parametrize("stored", ["2026-01-01T01:00:00+01:00", {"at": "2026-01-01T00:00:00Z"}])
def test_a_watermark_can_be_set_by_hand(stored: Any) -> None:
    found = read_watermark(stored)
    assert found is not None
    assert datetime.fromisoformat(found.at) == datetime(2026, 1, 1, tzinfo=UTC)
    assert read_watermark(None) is None


@given(
    steps=st.lists(st.integers(0, 100_000), min_size=1, max_size=20),
    settle=st.integers(0, 120),
    overlap=st.integers(0, 600),
)
def test_no_moment_falls_between_two_runs(steps: list[int], settle: int, overlap: int) -> None:
    now, mark, read_to = NOW, None, None
    for step in steps:
        now += timedelta(seconds=step)
        found = plan(mark, now, settle=timedelta(seconds=settle), overlap=timedelta(seconds=overlap))
        stored = msgspec.json.decode(msgspec.json.encode(found), type=Round)
        assert stored == found
        for read in found.reads:
            assert read.since is None or datetime.fromisoformat(read.since) <= read_to
            upper = datetime.fromisoformat(read.until) if read.until else now
            read_to = max(read_to or upper, upper)
        mark = found.watermark
        # What is claimed to be read was read.
        assert datetime.fromisoformat(mark.at) <= read_to
