from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import requests_mock as rm

from airflow_providers_leads.hooks.persistiq import PersistIQHook
from airflow_providers_leads.http.errors import (
    LeadsAuthError,
    LeadsNetworkError,
    LeadsNotFoundError,
    LeadsServerError,
    LeadsValidationError,
)

ROOT = "https://api.persistiq.com/v1"
KEY = "0123456789abcdef"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> PersistIQHook:
    value = {"conn_type": "persistiq", "password": KEY, "extra": {"rate_limit": 10**6, "max_retries": 2}}
    monkeypatch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", json.dumps(value))
    hook = PersistIQHook()
    hook.client.sleep = lambda seconds: None
    return hook


@pytest.fixture
def api() -> Any:
    # Ids and names keep their case in a query.
    with rm.Mocker(case_sensitive=True) as mocker:
        yield mocker


def listing(key: str, rows: list[Any], more: bool = False) -> dict[str, Any]:
    url = "https://elsewhere.example/v1/x?page=9" if more else None
    return {"status": "success", "errors": [], "has_more": more, "next_page": url, key: rows}


ROW, BARE = {"id": "x_1"}, {"id": "c_1", "name": "n", "stats": {}}
WHOLE = {**ROW, "data": {"email": "ann@x.de"}}
FIRST = {"page": ["1"]}
TIME = datetime(2026, 1, 1, tzinfo=UTC)
HOOKS = ("post_new_prospect", "post_updated_prospect", "raw_events", "post_email_reply", "post_email_opened")
PLUGIN = dict.fromkeys(HOOKS, False) | {f"{name}_url": None for name in HOOKS}


def lists(method: str, path: str, key: str, args: Any = (), options: Any = None, query: Any = None) -> tuple[Any, ...]:
    paged = {} if key in ("lead_statuses", "lead_fields") else FIRST
    return method, args, options or {}, "GET", path, {**paged, **(query or {})}, None, listing(key, [ROW]), [ROW]


REQUESTS: list[tuple[Any, ...]] = [
    lists("list_users", "/users", "users"),
    lists("list_leads", "/leads", "leads"),
    lists(
        "list_leads", "/leads", "leads", (),
        {"status": "Active", "status_id": "lss_1", "email": "A@x.de", "updated_after": TIME,
         "created_after": "2025-12-31T23:00:00-02:00"},
        {"status": ["Active"], "status_id": ["lss_1"], "email": ["A@x.de"],
         "updated_after": ["2026-01-01T00:00:00.000Z"], "created_after": ["2026-01-01T01:00:00.000Z"]},
    ),
    lists("list_lead_statuses", "/lead_statuses", "lead_statuses"),
    lists("list_lead_fields", "/lead_fields", "lead_fields"),
    lists(
        "list_campaigns", "/campaigns", "campaigns", (), {"lead_id": "l", "owner_id": "u", "name": "N"},
        {"lead_id": ["l"], "owner_id": ["u"], "name": ["N"]},
    ),
    lists("list_dnc_domains", "/dnc_domains", "dnc_domains"),
    lists("list_tags", "/tags", "tags"),
    lists("list_campaign_leads", "/campaigns/c%2F1/leads", "campaign_leads", ("c/1",)),
    lists(
        "list_replies", "/campaigns/c/replies", "replies", ("c",), {"lead_id": "l", "start_at": TIME},
        {"lead_id": ["l"], "start_at": ["2026-01-01T00:00:00.000Z"]},
    ),
    ("get_lead", ("l/1",), {}, "GET", "/leads/l%2F1", {}, None, {"leads": [WHOLE], "errors": None}, WHOLE),
    ("get_lead", ("l",), {}, "GET", "/leads/l", {}, None, {"status": "success", "lead": WHOLE, "error": None}, WHOLE),
    (
        "update_lead", ("l",),
        {"data": {"title": ""}, "status": "won", "owner_id": "u", "bounced": False, "optedout": True},
        "PATCH", "/leads/l", {},
        {"data": {"title": ""}, "status": "won", "owner_id": "u", "bounced": False, "optedout": True},
        {"status": "success", "error": None, "lead": ROW}, ROW,
    ),
    (
        "update_lead", ("l",), {"status_id": "lss_1"}, "PATCH", "/leads/l", {}, {"status_id": "lss_1"},
        {"status": "success", "error": None, "lead": ROW}, ROW,
    ),
    (
        "create_campaign", ("N", "u"), {}, "POST", "/campaigns", {}, {"campaign_name": "N", "owner_id": "u"},
        BARE, BARE,
    ),
    (
        "duplicate_campaign", ("c", "u"), {"name": "N"}, "POST", "/campaigns/duplicate", {},
        {"campaign_id": "c", "owner_id": "u", "name": "N"}, {"status": "success", "campaign": BARE}, BARE,
    ),
    (
        "send_reply", ("c", "m", "<p>Hi</p>"), {}, "POST", "/campaigns/c/replies", {},
        {"inbox_message_id": "m", "body": "<p>Hi</p>"}, {"status": "queued"}, {"status": "queued"},
    ),
    (
        "create_dnc_domain", (" Example.COM",), {}, "POST", "/dnc_domains", {}, {"name": "example.com"},
        {"status": "success", "errors": None, "dnc_domain": ROW}, ROW,
    ),
    ("get_webhook_plugin", (), {}, "GET", "/webhook_plugin", {}, None, PLUGIN, PLUGIN),
    ("remove_lead_from_campaign", ("c", "l"), {}, "DELETE", "/campaigns/c/leads/l", {}, None, None, True),
]  # fmt: skip


