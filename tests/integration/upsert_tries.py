"""One try of an upsert task as a worker makes it: in this process, or in one that can be killed."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.http.rate_limit import RateLimiter
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.leads import LeadsApplyOperator, LeadsPlanOperator, LeadsUpsertOperator
from airflow_providers_leads.tasks import apply as _apply
from airflow_providers_leads.tasks.returns import LeadsWriteError

RETRIED = (LeadsApiError, LeadsWriteError)
"""What a task may end with under a fault; anything else is a defect."""
EXIT_RETRIED, EXIT_DEFECT = 3, 4

# What a child needs is imported once, by the server that it is forked from.
PRELOADED = (
    "airflow.sdk", "duckdb", "ibis.backends.duckdb", "pyarrow.parquet", "requests",
    "airflow_providers_leads.operators.leads", "airflow_providers_leads.tasks.plan",
    "airflow_providers_leads.hooks.hubspot", "airflow_providers_leads.hooks.perspective",
    "airflow_providers_leads.hooks.persistiq", "airflow_providers_leads.leads.plan.planning",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A task instance: what all its tries share.

    :param conn_id: connection of the destination
    :param connection: what ``AIRFLOW_CONN_…`` says of it, as JSON
    :param golden: URI of the golden file
    :param folder: where the task writes
    :param run_id: of the DAG run
    :param state_store: file of Airflow's task state store; ``None``: an Airflow without one
    :param settle_seconds: how often what is settled is made durable
    :param plan: URI of a plan that is only to be applied; default: the task plans by itself
    :param arguments: further arguments of the operator
    """

    conn_id: str
    connection: str
    golden: str
    folder: Path
    run_id: str = "run"
    state_store: Path | None = None
    settle_seconds: float = 5.0
    plan: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


class FileStateStore:
    """Stands in for ``context["task_state_store"]``: it outlives the worker."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _all(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def _keep(self, entries: dict[str, Any]) -> None:
        part = self.path.with_suffix(".new")
        part.write_text(json.dumps(entries))
        part.rename(self.path)

    def get(self, key: str, default: Any = None) -> Any:
        return self._all().get(key, default)

    def set(self, key: str, value: Any) -> None:
        assert value is not None
        self._keep(self._all() | {key: value})

    def delete(self, key: str) -> None:
        self._keep({name: value for name, value in self._all().items() if name != key})


def context_of(task_id: str, run_id: str, state_store: Path | None) -> Any:
    """Return a worker's context as far as the operators look."""
    ti = SimpleNamespace(dag_id="survives", run_id=run_id, task_id=task_id, map_index=-1)
    store = {} if state_store is None else {"task_state_store": FileStateStore(state_store)}
    return {"ti": ti, **store}


@contextmanager
def hurried() -> Iterator[None]:
    """Let nobody wait: neither for a quota nor before a retry. How much is sent side by side stays as documented."""
    post_init = HttpClient.__post_init__

    def sleepless(self: HttpClient) -> None:
        post_init(self)
        self.sleep = lambda seconds: None

    with (
        patch.object(RateLimiter, "acquire", lambda self, *bounds: 0.0),
        patch.object(RateLimiter, "arrived", lambda self: None, create=True),
        patch.object(RateLimiter, "block", lambda self, *told: None),
        patch.object(HttpClient, "__post_init__", sleepless),
    ):
        yield


def run_try(task: Task) -> dict[str, Any]:
    """Run the operator as a fresh try of the task would."""
    common: dict[str, Any] = {
        "task_id": "upsert", "conn_id": task.conn_id, "output": f"file://{task.folder}", **task.arguments,
    }  # fmt: skip
    operator: LeadsOperator = (
        LeadsApplyOperator(plan=task.plan, **common) if task.plan else LeadsUpsertOperator(golden=task.golden, **common)
    )
    with (
        patch.dict(os.environ, {f"AIRFLOW_CONN_{task.conn_id.upper()}": task.connection}),
        patch.object(_apply, "_DURABLE_SECONDS", task.settle_seconds),
    ):
        returned: dict[str, Any] = operator.execute(context_of("upsert", task.run_id, task.state_store))
    return returned


def make_plan(task: Task) -> str:
    """Return the URI of a plan that was made for the task by a task before it."""
    operator = LeadsPlanOperator(
        task_id="plan", conn_id=task.conn_id, golden=task.golden, output=f"file://{task.folder}", **task.arguments
    )
    with patch.dict(os.environ, {f"AIRFLOW_CONN_{task.conn_id.upper()}": task.connection}):
        return str(operator.execute(context_of("upsert", task.run_id, task.state_store))["plan"])


def _in_child(run: Callable[[Any], Any], task: Any, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    try:
        with hurried():
            run(task)
    except RETRIED:
        sys.exit(EXIT_RETRIED)
    except BaseException:
        traceback.print_exc()
        sys.exit(EXIT_DEFECT)


def start_worker(task: Any, run: Callable[[Any], Any] = run_try) -> BaseProcess:
    """Start a try in a worker process of its own.

    :param task: what is tried
    :param run: makes the try
    """
    # Not forked from here: this process has threads, the sandbox's.
    forking = get_context("forkserver")
    forking.set_forkserver_preload(list(PRELOADED))
    kept = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW")}
    process = forking.Process(target=_in_child, args=(run, task, kept))
    process.start()
    return process
