"""``@task.leads_filter`` and ``@task.leads_map``: a Python function over leads, between the extract and the upsert."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    Context,
    DecoratedOperator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import Templated
from airflow_providers_leads.tasks.arguments import as_count, given
from airflow_providers_leads.tasks.inputs import as_result, uri_in
from airflow_providers_leads.tasks.lineage import Datasets
from airflow_providers_leads.tasks.paths import file_name, resolve_folder, storage_path
from airflow_providers_leads.tasks.progress import Progress, phase

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskDecorator


class LeadsFunctionOperator(DecoratedOperator, LeadsOperator):
    """Base of the operators behind the decorators: streams a file of leads through a function into another file.

    The function's first parameter receives the batches; the task is called with the file in its place: the result of an
    extract or of a merge, or a URI. Further arguments and the task's context reach the function as with ``@task``.

    :param output: URI prefix (a folder) or the URI of a ``.parquet`` file; default below ``[leads] staging``
    :param form: of a batch: ``dicts`` (default, a list of one dict per lead) or ``arrow`` (a ``pyarrow.Table``)
    :param batch_rows: leads per batch; default 1,000
    """

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, "output_uri", "form", "batch_rows")
    stages = True
    ui_color = "#f1f7e4"
    datasets = Datasets(reads=("inputs",), writes=("uri", "golden"))
    choices: ClassVar[Mapping[str, Sequence[str]]] = {"form": ("dicts", "arrow")}
    work: ClassVar[str]
    """Name of the function in :mod:`airflow_providers_leads.leads.merge.functions`, which the file is called after."""
    suffix: ClassVar[str]

    def __init__(
        self,
        *,
        output: Templated[str] | None = None,
        form: Templated[str] = "dicts",
        batch_rows: Templated[int] = 1_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_uri: Any = output
        self.form: Any = form
        self.batch_rows: Any = batch_rows
        self.inputs: Any = None

    def run(self, context: Context) -> dict[str, Any]:
        """Stream the file through the function; see the class."""
        from airflow_providers_leads.leads.merge import functions

        if self.form not in functions.FORMS:
            raise ValueError(f"form must be one of {', '.join(functions.FORMS)}")
        batch_rows = as_count("batch_rows", self.batch_rows)
        source, function = self._bound(context)
        source = as_result(source)
        result = dict(source) if isinstance(source, Mapping) else {}
        key = "golden" if "golden" in result else "uri"
        self.inputs = uri = uri_in(source, key)
        target = self._target(uri, result, context)
        progress = Progress(self.log, f"{self.task_id}: read")
        work = getattr(functions, self.work)
        with phase(self.log, f"Apply the function to {uri}"):
            counts: dict[str, int] = work(
                storage_path(uri), storage_path(target), function,
                form=self.form, batch_rows=batch_rows, progress=progress.at,
            )  # fmt: skip
        self.log.info("%s: %s", self.task_id, ", ".join(f"{name} {number}" for name, number in counts.items()))
        if key == "golden":
            # Of a merge's result "rejects" is a file, and "rows" are those of all its files.
            counts.pop("rejects")
            return {**result, **counts, "golden": target, "rows": {**result["rows"], "golden": counts["rows"]}}
        # Not what a CRM holds any more: taken for that, it would have people created a second time.
        return {**result, **counts, "uri": target, "complete": False}

    def _bound(self, context: Context) -> tuple[Any, Callable[[Any], Any]]:
        """Return the file that the task was called with, and the function with all its other arguments."""
        positional, named = list(self.op_args), dict(self.op_kwargs)
        first = next(iter(inspect.signature(self.python_callable).parameters), "")
        if positional:
            source = positional.pop(0)
        elif first in named:
            source = named.pop(first)
        else:
            raise ValueError(f"{self.task_id}: give the task the result of an extract or a merge, or a URI")
        if not isinstance(source, (str, Mapping)):
            raise ValueError(
                f"{self.task_id}: it takes one file. Of the results of a mapped task, map it over them: "
                f"{self.python_callable.__name__}.expand({first}=extract.output)"
            )
        values = dict(context)
        context_merge(values, named)  # type: ignore[arg-type]
        values.pop(first, None)
        usable = determine_kwargs(self.python_callable, [None, *positional], values)
        return source, lambda batch: self.python_callable(batch, *positional, **usable)

    def _target(self, source: str, result: Mapping[str, Any], context: Context) -> str:
        uri = resolve_folder(self.output_uri, context)
        if not uri.endswith(".parquet"):
            name = given(result.get("conn_id")) or source.rpartition("/")[2].split(".")[0]
            uri = f"{uri}/{file_name(name, context)}.{self.suffix}.parquet"
        if uri == source:
            raise ValueError(f"{self.task_id}: output is the file that is read; a retry would be given the changed one")
        return uri


class LeadsFilterOperator(LeadsFunctionOperator):
    """Runs ``@task.leads_filter``; see :func:`leads_filter_task`."""

    custom_operator_name = "@task.leads_filter"
    work = "filter_leads"
    suffix = "kept"


class LeadsMapOperator(LeadsFunctionOperator):
    """Runs ``@task.leads_map``; see :func:`leads_map_task`."""

    custom_operator_name = "@task.leads_map"
    work = "map_leads"
    suffix = "mapped"


def leads_filter_task(
    python_callable: Callable[..., Any] | None = None,
    *,
    output: Templated[str] | None = None,
    form: Templated[str] = "dicts",
    batch_rows: Templated[int] = 1_000,
    **kwargs: Any,
) -> TaskDecorator:
    """Make a task of a function that says which leads go on.

    .. code-block:: python

        @task.leads_filter
        def from_germany(leads):
            return [lead["country"] == "DE" for lead in leads]

    Records that say that somebody opted out or bounced go on in any case: they are what keeps other records of that
    person from being written.

    :param python_callable: takes a batch and returns true or false for each of its leads
    :param output: see :class:`LeadsFunctionOperator`
    :param form: see :class:`LeadsFunctionOperator`
    :param batch_rows: see :class:`LeadsFunctionOperator`
    :param kwargs: those of any task
    :return: the result that the task was called with, of the file that was written: ``uri`` (of a merge: ``golden``),
        ``rows``, ``dropped``, ``protected``, ``rejects``, and ``complete`` false
    """
    options = {"output": output, "form": form, "batch_rows": batch_rows, **kwargs}
    return _decorator(LeadsFilterOperator, python_callable, options)


def leads_map_task(
    python_callable: Callable[..., Any] | None = None,
    *,
    output: Templated[str] | None = None,
    form: Templated[str] = "dicts",
    batch_rows: Templated[int] = 1_000,
    **kwargs: Any,
) -> TaskDecorator:
    """Make a task of a function that changes leads.

    .. code-block:: python

        @task.leads_map
        def tidy(leads):
            return [{"city": (lead["city"] or "").title()} for lead in leads]

    What the function leaves out of a lead stays as it is. Which record a row is can't be changed, nor can an opt-out or
    a bounce be taken back.

    :param python_callable: takes a batch and returns, for each of its leads, the fields to change
    :param output: see :class:`LeadsFunctionOperator`
    :param form: see :class:`LeadsFunctionOperator`
    :param batch_rows: see :class:`LeadsFunctionOperator`
    :param kwargs: those of any task
    :return: the result that the task was called with, of the file that was written: ``uri`` (of a merge: ``golden``),
        ``rows``, ``changed``, ``rejects``, and ``complete`` false
    """
    options = {"output": output, "form": form, "batch_rows": batch_rows, **kwargs}
    return _decorator(LeadsMapOperator, python_callable, options)


def _decorator(
    operator: type[LeadsFunctionOperator], function: Callable[..., Any] | None, options: dict[str, Any]
) -> TaskDecorator:
    make = partial(task_decorator_factory, decorated_operator_class=operator)
    return make(python_callable=function, **options)
