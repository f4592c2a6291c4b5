"""A CRM that is away for longer than requests are repeated: the task is tried again and nobody is left in doubt."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from airflow.dag_processing.dagbag import DagBag

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.sandbox import FaultPlan, Rule, Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import run_dag_file

DAGS = sorted((Path(__file__).resolve().parents[2] / "dags").glob("*.py"))


@pytest.mark.parametrize("file", DAGS, ids=lambda file: file.stem)
def test_every_example_has_retries_by_policy(file: Path) -> None:
    """Row 45."""
    bag = DagBag(dag_folder=str(file))
    (dag,) = bag.dags.values()
    for task in dag.tasks:
        assert task.retries == 3, task.task_id
        assert type(task.retry_policy).__name__ == "LeadsRetryPolicy", task.task_id


# Before the effect, and after it: what was created is then in doubt.
@pytest.mark.story
@pytest.mark.parametrize(
    ("crm", "path", "fault", "times"),
    [
        pytest.param("hubspot", "*/batch/*", "error_503", 6, marks=pytest.mark.slow),
        ("hubspot", "*/batch/*", "cut_after", 6),
        # Ten people per request, four requests side by side.
        pytest.param("persistiq", "*/leads", "error_503", 18, marks=pytest.mark.slow),
        ("persistiq", "*/leads", "error_500_after", 18),
    ],
)
def test_an_outage_longer_than_requests_are_repeated_leaves_nobody_in_doubt(
    crm: str, path: str, fault: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 45: a task is retried, goes on where it ended, and everybody stands once in the CRM."""
    outage = FaultPlan((Rule(fault=fault, crm=crm, method="POST", path=path, times=times),))
    with Sandbox(people=120, seed=7, limits=False, faults=outage) as sandbox:
        for name, value in sandbox.connection_env().items():
            extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 2}
            monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
        parameters = {"staging": f"file://{tmp_path}/files", "destinations": [f"{crm}_default"]}
        run = run_dag_file(Path(DAGS[0].parent, "leads_sync.py"), parameters)
        assert run.state == "success"
        (upserted,) = run.returned("upsert")
        assert upserted["failed"] == upserted["ambiguous"] == 0
        assert [task.tries > 1 for task in run.tasks if task.task_id == "upsert"] == [True]
        (api,) = [api for api in sandbox.apis if api.name == crm]
        struck = sum(api.stats.faults.values())
        # What took effect is looked up by the next try and not sent again, so that the outage may outlast it.
        assert 6 <= struck <= times if fault.endswith("_after") else struck == times
        results = pq.read_table(upserted["results"].removeprefix("file://")).to_pylist()
        assert {row["outcome"] for row in results} <= {"created", "updated", "unchanged", "suppressed"}
        stored = (
            [contact.properties.get("email") for contact in sandbox.hubspot.store.contacts.values()]
            if crm == "hubspot"
            else [lead.data.get("email") for lead in sandbox.persistiq.store.leads.values()]
        )
        counts = Counter(email_key(address) for address in stored)
        for person in sandbox.people:
            if person.kind == "contactable":
                assert counts[email_key(person.email)] == 1, person.person_id
        # The next run has nothing to mend.
        before = api.stats.writes
        assert run_dag_file(Path(DAGS[0].parent, "leads_sync.py"), parameters).state == "success"
        assert api.stats.writes == before
