"""Batches of writes that run side by side and are settled in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult

T = TypeVar("T")
R = TypeVar("R")

PASSED: Final = "passed"
"""Action of a batch whose rows need no request."""
_PASSED_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of a plan that share one request, where the API takes several.

    :param action: ``create``, ``update`` or :data:`PASSED`
    :param rows: the rows
    :param known: what is known of further rows of the batch already, without a request
    """

    action: str
    rows: list[PlanRow]
    known: list[WriteResult] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch.

    :param results: one per row, in any order
    :param error: why some of them were not written; what it means for the batches to come is the hook's to say
    :param sent: false: it was left alone, because the work ended before its turn; there are no results
    """

    results: list[WriteResult]
    error: LeadsApiError | None = None
    sent: bool = True


def batched(rows: Iterable[PlanRow], sizes: Mapping[str, int]) -> Iterator[Batch]:
    """Yield rows gathered into batches: the same rows in the same order always make the same batches.

    :param rows: a plan
    :param sizes: rows per batch by action; rows of other actions are passed on
    """
    waiting: dict[str, list[PlanRow]] = {PASSED: [], **{action: [] for action in sizes}}
    for row in rows:
        kind: str = row.action if row.action in sizes else PASSED
        waiting[kind].append(row)
        if len(waiting[kind]) >= sizes.get(kind, _PASSED_ROWS):
            yield Batch(kind, waiting[kind])
            waiting[kind] = []
    for action, rest in waiting.items():
        if rest:
            yield Batch(action, rest)


def side_by_side(
    items: Iterable[T], work: Callable[[T], R], threads: int, stop: threading.Event, failed: Callable[[R], bool]
) -> Iterator[R]:
    """Yield the results of work in the order of the items.

    The first item is worked on alone, and so is the one after a failure: what would fail for all shall fail once. When
    this generator ends, no work goes on behind its back.

    :param items: taken as work can begin, in the caller's thread
    :param work: done in threads
    :param threads: how many
    :param stop: set it, and no further item is taken
    :param failed: tells whether a result is a failure
    """
    waiting: deque[Future[R]] = deque()
    # Somewhat more than can run, so that no thread waits for a slow one whose turn it is.
    ahead = 2 * threads if threads > 1 else 1
    pool = ThreadPoolExecutor(threads, thread_name_prefix="leads-write")
    try:
        alone = True
        for item in items:
            if stop.is_set():
                break
            waiting.append(pool.submit(work, item))
            while waiting and (alone or len(waiting) >= ahead):
                result = waiting.popleft().result()
                alone = failed(result)
                yield result
        while waiting:
            yield waiting.popleft().result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
