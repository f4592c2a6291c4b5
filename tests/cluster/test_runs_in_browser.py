"""The pages of runs on a real API server, in a real browser: at three widths, light and dark, and by keyboard."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from airflow_cluster import AirflowCluster
from airflow_rows import START, Task, add_dag, add_run, clear, make_database
from chromium import Browser, chromium
from report_files import write_merge

from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import RowWriter, write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult

pytestmark = pytest.mark.browser

DAG = "nightly_sync"
LIST = "https://app.hubspot.com/contacts/7/objects/0-1/views/all/list"
REFUSED = "Property values were not valid: phone is no number"
ANN = "ann@example.org"


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


def add_sync(folder: Path, run_id: str, day: int, *, read: int, created: int, refused: bool) -> None:
    """Add a run; with ``refused`` one in which HubSpot refuses a person and a new reason suppresses others."""
    place = folder / DAG / run_id
    write_merge(place)
    new = people(f"new{day}.", created)
    plan = [PlanRow(email_key=key, action="create", values={"city": "Ulm"}) for key in new]
    results = [WriteResult(email_key=key, outcome="created", target_id="1", fields=["city"]) for key in new]
    plan.append(
        PlanRow(email_key=ANN, action="update", target_id="77", values={"phone": "call me"}, before={"phone": "0221 1"})
    )
    done = {"outcome": "failed", "reason": REFUSED} if refused else {"outcome": "updated", "fields": ["phone"]}
    results.append(WriteResult(email_key=ANN, target_id="77", **done))  # type: ignore[arg-type]
    reasons = ["opted_out", "do_not_contact_domain"] if refused else ["opted_out"]
    for number, key in enumerate(people("old", 4)):
        reason = reasons[number % len(reasons)]
        plan.append(PlanRow(email_key=key, action="suppress", reason=reason))
        results.append(WriteResult(email_key=key, outcome="suppressed", reason=reason))
    upsert = Task(
        "upsert", write_files(place / "upsert", plan, results), 0, rendered={"output_uri": f"file://{place}/upsert"},
        xcoms={"_link_CrmLink": LIST},
    )  # fmt: skip
    merged = {name: f"file://{place}/golden/{name}.parquet" for name in ("golden", "members", "conflicts", "rejects")}
    merge = Task("deduplicate", {**merged, "rows": {"golden": read}}, rendered={"output_uri": f"file://{place}/golden"})
    extract = Task("extract", {"uri": f"file://{place}/x.parquet", "rows": read, "watermark": None})
    add_run(DAG, run_id, [extract, merge, upsert], day=day)


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
        add_sync(files, f"night{day}", day, read=1_000, created=12, refused=False)
    add_sync(files, "night4", 4, read=430, created=95, refused=True)
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


RUN = f"runs/{DAG}/night4"
PAGES = ("", RUN, f"{RUN}/hubspot_default.0?show=1", f"{RUN}/hubspot_default.0/p95")


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
