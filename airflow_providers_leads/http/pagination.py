"""Three ways of paging, one loop: resumable from JSON state, and certain to end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from airflow_providers_leads.http.client import Answer
from airflow_providers_leads.http.errors import LeadsServerError
from airflow_providers_leads.http.pages_ahead import PagesAhead

Row = Any
"""An object of a list: a dict, or a struct with an ``id`` where pages are decoded into types."""
# Rows that arrive while a list is walked push others to the next page, so a page of known rows can be honest.
_STALE_PAGES: Final = 3
_REMEMBERED_PAGES: Final = 20
# Pages may be empty in between, but not for ever.
_BARREN_PAGES: Final = 50


class Pages(Protocol):
    """Where a walk through a list stands."""

    def params(self) -> dict[str, object]:
        """Return the query that asks for the next page."""
        ...

    def rows(self, body: Any) -> list[Row] | None:
        """Return a page's rows, ``None`` when the body isn't a page of this list."""
        ...

    def advance(self, body: Any) -> bool:
        """Move behind a page; false when it was the last."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the position as JSON; passing it to the constructor resumes there."""
        ...

    def following(self) -> range:
        """Return the numbers of the pages from here to the end, as far as they may be asked for before their turn.

        They may if the end is known, and if in the list's order no row ever moves down behind another. New rows may
        come anywhere, rows may go, and may move up.
        """
        ...

    def agrees(self, body: Any) -> bool:
        """Tell whether a page that was asked for before its turn knows the list as the walk does."""
        ...


class _OneByOne:
    """Pages that are asked for in their turn only."""

    def following(self) -> range:
        return range(0)

    def agrees(self, body: Any) -> bool:
        return False


@dataclass
class CursorPages(_OneByOne):
    """HubSpot: ``paging.next.after`` names the next page, its absence the end.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param after: cursor to start at, default the first page
    """

    after: str | None = None
    _passed: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def params(self) -> dict[str, object]:
        return {"after": self.after} if self.after is not None else {}

    def rows(self, body: Any) -> list[Row] | None:
        return _list_at(body, "results")

    def advance(self, body: Any) -> bool:
        after = _dict_at(_dict_at(body, "paging"), "next").get("after")
        if after is None:
            return False
        if self.after is not None:
            self._passed.add(self.after)
        if str(after) in self._passed:
            raise LeadsServerError("the list answered with the same cursor twice; reading on would never end")
        self.after = str(after)
        return True

    def state(self) -> dict[str, Any]:
        return {"after": self.after}


