"""Operators that are one hook call each, declared rather than written out.

A subclass names the hook's method and annotates its parameters; the constructor, ``template_fields`` and the handling
of what the method returns follow from that. The annotations are the constructor's keyword arguments: those without a
default are required.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from typing import Any, ClassVar, Final

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_providers_leads.operators.base import LeadsOperator, as_bool, given
from airflow_providers_leads.operators.returns import hand_over

# Attributes of every Airflow operator that mean something else: the reference to its result, and the address that gets
# a mail when the task fails. A lead's address under the latter name would be sent our failure reports.
_ATTRIBUTES: Final = {"output": "output_uri", "email": "contact_email", "label": "property_label"}
# Said once, so that it is the same in every operator.
_SHARED_DOCS: Final = {
    "output": "URI of a ``.parquet``, ``.jsonl`` or ``.jsonl.gz`` file for the rows; without it they go to XCom, "
    "refused above 1,000",
    "on_failure": "``fail`` (default) fails the task when more than ``max_failed`` inputs failed, ``report`` only warns",
    "max_failed": "failed inputs that are tolerated: a number, or a share below 1; default 0",
}
_HANDED_OVER: Final = frozenset({"output", "on_failure", "max_failed"})


class EndpointOperator(LeadsOperator):
    """Base of the operators that call one hook method.

    :cvar hook: dotted name of the hook class
    :cvar method: the hook method
    :cvar conn_parameter: the parameter that names the connection
    """

    hook: ClassVar[str]
    method: ClassVar[str] = ""
    conn_parameter: ClassVar[str]
    arguments: ClassVar[Mapping[str, inspect.Parameter]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name: _parameter(cls, name, hint) for name, hint in inspect.get_annotations(cls).items()}
        cls.arguments = {**cls.arguments, **{name: parameter for name, parameter in own.items() if parameter}}
        taken = {_ATTRIBUTES.get(name, name) for name in cls.arguments} & set(dir(BaseOperator))
        if taken:
            raise TypeError(f"{cls.__name__}: {sorted(taken)} mean something else on an Airflow operator")
        for name in own:
            # The defaults live in the signature; as class attributes they would hide a forgotten assignment.
            if name in cls.arguments and name in cls.__dict__:
                delattr(cls, name)
        cls.__doc__ = _with_shared_docs(cls)
        cls.template_fields = tuple(_ATTRIBUTES.get(name, name) for name in cls.arguments)
        cls.__init__ = _constructor(cls.arguments)  # type: ignore[method-assign]

    def call_arguments(self) -> dict[str, Any]:
        """Return the rendered arguments of the hook method; a template's way of saying nothing is left out."""
        values = {}
        for name, parameter in self.arguments.items():
            if name == self.conn_parameter or name in _HANDED_OVER:
                continue
            value = given(getattr(self, _ATTRIBUTES.get(name, name)))
            if value is not None:
                values[name] = _coerced(name, value, str(parameter.annotation))
        return values

    def run(self, context: Context) -> Any:
        """Call the hook method and hand its result over."""
        hook = resolve_name(self.hook)(getattr(self, self.conn_parameter))
        arguments = self.call_arguments()
        missing = [
            n for n, p in self.arguments.items() if p.default is p.empty and n not in (*arguments, *_HANDED_OVER)
        ]
        if missing:
            raise ValueError(f"{missing[0]} must not be empty")
        result = getattr(hook, self.method)(**arguments)
        options = {name: getattr(self, _ATTRIBUTES.get(name, name)) for name in _HANDED_OVER if name in self.arguments}
        return hand_over(result, label=f"{hook.label}: {self.method}", context=context, log=self.log, **options)


def _with_shared_docs(cls: type[EndpointOperator]) -> str:
    text = inspect.cleandoc(cls.__doc__ or "")
    shared = {name: words for name, words in _SHARED_DOCS.items() if name in cls.arguments}
    if conn := getattr(cls, "conn_parameter", None):
        shared[conn] = f"Airflow connection, default ``{cls.arguments[conn].default}``" if conn in cls.arguments else ""
    lines = [f":param {name}: {words}" for name, words in shared.items() if words and f":param {name}:" not in text]
    # Parameters stand together, before what is returned and raised.
    head, mark, tail = text.partition("\n:return")
    return "\n".join([head, *lines]) + mark + tail


def _parameter(cls: type, name: str, hint: str) -> inspect.Parameter | None:
    if "ClassVar" in str(hint):
        return None
    default = cls.__dict__.get(name, inspect.Parameter.empty)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _constructor(arguments: Mapping[str, inspect.Parameter]) -> Any:
    def __init__(self: Any, **kwargs: Any) -> None:
        mine = {name: kwargs.pop(name, parameter.default) for name, parameter in arguments.items()}
        LeadsOperator.__init__(self, **kwargs)
        for name, value in mine.items():
            setattr(self, _ATTRIBUTES.get(name, name), value)

    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rest = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)
    __init__.__signature__ = inspect.Signature([itself, *arguments.values(), rest])  # type: ignore[attr-defined]
    return __init__


def _coerced(name: str, value: Any, annotation: str) -> Any:
    """Return a rendered template as the type that the parameter has; anything else passes through."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, Iterator) else value
    kind = annotation.split("|")[0].strip()
    if kind == "bool":
        return as_bool(name, value)
    if kind == "int" and "str" not in annotation:
        try:
            return int(value)
        except ValueError:
            raise ValueError(f"{name} must be a whole number") from None
    return value
