"""What the client sends, what it makes of answers, and what it never tells."""

from __future__ import annotations

import logging
import random
import re
import socket
import ssl
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
import requests
import requests_mock
import urllib3
from http_fakes import EMAIL, KEY, KEYS, NOW, ORIGIN, SECRETS, SENTENCE, FakeClock, leaks, make_client
from requests_mock import Mocker

from airflow_providers_leads.http import client as client_module
from airflow_providers_leads.http.auth import OriginAuth
from airflow_providers_leads.http.client import HttpClient, fill_path
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsConflictError,
    LeadsNetworkError,
    LeadsNotFoundError,
    LeadsPermissionError,
    LeadsRateLimitError,
    LeadsServerError,
    LeadsValidationError,
)
from airflow_providers_leads.http.rate_limit import RateLimiter
from airflow_providers_leads.http.retry import RetryPolicy

URL = f"{ORIGIN}/v1/leads"
ANY = requests_mock.ANY
OK: dict[str, Any] = {"json": {"leads": []}}
HTML = {"text": f"<html>{SENTENCE} {EMAIL} {KEY}</html>", "headers": {"Content-Type": "text/html"}}


@pytest.fixture
def client(clock: FakeClock) -> HttpClient:
    return make_client(clock)


@pytest.fixture(autouse=True)
def _quiet_mock() -> None:
    """The stand-in for the network logs whole URLs itself."""
    logging.getLogger("requests_mock").setLevel(logging.WARNING)


def failed(client: HttpClient, method: str = "GET", path: str = "/v1/leads", **options: Any) -> LeadsApiError:
    with pytest.raises(LeadsApiError) as caught:
        client.request(method, path, **options)
    assert not leaks(caught.value)
    return caught.value


# Requests -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("/v1/leads", {}, "/v1/leads"),
        ("/v1/leads/{id}", {"id": 7}, "/v1/leads/7"),
        ("/v1/leads/{id}", {"id": "a/b?c#d&e"}, "/v1/leads/a%2Fb%3Fc%23d%26e"),
        ("/v1/leads/{id}", {"id": "jane+crm@x.org"}, "/v1/leads/jane%2Bcrm%40x.org"),
        ("/v1/leads/{id}", {"id": "../users"}, "/v1/leads/..%2Fusers"),
        ("/v1/leads/{id}", {"id": "%2e%2e"}, "/v1/leads/%252e%252e"),
        ("/v1/leads/{id}", {"id": "..."}, "/v1/leads/..."),
        ("/v1/leads/{id}", {"id": "grün 1"}, "/v1/leads/gr%C3%BCn%201"),
        ("/v1/leads/{id}", {"id": 0}, "/v1/leads/0"),
        ("/v1/{a}/x/{b}", {"a": "1", "b": "{a}"}, "/v1/1/x/%7Ba%7D"),
    ],
)
def test_path_values_stay_one_segment(
    requests_mock: Mocker, client: HttpClient, template: str, values: dict[str, object], expected: str
) -> None:
    assert fill_path(template, values) == expected
    requests_mock.get(ANY, **OK)
    client.request("GET", template, path_params=values)
    assert requests_mock.request_history[0].url == ORIGIN + expected


@pytest.mark.parametrize("value", ["", " ", "\t\n", None, ".", ".."])
def test_a_path_value_that_would_name_another_resource_is_refused(
    requests_mock: Mocker, client: HttpClient, value: object
) -> None:
    with pytest.raises(ValueError, match="lead_id must not be empty"):
        client.request("DELETE", "/v1/leads/{lead_id}", path_params={"lead_id": value})
    assert not requests_mock.called


