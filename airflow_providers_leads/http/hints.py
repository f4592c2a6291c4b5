"""How long a vendor asks us to wait, and what quota it states.

Each reader looks at one form and returns seconds, ``None`` (not said) or ``DAILY`` (not today). The first of a vendor's
readers that answers wins, so a new form is a new reader in that vendor's list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from airflow_providers_leads.http.paths import value_at

DAILY: Final = float("inf")
"""Returned instead of seconds when a daily quota is spent."""

# A reset below this is a delay, above it a point in time: no vendor's window lasts thirty years.
_EPOCH_FLOOR: Final = 1_000_000_000.0

Headers = Mapping[str, str]
WaitReader = Callable[[Headers, Any, float], float | None]
"""(headers, body, epoch seconds by the vendor's clock) → seconds to wait."""


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
    return ahead(reset, now)


def ahead(moment: float, now: float) -> float | None:
    """Return the seconds until a moment, ``None`` when it has gone by."""
    # A refusal that names a moment gone by comes from a clock that differs from ours, so how long to wait is unknown:
    # zero would spend every try within a second.
    return moment - now if moment > now else None


def retry_after_header(headers: Headers, body: Any, now: float) -> float | None:
    """Read ``Retry-After``: seconds or an HTTP date."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    if (seconds := number(value)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return ahead(_stamp(date), now)


def _stamp(date: datetime) -> float:
    # HTTP dates are in GMT; one without a zone would be read as local time.
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _their_now(headers: Headers, now: float) -> float:
    """Return the time by the vendor's clock, which is the one that its points in time are told by."""
    try:
        return _stamp(parsedate_to_datetime(headers["Date"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return now


def reset_header(headers: Headers, body: Any, now: float, *, longest: float | None = None) -> float | None:
    """Read the end of a window from ``X-RateLimit-Reset`` or ``RateLimit-Reset``.

    :param longest: the vendor's window in seconds: what lies further ahead is a clock that differs
    """
    for name in ("X-RateLimit-Reset", "RateLimit-Reset"):
        if (wait := seconds_until(headers.get(name), now)) is not None:
            return wait if longest is None else min(wait, longest)
    return None


def wait_at(headers: Headers, body: Any, now: float, *, path: str) -> float | None:
    """Read seconds from the body.

    :param path: JSON path
    """
    return number(value_at(body, path))


WAITS: Final[tuple[WaitReader, ...]] = (retry_after_header, reset_header)
"""What is read where a vendor has no forms of its own."""


def wait_hint(headers: Headers, body: Any, now: float, readers: Iterable[WaitReader] = WAITS) -> float | None:
    """Return the seconds the vendor asks to wait, ``DAILY`` when the day's quota is spent, ``None`` when silent.

    :param headers: response headers, case-insensitive
    :param body: decoded JSON body, or ``None``
    :param now: epoch seconds by our clock, used when the answer has no ``Date``
    :param readers: the vendor's, the first that answers wins
    """
    now = _their_now(headers, now)
    for reader in readers:
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


@dataclass(frozen=True, slots=True)
class QuotaHeaders:
    """Names of the headers that state a quota.

    :param limit: requests per window
    :param remaining: requests left in it
    :param reset: when it ends, in seconds from now or since 1970
    :param milliseconds: its length
    """

    limit: str
    remaining: str
    reset: str
    milliseconds: str = ""


QUOTAS: Final = tuple(
    QuotaHeaders(f"{name}-Limit", f"{name}-Remaining", f"{name}-Reset") for name in ("X-RateLimit", "RateLimit")
)
"""What is read where a vendor has no headers of its own."""


def read_quota(headers: Headers, now: float, named: Iterable[QuotaHeaders] = QUOTAS) -> Quota | None:
    """Return the quota that an answer's headers state, ``None`` when they state none.

    :param headers: response headers, case-insensitive
    :param now: epoch seconds
    :param named: the vendor's headers, the first that are there win
    """
    for names in named:
        limit, remaining = number(headers.get(names.limit)), number(headers.get(names.remaining))
        if limit is None and remaining is None:
            continue
        interval = number(headers.get(names.milliseconds)) if names.milliseconds else None
        return Quota(
            limit=int(limit) if limit else None,
            period=interval / 1000 if interval else None,
            remaining=int(remaining) if remaining is not None else None,
            reset_in=seconds_until(headers.get(names.reset), now),
        )
    return None
