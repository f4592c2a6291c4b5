"""Pages asked for before their turn: faster, and nothing lost by it, however the list changes meanwhile."""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from http_fakes import by_cursor, by_number, by_total
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_providers_leads.http import pages_ahead
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.errors import LeadsNotFoundError, LeadsServerError
from airflow_providers_leads.http.pages_ahead import PagesAhead
from airflow_providers_leads.http.pagination import NumberedPages, Pages, iter_pages

Change = tuple[int, str, int]
NO_LIMIT = 10**6
_SIZE = 3
_now: ContextVar[int] = ContextVar("now")


# A list that changes while several threads read it ------------------------------------------------------------------
#
# Every thread has a time of its own, which moves on with each of its requests; a thread begins at the time of the one
# that started it, and who takes a page is at least at the time at which it was answered. What a request meets depends
# on nothing but that, so that an example comes out the same whatever the machine does.


class World:
    """A list, newest first, and what becomes of it.

    :param rows: how many there are at first
    :param changes: when, what and where
    :param latency: the longest way of a request, and of an answer
    :param seed: of how long each takes
    """

    def __init__(self, rows: int, changes: list[Change], latency: int, seed: int) -> None:
        self.latency, self.seed, self.asked = latency, seed, list[int]()
        held = list(range(rows))
        self.versions, self.moved = [(0, tuple(held))], set[int]()
        for made, (when, what, where) in enumerate(sorted(changes)):
            if what in ("gone", "replaced") and held:
                held.pop(where % len(held))
            if what == "converted" and held:
                self.moved.add(held[-1])
                held.insert(0, held.pop())
            if what in ("new", "replaced"):
                held.insert(0, rows + made)
            self.versions.append((when, tuple(held)))

    def __call__(self, query: dict[str, object], expect: Callable[[Any], bool]) -> Answer:
        page, sent = int(str(query["page"])), _now.get()
        way = random.Random(f"{self.seed} {page} {sent}")
        arrived = sent + way.randint(0, self.latency)
        answered = arrived + way.randint(0, self.latency) + 1
        rows = self.versions[bisect_right(self.versions, arrived, key=lambda version: version[0]) - 1][1]
        _now.set(answered)
        self.asked.append(page)
        start, end = page * _SIZE, (page + 1) * _SIZE
        meta = {"total": len(rows), "limit": _SIZE, "hasNext": end < len(rows), "answered": answered}
        return Answer(200, {}, {"data": [{"id": row} for row in rows[start:end]], "meta": meta})

    def always_there(self, until: int) -> set[int]:
        """Return the rows that were there throughout, and whose place in the order stayed."""
        held = (set(rows) for when, rows in self.versions if when <= until)
        return set.intersection(*held) - self.moved


class TimedPages(NumberedPages):
    """Knows when a page was answered, and whether the list changed while pages were read again."""

    missed_a_change = False
    _last: int | None = None

    def advance(self, body: Any) -> bool:
        _now.set(max(_now.get(), body["meta"]["answered"]))
        again, total = self.page <= self._furthest, body["meta"]["total"]
        # What a walk notices there it doesn't act on, because it would not be certain to end.
        self.missed_a_change |= again and total != self._last
        self._last = total
        return super().advance(body)

    def agrees(self, body: Any) -> bool:
        _now.set(max(_now.get(), body["meta"]["answered"]))
        return super().agrees(body)


def walked(world: World, room: int | None = NO_LIMIT) -> tuple[list[int], int, bool]:
    """Return what a walk through a world finds, when it ends, and whether the totals told it of every change."""

    def walk() -> tuple[list[int], int, bool]:
        _now.set(0)
        pages = TimedPages("data", ("meta.hasNext",), 0, total_at="meta.total", size_at="meta.limit", ordered=True)
        found = [row["id"] for page in iter_pages(world, pages, room and (lambda: room)) for row in page]
        return found, _now.get(), not pages.missed_a_change

    return copy_context().run(walk)


_CHANGES = st.lists(
    st.tuples(
        st.integers(1, 150),
        st.sampled_from(["new", "gone", "replaced", "replaced", "converted"]),
        st.integers(0, 100),
    ),
    max_size=12,
)