@pytest.mark.parametrize(
    ("options", "query", "body", "content_type"),
    [
        pytest.param({}, "", None, None, id="nothing"),
        pytest.param({"params": {"page": 1, "status": None}}, "?page=1", None, None, id="None is left out"),
        pytest.param({"params": {"status": None}}, "", None, None, id="nothing but None"),
        pytest.param({"params": {"q": "", "n": 0}}, "?q=&n=0", None, None, id="empty and zero are values"),
        pytest.param({"params": {"ids": ["1", "2"]}}, "?ids=1&ids=2", None, None, id="list repeats"),
        pytest.param(
            {"params": {"since": "2026-01-01T00:00:00+01:00"}},
            "?since=2026-01-01T00%3A00%3A00%2B01%3A00",
            None,
            None,
            id="a plus is not a blank",
        ),
        pytest.param(
            {"json": {"name": "Jürgen", "n": [1, None, True]}},
            "",
            '{"name":"Jürgen","n":[1,null,true]}'.encode(),
            "application/json",
            id="JSON",
        ),
        pytest.param({"json": {}}, "", b"{}", "application/json", id="empty object"),
        pytest.param({"json": []}, "", b"[]", "application/json", id="empty list"),
        pytest.param(
            {"form": {"grant_type": "refresh_token", "secret": "a&b=c d"}},
            "",
            b"grant_type=refresh_token&secret=a%26b%3Dc+d",
            "application/x-www-form-urlencoded",
            id="form",
        ),
    ],
)
def test_the_request_is_exact(
    requests_mock: Mocker,
    client: HttpClient,
    options: dict[str, Any],
    query: str,
    body: bytes | None,
    content_type: str | None,
) -> None:
    requests_mock.post(URL, **OK)
    client.request("POST", "/v1/leads", **options)
    sent = requests_mock.request_history[0]
    assert sent.url == URL + query
    assert sent.body == body
    assert sent.headers.get("Content-Type") == content_type
    assert (sent.headers["Accept"], sent.headers["x-api-key"]) == ("application/json", KEY)
    assert repr(sent.timeout) == "(10.0, 60.0)"


def test_user_agent_and_timeout_are_the_callers(requests_mock: Mocker, clock: FakeClock) -> None:
    requests_mock.get(URL, **OK)
    make_client(clock, user_agent="airflow-providers-leads/1 team-x", timeout=(1, 2)).request("GET", "/v1/leads")
    sent = requests_mock.request_history[0]
    assert sent.headers["User-Agent"] == "airflow-providers-leads/1 team-x"
    assert repr(sent.timeout) == "(1, 2)"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ({"json": {"leads": [1]}}, 200, {"leads": [1]}),
        ({"json": [], "status_code": 201}, 201, []),
        ({"status_code": 204}, 204, None),
        ({"text": " \n"}, 200, None),
        ({"text": "null"}, 200, None),
        ({"json": {"status": "error", "errors": []}, "status_code": 207}, 207, {"status": "error", "errors": []}),
    ],
)
def test_a_success_is_status_headers_and_body(
    requests_mock: Mocker, client: HttpClient, clock: FakeClock, answer: dict[str, Any], status: int, body: Any
) -> None:
    requests_mock.get(URL, headers={"X-Request-Id": "r1"}, **answer)
    found = client.request("GET", "/v1/leads")
    assert (found.status, found.body, found.headers["x-request-id"]) == (status, body, "r1")
    assert clock.sleeps == []


def test_the_client_shows_no_key(client: HttpClient) -> None:
    assert KEY not in repr(client)
    client.close()


# Retries --------------------------------------------------------------------------------------------------------------

