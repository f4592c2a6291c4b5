"""A sync on Celery workers that share a database, a broker and a bucket, and nothing else; any of them may vanish."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from cluster_sync import DAG, SECONDS, ClusterSync, cluster_sync

pytestmark = pytest.mark.cluster

# At which request to the bucket a step of a sync has begun, and what it will have written isn't there yet.
STEPS = {
    "extract": r"PUT /leads/leads/.*/extract/.*hubspot",
    "merge": r"PUT /leads/leads/.*/golden/.*golden",
    "plan": r"PUT /leads/leads/.*/upsert/.*plan",
    "apply": "",
    "remember": r"PUT /leads/leads/memory/.*\.parquet",
    "report": r"PUT /leads/leads/reports/",
}


class Machines:
    """The machines of a test, of which one works at a time, and what becomes of them."""

    def __init__(self, sync: ClusterSync) -> None:
        self.sync, self.airflow, self.bucket = sync, sync.airflow, sync.bucket
        self.killed: list[str] = []
        self._worker = 0
        self._start()

    def _start(self) -> None:
        self._worker += 1
        self.airflow.start(f"worker-{self._worker}")

    def kill(self) -> None:
        """Let the worker that is there vanish, and another one take its place on another machine."""
        name = f"worker-{self._worker}"
        self.airflow.stop(name, by=signal.SIGKILL)
        self.killed.append(name)
        threading.Thread(target=self._start).start()

    def kill_in(self, step: str) -> Callable[[], bool]:
        """Let the worker vanish in a step; return what tells whether it has."""
        before = len(self.killed)
        if pattern := STEPS[step]:
            self.bucket.at(pattern, self.kill)
        else:
            started = self.sync.writes()

            def look() -> None:
                while self.sync.writes() < started + 2:
                    time.sleep(0.005)
                self.kill()

            threading.Thread(target=look, daemon=True).start()
        return lambda: len(self.killed) > before

    def run_without(self, lose: Callable[[], None], seconds: float, find: Callable[[], None]) -> None:
        """Let something be gone for a while from the merge on, and check that the sync ends as if it hadn't been."""
        self.sync.convert(3)
        came_back = threading.Event()

        def back() -> None:
            find()
            came_back.set()

        def gone() -> None:
            lose()
            threading.Timer(seconds, back).start()

        self.bucket.at(STEPS["merge"], gone)
        run = self.sync.trigger()
        self.airflow.wait_for("what was gone", came_back.is_set, SECONDS)
        assert self.airflow.ended(DAG, run, seconds=SECONDS)["state"] == "success"
        self.sync.is_quiet()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with cluster_sync(tmp_path_factory.mktemp("cluster"), people=150) as sync:
        yield Machines(sync)


def test_a_worker_may_vanish_in_every_step(machines: Machines) -> None:
    machines.airflow.pause(DAG, paused=False)
    run = machines.sync.trigger()
    for step in STEPS:
        gone = machines.kill_in(step)
        machines.airflow.wait_for(f"a kill in {step}", gone, SECONDS)
    assert machines.airflow.ended(DAG, run, seconds=SECONDS)["state"] == "success"
    assert len(machines.killed) == len(STEPS)
    machines.sync.check()
    machines.sync.is_quiet()
    # What stays is under final names: nothing half, nothing in a worker's own folders.
    assert not [name for name in machines.bucket.names() if name.endswith("parquet.part")]


def test_the_bucket_may_refuse_for_a_minute(machines: Machines) -> None:
    bucket = machines.bucket

    def refuse() -> None:
        bucket.refuses = True

    def allow() -> None:
        bucket.refuses = False

    machines.run_without(refuse, 60, allow)


def test_the_broker_may_be_gone_for_a_while(machines: Machines) -> None:
    broker = machines.sync.broker
    machines.run_without(broker.stop, 10, broker.start)


def test_the_metadata_database_may_be_gone_for_ten_seconds(machines: Machines) -> None:
    database, airflow = machines.sync.database, machines.airflow

    def back() -> None:
        database.start()
        # What needs it ends, or answers with an error, until it is there.
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                airflow.get(f"/dags/{DAG}")
            except (AssertionError, requests.RequestException):
                time.sleep(1)
            else:
                return

    airflow.restarts = True
    try:
        machines.run_without(database.stop, 10, back)
    finally:
        airflow.restarts = False
