"""Batches of writes that run side by side and are settled in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from airflow_providers_leads.hooks.trouble import is_trouble
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsConflictError,
    LeadsNotFoundError,
    LeadsServerError,
    LeadsValidationError,
)
from airflow_providers_leads.http.problems import reason_of
from airflow_providers_leads.leads.model.outcomes import Outcome, PlanRow, WriteResult
from airflow_providers_leads.leads.plan.mapped import by_place, left_out_of
from airflow_providers_leads.leads.plan.property_types import value_text

T = TypeVar("T")
R = TypeVar("R")

PASSED: Final = "passed"
"""Action of a batch whose rows need no request."""
_PASSED_ROWS: Final = 1_000
RECORD_ERRORS: Final = (LeadsValidationError, LeadsConflictError, LeadsNotFoundError)
"""Errors that concern the records of one request; any other would meet the next request as well."""
_SERVER_ERRORS_IN_A_ROW: Final = 3

Write = Callable[[list[PlanRow]], Iterable[WriteResult]]
"""Sends one batch and gives a result per row."""


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


def write_side_by_side(
    batches: Iterable[Batch],
    writers: Mapping[str, Write],
    *,
    prepare: Callable[[], None],
    threads: Callable[[], int],
) -> Generator[Settled, None, None]:
    """Write batches side by side and yield what became of each, in their order.

    An error that would meet every further request ends the work, and so do three failures of the server in a row.

    :param batches: taken one by one, as they can be sent
    :param writers: what sends a batch, by its action
    :param prepare: called before the first batch is taken
    :param threads: tells, after that, how many batches may be under way
    :raises LeadsApiError: the error that ended the work, after what was settled
    """
    prepare()
    stop = threading.Event()
    fatal: LeadsApiError | None = None
    server_errors = 0

    def work(batch: Batch) -> Settled:
        if stop.is_set():
            return Settled([], sent=False)
        settled = _settle(batch, writers)
        if meets_all(settled.error):
            stop.set()
        return settled

    for settled in side_by_side(batches, work, threads(), stop, _stumbled):
        server_errors = server_errors + 1 if isinstance(settled.error, LeadsServerError) else 0
        if fatal is None and (meets_all(settled.error) or server_errors >= _SERVER_ERRORS_IN_A_ROW):
            fatal = settled.error
            stop.set()
        # Also what was not sent: a thread may have begun the batch after it a moment earlier, and whoever counts
        # batches must not take the one for the other.
        yield settled
    if fatal is not None:
        raise fatal


def _settle(batch: Batch, writers: Mapping[str, Write]) -> Settled:
    results = list(batch.known)
    if batch.action == PASSED:
        return Settled([*results, *map(_passed, batch.rows)])
    settled: set[str] = set()
    unwritten = {row.email_key: left_out_of(row.reason) for row in batch.rows if row.reason}
    error: LeadsApiError | None = None
    try:
        for result in writers[batch.action](batch.rows) if batch.rows else ():
            settled.add(result.email_key)
            if left_out := unwritten.get(result.email_key):
                result.reason = "; ".join(filter(None, (result.reason, left_out)))
            results.append(result)
    except LeadsApiError as raised:
        error = raised
        results.extend(failed_result(row, raised) for row in batch.rows if row.email_key not in settled)
    return Settled(results, error)


def meets_all(error: LeadsApiError | None) -> bool:
    """Tell whether an error would meet every further request as well."""
    return error is not None and not isinstance(error, (*RECORD_ERRORS, LeadsServerError))


def _stumbled(settled: Settled) -> bool:
    return settled.error is not None


def _passed(row: PlanRow) -> WriteResult:
    outcome: Outcome = "suppressed" if row.action == "suppress" else "unchanged"
    return WriteResult(email_key=row.email_key, outcome=outcome, target_id=row.target_id, reason=row.reason)


def stored_otherwise(row: PlanRow, held: Mapping[str, Any]) -> dict[str, str]:
    """Return what a CRM says that it holds after a write, where that is not what was written; empty for nothing.

    :param row: what was written
    :param held: lead field, or ``properties.`` + the CRM's own → value as the answer has it; it says nothing of others
    """
    written = by_place(row.values, row.properties)
    said = {name: value_text(held[name]) or "" for name in written if name in held}
    return {name: value for name, value in said.items() if value.split() != written[name].split()}


def failed_result(row: PlanRow, error: LeadsApiError) -> WriteResult:
    """Return the result of a row whose request ended in an error."""
    reason = reason_of((error.category or type(error).__name__, *error.codes), error.words, error.cure)
    return WriteResult(
        email_key=row.email_key,
        outcome="ambiguous" if error.ambiguous else "failed",
        target_id=row.target_id,
        reason=reason,
        request_id=error.request_id,
        refused=isinstance(error, RECORD_ERRORS) and not error.ambiguous and not is_trouble(error),
    )
