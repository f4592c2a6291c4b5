"""What a template may have made of an operator's argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def given(value: Any) -> Any:
    """Return ``None`` for the ways in which a template says "nothing": ``None``, an empty text, the word None."""
    return None if isinstance(value, str) and value.strip() in ("", "None", "null") else value


def given_entries(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the entries of a possibly templated mapping that say something; see :func:`given`."""
    return {name: value for name, value in (values or {}).items() if given(value) is not None}


def as_bool(name: str, value: Any) -> bool:
    """Return a possibly templated switch as a boolean.

    :raises ValueError: naming the argument; guessing could turn a dry run into a real one
    """
    words = {"true": True, "false": False, "1": True, "0": False}
    if isinstance(value, bool):
        return value
    if (found := words.get(str(value).strip().lower())) is None:
        raise ValueError(f"{name} must be true or false")
    return found


def as_count(name: str, value: Any) -> int:
    """Return a possibly templated whole number of at least 1.

    :raises ValueError: naming the argument
    """
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ValueError(f"{name} must be a whole number of at least 1")
    return number
