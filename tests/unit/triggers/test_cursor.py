"""How far a watcher has seen: everything is told once, however late and in whatever order it shows up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.hooks.streams import Item
from airflow_providers_leads.triggers.cursor import MAX_IDS, MAX_SEEN, Cursor

START = datetime(2026, 11, 1, tzinfo=UTC)
LOOKBACK = timedelta(minutes=10)
NOW = START + timedelta(days=300)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def item(name: str, seconds: float, subject: str | None = None) -> Item:
    return Item(name, at(seconds), subject or name)


def test_what_is_new_is_told_once_and_in_numbers() -> None:
    cursor = Cursor.starting(at(0))
    batch = cursor.take([item("b", 5), item("a", 1), item("old", -1), item("b", 5)], LOOKBACK, NOW)
    assert batch is not None
    assert (batch.count, batch.ids) == (2, ["a", "b"])
    assert (batch.oldest, batch.newest) == ("2026-11-01T00:00:01.000+00:00", "2026-11-01T00:00:05.000+00:00")
    assert cursor.take([item("a", 1), item("b", 5)], LOOKBACK, NOW) is None


def test_equal_times_are_told_apart_by_id() -> None:
    cursor = Cursor.starting(at(0))
    cursor.take([item("a", 5)], LOOKBACK, NOW)
    batch = cursor.take([item("a", 5), item("b", 5)], LOOKBACK, NOW)
    assert batch is not None
    assert batch.ids == ["b"]


def test_it_asks_from_the_lookback_on_and_never_before_its_beginning() -> None:
    cursor = Cursor.starting(at(0))
    assert cursor.since(LOOKBACK) == at(0)
    cursor.take([item("a", 60)], LOOKBACK, NOW)
    assert cursor.since(LOOKBACK) == at(0)
    cursor.take([item("b", 3600)], LOOKBACK, NOW)
    assert cursor.since(LOOKBACK) == at(3000)
    assert set(cursor.seen) == {"b"}


def test_a_record_dated_far_ahead_is_told_once_and_stops_nothing() -> None:
    cursor = Cursor.starting(at(0))
    slip = Item("slip", NOW + timedelta(days=400), "slip")
    assert cursor.take([slip], LOOKBACK, NOW) is not None
    assert cursor.take([slip], LOOKBACK, NOW) is None
    assert cursor.take([slip, item("a", 9)], LOOKBACK, NOW).ids == ["a"]  # type: ignore[union-attr]
    assert cursor.take([slip, item("b", 99_999)], LOOKBACK, NOW).ids == ["b"]  # type: ignore[union-attr]
    assert cursor.take([slip], LOOKBACK, NOW) is None


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_long_past_is_counted_in_whole_and_remembered_in_part(newest_first: bool) -> None:
    count = 5 * MAX_SEEN
    cursor = Cursor.starting(at(0))
    numbers = range(count)
    past = (item(f"i{n}", n) for n in (reversed(numbers) if newest_first else numbers))
    batch = cursor.take(past, LOOKBACK, NOW)
    assert batch is not None
    assert (batch.count, len(batch.ids)) == (count, MAX_IDS)
    assert (batch.oldest, batch.newest) == ("2026-11-01T00:00:00.000+00:00", "2026-11-01T06:56:39.000+00:00")
    assert len(cursor.seen) <= LOOKBACK.total_seconds() + 1
    assert cursor.take([item(f"i{n}", n) for n in numbers], LOOKBACK, NOW) is None


def test_too_many_at_one_time_are_told_once_and_the_state_stays_small() -> None:
    cursor = Cursor.starting(at(0))
    crowd = [item(f"i{n}", n / 100) for n in range(3 * MAX_SEEN)]
    assert cursor.take(crowd, LOOKBACK, NOW).count == len(crowd)  # type: ignore[union-attr]
    assert len(json.dumps(cursor.state())) < 200_000
    assert cursor.take(crowd, LOOKBACK, NOW) is None


@pytest.mark.parametrize("state", [None, {}, {"floor": "x"}, [], "text", {"floor": 1, "newest": None}])
def test_what_is_no_cursor_is_none(state: object) -> None:
    assert Cursor.read(state) is None


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 600)), max_size=60, unique_by=lambda entry: entry),
    st.lists(st.integers(1, 400), min_size=1, max_size=30),
)
def test_every_item_that_shows_up_within_the_lookback_is_told_exactly_once(
    happened: list[tuple[int, int]], pauses: list[int]
) -> None:
    """Each item happens at one time and shows up some delay later; looks are at any times, restarts between them."""
    told: list[str] = []
    cursor, clock = Cursor.starting(at(0)), 0
    for pause in [*pauses, 6_000]:
        clock += pause
        since = cursor.since(LOOKBACK)
        visible = [item(f"{a}+{d}", a) for a, d in happened if a + d <= clock and at(a) >= since]
        before = set(cursor.seen)
        if batch := cursor.take(visible, LOOKBACK, NOW):
            told += [one.id for one in visible if one.id not in before]
            assert batch.count == len([one for one in visible if one.id not in before])
        cursor = Cursor.read(json.loads(json.dumps(cursor.state())))  # type: ignore[assignment]
    assert sorted(told) == sorted(f"{a}+{d}" for a, d in happened)
