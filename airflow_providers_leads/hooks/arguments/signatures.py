"""Makes values of what callers pass to the public methods of a hook, by the annotations of their parameters.

Spreadsheets, data frames, databases and templates hand over NaN, NumPy's numbers, or a list as text. Each method would
have to know; here it is known once, for the methods of every CRM, those outside of this package too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, Final, TypeVar

from airflow_providers_leads.hooks.arguments.checks import boolean
from airflow_providers_leads.hooks.arguments.values import (
    conditions,
    id_texts,
    items,
    mapping,
    mappings,
    optional,
    plain_value,
    text_value,
    texts,
)

F = TypeVar("F", bound=Callable[..., Any])
Convert = Callable[[str, Any], Any]

_TEXT, _FLAG, _IDS, _MAPPING = (optional(make) for make in (text_value, boolean, id_texts, mapping))
_MAPPINGS, _NAMES = optional(mappings), optional(partial(items, split=True))

BY_ANNOTATION: Final[Mapping[str, Convert]] = {
    "str": text_value,
    "str | int": text_value,
    "str | None": _TEXT,
    "str | int | None": _TEXT,
    "bool": boolean,
    "bool | None": _FLAG,
    "int": plain_value,
    "int | None": plain_value,
    "int | str": plain_value,
    "object": plain_value,
    "datetime | str": plain_value,
    "datetime | str | None": plain_value,
    "str | date | None": plain_value,
    "Mapping[str, Any]": mapping,
    "Mapping[str, object]": mapping,
    "Mapping[str, Any] | None": _MAPPING,
    "Mapping[str, object] | None": _MAPPING,
    "Iterable[Mapping[str, Any]]": mappings,
    "Sequence[Mapping[str, Any]]": mappings,
    "Iterable[Mapping[str, Any]] | None": _MAPPINGS,
    "Iterable[Mapping[str, Any] | str] | None": plain_value,
    "Iterable[Mapping[str, Any] | tuple[Any, Any]] | None": optional(items),
    "Iterable[int | str | Mapping[str, Any]] | None": _NAMES,
    "Iterable[str | int]": partial(items, split=True),
    "Sequence[str]": id_texts,
    "Sequence[str] | None": _IDS,
    "Iterable[object] | str | None": plain_value,
    "Iterable[str]": texts,
    "Names": _NAMES,
    "Filters": optional(conditions),
}
"""What becomes of an argument; one whose annotation is not among them is handed on as it is."""


def with_values(method: F) -> F:
    """Return a method that gets the values that its arguments are; itself where it has none to be made.

    :raises ValueError: when called with an argument that can't be one, naming it
    """
    parameters = list(inspect.signature(method).parameters.values())[1:]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    convert = {
        p.name: BY_ANNOTATION[str(p.annotation)]
        for p in parameters
        if p.kind in kinds and str(p.annotation) in BY_ANNOTATION
    }
    if not convert or hasattr(method, "__wrapped__"):
        return method
    in_order = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]

    @wraps(method)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = [
            convert[name](name, value) if name in convert else value
            for name, value in zip(in_order, args, strict=False)
        ]
        named = {name: convert[name](name, value) if name in convert else value for name, value in kwargs.items()}
        return method(self, *made, *args[len(made) :], **named)

    return checked  # type: ignore[return-value]


def give_values(cls: type) -> None:
    """Give every public method that a class defines the values of its arguments, see :func:`with_values`."""
    for name, member in list(vars(cls).items()):
        if not name.startswith("_") and inspect.isfunction(member):
            setattr(cls, name, with_values(member))
