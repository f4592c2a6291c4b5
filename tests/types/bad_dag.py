"""Mistakes of DAG authors: type checkers must find something in each line that ends in ``# wrong``."""

from __future__ import annotations

from airflow_providers_leads.operators.enrol import LeadsEnrolOperator
from airflow_providers_leads.operators.hubspot import (
    HubSpotCreatePropertyOperator,
    HubSpotGdprDeleteContactOperator,
    HubSpotGetContactOperator,
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
from airflow_providers_leads.operators.persistiq import PersistIQAddLeadsToCampaignOperator
from airflow_providers_leads.operators.perspective import PerspectiveGetKpiOperator
from airflow_providers_leads.operators.report import LeadsReportOperator
from airflow_providers_leads.sensors.hubspot import HubSpotContactPropertySensor
from airflow_providers_leads.sensors.persistiq import PersistIQEventSensor

HubSpotGetContactOperator(task_id="t", contact_id="1", contact_idd="1")  # wrong
HubSpotGetContactOperator(task_id="t")  # wrong
HubSpotGetContactOperator(contact_id="1")  # wrong
HubSpotGetContactOperator(task_id="t", contact_id=None)  # wrong
HubSpotGetContactOperator(task_id="t", contact_id="1", retries="many")  # wrong
HubSpotGetContactOperator(task_id="t", contact_id="1", pool=3)  # wrong
HubSpotGetContactOperator(task_id="t", contact_id="1", output=3)  # wrong
HubSpotGetContactOperator(task_id="t", contact_id="1", output_uri="s3://b")  # wrong
HubSpotGetContactOperator(task_id="t", contact_id="1", archived=2.5)  # wrong
HubSpotGetContactOperator(task_id="t", contact_id="1", hubspot_conn="h")  # wrong
HubSpotGdprDeleteContactOperator(task_id="t", email=7)  # wrong
HubSpotGdprDeleteContactOperator(task_id="t", contact_email="a@example.com")  # wrong
HubSpotCreatePropertyOperator(task_id="t", name="n", type="string", field_type="text")  # wrong
HubSpotUpsertContactsOperator(task_id="t", inputs=5)  # wrong
HubSpotUpsertContactsOperator(task_id="t", inputs=[], max_fail=1)  # wrong
PersistIQAddLeadsToCampaignOperator(task_id="t", lead_ids=["l"])  # wrong
PerspectiveGetKpiOperator(task_id="t", funnel_id="f", subtype="kpi_new_contacts", start=1, end="{{ ts }}")  # wrong

LeadsExtractOperator(task_id="t")  # wrong
LeadsExtractOperator(task_id="t", conn_id="h", scop={})  # wrong
LeadsExtractOperator(task_id="t", conn_id=["h"])  # wrong
LeadsFromFileOperator(task_id="t")  # wrong
LeadsFromFileOperator(task_id="t", input="s3://b/f.csv", column={})  # wrong
LeadsLookupOperator(task_id="t", conn_id="h")  # wrong
LeadsDeduplicateOperator(task_id="t", inputs=3)  # wrong
LeadsDeduplicateOperator(task_id="t", inputs=[], polici={})  # wrong
LeadsPlanOperator(task_id="t", golden="s3://b")  # wrong
LeadsApplyOperator(task_id="t", conn_id="h", plan="s3://b", if_stal="ignore")  # wrong
LeadsUpsertOperator(task_id="t", golden="s3://b")  # wrong
LeadsUpsertOperator(task_id="t", connid="h", golden="s3://b")  # wrong
LeadsUpsertOperator(task_id="t", conn_id="h", golden="s3://b", dry_runs=True)  # wrong
LeadsUpsertOperator(task_id="t", conn_id="h", golden="s3://b", retries="3")  # wrong
LeadsUpsertOperator(conn_id="h", golden="s3://b")  # wrong
LeadsMoveWatermarkOperator(task_id="t")  # wrong
LeadsEnrolOperator(task_id="t", conn_id="p", leads="s3://b")  # wrong
LeadsReportOperator(task_id="t", file="s3://b")  # wrong

HubSpotContactPropertySensor(task_id="t")  # wrong
PersistIQEventSensor(task_id="t", events="reply", poke_intervall=3)  # wrong
PersistIQEventSensor(task_id="t", events=3)  # wrong
