"""HubSpot's batch calls, accounted for input by input.

HubSpot answers 207 with part of the records, names failures by trace id or by record id, gives results in any order,
and leaves out some inputs altogether; whatever the form, every input ends in exactly one place here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from airflow_providers_leads.hooks.batches import UNACCOUNTED, Chunk, run_chunks
from airflow_providers_leads.hooks.hubspot.wire import context_values, read_problem
from airflow_providers_leads.hooks.trouble import trouble
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.model.outcomes import BatchResult, Failed, Succeeded, merge_batches
from airflow_providers_leads.leads.model.schema import moment

SIZE: Final = 100
HISTORY_SIZE: Final = 50
NOT_FOUND: Final = "OBJECT_NOT_FOUND"
# How far HubSpot's clock and ours may be apart when we ask whether a record is the one we have just made.
_CLOCK_SKEW: Final = 300.0
_CONFLICTS: Final = frozenset({"CONFLICT", "OBJECT_ALREADY_EXISTS", "LeadsConflictError"})

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One input of a batch call.

    :param index: position in the call
    :param input: what the caller gave
    :param key: what HubSpot knows the record by: record id, address or unique value; ``None`` when it has none yet
    :param wire: what is sent
    """

    index: int
    input: Any
    key: str | None
    wire: Record


@dataclass(frozen=True, slots=True)
class Action:
    """What sets one batch call apart from another.

    :param send: sends up to ``size`` inputs in one call
    :param keys_of: the keys by which a result record may have been asked for
    :param size: inputs per request
    :param writes: an input that the answer doesn't mention may have taken effect
    :param silent: success has no results, as with archive
    :param again_on_conflict: a conflict may come from another process doing the same; a second try settles it
    :param idempotent: an input whose fate is unclear may be sent again
    :param pause: (attempt) waits before inputs that met HubSpot's own trouble are sent again, tells whether they are
    """

    send: Callable[[list[Item]], Answer]
    keys_of: Callable[[Mapping[str, Any]], Iterable[str]]
    size: int = SIZE
    writes: bool = True
    silent: bool = False
    again_on_conflict: bool = False
    idempotent: bool = True
    pause: Callable[[int], bool] = lambda attempt: False


def traced(items: Iterable[Item]) -> list[Record]:
    """Return the inputs of a write, each with a trace id: without them one bad record sinks the whole call."""
    return [{**item.wire, "objectWriteTraceId": str(item.index)} for item in items]


def run(items: Sequence[Item], action: Action) -> tuple[BatchResult, LeadsApiError | None]:
    """Send a batch of any size and account for every input.

    :param items: the inputs
    :param action: the call
    :return: the outcome, and the error that ended the work early
    """

    def send(chunk: Chunk) -> BatchResult:
        sent, place = [item for _, item in chunk], {item.index: index for index, item in chunk}
        part = settle(sent, action.send(sent), action)
        settled: list[Any] = [*part.succeeded, *part.failed]
        for entry in settled:
            entry.index = place[entry.index]
        return part

    # HubSpot refuses a call that names a record twice, even with trace ids.
    result, stopped = run_chunks(items, action.size, send, key=lambda item: item.key, pause=action.pause)
    if action.again_on_conflict and not stopped:
        clashes = [f.input for f in result.failed if _clashed(f)]
        second, stopped = run_chunks(clashes, action.size, send, key=lambda item: item.key, pause=action.pause)
        kept = [f for f in result.failed if not _clashed(f)]
        result = merge_batches([BatchResult(succeeded=result.succeeded, failed=kept), second])
    entries: list[Any] = [*result.succeeded, *result.failed]
    for entry in entries:
        entry.index, entry.input = entry.input.index, entry.input.input
    return merge_batches([result]), stopped


def _clashed(failed: Failed) -> bool:
    return failed.category in _CONFLICTS and not failed.ambiguous


