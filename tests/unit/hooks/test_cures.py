"""Each refusal that an API documents says what to do next, in our own words."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests_mock as rm

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.hooks.hubspot import wire as hubspot
from airflow_providers_leads.hooks.persistiq import PersistIQHook
from airflow_providers_leads.hooks.persistiq import wire as persistiq
from airflow_providers_leads.hooks.perspective import PerspectiveHook
from airflow_providers_leads.hooks.perspective import wire as perspective
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.http.problems import read_problem
from airflow_providers_leads.leads.model.outcomes import PlanRow

FORMS = {"hubspot": hubspot.PROBLEMS, "persistiq": persistiq.PROBLEMS, "perspective": perspective.PROBLEMS}
CALLS: dict[str, Any] = {
    "hubspot": lambda hook: hook.create_contact({"firstname": "Ann"}),
    "persistiq": lambda hook: hook.update_lead("l_1", data={"city": "Ulm"}),
    "perspective": lambda hook: hook.update_contact_value("f", "c", "city", "Ulm"),
}
HOOKS: dict[str, Any] = {"hubspot": HubSpotHook, "persistiq": PersistIQHook, "perspective": PerspectiveHook}


def packed(code: str) -> dict[str, Any]:
    """Return HubSpot's older form: the list of bad values as JSON within the sentence."""
    listed = json.dumps([{"isValid": False, "message": "x", "error": code, "name": "city"}], separators=(",", ":"))
    return {"category": "VALIDATION_ERROR", "message": f"Property values were not valid: {listed}"}


def coded(code: str) -> dict[str, Any]:
    entry = {"message": "ann@x.de is odd", "code": code, "context": {"propertyName": ["city"]}}
    return {"category": "VALIDATION_ERROR", "message": "Property values were not valid", "errors": [entry]}


def reason(reason: str, message: str) -> dict[str, Any]:
    return {"status": "error", "error": {"reason": reason, "message": message}}


def said(message: str) -> dict[str, Any]:
    return {"error": message, "status": 400}


REFUSALS = {
    "hubspot": [
        (coded("INVALID_EMAIL"), "Correct the address"),
        (packed("INVALID_EMAIL"), "Correct the address"),
        (coded("PROPERTY_DOESNT_EXIST"), "Make the property"),
        (packed("READ_ONLY_VALUE"), "HubSpot alone fills"),
        (coded("INVALID_OPTION"), "one of the property's options"),
        (coded("INVALID_INTEGER"), "Give a number"),
        (coded("INVALID_DATE"), "Give a date"),
        (coded("INVALID_ALPHA"), "the rules of the property"),
        (coded("INVALID_OWNER_ID"), "HubSpotListOwnersOperator"),
        (coded("PROPERTY_VALUE_TOO_LONG"), "Shorten"),
        (coded("CONFLICTING_UNIQUE_VALUE"), "Another contact has this value"),
        ({"category": "CONFLICT", "message": "Contact already exists. Existing ID: 5"}, "use the upsert"),
        ({"category": "OBJECT_ALREADY_EXISTS", "error": "CONTACT_EXISTS"}, "use the upsert"),
        ({"category": "OBJECT_NOT_FOUND", "message": "gone"}, "Check the id"),
        ({"category": "VALIDATION_ERROR", "message": "Duplicate IDs found in batch input: [a]."}, "once"),
        ({"category": "VALIDATION_ERROR", "message": "update/upsert by non-unique 0-1 property"}, "unique"),
        ({"category": "VALIDATION_ERROR", "message": "… more than 250 identities …"}, "can't be merged"),
        ({"category": "VALIDATION_ERROR", "message": "city is required"}, "Fill what is missing"),
        ({"category": "VALIDATION_ERROR", "message": "Cannot deserialize value of type"}, "cursor"),
        ({"category": "VALIDATION_ERROR", "message": "no"}, "Correct what is named"),
        ({"error": "invalid_grant", "status": "BAD_REFRESH_TOKEN", "message": "bad"}, "Authorise the OAuth app anew"),
    ],
    "persistiq": [
        (reason("bad_params", "Email is missing"), "Correct the address"),
        (reason("invalid_request", "Email can't be blank"), "Correct the address"),
        (reason("bad_params", "Email has already been taken"), "Another lead has this address"),
        (reason("invalid_request", "Lead has already been taken"), "in the campaign already"),
        (reason("bad_params", "Status is invalid"), "PersistIQListLeadStatusesOperator"),
        (reason("bad_params", "Owner not found"), "PersistIQListUsersOperator"),
        (reason("bad_params", "Mailbox not found"), "PersistIQListUsersOperator"),
        (reason("invalid_request", "Mailbox is disconnected"), "Connect the mailbox again"),
        (reason("not_found", "Campaign not found"), "PersistIQListCampaignsOperator"),
        (reason("not_found", "Lead not found"), "Check the id"),
        (reason("bad_params", "Lead is not in the campaign"), "Nothing is to be done"),
        (reason("bad_params", "Maximum of 100 leads per request"), "fewer"),
        (reason("bad_params", "City is invalid"), "Correct what is named"),
        ({"reason": "invalid_request", "message": "no"}, "Correct what is named"),
        (reason("invalid_request_error", "no"), "Correct what is named"),
    ],
    "perspective": [
        (said("Invalid email format"), "Correct the address"),
        (said("Email or phone is required"), "an address or a phone number"),
        (said("Unknown status: x"), "a status of the funnel"),
        (said("Contact not found"), "Check the id"),
        (said("Funnel not found"), "PerspectiveListWorkspacesOperator"),
        (said("KPI not found"), "Check the name"),
        (said("Insight not found"), "Check the name"),
        (said("abTest is only supported for one chart"), "leave it out"),
        (said("Reserved field name: ps_source"), "leave this field out"),
        (said("Not allowed on create: meta"), "by an update"),
        (said("from must be before to"), "start before the end"),
    ],
}


