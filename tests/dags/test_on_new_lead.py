"""The DAG that new leads start, run by hand and by events, against the sandbox; its watcher is tested elsewhere."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

FILE = Path(__file__).resolve().parents[2] / "dags" / "on_new_lead.py"


def run(tmp_path: Path, **params: Any) -> DagResult:
    return run_dag_file(FILE, {"staging": f"file://{tmp_path}/files", **params})


def newest(sandbox: Sandbox, count: int) -> tuple[str, list[dict[str, Any]]]:
    """Return the time of the n-th newest conversion, and the contacts from there on."""
    contacts = [c for f in sandbox.perspective.store.funnels.values() for c in f.contacts.values()]
    dated = sorted(
        (c for c in contacts if c["meta"].get("ps_converted_at")), key=lambda c: c["meta"]["ps_converted_at"]
    )
    since = dated[-count]["meta"]["ps_converted_at"]
    return since, [c for c in dated if c["meta"]["ps_converted_at"] >= since]


def test_only_new_leads_are_read_and_reach_hubspot_once(sandbox: Sandbox, tmp_path: Path) -> None:
    since, contacts = newest(sandbox, 8)
    store = sandbox.hubspot.store
    first = run(tmp_path, since=since)
    assert first.state == "success"
    assert first.returned("since") == [since]
    (extracted,), (upserted,) = first.returned("extract"), first.returned("upsert")
    assert len(contacts) <= extracted["rows"] < sum(len(f.contacts) for f in sandbox.perspective.store.funnels.values())
    assert upserted["failed"] == upserted["ambiguous"] == 0
    blocked = {email_key(p.email) for p in sandbox.people if p.kind != "contactable"}
    wanted = {email_key(c.get("email")) for c in contacts} - blocked - {None}
    assert wanted
    assert all(store.resolve(str(key), "email") for key in wanted)
    # HubSpot is asked for these people only.
    assert sandbox.hubspot.stats.requests < 10

    writes, people = sandbox.hubspot.stats.writes, len(store.contacts)
    second = run(tmp_path, since=since)
    assert second.state == "success"
    assert (sandbox.hubspot.stats.writes, len(store.contacts)) == (writes, people)
    assert sandbox.perspective.store.automations_fired == []
    assert "@" not in json.dumps([task.returned for task in [*first.tasks, *second.tasks]])


def test_by_hand_it_reads_a_day(sandbox: Sandbox, tmp_path: Path) -> None:
    (since,) = run(tmp_path, dry_run=True).returned("since")
    ago = datetime.now().astimezone() - datetime.fromisoformat(since)
    assert timedelta(hours=23, minutes=59) < ago < timedelta(hours=24, minutes=5)
    assert sandbox.hubspot.stats.writes == 0


class State:
    """What an asset keeps."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def __getitem__(self, asset: Any) -> State:
        assert asset.name == "perspective_new_leads"
        return self

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


def events(*oldest: str | None) -> dict[str, list[Any]]:
    payloads = [{"conn_id": "perspective_default", "oldest": time} for time in oldest]
    return {"perspective_new_leads": [SimpleNamespace(extra={"from_trigger": True, "payload": p}) for p in payloads]}


@pytest.fixture
def steps() -> dict[str, Any]:
    from airflow.dag_processing.dagbag import DagBag

    (dag,) = DagBag(dag_folder=str(FILE)).dags.values()
    return {name: dag.get_task(name).python_callable for name in ("since", "done")}


EARLY, MIDDLE, LATE = (f"2026-11-01T0{hour}:00:00.000+00:00" for hour in (1, 2, 3))
BY_EVENT = {"since": None, "dry_run": False}


def test_events_that_came_together_are_one_read(steps: dict[str, Any]) -> None:
    assert steps["since"](BY_EVENT, events(LATE, EARLY, MIDDLE), State()) == EARLY
    # Below Airflow 3.3 assets keep nothing.
    assert steps["since"](BY_EVENT, events(LATE, EARLY), None) == EARLY
    steps["done"](EARLY, BY_EVENT, None)


def test_what_a_failed_run_left_undone_the_next_takes_along(steps: dict[str, Any]) -> None:
    state = State()
    assert steps["since"](BY_EVENT, events(EARLY), state) == EARLY
    # That run failed: nobody said it was done.
    assert steps["since"](BY_EVENT, events(LATE), state) == EARLY
    steps["done"](EARLY, BY_EVENT, state)
    assert state.values == {}
    assert steps["since"](BY_EVENT, events(LATE), state) == LATE


def test_a_run_by_hand_or_a_dry_one_settles_nothing(steps: dict[str, Any]) -> None:
    state = State()
    steps["since"](BY_EVENT, events(EARLY), state)
    assert steps["since"]({"since": LATE, "dry_run": False}, {}, state) == LATE
    steps["done"](LATE, BY_EVENT, state)
    steps["done"](EARLY, {"since": None, "dry_run": True}, state)
    assert steps["since"](BY_EVENT, events(MIDDLE), state) == EARLY
