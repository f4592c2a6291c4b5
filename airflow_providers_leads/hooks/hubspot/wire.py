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


_SETTINGS: Final = "in HubSpot under Settings > Properties"
_LEAVE_OUT: Final = "take it out of the task's properties and fields"
CURES: Final[Mapping[str, str]] = {
    "BAD_REFRESH_TOKEN|invalid_grant": "Authorise the OAuth app anew and put its refresh token into the connection.",
    "INVALID_EMAIL": "Correct the address where it comes from.",
    "PROPERTY_DOESNT_EXIST": f"Make the property {_SETTINGS}, or {_LEAVE_OUT}.",
    "READ_ONLY": f"HubSpot alone fills this property: {_LEAVE_OUT}.",
    "INVALID_OPTION": f"Give one of the property's options, or add this one {_SETTINGS}.",
    "INVALID_OWNER": "Give the id or the address of a user who may own records; HubSpotListOwnersOperator lists them.",
    "CONFLICTING_UNIQUE_VALUE": "Another contact has this value: correct one of the two, or merge them in HubSpot.",
    "INVALID_(?:INTEGER|NUMBER|LONG|DOUBLE|FLOAT|DECIMAL)": "Give a number without separators between thousands.",
    "INVALID_(?:DATE|DATETIME|TIME)": "Give a date such as 2025-01-15, or a time such as 2025-01-15T08:00:00Z.",
    "TOO_LONG|TOO_LARGE|max(?:imum)? length": "Shorten the value where it comes from; 65,536 characters are taken.",
    "INVALID_[A-Z]+|isValid": f"Correct the value where it comes from; {_SETTINGS} stand the rules of the property.",
    "more than 250 identities": "This contact can't be merged any more: write to it, and archive the other one.",
    "Duplicate IDs": "Give each record once.",
    "non-unique": "Use record ids, addresses or the values of a property that HubSpot keeps unique.",
    "deleted on request|blocklist|gdpr": "The person was deleted for good and stays out: leave them out.",
    "Cannot deserialize": "Give a cursor or an id as this list has given it; those of searches are others.",
    "CONFLICT|ALREADY_EXISTS|CONTACT_EXISTS": "The contact is there already: update it, or use the upsert.",
    "OBJECT_NOT_FOUND": "Check the id: the record was deleted in HubSpot, or merged into another.",
    "required": f"Fill what is missing where it comes from, or demand less {_SETTINGS}.",
    "VALIDATION_ERROR": "Correct what is named where it comes from, or leave it out.",
}
"""What to do about what HubSpot says of a request."""

PROBLEMS: Final = ProblemForm(
    # Where there are several, the sentence packs them all as JSON.
    words=("errors.message", "message", "error.message", "error", "errors"),
    # The token endpoint says it under "status" (BAD_REFRESH_TOKEN); elsewhere that is the word "error".
    categories=("category", "policyName", "errorType", "subCategory", "status"),
    request_ids=("correlationId", "requestId"),
    request_id_headers=("X-HubSpot-Correlation-Id", "X-Request-Id"),
    codes=_codes,
    existing_ids=_existing_ids,
    key=_KEY,
    cures=CURES,
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
