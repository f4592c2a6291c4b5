"""New people into outreach: read the sources, create in PersistIQ who isn't there, and enrol those into a campaign.

**An active campaign mails its new leads at once.** Nothing is written and nobody is mailed until you trigger it with a
``campaign_id`` and without ``dry_run``. Whoever has opted out or bounced, in any source, or is on a do-not-contact list
is left out; leads that PersistIQ held before are never changed, and join only with ``unchanged`` among ``outcomes``.
Who is or was in the campaign stays as they are, so a second run enrols nobody again.

By ``filters`` or ``lists`` only some of HubSpot's contacts are read: take the other connections out of ``sources``, or
all of their people are read, too. With ``golden`` nothing is read at all: its people join.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import Param, conf, dag, task

from airflow_providers_leads.operators.enrol import LeadsEnrolOperator
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.retry_policy import leads_retry_args

# Colons are legal in a run id, but not in the paths of every store.
FILES = "{{ params.staging }}/{{ dag.dag_id }}/{{ run_id | replace(':', '') | replace('+', '_') }}"


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
        "dry_run": Param(
            False, type="boolean", title="Dry run", description="Plan only: nothing is written and nobody is enrolled."
        ),
        "campaign_id": Param(
            None,
            type=["null", "string"],
            title="Campaign",
            description="PersistIQ campaign to enrol new leads into. An active one MAILS them at once. "
            "Empty: plan only, nothing is written and nobody is enrolled.",
        ),
        "mailbox_id": Param(
            None,
            type=["null", "string"],
            title="Mailbox",
            description="Mailbox to send from; empty is that of the campaign's owner.",
        ),
        "outcomes": Param(
            ["created"],
            type="array",
            items={"type": "string", "enum": ["created", "unchanged"]},
            title="People",
            description="created: who is new in PersistIQ. With unchanged, everybody in the sources who was there "
            "before is enrolled, too.",
        ),
        "sources": Param(
            ["perspective_default", "hubspot_default", "persistiq_default"],
            type="array",
            items={"type": "string"},
            title="Sources",
            description="Connections to read leads from. Keep those in that tell of opt-outs.",
        ),
        "persistiq_conn_id": Param(
            "persistiq_default",
            type="string",
            title="PersistIQ connection",
            section="Connections",
            description="Connection of the account with the campaign.",
        ),
        "funnel_ids": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Funnels",
            section="What is read",
            description="Perspective funnels to read; null reads every funnel of every workspace.",
        ),
        "filters": Param(
            None,
            type=["null", "object", "array"],
            title="Filters",
            section="What is read",
            description='Of HubSpot only contacts that match, such as {"hs_lead_status": "NEW"}.',
        ),
        "lists": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Lists",
            section="What is read",
            description="Of HubSpot only members of these lists, by name or id.",
        ),
        "golden": Param(
            None,
            type=["null", "string"],
            title="Golden records",
            section="What is read",
            description="URI of golden records of another run, whose people are taken; then nothing else is read.",
        ),
        "staging": Param(
            conf.get("leads", "staging", fallback=None) or "file:///tmp/airflow-leads",
            type="string",
            minLength=1,
            title="Staging",
            section="Files",
            description="URI prefix of the files between the tasks; all workers must reach it.",
        ),
        "max_leads": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Most people of a run",
            section="Limits",
            description="The others wait for a run that takes unchanged people; empty: any number.",
        ),
        "max_leads_per_day": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Most people of a day",
            section="Limits",
            description="Of all runs, DAGs and campaigns of the account together; empty: any number.",
        ),
        "timezone": Param(
            "UTC", type="string", title="Time zone", section="Limits", description="Whose midnight begins a day."
        ),
    },
)
def outreach_enrol() -> None:
    @task
    def sources(params: dict[str, Any] | None = None) -> list[str]:
        from airflow_providers_leads.tasks.enrolling.enrol import check_enrolment
        from airflow_providers_leads.tasks.inputs import lead_connections

        known = params or {}
        # Whom this run creates and then can't enrol is nobody new to the next one.
        check_enrolment(
            known["persistiq_conn_id"],
            known["campaign_id"],
            known["mailbox_id"],
            outcomes=known["outcomes"],
            timezone=known["timezone"],
        )
        return [] if known["golden"] else lead_connections(known["sources"])

    extract = LeadsExtractOperator.partial(
        task_id="extract",
        output=f"{FILES}/extract",
        scope={
            "funnel_ids": "{{ params.funnel_ids }}",
            "filters": "{{ params.filters }}",
            "lists": "{{ params.lists }}",
        },
        map_index_template="{{ task.conn_id }}",
    ).expand(conn_id=sources())

    deduplicate = LeadsDeduplicateOperator(
        task_id="deduplicate",
        inputs=extract.output,
        output=f"{FILES}/golden",
    )

    create = LeadsUpsertOperator(
        task_id="create",
        # With golden records at hand nothing is read or merged.
        trigger_rule="none_failed",
        conn_id="{{ params.persistiq_conn_id }}",
        golden="{{ params.golden or ti.xcom_pull('deduplicate') }}",
        existing=extract.output,
        mode="create_only",
        output=f"{FILES}/create",
        # Only who is created in a run is enrolled by it, so nobody may be created before there is a campaign.
        dry_run="{{ params.dry_run or not params.campaign_id }}",
    )

    deduplicate >> create

    LeadsEnrolOperator(
        task_id="enrol",
        conn_id="{{ params.persistiq_conn_id }}",
        campaign_id="{{ params.campaign_id }}",
        mailbox_id="{{ params.mailbox_id }}",
        leads=create.output,
        outcomes="{{ params.outcomes }}",
        max_leads="{{ params.max_leads }}",
        max_leads_per_day="{{ params.max_leads_per_day }}",
        timezone="{{ params.timezone }}",
        # The same for every run, so that days are counted.
        ledger="{{ params.staging }}/ledger",
        output=f"{FILES}/enrol",
        dry_run="{{ params.dry_run }}",
    )


outreach_enrol()
