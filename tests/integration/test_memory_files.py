"""Leads from files beside CRMs in a sync with a memory: columns come and go, and rows without an id change."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from memory_world import HUBSPOT, PERSISTIQ, World

from airflow_providers_leads.operators.sources.files import LeadsFromFileOperator

BOTH = (HUBSPOT, PERSISTIQ)
ANN, DAN, EVE = (f"{name}@people.example" for name in ("ann", "dan", "eve"))
LIST = [
    {"email": ANN, "first_name": "Ann", "title": "Buyer", "phone": "+49 30 7"},
    {"email": DAN, "first_name": "Dan", "title": "Buyer", "phone": "+49 30 8"},
    {"email": EVE, "first_name": "Eve", "title": "Buyer", "phone": "+49 30 9"},
]


def run(world: World, rows: list[dict[str, str]], policy: Any = None) -> dict[str, int]:
    """Import a list and run the sync; return what the merge noticed."""
    world.runs += 1
    path = world.folder / f"list{world.runs}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    read = LeadsFromFileOperator(task_id="file", input=f"file://{path}", output=f"{world.output}/file")
    leads = [read.execute(world.context("file")), *map(world.extract, BOTH)]
    world.golden = world.merge(leads, policy)
    for conn_id in BOTH:
        world.upsert(conn_id, world.golden, leads)
    world.remember(world.golden)
    counts: dict[str, int] = world.golden["memory"]["counts"]
    return counts


def titles(world: World, email: str) -> list[str | None]:
    return [world.holds(conn_id, email, "title") for conn_id in BOTH]


def test_a_column_that_joins_a_list_undoes_no_edit_and_brings_nobody_back(world: World) -> None:
    run(world, LIST)
    world.edits(HUBSPOT, ANN, "title", "Head")
    world.edits(PERSISTIQ, ANN, "phone", "")
    world.deletes(DAN)
    run(world, LIST)
    counts = run(world, [{**row, "city": "Bonn"} for row in LIST])
    assert (counts["new"], counts["edits"]) == (0, 0)
    assert titles(world, ANN) == ["Head", "Head"]
    assert world.holds(PERSISTIQ, ANN, "phone") is None
    assert world.in_hubspot(DAN) == []
    # What is new fills what is empty.
    assert world.holds(HUBSPOT, ANN, "city") == world.holds(PERSISTIQ, ANN, "city") == "Bonn"


@pytest.mark.slow
def test_a_column_that_a_list_loses_empties_nothing_and_a_changed_row_is_an_edit(world: World) -> None:
    policy = {"cleared": "spread"}
    run(world, LIST, policy)
    world.edits(HUBSPOT, ANN, "title", "Head")
    run(world, LIST, policy)
    counts = run(world, [{name: value for name, value in row.items() if name != "title"} for row in LIST], policy)
    assert (counts["new"], counts["cleared"]) == (0, 0)
    assert titles(world, ANN) == ["Head", "Head"]
    assert titles(world, EVE) == ["Buyer", "Buyer"]
    counts = run(world, [LIST[0], {**LIST[2], "title": "Chief"}], policy)
    assert (counts["new"], counts["edits"]) == (0, 1)
    assert titles(world, ANN) == ["Head", "Head"]
    assert titles(world, EVE) == ["Chief", "Chief"]
    assert run(world, [{**LIST[2], "title": ""}, LIST[0]], policy)["cleared"] == 1
    assert titles(world, EVE) == [None, None]


@pytest.mark.story
def test_whom_a_list_has_called_opted_out_stays_so_when_it_loses_the_column(world: World) -> None:
    marked = [{**row, "unsubscribed": "yes" if row["email"] == ANN else ""} for row in LIST]
    run(world, marked)
    for _ in range(2):
        run(world, LIST)
        assert (world.in_hubspot(ANN), world.in_persistiq(ANN)) == ([], [])
        assert world.plan(HUBSPOT)[ANN].reason == "opted_out"
    # Who is told to be in again is.
    run(world, [{**row, "unsubscribed": ""} for row in LIST])
    assert len(world.in_hubspot(ANN)) == 1
    run(world, LIST)
    assert world.plan(HUBSPOT)[ANN].action == "unchanged"
