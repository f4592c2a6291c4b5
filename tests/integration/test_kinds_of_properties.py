"""What the values of properties are goes from task to task, and into the memory, without naming an option."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from memory_world import HUBSPOT, World

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.leads.files.staging import StagingError

REPS = ["rep@sales.example", "other@sales.example"]


def properties(world: World, options: list[str]) -> None:
    world.hubspot.properties.pop("rep", None)
    shown = [{"label": each, "value": each} for each in options]
    HubSpotHook().create_property("rep", label="Rep", type="enumeration", field_type="select", options=shown)


def test_no_option_is_in_a_result_or_in_the_memory(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for options in (REPS, REPS[:1]):
        properties(world, options)
        world.runs += 1
        extracted = world.extract(HUBSPOT, scope={"properties": ["rep"]})
        merged = world.merge([extracted])
        world.remember(merged)
        assert "sales.example" not in json.dumps([extracted, merged])
        told.append("rep is not of the type that it was" in "".join(capsys.readouterr()))
    assert told == [False, True]
    assert [path for path in tmp_path.rglob("*.json") if "sales.example" in path.read_text()] == []
    Path(extracted["kinds"].removeprefix("file://")).unlink()
    with pytest.raises(StagingError, match=r"kinds\.json is gone or incomplete: run the task again"):
        world.merge([extracted])