def settle(items: Sequence[Item], answer: Answer, action: Action) -> BatchResult:
    """Return the outcome of one call that was answered with a success status; its inputs are the items.

    :param items: what was sent
    :param answer: what came back, complete or not
    :param action: the call
    """
    body = answer.body if isinstance(answer.body, dict) else {}
    waiting = {item.index: item for item in items}
    failed, unnamed = _failures(items, waiting, body, answer.headers, action)
    succeeded, strangers = _matches(items, waiting, body, action)
    if waiting and not unnamed:
        if action.silent and not body.get("numErrors") and body.get("status") != "CANCELED":
            succeeded += [_taken(item, {}) for item in waiting.values()]
            waiting.clear()
        elif len(strangers) == len(waiting) and (action.writes or len(waiting) == 1):
            # As many results as inputs are left, so all were taken; only a single pair is known to belong together.
            records = strangers if len(strangers) == 1 else [{} for _ in strangers]
            succeeded += [_taken(item, record) for item, record in zip(waiting.values(), records, strict=True)]
            waiting.clear()
    if answer.unclear_since is not None:
        for done in succeeded:
            # Of a request that was repeated the first answer may have called it new: so it would be, had not somebody
            # else made it a moment before.
            if done.new is False and made_since(done.record or {}, answer.unclear_since):
                done.new = None
    # Errors of one kind that name nobody explain those whom nothing else mentions.
    cause = unnamed[0] if len({f.category for f in unnamed}) == 1 else None
    unclear = action.writes and len(waiting) > len(unnamed)
    failed += [
        Failed(
            index=item.index,
            input=item,
            category=(cause.category if cause else None) or UNACCOUNTED,
            reason=cause.reason if cause else "the answer mentions this input nowhere",
            request_id=read_problem(answer.headers, body).request_id,
            ambiguous=unclear or (cause is not None and cause.ambiguous),
            refused=cause is not None and cause.refused and not unclear,
            passing=cause is not None and cause.passing,
        )
        for item in waiting.values()
    ]
    return BatchResult(succeeded=succeeded, failed=failed)


def _failures(
    items: Sequence[Item], waiting: dict[int, Item], body: Record, headers: Mapping[str, str], action: Action
) -> tuple[list[Failed], list[Failed]]:
    """Take the failed inputs out of ``waiting``; the second list holds errors that name no input."""
    by_trace = {str(item.index): item for item in items}
    by_key = {item.key.lower(): item for item in items if item.key is not None}
    failed: list[Failed] = []
    unnamed: list[Failed] = []
    for entry in _mappings(body.get("errors")):
        problem = read_problem(headers, {"correlationId": body.get("correlationId"), **entry})
        named = []
        for scope in (entry, *_mappings(entry.get("errors"))):
            named += [by_trace.get(trace) for trace in context_values(scope, "objectWriteTraceId")]
            named += [by_key.get(key.strip().lower()) for key in context_values(scope, "ids", "id")]
        hit = {item.index: item for item in named if item is not None}
        own = trouble(problem.category, problem.codes, problem.words)
        for item in hit.values() or (None,):
            failure = Failed(
                index=item.index if item else -1,
                input=item,
                category=problem.category or next(iter(problem.codes), None),
                reason=problem.reason,
                request_id=problem.request_id,
                existing_id=problem.existing_id,
                ambiguous=own == "unclear" and not action.idempotent,
                refused=own is None,
                passing=own == "not_done" or (own == "unclear" and action.idempotent),
            )
            if item is None:
                unnamed.append(failure)
            elif waiting.pop(item.index, None):
                failed.append(failure)
    return failed, unnamed


def _matches(
    items: Sequence[Item], waiting: dict[int, Item], body: Record, action: Action
) -> tuple[list[Succeeded], list[Record]]:
    """Take the inputs that have a result out of ``waiting``; the second list holds results that belong to none."""
    by_trace = {str(item.index): item for item in items}
    by_key = {item.key: item for item in items if item.key is not None}
    succeeded: list[Succeeded] = []
    strangers: list[Record] = []
    for record in _mappings(body.get("results")):
        echoed = by_trace.get(str(record.get("objectWriteTraceId")))
        named = [echoed] if echoed else [by_key[key] for key in action.keys_of(record) if key in by_key]
        succeeded += [_taken(item, record) for item in named if waiting.pop(item.index, None)]
        if not named:
            strangers.append(record)
    return succeeded, strangers


def _mappings(value: object) -> list[Record]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def made_since(record: Record, since: float) -> bool:
    """Tell whether a record may be the one that a request of ours has made.

    :param record: as HubSpot gives it
    :param since: epoch seconds at which the request was sent
    """
    made = moment(record.get("createdAt"))
    return made is not None and made.timestamp() >= since - _CLOCK_SKEW


def _taken(item: Item, record: Record) -> Succeeded:
    record_id, new = record.get("id"), record.get("new")
    return Succeeded(
        index=item.index,
        input=item,
        id=None if record_id is None else str(record_id),
        record=record or None,
        new=new if isinstance(new, bool) else None,
    )
