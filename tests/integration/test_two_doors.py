"""All contacts read by list and search side by side, from an index that lags, while people change what is read."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from extract_tries import Extract, run_extract
from hubspot_people import People
from upsert_tries import context_of

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.hooks.hubspot.reads import index
from airflow_providers_leads.hooks.reading import LeadPage, leads_of
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.leads import LeadsDeduplicateOperator, LeadsExtractOperator, LeadsPlanOperator
from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.sandbox.core.config import HUBSPOT_SCOPES
from airflow_providers_leads.sandbox.hubspot.store import Contact

LAG = 0.5
CONTACTS = 8_000
FIRST = 70_000_000_000
# HubSpot's, but for fewer requests; time goes the faster.
FASTER = 20
BURST, SEARCHES = 15, 2
PEOPLE = [f"sandbox-people-token-{n}" for n in range(100)]


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    # A busy machine is as late as real windows are long.
    quotas = {"default": (BURST, 12 / FASTER), "search": (SEARCHES, 1.2 / FASTER)}
    monkeypatch.setattr(HubSpotHook, "quotas", quotas)
    monkeypatch.setattr(HubSpotHook, "settle_seconds", LAG + 0.05)
    monkeypatch.setattr(index, "_FEWEST", 0)
    monkeypatch.setattr(index, "_PROVED_AT_ONCE", 4)
    settings = {
        "hubspot_burst": BURST,
        "time_scale": FASTER,
        "search_lag_seconds": LAG,
        **getattr(request, "param", {}),
    }
    with Sandbox(people=0, hubspot_tokens=dict.fromkeys(PEOPLE, HUBSPOT_SCOPES), **settings) as running:
        store = running.hubspot.store
        at = store.clock.now() - 86_400_000
        for n in range(CONTACTS):
            store.insert(Contact(FIRST + n, {}, at, at), {"email": f"p{n}@people.example", "city": f"City {n}"})
        store.settle_index()
        conn = {
            "conn_type": "hubspot", "host": running.hubspot.origin, "password": running.hubspot.key,
            "extra": {"search_beside_list": True, "rate_limit": BURST, "rate_limit_period": 12 / FASTER},
        }  # fmt: skip
        monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(conn))
        yield running


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]


def hook() -> Any:
    return get_leads_hook("hubspot_default")


def searched(pages: list[LeadPage]) -> int:
    """Return how many contacts the search gave: their pages have more than those of the list."""
    return sum(len(page.leads) for page in pages if len(page.leads) > 100)


def refused(sandbox: Sandbox) -> int:
    return sandbox.hubspot.stats.by_status["429"]


def test_a_quiet_account(sandbox: Sandbox) -> None:
    pages = list(hook().lead_pages())
    ids = [lead.source_id for lead in leads_of(pages)]
    assert sorted(ids) == [str(FIRST + n) for n in range(CONTACTS)]
    assert searched(pages) > CONTACTS // 3
    assert refused(sandbox) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_while_people_change_it(sandbox: Sandbox, seed: int) -> None:
    with People(sandbox, PEOPLE, seed) as people:
        time.sleep(2 * LAG)
        begun = time.time()
        pages = list(hook().lead_pages())
        ended = time.time()
    assert people.wrong(leads_of(pages), begun, ended) == []
    assert searched(pages) > 0
    assert len(people.acts) == 5 and min(people.acts.values()) > 5, people.acts
    assert refused(sandbox) == people.refused


def test_people_are_noticed_where_nobody_waits(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above can fail: read at once and unproved, the index shows what was so before the read."""
    monkeypatch.setattr(HubSpotHook, "settle_seconds", 0.0)
    monkeypatch.setattr(index.Index, "_compare", lambda self: None)
    monkeypatch.setattr(index.Index, "_prove_to_be_whole", lambda self: None)
    with People(sandbox, PEOPLE, 3) as people:
        time.sleep(2 * LAG)
        begun = time.time()
        pages = list(hook().lead_pages())
        ended = time.time()
    assert searched(pages)
    assert people.wrong(leads_of(pages), begun, ended)


@pytest.mark.story
@pytest.mark.parametrize("sandbox", [{"search_lag_seconds": 30 * LAG}], indirect=True)
def test_an_index_that_lags_more_than_it_may_is_left_alone(sandbox: Sandbox) -> None:
    with People(sandbox, PEOPLE, 1) as people:
        time.sleep(2 * LAG)
        begun = time.time()
        pages = list(hook().lead_pages())
        ended = time.time()
    assert people.wrong(leads_of(pages), begun, ended) == []
    assert searched(pages) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_tries_that_are_ended_anywhere(sandbox: Sandbox, seed: int) -> None:
    dice = random.Random(seed)
    read: dict[str, Lead] = {}
    position: Any = None
    doors: set[int] = set()
    with People(sandbox, PEOPLE, seed) as people:
        time.sleep(2 * LAG)
        begun, ended = time.time(), None
        while ended is None:
            pages, most = hook().lead_pages(position=position), dice.randrange(20, 60)
            for number, page in enumerate(pages):
                # As an extract does: what an earlier try has read is not read again.
                for lead in page.leads:
                    read.setdefault(lead.source_id, lead)
                position = json.loads(json.dumps(page.position))
                doors.add(len(page.leads) > 100)
                if number == most:
                    pages.close()
                    break
            else:
                ended = time.time()
    assert people.wrong(read.values(), begun, ended) == []
    assert doors == {True, False}


def struck(status: int, at: int, body: Any = None) -> Any:
    """Return faults: the search answers so from a certain one on."""
    seen = 0

    def faults(number: int, call: Any) -> Fault | None:
        nonlocal seen
        if not call.path.endswith("/search"):
            return None
        seen += 1
        return Fault(status=status, body=body or {"message": "no"}) if seen >= at else None

    return faults


