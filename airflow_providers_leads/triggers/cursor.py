"""How far a stream of changes has been seen: a time, and what was seen around it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from airflow_providers_leads.hooks.streams import Item

MAX_IDS: Final = 100
"""Ids that an event names; its count is always whole."""
MAX_SEEN: Final = 5_000
"""Ids that a cursor remembers; some 100 KB."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
# A record dated further ahead is a slip of its author: moved there, a cursor would see nothing for all that time.
_AHEAD: Final = timedelta(days=1)


class Batch(msgspec.Struct):
    """What was new at one look, in numbers and ids; fit for XCom, events and logs.

    :param count: how many items
    :param ids: the contacts or leads they are about, each once, oldest first, at most :data:`MAX_IDS`
    :param oldest: time of the first
    :param newest: time of the last
    """

    count: int
    ids: list[str]
    oldest: str
    newest: str


class Cursor(msgspec.Struct):
    """Where a watcher stands.

    Measured by the CRM's clock alone. Items may become visible late and out of order, as in a search index that lags:
    they are asked for again from ``lookback`` before the newest one, and told apart by id.

    :param floor: nothing older is ever new, in epoch milliseconds
    :param newest: time of the newest item seen so far
    :param seen: id → time of the items seen within the time that is looked back
    """

    floor: int
    newest: int = 0
    seen: dict[str, int] = {}

    @classmethod
    def starting(cls, since: datetime) -> Cursor:
        """Return a cursor to which everything at or after a time is new."""
        return cls(floor=_milliseconds(since))

    @classmethod
    def read(cls, state: Any) -> Cursor | None:
        """Return a stored cursor, ``None`` when there is none or it can't be read."""
        try:
            return msgspec.convert(state, cls)
        except msgspec.ValidationError:
            return None

    def copy(self) -> Cursor:
        """Return a cursor of its own at the same place."""
        return Cursor(floor=self.floor, newest=self.newest, seen=dict(self.seen))

    def state(self) -> dict[str, Any]:
        """Return the cursor as JSON has it."""
        return {"floor": self.floor, "newest": self.newest, "seen": dict(self.seen)}

    def since(self, lookback: timedelta) -> datetime:
        """Return the time from which to ask."""
        return _EPOCH + timedelta(milliseconds=max(self.floor, self.newest - _span(lookback)))

    def take(self, items: Iterable[Item], lookback: timedelta, now: datetime) -> Batch | None:
        """Move past items and return those that are new, ``None`` when none is.

        :param items: in any order, repeated ones too
        :param lookback: how long items stay known after the newest
        :param now: the present time
        """
        count, first, last = 0, 0, 0
        named: dict[str, int] = {}
        floor, ahead = self.floor, _milliseconds(now + _AHEAD)
        for item in items:
            at = _milliseconds(item.at)
            if at < floor or item.id in self.seen:
                continue
            count += 1
            first, last = min(first or at, at), max(last, at)
            self.newest = max(self.newest, at) if at <= ahead else self.newest
            self.seen[item.id] = at
            # A stream's whole past may pass through here: only what the cursor keeps is held.
            if len(self.seen) > 4 * MAX_SEEN:
                self._forget(lookback)
            if len(named) < MAX_IDS or item.subject in named:
                named[item.subject] = min(named.get(item.subject, at), at)
        self._forget(lookback)
        if not count:
            return None
        ids = sorted(named, key=lambda subject: (named[subject], subject))
        return Batch(count=count, ids=ids, oldest=_text(first), newest=_text(last))

    def _forget(self, lookback: timedelta) -> None:
        bound = self.newest - _span(lookback)
        self.seen = {name: at for name, at in self.seen.items() if at >= bound}
        self.floor = max(self.floor, bound)
        if len(self.seen) > MAX_SEEN:
            # Too many at once to remember: what is dropped must not be new again, so its time becomes the floor.
            kept = sorted(self.seen.items(), key=lambda entry: entry[1], reverse=True)
            oldest = kept[MAX_SEEN - 1][1]
            self.seen = {name: at for name, at in kept if at >= oldest}
            self.floor = max(self.floor, oldest)


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _span(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)


def _text(milliseconds: int) -> str:
    return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
