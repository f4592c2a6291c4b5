"""What HubSpot can wake a DAG with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_providers_leads.triggers.base import LeadsEventTrigger


class HubSpotNewContactTrigger(LeadsEventTrigger):
    """Fires when a contact is created; for the watcher of an asset.

    Found by search, whose index lags behind: a contact that shows up to ten minutes late, or out of order, still fires;
    at least once, see :class:`~airflow_providers_leads.triggers.base.LeadsEventTrigger`.

    :param hubspot_conn_id: connection of type ``hubspot``
    :param filters: further conditions that all must hold, as in HubSpot's search:
        ``{"propertyName", "operator", "value"}``; their ``value`` must not be an address
    :param since: fire at the first start for what was created at or after this time; default only for what is to come
    :param poll_interval: seconds between looks, at least 5

    The event's ``payload``: ``conn_id``, ``count``, ``ids`` (contacts, at most 100), ``oldest`` and ``newest``, the
    times of creation in ISO 8601.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/search/search-contacts
    """

    stream = "hubspot_contacts"
    shared = ("filters",)

    def __init__(
        self,
        *,
        hubspot_conn_id: str = "hubspot_default",
        filters: Sequence[Mapping[str, Any]] | None = None,
        since: datetime | str | None = None,
        poll_interval: float = 30.0,
    ) -> None:
        conditions = [dict(condition) for condition in filters or ()] or None
        super().__init__(
            conn_id=hubspot_conn_id,
            query={"filters": conditions},
            arguments={
                "hubspot_conn_id": hubspot_conn_id,
                "filters": conditions,
                "since": since,
                "poll_interval": poll_interval,
            },
        )
