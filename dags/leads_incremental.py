"""Leads that changed since the last run, in step across CRMs, at the cost of the change and not of the CRM.

A run reads what changed in each source since the run before (everything the first time), asks the CRMs what else they
hold of those people, makes one record per person of it, and writes what differs. 200 new leads among 100,000 contacts
take some 20 requests.

How far each source was read is kept in the state of the asset ``leads_watermarks`` (Airflow 3.3) and moves at the end
of a run: what a failed run left undone, the next one takes along. Trigger it with ``watermark`` set to ``reset`` to
read everything and start anew. ``dry_run`` moves and writes nothing.

What a source doesn't tell, this can't see: Perspective knows when somebody converted, not when a contact was edited, so
its funnels are read in full every ``full_every`` days. Deleted records stay where they are in the other CRMs.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import Param, conf, dag, task

from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsLookupOperator,
    LeadsMoveWatermarkOperator,
    LeadsRememberOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.operators.watermark import WATERMARKS
from airflow_providers_leads.retry_policy import leads_retry_args

FILES = "{{ params.staging }}/{{ dag.dag_id }}/{{ run_id | replace(':', '') | replace('+', '_') }}"
MEMORY = "{{ params.staging }}/memory/{{ dag.dag_id }}"
"""What the sync remembers between its runs: what people change, clear or delete in a CRM stays as they left it."""


@dag(
    schedule="*/15 * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    # The watermark knows what was missed, however many intervals ago.
    catchup=False,
    # Two runs at once would read the same changes and plan against a state that the other is changing.
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
            description="Connections to read changes from, and to ask for the people who changed elsewhere.",
        ),
        "destinations": Param(
            ["hubspot_default", "persistiq_default"],
            type="array",
            items={"type": "string"},
            title="Destinations",
            description="Connections to write the golden records to.",
        ),
        "funnel_ids": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Funnels",
            section="What is read",
            description="Perspective funnels to read; null reads every funnel of every workspace.",
        ),
        "watermark": Param(
            "auto",
            type="string",
            enum=["auto", "reset"],
            title="Watermark",
            section="What is read",
            description="reset reads everything and starts anew.",
        ),
        "full_every": Param(
            {"perspective": 7},
            type="object",
            title="Days between full reads",
            section="What is read",
            description="Days after which a CRM is read in full once more, by connection type.",
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
def leads_incremental() -> None:
    @task
    def sources(params: dict[str, Any] | None = None) -> list[str]:
        from airflow_providers_leads.tasks.inputs import lead_connections

        return lead_connections((params or {})["sources"])

    @task
    def destinations(params: dict[str, Any] | None = None) -> list[str]:
        from airflow_providers_leads.tasks.inputs import lead_connections

        return lead_connections((params or {})["destinations"])

    read_from = sources()
    extract = LeadsExtractOperator.partial(
        task_id="extract",
        output=f"{FILES}/extract",
        scope={"funnel_ids": "{{ params.funnel_ids }}"},
        watermark="{{ params.watermark }}",
        move_watermark=False,
        full_every="{{ params.full_every }}",
        memory=MEMORY,
        min_share_of_last="{{ params.min_share_of_last }}",
        inlets=[WATERMARKS],
        map_index_template="{{ task.conn_id }}",
    ).expand(conn_id=read_from)

    look_up = LeadsLookupOperator.partial(
        task_id="look_up",
        inputs=extract.output,
        output=f"{FILES}/found",
        memory=MEMORY,
        map_index_template="{{ task.conn_id }}",
    ).expand(conn_id=read_from)

    deduplicate = LeadsDeduplicateOperator(
        task_id="deduplicate",
        inputs=extract.output.concat(look_up.output),
        output=f"{FILES}/golden",
        memory=MEMORY,
    )

    into = destinations()
    upsert = LeadsUpsertOperator.partial(
        task_id="upsert",
        golden=deduplicate.output,
        # Where all of a CRM was read, that is what it holds; otherwise it is asked for these people.
        # Whom one destination must never contact isn't written to the others either.
        suppressions=into,
        existing=extract.output,
        output=f"{FILES}/upsert",
        memory=MEMORY,
        max_changes="{{ params.max_changes }}",
        dry_run="{{ params.dry_run }}",
        map_index_template="{{ task.conn_id }}",
    ).expand(conn_id=into)

    upsert >> LeadsMoveWatermarkOperator(
        task_id="move_watermark", extracted=extract.output, dry_run="{{ params.dry_run }}"
    )
    (
        upsert
        >> LeadsRememberOperator(
            task_id="remember", golden=deduplicate.output, dry_run="{{ params.dry_run }}"
        ).as_teardown()
    )


leads_incremental()