@pytest.mark.parametrize(("method", "args", "options", "verb", "path", "query", "body", "answer", "result"), REQUESTS)
def test_each_method_sends_exactly_its_request(
    hook: Any, api: Any, method: str, args: Any, options: Any, verb: str, path: str, query: Any, body: Any, answer: Any,
    result: Any,
) -> None:  # fmt: skip
    sent_back = {"text": ""} if answer is None else {"json": answer}
    api.register_uri(rm.ANY, rm.ANY, status_code=201 if verb == "POST" else 200, **sent_back)
    found = getattr(hook, method)(*args, **options)
    assert (list(found) if method.startswith("list_") else found) == result
    [sent] = api.request_history
    assert (sent.method, sent.url.split("?")[0]) == (verb, f"{ROOT}{path}")
    assert sent.qs == query
    assert (sent.json() if sent.body else None) == body
    assert sent.headers["x-api-key"] == KEY


def test_webhook_settings_are_read_changed_and_written_back_whole(hook: Any, api: Any) -> None:
    api.get(f"{ROOT}/webhook_plugin", json={**PLUGIN, "raw_events_url": "https://a.de", "id": 7})
    api.put(f"{ROOT}/webhook_plugin", json=lambda request, context: request.json())
    # URLs that aren't set are null when read; the vendor's file knows no null to be written.
    kept = {name: value for name, value in PLUGIN.items() if value is not None}
    assert hook.update_webhook_plugin(raw_events=True) == {**kept, "raw_events": True, "raw_events_url": "https://a.de"}
    cleared = hook.update_webhook_plugin(raw_events_url=None)
    assert (cleared["raw_events_url"], cleared["raw_events"]) == ("", PLUGIN["raw_events"])


@pytest.mark.parametrize("key", ["lead_fields", "lead_statuses"])
def test_short_lists_are_followed_too(hook: Any, api: Any, key: str) -> None:
    """Row S4: they are documented without pages, and carry ``has_more`` all the same."""
    pages = [listing(key, [{"id": "1"}], True), listing(key, [{"id": "2"}])]
    api.get(f"{ROOT}/{key}", [{"json": page} for page in pages])
    assert list(getattr(hook, f"list_{key}")()) == [{"id": "1"}, {"id": "2"}]
    assert [sent.qs for sent in api.request_history] == [{}, {"page": ["2"]}]


@pytest.mark.parametrize("key", ["lead_fields", "lead_statuses"])
def test_short_lists_that_repeat_themselves_are_an_error(hook: Any, api: Any, key: str) -> None:
    """Row S4."""
    api.get(f"{ROOT}/{key}", json=listing(key, [{"id": "1"}], True))
    with pytest.raises(LeadsServerError, match="never end"):
        list(getattr(hook, f"list_{key}")())
    assert api.call_count == 4