CUT = {"exc": requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", EMAIL))}
LATE = {"exc": requests.exceptions.ReadTimeout(f"{URL}?email={EMAIL}")}
UNREACHABLE = {"exc": requests.exceptions.ConnectTimeout(f"{URL}?email={EMAIL}")}


@pytest.mark.parametrize(
    "trouble", [{"status_code": 500}, {"status_code": 503}, CUT, LATE, HTML], ids=["500", "503", "cut", "late", "page"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_an_idempotent_request_survives_trouble(
    requests_mock: Mocker, client: HttpClient, clock: FakeClock, method: str, trouble: dict[str, Any]
) -> None:
    requests_mock.request(method, URL, [trouble, trouble, OK])
    assert client.request(method, "/v1/leads", json={"n": 1}).status == 200
    assert [sent.body for sent in requests_mock.request_history] == [b'{"n":1}'] * 3
    assert len(clock.sleeps) == 2
    assert clock.sleeps[0] <= 1 and clock.sleeps[1] <= 2


@pytest.mark.parametrize(
    ("trouble", "cls"),
    [
        ({"status_code": 500}, LeadsServerError),
        ({"status_code": 524}, LeadsServerError),
        ({"status_code": 503, "headers": {"Retry-After": "1"}}, LeadsServerError),
        (HTML, LeadsServerError),
        (CUT, LeadsNetworkError),
        (LATE, LeadsNetworkError),
    ],
    ids=["500", "524", "503 with a wait", "page", "cut", "late"],
)
def test_a_post_that_may_stand_is_not_repeated(
    requests_mock: Mocker, client: HttpClient, clock: FakeClock, trouble: dict[str, Any], cls: type[LeadsApiError]
) -> None:
    requests_mock.post(URL, [trouble, OK])
    error = failed(client, "POST", json={"email": EMAIL})
    assert type(error) is cls
    assert error.ambiguous
    assert "may have taken effect: look the record up before repeating" in str(error)
    assert (requests_mock.call_count, clock.sleeps) == (1, [])


@pytest.mark.parametrize(
    "trouble",
    [{"status_code": 429}, {"status_code": 423}, {"status_code": 522}, UNREACHABLE],
    ids=["429", "423", "522", "unreachable"],
)
def test_a_post_that_took_no_effect_is_repeated(
    requests_mock: Mocker, client: HttpClient, trouble: dict[str, Any]
) -> None:
    requests_mock.post(URL, [trouble, OK])
    assert client.request("POST", "/v1/leads", json={}).status == 200
    assert requests_mock.call_count == 2


@pytest.mark.parametrize(("method", "idempotent", "calls"), [("POST", True, 2), ("PUT", False, 1)])
def test_the_caller_knows_better_what_may_be_repeated(
    requests_mock: Mocker, client: HttpClient, method: str, idempotent: bool, calls: int
) -> None:
    requests_mock.request(method, URL, [{"status_code": 500}, OK])
    if calls == 1:
        assert failed(client, method, idempotent=idempotent).ambiguous
    else:
        client.request(method, "/v1/leads", idempotent=idempotent)
    assert requests_mock.call_count == calls


@pytest.mark.parametrize(
    ("answer", "max_retries", "calls"),
    [
        ({"status_code": 500}, 5, 6),
        ({"status_code": 500}, 0, 1),
        (LATE, 2, 3),
        ({"status_code": 522}, 5, 3),
        ({"status_code": 429}, 5, 31),
        ({"status_code": 429}, 0, 31),
        ({"status_code": 404}, 5, 1),
        ({"status_code": 477}, 5, 1),
    ],
)
def test_patience_ends(
    requests_mock: Mocker, clock: FakeClock, answer: dict[str, Any], max_retries: int, calls: int
) -> None:
    requests_mock.get(URL, **answer)
    failed(make_client(clock, policy=RetryPolicy(max_retries=max_retries)))
    assert requests_mock.call_count == calls
    assert len(clock.sleeps) == calls - 1


def test_reading_in_vain_took_no_effect(requests_mock: Mocker, client: HttpClient) -> None:
    requests_mock.get(URL, status_code=500)
    assert "may have taken effect" not in str(failed(client))
    requests_mock.patch(URL, status_code=500)
    assert "may have taken effect" in str(failed(client, "PATCH"))


@pytest.mark.parametrize("trouble", [{"status_code": 500}, CUT, LATE, HTML], ids=["500", "cut", "late", "page"])
@pytest.mark.parametrize(("method", "safe"), [("GET", None), ("HEAD", None), ("POST", True)])
def test_a_read_took_no_effect_whatever_its_method(
    requests_mock: Mocker, client: HttpClient, trouble: dict[str, Any], method: str, safe: bool | None
) -> None:
    """Rows 21 and S8."""
    requests_mock.request(method, URL, **trouble)
    error = failed(client, method, safe=safe)
    assert not error.ambiguous
    assert "taken effect" not in str(error)
    assert requests_mock.call_count == 6


def test_rate_limits_and_faults_have_budgets_of_their_own(requests_mock: Mocker, clock: FakeClock) -> None:
    client = make_client(clock, policy=RetryPolicy(max_retries=1))
    requests_mock.get(URL, [*[{"status_code": 429}] * 5, {"status_code": 500}, {"status_code": 429}, OK])
    assert client.request("GET", "/v1/leads").status == 200


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        pytest.param({"headers": {"Retry-After": "7"}}, 7, id="Retry-After"),
        pytest.param({"headers": {"X-RateLimit-Reset": str(int(NOW) + 33)}}, 33, id="end of the window"),
        pytest.param({"json": {"wait": 60}}, 60, id="a form of the vendor's own"),
    ],
)
def test_a_429_waits_as_long_as_the_vendor_asks(
    requests_mock: Mocker, client: HttpClient, clock: FakeClock, answer: dict[str, Any], wait: float
) -> None:
    requests_mock.post(URL, [{"status_code": 429, **answer}, OK])
    client.request("POST", "/v1/leads")
    assert len(clock.sleeps) == 1
    assert wait <= clock.sleeps[0] <= wait + 1


def test_a_spent_day_fails_at_once_and_says_when_it_ends(
    requests_mock: Mocker, client: HttpClient, clock: FakeClock
) -> None:
    body = {"message": "no more", "spent": "day", "request": "c-1"}
    requests_mock.get(URL, status_code=429, json=body, headers={"Retry-After": "3"})
    error = failed(client)
    assert isinstance(error, LeadsRateLimitError)
    assert (error.category, error.retry_after, error.request_id) == ("DAILY", None, "c-1")
    assert "The day is over." in str(error)
    assert (requests_mock.call_count, clock.sleeps) == (1, [])


@pytest.mark.parametrize("status", [400, 403, 404, 409, 500, 502])
def test_a_failure_that_only_mentions_a_day_is_no_spent_quota(
    requests_mock: Mocker, client: HttpClient, status: int
) -> None:
    body = {"category": "VALIDATION_ERROR", "message": 'Property "daily_visits" does not exist'}
    requests_mock.post(URL, status_code=status, json=body, headers={"Retry-After": "3"})
    error = failed(client, "POST")
    assert (error.category, error.retry_after) == ("VALIDATION_ERROR", None)
    assert "quota" not in str(error)


@pytest.mark.parametrize(
    ("status", "headers", "cls", "retry_after"),
    [
        (429, {"Retry-After": "3600"}, LeadsRateLimitError, 3600),
        (477, {"Retry-After": "86400"}, LeadsRateLimitError, 86_400),
        (477, {}, LeadsRateLimitError, None),
        (503, {"Retry-After": "3600"}, LeadsServerError, 3600),
    ],
)
def test_a_long_wait_is_left_to_the_scheduler(
    requests_mock: Mocker,
    client: HttpClient,
    clock: FakeClock,
    status: int,
    headers: dict[str, str],
    cls: type[LeadsApiError],
    retry_after: float | None,
) -> None:
    requests_mock.get(URL, status_code=status, headers=headers)
    error = failed(client)
    assert (type(error), error.retry_after, error.retryable) == (cls, retry_after, True)
    assert (requests_mock.call_count, clock.sleeps) == (1, [])


def test_a_429_given_up_names_the_wait(requests_mock: Mocker, client: HttpClient) -> None:
    requests_mock.get(URL, status_code=429, headers={"Retry-After": "3600"})
    assert "The API asks to wait 3600 s. The quota is spent" in str(failed(client))


def test_a_lock_is_waited_for_at_least_as_long_as_it_lasts(
    requests_mock: Mocker, client: HttpClient, clock: FakeClock
) -> None:
    requests_mock.patch(URL, [{"status_code": 423}, {"status_code": 423}, OK])
    client.request("PATCH", "/v1/leads")
    assert len(clock.sleeps) == 2
    assert min(clock.sleeps) >= 2


def test_the_same_seed_gives_the_same_waits(requests_mock: Mocker) -> None:
    requests_mock.get(URL, status_code=500)
    clocks = [FakeClock(), FakeClock(), FakeClock()]
    for clock, seed in zip(clocks, (1, 1, 2), strict=True):
        failed(make_client(clock, rng=random.Random(seed)))
    assert clocks[0].sleeps == clocks[1].sleeps != clocks[2].sleeps


# Quotas ---------------------------------------------------------------------------------------------------------------


def limiter_of(clock: FakeClock, limit: int = 2, period: float = 10.0) -> RateLimiter:
    return RateLimiter(limit, period, clock=clock, sleep=clock.sleep)


def test_each_request_takes_its_place_in_its_own_bucket(requests_mock: Mocker, clock: FakeClock) -> None:
    requests_mock.get(URL, **OK)
    client = make_client(clock, limiters={"default": limiter_of(clock, 2), "search": limiter_of(clock, 1)})
    for bucket in ("default", "default", "search", "unlimited"):
        client.request("GET", "/v1/leads", bucket=bucket)
    assert clock.sleeps == []
    client.request("GET", "/v1/leads", bucket="search")
    assert sum(clock.sleeps) == pytest.approx(10.1)


def test_a_repeated_request_counts_again(requests_mock: Mocker, clock: FakeClock) -> None:
    requests_mock.get(URL, [{"status_code": 500}, {"status_code": 500}, OK])
    make_client(clock, limiters={"default": limiter_of(clock, 2)}).request("GET", "/v1/leads")
    assert sum(clock.sleeps) >= 10


def test_a_429_holds_back_whoever_shares_the_key(requests_mock: Mocker, clock: FakeClock) -> None:
    limiter = limiter_of(clock, 100)
    requests_mock.get(URL, [{"status_code": 429, "headers": {"Retry-After": "7"}}, OK])
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(limiter.acquire())
        clock.sleep(max(0.0, seconds - waits[-1]))

    make_client(clock, limiters={"default": limiter}, sleep=sleep).request("GET", "/v1/leads")
    assert len(waits) == 1
    assert 7 <= waits[0] <= 8


OWN_QUOTA = {"X-Acme-Max": "190", "X-Acme-Milliseconds": "20000"}


@pytest.mark.parametrize(
    ("headers", "fixed", "expected"),
    [
        (OWN_QUOTA, False, (190, 20.0)),
        (OWN_QUOTA, True, (2, 10.0)),
        ({"X-RateLimit-Limit": "500", "X-RateLimit-Remaining": "498"}, False, (500, 10.0)),
        ({"X-RateLimit-Remaining": "498"}, False, (2, 10.0)),
        ({}, False, (2, 10.0)),
    ],
)
@pytest.mark.parametrize("status", [200, 404])
def test_the_vendors_figures_replace_the_default_unless_fixed(
    requests_mock: Mocker,
    clock: FakeClock,
    status: int,
    headers: dict[str, str],
    fixed: bool,
    expected: tuple[int, float],
) -> None:
    limiter = limiter_of(clock)
    client = make_client(clock, limiters={"default": limiter}, fixed_limits=fixed)
    requests_mock.get(URL, status_code=status, headers=headers, json={})
    if status == 200:
        client.request("GET", "/v1/leads")
    else:
        failed(client)
    assert (limiter.limit, limiter.period) == expected


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) + 4)}, 4.0, 4.1),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) + 3600)}, 10.0, 10.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) - 3600)}, 2.0, 4.1),
        ({"X-RateLimit-Remaining": "0"}, 2.0, 4.1),
        # Two of a hundred beside others: at their pace.
        ({"X-RateLimit-Remaining": "2", "X-RateLimit-Reset": str(int(NOW) + 4)}, 0.08, 0.1),
        ({"X-RateLimit-Remaining": "99"}, 0.0, 0.0),
    ],
)
def test_when_others_spent_the_quota_the_next_request_waits(
    requests_mock: Mocker, clock: FakeClock, headers: dict[str, str], least: float, most: float
) -> None:
    client = make_client(clock, limiters={"default": limiter_of(clock, 100)})
    requests_mock.get(URL, headers=headers, **OK)
    client.request("GET", "/v1/leads")
    client.request("GET", "/v1/leads")
    assert least - 0.01 <= sum(clock.sleeps) <= most + 0.01


