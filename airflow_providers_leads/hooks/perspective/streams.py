"""What Perspective can be watched for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from airflow_providers_leads.hooks.perspective.api import PAGE_SIZE
from airflow_providers_leads.hooks.streams import Item, Query, Stream
from airflow_providers_leads.http.paths import value_at
from airflow_providers_leads.leads.model.schema import moment


def _conversions(hook: Any, query: Query, since: datetime) -> Iterator[Item]:
    for funnel_id in hook.scopes_to_read(funnel_ids=query.get("funnel_id")):
        met, undated = False, 0
        # Newest conversion first. Contacts without one stand together at one end, for all that is known: some among the
        # others say nothing of what follows, and a page of them after conversions ends the search.
        for contact in hook.list_contacts(funnel_id):
            converted = moment(value_at(contact, "meta.ps_converted_at"))
            undated = 0 if converted is not None else undated + 1
            if converted is None and (undated < PAGE_SIZE or not met):
                continue
            if converted is None or converted < since:
                break
            met = True
            yield Item(f"{funnel_id}/{contact['id']}", converted, str(contact["id"]))


STREAMS: Final = {"contacts": Stream(_conversions, timedelta(minutes=2))}
