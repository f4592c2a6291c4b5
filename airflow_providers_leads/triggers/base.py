"""The two ways of waiting in the triggerer: once, for a deferred sensor, and for ever, for the watcher of an asset."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec
import pendulum
from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from airflow_providers_leads.hooks.streams import Item
from airflow_providers_leads.triggers.cursor import Batch, Cursor
from airflow_providers_leads.triggers.patience import MISSES, verdict, wait_after
from airflow_providers_leads.triggers.polls import hook_for, items_since, matching, poll_named, stream_named

log = logging.getLogger(__name__)

# An event is in the database within a second or two; its cursor is moved after that, so that a crash in between tells
# it twice rather than never.
_PERSISTED_AFTER: Final = 4.0
_STATE_TRIES: Final = 5


class _Looker:
    """Looks at one CRM again and again, each time in a thread, so that the triggerer's loop goes on."""

    def __init__(self, conn_type: str, conn_id: str) -> None:
        self.conn_type, self.conn_id = conn_type, conn_id
        self.misses = 0
        self._hook: Any = None

    async def look(self, work: Callable[[Any], Any]) -> Any:
        """Return what a function makes of the hook.

        :raises Exception: whatever it raises; the next look then reads the connection anew, as it may have been mended
        """

        def in_thread() -> Any:
            self._hook = self._hook or hook_for(self.conn_type, self.conn_id, patient=False)
            return work(self._hook)

        try:
            result = await asyncio.to_thread(in_thread)
        except Exception:
            self._hook = None
            self.misses += 1
            raise
        self.misses = 0
        return result

    async def until_it_works(self, work: Callable[[Any], Any], interval: float, sleep: Callable[..., Any]) -> Any:
        """Look until it succeeds: a watcher that ends is started again at once, and would ask without pause."""
        while True:
            try:
                return await self.look(work)
            except Exception as error:
                problem = verdict(error, self.conn_id)
                pause = wait_after(self.misses, interval, problem.wait)
                level = logging.ERROR if problem.hopeless else logging.WARNING
                log.log(level, "%s Watching goes on in %.0f s.", problem.message, pause)
                await sleep(pause)


