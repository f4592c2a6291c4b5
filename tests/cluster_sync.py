"""A sync on the machines of a test, and how it must have ended whatever became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery_cluster import Bucket, CeleryCluster
from postgres_process import PostgresProcess, running_postgres
from redis_process import RedisProcess, running_redis

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.clock import iso_utc

DAGS = Path(__file__).resolve().parents[1] / "dags"
DAG = "leads_sync"
SECONDS = 600.0


class ClusterSync:
    """The machines, and the CRMs that they sync."""

    def __init__(
        self, airflow: CeleryCluster, sandbox: Sandbox, bucket: Bucket, broker: RedisProcess, database: PostgresProcess
    ) -> None:
        self.airflow, self.sandbox, self.bucket = airflow, sandbox, bucket
        self.broker, self.database = broker, database

    def writes(self) -> int:
        return sum(api.stats.writes for api in self.sandbox.apis)

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

    def trigger(self) -> str:
        return self.airflow.trigger(DAG, {"max_changes": None})

    def run(self) -> dict[str, Any]:
        return self.airflow.ended(DAG, self.trigger(), seconds=SECONDS)

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


@contextmanager
def cluster_sync(
    home: Path, people: int, environment: Callable[[Sandbox], Mapping[str, str]] = Sandbox.connection_env
) -> Iterator[ClusterSync]:
    """Start everything but workers.

    :param home: an empty folder
    :param people: in the CRMs
    :param environment: makes what all machines have in their environment, default the connections
    """
    sync = home / "given" / "leads_sync.py"
    sync.parent.mkdir()
    # A minute between two tries is long for a test.
    text = (DAGS / sync.name).read_text()
    waits = "leads_retry_args(retry_delay=pendulum.duration(seconds=3))"
    assert "default_args=leads_retry_args()," in text
    sync.write_text(text.replace("leads_retry_args(),", f"{waits},"))
    with (
        Sandbox(people=people, seed=7, limits=False) as sandbox,
        running_postgres() as database,
        running_redis() as broker,
        Bucket() as bucket,
        CeleryCluster(home / "airflow", [sync], database, broker, bucket, environment(sandbox)) as airflow,
    ):
        yield ClusterSync(airflow, sandbox, bucket, broker, database)
