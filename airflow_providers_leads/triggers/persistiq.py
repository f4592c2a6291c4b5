"""What PersistIQ can wake a DAG with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from airflow_providers_leads.triggers.base import LeadsEventTrigger
from airflow_providers_leads.triggers.polls import event_kinds


class PersistIQEventTrigger(LeadsEventTrigger):
    """Fires when something befalls a lead: a reply, a bounce, an opt-out …; for the watcher of an asset.

    All triggers of one connection share one poll, whatever they fire for.

    :param events: any of ``reply``, ``bounce``, ``opt_out``, ``sent``, ``open``, ``click``, or PersistIQ's own names of
        the events of leads
    :param persistiq_conn_id: connection of type ``persistiq``
    :param campaign_id: only in this campaign
    :param lead_id: only of this lead
    :param since: fire at the first start for what happened at or after this time; default only for what is to come
    :param poll_interval: seconds between looks, at least 5

    The event's ``payload``: ``conn_id``, ``count`` (of events), ``ids`` (leads, at most 100), ``oldest`` and
    ``newest``, the times of the events in ISO 8601.

    https://apidocs.persistiq.com/#events
    """

    stream = "persistiq_events"

    def __init__(
        self,
        *,
        events: Iterable[str] | str,
        persistiq_conn_id: str = "persistiq_default",
        campaign_id: str | None = None,
        lead_id: str | None = None,
        since: datetime | str | None = None,
        poll_interval: float = 30.0,
    ) -> None:
        kinds = event_kinds(events)
        super().__init__(
            conn_id=persistiq_conn_id,
            query={"kinds": kinds, "campaign_id": campaign_id, "lead_id": lead_id},
            arguments={
                "events": kinds,
                "persistiq_conn_id": persistiq_conn_id,
                "campaign_id": campaign_id,
                "lead_id": lead_id,
                "since": since,
                "poll_interval": poll_interval,
            },
        )
