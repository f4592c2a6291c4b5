"""A daily snapshot of every PersistIQ campaign's counters, as tidy rows: one counter per row.

PersistIQ keeps no history of how many people a campaign reached, so a day that isn't recorded is lost: let this run
every day. Each campaign is a task of its own. The rows go to Parquet files below ``staging``, to a table of a SQL
database when ``sql_conn_id`` is given, or both; a retried task replaces its snapshot.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import Param, conf, dag, task

from airflow_providers_leads.operators.metrics import PersistIQExportCampaignStatsOperator
from airflow_providers_leads.retry_policy import leads_retry_args


@dag(
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    # There is nothing to catch up with: the counters are always those of now.
    catchup=False,
    default_args=leads_retry_args(),
    tags=["leads", "persistiq"],
    doc_md=__doc__,
    params={
        "persistiq_conn_id": Param(
            "persistiq_default",
            type="string",
            title="PersistIQ connection",
            section="Connections",
            description="Connection of PersistIQ.",
        ),
        "campaign_ids": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Campaigns",
            section="What is read",
            description="Campaigns to read; empty reads all.",
        ),
        "snapshot_at": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Time of the snapshot",
            section="What is read",
            description="Time that names the snapshot, with an offset; empty takes the run's own.",
        ),
        "staging": Param(
            conf.get("leads", "staging", fallback=None) or "file:///tmp/airflow-leads",
            type=["null", "string"],
            title="Staging",
            section="Files and tables",
            description="URI prefix of the files; empty writes none.",
        ),
        "sql_conn_id": Param(
            None,
            type=["null", "string"],
            title="SQL connection",
            section="Files and tables",
            description="Connection of a SQL database; empty writes to none.",
        ),
        "table": Param(
            "persistiq_campaign_stats",
            type="string",
            title="Table",
            section="Files and tables",
            description="Its table; made when missing.",
        ),
    },
)
def persistiq_campaign_stats() -> None:
    @task
    def campaigns(params: dict[str, Any] | None = None) -> list[str]:
        from airflow_providers_leads.hooks.persistiq import PersistIQHook

        given = params or {}
        if given["campaign_ids"]:
            return list(dict.fromkeys(given["campaign_ids"]))
        return [campaign["id"] for campaign in PersistIQHook(given["persistiq_conn_id"]).list_campaigns()]

    PersistIQExportCampaignStatsOperator.partial(
        task_id="export",
        snapshot_at="{{ params.snapshot_at or '' }}",
        persistiq_conn_id="{{ params.persistiq_conn_id }}",
        # Without the run's id: the file is named after campaign and snapshot, so that a retry replaces it.
        output="{{ params.staging ~ '/' ~ dag.dag_id if params.staging else '' }}",
        sql_conn_id="{{ params.sql_conn_id or '' }}",
        table="{{ params.table }}",
        max_active_tis_per_dag=2,
        map_index_template="{{ task.campaign_id }}",
    ).expand(campaign_id=campaigns())


persistiq_campaign_stats()
