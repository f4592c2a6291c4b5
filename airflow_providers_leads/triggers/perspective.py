"""What Perspective can wake a DAG with."""

from __future__ import annotations

from datetime import datetime

from airflow_providers_leads.triggers.base import LeadsEventTrigger


class PerspectiveNewContactTrigger(LeadsEventTrigger):
    """Fires when somebody converts in a funnel; for the watcher of an asset.

    .. code-block:: python

        leads = Asset("new_leads", watchers=[AssetWatcher(name="funnels", trigger=PerspectiveNewContactTrigger())])

    A look costs one request per funnel, and one more when no funnel is named anywhere. Contacts made through the API,
    and edits of contacts, leave no time in this API and fire nothing.

    :param perspective_conn_id: connection of type ``perspective``
    :param funnel_id: the funnel; default those of the connection's ``funnel_ids``, else all that the key may see
    :param since: fire at the first start for what came at or after this time; default only for what is to come
    :param poll_interval: seconds between looks, at least 5

    The event's ``payload``: ``conn_id``, ``count``, ``ids`` (contacts, at most 100), ``oldest`` and ``newest``, the
    times of conversion in ISO 8601.

    https://developers.perspective.co
    """

    stream = "perspective_contacts"
    shared = ("funnel_id",)

    def __init__(
        self,
        *,
        perspective_conn_id: str = "perspective_default",
        funnel_id: str | None = None,
        since: datetime | str | None = None,
        poll_interval: float = 30.0,
    ) -> None:
        super().__init__(
            conn_id=perspective_conn_id,
            query={"funnel_id": funnel_id},
            arguments={
                "perspective_conn_id": perspective_conn_id,
                "funnel_id": funnel_id,
                "since": since,
                "poll_interval": poll_interval,
            },
        )
