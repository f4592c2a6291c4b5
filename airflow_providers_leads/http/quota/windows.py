"""A rolling window of requests: what a limiter asks of it, and the one that a machine keeps for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from airflow_providers_leads.http.quota.departures import Departures
from airflow_providers_leads.http.quota.neighbours import Neighbours

# The vendor counts arrivals, we know departures. When its answer is there a request has arrived, so it counts from then
# on; but after this part of a window at the latest, because of a slow vendor's quota much would be left unused.
MOST_ON_THE_WAY: Final = 0.03
# Whatever else may differ between the vendor's clock and ours.
MARGIN: Final = 1.01


@dataclass(frozen=True, slots=True)
class Turn:
    """What a window answers to who wants a place in it.

    :param place: the place that was taken, for :meth:`Window.arrived`; ``None``: none is free yet
    :param wait: seconds until one is
    :param blocked: of these, those for which the vendor has said "wait"
    """

    place: Any = None
    wait: float = 0.0
    blocked: float = 0.0


class Window(Protocol):
    """The requests of one key that count, and until when none may leave."""

    @property
    def capacity(self) -> int:
        """The most requests that it can count."""
        ...

    def take(self, limit: int, period: float, patience: float | None = None) -> Turn:
        """Take a place if one is free.

        :param limit: requests per window
        :param period: window length in seconds
        :param patience: seconds after which a place is of no use, so that none is kept; ``None``: any will do
        """
        ...

    def arrived(self, place: Any, latest: float) -> None:
        """Take note that a request has arrived by now.

        :param place: see :class:`Turn`
        :param latest: when it has at the latest, by the clock
        """
        ...

    def left(self, limit: int, period: float) -> int:
        """Return how many requests may leave now."""
        ...

    def spent(self, number: int, period: float) -> bool:
        """Tell whether so many requests left in the last ``period`` seconds."""
        ...

    def heard(self, limit: int, period: float, remaining: int, left_at: float) -> None:
        """Take note of how many requests remain to all who spend the key.

        :param limit: requests per window
        :param period: window length in seconds
        :param remaining: by an answer's headers
        :param left_at: when the request left that this is the answer to
        """
        ...

    def block(self, seconds: float) -> None:
        """Let nothing leave for ``seconds``."""
        ...

    def blocked(self) -> float:
        """Return for how many seconds nothing may leave, as far as this machine knows: asks nobody."""
        ...


class LocalWindow:
    """The window of one process, or of all processes of a machine; what it can't see it learns from answers' headers.

    :param departures: the requests that count
    :param clock: monotonic seconds, the same for all processes that share the departures
    """

    def __init__(self, departures: Departures, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._departures = departures
        self._neighbours = Neighbours(departures)

    @property
    def capacity(self) -> int:
        return self._departures.capacity

    def take(self, limit: int, period: float, patience: float | None = None) -> Turn:
        with self._departures as departures:
            now = self.clock()
            if departures.nth_last(1) > now:
                # Times from before the machine's last start.
                departures.forget()
            blocked = departures.blocked_until - now
            wait = max(departures.nth_last(limit) + period * MARGIN - now, blocked)
            if wait <= 0:
                wait = self._neighbours.wait(now, limit, period * MARGIN)
            return Turn(departures.add(now)) if wait <= 0 else Turn(None, wait, max(0.0, blocked))

    def add(self) -> int:
        """Count a request that another window let through, and return its place."""
        with self._departures as departures:
            return departures.add(self.clock())

    def arrived(self, place: int, latest: float) -> None:
        with self._departures as departures:
            departures.correct(place, min(self.clock(), latest))

    def left(self, limit: int, period: float) -> int:
        with self._departures as departures:
            now = self.clock()
            if departures.blocked_until > now:
                return 0
            gone = (n for n in range(limit) if departures.nth_last(n + 1) + period * MARGIN - now <= 0)
            return limit - next(gone, limit)

    def spent(self, number: int, period: float) -> bool:
        with self._departures as departures:
            return departures.nth_last(number) > self.clock() - period

    def heard(self, limit: int, period: float, remaining: int, left_at: float) -> None:
        with self._departures:
            self._neighbours.heard(self.clock(), limit, period * MARGIN, remaining, left_at)

    def block(self, seconds: float) -> None:
        with self._departures as departures:
            self._neighbours.refused(self.clock())
            departures.blocked_until = max(departures.blocked_until, self.clock() + seconds)

    def blocked(self) -> float:
        return max(0.0, self._departures.blocked_until - self.clock())
