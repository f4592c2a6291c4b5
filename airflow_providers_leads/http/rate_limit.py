"""Quotas kept rather than hit: a rolling window per key, shared by all threads and processes of one machine or several.

Where the window is kept is a :class:`~airflow_providers_leads.http.quota.windows.Window`'s affair.
"""

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
from airflow_providers_leads.http.quota.departures import CAPACITY, Departures, shared_departures, window_name
from airflow_providers_leads.http.quota.redis_store import store_at
from airflow_providers_leads.http.quota.shared import SharedWindow
from airflow_providers_leads.http.quota.windows import MOST_ON_THE_WAY, LocalWindow, Window

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
    :param clock: monotonic seconds, those of the window
    :param sleep: blocks for seconds
    :param window: the requests that count; default those of this limiter
    :param rng: source of jitter
    """

    def __init__(
        self,
        limit: int,
        period: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        window: Window | None = None,
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
        self._turn = threading.Lock()
        self._window: Window = window or LocalWindow(Departures(max(limit, CAPACITY)), clock)

    def acquire(self, within: float | None = None, longest_block: float | None = None) -> float:
        """Wait for a place in the window, take it, and return the seconds waited.

        :param within: seconds after which a place is of no use; default any place will do
        :param longest_block: seconds that are waited where the vendor has said "wait"; default any number
        :raises NoRoomError: as soon as it is known that there is none by then; nothing is taken
        """
        if not self._turn.acquire(timeout=-1 if within is None else min(max(0.0, within), threading.TIMEOUT_MAX)):
            raise NoRoomError(within or 0.0)
        # One thread at a time stands in line for this process, so that none gets more by having more threads.
        try:
            waited = 0.0
            while True:
                patience = None if within is None else within - waited
                turn = self._window.take(self.limit, self.period, patience)
                if turn.place is not None:
                    self._last.place, self._last.left_at = turn.place, self._clock()
                    return waited
                if patience is not None and turn.wait >= patience:
                    raise NoRoomError(turn.wait)
                if longest_block is not None and turn.blocked > longest_block:
                    raise NoRoomError(turn.wait, said=True)
                self._sleep(turn.wait)
                waited += turn.wait
        finally:
            self._turn.release()

    def arrived(self) -> None:
        """Take note that the answer to the last request of this thread is there."""
        self._window.arrived(self._last.place, self._last.left_at + self.period * MOST_ON_THE_WAY)

    def left(self) -> int:
        """Return how many requests may leave now, as far as the window tells."""
        return self._window.left(self.limit, self.period)

    @contextmanager
    def leaving(self, way: Any, arrived: Callable[[Any], bool]) -> Iterator[None]:
        """Let one request of this process through; while it leaves, no answer can say "wait".

        :param way: what the request leaves by, until :meth:`answered`
        :param arrived: tells of another way whether an answer is there that nobody has read yet; it is waited for
        :raises HeldBackError: when one has said so
        """
        with self._gate:
            self._gate.wait_for(lambda: not any(map(arrived, self._unanswered)), _LONGEST_READ)
            if self._window.blocked() > 0:
                raise HeldBackError
            # To sign it and to connect may have taken long.
            self._last.left_at = self._clock()
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
                self._window.block(wait)

    def block(self, seconds: float) -> None:
        """Hold every request back for ``seconds``: the vendor said so."""
        with self._gate:
            self._window.block(seconds)

    def resize(self, limit: int, period: float | None = None) -> None:
        """Take over the quota that the vendor's headers state."""
        self.limit = min(max(1, limit), self._window.capacity)
        if period is not None and period > 0:
            self.period = period

    def hear(self, remaining: int, reset_in: float | None) -> None:
        """Heed what the vendor says remains: where our own requests don't explain it, others spend too.

        :param remaining: requests left in the window, as an answer's headers state it
        :param reset_in: seconds until there is room again, if they say so
        """
        self._window.heard(self.limit, self.period, remaining, getattr(self._last, "left_at", self._clock()))
        if remaining > 0:
            return
        ours = max(1, self.limit - int(self.limit * _UNSURE))
        if not self._window.spent(ours, self.period):
            # At different times, so that not all who hold back come again at once.
            again = self.period * self._rng.uniform(_LOOK_AGAIN / 2, _LOOK_AGAIN)
            self.block(again if reset_in is None else min(reset_in, self.period))


_SHARED: dict[tuple[tuple[str, str, int], str, str, int, float], RateLimiter] = {}
_SHARED_LOCK = threading.Lock()


def shared_limiter(
    origin: str,
    key: str,
    bucket: str,
    limit: int,
    period: float,
    *,
    folder: Path | None = None,
    store_url: str | None = None,
) -> RateLimiter:
    """Return the one limiter of this process for a key at an origin; other processes count into the same window.

    The key itself is not kept, only its hash; connection ids are no identity, because two may share one account.

    :param origin: the API's origin URL
    :param key: the secret that the vendor counts by
    :param bucket: name of the vendor's quota, such as ``search``
    :param limit: requests per window
    :param period: window length in seconds
    :param folder: see :func:`~airflow_providers_leads.http.quota.departures.shared_departures`
    :param store_url: of the Redis through which machines share the window, see
        :func:`~airflow_providers_leads.http.quota.redis_store.store_at`; default: this machine alone
    """
    identity = (origin_of(origin), hashlib.sha256(key.encode()).hexdigest(), bucket, limit, period)
    with _SHARED_LOCK:
        if identity not in _SHARED:
            counted = shared_departures(folder, origin, key, bucket) if limit <= CAPACITY else Departures(limit)
            local = LocalWindow(counted, time.monotonic)
            name = window_name(origin, key, bucket)
            window = SharedWindow(store_at(store_url), name, local) if store_url else local
            _SHARED[identity] = RateLimiter(limit, period, window=window)
        return _SHARED[identity]
