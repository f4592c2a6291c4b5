"""Buttons on a task's page in Airflow that lead to what the task has made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom, conf

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

_RETURNS_RECORD: Final = ("get_contact", "create_contact", "update_contact", "merge_contacts")
_CONCERNS_RECORD: Final = (
    *_RETURNS_RECORD, "pin_activity", "associate_contact", "remove_association", "list_associations",
)  # fmt: skip
_PATIENCE: Final = (3.0, 5.0)
"""Seconds to connect and to read: the task is done, and waits for its link only."""

REPORTS_PREFIX = "/leads/reports"
"""Where Airflow's API server shows reports; see :mod:`airflow_providers_leads.plugins.reports`."""


class CrmLink(BaseOperatorLink):
    """Opens the record or the list that a task was about in the CRM's own pages.

    The worker makes the address once the task has succeeded. HubSpot's holds the account's id: without the connection's
    extra ``portal_id`` that takes a request. Perspective and PersistIQ don't document where a record is shown, so
    theirs open the application.
    """

    name = "Open in CRM"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address, an empty text when there is none."""
        try:
            returned = XCom.get_value(ti_key=ti_key, key="return_value")
            return "" if returned is None else crm_url(operator, returned)
        except Exception as error:
            # A task that has done its work owes nobody a traceback over its link.
            operator.log.info("No link into the CRM (%s)", type(error).__name__)
            return ""


def crm_url(operator: Any, returned: Any) -> str:
    """Return where the CRM shows what a task was about.

    :param operator: the task, its attributes rendered
    :param returned: what it returned
    """
    from airflow_providers_leads.hooks.base import get_leads_hook

    conn_id = getattr(operator, getattr(operator, "conn_parameter", "conn_id"))
    hook = get_leads_hook(conn_id)
    hook.client.policy = replace(hook.client.policy, max_retries=0, max_wait=0.0)
    hook.client.timeout = _PATIENCE
    return hook.app_url(_record_id(operator, returned))


def _record_id(operator: Any, returned: Any) -> str | None:
    """Return the id of the one record that a task was about. An address, which may stand for it, is none."""
    method = getattr(operator, "method", None)
    if method not in _CONCERNS_RECORD:
        return None
    found = returned.get("id") if method in _RETURNS_RECORD and isinstance(returned, dict) else None
    text = str(found or getattr(operator, "contact_id", ""))
    # Of another property only the CRM knows whose it is.
    other = found is None and getattr(operator, "id_property", None)
    return text if text.isascii() and text.isdigit() and not other else None


class ReportLink(BaseOperatorLink):
    """Opens the report that a task has written, in Airflow's own page or at its own address.

    Airflow's page shows what lies below ``[leads] reports``, or ``reports`` below ``[leads] staging``.
    """

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the report, an empty text when there is none that a browser can open."""
        returned = XCom.get_value(ti_key=ti_key, key="return_value")
        return report_url(returned.get("report") if isinstance(returned, dict) else None)


class PeopleLink(BaseOperatorLink):
    """Opens the page of the task's run, which leads to each person that it plans to write or has written."""

    name = "People"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the page."""
        return run_url(ti_key.dag_id, ti_key.run_id)


def run_url(dag_id: str, run_id: str) -> str:
    """Return where Airflow shows what a run plans or did, down to each person: a link for those who review it."""
    return f"{site()}{REPORTS_PREFIX}/runs/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


def report_url(uri: Any) -> str:
    """Return where a browser finds a report, an empty text when it can't.

    :param uri: of the report's file
    """
    if not isinstance(uri, str):
        return ""
    if (folder := reports_folder()) and uri.startswith(f"{folder}/"):
        return f"{site()}{REPORTS_PREFIX}/view{uri.removeprefix(folder)}"
    return uri if uri.startswith(("https://", "http://")) else ""


def reports_folder() -> str | None:
    """Return the URI prefix of the reports that Airflow's page shows, ``None`` when no option tells it."""
    if told := conf.get("leads", "reports", fallback=None):
        return str(told).rstrip("/")
    staging = conf.get("leads", "staging", fallback=None)
    return f"{str(staging).rstrip('/')}/reports" if staging else None


def site() -> str:
    """Return the address of Airflow's API server without a slash at its end; empty: the one that is asked."""
    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
