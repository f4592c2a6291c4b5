"""Two worlds of three CRMs that change alike: one in peace, one where two requests in a hundred go wrong.

After each round of changes both are synced, the second one with the retries that Airflow would make, and then they must
hold the same.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from crm_records import by_address, records_in

from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.http.rate_limit import RateLimiter
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.sandbox import FaultPlan, Rule, Sandbox
from airflow_providers_leads.sandbox.core.clock import iso_utc
from airflow_providers_leads.sandbox.fault_kinds import KINDS
from airflow_providers_leads.sandbox.persistiq.store import Lead
from airflow_providers_leads.tasks.returns import LeadsWriteError

SOURCES: Final = ("perspective", "hubspot", "persistiq")
FUNNEL: Final = "65f0a0000000000000000001"
TARGET: Final = "65f0a0000000000000000002"
TRIES: Final = 8
ANSWERS_IN: Final = 1.0
# A slow answer, and what it answers, comes when the client has given up.
LATE: Final = 0.25

# Deleting rows changes what there is to sync, and a refused key has to be mended by somebody; an OAuth token need not.
LEFT_OUT: Final = frozenset({"rows_deleted", "token_expired"})
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "slow": {"milliseconds": int((ANSWERS_IN + LATE / 2) * 1000)},
    # More than a task sleeps: it fails, and Airflow tries again.
    "limit_seconds": {"seconds": 600},
    "migrating": {"seconds": 600},
}


def faults(share: float, seed: int) -> FaultPlan:
    """Return a plan by which a share of all requests to each CRM goes wrong, evenly over the kinds."""
    rules = []
    for crm in SOURCES:
        kinds = [kind for kind, row in KINDS.items() if crm in row.crms and kind not in LEFT_OUT]
        kinds += ["token_expired"] if crm == "hubspot" else []
        rules += [Rule(fault=k, crm=crm, share=share / len(kinds), options=OPTIONS.get(k, {})) for k in kinds]
    return FaultPlan(tuple(rules), seed)


@contextmanager
def hardly_waiting() -> Iterator[None]:
    """Let clients wait so long at most as a slow answer is late: the stand-ins need no rest."""
    made = HttpClient.__post_init__

    def napping(self: HttpClient) -> None:
        made(self)
        self.sleep = lambda seconds: time.sleep(min(seconds, LATE))

    with patch.object(HttpClient, "__post_init__", napping), patch.object(RateLimiter, "block"):
        yield


@dataclass
class World:
    """Three CRMs, and what syncing them took."""

    folder: Path
    sandbox: Sandbox
    tries: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def connect(self) -> None:
        """Point Airflow's connections here."""
        for api in self.sandbox.apis:
            extra: dict[str, Any] = {"rate_limit": 10**6, "rate_limit_period": 1, "timeout": ANSWERS_IN}
            value = {"conn_type": api.name, "host": api.origin, "password": api.key}
            if api.name == "hubspot":
                config = self.sandbox.config
                value["password"] = ""
                extra |= {
                    "client_id": config.oauth_client_id,
                    "client_secret": config.oauth_client_secret,
                    "refresh_token": config.oauth_refresh_token,
                }
            os.environ[f"AIRFLOW_CONN_{api.name.upper()}_DEFAULT"] = json.dumps({**value, "extra": extra})

    def task(self, number: int, make: Callable[..., Any], task_id: str, **arguments: Any) -> Any:
        """Run one task of one round as often as it takes, each try anew, as Airflow does."""
        ti = SimpleNamespace(dag_id="soak", run_id=f"round-{number}", task_id=task_id, map_index=-1)
        output = f"file://{self.folder}/{number}/{task_id}"
        for attempt in range(1, TRIES + 1):
            self.tries[task_id] += 1
            try:
                return make(task_id=task_id, output=output, **arguments).execute({"ti": ti})
            except (LeadsApiError, LeadsWriteError) as error:
                self.errors[type(error).__name__] += 1
                if attempt == TRIES:
                    raise
        raise AssertionError

    def sync(self, number: int) -> None:
        """Read all three, merge, and write all three."""
        self.connect()
        extracts = [
            self.task(number, LeadsExtractOperator, f"extract_{crm}", conn_id=f"{crm}_default") for crm in SOURCES
        ]
        golden = self.task(number, LeadsDeduplicateOperator, "deduplicate", inputs=extracts)
        for crm in SOURCES:
            more = {"write_options": {"funnel_id": TARGET}} if crm == "perspective" else {}
            self.task(
                number, LeadsUpsertOperator, f"upsert_{crm}",
                conn_id=f"{crm}_default", golden=golden, existing=extracts, **more,
            )  # fmt: skip

    def change(self, number: int) -> None:
        """Let people come and move; the same in every world."""
        rng = random.Random(number)
        perspective, hubspot, persistiq = (getattr(self.sandbox, crm).store for crm in SOURCES)
        for index in range(24):
            email = f"r{number}.{index}@soak.example"
            city = rng.choice(("Ulm", "Bonn", "Trier", "Kiel"))
            values = {"email": email, "firstname": f"Zoë {index}", "lastname": "O'Neill", "city": city}
            if index % 3 == 0:
                hubspot.plan_create(values).commit()
            elif index % 3 == 1:
                meta = {"ps_converted_at": _iso(perspective), "ps_first_seen_at": _iso(perspective)}
                names = {"firstName": values["firstname"], "lastName": values["lastname"]}
                contact = {"id": f"7b{number:011x}{index:011x}", "status": "new", "email": email, **names, "meta": meta}
                perspective.funnels[FUNNEL].add(contact | {"utmParams": {}, "properties": {}})
            else:
                data = {"email": email, "first_name": values["firstname"], "last_name": "O'Neill", "city": city}
                now = persistiq.clock.now()
                persistiq.add(Lead(f"l_s{number}x{index}", next(iter(persistiq.statuses.values())), data, now, now))
        held = sorted(hubspot.live, key=lambda i: hubspot.contacts[i].properties.get("email", ""))
        for contact_id in rng.sample(held, min(30, len(held))):
            hubspot.plan_update(hubspot.contacts[contact_id], {"jobtitle": f"Title {rng.randrange(10**6)}"}).commit()

    def state(self) -> dict[str, list[str]]:
        """Return what each CRM holds of each person, without ids and times."""
        return by_address(
            (f"{crm} {email_key(email) or email}", profile)
            for crm in SOURCES
            for email, profile in records_in(crm, getattr(self.sandbox, crm).store)
        )

    def mail(self) -> int:
        """Return how much mail the writes have caused."""
        return len(self.sandbox.perspective.store.automations_fired) + len(self.sandbox.persistiq.store.messages_sent)


