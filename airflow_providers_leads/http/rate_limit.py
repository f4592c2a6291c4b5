"""Quotas kept rather than hit: a rolling window per key, shared by all threads and processes of a machine."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from airflow_providers_leads.http.auth import origin_of
from airflow_providers_leads.http.departures import CAPACITY, Departures, shared_departures

# The vendor counts arrivals, we know departures. When its answer is there a request has arrived, so it counts from then
# on; but after this part of a window at the latest, because of a slow vendor's quota much would be left unused.
_MOST_ON_THE_WAY: Final = 0.03
# Whatever else may differ between the vendor's clock and ours.
_MARGIN: Final = 1.01
# By this part of the quota the vendor's count and ours may differ, at the window's edges, without anyone else spending.
_UNSURE: Final = 0.05
# So long an answer's head may take from the socket to the thread that waits for it. What TLS has to say for itself
# looks like an answer as well, once per connection.
_LONGEST_READ: Final = 0.02
# Where the vendor doesn't say when there is room again, up to this part of a window is waited before asking.
_LOOK_AGAIN: Final = 0.1


class NoRoomError(Exception):
    """No request may leave in time.

    :ivar seconds: until one may
    :ivar said: it is the vendor who said so
    """

    def __init__(self, seconds: float, said: bool = False) -> None:
        super().__init__(seconds, said)
        self.seconds, self.said = seconds, said

    def __str__(self) -> str:
        return f"no request may leave within {self.seconds:.1f} s"


class HeldBackError(Exception):
    """A request that had its place was not sent: an answer has said "wait" since."""


class RateLimiter:
    """Lets ``limit`` requests through in any ``period`` seconds.

    :param limit: requests per window
    :param period: window length in seconds
    :param clock: monotonic seconds, the same for all processes that share the departures
    :param sleep: blocks for seconds
    :param departures: the requests that count; default those of this limiter
    :param rng: source of jitter
    """

    def __init__(
        self,
        limit: int,
        period: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        departures: Departures | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if limit < 1 or period <= 0:
            raise ValueError("rate_limit must be at least 1 request and rate_limit_period more than 0 seconds")
        self.limit, self.period = limit, period
        self._clock, self._sleep = clock, sleep
        self._rng = rng or random.Random()
        self._last = threading.local()
        self._gate = threading.Condition(threading.Lock())
        self._unanswered: set[Any] = set()
        self._departures = departures or Departures(max(limit, CAPACITY))

    def acquire(self, within: float | None = None, longest_block: float | None = None) -> float:
        """Wait for a place in the window, take it, and return the seconds waited.

        :param within: seconds after which a place is of no use; default any place will do
        :param longest_block: seconds that are waited where the vendor has said "wait"; default any number
        :raises NoRoomError: as soon as it is known that there is none by then; nothing is taken
        """
        waited = 0.0
        while True:
            with self._departures as departures:
                now = self._clock()
                if departures.nth_last(1) > now:
                    # Times from before the machine's last start.
                    departures.forget()
                free = departures.nth_last(self.limit) + self.period * _MARGIN
                blocked = departures.blocked_until - now
                wait = max(free - now, blocked)
                if wait <= 0:
                    self._last.place, self._last.left_at = departures.add(now), now
                    return waited
            if within is not None and waited + wait >= within:
                raise NoRoomError(wait)
            if longest_block is not None and blocked > longest_block:
                raise NoRoomError(wait, said=True)
            self._sleep(wait)
            waited += wait

    def arrived(self) -> None:
        """Take note that the answer to the last request of this thread is there."""
        with self._departures as departures:
            latest = self._last.left_at + self.period * _MOST_ON_THE_WAY
            departures.correct(self._last.place, min(self._clock(), latest))

    def left(self) -> int:
        """Return how many requests may leave now, as far as the requests of this machine tell."""
        with self._departures as departures:
            now = self._clock()
            if departures.blocked_until > now:
                return 0
            window = self.period * _MARGIN
            gone = (n for n in range(self.limit) if departures.nth_last(n + 1) + window - now <= 0)
            return self.limit - next(gone, self.limit)

    @contextmanager
    def leaving(self, way: Any, arrived: Callable[[Any], bool]) -> Iterator[None]:
        """Let one request of this process through; while it leaves, no answer can say "wait".

        :param way: what the request leaves by, until :meth:`answered`
        :param arrived: tells of another way whether an answer is there that nobody has read yet; it is waited for
        :raises HeldBackError: when one has said so
        """
        with self._gate:
            self._gate.wait_for(lambda: not any(map(arrived, self._unanswered)), _LONGEST_READ)
            if self._departures.blocked_until > self._clock():
                raise HeldBackError
            yield
            self._unanswered.add(way)

    def answered(self, way: Any, wait: float | None = None) -> None:
        """Take note of what the head of an answer says.

        :param way: see :meth:`leaving`
        :param wait: seconds for which no other request may leave
        """
        with self._gate:
            self._unanswered.discard(way)
            self._gate.notify_all()
            if wait is not None:
                self._block(wait)

    def block(self, seconds: float) -> None:
        """Hold every request back for ``seconds``: the vendor said so."""
        with self._gate:
            self._block(seconds)

    def _block(self, seconds: float) -> None:
        with self._departures as departures:
            departures.blocked_until = max(departures.blocked_until, self._clock() + seconds)

    def resize(self, limit: int, period: float | None = None) -> None:
        """Take over the quota that the vendor's headers state."""
        self.limit = min(max(1, limit), self._departures.capacity)
        if period is not None and period > 0:
            self.period = period

    def hear(self, remaining: int, reset_in: float | None) -> None:
        """Hold back when the vendor says that nothing remains and our own requests don't explain it: others spend too.

        :param remaining: requests left in the window, as an answer's headers state it
        :param reset_in: seconds until there is room again, if they say so
        """
        if remaining > 0:
            return
        with self._departures as departures:
            ours = max(1, self.limit - int(self.limit * _UNSURE))
            explained = departures.nth_last(ours) > self._clock() - self.period
        if not explained:
            # At different times, so that not all who hold back come again at once.
            again = self.period * self._rng.uniform(_LOOK_AGAIN / 2, _LOOK_AGAIN)
            self.block(again if reset_in is None else min(reset_in, self.period))


_SHARED: dict[tuple[tuple[str, str, int], str, str, int, float], RateLimiter] = {}
_SHARED_LOCK = threading.Lock()


def shared_limiter(
    origin: str, key: str, bucket: str, limit: int, period: float, *, folder: Path | None = None
) -> RateLimiter:
    """Return the one limiter of this process for a key at an origin; other processes here count into the same window.

    The key itself is not kept, only its hash; connection ids are no identity, because two may share one account.

    :param origin: the API's origin URL
    :param key: the secret that the vendor counts by
    :param bucket: name of the vendor's quota, such as ``search``
    :param limit: requests per window
    :param period: window length in seconds
    :param folder: see :func:`~airflow_providers_leads.http.departures.shared_departures`
    """
    identity = (origin_of(origin), hashlib.sha256(key.encode()).hexdigest(), bucket, limit, period)
    with _SHARED_LOCK:
        if identity not in _SHARED:
            counted = shared_departures(folder, origin, key, bucket) if limit <= CAPACITY else None
            _SHARED[identity] = RateLimiter(limit, period, departures=counted)
        return _SHARED[identity]
