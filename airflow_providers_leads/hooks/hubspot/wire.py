"""HubSpot's own ways in an HTTP conversation: paging, waits, quotas and error answers.

https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide
https://developers.hubspot.com/docs/api-reference/error-handling
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from airflow_providers_leads.http.dialect import Dialect
from airflow_providers_leads.http.errors import LeadsRateLimitError
from airflow_providers_leads.http.hints import DAILY, WAITS, Headers, QuotaHeaders
from airflow_providers_leads.http.pagination import CursorPages
from airflow_providers_leads.http.paths import objects_at
from airflow_providers_leads.http.problems import CODE, Problem, ProblemForm, sentence
from airflow_providers_leads.http.problems import read_problem as read_problem_of_form

QUOTAS: Final[Mapping[str, tuple[int, float]]] = {"default": (100, 10.0), "search": (5, 1.0)}

_KEY: Final = re.compile(r"pat-[\w-]{8,}")
# Names of properties and scopes, but nothing of the form of a key.
_NAME: Final = re.compile(r"(?!pat-|[0-9a-f]{32})[a-z][a-z0-9_.-]{0,99}")
_EXISTING_ID: Final = re.compile(r"Existing ID:\s*([0-9]+)")
# The list of bad values is packed as JSON into the sentence.
_EMBEDDED: Final = re.compile(r'"error":"([A-Z_]+)"[^{}]*?"name":"([a-z0-9_]+)"')

list_pages: Final[Callable[..., CursorPages]] = partial(
    CursorPages, rows_at="results", cursor_at="paging.next.after", param="after"
)
"""Any list of HubSpot, from its first page or from ``cursor``."""


def context_values(entry: Mapping[str, Any], *names: str) -> list[str]:
    """Return the values of an error's ``context`` under any of ``names``; HubSpot gives lists, older forms a string."""
    context = entry.get("context")
    values: list[object] = []
    for name in names:
        value = context.get(name) if isinstance(context, dict) else None
        values += value if isinstance(value, list) else [value]
    return [str(value) for value in values if isinstance(value, (str, int))]


def _codes(body: Any) -> tuple[str, ...]:
    return tuple(_each_code(body))


def _each_code(body: Any) -> Iterator[str]:
    for entry in objects_at(body, "errors"):
        kinds = (entry.get("code"), entry.get("error"), entry.get("subCategory"))
        code = next((kind for kind in kinds if isinstance(kind, str) and CODE.fullmatch(kind)), None)
        names = [n for n in context_values(entry, "propertyName", "requiredGranularScopes") if _NAME.fullmatch(n)]
        if code:
            yield f"{code}({', '.join(names[:5])})" if names else code
    packed = _EMBEDDED.findall(sentence(body, ("message",)))
    yield from (f"{code}({name})" for code, name in packed if _NAME.fullmatch(name))


def _existing_ids(body: Any) -> tuple[str, ...]:
    if not isinstance(body, dict):
        return ()
    ids = [i for scope in (body, *objects_at(body, "errors")) for i in context_values(scope, "existingId")]
    ids += context_values({"context": body.get("identityProfile")}, "vid")
    return (*ids, *_EXISTING_ID.findall(sentence(body, ("message",))))


PROBLEMS: Final = ProblemForm(
    # The token endpoint says it under "status" (BAD_REFRESH_TOKEN); elsewhere that is the word "error".
    categories=("category", "policyName", "errorType", "subCategory", "status"),
    request_ids=("correlationId", "requestId"),
    request_id_headers=("X-HubSpot-Correlation-Id", "X-Request-Id"),
    codes=_codes,
    existing_ids=_existing_ids,
    key=_KEY,
)


def read_problem(headers: Mapping[str, str], body: Any) -> Problem:
    """Return what an error answer of HubSpot, or an entry of a batch answer's errors, says."""
    return read_problem_of_form(headers, body, PROBLEMS)


def _policy(headers: Headers, body: Any, now: float) -> float | None:
    # The spent policy is named; search answers may carry only the sentence. "ten_secondly" contains "secondly".
    policy = body.get("policyName") if isinstance(body, dict) else None
    text = f"{policy if isinstance(policy, str) else ''} {sentence(body)}".lower()
    for word, wait in (("daily", DAILY), ("ten_secondly", 10.0), ("secondly", 1.0)):
        if word in text:
            return wait
    return None


def _spent_day(headers: Headers, body: Any, now: float) -> float | None:
    return DAILY if _policy(headers, body, now) == DAILY else None


DIALECT: Final = Dialect(
    # A daily quota outranks a short Retry-After: waiting for the latter would only burn more of the former.
    waits=(_spent_day, *WAITS, _policy),
    quotas=(
        QuotaHeaders(
            limit="X-HubSpot-RateLimit-Max",
            remaining="X-HubSpot-RateLimit-Remaining",
            reset="X-HubSpot-RateLimit-Reset",
            milliseconds="X-HubSpot-RateLimit-Interval-Milliseconds",
        ),
    ),
    day=QuotaHeaders("X-HubSpot-RateLimit-Daily", "X-HubSpot-RateLimit-Daily-Remaining", reset=""),
    problems=PROBLEMS,
    # The account is moving to another data centre.
    statuses={477: LeadsRateLimitError},
    daily="The account's daily quota is spent; it resets at midnight in the account's time zone.",
)
