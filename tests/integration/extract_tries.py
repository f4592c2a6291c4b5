"""One try of an extract as a worker makes it: in this process, or in one that is killed."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from upsert_tries import PRELOADED, FileStateStore, hurried

from airflow_providers_leads.operators import _pipeline
from airflow_providers_leads.operators.leads import LeadsExtractOperator


@dataclass(frozen=True)
class Extract:
    """A task instance: what all its tries share."""

    conn_id: str
    connection: str
    folder: Path
    state_store: Path | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


def run_extract(task: Extract, **settings: int) -> dict[str, Any]:
    """Run the operator as a fresh try of the task would, with a part for every look unless the settings differ."""
    ti = SimpleNamespace(dag_id="survives", run_id="run", task_id="extract", map_index=-1)
    context: dict[str, Any] = {"ti": ti}
    if task.state_store is not None:
        context["task_state_store"] = FileStateStore(task.state_store)
    operator = LeadsExtractOperator(
        task_id="extract", conn_id=task.conn_id, output=f"file://{task.folder}", **task.arguments
    )
    with (
        patch.dict(os.environ, {f"AIRFLOW_CONN_{task.conn_id.upper()}": task.connection}),
        patch.multiple(_pipeline, **{"_DURABLE_ROWS": 1, "_PAGES_AHEAD": 2, **settings}),
    ):
        return operator.execute(context)  # type: ignore[arg-type,no-any-return]


def _in_child(task: Extract, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    with hurried():
        try:
            run_extract(task)
        except BaseException:
            traceback.print_exc()
            raise


def start_worker(task: Extract) -> BaseProcess:
    """Start a try in a worker process of its own."""
    # Not forked from here: this process has threads, the sandbox's.
    forking = get_context("forkserver")
    forking.set_forkserver_preload(list(PRELOADED))
    kept = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW")}
    process = forking.Process(target=_in_child, args=(task, kept))
    process.start()
    return process
