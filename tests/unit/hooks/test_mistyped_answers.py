"""Answers with a value of another type than documented: an error of our own that says so, whichever CRM gives them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests_mock as rm

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.hooks.persistiq import PersistIQHook
from airflow_providers_leads.hooks.perspective import PerspectiveHook
from airflow_providers_leads.http.errors import LeadsApiError, LeadsServerError, LeadsValidationError


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hubspot", "perspective", "persistiq"):
        value = {"conn_type": name, "password": "k", "extra": {"rate_limit": 10**6, "max_retries": 0}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}_DEFAULT", json.dumps(value))


ODD_CONTACT = {"results": [{"id": "1", "properties": "email"}]}


@pytest.mark.parametrize(
    ("call", "body"),
    [
        pytest.param(lambda: list(HubSpotHook().list_contacts(properties=["email"])), ODD_CONTACT, id="list"),
        pytest.param(lambda: list(HubSpotHook().search_contacts()), ODD_CONTACT, id="search"),
        pytest.param(lambda: list(HubSpotHook().find_leads(["ann@x.de"])), ODD_CONTACT, id="look up"),
        pytest.param(
            lambda: list(HubSpotHook().find_leads(["ann@x.de"])),
            {"results": [{"id": None, "properties": {"email": "ann@x.de"}}]},
            id="a record without an id",
        ),
        pytest.param(lambda: HubSpotHook().get_contact(1), {"id": "1", "properties": ["email"]}, id="get"),
        pytest.param(lambda: HubSpotHook().update_contact(1, {"city": "x"}), {"id": "1", "properties": 5}, id="patch"),
        pytest.param(lambda: list(PerspectiveHook().iter_leads()), {"data": [None]}, id="workspaces"),
        pytest.param(lambda: list(PerspectiveHook().iter_leads()), {"data": [{"campaigns": {}}]}, id="no list"),
        pytest.param(lambda: list(PerspectiveHook().iter_leads()), {"data": [{"campaigns": ["f1"]}]}, id="funnels"),
    ],
)
def test_it_is_told_as_an_answer_that_the_api_does_not_document(call: Callable[[], Any], body: Any) -> None:
    with rm.Mocker() as mocker:
        mocker.register_uri(rm.ANY, rm.ANY, json=body)
        with pytest.raises(LeadsServerError, match=r"without the content this API documents|could not be looked up"):
            call()


LEAD_ONLY = {"id": "l_1", "status": "active"}


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (lambda: PersistIQHook().get_lead("l_1"), {"status": "success", "lead": {}}),
        (lambda: PersistIQHook().get_lead("l_1"), {"status": "success", "lead": {"id": None, "data": {}}}),
        (lambda: PersistIQHook().get_lead("l_1"), {"status": "success", "leads": [LEAD_ONLY]}),
        (
            lambda: list(PersistIQHook().leads_by_id(["l_1"])),
            {"status": "success", "lead": {**LEAD_ONLY, "data": None}},
        ),
        (lambda: PerspectiveHook().get_contact("f", "c"), {"data": {}}),
        (lambda: PerspectiveHook().create_contact("f", email="ann@x.de"), {"data": {"id": None}}),
    ],
)
def test_a_person_without_an_id_or_values_is_nobody(call: Callable[[], Any], body: Any) -> None:
    """Values that an answer leaves out would pass for cleared ones."""
    with rm.Mocker() as mocker:
        mocker.register_uri(rm.ANY, rm.ANY, json=body)
        with pytest.raises(LeadsServerError, match="without the content this API documents"):
            call()


@pytest.mark.parametrize("data", [{}, {"data": None}, {"data": []}], ids=["none", "null", "a list"])
def test_a_lead_without_its_data_passes_for_nobody(data: dict[str, Any]) -> None:
    """It may have opted out, and of whom would be lost."""
    leads = [{"id": "l_1", "optedout": True, **data}]
    with rm.Mocker() as mocker:
        mocker.get(rm.ANY, json={"status": "success", "has_more": False, "leads": leads})
        with pytest.raises(LeadsServerError, match="a lead without its data"):
            list(PersistIQHook().iter_leads())


def test_what_only_informs_is_passed_over() -> None:
    with rm.Mocker() as mocker:
        mocker.get(rm.ANY, json={"results": ["x", {"usageLimit": 10, "currentUsage": 3}]})
        assert "Calls left today: 7 of 10." in HubSpotHook().limits_left()
        odd = {"name": "city", "modificationMetadata": "none"}
        mocker.get(rm.ANY, json={"results": [odd, {"name": "vip", "modificationMetadata": {"readOnlyValue": True}}]})
        hook = HubSpotHook()
        with pytest.raises(ValueError, match="'vip' can only be read"):
            hook.check_properties(["vip"])


def test_a_problem_that_names_a_lead_in_another_way_is_its_own() -> None:
    problem = {"reason": "invalid_request", "message": "Lead not found", "campaign_lead": "l_1", "lead_id": "l_1"}
    taken = {"id": "cl_1", "campaign_id": "c_1", "lead_id": "l_2"}
    body = {"status": "error", "campaign_leads": [taken], "errors": [problem]}
    with rm.Mocker() as mocker:
        mocker.post(rm.ANY, json=body)
        result = PersistIQHook().add_leads_to_campaign("c_1", ["l_1", "l_2"])
    assert [done.input for done in result.succeeded] == ["l_2"]
    assert [(lost.input, lost.category) for lost in result.failed] == [("l_1", "invalid_request")]


def test_members_are_known_however_a_place_names_its_lead() -> None:
    places = [{"id": "cl_1", "lead_id": "l_1"}, {"id": "cl_2", "lead": {"id": "l_2"}}, {"id": "cl_3", "lead": None}]
    campaigns = PersistIQHook().campaigns
    with rm.Mocker() as mocker:
        mocker.get(rm.ANY, json={"status": "success", "has_more": False, "campaign_leads": places})
        assert campaigns.members("c_1") == {"l_1", "l_2"}


HUBSPOT_SAYS = {"status": "error", "category": "VALIDATION_ERROR", "message": "no ann@x.de", "correlationId": "c-9"}
UNDONE = {"status": "CANCELED", "results": [], "numErrors": 1}
PERSISTIQ_SAYS = {"error": {"reason": "bad_params", "message": "no ann@x.de"}}
PERSPECTIVE_SAYS = {"error": "Contact not found", "status": 404}


@pytest.mark.parametrize(
    ("call", "body"),
    [
        pytest.param(lambda: HubSpotHook().archive_contact(1), HUBSPOT_SAYS, id="archive"),
        pytest.param(lambda: HubSpotHook().archive_contact(1), UNDONE, id="archive, not done"),
        pytest.param(lambda: HubSpotHook().gdpr_delete_contact(1), HUBSPOT_SAYS, id="erase"),
        pytest.param(lambda: HubSpotHook().gdpr_delete_contact(1), UNDONE, id="erase, not done"),
        pytest.param(lambda: HubSpotHook().associate_contact(1, "companies", 5), HUBSPOT_SAYS, id="link"),
        pytest.param(lambda: HubSpotHook().remove_association(1, "companies", 5), HUBSPOT_SAYS, id="unlink"),
        pytest.param(lambda: HubSpotHook().remove_association(1, "companies", 5), UNDONE, id="unlink, not done"),
        pytest.param(lambda: HubSpotHook().update_contact(1, {"city": "x"}), HUBSPOT_SAYS, id="write"),
        pytest.param(lambda: PersistIQHook().remove_lead_from_campaign("c", "l"), PERSISTIQ_SAYS, id="leave"),
        pytest.param(lambda: PersistIQHook().send_reply("c", "m", "<p>x</p>"), PERSISTIQ_SAYS, id="reply"),
        pytest.param(lambda: PersistIQHook().create_campaign("x", "u"), {"id": None, "name": "x"}, id="nobody's id"),
        pytest.param(lambda: PersistIQHook().update_lead("l", bounced=True), {"lead": {"id": None}}, id="no lead"),
        pytest.param(
            lambda: PerspectiveHook().update_contact_value("f", "c", "city", "x"), PERSPECTIVE_SAYS, id="a field"
        ),
    ],
)
def test_an_error_that_is_answered_as_a_success_is_none(call: Callable[[], Any], body: Any) -> None:
    with rm.Mocker() as mocker:
        mocker.register_uri(rm.ANY, rm.ANY, json=body)
        with pytest.raises(LeadsApiError) as caught:
            call()
    assert "x.de" not in str(caught.value)


@pytest.mark.parametrize("body", [HUBSPOT_SAYS, UNDONE], ids=["error", "not done"])
def test_nobody_counts_as_archived_by_such_an_answer(body: Any) -> None:
    with rm.Mocker() as mocker:
        mocker.post(rm.ANY, json=body)
        result = HubSpotHook().batch_archive_contacts([1, 2])
    assert not result.succeeded and len(result.failed) == 2


def test_such_an_error_is_of_the_kind_that_it_says() -> None:
    with rm.Mocker() as mocker:
        mocker.delete(rm.ANY, json=HUBSPOT_SAYS)
        with pytest.raises(LeadsValidationError) as caught:
            HubSpotHook().archive_contact(1)
        mocker.delete(rm.ANY, json={**HUBSPOT_SAYS, "category": "OBJECT_NOT_FOUND"})
        assert HubSpotHook().archive_contact(1) is False
    assert (caught.value.category, caught.value.request_id) == ("VALIDATION_ERROR", "c-9")


@pytest.mark.parametrize("answer", [{"status_code": 204}, {"content": b""}, {"json": {"data": {"id": "c"}}}])
def test_a_written_field_needs_no_answer_in_words(answer: dict[str, Any]) -> None:
    with rm.Mocker() as mocker:
        mocker.put(rm.ANY, **answer)
        PerspectiveHook().update_contact_value("f", "c", "city", "x")