# Errors ---------------------------------------------------------------------------------------------------------------

KEY_ECHOED = {"status": "error", "error": {"reason": "unauthorized", "message": f"Failed to find api key: {KEY}."}}
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


# Renewal after 401 ----------------------------------------------------------------------------------------------------


def renewing(clock: FakeClock, worth_it: bool = True) -> tuple[HttpClient, list[str]]:
    refused: list[str] = []

    def renew(headers: Mapping[str, str]) -> bool:
        refused.append(headers["authorization"])
        return worth_it

    auth = OriginAuth(ORIGIN, lambda: {"Authorization": f"Bearer token-{len(refused)}"}, "crm 'test'")
    return make_client(clock, auth=auth, renew=renew), refused


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_token_is_renewed_and_the_request_repeated(
    requests_mock: Mocker, clock: FakeClock, method: str
) -> None:
    client, refused = renewing(clock)
    requests_mock.request(method, URL, [{"status_code": 401}, OK])
    assert client.request(method, "/v1/leads", json={"n": 1}).status == 200
    assert refused == ["Bearer token-0"]
    assert [r.headers["Authorization"] for r in requests_mock.request_history] == ["Bearer token-0", "Bearer token-1"]
    assert clock.sleeps == []


@pytest.mark.parametrize(("worth_it", "calls"), [(True, 2), (False, 1)])
def test_renewing_helps_once_or_not_at_all(requests_mock: Mocker, clock: FakeClock, worth_it: bool, calls: int) -> None:
    client, refused = renewing(clock, worth_it)
    requests_mock.get(URL, status_code=401, json=KEY_ECHOED)
    assert isinstance(failed(client), LeadsAuthError)
    assert (requests_mock.call_count, len(refused)) == (calls, 1)


