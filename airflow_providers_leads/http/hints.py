"""How long a vendor asks us to wait, in every form the three of them use.

Each reader looks at one form and returns seconds, ``None`` (not said) or ``DAILY`` (not today). The first that answers
wins, so a new form is a new line in ``_READERS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

DAILY: Final = float("inf")
"""Returned instead of seconds when a daily quota is spent."""

_EPOCH_IN_TEXT = re.compile(r"\breset\w*\s+at\s+(\d{9,11})\b", re.IGNORECASE)
# A reset below this is a delay, above it a point in time: no vendor's window lasts thirty years.
_EPOCH_FLOOR: Final = 1_000_000_000.0
# Both vendors that name the end of a window count by the minute; what lies further ahead is a clock that differs.
_WINDOW: Final = 65.0

Headers = Mapping[str, str]
_Reader = Callable[[Headers, Any, float], float | None]


def number(value: object) -> float | None:
    """Return ``value`` as a finite, non-negative number, or ``None``."""
    if not isinstance(value, (str, int, float)):
        return None
    try:
        result = float(str(value).strip())
    except ValueError:
        return None
    return result if 0 <= result < float("inf") else None


def seconds_until(value: object, now: float) -> float | None:
    """Return a reset time as seconds from ``now``; both delta seconds and epoch seconds are understood."""
    reset = number(value)
    if reset is None or reset < _EPOCH_FLOOR:
        return reset
    return _ahead(reset, now)


def _ahead(moment: float, now: float) -> float | None:
    # A refusal that names a moment gone by comes from a clock that differs from ours, so how long to wait is unknown:
    # zero would spend every try within a second.
    return moment - now if moment > now else None


def _retry_after_header(headers: Headers, body: Any, now: float) -> float | None:
    value = headers.get("Retry-After")
    if value is None:
        return None
    if (seconds := number(value)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return _ahead(_stamp(date), now)


def _stamp(date: datetime) -> float:
    # HTTP dates are in GMT; one without a zone would be read as local time.
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _their_now(headers: Headers, now: float) -> float:
    """Return the time by the vendor's clock, which is the one that its points in time are told by."""
    try:
        return _stamp(parsedate_to_datetime(headers["Date"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return now


def _message(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    inner = error.get("message") if isinstance(error, dict) else None
    return next((text for text in (inner, body.get("message")) if isinstance(text, str)), "")


def _hubspot_policy(headers: Headers, body: Any, now: float) -> float | None:
    # HubSpot names the spent policy; search answers may carry only the sentence. "ten_secondly" contains "secondly".
    policy = body.get("policyName") if isinstance(body, dict) else None
    text = f"{policy if isinstance(policy, str) else ''} {_message(body)}".lower()
    for word, wait in (("daily", DAILY), ("ten_secondly", 10.0), ("secondly", 1.0)):
        if word in text:
            return wait
    return None


def _perspective_body(headers: Headers, body: Any, now: float) -> float | None:
    return number(body.get("retryAfter")) if isinstance(body, dict) and "retryAfter" in body else None


def _reset_header(headers: Headers, body: Any, now: float) -> float | None:
    for name in ("X-RateLimit-Reset", "RateLimit-Reset"):
        if (wait := seconds_until(headers.get(name), now)) is not None:
            return min(wait, _WINDOW)
    return None


def _epoch_in_message(headers: Headers, body: Any, now: float) -> float | None:
    found = _EPOCH_IN_TEXT.search(_message(body))
    wait = _ahead(float(found.group(1)), now) if found else None
    return wait if wait is None else min(wait, _WINDOW)


# A daily quota outranks a short Retry-After: waiting for the latter would only burn more of the former.
_READERS: tuple[_Reader, ...] = (
    lambda headers, body, now: DAILY if _hubspot_policy(headers, body, now) == DAILY else None,
    _perspective_body,
    _retry_after_header,
    _reset_header,
    _epoch_in_message,
    _hubspot_policy,
)


def wait_hint(headers: Headers, body: Any, now: float) -> float | None:
    """Return the seconds the vendor asks to wait, ``DAILY`` when the day's quota is spent, ``None`` when silent.

    :param headers: response headers, case-insensitive
    :param body: decoded JSON body, or ``None``
    :param now: epoch seconds by our clock, used when the answer has no ``Date``
    """
    now = _their_now(headers, now)
    for reader in _READERS:
        if (wait := reader(headers, body, now)) is not None:
            return wait
    return None


@dataclass(frozen=True, slots=True)
class Quota:
    """What an answer's headers say of the quota; ``None`` where they are silent.

    :param limit: requests per window
    :param period: window length in seconds
    :param remaining: requests left in this window
    :param reset_in: seconds until the window ends
    """

    limit: int | None
    period: float | None
    remaining: int | None
    reset_in: float | None


_QUOTA_PREFIXES: Final = ("X-HubSpot-RateLimit", "X-RateLimit", "RateLimit")


def read_quota(headers: Headers, now: float) -> Quota | None:
    """Return the quota that an answer's headers state, ``None`` when they state none.

    HubSpot: ``-Max`` per ``-Interval-Milliseconds``; PersistIQ: ``-Limit`` per minute with an epoch ``-Reset``;
    Perspective: ``RateLimit-*`` near the edge only.

    :param headers: response headers, case-insensitive
    :param now: epoch seconds
    """
    for prefix in _QUOTA_PREFIXES:
        limit = number(headers.get(f"{prefix}-Max") or headers.get(f"{prefix}-Limit"))
        remaining = number(headers.get(f"{prefix}-Remaining"))
        if limit is None and remaining is None:
            continue
        interval = number(headers.get(f"{prefix}-Interval-Milliseconds"))
        return Quota(
            limit=int(limit) if limit else None,
            period=interval / 1000 if interval else None,
            remaining=int(remaining) if remaining is not None else None,
            reset_in=seconds_until(headers.get(f"{prefix}-Reset"), now),
        )
    return None