def test_pages_are_counted_and_next_page_is_never_followed(hook: Any, api: Any) -> None:
    pages = [listing("leads", [{"id": "1"}], True), listing("leads", [{"id": "1"}, {"id": "2"}], True), {"leads": []}]
    api.get(f"{ROOT}/leads", [{"json": page} for page in pages])
    leads = hook.list_leads(status="active")
    assert next(leads) == {"id": "1"}
    assert api.call_count == 1
    assert list(leads) == [{"id": "2"}]
    asked = [{"status": ["active"], "page": [number]} for number in ("1", "2", "3")]
    assert [sent.qs for sent in api.request_history] == asked


@pytest.mark.parametrize(
    ("method", "args", "options", "named"),
    [
        ("list_leads", (), {"status": ""}, "status"),
        ("list_leads", (), {"updated_after": "2026-01-01"}, "updated_after"),
        ("list_leads", (), {"created_after": datetime(2026, 1, 1)}, "created_after"),
        ("get_lead", ("",), {}, "lead_id"),
        ("create_leads", ("ann@x.de",), {}, "leads"),
        ("create_leads", ({"email": "ann@x.de"},), {}, "leads"),
        ("create_leads", ([{"data": {"email": "ann@x.de"}}],), {}, "flat"),
        ("create_leads", ([{"email": "ann@x.de"}],), {"dup": "merge"}, "dup"),
        ("create_leads", ([{"email": "ann@x.de"}],), {"creator_id": ""}, "creator_id"),
        ("update_lead", ("", ), {"status": "won"}, "lead_id"),
        ("update_lead", ("l",), {}, "data"),
        ("update_lead", ("l",), {"data": {}}, "data"),
        ("update_lead", ("l",), {"data": [1]}, "data"),
        ("update_lead", ("l",), {"bounced": "perhaps"}, "bounced"),
        ("update_lead", ("l",), {"status": "won", "status_id": "lss_1"}, "together"),
        ("create_campaign", ("", "u"), {}, "name"),
        ("duplicate_campaign", ("c", None), {}, "owner_id"),
        ("add_leads_to_campaign", ("", ["l"]), {}, "campaign_id"),
        ("add_leads_to_campaign", ("c", "l_1"), {}, "lead_ids"),
        ("add_leads_to_campaign", ("c",), {}, "either lead_ids or lead_id"),
        ("add_leads_to_campaign", ("c", ["l_1"]), {"lead_id": "l_1"}, "either lead_ids or lead_id"),
        ("add_leads_to_campaign", ("c",), {"lead_id": " "}, "lead_ids"),
        ("add_leads_to_campaign", ("c", ["l", ""]), {}, "lead_ids"),
        ("remove_lead_from_campaign", ("c", ""), {}, "lead_id"),
        ("list_campaign_leads", ("",), {}, "campaign_id"),
        ("list_replies", ("c",), {"start_at": "2026-01-02T00:00Z", "end_at": "2026-01-01T00:00Z"}, "start_at"),
        ("send_reply", ("c", "m", ""), {}, "body"),
        ("list_events", (), {"group": "mails"}, "lead_detail"),
        ("list_events", (), {"start_at": TIME, "end_at": TIME}, "start_at"),
        ("create_dnc_domain", ("ann@example.com",), {}, "domain"),
        ("create_dnc_domain", ("https://example.com",), {}, "domain"),
        ("create_dnc_domain", ("com",), {}, "domain"),
        ("update_webhook_plugin", (), {}, "settings"),
        ("update_webhook_plugin", (), {"post_new_lead": True}, "post_new_lead"),
        ("iter_leads", (), {"funnel_ids": ["f"]}, "funnel_ids"),
        ("iter_leads", (), {"updated_after": "yesterday"}, "updated_after"),
        ("find_leads", ("ann@x.de",), {}, "emails"),
        ("apply_plan", ([],), {"funnel_id": "f"}, "funnel_id"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_any_request(
    hook: Any, api: Any, method: str, args: Any, options: Any, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        getattr(hook, method)(*args, **options)
    assert api.call_count == 0


# Events -----------------------------------------------------------------------------------------------------------


def test_events_of_adjoining_windows_share_and_miss_nothing(hook: Any, api: Any) -> None:
    events = [
        {"id": "1", "kind": "k", "event_at": "2025-12-31T23:59:59.999Z"},
        {"id": "2", "kind": "k", "event_at": "2026-01-01T00:00:00.000Z"},
        {
            "id": "3",
            "kind": None,
            "event_at": None,
            "event_type": "lead_created",
            "created_at": "2026-01-01T12:00:00.000+12:00",
        },
        {"id": "4", "kind": "k", "event_at": "2026-01-02T00:00:00.000+01:00"},
        {"id": "5", "kind": "k", "event_at": "2026-01-02T00:00:00.000Z"},
        {"id": "6", "kind": "k", "event_at": None},
    ]
    api.get(f"{ROOT}/events", json=listing("events", events))
    found = list(hook.list_events(group="lead_detail", lead="l", start_at=TIME, end_at="2026-01-02T00:00:00Z"))
    assert [event["id"] for event in found] == ["2", "3", "4", "6"]
    assert (found[1]["kind"], found[1]["event_at"]) == ("lead_created", "2026-01-01T12:00:00.000+12:00")
    # Whether the vendor counts the bounds in is unknown, so a little more is asked for.
    assert api.last_request.qs == {
        "group": ["lead_detail"], "lead": ["l"], "page": ["1"],
        "start_at": ["2025-12-31T23:59:59.000Z"], "end_at": ["2026-01-02T00:00:01.000Z"],
    }  # fmt: skip


# Errors -----------------------------------------------------------------------------------------------------------


def test_a_success_that_says_error_is_an_error(hook: Any, api: Any) -> None:
    body = {"status": "error", "error": {"reason": "bad_params", "message": "Status of ann@x.de is invalid"}}
    api.register_uri(rm.ANY, rm.ANY, json={**body, "lead": ROW, "leads": []}, headers={"x-request-id": "r1"})
    for call in (
        lambda: hook.update_lead("l", status="?"),
        lambda: list(hook.list_leads()),
        lambda: hook.get_lead("l"),
    ):
        with pytest.raises(LeadsValidationError, match="bad_params") as caught:
            call()
        assert caught.value.words == "Status of <address> is invalid"
        assert caught.value.request_id == "r1"
        assert "ann@x.de" not in str(caught.value)
    assert api.call_count == 3


@pytest.mark.parametrize("body", [{"status": "success"}, {"status": "success", "leads": None}, [], "x"])
def test_a_success_without_the_documented_content_is_an_error(hook: Any, api: Any, body: Any) -> None:
    api.get(f"{ROOT}/leads", json=body)
    with pytest.raises(LeadsServerError):
        list(hook.list_leads())


def test_a_key_that_the_vendor_echoes_is_never_shown(hook: Any, api: Any) -> None:
    words = f"Failed to find api key: {KEY}.  Did you set header 'x-api-key' ..."
    api.get(rm.ANY, status_code=401, json={"status": "error", "error": {"reason": "unauthorized", "message": words}})
    with pytest.raises(LeadsAuthError, match="Settings > Integrations") as caught:
        list(hook.list_users())
    assert KEY not in f"{caught.value} {vars(caught.value)}"
    verdict, message = hook.test_connection()
    assert (verdict, KEY in message) == (False, False)


@pytest.mark.parametrize("answer", [{"status": "success", "leads": []}, {"status": "success", "lead": None}])
def test_an_answer_without_the_lead_is_not_found(hook: Any, api: Any, answer: Any) -> None:
    api.get(f"{ROOT}/leads/l", json=answer)
    with pytest.raises(LeadsNotFoundError):
        hook.get_lead("l")


def test_a_lead_is_read_by_its_address_through_the_filter(hook: Any, api: Any) -> None:
    row = {"id": "l", "data": {"email": "Ann@x.de"}}
    api.get(f"{ROOT}/leads", json=lambda request, context: listing("leads", [row] if "nn" in request.url else []))
    assert hook.get_lead("ann@x.de") == row
    with pytest.raises(LeadsNotFoundError) as caught:
        hook.get_lead("bob@x.de")
    assert "bob" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "tries"),
    [
        (lambda hook: hook.create_campaign("n", "u"), 1),
        (lambda hook: hook.duplicate_campaign("c", "u"), 1),
        (lambda hook: hook.send_reply("c", "m", "b"), 1),
        (lambda hook: hook.create_dnc_domain("x.de"), 1),
        (lambda hook: hook.update_lead("l", status="won"), 3),
        (lambda hook: hook.remove_lead_from_campaign("c", "l"), 3),
    ],
)
def test_only_what_can_be_repeated_is_repeated_after_a_cut_connection(
    hook: Any, api: Any, call: Any, tries: int
) -> None:
    api.register_uri(rm.ANY, rm.ANY, exc=requests.exceptions.ConnectionError("cut"))
    with pytest.raises(LeadsNetworkError) as caught:
        call(hook)
    assert caught.value.ambiguous
    assert api.call_count == tries


@pytest.mark.parametrize(
    ("status", "text", "gone"),
    [
        (404, "Not found", True),
        (400, "Lead is not in campaign", True),
        (400, "Lead not found", True),
        (400, "Id is malformed", False),
    ],
)
def test_a_lead_that_left_the_campaign_is_no_trouble(hook: Any, api: Any, status: int, text: str, gone: bool) -> None:
    api.delete(rm.ANY, status_code=status, json={"status": "error", "error": {"reason": "bad_params", "message": text}})
    if gone:
        assert hook.remove_lead_from_campaign("c", "l") is False
    for missing_ok in {False, not gone}:
        with pytest.raises((LeadsNotFoundError, LeadsValidationError)):
            hook.remove_lead_from_campaign("c", "l", missing_ok=missing_ok)


def test_a_bare_refusal_keeps_its_reason(hook: Any, api: Any) -> None:
    api.post(f"{ROOT}/campaigns", status_code=422, json={"reason": "invalid_request", "message": "Owner is unknown"})
    with pytest.raises(LeadsValidationError, match="invalid_request") as caught:
        hook.create_campaign("n", "u")
    assert caught.value.words == "Owner is unknown"


@pytest.mark.parametrize(
    ("answer", "good", "said"),
    [
        ({"json": {"status": "success", "errors": [], "users": [{"id": "u"}]}}, True, "1 users"),
        ({"json": {"status": "success", "has_more": True, "users": [{"id": "u"}]}}, True, "more than 1"),
        ({"json": {"hello": "world"}}, False, "host"),
        ({"text": "<html>"}, False, "host"),
        ({"status_code": 401, "json": {"error": {"reason": "unauthorized"}}}, False, "API key"),
        ({"exc": requests.exceptions.ConnectionError("no")}, False, "host"),
    ],
)
def test_the_connection_test_names_what_failed(hook: Any, api: Any, answer: Any, good: bool, said: str) -> None:
    api.get(f"{ROOT}/users", **answer)
    verdict, message = hook.test_connection()
    assert verdict is good
    assert said in message


@pytest.mark.parametrize(
    ("setting", "sent"),
    [
        ({"raw_events": "False"}, False),
        ({"raw_events": " true "}, True),
        ({"raw_events": 0}, False),
        ({"raw_events_url": " https://a.de "}, "https://a.de"),
        ({"raw_events_url": ""}, ""),
    ],
)
def test_webhook_settings_are_sent_as_what_they_are(hook: Any, api: Any, setting: Any, sent: Any) -> None:
    api.get(f"{ROOT}/webhook_plugin", json=PLUGIN)
    api.put(f"{ROOT}/webhook_plugin", json=lambda request, context: request.json())
    [name] = setting
    assert hook.update_webhook_plugin(**setting)[name] == sent
    assert type(api.last_request.json()[name]) is type(sent)


@pytest.mark.parametrize("setting", [{"raw_events": None}, {"raw_events": "maybe"}, {"raw_events_url": ["x"]}])
def test_what_is_no_webhook_setting_is_refused_before_any_request(hook: Any, api: Any, setting: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        hook.update_webhook_plugin(**setting)
    assert not api.called