def test_other_refusals_renew_nothing(requests_mock: Mocker, clock: FakeClock) -> None:
    client, refused = renewing(clock)
    requests_mock.get(URL, status_code=403)
    failed(client)
    assert refused == []


# Redirects ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    ["/v2/leads?page=2", f"{ORIGIN}/v2/leads?page=2", f"{ORIGIN.upper()}:443/v2/leads?page=2", "../v2/leads?page=2"],
)
def test_a_get_follows_its_own_origin(requests_mock: Mocker, client: HttpClient, status: int, location: str) -> None:
    requests_mock.get(URL, status_code=status, headers={"Location": location})
    requests_mock.get(re.compile("/v2/leads"), json={"moved": True})
    assert client.request("GET", "/v1/leads", params={"page": 2}).body == {"moved": True}
    first, second = requests_mock.request_history
    assert (first.headers["x-api-key"], second.headers["x-api-key"]) == (KEY, KEY)
    assert second.query == "page=2"


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/v1/leads",
        "//evil.example/v1/leads",
        "http://api.example.com/v1/leads",
        "https://api.example.com:8443/v1/leads",
        "https://api.example.com@evil.example/",
        "https://evil.example\\@api.example.com/",
        "https://[broken/",
        "https://api.example.com:99999/",
        "mailto:jane.doe@example.org",
        "",
        None,
    ],
)
def test_a_redirect_elsewhere_is_refused_and_never_sees_the_key(
    requests_mock: Mocker, client: HttpClient, clock: FakeClock, location: str | None
) -> None:
    requests_mock.get(ANY, json={"stolen": True})
    requests_mock.get(URL, status_code=302, headers={} if location is None else {"Location": location})
    error = failed(client)
    assert "redirected elsewhere" in str(error) or error.category == "FOREIGN_ORIGIN"
    assert "evil" not in str(error)
    assert [sent.url for sent in requests_mock.request_history] == [URL]
    assert clock.sleeps == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [301, 307])
