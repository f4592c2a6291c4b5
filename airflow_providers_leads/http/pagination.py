"""Ways of paging by JSON paths, and the one loop that walks them: resumable from JSON state, and certain to end.

A way of paging says where the next page is and whether the vendor speaks of one; what ends a walk, and when it is given
up, is decided in :func:`iter_pages` alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

import msgspec

from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.errors import LeadsServerError
from airflow_providers_leads.http.pages_ahead import PagesAhead
from airflow_providers_leads.http.paths import value_at

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
        """Move behind a page; false when the vendor says that it was the last."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the position as JSON, from which a walk can go on."""
        ...

    def following(self) -> Sequence[dict[str, object]]:
        """Return the queries of the pages from here to the end, as far as they may be asked for before their turn.

        They may if the end is known, and if in the list's order no row ever moves down behind another. New rows may
        come anywhere, rows may go, and may move up.
        """
        ...

    def agrees(self, body: Any) -> bool:
        """Tell whether a page that was asked for before its turn knows the list as the walk does."""
        ...


class _OneByOne:
    """Pages that are asked for in their turn only."""

    def following(self) -> Sequence[dict[str, object]]:
        return ()

    def agrees(self, body: Any) -> bool:
        return False


@dataclass
class CursorPages(_OneByOne):
    """Each page names the next one by a cursor; no cursor is the end.

    :param rows_at: JSON path of a page's rows, such as ``results``
    :param cursor_at: JSON path of the next page's cursor, such as ``paging.next.after``
    :param param: the query parameter that takes the cursor
    :param cursor: where to start, default the first page
    :param key: what each row must have, as whoever reads them knows them by it; default nothing
    """

    rows_at: str
    cursor_at: str
    param: str
    cursor: str | None = None
    key: str | None = None
    _passed: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def resume(self, state: Mapping[str, Any] | None) -> Self:
        """Go to a position that :meth:`state` told; default stay."""
        if state and state.get(self.param) is not None:
            self.cursor = str(state[self.param])
        return self

    def params(self) -> dict[str, object]:
        return {self.param: self.cursor} if self.cursor is not None else {}

    def rows(self, body: Any) -> list[Row] | None:
        rows = rows_at(body, self.rows_at)
        lacking = self.key is not None and any(type(row.get(self.key)) not in (str, int) for row in rows or ())
        return None if lacking else rows

    def advance(self, body: Any) -> bool:
        cursor = cursor_in(body, self.cursor_at)
        if cursor is None:
            return False
        if self.cursor is not None:
            self._passed.add(self.cursor)
        if cursor in self._passed:
            raise LeadsServerError("the list answered with the same cursor twice; reading on would never end")
        self.cursor = cursor
        return True

    def state(self) -> dict[str, Any]:
        return {self.param: self.cursor}


