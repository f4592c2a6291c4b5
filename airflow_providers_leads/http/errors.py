"""What can go wrong in a conversation with a CRM, as exceptions whose text is safe to log.

A message names the connection, the request by its path template, what failed and what to do. It never holds a body, a
key or an address: vendors echo all three in their error texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

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
