"""Quotas kept rather than hit: a rolling window per key, shared by all threads of a process."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable

from airflow_providers_leads.http.auth import origin_of

# The vendor counts arrivals, we count departures: the window is kept a little longer so that jitter on the way does not
# squeeze one request too many into it.
_MARGIN = 1.01


class RateLimiter:
    """Lets ``limit`` requests through in any ``period`` seconds.

    :param limit: requests per window
    :param period: window length in seconds
    :param clock: monotonic seconds
    :param sleep: blocks for seconds
    """

    def __init__(
        self,
        limit: int,
        period: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if limit < 1 or period <= 0:
            raise ValueError("rate_limit must be at least 1 request and rate_limit_period more than 0 seconds")
        self.limit, self.period = limit, period
        self._clock, self._sleep = clock, sleep
        self._sent: deque[float] = deque()
        self._blocked_until = 0.0
        self._lock = threading.Lock()

    def acquire(self) -> float:
        """Wait for a place in the window, take it, and return the seconds waited."""
        waited = 0.0
        while True:
            with self._lock:
                now = self._clock()
                window = self.period * _MARGIN
                while self._sent and now - self._sent[0] >= window:
                    self._sent.popleft()
                wait = self._blocked_until - now
                if wait <= 0 and len(self._sent) < self.limit:
                    self._sent.append(now)
                    return waited
                if len(self._sent) >= self.limit:
                    wait = max(wait, self._sent[-self.limit] + window - now)
            self._sleep(wait)
            waited += wait

    def block(self, seconds: float) -> None:
        """Hold every request back for ``seconds``: the vendor said so."""
        with self._lock:
            self._blocked_until = max(self._blocked_until, self._clock() + seconds)

    def resize(self, limit: int, period: float | None = None) -> None:
        """Take over the quota that the vendor's headers state."""
        with self._lock:
            self.limit = max(1, limit)
            if period is not None and period > 0:
                self.period = period


_SHARED: dict[tuple[tuple[str, str, int], str, str, int, float], RateLimiter] = {}
_SHARED_LOCK = threading.Lock()


def shared_limiter(origin: str, key: str, bucket: str, limit: int, period: float) -> RateLimiter:
    """Return the one limiter of this process for a key at an origin.

    The key itself is not kept, only its hash; connection ids are no identity, because two may share one account.

    :param origin: the API's origin URL
    :param key: the secret that the vendor counts by
    :param bucket: name of the vendor's quota, such as ``search``
    :param limit: requests per window
    :param period: window length in seconds
    """
    identity = (origin_of(origin), hashlib.sha256(key.encode()).hexdigest(), bucket, limit, period)
    with _SHARED_LOCK:
        return _SHARED.setdefault(identity, RateLimiter(limit, period))
