"""Metrics as tables: a funnel's KPIs, charts and insights, and campaigns' counters, to Parquet or a SQL database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Unpack

from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.http.errors import LeadsNotFoundError
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import OperatorArguments, Templated
from airflow_providers_leads.tasks.arguments import given
from airflow_providers_leads.tasks.paths import check_local, safe_name, storage_path, uri_or_none

if TYPE_CHECKING:
    from airflow_providers_leads.leads.model.metrics import MetricRow, MetricTable

__all__ = ["PersistIQExportCampaignStatsOperator", "PerspectiveExportMetricsOperator"]

_STALE: Final = timedelta(days=1)


class PerspectiveExportMetricsOperator(LeadsOperator):
    """Read the metrics of one funnel over a time range into tidy rows: one number per row.

    Columns: ``source, funnel_id, metric, key, value, count, start, end, offset, fetched_at``. A repeated run replaces
    what it wrote: the file, and in the database exactly the rows of this funnel, window, offset and these metrics.

    .. code-block:: python

        PerspectiveExportMetricsOperator(
            task_id="metrics",
            funnel_id="64f0c2a9e1b2c3d4e5f60718",
            start="{{ data_interval_start }}",
            end="{{ data_interval_end }}",
            offset="Europe/Berlin",
            sql_conn_id="warehouse",
        )

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param start: begin, aware: a datetime or ISO text with an offset, to the millisecond
    :param end: end, aware, after ``start``. Since Airflow 3 ``schedule="@daily"`` alone makes intervals of no length:
        use ``CronDataIntervalTimetable`` for days
    :param offset: minutes from UTC by which day boundaries move, or a time zone name; default 0
    :param kpis: KPI subtypes, a list or its text; default all nine, ``[]`` for none
    :param charts: chart subtypes, a list or its text; default all seven, ``[]`` for none
    :param insights: tracking ids of questions, a list or its text; default none, as the API can't list them
    :param ab_test: ``all``, ``original`` or ``variant`` for ``chart_page_to_page_conversion_rate``, whose metric then
        ends in it
    :param perspective_conn_id: Airflow connection, default ``perspective_default``
    :param output: URI prefix (a folder; the file is named after funnel and window) or URI of a ``.parquet`` file
    :param sql_conn_id: connection of a SQL database, of any type whose hook is a ``DbApiHook``
    :param table: its table, made when missing, ``schema.table`` also; default ``perspective_metrics``
    :return: ``rows``, ``metrics`` (asked for), ``empty`` (those without data), ``uri`` and ``table`` where written, and
        ``funnel_id``, ``start``, ``end``, ``offset``
    :raises LeadsApiError: when the API can't be read; "not found", as funnels without data answer, is an empty metric
    :raises LeadsNotFoundError: when the funnel itself is not there; what was written of it before stays
    :raises ValueError: for a bad argument, or neither ``output`` nor ``sql_conn_id``, before the first request
    """

    template_fields: Sequence[str] = (
        "funnel_id", "start", "end", "offset", "kpis", "charts", "insights", "ab_test", "perspective_conn_id",
        "output_uri", "sql_conn_id", "table",
    )  # fmt: skip
    ui_color = "#e8e4ff"

    def __init__(
        self,
        *,
        funnel_id: Templated[str],
        start: Templated[datetime],
        end: Templated[datetime],
        offset: Templated[int | str] = 0,
        kpis: Templated[Iterable[str]] | None = None,
        charts: Templated[Iterable[str]] | None = None,
        insights: Templated[Iterable[str]] | None = (),
        ab_test: Templated[str] | None = None,
        perspective_conn_id: Templated[str] = "perspective_default",
        output: Templated[str] | None = None,
        sql_conn_id: Templated[str] | None = None,
        table: Templated[str] = "perspective_metrics",
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.funnel_id: Any = funnel_id
        self.start: Any = start
        self.end: Any = end
        self.offset: Any = offset
        self.kpis: Any = kpis
        self.charts: Any = charts
        self.insights: Any = insights
        self.ab_test: Any = ab_test
        self.perspective_conn_id: Any = perspective_conn_id
        # Not "output": Airflow's operators have a property of that name, the reference to their result.
        self.output_uri: Any = output
        self.sql_conn_id: Any = sql_conn_id
        self.table: Any = table

    def run(self, context: Context) -> dict[str, Any]:
        """Read and write; see the class."""
        from airflow_providers_leads.hooks.arguments import offset_minutes, one_of, window, wire_time
        from airflow_providers_leads.hooks.perspective import metrics
        from airflow_providers_leads.hooks.perspective.api import WHERE_FUNNEL_IDS_ARE
        from airflow_providers_leads.hooks.perspective.fields import AB_TEST_CHART
        from airflow_providers_leads.hooks.perspective.hook import (
            AB_TESTS,
            CHART_SUBTYPES,
            KPI_SUBTYPES,
            PerspectiveHook,
        )
        from airflow_providers_leads.leads.model.metrics import MetricWindow

        funnel_id = _required("funnel_id", self.funnel_id)
        start, end = map(_to_milliseconds, window("start", self.start, "end", self.end))
        offset = offset_minutes("offset", 0 if given(self.offset) is None else self.offset, start)
        if offset_minutes("offset", 0 if given(self.offset) is None else self.offset, end) != offset:
            self.log.warning(
                "The clocks change in %s between %s and %s, and the API takes one offset for all of it (%d minutes): "
                "after the change days and hours of charts are off. Read longer spans day by day.",
                self.offset, start, end, offset,
            )  # fmt: skip
        kpis = _chosen("kpis", self.kpis, KPI_SUBTYPES)
        charts = _chosen("charts", self.charts, CHART_SUBTYPES)
        insights = _chosen("insights", self.insights, None)
        if not (kpis or charts or insights):
            raise ValueError("kpis, charts and insights are all empty: name at least one metric")
        if (ab_test := given(self.ab_test)) is not None:
            one_of("ab_test", ab_test, AB_TESTS)
            if AB_TEST_CHART not in charts:
                raise ValueError(f"ab_test is only for {AB_TEST_CHART}, which is not among charts")
        sink = _Sink(metrics.PERSPECTIVE_METRICS, self.output_uri, self.sql_conn_id, self.table)

        hook = PerspectiveHook(self.perspective_conn_id)
        asked_at = datetime.now(UTC)
        asked = MetricWindow(scope_id=funnel_id, start=start, end=end, offset=offset, fetched_at=asked_at)
        span: dict[str, Any] = {"start": start, "end": end, "offset": offset, "empty_on_not_found": True}
        rows: list[MetricRow] = []
        names: list[str] = []
        for subtype in kpis:
            names.append(subtype)
            rows += metrics.kpi_rows(asked, subtype, hook.get_kpi(funnel_id, subtype, **span))
        for subtype in charts:
            variant = ab_test if subtype == AB_TEST_CHART else None
            names.append(metrics.chart_metric(subtype, variant))
            rows += metrics.chart_rows(asked, names[-1], hook.get_chart(funnel_id, subtype, ab_test=variant, **span))
        for insight_id in insights:
            names += metrics.insight_metrics(insight_id)
            rows += metrics.insight_rows(asked, insight_id, hook.get_insight(funnel_id, insight_id, **span))

        empty = [name for name in names if name not in {row.metric for row in rows}]
        self.log.info("%s: %d rows of %d metrics of funnel %s", hook.label, len(rows), len(names), funnel_id)
        if empty:
            if hook.is_gone(funnel_id):
                # What was measured while it was there is not to be replaced by nothing.
                raise LeadsNotFoundError(
                    f"{hook.label}: funnel '{funnel_id}' is not there, or not for this key, so that nothing was "
                    f"written. {WHERE_FUNNEL_IDS_ARE} Leave the funnel out if it was deleted.",
                    not_found=True,
                )
            # A misspelt id looks the same to the API.
            self.log.warning("No data for %s: %s", funnel_id, ", ".join(empty))
        replaced = [
            {"source": metrics.PERSPECTIVE_METRICS.source, "funnel_id": funnel_id, "start": start, "end": end}
            | {"offset": offset, "metric": name}
            for name in names
        ]
        stem = f"{safe_name(funnel_id)}.{_compact(start)}-{_compact(end)}.{offset}"
        written = sink.write(stem, replaced, rows)
        return {
            **written,
            "metrics": len(names),
            "empty": len(empty),
            "funnel_id": funnel_id,
            "start": wire_time(start),
            "end": wire_time(end),
            "offset": offset,
        }


class PersistIQExportCampaignStatsOperator(LeadsOperator):
    """Read the counters of campaigns, as they are now, into tidy rows: one counter per row.

    The API has no history of them, so each run takes a snapshot. Columns: ``source, campaign_id, metric, key, value,
    count, start, end, offset, fetched_at``; ``start`` and ``end`` both are ``snapshot_at``. A repeated run replaces
    what it wrote under the same ``snapshot_at``, with the counters of its own moment.

    .. code-block:: python

        PersistIQExportCampaignStatsOperator(task_id="stats", sql_conn_id="warehouse")

    https://apidocs.persistiq.com/#campaigns

    :param campaign_id: the campaign; default all
    :param snapshot_at: aware time that names the snapshot, to the millisecond; default the end of the run's data
        interval, else its logical date, else the time it was due
    :param persistiq_conn_id: Airflow connection, default ``persistiq_default``
    :param output: URI prefix (a folder; the file is named after campaign or connection, and snapshot) or URI of a
        ``.parquet`` file
    :param sql_conn_id: connection of a SQL database, of any type whose hook is a ``DbApiHook``
    :param table: its table, made when missing, ``schema.table`` also; default ``persistiq_campaign_stats``
    :return: ``rows``, ``campaigns``, ``uri`` and ``table`` where written, and ``snapshot_at``
    :raises LeadsNotFoundError: when there is no such campaign
    :raises ValueError: for a bad argument, or neither ``output`` nor ``sql_conn_id``, before the first request
    """

    template_fields: Sequence[str] = (
        "campaign_id", "snapshot_at", "persistiq_conn_id", "output_uri", "sql_conn_id", "table",
    )  # fmt: skip
    ui_color = "#e4f0ff"

    def __init__(
        self,
        *,
        campaign_id: Templated[str] | None = None,
        snapshot_at: Templated[datetime] | None = None,
        persistiq_conn_id: Templated[str] = "persistiq_default",
        output: Templated[str] | None = None,
        sql_conn_id: Templated[str] | None = None,
        table: Templated[str] = "persistiq_campaign_stats",
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.campaign_id: Any = campaign_id
        self.snapshot_at: Any = snapshot_at
        self.persistiq_conn_id: Any = persistiq_conn_id
        self.output_uri: Any = output
        self.sql_conn_id: Any = sql_conn_id
        self.table: Any = table

    def run(self, context: Context) -> dict[str, Any]:
        """Read and write; see the class."""
        from airflow_providers_leads.hooks.arguments import instant, wire_time
        from airflow_providers_leads.hooks.persistiq import PersistIQHook, metrics
        from airflow_providers_leads.leads.model.metrics import MetricWindow

        named = given(self.snapshot_at)
        snapshot_at = _to_milliseconds(instant("snapshot_at", _time_of_run(context) if named is None else named))
        campaign_id = None if given(self.campaign_id) is None else str(self.campaign_id).strip()
        table = metrics.PERSISTIQ_CAMPAIGN_STATS
        sink = _Sink(table, self.output_uri, self.sql_conn_id, self.table)

        hook = PersistIQHook(self.persistiq_conn_id)
        asked_at = datetime.now(UTC)
        if abs(asked_at - snapshot_at) > _STALE:
            self.log.warning(
                "The counters are those of now, but go under %s: PersistIQ has no history of them", snapshot_at
            )
        rows: list[MetricRow] = []
        replaced = []
        for found_id, stats in _campaigns(hook, campaign_id):
            asked = MetricWindow(scope_id=found_id, start=snapshot_at, end=snapshot_at, fetched_at=asked_at)
            rows += metrics.campaign_rows(asked, stats)
            replaced.append(
                {"source": table.source, "campaign_id": found_id, "start": snapshot_at, "end": snapshot_at, "offset": 0}
            )
        self.log.info("%s: %d rows of %d campaigns", hook.label, len(rows), len(replaced))
        stem = f"{safe_name(campaign_id or self.persistiq_conn_id)}.{_compact(snapshot_at)}"
        written = sink.write(stem, replaced, rows)
        return {**written, "campaigns": len(replaced), "snapshot_at": wire_time(snapshot_at)}


class _Sink:
    """Where the rows go, checked before they are read.

    :param table: what the rows are of
    :param output: as given to the operator
    :param sql_conn_id: as given to the operator
    :param name: of the table in the database
    :raises ValueError: when neither is given, or the name is none
    """

    def __init__(self, table: MetricTable, output: Any, sql_conn_id: Any, name: Any) -> None:
        self.table = table
        self.uri = uri_or_none("output", output)
        self.name = None
        if self.uri is None and given(sql_conn_id) is None:
            raise ValueError("output or sql_conn_id must be given, or both: a URI for Parquet, a SQL connection")
        if self.uri is not None:
            check_local(str(self.uri).rstrip("/"))
        if given(sql_conn_id) is not None:
            from airflow_providers_leads.tasks.sources.metrics_sql import check_table, sql_hook

            self.name = check_table(name)
            self.sql_conn_id = str(sql_conn_id)
            self.sql = sql_hook(self.sql_conn_id)

    def write(self, stem: str, replaced: Sequence[Mapping[str, Any]], rows: Sequence[MetricRow]) -> dict[str, Any]:
        """Write the rows and return their number, and where they are.

        :param stem: of the file when ``output`` is a folder
        :param replaced: what the database shall forget first
        :param rows: the rows
        """
        written: dict[str, Any] = {"rows": len(rows)}
        if self.uri is not None:
            from airflow_providers_leads.leads.model.metrics import write_metrics

            folder = self.uri.rstrip("/")
            written["uri"] = folder if folder.endswith(".parquet") else f"{folder}/{stem}.parquet"
            write_metrics(storage_path(written["uri"]), self.table, rows)
        if self.name is not None:
            from airflow_providers_leads.tasks.sources.metrics_sql import replace_rows

            written |= {"table": self.name, "sql_conn_id": self.sql_conn_id}
            replace_rows(self.sql, self.name, self.table, replaced, rows)
        return written


def _campaigns(hook: Any, campaign_id: str | None) -> Iterable[tuple[str, Any]]:
    """Yield the id and the counters of one campaign or all; the API has no way to read a single one."""
    for campaign in hook.list_campaigns():
        found_id = str(campaign.get("id") or "")
        if found_id and campaign_id in (None, found_id):
            yield found_id, campaign.get("stats")
            if campaign_id is not None:
                return
    if campaign_id is not None:
        raise LeadsNotFoundError(f"{hook.label}: campaign '{campaign_id}' was not found", not_found=True)


def _time_of_run(context: Mapping[str, Any]) -> Any:
    """Return the time that a run stands for; one that was triggered without a logical date has no data interval."""
    run: Any = context["dag_run"]
    return run.data_interval_end or run.logical_date or run.run_after


def _required(name: str, value: Any) -> str:
    if given(value) is None:
        raise ValueError(f"{name} must not be empty")
    return str(value).strip()


def _chosen(name: str, value: Any, known: Sequence[str] | None) -> list[str]:
    """Return the metrics that were chosen, each once.

    :param name: of the argument, for the message
    :param value: a list or its text; ``None`` for all
    :param known: those that there are, ``None`` when only the user knows
    :raises ValueError: when one is unknown or empty
    """
    from airflow_providers_leads.hooks.arguments import id_list, one_of

    meant = given(value)
    if meant is None:
        return list(known or ())
    # An empty list is a choice, unlike an empty text, which is what a template makes of nothing.
    if meant == [] or (isinstance(meant, str) and _is_empty_list(meant)):
        return []
    chosen = id_list(name, meant) or []
    return chosen if known is None else [one_of(name, item, known) for item in chosen]


def _is_empty_list(text: str) -> bool:
    try:
        return bool(json.loads(text) == [])
    except ValueError:
        return text.strip() == "()"


def _to_milliseconds(value: datetime) -> datetime:
    """Return a time as it goes over the wire, so that rows, file names and questions agree."""
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def _compact(value: datetime) -> str:
    """Return a UTC time as part of a file name."""
    return f"{value:%Y%m%dT%H%M%S}.{value.microsecond // 1000:03d}Z"
