"""Which failures are the record's own: only those count against it in the ledger of refused rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
import requests_mock as rm

from airflow_providers_leads.hooks.base import LeadsHook, get_leads_hook
from airflow_providers_leads.hooks.batches import run_chunks
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
    ann = settled(hook, "create" if method == "POST" else "update", **options)["ann@x.de"]
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
