"""The sensors, in a worker and deferred, against the sandbox over HTTP."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time as real_time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.sdk.bases import sensor as airflow_sensor

from airflow_providers_leads.http.errors import (
    LeadsAuthError,
    LeadsNotFoundError,
    LeadsServerError,
    LeadsValidationError,
)
from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.sandbox.core.clock import iso_utc
from airflow_providers_leads.sandbox.persistiq.store import Lead
from airflow_providers_leads.sensors.base import LeadsSensor
from airflow_providers_leads.sensors.hubspot import HubSpotContactPropertySensor, HubSpotNewContactSensor
from airflow_providers_leads.sensors.persistiq import PersistIQEventSensor
from airflow_providers_leads.sensors.perspective import PerspectiveNewContactSensor

ADDRESS = "ann.lee@people.example"


def convert(sandbox: Sandbox) -> str:
    store = sandbox.perspective.store
    contact = {"id": store.next_id(), "status": "new", "email": f"{store._made}@people.example"}
    contact |= {"meta": {"ps_converted_at": iso_utc(store.clock.now())}, "utmParams": {}, "properties": {}}
    next(iter(store.funnels.values())).add(contact)
    return str(contact["id"])


def join(sandbox: Sandbox, **properties: str) -> str:
    store = sandbox.hubspot.store
    return str(store.plan_create({"email": f"{len(store.contacts)}@people.example", **properties}).commit().id)


def reply(sandbox: Sandbox, campaign_id: str | None = None) -> str:
    store = sandbox.persistiq.store
    now = store.clock.now()
    lead = Lead(store.next_id("l"), "new", {"email": f"{store._made}@people.example"}, now, now)
    store.add(lead)
    store.record("message_received", lead_id=lead.id, campaign_id=campaign_id)
    return str(lead.id)


def set_city(sandbox: Sandbox) -> str:
    store = sandbox.hubspot.store
    contact = store.resolve(ADDRESS, "email") or store.plan_create({"email": ADDRESS}).commit()
    contact.properties["city"] = "Ulm"
    return str(contact.id)


NEW: dict[type[LeadsSensor], tuple[dict[str, Any], Callable[[Sandbox], str]]] = {
    PerspectiveNewContactSensor: ({}, convert),
    HubSpotNewContactSensor: ({}, join),
    PersistIQEventSensor: ({"events": "reply"}, reply),
}
ALL = NEW | {HubSpotContactPropertySensor: ({"email": ADDRESS, "property_name": "city"}, set_city)}
EACH_NEW = pytest.mark.parametrize("kind", NEW, ids=lambda kind: kind.__name__)
EACH = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)


@pytest.fixture(autouse=True)
def nobody_yet(sandbox: Sandbox) -> Iterator[None]:
    yield
    store = sandbox.hubspot.store
    if contact := store.resolve(ADDRESS, "email"):
        store.archive(contact)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """What happens while a sensor sleeps; when nothing is left, the test fails."""
    left: list[Callable[[], Any]] = []

    def sleep(seconds: float) -> None:
        left.pop(0)()

    fake = SimpleNamespace(sleep=sleep, monotonic=airflow_sensor.time.monotonic)
    monkeypatch.setattr(airflow_sensor, "time", fake)
    return left


def now(sandbox: Sandbox) -> datetime:
    """Return a time after all that happened and before all that will."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=sandbox.hubspot.store.clock.now() + 1)
    real_time.sleep(0.003)
    return moment


def build(kind: type[LeadsSensor], **changes: Any) -> LeadsSensor:
    return kind(task_id="t", **{"poke_interval": 5, **ALL[kind][0], **changes})


def context(sandbox: Sandbox, **more: Any) -> Any:
    return {"dag_run": SimpleNamespace(start_date=now(sandbox)), **more}


def nothing() -> None:
    pass


@EACH
def test_in_a_worker_it_waits_until_it_happens(
    sandbox: Sandbox, kind: type[LeadsSensor], waits: list[Callable[[], Any]]
) -> None:
    made: list[str] = []
    given = context(sandbox)
    waits += [nothing, lambda: made.append(ALL[kind][1](sandbox))]
    found = build(kind).execute(given)
    assert (found.get("ids") or [found["contact_id"]]) == made
    assert "@" not in json.dumps(found)
    if kind in NEW:
        assert set(found) == {"count", "ids", "oldest", "newest"}


