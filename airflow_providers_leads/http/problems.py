"""Error bodies of the three vendors, reduced to the parts that are safe to show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_providers_leads.http.errors import scrub

_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,60}|[a-z][a-z_]{1,40}")
_UPPER_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,60}")
# Names of properties and scopes, but nothing of the form of a key: 32 hex digits or HubSpot's prefix.
_NAME = re.compile(r"(?!pat-|[0-9a-f]{32})[a-z][a-z0-9_.-]{0,99}")
_REQUEST_ID = re.compile(r"(?!pat-)[\w.:-]{1,63}", re.ASCII)
_RECORD_ID = re.compile(r"[0-9]{1,20}")
_EXISTING_ID = re.compile(r"Existing ID:\s*([0-9]+)")
# Said with a 400 too: Perspective of a metric without data, PersistIQ of a lead that left its campaign.
_NOT_FOUND = re.compile(
    r"\bnot (?:be )?found\b|\bnot (?:in|on) (?:the |this )?campaign\b|\bnot (?:a )?(?:member|part) of\b", re.IGNORECASE
)
_EXISTS = re.compile(r"\balready (?:been taken|exists|in)\b", re.IGNORECASE)
# HubSpot packs its list of bad values as JSON into the sentence.
_EMBEDDED = re.compile(r'"error":"([A-Z_]+)"[^{}]*?"name":"([a-z0-9_]+)"')
# That pattern is not linear on hostile text, and no honest sentence is as long.
_LONGEST_MESSAGE = 20_000


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
    found: list[object] = []
    for name in names:
        value = context.get(name) if isinstance(context, dict) else None
        found += value if isinstance(value, list) else [value]
    return [str(value) for value in found if isinstance(value, (str, int))]


def _message(body: dict[str, Any]) -> str:
    message = body.get("message")
    return message[:_LONGEST_MESSAGE] if isinstance(message, str) else ""


def _codes(body: dict[str, Any]) -> tuple[str, ...]:
    codes = []
    for entry in _entries(body):
        code = _first_match(_CODE, entry.get("code"), entry.get("error"), entry.get("subCategory"))
        names = [n for n in context_values(entry, "propertyName", "requiredGranularScopes") if _NAME.fullmatch(n)]
        if code:
            codes.append(f"{code}({', '.join(names[:5])})" if names else code)
    codes += [f"{code}({name})" for code, name in _EMBEDDED.findall(_message(body)) if _NAME.fullmatch(name)]
    return tuple(dict.fromkeys(codes))


def _existing_id(body: dict[str, Any]) -> str | None:
    ids = context_values(body, "existingId") + [i for e in _entries(body) for i in context_values(e, "existingId")]
    ids += context_values({"context": body.get("identityProfile")}, "vid")
    ids += _EXISTING_ID.findall(_message(body))
    return _first_match(_RECORD_ID, *ids)


def _words(body: dict[str, Any]) -> str:
    error, errors = body.get("error"), body.get("errors")
    inner = error.get("message") if isinstance(error, dict) else error
    # PersistIQ's list holds sentences or objects with one.
    listed = [e.get("message") if isinstance(e, dict) else e for e in errors] if isinstance(errors, list) else []
    return next((v for v in (inner, body.get("message"), *listed) if isinstance(v, str)), "")


def read_problem(headers: Mapping[str, str], body: Any) -> Problem:
    """Return what an error answer says in machine-readable words; anything may be missing or of another shape.

    HubSpot: ``category``, ``errors[].code``, ``correlationId``; PersistIQ: ``error.reason``, a bare ``reason`` or
    ``errors[].reason``; Perspective: a plain sentence.

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
        or _first_match(_CODE, body.get("subCategory"), *(entry.get("reason") for entry in _entries(body)))
        # HubSpot's token endpoint says it here (BAD_REFRESH_TOKEN); elsewhere it is the word "error" or a number.
        or _first_match(_UPPER_CODE, body.get("status")),
        codes=_codes(body),
        request_id=_first_match(_REQUEST_ID, body.get("correlationId"), body.get("requestId"), header_id),
        existing_id=_existing_id(body),
        words=scrub(words),
        not_found=bool(_NOT_FOUND.search(words)),
        exists=bool(_EXISTS.search(words)),
    )
