"""Runs DAGs in an Airflow of their own against CRMs that fail in every way, for a test that reads all they left.

    python faulty_runs.py HOME LEVEL

Logs go to stdout and stderr, the facts that must not be among them to ``HOME/planted.json``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from airflow_providers_leads.sandbox import FaultPlan, Rule, Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, airflow_environment, run_dag_file

DAGS = Path(__file__).resolve().parents[2] / "dags"
KEYS = {
    "hubspot_key": "pat-eu1-planted1-aaaa-bbbb-cccc-dddddddddddd",
    "perspective_key": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "persistiq_key": "a3f5c0d9e8b7462f91d0c3b5a7e6f812",
    "oauth_client_secret": "planted-client-secret-4711",
    "oauth_refresh_token": "planted-refresh-token-4712",
}
WAYS = ("cut_before", "cut_after", "error_500", "error_500_after", "error_502", "error_503", "truncated", "nested")
PASSING = FaultPlan(
    (
        *(Rule(fault=kind, share=0.03) for kind in WAYS),
        Rule(fault="limit_seconds", share=0.03),
        Rule(fault="limit_silent", share=0.03),
        Rule(fault="locked", share=0.03),
        Rule(fault="rows_repeated", method="GET", share=0.1),
        Rule(fault="foreign_next", method="GET", share=0.5),
    )
)
# What a task dies of, and which destination or source it is sent to.
DEADLY: dict[str, tuple[Rule, ...]] = {
    "the key is refused and quoted": (Rule(fault="token_expired", crm="persistiq"), Rule(fault="token_expired")),
    "a gateway shows what it was sent": (Rule(fault="error_502", method="POST"),),
    "a vendor quotes the key": (Rule(fault="error_500", method="POST"),),
    "writes are cut": (Rule(fault="cut_after", method="POST"), Rule(fault="cut_after", method="PATCH")),
    "the day's quota is spent": (Rule(fault="limit_daily"), Rule(fault="limit_seconds", options={"seconds": 999})),
    "everything is elsewhere": (Rule(fault="foreign_redirect"),),
}


def main(home: Path, level: str) -> None:
    """Run a sync that survives, then one per deadly plan, and one over OAuth."""
    os.environ |= airflow_environment(home, DAGS) | {"AIRFLOW__LOGGING__LOGGING_LEVEL": level}
    told: list[Any] = []
    planted = set(KEYS.values())

    def sync(plan: FaultPlan, *, oauth: bool = False, retries: int | None = None) -> None:
        with Sandbox(people=240, seed=7, limits=False, faults=plan, **KEYS) as sandbox:
            for name, value in sandbox.connections().items():
                extra: dict[str, Any] = {"rate_limit": 10**6, "rate_limit_period": 1, "max_retries": 9}
                if oauth and value["conn_type"] == "hubspot":
                    value["password"] = ""
                    config = sandbox.config
                    extra |= {
                        "client_id": config.oauth_client_id,
                        "client_secret": config.oauth_client_secret,
                        "refresh_token": config.oauth_refresh_token,
                    }
                os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps({**value, "extra": extra})
            parameters = {"staging": f"file://{home}/files"}
            result: DagResult = run_dag_file(DAGS / "leads_sync.py", parameters, retries=retries)
            planted.update(person.email for person in sandbox.people if person.email)
            planted.update(copy for person in sandbox.people for copy in _held(sandbox))
            tokens = sandbox.hubspot.store.tokens._known
            planted.update(tokens)
            told.append(
                {
                    "state": result.state,
                    "faults": {api.name: dict(api.stats.faults) for api in sandbox.apis},
                    "returned": [task.returned for task in result.tasks],
                }
            )

    _never_wait()
    sync(PASSING)
    sync(PASSING, oauth=True)
    for rules in list(DEADLY.values())[: None if level == "DEBUG" else 2]:
        # What goes on for good would only go on for longer.
        sync(FaultPlan(rules), retries=0)
    (home / "planted.json").write_text(json.dumps({"planted": sorted(planted), "runs": told}), encoding="utf-8")


def _never_wait() -> None:
    """Back off without delay: the stand-ins need no rest."""
    from airflow_providers_leads.http.client import HttpClient
    from airflow_providers_leads.http.rate_limit import RateLimiter

    made = HttpClient.__post_init__

    def without_sleep(self: HttpClient) -> None:
        made(self)
        self.sleep = lambda seconds: None

    HttpClient.__post_init__ = without_sleep  # type: ignore[method-assign]
    RateLimiter.block = lambda self, seconds: None  # type: ignore[method-assign]


def _held(sandbox: Sandbox) -> set[str]:
    """Return every address and telephone number that a stand-in holds."""
    contacts = [c.properties for c in sandbox.hubspot.store.contacts.values()]
    contacts += [lead.data for lead in sandbox.persistiq.store.leads.values()]
    contacts += [c for funnel in sandbox.perspective.store.funnels.values() for c in funnel.contacts.values()]
    return {str(value).strip() for c in contacts for name in ("email", "phone") if (value := c.get(name))}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
