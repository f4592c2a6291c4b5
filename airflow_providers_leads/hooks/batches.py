"""Calls with any number of inputs, sent in chunks: each input ends in one place, and a bad one sinks no other."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from airflow_providers_leads.hooks.trouble import is_trouble
from airflow_providers_leads.hooks.writing import RECORD_ERRORS
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsPermissionError,
    LeadsRateLimitError,
)
from airflow_providers_leads.http.problems import reason_of
from airflow_providers_leads.leads.model.outcomes import BatchResult, Failed, merge_batches

T = TypeVar("T")

Chunk = list[tuple[int, Any]]
"""Inputs with their positions in the whole call."""

NOT_ATTEMPTED = "NOT_ATTEMPTED"
UNACCOUNTED = "UNACCOUNTED"
# Refused one by one, this many inputs without a single success mean that the call itself is at fault, not an input.
_LONE_REFUSALS = 3


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to ``size`` items, in order."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def failed_input(index: int, item: Any, error: LeadsApiError, *, alone: bool = True) -> Failed:
    """Return the failure of an input whose request ended in an error.

    :param alone: no other input was in the request, so that its refusal is this input's
    """
    return Failed(
        index=index,
        input=item,
        category=error.category or type(error).__name__,
        reason=reason_of(error.codes, error.words, error.cure) if error.words else str(error),
        request_id=error.request_id,
        existing_id=error.existing_id,
        ambiguous=error.ambiguous,
        refused=alone and isinstance(error, RECORD_ERRORS) and not error.ambiguous and not is_trouble(error),
    )


def run_chunks(
    inputs: Sequence[Any],
    size: int,
    send: Callable[[Chunk], BatchResult],
    key: Callable[[Any], str | None] = lambda item: None,
    pause: Callable[[int], bool] = lambda attempt: False,
) -> tuple[BatchResult, LeadsApiError | None]:
    """Send inputs in chunks and return what became of each, with the error that ended the work early, if one did.

    A chunk that is refused as a whole took no effect, so its halves are sent by themselves until the bad input stands
    alone. An error that would meet every further request ends the work: the rest is ``NOT_ATTEMPTED``. Inputs whose
    failure is ``passing`` are sent again.

    :param inputs: all inputs of the call
    :param size: most inputs per request
    :param send: sends one chunk, returns its result with the chunk's indices, or raises when the request failed as a
        whole
    :param key: inputs of the same key never share a request, and are sent in their order; ``None`` is no key
    :param pause: (attempt) waits before such inputs are sent again, and tells whether they are; default: they aren't
    """
    everything = list(enumerate(inputs))
    result, stopped = _run(everything, size, send, key)
    attempt = 1
    while not stopped and (again := [f.index for f in result.failed if f.passing]):
        if not pause(attempt):
            break
        attempt += 1
        kept = [f for f in result.failed if not f.passing]
        second, stopped = _run([everything[index] for index in again], size, send, key)
        result = merge_batches([BatchResult(succeeded=result.succeeded, failed=kept), second])
    return result, stopped


def _run(
    inputs: Chunk, size: int, send: Callable[[Chunk], BatchResult], key: Callable[[Any], str | None]
) -> tuple[BatchResult, LeadsApiError | None]:
    waiting: deque[Chunk] = deque(c for wave in _waves(inputs, key) for c in chunked(wave, size))
    parts: list[BatchResult] = []
    doubtful: list[tuple[Chunk, LeadsApiError]] = []
    successes = refusals = 0
    stopped: LeadsApiError | None = None
    while waiting and not stopped:
        chunk = waiting.popleft()
        try:
            part = send(chunk)
        except RECORD_ERRORS as error:
            if len(chunk) > 1 and not error.ambiguous:
                if successes or refusals < _LONE_REFUSALS:
                    waiting.extendleft(_halves(chunk)[::-1])
                else:
                    doubtful.append((chunk, error))
                continue
            part = _all_failed(chunk, error)
        except LeadsApiError as error:
            stopped = error
            part = _all_failed(chunk, error)
        parts.append(part)
        if part.succeeded and not successes:
            # The call as such is good after all.
            waiting.extend(half for held, _ in doubtful for half in _halves(held))
            doubtful.clear()
        successes += len(part.succeeded)
        refusals += len(chunk) == 1 and any(failure.refused for failure in part.failed)
    parts += [_all_failed(chunk, error) for chunk, error in doubtful]
    parts += [_not_attempted(chunk, stopped) for chunk in waiting if stopped]
    return merge_batches(parts), stopped


def run_batch(
    inputs: Sequence[Any],
    size: int,
    send: Callable[[Chunk], BatchResult],
    pause: Callable[[int], bool] = lambda attempt: False,
) -> BatchResult:
    """Send inputs in chunks and return what became of each; parameters as for :func:`run_chunks`.

    :raises LeadsAuthError, LeadsPermissionError: when nothing went through at all and the key is the reason
    """
    return unless_the_key_is_at_fault(*run_chunks(inputs, size, send, pause=pause))


def unless_the_key_is_at_fault(result: BatchResult, error: LeadsApiError | None) -> BatchResult:
    """Return what :func:`run_chunks` found, with what ended it early.

    :raises LeadsAuthError, LeadsPermissionError: when nothing went through at all and the key is the reason
    """
    if isinstance(error, (LeadsAuthError, LeadsPermissionError)) and not result.succeeded:
        raise error
    if error is not None:
        result.ended_by = str(error)
        result.retry_after = error.retry_after if isinstance(error, LeadsRateLimitError) else None
    return result


def _waves(inputs: Chunk, key: Callable[[Any], str | None]) -> Iterator[Chunk]:
    waves: list[Chunk] = [[]]
    met: Counter[str] = Counter()
    for index, item in inputs:
        name = key(item)
        turn = 0 if name is None else met[name]
        if name is not None:
            met[name] += 1
        if turn == len(waves):
            waves.append([])
        waves[turn].append((index, item))
    yield from waves


def _halves(chunk: Chunk) -> list[Chunk]:
    middle = (len(chunk) + 1) // 2
    return [chunk[:middle], chunk[middle:]]


def _all_failed(chunk: Chunk, error: LeadsApiError) -> BatchResult:
    alone = len(chunk) == 1
    return BatchResult(failed=[failed_input(index, item, error, alone=alone) for index, item in chunk])


def _not_attempted(chunk: Chunk, error: LeadsApiError) -> BatchResult:
    reason = f"not sent, because an earlier request failed: {error}"
    return BatchResult(
        failed=[Failed(index=index, input=item, category=NOT_ATTEMPTED, reason=reason) for index, item in chunk]
    )
