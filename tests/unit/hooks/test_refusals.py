"""Which failures are the record's own: only those count against it in the ledger of refused rows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import requests
import requests_mock as rm

from airflow_providers_leads.hooks.base import LeadsHook, get_leads_hook
from airflow_providers_leads.hooks.batches import run_chunks
from airflow_providers_leads.hooks.trouble import trouble
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsConflictError,
    LeadsNetworkError,
    LeadsValidationError,
)
from airflow_providers_leads.leads.model.outcomes import BatchResult, PlanRow, Succeeded, WriteResult

HUBSPOT, PERSISTIQ = "https://api.hubapi.com/crm/objects/2026-03/contacts", "https://api.persistiq.com/v1"
FUNNEL = "https://api.perspective.co/v1/funnels/f"
CUT = {"exc": requests.exceptions.ConnectionError("cut")}


@pytest.fixture
def wire() -> Any:
    with rm.Mocker() as mocker:
        mocker.get(f"{PERSISTIQ}/lead_fields", json={"lead_fields": [{"name": "first_name"}]})
        mocker.get(f"{PERSISTIQ}/leads", json={"status": "success", "has_more": False, "leads": []})
        # None of the addresses is a secondary one.
        mocker.post(f"{HUBSPOT}/batch/read", json={"status": "COMPLETE", "results": []})
        mocker.get(f"{FUNNEL}/contacts", json={"data": [], "meta": {"hasNext": False}})
        yield mocker


def connect(monkeypatch: pytest.MonkeyPatch, crm: str) -> LeadsHook:
    value = {"conn_type": crm, "password": "k", "extra": {"rate_limit": 10**6, "max_retries": 0}}
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(value))
    hook = get_leads_hook("crm")
    hook.client.sleep = lambda seconds: None
    return hook


def settled(hook: LeadsHook, action: Any, **options: Any) -> dict[str, WriteResult]:
    held = {"target_id": "1", "target_scope": "f"} if action == "update" else {}
    keys = ("ann@x.de", "bob@x.de") if hook.conn_type == "hubspot" else ("ann@x.de",)
    rows = [PlanRow(email_key=key, action=action, values={"first_name": "A"}, **held) for key in keys]
    found: dict[str, WriteResult] = {}
    try:
        for result in hook.apply_plan(rows, **options):
            found[result.email_key] = result
    except LeadsApiError:
        pass
    return found


def hubspot_errors(*entries: Any) -> Any:
    return {"status_code": 207, "json": {"status": "COMPLETE", "results": [], "errors": list(entries)}}


TRACED = {"category": "VALIDATION_ERROR", "message": "no", "context": {"objectWriteTraceId": ["0"]}}
BAD_PARAMS = {"status": "error", "error": {"reason": "bad_params", "message": "no"}}
PER_ITEM = {
    "status": "error",
    "errors": [{"reason": "invalid_request", "message": "no", "lead": {"data": {"email": "ann@x.de"}}}],
    "leads": [],
}
ANSWERS: dict[str, tuple[str, str, str, dict[str, Any], str, bool]] = {
    # CRM, method, URL, answer → outcome of Ann, and whether her record was refused
    "hubspot names it": ("hubspot", "POST", "/batch/upsert", hubspot_errors(TRACED), "failed", True),
    "hubspot key": ("hubspot", "POST", "/batch/upsert", {"status_code": 401, "json": {}}, "failed", False),
    "hubspot quota": (
        "hubspot", "POST", "/batch/upsert", {"status_code": 429, "json": {"policyName": "DAILY"}}, "failed", False,
    ),
    **{
        f"row 18: hubspot {category}": (
            "hubspot", "POST", "/batch/upsert", hubspot_errors({**TRACED, "category": category}), "failed", False,
        )
        for category in ("INTERNAL_ERROR", "RATE_LIMITS", "LOCKED", "OBJECT_LOCKED", "SERVICE_UNAVAILABLE", "TIMEOUT")
    },
    "row 18: hubspot says it in a code": (
        "hubspot", "POST", "/batch/upsert",
        hubspot_errors({**TRACED, "category": None, "errors": [{"message": "no", "code": "INTERNAL_ERROR"}]}),
        "failed", False,
    ),
    "row 18: hubspot says it in words": (
        "hubspot", "POST", "/batch/upsert",
        hubspot_errors({**TRACED, "category": None, "message": "There was an internal error"}), "failed", False,
    ),
    "row 18: hubspot update": (
        "hubspot", "POST", "/batch/update",
        hubspot_errors({"category": "INTERNAL_ERROR", "message": "no", "context": {"ids": ["1"]}}), "failed", False,
    ),
    "row 18: persistiq item": (
        "persistiq", "POST", "/leads",
        {"json": {**PER_ITEM, "errors": [{**PER_ITEM["errors"][0], "reason": "internal_error"}]}}, "failed", False,
    ),
    "row 18: persistiq call": (
        "persistiq", "POST", "/leads", {"json": {"status": "error", "error": {"reason": "internal_error"}}},
        "failed", False,
    ),
    "row 18: persistiq patch": (
        "persistiq", "PATCH", "/leads/1", {"status_code": 400, "json": {"error": {"reason": "rate_limit"}}},
        "failed", False,
    ),
    "row 18: perspective value": (
        "perspective", "PUT", "/contacts/1/values", {"status_code": 400, "json": {"error": "Internal server error"}},
        "failed", False,
    ),
    "hubspot silent": ("hubspot", "POST", "/batch/upsert", {"json": {"results": []}}, "ambiguous", False),
    "hubspot cut": ("hubspot", "POST", "/batch/upsert", CUT, "ambiguous", False),
    "persistiq item": ("persistiq", "POST", "/leads", {"json": PER_ITEM}, "failed", True),
    "persistiq call": ("persistiq", "POST", "/leads", {"status_code": 400, "json": BAD_PARAMS}, "failed", True),
    "persistiq key": ("persistiq", "POST", "/leads", {"status_code": 401, "json": BAD_PARAMS}, "failed", False),
    "persistiq patch": ("persistiq", "PATCH", "/leads/1", {"status_code": 400, "json": BAD_PARAMS}, "failed", True),
    "persistiq gone": ("persistiq", "PATCH", "/leads/1", {"status_code": 404, "json": BAD_PARAMS}, "failed", True),
    "persistiq down": ("persistiq", "PATCH", "/leads/1", {"status_code": 500, "json": {}}, "ambiguous", False),
    "perspective create": (
        "perspective", "POST", "/contacts", {"status_code": 400, "json": {"error": "no"}}, "failed", True,
    ),
    "perspective right": ("perspective", "POST", "/contacts", {"status_code": 403, "json": {}}, "failed", False),
    "perspective value": (
        "perspective", "PUT", "/contacts/1/values", {"status_code": 400, "json": {"error": "no"}}, "failed", True,
    ),
    "perspective key": ("perspective", "PUT", "/contacts/1/values", {"status_code": 401, "json": {}}, "failed", False),
}  # fmt: skip


@pytest.mark.parametrize(("crm", "method", "path", "answer", "outcome", "refused"), ANSWERS.values(), ids=ANSWERS)
def test_only_what_the_crm_says_of_the_record_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
    wire: Any,
    crm: str,
    method: str,
    path: str,
    answer: dict[str, Any],
    outcome: str,
    refused: bool,
) -> None:
    hook = connect(monkeypatch, crm)
    root = {"hubspot": HUBSPOT, "persistiq": PERSISTIQ, "perspective": FUNNEL}[crm]
    wire.register_uri(method, root + path, **answer)
    options = {"funnel_id": "f"} if crm == "perspective" else {}
    creates = method == "POST" and not path.endswith("update")
    ann = settled(hook, "create" if creates else "update", **options)["ann@x.de"]
    assert (ann.outcome, ann.refused) == (outcome, refused)


def test_a_chunk_that_is_refused_as_a_whole_refuses_nobody_in_particular() -> None:
    def always(chunk: Any) -> BatchResult:
        raise LeadsValidationError("the call is wrong", category="bad_params")

    result, _ = run_chunks(list(range(40)), 10, always)
    alone = [failed for failed in result.failed if failed.refused]
    # Some were sent alone before it was clear that the call is at fault; those in unsplit chunks are not blamed.
    assert 0 < len(alone) <= 10
    assert len(result.failed) == 40


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (LeadsConflictError("taken"), True),
        (LeadsValidationError("unclear", ambiguous=True), False),
        (LeadsNetworkError("cut"), False),
    ],
)
def test_one_input_alone(error: LeadsApiError, refused: bool) -> None:
    def send(chunk: Any) -> BatchResult:
        raise error

    result, _ = run_chunks(["a"], 10, send)
    assert [failed.refused for failed in result.failed] == [refused]


def test_what_was_never_sent_is_refused_by_nobody() -> None:
    def send(chunk: Any) -> BatchResult:
        if chunk[0][0]:
            raise LeadsNetworkError("cut")
        return BatchResult(succeeded=[Succeeded(index=0, input=chunk[0][1])])

    result, stopped = run_chunks(["a", "b", "c"], 1, send)
    assert stopped is not None
    assert [failed.refused for failed in result.failed] == [False, False]


LOCKED = {**TRACED, "category": "LOCKED"}
STUMBLED = {**TRACED, "category": "INTERNAL_ERROR"}
WRITTEN = {"id": "7", "properties": {"email": "ann@x.de"}, "new": True, "objectWriteTraceId": "0"}


@pytest.mark.parametrize("trouble", [LOCKED, STUMBLED], ids=["locked", "internal error"])
@pytest.mark.parametrize("verb", ["upsert", "update", "create", "read", "archive"])
def test_row_18_what_may_pass_is_sent_again(
    monkeypatch: pytest.MonkeyPatch, wire: Any, verb: str, trouble: Any
) -> None:
    hook: Any = connect(monkeypatch, "hubspot")
    hook.client.policy = replace(hook.client.policy, max_retries=2)
    error = {**trouble, "context": {"objectWriteTraceId": ["0"], "ids": ["7", "ann@x.de"]}}
    good = {"json": {"status": "COMPLETE", "results": [WRITTEN]}} if verb != "archive" else {"status_code": 204}
    sent = wire.post(f"{HUBSPOT}/batch/{verb}", [hubspot_errors(error), hubspot_errors(error), good])
    found = wire.post(f"{HUBSPOT}/batch/read", [good]) if verb == "create" else None
    inputs = [{"id": "7", "properties": {"city": "x"}}]
    result = {
        "upsert": lambda: hook.batch_upsert_contacts([{"email": "ann@x.de"}]),
        "create": lambda: hook.batch_create_contacts([{"email": "ann@x.de"}]),
        "update": lambda: hook.batch_update_contacts(inputs),
        "read": lambda: hook.batch_read_contacts(["7"]),
        "archive": lambda: hook.batch_archive_contacts(["7"]),
    }[verb]()
    if verb == "create" and trouble is STUMBLED:
        # It may stand: looked up, never sent again.
        assert (sent.call_count, found.call_count) == (1, 1)
        return
    assert result, result.failed
    assert sent.call_count == 3


def test_row_18_a_lead_that_met_trouble_at_joining_a_campaign_is_not_mailed_twice(
    monkeypatch: pytest.MonkeyPatch, wire: Any
) -> None:
    hook: Any = connect(monkeypatch, "persistiq")
    hook.client.policy = replace(hook.client.policy, max_retries=2)

    def answer(reason: str) -> dict[str, Any]:
        return {"json": {"errors": [{"reason": reason, "lead_id": "l_1", "message": "no"}]}}

    sent = wire.post(f"{PERSISTIQ}/campaigns/c/leads", [answer("internal_error")])
    (failed,) = hook.add_leads_to_campaign("c", ["l_1"]).failed
    assert (failed.ambiguous, failed.refused, sent.call_count) == (True, False, 1)
    placed = {"json": {"campaign_lead": {"id": "cl", "lead_id": "l_1"}}}
    sent = wire.post(f"{PERSISTIQ}/campaigns/c/leads", [answer("rate_limit"), placed])
    assert hook.add_leads_to_campaign("c", ["l_1"])
    assert sent.call_count == 2


@pytest.mark.parametrize(
    "category",
    ["VALIDATION_ERROR", "CONFLICT", "OBJECT_NOT_FOUND", "PROPERTY_DOESNT_EXIST", "VALUE_LIMIT_EXCEEDED", "bad_params",
     "INVALID_EMAIL", "PROPERTY_LENGTH_LIMIT", "BLOCKED", "UNLOCKED_FIELD"],
)  # fmt: skip
def test_what_is_about_the_record_is_no_trouble(category: str) -> None:
    assert trouble(category, words="please try again with another value") is None