@EACH
def test_deferred_it_looks_once_and_leaves_the_worker(sandbox: Sandbox, kind: type[LeadsSensor]) -> None:
    sensor = build(kind, deferrable=True, timeout=900)
    given = context(sandbox)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(given)
    assert deferred.value.timeout == timedelta(seconds=900)
    assert deferred.value.method_name == "execute_complete"
    path, arguments = deferred.value.trigger.serialize()
    assert path == "airflow_providers_leads.triggers.base.LeadsPollTrigger"
    json.dumps(arguments)
    assert arguments["poll_interval"] == 5
    # What the triggerer then finds is what the task returns.
    event = {"status": "found", "found": {"count": 1}}
    assert build(kind).execute_complete(given, event) == {"count": 1}
    made = ALL[kind][1](sandbox)
    found = sensor.execute(given)
    assert (found.get("ids") or [found["contact_id"]]) == [made]


@EACH
def test_the_triggerer_goes_on_where_the_worker_stopped(sandbox: Sandbox, kind: type[LeadsSensor]) -> None:
    from airflow_providers_leads.triggers.polls import hook_for, poll_named

    sensor = build(kind, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context(sandbox))
    arguments = deferred.value.trigger.serialize()[1]
    conn_type, poll = poll_named(arguments["poll"])
    hook = hook_for(conn_type, arguments["conn_id"], patient=False)
    found, state = poll(hook, arguments["query"], arguments["state"])
    assert found is None
    made = ALL[kind][1](sandbox)
    found, state = poll(hook, arguments["query"], json.loads(json.dumps(state)))
    assert (found.get("ids") or [found["contact_id"]]) == [made]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"status": "error", "message": "wrong key", "retry": False}, AirflowFailException),
        ({"status": "error", "message": "wrong key", "retry": True}, AirflowException),
        (None, AirflowException),
    ],
)
def test_what_the_triggerer_could_not_do_fails_the_task(event: Any, kind: type[Exception]) -> None:
    sensor = PerspectiveNewContactSensor(task_id="t")
    with pytest.raises(kind) as caught:
        sensor.execute_complete({}, event)
    assert type(caught.value) is kind
    soft = PerspectiveNewContactSensor(task_id="t", soft_fail=True)
    with pytest.raises(AirflowSkipException):
        soft.resume_execution("execute_complete", {"event": event}, {})  # type: ignore[arg-type]


@EACH
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_wrong_key_ends_it_at_once_and_for_good(
    sandbox: Sandbox, kind: type[LeadsSensor], deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = build(kind).conn_parameter.removesuffix("_conn_id")
    wrong = {**sandbox.connections()[f"{name}_default"], "password": "planted-secret-key"}
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}_DEFAULT", json.dumps(wrong))
    with pytest.raises(LeadsAuthError) as caught:
        build(kind, deferrable=deferrable).execute(context(sandbox))
    assert isinstance(caught.value, AirflowFailException)
    assert "planted-secret-key" not in str(caught.value)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("lenient", ["soft_fail", "never_fail"])
def test_a_wrong_key_skips_it_where_that_is_asked_for(
    sandbox: Sandbox, lenient: str, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {**sandbox.connections()["hubspot_default"], "password": "planted-secret-key"}
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(wrong))
    with pytest.raises(AirflowSkipException) as skipped:
        build(HubSpotNewContactSensor, deferrable=deferrable, **{lenient: True}).execute(context(sandbox))
    assert "planted-secret-key" not in str(skipped.value)


@EACH
def test_errors_that_pass_are_ridden_out(
    sandbox: Sandbox, kind: type[LeadsSensor], waits: list[Callable[[], Any]]
) -> None:
    sensor = build(kind)
    api = getattr(sandbox, sensor.conn_parameter.removesuffix("_conn_id"))
    api.faults = lambda index, call: Fault(status=503)

    def mend() -> None:
        api.faults = None
        ALL[kind][1](sandbox)

    waits += [*[nothing] * 8, mend]
    assert sensor.execute(context(sandbox))
    assert waits == []


@EACH
def test_errors_that_do_not_pass_fail_it_after_ten(
    sandbox: Sandbox, kind: type[LeadsSensor], waits: list[Callable[[], Any]]
) -> None:
    sensor = build(kind)
    getattr(sandbox, sensor.conn_parameter.removesuffix("_conn_id")).faults = lambda index, call: Fault(status=503)
    waits += [nothing] * 9
    with pytest.raises(LeadsServerError):
        sensor.execute(context(sandbox))
    assert waits == []


@EACH
def test_a_timeout_is_kept(sandbox: Sandbox, kind: type[LeadsSensor]) -> None:
    with pytest.raises(AirflowSensorTimeout):
        build(kind, timeout=0, poke_interval=0).execute(context(sandbox))


@EACH_NEW
@pytest.mark.parametrize("form", [lambda t: t, lambda t: t.isoformat(), lambda t: f" {t.isoformat()} "])
def test_since(sandbox: Sandbox, kind: type[LeadsSensor], form: Callable[[datetime], Any]) -> None:
    since = now(sandbox)
    assert not build(kind, since=form(since)).poke(context(sandbox))
    made = [NEW[kind][1](sandbox), NEW[kind][1](sandbox)]
    found = build(kind, since=form(since)).poke({}).xcom_value  # type: ignore[typeddict-item]
    assert sorted(found["ids"]) == sorted(made)
    # The run's own start is the default, the same for each retry.
    assert build(kind, since="").poke({"dag_run": SimpleNamespace(start_date=since)})  # type: ignore[arg-type]
    assert not build(kind, since="None").poke(context(sandbox))


