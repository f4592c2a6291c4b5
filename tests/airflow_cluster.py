"""A whole Airflow of its own for a test: API server, DAG processor, scheduler with LocalExecutor, triggerer, SQLite."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import requests

from airflow_providers_leads.sandbox.core.airflow_run import airflow_environment

T = TypeVar("T")

COMPONENTS = ("api-server", "dag-processor", "scheduler", "triggerer")
HEALTH = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}
# Of the machine's two cores the five processes leave little: the slowest step seen took a third of this.
START_SECONDS = 180.0


class AirflowCluster:
    """Runs DAG files under a real scheduler.

    .. code-block:: python

        with AirflowCluster(tmp_path, [DAGS / "leads_sync.py"], sandbox.connection_env()) as airflow:
            run = airflow.run("leads_sync", {"dry_run": True})
            assert run["state"] == "success"

    :param home: an empty folder
    :param dags: the DAG files; they are copied
    :param environment: further environment variables, such as connections
    :param components: what to run besides the API server, default everything
    """

    def __init__(
        self,
        home: Path,
        dags: Iterable[Path],
        environment: Mapping[str, str] | None = None,
        components: Iterable[str] = COMPONENTS,
    ) -> None:
        self.home = home
        self._further = [name for name in components if name != "api-server"]
        folder = home / "dags"
        folder.mkdir(parents=True)
        for file in dags:
            shutil.copy(file, folder)
        api, trigger_logs, worker_logs = _free_ports(3)
        self.origin = f"http://127.0.0.1:{api}"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW_")}
        self.environment = {
            **inherited,
            **airflow_environment(home, folder),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(api),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.origin}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__PARALLELISM": "4",
            # An asset's watchers run from the first parse on that finds one of its DAGs unpaused.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            # The first call to a cold server takes longer than the 5 seconds that Airflow allows.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            **(environment or {}),
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""

    def __enter__(self) -> AirflowCluster:
        """Start everything and return when it is healthy and the DAGs are known."""
        try:
            self._start_all()
        except BaseException:
            self.stop(*self._processes)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        self.stop(*reversed(self._processes))

    def _start_all(self) -> None:
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(migrate, env=self.environment, check=True, capture_output=True, timeout=START_SECONDS)
        self.start("api-server")
        self.wait_for("the API server", lambda: self._answers("/api/v2/monitor/health"), START_SECONDS)
        self._answers("/execution/health")
        self._token = requests.get(f"{self.origin}/auth/token", timeout=60).json()["access_token"]
        if not self._further:
            return
        self.start(*self._further)
        files = len(list((self.home / "dags").glob("*.py")))
        self.wait_for("the DAGs", lambda: len(self.get("/dags")["dags"]) >= files, START_SECONDS)
        errors = self.get("/importErrors")["import_errors"]
        assert not errors, errors

    def command(self, name: str) -> list[str]:
        """Return what of Airflow's command line runs a component."""
        return [name]

    def environment_of(self, name: str) -> dict[str, str]:
        """Return the environment of a component."""
        return self.environment

    def start(self, *names: str) -> None:
        """Start components and return when they are healthy."""
        for name in names:
            self.start_only(name)
        watched = [HEALTH[name] for name in names if name in HEALTH]
        if watched:
            self.wait_for(", ".join(names), lambda: self._healthy(watched), START_SECONDS)

    def start_only(self, name: str) -> None:
        """Start a component and don't wait for it."""
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *self.command(name)],
                env=self.environment_of(name), stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def keep_up(self, died: Sequence[str]) -> Sequence[str]:
        """Return which of the components that have ended of themselves mean a failure; the others are started again."""
        return died

    def stop(self, *names: str, by: int = signal.SIGTERM) -> None:
        """Stop components, their children too.

        :param by: ``SIGKILL`` for a crash
        """
        stopping = {name: self._processes.pop(name) for name in names if name in self._processes}
        for process in stopping.values():
            _signal(process, by)
        for process in stopping.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            # Children that outlive their parent.
            _signal(process, signal.SIGKILL)
            process.wait(20)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a component and its children."""
        _signal(self._processes[name], number)

    # The API ----------------------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the public API and return its answer."""
        answer = requests.request(
            method, f"{self.origin}/api/v2{path}", json=body, timeout=60,
            headers={"Authorization": f"Bearer {self._token}"},
        )  # fmt: skip
        assert answer.ok, (method, path, answer.status_code, answer.text)
        return answer.json()

    def get(self, path: str) -> Any:
        """Send a GET to the public API and return its answer."""
        return self.request("GET", path)

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause a DAG, or let it go."""
        self.request("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, seconds: float = 300.0) -> dict[str, Any]:
        """Trigger a DAG and return its run when it has ended."""
        return self.ended(dag_id, self.trigger(dag_id, conf), seconds=seconds)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Trigger a DAG and return the run's id."""
        self.pause(dag_id, paused=False)
        started = self.request("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf or {})})
        return str(started["dag_run_id"])

    def ended(self, dag_id: str, run_id: str, *, seconds: float = 300.0) -> dict[str, Any]:
        """Return a run when it has ended."""

        def found() -> dict[str, Any] | None:
            run: dict[str, Any] = self.get(f"/dags/{dag_id}/dagRuns/{run_id}")
            return run if run["state"] in ("success", "failed") else None

        return self.wait_for(f"the run of {dag_id}", found, seconds) or {}

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the states of a run's tasks."""
        tasks = self.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in tasks}

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value?deserialize=true"
        return self.get(path)["value"]

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return a DAG's runs, oldest first."""
        found: list[dict[str, Any]] = self.get(f"/dags/{dag_id}/dagRuns?order_by=run_after")["dag_runs"]
        return found

    def asset_events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of an asset, oldest first."""
        (asset,) = [found for found in self.get(f"/assets?name_pattern={name}")["assets"] if found["name"] == name]
        found = self.get(f"/assets/events?asset_id={asset['id']}&order_by=timestamp&limit=100")
        events: list[dict[str, Any]] = found["asset_events"]
        return events

    def asset_state(self, name: str) -> dict[str, Any]:
        """Return what is kept in an asset's state."""
        (asset,) = [found for found in self.get(f"/assets?name_pattern={name}")["assets"] if found["name"] == name]
        entries = self.get(f"/assets/{asset['id']}/state-store")["asset_state_store"]
        return {entry["key"]: entry["value"] for entry in entries}

    def logs(self) -> str:
        """Return all that was logged, by components and tasks."""
        files = sorted(path for path in self.home.rglob("*.log") if path.is_file())
        return "\n".join(path.read_text(errors="replace") for path in files)

    def wait_for(self, what: str, ready: Callable[[], T], seconds: float = 60.0) -> T:
        """Return what a function returns as soon as that is true.

        :raises AssertionError: after some time, with the end of each component's log
        """
        end = time.monotonic() + seconds
        while not (found := ready()):
            died = self.keep_up([name for name, process in self._processes.items() if process.poll() is not None])
            if died or time.monotonic() > end:
                tails = [
                    f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
                    for path in sorted(self.home.glob("*.log"))
                ]
                raise AssertionError("\n".join([f"{what}: {died or 'not'} after {seconds:.0f} s", *tails]))
            time.sleep(0.3)
        return found

    def _answers(self, path: str) -> bool:
        try:
            return requests.get(self.origin + path, timeout=60).ok
        except requests.ConnectionError:
            return False

    def _healthy(self, components: Iterable[str]) -> bool:
        found = requests.get(f"{self.origin}/api/v2/monitor/health", timeout=60).json()
        return all((found.get(name) or {}).get("status") == "healthy" for name in components)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
