"""One sync of leads across CRMs: read them all, make one golden record per person, write what is missing or differs.

Runs on a schedule of your choice. Trigger it with ``dry_run`` to see what it would do. Nothing is sent twice: a run
that finds nothing new writes nothing.

It remembers: what somebody edits in one CRM goes to the others and is never undone, what somebody clears or deletes in
a CRM stays cleared or deleted there. The first run has no past and starts to remember.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import Param, conf, dag, task

from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsRememberOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.operators.report import LeadsReportOperator
from airflow_providers_leads.retry_policy import leads_retry_args

# Colons are legal in a run id, but not in the paths of every store.
FILES = "{{ params.staging }}/{{ dag.dag_id }}/{{ run_id | replace(':', '') | replace('+', '_') }}"
MEMORY = "{{ params.staging }}/memory/{{ dag.dag_id }}"
"""What the sync remembers between its runs: what people change, clear or delete in a CRM stays as they left it."""


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    # Two runs at once would plan against a state that the other is changing.
    max_active_runs=1,
    default_args=leads_retry_args(),
    render_template_as_native_obj=True,
    tags=["leads"],
    doc_md=__doc__,
    params={
        "dry_run": Param(False, type="boolean", title="Dry run", description="Plan only: no write is sent to any CRM."),
        "sources": Param(
            ["perspective_default", "hubspot_default", "persistiq_default"],
            type="array",
            items={"type": "string"},
            title="Sources",
            description="Connections to read leads from.",
        ),
        "destinations": Param(
            ["hubspot_default", "persistiq_default"],
            type="array",
            items={"type": "string"},
            title="Destinations",
            description="Connections to write the golden records to.",
        ),
        "mode": Param(
            "update",
            type="string",
            enum=["update", "fill", "create_only"],
            title="Mode",
            description="update writes what differs, fill writes empty fields only, create_only makes new ones.",
        ),
        "funnel_ids": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Funnels",
            section="What is read",
            description="Perspective funnels to read; null reads every funnel of every workspace.",
        ),
        "staging": Param(
            conf.get("leads", "staging", fallback=None) or "file:///tmp/airflow-leads",
            type="string",
            minLength=1,
            title="Staging",
            section="Files",
            description="URI prefix of the files between the tasks; all workers must reach it.",
        ),
        "max_changes": Param(
            0.5,
            type=["null", "number"],
            minimum=0,
            title="Most changes, as a share",
            section="Limits",
            description="Stop before the first write when a plan would create or change more than this share of what a "
            "destination holds; empty lets it pass.",
        ),
        "min_share_of_last": Param(
            0.5,
            type=["null", "number"],
            minimum=0,
            title="Fewest records, as a share of the last run",
            section="Limits",
            description="Stop when a CRM suddenly gives less than this share of the records of the last run; empty "
            "lets it pass.",
        ),
    },
)
def leads_sync() -> None:
    @task
    def sources(params: dict[str, Any] | None = None) -> list[str]:
        from airflow_providers_leads.tasks.inputs import lead_connections

        return lead_connections((params or {})["sources"])

    @task
    def destinations(params: dict[str, Any] | None = None) -> list[str]:
        from airflow_providers_leads.tasks.inputs import lead_connections

        return lead_connections((params or {})["destinations"])

    extract = LeadsExtractOperator.partial(
        task_id="extract",
        output=f"{FILES}/extract",
        scope={"funnel_ids": "{{ params.funnel_ids }}"},
        memory=MEMORY,
        min_share_of_last="{{ params.min_share_of_last }}",
        map_index_template="{{ task.conn_id }}",
    ).expand(conn_id=sources())

    deduplicate = LeadsDeduplicateOperator(
        task_id="deduplicate",
        inputs=extract.output,
        output=f"{FILES}/golden",
        memory=MEMORY,
    )

    into = destinations()
    upsert = LeadsUpsertOperator.partial(
        task_id="upsert",
        golden=deduplicate.output,
        # Whom one destination must never contact isn't written to the others either.
        suppressions=into,
        existing=extract.output,
        mode="{{ params.mode }}",
        output=f"{FILES}/upsert",
        memory=MEMORY,
        max_changes="{{ params.max_changes }}",
        dry_run="{{ params.dry_run }}",
        map_index_template="{{ task.conn_id }}",
    ).expand(conn_id=into)

    # Teardowns run whatever happened before: also what a failed run has written is remembered as the sync's own.
    remember = LeadsRememberOperator(
        task_id="remember", golden=deduplicate.output, dry_run="{{ params.dry_run }}"
    ).as_teardown()
    report = LeadsReportOperator(task_id="report", files=FILES, output="{{ params.staging }}/reports").as_teardown()
    upsert >> remember >> report


leads_sync()
