"""Two triggerers watch a funnel for a sync; one is killed, one freezes and comes back when the other has taken over."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from celery_cluster import Bucket, CeleryCluster
from postgres_process import PostgresProcess, running_postgres
from redis_process import running_redis

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.clock import iso_utc

pytestmark = pytest.mark.cluster

DAG_FILE = Path(__file__).resolve().parents[2] / "dags" / "on_new_lead.py"
DAG, ASSET = "on_new_lead", "perspective_new_leads"
TRIGGERERS = ("triggerer", "triggerer-1")
SECONDS = 240.0
# A triggerer that gives no sign of life for so long is taken for dead.
SOON = {
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "12",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "12",
}


class Watched:
    """A funnel that triggerers watch, and what came of it."""

    def __init__(self, airflow: CeleryCluster, sandbox: Sandbox, database: PostgresProcess) -> None:
        self.airflow, self.sandbox, self._database = airflow, sandbox, database

    def watcher(self) -> str | None:
        """Return the triggerer that the watching is given to now."""
        with psycopg2.connect(host="127.0.0.1", port=self._database.port, user="postgres", dbname="postgres") as opened:
            cursor = opened.cursor()
            cursor.execute("SELECT job.hostname FROM trigger JOIN job ON job.id = trigger.triggerer_id")
            found = cursor.fetchall()
        opened.close()
        return str(found[0][0]) if found else None

    def taken_over_from(self, name: str) -> str | None:
        now = self.watcher()
        return now if now != name else None

    def convert(self, count: int) -> list[str]:
        """Let people convert in the funnel and return their addresses."""
        store = self.sandbox.perspective.store
        funnel = next(iter(store.funnels.values()))
        made = []
        for _ in range(count):
            number, at = store.next_id(), iso_utc(store.clock.now())
            meta = {"ps_converted_at": at, "ps_first_seen_at": at}
            made.append(f"new.{number}@people.example")
            contact = {"id": number, "status": "new", "email": made[-1], "firstName": "Ann", "meta": meta}
            funnel.add(contact | {"utmParams": {}, "properties": {}})
        return made

    def arrived(self, emails: list[str]) -> bool:
        return all(self.sandbox.hubspot.store.resolve(email, "email") for email in emails)

    def settled(self) -> bool:
        return all(run["state"] in ("success", "failed") for run in self.airflow.runs(DAG))

    def looks(self) -> int:
        return sum(n for route, n in self.sandbox.perspective.stats.by_route.items() if "contacts" in route)

    def is_once(self, emails: list[str]) -> None:
        """Check, when it has looked on for a while, that everybody was told of and stands once in the destination."""
        before = self.looks()
        further = 3 * len(self.sandbox.perspective.store.funnels)
        self.airflow.wait_for("further looks", lambda: self.looks() >= before + further, SECONDS)
        self.airflow.wait_for("the runs", self.settled, SECONDS)
        assert {run["state"] for run in self.airflow.runs(DAG)} == {"success"}
        contacts = Counter(c.properties.get("email") for c in self.sandbox.hubspot.store.contacts.values())
        assert {email: contacts[email] for email in emails} == dict.fromkeys(emails, 1)
        told = sum(event["extra"]["payload"]["count"] for event in self.airflow.asset_events(ASSET))
        assert told >= len(emails)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    home = tmp_path_factory.mktemp("triggerers")
    with (
        Sandbox(people=60, seed=7, anchor="2024-01-01T00:00:00Z") as sandbox,
        running_postgres() as database,
        running_redis() as broker,
        Bucket() as bucket,
        CeleryCluster(
            home, [DAG_FILE], database, broker, bucket, {**sandbox.connection_env(), **SOON}, triggerers=2
        ) as airflow,
    ):
        airflow.start("worker-1")
        yield Watched(airflow, sandbox, database)


def test_a_killed_and_a_frozen_triggerer_lose_nothing_and_write_nothing_twice(watched: Watched) -> None:
    airflow, everybody = watched.airflow, list[str]()
    airflow.pause(DAG, paused=False)

    def baseline() -> bool:
        return any(key.startswith("leads/") for key in airflow.asset_state(ASSET))

    airflow.wait_for("the watcher's baseline", baseline, SECONDS)
    contacts = len(watched.sandbox.hubspot.store.contacts)

    # Killed while it watches: who comes then is told of by the other.
    first = airflow.wait_for("a watcher", watched.watcher, SECONDS)
    assert first in TRIGGERERS
    airflow.stop(first, by=signal.SIGKILL)
    everybody += watched.convert(2)
    second = airflow.wait_for("another watcher", lambda: watched.taken_over_from(first), SECONDS)
    assert second in TRIGGERERS
    airflow.wait_for("the new leads", lambda: watched.arrived(everybody), SECONDS)
    watched.is_once(everybody)

    # Frozen while somebody comes, and thawed when the other watches: it goes on as if nothing had been.
    airflow.start_only(first)
    airflow.signal(second, signal.SIGSTOP)
    everybody += watched.convert(3)
    airflow.wait_for("the first watching again", lambda: watched.watcher() == first, SECONDS)
    airflow.wait_for("the new leads", lambda: watched.arrived(everybody), SECONDS)
    airflow.signal(second, signal.SIGCONT)
    everybody += watched.convert(1)
    airflow.wait_for("the new leads", lambda: watched.arrived(everybody), SECONDS)
    watched.is_once(everybody)
    assert len(watched.sandbox.hubspot.store.contacts) == contacts + len(everybody)
    assert watched.sandbox.perspective.store.automations_fired == []