class LeadsPollTrigger(BaseTrigger):
    """Waits for a deferred sensor; fires once.

    :param poll: name of what to look for, see :func:`~airflow_providers_leads.triggers.polls.poll_named`
    :param conn_id: the connection
    :param query: what exactly, as the poll takes it
    :param state: what the look before left
    :param poll_interval: seconds between looks, at least 5
    """

    sleep = staticmethod(asyncio.sleep)

    def __init__(
        self,
        *,
        poll: str,
        conn_id: str,
        query: dict[str, Any],
        state: dict[str, Any] | None = None,
        poll_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll, self.conn_id, self.query, self.state = poll, conn_id, query, state
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments; Airflow encrypts the latter, since they may hold an address."""
        names = ("poll", "conn_id", "query", "state", "poll_interval")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        """Leave the query out: it may hold an address."""
        return f"<{type(self).__name__} {self.poll} of {self.conn_id}>"

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until it is found, or until looking on makes no sense."""
        conn_type, poll = await asyncio.to_thread(poll_named, self.poll)
        looker, retry_after = _Looker(conn_type, self.conn_id), 0.0
        while True:
            await self.sleep(wait_after(looker.misses, self.poll_interval, retry_after))
            try:
                batch, self.state = await looker.look(lambda hook: poll(hook, self.query, self.state))
            except Exception as error:
                problem = verdict(error, self.conn_id)
                if problem.hopeless or looker.misses >= MISSES:
                    yield _event({"status": "error", "message": problem.message, "retry": problem.retry})
                    return
                retry_after = problem.wait
                self.log.warning("%s Looking again, %d of %d.", problem.message, looker.misses, MISSES)
                continue
            if batch:
                yield _event({"status": "found", "found": batch})
                return


class LeadsEventTrigger(BaseEventTrigger):
    """Watches a CRM for an asset: fires for each change, for ever.

    It fires at least once: a second time where a triggerer that was taken for dead comes back, or dies between the
    event and the note of how far it got. What the event starts must bear that, as an upsert does.

    How far it has got is kept in the asset's state (Airflow 3.3), so that a restarted triggerer goes on where the last
    one stopped; without it, in Airflow 3.2, a restart begins anew. At the first start the present counts as known,
    unless ``since`` says otherwise. Triggers that look at the same thing share one poll.

    :param conn_id: the connection
    :param query: what the trigger fires for
    :param arguments: the constructor's arguments, as they are serialized
    """

    stream: ClassVar[str]
    shared: ClassVar[tuple[str, ...]] = ()
    """Arguments that the API narrows by; triggers that differ in them can't share a poll."""

    sleep = staticmethod(asyncio.sleep)
    now = staticmethod(lambda: pendulum.now("UTC"))

    def __init__(self, *, conn_id: str, query: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id, self.query = conn_id, dict(query)
        self.arguments = {**arguments, "since": _iso(arguments.get("since"))}
        self._cursor: Cursor | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", dict(self.arguments)

    def shared_stream_key(self) -> Hashable | None:
        """Return what triggers have in common that can share a poll."""
        fixed = json.dumps([self.query.get(name) for name in self.shared], sort_keys=True, default=str)
        return ("leads", self.stream, self.conn_id, fixed, float(self.arguments["poll_interval"]))

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[list[Item]]:
        """Yield what appeared since the last look, for ever; begins with all that may have appeared late."""
        trigger = cls(**kwargs)
        conn_type, stream = await asyncio.to_thread(stream_named, cls.stream)
        looker, interval = _Looker(conn_type, trigger.conn_id), float(trigger.arguments["poll_interval"])
        narrow = {name: trigger.query.get(name) for name in cls.shared}
        cursor = Cursor.starting(cls.now() - stream.lookback)

        def look(hook: Any) -> tuple[list[Item], Cursor]:
            moved = cursor.copy()
            fresh = [item for item in items_since(stream, hook, narrow, cursor) if item.id not in cursor.seen]
            moved.take(fresh, stream.lookback, cls.now())
            return fresh, moved

        while True:
            fresh, cursor = await looker.until_it_works(look, interval, cls.sleep)
            if fresh:
                yield fresh
            await cls.sleep(wait_after(0, interval))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Fire for what this trigger asks for and has not fired for yet."""
        if batch := await self._catch_up():
            yield self._event(batch)
        await self._keep(after_event=bool(batch))
        async for items in shared_stream:
            if batch := self._take(items):
                yield self._event(batch)
                await self._keep(after_event=True)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch alone, where Airflow shares no streams."""
        async for event in self.filter_shared_stream(type(self).open_shared_stream(self.serialize()[1])):
            yield event

    async def _catch_up(self) -> Batch | None:
        """Look once from where this trigger stopped: the shared stream knows nothing of that."""
        conn_type, stream = await asyncio.to_thread(stream_named, self.stream)
        interval = float(self.arguments["poll_interval"])
        known, since = await self._stored(), self.arguments["since"]
        begin = datetime.fromisoformat(since) if since else self.now() - stream.lookback
        cursor = known or Cursor.starting(begin)

        def look(hook: Any) -> tuple[Batch | None, Cursor]:
            moved = cursor.copy()
            items = matching(items_since(stream, hook, self.query, cursor), self.query)
            return moved.take(items, stream.lookback, self.now()), moved

        looker = _Looker(conn_type, self.conn_id)
        batch, self._cursor = await looker.until_it_works(look, interval, self.sleep)
        baseline = known is None and not since
        if baseline:
            self.log.info("Watching %s of '%s' from now on", self.stream, self.conn_id)
        return None if baseline else batch

    def _take(self, items: list[Item]) -> Batch | None:
        assert self._cursor is not None
        _, stream = stream_named(self.stream)
        return self._cursor.take(matching(items, self.query), stream.lookback, self.now())

    def _event(self, batch: Batch) -> TriggerEvent:
        return _event({"conn_id": self.conn_id, **msgspec.to_builtins(batch)})

    # The asset's state ------------------------------------------------------------------------------------------------

    @property
    def state_key(self) -> str:
        """The key of the cursor in the asset's state: an asset may have several watchers."""
        arguments = {name: value for name, value in self.arguments.items() if name != "poll_interval"}
        digest = hashlib.sha256(json.dumps([self.stream, arguments], sort_keys=True, default=str).encode()).hexdigest()
        return f"leads/{self.stream}/{self.conn_id}/{digest[:12]}"

    def _stores(self) -> list[Any]:
        store = getattr(self, "asset_state_store", None)
        if store is None:
            return []
        # Assets with the same watcher share the trigger, and each keeps the cursor.
        each = [*getattr(store, "_by_name", {}).values(), *getattr(store, "_by_uri", {}).values()]
        return each or [store]

    async def _stored(self) -> Cursor | None:
        stores = self._stores()
        if not stores:
            self.log.warning(
                "Assets keep no state here (Airflow 3.3 does): what happens while the triggerer is down goes unseen."
            )
        for attempt in range(1, _STATE_TRIES + 1):
            try:
                states = [await store.aget(self.state_key) for store in stores]
            except Exception as error:
                self.log.warning("The asset's state can't be read (%s)", type(error).__name__)
                if attempt == _STATE_TRIES:
                    # Ended, Airflow starts it again: the present must not be taken for known.
                    raise
                await self.sleep(wait_after(attempt, 0.0))
                continue
            stored = [state for state in states if state is not None]
            cursors = [cursor for state in stored if (cursor := Cursor.read(state))]
            if stored and not cursors:
                self.log.error("The cursor in the asset's state can't be read: watching starts anew")
            # Rather told twice than never.
            return min(cursors, key=lambda cursor: cursor.newest, default=None)
        return None

    async def _keep(self, *, after_event: bool) -> None:
        assert self._cursor is not None
        if after_event:
            await self.sleep(_PERSISTED_AFTER)
        for store in self._stores():
            try:
                await store.aset(self.state_key, self._cursor.state())
            except Exception as error:
                # Ended here, it would be started again and fire for the same.
                self.log.error(
                    "The asset's state can't be written (%s): a restart may fire again", type(error).__name__
                )


def _event(payload: Mapping[str, Any]) -> TriggerEvent:
    return TriggerEvent(dict(payload))  # type: ignore[no-untyped-call]


def _iso(since: datetime | str | None) -> str | None:
    """Return a time as text, which a trigger's arguments must be.

    :raises ValueError: for a time without time zone, when the DAG is parsed
    """
    from airflow_providers_leads.hooks.arguments import instant

    return None if since is None or since == "" else instant("since", since).isoformat()
