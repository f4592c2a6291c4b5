"""The work of the pipeline's operators: a CRM into a file, a plan file into a CRM."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pendulum

from airflow_providers_leads.operators.base import storage_path
from airflow_providers_leads.operators.returns import check_failures

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.outcomes import WriteResult
    from airflow_providers_leads.leads.schema import Lead

T = TypeVar("T")

_PROGRESS_SECONDS = 10.0


def extract(
    hook: LeadsHook, uri: str, *, scope: Mapping[str, Any], log: Any, updated_after: Any = None
) -> dict[str, Any]:
    """Read a CRM's leads into a file and return what is worth knowing of it.

    :param hook: of the CRM
    :param uri: the file
    :param scope: narrows the read
    :param log: the task's logger
    :param updated_after: lower bound of the time of change
    """
    from airflow_providers_leads.leads.schema import Lead
    from airflow_providers_leads.leads.staging import write_rows

    # Before the first request: what changes while the list is read belongs to the next run as well.
    watermark = pendulum.now("UTC")
    rejects = 0

    def counted(leads: Iterable[Lead]) -> Iterator[Lead]:
        nonlocal rejects
        for lead in leads:
            rejects += lead.email_key is None
            yield lead

    leads = hook.iter_leads(updated_after=updated_after, **scope)
    rows = write_rows(storage_path(uri), Lead, _with_progress(counted(leads), f"{hook.conn_id}: read", log))
    log.info("Read %d leads from %s, %d of them without a usable address", rows, hook.conn_id, rejects)
    return {
        "uri": uri,
        "rows": rows,
        "watermark": watermark.isoformat(),
        "conn_id": hook.conn_id,
        "source": hook.conn_type,
        "complete": updated_after is None and not scope,
        "rejects": rejects,
    }


def apply_plan(
    hook: LeadsHook, plan: str, results: str, options: Mapping[str, Any], tolerated: float | None, *, log: Any
) -> dict[str, Any]:
    """Write a plan file to its CRM and return the counts of outcomes.

    :param hook: of the destination
    :param plan: URI of the plan file
    :param results: URI of the results file
    :param options: write options
    :param tolerated: failures that don't fail the task: a number, a share below 1, ``None`` for any number
    :param log: the task's logger
    """
    from airflow_providers_leads.http.errors import LeadsApiError
    from airflow_providers_leads.leads.outcomes import OUTCOMES, PlanRow, WriteResult
    from airflow_providers_leads.leads.staging import RowWriter, count_rows, read_rows

    total = count_rows(storage_path(plan))
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    fatal: LeadsApiError | None = None

    def counted(rows: Iterable[WriteResult]) -> Iterator[WriteResult]:
        for row in rows:
            counts[row.outcome] += 1
            if row.outcome in ("failed", "ambiguous"):
                reasons[row.reason or "no reason given"] += 1
            yield row

    with RowWriter(storage_path(results), WriteResult) as writer:
        try:
            settled = hook.apply_plan(read_rows(storage_path(plan), PlanRow), **options)
            for row in _with_progress(counted(settled), f"{hook.conn_id}: settled", log, total=total):
                writer.write(row)
        except LeadsApiError as error:
            # What was settled before is written down first.
            fatal = error
    if fatal is not None:
        log.error("%s: stopped after %d of %d leads; their outcomes: %s", hook.conn_id, counts.total(), total, results)
        raise fatal
    outcomes: dict[str, Any] = {outcome: counts[outcome] for outcome in OUTCOMES}
    log.info("%s: %s", hook.conn_id, ", ".join(f"{outcome} {number}" for outcome, number in outcomes.items()))
    failed = counts["failed"] + counts["ambiguous"]
    if failed:
        worst = "; ".join(f"{reason} ({number})" for reason, number in reasons.most_common(5))
        message = f"{hook.label}: {failed} of {total} leads were not written: {worst}. Each stands in {results}."
        check_failures(failed, total, tolerated, message, log)
    return {"results": results, "conn_id": hook.conn_id} | outcomes


def _with_progress(rows: Iterable[T], what: str, log: Any, *, total: int | None = None) -> Iterator[T]:
    """Yield the rows and log every ten seconds how far it got."""
    started = last = time.monotonic()
    for done, row in enumerate(rows, start=1):
        yield row
        now = time.monotonic()
        if now - last >= _PROGRESS_SECONDS:
            last, rate = now, done / (now - started)
            left = f", about {(total - done) / rate:.0f} s left" if total else ""
            log.info("%s %d%s, %.0f per second%s", what, done, f" of {total}" if total else "", rate, left)
