"""What is wrong with an operator's arguments is told when the DAG is parsed, with the nearest right name."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, XComArg

from airflow_providers_leads.decorators.leads import LeadsFilterOperator
from airflow_providers_leads.leads.merge.functions import FORMS
from airflow_providers_leads.leads.merge.policy import PolicyError
from airflow_providers_leads.leads.plan.planning import MODES
from airflow_providers_leads.leads.plan.recheck import IF_STALE
from airflow_providers_leads.operators.engagement import PersistIQEngagementToHubSpotOperator
from airflow_providers_leads.operators.enrol import LeadsEnrolOperator
from airflow_providers_leads.operators.hubspot import (
    HubSpotGetContactOperator,
    HubSpotListContactsOperator,
    HubSpotUpsertContactsOperator,
)
from airflow_providers_leads.operators.leads import (
    LeadsApplyOperator,
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsPlanOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.operators.perspective import PerspectiveCreateContactOperator
from airflow_providers_leads.sensors.persistiq import PersistIQEventSensor
from airflow_providers_leads.tasks.inputs import as_list
from airflow_providers_leads.tasks.policies import read_policy

UPSERT = {"conn_id": "hubspot_default", "golden": "s3://b/g.parquet"}
Case = tuple[Callable[..., Any], dict[str, Any], str]
MISSPELT: list[Case] = [
    (LeadsUpsertOperator, {"connid": "hubspot_default", "golden": "s3://b"}, "'connid'; did you mean 'conn_id'?"),
    (LeadsUpsertOperator, UPSERT | {"dryrun": True}, "'dryrun'; did you mean 'dry_run'?"),
    (LeadsUpsertOperator, UPSERT | {"retrys": 1}, "'retrys'; did you mean 'retries'?"),
    (LeadsExtractOperator, {"conn_id": "h", "scopes": {}}, "did you mean 'scope'?"),
    (HubSpotGetContactOperator, {"contact_idd": "1"}, "did you mean 'contact_id'?"),
    (HubSpotGetContactOperator, {"contact_id": "1", "output_uri": "s3://b"}, "did you mean 'output'?"),
    (HubSpotGetContactOperator, {"contact_id": "1", "xyz": 1}, "it has hubspot_conn_id, "),
    (PerspectiveCreateContactOperator, {"funnel_id": "f", "contact_email": "a@example.com"}, "no argument"),
    (PersistIQEventSensor, {"event": "reply"}, "did you mean 'events'?"),
    (PersistIQEventSensor, {"events": "reply", "poke_intervall": 3}, "did you mean 'poke_interval'?"),
    (LeadsFilterOperator, {"python_callable": len, "batchrows": 3}, "did you mean 'batch_rows'?"),
]
WRONG: list[Case] = [
    (LeadsUpsertOperator, UPSERT | {"mode": "updte"}, "mode must be one of .*, not 'updte'; did you mean 'update'?"),
    (LeadsUpsertOperator, UPSERT | {"on_failure": "warn"}, "on_failure must be one of fail, report, not 'warn'"),
    (LeadsPlanOperator, UPSERT | {"mode": "create"}, "did you mean 'create_only'?"),
    (LeadsApplyOperator, {"conn_id": "h", "plan": "s3://b", "if_stale": "re-plan"}, "did you mean 'replan'?"),
    (LeadsExtractOperator, {"conn_id": "h", "watermark": "automatic"}, "watermark must be one of auto, reset"),
    (LeadsEnrolOperator, {"conn_id": "p", "campaign_id": "c", "leads": "s3://b", "on_failure": "x"}, "on_failure must"),
    (PersistIQEngagementToHubSpotOperator, {"start_at": "{{ ts }}", "on_failure": "reports"}, "mean 'report'?"),
    (HubSpotUpsertContactsOperator, {"inputs": [], "on_failure": "Fail"}, "did you mean 'fail'?"),
    (HubSpotListContactsOperator, {"output": "s3://b/contacts.csv"}, r"output must end in \.parquet"),
    (PersistIQEventSensor, {"events": "reply", "mode": "poll"}, "mode must be one of poke, reschedule"),
    (LeadsDeduplicateOperator, {"inputs": [], "policy": {"priority": ["hubspot_default"]}}, "did you mean 'hubspot'?"),
    (LeadsDeduplicateOperator, {"inputs": [], "policy": {"allow": {"hubspot_default": ["phone"]}}}, "allow: 'hubspot_"),
    (LeadsDeduplicateOperator, {"inputs": [], "policy": {"fields": {"mail": "newest"}}}, "unknown field 'mail'"),
]
# What is known only when the task runs, or says nothing, is none of the parser's business.
PASSING: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (LeadsUpsertOperator, UPSERT | {"mode": "{{ params.mode }}", "on_failure": "{% if x %}fail{% endif %}"}),
    (LeadsExtractOperator, {"conn_id": "h", "watermark": ""}),
    (HubSpotListContactsOperator, {"output": "{{ params.file }}"}),
    (HubSpotListContactsOperator, {"output": "None"}),
    (LeadsDeduplicateOperator, {"inputs": [], "policy": {"priority": ["{{ params.best }}"]}}),
    (LeadsDeduplicateOperator, {"inputs": [], "policy": {"priority": ["webform_default", "hubspot"]}}),
]


@pytest.fixture(autouse=True)
def dag() -> Any:
    with DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        yield dag


@pytest.mark.parametrize(("operator", "arguments", "said"), MISSPELT)
@pytest.mark.parametrize("way", ["", "partial"])
def test_a_misspelt_argument_is_named_with_the_nearest(operator: Any, arguments: Any, said: str, way: str) -> None:
    """Row 55."""
    make = getattr(operator, way) if way else operator
    with pytest.raises(TypeError, match="has no argument") as raised:
        make(task_id="t", **arguments)
    assert said in str(raised.value)


@pytest.mark.parametrize(("operator", "arguments", "said"), WRONG)
def test_a_wrong_value_is_refused_by_the_constructor(operator: Any, arguments: Any, said: str) -> None:
    """Row 55."""
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        operator(task_id="t", **arguments)


@pytest.mark.parametrize(("operator", "arguments"), PASSING)
def test_what_is_known_later_passes(operator: Any, arguments: Any) -> None:
    assert operator(task_id="t", **arguments).task_id == "t"
    result = LeadsExtractOperator(task_id="e", conn_id="h").output
    assert isinstance(result, XComArg)
    assert LeadsUpsertOperator(task_id="u", mode=result, **UPSERT).mode is result


def test_the_choices_are_those_of_the_domain() -> None:
    assert LeadsUpsertOperator.choices["mode"] == LeadsPlanOperator.choices["mode"] == MODES
    assert LeadsApplyOperator.choices["if_stale"] == IF_STALE
    assert tuple(LeadsFilterOperator.choices["form"]) == tuple(FORMS)


def test_somebody_elses_subclass_takes_what_it_likes() -> None:
    class Own(LeadsExtractOperator):
        def __init__(self, **kwargs: Any) -> None:
            self.mine = kwargs.pop("mine")
            super().__init__(**kwargs)

    assert Own(task_id="t", conn_id="h", mine=3).mine == 3


def test_operators_are_still_mapped_and_copied(dag: DAG) -> None:
    HubSpotGetContactOperator.partial(task_id="m", archived=True).expand(contact_id=["1", "2"])
    operator = HubSpotGetContactOperator(task_id="c", contact_id="1")
    assert dag.get_task("m").unmap({"contact_id": "2"}).contact_id == "2"  # type: ignore[union-attr]
    assert operator.prepare_for_execution().contact_id == "1"


@pytest.mark.parametrize(
    ("conn_type", "raises"), [("hubspot", True), ("postgres", False), (None, False)], ids=["a CRM", "another", "none"]
)
def test_a_connection_is_no_source_when_the_task_runs(
    conn_type: str | None, raises: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 55."""
    if conn_type:
        monkeypatch.setenv("AIRFLOW_CONN_OUR_CRM", json.dumps({"conn_type": conn_type, "password": "x"}))
    if raises:
        with pytest.raises(PolicyError, match=r"'our_crm' is a connection, .*; did you mean 'hubspot'"):
            read_policy({"priority": ["our_crm"]})
    else:
        assert read_policy({"priority": ["our_crm"]}).priority == ("our_crm",)