@dataclass
class ZeroBasedPages:
    """Perspective: ``page`` counts from 0, ``meta.hasNext`` tells whether another follows.

    When ``meta.total`` falls while the list is read, later rows have moved to pages that were read already, so the walk
    steps back.

    :param page: page to start at, default 0
    :param total: what ``meta.total`` said when the walk was left; default unknown
    :param changes: by how much it had moved, up and down together, until then
    :param ordered: true: no row ever moves down behind another, so that pages may be asked for before their turn
    """

    page: int = 0
    total: int | None = None
    changes: int = 0
    ordered: bool = False
    _furthest: int = field(default=-1, init=False, repr=False, compare=False)
    _size: int | None = field(default=None, init=False, repr=False, compare=False)

    def params(self) -> dict[str, object]:
        return {"page": self.page}

    def rows(self, body: Any) -> list[Row] | None:
        return _list_at(body, "data")

    def advance(self, body: Any) -> bool:
        meta = _dict_at(body, "meta")
        self._size = limit if (limit := _count_at(meta, "limit")) == len(body["data"]) else None
        # Only where the walk gets further: it would not end if pages that are read again sent it back as well.
        if self.page > self._furthest and (total := _count_at(meta, "total")) is not None:
            moved = max(0, (self.total or 0) - total)
            self.changes += 0 if self.total is None else abs(total - self.total)
            self.total, self._furthest = total, self.page
            if moved and self.page and (size := _count_at(meta, "limit")):
                self.page = max(0, self.page - -(-moved // size))
                return True
        self.page += 1
        return bool(meta.get("hasNext")) and bool(body["data"])

    def missing(self, read: int) -> int:
        """Return how many rows a walk to the end has not met although the list holds them.

        Rows that came or went while it was read may be among the unmet ones, so as many are allowed for.

        :param read: rows met, each once
        """
        return max(0, (self.total or 0) - self.changes - read)

    def state(self) -> dict[str, Any]:
        return {"page": self.page, **({} if self.total is None else {"total": self.total, "changes": self.changes})}

    def following(self) -> range:
        if not self.ordered or not self.total or not self._size or self.page <= self._furthest:
            return range(0)
        return range(self.page, -(-self.total // self._size))

    def agrees(self, body: Any) -> bool:
        return self.total is not None and _count_at(_dict_at(body, "meta"), "total") == self.total


@dataclass
class NumberedPages(_OneByOne):
    """PersistIQ: ``page`` counts from 1, ``has_more`` tells whether another follows.

    ``next_page`` is not followed: whether it keeps the filters is unknown, and it is an absolute URL that could lead
    the key to another host. A missing ``has_more`` is the end (``/users`` is documented without it).

    Pages are not asked for before their turn. The order of these lists is not documented; were it the time of the last
    change, a row that is changed could move behind pages that were read early from where the walk has not been yet, and
    no total would tell.

    :param key: the name of the list in the body, such as ``leads``
    :param page: page to start at, default 1
    """

    key: str
    page: int = 1

    def params(self) -> dict[str, object]:
        return {"page": self.page}

    def rows(self, body: Any) -> list[Row] | None:
        return _list_at(body, self.key)

    def advance(self, body: Any) -> bool:
        self.page += 1
        return bool(body.get("has_more")) and bool(body[self.key])

    def state(self) -> dict[str, Any]:
        return {"page": self.page}


def _list_at(body: Any, key: str) -> list[Row] | None:
    rows = body.get(key) if isinstance(body, dict) else None
    objects = isinstance(rows, list) and all(issubclass(kind, (dict, msgspec.Struct)) for kind in set(map(type, rows)))
    return rows if objects else None


def id_of(row: Row) -> Any:
    """Return a row's id, ``None`` when it has none."""
    return row.get("id") if type(row) is dict else row.id


def _ids_of(rows: Sequence[Row]) -> set[str]:
    return {str(identity) for identity in map(id_of, rows) if identity is not None}


def _dict_at(body: dict[str, Any], key: str) -> dict[str, Any]:
    found = body.get(key)
    return found if isinstance(found, dict) else {}


def _count_at(body: dict[str, Any], key: str) -> int | None:
    found = body.get(key)
    return found if type(found) is int else None


class _SeenIds:
    """Ids met on the last pages; enough to recognise rows that moved to the next page while the list was read."""

    def __init__(self) -> None:
        self._pages: deque[set[str]] = deque()
        self._last_page: dict[str, int] = {}
        self._page = 0

    def fresh(self, rows: list[Row]) -> list[Row]:
        met = _ids_of(rows)
        if len(met) == len(rows) and self._last_page.keys().isdisjoint(met):
            # Nearly every page is like this.
            self._remember(met)
            return rows
        # A list that knows more of its page than its rows goes on knowing it.
        met, kept = set(), copy(rows)
        kept.clear()
        for row in rows:
            identity = id_of(row)
            if identity is None:
                kept.append(row)
                continue
            if str(identity) not in self._last_page and str(identity) not in met:
                kept.append(row)
            met.add(str(identity))
        if any(id_of(row) is None for row in kept):
            # Rows without an id can't be told apart, but a whole page that comes again can.
            whole = f"page {hash(repr(rows))}"
            if whole in self._last_page:
                kept.clear()
            met.add(whole)
        self._remember(met)
        return kept

    def _remember(self, met: set[str]) -> None:
        if not met:
            return
        self._page += 1
        self._pages.append(met)
        self._last_page.update(dict.fromkeys(met, self._page))
        if len(self._pages) > _REMEMBERED_PAGES:
            forgotten = self._page - _REMEMBERED_PAGES
            for identity in self._pages.popleft():
                if self._last_page[identity] == forgotten:
                    del self._last_page[identity]


def iter_pages(
    fetch: Callable[[dict[str, object], Callable[[Any], bool]], Answer],
    pages: Pages,
    room: Callable[[], int] | None = None,
) -> Generator[list[Row], None, None]:
    """Yield the pages of a list, each row once, until its end.

    ``pages.state()`` read after a page was handled is the place to resume from. Close the generator if you leave it
    early: it returns when no request is under way any more.

    :param fetch: requests one page, given its query and the test of what a page looks like; threads call it where pages
        are asked for before their turn
    :param pages: the vendor's way of paging; moved along
    :param room: returns how many requests the quota lets through now; pages are asked for before their turn if all that
        follow fit in (and :meth:`Pages.following` names them); default: each in its turn
    :raises LeadsServerError: when the list runs in circles, see :class:`CursorPages`, or repeats known rows for good
    """

    def ask(query: dict[str, object]) -> Any:
        return fetch(query, lambda found: pages.rows(found) is not None).body

    ahead = PagesAhead(ask, pages, _ids_of, room)
    seen, stale, barren = _SeenIds(), 0, 0
    try:
        while True:
            body, beside = ahead.next()
            rows = pages.rows(body) or []
            rows = [*rows, *beside] if beside else rows
            fresh = seen.fresh(rows)
            more = pages.advance(body)
            stale = 0 if fresh or not rows else stale + 1
            barren = 0 if fresh else barren + 1
            if more and (stale >= _STALE_PAGES or barren >= _BARREN_PAGES):
                raise LeadsServerError(
                    f"the list brought no new row for {barren} pages and says there is more; reading on would never end"
                )
            if fresh:
                yield fresh
            if not more:
                return
    finally:
        ahead.close()
