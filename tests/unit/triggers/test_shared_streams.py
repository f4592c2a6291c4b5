"""One poll feeds many watchers: the triggers in Airflow's own shared-stream manager, against the sandbox."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from airflow.triggers.shared_stream import SharedStreamManager
from structlog import get_logger
from trigger_fakes import Store, befall, convert

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.triggers.base import LeadsEventTrigger
from airflow_providers_leads.triggers.hubspot import HubSpotNewContactTrigger
from airflow_providers_leads.triggers.persistiq import PersistIQEventTrigger
from airflow_providers_leads.triggers.perspective import PerspectiveNewContactTrigger

EVENTS = "GET /v1/events"


class Triggerer:
    """Runs watchers as Airflow's triggerer does, at a pace that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.streams = SharedStreamManager(log=get_logger(__name__))
        self.fired: dict[int, list[Any]] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.waiting: list[asyncio.Event] = []

        async def sleep(seconds: float) -> None:
            if seconds < 4.7:
                await asyncio.sleep(0)
                return
            gate = asyncio.Event()
            self.waiting.append(gate)
            await gate.wait()

        monkeypatch.setattr(LeadsEventTrigger, "sleep", staticmethod(sleep))

    def start(self, number: int, trigger: LeadsEventTrigger, store: Store) -> None:
        trigger.asset_state_store = store  # type: ignore[assignment]
        self.fired.setdefault(number, [])

        async def run() -> None:
            key = trigger.shared_stream_key()
            assert key is not None
            stream = self.streams.subscribe(trigger_id=number, trigger=trigger, key=key)
            try:
                async for event in trigger.filter_shared_stream(stream):
                    self.fired[number].append(event.payload)
            finally:
                await self.streams.unsubscribe(number, key)

        self.tasks[number] = asyncio.create_task(run())

    async def look(self) -> None:
        """Let every poll that waits look once, and wait until all is quiet again."""
        waiting, self.waiting = self.waiting, []
        for gate in waiting:
            gate.set()
        await self.quiet(len(waiting))

    async def quiet(self, polls: int = 1) -> None:
        for _ in range(500):
            await asyncio.sleep(0.01)
            if len(self.waiting) >= polls:
                break
        await asyncio.sleep(0.05)

    async def stop(self, *numbers: int) -> None:
        for number in numbers or tuple(self.tasks):
            task = self.tasks.pop(number)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def ids(self, number: int) -> list[list[str]]:
        return [event["ids"] for event in self.fired[number]]


def test_watchers_of_one_crm_share_one_poll_and_fire_for_their_own(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sandbox.persistiq.store
    campaign = next(iter(store.campaigns))
    wanted = [{"events": "reply"}, {"events": ["bounce", "opt_out"]}, {"events": "reply", "campaign_id": campaign}]
    stores = [Store() for _ in wanted]

    async def scenario() -> None:
        triggerer = Triggerer(monkeypatch)
        for number, arguments in enumerate(wanted):
            triggerer.start(number, PersistIQEventTrigger(**arguments), stores[number])
        await triggerer.quiet()
        assert len(triggerer.waiting) == 1
        replied, bounced = befall(sandbox, "message_received"), befall(sandbox, "message_bounced")
        befall(sandbox, "message_opened")
        before = sandbox.persistiq.stats.by_route[EVENTS]
        await triggerer.look()
        assert [triggerer.ids(number) for number in range(3)] == [[[replied]], [[bounced]], []]
        await triggerer.look()
        # Two looks, three watchers.
        assert sandbox.persistiq.stats.by_route[EVENTS] - before == 2

        # One joins late and is told nothing of the past; one goes, and the others stay.
        triggerer.start(3, PersistIQEventTrigger(events="reply"), late := Store())
        await triggerer.quiet()
        await triggerer.stop(1)
        answered = befall(sandbox, "message_received", campaign=campaign)
        await triggerer.look()
        assert [triggerer.ids(number)[-1:] for number in (0, 2, 3)] == [[[answered]]] * 3
        assert len(triggerer.fired[1]) == 1
        await triggerer.stop()

        # All down: what happens meanwhile is told after the restart, to each from where it stopped.
        missed = befall(sandbox, "message_received"), befall(sandbox, "message_optout")
        restarted = Triggerer(monkeypatch)
        for number, arguments in enumerate(wanted):
            restarted.start(number, PersistIQEventTrigger(**arguments), stores[number])
        restarted.start(3, PersistIQEventTrigger(events="reply"), late)
        await restarted.quiet()
        await restarted.look()
        assert [restarted.ids(number) for number in range(4)] == [[[missed[0]]], [[missed[1]]], [], [[missed[0]]]]
        await restarted.stop()

    asyncio.run(scenario())


def test_what_happens_between_a_watchers_first_look_and_the_streams_is_not_lost(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        triggerer = Triggerer(monkeypatch)
        trigger = PerspectiveNewContactTrigger()
        catch_up = trigger._catch_up
        made: list[str] = []

        async def then_somebody_comes() -> Any:
            found = await catch_up()
            made.extend(convert(sandbox))
            return found

        monkeypatch.setattr(trigger, "_catch_up", then_somebody_comes)
        triggerer.start(1, trigger, Store())
        await triggerer.quiet()
        await triggerer.look()
        await triggerer.look()
        assert triggerer.ids(1) == [made]
        await triggerer.stop()

    asyncio.run(scenario())


def key(trigger: LeadsEventTrigger) -> Any:
    return trigger.shared_stream_key()


def test_only_what_the_api_answers_alike_is_shared() -> None:
    assert key(PersistIQEventTrigger(events="reply")) == key(PersistIQEventTrigger(events="bounce", campaign_id="c"))
    assert key(PersistIQEventTrigger(events="reply")) != key(PersistIQEventTrigger(events="reply", poll_interval=60))
    assert key(PersistIQEventTrigger(events="reply")) != key(
        PersistIQEventTrigger(events="reply", persistiq_conn_id="other")
    )
    assert key(PerspectiveNewContactTrigger(funnel_id="a")) != key(PerspectiveNewContactTrigger(funnel_id="b"))
    assert key(PerspectiveNewContactTrigger(since="2026-01-01T00:00:00Z")) == key(PerspectiveNewContactTrigger())
    one, other = ({"propertyName": "city", "operator": "EQ", "value": city} for city in ("Ulm", "Bonn"))
    assert key(HubSpotNewContactTrigger(filters=[one])) != key(HubSpotNewContactTrigger(filters=[other]))
    assert {hash(key(trigger)) for trigger in (HubSpotNewContactTrigger(filters=[one]),)}


def test_a_state_has_no_address(sandbox: Sandbox) -> None:
    from test_event_triggers import nothing, watch

    store = Store()
    watch(PerspectiveNewContactTrigger, store, lambda: convert(sandbox), nothing)
    assert "@" not in json.dumps(store.values)
