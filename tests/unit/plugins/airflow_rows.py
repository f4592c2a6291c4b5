"""Rows of Airflow's database, as runs leave them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import delete, insert, select

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
_made: set[str] = set()


class Task(NamedTuple):
    """A task instance: what it returned, what it was told to write to, and what else it left."""

    task_id: str
    returned: Any = None
    map_index: int = -1
    state: str = "success"
    operator: str = "LeadsUpsertOperator"
    rendered: Mapping[str, Any] | None = None
    xcoms: Mapping[str, Any] | None = None
    label: str | None = None


def make_database() -> None:
    """Make the suite's database, once."""
    from airflow.utils.db import initdb

    home = os.environ["AIRFLOW_HOME"]
    if home not in _made:
        initdb()
        _made.add(home)


def add_dag(dag_id: str) -> None:
    """Add a DAG, of which Airflow's own managers ask."""
    with create_session() as session:
        if session.get(DagBundleModel, "leads") is None:
            session.add(DagBundleModel(name="leads"))
            session.flush()
        if session.get(DagModel, dag_id) is None:
            session.add(DagModel(dag_id=dag_id, bundle_name="leads", is_paused=False))


def clear() -> None:
    """Forget all runs."""
    with create_session() as session:
        for model in (XComModel, RenderedTaskInstanceFields, TaskInstance, DagRun, Log):
            session.execute(delete(model))


def add_run(dag_id: str, run_id: str, tasks: Sequence[Task] = (), *, state: str = "success", day: int = 0) -> None:
    """Add a run with its tasks.

    :param day: days since the first one
    """
    at = START + timedelta(days=day)
    with create_session() as session:
        values = {
            "dag_id": dag_id, "run_id": run_id, "state": state, "logical_date": at, "run_after": at,
            "start_date": at,
            "end_date": at + timedelta(minutes=3), "run_type": "manual", "clear_number": 0,
            "span_status": "not_started",
        }  # fmt: skip
        table: Any = DagRun.__table__
        number = session.execute(insert(table).values(**values)).inserted_primary_key[0]
        for task in tasks:
            _add_task(session, number, dag_id, run_id, task, at)


def _add_task(session: Any, number: int, dag_id: str, run_id: str, task: Task, at: datetime) -> None:
    key = {"dag_id": dag_id, "run_id": run_id, "task_id": task.task_id, "map_index": task.map_index}
    session.execute(
        insert(TaskInstance.__table__).values(
            **key, id=uuid4(), state=task.state, operator=task.operator, pool="default_pool", pool_slots=1,
            try_number=1, rendered_map_index=task.label,
            queue="default", priority_weight=1, max_tries=0, start_date=at, end_date=at + timedelta(seconds=9),
            span_status="not_started",
        )
    )  # fmt: skip
    xcoms = dict(task.xcoms or {})
    if task.returned is not None:
        xcoms["return_value"] = task.returned
    # A column that Airflow has since 3.3.
    newer = {"dag_result": False} if "dag_result" in XComModel.__table__.columns else {}
    for name, value in xcoms.items():
        session.execute(
            insert(XComModel.__table__).values(**key, dag_run_id=number, key=name, value=value, timestamp=at, **newer)
        )
    if task.rendered is not None:
        fields = dict(task.rendered)
        session.execute(insert(RenderedTaskInstanceFields.__table__).values(**key, rendered_fields=fields))


def audit_log() -> list[dict[str, Any]]:
    """Return the entries of the audit log."""
    with create_session() as session:
        rows = session.execute(select(Log.event, Log.owner, Log.dag_id, Log.run_id, Log.extra)).all()
    return [row._asdict() for row in rows]