def test_a_write_is_never_redirected(requests_mock: Mocker, client: HttpClient, method: str, status: int) -> None:
    requests_mock.request(method, URL, status_code=status, headers={"Location": "/v2/leads"})
    error = failed(client, method, json={"email": EMAIL})
    assert (type(error), error.status, requests_mock.call_count) == (LeadsServerError, status, 1)


def test_a_redirect_in_circles_ends(requests_mock: Mocker, client: HttpClient) -> None:
    requests_mock.get(URL, status_code=302, headers={"Location": "/v1/leads"})
    assert failed(client).status == 302
    assert requests_mock.call_count == 4


# Answers that are none ------------------------------------------------------------------------------------------------

BOMB = "[" * 100_000


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        pytest.param(HTML, "answered 200 with something that is not JSON", id="a login page"),
        pytest.param({"text": '{"leads": ['}, "not JSON", id="half a body"),
        pytest.param({"text": BOMB}, "not JSON", id="a JSON bomb"),
        pytest.param({"content": b"\xff\xfe{}"}, "not JSON", id="another encoding"),
        pytest.param({"text": "9" * 5000}, "not JSON", id="a number beyond numbers"),
        pytest.param(
            {"text": '{"leads": []}', "headers": {"Content-Length": "99"}}, "the connection was cut", id="truncated"
        ),
        pytest.param(
            {"content": b"no gzip", "headers": {"Content-Encoding": "gzip"}}, "can't be decoded", id="not gzip"
        ),
        pytest.param({"json": {"contacts": []}}, "without the content this API documents", id="another API's form"),
        pytest.param({"status_code": 204}, "without the content this API documents", id="nothing"),
    ],
)
def test_a_bad_answer_is_asked_for_again_and_then_an_error(
    requests_mock: Mocker, clock: FakeClock, answer: dict[str, Any], shown: str
) -> None:
    client = make_client(clock, policy=RetryPolicy(max_retries=2))

    def expect(body: Any) -> bool:
        return isinstance(body, dict) and "leads" in body

    requests_mock.get(URL, [answer, answer, OK])
    assert client.request("GET", "/v1/leads", expect=expect).body == {"leads": []}
    requests_mock.get(URL, **answer)
    error = failed(client, expect=expect)
    assert isinstance(error, LeadsServerError | LeadsNetworkError)
    assert error.retryable
    assert shown in str(error)
    requests_mock.post(URL, [answer, OK])
    calls = requests_mock.call_count
    assert failed(client, "POST", expect=expect).ambiguous
    assert requests_mock.call_count == calls + 1


@pytest.mark.parametrize("body", [HTML, {"text": BOMB}, {"text": ""}, {"content": b"\xff"}])
@pytest.mark.parametrize("status", [400, 502])
def test_an_error_without_a_readable_body_keeps_its_status(
    requests_mock: Mocker, client: HttpClient, status: int, body: dict[str, Any]
) -> None:
    requests_mock.get(URL, status_code=status, **body)
    error = failed(client)
    assert (error.status, error.category, error.words) == (status, None, "")


@pytest.mark.parametrize("status", [200, 400, 429])
def test_nesting_on_the_verge_of_too_deep_is_no_crash(requests_mock: Mocker, clock: FakeClock, status: int) -> None:
    client = make_client(clock, policy=RetryPolicy(max_retries=0, max_wait=0))
    for depth in range(sys.getrecursionlimit() - 160, sys.getrecursionlimit() - 20):
        bomb = "[" * depth + "]" * depth
        text = f'{{"message":{bomb},"retryAfter":{bomb},"errors":{bomb},"spent":"day"}}'
        requests_mock.get(URL, status_code=status, text=text)
        try:
            client.request("GET", "/v1/leads")
        except LeadsApiError as error:
            assert error.status in (status, None)


