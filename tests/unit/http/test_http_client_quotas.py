"""How the client keeps quotas, those that it is told and those that it learns."""

from __future__ import annotations

import pytest
from http_fakes import (
    NOW,
    OK,
    URL,
    FakeClock,
    failed,
    make_client,
)
from requests_mock import Mocker

from airflow_providers_leads.http.rate_limit import RateLimiter


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
