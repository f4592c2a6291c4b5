"""What a DAG author writes: no type checker may find anything here."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import dag, task

from airflow_providers_leads.operators.enrol import LeadsEnrolOperator
from airflow_providers_leads.operators.erase import LeadsEraseOperator
from airflow_providers_leads.operators.hubspot import (
    HubSpotCreatePropertyOperator,
    HubSpotGdprDeleteContactOperator,
    HubSpotGetContactOperator,
    HubSpotListContactsOperator,
    HubSpotUpsertContactsOperator,
)
from airflow_providers_leads.operators.leads import (
    LeadsApplyOperator,
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsFromFileOperator,
    LeadsLookupOperator,
    LeadsMoveWatermarkOperator,
    LeadsPlanOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.operators.metrics import PerspectiveExportMetricsOperator
from airflow_providers_leads.operators.persistiq import PersistIQAddLeadsToCampaignOperator, PersistIQListLeadsOperator
from airflow_providers_leads.operators.perspective import PerspectiveCreateContactOperator, PerspectiveGetKpiOperator
from airflow_providers_leads.operators.report import LeadsReportOperator
from airflow_providers_leads.retry_policy import leads_retry_args
from airflow_providers_leads.sensors.hubspot import HubSpotContactPropertySensor
from airflow_providers_leads.sensors.persistiq import PersistIQEventSensor
from airflow_providers_leads.sensors.perspective import PerspectiveNewContactSensor


@task
def connections() -> list[str]:
    return ["hubspot_default"]


@dag(default_args=leads_retry_args())
def typed() -> None:
    contact = HubSpotGetContactOperator(
        task_id="contact",
        contact_id="1",
        archived="{{ params.archived }}",
        retries=3,
        retry_delay=60,
        pool=None,
        queue="crm",
        trigger_rule="all_done",
        execution_timeout=timedelta(minutes=5),
        on_failure_callback=print,
        params={"archived": False},
        inlets=[],
        doc_md="Reads a contact.",
        task_display_name="Contact",
        deferrable=True,
        email="team@example.com",
        output="s3://bucket/contact.jsonl",
    )
    HubSpotGdprDeleteContactOperator(task_id="forget", email=contact.output)
    HubSpotCreatePropertyOperator(task_id="property", name="n", label="N", type="string", field_type="text")
    HubSpotUpsertContactsOperator(task_id="many", inputs=contact.output, on_failure="report", max_failed=0.1)
    HubSpotListContactsOperator.partial(task_id="all", properties=["email"]).expand(hubspot_conn_id=connections())
    PersistIQListLeadsOperator(task_id="leads", updated_after=datetime.now().astimezone(), email="{{ params.email }}")
    PersistIQAddLeadsToCampaignOperator(task_id="add", campaign_id="c", lead_ids=["l"], depends_on_past=True)
    PerspectiveCreateContactOperator(task_id="create", funnel_id="f", email="a@example.com")
    PerspectiveGetKpiOperator(
        task_id="kpi", funnel_id="f", subtype="kpi_new_contacts", start="{{ data_interval_start }}", end="{{ ts }}"
    )

    extract = LeadsExtractOperator(task_id="extract", conn_id="hubspot_default", scope={"archived": False}, overlap=60)
    found = LeadsLookupOperator.partial(task_id="found", inputs=extract.output).expand(conn_id=connections())
    fair = LeadsFromFileOperator(
        task_id="fair", input="s3://b/fair.csv", columns={"email": "Mail", "phone": ["a", "b"]}
    )
    golden = LeadsDeduplicateOperator(
        task_id="merge",
        inputs=[extract.output, found.output, fair.output, "s3://b/f.parquet"],
        policy={"priority": ["hubspot"]},
    )
    plan = LeadsPlanOperator(task_id="plan", conn_id="hubspot_default", golden=golden.output, existing=extract.output)
    apply = LeadsApplyOperator(task_id="apply", conn_id="hubspot_default", plan=plan.output, max_failed="{{ 1 }}")
    upsert = LeadsUpsertOperator(
        task_id="upsert",
        conn_id="{{ params.conn_id }}",
        golden=golden.output,
        existing=[extract.output],
        mode="fill",
        dry_run="{{ params.dry_run }}",
        retries=1,
        outlets=[],
        ledger="s3://bucket/ledger",
    )
    move = LeadsMoveWatermarkOperator(task_id="move", extracted=extract.output, trigger_rule="all_success")
    LeadsEnrolOperator(task_id="enrol", conn_id="persistiq_default", campaign_id="c", leads=upsert.output)
    LeadsEraseOperator(task_id="erase", email_keys=["a@example.com"], conn_ids=["hubspot_default"], dry_run=True)
    PerspectiveExportMetricsOperator(
        task_id="metrics",
        funnel_id="f",
        start="{{ data_interval_start }}",
        end="{{ data_interval_end }}",
        output="s3://b",
    )
    report = LeadsReportOperator(task_id="report", files="s3://bucket/run", history=5)
    [apply, upsert] >> move >> report.as_teardown()

    HubSpotContactPropertySensor(task_id="customer", property_name="lifecyclestage", email=contact.output, mode="poke")
    PersistIQEventSensor(task_id="answered", events="reply", timeout=timedelta(days=1), soft_fail=True)
    PerspectiveNewContactSensor(task_id="new", funnel_id="f", poke_interval=30, deferrable=True)


dag_of_types: Any = typed()
