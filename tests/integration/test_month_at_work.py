"""A month of people at work: thirty runs over real HTTP, and after each the outcome of every act looked up.

By default thirty runs with a handful of acts each; ``MONTH_RUNS`` and ``MONTH_SEED`` make it another month.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memory_world import DESTINATIONS, HUBSPOT, HUBSPOT_NAMES, PERSISTIQ, PERSISTIQ_NAMES, World

pytestmark = pytest.mark.memory

FIELDS = ("title", "phone", "city")
FIRST = {"title": "Buyer", "phone": "+49 30 1", "city": "Bonn"}
PEOPLE = 60
Held = dict[str, dict[str, str | None]]
Ids = dict[str, Any]
Holds = Callable[[Held, Held], bool]


class Month:
    """Who is where, by the ids of records, and what must hold after the next run."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)
        self.ids: list[Ids] = []
        self.tally: Counter[str] = Counter()
        self.wrong: list[str] = []

    def record(self, crm: str, ids: Ids) -> Any:
        if crm == PERSISTIQ:
            return self.world.persistiq.leads.get(ids.get(crm))
        contact = self.world.hubspot.contacts.get(ids.get(crm))
        return contact if contact is not None and contact.archived is None else None

    def held(self, ids: Ids) -> Held:
        found: Held = {}
        for crm in DESTINATIONS:
            if (record := self.record(crm, ids)) is not None:
                values = record.properties if crm == HUBSPOT else record.data
                names = HUBSPOT_NAMES if crm == HUBSPOT else PERSISTIQ_NAMES
                found[crm] = {name: values.get(names[name]) or None for name in FIELDS}
        return found

    def change(self, crm: str, ids: Ids, field: str, value: str) -> None:
        record = self.record(crm, ids)
        if crm == HUBSPOT:
            self.world.hubspot.plan_update(record, {HUBSPOT_NAMES.get(field, field): value}).commit()
        else:
            self.world.persistiq.change(record, {PERSISTIQ_NAMES.get(field, field): value})

    def find(self, email: str) -> Ids:
        ours, theirs = self.world.in_hubspot(email), self.world.in_persistiq(email)
        assert (len(ours), len(theirs)) == (1, 1), f"{email}: {len(ours)} and {len(theirs)} records"
        return {HUBSPOT: ours[0].id, PERSISTIQ: theirs[0].id}

    def day(self, acts: int) -> list[tuple[str, Ids, Held, Holds]]:
        """Let people work; return what is to be looked up: kind, records, what they held, and what must hold."""
        whole = [ids for ids in self.ids if len(self.held(ids)) == 2]
        checks = []
        for ids in self.random.sample(whole, acts):
            kind = self.random.choice(sorted(ACTS))
            before = self.held(ids)
            checks.append((kind, ids, before, ACTS[kind](self, ids)))
        return checks

    def look(self, checks: list[tuple[str, Ids, Held, Holds]]) -> None:
        for kind, ids, before, holds in checks:
            self.tally[kind] += 1
            if not holds(before, now := self.held(ids)):
                self.wrong.append(f"run {self.world.runs}: {kind}: {before} became {now}")


def edited(month: Month, ids: Ids) -> Holds:
    crm, field = month.random.choice(DESTINATIONS), month.random.choice(FIELDS)
    value = f"v{month.random.randrange(10**6)}"
    month.change(crm, ids, field, value)
    return lambda before, now: all(now[each] == {**before[each], field: value} for each in DESTINATIONS)


def edited_in_both(month: Month, ids: Ids) -> Holds:
    field, values = month.random.choice(FIELDS), [f"v{month.random.randrange(10**6)}" for _ in DESTINATIONS]
    for crm, value in zip(DESTINATIONS, values, strict=True):
        month.change(crm, ids, field, value)
    return lambda before, now: now[HUBSPOT][field] == now[PERSISTIQ][field] in values


def cleared(month: Month, ids: Ids) -> Holds:
    crm, field = month.random.choice(DESTINATIONS), month.random.choice(FIELDS)
    month.change(crm, ids, field, "")
    other = PERSISTIQ if crm == HUBSPOT else HUBSPOT
    return lambda before, now: now[crm] == {**before[crm], field: None} and now[other] == before[other]


def deleted(month: Month, ids: Ids) -> Holds:
    email = month.record(HUBSPOT, ids).properties["email"]
    month.world.hubspot.archive(month.record(HUBSPOT, ids))
    return lambda before, now: set(now) == {PERSISTIQ} and not month.world.in_hubspot(email)


def moved(month: Month, ids: Ids) -> Holds:
    crm = month.random.choice(DESTINATIONS)
    email = month.world.email()
    month.change(crm, ids, "email", email)
    return lambda before, now: (
        now == before and len(month.world.in_hubspot(email) + month.world.in_persistiq(email)) == 1
    )


def touched(month: Month, ids: Ids) -> Holds:
    month.world.hubspot.plan_update(month.record(HUBSPOT, ids), {"hs_lead_status": "OPEN"}).commit()
    return lambda before, now: now == before


ACTS = {
    "edited": edited, "edited in both": edited_in_both, "cleared": cleared, "deleted": deleted,
    "given a new address": moved, "touched": touched,
}  # fmt: skip


def test_every_act_of_a_month_ends_as_its_author_left_it(world: World, record_property: Any) -> None:
    runs, month = int(os.environ.get("MONTH_RUNS", "30")), Month(world, int(os.environ.get("MONTH_SEED", "1")))
    emails = [world.comes_to_hubspot(**FIRST) for _ in range(PEOPLE // 2)]
    emails += [world.comes_to_persistiq(**FIRST) for _ in range(PEOPLE // 2)]
    world.run()
    month.ids = [month.find(email) for email in emails]
    idle = kills = 0
    for number in range(runs):
        checks, come = month.day(acts=6), []
        if number % 3 != 2:
            come = [
                world.comes_to_hubspot(**FIRST),
                world.comes_to_persistiq(**FIRST),
                world.converts(phone="+49 30 1"),
            ]
        if number % 5 == 4:
            # The worker dies once it has written to one CRM, and nobody remembers.
            world.run(destinations=month.random.sample(DESTINATIONS, 1), remember=False)
            kills += 1
        world.run_incremental() if number % 4 == 3 and not any(
            kind == "deleted" for kind, *_ in checks
        ) else world.run()
        month.look(checks)
        month.ids += [month.find(email) for email in come]
        month.tally["came"] += len(come)
        writes = world.writes()
        if number % 10 == 9:
            world.run()
            idle += world.writes() - writes
    figures = {"runs": world.runs, "killed": kills, "acts": dict(month.tally), "wrong": len(month.wrong), "idle": idle}
    record_property("figures", json.dumps(figures))
    if output := os.environ.get("MONTH_OUTPUT"):
        Path(output).write_text(json.dumps(figures))
    assert (month.wrong, idle) == ([], 0)
