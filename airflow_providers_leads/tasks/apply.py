"""A plan file into a CRM, so that a try that was killed anywhere is taken up by the next."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from airflow_providers_leads.hooks.base import meets_all
from airflow_providers_leads.hooks.telemetry import count_rows
from airflow_providers_leads.hooks.writing import Batch, Settled
from airflow_providers_leads.http.errors import LeadsApiError, LeadsServerError
from airflow_providers_leads.leads.files.parts import Parts
from airflow_providers_leads.leads.files.places import remove
from airflow_providers_leads.leads.files.plan_facts import plan_metadata
from airflow_providers_leads.leads.files.provenance import accounts_metadata
from airflow_providers_leads.leads.files.staging import (
    StagingError,
    check_parquet,
    digest,
    footer_of,
    read_rows,
    write_rows,
)
from airflow_providers_leads.leads.model.outcomes import OUTCOMES, PlanRow, WriteResult
from airflow_providers_leads.leads.plan.ledger import QUARANTINED, Ledger
from airflow_providers_leads.leads.plan.mapped import by_place
from airflow_providers_leads.leads.plan.property_types import PropertyTypes
from airflow_providers_leads.tasks.ledgers import by_ledger, keep_ledger
from airflow_providers_leads.tasks.paths import storage_path
from airflow_providers_leads.tasks.progress import Progress, phase
from airflow_providers_leads.tasks.returns import LeadsWriteError, check_failures

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.model.schema import Lead
    from airflow_providers_leads.tasks.checkpoint import Checkpoint
    from airflow_providers_leads.tasks.existing import Objections

# What is settled is made durable this often: so much can be in doubt after a kill.
_DURABLE_SECONDS: Final = 5.0
_DURABLE_ROWS: Final = 10_000
_UNWRITTEN: Final = ("failed", "ambiguous")
FOUND_AGAIN: Final = "found after an interrupted try"


def apply_plan(
    hook: LeadsHook,
    plan: str,
    results: str,
    options: Mapping[str, Any],
    tolerated: float | None,
    *,
    checkpoint: Checkpoint,
    log: Any,
    ledger: Ledger | None = None,
    objections: Objections | None = None,
) -> dict[str, Any]:
    """Write a plan file to its CRM and return the counts of outcomes.

    :param hook: of the destination
    :param plan: URI of the plan file
    :param results: URI of the results file
    :param options: write options
    :param tolerated: failures that don't fail the task: a number, a share below 1, ``None`` for any number
    :param checkpoint: of the task
    :param log: the task's logger
    :param ledger: rows that the CRM refused before
    :param objections: what stands against writing to people by now, ``None`` where the plan says so
    :raises LeadsApiError: when the CRM can't be written at all; what was settled is in ``results``
    :raises LeadsWriteError: when too many rows failed
    """
    work = _Work(hook, plan, results, checkpoint, log)
    batches = work.remaining(hook.batched(read_rows(storage_path(plan), PlanRow)), options)
    if objections is not None:
        batches = (_without_objecting(batch, objections) for batch in batches)
    if ledger is not None:
        batches = (by_ledger(batch, ledger) for batch in batches)
        # All tries of a task are one run: a refusal that two of them write down is one.
        if at := checkpoint.state.get("planned_at"):
            ledger.now = datetime.fromisoformat(at)
    fatal: LeadsApiError | None = None
    try:
        # Closed also when settling fails, or what is under way would go on behind the back of the next try.
        with (
            phase(log, f"Write to {hook.conn_id}"),
            closing(hook.write_batches(work.claimed(batches), **options)) as sent,
        ):
            for settled in sent:
                work.settle(settled)
    except LeadsApiError as error:
        # What was settled before is written down first.
        fatal = error
    work.finish(complete=fatal is None)
    if fatal is not None:
        log.error(
            "%s: stopped after %d of %d leads; their outcomes: %s. A retry goes on from there.",
            hook.conn_id, work.done, work.total, results,
        )  # fmt: skip
        raise fatal
    outcomes, reasons = _tally(work.parts.counts("outcome", "reason"))
    count_rows(hook.conn_type, outcomes)
    if ledger is not None:
        keep_ledger(ledger, plan, work.parts)
    log.info("%s: %s", hook.conn_id, ", ".join(f"{outcome} {number}" for outcome, number in outcomes.items()))
    quarantined = sum(number for reason, number in reasons.items() if _is_quarantine(reason))
    if quarantined:
        log.warning(
            "%s: %d leads were refused again and again and are left alone until they change; each stands in %s",
            hook.conn_id, quarantined, results,
        )  # fmt: skip
    failed = outcomes["failed"] + outcomes["ambiguous"] - quarantined
    if failed:
        told = Counter({reason: number for reason, number in reasons.items() if not _is_quarantine(reason)})
        worst = "; ".join(f"{reason} ({number})" for reason, number in told.most_common(5))
        message = f"{hook.label}: {failed} of {work.total} leads were not written: {worst}. Each stands in {results}."
        try:
            check_failures(failed, work.total, tolerated, message, log)
        except LeadsWriteError:
            work.leave_for_retry()
            raise
    work.forget()
    quota = {"quota": hook.day_quota} if hook.day_quota else {}
    return {"results": results, "conn_id": hook.conn_id, **outcomes, "quarantined": quarantined, **quota}


class _Work:
    """How far a plan is applied: batches are settled in their order, and a few after the last settled one are claimed.

    A batch that is claimed but not settled when the worker is killed may have been written or not.
    """

    def __init__(self, hook: LeadsHook, plan: str, results: str, checkpoint: Checkpoint, log: Any) -> None:
        planned = footer_of(storage_path(plan))
        self.total = planned.rows
        self.done = self.settled = self.started = 0
        metadata = accounts_metadata({hook.conn_id: [hook.known_account]}) | plan_metadata(planned)
        self.parts: Parts[WriteResult] = Parts(storage_path(results), WriteResult, checkpoint.owner, metadata=metadata)
        self._hook, self._checkpoint, self._log = hook, checkpoint, log
        self._plan, self._results = digest(storage_path(plan)), results
        self._earlier = f"{results}.{checkpoint.owner}.earlier.parquet"
        self._ahead = _batches_in(hook, _DURABLE_SECONDS)
        self._waiting: list[WriteResult] = []
        self._waiting_batches = 0
        self._held: list[list[WriteResult]] = []
        self._stuck = False
        self._durable = time.monotonic()
        self._progress = self._progress_from(0)

    def remaining(self, batches: Iterator[Batch], options: Mapping[str, Any]) -> Iterator[Batch]:
        """Return the batches that are not settled yet; those in doubt have what is found of them marked as known."""
        state = self._checkpoint.state
        if state.get("digest") != self._plan:
            return batches
        if state.get("failed"):
            batches = self._failed(batches, options)
        self.parts.count = int(state["parts"])
        if not self.parts.complete():
            self._log.warning("%s: parts of the results are gone, applying from the start", self._hook.conn_id)
            self.parts.count = 0
            state = {**state, "settled": 0, "done": 0}
        self.settled, self.started = int(state["settled"]), int(state["started"])
        self.done = int(state["done"])
        self._progress = self._progress_from(self.done)
        for _ in islice(batches, self.settled):
            pass
        if self.started:
            self._log.info(
                "%s: going on after %d of %d leads; the interrupted try may have written some of the next %d batches",
                self._hook.conn_id, self.done, self.total, self.started - self.settled,
            )  # fmt: skip
        if not self.started:
            return batches
        doubtful = islice(batches, self.started - self.settled)
        return chain(_looked_up(self._hook, doubtful, options), batches)

    def _failed(self, batches: Iterator[Batch], options: Mapping[str, Any]) -> Iterator[Batch]:
        """Yield batches of which only those rows are to be sent that failed in an earlier try, all else as it ended."""
        earlier = storage_path(self._earlier)
        try:
            check_parquet(earlier, WriteResult.__struct_fields__)
        except StagingError:
            self._log.warning("%s: the results of an earlier try are gone: looking up all of it", self._hook.conn_id)
            yield from _looked_up(self._hook, batches, options)
            return
        ended = iter(read_rows(earlier, WriteResult))
        for batch in batches:
            # Results stand in the order of the batches; within one of them in any.
            results = {result.email_key: result for result in islice(ended, len(batch.rows) + len(batch.known))}
            again = {key for key, result in results.items() if result.outcome in _UNWRITTEN}
            known = [result for key, result in results.items() if key not in again]
            left = Batch(batch.action, [row for row in batch.rows if row.email_key in again], known)
            if any(results[row.email_key].outcome == "ambiguous" for row in left.rows):
                (left,) = _looked_up(self._hook, iter([left]), options)
            yield left

    def leave_for_retry(self) -> None:
        """Let a retry send what failed, and nothing else, however often it is tried."""
        write_rows(storage_path(self._earlier), WriteResult, self.parts)
        self.parts.discard()
        self.settled = self.started = self.done = 0
        self._checkpoint.note(failed=True)
        self._save()

    def forget(self) -> None:
        """Remove what only a retry needs."""
        self._checkpoint.clear()
        self.parts.discard()
        remove(storage_path(self._earlier))

    def claimed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield batches, each noted as begun before it can be."""
        for number, batch in enumerate(batches, start=self.settled):
            if number >= self.started:
                self.started = number + self._ahead
                self._save()
            yield batch

    def settle(self, settled: Settled) -> None:
        """Take the results of the next batch."""
        self.done += len(settled.results)
        self._stuck = self._stuck or not settled.sent or meets_all(settled.error)
        self._held.append(settled.results)
        # A batch that got no answer is settled as failed once a later one gets through: the trouble was its own.
        if not self._stuck and not isinstance(settled.error, LeadsServerError):
            self._release()
        now = time.monotonic()
        if now - self._durable >= _DURABLE_SECONDS or len(self._waiting) >= _DURABLE_ROWS:
            self._make_durable()
        self._progress.at(self.done)

    def finish(self, *, complete: bool) -> None:
        """Write the results file; of an incomplete apply a retry goes on after the last settled batch."""
        if complete:
            self._release()
        self._make_durable()
        self.parts.assemble(chain.from_iterable(self._held))

    def _progress_from(self, done: int) -> Progress:
        return Progress(self._log, f"{self._hook.conn_id}: settled", total=self.total, done=done)

    def _release(self) -> None:
        for results in self._held:
            self._waiting.extend(results)
        self._waiting_batches += len(self._held)
        self._held.clear()

    def _make_durable(self) -> None:
        self._durable = time.monotonic()
        if not self._waiting_batches:
            return
        self.parts.append(self._waiting)
        self.settled += self._waiting_batches
        self._waiting, self._waiting_batches = [], 0
        self._save()

    def _save(self) -> None:
        unsettled = len(self._waiting) + sum(map(len, self._held))
        self._checkpoint.note(
            digest=self._plan,
            settled=self.settled,
            started=self.started,
            parts=self.parts.count,
            done=self.done - unsettled,
            total=self.total,
        )


