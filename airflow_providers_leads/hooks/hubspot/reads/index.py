"""The search index as a door to all contacts: read from the highest id down, in a thread of its own, and held to proof.

The search lags behind by an unknown time, shows by id whatever it is asked for, and its five requests a second are
shared with the account's other apps. So it is left alone for the rest of a read at the first sign of trouble: any
error or refusal, rows that weren't asked for, or an index that isn't what the list shows. Contacts are given only after
the index was found to know what the list had shown ``settle_seconds`` before.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime
from heapq import nlargest
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any, Final

import msgspec

from airflow_providers_leads.hooks.hubspot.search import PAGE_SIZE
from airflow_providers_leads.hooks.hubspot.wire import DIALECT
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.http.hints import read_quota
from airflow_providers_leads.http.json_text import decode as decode_json
from airflow_providers_leads.http.json_text import encode
from airflow_providers_leads.http.quota.windows import MARGIN
from airflow_providers_leads.leads.model.schema import moment

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.hubspot.contacts import HubSpotContacts
    from airflow_providers_leads.hooks.hubspot.reading import LeadReader

WIDEST: Final = 1_500
"""Characters of the properties' names that leave room for what contacts are compared by; HubSpot refuses 3,000."""
# Below so many contacts the list is through in ten or twenty seconds, and the others' quota isn't worth them.
_FEWEST: Final = 20_000
# Pages that are given together, once they are proved: as many as the search answers in ten seconds.
_PROVED_AT_ONCE: Final = 50
# The latest changed contacts of each page of the list, and of all pages.
_OF_A_PAGE: Final = 5
_COMPARED: Final = 50
# What comes and goes in a minute, in parts of what the list has shown and in contacts.
_ADRIFT: Final = 0.001
_A_FEW: Final = 20
# Who is refused waits in no line: the list goes on.
_LONGEST_WAIT: Final = 0.5
_LOOK_AGAIN: Final = 0.2
# Answers, of which a window holds fewer.
_REMEMBERED: Final = 100
# In parts of the time that the index may lag behind: what the list shows in the first fiftieth is what it is held to
# before it is read at all.
_LOOKS: Final = 300
_FIRST_PAGES: Final = 1.02

_ID: Final = "hs_object_id"
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_DESCENDING: Final = [{"propertyName": _ID, "direction": "DESCENDING"}]


class _UnfitError(Exception):
    """The index can't be trusted; the text says why."""


