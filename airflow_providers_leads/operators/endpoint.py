"""Operators that are one hook call each, declared rather than written out.

A subclass names the hook's method and annotates its parameters; the constructor, ``template_fields`` and the handling
of what the method returns follow from that. The annotations are the constructor's keyword arguments: those without a
default are required.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, Final, dataclass_transform

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_providers_leads.http.errors import LeadsApiError, LeadsRateLimitError
from airflow_providers_leads.leads.model.values import plain
from airflow_providers_leads.operators.base import LONGEST_DEFERRAL, LeadsOperator
from airflow_providers_leads.operators.signatures import ON_FAILURE, Argument, Templated, argument, is_templated
from airflow_providers_leads.tasks.arguments import Requested, as_bool, as_entries, given
from airflow_providers_leads.tasks.returns import check_output, hand_over

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import DAG

_TEMPLATED: Final = re.compile(r"^Templated\[(.*)\]")
# Passed and rendered to nothing, it would make of a customer's number the record of this id, which is somebody else's.
_SAYS_WHAT_AN_ID_IS: Final = frozenset({"id_property"})
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
        self._requested = Requested(self, *_SAYS_WHAT_AN_ID_IS.intersection(arguments))
        self.check()

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

    def check(self) -> None:
        """Refuse arguments that are known to be wrong when the DAG is parsed."""


class EndpointOperator(DeclaredOperator):
    """Base of the operators that call one hook method.

    :cvar hook: dotted name of the hook class
    :cvar method: the hook method
    :cvar conn_parameter: the parameter that names the connection
    :cvar hands_over: the arguments that say what becomes of the result
    :cvar columns: of a Parquet file when there are no rows: what the vendor documents of one
    :cvar once: every call does it anew, so that a task whose call may have taken effect is not retried
    """

    hook: ClassVar[str]
    once: ClassVar[bool] = False
    columns: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:
        # What Airflow's operators take, where their attributes are of narrower types or of other names.
        deferrable: bool = argument(default=False)
        dag: DAG | None = argument(default=None)  # type: ignore[assignment,mutable-override,unused-ignore]
        params: MutableMapping[str, Any] | None = argument(default=None)  # type: ignore[assignment]
        pool: str | None = argument(default=None)  # type: ignore[assignment]
        retry_delay: timedelta | float = argument(default=300.0)  # type: ignore[assignment]
        trigger_rule: str = argument(default="all_success")  # type: ignore[assignment]
        inlets: Any = argument(default=None)
        outlets: Any = argument(default=None)
        on_execute_callback: Any = argument(default=None)
        on_failure_callback: Any = argument(default=None)
        on_success_callback: Any = argument(default=None)
        on_retry_callback: Any = argument(default=None)
        on_skipped_callback: Any = argument(default=None)
        _pre_execute_hook: Any = argument(default=None, alias="pre_execute")
        _post_execute_hook: Any = argument(default=None, alias="post_execute")
        _task_display_name: str | None = argument(default=None, alias="task_display_name")
        _requested: Requested = argument(init=False)

    def call_arguments(self) -> dict[str, Any]:
        """Return the rendered arguments of the hook method; a template's way of saying nothing is left out.

        :raises ValueError: when a required argument rendered to nothing, or what says what an id means
        """
        self._requested.check(self)
        values = {}
        for name, parameter in self.arguments.items():
            if name == self.conn_parameter or name in self.hands_over:
                continue
            value = getattr(self, self.attributes[name])
            # Where any value is welcome an empty text is one: it clears a field.
            value = plain(value) if parameter.annotation == "Any" else given(value)
            if value is None and parameter.default is parameter.empty:
                raise ValueError(f"{name} must not be empty")
            if value is not None:
                values[name] = _coerced(name, value, str(parameter.annotation))
        return values

    def run(self, context: Context) -> Any:
        """Call the hook method and hand its result over."""
        hook = resolve_name(self.hook)(getattr(self, self.conn_parameter))
        options = {name: getattr(self, self.attributes[name]) for name in self.hands_over}
        arguments = self.call_arguments()
        try:
            result = getattr(hook, self.method)(**arguments)
        except LeadsApiError as error:
            raise self._final(error, arguments) from None
        self.check_result(result)
        return hand_over(result, label=f"{hook.label}: {self.method}", log=self.log, columns=self.columns, **options)

    def check_result(self, result: Any) -> None:
        """Refuse a result that is not to be handed over."""

    def does_it_again(self, arguments: Mapping[str, Any]) -> bool:
        """Tell whether a second call does a second time what the first one did.

        :param arguments: of the hook method
        """
        return self.once

    def _final(self, error: LeadsApiError, arguments: Mapping[str, Any]) -> Exception:
        from airflow_providers_leads.hooks.permanent import MAYBE_DONE, without_retries

        return without_retries(error, MAYBE_DONE) if error.ambiguous and self.does_it_again(arguments) else error


class RowsOperator(EndpointOperator):
    """Base of the operators whose hook method returns rows, which go to a file."""

    hands_over: ClassVar[tuple[str, ...]] = ("output",)

    # An operator's "output" is the reference to its result.
    output_uri: Templated[str] | None = argument(default=None, alias="output")

    def check(self) -> None:
        """Refuse an output that couldn't be written."""
        if not is_templated(self.output_uri):
            check_output(given(self.output_uri))

    def run(self, context: Context) -> Any:
        """Call the hook method and hand its result over; a file that can't be written is refused before."""
        check_output(given(self.output_uri))
        return super().run(context)


class BatchOperator(RowsOperator):
    """Base of the operators whose hook method returns a batch result.

    :cvar repeatable: the whole call may be made again after a part of it took effect
    """

    hands_over = ("output", "on_failure", "max_failed")
    choices = ON_FAILURE
    repeatable: ClassVar[bool] = False

    on_failure: Templated[str] = "fail"
    max_failed: Templated[float] = 0

    def check_result(self, result: Any) -> None:
        """Leave it to the triggerer to wait for what a quota kept from being sent.

        :raises LeadsRateLimitError: where the task may be deferred, and the call be made again without harm
        """
        wait = result.retry_after
        untouched = not (result.succeeded or any(failure.ambiguous for failure in result.failed))
        if self.deferrable and wait is not None and wait <= LONGEST_DEFERRAL and (self.repeatable or untouched):
            raise LeadsRateLimitError(result.ended_by, retry_after=wait)


class EmailOperator(EndpointOperator):
    """Base of the operators that take somebody's address."""

    # An operator's "email" gets a mail when the task fails: a lead's address there would be sent our failure reports.
    contact_email: Templated[str] | None = argument(default=None, alias="email")
    if TYPE_CHECKING:
        email: Any = argument(init=False)


_LIST: Final = re.compile(r"\bIds\b|Sequence\[(?:str|int)")
"""Annotations of arguments that take a list of plain values."""


def _coerced(name: str, value: Any, annotation: str) -> Any:
    """Return a rendered template as the type that the parameter has; anything else passes through."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, Iterator) else value
    kind = _TEMPLATED.sub(r"\1", annotation).split("|")[0].strip()
    if kind == "bool":
        return as_bool(name, value)
    if kind == "int" and "| str" not in annotation:
        try:
            return int(value)
        except ValueError:
            raise ValueError(f"{name} must be a whole number") from None
    if _LIST.search(annotation):
        # Taken as it is, a text would be a list of its letters: "9353" would be the contacts 9, 3 and 5.
        return as_entries(name, value)
    return value