def _batches_in(hook: LeadsHook, seconds: float) -> int:
    """Return how many batches are sent in some seconds at most, and at least as many as run side by side."""
    limiter = hook.client.limiters.get("default")
    return max(4 * hook.write_threads, int(limiter.limit / limiter.period * seconds) if limiter else 0)


def _looked_up(hook: LeadsHook, batches: Iterator[Batch], options: Mapping[str, Any]) -> Iterator[Batch]:
    """Yield batches of an interrupted try; what took effect is known as written, and not sent again.

    An update writes the same values once more, which does nothing, unless it would start automations again.
    """
    actions, types = ("create",) if hook.repeats_quietly(**options) else ("create", "update"), hook.property_types()
    while window := _rows_of(batches, _DURABLE_ROWS):
        doubtful = [row for batch in window if batch.action in actions for row in batch.rows]
        found = _find(hook, doubtful, options)
        for batch in window:
            yield _without_found(batch, found, types) if batch.action in actions else batch


def _rows_of(batches: Iterator[Batch], rows: int) -> list[Batch]:
    """Take batches of so many rows together."""
    taken: list[Batch] = []
    while rows > 0 and (batch := next(batches, None)):
        taken.append(batch)
        rows -= len(batch.rows)
    return taken


def _find(hook: LeadsHook, rows: list[PlanRow], options: Mapping[str, Any]) -> dict[str, list[Lead]]:
    """Return what the destination holds of the people in some rows, by address."""
    wanted = {row.email_key for row in rows}
    if not wanted:
        return {}
    target = hook.target_scope(**options)
    scope = {} if target is None else hook.parts.to_read([target])
    if "properties" in hook.scope_keys and (names := sorted({name for row in rows for name in row.properties})):
        scope["properties"] = names
    few = len(wanted) <= hook.lookup_rows
    found: dict[str, list[Lead]] = {}
    for lead in hook.find_leads(sorted(wanted), **scope) if few else hook.iter_leads(**scope):
        if lead.email_key in wanted:
            found.setdefault(lead.email_key, []).append(lead)
    return found


