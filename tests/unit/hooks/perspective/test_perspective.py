from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from typing import Any

import pendulum
import pytest
import requests
import requests_mock as rm

from airflow_providers_leads.hooks.perspective.hook import CHART_SUBTYPES, KPI_SUBTYPES, PerspectiveHook
from airflow_providers_leads.http.errors import (
    LeadsAuthError,
    LeadsNetworkError,
    LeadsNotFoundError,
    LeadsPermissionError,
    LeadsServerError,
    LeadsValidationError,
)

ROOT = "https://api.perspective.co/v1"
KEY = "2b5390b22dc5c9b11769aee3a803cf32"
START, END = "2025-01-01T00:00:00Z", "2025-02-01T01:00:00+01:00"
WIRE = {"from": ["2025-01-01t00:00:00.000z"], "to": ["2025-02-01t00:00:00.000z"]}


def connect(monkeypatch: pytest.MonkeyPatch, **extra: Any) -> PerspectiveHook:
    extra = {"rate_limit": 10**6, "max_retries": 2, **extra}
    value = {"conn_type": "perspective", "password": KEY, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_PERSPECTIVE_DEFAULT", json.dumps(value))
    hook = PerspectiveHook()
    hook.client.sleep = lambda seconds: None
    return hook


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> PerspectiveHook:
    return connect(monkeypatch)


@pytest.fixture
def api() -> Any:
    with rm.Mocker() as mocker:
        yield mocker


def page(rows: list[dict[str, Any]], more: bool = False) -> dict[str, Any]:
    return {"data": rows, "meta": {"total": 3 if more else len(rows), "page": 0, "limit": 100, "hasNext": more}}


# Requests ---------------------------------------------------------------------------------------------------------


CONTACT = {"data": {"id": "c/1", "email": "ann@x.de"}}
REQUESTS: list[tuple[Any, ...]] = [
    ("list_workspaces", (), {}, "GET", "/workspaces", {}, None, {"data": [{"id": "ws_1"}]}, [{"id": "ws_1"}]),
    (
        "list_contacts", ("f/1",), {}, "GET", "/funnels/f%2f1/contacts",
        {"sortfield": ["ps_converted_at"], "sortorder": ["-1"], "limit": ["100"], "page": ["0"]},
        None, page([{"id": "c1"}]), [{"id": "c1"}],
    ),
    (
        "list_contacts", ("f",), {"sort_field": "email", "sort_order": "asc", "page_size": 7, "page": 3}, "GET",
        "/funnels/f/contacts", {"sortfield": ["email"], "sortorder": ["1"], "limit": ["7"], "page": ["3"]},
        None, page([]), [],
    ),
    ("get_contact", ("f", "c/1"), {}, "GET", "/funnels/f/contacts/c%2f1", {}, None, CONTACT, CONTACT["data"]),
    (
        "create_contact", ("f",), {"email": "ann@x.de"}, "POST", "/funnels/f/contacts", {},
        {"email": "ann@x.de", "skipAutomationTrigger": True}, CONTACT, CONTACT["data"],
    ),
    (
        "create_contact", ("f",),
        {
            "phone": "1", "first_name": "A", "last_name": "B", "status": "lead", "website": "w", "email": "",
            "birthday": date(1990, 12, 31),
            "address": {"street": "S", "house_number": 5, "postalCode": "1", "city": None},
            "skip_automation_trigger": False,
        },
        "POST", "/funnels/f/contacts", {},
        {
            "phone": "1", "firstName": "A", "lastName": "B", "status": "lead", "website": "w", "birthday": "1990-12-31",
            "address": {"street": "S", "houseNumber": "5", "postalCode": "1"}, "skipAutomationTrigger": False,
        },
        CONTACT, CONTACT["data"],
    ),
    *(
        (
            "update_contact_value", ("f", "c", *given), more, "PUT", "/funnels/f/contacts/c/values", {},
            {"fieldName": name, "value": value, "skipAutomationTrigger": skip}, {"data": {"id": "c"}}, {"id": "c"},
        )
        for given, more, name, value, skip in [
            (("firstName", "A"), {}, "firstName", "A", True),
            (("first_name", ""), {}, "firstName", "", True),
            (("zip", 10115), {}, "postalCode", "10115", True),
            (("status", "won"), {"skip_automation_trigger": False}, "status", "won", False),
            (("score", True), {"allow_custom": True}, "score", "true", True),
        ]
    ),
    (
        "get_kpi", ("f", "kpi_new_contacts", START, END), {}, "GET", "/funnels/f/metrics/kpis/kpi_new_contacts",
        {**WIRE, "offset": ["0"]}, None, {"data": {"value": 3}}, {"value": 3},
    ),
    (
        "get_chart", ("f", "chart_visitor_devices", datetime(2025, 1, 1, tzinfo=UTC), END), {"offset": "-120"}, "GET",
        "/funnels/f/metrics/charts/chart_visitor_devices", {**WIRE, "offset": ["-120"]},
        None, {"data": [{"key": "mobile"}]}, [{"key": "mobile"}],
    ),
    (
        "get_chart", ("f", "chart_page_to_page_conversion_rate", START, END), {"ab_test": "variant", "offset": 60},
        "GET",
        "/funnels/f/metrics/charts/chart_page_to_page_conversion_rate",
        {**WIRE, "offset": ["60"], "abtest": ["variant"]}, None, {"data": []}, [],
    ),
    (
        "get_insight", ("f", "question_1?", pendulum.datetime(2025, 1, 1, 1, tz="Europe/Berlin"), END),
        {"offset": "Europe/Berlin"}, "GET", "/funnels/f/metrics/insights/question_1%3f", {**WIRE, "offset": ["60"]},
        None, {"data": {"title": "Q"}}, {"title": "Q"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("method", "args", "options", "verb", "path", "query", "body", "answer", "result"), REQUESTS)
def test_each_method_sends_exactly_its_request(
    hook: Any, api: Any, method: str, args: Any, options: Any, verb: str, path: str, query: Any, body: Any, answer: Any,
    result: Any,
) -> None:  # fmt: skip
    api.register_uri(rm.ANY, rm.ANY, json=answer, status_code=201)
    found = getattr(hook, method)(*args, **options)
    assert (list(found) if method.startswith("list_") else found) == result
    [sent] = api.request_history
    assert (sent.method, sent.url.split("?")[0].lower()) == (verb, f"{ROOT}{path}".lower())
    assert sent.qs == query
    assert (sent.json() if sent.body else None) == body
    assert sent.headers["x-perspective-api-key"] == KEY


def test_lists_are_read_to_their_end_and_as_they_are_consumed(hook: Any, api: Any) -> None:
    rows = [{"id": str(number)} for number in range(1, 6)]
    pages = [page(rows[:2], True), page(rows[1:3], True), page(rows[2:])]
    api.get(f"{ROOT}/funnels/f/contacts", [{"json": found} for found in pages])
    contacts = hook.list_contacts("f")
    assert next(contacts) == {"id": "1"}
    assert api.call_count == 1
    assert [contact["id"] for contact in contacts] == ["2", "3", "4", "5"]
    assert [sent.qs["page"] for sent in api.request_history] == [["0"], ["1"], ["2"]]


@pytest.mark.parametrize(
    ("method", "args", "options", "named"),
    [
        ("list_contacts", ("",), {}, "funnel_id"),
        ("list_contacts", ("f",), {"sort_field": "created"}, "sort_field"),
        ("list_contacts", ("f",), {"sort_order": "up"}, "sort_order"),
        ("list_contacts", ("f",), {"page_size": 101}, "page_size"),
        ("list_contacts", ("f",), {"page_size": 0}, "page_size"),
        ("list_contacts", ("f",), {"page": -1}, "page"),
        ("get_contact", ("f", " "), {}, "contact_id"),
        ("create_contact", ("f",), {"first_name": "A"}, "email or phone"),
        ("create_contact", ("f",), {"phone": "1", "address": {"zip_code": "1"}}, "address"),
        ("create_contact", ("f",), {"phone": "1", "address": "Weg 1"}, "address"),
        ("create_contact", ("f",), {"phone": "1", "skip_automation_trigger": None}, "skip_automation_trigger"),
        ("update_contact_value", ("f", "c", "", "x"), {}, "field"),
        ("update_contact_value", ("f", "c", "ps_source", "x"), {"allow_custom": True}, "ps_"),
        ("update_contact_value", ("f", "c", "fristName", "x"), {}, "allow_custom"),
        ("update_contact_value", ("f", "c", "address", "x"), {"allow_custom": True}, "street"),
        ("update_contact_value", ("f", "c", "City", "x"), {"allow_custom": True}, "beside the standard field 'city'"),
        ("update_contact", ("f", "c", {"First name": "x"}), {"allow_custom": True}, "'firstName'"),
        ("update_contact", ("f", "c", {"Zip": "x"}), {"allow_custom": True}, "'postalCode'"),
        ("update_contact_value", ("f", "c", "phone", None), {}, "phone"),
        ("update_contact", ("f", "c", {}), {}, "values"),
        ("update_contact", ("f", "c", {"zip": "1", "postal_code": "1"}), {}, "values"),
        ("update_contact", ("f", "c", {"phone": "1", "typo": "1"}), {}, "typo"),
        ("get_kpi", ("f", "new_contacts", START, END), {}, "kpi_new_contacts"),
        ("get_kpi", ("f", "kpi_new_contacts", END, START), {}, "start"),
        ("get_kpi", ("f", "kpi_new_contacts", START, START), {}, "start"),
        ("get_kpi", ("f", "kpi_new_contacts", datetime(2025, 1, 1), END), {}, "start"),
        ("get_kpi", ("f", "kpi_new_contacts", START, "2025-02-01"), {}, "end"),
        ("get_kpi", ("f", "kpi_new_contacts", START, "soon"), {}, "end"),
        ("get_kpi", ("f", "kpi_new_contacts", START, END), {"offset": "Berlin"}, "offset"),
        ("get_kpi", ("f", "kpi_new_contacts", START, END), {"offset": 1.5}, "offset"),
        ("get_kpi", ("f", "kpi_new_contacts", START, END), {"offset": True}, "offset"),
        ("get_chart", ("f", "kpi_new_contacts", START, END), {}, "subtype"),
        ("get_chart", ("f", "chart_visitor_devices", START, END), {"ab_test": "all"}, "ab_test"),
        ("get_chart", ("f", "chart_page_to_page_conversion_rate", START, END), {"ab_test": "b"}, "ab_test"),
        ("get_insight", ("f", "", START, END), {}, "insight_id"),
        ("iter_leads", (), {"updated_after": "2025-01-01T00:00:00"}, "updated_after"),
        ("iter_leads", (), {"funnel_ids": []}, "funnel_ids"),
        ("iter_leads", (), {"funnel_ids": ["f", ""]}, "funnel_ids"),
        ("iter_leads", (), {"status": "lead"}, "status"),
        ("find_leads", ("ann@x.de",), {}, "emails"),
        ("apply_plan", ([],), {}, "funnel_id"),
        ("apply_plan", ([],), {"funnel_id": "f", "skip_automation_trigger": "perhaps"}, "skip_automation_trigger"),
        ("apply_plan", ([],), {"funnel": "f"}, "funnel"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    hook: Any, api: Any, method: str, args: Any, options: Any, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        getattr(hook, method)(*args, **options)
    assert api.call_count == 0


def test_there_are_nine_kpis_and_seven_charts() -> None:
    assert len(set(KPI_SUBTYPES)) == 9
    assert len(set(CHART_SUBTYPES)) == 7


# Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (401, "Invalid or unauthorized API key", LeadsAuthError),
        (403, "Forbidden", LeadsPermissionError),
        (404, "Contact not found", LeadsNotFoundError),
        (400, "Bad request for ann@x.de", LeadsValidationError),
    ],
)
def test_errors_are_told_apart_without_the_vendors_words(
    hook: Any, api: Any, status: int, text: str, error: type[Exception]
) -> None:
    api.get(rm.ANY, status_code=status, json={"error": text, "status": status})
    with pytest.raises(error) as caught:
        hook.get_contact("f", "secret-id")
    message = str(caught.value)
    assert "perspective_default" in message
    assert not any(leak in message for leak in (text, KEY, "secret-id", "ann@x.de"))
    assert api.call_count == 1


@pytest.mark.parametrize("body", [{"data": {}}, {"workspaces": []}, [], "x", None])
def test_a_success_without_the_documented_content_is_an_error(hook: Any, api: Any, body: Any) -> None:
    api.get(f"{ROOT}/workspaces", json=body)
    with pytest.raises(LeadsServerError):
        list(hook.list_workspaces())


def test_a_rate_limit_is_waited_for_even_on_a_create(hook: Any, api: Any) -> None:
    waits: list[float] = []
    hook.client.sleep = waits.append
    limited = {"status_code": 429, "json": {"error": "Rate limit exceeded", "status": 429, "retryAfter": 7}}
    api.post(f"{ROOT}/funnels/f/contacts", [limited, {"status_code": 201, "json": CONTACT}])
    # The limiter is blocked for the same time, and is not what this test is about.
    hook.client.limiters = {}
    assert hook.create_contact("f", phone="1")["id"] == "c/1"
    assert [int(wait) for wait in waits] == [7]


@pytest.mark.parametrize(
    ("call", "tries"),
    [
        (lambda hook: hook.create_contact("f", phone="1"), 1),
        (lambda hook: hook.update_contact_value("f", "c", "phone", "1", skip_automation_trigger=False), 1),
        (lambda hook: hook.update_contact_value("f", "c", "phone", "1"), 3),
        (lambda hook: hook.get_contact("f", "c"), 3),
    ],
)
def test_what_may_start_messages_is_not_repeated_after_a_cut_connection(
    hook: Any, api: Any, call: Any, tries: int
) -> None:
    api.register_uri(rm.ANY, rm.ANY, exc=requests.exceptions.ConnectionError("cut"))
    with pytest.raises(LeadsNetworkError) as caught:
        call(hook)
    assert caught.value.ambiguous is (api.request_history[0].method != "GET")
    assert api.call_count == tries


@pytest.mark.parametrize(
    ("status", "text", "empty"),
    [(400, "KPI not found", True), (404, "Not found", True), (400, "Invalid range", False), (403, "not found", False)],
)
def test_not_found_can_mean_no_data(hook: Any, api: Any, status: int, text: str, empty: bool) -> None:
    api.get(rm.ANY, status_code=status, json={"error": text, "status": status})
    calls = [
        (lambda **more: hook.get_kpi("f", "kpi_new_contacts", START, END, **more), {}),
        (lambda **more: hook.get_chart("f", "chart_visitor_devices", START, END, **more), []),
        (lambda **more: hook.get_insight("f", "q", START, END, **more), {}),
    ]
    for call, nothing in calls:
        with pytest.raises((LeadsValidationError, LeadsNotFoundError, LeadsPermissionError)):
            call()
        if empty:
            assert call(empty_on_not_found=True) == nothing
        else:
            with pytest.raises((LeadsValidationError, LeadsPermissionError)):
                call(empty_on_not_found=True)


def test_several_fields_are_written_one_by_one_and_status_last(hook: Any, api: Any) -> None:
    def answer(request: Any, context: Any) -> Any:
        field = request.json()["fieldName"]
        if field == "website":
            context.status_code = 400
            return {"error": "Invalid website of ann@x.de", "status": 400}
        return {"data": {"id": "c", "fieldName": field}}

    api.put(f"{ROOT}/funnels/f/contacts/c/values", json=answer)
    result = hook.update_contact("f", "c", {"status": "won", "website": "?", "last_name": "B"})
    assert [sent.json()["fieldName"] for sent in api.request_history] == ["website", "lastName", "status"]
    assert [done.input["field"] for done in result.succeeded] == ["lastName", "status"]
    [failed] = result.failed
    assert failed.input["field"] == "website"
    assert failed.reason == "Invalid website of <address>. Correct what is named where it comes from, or leave it out."


def test_fields_after_a_dead_key_are_accounted_for(hook: Any, api: Any) -> None:
    dead = {"status_code": 401, "json": {"error": "Invalid or unauthorized API key", "status": 401}}
    api.put(rm.ANY, [{"json": {"data": {}}}, dead])
    result = hook.update_contact("f", "c", {"phone": "1", "city": "B", "country": "D"})
    assert [done.input["field"] for done in result.succeeded] == ["phone"]
    assert [failed.category for failed in result.failed] == ["LeadsAuthError", "NOT_ATTEMPTED"]
    with pytest.raises(LeadsAuthError):
        hook.update_contact("f", "c", {"phone": "1", "city": "B"})


# The connection test ----------------------------------------------------------------------------------------------


def forbid_funnel_a(api: Any) -> None:
    for method, path in (("GET", "contacts"), ("PUT", f"contacts/{'0' * 24}/values"), ("GET", "metrics/kpis")):
        api.register_uri(method, re.compile(f"{ROOT}/funnels/a/{path}"), status_code=403, json={"error": "Forbidden"})


@pytest.mark.parametrize(
    ("answer", "good", "said"),
    [
        (
            {"json": {"data": [{"id": "w", "campaigns": [{"id": "a"}, {"id": "b"}]}]}},
            True,
            "1 workspaces with 2 funnels",
        ),
        ({"json": {"data": [{"id": "w", "funnels": [{"id": "a"}]}, {"campaigns": None}]}}, True, "2 workspaces with 1"),
        ({"status_code": 403, "json": {"error": "Forbidden", "status": 403}}, True, "funnel_ids"),
        ({"status_code": 401, "json": {"error": "API key is required", "status": 401}}, False, "Scale plan"),
        ({"json": {"hello": "world"}}, False, "host"),
        ({"text": "<html>"}, False, "host"),
        ({"exc": requests.exceptions.ConnectTimeout("no")}, False, "host"),
    ],
)
def test_the_connection_test_names_what_failed(hook: Any, api: Any, answer: Any, good: bool, said: str) -> None:
    forbid_funnel_a(api)
    api.get(f"{ROOT}/workspaces", **answer)
    verdict, message = hook.test_connection()
    assert verdict is good
    assert said in message
    assert KEY not in message


def test_the_connection_test_warns_of_funnels_out_of_sight(monkeypatch: pytest.MonkeyPatch, api: Any) -> None:
    forbid_funnel_a(api)
    api.get(f"{ROOT}/workspaces", json={"data": [{"campaigns": [{"id": "a"}]}]})
    assert "gone" in connect(monkeypatch, funnel_ids=["a", "gone"]).test_connection()[1]


def test_a_status_that_starts_messages_waits_for_what_they_would_use(hook: Any, api: Any) -> None:
    def answer(request: Any, context: Any) -> Any:
        context.status_code = 400 if request.json()["fieldName"] == "email" else 200
        return {"error": "Invalid email format", "status": 400} if context.status_code == 400 else {"data": {}}

    api.put(f"{ROOT}/funnels/f/contacts/c/values", json=answer)
    values = {"status": "won", "email": "?", "city": "B"}
    result = hook.update_contact("f", "c", values, skip_automation_trigger=False)
    assert [sent.json()["fieldName"] for sent in api.request_history] == ["email", "city"]
    assert [(lost.input["field"], lost.category, lost.refused) for lost in result.failed] == [
        ("email", "LeadsValidationError", True),
        ("status", "NOT_ATTEMPTED", True),
    ]
    assert result.failed[1].reason.endswith("these were not written: email")


def test_something_else_under_the_host_is_no_funnel_without_data(hook: Any, api: Any) -> None:
    api.get(rm.ANY, status_code=404, text="<html>Not Found</html>")
    with pytest.raises(LeadsServerError, match="not JSON"):
        hook.get_kpi("f", "kpi_new_contacts", START, END, empty_on_not_found=True)


def test_a_birthday_is_a_day_and_an_address_has_each_part_once(hook: Any, api: Any) -> None:
    api.post(rm.ANY, json={"data": {"id": "c"}})
    api.put(rm.ANY, json={"data": {}})
    hook.create_contact("f", phone="1", birthday=datetime(1990, 12, 31))
    hook.update_contact_value("f", "c", "birthday", datetime(1990, 12, 31, tzinfo=UTC))
    created, updated = (sent.json() for sent in api.request_history)
    assert (created["birthday"], updated["value"]) == ("1990-12-31", "1990-12-31")
    with pytest.raises(ValueError, match="address must name each part once"):
        hook.create_contact("f", phone="1", address={"zip": "1", "postal_code": "2"})
