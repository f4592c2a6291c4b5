"""Tells people of a run by any notifier of Airflow: a short text and the link to the report."""

from __future__ import annotations

import html
from collections.abc import Collection
from copy import copy
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseNotifier

from airflow_providers_leads.operators.links import report_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["LeadsSummaryNotifier"]

_STATUSES: Final = {
    "ok": "succeeded",
    "problem": "needs a look",
    "planned": "planned only, nothing was written",
    "rejected": "not approved, nothing was written",
}


class LeadsSummaryNotifier(BaseNotifier):
    """Gives the summary of a report to another notifier, such as Slack's, Teams' or a mail's.

    .. code-block:: python

        LeadsReportOperator(
            task_id="report",
            files=FILES,
            on_success_callback=LeadsSummaryNotifier(
                SlackWebhookNotifier(slack_webhook_conn_id="slack"), only=["problem"]
            ),
        )

    :param notifier: any notifier; it is told by the provider whose service it is
    :param field: its attribute that holds the text; default ``text``, of a mail ``html_content``
    :param only: statuses of a report that are worth it: any of ``ok``, ``problem``, ``planned``, ``rejected``; default
        all. A report that could not be made is always told
    :raises ValueError: for an attribute that the notifier doesn't have, or an unknown status
    """

    template_fields = ()

    def __init__(self, notifier: BaseNotifier, *, field: str = "text", only: Collection[str] | None = None) -> None:
        super().__init__()
        if not hasattr(notifier, field):
            known = ", ".join(notifier.template_fields)
            raise ValueError(f"field: {type(notifier).__name__} has no {field!r}; it has {known}")
        if isinstance(only, str) or (unknown := sorted(set(only or ()) - set(_STATUSES))):
            wrong = only if isinstance(only, str) else unknown[0]
            raise ValueError(f"only must be a list of {', '.join(_STATUSES)}, not {wrong!r}")
        self.notifier, self.field, self.only = notifier, field, only

    def notify(self, context: Context) -> None:
        """Tell of the report that the task has written, if its status is worth it."""
        ti: Any = context["ti"]
        made = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
        if not isinstance(made, dict) or "summary" not in made:
            self._tell(f"{ti.dag_id}: the report of {ti.run_id} could not be made.", ti.log_url, context)
        elif self.only is None or made["status"] in self.only:
            status = _STATUSES.get(str(made["status"]), str(made["status"]))
            self._tell(f"{ti.dag_id}: {status}. {made['summary']}", report_url(made["report"]), context)

    def _tell(self, words: str, link: str | None, context: Context) -> None:
        teller: Any = copy(self.notifier)
        teller._update_context(context)
        teller.render_template_fields(context)
        if "html" in self.field:
            address = html.escape(link or "")
            text = f"<p>{html.escape(words)}</p>" + (f'<p><a href="{address}">{address}</a></p>' if link else "")
        else:
            text = f"{words}\n{link}" if link else words
        # After its templates: a vendor's words in the summary are none.
        setattr(teller, self.field, text)
        teller.notify(context)
