"""Watchers of assets, against the sandbox over HTTP: once per change, across restarts, and never in a loop."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.triggers.base import BaseEventTrigger
from trigger_fakes import Sleeper, Store, befall, collect, convert, join, sandbox_now

from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.triggers.base import LeadsEventTrigger
from airflow_providers_leads.triggers.hubspot import HubSpotNewContactTrigger
from airflow_providers_leads.triggers.persistiq import PersistIQEventTrigger
from airflow_providers_leads.triggers.perspective import PerspectiveNewContactTrigger

KINDS: dict[type[LeadsEventTrigger], tuple[dict[str, Any], Callable[[Sandbox], Any]]] = {
    PerspectiveNewContactTrigger: ({}, lambda sandbox: convert(sandbox)[0]),
    HubSpotNewContactTrigger: ({}, join),
    PersistIQEventTrigger: ({"events": "reply"}, lambda sandbox: befall(sandbox, "message_received")),
}
EACH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def watcher(kind: type[LeadsEventTrigger], store: Store | None, *, sleep: Sleeper, **changes: Any) -> LeadsEventTrigger:
    """Return a trigger as the triggerer makes it: from what was serialized, its store handed in."""
    path, arguments = kind(**{**KINDS[kind][0], **changes}).serialize()
    assert path.rpartition(".")[2] == kind.__name__
    quick = type(kind.__name__, (kind,), {"sleep": staticmethod(sleep), "__module__": kind.__module__})
    trigger = quick(**json.loads(json.dumps(arguments)))
    trigger.asset_state_store = store  # type: ignore[assignment]
    return trigger


def watch(
    kind: type[LeadsEventTrigger], store: Store | None, *between: Callable[[], Any], **changes: Any
) -> list[dict[str, Any]]:
    """Run a watcher for as many looks as there are things to do between them, and one more."""
    trigger = watcher(kind, store, sleep=Sleeper(*between), **changes)
    return asyncio.run(collect(trigger.run()))


def nothing() -> None:
    pass


@EACH
def test_it_fires_once_per_change_and_not_for_the_past(sandbox: Sandbox, kind: type[LeadsEventTrigger]) -> None:
    happen = KINDS[kind][1]
    made: list[Any] = []
    happen(sandbox)
    fired = watch(kind, Store(), nothing, lambda: made.append(happen(sandbox)), nothing, nothing)
    assert [(event["count"], event["ids"]) for event in fired] == [(1, made)]
    assert fired[0]["conn_id"].endswith("_default")
    assert fired[0]["oldest"] == fired[0]["newest"]
    assert abs(datetime.fromisoformat(fired[0]["newest"]) - sandbox_now(sandbox)) < timedelta(minutes=1)
    assert "@" not in json.dumps(fired)


@EACH
def test_several_at_once_are_one_event(sandbox: Sandbox, kind: type[LeadsEventTrigger]) -> None:
    happen = KINDS[kind][1]
    made: list[Any] = []
    fired = watch(kind, Store(), lambda: made.extend(happen(sandbox) for _ in range(3)), nothing)
    assert [(event["count"], sorted(event["ids"])) for event in fired] == [(3, sorted(made))]


@EACH
def test_a_restart_goes_on_where_the_last_one_stopped(sandbox: Sandbox, kind: type[LeadsEventTrigger]) -> None:
    happen, store = KINDS[kind][1], Store()
    made: list[Any] = []
    assert len(watch(kind, store, lambda: made.append(happen(sandbox)), nothing)) == 1
    # Down: somebody comes meanwhile.
    made.append(happen(sandbox))
    fired = watch(kind, store, nothing)
    assert [event["ids"] for event in fired] == [made[1:]]
    assert watch(kind, store, nothing, nothing) == []


@EACH
def test_killed_before_its_cursor_is_kept_it_fires_again_rather_than_never(
    sandbox: Sandbox, kind: type[LeadsEventTrigger]
) -> None:
    happen, store = KINDS[kind][1], Store()
    watch(kind, store, nothing)
    made = happen(sandbox)

    async def killed() -> Any:
        events = watcher(kind, store, sleep=Sleeper(nothing)).run()
        return (await anext(events)).payload

    assert asyncio.run(killed())["ids"] == [made]
    assert [event["ids"] for event in watch(kind, store, nothing)] == [[made]]


@EACH
def test_since_fires_once_for_a_past(sandbox: Sandbox, kind: type[LeadsEventTrigger]) -> None:
    happen, store = KINDS[kind][1], Store()
    made = happen(sandbox)
    since = (sandbox_now(sandbox) - timedelta(seconds=30)).isoformat()
    (fired,) = watch(kind, store, nothing, since=since)
    assert made in fired["ids"]
    assert watch(kind, store, nothing, since=since) == []


@EACH
def test_another_argument_is_another_cursor_but_another_pace_is_not(kind: type[LeadsEventTrigger]) -> None:
    given = KINDS[kind][0]
    key = kind(**given).state_key
    assert kind(**given, poll_interval=300).state_key == key
    assert kind(**given, since="2026-01-01T00:00:00Z").state_key != key
    assert BaseEventTrigger.hash(*kind(**given).serialize()) == BaseEventTrigger.hash(*kind(**given).serialize())


@EACH
def test_without_a_state_it_watches_from_the_present_and_says_so(
    sandbox: Sandbox, kind: type[LeadsEventTrigger], said: Callable[[], str]
) -> None:
    happen = KINDS[kind][1]
    happen(sandbox)
    fired = watch(kind, None, lambda: happen(sandbox), nothing)
    assert len(fired) == 1
    assert "Airflow 3.3" in said()


def failing(times: int, status: int) -> Callable[[int, Any], Fault | None]:
    left = iter(range(times))

    def fault(index: int, call: Any) -> Fault | None:
        return Fault(status=status, headers={"Retry-After": "7"}) if next(left, None) is not None else None

    return fault


@EACH
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_it_outlives_every_error_with_longer_and_longer_pauses(
    sandbox: Sandbox, kind: type[LeadsEventTrigger], status: int, said: Callable[[], str]
) -> None:
    """Ended, it would be started again every two seconds."""
    happen, store, made = KINDS[kind][1], Store(), []
    api = getattr(sandbox, kind.stream.split("_")[0])

    def break_down() -> None:
        made.append(happen(sandbox))
        api.faults = failing(5, status)

    sleep = Sleeper(nothing, break_down, *[nothing] * 5)
    fired = asyncio.run(collect(watcher(kind, store, sleep=sleep).run()))
    assert [event["ids"] for event in fired] == [made]
    assert api.faults is not None
    pauses = [seconds for seconds in sleep.slept if seconds > 40]
    assert len(pauses) == 5
    assert pauses == sorted(pauses) or max(pauses) > 500
    assert max(pauses) <= 660
    told = said()
    assert f"failed with {status}" in told
    for secret in (a.key for a in sandbox.apis):
        assert secret not in told


def test_a_connection_that_is_mended_is_read_anew(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str]
) -> None:
    good = json.dumps(sandbox.connections()["perspective_default"])
    monkeypatch.delenv("AIRFLOW_CONN_PERSPECTIVE_DEFAULT")
    mend = lambda: monkeypatch.setenv("AIRFLOW_CONN_PERSPECTIVE_DEFAULT", good)  # noqa: E731
    fired = watch(PerspectiveNewContactTrigger, Store(), nothing, mend, nothing, lambda: convert(sandbox), nothing)
    assert len(fired) == 1
    assert "is not defined" in said()


def test_a_connection_of_another_crm_is_named(sandbox: Sandbox, said: Callable[[], str]) -> None:
    watch(PerspectiveNewContactTrigger, Store(), perspective_conn_id="hubspot_default")
    assert "is of type 'hubspot'; one of type 'perspective' is needed" in said()


def test_a_state_that_can_not_be_read_for_a_while_is_waited_for(sandbox: Sandbox) -> None:
    store = Store()
    watch(PerspectiveNewContactTrigger, store, nothing)
    made = convert(sandbox)
    store.broken_reads = 3
    assert [e["ids"] for e in watch(PerspectiveNewContactTrigger, store, *[nothing] * 4)] == [made]
    store.broken_reads = 99
    with pytest.raises(RuntimeError):
        watch(PerspectiveNewContactTrigger, store, *[nothing] * 9)


def test_a_state_that_can_not_be_written_starts_no_loop(sandbox: Sandbox, said: Callable[[], str]) -> None:
    store = Store()
    store.broken_writes = True
    fired = watch(PerspectiveNewContactTrigger, store, lambda: convert(sandbox), nothing, nothing)
    assert len(fired) == 1
    told = said()
    assert "can't be written (RuntimeError)" in told
    assert "planted-secret" not in told


def test_a_cursor_of_unknown_form_starts_anew_and_says_so(sandbox: Sandbox, said: Callable[[], str]) -> None:
    store = Store()
    store.values[PerspectiveNewContactTrigger().state_key] = '{"old": true}'
    convert(sandbox)
    assert watch(PerspectiveNewContactTrigger, store, nothing) == []
    assert "watching starts anew" in said()


def test_assets_that_share_a_watcher_share_its_cursor(sandbox: Sandbox) -> None:
    """Airflow keeps one trigger for equal watchers, and its store then holds several assets."""

    class Several(Store):
        def __init__(self) -> None:
            super().__init__()
            self._by_name, self._by_uri = {"a": Store(), "b": Store()}, {}

        async def aget(self, key: str, default: Any = None) -> Any:
            raise ValueError("several assets")

        aset = aget

    store = Several()
    assert len(watch(PerspectiveNewContactTrigger, store, lambda: convert(sandbox), nothing)) == 1
    assert store._by_name["a"].values == store._by_name["b"].values != {}
    made = convert(sandbox)
    # One of them joined later and has none yet.
    store._by_name["b"] = Store()
    assert [event["ids"] for event in watch(PerspectiveNewContactTrigger, store, nothing)] == [made]


# What is particular to a CRM ------------------------------------------------------------------------------------------


def test_contacts_without_conversion_fire_nothing_and_hide_nothing(sandbox: Sandbox) -> None:
    funnel = next(iter(sandbox.perspective.store.funnels.values()))

    def visitors() -> None:
        for _ in range(120):
            contact = {"id": sandbox.perspective.store.next_id(), "status": "new", "email": "v@people.example"}
            funnel.add(contact | {"meta": {}, "utmParams": {}, "properties": {}})

    made: list[str] = []
    fired = watch(PerspectiveNewContactTrigger, Store(), visitors, lambda: made.extend(convert(sandbox)), nothing)
    assert [event["ids"] for event in fired] == [made]


def test_more_conversions_than_a_page_holds(sandbox: Sandbox) -> None:
    made: list[str] = []
    fired = watch(PerspectiveNewContactTrigger, Store(), lambda: made.extend(convert(sandbox, 250)), nothing)
    assert [event["count"] for event in fired] == [250]
    assert len(fired[0]["ids"]) == 100
    assert set(fired[0]["ids"]) <= set(made)


def test_one_funnel_only(sandbox: Sandbox) -> None:
    first, second, *_ = sandbox.perspective.store.funnels
    other = lambda: convert(sandbox, funnel=second)  # noqa: E731
    assert watch(PerspectiveNewContactTrigger, Store(), other, nothing, funnel_id=first) == []
    before = sandbox.perspective.stats.by_route.copy()
    mine = lambda: convert(sandbox, funnel=first)  # noqa: E731
    assert len(watch(PerspectiveNewContactTrigger, Store(), mine, nothing, funnel_id=first)) == 1
    routes = {route: n - before.get(route, 0) for route, n in sandbox.perspective.stats.by_route.items()}
    assert {route for route, n in routes.items() if n} == {"GET /v1/funnels/{funnelId}/contacts"}


def test_a_search_index_that_lags_hides_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made in one order, visible in another: by the time the later ones are told the earlier ones aren't there yet."""
    with Sandbox(people=5, limits=False, anchor="2024-01-01T00:00:00Z") as lagging:
        monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(lagging.connections()["hubspot_default"]))
        store = lagging.hubspot.store
        made: list[str] = []

        def late(seconds: float) -> None:
            contact = store.contacts[int(join(lagging))]
            contact.created -= int(seconds * 1000)
            made.append(str(contact.id))

        fired = watch(
            HubSpotNewContactTrigger,
            Store(),
            *(lambda seconds=seconds: late(seconds) for seconds in (0, 240, 30, 400, 30)),  # type: ignore[misc]
            nothing,
        )
    assert [event["ids"] for event in fired] == [[one] for one in made]


