"""The retry decision, as a table of every class of failure."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest
from http_fakes import ORIGIN, FakeClock, make_client
from hypothesis import given
from hypothesis import strategies as st
from requests_mock import Mocker

from airflow_providers_leads.http.errors import LeadsApiError, LeadsRateLimitError
from airflow_providers_leads.http.hints import DAILY
from airflow_providers_leads.http.rate_limit import RateLimiter
from airflow_providers_leads.http.retry import (
    IDEMPOTENT_METHODS,
    Decision,
    RetryPolicy,
    decide,
    task_bounds,
    within_task,
)

POLICY = RetryPolicy(max_retries=3, base=1.0, max_backoff=5.0, max_wait=120.0)

TOOK_NO_EFFECT = ["not_sent", 423, 429, 522, 525, 526]
MAY_STAND = ["no_answer", "bad_answer", 408, 500, 502, 503, 504, 520, 521, 523, 524]
FINAL = [301, 302, 304, 400, 401, 403, 404, 405, 409, 410, 414, 415, 422, 451, 477, 501, 505]

failures = st.sampled_from([*TOOK_NO_EFFECT, *MAY_STAND, *FINAL])
hints = st.none() | st.just(DAILY) | st.floats(min_value=0, max_value=1e6)


def decided(
    failure: Any, *, idempotent: bool = True, hint: float | None = None, attempt: int = 1, policy: RetryPolicy = POLICY
) -> Decision:
    rng = random.Random(7)
    return decide(idempotent=idempotent, failure=failure, hint=hint, attempt=attempt, policy=policy, rng=rng)


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("failure", FINAL)
def test_a_final_answer_is_taken_as_such(failure: int, idempotent: bool) -> None:
    assert decided(failure, idempotent=idempotent) == Decision(None, ambiguous=False)


@pytest.mark.parametrize("failure", MAY_STAND)
def test_a_write_that_may_stand_is_never_repeated_and_says_so(failure: Any) -> None:
    assert decided(failure, idempotent=False) == Decision(None, ambiguous=True)
    assert decided(failure, idempotent=False, hint=1.0) == Decision(None, ambiguous=True)


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("failure", TOOK_NO_EFFECT)
def test_what_took_no_effect_is_repeated_whatever_the_request(failure: Any, idempotent: bool) -> None:
    decision = decided(failure, idempotent=idempotent)
    assert decision.wait is not None
    assert not decision.ambiguous


@pytest.mark.parametrize("failure", MAY_STAND)
def test_an_idempotent_request_is_repeated_until_its_tries_are_spent(failure: Any) -> None:
    assert [decided(failure, attempt=n).wait is not None for n in (1, 3, 4)] == [True, True, False]
    assert decided(failure, attempt=4).ambiguous


@pytest.mark.parametrize(
    ("failure", "last"),
    [("not_sent", 3), (423, 3), (500, 3), (429, 30), (522, 2), (525, 2), (526, 2)],
)
def test_each_kind_has_its_own_number_of_tries(failure: Any, last: int) -> None:
    assert decided(failure, attempt=last).wait is not None
    assert decided(failure, attempt=last + 1) == Decision(None, ambiguous=failure == 500)


@pytest.mark.parametrize(("failure", "repeated"), [(500, False), ("not_sent", False), (526, False), (429, True)])
def test_no_retries_leaves_only_waits_for_the_rate_limit(failure: Any, repeated: bool) -> None:
    assert (decided(failure, policy=RetryPolicy(max_retries=0)).wait is not None) is repeated


@pytest.mark.parametrize("hint", [0.0, 1.0, 10.0, 60.0, 120.0])
@pytest.mark.parametrize("failure", [423, 429, 503])
def test_the_vendors_wait_is_kept_with_a_little_jitter_on_top(failure: int, hint: float) -> None:
    waits = {
        decide(idempotent=True, failure=failure, hint=hint, attempt=2, policy=POLICY, rng=random.Random(seed)).wait or 0
        for seed in range(20)
    }
    assert hint <= min(waits) <= max(waits) <= hint + min(1.0, 0.1 * hint + 0.05)
    assert len(waits) > 10, "workers told the same second must not come back together"


@pytest.mark.parametrize(
    ("failure", "hint", "ambiguous"),
    [
        (429, DAILY, False),
        (423, DAILY, False),
        (503, DAILY, True),
        (429, 120.5, False),
        (503, 3600.0, True),
        (429, 86_400.0, False),
    ],
)
def test_a_wait_longer_than_a_task_should_sleep_fails_at_once(failure: int, hint: float, ambiguous: bool) -> None:
    assert decided(failure, hint=hint) == Decision(None, ambiguous=ambiguous)


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (30, 5.0)])
def test_backoff_doubles_to_its_ceiling_with_full_jitter(attempt: int, ceiling: float) -> None:
    rng = random.Random(1)
    waits = [
        decide(idempotent=True, failure=429, hint=None, attempt=attempt, policy=POLICY, rng=rng).wait or 0
        for _ in range(200)
    ]
    assert 0 <= min(waits) < 0.1 * ceiling
    assert 0.9 * ceiling < max(waits) <= ceiling


def test_a_locked_record_gets_the_two_seconds_of_its_lock() -> None:
    waits = [
        decide(idempotent=True, failure=423, hint=None, attempt=1, policy=POLICY, rng=random.Random(s)).wait or 0
        for s in range(50)
    ]
    assert 2.0 <= min(waits) <= max(waits) <= 3.0


def test_jitter_comes_from_the_given_source_alone() -> None:
    assert decided(500) == decided(500)
    assert decided(429, hint=10.0) == decided(429, hint=10.0)


def test_post_is_the_method_that_is_not_idempotent() -> None:
    assert "POST" not in IDEMPOTENT_METHODS
    assert {"GET", "PUT", "PATCH", "DELETE"} <= IDEMPOTENT_METHODS


@given(idempotent=st.booleans(), failure=failures, hint=hints, attempt=st.integers(1, 2000), seed=st.integers(0, 9))
def test_whatever_happens_the_decision_is_safe(
    idempotent: bool, failure: Any, hint: float | None, attempt: int, seed: int
) -> None:
    found = decide(
        idempotent=idempotent, failure=failure, hint=hint, attempt=attempt, policy=POLICY, rng=random.Random(seed)
    )
    if found.wait is None:
        assert found.ambiguous is (failure in MAY_STAND)
        return
    assert not found.ambiguous
    assert idempotent or failure in TOOK_NO_EFFECT
    assert attempt <= 30
    assert 0 <= found.wait <= POLICY.max_wait + 1
    assert hint is None or found.wait >= hint


# The whole decision, as a table: how often each failure is repeated, for a request that may be repeated and one that
# may not. Everything that is not named is final.
REPEATS: dict[Any, tuple[int, int]] = {
    **dict.fromkeys(["not_sent", 423], (3, 3)),
    429: (30, 30),
    **dict.fromkeys([522, 525, 526], (2, 2)),
    **dict.fromkeys(MAY_STAND, (3, 0)),
}
EVERY_FAILURE = ["not_sent", "no_answer", "bad_answer", *range(100, 600)]


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("hint", [None, 0.0, 0.5, 60.0, 120.0, 120.1, 86_400.0, DAILY])
@pytest.mark.parametrize("attempt", [1, 2, 3, 4, 30, 31])
def test_every_failure_hint_and_attempt(idempotent: bool, hint: float | None, attempt: int) -> None:
    bearable = hint is None or hint <= POLICY.max_wait
    for failure in EVERY_FAILURE:
        most = REPEATS.get(failure, (0, 0))[0 if idempotent else 1]
        found = decided(failure, idempotent=idempotent, hint=hint, attempt=attempt)
        assert (found.wait is not None) is (bearable and attempt <= most), failure
        assert found.ambiguous is (found.wait is None and failure in MAY_STAND), failure
        assert not found.late


METHODS = {"GET": True, "HEAD": True, "PUT": True, "PATCH": True, "DELETE": True, "POST": False}


@pytest.mark.parametrize(("method", "repeatable"), METHODS.items())
@pytest.mark.parametrize("override", [None, True, False])
def test_every_method_and_status_on_the_wire(
    requests_mock: Mocker, clock: FakeClock, method: str, repeatable: bool, override: bool | None
) -> None:
    repeatable = repeatable if override is None else override
    for status in (400, 401, 403, 404, 409, 422, 423, 429, 477, 500, 502, 503, 504, 520, 522, 524, 526):
        requests_mock.reset_mock()
        requests_mock.register_uri(method, f"{ORIGIN}/v1/leads", status_code=status)
        with pytest.raises(LeadsApiError) as caught:
            make_client(clock, policy=POLICY).request(method, "/v1/leads", idempotent=override)
        assert requests_mock.call_count == 1 + REPEATS.get(status, (0, 0))[0 if repeatable else 1], status
        assert caught.value.ambiguous is (status in MAY_STAND and method not in ("GET", "HEAD"))
        assert caught.value.status == status


# The task's own time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "hint", "left", "late"),
    [
        (429, 30.0, 29.0, True),
        (429, 30.0, 30.0, True),
        (429, 30.0, 32.0, False),
        (429, 30.0, None, False),
        (500, None, 0.0, True),
        (500, None, -5.0, True),
        (500, None, 60.0, False),
        (423, None, 1.9, True),
        (400, None, 0.0, False),
        (429, 500.0, 10.0, False),
    ],
)
def test_no_wait_goes_beyond_the_end_of_the_task(
    failure: int, hint: float | None, left: float | None, late: bool
) -> None:
    found = decide(
        idempotent=True, failure=failure, hint=hint, attempt=1, policy=POLICY, rng=random.Random(7), left=left
    )
    assert found.late is late
    assert not (late and found.wait is not None)
    if late:
        assert found.ambiguous is (failure in MAY_STAND)


def test_a_task_that_has_no_time_left_fails_at_once_and_says_so(requests_mock: Mocker, clock: FakeClock) -> None:
    requests_mock.get(f"{ORIGIN}/v1/leads", status_code=429, headers={"Retry-After": "20"})
    policy = RetryPolicy(deadline=clock.now + 50)
    with pytest.raises(LeadsRateLimitError, match=r"execution_timeout ends before another try.*wait 20 s") as caught:
        make_client(clock, policy=policy).request("GET", "/v1/leads")
    assert caught.value.retry_after == 20
    assert len(clock.sleeps) == 2
    assert sum(clock.sleeps) < 50


def test_a_place_in_the_window_that_comes_too_late_is_not_waited_for(requests_mock: Mocker, clock: FakeClock) -> None:
    requests_mock.get(f"{ORIGIN}/v1/leads", json={})
    limiter = RateLimiter(1, 60, clock=clock, sleep=clock.sleep)
    client = make_client(clock, policy=RetryPolicy(deadline=clock.now + 100), limiters={"default": limiter})
    for _ in range(2):
        client.request("GET", "/v1/leads")
    waited = sum(clock.sleeps)
    with pytest.raises(LeadsRateLimitError, match=r"was not sent: .* in 6\d s.*execution_timeout") as caught:
        client.request("GET", "/v1/leads")
    assert (requests_mock.call_count, sum(clock.sleeps)) == (2, waited)
    assert caught.value.ambiguous is False
    # Nothing was taken: who has the time gets the next place.
    make_client(clock, limiters={"default": limiter}).request("GET", "/v1/leads")
    assert sum(clock.sleeps) - waited <= 61


def test_clients_made_while_a_task_runs_keep_its_bounds(clock: FakeClock) -> None:
    made: list[RetryPolicy] = []

    def make() -> None:
        made.append(make_client(clock, policy=POLICY).policy)

    with task_bounds(seconds=600, max_wait=60):
        make()
        # As writers do, in threads of their own.
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        with task_bounds(max_wait=300):
            make()
    make()
    assert [policy.max_wait for policy in made] == [60, 60, 120, 120]
    assert all(0 < (policy.deadline or 0) - time.time() <= 600 for policy in made[:2])
    assert [policy.deadline for policy in made[2:]] == [None, None]


def test_the_bounds_end_with_the_task_whatever_happens() -> None:
    with pytest.raises(KeyError), task_bounds(seconds=1, max_wait=1):
        raise KeyError
    assert within_task(POLICY) is POLICY
