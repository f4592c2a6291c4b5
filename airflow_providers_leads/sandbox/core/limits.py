"""Rate limits as the three vendors count them, announce them and refuse beyond them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class Spend:
    """The outcome of asking a window for one request."""

    allowed: bool
    limit: int
    remaining: int
    wait: float
    """Seconds until the window has room again (refused) or ends (allowed)."""

    @property
    def wait_whole(self) -> int:
        """Whole seconds to wait, at least one: no vendor announces fractions."""
        return max(1, math.ceil(self.wait))


class Window:
    """At most `limit` requests in `seconds`, either in any such span (rolling) or per span from its first request."""

    def __init__(self, limit: int, seconds: float, *, rolling: bool, now: Callable[[], float] = time.monotonic) -> None:
        """Start with an empty window."""
        self.limit, self.seconds, self.rolling, self._now = limit, seconds, rolling, now
        self._taken: deque[float] = deque()
        self._count = 0
        self._start = -math.inf

    def spend(self) -> Spend:
        """Take one request out of the window, if there is room; a refused request costs nothing."""
        now = self._now()
        return self._spend_rolling(now) if self.rolling else self._spend_fixed(now)

    def _spend_rolling(self, now: float) -> Spend:
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        allowed = len(self._taken) < self.limit
        if allowed:
            self._taken.append(now)
        oldest = self._taken[0] if self._taken else now
        return Spend(allowed, self.limit, self.limit - len(self._taken), oldest + self.seconds - now)

    def _spend_fixed(self, now: float) -> Spend:
        if now >= self._start + self.seconds:
            self._start, self._count = now, 0
        allowed = self._count < self.limit
        self._count += allowed
        return Spend(allowed, self.limit, self.limit - self._count, self._start + self.seconds - now)


class Buckets:
    """One window per key, made when the key is first seen."""

    def __init__(self, limit: int, seconds: float, *, rolling: bool = False) -> None:
        """Keep the measure that every key gets."""
        self.limit, self.seconds, self.rolling = limit, seconds, rolling
        self._windows: dict[str, Window] = {}

    def spend(self, key: str) -> Spend:
        """Take one request out of the key's window."""
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = Window(self.limit, self.seconds, rolling=self.rolling)
        return window.spend()

    def clear(self) -> None:
        """Forget what was spent, so that a test can start with full windows."""
        self._windows.clear()


@dataclass(frozen=True)
class HubSpotLimits:
    """Ten-second rolling burst per app, search per second and a daily pool per account.

    https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
    """

    burst: Buckets
    search: Buckets
    daily: Buckets
    search_in_burst: bool = False

    @classmethod
    def make(
        cls, burst: int, search: int, daily: int, *, enabled: bool, scale: float, search_in_burst: bool = False
    ) -> HubSpotLimits:
        """Build the three windows, shortened by `scale`."""
        counts = (burst, search, daily) if enabled else (NO_LIMIT,) * 3
        return cls(
            Buckets(counts[0], 10 / scale, rolling=True),
            Buckets(counts[1], 1 / scale, rolling=True),
            Buckets(counts[2], 86_400 / scale),
            search_in_burst,
        )

    def spend(self, app: str, *, search: bool, oauth: bool) -> tuple[str | None, dict[str, str]]:
        """Count one request and return the exceeded policy, if any, and the headers that announce what is left."""
        if search:
            # Search has a bucket of its own, shared by all apps, and its answers carry no rate headers.
            spent = self.search.spend("account")
            if not spent.allowed:
                return "SECONDLY", {}
        if search and not self.search_in_burst:
            return (None if self.daily.spend("account").allowed else "DAILY"), {}
        spent = self.burst.spend(app)
        headers = {
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(self.burst.seconds * 1000)),
            "X-HubSpot-RateLimit-Max": str(spent.limit),
            "X-HubSpot-RateLimit-Remaining": str(spent.remaining),
        }
        if not spent.allowed:
            return "TEN_SECONDLY_ROLLING", headers
        if oauth:
            return None, headers
        day = self.daily.spend("account")
        headers["X-HubSpot-RateLimit-Daily"] = str(day.limit)
        headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(day.remaining)
        return (None if day.allowed else "DAILY"), headers


def perspective_headers(spent: Spend) -> dict[str, str]:
    """Announce the limit only near or past it: https://developers.perspective.co sends nothing far from the edge."""
    if spent.allowed and spent.remaining > spent.limit // 10:
        return {}
    return {
        "RateLimit-Limit": str(spent.limit),
        "RateLimit-Remaining": str(spent.remaining),
        # The unit is not documented; delta seconds follow the IETF draft of that header's name.
        "RateLimit-Reset": str(spent.wait_whole),
    }


def persistiq_headers(spent: Spend, *, with_reset: bool) -> tuple[dict[str, str], int]:
    """Announce limit, rest and the epoch second at which the window ends: https://apidocs.persistiq.com, Rate Limit."""
    reset = math.ceil(time.time() + spent.wait)
    headers = {"X-RateLimit-Limit": str(spent.limit), "X-RateLimit-Remaining": str(spent.remaining)}
    if with_reset:
        headers["X-RateLimit-Reset"] = str(reset)
    return headers, reset
