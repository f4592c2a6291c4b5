"""What a CRM can be watched for: one look at it, from a sensor's worker or from the triggerer.

A poll takes a hook, a query and the state that the look before left (``None`` at first), and returns what it found and
the state for the next look; both are small JSON, without any address but one that the query names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

Query = Mapping[str, Any]
State = dict[str, Any]
Found = dict[str, Any] | None
Poll = Callable[[Any, Query, State | None], tuple[Found, State]]


class Item(NamedTuple):
    """One thing that happened in a CRM.

    :param id: names it for good, so that it is never told twice
    :param at: when, by the CRM's clock
    :param subject: id of the contact or lead it is about
    :param tags: what it can be filtered by here, where the API can't
    """

    id: str
    at: datetime
    subject: str
    tags: Mapping[str, str | None] = {}


@dataclass(frozen=True, slots=True)
class Stream:
    """A list of things that happen in a CRM, newest ones asked for by time.

    :param fetch: yields items at or after a time; takes the hook, what the API narrows by, and the time
    :param lookback: how late an item may become visible
    """

    fetch: Callable[[Any, Query, datetime], Iterator[Item]]
    lookback: timedelta
