"""The trigger of deferred sensors: looks without blocking the loop, rides out what passes, ends on what doesn't."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from trigger_fakes import Sleeper, collect, convert, sandbox_now

from airflow_providers_leads.hooks.perspective import PerspectiveHook
from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.triggers.base import LeadsPollTrigger
from airflow_providers_leads.triggers.patience import LEAST_INTERVAL, LONGEST_WAIT, MISSES, verdict, wait_after


def nothing() -> None:
    pass


def poll_trigger(sandbox: Sandbox, **changes: Any) -> LeadsPollTrigger:
    since = (sandbox_now(sandbox) + timedelta(milliseconds=2)).isoformat()
    arguments: dict[str, Any] = {"poll": "perspective_contacts", "conn_id": "perspective_default"}
    arguments |= {"query": {"since": since, "funnel_id": None}, "poll_interval": 30.0, **changes}
    _, serialized = LeadsPollTrigger(**arguments).serialize()
    time.sleep(0.01)
    return LeadsPollTrigger(**json.loads(json.dumps(serialized)))


def run(trigger: LeadsPollTrigger, sleep: Sleeper) -> list[Any]:
    trigger.sleep = sleep  # type: ignore[method-assign, assignment]
    return asyncio.run(collect(trigger.run()))


def test_it_fires_once_with_ids_and_ends(sandbox: Sandbox) -> None:
    made: list[str] = []
    sleep = Sleeper(nothing, nothing, lambda: made.extend(convert(sandbox, 2)), nothing, nothing)
    (event,) = run(poll_trigger(sandbox), sleep)
    assert event["status"] == "found"
    assert (event["found"]["count"], sorted(event["found"]["ids"])) == (2, sorted(made))
    assert len(sleep.slept) == 3
    assert all(28 <= seconds <= 33 for seconds in sleep.slept)
    assert len(set(sleep.slept)) == 3


def fail(sandbox: Sandbox, status: int, *, times: int = 10_000, body: Any = None, **headers: str) -> None:
    left = iter(range(times))
    sandbox.perspective.faults = lambda index, call: (
        Fault(status=status, body=body or {}, headers=headers) if next(left, None) is not None else None
    )


def test_passing_errors_are_ridden_out(sandbox: Sandbox) -> None:
    fail(sandbox, 503, times=MISSES - 1)
    sleep = Sleeper(*[nothing] * (MISSES - 1), lambda: convert(sandbox), nothing)
    (event,) = run(poll_trigger(sandbox), sleep)
    assert event["status"] == "found"
    assert max(sleep.slept) <= 1.1 * LONGEST_WAIT


def test_errors_that_do_not_pass_end_it_after_ten(sandbox: Sandbox) -> None:
    fail(sandbox, 503)
    sleep = Sleeper(*[nothing] * 50)
    (event,) = run(poll_trigger(sandbox), sleep)
    assert (event["status"], event["retry"]) == ("error", True)
    assert "failed with 503" in event["message"]
    assert len(sleep.slept) == MISSES


def test_the_api_says_how_long_to_wait(sandbox: Sandbox) -> None:
    fail(sandbox, 429, times=1, body={"error": "Rate limit exceeded", "status": 429, "retryAfter": 90})
    sleep = Sleeper(nothing, lambda: convert(sandbox), nothing)
    started = time.monotonic()
    (event,) = run(poll_trigger(sandbox, poll_interval=5.0), sleep)
    assert event["status"] == "found"
    assert sleep.slept[1] >= 85
    # It is the loop that waits, not a thread.
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(("status", "told"), [(401, "Put a valid API key"), (403, "lacks this data permission")])
def test_a_key_that_does_not_work_ends_it_at_once(sandbox: Sandbox, status: int, told: str) -> None:
    fail(sandbox, status)
    (event,) = run(poll_trigger(sandbox), Sleeper(nothing, nothing))
    assert (event["status"], event["retry"]) == ("error", False)
    assert told in event["message"]


def test_a_funnel_that_does_not_exist_ends_it_at_once(sandbox: Sandbox) -> None:
    trigger = poll_trigger(sandbox)
    trigger.query["funnel_id"] = "fnl_unknown"
    (event,) = run(trigger, Sleeper(nothing, nothing))
    assert "fnl_unknown" in event["message"]


def test_the_loop_goes_on_while_it_looks(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def slow(hook: Any, query: Any, state: Any) -> Any:
        threads.append(threading.current_thread())
        time.sleep(0.3)
        return {"count": 1}, {}

    monkeypatch.setattr(PerspectiveHook, "streams", {"contacts": slow})

    async def together() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        trigger = poll_trigger(sandbox)
        trigger.sleep = Sleeper(nothing)  # type: ignore[method-assign, assignment]
        await collect(trigger.run())
        ticking.cancel()
        return ticks

    assert asyncio.run(together()) > 10
    assert threading.main_thread() not in threads


def test_an_unforeseen_error_shows_its_kind_only(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(hook: Any, query: Any, state: Any) -> Any:
        raise KeyError("ann@example.com")

    monkeypatch.setattr(PerspectiveHook, "streams", {"contacts": broken})
    (event,) = run(poll_trigger(sandbox), Sleeper(*[nothing] * 50))
    assert (event["status"], event["retry"]) == ("error", True)
    said = r"Connection 'perspective_default': the look failed with KeyError at test_poll_trigger.py:\d+\."
    assert re.fullmatch(said, event["message"])


def test_neither_its_name_nor_its_log_shows_an_address(sandbox: Sandbox, said: Callable[[], str]) -> None:
    query = {"contact": "ann@example.com", "property_name": "city", "values": []}
    trigger = poll_trigger(sandbox, poll="hubspot_property", conn_id="hubspot_default", query=query)
    assert "ann" not in repr(trigger)
    assert run(trigger, Sleeper(nothing, nothing)) == []
    sandbox.hubspot.faults = lambda index, call: Fault(status=404 if index % 2 else 500)
    run(trigger, Sleeper(nothing, nothing, nothing))
    assert "ann" not in said()


@pytest.mark.parametrize(
    ("misses", "interval", "asked", "least", "most"),
    [
        (0, 60, 0, 57, 66),
        (0, 0, 0, LEAST_INTERVAL * 0.95, LEAST_INTERVAL * 1.1),
        (0, 3600, 0, 3420, 3960),
        (1, 60, 0, 114, 132),
        (9, 60, 0, 570, 660),
        (1, 60, 300, 285, 330),
        (1, 60, 86_400, 570, 660),
        (3, 3600, 0, 3420, 3960),
        (5_000, 60, 0, 570, 660),
    ],
)
def test_pauses(misses: int, interval: float, asked: float, least: float, most: float) -> None:
    assert all(least <= wait_after(misses, interval, asked) <= most for _ in range(50))


def test_a_daily_quota_is_not_waited_for() -> None:
    from airflow_providers_leads.http.errors import LeadsRateLimitError

    told = verdict(LeadsRateLimitError("spent", status=429, category="DAILY"), "c")
    assert (told.hopeless, told.retry) == (True, True)