@pytest.mark.parametrize(("size", "accepted"), [(100, True), (101, False), (5000, False)])
@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_beyond_bounds_is_not_read_to_its_end(
    requests_mock: Mocker, client: HttpClient, monkeypatch: pytest.MonkeyPatch, size: int, accepted: bool, status: int
) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 100)
    requests_mock.get(URL, status_code=status, text='"' + "x" * (size - 2) + '"')
    if accepted and status == 200:
        assert len(client.request("GET", "/v1/leads").body) == 98
    elif accepted:
        assert failed(client).status == 400
    else:
        assert "too large" in str(failed(client))


# Transport ------------------------------------------------------------------------------------------------------------


def refused_by(reason: Exception, wrapper: type[requests.RequestException]) -> requests.RequestException:
    pool: Any = urllib3.HTTPConnectionPool("api.example.com")
    return wrapper(urllib3.exceptions.MaxRetryError(pool, f"/v1/leads?email={EMAIL}", reason))


UNTRUSTED = urllib3.exceptions.SSLError(ssl.SSLCertVerificationError(1, EMAIL))
CONNECTION: Any = urllib3.connection.HTTPConnection("api.example.com")
NO_SUCH_NAME = urllib3.exceptions.NameResolutionError(EMAIL, CONNECTION, socket.gaierror())
POOL: Any = urllib3.HTTPConnectionPool("api.example.com")


@pytest.mark.parametrize(
    ("trouble", "ambiguous", "shown"),
    [
        pytest.param(
            refused_by(urllib3.exceptions.NewConnectionError(CONNECTION, EMAIL), requests.ConnectionError),
            False, "was not sent: the host is unreachable", id="refused",
        ),
        pytest.param(
            refused_by(NO_SUCH_NAME, requests.ConnectionError),
            False, "was not sent: the host is unreachable", id="no such name",
        ),
        pytest.param(
            refused_by(urllib3.exceptions.ConnectTimeoutError(CONNECTION, EMAIL), requests.ConnectTimeout),
            False, "was not sent: the host did not answer in time", id="connect time-out",
        ),
        pytest.param(
            refused_by(urllib3.exceptions.ProxyError(EMAIL, OSError()), requests.exceptions.ProxyError),
            False, "was not sent: the proxy refused the connection", id="proxy",
        ),
        pytest.param(
            refused_by(UNTRUSTED, requests.exceptions.SSLError),
            False, "was not sent: the host's TLS certificate was not accepted", id="certificate",
        ),
        pytest.param(
            refused_by(urllib3.exceptions.SSLError(ssl.SSLError(1, EMAIL)), requests.exceptions.SSLError),
            True, "the TLS connection failed", id="TLS, at any moment",
        ),
        pytest.param(requests.exceptions.SSLError(), True, "the TLS connection failed", id="TLS, without a reason"),
        pytest.param(requests.ReadTimeout(EMAIL), True, "got no answer in time", id="read time-out"),
        pytest.param(
            urllib3.exceptions.ReadTimeoutError(POOL, EMAIL, EMAIL), True, "got no answer in time", id="late body"
        ),
        pytest.param(
            requests.ConnectionError(urllib3.exceptions.ProtocolError("aborted", ConnectionResetError(EMAIL))),
            True, "got no complete answer: the connection was cut", id="cut",
        ),
        pytest.param(
            urllib3.exceptions.IncompleteRead(3, 4), True, "got no complete answer: the connection was cut", id="short"
        ),
        pytest.param(urllib3.exceptions.DecodeError(EMAIL), True, "can't be decoded", id="undecodable"),
        pytest.param(requests.ConnectionError(), True, "the connection was cut", id="a connection error unexplained"),
    ],
)  # fmt: skip
def test_what_happened_to_the_connection(
    requests_mock: Mocker, clock: FakeClock, trouble: Exception, ambiguous: bool, shown: str
) -> None:
    requests_mock.post(URL, exc=trouble)
    error = failed(make_client(clock, policy=RetryPolicy(max_retries=1)), "POST")
    assert shown in str(error)
    assert error.ambiguous is ambiguous
    assert requests_mock.call_count == (1 if ambiguous else 2)


# Silence --------------------------------------------------------------------------------------------------------------

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