def _without_found(batch: Batch, found: Mapping[str, list[Lead]], types: PropertyTypes) -> Batch:
    """Return a batch of which those writes are known as done that stand in the destination in full."""
    rows, known = [], list(batch.known)
    for row in batch.rows:
        of_person = found.get(row.email_key, ())
        same = [lead for lead in of_person if batch.action == "create" or lead.source_id == row.target_id]
        # With other values it may be somebody else's record: the CRM's own create sorts that out.
        there = next((lead for lead in same if _holds(lead, row, types)), None)
        if there is None:
            rows.append(_left_to_write(row, same, types))
            continue
        known.append(
            WriteResult(
                email_key=row.email_key,
                outcome="created" if batch.action == "create" else "updated",
                target_id=there.source_id,
                reason=FOUND_AGAIN,
                fields=[*row.values, *(f"properties.{name}" for name in row.properties)],
                # Somebody else may have made it meanwhile of the same values.
                unsure=batch.action == "create",
            )
        )
    return Batch(batch.action, rows, known)


def _holds(lead: Lead, row: PlanRow, types: PropertyTypes) -> bool:
    """Tell whether a record has all the values of a plan row."""
    from airflow_providers_leads.leads.plan.planning import current_values

    now = current_values(lead, row.values, row.properties)
    planned = by_place(row.values, row.properties)
    return all(types.same(name, value, now[name]) for name, value in planned.items())


