"""What Perspective can be watched for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from airflow_providers_leads.hooks.streams import Item, Query, Stream
from airflow_providers_leads.leads.model.schema import moment


def _conversions(hook: Any, query: Query, since: datetime) -> Iterator[Item]:
    for funnel_id in hook.scopes_to_read(funnel_ids=query.get("funnel_id")):
        met = False
        # Newest conversion first, and contacts without one together at one end: after conversions they end the search.
        for contact in hook.list_contacts(funnel_id):
            converted = moment((contact.get("meta") or {}).get("ps_converted_at"))
            if converted is None and not met:
                continue
            if converted is None or converted < since:
                break
            met = True
            yield Item(f"{funnel_id}/{contact['id']}", converted, str(contact["id"]))


STREAMS: Final = {"contacts": Stream(_conversions, timedelta(minutes=2))}
