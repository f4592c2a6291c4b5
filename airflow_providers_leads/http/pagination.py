"""Three ways of paging, one loop: resumable from JSON state, and certain to end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from airflow_providers_leads.http.client import Answer
from airflow_providers_leads.http.errors import LeadsServerError

Row = dict[str, Any]
# Rows that arrive while a list is walked push others to the next page, so a page of known rows can be honest.
_STALE_PAGES: Final = 3
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


@dataclass
class CursorPages:
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

    :param page: page to start at, default 0
    """

    page: int = 0

    def params(self) -> dict[str, object]:
        return {"page": self.page}

    def rows(self, body: Any) -> list[Row] | None:
        return _list_at(body, "data")

    def advance(self, body: Any) -> bool:
        self.page += 1
        return bool(_dict_at(body, "meta").get("hasNext")) and bool(body["data"])

    def state(self) -> dict[str, Any]:
        return {"page": self.page}


@dataclass
class NumberedPages:
    """PersistIQ: ``page`` counts from 1, ``has_more`` tells whether another follows.

    ``next_page`` is not followed: whether it keeps the filters is unknown, and it is an absolute URL that could lead
    the key to another host. A missing ``has_more`` is the end (``/users`` is documented without it).

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
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else None


def _dict_at(body: dict[str, Any], key: str) -> dict[str, Any]:
    found = body.get(key)
    return found if isinstance(found, dict) else {}


@dataclass
class _SeenIds:
    """Ids met on the last pages; enough to recognise rows that moved to the next page while the list was read."""

    pages: deque[frozenset[str]] = field(default_factory=lambda: deque(maxlen=20))

    def fresh(self, rows: list[Row]) -> list[Row]:
        met: set[str] = set()
        kept = []
        for row in rows:
            identity = row.get("id")
            if identity is None:
                kept.append(row)
                continue
            if not self._known(str(identity)) and str(identity) not in met:
                kept.append(row)
            met.add(str(identity))
        if any(row.get("id") is None for row in kept):
            # Rows without an id can't be told apart, but a whole page that comes again can.
            whole = f"page {hash(repr(rows))}"
            kept = [] if self._known(whole) else kept
            met.add(whole)
        if met:
            self.pages.append(frozenset(met))
        return kept

    def _known(self, identity: str) -> bool:
        return any(identity in page for page in self.pages)


def iter_pages(
    fetch: Callable[[dict[str, object], Callable[[Any], bool]], Answer], pages: Pages
) -> Iterator[list[Row]]:
    """Yield the pages of a list, each row once, until its end.

    ``pages.state()`` read after a page was handled is the place to resume from.

    :param fetch: requests one page, given its query and the test of what a page looks like
    :param pages: the vendor's way of paging; moved along
    :raises LeadsServerError: when the list runs in circles, see :class:`CursorPages`, or repeats known rows for good
    """
    seen, stale, barren = _SeenIds(), 0, 0
    while True:
        body = fetch(pages.params(), lambda found: pages.rows(found) is not None).body
        rows = pages.rows(body) or []
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
