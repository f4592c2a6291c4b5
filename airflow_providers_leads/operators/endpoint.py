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

from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.tasks.arguments import as_bool, given
from airflow_providers_leads.tasks.returns import hand_over

# Attributes of every Airflow operator that mean something else: the reference to its result, and the address that
# gets a mail when the task fails. A lead's address under the latter name would be sent our failure reports.
_ATTRIBUTES: Final = {"output": "output_uri", "email": "contact_email", "label": "property_label"}

ROWS: Final = ("output",)
"""For ``hands_over``: the method returns rows, which go to a file."""
BATCH: Final = ("output", "on_failure", "max_failed")
"""For ``hands_over``: the method returns a batch result."""
_HANDING_OVER: Final[Mapping[str, tuple[Any, str]]] = {
    "output": (
        None,
        "URI of a ``.parquet``, ``.jsonl`` or ``.jsonl.gz`` file for the rows; without it they go to XCom, refused "
        "above 1,000",
    ),
    "on_failure": ("fail", "``fail`` (default) fails the task when more than ``max_failed`` failed, ``report`` warns"),
    "max_failed": (0, "failed inputs that are tolerated: a number, or a share below 1; default 0"),
}


class EndpointOperator(LeadsOperator):
    """Base of the operators that call one hook method.

    :cvar hook: dotted name of the hook class
    :cvar method: the hook method
    :cvar conn_parameter: the parameter that names the connection
    :cvar hands_over: :data:`ROWS`, :data:`BATCH`, or nothing when the method returns one small value
    """

    hook: ClassVar[str]
    method: ClassVar[str] = ""
    conn_parameter: ClassVar[str]
    hands_over: ClassVar[tuple[str, ...]] = ()
    arguments: ClassVar[Mapping[str, inspect.Parameter]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declared = {name: _declared(cls, name, hint) for name, hint in inspect.get_annotations(cls).items()}
        handing = {name: _parameter(name, _HANDING_OVER[name][0], "Any") for name in cls.hands_over}
        cls.arguments = {**cls.arguments, **{name: p for name, p in declared.items() if p}, **handing}
        taken = {_attribute(name) for name in cls.arguments} & set(dir(BaseOperator))
        if taken:
            raise TypeError(f"{cls.__name__}: {sorted(taken)} mean something else on an Airflow operator")
        for name in declared:
            # The defaults live in the signature; as class attributes they would hide a forgotten assignment.
            if name in cls.arguments and name in cls.__dict__:
                delattr(cls, name)
        cls.__doc__ = _with_shared_docs(cls)
        cls.template_fields = tuple(_attribute(name) for name in cls.arguments)
        cls.__init__ = _constructor(cls.arguments)  # type: ignore[method-assign]

    def call_arguments(self) -> dict[str, Any]:
        """Return the rendered arguments of the hook method; a template's way of saying nothing is left out.

        :raises ValueError: when a required argument rendered to nothing
        """
        values = {}
        for name, parameter in self.arguments.items():
            if name == self.conn_parameter or name in self.hands_over:
                continue
            value = getattr(self, _attribute(name))
            if parameter.annotation != "Any":
                # Where any value is welcome an empty text is one: it clears a field.
                value = given(value)
                if value is None and parameter.default is parameter.empty:
                    raise ValueError(f"{name} must not be empty")
            if value is not None:
                values[name] = _coerced(name, value, str(parameter.annotation))
        return values

    def run(self, context: Context) -> Any:
        """Call the hook method and hand its result over."""
        hook = resolve_name(self.hook)(getattr(self, self.conn_parameter))
        options = {name: getattr(self, _attribute(name)) for name in self.hands_over}
        result = getattr(hook, self.method)(**self.call_arguments())
        return hand_over(result, label=f"{hook.label}: {self.method}", log=self.log, **options)


def _attribute(parameter: str) -> str:
    return _ATTRIBUTES.get(parameter, parameter)


def _with_shared_docs(cls: type[EndpointOperator]) -> str:
    text = inspect.cleandoc(cls.__doc__ or "")
    shared = {name: _HANDING_OVER[name][1] for name in cls.hands_over}
    if cls.method:
        shared[cls.conn_parameter] = f"Airflow connection, default ``{cls.arguments[cls.conn_parameter].default}``"
    lines = [f":param {name}: {words}" for name, words in shared.items()]
    # Parameters stand together, before what is returned and raised.
    head, mark, tail = text.partition("\n:return")
    return "\n".join([head, *lines]) + mark + tail


def _declared(cls: type, name: str, hint: str) -> inspect.Parameter | None:
    return None if "ClassVar" in hint else _parameter(name, cls.__dict__.get(name, inspect.Parameter.empty), hint)


def _parameter(name: str, default: Any, hint: str) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _constructor(arguments: Mapping[str, inspect.Parameter]) -> Any:
    def __init__(self: Any, **kwargs: Any) -> None:
        mine = {name: kwargs.pop(name, parameter.default) for name, parameter in arguments.items()}
        LeadsOperator.__init__(self, **kwargs)
        for name, value in mine.items():
            setattr(self, _attribute(name), value)

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
