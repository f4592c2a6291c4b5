"""What callers hand over, as the values that the arguments of hooks and operators take."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.values import (
    EXACT,
    NOTHING_WORDS,
    Endless,
    json_value,
    number_text,
    plain,
    shown_in,
    without_marks,
)

MOST_DIGITS: Final = 40
"""Python makes no text of numbers of more than 4,300, and nobody has an id of more than these."""
_NAMES_SOMEBODY: Final = re.compile(r"(^|_)(ids?|email)(\[\d+\])?$|\['id'\]$")


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


def finite_text(name: str, value: float | Decimal) -> str:
    """Return a number as :func:`~airflow_providers_leads.leads.model.values.number_text` does.

    :raises ValueError: naming the argument, for infinity
    """
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
        return without_marks(meant)
    if isinstance(meant, int) and abs(meant) >= 10**MOST_DIGITS:
        raise ValueError(f"{name} is too large a number")
    words = str(meant) if isinstance(meant, int) else finite_text(name, meant)
    if identifies and ("." in words or (isinstance(meant, float) and abs(meant) >= EXACT)):
        raise ValueError(f"{name} must be an id: this number is no whole one, or was rounded on its way")
    return words


def _shown(name: str, value: str) -> Any:
    """Return what a text shows as JSON or as Python writes it."""
    for shown in shown_in(value):
        with suppress(ValueError, TypeError, RecursionError, MemoryError):
            return plain(shown)
    raise ValueError(f"{name} must be a list, or its JSON: this text can't be read as one")


def items(name: str, value: Any, *, split: bool = False) -> list[Any]:
    """Return a list of values as its entries; the characters of a text are never taken for them.

    :param name: of the argument, for the message
    :param value: a list or the like; a text that shows one as JSON or Python writes it
    :param split: true: also a single value, or a text of several separated by commas
    :raises ValueError: for anything else
    """
    meant = plain_value(name, value)
    if isinstance(meant, str) and meant.strip()[:1] in ("[", "{", "(", '"'):
        meant = _shown(name, meant.strip())
        meant = [meant] if split and isinstance(meant, str) else meant
    elif split and isinstance(meant, str):
        meant = [part.strip() for part in meant.split(",")]
    elif split and _is_number(meant):
        meant = [meant]
    if isinstance(meant, (str, bytes, Mapping)) or not isinstance(meant, Iterable):
        raise ValueError(f"{name} must be a list{'' if meant is None else f', not a {type(meant).__name__}'}")
    return list(meant)


def id_texts(name: str, value: Any) -> list[str]:
    """Return ids as texts, in their order, doubles too; a single text is no list of them.

    :raises ValueError: naming the id that is empty or none
    """
    ids = [text_value(f"{name}[{index}]", item) for index, item in enumerate(items(name, value))]
    for index, one in enumerate(ids):
        if not one.strip():
            raise ValueError(f"{name}[{index}] must not be empty")
    return ids


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


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Return a mapping without its missing values; a text may show one as JSON or Python writes it.

    :raises ValueError: for anything else
    """
    meant = plain_value(name, value)
    if isinstance(meant, str) and meant.strip()[:1] == "{":
        meant = _shown(name, meant.strip())
    if not isinstance(meant, dict):
        raise ValueError(f"{name} must be a mapping{'' if meant is None else f', not a {type(meant).__name__}'}")
    return {key: inner for key, inner in _named(name, meant).items() if inner is not None}


def _named(name: str, entries: dict[Any, Any]) -> dict[str, Any]:
    if all(isinstance(key, str) for key in entries):
        return entries
    if not all(isinstance(key, str) or _is_number(key) for key in entries):
        raise ValueError(f"{name} must have texts as its keys")
    return {text_value(name, key): inner for key, inner in entries.items()}


def mappings(name: str, value: Any) -> list[dict[str, Any]]:
    """Return a list of mappings, whose missing values are ``None``; parameters as for :func:`items`.

    :raises ValueError: naming the entry that is none
    """
    entries = items(name, value)
    for index, entry in enumerate(entries):
        where = f"{name}[{index}]"
        entries[index] = _named(where, entry) if isinstance(entry, dict) else mapping(where, entry)
    return entries


def conditions(name: str, value: Any) -> dict[str, Any] | list[dict[str, Any]]:
    """Return one mapping, in which ``None`` is a value, or a list of mappings; a text may show either.

    :raises ValueError: for anything else
    """
    meant = plain_value(name, value)
    if isinstance(meant, str) and meant.strip()[:1] == "{":
        meant = _shown(name, meant.strip())
    return _named(name, meant) if isinstance(meant, dict) else mappings(name, meant)


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
    if meant is None or (isinstance(meant, str) and meant.strip() in ("", "null")):
        return None
    entries = None
    if isinstance(meant, (str, list)):
        entries = items(name, meant, split=True)
    if not entries or not all(isinstance(entry, str) or _is_number(entry) for entry in entries):
        raise ValueError(f"{name} must be a list of ids, each a text or a whole number, none of them empty")
    ids = [text_value(f"{name}[{index}]", entry, identifies=True).strip() for index, entry in enumerate(entries)]
    if "" in ids:
        raise ValueError(f"{name} must be a list of ids, none of them empty")
    return list(dict.fromkeys(ids))


def addresses(name: str, value: Iterable[str]) -> dict[str, str]:
    """Return email key → address as given, each person once; what is no address is left out.

    :raises ValueError: when a single text is given where a list belongs
    """
    found: dict[str, str] = {}
    for address in texts(name, value):
        if key := email_key(address):
            found.setdefault(key, address)
    return found
