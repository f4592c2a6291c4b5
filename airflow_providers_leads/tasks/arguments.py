"""What a template may have made of an operator's argument.

Here it is decided what says nothing; what a value means is decided in :mod:`airflow_providers_leads.hooks.arguments`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.leads.model.values import NOTHING, is_missing, plain

_UNQUOTED: Final = re.compile(rf"""(?<!["']){NOTHING}|{NOTHING}(?!["'])""")


def given(value: Any) -> Any:
    """Return an argument as the Python value it is, ``None`` for the ways in which a template says "nothing".

    These are a missing value such as ``None`` or NaN, an empty text, and a text that is nothing but the word for one.
    """
    meant = plain(value)
    return None if isinstance(meant, str) and meant.strip() in ("", "None", "null") else meant


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


def given_entries(name: str, values: Any) -> dict[str, Any]:
    """Return the entries of a possibly templated mapping that say something; see :func:`given`.

    :raises ValueError: naming the argument, for what is no mapping
    """
    meant = given(values)
    entries = {} if meant is None else as_mapping(name, meant)
    return {key: value for key, value in entries.items() if given(value) is not None}


class RendersValues:
    """Mixin of operators and sensors: a template of a missing value is absent at every depth, and never its word.

    What a DAG's author or a lead has written as a word stays one, be it ``None``; an empty text clears a field; a text
    that looks like a number, such as that of a phone, stays a text when templates are rendered as native objects, too.
    """

    if not TYPE_CHECKING:

        def render_template(self, content: Any, context: Any, jinja_env: Any = None, seen_oids: Any = None) -> Any:
            """Render a template, as Airflow does."""
            if not isinstance(content, str):
                return super().render_template(content, context, jinja_env, seen_oids)
            if not any(mark in content for mark in ("{{", "{%", "{#")):
                return content
            marking = _marking(jinja_env or self.get_template_env())
            return _rendered(super().render_template(content, context, marking, seen_oids))


class _Text:
    """A text that Jinja doesn't take for another object's."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def _marking(environment: Any) -> Any:
    """Return a Jinja environment in which an expression of a missing value renders to a mark."""
    before = environment.finalize
    if hasattr(before, "jinja_pass_arg"):
        # One that takes Jinja's context can't be called from ours.
        return environment

    def finalize(value: Any) -> Any:
        final = value if before is None else before(value)
        if is_missing(final):
            return NOTHING
        return _Text(final) if isinstance(final, str) else final

    return environment.overlay(finalize=finalize)


def _rendered(value: Any) -> Any:
    """Return what was rendered, without the marks of missing values."""
    text = value.text if isinstance(value, _Text) else value
    if not isinstance(text, str) or NOTHING not in text:
        return text
    if not text.replace(NOTHING, "").strip():
        return None
    if text.lstrip()[:1] in ("[", "{", "("):
        # Of a list or mapping as text it is an entry: one in quotes is told when the text is read.
        return _UNQUOTED.sub("None", text)
    return text.replace(NOTHING, "")


def as_bool(name: str, value: Any) -> bool:
    """Return a possibly templated switch as a boolean.

    :raises ValueError: naming the argument; guessing could turn a dry run into a real one
    """
    answer: bool = _checks().boolean(name, value)
    return answer


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return a possibly templated choice.

    :raises ValueError: naming the argument, the choices and the nearest of them
    """
    meant = given(value)
    if not isinstance(meant, str) or meant not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}{nearest(str(value), choices)}")
    return meant


def as_count(name: str, value: Any) -> int:
    """Return a possibly templated whole number of at least 1.

    :raises ValueError: naming the argument
    """
    number: int = _checks().whole(name, value, 1)
    return number


def as_entries(name: str, value: Any) -> list[Any]:
    """Return a possibly templated list, see :func:`~airflow_providers_leads.hooks.arguments.items`.

    :raises ValueError: naming the argument
    """
    entries: list[Any] = _checks().items(name, value, split=True)
    return entries


def as_mapping(name: str, value: Any) -> dict[str, Any]:
    """Return a possibly templated mapping without its missing values.

    :raises ValueError: naming the argument
    """
    entries: dict[str, Any] = _checks().mapping(name, value)
    return entries


def as_shown(name: str, value: Any) -> Any:
    """Return the mapping or list that a template, where it renders to text, shows; whatever else as it is.

    :raises ValueError: naming the argument, for a text that shows neither
    """
    meant = given(value)
    if not isinstance(meant, str):
        return meant
    if meant.strip()[:1] == "{":
        return _checks().conditions(name, meant)
    if meant.strip()[:1] in ("[", "("):
        return _checks().items(name, meant)
    raise ValueError(f"{name} must be a mapping or a list, not a text")


def _checks() -> Any:
    # The hooks' room is too much for a DAG file that is only parsed.
    from airflow_providers_leads.hooks import arguments

    return arguments


def share(name: str, value: Any) -> float | None:
    """Return a possibly templated share, ``None`` where there is no limit.

    :raises ValueError: naming the argument
    """
    wanted = given(value)
    if wanted is None or wanted is False or str(wanted).strip().lower() == "false":
        return None
    try:
        number = float(wanted)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    # Nothing is more than NaN, and everything would be allowed.
    if not number >= 0:
        raise ValueError(f"{name} must be a share such as 0.5, or none")
    return number
