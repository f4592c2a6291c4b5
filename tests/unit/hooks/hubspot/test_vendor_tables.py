"""Every call in every API version is one that the vendor knows; and the judge of that lets nothing else through."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests_mock
from hubspot_hooks import batch_of, make_hook, quick, record
from test_hubspot_batches import EXACT
from test_hubspot_requests import CASES
from vendor_requests import all_judged, judged
from vendor_tables import TABLE, hubspot, persistiq, perspective

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.leads.model.outcomes import PlanRow

VERSIONS = ("v3", "2025-09", "2026-03", "2026-09")
ORIGIN = "https://api.hubapi.com"
JSON = "application/json"


@pytest.fixture(params=VERSIONS)
def hook(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubSpotHook]:
    """Return a hook on each version, whose requests may be of that version alone."""
    with all_judged([one for one in hubspot() if _in_version(one.path, request.param)]):
        yield quick(make_hook(monkeypatch, extra={"api_version": request.param}))


def _in_version(path: str, version: str) -> bool:
    return ("20" in path) == (version != "v3")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_call_is_known_in_every_version(hook: HubSpotHook, case: Any) -> None:
    call, _, _, _, _, answered, returned = case
    with requests_mock.Mocker() as wire:
        wire.register_uri(requests_mock.ANY, requests_mock.ANY, json=answered or {})
        assert call(hook) == returned or answered is None


@pytest.mark.parametrize("case", EXACT.values(), ids=EXACT)
def test_every_batch_is_known_in_every_version(hook: HubSpotHook, case: Any) -> None:
    with requests_mock.Mocker() as wire:
        wire.post(requests_mock.ANY, json=batch_of(record(1, email="a@b.de"), record(2, email="c@d.de")))
        case[0](hook)
        assert wire.called


def test_plans_limits_and_accounts_too(hook: HubSpotHook) -> None:
    rows = [
        PlanRow(email_key="a@b.de", action="create", values={"city": "Ulm"}),
        PlanRow(email_key="c@d.de", action="update", target_id="2", values={"city": "Ulm"}),
    ]
    with requests_mock.Mocker() as wire:
        wire.post(requests_mock.ANY, json=batch_of(record(1, email="a@b.de"), record(2, email="c@d.de")))
        wire.get(requests_mock.ANY, json={"results": [], "portalId": 4711})
        assert [result.outcome for result in hook.apply_plan(rows)] == ["created", "updated"]
        assert hook.account
        assert hook.test_connection()[0]
        hook.limits_left()


CONTACTS = "/crm/objects/2026-03/contacts"
GOOD: dict[str, tuple[str, str, Any]] = {
    "list": ("GET", f"{CONTACTS}?limit=100&properties=email,city", None),
    "search": ("POST", f"{CONTACTS}/search", {"filterGroups": [], "limit": 200}),
    "property": ("GET", "/crm/v3/properties/contacts/email?dataSensitivity=sensitive", None),
    "leads": ("POST", "/v1/leads", {"leads": [{"email": "a@b.de"}], "dup": "skip"}),
    "chart": (
        "GET", "/v1/funnels/f/metrics/charts/chart_page_to_page_conversion_rate?abTest=all&from=2025-01-01T00:00:00Z"
        "&to=2025-01-02T00:00:00.000Z", None,
    ),
}  # fmt: skip
BAD: dict[str, tuple[str, str, Any]] = {
    "path": ("GET", "/crm/objects/2026-03/contact", None),
    "version": ("GET", "/crm/objects/v3/contacts", None),
    "old root": ("GET", "/crm/v4/objects/contacts", None),
    "method": ("PUT", CONTACTS, None),
    "query name": ("GET", f"{CONTACTS}?count=100", None),
    "query value": ("GET", f"{CONTACTS}?limit=101", None),
    "query twice": ("GET", f"{CONTACTS}?limit=1&limit=2", None),
    "boolean in Python": ("GET", f"{CONTACTS}?archived=True", None),
    "body where none is": ("DELETE", f"{CONTACTS}/5", {}),
    "number for text": ("PATCH", f"{CONTACTS}/5", {"properties": {"a": 1}}),
    "null for text": ("PATCH", f"{CONTACTS}/5", {"properties": {"a": None}}),
    "name in a body": ("PATCH", f"{CONTACTS}/5", {"properties": {}, "props": {}}),
    "lack in a body": ("POST", f"{CONTACTS}/batch/upsert", {"inputs": [{"id": "a", "properties": {}}]}),
    "too many": ("POST", f"{CONTACTS}/batch/archive", {"inputs": [{"id": str(n)} for n in range(101)]}),
    "one twice": ("POST", f"{CONTACTS}/batch/archive", {"inputs": [{"id": "5"}, {"id": "5"}]}),
    "history": (
        "POST", f"{CONTACTS}/batch/read",
        {"inputs": [{"id": str(n)} for n in range(51)], "propertiesWithHistory": ["email"]},
    ),
    "filters": (
        "POST", f"{CONTACTS}/search",
        {"filterGroups": [{"filters": [{"propertyName": "a", "operator": "LIKE", "value": "x"}]}]},
    ),
    "search too long": ("POST", f"{CONTACTS}/search", {"query": "x" * 2_999, "properties": ["y" * 99] * 9}),
    "email as id of an update": (
        "POST", f"{CONTACTS}/batch/update",
        {"inputs": [{"id": "a@b.de", "idProperty": "email", "properties": {}, "objectWriteTraceId": "0"}]},
    ),
    "option without order": (
        "POST", "/crm/properties/2026-03/contacts",
        {"groupName": "g", "name": "n", "label": "L", "type": "enumeration", "fieldType": "select",
         "options": [{"label": "A", "value": "a", "hidden": False}]},
    ),
    "owner by name": ("GET", "/crm/owners/2026-03/abc", None),
    "eleven leads": ("POST", "/v1/leads", {"leads": [{"email": "a@b.de"}] * 11, "dup": "skip"}),
    "nested lead": ("POST", "/v1/leads", {"leads": [{"data": {"email": "a@b.de"}}], "dup": "skip"}),
    "local time": ("GET", "/v1/events?start_at=2025-01-01T00:00:00", None),
    "reserved name": ("PUT", "/v1/funnels/f/contacts/c/values", {"fieldName": "ps_source", "value": "x"}),
    "value that is no text": ("PUT", "/v1/funnels/f/contacts/c/values", {"fieldName": "age", "value": 7}),
    "half a window": ("GET", "/v1/funnels/f/metrics/kpis/kpi_new_contacts?from=2025-01-01T00:00:00Z", None),
    "test of another chart": (
        "GET", "/v1/funnels/f/metrics/charts/chart_time_on_page?abTest=all&from=2025-01-01T00:00:00Z"
        "&to=2025-01-02T00:00:00Z", None,
    ),
    "null webhook": ("PUT", "/v1/webhook_plugin", {"raw_events_url": None}),
}  # fmt: skip


def verdict(method: str, path: str, body: Any) -> str | None:
    sent = None if body is None else json.dumps(body)
    return judged(TABLE, method, ORIGIN + path, sent, "" if body is None else JSON)


@pytest.mark.parametrize("request_", GOOD.values(), ids=GOOD)
def test_what_a_vendor_takes_is_let_through(request_: tuple[str, str, Any]) -> None:
    assert verdict(*request_) is None


@pytest.mark.parametrize("request_", BAD.values(), ids=BAD)
def test_what_no_vendor_takes_is_told(request_: tuple[str, str, Any]) -> None:
    assert verdict(*request_)


def test_an_old_version_asks_less_of_an_option() -> None:
    (_, _, body) = BAD["option without order"]
    assert verdict("POST", "/crm/v3/properties/contacts", body) is None


@pytest.mark.parametrize("table", [hubspot, persistiq, perspective])
def test_no_call_stands_twice_but_where_its_forms_differ(table: Any) -> None:
    told = Counter((one.method, one.path) for one in table())
    assert {pair for pair, times in told.items() if times > 1} <= {("POST", r"/v1/campaigns/[^/]+/leads")}


@pytest.mark.invented_requests
def test_a_request_that_is_not_known_fails_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = quick(make_hook(monkeypatch))
    with pytest.raises(AssertionError, match="GET /crm/nowhere: no such endpoint"), requests_mock.Mocker() as wire:
        wire.get(requests_mock.ANY, json={})
        with all_judged(TABLE):
            asking.request("GET", "/crm/nowhere")
