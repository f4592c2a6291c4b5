"""What the client sends, and what of this machine it uses."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest
from http_fakes import (
    KEY,
    OK,
    ORIGIN,
    URL,
    FakeClock,
    failed,
    make_client,
)
from requests_mock import ANY, Mocker

from airflow_providers_leads.http.auth import OriginAuth
from airflow_providers_leads.http.client import HttpClient, fill_path
from airflow_providers_leads.http.errors import (
    LeadsApiError,
)


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
