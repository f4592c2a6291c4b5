"""Somebody converts in a funnel and is in HubSpot within a minute: real scheduler, real triggerer, real HTTP."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_cluster import AirflowCluster

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.clock import iso_utc

DAG_FILE = Path(__file__).resolve().parents[2] / "dags" / "on_new_lead.py"
DAG, ASSET = "on_new_lead", "perspective_new_leads"

pytestmark = pytest.mark.integration

SENSORS = """
from airflow.sdk import DAG, Param

from airflow_providers_leads.sensors.hubspot import HubSpotContactPropertySensor, HubSpotNewContactSensor
from airflow_providers_leads.sensors.persistiq import PersistIQEventSensor
from airflow_providers_leads.sensors.perspective import PerspectiveNewContactSensor

with DAG("waiting", schedule=None, params={"who": Param("", type="string")}):
    arguments = {"deferrable": True, "poke_interval": 5, "timeout": 300}
    HubSpotContactPropertySensor(task_id="property", email="{{ params.who }}", property_name="city", **arguments)
    HubSpotNewContactSensor(task_id="contact", hubspot_conn_id="hubspot_stored", **arguments)
    PersistIQEventSensor(task_id="event", events=["reply", "bounce"], **arguments)
    PerspectiveNewContactSensor(task_id="conversion", **arguments)
    PerspectiveNewContactSensor(task_id="never", **{**arguments, "timeout": 30, "since": "2999-01-01T00:00:00Z"})
    HubSpotNewContactSensor(task_id="refused", hubspot_conn_id="hubspot_wrong", **arguments)
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=60, seed=7, anchor="2024-01-01T00:00:00Z") as running:
        yield running


@pytest.fixture(scope="module")
def airflow(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowCluster]:
    home = tmp_path_factory.mktemp("airflow")
    sensors = tmp_path_factory.mktemp("sensors") / "waiting.py"
    sensors.write_text(SENSORS)
    wrong = {**sandbox.connections()["hubspot_default"], "password": "planted-secret-key"}
    environment = {
        **sandbox.connection_env(),
        "AIRFLOW_CONN_HUBSPOT_WRONG": json.dumps(wrong),
        "AIRFLOW__LEADS__STAGING": f"file://{home}/staging",
    }
    with AirflowCluster(home, [DAG_FILE, sensors], environment) as running:
        yield running


def convert(sandbox: Sandbox, count: int = 1) -> list[str]:
    """Let people convert in a funnel and return their addresses."""
    store = sandbox.perspective.store
    funnel = next(iter(store.funnels.values()))
    made = []
    for _ in range(count):
        number, at = store.next_id(), iso_utc(store.clock.now())
        email = f"new.{number[-4:]}@people.example"
        meta = {"ps_converted_at": at, "ps_first_seen_at": at}
        contact = {"id": number, "status": "new", "email": email, "firstName": "Ann", "meta": meta}
        funnel.add(contact | {"utmParams": {}, "properties": {}})
        made.append(email)
    return made


def held(sandbox: Sandbox, emails: list[str]) -> bool:
    return all(sandbox.hubspot.store.resolve(email, "email") for email in emails)


def settled(airflow: AirflowCluster) -> list[dict[str, Any]]:
    """Return the runs when all have ended."""

    def ended() -> list[dict[str, Any]] | None:
        runs = airflow.runs(DAG)
        return runs if runs and all(run["state"] in ("success", "failed") for run in runs) else None

    return airflow.wait_for("the runs", ended, 120)


def looks(sandbox: Sandbox) -> int:
    return sum(n for route, n in sandbox.perspective.stats.by_route.items() if "contacts" in route)


def cursor(airflow: AirflowCluster) -> Any:
    """Return the watcher's cursor once it is kept."""
    state = airflow.asset_state(ASSET)
    return next((value for key, value in state.items() if key.startswith("leads/")), None)