def _iso(store: Any) -> str:
    return iso_utc(store.clock.now())


@dataclass
class Report:
    """What a soak has met."""

    rounds: int = 0
    seconds: float = 0.0
    requests: int = 0
    writes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    by_crm: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    mail: int = 0

    def __str__(self) -> str:
        """Return the report as text."""
        total = self.faults.total()
        lines = [
            f"{self.rounds} rounds in {self.seconds:.0f} s: {self.requests} requests ({self.writes} writes), "
            f"{total} faults ({total / max(1, self.requests):.1%}), {self.retries} task retries",
            "per CRM: " + ", ".join(f"{crm} {count}" for crm, count in self.by_crm.items()),
            "per kind: " + ", ".join(f"{kind} {count}" for kind, count in self.faults.most_common()),
            "tries ended by: "
            + (", ".join(f"{kind} {count}" for kind, count in self.errors.most_common()) or "nothing"),
            f"differences to the clean run: {len(self.differences)}; mail caused: {self.mail}",
        ]
        return "\n".join([*lines, *self.differences[:20]])


def soak(seconds: float, folder: Path, *, people: int = 150, share: float = 0.02, seed: int = 7) -> Report:
    """Change and sync two worlds for some time, and report; stops at the first difference.

    :param seconds: how long
    :param folder: for the files between tasks
    :param people: seeded people per world
    :param share: of requests that go wrong
    :param seed: of people and faults
    """
    report, began = Report(), time.monotonic()
    settings: dict[str, Any] = {"people": people, "seed": seed, "limits": False}
    with (
        hardly_waiting(),
        Sandbox(**settings) as calm,
        Sandbox(**settings, faults=faults(share, seed)) as rough,
    ):
        clean, faulty = World(folder / "clean", calm), World(folder / "faulty", rough)
        while not report.differences and (time.monotonic() - began < seconds or not report.rounds):
            report.rounds += 1
            for world in (clean, faulty):
                world.change(report.rounds)
                world.sync(report.rounds)
            expected, found = clean.state(), faulty.state()
            report.differences = [
                f"round {report.rounds}: {name}: {found.get(name)} instead of {expected.get(name)}"
                for name in sorted(expected.keys() | found.keys())
                if expected.get(name) != found.get(name)
            ]
        for api in rough.apis:
            report.requests += api.stats.requests
            report.writes += api.stats.writes
            report.faults += api.stats.faults
            report.by_crm[api.name] = api.stats.faults.total()
        report.retries = faulty.tries.total() - clean.tries.total()
        report.errors, report.mail = faulty.errors, clean.mail() + faulty.mail()
    report.seconds = time.monotonic() - began
    return report
