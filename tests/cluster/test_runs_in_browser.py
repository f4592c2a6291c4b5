"""The pages of runs on a real API server, in a real browser: whoever knows nothing of the project finds out by them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from airflow_cluster import AirflowCluster
from airflow_rows import START, Task, add_dag, add_run, audit_log, clear, make_database
from chromium import Browser, chromium
from pictures import keep, said
from report_files import lead, write_merge

from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import RowWriter, write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult

pytestmark = pytest.mark.browser

DAG = "nightly_sync"
LIST = "https://app.hubspot.com/contacts/7/objects/0-1/views/all/list"
KEY_REFUSED = "persistiq_default: 401 Unauthorized. The key is refused: make a new one and put it into the connection."
REFUSED = "Property values were not valid: phone is no number"
ANN = "ann@example.org"
PEOPLE = [
    lead("perspective", 27, ANN, first_name="Anne", city="Köln", phone="call me"),
    lead("hubspot", 77, ANN, first_name="Anne", last_name="Klein", city="Koeln", phone="0221 1"),
    lead("persistiq", 3, ANN, first_name="anne", company="Klein & Partner"),
]


def people(name: str, number: int) -> list[str]:
    return [f"{name}{index}@example.org" for index in range(number)]


def write_files(place: Path, rows: Sequence[PlanRow], results: Sequence[WriteResult] | None) -> dict[str, Any]:
    facts = PlanFacts(
        conn_id="hubspot_default", conn_type="hubspot", mode="update", planned_at=START, requests_per_second=10.0
    )
    stem = place / "hubspot_default.0"
    with RowWriter(f"{stem}.plan.parquet", PlanRow, metadata=facts.metadata()) as writer:
        writer.write_all(rows)
    actions = ("create", "update", "unchanged", "suppress")
    made = {"plan": f"file://{stem}.plan.parquet", "conn_id": "hubspot_default"}
    counts: dict[str, Any] = {name: sum(row.action == name for row in rows) for name in actions}
    if results is not None:
        write_rows(f"{stem}.results.parquet", WriteResult, results)
        made["results"] = f"file://{stem}.results.parquet"
        counts |= dict.fromkeys(("created", "updated", "failed", "suppressed"), 0)
        for result in results:
            counts[result.outcome] = counts.get(result.outcome, 0) + 1
    return {**made, **counts}


def add_sync(folder: Path, run_id: str, day: int, *, created: int, bad: bool = False) -> None:
    """Add a run; a bad one is one in which three things went wrong.

    Perspective gives 30 leads instead of 600, HubSpot refuses what Ann's phone number was changed to, and PersistIQ
    refuses the key.
    """
    place = folder / DAG / run_id
    write_merge(place, PEOPLE)
    new = people(f"new{day}.", created)
    plan = [PlanRow(email_key=key, action="create", values={"city": "Ulm"}) for key in new]
    results = [WriteResult(email_key=key, outcome="created", target_id="1", fields=["city"]) for key in new]
    plan.append(
        PlanRow(email_key=ANN, action="update", target_id="77", values={"phone": "call me"}, before={"phone": "0221 1"})
    )
    done = {"outcome": "failed", "reason": REFUSED} if bad else {"outcome": "updated", "fields": ["phone"]}
    results.append(WriteResult(email_key=ANN, target_id="77", **done))  # type: ignore[arg-type]
    reasons = ["opted_out", "do_not_contact_domain"] if bad else ["opted_out"]
    for number, key in enumerate(people("old", 4)):
        reason = reasons[number % len(reasons)]
        plan.append(PlanRow(email_key=key, action="suppress", reason=reason))
        results.append(WriteResult(email_key=key, outcome="suppressed", reason=reason))
    upsert = Task(
        "upsert", write_files(place / "upsert", plan, results), 0, rendered={"output_uri": f"file://{place}/upsert"},
        xcoms={"_link_CrmLink": LIST}, label="hubspot_default",
    )  # fmt: skip
    merged = {name: f"file://{place}/golden/{name}.parquet" for name in ("golden", "members", "conflicts", "rejects")}
    reads = {"perspective_default": 30 if bad else 600, "hubspot_default": 400}
    merge = Task(
        "deduplicate",
        {**merged, "rows": {"golden": sum(reads.values())}},
        rendered={"output_uri": f"file://{place}/golden"},
    )
    extracts = [
        Task(
            "extract", {"uri": f"file://{place}/x", "rows": rows, "watermark": None, "conn_id": conn_id}, number,
            label=conn_id,
        )
        for number, (conn_id, rows) in enumerate(reads.items())
    ]  # fmt: skip
    failure = {"leads_failure": {"conn_id": "persistiq_default", "reason": KEY_REFUSED}}
    into_persistiq = Task("upsert", None, 1, label="persistiq_default")
    if bad:
        into_persistiq = into_persistiq._replace(state="failed", xcoms=failure)
    state = "failed" if bad else "success"
    add_run(DAG, run_id, [*extracts, merge, upsert, into_persistiq], day=day, state=state)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        running.size(1280, 1400)
        yield running


@pytest.fixture(scope="module")
def airflow(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowCluster]:
    # Asks for the browser so that a machine without one starts no server in vain.
    make_database()
    clear()
    add_dag(DAG)
    files = tmp_path_factory.mktemp("files")
    for day in range(1, 4):
        add_sync(files, f"night{day}", day, created=12)
    add_sync(files, "night4", 4, created=95, bad=True)
    place = files / DAG / "night5" / "plan"
    plan = write_files(place, [PlanRow(email_key=ANN, action="create", values={"city": "Köln"})], None)
    waiting = [
        Task("plan", plan, 0, rendered={"output_uri": f"file://{place}"}, xcoms={"_link_CrmLink": LIST}),
        Task("approve", state="awaiting_input", operator="ApprovalOperator"),
    ]
    add_run(DAG, "night5", waiting, state="running", day=5)
    environment = {
        # The very database of this process, in which the runs are.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"],
        "AIRFLOW__LEADS__UNMASK": "editors",
    }
    with AirflowCluster(tmp_path_factory.mktemp("airflow"), [], environment, components=()) as running:
        yield running
    clear()


def link(text: str) -> str:
    return f"[...document.querySelectorAll('a')].find(a => a.textContent.includes({text!r}))"


def follow(browser: Browser, text: str) -> None:
    """Follow the link that shows a text, as somebody who reads the page does."""
    before = browser.value("location.href")
    browser.wait_for(f"!!{link(text)}")
    browser.value(f"{link(text)}.click()")
    browser.wait_for(f"location.href !== {before!r} && document.readyState === 'complete'")


@pytest.mark.story
def test_the_browser_alone_says_what_went_wrong_for_whom_why_whether_it_is_worse_and_what_now(
    browser: Browser, airflow: AirflowCluster
) -> None:
    browser.open(f"{airflow.origin}/leads/reports/")
    text = said(browser)
    # Of five runs one went wrong.
    assert text.count("failed 430 read 430 people 95 created 0 updated 1 not written") == 1
    keep(browser, "runs-list")
    row = "[...document.querySelectorAll('tr')].find(r => r.innerText.includes('night4'))"
    browser.value(f"{row}.querySelector('a').click()")
    browser.wait_for("location.href.endsWith('night4') && document.readyState === 'complete'")
    text = said(browser)
    # What went wrong, and why? The first: a whole destination was not written, for its key.
    assert f"upsert · persistiq_default: failed. {KEY_REFUSED}" in text
    # The second: a source gave far less than before, and it is said which. The third: somebody was refused.
    assert "30 leads were read from perspective_default, 95 % fewer than in the 3 runs before (600)." in text
    assert "1 person was not written, nobody in the 3 runs before." in text
    # Is it worse than yesterday?
    assert "95 people were created, 8 times as many as in the 3 runs before (12)." in text
    assert "A reason that the 3 runs before did not have: do-not-contact domain (2 people)." in text
    assert "430 read the run before: 1,000" in text
    assert "1 not written the run before: 0" in text
    # What now? One thing for each.
    assert "When the cause is gone, clear the task: the next try goes on where this one ended" in text
    assert "Mend in the source what the reason names: the next run writes them." in text
    assert "If it is not what you expect, pause the DAG before it runs again" in text
    log_page = browser.value(
        "[...document.querySelectorAll('a')].find(a => a.textContent === 'The log of upsert · persistiq_default').href"
    )
    assert log_page.endswith(f"/dags/{DAG}/runs/night4/tasks/upsert/mapped/1")
    keep(browser, "runs-run")
    follow(browser, "Who, and why")
    text = said(browser)
    # For whom, and why?
    assert REFUSED in text
    assert ANN not in text
    follow(browser, "Show addresses and values")
    text = said(browser)
    assert ANN in text
    assert "phone 0221 1 → call me" in text
    keep(browser, "runs-people")
    follow(browser, ANN)
    text = said(browser)
    assert f"Not written to hubspot_default: it refused, or could not be reached: {REFUSED}" in text
    assert browser.value("[...document.querySelectorAll('a')].some(a => a.href.endsWith('/contacts/7/record/0-1/77'))")
    assert "phone call me Perspective fnl_1 perspective-27" in text
    keep(browser, "runs-person")
    assert [entry["event"] for entry in audit_log() if entry["run_id"] == "night4"] == ["leads_unmask"] * 2
    log = airflow.logs()
    assert ANN not in log
    assert "example.org" not in re.sub(r"file://\S+", "", log)


@pytest.mark.story
def test_a_run_that_waits_is_looked_into_and_answered_without_a_shell(
    browser: Browser, airflow: AirflowCluster
) -> None:
    browser.open(f"{airflow.origin}/leads/reports/?state=waiting")
    text = said(browser)
    assert "night5" in text
    assert "1 to create" in text
    assert "430 read" not in text
    browser.value("document.querySelector('td a').click()")
    browser.wait_for("location.href.endsWith('night5') && document.readyState === 'complete'")
    assert "Look at the people below, then answer" in said(browser)
    answer = browser.value(f"{link('Approve or reject')}.href")
    assert answer.endswith(f"/dags/{DAG}/runs/night5/required_actions")
    follow(browser, "Each person and each change")
    assert "(empty) → K… (4)" in said(browser)


RUN = f"runs/{DAG}/night4"
PAGES = ("", RUN, f"{RUN}/hubspot_default.0?show=1", f"{RUN}/hubspot_default.0/p95")


@pytest.mark.story
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 768, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_sticks_out_fails_or_is_fetched(
    path: str, width: int, scheme: str, browser: Browser, airflow: AirflowCluster
) -> None:
    browser.size(width)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    url = f"{airflow.origin}/leads/reports/{path}"
    browser.open(url)
    assert browser.value("document.documentElement.scrollWidth") <= width
    requested = [event["request"]["url"] for event in browser.met("Network.requestWillBeSent")]
    assert [one for one in requested if not one.startswith("data:")] == [url]
    assert browser.met("Log.entryAdded") == browser.met("Runtime.exceptionThrown") == []
    colour = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, colour.strip("rgb()").split(","))) < 384) is (scheme == "dark")
    browser.call("Emulation.setEmulatedMedia", features=[])
    browser.size(1280, 1400)


@pytest.mark.story
def test_everything_is_reached_by_keyboard_and_named(browser: Browser, airflow: AirflowCluster) -> None:
    browser.open(f"{airflow.origin}/leads/reports/{PAGES[2]}")
    unnamed = (
        "[...document.querySelectorAll('a, button, select, input:not([type=hidden])')]"
        ".filter(e => !(e.textContent.trim() || e.labels?.length || e.ariaLabel)).length"
    )
    assert browser.value(unnamed) == 0
    met = []
    for _ in range(12):
        browser.key("Tab", 9)
        met.append(browser.value("document.activeElement.textContent.trim().slice(0, 20)"))
        # Where the keyboard is, is seen.
        assert browser.value("getComputedStyle(document.activeElement).outlineStyle") == "solid", met
    assert met[0] == "To the content"
    assert "Filter" in met
    # Filtered by keyboard alone.
    browser.value("document.querySelector('select[name=outcome]').focus()")
    browser.call("Input.insertText", text="failed")
    browser.value("document.querySelector('select[name=outcome]').value = 'failed'")
    browser.value("document.querySelector('button').focus()")
    browser.key("Enter", 13, text="\r")
    browser.wait_for("location.search.includes('outcome=failed') && document.readyState === 'complete'")
    assert browser.value("document.querySelectorAll('[data-name=person]').length") == 1
