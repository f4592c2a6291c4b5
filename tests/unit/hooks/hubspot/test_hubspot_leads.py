"""HubSpot's side of the pipeline: contacts as leads, plans as writes, the connection's health."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import requests_mock
from hubspot_hooks import CONTACTS, batch_of, calls, make_hook, no_secondary, quick, record, url
from requests_mock import ANY

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.hooks.hubspot.leads import LEAD_PROPERTIES, kept_of, to_lead, wanted
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsNetworkError,
    LeadsPermissionError,
    LeadsServerError,
)
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead

BATCH = url(CONTACTS + "/batch/")
CUT = requests.exceptions.ConnectionError("cut")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    return quick(make_hook(monkeypatch))


def test_the_connection_type_leads_to_this_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hook(monkeypatch)
    assert isinstance(get_leads_hook("hubspot_default"), HubSpotHook)


FULL = record(
    5, email=" Ann@B.de ", firstname="Ann", lastname="Lee", phone="1", company="C", jobtitle="T", website="w",
    address="a", city="Ulm", state="BW", zip="89073", country="DE", industry="I", hs_lead_status="NEW",
    hs_email_optout="true", hs_email_hard_bounce_reason_enum="UNKNOWN_USER",
    hs_additional_emails="Old@B.de; junk;ann@bücher.de",
    hs_merged_object_ids="1;2", lifecyclestage="lead", hubspot_owner_id="9", createdate="2020-01-01T00:00:00Z",
    hs_object_id="5", lastmodifieddate="2020-01-01T00:00:00Z", my_prop="x", empty="", none=None,
)  # fmt: skip


def test_every_field_of_a_lead() -> None:
    lead = to_lead(FULL, "conn", kept_of(wanted(["my_prop"])))
    assert json.loads(lead.properties or "") == {
        "email_aliases": ["old@b.de", "ann@xn--bcher-kva.de"],
        "merged_ids": ["1", "2"],
        "lifecyclestage": "lead",
        "hubspot_owner_id": "9",
        "my_prop": "x",
    }
    lead.properties = None
    assert {f: getattr(lead, f) for f in lead.__struct_fields__} == {
        "source": "hubspot", "source_scope": "conn", "source_id": "5", "email": "Ann@B.de", "email_key": "ann@b.de",
        "first_name": "Ann", "last_name": "Lee", "phone": "1", "company": "C", "title": "T", "website": "w",
        "address": "a", "city": "Ulm", "state": "BW", "postal_code": "89073", "country": "DE", "industry": "I",
        "status": "NEW", "opted_out": True, "bounced": True, "created_at": datetime(2025, 1, 1, tzinfo=UTC),
        "updated_at": datetime(2025, 2, 1, 0, 0, 0, 500_000, UTC), "properties": None,
    }  # fmt: skip


def test_what_is_absent_is_none() -> None:
    def read(contact: dict[str, Any]) -> Lead:
        return to_lead(contact, "c", kept_of(LEAD_PROPERTIES))

    bare = read({"id": 7, "properties": {"email": "", "hs_email_optout": "", "createdate": "1735689600000"}})
    held = {f: getattr(bare, f) for f in bare.__struct_fields__ if getattr(bare, f) is not None}
    created = datetime(2025, 1, 1, tzinfo=UTC)
    assert held == {"source": "hubspot", "source_scope": "c", "source_id": "7", "created_at": created}
    assert read({"id": 7, "properties": {}, "archived": True}).properties == '{"archived":true}'
    assert read(record(7, hs_email_optout="false")).opted_out is False


def test_a_full_read_lists(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    requests_mock.get(url(CONTACTS), json={"results": [FULL, record(6)]})
    leads = hook.iter_leads(properties=["my_prop", "email"], archived=True)
    assert not requests_mock.called
    assert [lead.source_id for lead in leads] == ["5", "6"]
    (request,) = requests_mock.request_history
    asked = ",".join((*LEAD_PROPERTIES, "my_prop"))
    assert request.qs == {"limit": ["100"], "archived": ["true"], "properties": [asked]}


@pytest.mark.parametrize("since", ["2026-01-01T01:00:00+01:00", datetime(2026, 1, 1, tzinfo=UTC)])
def test_changes_are_searched(hook: HubSpotHook, requests_mock: requests_mock.Mocker, since: Any) -> None:
    requests_mock.post(url(CONTACTS + "/search"), json={"total": 1, "results": [record(5, city="Köln")]})
    requests_mock.post(url(CONTACTS + "/batch/read"), json=batch_of(FULL))
    # The index finds it, but what it was a moment ago is not what it is.
    assert [(lead.source_id, lead.city) for lead in hook.iter_leads(updated_after=since)] == [("5", "Ulm")]
    request, read = requests_mock.request_history
    assert read.json() == {"properties": list(LEAD_PROPERTIES), "inputs": [{"id": "5"}]}
    assert request.json() == {
        "filterGroups": [
            {"filters": [{"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1767225600000"}]}
        ],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": ["lastmodifieddate"],
        "limit": 200,
    }


def changed(hook: HubSpotHook, **options: Any) -> list[str]:
    return [lead.source_id for lead in hook.iter_leads(updated_after="2026-01-01T00:00:00Z", **options)]


def test_a_window_has_an_end_and_goes_on_behind_a_page(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    requests_mock.post(url(CONTACTS + "/search"), json={"total": 0, "results": []})
    window = {"updated_after": "2026-01-01T00:00:00Z", "updated_before": "2026-01-02T00:00:00Z"}
    assert list(hook.lead_pages(**window, position={"beyond": 7})) == []
    (sent,) = requests_mock.request_history[0].json()["filterGroups"]
    assert [(one["propertyName"], one["operator"], one["value"]) for one in sent["filters"]] == [
        ("lastmodifieddate", "GTE", "1767225600000"), ("lastmodifieddate", "LT", "1767312000000"),
        ("hs_object_id", "GT", "7"),
    ]  # fmt: skip


def test_a_change_that_is_gone_is_left_out_and_a_merged_one_is_followed(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    requests_mock.post(url(CONTACTS + "/search"), json={"total": 4, "results": [record(i) for i in (1, 2, 3, 4)]})
    gone = {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["2"]}}
    requests_mock.post(
        url(CONTACTS + "/batch/read"),
        json=lambda request, _: batch_of(
            *(record(i["id"]) for i in request.json()["inputs"] if i["id"] in "19"), errors=[gone]
        ),
    )
    requests_mock.get(url(CONTACTS + "/3"), json=record(9))
    requests_mock.get(url(CONTACTS + "/4"), status_code=404, json={"category": "OBJECT_NOT_FOUND"})
    assert changed(hook) == ["1", "9"]


@pytest.mark.parametrize("body", [{"total": 3, "results": [record(1)]}, {"total": 1, "results": []}])
def test_a_search_that_ends_early_is_an_error(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, body: dict[str, Any]
) -> None:
    requests_mock.post(url(CONTACTS + "/search"), [{"json": body}, {"json": {"total": 2, "results": []}}])
    requests_mock.post(url(CONTACTS + "/batch/read"), json=batch_of(record(1)))
    with pytest.raises(LeadsServerError, match="ended") as caught:
        changed(hook)
    assert caught.value.category == "ENDED_EARLY"


def test_a_search_whose_next_page_is_missing_goes_on_by_its_total(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    answers = [{"total": 2, "results": [record(1)]}, {"total": 1, "results": [record(2)]}]
    requests_mock.post(url(CONTACTS + "/search"), [{"json": answer} for answer in answers])
    requests_mock.post(
        url(CONTACTS + "/batch/read"),
        json=lambda request, _: batch_of(*(record(one["id"]) for one in request.json()["inputs"])),
    )
    assert changed(hook) == ["1", "2"]


@pytest.mark.parametrize("behind", [0, 3])
def test_a_full_list_is_held_against_the_index(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, behind: int
) -> None:
    requests_mock.get(url(CONTACTS), json={"results": [record(9), record(6)]})
    requests_mock.post(url(CONTACTS + "/search"), json={"total": behind, "results": []})
    if behind:
        with pytest.raises(LeadsServerError, match="knows 3 more"):
            list(hook.iter_leads())
    else:
        assert [lead.source_id for lead in hook.iter_leads()] == ["9", "6"]
    filters = requests_mock.request_history[-1].json()["filterGroups"][0]["filters"]
    assert [(one["propertyName"], one["operator"]) for one in filters] == [("hs_object_id", "GT"), ("createdate", "LT")]
    assert filters[0]["value"] == "9"


def test_an_unknown_property_is_told_before_the_read(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    requests_mock.get(url("/crm/properties/2026-03/contacts"), json={"results": [{"name": "my_prop"}]})
    hook.check_read()
    assert not requests_mock.called
    hook.check_read(properties=["my_prop"])
    with pytest.raises(ValueError, match="'my_porp'"):
        hook.check_read(properties="my_prop,my_porp")


def test_archived_changes_are_picked_from_the_list(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    rows = [
        record(1),
        {**record(2), "archivedAt": "2026-05-01T00:00:00Z"},
        {**record(3), "updatedAt": "2026-05-01T00:00:00Z"},
    ]
    requests_mock.get(url(CONTACTS), json={"results": rows})
    assert [lead.source_id for lead in hook.iter_leads(updated_after="2026-01-01T00:00:00Z", archived=True)] == [
        "2",
        "3",
    ]


def test_leads_are_found_by_any_of_their_addresses(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    gone = {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["p7@x.de"]}}

    def answer(request: Any, context: Any) -> Any:
        ids = [i["id"] for i in request.json()["inputs"]]
        ann = record(5, email="ann@x.de", hs_additional_emails="old@x.de")
        found = [ann] if {"old@x.de", "ann@x.de"} & set(ids) else []
        found += [record(i.strip("p@x.de"), email=i) for i in ids if i.startswith("p") and i != "p7@x.de"]
        return batch_of(*found, errors=[gone] if "p7@x.de" in ids else None)

    requests_mock.post(BATCH + "read", json=answer)
    emails = ["OLD@x.de", " ", *(f"P{i}@x.de" for i in range(1, 150)), "ann@x.de", "p2@x.de"]
    leads = list(hook.find_leads(iter(emails), properties="my_prop"))
    # Ann is contact 5 too, and was met by three addresses.
    assert sorted(int(lead.source_id) for lead in leads) == [i for i in range(1, 150) if i != 7]
    first = requests_mock.request_history[0].json()
    assert [len(r.json()["inputs"]) for r in requests_mock.request_history] == [100, 52]
    assert first["inputs"][:2] == [{"id": "old@x.de"}, {"id": "p1@x.de"}]
    assert first["idProperty"] == "email"
    assert first["properties"] == [*LEAD_PROPERTIES, "my_prop"]


LOOKUPS: dict[str, tuple[dict[str, Any], type[LeadsApiError] | None]] = {
    "unknown": ({"status_code": 207, "json": batch_of()}, None),
    "no address": ({"status_code": 400, "json": {"category": "VALIDATION_ERROR"}}, None),
    "key": ({"status_code": 401, "json": {}}, LeadsAuthError),
    "cut": ({"exc": CUT}, LeadsNetworkError),
    "not this api": ({"status_code": 404, "json": {}}, LeadsServerError),
    "failed inside": (
        {"status_code": 207, "json": batch_of(errors=[{"category": "INTERNAL_ERROR", "context": {"ids": ["a@b.de"]}}])},
        LeadsServerError,
    ),
}


@pytest.mark.parametrize(("answer", "kind"), LOOKUPS.values(), ids=LOOKUPS)
def test_only_what_hubspot_does_not_know_is_taken_for_unknown(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, answer: dict[str, Any], kind: type[LeadsApiError] | None
) -> None:
    requests_mock.post(BATCH + "read", [answer])
    if kind is None:
        assert list(hook.find_leads(["a@b.de"])) == []
    else:
        with pytest.raises(kind):
            list(hook.find_leads(["a@b.de"]))


def plan(action: Any, number: int, **values: str) -> Iterator[PlanRow]:
    for i in range(number):
        target = {"target_id": str(1000 + i)} if action == "update" else {}
        yield PlanRow(email_key=f"p{i}@x.de", action=action, values=values or {"title": f"T{i}"}, **target)


def outcomes(results: list[WriteResult]) -> dict[str, tuple[str, str | None]]:
    found = {r.email_key: (r.outcome, r.target_id) for r in results}
    assert len(found) == len(results)
    return found


def test_creates_are_upserts_by_the_hundred(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    def answer(request: Any, context: Any) -> Any:
        inputs = [i for i in request.json()["inputs"] if i["id"] != "p7@x.de"]
        error = {
            "category": "VALIDATION_ERROR", "message": "p7@x.de is bad",
            "context": {"objectWriteTraceId": ["7"]},
        }  # fmt: skip
        made = [{**record("5" + i["id"][1:-5], **i["properties"]), "new": i["id"] != "p3@x.de"} for i in inputs]
        return batch_of(*made[::-1], errors=[error] if len(inputs) == 99 else None)

    no_secondary(requests_mock)
    requests_mock.post(BATCH + "upsert", json=answer)
    values = {
        "first_name": "Ann",
        "title": "T",
        "postal_code": "1",
        "status": "NEW",
        "email": "no@x.de",
        "nowhere": "x",
    }
    results = list(hook.apply_plan(plan("create", 130, **values)))
    found = outcomes(results)
    assert found.pop("p7@x.de") == ("failed", None)
    assert found.pop("p3@x.de") == ("updated", "53")
    assert found.pop("p5@x.de") == ("created", "55")
    assert {outcome for outcome, _ in found.values()} == {"created"}
    assert len(found) == 127
    (bad,) = [r for r in results if r.outcome == "failed"]
    assert (
        bad.reason == "VALIDATION_ERROR: <address> is bad. Correct what is named where it comes from, or leave it out."
    )
    assert bad.fields == []
    assert results[0].fields == ["first_name", "title", "postal_code", "status"]
    first = requests_mock.request_history[1].json()["inputs"]
    assert [len(r.json()["inputs"]) for r in requests_mock.request_history] == [100, 100, 30, 30]
    assert first[0] == {
        "id": "p0@x.de", "idProperty": "email", "objectWriteTraceId": "0",
        "properties": {"email": "p0@x.de", "firstname": "Ann", "jobtitle": "T", "zip": "1", "hs_lead_status": "NEW"},
    }  # fmt: skip


def test_updates_go_by_id_and_reach_merged_records(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    unknown = {"category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": ["1002"]}}
    requests_mock.post(BATCH + "update", status_code=207, json=batch_of(record(1000), errors=[unknown]))
    requests_mock.patch(url(CONTACTS + "/1001"), json=record(77))
    requests_mock.patch(url(CONTACTS + "/1003"), status_code=404, json={})
    results = list(hook.apply_plan(plan("update", 4, city="Ulm")))
    assert outcomes(results) == {
        "p0@x.de": ("updated", "1000"),
        "p1@x.de": ("updated", "77"),
        "p2@x.de": ("failed", "1002"),
        "p3@x.de": ("failed", "1003"),
    }
    sent = [r.json() for r in requests_mock.request_history]
    assert sent[0]["inputs"][0] == {"id": "1000", "properties": {"city": "Ulm"}, "objectWriteTraceId": "0"}
    assert sent[1:] == [{"properties": {"city": "Ulm"}}] * 2


@pytest.mark.parametrize("action", ["create", "update"])
def test_a_lost_answer_is_asked_for_again(hook: HubSpotHook, requests_mock: requests_mock.Mocker, action: str) -> None:
    good = batch_of(*(record(1000 + i, email=f"p{i}@x.de") for i in range(3)))
    requests_mock.post(ANY, [{"exc": CUT}, {"json": good}])
    results = outcomes(list(hook.apply_plan(plan(action, 3))))
    assert {outcome for outcome, _ in results.values()} == {action + "d"}


STOPS: dict[str, tuple[dict[str, Any], type[LeadsApiError], str]] = {
    "permission": ({"status_code": 403, "json": {"category": "MISSING_SCOPES"}}, LeadsPermissionError, "failed"),
    "daily quota": (
        {"status_code": 429, "json": {"policyName": "DAILY", "errorType": "RATE_LIMIT"}}, LeadsApiError, "failed",
    ),
    "no answer": ({"exc": CUT}, LeadsNetworkError, "ambiguous"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "kind", "outcome"), STOPS.values(), ids=STOPS)
@pytest.mark.parametrize("action", ["create", "update"])
def test_what_would_meet_everyone_ends_the_work(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, answer: Any, kind: Any, outcome: str, action: str
) -> None:
    requests_mock.post(ANY, [answer])
    no_secondary(requests_mock)
    results: list[WriteResult] = []
    with pytest.raises(kind):
        for result in hook.apply_plan(plan(action, 250)):
            results.append(result)
    found = outcomes(results)
    assert len(found) == 100
    assert {o for o, _ in found.values()} == {outcome}
    assert all(r.reason for r in results)


def test_a_batch_refused_whole_costs_only_the_bad_record(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    def answer(request: Any, context: Any) -> Any:
        inputs = request.json()["inputs"]
        if any(i["id"] == "1005" for i in inputs):
            context.status_code = 400
            return {"category": "VALIDATION_ERROR", "errors": [{"code": "INVALID_OPTION"}]}
        return batch_of(*(record(i["id"]) for i in inputs))

    requests_mock.post(BATCH + "update", json=answer)
    found = outcomes(list(hook.apply_plan(plan("update", 100))))
    assert found.pop("p5@x.de") == ("failed", "1005")
    assert {o for o, _ in found.values()} == {"updated"}


def test_what_can_be_written(hook: HubSpotHook) -> None:
    assert hook.writable_fields() == {
        "first_name", "last_name", "phone", "company", "title", "website", "address", "city", "state", "postal_code",
        "country", "industry",
    }  # fmt: skip
    with pytest.raises(ValueError, match="colour"):
        hook.apply_plan([], colour="red")


HEALTH: dict[str, tuple[dict[str, Any], bool, str]] = {
    "good": ({"json": {"results": []}}, True, "account 4711"),
    "key": ({"status_code": 401, "json": {"category": "INVALID_AUTHENTICATION"}}, False, "private-app token"),
    "scope": ({"status_code": 403, "json": {"category": "MISSING_SCOPES"}}, False, "crm.objects.contacts.read"),
    "host": ({"exc": requests.exceptions.ConnectTimeout()}, False, "host"),
    "another api": ({"json": {"hello": "world"}}, False, "without the content"),
}


def rights(mock: requests_mock.Mocker) -> None:
    """Let a key write contacts and not list owners, and leave open whether it may make properties."""
    mock.post(url(CONTACTS + "/batch/update"), status_code=400, json={"category": "VALIDATION_ERROR"})
    mock.post(url("/crm/properties/2026-03/contacts/batch/create"), status_code=404, json={})
    mock.get(url("/crm/owners/2026-03"), status_code=403, json={"category": "MISSING_SCOPES"})


@pytest.mark.parametrize(("answer", "good", "told"), HEALTH.values(), ids=HEALTH)
def test_the_connection_test_says_what_is_wrong(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, answer: dict[str, Any], good: bool, told: str
) -> None:
    rights(requests_mock)
    requests_mock.get(url(CONTACTS + "?limit=1"), [answer])
    requests_mock.get(url("/account-info/2026-03/details"), json={"portalId": 4711})
    found, message = hook.test_connection()
    assert found is good
    assert told in message


@pytest.mark.parametrize("answer", [{"status_code": 403}, {"json": {}}, {"json": []}])
def test_the_account_id_is_a_bonus(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, answer: dict[str, Any]
) -> None:
    rights(requests_mock)
    requests_mock.get(url(CONTACTS), json={"results": []})
    requests_mock.get(url("/account-info/2026-03/details"), **answer)
    works, told = hook.test_connection()
    assert works
    assert told.endswith(
        "It may write contacts. It may not list owners (crm.objects.owners.read). "
        "Whether it may make properties could not be found out."
    )
    assert {request.body for request in requests_mock.request_history if request.method == "POST"} == {b'{"inputs":[]}'}


OAUTH = {"client_id": "id", "client_secret": "very-secret", "refresh_token": "refresh-me"}


@pytest.fixture
def oauth(monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    return quick(make_hook(monkeypatch, password=None, extra=OAUTH))


def token(number: int, lifetime: float | None = 1800) -> dict[str, Any]:
    return {"json": {"access_token": f"access-{number}", "expires_in": lifetime, "refresh_token": "refresh-me"}}


def bearer(wire: requests_mock.Mocker) -> list[str]:
    return [r.headers["Authorization"] for r in wire.request_history if "token" not in r.path]


def test_oauth_asks_once_and_signs_with_the_token(
    oauth: HubSpotHook, requests_mock: requests_mock.Mocker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    requests_mock.post(url("/oauth/2026-03/token"), [{"exc": CUT}, {"status_code": 502}, token(1)])
    requests_mock.get(url(CONTACTS + "/5"), json=record(5))
    oauth.get_contact(5)
    oauth.get_contact(5)
    assert bearer(requests_mock) == ["Bearer access-1"] * 2
    asked = [r for r in requests_mock.request_history if "token" in r.path]
    assert len(asked) == 3
    assert asked[2].text == "grant_type=refresh_token&client_id=id&client_secret=very-secret&refresh_token=refresh-me"
    assert asked[2].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in asked[2].headers
    assert not any(secret in caplog.text for secret in ("very-secret", "refresh-me", "access-1"))


@pytest.mark.parametrize(("version", "path"), [("v3", "v3"), ("2025-09", "2026-03"), ("2026-09", "2026-09")])
def test_the_token_endpoint_follows_the_version(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker, version: str, path: str
) -> None:
    hook = quick(make_hook(monkeypatch, password="", extra={**OAUTH, "api_version": version}))
    requests_mock.post(url(f"/oauth/{path}/token"), **token(1, None))
    requests_mock.get(ANY, json=record(5))
    assert hook.get_contact(5)["id"] == "5"


def test_a_token_is_renewed_before_it_expires(
    oauth: HubSpotHook, requests_mock: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests_mock.post(url("/oauth/2026-03/token"), [token(1, 0.000001), token(2)])
    requests_mock.get(url(CONTACTS + "/5"), json=record(5))
    oauth.get_contact(5)
    oauth.get_contact(5)
    assert bearer(requests_mock) == ["Bearer access-1", "Bearer access-2"]


def test_a_refused_token_is_renewed_once(oauth: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    requests_mock.post(url("/oauth/2026-03/token"), [token(1), token(2), token(3)])
    refused: dict[str, Any] = {"status_code": 401, "json": {"category": "EXPIRED_AUTHENTICATION"}}
    requests_mock.post(url(CONTACTS), [refused, {"json": record(5)}, refused])
    assert oauth.create_contact({"email": "a@b.de"})["id"] == "5"
    assert bearer(requests_mock) == ["Bearer access-1", "Bearer access-2"]
    with pytest.raises(LeadsAuthError):
        oauth.create_contact({"email": "a@b.de"})
    assert bearer(requests_mock)[2:] == ["Bearer access-2", "Bearer access-3"]


def test_a_dead_refresh_token_fails_at_once(oauth: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    body = {"error": "invalid_grant", "status": "BAD_REFRESH_TOKEN", "message": "refresh-me is bad"}
    requests_mock.post(url("/oauth/2026-03/token"), status_code=400, json=body)
    with pytest.raises(LeadsAuthError, match=r"BAD_REFRESH_TOKEN.*install the app again") as caught:
        oauth.get_contact(5)
    assert "refresh-me" not in str(caught.value)
    assert calls(requests_mock) == [("POST", "/oauth/2026-03/token")]
    told = str(caught.value).replace(oauth.label, "This connection")
    assert oauth.test_connection() == (False, told)


MISSING: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({}, "no key.*client_id, client_secret, refresh_token"),
    "one": ({"client_id": "x", "client_secret": "y"}, "extra refresh_token too"),
    "two": ({"client_id": "x", "refresh_token": " "}, "extra client_secret, refresh_token too"),
}


@pytest.mark.parametrize(("extra", "told"), MISSING.values(), ids=MISSING)
def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch, extra: dict[str, str], told: str) -> None:
    hook = make_hook(monkeypatch, password=None, extra=extra)
    with pytest.raises(LeadsSettingsError, match=told):
        hook.get_contact(5)
    assert hook.test_connection()[0] is False


def test_a_key_wins_over_oauth_extras(monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker) -> None:
    hook = quick(make_hook(monkeypatch, extra=OAUTH))
    requests_mock.get(url(CONTACTS + "/5"), json=record(5))
    hook.get_contact(5)
    assert bearer(requests_mock) == ["Bearer pat-eu1-secret-key"]


@pytest.mark.parametrize("body", [{}, {"results": None}, {"results": [1]}, {"results": [{"properties": {}}]}, [], 7])
def test_what_is_no_page_of_contacts_is_asked_for_again(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, body: Any
) -> None:
    requests_mock.post(url(CONTACTS + "/search"), json={"total": 0, "results": []})
    requests_mock.get(url(CONTACTS), [{"json": body}, {"json": {"results": [record(6)]}}])
    assert [lead.source_id for lead in hook.iter_leads()] == ["6"]


@pytest.mark.parametrize(
    "scope",
    [{"lists": []}, {"filters": {}}, {"filters": []}, {"filters": {"filterGroups": []}}],
    ids=["no list", "no condition", "no group", "no groups"],
)
def test_a_scope_that_names_nothing_never_means_everybody(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, scope: dict[str, Any]
) -> None:
    for read in (lambda: list(hook.iter_leads(**scope)), lambda: hook.check_read(**scope)):
        with pytest.raises(ValueError, match=r"lists must be a list of ids|filters hold no condition"):
            read()
    assert not requests_mock.called


@pytest.mark.parametrize("action", ["create", "update"])
def test_what_hubspot_makes_of_a_value_stands_in_the_result(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, action: str
) -> None:
    no_secondary(requests_mock)
    held = {"email": "p0@x.de", "firstname": "ANN", "jobtitle": None, "city": "Ulm ", "unasked": "x"}
    requests_mock.post(ANY, json=batch_of(record(1000, **held)))
    sent = plan(action, 1, first_name="Ann", title="T", city="Ulm", phone="1")
    (result,) = [result for result in hook.apply_plan(sent) if result.outcome == f"{action}d"]
    assert result.stored == {"first_name": "ANN", "title": ""}
