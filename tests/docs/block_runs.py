"""Runs the bodies of DAGs that the docs show: each task with its templates rendered, in order, in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
from airflow.sdk import DAG
from airflow.sdk.bases.sensor import BaseSensorOperator

from airflow_providers_leads.sandbox.core.airflow_run import run_dag_file

START, END = pendulum.datetime(2026, 3, 1, tz="UTC"), pendulum.datetime(2026, 6, 1, tz="UTC")
RUN_ID = "scheduled__2026-06-01T00:00:00+00:00"


class Results:
    """What Airflow's task instance tells of other tasks."""

    def __init__(self) -> None:
        self.of: dict[str, Any] = {}
        self.dag_id, self.run_id, self.map_index, self.try_number = "docs", RUN_ID, -1, 1
        self.task_id = ""

    def xcom_pull(self, task_ids: Any = None, key: str = "return_value", **_: Any) -> Any:
        """Return what a task returned."""
        found = self.of[task_ids if isinstance(task_ids, str) else task_ids[0]]
        return found if key == "return_value" else found[key]

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        """Take it."""

    def get_task_states(self, **_: Any) -> dict[str, Any]:
        """Return no failures."""
        return {}


def run_body(text: str, name: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """Run a block of Python; whatever operators it makes are executed, and their results returned by task id."""
    with DAG("docs", schedule=None, start_date=START) as dag:
        exec(compile(text, name, "exec"), namespace)
    results = Results()
    for task in _in_order(dag):
        results.task_id = task.task_id
        run = SimpleNamespace(
            run_id=RUN_ID, start_date=START, logical_date=END, run_after=END, conf={},
            data_interval_start=START, data_interval_end=END,
        )  # fmt: skip
        context: Any = {
            "ti": results, "task_instance": results, "task": task, "dag": dag, "dag_run": run, "run_id": RUN_ID,
            "ds": "2026-06-01", "logical_date": END, "data_interval_start": START, "data_interval_end": END,
            "params": {},
        }  # fmt: skip
        task.render_template_fields(context)
        if isinstance(task, BaseSensorOperator):
            found: Any = task.poke(context)
            assert found.is_done, f"{task.task_id} would wait"
            results.of[task.task_id] = found.xcom_value
        else:
            results.of[task.task_id] = task.execute(context)
    return results.of


def run_dag(text: str, folder: Path, name: str) -> None:
    """Run a block that is a whole DAG file under `dag.test()`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    result = run_dag_file(file)
    assert result.state == "success", [(t.task_id, t.state) for t in result.tasks if t.state != "success"]


def _in_order(dag: Any) -> Iterator[Any]:
    done: set[str] = set()
    while len(done) < len(dag.task_ids):
        ready = [t for t in dag.tasks if t.task_id not in done and t.upstream_task_ids <= done]
        assert ready, "the tasks wait for each other"
        for task in ready:
            assert not task.is_mapped, f"{task.task_id} is mapped: show it as a whole DAG"
            yield task
            done.add(task.task_id)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and undo whatever happens to the environment within."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
