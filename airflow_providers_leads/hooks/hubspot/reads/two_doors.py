"""All contacts through two doors at once: the list from the lowest id up, the search from the highest down.

What a list's page shows was true when it was answered, at a moment within the read; more than that no full read says of
a contact that changes meanwhile. The search index lags behind, but not by more than ``settle_seconds``, as the
incremental reads assume too. So the search is opened when as much time has gone by since the read began: whatever its
index shows then was true at a moment within the read as well, deletions and merges included. Nothing has to be read
twice, and a read that ends before is the list's alone.

The lag has no bound that HubSpot states. So the index is held against what the list shows, see
:mod:`~airflow_providers_leads.hooks.hubspot.reads.index`, before any row of it is given; whatever speaks against it
leaves the rest to the list. Both doors walk by id, and where they meet every id has been passed by exactly one of them.
What was made meanwhile stands behind the search's first contact, and is listed at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow_providers_leads.hooks.hubspot.reads.index import Index
from airflow_providers_leads.hooks.reading import Position
from airflow_providers_leads.http.errors import LeadsServerError
from airflow_providers_leads.http.pagination import id_of

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.hubspot.contacts import HubSpotContacts
    from airflow_providers_leads.hooks.hubspot.reading import LeadReader

Page = tuple[list[Any], dict[str, Any]]
Rows = TypeVar("Rows", bound=list[Any])
# So long the walk looks to the search before it looks again whether the quota lets a page of the list through.
_LOOK_AGAIN: Final = 0.05


class TwoDoors:
    """One full read.

    :param hook: sends the requests
    :param reader: decodes the pages of both doors
    :param asked: properties to read
    :param position: of the page to start with, of this or of the list's own walk
    :param check_end: raises when the search knows contacts behind this id, where the list says that it has ended
    """

    def __init__(
        self,
        hook: HubSpotContacts,
        reader: LeadReader,
        asked: list[str],
        position: Position | None,
        check_end: Callable[[int], None],
    ) -> None:
        self._hook, self._reader, self._asked, self._check_end = hook, reader, asked, check_end
        self._at = dict(position or {})
        after = str(self._at.get("after"))
        self._last = int(after) - 1 if after.isdecimal() else 0
        """Up to this id the list has given all."""
        self._below: int | None = self._at.get("below")
        """The lowest id that the search has given: from there on the list has nothing to do."""
        self._top: int | None = self._at.get("top")
        self._index = Index(hook, reader, asked, self._below)

    def pages(self) -> Iterator[Page]:
        """Yield all contacts, with the position of each page; close it if you leave it early."""
        listed = self._list(self._at)
        self._index.open()
        try:
            while not self._have_met():
                # While the quota holds the list back, or the search is nearly where the list is, there is time.
                patience = self._patience()
                if (found := self._index.take(patience)) is not None:
                    yield from self._searched(found)
                elif not patience:
                    if (page := next(listed, None)) is None:
                        break
                    yield from self._listed(*page)
        finally:
            self._index.close()
        if not self._have_met():
            self._check_end(self._last)
        if self._top is not None:
            yield from self._made_since(self._top)

    def _list(self, position: Position) -> Iterator[Page]:
        return self._hook.typed_pages(self._reader.decode, properties=self._asked, archived=False, position=position)

    def _have_met(self) -> bool:
        return self._below is not None and self._last >= self._below

    def _patience(self) -> float:
        if not self._index.is_open:
            return 0.0
        limiter = self._hook.client.limiters.get("default")
        waits = self._index.holds(self._last) or (limiter is not None and not limiter.left())
        return _LOOK_AGAIN if waits else 0.0

    def _listed(self, rows: list[Any], at: dict[str, Any]) -> Iterator[Page]:
        self._at, numbers, below = at, self._numbers(rows), self._below
        within = rows if below is None else _cut(rows, numbers, lambda number: number < below)
        self._index.note(within)
        yield from self._placed(within)
        self._last = max(self._last, *numbers)

    def _searched(self, rows: list[Any]) -> Iterator[Page]:
        numbers = self._numbers(rows)
        self._top = numbers[0] if self._top is None else self._top
        yield from self._placed(_cut(rows, numbers, lambda number: number > self._last))
        self._below = max(self._last, min(numbers))

    def _placed(self, rows: list[Any]) -> Iterator[Page]:
        """Yield rows with where both doors stood before them; the list's last page is asked for again from there."""
        doors = {} if self._below is None else {"below": self._below, "top": self._top}
        at = {name: value for name, value in self._at.items() if name not in ("below", "top")}
        if rows:
            yield rows, at | doors

    def _numbers(self, rows: list[Any]) -> list[int]:
        return [number_of(row, self._hook.label) for row in rows]

    def _made_since(self, top: int) -> Iterator[Page]:
        last = top
        for rows, at in self._list({"after": str(top)}):
            numbers = self._numbers(rows)
            last = max(last, *numbers)
            if behind := _cut(rows, numbers, lambda number: number > top):
                yield behind, at
        self._check_end(last)


def number_of(row: Any, label: str) -> int:
    """Return a contact's id as the number that it is.

    :param row: the contact
    :param label: how the connection is named in messages
    :raises LeadsServerError: when it is none
    """
    number = str(id_of(row))
    if not (number.isascii() and number.isdecimal()):
        raise LeadsServerError(
            f"{label}: the list of contacts holds a record whose id is no number, which HubSpot doesn't document. Run "
            "it again; if it stays, check the connection's host."
        )
    return int(number)


def _cut(rows: Rows, numbers: list[int], keep: Callable[[int], bool]) -> Rows:
    kept = [row for row, number in zip(rows, numbers, strict=True) if keep(number)]
    if len(kept) == len(rows):
        return rows
    # A list that knows more of its page than its rows goes on knowing it.
    cut = copy(rows)
    cut[:] = kept
    return cut
