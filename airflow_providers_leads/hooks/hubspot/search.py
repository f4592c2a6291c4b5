"""Walking a HubSpot search to its end, past the 10,000 rows that one query gives."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from airflow_providers_leads.http.errors import LeadsServerError, LeadsValidationError
from airflow_providers_leads.http.pagination import cursor_in

log = logging.getLogger(__name__)

Row = dict[str, Any]
Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""Sends one search and returns the answer's body."""

PAGE_SIZE: Final = 200
MAX_ROWS: Final = 10_000
"""Rows that HubSpot gives for one query."""
MAX_BODY: Final = 2_500
"""Characters of a request that leave room for the paging; HubSpot refuses 3,000."""
_ID: Final = re.compile(r"[0-9]{1,40}")
_MAX_FILTERS_PER_GROUP: Final = 6
_MAX_FILTERS: Final = 18


def is_page(body: Any) -> bool:
    """Tell whether a body is a page of search results."""
    rows = body.get("results") if isinstance(body, dict) else None
    return isinstance(rows, list) and all(isinstance(r, dict) and _ID.fullmatch(str(r.get("id"))) for r in rows)


def search_pages(
    ask: Ask,
    *,
    groups: list[dict[str, Any]],
    sort: Mapping[str, str] | None,
    rest: Mapping[str, Any],
    size: int,
    label: str,
    beyond: int | None = None,
) -> Iterator[list[Row]]:
    """Yield the pages of a search, each row once.

    Without a sort of its own the search runs by record id, and every page asks for the ids beyond the last: it has no
    limit, and rows that change while it runs push no others out of sight.

    :param ask: sends one search
    :param groups: filter groups
    :param sort: the one sort, ``None`` for any order
    :param rest: further parts of the request: properties, query
    :param size: rows per request
    :param label: how messages name the connection
    :param beyond: record id after which a search by id starts, default the first
    :raises LeadsServerError: when the search ends before the number of rows that it says it has
    :raises LeadsValidationError: after 10,000 rows of a sorted search that has more
    """
    by_id = sort is None or sort["propertyName"] == "hs_object_id"
    if by_id and _has_room(groups):
        descending = sort is not None and sort["direction"] == "DESCENDING"
        return _pages_by_id(ask, groups, descending, {**rest, "limit": size}, label, beyond)
    return _pages_by_offset(ask, groups, sort, dict(rest), size, label)


def _has_room(groups: list[dict[str, Any]]) -> bool:
    counts = [len(group["filters"]) for group in groups] or [0]
    return max(counts) < _MAX_FILTERS_PER_GROUP and sum(counts) + len(counts) <= _MAX_FILTERS


def _unread(body: Mapping[str, Any], read: int) -> int:
    total = body.get("total")
    return max(0, total - read) if type(total) is int else 0


def _ended_early(label: str, missing: int) -> LeadsServerError:
    return LeadsServerError(
        f"{label}: the search ended {missing} rows before the number that it says it has. Run it again; nothing of "
        "it may be taken for the whole.",
        category="ENDED_EARLY",
    )


def _pages_by_id(
    ask: Ask, groups: list[dict[str, Any]], descending: bool, rest: dict[str, Any], label: str, last: int | None
) -> Iterator[list[Row]]:
    operator, furthest = ("LT", min) if descending else ("GT", max)
    sorts = [{"propertyName": "hs_object_id", "direction": "DESCENDING" if descending else "ASCENDING"}]
    while True:
        asked = groups
        if last is not None:
            beyond = {"propertyName": "hs_object_id", "operator": operator, "value": str(last)}
            asked = [{"filters": [*group["filters"], beyond]} for group in groups or [{"filters": []}]]
        body = ask({"filterGroups": asked, "sorts": sorts, **rest})
        page = {int(row["id"]): row for row in body["results"]}
        fresh = {i: row for i, row in page.items() if last is None or (i < last if descending else i > last)}
        if fresh:
            yield list(fresh.values())
        # The total counts what lies beyond the last id, at this very moment: no change in between can explain a gap.
        more = _unread(body, len(body["results"]))
        if not page and more:
            raise _ended_early(label, more)
        if not page or (cursor_in(body, "paging.next.after") is None and not more):
            return
        if not fresh:
            raise LeadsServerError(f"{label}: the search repeated known rows; reading on would never end")
        last = furthest(fresh)


def _pages_by_offset(
    ask: Ask, groups: list[dict[str, Any]], sort: Mapping[str, str] | None, rest: dict[str, Any], size: int, label: str
) -> Iterator[list[Row]]:
    fixed = {"filterGroups": groups, **({"sorts": [sort]} if sort else {}), **rest}
    seen: set[str] = set()
    read = 0
    after: str | None = None
    while True:
        position: dict[str, Any] = {} if after is None else {"after": after}
        body = ask({**fixed, **position, "limit": min(size, MAX_ROWS - read)})
        rows = body["results"]
        total = body.get("total")
        if after is None and isinstance(total, int) and total > MAX_ROWS:
            log.warning("%s: the search has %d rows, of which a sorted search gives %d", label, total, MAX_ROWS)
        fresh = [row for row in rows if str(row["id"]) not in seen]
        seen.update(str(row["id"]) for row in fresh)
        if fresh:
            yield fresh
        read += len(rows)
        previous, after = after, cursor_in(body, "paging.next.after")
        if after is None:
            if more := _unread(body, read):
                raise _ended_early(label, more)
            return
        if read >= MAX_ROWS:
            raise LeadsValidationError(
                f"{label}: this search has more than {MAX_ROWS:,} rows, and HubSpot gives no more of a search that is "
                "sorted or full of filters. Leave out the sort (all rows are read then), or narrow the filters.",
                category="SEARCH_LIMIT",
            )
        if after == previous or not rows:
            raise LeadsServerError(f"{label}: the search repeated its cursor; reading on would never end")
