"""What a template may have made of an operator's argument.

Here it is decided what says nothing; what a value means is decided in :mod:`airflow_providers_leads.hooks.arguments`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_providers_leads.leads.model.values import NOTHING_WORDS, plain


def given(value: Any) -> Any:
    """Return an argument as the Python value it is, ``None`` for the ways in which a template says "nothing".

    These are a missing value such as ``None`` or NaN, an empty text, and a text that is nothing but the word for one.
    """
    meant = plain(value)
    return None if isinstance(meant, str) and meant.strip() in NOTHING_WORDS else meant


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
    meant = given(values) or {}
    return {name: value for name, value in meant.items() if given(value) is not None}


def rendered_value(template: Any, rendered: Any) -> Any:
    """Return what a template was rendered to: nothing, where it is the word that Jinja makes of a missing value.

    Only a whole template counts: what a DAG's author has written as a word stays one, be it ``None``, and so does an
    empty text, by which a field is cleared.

    :param template: the text, at any depth of an argument
    :param rendered: what Jinja made of it
    """
    missing = isinstance(template, str) and isinstance(rendered, str) and rendered != template
    return None if missing and rendered.strip() in NOTHING_WORDS - {""} else rendered


def as_bool(name: str, value: Any) -> bool:
    """Return a possibly templated switch as a boolean.

    :raises ValueError: naming the argument; guessing could turn a dry run into a real one
    """
    from airflow_providers_leads.hooks.arguments import boolean

    return boolean(name, value)


def as_count(name: str, value: Any) -> int:
    """Return a possibly templated whole number of at least 1.

    :raises ValueError: naming the argument
    """
    from airflow_providers_leads.hooks.arguments import whole

    return whole(name, value, 1)
