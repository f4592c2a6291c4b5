"""A sync with a memory whose golden records are several files: what people did is seen in whichever file they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from memory_world import DESTINATIONS, HUBSPOT, SOURCES, World

from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.tasks import plan as tasks_plan

VALUES = {"title": "Buyer", "phone": "+49 30 1", "city": "Bonn", "first_name": "Ann"}


def act(world: World, emails: Iterator[str]) -> None:
    """Let people edit, clear, delete, move and come."""
    for _ in range(3):
        world.edits(HUBSPOT, next(emails), "city", "Ulm")
        world.edits("persistiq_default", next(emails), "phone", "")
        world.deletes(next(emails))
        world.edits(HUBSPOT, next(emails), "email", world.email())
        (lead,) = world.in_persistiq(next(emails))
        world.persistiq.change(lead, {"email": world.email()})
        world.comes_to_hubspot(**VALUES)
        world.converts(phone="+49 30 2")
    old = next(emails)
    world.edits(HUBSPOT, old, "email", world.email())
    # Somebody else now has the address.
    world.comes_to_persistiq(old, city="Köln")


@pytest.mark.memory
def test_partitions_make_the_same_plan_with_a_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    emails = [world.comes_to_hubspot(**VALUES) for _ in range(30)]
    world.run()
    act(world, iter(emails))
    world.runs += 1
    extracted = [world.extract(conn_id) for conn_id in SOURCES]
    whole = world.merge(extracted)
    parts = world.merge(extracted, partitions=3, output=f"{world.output}/parts")
    read: list[Any] = []
    plain = tasks_plan.iter_plan
    monkeypatch.setattr(tasks_plan, "iter_plan", lambda *files, **more: read.append(files[1]) or plain(*files, **more))

    def rows(conn_id: str, golden: Any) -> list[PlanRow]:
        result = world.upsert(conn_id, golden, extracted, dry_run=True)
        return list(read_rows(result["plan"], PlanRow))

    for conn_id in DESTINATIONS:
        expected = rows(conn_id, whole)
        found = [row for golden in parts["golden"] for row in rows(conn_id, golden)]
        assert sorted(found, key=lambda row: row.email_key) == expected
        assert {row.reason for row in expected} - {None}
    # And each partition was compared with its share, not with all.
    assert [path.parent.name == "_shares" for path in read] == [False, True, True, True] * len(DESTINATIONS)
