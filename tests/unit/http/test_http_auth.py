"""Keys go to one origin, in one spelling or another, and to no other."""

from __future__ import annotations

import pytest
import requests
import urllib3
from http_fakes import KEY, leaks
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_providers_leads.http.auth import OriginAuth, is_at, is_loopback, origin_of
from airflow_providers_leads.http.errors import LeadsApiError, LeadsAuthError

ORIGIN = "https://api.example.com"


def signed(url: str, origin: str = ORIGIN, key: str = KEY) -> requests.PreparedRequest:
    request = requests.Request("GET", url, headers={"x-api-key": "the caller's"}).prepare()
    return OriginAuth(origin, lambda: {"x-api-key": key}, "crm 'test'")(request)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/v1/leads?page=2",
        "https://API.Example.COM/v1",
        "HTTPS://api.example.com/v1",
        "https://api.example.com./v1",
        "https://api.example.com:443/v1",
        "https://someone:secret@api.example.com/v1",
    ],
)
@pytest.mark.parametrize("origin", [ORIGIN, "https://API.example.com.:443/"])
def test_the_origin_in_any_spelling_is_signed(url: str, origin: str) -> None:
    assert signed(url, origin).headers["x-api-key"] == KEY


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        (ORIGIN, "https://evil.example/v1"),
        (ORIGIN, "https://api.example.com.evil.example/v1"),
        (ORIGIN, "https://evil.example/api.example.com"),
        (ORIGIN, "https://sub.api.example.com/v1"),
        (ORIGIN, "https://example.com/v1"),
        (ORIGIN, "https://api.example.com:8443/v1"),
        (ORIGIN, "https://api.example.com:80/v1"),
        (ORIGIN, "http://api.example.com/v1"),
        (ORIGIN, "http://api.example.com:443/v1"),
        (ORIGIN, "https://api.example.com@evil.example/v1"),
        (ORIGIN, "https://api.example.com:443@evil.example/v1"),
        (ORIGIN, "https://evil.example\\@api.example.com/v1"),
        (ORIGIN, "https://evil.example#@api.example.com/v1"),
        (ORIGIN, "https://evil.example?@api.example.com/v1"),
        ("http://127.0.0.1:8081", "http://127.0.0.1:8082/v1"),
        ("http://127.0.0.1:8081", "http://localhost:8081/v1"),
    ],
)
def test_any_other_origin_is_refused_unsigned(origin: str, url: str) -> None:
    request = requests.Request("GET", url).prepare()
    with pytest.raises(LeadsApiError, match="refused and the key was not sent") as caught:
        OriginAuth(origin, lambda: {"x-api-key": KEY}, "crm 'test'")(request)
    assert caught.value.category == "FOREIGN_ORIGIN"
    assert "x-api-key" not in request.headers
    assert not leaks(caught.value)


@given(host=st.from_regex(r"[a-z0-9.@:\\/#?-]{0,20}", fullmatch=True))
def test_only_the_host_that_requests_connects_to_counts(host: str) -> None:
    try:
        request = requests.Request("GET", f"https://{host}api.example.com/v1").prepare()
        pool = requests.adapters.HTTPAdapter().build_connection_pool_key_attributes(request, True)[0]
    except requests.RequestException:
        return
    if is_at(request.url or "", origin_of(ORIGIN)):
        assert (pool["host"].rstrip("."), pool["port"] or 443) == ("api.example.com", 443)


@given(
    host=st.text(alphabet="aApi.example@:\\/#?%[]\t\n \x00é-0143", max_size=24),
    tail=st.sampled_from(["", ":443", ":80"]),
)
@example(host="thief.example\\@", tail="")
def test_no_url_is_at_the_origin_that_urllib3_would_connect_elsewhere_with(host: str, tail: str) -> None:
    for url in (
        f"https://{host}api.example.com{tail}/v1",
        f"{host}api.example.com{tail}",
        f"https:{host}//api.example.com",
    ):
        if not is_at(url, origin_of(ORIGIN)):
            continue
        try:
            found = urllib3.util.parse_url(url)
        except urllib3.exceptions.LocationParseError:
            continue
        assert found.scheme == "https"
        assert ((found.host or "").rstrip(".").lower(), found.port or 443) == ("api.example.com", 443), url


def test_a_url_that_is_none_is_refused() -> None:
    request = requests.Request("GET", ORIGIN).prepare()
    for url in (None, "", "api.example.com", "mailto:api.example.com", "https://[::1", "https://api.example.com:x/"):
        request.url = url
        with pytest.raises(LeadsApiError, match="refused"):
            OriginAuth(ORIGIN, lambda: {"x-api-key": KEY}, "crm 'test'")(request)


@pytest.mark.parametrize("spoiled", [KEY + "\n", "two\r\nlines" + KEY, KEY + "\x00", KEY + "’"])
def test_a_key_that_no_header_can_hold_is_named_as_the_cause_but_not_shown(spoiled: str) -> None:
    with pytest.raises(LeadsAuthError, match="line break or another character") as caught:
        signed(ORIGIN, key=spoiled)
    assert not leaks(caught.value)


def test_the_key_is_asked_for_with_each_request() -> None:
    keys = iter(["first", "second"])
    auth = OriginAuth(ORIGIN, lambda: {"x-api-key": next(keys)}, "crm 'test'")
    found = [auth(requests.Request("GET", ORIGIN).prepare()).headers["x-api-key"] for _ in range(2)]
    assert found == ["first", "second"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com", ("https", "api.example.com", 443)),
        ("http://API.example.com.", ("http", "api.example.com", 80)),
        ("http://[::1]:8081/", ("http", "::1", 8081)),
        ("https://a:0", ("https", "a", 0)),
    ],
)
def test_origin_of(url: str, expected: tuple[str, str, int]) -> None:
    assert origin_of(url) == expected


@pytest.mark.parametrize(
    "url", ["", "api.example.com", "ftp://a", "https://", "https://:443", "https://a:99999", "//a"]
)
def test_origin_of_refuses_what_is_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        origin_of(url)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True), ("crm.localhost", True), ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True),
        ("localhost.example.com", False), ("notlocalhost", False), ("127.0.0.1.example.com", False),
        ("0.0.0.0", False), ("10.0.0.1", False), ("::", False), ("2130706433", False), ("", False),
    ],
)  # fmt: skip
def test_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
