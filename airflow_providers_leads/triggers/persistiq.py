"""What PersistIQ can wake a DAG with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from airflow_providers_leads.hooks.arguments import items
from airflow_providers_leads.triggers.base import LeadsEventTrigger

EVENT_KINDS: Final[Mapping[str, str]] = {
    "sent": "message_sent",
    "reply": "message_received",
    "bounce": "message_bounced",
    "opt_out": "message_optout",
    "open": "message_opened",
    "click": "message_clicked",
}
"""What befalls a lead in PersistIQ → how its events call it."""
_LEAD_KINDS: Final = frozenset(
    {
        "lead_created", "lead_updated", "lead_deleted", "lead_status_updated", "lead_owner_updated", "lead_linked",
        "lead_unlinked", "lead_tagged", "lead_untagged", "campaign_lead_created", *EVENT_KINDS.values(),
    }
)  # fmt: skip


def event_kinds(names: Iterable[str] | str | None) -> list[str]:
    """Return PersistIQ's names of events.

    :param names: of :data:`EVENT_KINDS`, or PersistIQ's own; one text may hold several, separated by commas
    :raises ValueError: for a name that is neither: the wait would never end
    """
    listed = items("events", names, split=True)
    kinds = [EVENT_KINDS.get(name.strip(), name.strip()) for name in listed if isinstance(name, str)]
    if len(kinds) < len(listed) or not kinds or not set(kinds) <= _LEAD_KINDS:
        known = ", ".join((*EVENT_KINDS, *sorted(_LEAD_KINDS - set(EVENT_KINDS.values()))))
        raise ValueError(f"events must name at least one of: {known}")
    return sorted(set(kinds))


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
