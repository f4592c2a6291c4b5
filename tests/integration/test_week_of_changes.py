"""A week of changes in three CRMs whose clocks differ, read in rounds: each change arrives, none is written twice."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from upsert_tries import hurried

from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsLookupOperator,
    LeadsMoveWatermarkOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.operators.watermark import WATERMARKS
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.clock import iso_utc
from airflow_providers_leads.sandbox.hubspot.store import Contact
from airflow_providers_leads.sandbox.persistiq.store import Lead as PersistIQLead

START = datetime(2026, 3, 2, tzinfo=UTC)
FUNNELS = ("65f0a0000000000000000001", "65f0a0000000000000000002")
LAG = 45.0
"""Seconds after which HubSpot's search knows a change."""
SKEW = {"hubspot": -40, "perspective": 90, "persistiq": 0}
"""Seconds by which each CRM's clock is ahead of ours."""
SOURCES = ("perspective_default", "hubspot_default", "persistiq_default")


class State(dict[str, Any]):
    """Stands in for the state of one asset."""

    def set(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.pop(key, None)


class World:
    """Time, the CRMs, and the runs."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.now = START
        self.state = State()
        self.rounds = self.made = 0
        self.hubspot, self.perspective, self.persistiq = (api.store for api in sandbox.apis)
        for api in sandbox.apis:
            api.store.clock.now = lambda: 0
            api.store.clock = SimpleNamespace(now=lambda skew=SKEW[api.name]: self.ms(skew))

    def ms(self, skew: float = 0.0) -> int:
        return int(self.now.timestamp() * 1000 + skew * 1000)

    def context(self, task_id: str, map_index: int = -1) -> Any:
        run_id = f"run-{self.rounds}"
        ti = SimpleNamespace(dag_id="week", run_id=run_id, task_id=task_id, map_index=map_index)
        return {"ti": ti, "asset_state_store": {WATERMARKS: self.state}}

    def extract(self, conn_id: str, **options: Any) -> dict[str, Any]:
        output = f"file://{self.folder}/{self.rounds}/{conn_id}"
        options = {"watermark": "auto", "move_watermark": False} | options
        operator = LeadsExtractOperator(task_id="extract", conn_id=conn_id, output=output, **options)
        found: dict[str, Any] = operator.execute(self.context("extract", SOURCES.index(conn_id)))
        return found

    def move(self, extracted: list[dict[str, Any]]) -> None:
        LeadsMoveWatermarkOperator(task_id="move", extracted=extracted).execute(self.context("move"))

    def run(self, sources: Sequence[str] = SOURCES, destinations: Sequence[str] = SOURCES[1:]) -> list[dict[str, Any]]:
        """Run what the DAG does."""
        self.rounds += 1
        output = f"file://{self.folder}/{self.rounds}"
        extracted = [self.extract(conn_id) for conn_id in sources]
        found = [
            LeadsLookupOperator(task_id="look_up", conn_id=conn_id, inputs=extracted, output=output).execute(
                self.context("look_up")
            )
            for conn_id in sources
        ]
        golden = LeadsDeduplicateOperator(
            task_id="deduplicate", inputs=[*extracted, *found], output=f"{output}/golden"
        ).execute(self.context("deduplicate"))
        upserted = [
            LeadsUpsertOperator(
                task_id="upsert", conn_id=conn_id, golden=golden, existing=extracted, output=f"{output}/upsert"
            ).execute(self.context("upsert", SOURCES.index(conn_id)))
            for conn_id in destinations
        ]
        self.move(extracted)
        return upserted

    # What people do ---------------------------------------------------------------------------------------------------

    def email(self) -> str:
        self.made += 1
        return f"p{self.made}@people.example"

    def converts(self, *, dated: bool = True) -> str:
        email = self.email()
        meta = {"ps_converted_at": iso_utc(self.ms(SKEW["perspective"]))} if dated else {}
        contact = {"id": f"{self.made:024x}", "status": "new", "email": email, "firstName": "Zoë", "meta": meta}
        self.perspective.funnels[FUNNELS[self.made % 2]].add(contact)
        return email

    def comes_to_hubspot(self) -> str:
        email = self.email()
        self.hubspot.plan_create({"email": email, "city": "Ulm"}).commit()
        return email

    def comes_to_persistiq(self) -> str:
        email, at = self.email(), self.ms(SKEW["persistiq"])
        self.persistiq.add(PersistIQLead(self.persistiq.next_id("l"), "active", {"email": email}, at, at))
        return email

    def in_hubspot(self, email: str) -> list[Contact]:
        return [c for c in self.hubspot.contacts.values() if c.archived is None and c.properties["email"] == email]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    with Sandbox(people=0, limits=False, search_lag_seconds=LAG) as sandbox, hurried():
        for name, value in sandbox.connection_env().items():
            monkeypatch.setenv(name, value)
        made = World(sandbox, tmp_path)
        monkeypatch.setattr(pendulum, "now", lambda tz=None: pendulum.instance(made.now))
        yield made


@pytest.mark.story
def test_a_week_through_the_whole_pipeline(world: World) -> None:
    dice = random.Random(5)
    cities: dict[str, str] = {}
    industries: dict[str, str] = {}
    born: set[str] = set()
    deleted: set[str] = set()
    for number in range(7):
        end = world.now + timedelta(days=1)
        # Many things happen in the last minute before a round, where lag and skew matter.
        moments = [dice.uniform(0, 86_400) for _ in range(4)] + [86_400 - dice.uniform(0, 120) for _ in range(8)]
        moments += [moments[-1]] * 3
        begun = world.now
        for at in sorted(moments):
            world.now = begun + timedelta(seconds=at)
            born.add(dice.choice([world.converts, world.comes_to_persistiq, *2 * [world.comes_to_hubspot]])())
            settled = sorted(email for email in born - deleted if len(world.in_hubspot(email)) == 1)
            if settled and dice.random() < 0.6:
                cities[email := dice.choice(settled)] = f"City {number} {at:.0f}"
                world.hubspot.assign(world.in_hubspot(email)[0], {"city": cities[email]})
            known = sorted(email for email in born - industries.keys() - deleted if world.persistiq.find(email))
            if known and dice.random() < 0.3:
                industries[email := dice.choice(known)] = f"Industry {number}"
                world.persistiq.change(world.persistiq.find(email), {"industry": industries[email]})
        quiet = sorted(email for email in born - deleted if world.persistiq.find(email) and world.in_hubspot(email))
        if quiet and number < 6:
            deleted.add(gone := dice.choice(quiet))
            world.hubspot.archive(world.in_hubspot(gone)[0])
        world.now = end
        if number == 3:
            # A run that fails before its end moves nothing: the next one takes its work along.
            for conn_id in SOURCES:
                world.rounds += 1
                world.extract(conn_id)
            continue
        for upserted in world.run():
            assert upserted["failed"] == upserted["ambiguous"] == 0
    for _ in range(2):
        world.now += timedelta(minutes=15)
        quiet_run = world.run()
    assert [(told["created"], told["updated"]) for told in quiet_run] == [(0, 0), (0, 0)]
    for email in born - deleted:
        (contact,) = world.in_hubspot(email)
        lead = world.persistiq.find(email)
        assert lead is not None, email
        assert contact.properties.get("industry") == industries.get(email), email
        assert lead.data.get("city") == contact.properties.get("city"), email
        if email in cities:
            assert contact.properties["city"] == cities[email]
    assert Counter(lead.data["email"] for lead in world.persistiq.leads.values()).most_common(1)[0][1] == 1
    assert world.perspective.automations_fired == []


@pytest.mark.parametrize("seed", [1, 2])
def test_every_change_is_read_in_short_rounds(world: World, seed: int) -> None:
    """Rounds of a few minutes, each as short as the lag: what the destination would hold is what the CRM holds."""
    dice = random.Random(seed)
    copies: dict[str, str | None] = {}
    born: list[str] = []
    read = Counter[str]()
    for _ in range(60):
        begun = world.now
        for at in sorted(dice.choice([5.0, 5.0, dice.uniform(0, 180)]) for _ in range(dice.randrange(8))):
            world.now = begun + timedelta(seconds=at)
            if not born or dice.random() < 0.4:
                born.append(world.comes_to_hubspot())
            else:
                contact = world.in_hubspot(dice.choice(born))[0]
                world.hubspot.assign(contact, {"city": f"City {dice.random()}"})
        world.now = begun + timedelta(seconds=180)
        world.rounds += 1
        found = world.extract("hubspot_default")
        for lead in read_rows(found["uri"].removeprefix("file://"), Lead):
            copies[str(lead.email)] = lead.city
            read["rows"] += 1
        world.move([found])
    world.now += timedelta(minutes=2)
    world.rounds += 1
    for lead in read_rows(world.extract("hubspot_default")["uri"].removeprefix("file://"), Lead):
        copies[str(lead.email)] = lead.city
    assert copies == {c.properties["email"]: c.properties["city"] for c in world.hubspot.contacts.values()}
    # An overlap of five minutes in rounds of three: what changed is read a few times, and not over and over.
    assert read["rows"] < 5 * 60 * 4


@pytest.mark.story
def test_more_than_ten_thousand_with_one_timestamp(world: World) -> None:
    at = world.ms()
    world.hubspot._lag = 0
    for n in range(12_345):
        world.hubspot.insert(Contact(70_000_000_000 + n, {}, at, at), {"email": f"b{n}@people.example"})
    since = (world.now - timedelta(seconds=1)).isoformat()
    world.now += timedelta(hours=1)
    found = world.extract("hubspot_default", watermark=None, updated_after=since, overlap=0, move_watermark=True)
    assert found["rows"] == 12_345
    ids = Counter(lead.source_id for lead in read_rows(found["uri"].removeprefix("file://"), Lead))
    assert len(ids) == 12_345


def test_undated_contacts_neither_end_a_read_nor_move_it(world: World) -> None:
    for _ in range(3):
        world.converts(dated=False)
    world.rounds += 1
    world.extract("perspective_default", move_watermark=True)
    world.now += timedelta(hours=1)
    before = world.state["perspective_default"]["at"]
    new = world.converts()
    world.converts(dated=False)
    world.now += timedelta(minutes=1)
    world.rounds += 1
    found = world.extract("perspective_default", move_watermark=True)
    read = {str(lead.email) for lead in read_rows(found["uri"].removeprefix("file://"), Lead)}
    assert new in read
    assert found["since"] == (datetime.fromisoformat(before) - timedelta(minutes=5)).isoformat(timespec="milliseconds")
    assert world.state["perspective_default"]["at"] == world.now.isoformat(timespec="milliseconds")