@pytest.mark.parametrize(
    ("crm", "body", "cure"),
    [
        pytest.param(crm, body, cure, id=f"{crm}-{number}")
        for crm, refusals in REFUSALS.items()
        for number, (body, cure) in enumerate(refusals)
    ],
)
def test_each_documented_refusal_says_what_to_do(crm: str, body: dict[str, Any], cure: str) -> None:
    problem = read_problem({}, body, FORMS[crm])
    assert cure in problem.cure
    assert problem.cure.endswith(".")
    assert problem.reason.endswith(problem.cure)
    assert "@" not in problem.reason


@pytest.mark.parametrize("crm", FORMS)
def test_what_nobody_knows_has_no_cure(crm: str) -> None:
    problem = read_problem({}, {"message": "teapot"}, FORMS[crm])
    assert (problem.cure, problem.reason) == ("", "teapot")


@pytest.mark.parametrize("crm", FORMS)
def test_error_and_row_say_it(crm: str, monkeypatch: pytest.MonkeyPatch, requests_mock: rm.Mocker) -> None:
    told = {"conn_type": crm, "password": "k", "extra": {"rate_limit": 10**6, "max_retries": 0}}
    monkeypatch.setenv(f"AIRFLOW_CONN_{crm.upper()}_DEFAULT", json.dumps(told))
    hook = HOOKS[crm]()
    body, cure = REFUSALS[crm][0]
    requests_mock.register_uri(rm.ANY, rm.ANY, status_code=400, json=body)
    fields = {"status": "success", "lead_fields": [{"name": "city"}], "results": []}
    requests_mock.get(rm.ANY, json=fields)
    with pytest.raises(LeadsApiError) as caught:
        CALLS[crm](hook)
    assert cure in str(caught.value)
    assert "@" not in str(caught.value)
    row = PlanRow(email_key="ann@x.de", action="update", target_id="1", target_scope="f", values={"city": "Ulm"})
    [result] = hook.apply_plan([row], **({"funnel_id": "f"} if crm == "perspective" else {}))
    assert result.outcome == "failed"
    assert cure in str(result.reason)


@pytest.mark.parametrize("status", [401, 403])
def test_of_a_key_the_words_say_nothing(status: int, monkeypatch: pytest.MonkeyPatch, requests_mock: rm.Mocker) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps({"conn_type": "hubspot", "password": "k"}))
    requests_mock.get(rm.ANY, status_code=status, json={"category": "MISSING_SCOPES", "message": "scopes are required"})
    with pytest.raises(LeadsApiError) as caught:
        HubSpotHook().get_contact("1")
    assert "Fill what is missing" not in str(caught.value)
