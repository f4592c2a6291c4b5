"""Error bodies of every documented form, and of none: what is safe to show is found, the rest stays behind."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from http_fakes import EMAIL, KEYS, NOW
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from airflow_providers_leads.hooks.hubspot import wire as hubspot
from airflow_providers_leads.hooks.hubspot.wire import context_values
from airflow_providers_leads.hooks.persistiq import wire as persistiq
from airflow_providers_leads.hooks.perspective import wire as perspective
from airflow_providers_leads.http.dialect import Dialect
from airflow_providers_leads.http.hints import wait_hint
from airflow_providers_leads.http.problems import Problem, read_problem

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
# The sentence as HubSpot writes it, with its list of bad values packed into it.
INVALID_VALUES = (
    'Property values were not valid: [{"isValid":false,"message":"Email address jane@x is invalid",'
    '"error":"INVALID_EMAIL","name":"email","localizedErrorMessage":"…","portalId":123},'
    '{"isValid":false,"message":"abc was not a valid long.","error":"INVALID_LONG","name":"hs_analytics_num_visits"}]'
)


DIALECTS = {
    "HubSpot": hubspot.DIALECT,
    "PersistIQ": persistiq.DIALECT,
    "Perspective": perspective.DIALECT,
    "any": Dialect(),
}
every_dialect = pytest.mark.parametrize("crm", list(DIALECTS))


def problem(body: Any, headers: dict[str, str] | None = None, crm: str = "HubSpot") -> Problem:
    return read_problem(CaseInsensitiveDict(headers or {}), body, DIALECTS[crm].problems)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            {"status": "error", "message": INVALID_VALUES, "correlationId": UUID, "category": "VALIDATION_ERROR"},
            {
                "category": "VALIDATION_ERROR",
                "codes": ("INVALID_EMAIL(email)", "INVALID_LONG(hs_analytics_num_visits)"),
                "request_id": UUID,
            },
            id="HubSpot: values packed into the sentence",
        ),
        pytest.param(
            {
                "category": "VALIDATION_ERROR",
                "message": 'Property "shoe_size" does not exist',
                "errors": [
                    {
                        "message": 'Property "shoe_size" does not exist',
                        "code": "PROPERTY_DOESNT_EXIST",
                        "context": {"propertyName": ["shoe_size"]},
                    },
                    {"message": "…", "code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": ["shoe_size"]}},
                ],
            },
            {"category": "VALIDATION_ERROR", "codes": ("PROPERTY_DOESNT_EXIST(shoe_size)",)},
            id="HubSpot: code with property, once",
        ),
        pytest.param(
            {
                "category": "MISSING_SCOPES",
                "message": "This app hasn't been granted all required scopes.",
                "errors": [
                    {
                        "message": "One or more of the following scopes are required.",
                        "subCategory": "MISSING_SCOPE",
                        "context": {"requiredGranularScopes": ["crm.objects.contacts.write", "e-commerce"]},
                    }
                ],
                "links": {"scopes": "https://developers.hubspot.com/scopes"},
            },
            {"category": "MISSING_SCOPES", "codes": ("MISSING_SCOPE(crm.objects.contacts.write, e-commerce)",)},
            id="HubSpot: scopes",
        ),
        pytest.param(
            {"category": "INVALID_AUTHENTICATION", "message": f"Key {KEYS[0]} of {EMAIL}"},
            {"category": "INVALID_AUTHENTICATION", "words": "Key <redacted> of <address>"},
            id="HubSpot: key and address in the sentence",
        ),
        pytest.param(
            {"category": "CONFLICT", "message": "Contact already exists. Existing ID: 51"},
            {"category": "CONFLICT", "existing_id": "51", "exists": True},
            id="HubSpot: conflict, id in the sentence",
        ),
        pytest.param(
            {
                "category": "CONFLICT",
                "message": "Contact already exists. Existing ID: 51",
                "context": {"existingId": [52]},
            },
            {"existing_id": "52"},
            id="HubSpot: conflict, id in the context wins",
        ),
        pytest.param(
            {"category": "CONFLICT", "errors": [{"context": {"existingId": ["53"]}}]},
            {"existing_id": "53"},
            id="HubSpot: conflict, id in an entry's context",
        ),
        pytest.param(
            {"category": "OBJECT_ALREADY_EXISTS", "error": "CONTACT_EXISTS", "identityProfile": {"vid": 54}},
            {"category": "OBJECT_ALREADY_EXISTS", "existing_id": "54", "words": "CONTACT_EXISTS"},
            id="HubSpot: conflict, older variant",
        ),
        pytest.param(
            {"category": "CONFLICT", "message": "Contact already exists."},
            {"existing_id": None, "exists": True},
            id="HubSpot: conflict, without an id",
        ),
        pytest.param(
            {"context": {"existingId": ["../../users"]}, "message": "Existing ID: 55"},
            {"existing_id": "55"},
            id="HubSpot: conflict, what is no id is passed over",
        ),
        pytest.param(
            {"errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING", "requestId": "r-1", "status": "error"},
            {"category": "TEN_SECONDLY_ROLLING", "request_id": "r-1"},
            id="HubSpot: rate limit",
        ),
        pytest.param(
            {"status": "error", "message": "You have reached your secondly limit.", "errorType": "RATE_LIMIT"},
            {"category": "RATE_LIMIT"},
            id="HubSpot: search's rate limit",
        ),
        pytest.param(
            {"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"},
            {"category": "BAD_REFRESH_TOKEN"},
            id="HubSpot: token endpoint",
        ),
        pytest.param(
            {"subCategory": "crm.associations.INVALID", "category": None, "status": "error"},
            {"category": None},
            id="HubSpot: a sub-category that is no plain code",
        ),
        pytest.param(
            {"code": "bad_params", "detail": "No email", "request_id": "r-2", "message": "Contact already exists"},
            {"category": "bad_params", "words": "Contact already exists", "request_id": "r-2", "exists": True},
            id="any: what most say",
        ),
        pytest.param({"title": "Not found.", "status": 404}, {"not_found": True, "category": None}, id="any: a title"),
        pytest.param(
            {"status": "error", "error": {"reason": "bad_params", "message": "Email is missing"}},
            {"category": "bad_params", "words": "Email is missing"},
            id="PersistIQ: envelope",
        ),
        pytest.param(
            {"error": {"reason": "too_many_requests", "message": "Limit will be reseted at 1450200216."}},
            {"category": "too_many_requests"},
            id="PersistIQ: no status",
        ),
        pytest.param(
            {
                "status": "error",
                "error": {
                    "reason": "unauthorized",
                    "message": f"Failed to find api key: {KEYS[2]}.  Did you set header 'x-api-key' ...",
                },
            },
            {
                "category": "unauthorized",
                "words": "Failed to find api key: <redacted>. Did you set header 'x-api-key' ...",
            },
            id="PersistIQ: the key echoed",
        ),
        pytest.param(
            {"reason": "invalid_request", "message": "Name can't be blank"},
            {"category": "invalid_request", "words": "Name can't be blank"},
            id="PersistIQ: bare",
        ),
        pytest.param(
            {
                "status": "error",
                "errors": [{"reason": "bad_params", "message": f"Lead {EMAIL} is bad", "lead": {"id": None}}],
            },
            {"category": "bad_params", "words": "Lead <address> is bad"},
            id="PersistIQ: list of objects",
        ),
        pytest.param(
            {"status": "error", "errors": ["Email is missing", "Name is missing"]},
            {"category": None, "words": "Email is missing"},
            id="PersistIQ: list of sentences",
        ),
        pytest.param({"status": "error", "error": None, "errors": None}, {}, id="PersistIQ: nulls"),
        pytest.param(
            {"error": {"reason": "invalid_request", "message": "Lead is not in the campaign"}},
            {"not_found": True},
            id="PersistIQ: left the campaign",
        ),
        pytest.param(
            {"errors": [{"reason": "invalid_request", "message": "Lead has already been taken"}]},
            {"exists": True, "category": "invalid_request"},
            id="PersistIQ: already in the campaign",
        ),
        pytest.param(
            {"error": "Invalid or unauthorized API key", "status": 401},
            {"category": None, "words": "Invalid or unauthorized API key"},
            id="Perspective: plain sentence",
        ),
        pytest.param(
            {"error": "Rate limit exceeded", "status": 429, "retryAfter": 60}, {"category": None}, id="Perspective: 429"
        ),
        pytest.param({"error": "Contact not found", "status": 404}, {"not_found": True}, id="Perspective: 404"),
        pytest.param(
            {"error": "KPI not found", "status": 400}, {"not_found": True}, id="Perspective: a 400 that means a 404"
        ),
        pytest.param(
            {"error": "Invalid email format", "status": 400}, {"not_found": False}, id="Perspective: plain 400"
        ),
    ],
)
def test_documented_forms(request: pytest.FixtureRequest, body: dict[str, Any], expected: dict[str, Any]) -> None:
    found = problem(body, crm=request.node.callspec.id.partition(":")[0])
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize("name", [EMAIL, *KEYS, "Mrs Doe", "", "x" * 101, "a" + "b" * 100])
def test_what_is_no_name_is_not_shown_as_one(name: str) -> None:
    entry = {"code": "INVALID_EMAIL", "context": {"propertyName": [name, "email"]}}
    assert problem({"errors": [entry]}).codes == ("INVALID_EMAIL(email)",)
    packed = f'[{{"error":"INVALID_EMAIL","name":"{name}"}},{{"error":"INVALID_LONG","name":"visits"}}]'
    assert problem({"message": packed}).codes == ("INVALID_LONG(visits)",)


def test_a_code_of_many_names_lists_a_few() -> None:
    entry = {"code": "MISSING_SCOPE", "context": {"requiredGranularScopes": [f"scope.n{n}" for n in range(9)]}}
    listed = "scope.n0, scope.n1, scope.n2, scope.n3, scope.n4"
    assert problem({"errors": [entry]}).codes == (f"MISSING_SCOPE({listed})",)


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"X-HubSpot-Correlation-Id": UUID}, None, UUID),
        ({"x-request-id": UUID}, "<html>", UUID),
        ({"X-HubSpot-Correlation-Id": "from-header"}, {"correlationId": "from-body"}, "from-body"),
        ({"X-HubSpot-Correlation-Id": "from-header"}, {"correlationId": f"mail {EMAIL}"}, "from-header"),
        ({"X-Request-Id": EMAIL}, {}, None),
        ({"X-Request-Id": KEYS[0]}, {}, None),
        ({"X-Request-Id": "x" * 64}, {}, None),
        ({}, {"correlationId": ["list"]}, None),
    ],
)
def test_request_id(headers: dict[str, str], body: Any, expected: str | None) -> None:
    assert problem(body, headers).request_id == expected


@every_dialect
@pytest.mark.parametrize("body", [None, [], ["daily"], "<html>", 7, True, {}, {"errors": {}}, {"error": []}])
def test_a_body_of_no_known_form_is_an_empty_problem(crm: str, body: Any) -> None:
    assert problem(body, crm=crm) == Problem()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"context": {"ids": ["1", 2]}}, ["1", "2"]),
        ({"context": {"id": "3"}}, ["3"]),
        ({"context": {"ids": ["1"], "id": 2}}, ["1", "2"]),
        ({"context": {"id": None, "ids": []}}, []),
        ({"context": {"ids": [None, ["nested"], {"id": 1}, 1.5, "4"]}}, ["4"]),
        ({"context": {"ids": {"id": 1}}}, []),
        ({"context": ["ids"]}, []),
        ({"context": None}, []),
        ({}, []),
    ],
)
def test_context_values(entry: dict[str, Any], expected: list[str]) -> None:
    assert context_values(entry, "ids", "id") == expected


JUNK = ("@", EMAIL, *KEYS, f"mail {EMAIL} now", f"x{KEYS[0]}ü", f'"Jane Doe"@example.org {KEYS[1]}', "a %40 b")
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.sampled_from(JUNK)
FIELDS = (
    "category", "subCategory", "policyName", "errorType", "status", "message", "error", "errors", "reason", "context",
    "code", "name", "propertyName", "requiredGranularScopes", "existingId", "identityProfile", "vid", "correlationId",
)  # fmt: skip
nested = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=15,
)
embedded = st.sampled_from(JUNK).map(lambda junk: f'[{{"error":"INVALID_EMAIL","name":"{junk}"}}]')
bodies = nested | st.dictionaries(st.sampled_from(FIELDS), nested | embedded, max_size=8)


def gives_away(shown: str) -> list[str]:
    return [secret for secret in ("@", "%40", *KEYS) if secret in shown]


@every_dialect
@given(body=bodies, header=st.none() | st.text(max_size=30) | st.sampled_from(JUNK))
def test_whatever_the_body_nothing_secret_comes_out_of_it(crm: str, body: Any, header: str | None) -> None:
    found = problem(body, {"X-Request-Id": header} if header is not None else {}, crm)
    assert not gives_away(repr(replace(found, request_id=None)))
    assert len(found.words) <= 300
    # 32 hex digits may well be a request id, and only HubSpot's keys are told from one.
    assert not set(gives_away(found.request_id or "")) - {KEYS[2], *(() if crm == "HubSpot" else KEYS[:1])}


@given(body=st.dictionaries(st.sampled_from(FIELDS), nested, max_size=4), names=st.lists(st.sampled_from(FIELDS)))
def test_context_values_are_always_strings(body: dict[str, Any], names: list[str]) -> None:
    assert all(isinstance(value, str) for value in context_values(body, *names))


def test_nesting_that_just_decodes_is_not_too_deep_to_be_read() -> None:
    fields = ("message", "retryAfter", "policyName", "status", "errors", "context", "identityProfile")
    read = 0
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
        bomb = "[" * depth + "]" * depth
        try:
            body = msgspec.json.decode("{" + ",".join(f'"{name}":{bomb}' for name in fields) + "}")
        except RecursionError:
            break
        body["context"] = {"existingId": body["context"], "propertyName": body["context"]}
        body["errors"] = [{"context": body["context"], "code": "SOME_CODE"}]
        assert problem(body).codes == ("SOME_CODE",)
        assert all(wait_hint({}, body, NOW, dialect.waits) is None for dialect in DIALECTS.values())
        read += 1
    assert read, "the search for the deepest body began too deep"


@every_dialect
@pytest.mark.parametrize("piece", ["x", '"', '"a', "a%4", '"error":"A"', "Existing ID: ", "already ", "a@", "pat-"])
def test_hostile_length_costs_no_time(crm: str, piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.process_time()
    problem({"message": text}, crm=crm)
    assert time.process_time() - began < 2