def test_filters_of_the_search(sandbox: Sandbox) -> None:
    wanted = {"propertyName": "city", "operator": "EQ", "value": "Ulm"}
    made: list[str] = []

    def two() -> None:
        join(sandbox, city="Bonn")
        made.append(join(sandbox, city="Ulm"))

    assert [e["ids"] for e in watch(HubSpotNewContactTrigger, Store(), two, nothing, filters=[wanted])] == [made]


@pytest.mark.parametrize(
    ("narrow", "expected"),
    [
        ({"events": "reply"}, 2),
        ({"events": ["reply", "message_bounced"]}, 3),
        ({"events": "opt_out,bounce"}, 2),
        ({"events": "reply", "campaign_id": "c_1"}, 1),
        ({"events": "reply", "lead_id": "other"}, 0),
    ],
)
def test_events_of_some_kinds(sandbox: Sandbox, narrow: dict[str, Any], expected: int) -> None:
    campaign = next(iter(sandbox.persistiq.store.campaigns))
    narrow = {key: campaign if value == "c_1" else value for key, value in narrow.items()}

    def much() -> None:
        befall(sandbox, "message_received", campaign=campaign)
        for kind in ("message_received", "message_bounced", "message_optout", "message_sent"):
            befall(sandbox, kind)

    fired = watch(PersistIQEventTrigger, Store(), much, nothing, **narrow)
    assert sum(event["count"] for event in fired) == expected


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: PersistIQEventTrigger(events="replies"), "events must name at least one of: sent, reply"),
        (lambda: PersistIQEventTrigger(events=[]), "events must name"),
        (lambda: PerspectiveNewContactTrigger(since="yesterday"), "since must be"),
        (lambda: HubSpotNewContactTrigger(since=datetime(2026, 1, 1)), "since has no time zone"),
    ],
)
def test_bad_arguments_are_refused_when_the_dag_is_parsed(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


@EACH
def test_arguments_survive_serialization(kind: type[LeadsEventTrigger]) -> None:
    given = {**KINDS[kind][0], "since": datetime(2026, 1, 1, tzinfo=UTC), "poll_interval": 12.5}
    trigger = kind(**given)
    _, arguments = trigger.serialize()
    assert kind(**json.loads(json.dumps(arguments))).serialize() == trigger.serialize()
    assert set(arguments) == set(inspect.signature(kind).parameters)
    assert arguments["since"] == "2026-01-01T00:00:00+00:00"
