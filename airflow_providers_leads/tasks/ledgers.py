"""What earlier runs tell of a destination: which rows it refused, and which values it keeps in a form of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_providers_leads.hooks.writing import PASSED, Batch
from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.plan.ledger import Ledger
from airflow_providers_leads.tasks.arguments import given
from airflow_providers_leads.tasks.paths import check_local, storage_path

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook


def ledger_of(folder: Any, name: str, hook: LeadsHook) -> Ledger | None:
    """Return the ledger of a destination, ``None`` when there is no place that outlasts the run."""
    staging = conf.get("leads", "staging", fallback=None)
    below = given(folder) or (f"{staging.rstrip('/')}/ledger" if staging else None)
    if not below:
        return None
    check_local(str(below).rstrip("/"))
    uri = storage_path(f"{str(below).rstrip('/')}/{name}.refused.parquet")
    return Ledger.load(uri, account=hook.known_account, is_account=hook.is_account)


def by_ledger(batch: Batch, ledger: Ledger) -> Batch:
    """Return a batch without the rows that the CRM has refused too often, and values that it keeps in its own form."""
    if batch.action == PASSED:
        return batch
    rows, known = [], list(batch.known)
    for row in batch.rows:
        if reason := ledger.verdict(row):
            known.append(WriteResult(email_key=row.email_key, outcome="failed", target_id=row.target_id, reason=reason))
            continue
        left = ledger.own_forms.left(row, ledger.now)
        if left is row or left.values or left.properties:
            rows.append(left)
        else:
            key, target_id = row.email_key, row.target_id
            known.append(WriteResult(email_key=key, outcome="unchanged", target_id=target_id, reason=left.reason))
    return Batch(batch.action, rows, known)


def keep_ledger(ledger: Ledger, plan: str, results: Iterable[WriteResult]) -> None:
    """Remember what an apply has learnt.

    :param ledger: of the destination
    :param plan: URI of the plan
    :param results: what became of its rows
    """
    told = {
        result.email_key: result
        for result in results
        if result.outcome == "failed" or result.stored or ledger.holds(result.email_key)
    }
    if not told:
        return
    for row in read_rows(storage_path(plan), PlanRow):
        if result := told.get(row.email_key):
            ledger.record(row, result)
    ledger.save()
