"""A page in Airflow's UI that lists the reports, and shows one: Browse → Lead reports.

Every process of Airflow imports plugins, so all but the names is loaded at the first visit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_providers_leads.operators.links import REPORTS_PREFIX, site


class ReportsApp:
    """The page, made when it is asked for the first time."""

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
        """Answer a request; see ASGI."""
        await _app()(scope, receive, send)


@cache
def _app() -> Any:
    from airflow_providers_leads.plugins.reports_app import make_app

    return make_app()


class LeadsReportsPlugin(AirflowPlugin):
    """Lists the reports of :mod:`airflow_providers_leads.operators.report` under Browse."""

    name = "leads_reports"
    fastapi_apps = [{"app": ReportsApp(), "url_prefix": REPORTS_PREFIX, "name": "Lead reports"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Lead reports",
            "href": f"{site()}{REPORTS_PREFIX}/",
            "destination": "nav",
            "category": "browse",
            "url_route": "lead-reports",
        }
    ]
