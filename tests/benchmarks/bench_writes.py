"""A plan that creates leads, and its application by the operator; part of ``bench_wire``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pendulum
from bench_clients import task_context

from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import RowWriter
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.operators.leads import LeadsApplyOperator


def _creates(count: int) -> Iterator[PlanRow]:
    for number in range(count):
        values = {
            "first_name": f"Ann{number % 97}", "last_name": f"Lee{number % 89}", "company": f"Firm {number % 1013}",
            "title": "Head of Growth", "phone": f"+49 30 {1_000_000 + number}", "city": "Berlin",
        }  # fmt: skip
        yield PlanRow(email_key=f"ann.lee{number}@firm{number % 1013}.example", action="create", values=values)


def apply_creates(hook: Any, folder: Path, count: int) -> None:
    """Plan the creation of leads and apply it.

    :param hook: of the destination
    :param folder: for plan and results
    :param count: leads
    """
    shutil.rmtree(folder, ignore_errors=True)
    facts = PlanFacts(
        conn_id=hook.conn_id,
        conn_type=hook.conn_type,
        mode="update",
        planned_at=pendulum.now("UTC"),
        requests_per_second=hook.requests_per_second,
    )
    plan = f"file://{folder}/plan.parquet"
    with RowWriter(plan, PlanRow, metadata=facts.metadata()) as writer:
        writer.write_all(_creates(count))
    task = LeadsApplyOperator(
        task_id="apply", conn_id=hook.conn_id, plan=plan, output=f"file://{folder}/results", if_stale="ignore"
    )
    done = task.execute(task_context())
    if done["created"] + done["updated"] != count:
        raise RuntimeError(f"of {count} leads not all were written: {done}")
