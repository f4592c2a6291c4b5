"""From a task to the record or the list in the CRM's own pages."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import requests_mock as requests_mock_module
from airflow.providers.common.compat.sdk import XCom

from airflow_providers_leads.get_provider_info import get_provider_info
from airflow_providers_leads.operators import hubspot, persistiq, perspective
from airflow_providers_leads.operators.leads import LeadsApplyOperator, LeadsExtractOperator, LeadsUpsertOperator
from airflow_providers_leads.operators.links import CrmLink

DETAILS = "https://api.hubapi.com/account-info/2026-03/details"
ACCOUNT = "https://app-eu1.hubspot.com/contacts/4711"
LIST = f"{ACCOUNT}/objects/0-1/views/all/list"
TI: Any = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock_module.Mocker) -> Any:
    for crm in ("hubspot", "perspective", "persistiq"):
        conn = {"conn_type": crm, "password": "planted-key", "extra": {}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{crm.upper()}_DEFAULT", json.dumps(conn))
    requests_mock.get(DETAILS, json={"portalId": 4711, "uiDomain": "app-eu1.hubspot.com"})
    return requests_mock


def link(operator: Any, returned: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(XCom, "get_value", lambda **given: returned)
    (made,) = (one for one in operator.operator_extra_links if isinstance(one, CrmLink))
    return made.get_link(operator, ti_key=TI)


RECORD = {"id": "501", "properties": {"email": "ann@x.example"}}
HUBSPOT: list[tuple[Any, dict[str, Any], Any, str]] = [
    (hubspot.HubSpotGetContactOperator, {"contact_id": "501"}, RECORD, f"{ACCOUNT}/record/0-1/501"),
    (hubspot.HubSpotGetContactOperator, {"contact_id": "501"}, {"uri": "file:///x"}, f"{ACCOUNT}/record/0-1/501"),
    # An address may stand for the record; the link has its id, or none at all.
    (
        hubspot.HubSpotGetContactOperator,
        {"contact_id": "ann@x.example", "id_property": "email"},
        RECORD,
        f"{ACCOUNT}/record/0-1/501",
    ),
    (
        hubspot.HubSpotGetContactOperator,
        {"contact_id": "ann@x.example", "id_property": "email"},
        {"uri": "file:///x"},
        LIST,
    ),
    (hubspot.HubSpotGetContactOperator, {"contact_id": "7", "id_property": "shop_number"}, {"uri": "f"}, LIST),
    (hubspot.HubSpotCreateContactOperator, {"properties": {}}, RECORD, f"{ACCOUNT}/record/0-1/501"),
    (hubspot.HubSpotPinActivityOperator, {"contact_id": 9, "activity_id": 1}, {}, f"{ACCOUNT}/record/0-1/9"),
    # The record is gone.
    (hubspot.HubSpotArchiveContactOperator, {"contact_id": "501"}, True, LIST),
    # Ids of other things than contacts.
    (hubspot.HubSpotGetOwnerOperator, {"owner_id": "501"}, {"id": "501"}, LIST),
    (hubspot.HubSpotListContactsOperator, {}, [RECORD], LIST),
    (LeadsExtractOperator, {"conn_id": "hubspot_default"}, {"uri": "x"}, LIST),
    (LeadsUpsertOperator, {"conn_id": "hubspot_default", "golden": "x"}, {"results": "x"}, LIST),
    (LeadsApplyOperator, {"conn_id": "hubspot_default", "plan": "x"}, {"results": "x"}, LIST),
    (LeadsExtractOperator, {"conn_id": "perspective_default"}, {"uri": "x"}, "https://app.perspective.co"),
    (perspective.PerspectiveListWorkspacesOperator, {}, [], "https://app.perspective.co"),
    (persistiq.PersistIQGetLeadOperator, {"lead_id": "l_1"}, {"id": "l_1"}, "https://app.persistiq.com"),
]


@pytest.mark.parametrize(("kind", "given", "returned", "url"), HUBSPOT)
def test_where_it_leads(
    kind: Any, given: dict[str, Any], returned: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = link(kind(task_id="t", **given), returned, monkeypatch)
    assert made == url
    assert "@" not in made


def test_a_task_that_returned_nothing_asks_nobody(monkeypatch: pytest.MonkeyPatch, connections: Any) -> None:
    assert link(hubspot.HubSpotListContactsOperator(task_id="t"), None, monkeypatch) == ""
    assert connections.call_count == 0


def test_an_account_that_the_connection_names_is_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, connections: Any
) -> None:
    conn = {"conn_type": "hubspot", "password": "planted-key", "extra": {"portal_id": "12"}}
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(conn))
    made = link(hubspot.HubSpotListContactsOperator(task_id="t"), [], monkeypatch)
    assert made == "https://app.hubspot.com/contacts/12/objects/0-1/views/all/list"
    assert connections.call_count == 0


@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 403, "json": {}},
        {"status_code": 503},
        {"exc": requests.exceptions.ConnectTimeout},
        {"json": []},
        {"text": "<html>"},
    ],
)
def test_without_an_answer_there_is_no_link_and_no_second_try(
    answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch, connections: Any
) -> None:
    connections.get(DETAILS, **answer)
    assert link(hubspot.HubSpotListContactsOperator(task_id="t"), [], monkeypatch) == ""
    assert connections.call_count == 1


@pytest.mark.parametrize("domain", ["evil.example", "app.hubspot.com.evil.example", "", None, "x/.hubspot.com"])
def test_only_hubspots_own_hosts_are_linked_to(domain: Any, monkeypatch: pytest.MonkeyPatch, connections: Any) -> None:
    connections.get(DETAILS, json={"portalId": "1/../2", "uiDomain": domain})
    made = link(hubspot.HubSpotListContactsOperator(task_id="t"), [], monkeypatch)
    assert made == "https://app.hubspot.com/contacts/1%2F..%2F2/objects/0-1/views/all/list"


def test_airflow_may_restore_it() -> None:
    assert f"{CrmLink.__module__}.{CrmLink.__name__}" in get_provider_info()["extra-links"]
