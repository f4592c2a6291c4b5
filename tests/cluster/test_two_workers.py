"""A sync on two Celery workers that share a database, a broker and a bucket; one of them vanishes while it writes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from cluster_sync import DAG, SECONDS, ClusterSync, cluster_sync

pytestmark = pytest.mark.cluster

WORKERS = ("worker-1", "worker-2")


@pytest.fixture(scope="module")
def sync(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSync]:
    with cluster_sync(tmp_path_factory.mktemp("two"), people=60) as machines:
        machines.airflow.start(*WORKERS)
        yield machines


def test_what_one_worker_has_begun_to_write_the_other_ends(
    sync: ClusterSync, record_property: Callable[[str, object], None]
) -> None:
    airflow = sync.airflow
    killed: dict[int, str] = {}
    airflow.pause(DAG, paused=False)
    started = sync.writes()
    run = sync.trigger()

    def upserts(state: str) -> dict[int, str]:
        """Return on which machine each upsert in a state is or was."""
        tasks = airflow.get(f"/dags/{DAG}/dagRuns/{run}/taskInstances")["task_instances"]
        found = [task for task in tasks if task["task_id"] == "upsert" and task["state"] == state]
        return {task["map_index"]: task["hostname"] for task in found}

    def freeze() -> dict[int, str]:
        """Freeze the workers while one of them writes, so that nothing ends while Airflow is asked which."""
        writes = started
        while True:
            while sync.writes() < writes + 2:
                time.sleep(0.005)
            for name in WORKERS:
                airflow.signal(name, signal.SIGSTOP)
            if writing := upserts("running"):
                return writing
            # A busy machine was so late that the upsert had ended: the other one comes.
            for name in WORKERS:
                airflow.signal(name, signal.SIGCONT)
            writes = sync.writes()

    def kill() -> None:
        writing = freeze()
        lost = next(iter(writing.values()))
        for name in WORKERS:
            if name == lost:
                airflow.stop(name, by=signal.SIGKILL)
            else:
                airflow.signal(name, signal.SIGCONT)
        killed.update({place: name for place, name in writing.items() if name == lost})
        at = time.monotonic()
        while not any(upserts("running").get(place, lost) != lost for place in killed):
            time.sleep(0.2)
        record_property("seconds_until_the_retry", round(time.monotonic() - at, 1))

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    assert airflow.ended(DAG, run, seconds=SECONDS)["state"] == "success"
    thread.join(10)
    assert killed, "no upsert was met while it wrote"
    ended = upserts("success")
    assert all(ended[place] in WORKERS and ended[place] != name for place, name in killed.items())
    sync.check()
    sync.is_quiet()
