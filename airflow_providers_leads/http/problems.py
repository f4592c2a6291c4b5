"""Error bodies of the three vendors, reduced to the parts that are safe to show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_providers_leads.http.errors import scrub

_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,60}|[a-z][a-z_]{1,40}")
_UPPER_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,60}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_REQUEST_ID = re.compile(r"[\w.:-]{1,80}")
_EXISTING_ID = re.compile(r"Existing ID:\s*(\d+)")
# Said with a 400 too: Perspective of a metric without data, PersistIQ of a lead that left its campaign.
_NOT_FOUND = re.compile(
    r"\bnot (?:be )?found\b|\bnot (?:in|on) (?:the |this )?campaign\b|\bnot (?:a )?(?:member|part) of\b", re.IGNORECASE
)
_EXISTS = re.compile(r"\balready (?:been taken|exists|in)\b", re.IGNORECASE)
# HubSpot packs its list of bad values as JSON into the sentence.
_EMBEDDED = re.compile(r'"error":"([A-Z_]+)"[^{}]*?"name":"([a-z0-9_]+)"')


@dataclass(frozen=True, slots=True)
class Problem:
    """The machine-readable part of an error answer.

    :param category: the vendor's category or reason
    :param codes: finer codes, with the property they concern in brackets where known
    :param request_id: the id that the vendor's support asks for
    :param existing_id: id of the record that a conflict names
    :param words: the vendor's own sentence, scrubbed; for result files, never for messages and logs
    :param not_found: the sentence says that something is not there
    :param exists: the sentence says that it is there already
    """

    category: str | None = None
    codes: tuple[str, ...] = ()
    request_id: str | None = None
    existing_id: str | None = None
    words: str = ""
    not_found: bool = False
    exists: bool = False


def _first_match(pattern: re.Pattern[str], *values: object) -> str | None:
    return next((v for v in values if isinstance(v, str) and pattern.fullmatch(v)), None)


def _entries(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    errors = body.get("errors")
    for entry in errors if isinstance(errors, list) else ():
        if isinstance(entry, dict):
            yield entry


def context_values(entry: Mapping[str, Any], *names: str) -> list[str]:
    """Return the values of an error's ``context`` under any of ``names``; HubSpot gives lists, older forms a string."""
    context = entry.get("context")
    found: list[str] = []
    for name in names:
        value = context.get(name) if isinstance(context, dict) else None
        found += [str(v) for v in value] if isinstance(value, list) else [str(value)] if value is not None else []
    return found


def _codes(body: dict[str, Any]) -> tuple[str, ...]:
    codes = []
    for entry in _entries(body):
        code = _first_match(_CODE, entry.get("code"), entry.get("error"), entry.get("subCategory"))
        names = [n for n in context_values(entry, "propertyName", "requiredGranularScopes") if "@" not in n]
        if code:
            codes.append(f"{code}({', '.join(names[:5])})" if names else code)
    codes += [f"{code}({name})" for code, name in _EMBEDDED.findall(str(body.get("message") or ""))]
    return tuple(dict.fromkeys(codes))


def _existing_id(body: dict[str, Any]) -> str | None:
    ids = context_values(body, "existingId") + [i for e in _entries(body) for i in context_values(e, "existingId")]
    profile = body.get("identityProfile")
    if isinstance(profile, dict) and profile.get("vid"):
        ids.append(str(profile["vid"]))
    found = _EXISTING_ID.search(str(body.get("message") or ""))
    return ids[0] if ids else found.group(1) if found else None


def _words(body: dict[str, Any]) -> str:
    error = body.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    return str(next((v for v in (inner, body.get("message")) if isinstance(v, str)), ""))


def read_problem(headers: Mapping[str, str], body: Any) -> Problem:
    """Return what an error answer says in machine-readable words; anything may be missing or of another shape.

    HubSpot: ``category``, ``errors[].code``, ``correlationId``; PersistIQ: ``error.reason`` or a bare ``reason``;
    Perspective: a plain sentence.

    :param headers: response headers, case-insensitive
    :param body: decoded JSON body, or ``None``
    """
    header_id = headers.get("X-HubSpot-Correlation-Id") or headers.get("X-Request-Id")
    if not isinstance(body, dict):
        return Problem(request_id=_first_match(_REQUEST_ID, header_id))
    error = body.get("error")
    reason = error.get("reason") if isinstance(error, dict) else body.get("reason")
    words = _words(body)
    return Problem(
        category=_first_match(_CODE, body.get("category"), body.get("policyName"), reason, body.get("errorType"))
        or _first_match(_CODE, body.get("subCategory"))
        # HubSpot's token endpoint says it here (BAD_REFRESH_TOKEN); elsewhere it is the word "error" or a number.
        or _first_match(_UPPER_CODE, body.get("status")),
        codes=_codes(body),
        request_id=_first_match(_REQUEST_ID, body.get("correlationId"), body.get("requestId"), header_id),
        existing_id=_existing_id(body),
        words=scrub(words),
        not_found=bool(_NOT_FOUND.search(words)),
        exists=bool(_EXISTS.search(words)),
    )
