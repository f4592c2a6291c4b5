"""The Perspective hook over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.hooks.perspective.hook import _NEWEST_FIRST, CHART_SUBTYPES, KPI_SUBTYPES, PerspectiveHook
from airflow_providers_leads.http.errors import LeadsAuthError, LeadsNotFoundError, LeadsPermissionError
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.sandbox import Fault, PerspectiveGrant, Sandbox

FUNNEL = "65f0a0000000000000000001"
GRANTS = {"crm-only": PerspectiveGrant(permissions=frozenset({"crm:read"}))}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=600, limits=False, perspective_keys=GRANTS) as running:
        yield running


@pytest.fixture
def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., PerspectiveHook]]:
    def make(key: str = sandbox.perspective.key, **extra: Any) -> PerspectiveHook:
        value = {"conn_type": "perspective", "host": sandbox.perspective.origin, "password": key}
        value["extra"] = {"rate_limit": 10**6, "max_retries": 1, **extra}
        monkeypatch.setenv("AIRFLOW_CONN_PERSPECTIVE_DEFAULT", json.dumps(value))
        hook = get_leads_hook("perspective_default")
        assert isinstance(hook, PerspectiveHook)
        hook.client.sleep = lambda seconds: None
        return hook

    sandbox.perspective.stats.reset()
    yield make
    sandbox.perspective.faults = None


def plan(*numbers: int, **values: str) -> list[PlanRow]:
    return [PlanRow(email_key=f"new{n}@x.example", action="create", values=values) for n in numbers]


def test_everything_is_read_once(connect: Any) -> None:
    hook = connect()
    leads = list(hook.iter_leads())
    raw = [c for w in hook.list_workspaces() for f in w["campaigns"] for c in hook.list_contacts(f["id"], page_size=7)]
    assert Counter(lead.source_id for lead in leads) == Counter(contact["id"] for contact in raw)
    assert len({lead.source_id for lead in leads}) == len(leads) > 300
    dated = sorted(lead.updated_at for lead in leads if lead.updated_at)
    since = {lead.source_id for lead in hook.iter_leads(updated_after=dated[-40]) if lead.updated_at}
    assert since == {lead.source_id for lead in leads if lead.updated_at and lead.updated_at >= dated[-40]}


def seconds(rows: Iterator[Any]) -> tuple[list[Any], float]:
    began = time.monotonic()
    return list(rows), time.monotonic() - began


def test_pages_of_a_long_list_are_fetched_side_by_side(connect: Any, sandbox: Sandbox) -> None:
    hook, size = connect(), 3
    held = list(hook.list_contacts(FUNNEL))
    pages = -(-len(held) // size)
    assert pages >= 40
    sandbox.perspective.faults = lambda number, call: Fault("before", delay=0.05)
    sandbox.perspective.stats.reset()
    ahead, side_by_side = seconds(hook.list_contacts(FUNNEL, page_size=size))
    asked = sandbox.perspective.stats.requests
    in_turn, one_by_one = seconds(hook.list_contacts(FUNNEL, sort_order="asc", page_size=size))
    assert ahead == held
    assert {row["id"] for row in in_turn} == {row["id"] for row in held}
    assert sandbox.perspective.stats.requests - asked == pages
    assert pages < asked <= 1.2 * pages
    assert side_by_side < 0.6 * one_by_one


@pytest.mark.parametrize("options", [{"updated_after": "2020-01-01T00:00:00Z"}, {}], ids=["by time", "all"])
def test_only_what_is_read_to_its_end_is_asked_for_ahead(
    connect: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    monkeypatch.setitem(_NEWEST_FIRST, "limit", 3)
    threads = set()

    def noted(number: int, call: Any) -> None:
        threads.update(thread.name for thread in threading.enumerate() if thread.name == "leads-page")

    sandbox.perspective.faults = noted
    leads = list(connect().iter_leads(funnel_ids=FUNNEL, **options))
    assert len(leads) > 100
    assert bool(threads) == (not options)


def test_metrics_of_every_subtype_can_be_read(connect: Any) -> None:
    hook, when = connect(), ("2026-01-01T00:00:00Z", "2026-11-01T00:00:00Z", "Europe/Berlin")
    assert all(hook.get_kpi(FUNNEL, subtype, *when)["type"] for subtype in KPI_SUBTYPES)
    assert all(hook.get_chart(FUNNEL, subtype, *when) for subtype in CHART_SUBTYPES)
    assert hook.get_chart(FUNNEL, CHART_SUBTYPES[0], *when, ab_test="original")
    assert hook.get_insight(FUNNEL, "nope", *when, empty_on_not_found=True) == {}


@pytest.mark.parametrize(
    "fault",
    [None, Fault("before", cut=True), Fault("after", cut=True), Fault("before", status=429, body={"retryAfter": 0})],
)
def test_a_plan_applied_again_and_again_creates_everybody_once(connect: Any, sandbox: Sandbox, fault: Any) -> None:
    hook, rows = connect(), plan(1, 2, 3, first_name="N", address="Weg 5", city="B")
    posts = 0

    def strike(number: int, call: Any) -> Fault | None:
        nonlocal posts
        posts += call.method == "POST"
        return fault if call.method == "POST" and posts == 2 else None

    sandbox.perspective.faults = strike if fault else None
    for _ in range(3):
        list(hook.apply_plan(rows, funnel_id=FUNNEL))
    found = list(hook.find_leads([row.email_key for row in rows], funnel_ids=FUNNEL))
    assert sorted(str(lead.email_key) for lead in found) == [row.email_key for row in rows]
    assert {lead.address for lead in found} == {"Weg 5"}
    sandbox.perspective.stats.reset()
    assert {result.outcome for result in hook.apply_plan(rows, funnel_id=FUNNEL)} == {"unchanged"}
    assert sandbox.perspective.stats.writes == 0


def test_an_update_changes_what_it_names(connect: Any) -> None:
    hook = connect(funnel_ids=[FUNNEL])
    list(hook.apply_plan(plan(7, phone="1")))
    [lead] = hook.find_leads(["new7@x.example"])
    values = {"address": "Hof 7b", "phone": "2", "postal_code": "10115"}
    row = PlanRow(email_key="new7@x.example", action="update", target_id=lead.source_id, values=values)
    assert [result.outcome for result in hook.apply_plan([row])] == ["updated"]
    [changed] = hook.find_leads(["new7@x.example"])
    assert {name: getattr(changed, name) for name in values} == values
    assert hook.get_contact(FUNNEL, lead.source_id)["id"] == lead.source_id


def test_errors_are_told_apart(connect: Any) -> None:
    assert connect().test_connection()[0]
    assert connect("crm-only").test_connection()[0]
    assert list(connect("crm-only").iter_leads(funnel_ids=FUNNEL))
    with pytest.raises(LeadsPermissionError, match="funnel_ids"):
        list(connect("crm-only").iter_leads())
    with pytest.raises(LeadsAuthError):
        list(connect("wrong").iter_leads())
    assert not connect("wrong").test_connection()[0]
    with pytest.raises(LeadsNotFoundError, match="'nope'"):
        list(connect().iter_leads(funnel_ids="nope"))
