"""What values mean by the type of the property that holds them: which are the same, and how one is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from airflow_providers_leads.leads.model.schema import flag, text

Kind = Literal["text", "number", "boolean", "date", "datetime", "choice", "choices"]

PROPERTY: Final = "properties."
"""What stands before the name of a destination's own property, where it stands beside the fields of a lead."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECONDS: Final = re.compile(r"-?\d+")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_DAY: Final = 86_400_000
# Since about 1973, on either side of 1970; what is shorter may be a year, or a date without hyphens.
_LEAST_MILLISECONDS: Final = 100_000_000_000
_SEPARATOR: Final = ";"
_EXACT: Final = 2**53


class Unconvertible(ValueError):
    """A value that a property can't hold; the message says why, free of the value itself."""


@dataclass(frozen=True, slots=True)
class PropertyType:
    """How a destination keeps the values of one property.

    :param kind: ``choice`` is one of the options, ``choices`` any number of them, separated by semicolons
    :param options: value of each option → its label; empty where the options are not known
    :param most: characters that a value may have, ``None``: any number
    :param forward: values that only ever go on to a later one of these; empty: they change as they like
    :param of_owner: its values are ids of users who can own records
    """

    kind: Kind = "text"
    options: Mapping[str, str] = field(default_factory=dict)
    most: int | None = None
    forward: tuple[str, ...] = ()
    of_owner: bool = False

    def convert(self, value: Any) -> str | None:
        """Return a value in the form in which it is written, ``None`` when there is nothing in it.

        :param value: text, number, boolean, a list of these, or an object that holds one of them as its ``value``
        :raises Unconvertible: saying why not
        """
        words = _joined(value)
        if words is None:
            return None
        converted = _CONVERT[self.kind](self, words)
        if self.most is not None and len(converted) > self.most:
            raise Unconvertible(f"it has more than {self.most:,} characters")
        return converted or None

    def same(self, left: str | None, right: str | None) -> bool:
        """Tell whether two values are one to the destination; those that are none of its type are compared as text."""
        if left == right or _folded(left) == _folded(right):
            return True
        if not left or not right or self.kind == "text":
            return False
        try:
            one, other = self.convert(left), self.convert(right)
        except Unconvertible:
            return False
        if self.kind == "choices":
            return set((one or "").split(_SEPARATOR)) == set((other or "").split(_SEPARATOR))
        return one == other


TEXT: Final = PropertyType()
"""The type of what nothing is known of."""


@dataclass(frozen=True, slots=True)
class PropertyTypes:
    """The types of a destination's properties, by the lead field or, after ``properties.``, by their own name.

    :param known: what is not among them is text
    """

    known: Mapping[str, PropertyType] = field(default_factory=dict)

    def same(self, name: str, left: str | None, right: str | None) -> bool:
        """Tell whether two values of a property are one to the destination; see :meth:`PropertyType.same`."""
        return self.of(name).same(left, right)

    def goes_back(self, name: str, value: str, now: str | None) -> bool:
        """Tell whether a value comes before the one that stands there, where values only go on."""
        order = self.of(name).forward
        return value in order and now in order and order.index(value) < order.index(now)

    def of(self, name: str) -> PropertyType:
        """Return the type of a property, by the lead field or after ``properties.``."""
        return self.known.get(name, TEXT)

    def moving_freely(self, names: Iterable[str]) -> PropertyTypes:
        """Return the same types, of which those of some properties go back as well as on."""
        free = {name: replace(self.known[name], forward=()) for name in names if name in self.known}
        return PropertyTypes({**self.known, **free})

    def convert(self, name: str, value: Any) -> str | None:
        """Return a value in the form in which a property takes it; see :meth:`PropertyType.convert`.

        :raises Unconvertible: saying why not
        """
        return self.of(name).convert(value)


def value_text(value: Any) -> str | None:
    """Return a value as text, those of a list separated by semicolons; ``None`` for nothing and for other objects."""
    try:
        return _joined(value)
    except Unconvertible:
        return None


