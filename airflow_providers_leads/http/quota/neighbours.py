"""How much of a quota to leave to machines that spend the same key unseen: what answers' headers tell of them.

Each machine knows its own requests and, by every answer, what remains to all. It takes the more, the more remains:
where all do so, all come to the same number of requests without knowing of each other, and a newcomer finds a place
instead of a refusal. It costs a few places of a hundred while others are about; alone, a machine leaves one or two
free, by which others can be noticed at all.
"""

from __future__ import annotations

import random
from typing import Final

from airflow_providers_leads.http.quota.departures import Departures

# A machine beside others may have so many percent of the limit for each percent that remains: 3, 6, 12, … of a hundred.
# Two machines meet where 5 remain, four where 4 do, eight where 3 do.
_FIRST: Final = 1.5
_GROWTH: Final = 2.0
# From so many percent on it is a whole quota, and one's own needn't be counted.
_PLENTY: Final = 7.0
_ALL: Final = 100.0
# While more percent than these remain, nobody has to be looked for.
_HALF: Final = 50.0
# Alone, it stops when fewer percent than these remain.
_SPARE: Final = 2.0
# Others are about when they have spent so many percent, for so many windows.
_NOTICED: Final = 3.0
_REMEMBERED: Final = 3.0
# Beside others, requests are spread over the window, so that their places come free one by one as well; a little faster
# than the limit allows on average, which makes up for the times of waiting.
_PACE: Final = 1.25
# Who has fewer percent than these asks again after this part of a window, for others give way to it meanwhile.
_FEW: Final = 11.0
_LOOK_AGAIN: Final = (0.2, 0.4)


class Neighbours:
    """What one process knows of those who spend the same key; use it with the departures locked.

    :param departures: of this machine
    """

    def __init__(self, departures: Departures) -> None:
        self._departures = departures
        self._remaining: int | None = None
        self._heard_at = self._left_at = self._noticed_at = self._look_at = float("-inf")
        self._before = self._growth = 0

    def heard(self, now: float, limit: int, window: float, remaining: int, left_at: float) -> None:
        """Take note of what remained when an answer was sent.

        :param now: by the departures' clock
        :param limit: requests per window
        :param window: its length in seconds
        :param remaining: requests left to all
        :param left_at: when the request left that this is the answer to
        """
        before = self._growth = 0
        if 100 * remaining < _HALF * limit:
            mine = self._count(limit, now - window)
            if self._remaining is not None and self._heard_at >= now - window:
                # By so many it fell for what others sent since the last answer: as many may be under way again.
                self._growth = max(0, self._estimate(mine, limit) - remaining)
            if 100 * (limit - remaining - mine) > _NOTICED * limit:
                self._noticed_at = now
            before = mine - self._later(limit, left_at)
        self._remaining, self._heard_at, self._left_at, self._before = remaining, now, left_at, before
        self._look_at = now + window * random.uniform(*_LOOK_AGAIN)

    def refused(self, now: float) -> None:
        """Take note of a refusal: our own requests alone have kept to the quota."""
        self._noticed_at = now

    def wait(self, now: float, limit: int, window: float) -> float:
        """Return for how many seconds a place is left to others; zero or less: it isn't.

        :param now: by the departures' clock
        :param limit: requests per window
        :param window: its length in seconds
        """
        if self._remaining is None or self._heard_at < now - window:
            return 0.0
        crowded = now < self._noticed_at + _REMEMBERED * window
        if crowded and (gap := self._departures.nth_last(1) + window / (_PACE * limit) - now) > 0:
            return gap
        if 100 * (self._remaining - self._growth - self._later(limit, self._left_at)) >= _PLENTY * limit:
            return 0.0
        mine = self._count(limit, now - window)
        # Beside others one more may be under way at any time.
        percent = 100 * (self._estimate(mine, limit) - self._growth - crowded) / limit
        share = _FIRST * _GROWTH**percent if crowded else _ALL * (percent >= _SPARE)
        if percent > 0 and 100 * mine < share * limit:
            return 0.0
        return self._look_at - now if 100 * mine < _FEW * limit else self._departures.nth_last(mine) + window - now

    def _estimate(self, mine: int, limit: int) -> int:
        """Return what remains by now as far as our own requests tell: those that came since, less those that went."""
        since = self._later(limit, self._left_at)
        return (self._remaining or 0) - since + max(0, self._before + since - mine)

    def _later(self, most: int, left_at: float) -> int:
        """Return how many requests left after the one that has been answered, whose own arrival is noted by now."""
        return max(0, self._count(most, left_at) - 1)

    def _count(self, most: int, after: float) -> int:
        """Return how many requests left after a moment, at most so many."""
        return next((n for n in range(most) if self._departures.nth_last(n + 1) <= after), most)
