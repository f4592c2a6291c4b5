"""Replies, bounces and opt-outs of PersistIQ's leads, written to HubSpot's contacts.

Each contact gets the times of the last reply, bounce and opt-out and the name of the last campaign, in properties of
their own that the first run makes in a group "PersistIQ"; in HubSpot, lists and workflows can build on them. Contacts
are matched by address; nobody is created, and a run that finds nothing new writes nothing.

Each run also reads the last ``overlap_hours`` before its interval again: what was missed while the DAG was paused, or
showed up late, is caught up with. Trigger it with ``start`` to go back further.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import Param, conf, dag, task
from airflow.sdk import CronDataIntervalTimetable

from airflow_providers_leads.bridges.persistiq_hubspot import GROUP, PROPERTIES
from airflow_providers_leads.operators.engagement import (
    HubSpotEnsurePropertiesOperator,
    PersistIQEngagementToHubSpotOperator,
)
from airflow_providers_leads.retry_policy import leads_retry_args


@dag(
    # Not "@hourly": since Airflow 3 the data interval of that has no length.
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    # The overlap does the catching up, in one run.
    catchup=False,
    max_active_runs=1,
    default_args=leads_retry_args(),
    tags=["leads", "persistiq", "hubspot"],
    doc_md=__doc__,
    params={
        "dry_run": Param(False, type="boolean", title="Dry run", description="Write nothing to HubSpot."),
        "persistiq_conn_id": Param(
            "persistiq_default",
            type="string",
            title="PersistIQ connection",
            section="Connections",
            description="Connection of PersistIQ.",
        ),
        "hubspot_conn_id": Param(
            "hubspot_default",
            type="string",
            title="HubSpot connection",
            section="Connections",
            description="Connection of HubSpot.",
        ),
        "overlap_hours": Param(
            24,
            type="integer",
            minimum=0,
            title="Overlap in hours",
            section="What is read",
            description="Hours that each run reads again.",
        ),
        "start": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Start",
            section="What is read",
            description="Read from here on, with an offset; empty reads the run's data interval and the overlap.",
        ),
        "staging": Param(
            conf.get("leads", "staging", fallback=None) or "file:///tmp/airflow-leads",
            type=["null", "string"],
            title="Staging",
            section="Files",
            description="URI prefix of the files that tell what was written, by ids; empty writes none.",
        ),
    },
)
def engagement_to_hubspot() -> None:
    @task(multiple_outputs=True)
    def window(params: dict[str, Any] | None = None, dag_run: Any = None) -> dict[str, str]:
        given = params or {}
        end = pendulum.instance(dag_run.data_interval_end or dag_run.run_after)
        if given["start"]:
            # Up to now: somebody who goes back wants to arrive at the present.
            return {"start": given["start"], "end": pendulum.now("UTC").isoformat()}
        begin = pendulum.instance(dag_run.data_interval_start or end.subtract(hours=1))
        return {"start": begin.subtract(hours=given["overlap_hours"]).isoformat(), "end": end.isoformat()}

    span: Any = window()
    properties = HubSpotEnsurePropertiesOperator(
        task_id="properties",
        group=GROUP,
        properties=PROPERTIES,
        hubspot_conn_id="{{ params.hubspot_conn_id }}",
        dry_run="{{ params.dry_run }}",
    )
    engagement = PersistIQEngagementToHubSpotOperator(
        task_id="engagement",
        start_at=span["start"],
        end_at=span["end"],
        persistiq_conn_id="{{ params.persistiq_conn_id }}",
        hubspot_conn_id="{{ params.hubspot_conn_id }}",
        output="{{ params.staging ~ '/' ~ dag.dag_id ~ '/' ~ (run_id | replace(':', '') | replace('+', '_'))"
        " ~ '/contacts.jsonl' if params.staging else '' }}",
        dry_run="{{ params.dry_run }}",
    )
    properties >> engagement


engagement_to_hubspot()
