"""How operators declare their arguments, so that editors, type checkers and Airflow agree on them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Required, TypedDict, TypeVar, Union

from airflow.providers.common.compat.sdk import XComArg

from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.tasks.arguments import given

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import DAG, TaskGroup

T = TypeVar("T")

Templated = Union[T, str, XComArg]  # noqa: UP007  # a generic alias can't be written with bars before Python 3.12
"""A value, a template that renders to one, or the result of another task."""


ON_FAILURE: Final[Mapping[str, Sequence[str]]] = {"on_failure": ("fail", "report")}
"""For :attr:`CheckedArguments.choices`."""


_FILE: Final = re.compile(r"\.(parquet|jsonl?|csv)(\.gz)?$")
_EXPRESSION: Final = re.compile(r"{[{%].*?[%}]}", re.DOTALL)
_OF_THE_TASK: Final = re.compile(r"\b(ti|task|task_instance)\b")
"""What differs between the tasks that one operator is mapped to."""


class Argument(NamedTuple):
    """An argument whose attribute can't have its name.

    :param default: its default, ``inspect.Parameter.empty`` when it is required
    :param alias: what the constructor calls it; default as the attribute
    """

    default: Any
    alias: str | None


def argument(*, default: Any = inspect.Parameter.empty, alias: str | None = None, init: bool = True) -> Any:
    """Declare an argument of an endpoint operator whose attribute needs another name, as Airflow has it for its own.

    :param default: its default; without one it is required
    :param alias: what the constructor calls it
    :param init: false, for type checkers only, takes the name of an attribute of Airflow's off the constructor
    """
    return Argument(default, alias)


Reference = Union[str, Mapping[str, Any], XComArg]  # noqa: UP007  # a runtime alias of names that exist then
"""A URI, or another task's result."""
References = Union[Reference, Sequence[Reference]]  # noqa: UP007
"""One or several; the results of a mapped task count as several."""


class TaskArguments(TypedDict, total=False):
    """Arguments of every task but ``email``; see :class:`airflow.sdk.BaseOperator`."""

    task_id: Required[str]
    deferrable: bool
    owner: str
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: float
    max_retry_delay: timedelta | float | None
    retry_policy: Any
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    dag: DAG | None
    params: MutableMapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str | None
    pool_slots: int
    execution_timeout: timedelta | None
    on_execute_callback: Any
    on_failure_callback: Any
    on_success_callback: Any
    on_retry_callback: Any
    on_skipped_callback: Any
    pre_execute: Any
    post_execute: Any
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any
    outlets: Any
    task_group: TaskGroup | None
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None


class OperatorArguments(TaskArguments, total=False):
    """Arguments of every operator."""

    email: str | Sequence[str] | None
    """Who gets a mail when the task fails."""


class WaitArguments(TaskArguments, total=False):
    """Arguments of every sensor but ``email``; see :class:`airflow.sdk.BaseSensorOperator`."""

    poke_interval: timedelta | float
    timeout: timedelta | float
    soft_fail: bool
    mode: str
    exponential_backoff: bool
    max_wait: timedelta | float | None
    silent_fail: bool
    never_fail: bool


class SensorArguments(WaitArguments, total=False):
    """Arguments of every sensor."""

    email: str | Sequence[str] | None


class CheckedArguments:
    """Mixin of operators and sensors: a wrong argument is told when the DAG is parsed, with the nearest right one.

    Airflow alone says of a misspelt argument which other one is missing.

    :cvar choices: argument → the values that it takes; templates and results of tasks pass
    """

    choices: ClassVar[Mapping[str, Sequence[str]]] = {}

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            _check_arguments(cls, kwargs)
            return super().__new__(cls)

        @classmethod
        def partial(cls, **kwargs: Any) -> Any:
            """Return the operator with some of its arguments, to be mapped over others."""
            _check_arguments(cls, kwargs)
            _refuse_one_file(kwargs.get("output"))
            return super().partial(**kwargs)


def _refuse_one_file(output: Any) -> None:
    """Refuse an output that is one file for all tasks that are mapped: each would write over the others'."""
    if not isinstance(output, str) or not _FILE.search(output.strip()):
        return
    if not any(_OF_THE_TASK.search(expression) for expression in _EXPRESSION.findall(output)):
        raise ValueError(
            "output is one file for all mapped tasks, and each would write over the others': put {{ ti.map_index }} "
            "into its name, or give a folder where the operator takes one"
        )


def refuse_other(name: str, value: Any, choices: Iterable[str]) -> None:
    """Refuse a value that is known when a DAG is parsed and none of the right ones.

    :param name: of the argument
    :param value: its value; what says nothing, is a template or another task's result passes
    :param choices: the right ones
    :raises ValueError: naming them, and the nearest
    """
    choices = list(choices)
    if isinstance(value, str) and given(value) is not None and not is_templated(value) and value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}{nearest(value, choices)}")


def is_templated(value: Any) -> bool:
    """Tell whether a value, or a part of it, is known only when the task runs."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(is_templated(part) for entry in value.items() for part in entry)
    if isinstance(value, (list, tuple, set)):
        return any(is_templated(part) for part in value)
    return isinstance(value, XComArg)


def _check_arguments(cls: type[CheckedArguments], arguments: Mapping[str, Any]) -> None:
    # A constructor of somebody else's subclass may take what no signature tells of.
    if cls.__init__.__module__.startswith(__package__.partition(".")[0] + "."):
        own, known = _parameters(cls)
        for name in arguments:
            if name not in known and not name.startswith("_airflow_"):
                hint = nearest(name, own) or nearest(name, known) or f"; it has {', '.join(own)} and those of any task"
                raise TypeError(f"{cls.__name__} has no argument {name!r}{hint}")
    for name, choices in cls.choices.items():
        refuse_other(name, arguments.get(name), choices)


def _parameters(cls: type) -> tuple[list[str], set[str]]:
    """Return the names of a class's own arguments, and of those that it takes at all."""
    signatures = [
        inspect.signature(base.__dict__["__init__"]) for base in inspect.getmro(cls) if "__init__" in base.__dict__
    ]
    named = [
        [name for name, parameter in signature.parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
        for signature in signatures
        if signature.parameters
    ]
    return named[0], {name for names in named for name in names}