@pytest.mark.parametrize("room", [None, NO_LIMIT], ids=["in turn", "ahead"])
@settings(max_examples=200, deadline=None)
@given(st.integers(0, 100), _CHANGES, st.sampled_from([0, 2, 10]), st.integers(0, 10**6))
def test_no_row_that_was_there_throughout_is_lost_or_doubled(
    room: int | None, rows: int, changes: list[Change], latency: int, seed: int
) -> None:
    world = World(rows, changes, latency, seed)
    try:
        found, end, told = walked(world, room)
    except LeadsServerError:
        # So much came at the front that whole pages brought nothing new.
        assume(False)
    assume(told)
    assert world.always_there(end) - set(found) == set()
    assert [row for row, times in Counter(found).items() if times > 1] == []


def rows_are_lost(tries: int) -> bool:
    """Tell whether some of so many worlds lose rows."""
    kinds = ["new", "gone", "replaced", "converted"]
    for seed in range(tries):
        dice = random.Random(seed)
        changes = [(dice.randint(1, 100), dice.choice(kinds), dice.randint(0, 100)) for _ in range(dice.randint(0, 12))]
        world = World(dice.randint(30, 100), changes, dice.choice([2, 10]), seed)
        try:
            found, end, told = walked(world)
        except LeadsServerError:
            continue
        if told and world.always_there(end) - set(found):
            return True
    return False


def without_the_other_reading(self: PagesAhead, body: Any, joined: Any = PagesAhead._joined) -> list[Any]:
    joined(self, body)
    return []


@pytest.mark.parametrize(
    ("owner", "name", "instead"),
    [(PagesAhead, "_joined", without_the_other_reading), (pages_ahead, "_IN_COMMON", -1.0)],
    ids=["the rows of the other reading", "rows in common"],
)
def test_what_holds_the_stretches_together_is_needed(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, instead: Any
) -> None:
    assert not rows_are_lost(50)
    monkeypatch.setattr(owner, name, instead)
    assert rows_are_lost(500)


def test_rows_that_move_down_between_two_readings_of_a_page_are_kept() -> None:
    # Of pages 1 to 11 the stretches are 1 to 7 and 7 to 11. Before the first is read, a row comes at the front, which
    # pushes row 23 from page 7 to page 8, and one at the end goes: the total stays.
    early, late = list(range(36)), [99, *range(30), *range(31, 36)]
    changed, asked = threading.Event(), list[int]()

    def fetch(query: dict[str, object], expect: Any) -> Answer:
        number = int(str(query["page"]))
        again = number in asked
        asked.append(number)
        if 0 < number < 7:
            assert changed.wait(5)
        rows = late if 0 < number < 7 or again else early
        if number == 11:
            changed.set()
        meta = {"total": 36, "limit": 3, "hasNext": number < 11}
        return Answer(200, {}, {"data": [{"id": row} for row in rows[number * 3 : number * 3 + 3]], "meta": meta})

    found = [row["id"] for page in iter_pages(fetch, by_total(ordered=True), lambda: NO_LIMIT) for row in page]
    assert sorted(asked) == sorted([*range(12), 7])
    assert found == early


# What is asked, and by whom -----------------------------------------------------------------------------------------


class Vendor:
    """A list that stays as it is, and notes of who asks for what.

    :param pages: how many there are
    :param seconds: until an answer
    :param fails: (page, how often it was asked for before) → the error, if any
    :param total: what it says that it holds; default the truth
    """

    def __init__(
        self,
        pages: int,
        seconds: float = 0.0,
        fails: Callable[[int, int], Exception | None] = lambda page, time: None,
        total: int | None = None,
    ) -> None:
        self.pages, self.seconds, self.fails = pages, seconds, fails
        self.total = pages * 2 - 1 if total is None else total
        self.asked: list[int] = []
        self.threads: set[int] = set()
        self.most = self.at_once = 0
        self._lock = threading.Lock()

    def __call__(self, query: dict[str, object], expect: Callable[[Any], bool]) -> Answer:
        page = int(str(query["page"]))
        with self._lock:
            error = self.fails(page, self.asked.count(page))
            self.asked.append(page)
            self.threads.add(threading.get_ident())
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(self.seconds)
        with self._lock:
            self.at_once -= 1
        if error:
            raise error
        meta = {"total": self.total, "limit": 2, "hasNext": page + 1 < self.pages}
        rows = [{"id": page * 2}] * (page < self.pages) + [{"id": page * 2 + 1}] * (page + 1 < self.pages)
        return Answer(200, {}, {"data": rows, "meta": meta, "leads": rows, "has_more": meta["hasNext"]})


