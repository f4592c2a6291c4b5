"""Every example DAG once under a real scheduler with LocalExecutor, as a user meets it: unpaused, or triggered."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow_cluster import AirflowCluster

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.sandbox import Sandbox

pytestmark = pytest.mark.integration

FILES = sorted((Path(__file__).resolve().parents[2] / "dags").glob("*.py"))
SECONDS = 420.0


@dataclass(frozen=True)
class World:
    """What a run can be looked at by."""

    sandbox: Sandbox
    airflow: AirflowCluster
    staging: Path


def everybody_stands_once_in_each_destination(world: World) -> None:
    sandbox = world.sandbox
    held = {
        "hubspot": Counter(email_key(c.properties.get("email")) for c in sandbox.hubspot.store.contacts.values()),
        "persistiq": Counter(email_key(lead.data.get("email")) for lead in sandbox.persistiq.store.leads.values()),
    }
    wanted = {email_key(person.email) for person in sandbox.people if person.kind == "contactable"}
    wrong = {crm: {key: keys[key] for key in wanted if keys[key] != 1} for crm, keys in held.items()}
    assert wrong == {"hubspot": {}, "persistiq": {}}


def a_report_is_left(world: World) -> None:
    everybody_stands_once_in_each_destination(world)
    assert list((world.staging / "reports").rglob("*.html"))


def new_leads_are_in_hubspot(world: World) -> None:
    store = world.sandbox.hubspot.store
    day = pendulum.now("UTC").subtract(hours=23).isoformat()
    contacts = [c for f in world.sandbox.perspective.store.funnels.values() for c in f.contacts.values()]
    new = {email_key(c.get("email")) for c in contacts if (c["meta"].get("ps_converted_at") or "") > day}
    welcome = {email_key(person.email) for person in world.sandbox.people if person.kind == "contactable"}
    assert all(store.resolve(str(key), "email") for key in new & welcome)


def hubspot_knows_of_engagement(world: World) -> None:
    groups = [p["groupName"] for p in world.sandbox.hubspot.store.properties.values()]
    assert groups.count("persistiq") == 4


def every_funnel_has_a_file(world: World) -> None:
    files = list((world.staging / "perspective_metrics").glob("*.parquet"))
    assert len(files) == len(world.sandbox.perspective.store.funnels)


def every_campaign_has_a_file(world: World) -> None:
    files = list((world.staging / "persistiq_campaign_stats").glob("*.parquet"))
    assert len(files) == len(world.sandbox.persistiq.store.campaigns)


def nobody_joined_a_campaign_that_mails(world: World) -> None:
    assert world.sandbox.persistiq.store.messages_sent == []


@dataclass(frozen=True)
class Expected:
    """How one DAG is started and how it ends.

    :param check: what must be so afterwards, whichever other DAGs ran before
    :param scheduled: its schedule starts it as soon as it is unpaused; otherwise it is triggered
    :param conf: makes the trigger's params of the sandbox
    :param writes: the CRMs that it may write to
    :param answer: what a person answers meanwhile
    """

    check: Callable[[World], None]
    scheduled: bool = False
    conf: Callable[[Sandbox], Mapping[str, Any]] = lambda sandbox: {}
    writes: frozenset[str] = field(default_factory=frozenset)
    answer: str | None = None


def silent_campaign(sandbox: Sandbox) -> dict[str, str]:
    campaigns = sandbox.persistiq.store.campaigns.values()
    return {"campaign_id": next(campaign.id for campaign in campaigns if not campaign.active)}


def a_file(sandbox: Sandbox) -> dict[str, str]:
    file = Path(tempfile.mkdtemp(prefix="leads-import-")) / "fair.csv"
    file.write_text("E-Mail;Vorname\nfair@import.example;Fay\n", encoding="utf-8")
    return {"file": f"file://{file}", "source": "trade_fair"}


def the_file_is_in_the_crms(world: World) -> None:
    assert world.sandbox.hubspot.store.resolve("fair@import.example", "email")


BOTH = frozenset({"hubspot", "persistiq"})
EXPECTED = {
    "engagement_to_hubspot": Expected(hubspot_knows_of_engagement, scheduled=True, writes=frozenset({"hubspot"})),
    "leads_import": Expected(the_file_is_in_the_crms, conf=a_file, writes=BOTH),
    "leads_incremental": Expected(everybody_stands_once_in_each_destination, scheduled=True, writes=BOTH),
    "leads_sync": Expected(a_report_is_left, writes=BOTH),
    "leads_sync_reviewed": Expected(everybody_stands_once_in_each_destination, writes=BOTH, answer="Approve"),
    "on_new_lead": Expected(new_leads_are_in_hubspot, writes=frozenset({"hubspot"})),
    "outreach_enrol": Expected(
        nobody_joined_a_campaign_that_mails, conf=silent_campaign, writes=frozenset({"persistiq"})
    ),
    "persistiq_campaign_stats": Expected(every_campaign_has_a_file),
    "perspective_metrics": Expected(every_funnel_has_a_file, scheduled=True),
}


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # Those that are asked for: the machine has enough to do without parsing the others.
    asked = {item.callspec.params["dag_id"] for item in request.session.items if item.path == Path(__file__)}
    home = tmp_path_factory.mktemp("airflow")
    # What happened in the sandbox happened just now, so that a schedule's interval has something in it.
    with Sandbox(people=60, seed=7, limits=False, anchor=pendulum.now("UTC").isoformat()) as sandbox:
        extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 2}
        environment = {
            **{
                name: json.dumps({**json.loads(value), "extra": extra})
                for name, value in sandbox.connection_env().items()
            },
            "AIRFLOW__LEADS__STAGING": f"file://{home}/staging",
        }
        with AirflowCluster(home, [file for file in FILES if file.stem in asked], environment) as airflow:
            yield World(sandbox, airflow, home / "staging")


def answer(airflow: AirflowCluster, dag_id: str, run_id: str, option: str) -> None:
    """Answer the question of a run as a person does in the UI."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}"

    def asked() -> dict[str, Any] | None:
        waiting = airflow.get(f"{path}/hitlDetails")["hitl_details"]
        # The question stands there a moment before its task has gone to rest.
        return next((one for one in waiting if one["task_instance"]["state"] == "awaiting_input"), None)

    question = airflow.wait_for("the question", asked, SECONDS)
    assert question is not None
    assert "| hubspot_default | " in question["body"]
    # Nobody reads that fast: a scheduler that hasn't heard yet that the task rests would take it for lost.
    time.sleep(5)
    airflow.request(
        "PATCH",
        f"{path}/taskInstances/{question['task_instance']['task_id']}/-1/hitlDetails",
        {"chosen_options": [option], "params_input": {}},
    )


