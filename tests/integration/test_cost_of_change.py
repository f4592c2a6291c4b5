"""What an incremental run costs is a matter of what changed, not of how much there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pendulum
import pytest
from test_week_of_changes import START, World
from upsert_tries import hurried

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.hubspot.store import Contact

HELD, NEW = 100_000, 200


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    with Sandbox(people=0, limits=False) as sandbox, hurried():
        for name, value in sandbox.connection_env().items():
            monkeypatch.setenv(name, value)
        made = World(sandbox, tmp_path)
        monkeypatch.setattr(pendulum, "now", lambda tz=None: pendulum.instance(made.now))
        yield made


def requests_by_crm(sandbox: Sandbox) -> dict[str, int]:
    return {api.name: api.stats.requests for api in sandbox.apis}


@pytest.mark.parametrize("source", ["persistiq", "perspective"])
def test_200_new_leads_among_100_000_take_at_most_30_requests(world: World, source: str, record_property: Any) -> None:
    at = int(START.timestamp() * 1000) - 86_400_000
    for n in range(HELD):
        world.hubspot.insert(Contact(70_000_000_000 + n, {}, at, at), {"email": f"h{n}@people.example"})
    # Everything was read up to now, as the state of the watermarks says.
    for conn_id in ("hubspot_default", "persistiq_default", "perspective_default"):
        world.state.set(conn_id, {"at": START.isoformat(), "full_at": START.isoformat()})
    world.state["perspective_default"]["parts"] = list(world.perspective.funnels)
    world.now = pendulum.instance(START).add(minutes=10)
    comes = {"persistiq": world.comes_to_persistiq, "perspective": world.converts}[source]
    emails = [comes() for _ in range(NEW)]
    world.now = pendulum.instance(START).add(minutes=15)
    for api in world.sandbox.apis:
        api.stats.reset()
    sources = ["hubspot_default", f"{source}_default"]
    (upserted,) = world.run(sources, ["hubspot_default"])
    spent = requests_by_crm(world.sandbox)
    record_property("requests", spent)
    assert upserted["created"] == NEW
    held = Counter(contact.properties["email"] for contact in world.hubspot.contacts.values())
    assert len(held) == HELD + NEW
    assert {held[email] for email in emails} == {1}
    assert sum(spent.values()) <= 30
