"""Plan, review, apply in real Airflow: somebody answers while the run waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

FILE = Path(__file__).resolve().parents[2] / "dags" / "leads_sync_reviewed.py"


def answered(option: str, before: Callable[[], None]) -> str | None:
    """Answer the one open question as Airflow's API does, and return what the reviewer was shown."""
    from airflow.models.hitl import HITLDetail, HITLUser
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import handle_event_submit
    from airflow.sdk import timezone
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    with create_session() as session:
        parked = session.scalars(select(TaskInstance).filter_by(state=TaskInstanceState.AWAITING_INPUT)).first()
        detail = parked and session.scalars(select(HITLDetail).filter_by(ti_id=parked.id)).first()
        if not parked or not detail:
            return None
        before()
        detail.responded_by = HITLUser(id="1", name="reviewer")
        detail.responded_at = timezone.utcnow()
        detail.chosen_options = [option]
        detail.params_input = {}
        event = TriggerEvent(detail.as_resume_event_payload())
        handle_event_submit(event, task_instance=parked, session=session)
        return str(detail.body)


def review(option: str, before: Callable[[], None], done: threading.Event, shown: list[str]) -> None:
    """Look for the question until it is answered or the run is over."""
    from sqlalchemy.exc import OperationalError

    while not done.wait(0.5) and not shown:
        try:
            if body := answered(option, before):
                shown.append(body)
        except OperationalError:
            # The database is just being made, or busy.
            continue


def run(
    tmp_path: Path, option: str, before: Callable[[], None] = lambda: None, **params: Any
) -> tuple[DagResult, str | None]:
    # Loaded before there are two threads: Airflow's models deadlock when both import them.
    import_module("airflow.dag_processing.dagbag")
    import_module("airflow.models.hitl")
    import_module("airflow.models.trigger")
    shown: list[str] = []
    done = threading.Event()
    reviewer = threading.Thread(target=review, args=(option, before, done, shown), daemon=True)
    reviewer.start()
    try:
        result = run_dag_file(FILE, {"staging": f"file://{tmp_path}/files", **params})
    finally:
        done.set()
        reviewer.join()
    return result, next(iter(shown), None)


def test_the_time_to_answer_can_be_handed_to_the_supervisor() -> None:
    from airflow.dag_processing.dagbag import DagBag

    (dag,) = DagBag(dag_folder=str(FILE)).dags.values()
    # Airflow does so where a task has a process of its own, which it doesn't have in the runs below.
    assert msgspec.msgpack.encode(dag.get_task("approve").response_timeout)


def writes(sandbox: Sandbox) -> int:
    return sum(api.stats.writes for api in sandbox.apis)


def rows(uri: str) -> list[dict[str, Any]]:
    return pq.read_table(uri.removeprefix("file://")).to_pylist()


@pytest.mark.story
def test_approved_plans_are_applied_but_for_who_opted_out_while_they_waited(sandbox: Sandbox, tmp_path: Path) -> None:
    changed: list[str] = []

    def somebody_opts_out() -> None:
        assert writes(sandbox) == 0
        # Everybody who is to be updated in PersistIQ, in fact: one of them suffices to prove it.
        for lead in sandbox.persistiq.store.leads.values():
            lead.optedout = True
            changed.append(str(email_key(lead.data.get("email"))))

    result, shown = run(tmp_path, "Approve", somebody_opts_out)
    assert result.state == "success"
    assert shown is not None
    assert "| hubspot_default | " in shown
    assert "@" not in shown
    # One click from Required Actions to each person.
    assert f"](/leads/reports/runs/leads_sync_reviewed/{quote(result.run_id, safe='')})" in shown
    applied = {made["conn_id"]: made for made in result.returned("apply")}
    assert applied["hubspot_default"]["created"] > 0
    assert applied["persistiq_default"]["created"] > 0
    assert applied["persistiq_default"]["stale"] > 0
    assert applied["persistiq_default"]["updated"] == 0
    outcomes = {row["email_key"]: row["outcome"] for row in rows(applied["persistiq_default"]["results"])}
    written = {key for key, outcome in outcomes.items() if outcome in ("created", "updated")}
    assert not written & set(changed)
    (report,) = result.returned("report")
    assert " created" in report["summary"], report
    assert Path(report["report"].removeprefix("file://")).exists()


def test_a_rejected_plan_writes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    result, shown = run(tmp_path, "Reject")
    assert shown
    assert writes(sandbox) == 0
    assert {task.state for task in result.tasks if task.task_id == "apply"} == {"skipped"}
    (report,) = result.returned("report")
    # Row 48.
    assert report["status"] == "rejected"
    assert "the plan was not approved" in report["summary"], report


@pytest.mark.story
def test_plans_that_write_nothing_pass_without_a_question(sandbox: Sandbox, tmp_path: Path) -> None:
    """Row 53."""
    only = ["hubspot_default"]
    result, shown = run(tmp_path, "Reject", sources=only, destinations=only)
    assert result.state == "success"
    assert shown is None
    states = {task.task_id: task.state for task in result.tasks}
    assert states["approve"] == "skipped"
    assert states["apply"] == "success"
    (applied,) = result.returned("apply")
    assert applied["unchanged"] > 0
    assert writes(sandbox) == 0
