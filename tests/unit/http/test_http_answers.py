"""Answers that are none, and connections that give none."""

from __future__ import annotations

import socket
import ssl
import sys
from typing import Any

import pytest
import requests
import urllib3
from http_fakes import (
    EMAIL,
    HTML,
    OK,
    URL,
    FakeClock,
    failed,
    make_client,
)
from requests_mock import Mocker

from airflow_providers_leads.http import client as client_module
from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsNetworkError,
    LeadsServerError,
)
from airflow_providers_leads.http.retry import RetryPolicy

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