def test_threads_share_a_client(requests_mock: Mocker, clock: FakeClock) -> None:
    requests_mock.get(URL, [{"status_code": 500}, OK])
    client, found = make_client(clock), []
    threads = [threading.Thread(target=lambda: found.append(client.request("GET", "/v1/leads"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.body for answer in found] == [{"leads": []}] * 8


class _Named(msgspec.Struct):
    name: str


def test_a_success_body_is_read_by_the_decoder_given(requests_mock: Mocker, client: HttpClient) -> None:
    requests_mock.get(URL, json={"name": "Ann", "more": 1})
    assert client.request("GET", "/v1/leads", decode=msgspec.json.Decoder(_Named).decode).body == _Named("Ann")


@pytest.mark.parametrize("body", [b'{"name": 7}', b"[]", b'{"nam'], ids=["another type", "another form", "no JSON"])
def test_what_the_decoder_refuses_is_asked_for_again(requests_mock: Mocker, client: HttpClient, body: bytes) -> None:
    requests_mock.get(URL, [{"content": body}, {"json": {"name": "Ann"}}])
    assert client.request("GET", "/v1/leads", decode=msgspec.json.Decoder(_Named).decode).body == _Named("Ann")
    assert requests_mock.call_count == 2


def test_a_refusal_is_not_read_by_the_decoder(requests_mock: Mocker, client: HttpClient) -> None:
    requests_mock.get(URL, status_code=404, json={"category": "OBJECT_NOT_FOUND"})
    error = failed(client, decode=msgspec.json.Decoder(_Named).decode)
    assert (error.status, error.category) == (404, "OBJECT_NOT_FOUND")


def test_cookies_are_not_sent_back(requests_mock: Mocker, client: HttpClient) -> None:
    requests_mock.get(URL, headers={"Set-Cookie": "session=1; Path=/"}, **OK)
    client.request("GET", "/v1/leads")
    client.request("GET", "/v1/leads")
    assert all("Cookie" not in request.headers for request in requests_mock.request_history)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environments_certificates_are_used(
    monkeypatch: pytest.MonkeyPatch, requests_mock: Mocker, variable: str
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, "/etc/company-ca.pem")
    client = make_client()
    requests_mock.get(URL, **OK)
    client.request("GET", "/v1/leads")
    assert requests_mock.request_history[0].verify == "/etc/company-ca.pem"


def test_the_environments_proxy_is_used_unless_it_excludes_the_host(
    monkeypatch: pytest.MonkeyPatch, requests_mock: Mocker
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    for excluded, proxies in (("other.example.com", ["http://proxy.example.com:3128"]), ("api.example.com", [])):
        monkeypatch.setenv("NO_PROXY", excluded)
        requests_mock.get(URL, **OK)
        make_client().request("GET", "/v1/leads")
        used = requests_mock.request_history[-1].proxies
        assert [used[name] for name in used if name == "https"] == proxies


def test_certificates_are_checked(monkeypatch: pytest.MonkeyPatch, requests_mock: Mocker) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    requests_mock.get(URL, **OK)
    make_client().request("GET", "/v1/leads")
    assert requests_mock.request_history[0].verify is True


@pytest.mark.parametrize(("options", "length"), [({"json": {"a": "ü"}}, "10"), ({}, "0")])
def test_a_write_says_how_long_it_is(
    requests_mock: Mocker, client: HttpClient, options: dict[str, Any], length: str
) -> None:
    requests_mock.post(URL, **OK)
    client.request("POST", "/v1/leads", **options)
    assert requests_mock.request_history[0].headers["Content-Length"] == length


@pytest.mark.parametrize("scheme", ["", "Bearer "], ids=["bare", "bearer"])
def test_a_key_that_an_answer_repeats_is_in_nothing_that_is_made_of_it(
    clock: FakeClock, requests_mock: Mocker, scheme: str
) -> None:
    # Of a form that no pattern of keys knows.
    key = "piq.secret.key-0099"
    auth = OriginAuth(ORIGIN, lambda: {"x-api-key": scheme + key}, "crm 'test'")
    said = {"error": {"reason": "unauthorized", "message": f"Failed to find {key}"}, "errors": [{"message": key}]}
    requests_mock.get(f"{ORIGIN}/v1/leads", json=said, status_code=400, headers={"X-Request-Id": key})
    requests_mock.get(f"{ORIGIN}/v1/users", json=said, headers={"X-Request-Id": key})

    with pytest.raises(LeadsApiError) as caught:
        make_client(clock, auth=auth).request("GET", "/v1/leads")
    answer = make_client(clock, auth=auth).request("GET", "/v1/users")

    assert key not in f"{caught.value} {vars(caught.value)}"
    assert key not in f"{answer.body} {answer.headers}"
    assert answer.body["error"]["message"] == "Failed to find redacted"
