"""Vendor text is scrubbed before it is kept anywhere, and each status has its error."""

from __future__ import annotations

import pytest
from http_fakes import EMAIL, KEYS
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.http import errors
from airflow_providers_leads.http.errors import error_class, scrub
from airflow_providers_leads.http.paths import objects_at, value_at, values_at


def gives_away(shown: str) -> list[str]:
    return [secret for secret in ("@", "%40", *KEYS) if secret in shown]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ""),
        ("", ""),
        (404, "404"),
        ("plain words stay", "plain words stay"),
        ("Contact jane@x.org exists", "Contact <address> exists"),
        ("jane%40x.org", "<address>"),
        ('{"email":"jane@x.org","id":1}', '{"email":"<address>","id":1}'),
        ("{'email': 'jane@x.org'}", "{'email': '<address>'}"),
        ("Jane <jane@x.org>, John <john@x.org>", "Jane <<address>>, John <<address>>"),
        ("o'brien+crm@x.org", "<address>"),
        ('"Jane Doe"@x.org', "<address>"),
        ("jürgen@bücher.de", "<address>"),
        ("email=jane@x.org&page=2", "email=<address>"),
        ("a lone @ sign", "a lone <address> sign"),
        (f"key {KEYS[0]}.", "key <redacted>."),
        (f"key {KEYS[1]}.", "key <redacted>."),
        (f"key:{KEYS[2]}", "key:<redacted>"),
        (f"ü{KEYS[2]}ü", "ü<redacted>ü"),
        (f"{KEYS[2]}-", "<redacted>"),
        ("line one\n\tline  two", "line one line two"),
    ],
)
def test_scrub(text: object, expected: str) -> None:
    assert scrub(text) == expected


@pytest.mark.parametrize("length", [299, 300, 301, 100_000])
def test_scrub_cuts_after_cleaning(length: int) -> None:
    text = ("ab " * length)[: length - 1] + "z"
    cut = scrub(text)
    assert len(cut) == min(length, 300)
    assert cut.endswith("z" if length <= 300 else "…")
    assert scrub("abcdef", limit=3) == "ab…"
    assert len(scrub(f"{EMAIL} " * 20)) < 300


@given(before=st.text(), secret=st.sampled_from([EMAIL, *KEYS]), after=st.text())
def test_scrub_finds_secrets_in_any_surroundings(before: str, secret: str, after: str) -> None:
    shown = scrub(f"{before}{secret}{after}", limit=10_000)
    assert not gives_away(shown)


@pytest.mark.parametrize(
    ("status", "expected", "retryable"),
    [
        (None, errors.LeadsNetworkError, True),
        (400, errors.LeadsValidationError, False),
        (401, errors.LeadsAuthError, False),
        (402, errors.LeadsValidationError, False),
        (403, errors.LeadsPermissionError, False),
        (404, errors.LeadsNotFoundError, False),
        (409, errors.LeadsConflictError, False),
        (414, errors.LeadsValidationError, False),
        (422, errors.LeadsValidationError, False),
        (423, errors.LeadsServerError, True),
        (429, errors.LeadsRateLimitError, True),
        (477, errors.LeadsValidationError, False),
        (500, errors.LeadsServerError, True),
        (524, errors.LeadsServerError, True),
    ],
)
def test_error_class(status: int | None, expected: type[errors.LeadsApiError], retryable: bool) -> None:
    assert error_class(status) is expected
    assert expected.retryable is retryable
    assert issubclass(expected, errors.LeadsApiError)


def test_a_status_of_a_vendors_own_is_the_error_that_it_says() -> None:
    assert error_class(477, {477: errors.LeadsRateLimitError}) is errors.LeadsRateLimitError
    assert error_class(404, {477: errors.LeadsRateLimitError}) is errors.LeadsNotFoundError


def test_values_at_a_path_in_each_entry() -> None:
    body = {"errors": [{"reason": "a"}, "x", {"reason": ["b", "c"]}, {"other": 1}, None], "error": {"reason": None}}
    assert list(values_at(body, "errors.reason")) == ["a", "b", "c"]
    assert list(values_at(body, "error.reason")) == list(values_at([], "error")) == []
    assert list(objects_at(body, "errors"))[-1] == {"other": 1}
    assert value_at(body, "errors.reason") is None
