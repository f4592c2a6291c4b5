"""Which requests are sent again, how often, and when."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from http_fakes import (
    CUT,
    EMAIL,
    HTML,
    KEY_ECHOED,
    LATE,
    NOW,
    OK,
    ORIGIN,
    UNREACHABLE,
    URL,
    FakeClock,
    failed,
    make_client,
)
from requests_mock import Mocker

from airflow_providers_leads.http.auth import OriginAuth
from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsNetworkError,
    LeadsRateLimitError,
    LeadsServerError,
)
from airflow_providers_leads.http.retry import RetryPolicy


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
