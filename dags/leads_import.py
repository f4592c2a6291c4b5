"""Leads from a file into the CRMs: a list from a trade fair, an export of another program, a table in Excel.

Reads the file, asks each destination for the people in it and for nobody else, merges what is known of them, plans
what that means for each destination, tells it in a report, and writes it. It costs what the file costs, however much a
CRM holds. Values that a CRM has stay as they are: only what is empty there is filled, and who is unknown is created.
Whoever opted out in the file or in any of the destinations is created nowhere.

With ``dry_run`` it ends with the report.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import Param, conf, dag, task

from airflow_providers_leads.operators.leads import (
    LeadsApplyOperator,
    LeadsDeduplicateOperator,
    LeadsFromFileOperator,
    LeadsLookupOperator,
    LeadsPlanOperator,
)
from airflow_providers_leads.operators.report import LeadsReportOperator
from airflow_providers_leads.retry_policy import leads_retry_args

# Colons are legal in a run id, but not in the paths of every store.
FILES = "{{ params.staging }}/{{ dag.dag_id }}/{{ run_id | replace(':', '') | replace('+', '_') }}"


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=leads_retry_args(),
    render_template_as_native_obj=True,
    tags=["leads"],
    doc_md=__doc__,
    params={
        "dry_run": Param(
            False, type="boolean", title="Dry run", description="Report only: no write is sent to any CRM."
        ),
        "file": Param(
            "file:///tmp/leads.csv",
            type="string",
            title="File",
            description="URI of a CSV, Excel, JSON Lines or Parquet file, such as s3://conn_id@bucket/fair.csv.",
        ),
        "source": Param(
            "file",
            type="string",
            pattern="^[A-Za-z][A-Za-z0-9_.-]*$",
            title="Name of the source",
            description="Your word for where the leads come from, such as trade_fair.",
        ),
        "destinations": Param(
            ["hubspot_default", "persistiq_default"],
            type="array",
            items={"type": "string"},
            title="Destinations",
            description="Connections to write the leads to.",
        ),
        "mode": Param(
            "fill",
            type="string",
            enum=["fill", "update", "create_only"],
            title="Mode",
            description="fill writes empty fields only, update others too, create_only makes new ones.",
        ),
        "columns": Param(
            None,
            type=["null", "object"],
            title="Columns",
            section="What is read",
            description='What is not to be guessed: lead field to column, such as {"email": "Kontakt"}.',
        ),
        "max_people": Param(
            {"hubspot": 100_000, "persistiq": 5_000},
            type="object",
            title="People that a CRM is asked for",
            section="Limits",
            description="People up to whom a destination is asked for them, by connection type; for more it is read as "
            "a whole. HubSpot takes a request per 100 people, PersistIQ one each.",
        ),
        "staging": Param(
            conf.get("leads", "staging", fallback=None) or "file:///tmp/airflow-leads",
            type="string",
            minLength=1,
            title="Staging",
            section="Files",
            description="URI prefix of the files between the tasks; all workers must reach it.",
        ),
    },
)
def leads_import() -> None:
    @task
    def destinations(params: dict[str, Any] | None = None) -> list[str]:
        from airflow_providers_leads.tasks.inputs import lead_connections

        return lead_connections((params or {})["destinations"])

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def write(params: dict[str, Any] | None = None) -> bool:
        return not (params or {})["dry_run"]

    write_to = destinations()
    read = LeadsFromFileOperator(
        task_id="read",
        input="{{ params.file }}",
        columns="{{ params.columns }}",
        source="{{ params.source }}",
        output=f"{FILES}/read",
    )
    look_up = LeadsLookupOperator.partial(
        task_id="look_up",
        inputs=read.output,
        output=f"{FILES}/found",
        max_people="{{ params.max_people }}",
        map_index_template="{{ task.conn_id }}",
    ).expand(conn_id=write_to)
    deduplicate = LeadsDeduplicateOperator(
        task_id="deduplicate", inputs=[read.output, look_up.output], output=f"{FILES}/golden"
    )
    plan = LeadsPlanOperator.partial(
        task_id="plan",
        golden=deduplicate.output,
        mode="{{ params.mode }}",
        max_people="{{ params.max_people }}",
        output=f"{FILES}/plan",
        map_index_template="{{ task.conn_id }}",
    ).expand(conn_id=write_to)
    planned = LeadsReportOperator(task_id="planned", files=FILES, output=f"{FILES}/planned")
    apply = LeadsApplyOperator.partial(
        task_id="apply",
        max_people="{{ params.max_people }}",
        output=f"{FILES}/apply",
        map_index_template="{{ task.conn_id }}",
    ).expand_kwargs(plan.output.map(lambda made: {"conn_id": made["conn_id"], "plan": made}))
    # A teardown runs whatever happened before, and has no say in whether the run succeeded.
    report = LeadsReportOperator(task_id="report", files=FILES, output="{{ params.staging }}/reports").as_teardown()
    plan >> planned >> write() >> apply >> report


leads_import()
