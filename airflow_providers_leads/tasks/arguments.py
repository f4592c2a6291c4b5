"""What a template may have made of an operator's argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def given(value: Any) -> Any:
    """Return ``None`` for the ways in which a template says "nothing": ``None``, an empty text, the word None."""
    return None if isinstance(value, str) and value.strip() in ("", "None", "null") else value


class Requested:
    """Optional arguments that were passed to an operator, and must not render to nothing.

    A list of people who must not be written, or a policy, that a template or another task turns out not to have is no
    wish to do without.

    :param operator: as its constructor leaves it
    :param names: of arguments whose default is ``None``, and of their attributes
    """

    def __init__(self, operator: Any, *names: str) -> None:
        self._names = [name for name in names if getattr(operator, name) is not None]

    def check(self, operator: Any) -> None:
        """Test the rendered arguments.

        :raises ValueError: naming the one that is nothing
        """
        for name in self._names:
            value = getattr(operator, name)
            entries = value if isinstance(value, (list, tuple)) else [value]
            if any(entry is None or given(entry) is None for entry in entries):
                raise ValueError(
                    f"{name} was asked for and renders to nothing: the template or the task that it comes from has no "
                    "such value. Mend that, or leave the argument out"
                )


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
