"""What can go wrong in a conversation with a CRM, as exceptions whose text is safe to log.

A message names the connection, the request by its path template, what failed and what to do. It never holds a body, a
key or an address: vendors echo all three in their error texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# What ends an address in prose, JSON and query strings.
_STOPS = r"\s\"<>(){}\[\],;:="
# A quoted local part holds spaces, and of a lone @ nobody knows what it belongs to. The look-behind keeps this linear.
_EMAIL = re.compile(
    rf"(?:\"[^\"\n]{{1,64}}\"|(?<![^'{_STOPS}])[^'{_STOPS}][^{_STOPS}]*)?(?:@|%40)[^\s\"'<>(){{}}\[\],;]*"
)
_LONG_TOKEN = re.compile(r"[A-Za-z0-9_-]{24,}")


class LeadsApiError(Exception):
    """A request that did not succeed.

    :param message: the whole sentence shown to the user; must be free of bodies, keys and addresses
    :param status: HTTP status, ``None`` when no answer arrived
    :param category: the vendor's machine-readable category (``VALIDATION_ERROR``, ``bad_params``), or our own
    :param codes: finer machine-readable codes of the vendor, such as ``PROPERTY_DOESNT_EXIST``
    :param request_id: the vendor's id for support requests
    :param retry_after: seconds after which the same request may succeed, when the vendor says so
    :param ambiguous: true when the write may have taken effect although no good answer arrived
    :param existing_id: the id of the record that stands in the way, when a conflict names it
    :param words: the vendor's own sentence, scrubbed: for result files, never for messages and logs
    :param not_found: the vendor says that something is not there, whatever the status
    :param exists: the vendor says that it is there already
    :param cure: what to do about it, where the vendor's words tell
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        category: str | None = None,
        codes: tuple[str, ...] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
        ambiguous: bool = False,
        existing_id: str | None = None,
        words: str = "",
        not_found: bool = False,
        exists: bool = False,
        cure: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.codes = codes
        self.request_id = request_id
        self.retry_after = retry_after
        self.ambiguous = ambiguous
        self.existing_id = existing_id
        self.words = words
        self.not_found = not_found
        self.exists = exists
        self.cure = cure


class LeadsAuthError(LeadsApiError):
    """The key is missing, wrong, expired or revoked (401)."""


class LeadsPermissionError(LeadsApiError):
    """The key is good but may not do this: a scope, a workspace or the plan is missing (403)."""


class LeadsNotFoundError(LeadsApiError):
    """No such record, funnel, campaign or path (404)."""


class LeadsConflictError(LeadsApiError):
    """The record exists already, or changed meanwhile (409)."""


class LeadsValidationError(LeadsApiError):
    """The vendor refuses the request's content (400, 414, 422 and other 4xx)."""


class LeadsRateLimitError(LeadsApiError):
    """A quota is spent and waiting for it here makes no sense (429 after all waits, a daily limit)."""

    retryable = True


class LeadsServerError(LeadsApiError):
    """The vendor failed (5xx), or answered with something that is not its API."""

    retryable = True


class LeadsNetworkError(LeadsApiError):
    """No answer arrived: host unreachable, connection cut, time-out."""

    retryable = True


_BY_STATUS: dict[int, type[LeadsApiError]] = {
    401: LeadsAuthError,
    403: LeadsPermissionError,
    404: LeadsNotFoundError,
    409: LeadsConflictError,
    423: LeadsServerError,
    429: LeadsRateLimitError,
}


def error_class(
    status: int | None, own: Mapping[int, type[LeadsApiError]] = MappingProxyType({})
) -> type[LeadsApiError]:
    """Return the exception class for an HTTP status; ``None`` (no answer) is a network error.

    :param own: the vendor's own statuses
    """
    if status is None:
        return LeadsNetworkError
    if status in own or status in _BY_STATUS:
        return own.get(status) or _BY_STATUS[status]
    return LeadsValidationError if 400 <= status < 500 else LeadsServerError


OTHER_HOST: Final = "Something else may answer under the connection's host: set it to the API's origin."
_ADVICE: Final[Mapping[int | None, str]] = {
    None: "Check the connection's host and that this machine may reach it.",
    400: "Correct the arguments or the values that were sent.",
    401: "Put a valid API key into the connection's password.",
    402: "The account's plan or payment doesn't cover this: see its billing.",
    403: "The key is valid but lacks a permission: grant it in the CRM's settings.",
    404: "Check the ids given; the record may have been deleted.",
    405: OTHER_HOST,
    409: "The record is there already, or is being changed by somebody else: look it up, and run again.",
    413: "Give fewer records, or shorter values, in one call.",
    415: OTHER_HOST,
    422: "Correct the arguments or the values that were sent.",
    423: "Somebody else is writing the record: run later.",
    429: "The quota is spent: run later, or give this connection a pool so that fewer tasks share it.",
}


def usual_advice(status: int | None) -> str:
    """Return what to do about an HTTP status where a vendor says nothing of its own; ``None`` is no answer."""
    if status is None or 400 <= status < 500:
        return _ADVICE.get(status, "Ask the CRM's support what it refuses here.")
    if status < 400:
        return ""
    return "The fault is the CRM's or of something in between: run later, and ask its support if it lasts."


def scrub(text: object, *, limit: int = 300) -> str:
    """Return vendor text with addresses and key-like tokens blanked and its length cut.

    Used for per-lead reasons in result files, the one place where a vendor's own words are kept.

    :param text: anything; ``None`` becomes an empty string
    :param limit: characters kept, default 300
    """
    if text is None:
        return ""
    cleaned = _LONG_TOKEN.sub("<redacted>", _EMAIL.sub("<address>", str(text)))
    cleaned = " ".join(cleaned.split())
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"
