"""Every day's metrics of every funnel, as tidy rows: nine KPIs and seven charts, one number per row.

Each funnel is a task of its own. The rows go to Parquet files below ``staging``, to a table of a SQL database when
``sql_conn_id`` is given, or both; running a day again replaces that day. Sixteen requests per funnel share the API's
100 per minute, so only two funnels are read at once.

A scheduled run reads the day that has just ended. Trigger it with ``start`` and ``end`` for any other time range.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import Param, conf, dag, task
from airflow.sdk import CronDataIntervalTimetable

from airflow_providers_leads.operators.metrics import PerspectiveExportMetricsOperator
from airflow_providers_leads.retry_policy import leads_retry_args

TIMEZONE = "UTC"
"""Where a day begins and ends: put the time zone of your funnels' visitors here, such as Europe/Berlin."""


@dag(
    # Not "@daily": since Airflow 3 the data interval of that has no length.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone=TIMEZONE),
    start_date=pendulum.datetime(2026, 1, 1, tz=TIMEZONE),
    catchup=False,
    default_args=leads_retry_args(),
    tags=["leads", "perspective"],
    doc_md=__doc__,
    params={
        "perspective_conn_id": Param(
            "perspective_default",
            type="string",
            title="Perspective connection",
            section="Connections",
            description="Connection of Perspective.",
        ),
        "funnel_ids": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Funnels",
            section="What is read",
            description="Funnels to read; null reads every funnel of every workspace.",
        ),
        "start": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Start",
            section="What is read",
            description="Begin, with an offset; empty reads the run's data interval, without one yesterday.",
        ),
        "end": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="End",
            section="What is read",
            description="End; needed with a begin.",
        ),
        "timezone": Param(
            TIMEZONE,
            type="string",
            title="Time zone",
            section="What is read",
            description="Time zone, or minutes from UTC, of the days and hours within charts.",
        ),
        "staging": Param(
            conf.get("leads", "staging", fallback=None) or "file:///tmp/airflow-leads",
            type=["null", "string"],
            title="Staging",
            section="Files and tables",
            description="URI prefix of the files; empty writes none.",
        ),
        "sql_conn_id": Param(
            None,
            type=["null", "string"],
            title="SQL connection",
            section="Files and tables",
            description="Connection of a SQL database; empty writes to none.",
        ),
        "table": Param(
            "perspective_metrics",
            type="string",
            title="Table",
            section="Files and tables",
            description="Its table; made when missing.",
        ),
    },
)
def perspective_metrics() -> None:
    @task
    def funnels(params: dict[str, Any] | None = None) -> list[str]:
        from airflow_providers_leads.hooks.perspective import PerspectiveHook

        given = params or {}
        if given["funnel_ids"] is not None:
            return list(dict.fromkeys(given["funnel_ids"]))
        workspaces = PerspectiveHook(given["perspective_conn_id"]).list_workspaces()
        return list(dict.fromkeys(funnel["id"] for space in workspaces for funnel in space.get("campaigns") or ()))

    @task(multiple_outputs=True)
    def window(params: dict[str, Any] | None = None, dag_run: Any = None) -> dict[str, str]:
        given = params or {}
        start, end = given["start"], given["end"]
        if start or end:
            return {"start": start, "end": end}
        start, end = dag_run.data_interval_start, dag_run.data_interval_end
        if not start or not end or start >= end:
            # Triggered without a logical date, or on a schedule whose intervals have no length.
            end = pendulum.instance(dag_run.run_after).in_timezone(TIMEZONE).start_of("day")
            start = end.subtract(days=1)
        return {"start": start.isoformat(), "end": end.isoformat()}

    span: Any = window()
    PerspectiveExportMetricsOperator.partial(
        task_id="export",
        start=span["start"],
        end=span["end"],
        offset="{{ params.timezone }}",
        perspective_conn_id="{{ params.perspective_conn_id }}",
        # Without the run's id: the file is named after funnel and window, so that a day has one file.
        output="{{ params.staging ~ '/' ~ dag.dag_id if params.staging else '' }}",
        sql_conn_id="{{ params.sql_conn_id or '' }}",
        table="{{ params.table }}",
        max_active_tis_per_dag=2,
        map_index_template="{{ task.funnel_id }}",
    ).expand(funnel_id=funnels())


perspective_metrics()
