"""One pure decision: is this failure tried again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

from airflow_providers_leads.http.hints import DAILY

Failure = int | Literal["not_sent", "no_answer", "bad_answer"]
"""An HTTP status, or: the request never left (``not_sent``), it may have taken effect but no answer arrived
(``no_answer``), or a success answer could not be read (``bad_answer``)."""

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
    """

    max_retries: int = 5
    base: float = 1.0
    max_backoff: float = 60.0
    max_wait: float = 120.0


@dataclass(frozen=True, slots=True)
class Decision:
    """``wait`` seconds and try again, or give up when ``wait`` is ``None``; ``ambiguous`` when the write may stand."""

    wait: float | None
    ambiguous: bool = False


def decide(
    *,
    idempotent: bool,
    failure: Failure,
    hint: float | None,
    attempt: int,
    policy: RetryPolicy,
    rng: random.Random,
) -> Decision:
    """Decide what follows a failed attempt.

    :param idempotent: may the request be repeated even if it took effect
    :param failure: what happened, see :data:`Failure`
    :param hint: seconds the vendor asks to wait, from :func:`~airflow_providers_leads.http.hints.wait_hint`
    :param attempt: 1 for the first try; counted apart for rate limits and for faults
    :param policy: limits
    :param rng: source of the jitter, seeded in tests
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
        return Decision(hint + rng.uniform(0.0, min(1.0, 0.1 * hint + 0.05)))
    backoff = rng.uniform(0.0, min(policy.max_backoff, policy.base * 2.0 ** (attempt - 1)))
    floor = _LOCK_SECONDS if failure == 423 else 0.0
    return Decision(floor + backoff)