class Index:
    """Contacts by the search, from the highest id down.

    :param hook: sends the requests
    :param reader: decodes the pages
    :param asked: properties to read
    :param below: the id to go on below; ``None``: from the highest
    """

    def __init__(self, hook: HubSpotContacts, reader: LeadReader, asked: list[str], below: int | None) -> None:
        self._hook, self._reader, self._asked, self._below = hook, reader, asked, below
        self._client = _impatient(hook.client)
        self._stop = threading.Event()
        self._proved: Queue[list[list[Any]] | None] = Queue(1)
        self._ready: deque[list[Any]] = deque()
        self._frontier: int | None = None
        self._listed: tuple[int, int, int] | None = None
        self._shown: deque[tuple[float, list[dict[str, Any]]]] = deque()
        self._answered: deque[float] = deque(maxlen=_REMEMBERED)
        self._counts_twice = True
        self.is_open = False
        """True while contacts may come."""

    # The walk's side --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to read as soon as what the list shows first is ``settle_seconds`` old."""
        work = copy_context().run
        # No one waits for it when a task is stopped, which must not sit out a request or a wait for the quota.
        threading.Thread(target=work, args=(self._work,), name="leads-search", daemon=True).start()

    def close(self) -> None:
        """Read nothing further."""
        self.is_open = False
        self._stop.set()

    def note(self, rows: Any) -> None:
        """Take note of what a page of the list has just shown.

        :param rows: of :meth:`~airflow_providers_leads.hooks.hubspot.reading.LeadReader.decode`, from the lowest id up
        """
        if not rows or self._stop.is_set():
            return
        first, _, count = self._listed or (int(rows[0].id), 0, 0)
        self._listed = (first, int(rows[-1].id), count + len(rows))
        shown: list[dict[str, Any]] = decode_json(rows.page)["results"]
        self._shown.append((time.monotonic(), nlargest(_OF_A_PAGE, shown, key=_changed)))

    def take(self, patience: float) -> list[Any] | None:
        """Return a page of contacts that may be given, ``None`` when there is none yet.

        :param patience: seconds to wait for one
        """
        if not self._ready:
            with suppress(Empty):
                proved = self._proved.get(timeout=patience) if patience else self._proved.get_nowait()
                self.is_open = proved is not None
                self._ready.extend(proved or ())
        return self._ready.popleft() if self._ready else None

    def holds(self, number: int) -> bool:
        """Tell whether the search has come down to an id, so that what it has read only has to be proved."""
        return self._frontier is not None and self._frontier <= number

    # The search's side ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        why = ""
        try:
            # First of all it is asked whether it answers, and whether by its answers it spends the list's quota too.
            if self._is_worth_it() and self._comes_in_time() and self._is_worth_it():
                self._prove_to_be_whole()
                # What it has caught up with once it doesn't forget.
                self._compare()
                self._hook.log.info("%s: the search reads along, from the other end", self._hook.label)
                self.is_open = True
                self._read()
        except _UnfitError as unfit:
            why = str(unfit)
        except LeadsApiError as error:
            why = str(error)
        except Exception as error:
            # Of whatever it may be: the list reads the rest.
            why = f"it answers what isn't documented ({type(error).__name__})"
        finally:
            self._client.close()
            if why and not self._stop.is_set():
                self._hook.log.warning("%s: the list reads the rest alone: %s", self._hook.label, why)
            self._hand_over(None)
            # Nothing is to be noted any more.
            self._stop.set()

    def _comes_in_time(self) -> bool:
        """Wait until the first pages of the list are ``settle_seconds`` old; false when the walk ends before."""
        settled = self._hook.settle_seconds
        while not self._stop.wait(settled / _LOOKS):
            if self._shown and self._shown[0][0] + settled * _FIRST_PAGES <= time.monotonic():
                return True
        return False

    def _read(self) -> None:
        below, held, fresh = self._below, [], self._below is None
        while not self._stop.is_set():
            page = self._page(below)
            numbers = [int(row.id) for row in page]
            if numbers != sorted(set(numbers), reverse=True) or (below and numbers and numbers[0] >= below):
                raise _UnfitError("the search answers other contacts than were asked for")
            if numbers:
                held.append(page)
                self._frontier = below = numbers[-1]
            if fresh and numbers:
                self._prove_the_way_back(numbers[0])
                fresh = False
            ended = not numbers or (self._listed is not None and self._listed[1] >= numbers[-1])
            if ended or len(held) == _PROVED_AT_ONCE:
                self._compare()
                self._hand_over(held)
                held = []
            if ended:
                return

    def _hand_over(self, pages: list[list[Any]] | None) -> None:
        while not self._stop.is_set():
            with suppress(Full):
                self._proved.put(pages, timeout=_LOOK_AGAIN)
                return

    # Requests ---------------------------------------------------------------------------------------------------------

    def _page(self, below: int | None) -> list[Any]:
        body = {**_matching(*self._bound(below)), "sorts": _DESCENDING, "properties": self._asked, "limit": PAGE_SIZE}
        found: list[Any] = self._ask(body, self._reader.decode)["results"]
        return found

    def _count(self, *filters: dict[str, Any]) -> int:
        total = self._ask({**_matching(*filters), "limit": 1})["total"]
        return int(total)

    @staticmethod
    def _bound(below: int | None) -> list[dict[str, str]]:
        return [] if below is None else [_where("LT", below)]

    def _ask(self, body: dict[str, Any], decode: Callable[[bytes], Any] = msgspec.json.decode) -> dict[str, Any]:
        """Search, with a place in the list's quota as well unless the last answer told nothing of it."""
        self._keep_the_distance()
        burst = self._client.limiters.get("default") if self._counts_twice else None
        if burst:
            burst.acquire()
        try:
            answer = self._searched(body, decode)
        finally:
            self._answered.append(time.monotonic())
            if burst:
                burst.arrived()
        self._counts_twice = read_quota(answer.headers, time.time(), DIALECT.quotas) is not None
        found: dict[str, Any] = answer.body
        return found

    def _keep_the_distance(self) -> None:
        """Wait until the window before the last answers is over by the vendor's clock as well.

        A window of a second is short beside the times that requests take, and a refusal would end it all. Whatever was
        answered has arrived before.
        """
        if (quota := self._client.limiters.get("search")) and len(self._answered) >= quota.limit:
            left = self._answered[-quota.limit] + quota.period * MARGIN - time.monotonic()
            self._stop.wait(max(0.0, left))

    def _searched(self, body: dict[str, Any], decode: Callable[[bytes], Any]) -> Answer:
        path = self._hook.path("objects", "/contacts/search")
        return self._client.request("POST", path, json=body, safe=True, bucket="search", expect=_is_page, decode=decode)

    # Proofs -----------------------------------------------------------------------------------------------------------

    def _is_worth_it(self) -> bool:
        last = self._listed[1] if self._listed else 0
        return self._count(_where("GT", last), *self._bound(self._below)) >= _FEWEST

    def _prove_to_be_whole(self) -> None:
        """Refuse an index that doesn't know as many contacts as the list has shown."""
        if self._listed is None:
            return
        first, last, count = self._listed
        known = self._count(_where("GTE", first), _where("LTE", last))
        if abs(known - count) > max(_A_FEW, _ADRIFT * count):
            raise _UnfitError(f"the search index knows {known:,} contacts where the list has {count:,}")

    def _prove_the_way_back(self, top: int) -> None:
        """Refuse to begin where the list could not go on behind the highest contact at the end."""
        params = {"limit": 1, "after": str(top)}
        listed = self._hook.one("GET", self._hook.path("objects", "/contacts"), params=params, expect=_is_page)
        if any(int(row["id"]) < top for row in listed["results"]):
            raise _UnfitError("the list doesn't begin at the contact that it is told to")

    def _compare(self) -> None:
        """Refuse an index that knows contacts otherwise than the list has shown them ``settle_seconds`` ago."""
        ripe: list[dict[str, Any]] = []
        since = time.monotonic() - self._hook.settle_seconds
        while self._shown and self._shown[0][0] <= since:
            ripe += self._shown.popleft()[1]
        listed = {str(row["id"]): row for row in nlargest(_COMPARED, ripe, key=_changed)}
        if not listed:
            return
        among = {"propertyName": _ID, "operator": "IN", "values": list(listed)}
        body = {**_matching(among), "properties": self._asked, "limit": PAGE_SIZE}
        found = {str(row["id"]): row for row in self._ask(body)["results"]}
        # They may have been deleted since.
        lacking = [number for number in listed if number not in found]
        if lacking and self._hook.batch_read_contacts(lacking).succeeded:
            raise _UnfitError(f"the search index lacks contacts that the list has shown {self._ago}")
        for number, row in found.items():
            told, seen = _changed(listed[number]), _changed(row)
            if seen < told:
                raise _UnfitError(
                    f"the search index shows an older state of contacts than the list has shown {self._ago}"
                )
            if seen == told and self._values(row) != self._values(listed[number]):
                raise _UnfitError("the search shows other values than the list")

    def _values(self, row: dict[str, Any]) -> list[Any]:
        return [row["properties"].get(name) for name in self._asked]

    @property
    def _ago(self) -> str:
        return f"{self._hook.settle_seconds:g} seconds ago"


def fits(asked: list[str]) -> bool:
    """Tell whether a search can ask for properties and compare contacts by them."""
    return len(encode(asked)) <= WIDEST


def _impatient(client: HttpClient) -> HttpClient:
    # What its answers say of a quota is said of the list's.
    policy = replace(client.policy, max_retries=min(1, client.policy.max_retries), max_wait=_LONGEST_WAIT)
    return replace(client, policy=policy, fixed_limits=True)


def _where(operator: str, number: int) -> dict[str, str]:
    return {"propertyName": _ID, "operator": operator, "value": str(number)}


def _matching(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"filterGroups": [{"filters": list(filters)}] if filters else []}


def _changed(row: dict[str, Any]) -> datetime:
    return moment(row.get("updatedAt")) or _NEVER


def _is_page(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("results"), list)
