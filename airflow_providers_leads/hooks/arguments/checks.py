"""Arguments as users and templates give them, checked before any request."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar, cast

import pendulum

from airflow_providers_leads.hooks.arguments.values import MOST_DIGITS, finite_text, plain_value
from airflow_providers_leads.leads.model.schema import flag
from airflow_providers_leads.leads.model.values import plain

T = TypeVar("T")

_INTEGER = re.compile(r"[+-]?\d+")
# Those next to Python's first and last leave no room for another time zone, nor for a margin.
_YEARS: Final = (2, 9998)
_MINUTES_PER_DAY: Final = 24 * 60


def instant(name: str, value: datetime | str) -> datetime:
    """Return a point in time in UTC.

    :param name: of the argument, for the message
    :param value: an aware datetime, or ISO 8601 text with an offset or ``Z``
    :raises ValueError: for anything else; a time without an offset would mean another moment on another machine
    """
    parsed: Any = plain_value(name, value)
    if isinstance(parsed, str):
        try:
            parsed = datetime.fromisoformat(parsed.strip())
        except ValueError:
            parsed = None
    if not isinstance(parsed, datetime):
        raise ValueError(f"{name} must be a datetime or ISO 8601 text such as 2025-01-01T00:00:00Z")
    if parsed.utcoffset() is None:
        raise ValueError(f"{name} has no time zone: add an offset or Z, as in 2025-01-01T00:00:00Z")
    if not _YEARS[0] <= parsed.year <= _YEARS[1]:
        raise ValueError(f"{name} lies outside of the years {_YEARS[0]} to {_YEARS[1]}")
    parsed = parsed.astimezone(UTC)
    # Airflow's templates give pendulum's times, whose differences can't be divided by plain ones.
    return datetime.combine(parsed.date(), parsed.time(), UTC)


def maybe_instant(name: str, value: datetime | str | None) -> datetime | None:
    """Return a point in time in UTC, ``None`` for ``None``; otherwise as :func:`instant`."""
    return None if value is None else instant(name, value)


def window(start_name: str, start: datetime | str, end_name: str, end: datetime | str) -> tuple[datetime, datetime]:
    """Return two points in time in UTC, the first strictly before the second.

    :raises ValueError: naming the argument that is no time, or both when they are not in order
    """
    first, last = instant(start_name, start), instant(end_name, end)
    if wire_time(first) >= wire_time(last):
        raise ValueError(f"{start_name} must be before {end_name}")
    return first, last


def wire_time(value: datetime) -> str:
    """Return a UTC time as ``2025-01-01T00:00:00.000Z``, the form in which Perspective and PersistIQ are asked."""
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def offset_minutes(name: str, value: int | str, at: datetime) -> int:
    """Return an offset from UTC in minutes, east positive.

    :param name: of the argument, for the message
    :param value: minutes, or a time zone such as ``Europe/Berlin``
    :param at: the moment at which the zone's offset counts
    :raises ValueError: when it is neither
    """
    if isinstance(value, str) and not _INTEGER.fullmatch(value.strip()):
        try:
            zone = pendulum.timezone(value.strip())
        except (ValueError, KeyError, OSError):
            raise ValueError(f"{name} must be minutes from UTC or a time zone such as Europe/Berlin") from None
        offset = at.astimezone(zone).utcoffset()
        return int(offset.total_seconds() // 60) if offset is not None else 0
    return whole(name, value, -_MINUTES_PER_DAY, _MINUTES_PER_DAY)


def whole(name: str, value: int | str, least: int, most: int | None = None) -> int:
    """Return a whole number within bounds; templates give numbers as text.

    :raises ValueError: naming the argument and the bounds
    """
    number = plain_value(name, value)
    if isinstance(number, (str, float, Decimal)):
        # Columns with gaps make 100.0 of 100.
        words = number.strip() if isinstance(number, str) else finite_text(name, number)
        number = int(words) if _INTEGER.fullmatch(words) and len(words) < MOST_DIGITS else number
    if (
        isinstance(number, bool)
        or not isinstance(number, int)
        or number < least
        or (most is not None and number > most)
    ):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number {bounds}")
    return number


def one_of(name: str, value: T, allowed: Collection[T]) -> T:
    """Return a value that is among the allowed ones.

    :raises ValueError: naming the argument and the allowed values
    """
    meant: Any = plain_value(name, value)
    if not isinstance(meant, (list, dict)) and meant in allowed:
        return cast(T, meant)
    raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}")


def boolean(name: str, value: object) -> bool:
    """Return a boolean; templates give it as text.

    :raises ValueError: for anything that is neither true nor false, ``None`` too
    """
    meant = plain_value(name, value)
    answer = (
        flag(meant) if isinstance(meant, (bool, str)) or (isinstance(meant, (int, float)) and meant in (0, 1)) else None
    )
    if answer is None:
        raise ValueError(f"{name} must be true or false")
    return answer


def require(name: str, value: object) -> None:
    """Refuse an empty argument before any request.

    :raises ValueError: naming the argument
    """
    if (
        plain(value) is None
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, Sequence) and not value)
    ):
        raise ValueError(f"{name} must not be empty")


def refuse_unknown(label: str, crm: str, what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse what a CRM doesn't know.

    :param label: names the connection
    :param crm: names the CRM
    :param what: what the names are of, such as ``scope``
    :raises ValueError: naming the first of them
    """
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"{label}: unknown {what} {unknown[0]!r}; {crm} knows {sorted(known)}")


def refuse_properties(
    label: str, names: Iterable[str], known: Mapping[str, bool], ours: Collection[str], how: str
) -> None:
    """Refuse custom properties that a CRM would refuse a whole record for.

    :param label: names the connection
    :param names: the properties that are to be written
    :param known: those that there are, and whether they can be written
    :param ours: those that hold a lead field or the address
    :param how: how to make one
    :raises ValueError: naming the property
    """
    for name in names:
        if name in ours:
            raise ValueError(f"{label}: properties: {name!r} is written from a lead field already; leave it out")
        if name not in known:
            raise ValueError(f"{label}: properties: there is no {name!r}. {how}")
        if not known[name]:
            raise ValueError(f"{label}: properties: {name!r} can only be read; leave it out")
