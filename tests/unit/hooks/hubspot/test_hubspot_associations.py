"""What contacts are linked to: all of it, and no refusal that passes for a success."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests_mock
from hubspot_hooks import CONTACTS, calls, make_hook, quick, record, url

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsNotFoundError,
    LeadsServerError,
    LeadsValidationError,
)

COMPANIES = url("/crm/objects/2026-03/contacts/5/associations/companies")
PAIRS = url("/crm/associations/2026-03/contacts/companies/batch/read")
UNLABELLED, PRIMARY = {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None}, {"typeId": 1, "label": "Primary"}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    return quick(make_hook(monkeypatch))


def linked(number: int, *kinds: dict[str, Any]) -> dict[str, Any]:
    return {"toObjectId": number, "associationTypes": list(kinds or (UNLABELLED,))}


def first_page(count: int, **paging: Any) -> dict[str, Any]:
    rows = [{"id": str(n), "type": "contact_to_company"} for n in range(count)]
    return {"associations": {"companies": {"results": rows, **({"paging": {"next": paging}} if paging else {})}}}


def two_pages(wire: requests_mock.Mocker, count: int = 250) -> None:
    wire.get(COMPANIES, [
        {"json": {"results": [linked(n) for n in range(200)], "paging": {"next": {"after": "200"}}}},
        {"json": {"results": [linked(n) for n in range(200, count)] + [linked(900, UNLABELLED, PRIMARY)]}},
    ])  # fmt: skip


@pytest.mark.parametrize("listed", [False, True], ids=["one contact", "a list"])
def test_row_16_all_links_of_a_contact_are_read(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, listed: bool
) -> None:
    one = {**record(5, email="a@b.de"), **first_page(100, after="100", link="https://api.hubapi.com/next")}
    whole = {**record(6), **first_page(3)}
    requests_mock.get(url(CONTACTS), json={"results": [one, whole, record(7)]})
    requests_mock.get(url(CONTACTS + "/5"), json=one)
    two_pages(requests_mock)
    found = list(hook.list_contacts(associations=["companies"])) if listed else [
        hook.get_contact(5, associations="companies")
    ]  # fmt: skip
    links = found[0]["associations"]["companies"]
    assert [row["id"] for row in links["results"]] == [*map(str, range(250)), "900", "900"]
    assert {row["type"] for row in links["results"]} == {"contact_to_company", "Primary"}
    assert "paging" not in links
    # What came whole costs no further request.
    assert len(calls(requests_mock)) == 3
    if listed:
        assert len(found[1]["associations"]["companies"]["results"]) == 3
        assert "associations" not in found[2]


def test_row_16_links_that_cannot_be_read_are_an_error(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    requests_mock.get(url(CONTACTS + "/5"), json={**record(5), **first_page(100, after="100")})
    requests_mock.get(COMPANIES, status_code=403, json={})
    with pytest.raises(LeadsApiError):
        hook.get_contact(5, associations="companies")


@pytest.mark.parametrize("labels", [None, [279]], ids=["default", "labels"])
@pytest.mark.parametrize(
    ("body", "kind", "category"),
    [
        (
            {"status": "COMPLETE", "results": [], "numErrors": 1,
             "errors": [{"category": "OBJECT_NOT_FOUND", "message": "no ann@x.de"}]},
            LeadsNotFoundError, "OBJECT_NOT_FOUND",
        ),
        (
            {"status": "COMPLETE", "results": [], "numErrors": 1,
             "errors": [{"category": "VALIDATION_ERROR", "message": "no"}]},
            LeadsValidationError, "VALIDATION_ERROR",
        ),
        ({"status": "COMPLETE", "results": [], "errors": [{"category": "INTERNAL_ERROR"}]}, LeadsServerError,
         "INTERNAL_ERROR"),
        ({"status": "COMPLETE", "results": [], "numErrors": 2}, LeadsValidationError, None),
        ({"status": "CANCELED", "results": []}, LeadsServerError, "CANCELED"),
    ],
)  # fmt: skip
def test_a_refusal_within_a_success_is_an_error(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, body: Any, kind: type[Exception], category: str, labels: Any
) -> None:
    requests_mock.put(requests_mock_any(), json={"correlationId": "c-9", **body})
    with pytest.raises(kind) as caught:
        hook.associate_contact(5, "companies", 9, labels)
    error: Any = caught.value
    assert (error.category, error.request_id) == (category, "c-9")
    assert "hubspot_default" in str(error) and "x.de" not in str(error)


def requests_mock_any() -> Any:
    return requests_mock.ANY


@pytest.mark.parametrize("body", [{"status": "COMPLETE", "results": [{"from": {"id": "5"}}]}, {"labels": []}, None])
def test_a_link_that_was_set_is_none(hook: HubSpotHook, requests_mock: requests_mock.Mocker, body: Any) -> None:
    requests_mock.put(requests_mock_any(), json=body)
    assert hook.associate_contact(5, "companies", 9) == (body or {})


def test_links_are_read_in_batches(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    lone = {
        "category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND", "message": "none",
        "context": {"fromObjectId": ["6"]},
    }  # fmt: skip
    gone = {"category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"id": ["7"]}}
    results = [
        {"from": {"id": "8"}, "to": [linked(1)]},
        {"from": {"id": "5"}, "to": [linked(0)], "paging": {"next": {"after": "1"}}},
    ]
    requests_mock.post(PAIRS, status_code=207, json={"results": results, "errors": [lone, gone], "numErrors": 2})
    two_pages(requests_mock, 201)
    result = hook.batch_read_associations([5, "6", 7, 8], "companies")
    assert requests_mock.request_history[0].json() == {"inputs": [{"id": i} for i in ("5", "6", "7", "8")]}
    read = {done.input: [to["toObjectId"] for to in done.record["to"]] for done in result.succeeded if done.record}
    assert read == {5: [*range(201), 900], "6": [], 8: [1]}
    assert [(f.input, f.category) for f in result.failed] == [(7, "OBJECT_NOT_FOUND")]


def test_links_are_read_a_thousand_contacts_at_a_time(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    def answer(request: Any, context: Any) -> Any:
        return {"results": [{"from": one, "to": []} for one in request.json()["inputs"]]}

    requests_mock.post(PAIRS, json=answer)
    assert len(hook.batch_read_associations(range(1, 2_502), "companies").succeeded) == 2_501
    assert [len(r.json()["inputs"]) for r in requests_mock.request_history] == [1_000, 1_000, 501]


@pytest.mark.parametrize(
    ("read", "row"),
    [
        (lambda hook: list(hook.list_associations(5, "companies")), {"id": "1"}),
        (lambda hook: list(hook.list_memberships(5)), {"name": "Fair"}),
        (lambda hook: list(hook.list_members("5")), {"recordId": None}),
        (lambda hook: hook.owners, {"email": "ann@example.com"}),
        (lambda hook: list(hook.list_contacts(associations=["companies"])), {"id": "1", "associations": "none"}),
        (lambda hook: hook.get_contact(5, associations="companies"), {}),
    ],
)
def test_rows_of_another_shape_are_no_answer_of_hubspots(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, read: Any, row: Any
) -> None:
    requests_mock.get(re.compile(""), json={"results": [row]})
    requests_mock.get(url(CONTACTS + "/5"), json={**record(5), "associations": [row]})
    with pytest.raises(LeadsServerError, match="without the content this API documents"):
        read(hook)
