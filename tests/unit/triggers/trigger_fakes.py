"""What the triggers' tests share: a state store in memory, a clock that only sleeping moves, and CRMs to look at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.clock import iso_utc
from airflow_providers_leads.sandbox.persistiq.store import Lead

FUNNEL = "fnl"


class Store:
    """An asset's state, as the triggerer hands it to a trigger."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.broken_reads = 0
        self.broken_writes = False

    async def aget(self, key: str, default: Any = None) -> Any:
        if self.broken_reads:
            self.broken_reads -= 1
            raise RuntimeError("planted-secret")
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        if self.broken_writes:
            raise RuntimeError("planted-secret")
        assert len(key) <= 512
        self.values[key] = json.dumps(value)


class Sleeper:
    """Sleeps no time, notes how long it should have, and does something at each look."""

    def __init__(self, *between: Callable[[], Any]) -> None:
        self.slept: list[float] = []
        self.between = list(between)

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)
        if len(self.slept) > 200:
            raise AssertionError("slept 200 times: it never ends")
        # Short waits are those for the event to be stored.
        if seconds >= 4.7 and self.between:
            self.between.pop(0)()
        elif seconds >= 4.7:
            raise StopWatching


class StopWatching(BaseException):
    """Ends a watcher, as the triggerer does when it is told to stop."""


async def collect(events: AsyncIterator[Any]) -> list[Any]:
    """Return the payloads that a trigger fires until it ends or is stopped."""
    fired = []
    try:
        async for event in events:
            json.dumps(event.payload)
            fired.append(event.payload)
    except StopWatching:
        pass
    return fired


def convert(sandbox: Sandbox, count: int = 1, *, funnel: str | None = None, ago: float = 0.0) -> list[str]:
    """Let people convert in a funnel and return the contacts' ids."""
    store = sandbox.perspective.store
    home = store.funnels[funnel or next(iter(store.funnels))]
    made = []
    for _ in range(count):
        at = iso_utc(store.clock.now() - int(ago * 1000))
        contact = {
            "id": store.next_id(), "status": "new", "email": f"{store._made}@people.example",
            "meta": {"ps_converted_at": at, "ps_first_seen_at": at}, "utmParams": {}, "properties": {},
        }  # fmt: skip
        home.add(contact)
        made.append(contact["id"])
    return made


def join(sandbox: Sandbox, **properties: str) -> str:
    """Create a HubSpot contact and return its id."""
    store = sandbox.hubspot.store
    given = {"email": f"{len(store.contacts)}@people.example", **properties}
    return str(store.plan_create(given).commit().id)


def befall(sandbox: Sandbox, kind: str, *, campaign: str | None = None, lead: str | None = None) -> str:
    """Let something happen to a PersistIQ lead and return its id."""
    store = sandbox.persistiq.store
    if lead is None:
        now = store.clock.now()
        found = Lead(store.next_id("l"), "new", {"email": f"{store._made}@people.example"}, now, now)
        store.add(found)
        lead = found.id
    store.record(kind, lead_id=lead, campaign_id=campaign)
    return lead


def sandbox_now(sandbox: Sandbox) -> datetime:
    """Return the time by the stand-ins' clock."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=sandbox.hubspot.store.clock.now())