def _joined(value: Any) -> str | None:
    """Return a value as one text, several as a list with semicolons."""
    # Answers of funnels may come with their title.
    while isinstance(value, Mapping) and "value" in value:
        value = value["value"]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        # How the number was written is no part of it: 3.0 came from a table whose column has gaps.
        value = int(value)
    if value is None or isinstance(value, (str, int, float, Decimal)):
        return text(value)
    if isinstance(value, (list, tuple)):
        parts = [part for part in map(_joined, value) if part]
        if len(parts) > 1 and any(_SEPARATOR in part for part in parts):
            raise Unconvertible("it is a list with a semicolon in one of its entries")
        return _SEPARATOR.join(parts) or None
    raise Unconvertible("it is an object of several values")


def _folded(value: str | None) -> str:
    # CRMs fold white space when they store.
    return " ".join((value or "").split())


def _number(kind: PropertyType, words: str) -> str:
    if not _NUMBER.fullmatch(words):
        raise Unconvertible("it is no number")
    # Written out, and never rounded: identifiers longer than a float's digits are met in number properties.
    whole, point, rest = f"{Decimal(words):f}".partition(".")
    digits = f"{whole}{point}{rest}".rstrip("0").rstrip(".") if point else whole
    return "0" if digits in ("-0", "") else digits


def _boolean(kind: PropertyType, words: str) -> str:
    if (said := flag(words)) is None:
        raise Unconvertible("it is neither true nor false")
    return "true" if said else "false"


def _time(words: str) -> datetime:
    """Return a moment with the offset that it was given; without one it is meant in UTC, as in all that CRMs give."""
    try:
        if _MILLISECONDS.fullmatch(words) and (abs(int(words)) >= _LEAST_MILLISECONDS or int(words) % _DAY == 0):
            return _EPOCH + timedelta(milliseconds=int(words))
        at = datetime.fromisoformat(words)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at
    except (ValueError, OverflowError):
        raise Unconvertible("it is no time such as 2025-01-15T08:00:00Z") from None


def _date(kind: PropertyType, words: str) -> str:
    try:
        # As it is written: midnight in Berlin is the day before in UTC.
        return _time(words).date().isoformat()
    except Unconvertible:
        raise Unconvertible("it is no date such as 2025-01-15") from None


def _datetime(kind: PropertyType, words: str) -> str:
    try:
        at = _time(words).astimezone(UTC)
    except OverflowError:
        raise Unconvertible("it is no time such as 2025-01-15T08:00:00Z") from None
    # A millisecond is the least that CRMs keep.
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds").replace("+00:00", "Z")


def _choice(kind: PropertyType, words: str) -> str:
    chosen = _option(kind.options, words)
    if chosen is None:
        raise Unconvertible("it is none of the property's options")
    return chosen


def _choices(kind: PropertyType, words: str) -> str:
    # A semicolon at the front asks HubSpot to add to what there is.
    parts = [part.strip() for part in words.split(_SEPARATOR) if part.strip()]
    if len(parts) == 1 and _option(kind.options, parts[0]) is None:
        parts = [part.strip() for part in parts[0].split(",") if part.strip()]
    chosen = [_option(kind.options, part) for part in parts]
    if None in chosen:
        raise Unconvertible("one of them is none of the property's options")
    return _SEPARATOR.join(dict.fromkeys(filter(None, chosen)))


def _option(options: Mapping[str, str], words: str) -> str | None:
    """Return the value of the option that is meant by its value or its label, ``None`` when none is or several are."""
    if not options or words in options:
        return words
    for spellings in (options.keys(), options.values()):
        folded = [value for value, spelt in zip(options, spellings, strict=True) if _alike(spelt, words)]
        if len(folded) == 1:
            return folded[0]
    return None


def _alike(one: str, other: str) -> bool:
    return _folded(one).casefold() == _folded(other).casefold()


_CONVERT: Final[Mapping[Kind, Callable[[PropertyType, str], str]]] = {
    "text": lambda kind, words: words,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "choice": _choice,
    "choices": _choices,
}