@pytest.mark.parametrize(
    ("value", "listed"),
    [
        ("s3://b", ["s3://b"]),
        (["s3://a", [{"uri": "s3://b"}, {"uri": "s3://c"}]], ["s3://a", {"uri": "s3://b"}, {"uri": "s3://c"}]),
        ([["s3://a"], [["s3://b"]]], ["s3://a", "s3://b"]),
        (iter(["s3://a", iter(["s3://b"])]), ["s3://a", "s3://b"]),
        (None, []),
    ],
)
def test_lists_of_references_are_taken_with_the_lists_of_mapped_tasks(value: Any, listed: list[Any]) -> None:
    """Row 55: ``inputs=[file, mapped.output]``."""
    assert as_list(value) == listed


@pytest.mark.parametrize("output", ["s3://b/{{ run_id }}.parquet", "s3://b/task/x.jsonl.gz", "s3://b/{{ ds }}/x.csv"])
def test_one_file_for_all_mapped_tasks_is_refused(output: str) -> None:
    for operator in (LeadsExtractOperator, HubSpotGetContactOperator, PersistIQEngagementToHubSpotOperator):
        with pytest.raises(ValueError, match=r"put \{\{ ti.map_index \}\} into its name"):
            operator.partial(task_id="t", output=output)


@pytest.mark.parametrize(
    "output",
    ["s3://b/{{ ti.map_index }}.jsonl", "s3://b/{{ task.conn_id }}.parquet", "s3://b/{{ run_id }}", None],
)
def test_a_file_for_each_mapped_task_passes(output: str | None) -> None:
    LeadsExtractOperator.partial(task_id="t", output=output).expand(conn_id=["one", "other"])
