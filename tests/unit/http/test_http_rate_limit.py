"""Quotas are kept in every window, by any number of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from http_fakes import NOW, FakeClock
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.http.quota.departures import CAPACITY, Departures
from airflow_providers_leads.http.rate_limit import RateLimiter, shared_limiter


def limiter_on(clock: FakeClock, limit: int, period: float) -> RateLimiter:
    return RateLimiter(limit, period, clock=clock, sleep=clock.sleep)


def fullest_window(departures: list[float], period: float) -> int:
    times = sorted(departures)
    return max(sum(start <= t < start + period for t in times) for start in times)


@given(
    limit=st.integers(1, 6),
    period=st.floats(0.01, 100),
    gaps=st.lists(st.floats(0, 30), min_size=1, max_size=40),
    blocks=st.dictionaries(st.integers(0, 39), st.floats(0, 50), max_size=3),
)
def test_no_window_ever_holds_more_than_the_limit(
    limit: int, period: float, gaps: list[float], blocks: dict[int, float]
) -> None:
    clock = FakeClock(1000.0)
    limiter = limiter_on(clock, limit, period)
    departures, held_until = [], 0.0
    for n, gap in enumerate(gaps):
        clock.now += gap
        if n in blocks:
            limiter.block(blocks[n])
            held_until = max(held_until, clock.now + blocks[n])
        limiter.acquire()
        assert clock.told >= held_until
        departures.append(clock.told)
    assert fullest_window(departures, period) <= limit


@pytest.mark.parametrize("threads", [4, 32])
def test_threads_share_one_window(threads: int) -> None:
    clock = FakeClock(0.0)
    limiter = limiter_on(clock, 5, 1.0)

    def depart(_: int) -> float:
        limiter.acquire()
        return clock.told

    with ThreadPoolExecutor(threads) as pool:
        departures = list(pool.map(depart, range(200)))
    assert fullest_window(departures, 1.0) <= 5
    assert clock.now >= 39, "200 requests at 5 per second"


def test_the_quota_is_used_up_before_anyone_waits(clock: FakeClock) -> None:
    limiter = limiter_on(clock, 100, 10.0)
    assert sum(limiter.acquire() for _ in range(100)) == 0
    waited = limiter.acquire()
    assert 10.0 <= waited <= 10.2
    assert waited == pytest.approx(sum(clock.sleeps))


def test_a_block_holds_everyone_and_the_longest_wins(clock: FakeClock) -> None:
    limiter = limiter_on(clock, 100, 10.0)
    limiter.block(7)
    limiter.block(3)
    assert limiter.acquire() == pytest.approx(7)
    assert limiter.acquire() == 0


def test_a_block_set_while_waiting_is_kept_as_well(clock: FakeClock) -> None:
    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.sleeps) == 1:
            limiter.block(5)

    limiter = RateLimiter(1, 10.0, clock=clock, sleep=sleep)
    limiter.acquire()
    assert limiter.acquire() == pytest.approx(15.1)


@pytest.mark.parametrize(
    ("limit", "period", "waits"),
    [
        pytest.param(4, None, [0, 0, 10.1], id="more room opens at once"),
        pytest.param(1, None, [10.1, 10.1], id="less room waits for the last departure"),
        pytest.param(2, 20.0, [20.2, 0], id="longer window"),
        pytest.param(2, 5.0, [5.05, 0], id="shorter window"),
        pytest.param(0, None, [10.1, 10.1], id="never no room at all"),
        pytest.param(2, 0.0, [10.1, 0], id="a window of nothing is ignored"),
    ],
)
def test_the_vendors_own_figures_are_taken_over(
    clock: FakeClock, limit: int, period: float | None, waits: list[float]
) -> None:
    limiter = limiter_on(clock, 2, 10.0)
    limiter.acquire()
    limiter.acquire()
    limiter.resize(limit, period)
    assert [limiter.acquire() for _ in waits] == pytest.approx(waits, abs=0.01)


@pytest.mark.parametrize(("limit", "period"), [(0, 1.0), (-1, 1.0), (1, 0.0), (1, -1.0)])
def test_a_quota_of_nothing_is_refused(limit: int, period: float) -> None:
    with pytest.raises(ValueError, match="rate_limit must be at least 1"):
        RateLimiter(limit, period)


def test_one_key_at_one_origin_has_one_limiter() -> None:
    base = ("https://api.example.com", "key-of-this-test", "default", 100, 10.0)
    shared = shared_limiter(*base)
    assert shared_limiter(*base) is shared
    others = [
        ("https://other.example.com", *base[1:]),
        (base[0], "another key", *base[2:]),
        (*base[:2], "search", *base[3:]),
    ]
    assert all(shared_limiter(*other) is not shared for other in others)
    with ThreadPoolExecutor(16) as pool:
        assert set(map(id, pool.map(lambda _: shared_limiter(*base), range(64)))) == {id(shared)}


def test_spellings_of_an_origin_share_a_limiter() -> None:
    spellings = ["https://api.example.com", "https://API.example.com", "https://api.example.com:443/"]
    assert len({id(shared_limiter(s, "key-of-spellings", "default", 100, 10.0)) for s in spellings}) == 1


@pytest.mark.parametrize(
    ("ours", "remaining", "reset_in", "least", "most"),
    [
        pytest.param(0, 50, None, 0, 0, id="plenty left"),
        pytest.param(0, 1, None, 2.0, 4.1, id="one left, for which others may be on their way"),
        pytest.param(0, 2, None, 0, 0, id="two left"),
        pytest.param(0, 0, None, 2.0, 4.1, id="others spent it all"),
        pytest.param(0, 0, 4.0, 4.0, 4.1, id="the vendor says when"),
        pytest.param(0, 0, 400.0, 10.0, 10.0, id="no longer than a window"),
        pytest.param(99, 0, None, 10.1, 10.1, id="we spent it all but the last"),
        pytest.param(95, 2, None, 0, 0, id="nearly all of it is ours"),
        pytest.param(50, 0, None, 10.1, 10.1, id="half of it is ours: it comes free first"),
    ],
)
def test_only_what_others_spend_holds_us_back(
    clock: FakeClock, ours: int, remaining: int, reset_in: float | None, least: float, most: float
) -> None:
    limiter = limiter_on(clock, 100, 10.0)
    for _ in range(ours):
        limiter.acquire()
    limiter.hear(remaining, reset_in)
    assert least - 0.01 <= limiter.acquire() <= most + 0.01


def test_a_quota_that_grows_beyond_what_is_remembered_is_capped(clock: FakeClock) -> None:
    limiter = limiter_on(clock, 100, 10.0)
    limiter.resize(1_000_000)
    assert limiter.limit == CAPACITY
    assert sum(limiter.acquire() for _ in range(2 * CAPACITY)) == pytest.approx(10.1, abs=0.1)


@given(limit=st.integers(1, 5), gaps=st.lists(st.floats(0, 12), max_size=12))
def test_what_is_left_is_what_can_leave_without_waiting(limit: int, gaps: list[float]) -> None:
    clock = FakeClock(1000.0)
    limiter = limiter_on(clock, limit, 10.0)
    for gap in gaps:
        clock.now += gap
        limiter.acquire()
    left = limiter.left()
    assert [limiter.acquire() for _ in range(left)] == [0.0] * left
    assert limiter.left() == 0
    assert limiter.acquire() > 0
    limiter.block(100)
    clock.now += 50
    assert limiter.left() == 0


@given(limit=st.integers(1, 6), delays=st.lists(st.tuples(st.floats(0, 0.3), st.floats(0, 3)), min_size=1, max_size=40))
def test_no_window_of_the_vendor_holds_more_than_the_limit_however_late_requests_arrive(
    limit: int, delays: list[tuple[float, float]]
) -> None:
    clock = FakeClock(1000.0)
    limiter = limiter_on(clock, limit, 10.0)
    arrivals = []
    for on_the_way, gap in delays:
        limiter.acquire()
        clock.now += on_the_way
        arrivals.append(clock.now)
        limiter.arrived()
        clock.now += gap
    assert fullest_window(arrivals, 10.0) <= limit


def test_a_slow_vendors_quota_is_used_all_the_same(clock: FakeClock) -> None:
    limiter = limiter_on(clock, 1, 10.0)
    for _ in range(10):
        limiter.acquire()
        clock.now += 5
        limiter.arrived()
    # Not fifteen seconds each: an answer may take a part of the window only.
    assert clock.now - NOW == pytest.approx(9 * 10.4 + 5, abs=0.1)


def test_an_answer_after_more_departures_than_are_remembered_changes_none(clock: FakeClock) -> None:
    window = Departures(2)
    first = window.add(1.0)
    window.add(2.0)
    window.add(3.0)
    window.correct(first, 9.0)
    assert [window.nth_last(1), window.nth_last(2)] == [3.0, 2.0]


def test_a_request_that_had_to_connect_first_counts_from_its_own_arrival(clock: FakeClock) -> None:
    limiter = limiter_on(clock, 1, 1.0)
    limiter.acquire()
    clock.now += 0.5
    with limiter.leaving(1, lambda way: False):
        pass
    clock.now += 0.02
    limiter.answered(1)
    limiter.arrived()
    arrived = clock.now
    limiter.acquire()
    assert clock.now - arrived >= 1.0
