"""The PersistIQ hook over real HTTP, on both sides of what the vendor leaves open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.hooks.persistiq import PersistIQHook
from airflow_providers_leads.http.errors import LeadsAuthError, LeadsNotFoundError, LeadsValidationError
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.sandbox import Fault, Sandbox

SIDES: list[dict[str, Any]] = [
    {},
    {
        "single_lead_form": "lead",
        "skipped_in_leads": True,
        "next_page_keeps_filters": True,
        "persistiq_sends_reset": False,
    },
]


@pytest.fixture(scope="module", params=SIDES, ids=["reference", "openapi"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(people=600, limits=False, **request.param) as running:
        yield running


@pytest.fixture
def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., PersistIQHook]]:
    def make(key: str = sandbox.persistiq.key) -> PersistIQHook:
        value = {"conn_type": "persistiq", "host": sandbox.persistiq.origin, "password": key}
        value["extra"] = {"rate_limit": 10**6, "max_retries": 2}
        monkeypatch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", json.dumps(value))
        hook = get_leads_hook("persistiq_default")
        assert isinstance(hook, PersistIQHook)
        hook.client.sleep = lambda seconds: None
        return hook

    sandbox.persistiq.stats.reset()
    yield make
    sandbox.persistiq.faults = None


def test_everything_is_read_once(connect: Any, sandbox: Sandbox) -> None:
    hook = connect()
    leads = list(hook.iter_leads())
    assert {lead.source_id for lead in leads} == set(sandbox.persistiq.store.leads)
    assert len({lead.source_id for lead in leads}) == len(leads)
    status = next(lead.status for lead in leads if lead.status)
    chosen = {lead.source_id for lead in hook.iter_leads(status=status)}
    assert chosen == {lead.source_id for lead in leads if lead.status == status}
    assert hook.get_lead(leads[0].source_id)["id"] == leads[0].source_id
    assert {"website", "country", "company"} <= hook.writable_fields()


@pytest.mark.parametrize("fault", [None, Fault("before", cut=True), Fault("after", cut=True), Fault(status=500)])
def test_a_plan_applied_again_and_again_creates_everybody_once(connect: Any, sandbox: Sandbox, fault: Any) -> None:
    hook = connect()
    values = {"first_name": "N", "company": "ACME", "website": "https://a.de"}
    rows = [PlanRow(email_key=f"new{n}@x.example", action="create", values=values) for n in range(25)]
    posts = 0

    def strike(number: int, call: Any) -> Fault | None:
        nonlocal posts
        posts += call.method == "POST"
        return fault if call.method == "POST" and posts == 2 else None

    before = len(sandbox.persistiq.store.leads)
    sandbox.persistiq.faults = strike if fault else None
    for _ in range(2):
        outcomes = {result.outcome for result in hook.apply_plan(rows)}
        assert outcomes <= {"created", "unchanged"}
    found = list(hook.find_leads([row.email_key for row in rows]))
    assert sorted(lead.email_key or "" for lead in found) == sorted(row.email_key for row in rows)
    assert {(lead.first_name, lead.company, lead.website) for lead in found} == {tuple(values.values())}
    assert len(sandbox.persistiq.store.leads) - before in (0, 25)


def test_a_batch_accounts_for_every_input(connect: Any) -> None:
    hook = connect()
    known = next(lead for lead in hook.iter_leads() if lead.email_key == lead.email)
    leads = [{"email": ""}, {"email": "one@y.example"}, {"email": known.email, "title": "?"}, {"email": "nope"}, {}]
    result = hook.create_leads(leads * 5)
    assert sorted(entry.index for entry in [*result.succeeded, *result.failed]) == list(range(25))
    assert {entry.input.get("email") for entry in result.failed} == {"", "nope", None}
    assert sum(entry.new is True for entry in result.succeeded) == 1


def test_campaigns_take_everybody_once(connect: Any) -> None:
    hook = connect()
    owner = next(hook.list_users())["id"]
    campaign = hook.create_campaign("Spring", owner)["id"]
    ids = [lead.source_id for lead in hook.iter_leads()][:150]
    first, second = (hook.add_leads_to_campaign(campaign, [*ids, "l_nope"]) for _ in range(2))
    assert [failed.input for failed in (*first.failed, *second.failed)] == ["l_nope", "l_nope"]
    assert {done.new for done in first.succeeded} == {True}
    assert {done.new for done in second.succeeded} == {False}
    assert len(list(hook.list_campaign_leads(campaign))) == len(ids)
    assert [hook.remove_lead_from_campaign(campaign, ids[0]) for _ in range(2)] == [True, False]
    assert [done.new for done in hook.add_leads_to_campaign(campaign, ids[:1]).succeeded] == [True]
    assert hook.duplicate_campaign(campaign, owner)["id"] != campaign


def test_events_of_adjoining_windows_are_all_events_once(connect: Any) -> None:
    hook = connect()
    events = list(hook.list_events())
    times = sorted(event["event_at"] for event in events)
    borders = ["2000-01-01T00:00:00Z", *times[10 : len(times) : 60], "2100-01-01T00:00:00Z"]
    parts = [
        event["id"]
        for start, end in pairwise(borders)
        if start != end
        for event in hook.list_events(start_at=start, end_at=end)
    ]
    assert sorted(parts) == sorted(event["id"] for event in events)


def test_errors_are_told_apart(connect: Any) -> None:
    hook = connect()
    assert hook.test_connection()[0]
    with pytest.raises(LeadsNotFoundError):
        hook.get_lead("l_nope")
    with pytest.raises(LeadsValidationError):
        hook.update_lead(next(hook.list_leads())["id"], status="no such status")
    for wrong in ("wrong-key-of-somebody", "x"):
        with pytest.raises(LeadsAuthError) as caught:
            list(connect(wrong).iter_leads())
        assert f" {wrong} " not in f" {caught.value} {vars(caught.value)} "
