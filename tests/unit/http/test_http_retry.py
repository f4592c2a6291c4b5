"""The retry decision, as a table of every class of failure."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.http.hints import DAILY
from airflow_providers_leads.http.retry import IDEMPOTENT_METHODS, Decision, RetryPolicy, decide

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
