"""What PersistIQ can be watched for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from airflow_providers_leads.hooks.streams import Item, Query, Stream
from airflow_providers_leads.http.paths import value_at
from airflow_providers_leads.leads.model.schema import moment

_GROUP: Final = "lead_detail"


def _events(hook: Any, query: Query, since: datetime) -> Iterator[Item]:
    events = hook.list_events(
        group=_GROUP, lead=query.get("lead_id"), campaign=query.get("campaign_id"), start_at=since
    )
    for event in events:
        at = moment(event.get("event_at"))
        lead, campaign = value_at(event, "lead.id"), value_at(event, "campaign.id")
        if at is not None and lead:
            tags = {"kind": event.get("kind"), "lead_id": lead, "campaign_id": campaign}
            yield Item(str(event.get("id") or f"{event.get('kind')} {lead} {at.isoformat()}"), at, str(lead), tags)


STREAMS: Final = {"events": Stream(_events, timedelta(minutes=5))}
