"""A sync on Celery workers that share a database, a broker and a bucket, and nothing else; any of them may vanish."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery_cluster import Bucket, CeleryCluster
from postgres_process import PostgresProcess, running_postgres
from redis_process import RedisProcess, running_redis

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.clock import iso_utc

pytestmark = pytest.mark.cluster

DAGS = Path(__file__).resolve().parents[2] / "dags"
DAG = "leads_sync"
SECONDS = 600.0
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
    """The machines of a test, and what becomes of them."""

    def __init__(
        self, airflow: CeleryCluster, sandbox: Sandbox, bucket: Bucket, broker: RedisProcess, database: PostgresProcess
    ) -> None:
        self.airflow, self.sandbox, self.bucket = airflow, sandbox, bucket
        self.broker, self.database = broker, database
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

    def writes(self) -> int:
        return sum(api.stats.writes for api in self.sandbox.apis)

    def kill_in(self, step: str) -> Callable[[], bool]:
        """Let the worker vanish in a step; return what tells whether it has."""
        before = len(self.killed)
        if pattern := STEPS[step]:
            self.bucket.at(pattern, self.kill)
        else:
            started = self.writes()

            def look() -> None:
                while self.writes() < started + 2:
                    time.sleep(0.005)
                self.kill()

            threading.Thread(target=look, daemon=True).start()
        return lambda: len(self.killed) > before

    def convert(self, count: int) -> None:
        """Let people convert in a funnel whom no other CRM knows."""
        store = self.sandbox.perspective.store
        funnel = next(iter(store.funnels.values()))
        for _ in range(count):
            number, at = store.next_id(), iso_utc(store.clock.now())
            contact = {
                "id": number, "status": "new", "email": f"new.{number}@people.example", "firstName": "Ann",
                "meta": {"ps_converted_at": at, "ps_first_seen_at": at}, "utmParams": {}, "properties": {},
            }  # fmt: skip
            funnel.add(contact)

    def run(self) -> dict[str, Any]:
        return self.airflow.run(DAG, {"max_changes": None}, seconds=SECONDS)

    def check(self) -> None:
        """Check that everybody stands once in each destination."""
        sandbox = self.sandbox
        found = {
            "hubspot": Counter(email_key(c.properties.get("email")) for c in sandbox.hubspot.store.contacts.values()),
            "persistiq": Counter(email_key(lead.data.get("email")) for lead in sandbox.persistiq.store.leads.values()),
        }
        came = {
            email_key(c.get("email")) for f in sandbox.perspective.store.funnels.values() for c in f.contacts.values()
        }
        contactable = {email_key(person.email) for person in sandbox.people if person.kind == "contactable"}
        everybody = contactable | {key for key in came if key and key.startswith("new.")}
        assert {crm: {k: keys[k] for k in everybody if keys[k] != 1} for crm, keys in found.items()} == {
            "hubspot": {}, "persistiq": {},
        }  # fmt: skip

    def is_quiet(self) -> None:
        """Check that another run has nothing to write."""
        before = self.writes()
        assert self.run()["state"] == "success"
        assert self.writes() == before
        self.check()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    home = tmp_path_factory.mktemp("cluster")
    sync = tmp_path_factory.mktemp("dags") / "leads_sync.py"
    # A minute between two tries is long for a test.
    text = (DAGS / sync.name).read_text()
    waits = "leads_retry_args(retry_delay=pendulum.duration(seconds=3))"
    assert "default_args=leads_retry_args()," in text
    sync.write_text(text.replace("leads_retry_args(),", f"{waits},"))
    with (
        Sandbox(people=150, seed=7, limits=False) as sandbox,
        running_postgres() as database,
        running_redis() as broker,
        Bucket() as bucket,
        CeleryCluster(home, [sync], database, broker, bucket, sandbox.connection_env()) as airflow,
    ):
        yield Machines(airflow, sandbox, bucket, broker, database)


def test_a_worker_may_vanish_in_every_step(machines: Machines) -> None:
    machines.airflow.pause(DAG, paused=False)
    run = machines.airflow.trigger(DAG, {"max_changes": None})
    for step in STEPS:
        gone = machines.kill_in(step)
        machines.airflow.wait_for(f"a kill in {step}", gone, SECONDS)
    assert machines.airflow.ended(DAG, run, seconds=SECONDS)["state"] == "success"
    assert len(machines.killed) == len(STEPS)
    machines.check()
    machines.is_quiet()
    # What stays is under final names: nothing half, nothing in a worker's own folders.
    assert not [name for name in machines.bucket.names() if name.endswith("parquet.part")]


def test_the_bucket_may_refuse_for_a_while(machines: Machines) -> None:
    machines.convert(3)

    def refuse() -> None:
        machines.bucket.refuses = True
        threading.Timer(30, lambda: setattr(machines.bucket, "refuses", False)).start()

    machines.bucket.at(STEPS["merge"], refuse)
    assert machines.run()["state"] == "success"
    machines.is_quiet()


def test_the_broker_may_be_gone_for_a_while(machines: Machines) -> None:
    machines.convert(3)

    def lose() -> None:
        machines.broker.stop()
        threading.Timer(10, machines.broker.start).start()

    machines.bucket.at(STEPS["merge"], lose)
    assert machines.run()["state"] == "success"
    machines.is_quiet()
