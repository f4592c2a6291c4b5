"""Batches of a plan, and the threads that send them."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.hooks import writing as writing_module
from airflow_providers_leads.hooks.base import LeadsHook
from airflow_providers_leads.hooks.writing import _PASSED_ROWS, PASSED, Batch, batched, side_by_side
from airflow_providers_leads.http.errors import LeadsApiError, LeadsAuthError, LeadsServerError
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult

ACTIONS = ("create", "update", "unchanged", "suppress")


def rows_of(actions: Iterable[str]) -> list[PlanRow]:
    return [PlanRow(email_key=f"p{i}@x.example", action=action) for i, action in enumerate(actions)]  # type: ignore[arg-type]


@given(st.lists(st.sampled_from(ACTIONS), max_size=80), st.integers(1, 7), st.integers(1, 7))
def test_batches_hold_every_row_once_in_order_and_are_full(actions: list[str], creates: int, updates: int) -> None:
    rows, sizes = rows_of(actions), {"create": creates, "update": updates}
    made = list(batched(rows, sizes))
    assert made == list(batched(iter(rows), sizes))
    for action in ("create", "update", PASSED):
        ours = [batch.rows for batch in made if batch.action == action]
        wanted = [row for row in rows if (row.action if row.action in sizes else PASSED) == action]
        assert [row for batch in ours for row in batch] == wanted
        assert {len(batch) for batch in ours[:-1]} <= {sizes.get(action)}
        assert all(ours)


@given(st.lists(st.sampled_from(ACTIONS), max_size=60), st.integers(0, 60))
def test_what_comes_later_does_not_change_the_batches_before(actions: list[str], cut: int) -> None:
    sizes = {"create": 3, "update": 2}
    whole = list(batched(rows_of(actions), sizes))
    begun = list(batched(rows_of(actions[:cut]), sizes))
    full = [batch for batch in begun if len(batch.rows) == sizes.get(batch.action)]
    assert whole[: len(full)] == full


def test_rows_that_are_passed_on_are_not_all_held() -> None:
    taken = Counter[str]()

    def plan() -> Iterator[PlanRow]:
        for row in rows_of(["unchanged"] * (3 * _PASSED_ROWS)):
            taken["rows"] += 1
            yield row

    next(batched(plan(), {}))
    assert taken["rows"] == _PASSED_ROWS


class Workers:
    """Watches what is worked on: how many at once, and whether anything goes on when it should not."""

    def __init__(self, work: Callable[[int], Any] = lambda item: item) -> None:
        self._work, self._lock = work, threading.Lock()
        self.active = self.most = 0
        self.done: list[int] = []

    def __call__(self, item: int) -> Any:
        with self._lock:
            self.active += 1
            self.most = max(self.most, self.active)
        try:
            return self._work(item)
        finally:
            with self._lock:
                self.active -= 1
                self.done.append(item)


def never(result: Any) -> bool:
    return False


def test_results_come_in_the_order_of_the_items_whoever_is_first() -> None:
    last = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            assert last.wait(5)
        if item == 3:
            last.set()
        return item

    workers = Workers(work)
    assert list(side_by_side(range(6), workers, 4, threading.Event(), never)) == list(range(6))
    assert workers.done[0] == 0
    assert workers.done.index(3) < workers.done.index(1)
    assert workers.most > 1


def test_the_first_is_worked_on_alone() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    seen: list[int] = []

    def work(item: int) -> int:
        if item == 0:
            time.sleep(0.02)
            seen.extend(taken)
        return item

    assert len(list(side_by_side(items(), work, 4, threading.Event(), never))) == 5
    assert seen == [0]


def test_after_a_failure_one_is_worked_on_at_a_time_until_one_succeeds() -> None:
    active_at: dict[int, int] = {}
    workers = Workers()

    def work(item: int) -> int:
        active_at[item] = workers.active
        time.sleep(0.002)
        return item

    workers._work = work
    broken = set(range(4, 30))
    results = side_by_side(range(40), workers, 4, threading.Event(), lambda item: item in broken)
    assert list(results) == list(range(40))
    # Those that were begun before the first failure was seen are few; from then on each waits for the one before.
    assert {active_at[item] for item in range(4 + 2 * 4, 30)} == {1}
    assert max(active_at.values()) > 1


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_no_more_is_taken_than_is_about_to_be_worked_on(threads: int) -> None:
    taken = Counter[str]()

    def items() -> Iterator[int]:
        for number in range(100):
            taken["items"] += 1
            yield number

    for settled, _ in enumerate(side_by_side(items(), lambda item: item, threads, threading.Event(), never)):
        assert taken["items"] - settled <= 2 * threads


def test_stop_takes_no_further_item_and_yields_what_is_begun() -> None:
    stop = threading.Event()
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    def work(item: int) -> int:
        if item == 5:
            stop.set()
        return item

    results = list(side_by_side(items(), work, 2, stop, never))
    assert results == list(range(len(results)))
    assert 5 in results
    assert len(taken) <= 5 + 2 * 2 + 1


def broken_items() -> Iterator[int]:
    yield from range(6)
    raise KeyError("items")


def broken_work(item: int) -> int:
    time.sleep(0.002)
    if item == 6:
        raise KeyError("work")
    return item


@pytest.mark.parametrize(("items", "work"), [(broken_items(), broken_work), (iter(range(50)), broken_work)])
def test_an_exception_ends_it_and_no_work_goes_on(items: Iterator[int], work: Callable[[int], int]) -> None:
    workers, stop = Workers(work), threading.Event()
    results = side_by_side(items, workers, 4, stop, never)
    with pytest.raises(KeyError):
        list(results)
    assert (workers.active, stop.is_set()) == (0, True)
    assert_idle(workers)


def test_no_work_goes_on_when_the_reader_leaves() -> None:
    workers, stop = Workers(broken_work), threading.Event()
    results = side_by_side(range(50), workers, 4, stop, never)
    assert [next(results), next(results)] == [0, 1]
    results.close()  # type: ignore[attr-defined]
    assert (workers.active, stop.is_set()) == (0, True)
    assert_idle(workers)


def assert_idle(workers: Workers) -> None:
    done = len(workers.done)
    time.sleep(0.02)
    assert len(workers.done) == done
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("leads-write")]


class NumberedHook(LeadsHook):
    """Creates one row per request; what becomes of the n-th person is said beforehand."""

    conn_type = "hubspot"
    hook_name = "Numbered"
    host = "https://api.numbered.example"
    key_header = "x-key"
    quotas: ClassVar[Mapping[str, tuple[int, float]]] = {"default": (100, 10.0)}

    def __init__(self, becomes: Mapping[int, Callable[[], None]]) -> None:
        super().__init__("numbered")
        self.becomes = becomes

    def iter_leads(self, **_: Any) -> Iterator[Any]:
        return iter(())

    def find_leads(self, emails: Iterable[str], **_: Any) -> Iterator[Any]:
        return iter(())

    def create_rows(self, rows: list[PlanRow], **options: Any) -> Iterable[WriteResult]:
        number = int(rows[0].email_key[1:].partition("@")[0])
        self.becomes.get(number, lambda: None)()
        return [WriteResult(email_key=row.email_key, outcome="created") for row in rows]

    update_rows = create_rows

    def probe(self) -> tuple[bool, str]:
        return True, ""


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NUMBERED", json.dumps({"conn_type": "hubspot", "password": "a key"}))


def fail(error: LeadsApiError) -> Callable[[], None]:
    def raising() -> None:
        raise error

    return raising


def test_a_batch_that_was_left_alone_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch 1 has its thread, but not begun when batch 2 meets an error that ends the work."""

    class LateForOne(threading.Event):
        asked = 0

        def is_set(self) -> bool:
            if threading.current_thread().name.startswith("leads-write"):
                type(self).asked += 1
                if type(self).asked == 2:
                    self.wait(5)
            return super().is_set()

    class Threading:
        Event = LateForOne

    monkeypatch.setattr(writing_module, "threading", Threading)
    hook = NumberedHook({2: fail(LeadsAuthError("wrong key")), 1: lambda: None})
    settled = []
    with pytest.raises(LeadsAuthError):
        for one in hook.write_batches(hook.batched(rows_of(["create"] * 3))):
            settled.append(one)
    assert [(one.sent, [result.outcome for result in one.results]) for one in settled] == [
        (True, ["created"]),
        (False, []),
        (True, ["failed"]),
    ]