@EACH_NEW
@pytest.mark.parametrize(
    ("since", "told"),
    [("2026-01-01T00:00:00", "no time zone"), ("soon", "since must be"), (None, "since must be given")],
)
def test_a_time_that_is_none_is_refused_before_any_request(
    sandbox: Sandbox, kind: type[LeadsSensor], since: Any, told: str
) -> None:
    before = [api.stats.requests for api in sandbox.apis]
    with pytest.raises(ValueError, match=told):
        build(kind, since=since).execute({})  # type: ignore[arg-type]
    assert [api.stats.requests for api in sandbox.apis] == before


def test_only_this_lead_and_this_campaign(sandbox: Sandbox) -> None:
    since = now(sandbox)
    campaign = next(iter(sandbox.persistiq.store.campaigns))
    one, other = reply(sandbox, campaign), reply(sandbox)

    def found(**narrow: Any) -> list[str]:
        event = {"events": "reply", "since": since, **narrow}
        done = PersistIQEventSensor(task_id="t", **event).poke({})  # type: ignore[typeddict-item]
        return sorted(done.xcom_value["ids"]) if done else []

    assert found() == sorted([one, other])
    assert found(campaign_id=campaign) == [one]
    assert found(lead_id=other, campaign_id="") == [other]
    assert found(lead_id=other, campaign_id=campaign) == []
    assert found(events=["bounce"]) == []
    assert found(events="bounce, message_received", lead_id=one) == [one]
    with pytest.raises(ValueError, match="events must name"):
        found(events="")


def test_only_contacts_that_a_filter_lets_through(sandbox: Sandbox) -> None:
    since = now(sandbox)
    wanted = {"propertyName": "city", "operator": "EQ", "value": "Ulm"}
    sensor = HubSpotNewContactSensor(task_id="t", since=since, filters=[wanted])
    join(sandbox, city="Bonn")
    assert not sensor.poke({})  # type: ignore[typeddict-item]
    made = join(sandbox, city="Ulm")
    assert sensor.poke({}).xcom_value["ids"] == [made]  # type: ignore[typeddict-item]
    unknown = HubSpotNewContactSensor(
        task_id="t", since=since, filters=[{"propertyName": "nonsense", "operator": "HAS_PROPERTY"}]
    )
    with pytest.raises(LeadsValidationError, match="PROPERTY_DOESNT_EXIST"):
        unknown.poke({})  # type: ignore[typeddict-item]


# A contact's property -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "held", "done"),
    [
        ({}, "anything", True),
        ({}, "", False),
        ({"value": "Ulm"}, "Ulm", True),
        ({"value": "Ulm"}, "Bonn", False),
        ({"values": ["Ulm", "Bonn"]}, "Bonn", True),
        ({"values": ["Ulm", "Bonn"]}, "Jena", False),
        ({"values": "Ulm"}, "Ulm", True),
        ({"value": "", "values": None}, "anything", True),
        ({"value": True}, "true", True),
        ({"value": True}, "false", False),
        ({"value": 3}, "3", True),
        ({"value": "solar"}, "heating;solar", True),
        ({"value": "sol"}, "heating;solar", False),
    ],
)
def test_a_value_is_reached(sandbox: Sandbox, wanted: dict[str, Any], held: str, done: bool) -> None:
    contact_id = join(sandbox, **({"city": held} if held else {}))
    sensor = HubSpotContactPropertySensor(task_id="t", contact_id=contact_id, property_name="city", **wanted)
    found = sensor.poke({})  # type: ignore[typeddict-item]
    assert bool(found) is done
    if done:
        assert found.xcom_value == {"contact_id": contact_id, "property_name": "city"}


@pytest.mark.parametrize(
    ("name", "wanted", "held"),
    [
        pytest.param("lifecyclestage", "Customer", "customer", id="a label"),
        pytest.param("hs_lead_status", "new", "NEW", id="another case"),
        pytest.param("annualrevenue", 5, "5.0", id="a number"),
        pytest.param("closedate", datetime(2026, 1, 15, 9, tzinfo=UTC), "2026-01-15T09:00:00Z", id="a time"),
    ],
)
def test_a_value_is_compared_by_the_type_of_its_property(sandbox: Sandbox, name: str, wanted: Any, held: str) -> None:
    contact_id = join(sandbox, **{name: held})
    sensor = HubSpotContactPropertySensor(task_id="t", contact_id=contact_id, property_name=name, value=wanted)
    assert sensor.poke({})  # type: ignore[typeddict-item]