def run(world: World, dag_id: str, expected: Expected) -> dict[str, Any]:
    """Start a DAG and return its run when it has ended."""
    airflow = world.airflow
    if expected.scheduled:
        airflow.pause(dag_id, paused=False)
        run_id = airflow.wait_for("the scheduled run", lambda: airflow.runs(dag_id), 120)[0]["dag_run_id"]
    else:
        run_id = airflow.trigger(dag_id, expected.conf(world.sandbox))
    if expected.answer:
        answer(airflow, dag_id, run_id, expected.answer)
    ended = airflow.ended(dag_id, run_id, seconds=SECONDS)
    airflow.pause(dag_id)
    return ended


@pytest.mark.parametrize("dag_id", [file.stem for file in FILES])
def test_it_ends_as_it_should(dag_id: str, world: World, record_property: Callable[[str, object], None]) -> None:
    assert dag_id in EXPECTED, f"{dag_id}: say in EXPECTED how this DAG is started and how it ends"
    sandbox, airflow, expected = world.sandbox, world.airflow, EXPECTED[dag_id]
    before = {api.name: api.stats.writes for api in sandbox.apis}
    started = time.monotonic()
    ended = run(world, dag_id, expected)
    record_property("seconds", round(time.monotonic() - started, 1))

    tasks = airflow.get(f"/dags/{dag_id}/dagRuns/{ended['dag_run_id']}/taskInstances?limit=100")["task_instances"]
    unsuccessful = [(task["task_id"], task["map_index"], task["state"]) for task in tasks if task["state"] != "success"]
    assert (ended["state"], unsuccessful) == ("success", []), airflow.logs()[-4000:]
    assert {task["task_id"] for task in tasks} == {
        task["task_id"] for task in airflow.get(f"/dags/{dag_id}/tasks")["tasks"]
    }
    expected.check(world)
    written = {api.name for api in sandbox.apis if api.stats.writes > before[api.name]}
    assert written <= expected.writes
    # Whatever else it did, it mailed nobody.
    assert sandbox.perspective.store.automations_fired == []
    assert sandbox.persistiq.store.messages_sent == []
    logged = airflow.logs()
    assert not [api.name for api in sandbox.apis if api.key in logged]
    assert not [person.person_id for person in sandbox.people if person.email and person.email in logged]
