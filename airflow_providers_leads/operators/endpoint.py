"""Operators that are one hook call each, declared rather than written out.

A subclass names the hook's method and annotates its parameters; the constructor, ``template_fields`` and the handling
of what the method returns follow from that. The annotations are the constructor's keyword arguments: those without a
default are required.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.operators.declared import DeclaredOperator
from airflow_providers_leads.operators.signatures import Templated, argument
from airflow_providers_leads.tasks.arguments import as_bool, given
from airflow_providers_leads.tasks.returns import hand_over

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import DAG

_TEMPLATED: Final = re.compile(r"^Templated\[(.*)\]")


class EndpointOperator(DeclaredOperator):
    """Base of the operators that call one hook method.

    :cvar hook: dotted name of the hook class
    :cvar method: the hook method
    :cvar conn_parameter: the parameter that names the connection
    :cvar hands_over: the arguments that say what becomes of the result
    """

    hook: ClassVar[str]

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

    def call_arguments(self) -> dict[str, Any]:
        """Return the rendered arguments of the hook method; a template's way of saying nothing is left out.

        :raises ValueError: when a required argument rendered to nothing
        """
        values = {}
        for name, parameter in self.arguments.items():
            if name == self.conn_parameter or name in self.hands_over:
                continue
            value = getattr(self, self.attributes[name])
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
        options = {name: getattr(self, self.attributes[name]) for name in self.hands_over}
        result = getattr(hook, self.method)(**self.call_arguments())
        return hand_over(result, label=f"{hook.label}: {self.method}", log=self.log, **options)


class RowsOperator(EndpointOperator):
    """Base of the operators whose hook method returns rows, which go to a file."""

    hands_over: ClassVar[tuple[str, ...]] = ("output",)

    # An operator's "output" is the reference to its result.
    output_uri: Templated[str] | None = argument(default=None, alias="output")


class BatchOperator(RowsOperator):
    """Base of the operators whose hook method returns a batch result."""

    hands_over = ("output", "on_failure", "max_failed")

    on_failure: Templated[str] = "fail"
    max_failed: Templated[float] = 0


class EmailOperator(EndpointOperator):
    """Base of the operators that take somebody's address."""

    # An operator's "email" gets a mail when the task fails: a lead's address there would be sent our failure reports.
    contact_email: Templated[str] | None = argument(default=None, alias="email")
    if TYPE_CHECKING:
        email: Any = argument(init=False)


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
    return value