@pytest.mark.parametrize(
    ("status", "at"),
    [
        (403, 1),
        pytest.param(429, 10, marks=pytest.mark.story),
        *(pytest.param(status, at, marks=pytest.mark.slow) for status in (400, 403, 429, 500) for at in (2, 3, 8, 10)),
    ],
)
def test_a_search_that_is_refused(sandbox: Sandbox, status: int, at: int) -> None:
    body = {"message": "You have reached your secondly limit.", "policyName": "SECONDLY"} if status == 429 else None
    sandbox.hubspot.faults = struck(status, at, body)
    own = hook()
    # That would be refused as well.
    own._check_end = lambda last, began: None
    pages = list(own.lead_pages())
    assert sorted(lead.source_id for lead in leads_of(pages)) == [str(FIRST + n) for n in range(CONTACTS)]
    assert bool(searched(pages)) == (at == 10)
    tries = {500: 2}.get(status, 1)
    assert sandbox.hubspot.stats.by_route["POST /crm/objects/{version}/{type}/search"] == at - 1 + tries


@pytest.mark.story
@pytest.mark.parametrize("sandbox", [{"search_in_burst": True}], indirect=True)
def test_searches_that_count_against_the_burst_limit_too(sandbox: Sandbox) -> None:
    own = hook()
    # The question whether there are more behind the last is one for itself.
    own._check_end = lambda last, began: None
    pages = list(own.lead_pages())
    assert sorted(lead.source_id for lead in leads_of(pages)) == [str(FIRST + n) for n in range(CONTACTS)]
    assert searched(pages) > 0
    assert refused(sandbox) == 0


def test_a_small_account_is_left_to_the_list(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_FEWEST", CONTACTS)
    pages = list(hook().lead_pages())
    assert len(list(leads_of(pages))) == CONTACTS
    assert searched(pages) == 0


def test_it_is_off_unless_asked_for(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    own = hook()
    own.search_beside_list = False
    assert searched(list(own.lead_pages())) == 0


@pytest.mark.parametrize("gone", [range(0, 1000, 20), range(7000, 8000)], ids=["in parts", "at its end"])
def test_an_index_that_is_not_whole(sandbox: Sandbox, gone: range) -> None:
    """The lack is noticed where the list has been, and what is lacking at the end is listed there."""
    store = sandbox.hubspot.store
    for n in gone:
        del store._indexed[FIRST + n]
    pages = list(hook().lead_pages())
    assert sorted(lead.source_id for lead in leads_of(pages)) == [str(FIRST + n) for n in range(CONTACTS)]
    assert bool(searched(pages)) == (gone.start > 0)


def test_an_extract_that_is_struck_goes_on_at_both_doors(sandbox: Sandbox, tmp_path: Path) -> None:
    """The list fails when the search has given something: the retry takes both up, and each contact is there once."""

    def strike(number: int, call: Any) -> Fault | None:
        known = task.state_store.read_text() if task.state_store.exists() else ""
        return Fault(cut=True) if call.method == "GET" and known.count('"below"') else None

    conn = json.loads(os.environ["AIRFLOW_CONN_HUBSPOT_DEFAULT"])
    conn["extra"]["max_retries"] = 0
    task = Extract("hubspot_default", json.dumps(conn), tmp_path / "files", tmp_path / "state.json")
    sandbox.hubspot.faults = strike
    with pytest.raises(LeadsApiError):
        run_extract(task, _PAGES_AHEAD=1)
    (known,) = json.loads(task.state_store.read_text()).values()
    at, before = known["extracted"]["position"], known["extracted"]["rows"]
    assert at["top"] == FIRST + CONTACTS - 1
    assert at["below"] < at["top"]
    sandbox.hubspot.faults = None
    asked = sandbox.hubspot.stats.requests
    result = run_extract(task)
    ids = sorted(lead.source_id for lead in read_rows(result["uri"].removeprefix("file://"), Lead))
    assert ids == [str(FIRST + n) for n in range(CONTACTS)]
    # Nothing is read anew; how far the search runs ahead in vain is a matter of time.
    assert sandbox.hubspot.stats.requests - asked <= (CONTACTS - before) // 100 + CONTACTS // 200


def test_nothing_depends_on_the_order_of_an_extract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """List and search give contacts in another order than the list alone."""
    found = []
    with Sandbox(people=80, limits=False) as running:
        for name, value in running.connection_env().items():
            monkeypatch.setenv(name, value)
        read = [
            LeadsExtractOperator(task_id=crm, conn_id=f"{crm}_default", output=f"file://{tmp_path}/{crm}.parquet")
            .execute(context_of(crm, "run", None)) for crm in ("hubspot", "persistiq")
        ]  # fmt: skip
        for order in ("as read", "turned"):
            if order == "turned":
                file = tmp_path / "hubspot.parquet"
                leads = pq.read_table(file)
                pq.write_table(leads.take(list(range(len(leads)))[::-1]), file)
            golden = LeadsDeduplicateOperator(
                task_id="merge", inputs=read, output=f"file://{tmp_path}/{order}"
            ).execute(context_of("merge", order, None))
            plan = LeadsPlanOperator(
                task_id="plan", conn_id="persistiq_default", golden=golden, existing=read,
                output=f"file://{tmp_path}/{order} plan",
            ).execute(context_of("plan", order, None))  # fmt: skip
            files = [golden[name] for name in ("golden", "members", "conflicts", "rejects")] + [plan["plan"]]
            found.append([sorted(map(str, pq.read_table(uri.removeprefix("file://")).to_pylist())) for uri in files])
    assert found[0] == found[1]
    assert all(found[0])
