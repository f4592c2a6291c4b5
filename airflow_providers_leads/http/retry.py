"""One pure decision: is this failure tried again, and after how long."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal

from airflow_providers_leads.http.hints import DAILY

Failure = int | Literal["not_sent", "no_answer", "bad_answer"]
"""An HTTP status, or: the request never left (``not_sent``), it may have taken effect but no answer arrived
(``no_answer``), or a success answer could not be read (``bad_answer``)."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})

# 522, 525, 526: the gateway could not reach the vendor, so nothing took effect, but it seldom heals by itself.
_REFUSED_UPFRONT: Final = frozenset({"not_sent", 423, 429, 522, 525, 526})
_FEW_TRIES: Final = frozenset({522, 525, 526})
_AMBIGUOUS: Final = frozenset({"no_answer", "bad_answer", 408, 500, 502, 503, 504, 520, 521, 523, 524})
_LOCK_SECONDS: Final = 2.0
_RATE_LIMIT_TRIES: Final = 30


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a client is.

    :param max_retries: tries after the first for faults, default 5; waits for a rate limit have a budget of their own
    :param base: seconds of the first backoff step, default 1
    :param max_backoff: longest backoff in seconds, default 60
    :param max_wait: longest wait in seconds that a vendor may ask for before the task is failed instead, default 120
    :param deadline: epoch seconds at which the task will be ended, so that no wait goes beyond it; default never
    """

    max_retries: int = 5
    base: float = 1.0
    max_backoff: float = 60.0
    max_wait: float = 120.0
    deadline: float | None = None


_task_bounds: tuple[float | None, float | None] = (None, None)


@contextmanager
def task_bounds(*, seconds: float | None = None, max_wait: float | None = None) -> Iterator[None]:
    """Bound the patience of every client that is made while a task runs.

    A worker process runs one task at a time, but clients may be made in any of its threads: hence no context variable.

    :param seconds: from now until the task is ended, ``None`` when it isn't
    :param max_wait: longest wait in seconds, ``None`` for the policy's own
    """
    global _task_bounds
    before = _task_bounds
    _task_bounds = (None if seconds is None else time.time() + seconds, max_wait)
    try:
        yield
    finally:
        _task_bounds = before


def within_task(policy: RetryPolicy) -> RetryPolicy:
    """Return a policy that keeps the bounds of the running task, see :func:`task_bounds`."""
    deadline, max_wait = _task_bounds
    if deadline is None and max_wait is None:
        return policy
    longest = policy.max_wait if max_wait is None else min(policy.max_wait, max_wait)
    return replace(policy, deadline=deadline, max_wait=longest)


def is_unclear(failure: Failure) -> bool:
    """Tell whether a request that failed so may have taken effect all the same."""
    return failure in _AMBIGUOUS


@dataclass(frozen=True, slots=True)
class Decision:
    """``wait`` seconds and try again, or give up when ``wait`` is ``None``.

    :param wait: seconds
    :param ambiguous: the write may stand
    :param late: the task would be ended before the next try
    """

    wait: float | None
    ambiguous: bool = False
    late: bool = False


def decide(
    *,
    idempotent: bool,
    failure: Failure,
    hint: float | None,
    attempt: int,
    policy: RetryPolicy,
    rng: random.Random,
    left: float | None = None,
) -> Decision:
    """Decide what follows a failed attempt.

    :param idempotent: may the request be repeated even if it took effect
    :param failure: what happened, see :data:`Failure`
    :param hint: seconds the vendor asks to wait, from :func:`~airflow_providers_leads.http.hints.wait_hint`
    :param attempt: 1 for the first try; counted apart for rate limits and for faults
    :param policy: limits
    :param rng: source of the jitter, seeded in tests
    :param left: seconds until the task is ended, ``None`` when it isn't
    """
    ambiguous = failure in _AMBIGUOUS
    if not ambiguous and failure not in _REFUSED_UPFRONT:
        return Decision(None)
    if ambiguous and not idempotent:
        return Decision(None, ambiguous=True)
    tries = _RATE_LIMIT_TRIES if failure == 429 else policy.max_retries
    if failure in _FEW_TRIES:
        tries = min(2, tries)
    if hint == DAILY or (hint is not None and hint > policy.max_wait) or attempt > tries:
        return Decision(None, ambiguous=ambiguous)
    if hint is not None:
        # A little jitter on top, so that workers told the same second do not all come back in it.
        wait = hint + rng.uniform(0.0, min(1.0, 0.1 * hint + 0.05))
    else:
        floor = _LOCK_SECONDS if failure == 423 else 0.0
        wait = floor + rng.uniform(0.0, min(policy.max_backoff, policy.base * 2.0 ** (attempt - 1)))
    if left is not None and wait >= left:
        return Decision(None, ambiguous=ambiguous, late=True)
    return Decision(wait)
