"""Machines that don't see each other share a quota by what answers' headers say remains: simulated, in no time."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from airflow_providers_leads.http.quota.departures import Departures
from airflow_providers_leads.http.quota.windows import LocalWindow, Turn

LIMIT, PERIOD = 100, 10.0


@dataclass
class Vendor:
    """A strict window, rolling or from its first request on."""

    rolling: bool
    times: deque[float] = field(default_factory=deque)

    def arrival(self, now: float) -> tuple[bool, int]:
        if self.rolling:
            while self.times and self.times[0] <= now - PERIOD:
                self.times.popleft()
        elif self.times and now >= self.times[0] + PERIOD:
            self.times.clear()
        accepted = len(self.times) < LIMIT
        if accepted:
            self.times.append(now)
        return accepted, LIMIT - len(self.times)


class Machine:
    """One request after the other, as long as the window lets it."""

    def __init__(self, *, heeds: int) -> None:
        self.now, self.heeds = 0.0, heeds
        self.window = LocalWindow(Departures(), lambda: self.now)
        self.turn = Turn()

    def ask(self, now: float) -> float:
        self.now = now
        self.turn = self.window.take(LIMIT, PERIOD)
        return 0.0 if self.turn.place is not None else max(self.turn.wait, 0.001)

    def answer(self, now: float, left_at: float, accepted: bool, remaining: int) -> float:
        self.now = now
        self.window.arrived(self.turn.place, left_at + 0.03 * PERIOD)
        if remaining <= self.heeds:
            self.window.heard(LIMIT, PERIOD, remaining, left_at)
        if accepted:
            return 0.0
        self.window.block(PERIOD)
        return PERIOD


def spent(starts: Sequence[float], *, rolling: bool = True, heeds: int = LIMIT, seed: int = 1) -> tuple[list[int], int]:
    """Return how many requests each machine got through from the third window to the eleventh, and the refusals.

    :param starts: of each machine, in seconds
    :param rolling: the kind of window
    :param heeds: answers tell what remains when it is no more than this; -1: never
    :param seed: of the latencies
    """
    random.seed(seed)
    rng, vendor = random.Random(seed), Vendor(rolling)
    machines = [Machine(heeds=heeds) for _ in starts]
    events = [(start + rng.random() / 100, number, "", 0.0, 0.0) for number, start in enumerate(starts)]
    heapq.heapify(events)
    accepted, refused = [0] * len(starts), 0
    while (event := heapq.heappop(events))[0] < 11 * PERIOD:
        now, number, what, left_at, latency = event
        machine = machines[number]
        if not what:
            wait = machine.ask(now)
            latency = rng.uniform(0.03, 0.07)
            following = (now + wait + 0.001, number, "", 0.0, 0.0)
            heapq.heappush(events, following if wait else (now + latency / 2, number, "arrives", now, latency))
            continue
        okay, remaining = vendor.arrival(now)
        accepted[number] += okay and now > 2 * PERIOD
        refused += not okay
        wait = machine.answer(now + latency / 2, left_at, okay, remaining)
        heapq.heappush(events, (now + latency / 2 + wait + rng.uniform(0.0005, 0.001), number, "", 0.0, 0.0))
    return accepted, refused


@pytest.mark.parametrize("rolling", [True, False], ids=["rolling", "fixed"])
@pytest.mark.parametrize("machines", [2, 4, 8])
def test_machines_that_start_together_get_the_same(machines: int, rolling: bool) -> None:
    accepted, refused = spent([0.0] * machines, rolling=rolling)
    assert refused <= 1
    assert sum(accepted) >= 0.93 * 9 * LIMIT
    assert max(accepted) <= 1.6 * min(accepted)


@pytest.mark.parametrize("rolling", [True, False], ids=["rolling", "fixed"])
@pytest.mark.parametrize(("machines", "refusals", "least"), [(2, 0.0, 0.9), (4, 0.0, 0.6), (8, 0.05, 0.1)])
def test_who_comes_later_is_not_starved(machines: int, refusals: float, least: float, rolling: bool) -> None:
    accepted, refused = spent([0.7 * number for number in range(machines)], rolling=rolling)
    assert refused <= refusals * sum(accepted)
    assert sum(accepted) >= 0.93 * 9 * LIMIT
    assert min(accepted) >= least * sum(accepted) / machines


@pytest.mark.parametrize("rolling", [True, False], ids=["rolling", "fixed"])
@pytest.mark.parametrize("machines", [2, 4])
def test_headers_near_the_limit_alone_are_enough(machines: int, rolling: bool) -> None:
    accepted, refused = spent([0.0] * machines, rolling=rolling, heeds=LIMIT // 10)
    assert refused <= 1
    assert sum(accepted) >= 0.92 * 9 * LIMIT
    assert max(accepted) <= 1.6 * min(accepted)


def test_without_heeding_what_remains_who_comes_later_gets_nothing() -> None:
    accepted, _ = spent([0.0, 7.0], heeds=-1)
    assert min(accepted) < 0.05 * sum(accepted), "or these tests tell nothing"


def test_alone_a_machine_uses_its_quota() -> None:
    [accepted], refused = spent([0.0])
    assert refused == 0 and accepted >= 0.94 * 9 * LIMIT