def test_sensors_wait_in_the_triggerer(sandbox: Sandbox, airflow: AirflowCluster) -> None:
    # In the database, where the triggerer has to ask for it while it is busy with others.
    given = sandbox.connections()["hubspot_default"]
    airflow.request("POST", "/connections", {"connection_id": "hubspot_stored", **given})
    run = airflow.trigger("waiting", {"who": "Kim@waiting.example"})
    deferred = {"property", "contact", "event", "conversion", "never"}

    def all_wait() -> bool:
        states = airflow.states("waiting", run)
        return {name for name, state in states.items() if state == "deferred"} == deferred

    airflow.wait_for("deferred sensors", all_wait, 90)
    time.sleep(12)
    assert all_wait()
    hubspot, persistiq = sandbox.hubspot.store, sandbox.persistiq.store
    contact = hubspot.plan_create({"email": "kim@waiting.example", "city": "Ulm"}).commit()
    lead = next(iter(persistiq.leads))
    persistiq.record("message_bounced", lead_id=lead)
    convert(sandbox)
    assert airflow.ended("waiting", run, seconds=120)["state"] == "failed"
    assert airflow.states("waiting", run) == {
        **dict.fromkeys(deferred - {"never"}, "success"), "never": "failed", "refused": "failed",
    }  # fmt: skip
    returned = {name: airflow.returned("waiting", run, name) for name in deferred - {"never"}}
    assert returned["property"] == {"contact_id": str(contact.id), "property_name": "city"}
    assert (returned["contact"]["ids"], returned["event"]["ids"]) == ([str(contact.id)], [lead])
    assert returned["conversion"]["count"] == 1
    logged = airflow.logs()
    assert "Put a valid private-app token" in logged
    assert "timed out" in logged.lower() or "timeout" in logged.lower()
    for secret in ("waiting.example", "planted-secret-key", "people.example"):
        assert secret not in logged.lower()


def test_a_new_lead_is_in_hubspot_within_a_minute_and_once(
    sandbox: Sandbox, airflow: AirflowCluster, record_property: Callable[[str, object], None]
) -> None:
    contacts = len(sandbox.hubspot.store.contacts)
    airflow.pause(DAG, paused=False)
    airflow.wait_for("the watcher's baseline", lambda: cursor(airflow), 90)
    assert airflow.asset_events(ASSET) == []

    started = time.monotonic()
    emails = convert(sandbox, 3)
    airflow.wait_for("the new leads", lambda: held(sandbox, emails), 60)
    took = time.monotonic() - started
    record_property("seconds_until_in_hubspot", round(took, 1))
    assert took < 60
    assert [run["state"] for run in settled(airflow)] == ["success"]

    # It goes on looking, and fires no more.
    before = looks(sandbox)
    airflow.wait_for("further looks", lambda: looks(sandbox) >= before + 2 * len(sandbox.perspective.store.funnels), 90)
    (event,) = airflow.asset_events(ASSET)
    assert event["extra"]["payload"]["count"] == 3
    assert len(airflow.runs(DAG)) == 1
    assert len(sandbox.hubspot.store.contacts) == contacts + 3
    # Nobody was mailed, and nobody's address stands in a log or event.
    assert sandbox.perspective.store.automations_fired == []
    assert sandbox.perspective.stats.writes == 0
    logged = airflow.logs()
    assert "people.example" not in logged + json.dumps(event)
    assert not [api.name for api in sandbox.apis if api.key in logged]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_who_comes_while_the_triggerer_is_down_is_not_lost_and_not_repeated(
    sandbox: Sandbox, airflow: AirflowCluster, by: int
) -> None:
    runs, events = len(settled(airflow)), len(airflow.asset_events(ASSET))
    contacts = len(sandbox.hubspot.store.contacts)
    airflow.stop("triggerer", by=by)
    emails = convert(sandbox, 2)
    airflow.start("triggerer")
    # After a crash its triggers are handed on only when its last sign of life is half a minute old.
    airflow.wait_for("the new leads", lambda: held(sandbox, emails), 150)
    settled(airflow)
    before = looks(sandbox)
    airflow.wait_for("further looks", lambda: looks(sandbox) >= before + 2 * len(sandbox.perspective.store.funnels), 90)
    assert len(settled(airflow)) == runs + 1
    assert [event["extra"]["payload"]["count"] for event in airflow.asset_events(ASSET)][events:] == [2]
    assert len(sandbox.hubspot.store.contacts) == contacts + 2
