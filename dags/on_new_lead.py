"""Somebody converts in a Perspective funnel, and is in HubSpot within a minute.

The DAG has no schedule of its own: the triggerer looks at the funnels every 15 seconds, and new conversions start a
run that reads them, makes one record per person and upserts those into HubSpot. However many come at once, it is one
run. A restart of the triggerer loses nobody, whom a failed run left undone the next one takes along (Airflow 3.3), and
somebody who is in HubSpot already and didn't change costs no write.

A look takes one request per funnel, of the 100 that the API allows in a minute. With more than a handful of funnels
name those that matter in the connection's extra ``funnel_ids``, or give the trigger one ``funnel_id``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import Asset, Param, conf, dag, task
from airflow.sdk import AssetWatcher

from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsRememberOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.retry_policy import leads_retry_args
from airflow_providers_leads.triggers.perspective import PerspectiveNewContactTrigger

PERSPECTIVE = "perspective_default"
FILES = "{{ params.staging }}/{{ dag.dag_id }}/{{ run_id | replace(':', '') | replace('+', '_') }}"
MEMORY = "{{ params.staging }}/memory/{{ dag.dag_id }}"
"""What the sync remembers between its runs: what people change, clear or delete in a CRM stays as they left it."""
UNDONE = "undone_since"
"""In the asset's state: the oldest conversion that no run has finished with."""

new_leads = Asset(
    "perspective_new_leads",
    watchers=[
        AssetWatcher(
            name="funnels",
            trigger=PerspectiveNewContactTrigger(perspective_conn_id=PERSPECTIVE, poll_interval=15),
        )
    ],
)


@dag(
    schedule=[new_leads],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    # Whoever comes while a run is busy is in the next one.
    max_active_runs=1,
    default_args=leads_retry_args(retry_delay=timedelta(seconds=20)),
    render_template_as_native_obj=True,
    tags=["leads", "perspective", "hubspot"],
    doc_md=__doc__,
    params={
        "dry_run": Param(False, type="boolean", title="Dry run", description="Plan only: no write is sent to HubSpot."),
        "hubspot_conn_id": Param(
            "hubspot_default",
            type="string",
            title="HubSpot connection",
            section="Connections",
            description="Connection to write the leads to.",
        ),
        "since": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Since",
            section="What is read",
            description="For runs by hand: read what converted from here on, with an offset; empty reads a day.",
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
def on_new_lead() -> None:
    @task(inlets=[new_leads])
    def since(
        params: dict[str, Any] | None = None, triggering_asset_events: Any = None, asset_state_store: Any = None
    ) -> str:
        events = [event for found in (triggering_asset_events or {}).values() for event in found]
        told = [(event.extra or {}).get("payload") or {} for event in events]
        times = [payload["oldest"] for payload in told if payload.get("oldest")]
        if not times:
            return str((params or {})["since"] or pendulum.now("UTC").subtract(days=1).isoformat())
        if asset_state_store is None:
            return str(min(times))
        # What a failed run left undone is this run's work too.
        state = asset_state_store[new_leads]
        oldest = min([*times, *filter(None, [state.get(UNDONE)])])
        state.set(UNDONE, oldest)
        return str(oldest)

    @task(inlets=[new_leads])
    def done(read_from: str, params: dict[str, Any] | None = None, asset_state_store: Any = None) -> None:
        # A run by hand reads from elsewhere and settles nothing else.
        state = None if asset_state_store is None else asset_state_store[new_leads]
        if state is not None and not (params or {})["dry_run"] and state.get(UNDONE) == read_from:
            state.delete(UNDONE)

    begin: Any = since()
    extract = LeadsExtractOperator(
        task_id="extract", conn_id=PERSPECTIVE, output=f"{FILES}/extract", updated_after=begin, memory=MEMORY
    )
    deduplicate = LeadsDeduplicateOperator(
        task_id="deduplicate", inputs=extract.output, output=f"{FILES}/golden", memory=MEMORY
    )
    upsert = LeadsUpsertOperator(
        task_id="upsert",
        conn_id="{{ params.hubspot_conn_id }}",
        golden=deduplicate.output,
        output=f"{FILES}/upsert",
        memory=MEMORY,
        dry_run="{{ params.dry_run }}",
    )
    upsert >> done(begin)
    (
        upsert
        >> LeadsRememberOperator(
            task_id="remember", golden=deduplicate.output, dry_run="{{ params.dry_run }}"
        ).as_teardown()
    )


on_new_lead()
