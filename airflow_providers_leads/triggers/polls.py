"""What there is to wait for in the CRMs that are installed, by name, and one look at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pendulum

from airflow_providers_leads.hooks.registry import crms
from airflow_providers_leads.hooks.streams import Found, Item, Poll, Query, State, Stream
from airflow_providers_leads.triggers.cursor import Cursor

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook


def _named(name: str) -> tuple[str, Stream | Poll]:
    from airflow_providers_leads.hooks.base import hook_class

    for conn_type in crms():
        hook = hook_class(conn_type) if name.startswith(f"{conn_type}_") else None
        if hook and (stream := hook.streams.get(name.removeprefix(f"{conn_type}_"))):
            return conn_type, stream
    raise ValueError(f"there is no {name!r} to wait for: is the package of its CRM installed?")


def poll_named(name: str) -> tuple[str, Poll]:
    """Return the connection type of the CRM that is asked, and the poll.

    :param name: connection type, ``_`` and the name among the hook's :attr:`streams`, such as ``hubspot_contacts``
    :raises ValueError: when no CRM that is installed has it
    """
    conn_type, stream = _named(name)
    return conn_type, partial(_poll_stream, stream) if isinstance(stream, Stream) else stream


def stream_named(name: str) -> tuple[str, Stream]:
    """Return the connection type of the CRM that is asked, and the stream; otherwise as :func:`poll_named`."""
    conn_type, stream = _named(name)
    if not isinstance(stream, Stream):
        raise ValueError(f"{name!r} is no stream that can be watched for ever")
    return conn_type, stream


def items_since(stream: Stream, hook: LeadsHook, query: Query, cursor: Cursor) -> Iterator[Item]:
    """Yield the items that may be new to a cursor."""
    return stream.fetch(hook, query, cursor.since(stream.lookback))


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
    items = matching(items_since(stream, hook, query, cursor), query)
    batch = cursor.take(items, stream.lookback, pendulum.now("UTC"))
    return (msgspec.to_builtins(batch) if batch else None), cursor.state()


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
