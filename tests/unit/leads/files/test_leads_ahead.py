"""Rows are read ahead in order, errors arrive in their turn, and whoever stops early is not kept waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.leads.files.ahead import read_ahead


def reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "leads-read"]


def wait_until_none_reads() -> None:
    for thread in reading_threads():
        thread.join(5)
    assert reading_threads() == []


@given(count=st.integers(0, 60), size=st.integers(1, 9))
def test_every_row_comes_once_and_in_order(count: int, size: int) -> None:
    lists = list(read_ahead(iter(range(count)), size))
    assert [row for rows in lists for row in rows] == [*range(count)]
    assert all(len(rows) == size for rows in lists[:-1])
    assert all(lists)


def test_rows_that_come_slowly_are_not_held_until_there_are_many() -> None:
    def rows() -> Iterator[int]:
        for number in range(12):
            time.sleep(0.02)
            yield number

    lists = list(read_ahead(rows(), 100, seconds=0.05))
    assert [row for part in lists for row in part] == [*range(12)]
    assert len(lists) > 2
    wait_until_none_reads()


def test_few_rows_start_no_thread() -> None:
    makers = []

    def rows() -> Iterator[int]:
        for number in range(9):
            makers.append(threading.current_thread())
            yield number

    assert list(read_ahead(rows(), 10)) == [[*range(9)]]
    assert set(makers) == {threading.current_thread()}


def test_the_next_rows_are_made_while_the_caller_uses_the_last() -> None:
    made = threading.Event()

    def rows() -> Iterator[int]:
        yield from range(2)
        made.set()
        yield from range(2, 4)

    lists = read_ahead(rows(), 2)
    assert next(lists) == [0, 1]
    assert made.wait(5)
    assert next(lists) == [2, 3]
    assert list(lists) == []


def test_no_more_than_a_few_lists_wait() -> None:
    made = 0

    def rows() -> Iterator[int]:
        nonlocal made
        for number in range(1_000):
            made += 1
            yield number

    lists = read_ahead(rows(), 10)
    next(lists)
    next(lists)
    time.sleep(0.05)
    # One that the caller has, two that wait, one that waits for room, and the first.
    assert made <= 50
    lists.close()
    wait_until_none_reads()


@pytest.mark.parametrize("good", [0, 1, 5, 20, 25])
def test_an_error_of_the_rows_is_the_callers(good: int) -> None:
    def rows() -> Iterator[int]:
        yield from range(good)
        raise LookupError("the list ended")

    found: list[int] = []
    with pytest.raises(LookupError, match="the list ended"):
        for part in read_ahead(rows(), 10):
            found += part
    assert found == [*range(good // 10 * 10)]
    wait_until_none_reads()


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_whoever_stops_early_leaves_no_thread_behind(taken: int) -> None:
    lists = read_ahead(iter(range(10_000)), 10)
    for _ in range(taken):
        next(lists)
    lists.close()
    wait_until_none_reads()


def test_stopping_does_not_wait_for_a_slow_row() -> None:
    release = threading.Event()

    def rows() -> Iterator[int]:
        yield from range(10)
        release.wait(30)
        yield 10

    lists = read_ahead(rows(), 10)
    next(lists)
    started = time.monotonic()
    lists.close()
    assert time.monotonic() - started < 5
    release.set()
    wait_until_none_reads()


def test_the_callers_context_goes_along() -> None:
    task: ContextVar[str] = ContextVar("task", default="none")
    task.set("extract")

    def rows() -> Iterator[str]:
        for _ in range(30):
            yield task.get()

    assert {row for rows in read_ahead(rows(), 10) for row in rows} == {"extract"}
