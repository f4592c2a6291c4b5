"""Where a redirect may lead."""

from __future__ import annotations

import re

import pytest
from http_fakes import (
    EMAIL,
    KEY,
    ORIGIN,
    URL,
    FakeClock,
    failed,
)
from requests_mock import ANY, Mocker

from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import (
    LeadsServerError,
)


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
