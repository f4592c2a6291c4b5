"""The decorators, links and logs in real Airflow, over real HTTP, against the sandbox CRMs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

DAG = """
import pendulum
from airflow.sdk import dag, task
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator, LeadsExtractOperator, LeadsUpsertOperator,
)
from airflow_providers_leads.retry_policy import leads_retry_policy


@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1), default_args={{"retry_policy": leads_retry_policy()}})
def taskflow_sync():
    @task.leads_filter(output="{files}")
    def reachable(leads, least):
        return [len(lead["email"] or "") >= least for lead in leads]

    @task.leads_map(output="{files}", form="arrow")
    def marked(leads):
        import pyarrow as pa

        return pa.table({{"company": ["Mapped"] * len(leads)}})

    extracts = LeadsExtractOperator.partial(task_id="extract", output="{files}/extract").expand(
        conn_id=["perspective_default", "hubspot_default"]
    )
    kept = reachable.partial(least=5).expand(leads=extracts.output)
    golden = LeadsDeduplicateOperator(
        task_id="deduplicate", inputs=marked.expand(leads=kept), output="{files}/golden"
    )
    LeadsUpsertOperator(
        task_id="upsert", conn_id="hubspot_default", golden=golden.output, existing=kept, output="{files}/upsert",
        dry_run=True,
    )


taskflow_sync()
"""


def xcoms(result: DagResult, key: str) -> dict[str, Any]:
    with create_session() as session:
        rows = session.scalars(select(XComModel).filter_by(run_id=result.run_id, key=key)).all()
        return {row.task_id: XComModel.deserialize_value(row) for row in rows}


def test_functions_stand_between_the_extract_and_the_upsert(
    sandbox: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "taskflow_sync.py"
    file.write_text(DAG.format(files=f"file://{tmp_path}/files"))
    result = run_dag_file(file)
    printed = "".join(capfd.readouterr())
    assert result.state == "success"
    extracted, kept, mapped = (result.returned(name) for name in ("extract", "reachable", "marked"))
    assert [part["rows"] for part in extracted] == [part["rows"] + part["dropped"] for part in kept]
    assert [part["rows"] for part in kept] == [part["rows"] for part in mapped]
    assert {part["complete"] for part in extracted} == {True}
    assert {part["complete"] for part in (*kept, *mapped)} == {False}
    assert {row.company for part in mapped for row in read_rows(part["uri"], Lead)} == {"Mapped"}
    # A filtered extract is not what the destination holds: it was read anew.
    (upserted,) = result.returned("upsert")
    assert upserted["existing"] not in {part["uri"] for part in kept}
    assert upserted["dry_run"] is True

    # Links, and logs that fold.
    links = xcoms(result, "_link_CrmLink")
    assert set(links) == {"extract", "upsert"}
    assert links["upsert"].startswith("https://app.hubspot.com/contacts/")
    assert "@" not in repr(links)
    for title in ("Read the leads of perspective_default", "Merge 2 files", "Compare with hubspot_default"):
        assert f"::group::{title}" in printed
    # Airflow's own groups stand around ours.
    assert printed.count("::group::") <= printed.count("::endgroup::") + len(result.tasks)
