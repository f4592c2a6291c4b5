"""Runs a DAG file in real Airflow within this process: SQLite, no scheduler. Used by the demo and by the tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One task instance: its state, what it returned, and in how many tries."""

    task_id: str
    map_index: int
    state: str
    returned: Any
    tries: int = 1


@dataclass(frozen=True, slots=True)
class DagResult:
    """One run of a DAG."""

    run_id: str
    state: str
    tasks: list[TaskRun] = field(default_factory=list)

    def returned(self, task_id: str) -> list[Any]:
        """Return what the instances of a task returned, by map index."""
        return [task.returned for task in sorted(self.tasks, key=lambda t: t.map_index) if task.task_id == task_id]


def airflow_environment(home: Path, dags_folder: Path) -> dict[str, str]:
    """Return the environment of an Airflow that lives in one folder; to be set before airflow is imported."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": os.environ.get("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING"),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "0",
    }


def run_dag_file(file: Path, conf: Mapping[str, Any] | None = None, *, retries: int | None = None) -> DagResult:
    """Run the one DAG of a file to its end and return what its tasks returned; retries follow at once.

    :param file: the DAG file; imported anew at each call
    :param conf: values for the DAG's params
    :param retries: of each task; default what the file says
    :raises ValueError: when the file can't be imported or doesn't hold exactly one DAG
    """
    from airflow.dag_processing.dagbag import DagBag

    _migrate_once()
    # Its own parse, not the database's: the file is what the user copies.
    bag = DagBag(dag_folder=str(file))
    if bag.import_errors or len(bag.dags) != 1:
        raise ValueError(f"{file.name}: {bag.import_errors or f'{len(bag.dags)} DAGs instead of one'}")
    dag = next(iter(bag.dags.values()))
    for task in dag.tasks:
        # What fails against a stand-in needs no time to get well.
        task.retry_delay = timedelta()
        if retries is not None:
            task.retries = retries
    _store(dag)
    run = dag.test(run_conf=dict(conf or {}))
    return DagResult(run_id=run.run_id, state=str(run.state), tasks=_task_runs(dag.dag_id, run.run_id))


_migrated: set[str] = set()


def _migrate_once() -> None:
    from airflow.utils.db import initdb

    home = os.environ["AIRFLOW_HOME"]
    if home not in _migrated:
        initdb()
        _migrated.add(home)


def _store(dag: Any) -> None:
    """Write a DAG to the database as the DAG processor would; a run can't be made of an unknown DAG."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    with create_session() as session:
        if session.get(DagBundleModel, "leads") is None:
            session.add(DagBundleModel(name="leads"))
            session.flush()
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("leads", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="leads", session=session)


def _task_runs(dag_id: str, run_id: str) -> list[TaskRun]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        instances = session.scalars(select(TaskInstance).filter_by(dag_id=dag_id, run_id=run_id)).all()
        xcoms = session.scalars(select(XComModel).filter_by(dag_id=dag_id, run_id=run_id, key="return_value")).all()
        values = {(x.task_id, x.map_index): XComModel.deserialize_value(x) for x in xcoms}
        return [
            TaskRun(ti.task_id, ti.map_index, str(ti.state), values.get((ti.task_id, ti.map_index)), ti.try_number)
            for ti in instances
        ]
