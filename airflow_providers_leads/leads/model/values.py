"""Values as spreadsheets, data frames, databases and templates hand them over, as the Python values that they are.

Neither NumPy nor pandas is imported: their objects are told by what they can do.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

# Objects that stand for "no value" and are not told by being unequal to themselves: pandas.NA, NumPy's masked.
_MISSING: Final = frozenset({"NAType", "NaTType", "MaskedConstant", "NullScalar"})
_UNEQUAL_TO_THEMSELVES: Final = frozenset({"datetime64", "timedelta64", "longdouble"})
# How arrays, series, tables and scalars of other libraries say what they are in Python, the richest first.
_UNWRAP: Final = ("to_pylist", "to_dicts", "as_py", "tolist", "to_list", "item")
_BYTES: Final = (bytes, bytearray, memoryview)
_MOST_DEPTH: Final = 50
NOTHING: Final = "\ue000nothing\ue001"
"""Stands in a rendered text where an expression had no value; private characters that nobody's data has."""
NOTHING_WORDS: Final = frozenset({"", "None", "null", "nan", "NaN", "NaT", "<NA>"})
"""What software writes for "no value" where it has to make a text of one."""
EXACT: Final = 2**53
"""Whole numbers from here on are not told apart by a float, nor by many a reader of JSON."""


class Endless(ValueError):
    """A value that contains itself, or is nested beyond all use."""


def plain(value: Any, _depth: int = 0) -> Any:
    """Return a value as the Python value that it is, to any depth; what stands for "no value" is ``None``.

    NaN, NaT, ``pandas.NA`` and their like are ``None``; NumPy's and Arrow's scalars, ``np.str_``, pandas' times and
    enum members are the value within; arrays, series, sets and tuples are lists; data frames and tables are lists of
    mappings; a UUID is its text; half a surrogate pair is U+FFFD. What is none of these is returned as it is.

    Pandas and NumPy have dates as times of midnight without a time zone: these are dates.

    :raises Endless: for a value that contains itself
    """
    if _depth > _MOST_DEPTH:
        raise Endless("is nested too deeply")
    kind = type(value)
    if kind in (bool, int) or value is None:
        return value
    if kind is str:
        return None if value == NOTHING else whole_text(value)
    if is_missing(value):
        return None
    if isinstance(value, Enum):
        return plain(value.value, _depth + 1)
    if isinstance(value, str):
        # The text alone: np.str_ and Markup say something else about themselves.
        return whole_text(str.__str__(value))
    if isinstance(value, Mapping):
        entries = ((plain(name, _depth + 1), plain(inner, _depth + 1)) for name, inner in value.items())
        return {name if _is_hashable(name) else str(name): inner for name, inner in entries}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(inner, _depth + 1) for inner in value), key=str)
    if isinstance(value, (Sequence, Iterator, KeysView, ValuesView)) and not isinstance(value, _BYTES):
        return [plain(inner, _depth + 1) for inner in _entries(value)]
    return _scalar(value, _depth)


def _entries(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple, Iterator)) or not isinstance(value, Sequence):
        return value
    try:
        # The results of a mapped task are a lazy sequence, which fetches a slice in one call, item by item otherwise.
        return value[:]
    except TypeError:
        # Those of several tasks, joined by concat(), can't be sliced.
        return value


def _scalar(value: Any, depth: int) -> Any:
    kind = type(value).__name__
    if isinstance(value, datetime):
        if not hasattr(value, "to_pydatetime"):
            return value
        # Pandas' times are more exact than anybody's who takes them.
        return _date_or_time(datetime.combine(value.date(), value.time(), value.tzinfo))
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (Decimal, date, *_BYTES)):
        return value
    if kind in ("datetime64", "timedelta64"):
        # Of nanoseconds that is a bare number.
        exact = value.item()
        unit = f"{kind}[us]"
        inner = value.astype(unit).item() if isinstance(exact, int) else exact
        return _date_or_time(inner) if isinstance(inner, datetime) else inner
    if kind in ("float16", "float32"):
        # The shortest number that is this one: 0.1, and not what a double makes of it.
        return plain(float(str(value)), depth + 1)
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return plain(value.to_dict("records"), depth + 1)
    return _unwrapped(value, depth)


def _unwrapped(value: Any, depth: int) -> Any:
    for method in _UNWRAP:
        unwrap = getattr(value, method, None)
        if callable(unwrap) and not isinstance(value, type):
            try:
                inner = unwrap()
            except (TypeError, ValueError, AttributeError, OverflowError):
                continue
            if type(inner) is not type(value):
                return plain(inner, depth + 1)
    return value


def _date_or_time(value: datetime) -> date:
    return value.date() if value.tzinfo is None and value.time() == time() else value


def shown_in(text: str) -> Iterator[Any]:
    """Yield what a text shows, read as JSON and as Python writes it; nothing where it is neither.

    :param text: such as what a template renders a list to
    """
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            yield read(text)


def is_missing(value: Any) -> bool:
    """Tell whether an object stands for "no value"."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, Decimal):
        return value.is_nan()
    kind = type(value).__name__
    if kind in _MISSING:
        return True
    return (isinstance(value, (datetime, complex)) or kind in _UNEQUAL_TO_THEMSELVES) and bool(value != value)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def without_marks(value: str) -> str:
    """Return a text without what stands in it for missing values."""
    return value if value.isascii() else value.replace(NOTHING, "")


def whole_text(value: str) -> str:
    """Return a text in which half a surrogate pair, which nobody can send, is U+FFFD, and a whole one its character."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def number_text(value: int | float | Decimal) -> str:
    """Return a number as text: whole ones without ``.0``, none rounded, none with an exponent.

    :raises ValueError: for infinity
    """
    if isinstance(value, int):
        # Of more than 4,300 digits Python makes no text, nor has anybody a place for it.
        return str(value)
    if not math.isfinite(value):
        raise ValueError("is no finite number")
    words = f"{Decimal(repr(float(value))) if isinstance(value, float) else value:f}"
    words = words.rstrip("0").rstrip(".") if "." in words else words
    return "0" if words in ("-0", "") else words


def json_value(value: Any) -> Any:
    """Return a plain value as JSON can say it: times in ISO 8601, numbers that JSON would round as text.

    Entries of mappings that are ``None`` are left out.

    :param value: from :func:`plain`
    :raises ValueError: for what JSON can't say
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return without_marks(value)
    if isinstance(value, Mapping):
        return {_key(name): json_value(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [json_value(inner) for inner in value]
    if isinstance(value, (int, float, Decimal)):
        words = number_text(value)
        if isinstance(value, Decimal) and "." in words:
            return words
        return value if isinstance(value, float) and "." in words else _whole(words)
    if isinstance(value, date):
        return value.isoformat()
    raise ValueError(f"holds a {type(value).__name__}, which is no text, number, boolean, date, list or mapping")


def _whole(words: str) -> int | str:
    number = int(words)
    return number if abs(number) < EXACT else words


def _key(name: Any) -> str:
    if isinstance(name, str):
        return name
    if isinstance(name, (int, float, Decimal)) and not isinstance(name, bool):
        return number_text(name)
    raise ValueError("holds a mapping with a key that is no text")
