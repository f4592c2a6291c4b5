"""Reports of runs: one self-contained HTML file each, to open, print or send."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import pendulum
from airflow.providers.common.compat.sdk import Context, conf

from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.links import ReportLink, report_url, reports_folder
from airflow_providers_leads.operators.signatures import OperatorArguments, References, Templated
from airflow_providers_leads.report import history
from airflow_providers_leads.report.files import MEMORY, RunFiles, metric_tables, metric_uris, uris_below
from airflow_providers_leads.report.metrics import entry, metrics_page
from airflow_providers_leads.report.metrics_facts import read_metrics
from airflow_providers_leads.report.page import write_text
from airflow_providers_leads.report.run import Run, failed_tasks, not_approved
from airflow_providers_leads.report.unlike import Limits, limits_in
from airflow_providers_leads.tasks.arguments import as_bool, as_count, given
from airflow_providers_leads.tasks.inputs import as_list
from airflow_providers_leads.tasks.paths import check_local, file_name, safe_name, storage_path, uri_or_none

if TYPE_CHECKING:
    from airflow_providers_leads.report.history import Entry

__all__ = ["LeadsMetricsReportOperator", "LeadsReportOperator"]


class _ReportOperator(LeadsOperator):
    """What all reports share: which files they are of, where they go, and the runs before."""

    template_fields: Sequence[str] = ("files", "inputs", "output_uri", "history")
    operator_extra_links = (ReportLink(),)
    ui_color = "#f3f0ff"

    beside: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        files: Templated[str] | None = None,
        inputs: References | None = None,
        output: Templated[str] | None = None,
        history: Templated[int] = 20,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.files: Any = files
        self.inputs: Any = inputs
        # Not "output": Airflow's operators have a property of that name, the reference to their result.
        self.output_uri: Any = output
        self.history: Any = history

    def run(self, context: Context) -> dict[str, Any]:
        """Write the report; see the class."""
        if given(self.files) is None and not given(self.inputs):
            raise ValueError("files or inputs must be given: the folder of a run's files, or the results of its tasks")
        most = as_count("history", self.history)
        folder = f"{_reports(self.output_uri)}/{safe_name(context['ti'].dag_id)}/{safe_name(context['ti'].task_id)}"
        uri = f"{folder}/{file_name(context['ti'].run_id, context)}.html"
        run = self._run_of(context)
        place = storage_path(folder)
        html, entry = self.make(run, self._found(), lambda: history.recent(place, most - 1, until=run.at))
        entry.report = uri.rpartition("/")[2]
        write_text(storage_path(uri), html)
        history.keep(place, entry)
        self.log.info("%s Report: %s", entry.summary, report_url(uri) or uri)
        return {"report": uri, "status": entry.status, "summary": entry.summary}

    def _run_of(self, context: Context) -> Run:
        dag_run: Any = context["dag_run"]
        now = pendulum.now("UTC")
        at: datetime = dag_run.logical_date or getattr(dag_run, "run_after", None) or now
        tasks = {task.task_id: task for task in self.dag.tasks} if self.has_dag() else {}  # type: ignore[no-untyped-call]
        return Run(
            dag_id=context["ti"].dag_id,
            run_id=context["ti"].run_id,
            at=at,
            started=dag_run.start_date,
            finished=now,
            failed=failed_tasks(context["ti"], tasks),
            rejected=not_approved(context["ti"], tasks),
        )

    def output_folder(self, context: Context) -> str | None:
        """Return the folder of the reports."""
        return _reports(self.output_uri)

    def _found(self) -> list[str]:
        """Return the URIs of all files below the given folder; a run that failed early has left none."""
        if (folder := uri_or_none("files", self.files)) is None:
            return []
        return uris_below(storage_path(folder.rstrip("/")), *self.beside)

    @abstractmethod
    def make(self, run: Run, found: Sequence[str], earlier: Callable[[], list[Entry]]) -> tuple[str, Entry]:
        """Return the page, and what is kept of it for later ones.

        :param run: what is known of the run
        :param found: URIs of the files below the folder
        :param earlier: returns the runs before
        """


class LeadsReportOperator(_ReportOperator):
    """Write what a sync did as one HTML file: who came from where and ended how, what changed, what to look at.

    The report is made of the files of the run's tasks, also of those that failed: let it run last whatever happens,
    without a say in whether the run succeeded, which is what a teardown task is.

    .. code-block:: python

        upsert >> LeadsReportOperator(task_id="report", files=FILES).as_teardown()

    :param files: URI prefix (a folder) below which the files of this run lie, and those of no other
    :param inputs: results of :class:`~airflow_providers_leads.operators.leads.LeadsExtractOperator` and the operators
        after it, for files that lie elsewhere; one or a list, nested as mapped tasks give them
    :param output: URI prefix (a folder) of the reports; the file is named after DAG, task and run, so that a repeated
        run replaces its own. Default ``[leads] reports``, else ``reports`` below ``[leads] staging``: what lies there
        is listed in Airflow under Browse
    :param history: runs that the trend shows, this one included; default 20
    :param show_addresses: true shows the addresses and values of the examples as they are, which are personal data;
        default false masks them
    :return: ``report`` (URI), ``status`` (``ok``, ``problem`` or ``planned``) and ``summary``, a sentence
    :raises ValueError: for a bad argument, or a damaged file, naming it
    """

    template_fields: Sequence[str] = (*_ReportOperator.template_fields, "show_addresses")
    beside = (MEMORY,)

    def __init__(
        self,
        *,
        files: Templated[str] | None = None,
        inputs: References | None = None,
        output: Templated[str] | None = None,
        history: Templated[int] = 20,
        show_addresses: Templated[bool] = False,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(files=files, inputs=inputs, output=output, history=history, **kwargs)
        self.show_addresses: Any = show_addresses

    def make(self, run: Run, found: Sequence[str], earlier: Callable[[], list[Entry]]) -> tuple[str, Entry]:
        """Return the page, and what is kept of it."""
        from airflow_providers_leads.report.sync import entry, sync_page
        from airflow_providers_leads.report.sync_facts import read_sync

        shown = as_bool("show_addresses", self.show_addresses)
        files = RunFiles()
        files.add_names(found)
        files.add_results(_as_results(self.inputs))
        run.files = files.all
        facts = read_sync(files, storage_path)
        html = sync_page(facts, run, earlier(), show_addresses=shown, limits=self._limits())
        return html, entry(facts, run)

    def _limits(self) -> Limits:
        try:
            return limits_in(conf.get("leads", "unlike", fallback=None) or "")
        except ValueError as error:
            # A report with other limits is worth more than none.
            self.log.warning("The Airflow option [leads] unlike can't be used: %s", error)
            return Limits()


class LeadsMetricsReportOperator(_ReportOperator):
    """Write funnels' metrics and campaigns' counters as one HTML file.

    Of each Perspective funnel: conversion by page, contacts over time, devices, sources, and the variants of an A/B
    test beside each other. Of each PersistIQ campaign: how many were contacted, opened and replied.

    .. code-block:: python

        LeadsMetricsReportOperator(task_id="report", inputs=[metrics.output, stats.output])

    :param files: URI prefix (a folder) below which the files of metrics lie. Of several windows of one funnel, and of
        several snapshots of one campaign, the last is shown
    :param inputs: results of
        :class:`~airflow_providers_leads.operators.metrics.PerspectiveExportMetricsOperator` and
        :class:`~airflow_providers_leads.operators.metrics.PersistIQExportCampaignStatsOperator`; one or a list, nested
        as mapped tasks give them. Of those without an ``output`` it says in which table their rows are
    :param output: see :class:`LeadsReportOperator`
    :param history: see :class:`LeadsReportOperator`
    :return: ``report`` (URI), ``status`` and ``summary``, a sentence
    :raises ValueError: for a bad argument, or a damaged file, naming it
    """

    def make(self, run: Run, found: Sequence[str], earlier: Callable[[], list[Entry]]) -> tuple[str, Entry]:
        """Return the page, and what is kept of it."""
        results = _as_results(self.inputs)
        uris = list(dict.fromkeys([*found, *metric_uris(results)]))
        run.files = [("metrics", uri) for uri in uris]
        facts = read_metrics(uris, storage_path)
        facts.tables = metric_tables(results)
        return metrics_page(facts, run), entry(facts, run)


def _as_results(value: Any) -> list[Any]:
    """Return results of tasks as a list, without those of tasks that were skipped."""
    results = [item for item in as_list(given(value)) if item is not None]
    if not all(isinstance(item, (str, Mapping)) for item in results):
        raise ValueError("inputs must be results of tasks, or URIs of files")
    return results


def _reports(output: Any) -> str:
    folder = uri_or_none("output", output) or reports_folder()
    if not folder:
        raise ValueError(
            "output is not given and neither of the Airflow options [leads] reports and [leads] staging is set: give "
            "one of them a URI such as s3://conn_id@bucket/leads"
        )
    check_local(str(folder).rstrip("/"))
    return str(folder).rstrip("/")