def _left_to_write(row: PlanRow, of_record: list[Lead], types: PropertyTypes) -> PlanRow:
    """Return an update without the values that the record has already; any other row as it is."""
    from airflow_providers_leads.leads.plan.planning import current_values

    if row.action != "update" or not of_record:
        return row
    now = current_values(of_record[0], row.values, ())
    left = {name: value for name, value in row.values.items() if not types.same(name, value, now[name])}
    return msgspec.structs.replace(row, values=left)


def _without_objecting(batch: Batch, objections: Objections) -> Batch:
    """Return a batch without the rows of people who must not be written to any more."""
    rows, known = [], list(batch.known)
    for row in batch.rows:
        if (reason := objections.reason(row)) is None:
            rows.append(row)
        else:
            known.append(
                WriteResult(email_key=row.email_key, outcome="suppressed", target_id=row.target_id, reason=reason)
            )
    return Batch(batch.action, rows, known)


def _is_quarantine(reason: str) -> bool:
    return reason.startswith(QUARANTINED)


def _tally(counts: Mapping[tuple[str, str | None], int]) -> tuple[dict[str, int], Counter[str]]:
    """Return the number of results per outcome, and of failures per reason, from those per outcome and reason."""
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for (outcome, reason), number in counts.items():
        outcomes[outcome] += number
        if outcome in _UNWRITTEN:
            reasons[reason or "no reason given"] += number
    return {outcome: outcomes[outcome] for outcome in OUTCOMES}, reasons


def as_outcomes(planned: Mapping[str, Any]) -> dict[str, int]:
    """Return the outcomes that applying a plan would give, from its numbers per action."""
    actions = {"created": "create", "updated": "update", "unchanged": "unchanged", "suppressed": "suppress"}
    return {outcome: planned[actions[outcome]] if outcome in actions else 0 for outcome in OUTCOMES}
