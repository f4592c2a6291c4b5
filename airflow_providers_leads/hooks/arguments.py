"""Arguments as users and templates give them, checked before any request."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar, cast

import pendulum

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import flag
from airflow_providers_leads.leads.model.values import EXACT, NOTHING_WORDS, Endless, json_value, number_text, plain

T = TypeVar("T")

_INTEGER = re.compile(r"[+-]?\d+")
_MINUTES_PER_DAY = 24 * 60
# Python makes no text of numbers of more than 4,300, and nobody has an id of more than these.
_DIGITS: Final = 40
_NAMES_SOMEBODY: Final = re.compile(r"(^|_)(ids?|email)(\[\d+\])?$|\['id'\]$")


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
    try:
        parsed = parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{name} lies outside of the years 1 to 9999") from None
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
        words = number.strip() if isinstance(number, str) else _number(name, number)
        number = int(words) if _INTEGER.fullmatch(words) and len(words) < _DIGITS else number
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


def addresses(name: str, value: Iterable[str]) -> dict[str, str]:
    """Return email key → address as given, each person once; what is no address is left out.

    :raises ValueError: when a single text is given where a list belongs
    """
    found: dict[str, str] = {}
    for address in texts(name, value):
        if key := email_key(address):
            found.setdefault(key, address)
    return found


# What callers hand over, as values ------------------------------------------------------------------------------------


def plain_value(name: str, value: Any) -> Any:
    """Return a value as :func:`~airflow_providers_leads.leads.model.values.plain` does.

    :raises ValueError: naming the argument, when it contains itself
    """
    try:
        return plain(value)
    except Endless as error:
        raise ValueError(f"{name} {error}") from None


def optional(make: Callable[..., Any]) -> Callable[[str, Any], Any]:
    """Return what makes a value of an argument that may be missing."""

    def make_or_none(name: str, value: Any) -> Any:
        # A generator is not looked into twice.
        meant = value if isinstance(value, Iterator) else plain_value(name, value)
        return None if meant is None else make(name, meant)

    return make_or_none


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _number(name: str, value: float | Decimal) -> str:
    try:
        return number_text(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def text_value(name: str, value: Any, *, identifies: bool = False) -> str:
    """Return a text or number as text: whole numbers without ``.0``; an empty text stays one.

    :param name: of the argument; one of an id or an address tells that ``identifies`` is meant
    :param identifies: true: what software writes for "nothing" is refused, and a number that may not be exact
    :raises ValueError: when it is missing or something else
    """
    meant = plain_value(name, value)
    if meant is None:
        raise ValueError(f"{name} must not be empty")
    if not isinstance(meant, str) and not _is_number(meant):
        raise ValueError(f"{name} must be text")
    identifies = identifies or _NAMES_SOMEBODY.search(name) is not None
    if isinstance(meant, str):
        if identifies and meant.strip() in NOTHING_WORDS - {""}:
            raise ValueError(f"{name} must not be {meant.strip()!r}, which is how a missing value is written")
        return meant
    if isinstance(meant, int) and abs(meant) >= 10**_DIGITS:
        raise ValueError(f"{name} is too large a number")
    words = str(meant) if isinstance(meant, int) else _number(name, meant)
    if identifies and ("." in words or (isinstance(meant, float) and abs(meant) >= EXACT)):
        raise ValueError(f"{name} must be an id: this number is no whole one, or was rounded on its way")
    return words


def _listed(name: str, value: str) -> Any:
    """Return the list or mapping that a text shows as JSON or as Python writes it."""
    for read in (json.loads, ast.literal_eval):
        try:
            return plain(read(value))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise ValueError(f"{name} must be a list, or its JSON: this text can't be read as one")


def items(name: str, value: Any, *, split: bool = False) -> list[Any]:
    """Return a list of values as its entries; the characters of a text are never taken for them.

    :param value: a list or the like; a text that shows one as JSON or Python writes it
    :param split: true: also a single value, or a text of several separated by commas
    :raises ValueError: for anything else
    """
    meant = plain_value(name, value)
    if isinstance(meant, str) and meant.strip()[:1] in ("[", "{", "("):
        meant = _listed(name, meant.strip())
    elif split and isinstance(meant, str):
        meant = [part.strip() for part in meant.split(",")]
    elif split and _is_number(meant):
        meant = [meant]
    if isinstance(meant, (str, bytes, Mapping)) or not isinstance(meant, Iterable):
        raise ValueError(f"{name} must be a list{'' if meant is None else f', not a {type(meant).__name__}'}")
    return list(meant)


def id_texts(name: str, value: Any) -> list[str]:
    """Return ids as texts, in their order, doubles too; parameters as for :func:`items`.

    :raises ValueError: naming the id that is empty or none
    """
    return [text_value(f"{name}[{index}]", item) for index, item in enumerate(items(name, value, split=True))]


def texts(name: str, value: Any) -> Iterable[str]:
    """Return texts, one by one where they come so; missing ones are left out.

    :raises ValueError: for a single text or what is none
    """
    many: Iterable[Any] = value if isinstance(value, Iterator) else items(name, value)
    return _texts(name, many) if isinstance(many, Iterator) else list(_texts(name, many))


def _texts(name: str, many: Iterable[Any]) -> Iterator[str]:
    for item in many:
        if (meant := plain_value(name, item)) is None:
            continue
        if not isinstance(meant, str):
            raise ValueError(f"{name} must hold texts, not a {type(meant).__name__}")
        yield meant


def mapping(name: str, value: Any) -> dict[Any, Any]:
    """Return a mapping without its missing values; a text may show one as JSON or Python writes it.

    :raises ValueError: for anything else
    """
    meant = plain_value(name, value)
    if isinstance(meant, str) and meant.strip()[:1] == "{":
        meant = _listed(name, meant.strip())
    if not isinstance(meant, dict):
        raise ValueError(f"{name} must be a mapping{'' if meant is None else f', not a {type(meant).__name__}'}")
    return meant


def mappings(name: str, value: Any) -> list[dict[Any, Any]]:
    """Return a list of mappings, each without its missing values; parameters as for :func:`items`.

    :raises ValueError: naming the entry that is none
    """
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        raise ValueError(f"{name} must be a list of mappings: give a data frame as df.to_dict('records')")
    return [mapping(f"{name}[{index}]", item) for index, item in enumerate(items(name, value))]


def json_body(name: str, value: Any) -> Any:
    """Return a value as it stands in a JSON body.

    :raises ValueError: naming the argument, when JSON can't say it
    """
    try:
        return json_value(plain_value(name, value))
    except ValueError as error:
        raise error if str(error).startswith(name) else ValueError(f"{name} {error}") from None


def id_list(name: str, value: Iterable[object] | str | None) -> list[str] | None:
    """Return ids, each once and in order; ``None`` when none are given.

    :param name: of the argument, for the message
    :param value: a list, or as a form field or template gives it: JSON or Python text, or ids separated by commas
    :raises ValueError: when an id is empty, or the list itself: it must not silently mean "all"
    """
    meant = plain_value(name, value)
    if meant is None or (isinstance(meant, str) and meant.strip() in NOTHING_WORDS):
        return None
    if not isinstance(meant, (str, list)):
        raise ValueError(f"{name} must be a list of ids")
    if isinstance(meant, str) and meant.strip()[:1] == '"':
        meant = _listed(name, meant.strip())
    try:
        ids = list(dict.fromkeys(each.strip() for each in id_texts(name, meant)))
    except ValueError as error:
        if "must be a list" in str(error):
            raise ValueError(f"{name} must be a list of ids") from None
        if "must not be empty" in str(error):
            raise ValueError(f"{name} must be a list of ids, none of them empty") from None
        raise
    if not ids or "" in ids:
        raise ValueError(f"{name} must be a list of ids, none of them empty")
    return ids


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


def listed(name: str, value: Any) -> list[Any]:
    """Return an argument that takes a list as one: a text is one entry, or a list as text, never its letters.

    :param name: of the argument, for the message
    :param value: a list, or as a form field or template gives it: JSON or Python text, or entries separated by commas
    :raises ValueError: when it is neither
    """
    if isinstance(value, str):
        return list(id_list(name, value) or ())
    if isinstance(value, (Mapping, bytes)) or not isinstance(value, Iterable):
        raise ValueError(f"{name} must be a list")
    return list(value)