def read(vendor: Vendor, pages: Pages | None = None, room: int | None = NO_LIMIT) -> Iterator[list[Any]]:
    walk = iter_pages(vendor, pages or by_total(ordered=True), None if room is None else lambda: room)
    return ([row["id"] for row in page] for page in walk)


def rows_of(pages: int, start: int = 0) -> list[list[int]]:
    return [[2 * n] + [2 * n + 1] * (n + 1 < pages) for n in range(start, pages)]


def others() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "leads-page"]


@pytest.mark.parametrize("pages", [*range(1, 60), 100, 230])
def test_pages_come_in_order_and_none_is_asked_for_beyond_the_end(pages: int) -> None:
    vendor = Vendor(pages)
    assert list(read(vendor)) == rows_of(pages)
    times = Counter(vendor.asked)
    assert set(times) == set(range(pages))
    assert set(times.values()) <= {1, 2}
    # What is read twice is what joins the stretches.
    assert len(vendor.asked) - pages <= pages / 4
    assert others() == []
    if pages < 9:
        assert vendor.threads == {threading.get_ident()}


@pytest.mark.parametrize("total", [1, 21, 22, 60, 102, 118, 120, 125, 300])
def test_a_total_that_is_wrong_neither_ends_nor_lengthens_a_walk(total: int) -> None:
    assert list(read(Vendor(60, total=total))) == rows_of(60)


def test_pages_are_fetched_side_by_side() -> None:
    alone, ahead = Vendor(49, 0.02), Vendor(49, 0.02)
    began = time.monotonic()
    assert list(read(alone, room=None)) == rows_of(49)
    turned = time.monotonic()
    assert list(read(ahead)) == rows_of(49)
    ended = time.monotonic()
    assert (alone.most, ahead.most) == (1, 4)
    assert ended - turned < 0.6 * (turned - began)


@pytest.mark.parametrize("pages", [by_total(), by_number(), by_cursor()], ids=["any order", "no total", "cursor"])
def test_other_lists_are_read_in_turn(pages: Pages) -> None:
    assert list(pages.following()) == []
    if "after" in pages.state():
        return
    vendor = Vendor(30)
    list(read(vendor, pages))
    assert vendor.asked == sorted(vendor.asked)
    assert vendor.threads == {threading.get_ident()}


@pytest.mark.parametrize(
    "meta", [{}, {"total": 60}, {"limit": 2}, {"total": 60, "limit": 100}, {"total": 0, "limit": 2}]
)
def test_without_a_total_or_full_pages_the_end_is_not_known(meta: dict[str, int]) -> None:
    pages = by_total(ordered=True)
    assert pages.advance({"data": [{"id": 1}, {"id": 2}], "meta": {"hasNext": True, **meta}})
    assert list(pages.following()) == []


def test_nothing_is_asked_ahead_unless_the_rest_fits_into_the_quota() -> None:
    # The last eight pages take nine requests.
    fits, tight = Vendor(60), Vendor(60)
    assert list(read(fits, room=9)) == rows_of(60)
    assert fits.asked[:52] == list(range(52))
    assert len(fits.asked) == 61
    assert len(fits.threads) > 1
    assert list(read(tight, room=8)) == rows_of(60)
    assert tight.threads == {threading.get_ident()}


