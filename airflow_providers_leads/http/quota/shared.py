"""The window of all machines that reach one store, and this machine's alone where the store is gone."""

from __future__ import annotations

import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from airflow_providers_leads.http.quota.windows import MARGIN, MOST_ON_THE_WAY, LocalWindow, Turn

# A place that was not used by then is given back: meanwhile another machine may be told to wait.
_LEASE: Final = 0.25
# Where the store takes longer than this to answer, more places are taken at a time; so many at most.
_QUICK: Final = 0.005
_MOST_AT_ONCE: Final = 8
# What the store said so long ago still tells how many requests may leave.
_FRESH: Final = 0.5
_RUN: Final = uuid.uuid4().hex


def _who() -> str:
    # A name that tells nothing; a forked process is another one.
    return f"{_RUN}.{os.getpid()}"


class Store(Protocol):
    """Runs the script on the parts of a window."""

    def take(self, name: str, arguments: Sequence[str]) -> list[str] | None:
        """Return what :data:`~airflow_providers_leads.http.quota.script.TAKE` does, ``None`` where no store answers."""
        ...


@dataclass(frozen=True, slots=True)
class _Said:
    """What the store said.

    :param wait: seconds until a place is free
    :param blocked: of these, those for which the vendor has said "wait"
    :param places: those that were taken
    """

    wait: float
    blocked: float
    places: list[_Place]


@dataclass(slots=True)
class _Place:
    """A place in the shared window.

    :param name: the store's; empty where the store was away
    :param at: when it was taken
    :param here: its place among the departures of this machine
    """

    name: str
    at: float
    here: int = -1


class SharedWindow:
    """A window that machines share through a store.

    Each request is counted among this machine's as well: by them quotas are kept as long as the store is away, and what
    left meanwhile is told to the store when it is back.

    :param store: where the window is
    :param name: what it is called there
    :param local: this machine's own window
    :param who: returns the name of the process; default one that tells nothing
    """

    def __init__(self, store: Store, name: str, local: LocalWindow, who: Callable[[], str] | None = None) -> None:
        self._store, self._name, self._local, self._clock = store, name, local, local.clock
        self._who = who or _who
        self._lock = threading.Lock()
        # What the store is to be told with the next request: (place, when its request arrived).
        self._news: deque[tuple[str, float | None]] = deque(maxlen=local.capacity)
        self._leased: deque[_Place] = deque()
        self._round_trip = 0.0
        self._measure = (1, 1.0)
        self._taken, self._room, self._heard_at = 0, 0, float("-inf")

    @property
    def capacity(self) -> int:
        return self._local.capacity

    def take(self, limit: int, period: float, patience: float | None = None) -> Turn:
        place = self._from_lease()
        if place is None:
            count = 1 + min(int(self._round_trip / _QUICK), _MOST_AT_ONCE - 1)
            said = self._ask(limit, period, count, patience=patience)
            if said is None:
                return self._alone(limit, period)
            if not said.places:
                return Turn(None, max(0.001, said.wait), said.blocked)
            place, *rest = said.places
            with self._lock:
                self._leased.extend(rest)
        place.here = self._local.add()
        return Turn(place)

    def _from_lease(self) -> _Place | None:
        with self._lock:
            while self._leased:
                place = self._leased.popleft()
                if self._clock() < place.at + _LEASE and self._local.blocked() <= 0:
                    return place
                self._news.append((place.name, None))
        return None

    def _alone(self, limit: int, period: float) -> Turn:
        turn = self._local.take(limit, period)
        return turn if turn.place is None else Turn(_Place("", self._clock(), turn.place))

    def arrived(self, place: _Place, latest: float) -> None:
        self._local.arrived(place.here, latest)
        with self._lock:
            self._news.append((place.name, min(self._clock(), latest)))

    def left(self, limit: int, period: float) -> int:
        if self._clock() > self._heard_at + _FRESH and self._ask(limit, period, 0) is None:
            return self._local.left(limit, period)
        return self._room if self._local.blocked() <= 0 else 0

    def spent(self, number: int, period: float) -> bool:
        return self._taken >= number or self._local.spent(number, period)

    def heard(self, limit: int, period: float, remaining: int, left_at: float) -> None:
        # Heeded while the store is away.
        self._local.heard(limit, period, remaining, left_at)

    def block(self, seconds: float) -> None:
        self._local.block(seconds)
        self._ask(*self._measure, 0, block=seconds)

    def blocked(self) -> float:
        return self._local.blocked()

    def _ask(
        self, limit: int, period: float, count: int, *, block: float = 0.0, patience: float | None = None
    ) -> _Said | None:
        with self._lock:
            self._measure = limit, period
            news = [*self._news]
            self._news.clear()
        began = self._clock()
        facts = [
            fact
            for name, moment in news
            if moment is None or began - moment < period
            for fact in (name, "" if moment is None else f"{began - moment:.6f}")
        ]
        numbers = (
            limit,
            period * MARGIN,
            period * MOST_ON_THE_WAY,
            count,
            block,
            -1.0 if patience is None else patience,
        )
        answer = self._store.take(self._name, [self._who(), *map(str, numbers), *facts])
        if answer is None:
            with self._lock:
                # Of the store's own places nothing is worth telling later; they count as if they had been late.
                self._news.extendleft(reversed([(name, moment) for name, moment in news if not name]))
                self._leased.clear()
                self._taken, self._heard_at = 0, float("-inf")
            return None
        now = self._clock()
        wait, blocked, taken, room, *names = answer
        said = _Said(float(wait), float(blocked), [_Place(name, began) for name in names])
        with self._lock:
            self._round_trip = min(now - began, 0.5 * (self._round_trip + now - began))
            self._taken, self._room, self._heard_at = int(taken), max(0, int(room) - len(names)), now
        if said.blocked > self._local.blocked():
            self._local.block(said.blocked)
        return said
