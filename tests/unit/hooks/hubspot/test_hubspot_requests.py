"""What each method of the HubSpot hook sends, and what it makes of the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
import requests
import requests_mock
from hubspot_hooks import CONTACTS, calls, make_hook, quick, record, url
from requests_mock import ANY

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsConflictError,
    LeadsNetworkError,
    LeadsNotFoundError,
    LeadsPermissionError,
    LeadsServerError,
    LeadsValidationError,
)

ASSOCIATIONS = CONTACTS + "/5/associations"
PROPERTIES = "/crm/properties/2026-03/contacts"
OWNERS = "/crm/owners/2026-03"
COMPANY = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]
ONE = record(5, email="ann@example.com")
LIST = {"results": [ONE]}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    return quick(make_hook(monkeypatch))


Case = tuple[Callable[[HubSpotHook], Any], str, str, dict[str, list[str]], Any, Any, Any]
# call, method, path, query, body sent, body answered, what the call returns
CASES: dict[str, Case] = {
    "list": (
        lambda h: list(h.list_contacts()),
        "GET", CONTACTS, {"limit": ["100"]}, None, LIST, [ONE],
    ),
    "list, all options": (
        lambda h: list(h.list_contacts(
            properties=["email", "phone", "email"], properties_with_history="lifecyclestage",
            associations=("companies",), archived=True, page_size=7, after="400",
        )),
        "GET", CONTACTS,
        {"limit": ["7"], "after": ["400"], "properties": ["email,phone"], "propertieswithhistory": ["lifecyclestage"],
         "associations": ["companies"], "archived": ["true"]},
        None, LIST, [ONE],
    ),
    "list with history": (
        lambda h: list(h.list_contacts(properties_with_history=["email"])),
        "GET", CONTACTS, {"limit": ["50"], "propertieswithhistory": ["email"]}, None, LIST, [ONE],
    ),
    "get": (lambda h: h.get_contact(5), "GET", CONTACTS + "/5", {}, None, ONE, ONE),
    "get by email": (
        lambda h: h.get_contact(" Ann+x@Example.com", id_property="email", properties=["email"], associations="deals"),
        "GET", CONTACTS + "/ann%2bx%40example.com",
        {"idproperty": ["email"], "properties": ["email"], "associations": ["deals"]}, None, ONE, ONE,
    ),
    "create": (
        lambda h: h.create_contact(
            {"email": "a@b.de", "n": 5, "ok": True, "d": date(2026, 1, 2), "gone": None, "e": ""}
        ),
        "POST", CONTACTS, {},
        {"properties": {"email": "a@b.de", "n": "5", "ok": "true", "d": "2026-01-02", "e": ""}}, ONE, ONE,
    ),
    "create with associations": (
        lambda h: h.create_contact(
            {"email": "a@b.de", "langs": ["de", "en"], "t": datetime(2026, 1, 1, tzinfo=UTC)},
            [(77, 279), {"to": {"id": 8}, "types": [{"associationCategory": "USER_DEFINED", "associationTypeId": 36}]}],
        ),
        "POST", CONTACTS, {},
        {"properties": {"email": "a@b.de", "langs": "de;en", "t": "1767225600000"},
         "associations": [
             {"to": {"id": "77"}, "types": COMPANY},
             {"to": {"id": "8"}, "types": [{"associationCategory": "USER_DEFINED", "associationTypeId": 36}]},
         ]},
        ONE, ONE,
    ),
    "update": (
        lambda h: h.update_contact(5, {"phone": "", "city": None}),
        "PATCH", CONTACTS + "/5", {}, {"properties": {"phone": ""}}, ONE, ONE,
    ),
    "update by email": (
        lambda h: h.update_contact("A@b.de", {"city": "Ulm"}, id_property="email"),
        "PATCH", CONTACTS + "/a%40b.de", {"idproperty": ["email"]}, {"properties": {"city": "Ulm"}}, ONE, ONE,
    ),
    "archive": (lambda h: h.archive_contact("5"), "DELETE", CONTACTS + "/5", {}, None, None, True),
    "gdpr by id": (
        lambda h: h.gdpr_delete_contact(5),
        "POST", CONTACTS + "/gdpr-delete", {}, {"objectId": "5"}, None, None,
    ),
    "gdpr by email": (
        lambda h: h.gdpr_delete_contact(email="A@b.de"),
        "POST", CONTACTS + "/gdpr-delete", {}, {"objectId": "a@b.de", "idProperty": "email"}, None, None,
    ),
    "merge": (
        lambda h: h.merge_contacts(5, 6),
        "POST", CONTACTS + "/merge", {}, {"primaryObjectId": "5", "objectIdToMerge": "6"}, ONE, ONE,
    ),
    "pin": (
        lambda h: h.pin_activity(5, 99),
        "PATCH", CONTACTS + "/5", {}, {"properties": {"hs_pinned_engagement_id": "99"}}, ONE, ONE,
    ),
    "associate": (
        lambda h: h.associate_contact(5, "companies", 9),
        "PUT", ASSOCIATIONS + "/default/companies/9", {}, None, {"status": "COMPLETE"}, {"status": "COMPLETE"},
    ),
    "associate with labels": (
        lambda h: h.associate_contact(5, "companies", 9, [279, COMPANY[0]]),
        "PUT", ASSOCIATIONS + "/companies/9", {}, COMPANY * 2, {"labels": []}, {"labels": []},
    ),
    "remove association": (
        lambda h: h.remove_association(5, "companies", 9),
        "DELETE", ASSOCIATIONS + "/companies/9", {}, None, None, True,
    ),
    "list associations": (
        lambda h: list(h.list_associations(5, "companies")),
        "GET", ASSOCIATIONS + "/companies", {"limit": ["500"]}, None,
        {"results": [{"toObjectId": 9, "associationTypes": []}]}, [{"toObjectId": 9, "associationTypes": []}],
    ),
    "labels": (
        lambda h: list(h.list_association_labels("companies")),
        "GET", "/crm/associations/2026-03/contacts/companies/labels", {}, None,
        {"results": [{"typeId": 279}, {"typeId": 1}]}, [{"typeId": 279}, {"typeId": 1}],
    ),
    "properties": (
        lambda h: list(h.list_properties(archived=True, data_sensitivity="sensitive")),
        "GET", PROPERTIES, {"archived": ["true"], "datasensitivity": ["sensitive"]}, None,
        {"results": [{"name": "a"}, {"name": "b"}]}, [{"name": "a"}, {"name": "b"}],
    ),
    "property": (
        lambda h: h.get_property("email"), "GET", PROPERTIES + "/email", {}, None, {"name": "email"}, {"name": "email"},
    ),
    "create property": (
        lambda h: h.create_property(
            "my_prop", label="Mine", type="enumeration", field_type="select", options=[{"label": "A", "value": "a"}],
            hasUniqueValue=False,
        ),
        "POST", PROPERTIES, {},
        {"name": "my_prop", "label": "Mine", "type": "enumeration", "fieldType": "select",
         "groupName": "contactinformation", "hasUniqueValue": False,
         "options": [{"label": "A", "value": "a", "hidden": False, "displayOrder": 0}]},
        {"name": "my_prop"}, {"name": "my_prop"},
    ),
    "property groups": (
        lambda h: list(h.list_property_groups()), "GET", PROPERTIES + "/groups", {}, None,
        {"results": [{"name": "a"}, {"name": "b"}]}, [{"name": "a"}, {"name": "b"}],
    ),
    "create property group": (
        lambda h: h.create_property_group("my_group", label="Mine", display_order=2),
        "POST", PROPERTIES + "/groups", {}, {"name": "my_group", "label": "Mine", "displayOrder": 2},
        {"name": "my_group"}, {"name": "my_group"},
    ),
    "memberships": (
        lambda h: list(h.list_memberships(5)),
        "GET", "/crm/lists/2026-03/records/0-1/5/memberships", {}, None,
        {"results": [{"listId": "7"}, {"listId": "9"}], "total": 2}, [{"listId": "7"}, {"listId": "9"}],
    ),
    "owners": (
        lambda h: list(h.list_owners(email="o@b.de", page_size=3)),
        "GET", OWNERS, {"limit": ["3"], "email": ["o@b.de"]}, None, {"results": [{"id": "1"}]}, [{"id": "1"}],
    ),
    "owner": (
        lambda h: h.get_owner(12, id_property="userId"),
        "GET", OWNERS + "/12", {"idproperty": ["userid"]}, None, {"id": "1"}, {"id": "1"},
    ),
    "search": (
        lambda h: list(h.search_contacts(
            filter_groups=[{"filters": [
                {"propertyName": "a", "operator": "gte", "value": datetime(2026, 1, 1, tzinfo=UTC)},
                {"propertyName": "b", "operator": "BETWEEN", "value": 1, "highValue": 2},
                {"propertyName": "c", "operator": "IN", "values": ["x", "y"]},
                {"propertyName": "d", "operator": "HAS_PROPERTY"},
            ]}],
            properties="email,phone", query="ann", page_size=9,
        )),
        "POST", CONTACTS + "/search", {},
        {"filterGroups": [{"filters": [
            {"propertyName": "a", "operator": "GTE", "value": "1767225600000"},
            {"propertyName": "b", "operator": "BETWEEN", "value": "1", "highValue": "2"},
            {"propertyName": "c", "operator": "IN", "values": ["x", "y"]},
            {"propertyName": "d", "operator": "HAS_PROPERTY"},
        ]}],
         "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
         "properties": ["email", "phone"], "query": "ann", "limit": 9},
        {"total": 1, **LIST}, [ONE],
    ),
    "search, sorted": (
        lambda h: list(h.search_contacts(sorts=["-createdate"])),
        "POST", CONTACTS + "/search", {},
        {"filterGroups": [], "sorts": [{"propertyName": "createdate", "direction": "DESCENDING"}], "limit": 200},
        {"total": 1, **LIST}, [ONE],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_exact_request_per_call(hook: HubSpotHook, requests_mock: requests_mock.Mocker, case: Case) -> None:
    call, method, path, query, sent, answered, returned = case
    if answered is None:
        requests_mock.register_uri(method, url(path), status_code=204)
    else:
        requests_mock.register_uri(method, url(path), json=answered)
    assert call(hook) == returned
    (request,) = requests_mock.request_history
    assert request.method == method
    assert request.path == path.lower()
    assert request.qs == query
    assert (request.json() if request.body else None) == sent
    assert request.headers["Authorization"] == "Bearer pat-eu1-secret-key"


LEGACY: dict[str, tuple[Callable[[HubSpotHook], Any], str]] = {
    "objects": (lambda h: h.archive_contact(5), "/crm/v3/objects/contacts/5"),
    "record associations": (
        lambda h: h.remove_association(5, "deals", 6),
        "/crm/v4/objects/contacts/5/associations/deals/6",
    ),
    "labels": (lambda h: list(h.list_association_labels("deals")), "/crm/v4/associations/contacts/deals/labels"),
    "properties": (lambda h: list(h.list_properties()), "/crm/v3/properties/contacts"),
    "owners": (lambda h: list(h.list_owners()), "/crm/v3/owners"),
    "lists": (lambda h: list(h.list_memberships(5)), "/crm/v3/lists/records/0-1/5/memberships"),
}


@pytest.mark.parametrize(("call", "path"), LEGACY.values(), ids=LEGACY)
def test_v3_has_its_own_paths(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker, call: Callable[[HubSpotHook], Any], path: str
) -> None:
    hook = quick(make_hook(monkeypatch, extra={"api_version": "v3"}))
    requests_mock.register_uri(ANY, url(path), json={"results": []})
    call(hook)
    assert [p for _, p in calls(requests_mock)] == [path]


def test_any_dated_version_is_taken_and_others_are_refused(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker
) -> None:
    requests_mock.get(url("/crm/objects/2031-09/contacts/5"), json=ONE)
    assert quick(make_hook(monkeypatch, extra={"api_version": "2031-09"})).get_contact(5) == ONE
    for version in ("v2", "2026-13", "2026-03/../x", "latest"):
        with pytest.raises(LeadsSettingsError, match="api_version"):
            make_hook(monkeypatch, extra={"api_version": version}).get_contact(5)


BAD: dict[str, tuple[Callable[[HubSpotHook], Any], str]] = {
    "page size": (lambda h: h.list_contacts(page_size=101), "page_size"),
    "page size with history": (lambda h: h.list_contacts(page_size=51, properties_with_history=["email"]), "page_size"),
    "empty name": (lambda h: h.list_contacts(properties=["email", ""]), "properties"),
    "archived": (lambda h: h.list_contacts(archived="perhaps"), "archived"),  # type: ignore[arg-type]
    "empty id": (lambda h: h.get_contact(" "), "contact_id"),
    "address as id": (lambda h: h.get_contact("a@b.de"), "id_property='email'"),
    "no properties": (lambda h: h.create_contact({"email": None}), "properties"),
    "not a mapping": (lambda h: h.create_contact(["email"]), "properties"),  # type: ignore[arg-type]
    "naive time": (lambda h: h.create_contact({"t": datetime(2026, 1, 1)}), "properties\\['t'\\]"),
    "nested value": (lambda h: h.create_contact({"t": {"a": 1}}), "properties\\['t'\\]"),
    "association": (lambda h: h.create_contact({"email": "a"}, [5]), "associations"),  # type: ignore[list-item]
    "association type": (lambda h: h.create_contact({"email": "a"}, [(5, "company")]), "associations"),
    "types": (lambda h: h.associate_contact(5, "companies", 6, []), "types"),
    "category": (
        lambda h: h.associate_contact(5, "companies", 6, [{"associationCategory": "X", "associationTypeId": 1}]),
        "types",
    ),
    "object type": (lambda h: h.list_associations(5, ""), "to_object_type"),
    "no update": (lambda h: h.update_contact(5, {}), "properties"),
    "gdpr neither": (lambda h: h.gdpr_delete_contact(), "contact_id or email"),
    "gdpr both": (lambda h: h.gdpr_delete_contact(5, email="a@b.de"), "contact_id or email"),
    "merge itself": (lambda h: h.merge_contacts(5, "5"), "merged_id"),
    "two sorts": (lambda h: h.search_contacts(sorts=["a", "b"]), "sorts"),
    "direction": (lambda h: h.search_contacts(sorts=[{"propertyName": "a", "direction": "UP"}]), "sorts"),
    "operator": (
        lambda h: h.search_contacts(filter_groups=[{"filters": [{"propertyName": "a", "operator": "LIKE"}]}]),
        "filter_groups\\[0\\]",
    ),
    "missing value": (
        lambda h: h.search_contacts(
            filter_groups=[{"filters": [{"propertyName": "a", "operator": "BETWEEN", "value": 1}]}]
        ),
        "highValue",
    ),
    "no filters": (lambda h: h.search_contacts(filter_groups=[{}]), "filter_groups\\[0\\]"),
    "search page size": (lambda h: h.search_contacts(page_size=201), "page_size"),
    "ids": (lambda h: h.batch_read_contacts([1, ""]), "ids\\[1\\]"),
    "archive ids": (lambda h: h.batch_archive_contacts(["a@b.de"]), "ids\\[0\\]"),
    "create input": (lambda h: h.batch_create_contacts([{"email": "a"}, {}]), "inputs\\[1\\]"),
    "update id": (lambda h: h.batch_update_contacts([{"properties": {"a": "b"}}]), "inputs\\[0\\]\\['id'\\]"),
    "update by email": (lambda h: h.batch_update_contacts([], id_property="email"), "batch_upsert_contacts"),
    "upsert key": (lambda h: h.batch_upsert_contacts([{"firstname": "a"}]), "inputs\\[0\\]\\['email'\\]"),
    "upsert properties": (lambda h: h.batch_upsert_contacts([{"id": "a", "properties": 5}]), "inputs\\[0\\]"),
    "upsert by": (lambda h: h.batch_upsert_contacts([], id_property=""), "id_property"),
    "sensitivity": (lambda h: h.list_properties(data_sensitivity="very"), "data_sensitivity"),
    "property name": (lambda h: h.create_property("My-Prop", label="x", type="string", field_type="text"), "name"),
    "group name": (lambda h: h.create_property_group("My Group", label="x"), "name"),
    "group label": (lambda h: h.create_property_group("a", label=""), "label"),
    "property type": (lambda h: h.create_property("a", label="x", type="text", field_type="text"), "type"),
    "field type": (lambda h: h.create_property("a", label="x", type="string", field_type="input"), "field_type"),
    "owner by": (lambda h: h.get_owner(5, id_property="email"), "id_property"),
    "scope": (lambda h: h.iter_leads(colour="red"), "colour"),
    "naive since": (lambda h: h.iter_leads(updated_after=datetime(2026, 1, 1)), "updated_after"),
    "one text": (lambda h: h.find_leads("a@b.de"), "emails"),
    "find scope": (lambda h: h.find_leads([], colour="red"), "colour"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "named"), BAD.values(), ids=BAD)
def test_bad_input_is_named_before_any_request(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, call: Callable[[HubSpotHook], Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        call(hook)
    assert "a@b.de" not in str(caught.value)
    assert not requests_mock.called


ERRORS: dict[str, tuple[int, dict[str, Any], type[Exception], str]] = {
    "key": (401, {"category": "INVALID_AUTHENTICATION"}, LeadsAuthError, "public repositories"),
    "scope": (
        403,
        {"category": "MISSING_SCOPES", "errors": [
            {"code": "REQ", "context": {"requiredGranularScopes": ["crm.objects.contacts.write"]}}]},
        LeadsPermissionError, "crm.objects.contacts.write",
    ),
    "unknown": (404, {"status": "error", "message": "resource not found"}, LeadsNotFoundError, "api_version"),
    "conflict": (
        409, {"message": "Contact already exists. Existing ID: 77", "category": "CONFLICT"},
        LeadsConflictError, "upsert",
    ),
    "invalid": (
        400, {"category": "VALIDATION_ERROR", "message": "ann@example.com is bad"},
        LeadsValidationError, "VALIDATION_ERROR",
    ),
    "too long": (414, {}, LeadsValidationError, "fewer properties"),
    "moving": (477, {}, Exception, "data centre"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "told"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_to_do_and_hold_no_address(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, status: int, body: Any, kind: type[Exception], told: str
) -> None:
    headers = {"Retry-After": "7200"} if status == 477 else {}
    requests_mock.post(url(CONTACTS), status_code=status, json={**body, "correlationId": "abc-1"}, headers=headers)
    with pytest.raises(kind, match=told) as caught:
        hook.create_contact({"email": "ann@example.com"})
    assert "ann@example.com" not in str(caught.value)
    assert "secret-key" not in str(caught.value)
    assert "[request id abc-1]" in str(caught.value)
    assert requests_mock.call_count == 1
    if status == 409:
        assert caught.value.existing_id == "77"  # type: ignore[attr-defined]


CUT = requests.exceptions.ConnectionError("cut")
NOT_REPEATED: dict[str, Callable[[HubSpotHook], Any]] = {
    CONTACTS: lambda h: h.create_contact({"email": "a@b.de"}),
    CONTACTS + "/merge": lambda h: h.merge_contacts(5, 6),
    CONTACTS + "/gdpr-delete": lambda h: h.gdpr_delete_contact(5),
    PROPERTIES: lambda h: h.create_property("a", label="x", type="string", field_type="text"),
    PROPERTIES + "/groups": lambda h: h.create_property_group("a", label="x"),
}


@pytest.mark.parametrize(("path", "call"), NOT_REPEATED.items(), ids=NOT_REPEATED)
def test_what_may_have_taken_effect_is_not_repeated(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, path: str, call: Callable[[HubSpotHook], Any]
) -> None:
    requests_mock.post(url(path), exc=CUT)
    with pytest.raises(LeadsNetworkError, match="may have taken effect") as caught:
        call(hook)
    assert caught.value.ambiguous
    assert requests_mock.call_count == 1


READS: dict[str, Callable[[HubSpotHook], Any]] = {
    "/search": lambda h: list(h.search_contacts(query="ann")),
    "/batch/read": lambda h: h.batch_read_contacts([5, 6]),
}


@pytest.mark.parametrize(
    "trouble", [{"exc": CUT}, {"status_code": 502}, {"text": "<html>"}], ids=["cut", "502", "page"]
)
@pytest.mark.parametrize(("path", "call"), READS.items(), ids=READS)
def test_a_read_that_is_a_post_took_no_effect(
    hook: HubSpotHook,
    requests_mock: requests_mock.Mocker,
    path: str,
    call: Callable[[HubSpotHook], Any],
    trouble: dict[str, Any],
) -> None:
    """Rows 21 and S8."""
    requests_mock.post(url(CONTACTS + path), **trouble)
    try:
        told = [(failure.reason, failure.ambiguous) for failure in call(hook).failed]
    except LeadsApiError as error:
        told = [(str(error), error.ambiguous)]
    assert told
    for sentence, ambiguous in told:
        assert "taken effect" not in sentence
        assert not ambiguous


OAUTH = {"client_id": "id", "client_secret": "a-client-secret", "refresh_token": "a-refresh-token"}


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ({"status_code": 400, "json": {"status": "BAD_REFRESH_TOKEN"}}, ["BAD_REFRESH_TOKEN", "refresh_token"]),
        ({"status_code": 401, "json": {}}, ["client_id, client_secret, refresh_token"]),
        ({"status_code": 403, "json": {}}, ["client_id, client_secret, refresh_token"]),
        ({"status_code": 404, "json": {}}, ["token endpoint", "api_version"]),
        ({"status_code": 429, "headers": {"Retry-After": "500"}}, ["renewed too often"]),
        ({"status_code": 502}, ["/token", "502"]),
        ({"exc": CUT}, ["/token", "host"]),
        ({"text": "<html>"}, ["/token", "not JSON"]),
    ],
)
def test_a_token_that_is_not_renewed_says_what_can_be_done_about_oauth(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker, answer: dict[str, Any], named: list[str]
) -> None:
    """Rows 21 and S8."""
    connection = {"conn_type": "hubspot", "extra": {**OAUTH, "max_retries": 0}}
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(connection))
    requests_mock.post(re.compile("/oauth/"), **answer)
    with pytest.raises(LeadsApiError) as caught:
        next(HubSpotHook().list_owners())
    assert all(name in str(caught.value) for name in named), str(caught.value)
    assert not any(
        word in str(caught.value) for word in ("taken effect", "private-app", "password", "a-refresh", "a-cli")
    )
    assert not caught.value.ambiguous


@pytest.mark.parametrize(("status", "named"), [(401, "client_id, client_secret, refresh_token"), (403, "OAuth app")])
def test_a_refusal_of_an_oauth_app_speaks_of_the_app(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker, status: int, named: str
) -> None:
    """Row 21."""
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps({"conn_type": "hubspot", "extra": OAUTH}))
    requests_mock.post(re.compile("/oauth/"), json={"access_token": "a-new-token", "expires_in": 1800})
    requests_mock.get(re.compile("/crm/"), status_code=status, json={})
    with pytest.raises(LeadsApiError, match=named) as caught:
        next(HubSpotHook().list_owners())
    assert "private-app" not in str(caught.value) and "password" not in str(caught.value)


def test_a_token_that_no_header_can_carry_speaks_of_the_app(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker
) -> None:
    """Row 21."""
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps({"conn_type": "hubspot", "extra": OAUTH}))
    requests_mock.post(re.compile("/oauth/"), json={"access_token": "a-new\ntoken"})
    with pytest.raises(LeadsApiError, match="client_id, client_secret, refresh_token") as caught:
        next(HubSpotHook().list_owners())
    assert "password" not in str(caught.value) and "a-new" not in str(caught.value)


@pytest.mark.parametrize("method", ["archive_contact", "get_contact"])
def test_reads_and_archive_are_repeated(hook: HubSpotHook, requests_mock: requests_mock.Mocker, method: str) -> None:
    requests_mock.register_uri(ANY, url(CONTACTS + "/5"), [{"exc": CUT}, {"status_code": 502}, {"json": ONE}])
    getattr(hook, method)(5)
    assert requests_mock.call_count == 3


def test_archiving_what_is_gone_is_no_error(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    requests_mock.delete(
        url(CONTACTS + "/5"), status_code=404, json={"status": "error", "message": "resource not found"}
    )
    requests_mock.delete(url(ASSOCIATIONS + "/companies/9"), status_code=404)
    assert hook.archive_contact(5) is False
    assert hook.remove_association(5, "companies", 9) is False


@pytest.mark.parametrize("body", [{}, {"results": None}, [], {"results": {"id": 1}}])
def test_a_success_without_content_is_an_error(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, body: Any
) -> None:
    hook.client.policy = type(hook.client.policy)(max_retries=0)
    requests_mock.register_uri(ANY, ANY, json=body)
    reads: list[Callable[[], Any]] = [
        lambda: list(hook.list_contacts()), lambda: hook.get_contact(5), lambda: list(hook.search_contacts()),
        lambda: list(hook.list_owners()), lambda: hook.get_property("a"), lambda: hook.update_contact(5, {"a": "b"}),
    ]  # fmt: skip
    for read in reads:
        with pytest.raises(LeadsServerError):
            read()


def test_lists_fetch_pages_as_they_are_consumed(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    pages = [{"results": [record(i)], "paging": {"next": {"after": str(i + 1)}}} for i in range(1, 4)]
    requests_mock.get(url(CONTACTS), [{"json": page} for page in [*pages, {"results": [record(4)]}]])
    rows = hook.list_contacts(properties=["email"])
    assert not requests_mock.called
    assert next(rows)["id"] == "1"
    assert requests_mock.call_count == 1
    assert [row["id"] for row in rows] == ["2", "3", "4"]
    assert [r.qs.get("after") for r in requests_mock.request_history] == [None, ["2"], ["3"], ["4"]]
    assert all(r.qs["properties"] == ["email"] for r in requests_mock.request_history)


def test_a_backward_lifecycle_stage_is_cleared_first(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    requests_mock.patch(
        url(CONTACTS + "/5"),
        [{"json": record(5, lifecyclestage="", city="Ulm")}, {"json": record(5, lifecyclestage="lead")}],
    )
    updated = hook.update_contact(5, {"lifecyclestage": "lead", "city": "Ulm"}, clear_lifecyclestage_first=True)
    assert updated["properties"] == {"lifecyclestage": "lead", "city": "Ulm"}
    assert [r.json()["properties"] for r in requests_mock.request_history] == [
        {"lifecyclestage": "", "city": "Ulm"},
        {"lifecyclestage": "lead"},
    ]
    requests_mock.reset_mock()
    hook.update_contact(5, {"city": "Ulm"}, clear_lifecyclestage_first=True)
    assert requests_mock.call_count == 1


MANY = [f"a_property_with_a_long_name_{i:04d}" for i in range(400)]


def answer_read(request: Any, context: Any) -> dict[str, Any]:
    sent = request.json()
    assert sent["properties"] == MANY
    assert len(sent["inputs"]) <= 100
    gone = {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["3"]}}
    found = [record(i["id"], **{MANY[0]: i["id"]}) for i in sent["inputs"] if i["id"] != "3"]
    return {"results": found, "errors": [gone] if len(found) < len(sent["inputs"]) else []}


@pytest.mark.parametrize("read", ["list", "get", "search"])
def test_more_properties_than_a_url_holds_are_read_in_batches(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, read: str
) -> None:
    linked = {**record(1, email="a"), "associations": {"companies": {"results": []}}}
    requests_mock.get(url(CONTACTS), json={"results": [linked, record(2), record(3)]})
    requests_mock.get(url(CONTACTS + "/1"), json=linked)
    requests_mock.post(url(CONTACTS + "/search"), json={"total": 3, "results": [linked, record(2), record(3)]})
    requests_mock.post(url(CONTACTS + "/batch/read"), json=answer_read)
    if read == "list":
        rows = list(hook.list_contacts(properties=MANY, associations=["companies"]))
        assert requests_mock.request_history[0].qs == {"limit": ["100"], "associations": ["companies"]}
    elif read == "get":
        requests_mock.get(url(CONTACTS + "/3"), json=record(3))
        with pytest.raises(LeadsNotFoundError):
            hook.get_contact(3, properties=MANY)
        rows = [hook.get_contact(1, properties=MANY, associations=["companies"])]
    else:
        rows = list(hook.search_contacts(properties=MANY))
        assert len(requests_mock.request_history[0].body) < 3000
    # 3 was deleted between the two requests.
    assert [row["properties"] for row in rows] == [{MANY[0]: str(i)} for i in ([1] if read == "get" else [1, 2])]
    assert rows[0]["associations"] == {"companies": {"results": []}}
    assert all(len(r.url) < 8_300 for r in requests_mock.request_history)


@pytest.mark.parametrize(
    ("headers", "quota"),
    [
        ({}, None),
        ({"X-HubSpot-RateLimit-Daily": "250000"}, None),
        ({"X-HubSpot-RateLimit-Daily": "x", "X-HubSpot-RateLimit-Daily-Remaining": "y"}, None),
        (
            {"X-HubSpot-RateLimit-Daily": "250000", "X-HubSpot-RateLimit-Daily-Remaining": "100"},
            {"spent": 249_900, "limit": 250_000},
        ),
    ],
)
def test_what_is_left_of_the_day_is_known_from_the_answers(
    headers: dict[str, str], quota: Any, monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker
) -> None:
    hook = make_hook(monkeypatch)
    assert hook.day_quota is None
    requests_mock.get(url(CONTACTS + "/5"), json=ONE, headers=headers)
    hook.get_contact("5")
    assert hook.day_quota == quota
