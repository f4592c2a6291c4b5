"""Operators whose annotations are their constructor's keyword arguments: those without a default are required."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Final, dataclass_transform

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import Argument, argument

_HANDING_OVER: Final[Mapping[str, str]] = {
    "output": "URI of a ``.parquet``, ``.jsonl`` or ``.jsonl.gz`` file for the rows; without it they go to XCom, "
    "refused above 1,000",
    "on_failure": "``fail`` (default) fails the task when more than ``max_failed`` failed, ``report`` warns",
    "max_failed": "failed inputs that are tolerated: a number, or a share below 1; default 0",
}


def _declaration(cls: type, attribute: str, hint: str) -> tuple[str, tuple[str, inspect.Parameter]]:
    value = cls.__dict__.get(attribute, inspect.Parameter.empty)
    default, alias = value if isinstance(value, Argument) else (value, None)
    name = alias or attribute
    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
    return name, (attribute, parameter)


def _with_shared_docs(cls: type[DeclaredOperator]) -> str:
    text = inspect.cleandoc(cls.__doc__ or "")
    if not cls.method:
        return text
    shared = {name: _HANDING_OVER[name] for name in cls.hands_over}
    shared[cls.conn_parameter] = f"Airflow connection, default ``{cls.arguments[cls.conn_parameter].default}``"
    lines = [f":param {name}: {words}" for name, words in shared.items()]
    # Parameters stand together, before what is returned and raised.
    head, mark, tail = text.partition("\n:return")
    return "\n".join([head, *lines]) + mark + tail


def _constructor(arguments: Mapping[str, inspect.Parameter], attributes: Mapping[str, str]) -> Any:
    def __init__(self: Any, **kwargs: Any) -> None:
        own = {name: kwargs.pop(name, parameter.default) for name, parameter in arguments.items()}
        LeadsOperator.__init__(self, **kwargs)
        for name, value in own.items():
            setattr(self, attributes[name], value)

    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rest = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)
    __init__.__signature__ = inspect.Signature([itself, *arguments.values(), rest])  # type: ignore[attr-defined]
    return __init__


@dataclass_transform(kw_only_default=True, field_specifiers=(argument,))
class DeclaredOperator(LeadsOperator):
    """Base of the operators whose annotations are their constructor's keyword arguments.

    :cvar arguments: by name, as the constructor takes them
    :cvar attributes: argument → attribute that holds it
    """

    arguments: ClassVar[Mapping[str, inspect.Parameter]] = {}
    attributes: ClassVar[Mapping[str, str]] = {}
    hands_over: ClassVar[tuple[str, ...]] = ()
    conn_parameter: ClassVar[str]
    method: ClassVar[str] = ""
    _declared: ClassVar[Mapping[str, tuple[str, inspect.Parameter]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        hints = inspect.get_annotations(cls)
        cls._declared = dict(_declaration(cls, name, hint) for name, hint in hints.items() if "ClassVar" not in hint)
        for attribute, _ in cls._declared.values():
            # The defaults live in the signature; as class attributes they would hide a forgotten assignment.
            if attribute in cls.__dict__:
                delattr(cls, attribute)
        everything: dict[str, tuple[str, inspect.Parameter]] = {}
        for base in reversed(cls.__mro__):
            everything |= base.__dict__.get("_declared", {})
        # Where the result goes comes last, whichever class says so.
        names = sorted(everything, key=lambda name: name in _HANDING_OVER)
        cls.arguments = {name: everything[name][1] for name in names}
        cls.attributes = {name: everything[name][0] for name in names}
        if taken := {*cls.attributes.values()} & set(dir(BaseOperator)):
            raise TypeError(f"{cls.__name__}: {sorted(taken)} mean something else on an Airflow operator")
        cls.__doc__ = _with_shared_docs(cls)
        cls.template_fields = tuple(cls.attributes.values())
        cls.__init__ = _constructor(cls.arguments, cls.attributes)  # type: ignore[method-assign]
