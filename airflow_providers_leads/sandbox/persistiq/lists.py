"""PersistIQ's paging: pages count from 1 and the next one is told as an absolute address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from airflow_providers_leads.sandbox.core.clock import parse_iso
from airflow_providers_leads.sandbox.core.shell import Call, Reply
from airflow_providers_leads.sandbox.persistiq.errors import bad_params
from airflow_providers_leads.sandbox.persistiq.store import PersistIQStore


def list_reply(
    store: PersistIQStore, call: Call, key: str, rows: Sequence[Any], render: Callable[[Any], Any], size: int
) -> Reply:
    """Answer one page; page 0 is read as page 1, so that a client counting from 0 meets its first page twice."""
    text = call.query.get("page", "1")
    if not text.isdecimal():
        raise bad_params("Page is invalid")
    page = max(1, int(text))
    more = page * size < len(rows)
    return Reply(
        {
            "status": "success",
            "errors": [],
            "has_more": more,
            "next_page": next_page(store, call, page + 1) if more else None,
            key: [render(row) for row in rows[(page - 1) * size : page * size]],
        }
    )


def next_page(store: PersistIQStore, call: Call, page: int) -> str:
    """Return the address of a page; whether it repeats the filters is not documented."""
    kept = [(k, v) for k, v in call.query.multi_items() if k != "page"] if store.config.next_page_keeps_filters else []
    return f"{call.origin}{call.path}?{urlencode([*kept, ('page', page)])}"


def moment(call: Call, name: str) -> int | None:
    """Return a time filter as epoch milliseconds; a plus sign that was not encoded makes it unreadable."""
    text = call.query.get(name)
    if not text:
        return None
    value = parse_iso(text)
    if value is None:
        raise bad_params(f"{name} is invalid")
    return value
