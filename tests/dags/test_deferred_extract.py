"""A rate limit of the CRM in real Airflow: the task waits in the triggerer and then goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_providers_leads.operators import base
from airflow_providers_leads.sandbox import FaultPlan, Rule, Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import run_dag_file

DAG = """
import pendulum
from airflow.providers.common.compat.sdk import dag
from airflow_providers_leads.operators.leads import LeadsExtractOperator

@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False)
def deferred_extract():
    LeadsExtractOperator(
        task_id="extract", conn_id="persistiq_default", output="file://{folder}/leads.parquet", deferrable={deferrable}
    )

deferred_extract()
"""


@pytest.mark.parametrize(("deferrable", "state"), [(True, "success"), (False, "failed")])
def test_a_long_wait(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deferrable: bool, state: str
) -> None:
    file = tmp_path / "deferred_extract.py"
    file.write_text(DAG.format(folder=tmp_path, deferrable=deferrable), encoding="utf-8")
    monkeypatch.setattr(base, "_LONGEST_SLEEP", 0.5)
    # Not deferrable, a task sleeps two minutes at most; here the quota is back after two seconds or ten minutes.
    rule = Rule(fault="limit_seconds", path="/v1/leads", nth=(1,), options={"seconds": 2 if deferrable else 600})
    sandbox.persistiq.faults = FaultPlan((rule,)).for_crm("persistiq")
    result = run_dag_file(file)
    assert result.state == state
    assert sandbox.persistiq.stats.faults["limit_seconds"] == 1
    if deferrable:
        (told,) = result.returned("extract")
        assert told["rows"] == len(sandbox.persistiq.store.leads)
