"""What there is to wait for, as plain functions: one look at a CRM, from a sensor's worker or from the triggerer.

A poll takes a hook, a query and the state that the look before left (``None`` at first), and returns what it found and
the state for the next look; both are small JSON without addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pendulum

from airflow_providers_leads.triggers.cursor import Cursor, Item

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook

State = dict[str, Any]
Found = dict[str, Any] | None
Query = Mapping[str, Any]

EVENT_KINDS: Final[Mapping[str, str]] = {
    "sent": "message_sent",
    "reply": "message_received",
    "bounce": "message_bounced",
    "opt_out": "message_optout",
    "open": "message_opened",
    "click": "message_clicked",
}
"""What befalls a lead in PersistIQ → how its events call it."""
_GROUP: Final = "lead_detail"


@dataclass(frozen=True, slots=True)
class Stream:
    """A list of things that happen in a CRM, newest ones asked for by time.

    :param conn_type: the CRM
    :param fetch: yields items at or after a time; ``query`` is what the API narrows by
    :param lookback: how late an item may become visible
    """

    conn_type: str
    fetch: Callable[[Any, Query, datetime], Iterator[Item]]
    lookback: timedelta

    def items(self, hook: LeadsHook, query: Query, cursor: Cursor) -> Iterator[Item]:
        """Yield the items that may be new to a cursor."""
        return self.fetch(hook, query, cursor.since(self.lookback))


def _perspective_contacts(hook: Any, query: Query, since: datetime) -> Iterator[Item]:
    from airflow_providers_leads.leads.model.schema import moment

    for funnel_id in _funnels(hook, query.get("funnel_id")):
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


def _funnels(hook: Any, given: str | None) -> Iterable[str]:
    from airflow_providers_leads.hooks.arguments import id_list

    if given:
        return [given]
    configured = hook.settings.extra.get("funnel_ids")
    if configured not in (None, "", [], "[]"):
        return id_list("funnel_ids", configured) or ()
    return dict.fromkeys(
        str(funnel["id"]) for space in hook.list_workspaces() for funnel in space.get("campaigns") or ()
    )


def _hubspot_contacts(hook: Any, query: Query, since: datetime) -> Iterator[Item]:
    from airflow_providers_leads.leads.model.schema import moment

    created = {"propertyName": "createdate", "operator": "GTE", "value": since}
    groups = [{"filters": [created, *(query.get("filters") or ())]}]
    for contact in hook.search_contacts(filter_groups=groups, properties=["createdate"]):
        at = moment(contact.get("createdAt"))
        if at is not None:
            yield Item(str(contact["id"]), at, str(contact["id"]))


def _persistiq_events(hook: Any, query: Query, since: datetime) -> Iterator[Item]:
    from airflow_providers_leads.leads.model.schema import moment

    events = hook.list_events(
        group=_GROUP, lead=query.get("lead_id"), campaign=query.get("campaign_id"), start_at=since
    )
    for event in events:
        at = moment(event.get("event_at"))
        lead, campaign = ((event.get(name) or {}).get("id") for name in ("lead", "campaign"))
        if at is not None and lead:
            tags = {"kind": event.get("kind"), "lead_id": lead, "campaign_id": campaign}
            yield Item(str(event.get("id") or f"{event.get('kind')} {lead} {at.isoformat()}"), at, str(lead), tags)


STREAMS: Final[Mapping[str, Stream]] = {
    "perspective_contacts": Stream("perspective", _perspective_contacts, timedelta(minutes=2)),
    # The search index lags behind by seconds, sometimes by a minute; the vendor states no bound.
    "hubspot_contacts": Stream("hubspot", _hubspot_contacts, timedelta(minutes=10)),
    "persistiq_events": Stream("persistiq", _persistiq_events, timedelta(minutes=5)),
}


def matching(items: Iterable[Item], query: Query) -> Iterator[Item]:
    """Yield the items that a query asks for, as far as their tags can tell."""
    kinds, others = query.get("kinds"), [(n, query[n]) for n in ("lead_id", "campaign_id") if query.get(n)]
    for item in items:
        if (not kinds or item.tags.get("kind") in kinds) and all(
            item.tags.get(name, value) == value for name, value in others
        ):
            yield item


def _poll_stream(stream: Stream, hook: LeadsHook, query: Query, state: State | None) -> tuple[Found, State]:
    cursor = Cursor.read(state) or Cursor.starting(datetime.fromisoformat(query["since"]))
    items = matching(stream.items(hook, query, cursor), query)
    batch = cursor.take(items, stream.lookback, pendulum.now("UTC"))
    return (msgspec.to_builtins(batch) if batch else None), cursor.state()


def _poll_property(hook: Any, query: Query, state: State | None) -> tuple[Found, State]:
    from airflow_providers_leads.http.errors import LeadsNotFoundError

    name, key = query["property_name"], query["contact"]
    by_email = "@" in key
    if not state:
        # Reads drop unknown names without a word: the wait would never end.
        hook.get_property(name)
    try:
        contact = hook.get_contact(key, id_property="email" if by_email else None, properties=[name])
    except LeadsNotFoundError:
        if not by_email:
            raise
        # Somebody may be about to create it.
        return None, {"known": True}
    value = (contact.get("properties") or {}).get(name)
    wanted = query.get("values")
    if value in (None, "") or (wanted and not set(wanted) & {value, *value.split(";")}):
        return None, {"known": True}
    # Not the value: it may be an address.
    return {"contact_id": str(contact["id"]), "property_name": name}, {"known": True}


POLLS: Final[Mapping[str, tuple[str, Callable[..., tuple[Found, State]]]]] = {
    **{name: (stream.conn_type, partial(_poll_stream, stream)) for name, stream in STREAMS.items()},
    "hubspot_property": ("hubspot", _poll_property),
}
"""Name → the CRM that is asked, and the poll."""


def hook_for(conn_type: str, conn_id: str, *, patient: bool = True) -> LeadsHook:
    """Return the hook of a connection of one CRM.

    :param patient: false for the triggerer, whose threads serve all triggers: long waits are left to it
    :raises LeadsSettingsError: when the connection belongs to another CRM
    """
    from airflow_providers_leads.hooks.base import get_leads_hook
    from airflow_providers_leads.hooks.settings import LeadsSettingsError

    hook = get_leads_hook(conn_id)
    if hook.conn_type != conn_type:
        raise LeadsSettingsError(f"{hook.label} is of type '{hook.conn_type}'; one of type '{conn_type}' is needed.")
    if not patient:
        client = hook.client
        client.policy = replace(client.policy, max_retries=min(1, client.policy.max_retries), max_wait=0.5)
        connect, read = client.timeout
        client.timeout = (min(10.0, connect), min(30.0, read))
    return hook


def event_kinds(names: Iterable[str] | str | None) -> list[str]:
    """Return PersistIQ's names of events.

    :param names: of :data:`EVENT_KINDS`, or PersistIQ's own; one text may hold several, separated by commas
    :raises ValueError: for a name that is neither: the wait would never end
    """
    given = names.split(",") if isinstance(names, str) else list(names or ())
    kinds = [EVENT_KINDS.get(name.strip(), name.strip()) for name in given]
    if not kinds or not set(kinds) <= _LEAD_KINDS:
        known = ", ".join((*EVENT_KINDS, *sorted(_LEAD_KINDS - set(EVENT_KINDS.values()))))
        raise ValueError(f"events must name at least one of: {known}")
    return sorted(set(kinds))


_LEAD_KINDS: Final = frozenset(
    {
        "lead_created", "lead_updated", "lead_deleted", "lead_status_updated", "lead_owner_updated", "lead_linked",
        "lead_unlinked", "lead_tagged", "lead_untagged", "campaign_lead_created", *EVENT_KINDS.values(),
    }
)  # fmt: skip