@dataclass
class NumberedPages:
    """Pages by number; a flag tells whether another follows.

    Where pages tell how many rows the list has, and that number falls while it is read, later rows have moved to pages
    that were read already, so the walk steps back.

    :param rows_at: JSON path of a page's rows, such as ``data``
    :param more_at: JSON paths of what tells that another page follows: the first that is there, at any but an empty,
        false or null value. None of them there is the end, but for ``full``
    :param full: rows of a page behind which another is asked for where nothing tells whether one follows: such a list
        ends with a page that is not full, or that is the one before once more. Default: it ends at once
    :param first: number of the first page, 0 or 1
    :param param: the query parameter that takes the number
    :param total_at: JSON path of the number of rows in the list, where pages tell it
    :param size_at: JSON path of the rows that a full page has, where pages tell it
    :param bare_first: true asks for the first page without its number: a list that may have one page only
    :param ordered: true: no row ever moves down behind another, so that pages may be asked for before their turn
    """

    rows_at: str
    more_at: tuple[str, ...]
    first: int
    param: str = "page"
    total_at: str | None = None
    size_at: str | None = None
    full: int | None = None
    bare_first: bool = False
    ordered: bool = False
    page: int = field(init=False)
    _total: int | None = field(default=None, init=False)
    _changes: int = field(default=0, init=False)
    _furthest: int = field(default=-1, init=False, repr=False, compare=False)
    _size: int | None = field(default=None, init=False, repr=False, compare=False)
    _untold: set[str] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.page = self.first

    def resume(self, state: Mapping[str, Any] | None) -> Self:
        """Go to a position that :meth:`state` told; default stay."""
        if state:
            self.page = state.get(self.param, self.page)
            self._total, self._changes = state.get("total"), state.get("changes", 0)
        return self

    def params(self) -> dict[str, object]:
        return {} if self.bare_first and self.page == self.first else {self.param: self.page}

    def rows(self, body: Any) -> list[Row] | None:
        return rows_at(body, self.rows_at)

    def advance(self, body: Any) -> bool:
        size = _count_at(body, self.size_at)
        self._size = size if size == len(self.rows(body) or ()) else None
        # Only where the walk gets further: it would not end if pages that are read again sent it back as well.
        if self.page > self._furthest and (total := _count_at(body, self.total_at)) is not None:
            moved = max(0, (self._total or 0) - total)
            self._changes += 0 if self._total is None else abs(total - self._total)
            self._total, self._furthest = total, self.page
            if moved and self.page > self.first and size:
                self.page = max(self.first, self.page - -(-moved // size))
                return True
        self.page += 1
        told = next((value for path in self.more_at if (value := value_at(body, path)) is not None), None)
        return self._is_full(self.rows(body) or ()) if told is None else _says_yes(told)

    def _is_full(self, rows: Sequence[Row]) -> bool:
        met, before = _ids_of(rows), self._untold
        self._untold = met
        return self.full is not None and len(rows) >= self.full and met != before

    def missing(self, read: int) -> int:
        """Return how many rows a walk to the end has not met although the list holds them.

        Rows that came or went while it was read may be among the unmet ones, so as many are allowed for.

        :param read: rows met, each once
        """
        return max(0, (self._total or 0) - self._changes - read)

    def state(self) -> dict[str, Any]:
        counted = {} if self._total is None else {"total": self._total, "changes": self._changes}
        return {self.param: self.page, **counted}

    def following(self) -> Sequence[dict[str, object]]:
        if not self.ordered or not self._total or not self._size or self.page <= self._furthest:
            return ()
        end = self.first + -(-self._total // self._size)
        return [{self.param: number} for number in range(self.page, end)]

    def agrees(self, body: Any) -> bool:
        return self._total is not None and _count_at(body, self.total_at) == self._total


def cursor_in(body: Any, path: str) -> str | None:
    """Return the cursor at a JSON path, ``None`` where there is none, be it told by an empty one."""
    cursor = value_at(body, path)
    return None if cursor in (None, "") or isinstance(cursor, (bool, dict, list)) else str(cursor)


def rows_at(body: Any, path: str) -> list[Row] | None:
    """Return the objects of the list at a JSON path, ``None`` where there is no such list."""
    rows = value_at(body, path)
    objects = isinstance(rows, list) and all(issubclass(kind, (dict, msgspec.Struct)) for kind in set(map(type, rows)))
    return rows if objects else None


def id_of(row: Row) -> Any:
    """Return a row's id, ``None`` when it has none."""
    return row.get("id") if type(row) is dict else row.id


def _ids_of(rows: Sequence[Row]) -> set[str]:
    return {str(identity) for identity in map(id_of, rows) if identity is not None}


def _count_at(body: Any, path: str | None) -> int | None:
    value = None if path is None else value_at(body, path)
    return value if type(value) is int else None


def _says_yes(flag: object) -> bool:
    # APIs that give some booleans as text exist.
    return flag.strip().lower() not in ("", "false", "0", "no") if isinstance(flag, str) else bool(flag)


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