def test_a_value_that_the_property_never_has_is_told_instead_of_waited_for(sandbox: Sandbox) -> None:
    sensor = HubSpotContactPropertySensor(
        task_id="t", contact_id=join(sandbox), property_name="lifecyclestage", values=["customer", "custommer"]
    )
    with pytest.raises(ValueError, match=r"lifecyclestage .* none of the property's options"):
        sensor.execute({})  # type: ignore[typeddict-item]


def test_a_property_that_does_not_exist_is_told_instead_of_waited_for(sandbox: Sandbox) -> None:
    sensor = HubSpotContactPropertySensor(task_id="t", contact_id=join(sandbox), property_name="citty")
    with pytest.raises(LeadsNotFoundError):
        sensor.execute({})  # type: ignore[typeddict-item]


def test_a_contact_id_that_does_not_exist_is_told(sandbox: Sandbox) -> None:
    sensor = HubSpotContactPropertySensor(task_id="t", contact_id="99", property_name="city")
    with pytest.raises(LeadsNotFoundError):
        sensor.execute({})  # type: ignore[typeddict-item]


def test_the_definition_is_asked_for_once(sandbox: Sandbox) -> None:
    sensor = HubSpotContactPropertySensor(task_id="t", contact_id=join(sandbox), property_name="city")
    before = sandbox.hubspot.stats.requests
    for _ in range(3):
        assert not sensor.poke({})  # type: ignore[typeddict-item]
    assert sandbox.hubspot.stats.requests - before == 4


def test_the_address_is_rendered_and_shown_nowhere(
    sandbox: Sandbox, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_city(sandbox)
    sensor = HubSpotContactPropertySensor(task_id="t", email="{{ params.who }}", property_name="city")
    assert "email" not in sensor.template_fields
    given: Any = {"params": {"who": ADDRESS.upper()}}
    sensor.render_template_fields(given)
    assert sensor.poke(given)
    shown = [repr(sensor), json.dumps([str(getattr(sensor, field)) for field in sensor.template_fields]), said()]
    assert not any("ann.lee" in text.lower() for text in shown)
    # Airflow would mail its failure reports to an operator's "email".
    assert sensor.email is None
    sandbox.hubspot.faults = lambda index, call: Fault(status=400, body={"message": f"bad {ADDRESS}"})
    with pytest.raises(LeadsValidationError) as caught:
        sensor.poke(given)
    assert "ann.lee" not in str(caught.value).lower()


def test_the_address_may_be_what_another_task_returned() -> None:
    from airflow.sdk import DAG, task

    with DAG("d"):

        @task
        def somebody() -> str:
            return ADDRESS

        sensor = HubSpotContactPropertySensor(task_id="t", email=somebody(), property_name="city")  # type: ignore[arg-type]
    assert sensor.upstream_task_ids == {"somebody"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "exactly one of contact_id and email"),
        ({"contact_id": "1", "email": ADDRESS}, "exactly one of contact_id and email"),
        ({"contact_id": "None"}, "exactly one of contact_id and email"),
        ({"contact_id": ADDRESS}, "contact_id must be a record id"),
        ({"email": "17"}, "email must be an address"),
        ({"contact_id": "1", "property_name": " "}, "property_name must not be empty"),
        ({"contact_id": "1", "value": "a", "values": ["b"]}, "can't be given together"),
        ({"contact_id": "1", "values": []}, "values must hold at least one value"),
    ],
)
def test_bad_arguments(sandbox: Sandbox, given: dict[str, Any], told: str) -> None:
    before = sandbox.hubspot.stats.requests
    with pytest.raises(ValueError, match=told) as caught:
        HubSpotContactPropertySensor(task_id="t", **{"property_name": "city", **given}).execute({})  # type: ignore[typeddict-item]
    assert ADDRESS not in str(caught.value)
    assert sandbox.hubspot.stats.requests == before


# All of them ----------------------------------------------------------------------------------------------------------


@EACH
def test_everything_that_may_be_templated_is(kind: type[LeadsSensor]) -> None:
    own = set(inspect.signature(kind.__init__).parameters) - {"self", "kwargs"}
    assert set(kind.template_fields) == own - {"email"}
    assert build(kind).deferrable is False
    for name in own:
        assert f":param {name}:" in (kind.__doc__ or "")


def test_airflows_default_defers(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from airflow_providers_leads.sensors.hubspot import HubSpotNewContactSensor as S; import sys;"
        "print(S(task_id='t').deferrable, sorted({'duckdb','pyarrow','ibis','requests'} & set(sys.modules)),"
        "[m for m in sys.modules if m.startswith('airflow.triggers')])"
    )
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Parsing a DAG loads no heavy library for it.
    assert run.stdout.splitlines()[-1] == "True [] []"