@pytest.mark.parametrize("taken", [1, 2, 20])
def test_a_walk_left_early_leaves_nothing_behind(taken: int) -> None:
    vendor = Vendor(100, 0.01)
    walk = iter_pages(vendor, by_total(ordered=True), lambda: NO_LIMIT)
    for _ in range(taken):
        next(walk)
    walk.close()
    assert others() == []
    asked = len(vendor.asked)
    time.sleep(0.05)
    assert len(vendor.asked) == asked


def test_a_walk_that_nobody_goes_on_with_holds_some_pages_only() -> None:
    vendor = Vendor(400)
    walk = iter_pages(vendor, by_total(ordered=True), lambda: NO_LIMIT)
    next(walk)
    assert len(vendor.asked) == 1
    next(walk)
    for thread in others():
        thread.join(5)
    assert len(vendor.asked) <= 1 + 4 * (pages_ahead._LONGEST + 1)
    walk.close()


def test_an_error_ahead_counts_only_when_the_walk_gets_there() -> None:
    def ahead(page: int, times: int) -> Exception | None:
        beside = threading.current_thread().name == "leads-page"
        return LeadsServerError("not now") if page in (7, 23) and beside else None

    vendor = Vendor(40, fails=ahead)
    assert list(read(vendor)) == rows_of(40)
    assert vendor.asked.count(7) == 2


def test_an_error_that_stays_is_raised_in_its_turn() -> None:
    def gone(page: int, times: int) -> Exception | None:
        return LeadsNotFoundError("gone") if page >= 17 else None

    vendor, found = Vendor(40, 0.005, fails=gone), []
    with pytest.raises(LeadsNotFoundError):
        for page in read(vendor):
            found.append(page)
    assert found == rows_of(40)[:17]
    assert others() == []


def test_what_is_no_error_of_the_api_is_raised_as_well() -> None:
    def broken(page: int, times: int) -> Exception | None:
        return ZeroDivisionError() if page == 9 else None

    with pytest.raises(ZeroDivisionError):
        list(read(Vendor(40, fails=broken)))
    assert others() == []


@pytest.mark.parametrize("read_before", [1, 2, 5, 12, 13, 39])
def test_a_walk_resumes_from_its_state(read_before: int) -> None:
    first = by_total(ordered=True)
    walk = iter_pages(Vendor(40), first, lambda: NO_LIMIT)
    found = [[row["id"] for row in next(walk)] for _ in range(read_before)]
    state = first.state()
    walk.close()
    assert state == {"page": read_before, "total": 79, "changes": 0}
    rest = Vendor(40)
    assert found + list(read(rest, by_total(ordered=True).resume(state))) == rows_of(40)
    assert min(rest.asked) == read_before


def test_what_was_asked_ahead_is_asked_anew_when_the_total_falls() -> None:
    held, asked = list(range(120)), list[tuple[int, int]]()

    def fetch(query: dict[str, object], expect: Any) -> Answer:
        page, total = int(str(query["page"])), len(held)
        asked.append((page, total))
        meta = {"total": total, "limit": 2, "hasNext": page * 2 + 2 < total}
        return Answer(200, {}, {"data": [{"id": row} for row in held[page * 2 : page * 2 + 2]], "meta": meta})

    found: list[int] = []
    for page in iter_pages(fetch, by_total(ordered=True), lambda: NO_LIMIT):
        found += [row["id"] for row in page]
        if len(found) == 10:
            for thread in others():
                thread.join(5)
            del held[:3]
    before = [page for page, total in asked if total == 120]
    assert max(before) > 20
    assert sorted(found) == list(range(120))
    # The first page that knows of it sends the walk back by as many rows as went.
    assert (max(before) - 1, 117) in asked


def test_the_threads_see_what_the_caller_sees() -> None:
    seen = set()
    who: ContextVar[str] = ContextVar("who", default="nobody")
    vendor = Vendor(40)

    def fetch(query: dict[str, object], expect: Any) -> Answer:
        seen.add(who.get())
        return vendor(query, expect)

    token = who.set("caller")
    try:
        list(iter_pages(fetch, by_total(ordered=True), lambda: NO_LIMIT))
    finally:
        who.reset(token)
    assert seen == {"caller"}
    assert len(vendor.threads) > 1
