"""How long each vendor asks to wait, in each form it uses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from http_fakes import NOW
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from airflow_providers_leads.hooks.hubspot.wire import DIALECT as HUBSPOT
from airflow_providers_leads.hooks.persistiq.wire import DIALECT as PERSISTIQ
from airflow_providers_leads.hooks.perspective.wire import DIALECT as PERSPECTIVE
from airflow_providers_leads.http.dialect import Dialect
from airflow_providers_leads.http.hints import DAILY, Quota, number, read_quota, seconds_until, wait_hint

PERSISTIQ_429 = {
    "error": {
        "reason": "too_many_requests",
        "message": f"You performed more than 100 requests per minute. Limit will be reseted at {int(NOW) + 40}.",
    }
}
HUBSPOT_429 = {"status": "error", "errorType": "RATE_LIMIT", "correlationId": "c0ffee"}


USUAL = Dialect()
ALL = {"HubSpot": HUBSPOT, "PersistIQ": PERSISTIQ, "Perspective": PERSPECTIVE, "any": USUAL}
every_dialect = pytest.mark.parametrize("crm", list(ALL))


def hint(headers: dict[str, str], body: Any = None, crm: str = "any") -> float | None:
    return wait_hint(CaseInsensitiveDict(headers), body, NOW, ALL[crm].waits)


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        pytest.param({"Retry-After": "7"}, None, 7.0, id="seconds"),
        pytest.param({"retry-after": " 7 "}, None, 7.0, id="HTTP/2 lower case, blanks"),
        pytest.param({"Retry-After": "0"}, None, 0.0, id="zero is an answer"),
        pytest.param({"Retry-After": "1.5"}, None, 1.5, id="fraction"),
        pytest.param({"Retry-After": formatdate(NOW + 90, usegmt=True)}, None, 90.0, id="HTTP date"),
        pytest.param({"X-RateLimit-Reset": str(int(NOW) + 33)}, None, 33.0, id="PersistIQ epoch header"),
        pytest.param({"x-ratelimit-reset": str(int(NOW) + 33)}, PERSISTIQ_429, 33.0, id="PersistIQ header before text"),
        pytest.param({}, PERSISTIQ_429, 40.0, id="PersistIQ epoch in text"),
        pytest.param(
            {}, {"message": f"Limit will reset at {int(NOW) + 5}"}, 5.0, id="PersistIQ epoch in a bare message"
        ),
        pytest.param({}, {"error": "Rate limit exceeded", "status": 429, "retryAfter": 60}, 60.0, id="Perspective"),
        pytest.param({"Retry-After": "5"}, {"retryAfter": 60}, 60.0, id="Perspective body before the header"),
        pytest.param({}, {"retryAfter": "12"}, 12.0, id="Perspective as a string"),
        pytest.param({"RateLimit-Reset": "21"}, None, 21.0, id="reset as delta"),
        pytest.param({"RateLimit-Reset": str(int(NOW) + 21)}, None, 21.0, id="reset as epoch"),
        pytest.param({}, {**HUBSPOT_429, "policyName": "TEN_SECONDLY_ROLLING"}, 10.0, id="HubSpot ten secondly"),
        pytest.param({}, {**HUBSPOT_429, "policyName": "SECONDLY"}, 1.0, id="HubSpot secondly"),
        pytest.param({}, {**HUBSPOT_429, "policyName": "DAILY"}, DAILY, id="HubSpot daily"),
        pytest.param(
            {}, {"message": "You have reached your ten_secondly_rolling limit."}, 10.0, id="HubSpot search ten"
        ),
        pytest.param({}, {"message": "You have reached your secondly limit."}, 1.0, id="HubSpot search, message only"),
        pytest.param({}, {"message": "You have reached your daily limit."}, DAILY, id="HubSpot daily, message only"),
        pytest.param({"Retry-After": "3"}, {"policyName": "DAILY"}, DAILY, id="HubSpot daily beats Retry-After"),
        pytest.param({"Retry-After": "3"}, {"policyName": "TEN_SECONDLY_ROLLING"}, 3.0, id="HubSpot Retry-After wins"),
        pytest.param({"Retry-After": "soon"}, {"policyName": "SECONDLY"}, 1.0, id="HubSpot unreadable"),
    ],
)
def test_each_vendors_form_is_understood(
    request: pytest.FixtureRequest, headers: dict[str, str], body: Any, expected: float
) -> None:
    crm = request.node.callspec.id.split()[0]
    assert hint(headers, body, crm if crm in ALL else "any") == expected


@pytest.fixture
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_from_greenwich")
def test_a_date_without_a_zone_is_not_local_time() -> None:
    unzoned = formatdate(NOW + 90)
    assert unzoned.endswith("-0000")
    assert hint({"Retry-After": unzoned}) == 90.0


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": formatdate(NOW - 90, usegmt=True)},
        {"X-RateLimit-Reset": str(int(NOW) - 90)},
        {"RateLimit-Reset": str(int(NOW))},
    ],
)
def test_a_moment_gone_by_says_nothing_because_the_clocks_differ(headers: dict[str, str]) -> None:
    assert [hint(headers, None, crm) for crm in ALL] == [None] * 4
    assert hint(headers, {"policyName": "TEN_SECONDLY_ROLLING"}, "HubSpot") == 10.0
    assert hint(headers, {"message": f"Limit will be reseted at {int(NOW) - 90}."}, "PersistIQ") is None


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, None),
        ({}, {}),
        ({}, []),
        ({}, "daily"),
        ({}, {"message": None, "error": None, "policyName": None}),
        ({}, {"error": "Rate limit exceeded"}),
        ({}, {"retryAfter": None}),
        ({}, {"retryAfter": True}),
        ({}, {"retryAfter": -5}),
        ({}, {"retryAfter": {"seconds": 5}}),
        ({}, {"message": [["daily"]], "policyName": {"daily": 1}}),
        ({}, {"error": {"message": [["reset at 1800000040"]]}}),
        ({}, {"message": "reset at 12"}),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT"}, None),
        ({"Retry-After": "Mon, 01 Jan 2024 00:00:00 +999999999999999999"}, None),
        ({"RateLimit-Reset": "never"}, None),
        ({"X-RateLimit-Limit": "100"}, None),
    ],
)
def test_what_says_nothing_is_no_hint(headers: dict[str, str], body: Any) -> None:
    assert [hint(headers, body, crm) for crm in ALL] == [None] * 4


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
HOSTILE_BODIES = JSON | st.dictionaries(st.sampled_from(["error", "message", "policyName", "retryAfter"]), JSON)


@every_dialect
@given(
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "X-RateLimit-Reset", "RateLimit-Reset", "X-RateLimit-Remaining"]), st.text()
    ),
    body=HOSTILE_BODIES,
)
def test_no_answer_can_make_it_raise_or_wait_backwards(crm: str, headers: dict[str, str], body: Any) -> None:
    found = hint(headers, body, crm)
    assert found is None or found >= 0
    quota = read_quota(CaseInsensitiveDict(headers), NOW, ALL[crm].quotas)
    assert quota is None or quota.reset_in is None or quota.reset_in >= 0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            {
                "X-HubSpot-RateLimit-Max": "190",
                "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
                "X-HubSpot-RateLimit-Remaining": "12",
                "X-HubSpot-RateLimit-Daily": "250000",
                "X-HubSpot-RateLimit-Daily-Remaining": "0",
            },
            Quota(limit=190, period=10.0, remaining=12, reset_in=None),
            id="HubSpot: the daily figures are another quota",
        ),
        pytest.param(
            {"x-ratelimit-limit": "500", "x-ratelimit-remaining": "498"},
            Quota(limit=500, period=None, remaining=498, reset_in=None),
            id="PersistIQ as probed",
        ),
        pytest.param(
            {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) + 30)},
            Quota(limit=100, period=None, remaining=0, reset_in=30.0),
            id="PersistIQ as documented",
        ),
        pytest.param(
            {"RateLimit-Limit": "100", "RateLimit-Remaining": "3", "RateLimit-Reset": "17"},
            Quota(limit=100, period=None, remaining=3, reset_in=17.0),
            id="Perspective near the edge",
        ),
        pytest.param(
            {"RateLimit-Remaining": "3"},
            Quota(limit=None, period=None, remaining=3, reset_in=None),
            id="remaining alone",
        ),
        pytest.param(
            {"RateLimit-Limit": "0", "RateLimit-Remaining": "0", "RateLimit-Reset": "x"},
            Quota(limit=None, period=None, remaining=0, reset_in=None),
            id="a limit of nothing is no limit",
        ),
        pytest.param({"X-HubSpot-RateLimit-Daily": "250000"}, None, id="HubSpot daily alone"),
        pytest.param({"RateLimit-Limit": "100;w=60"}, None, id="unreadable"),
        pytest.param({}, None, id="HubSpot search answers carry none"),
    ],
)
def test_read_quota(request: pytest.FixtureRequest, headers: dict[str, str], expected: Quota | None) -> None:
    crm = request.node.callspec.id.split()[0].rstrip(":")
    dialect = ALL.get(crm, USUAL)
    assert read_quota(CaseInsensitiveDict(headers), NOW, dialect.quotas) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12", 12.0), (12, 12.0), (1.5, 1.5), (" 3 ", 3.0), ("0", 0.0), ("-1", None), ("", None), ("x", None),
        (None, None), (True, None), ([1], None), ("1e999", None), ("nan", None),
        pytest.param(10**5000, None, id="beyond what Python prints"),
    ],
)  # fmt: skip
def test_number(value: object, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("59", 59.0), (str(NOW + 59), 59.0), (str(NOW), None), (str(NOW - 1), None), (None, None), ("later", None)],
)
def test_seconds_until(value: object, expected: float | None) -> None:
    assert seconds_until(value, NOW) == expected


@pytest.mark.parametrize("skew", [-600, -30, 0, 30, 600])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Retry-After": formatdate(NOW + 40, usegmt=True)}, None),
        ({"X-RateLimit-Reset": str(int(NOW) + 40)}, None),
        ({"RateLimit-Reset": str(int(NOW) + 40)}, None),
        ({}, PERSISTIQ_429),
    ],
)
def test_a_point_in_time_is_read_by_the_clock_that_told_it(headers: dict[str, str], body: Any, skew: int) -> None:
    told = CaseInsensitiveDict({**headers, "Date": formatdate(NOW, usegmt=True)})
    assert wait_hint(told, body, NOW + skew, PERSISTIQ.waits) == 40.0


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT"])
def test_an_unreadable_date_leaves_our_own_clock(date: str) -> None:
    assert hint({"Date": date, "X-RateLimit-Reset": str(int(NOW) + 40)}) == 40.0


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"X-RateLimit-Reset": str(int(NOW) + 600)}, None, 65.0),
        ({"RateLimit-Reset": "600"}, None, 65.0),
        ({}, {"message": f"Limit will be reseted at {int(NOW) + 600}."}, 65.0),
        # These say how long, not when a minute ends.
        ({"Retry-After": "600"}, None, 600.0),
        ({"Retry-After": formatdate(NOW + 600, usegmt=True)}, None, 600.0),
        ({}, {"retryAfter": 600}, 600.0),
    ],
)
def test_the_end_of_a_minute_is_no_further_than_a_minute_ahead(
    headers: dict[str, str], body: Any, expected: float
) -> None:
    assert hint(headers, body, "Perspective" if body and "retryAfter" in body else "PersistIQ") == expected


def test_a_window_of_any_length_is_believed_where_none_is_known() -> None:
    assert hint({"RateLimit-Reset": "600"}) == 600.0
