"""What an error tells, and what neither errors nor logs give away."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Any

import pytest
import requests
from http_fakes import (
    CUT,
    EMAIL,
    HTML,
    KEY,
    KEY_ECHOED,
    KEYS,
    LATE,
    OK,
    SECRETS,
    SENTENCE,
    URL,
    FakeClock,
    failed,
    leaks,
    make_client,
)
from requests_mock import ANY, Mocker

from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsConflictError,
    LeadsNotFoundError,
    LeadsPermissionError,
    LeadsServerError,
    LeadsValidationError,
)
from airflow_providers_leads.http.retry import RetryPolicy

NO_SCOPE = {
    "status": "error",
    "message": SENTENCE,
    "request": "c-3",
    "category": "MISSING_SCOPES",
    "errors": [{"code": "SCOPE(contacts.write)"}],
}
CLASH = {"message": f"{EMAIL} already exists: 51", "category": "CONFLICT", "existing": "51"}


@pytest.mark.parametrize(
    ("status", "body", "cls", "facts", "shown"),
    [
        (400, {"error": {"reason": "bad_params", "message": "Email is missing"}}, LeadsValidationError,
         {"category": "bad_params", "words": "Email is missing"}, ["failed with 400 (bad_params)."]),
        (401, KEY_ECHOED, LeadsAuthError,
         {"category": "unauthorized", "words": ""}, ["Put a valid API key into the connection's password."]),
        (403, NO_SCOPE, LeadsPermissionError,
         {"codes": ("SCOPE(contacts.write)",), "request_id": "c-3", "words": ""},
         ["(MISSING_SCOPES, SCOPE(contacts.write))", "lacks a permission", "[request id c-3]"]),
        (404, {"error": "Contact not found"}, LeadsNotFoundError, {"not_found": True}, ["Check the ids given"]),
        (404, None, LeadsNotFoundError, {"not_found": True, "words": ""}, ["failed with 404."]),
        (400, {"error": "KPI not found"}, LeadsValidationError, {"not_found": True}, []),
        (409, CLASH, LeadsConflictError,
         {"existing_id": "51", "exists": True, "words": "<address> already exists: 51"}, ["(CONFLICT)"]),
        (422, {"reason": "invalid", "message": f"{EMAIL} is bad"}, LeadsValidationError,
         {"category": "invalid", "words": "<address> is bad"}, []),
        (418, [SENTENCE], LeadsValidationError, {"category": None, "words": ""}, ["failed with 418."]),
        (501, {"message": SENTENCE}, LeadsServerError, {"ambiguous": False, "words": ""}, []),
    ],
)  # fmt: skip
def test_an_error_tells_what_failed_and_what_to_do(
    requests_mock: Mocker,
    client: HttpClient,
    status: int,
    body: Any,
    cls: type[LeadsApiError],
    facts: dict[str, Any],
    shown: list[str],
) -> None:
    requests_mock.post(f"{URL}/7", status_code=status, json=body)
    error = failed(client, "POST", "/v1/leads/{lead_id}", path_params={"lead_id": 7})
    assert (type(error), error.status) == (cls, status)
    assert {name: getattr(error, name) for name in facts} == facts
    assert str(error).startswith("crm 'test': POST /v1/leads/{lead_id} ")
    assert all(text in str(error) for text in shown), str(error)
    assert requests_mock.call_count == 1


@pytest.mark.parametrize("status", [*range(400, 432), 451, 477, 500, 501, 502, 503, 504, 520, 524])
def test_every_status_says_what_to_do(requests_mock: Mocker, clock: FakeClock, status: int) -> None:
    requests_mock.get(URL, status_code=status)
    said = str(failed(make_client(clock, policy=RetryPolicy(max_retries=0))))
    assert re.search(rf"failed with {status}\. [A-Z].{{20,}}\.$", said), said


def test_a_page_says_nothing_of_a_record_that_is_not_found(requests_mock: Mocker, clock: FakeClock) -> None:
    requests_mock.delete(URL, status_code=404, text="<html>Not Found</html>")
    error = failed(make_client(clock, advice={404: "Check the id."}), "DELETE")
    assert (type(error), error.status, error.not_found, error.ambiguous) == (LeadsServerError, 404, False, False)
    assert "failed with 404, with something that is not JSON. Something else may answer" in str(error)
    assert requests_mock.call_count == 1


def test_a_connections_own_advice_comes_first(requests_mock: Mocker, clock: FakeClock) -> None:
    requests_mock.get(URL, [{"status_code": 403}, {"exc": requests.exceptions.ConnectTimeout}])
    client = make_client(
        clock, advice={403: "Upgrade the plan.", None: "Ask the network team."}, policy=RetryPolicy(max_retries=0)
    )
    assert str(failed(client)).endswith("failed with 403. Upgrade the plan.")
    assert str(failed(client)).endswith("Ask the network team.")


def test_only_the_first_codes_are_listed(requests_mock: Mocker, client: HttpClient) -> None:
    entries = [{"code": f"CODE_{n}"} for n in range(50)]
    requests_mock.get(URL, status_code=400, json={"category": "VALIDATION_ERROR", "errors": entries})
    error = failed(client)
    assert "(VALIDATION_ERROR, CODE_0, CODE_1, CODE_2, CODE_3, CODE_4)" in str(error)
    assert len(error.codes) == 50


TELLTALE = {
    "message": f"{SENTENCE}: {EMAIL} with key {KEY}",
    "category": f"{EMAIL}",
    "correlationId": f"{SENTENCE} {EMAIL}",
    "errors": [{"code": KEY, "message": SENTENCE, "context": {"propertyName": [EMAIL, SENTENCE, *KEYS]}}],
    "error": {"reason": f"{SENTENCE}", "message": f"{EMAIL} {KEYS[1]} {KEYS[2]}"},
    "context": {"existingId": [EMAIL, KEY]},
}
TELLTALE_HEADERS = {"X-Request-Id": EMAIL, "Location": f"https://evil.example/{EMAIL}"}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "answer",
    [
        *(
            pytest.param(
                {"status_code": status.value, "json": TELLTALE, "headers": TELLTALE_HEADERS}, id=str(status.value)
            )
            for status in HTTPStatus
            if status >= 300
        ),
        pytest.param({"status_code": 502, **HTML}, id="page of a proxy"),
        pytest.param(HTML, id="page"),
        pytest.param({"json": TELLTALE, "headers": TELLTALE_HEADERS}, id="unexpected"),
        pytest.param(CUT, id="cut"),
        pytest.param(LATE, id="late"),
        pytest.param({"exc": requests.exceptions.InvalidURL(f"{URL}/{EMAIL}")}, id="URL"),
    ],
)
def test_neither_errors_nor_logs_give_anything_away(
    requests_mock: Mocker,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    method: str,
    answer: dict[str, Any],
) -> None:
    caplog.set_level(logging.DEBUG)
    requests_mock.request(method, ANY, **answer)
    client = make_client(clock, policy=RetryPolicy(max_retries=1))
    with pytest.raises(LeadsApiError) as caught:
        client.request(
            method,
            "/v1/leads/{lead_id}/campaigns",
            path_params={"lead_id": EMAIL},
            params={"email": EMAIL, "q": SENTENCE},
            json={"email": EMAIL, "note": SENTENCE},
            expect=lambda body: False,
        )
    assert not leaks(caught.value, caplog.text + repr([record.__dict__ for record in caplog.records]))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert (caught.value.existing_id, caught.value.request_id) == (None, None)


def test_a_repeated_request_is_logged_without_its_values(
    requests_mock: Mocker, client: HttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="airflow_providers_leads")
    requests_mock.get(ANY, [{"status_code": 503, "json": TELLTALE}, OK])
    client.request("GET", "/v1/leads/{lead_id}", path_params={"lead_id": EMAIL})
    assert "crm 'test': GET /v1/leads/{lead_id}: failed with 503, trying again in" in caplog.text
    assert not [secret for secret in SECRETS if secret in caplog.text]
