"""Arguments of sensors that a template or another task turns out not to have."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_providers_leads.sensors.hubspot import HubSpotContactPropertySensor
from airflow_providers_leads.sensors.persistiq import PersistIQEventSensor


@pytest.mark.parametrize("name", ["value", "values"])
@pytest.mark.parametrize("native", [False, True])
def test_a_value_that_renders_to_nothing_is_not_any_value(name: str, native: bool) -> None:
    """What follows would begin when anything at all stands there."""
    with DAG("d", schedule=None, render_template_as_native_obj=native):
        sensor = HubSpotContactPropertySensor(
            task_id="t", contact_id="1", property_name="city", **{name: "{{ params.city }}"}
        )
    sensor.render_template_fields({"params": {"city": None}})  # type: ignore[typeddict-item]
    with pytest.raises(ValueError, match=f"{name} was asked for and renders to nothing"):
        sensor.poke({})  # type: ignore[typeddict-item]


def test_a_lead_that_renders_to_nothing_is_not_any_lead() -> None:
    sensor = PersistIQEventSensor(task_id="t", events="reply", lead_id="{{ params.lead }}")
    sensor.render_template_fields({"params": {}})  # type: ignore[typeddict-item]
    with pytest.raises(ValueError, match="lead_id was asked for and renders to nothing"):
        sensor.poke({})  # type: ignore[typeddict-item]


def test_the_value_of_another_task_is_rendered_first() -> None:
    with DAG("d", schedule=None):

        @task
        def city() -> str:
            return "Ulm"

        sensor = HubSpotContactPropertySensor(task_id="t", contact_id="1", property_name="city", value=city())
    sensor.value = "Ulm"
    context: Any = {}
    assert sensor.query(context)["values"] == ["Ulm"]
    sensor.value = None
    with pytest.raises(ValueError, match="value was asked for"):
        sensor.query(context)
