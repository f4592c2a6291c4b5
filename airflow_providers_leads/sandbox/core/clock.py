"""Time as the stand-in vendors see it: epoch milliseconds, never earlier than the seeded data."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

PACIFIC = timezone(timedelta(hours=-7))


class Clock:
    """Wall clock that starts no earlier than the seed's anchor, so that a write is always newer than any seeded row."""

    def __init__(self, anchor_ms: int) -> None:
        """Note how far the wall clock lags behind the anchor, if it does."""
        self._shift = max(0, anchor_ms + 1 - int(time.time() * 1000))

    def now(self) -> int:
        """Return the current epoch milliseconds."""
        return int(time.time() * 1000) + self._shift


def parse_iso(text: str) -> int | None:
    """Return the epoch milliseconds of an ISO 8601 instant, or None when it is malformed or carries no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return round(moment.timestamp() * 1000)


def iso_utc(milliseconds: int) -> str:
    """Format epoch milliseconds as HubSpot and Perspective do: UTC, milliseconds, `Z`."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def iso_pacific(milliseconds: int) -> str:
    """Format epoch milliseconds as PersistIQ does: a Pacific offset, not UTC (https://apidocs.persistiq.com)."""
    moment = datetime.fromtimestamp(milliseconds // 1000, PACIFIC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}-07:00"