@pytest.mark.parametrize("number", range(12))
def test_an_error_that_meets_all_keeps_the_order_wherever_it_strikes(number: int) -> None:
    hook = NumberedHook({number: fail(LeadsAuthError("wrong key"))})
    settled = []
    with pytest.raises(LeadsAuthError):
        for one in hook.write_batches(hook.batched(rows_of(["create"] * 40))):
            settled.append(one)
    told = [(place, result.email_key) for place, one in enumerate(settled) for result in one.results]
    assert told == [(place, f"p{place}@x.example") for place, _ in told]
    assert [one.error is not None for one in settled].index(True) == number


def test_server_errors_in_a_row_end_it_and_what_is_known_needs_no_request() -> None:
    down = LeadsServerError("500", status=500)
    hook = NumberedHook({number: fail(down) for number in range(4, 40)})
    known = WriteResult(email_key="k@x.example", outcome="created")
    batches = [Batch("create", [], [known]), *hook.batched(rows_of(["create"] * 40))]
    settled = []
    with pytest.raises(LeadsServerError):
        for one in hook.write_batches(batches):
            settled.append(one)
    assert settled[0].results == [known]
    failures = [place for place, one in enumerate(settled) if one.error]
    assert failures[:3] == [5, 6, 7]


def test_a_reader_that_closes_leaves_no_request_under_way() -> None:
    workers = Workers(broken_work)
    hook = NumberedHook({number: lambda: workers(0) for number in range(40)})
    sent = hook.write_batches(hook.batched(rows_of(["create"] * 40)))
    next(sent)
    next(sent)
    sent.close()
    assert workers.active == 0
    assert_idle(workers)
