"""Waiting for Perspective."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Unpack

from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.operators.signatures import SensorArguments, Templated
from airflow_providers_leads.sensors.base import LeadsSensor, text


class PerspectiveNewContactSensor(LeadsSensor):
    """Wait until somebody converts in a funnel.

    A look costs one request per funnel. Contacts made through the API have no time of conversion and are not seen.

    :param perspective_conn_id: connection of type ``perspective``
    :param funnel_id: the funnel; default those of the connection's ``funnel_ids``, else all that the key may see
    :param since: conversions at or after this time count: aware datetime, or ISO 8601 text with an offset; default the
        start of the DAG run
    :return: ``count``, ``ids`` (contacts, at most 100), ``oldest`` and ``newest`` (times of conversion)
    :raises LeadsNotFoundError: when there is no such funnel

    https://developers.perspective.co
    """

    template_fields: Sequence[str] = ("perspective_conn_id", "funnel_id", "since")
    poll_name = "perspective_contacts"
    conn_parameter = "perspective_conn_id"

    def __init__(
        self,
        *,
        perspective_conn_id: Templated[str] = "perspective_default",
        funnel_id: Templated[str] | None = None,
        since: Templated[datetime] | None = None,
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.perspective_conn_id: Any = perspective_conn_id
        self.funnel_id: Any = funnel_id
        self.since: Any = since

    def query(self, context: Context) -> dict[str, Any]:
        """Return what to look for."""
        return {"funnel_id": text(self.funnel_id), "since": self._since(self.since, context)}
