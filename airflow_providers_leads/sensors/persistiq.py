"""Waiting for PersistIQ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Unpack

from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.operators.signatures import SensorArguments, Templated
from airflow_providers_leads.sensors.base import LeadsSensor, text
from airflow_providers_leads.tasks.arguments import Requested


class PersistIQEventSensor(LeadsSensor):
    """Wait until something befalls a lead: a reply, a bounce, an opt-out …

    .. code-block:: python

        PersistIQEventSensor(task_id="answered", events="reply", campaign_id="c_1", deferrable=True)

    :param events: any of ``reply``, ``bounce``, ``opt_out``, ``sent``, ``open``, ``click``, or PersistIQ's own names of
        the events of leads
    :param persistiq_conn_id: connection of type ``persistiq``
    :param lead_id: only of this lead; one that renders to nothing is an error
    :param campaign_id: only in this campaign
    :param since: events at or after this time count: aware datetime, or ISO 8601 text with an offset; default the start
        of the DAG run
    :return: ``count`` (of events), ``ids`` (leads, at most 100), ``oldest`` and ``newest`` (times of the events)
    :raises ValueError: for an unknown event

    https://apidocs.persistiq.com/#events
    """

    template_fields: Sequence[str] = ("persistiq_conn_id", "events", "lead_id", "campaign_id", "since")
    poll_name = "persistiq_events"
    conn_parameter = "persistiq_conn_id"

    def __init__(
        self,
        *,
        events: Templated[Iterable[str]],
        persistiq_conn_id: Templated[str] = "persistiq_default",
        lead_id: Templated[str] | None = None,
        campaign_id: Templated[str] | None = None,
        since: Templated[datetime] | None = None,
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.events: Any = events
        self.persistiq_conn_id: Any = persistiq_conn_id
        self.lead_id: Any = lead_id
        self.campaign_id: Any = campaign_id
        self.since: Any = since
        self._requested = Requested(self, "lead_id")

    def query(self, context: Context) -> dict[str, Any]:
        """Return what to look for."""
        from airflow_providers_leads.triggers.persistiq import event_kinds

        self._requested.check(self)
        return {
            "kinds": event_kinds(self.events),
            "lead_id": text(self.lead_id),
            "campaign_id": text(self.campaign_id),
            "since": self._since(self.since, context),
        }
