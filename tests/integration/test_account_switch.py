"""Rows 34 and 35: a connection is given another account's key while something that was kept of the first is in use."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from extract_tries import Extract, run_extract
from upsert_tries import Task, context_of, hurried, make_plan, run_try

from airflow_providers_leads.hooks import account
from airflow_providers_leads.http import pages_ahead
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.model.outcomes import WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.enrol import LeadsEnrolOperator
from airflow_providers_leads.operators.leads import LeadsDeduplicateOperator
from airflow_providers_leads.operators.lookup import LeadsLookupOperator
from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.sandbox.hubspot.store import Contact
from airflow_providers_leads.sandbox.persistiq.store import Lead as PersistIQLead

CRMS = ("hubspot", "perspective", "persistiq")
FUNNEL = "65f0a0000000000000000001"
FIRST_ID = 70_000_000_000
ROTATED = "rotated-hubspot-token"
AT = 1_790_000_000_000


@pytest.fixture(autouse=True)
def unhindered() -> Iterator[None]:
    account._IDS.clear()
    with hurried():
        yield


@pytest.fixture
def accounts() -> Iterator[tuple[Sandbox, Sandbox]]:
    """Two accounts whose records have the same ids, and are of other people."""
    tokens = {ROTATED: ["crm.objects.contacts.read", "crm.objects.contacts.write", "crm.schemas.contacts.read"]}
    with (
        Sandbox(people=0, limits=False, hubspot_tokens=tokens) as ours,
        Sandbox(people=0, limits=False) as theirs,
    ):
        fill(ours, "ours", 1_150)
        fill(theirs, "theirs", 300)
        yield ours, theirs


def fill(sandbox: Sandbox, whose: str, people: int) -> None:
    for n in range(people):
        email = f"p{n}@{whose}.example"
        contact = Contact(FIRST_ID + n, {}, AT + n, AT + n)
        sandbox.hubspot.store.insert(contact, {"email": email, "firstname": whose.title()})
        data = {"email": email, "first_name": whose.title()}
        sandbox.persistiq.store.add(PersistIQLead(f"l_{n}", "active", data, AT + n, AT + n))
        sandbox.perspective.store.funnels[FUNNEL].add(
            {"id": f"{n:024x}", "status": "new", "email": email, "meta": {"ps_converted_at": "2026-01-01T00:00:00Z"}}
        )


def connection(sandbox: Sandbox, crm: str, **more: Any) -> str:
    api = getattr(sandbox, crm)
    told = {"conn_type": crm, "host": api.origin, "password": api.key, "extra": {"max_retries": 0}} | more
    return json.dumps(told)


def cut_from(sandbox: Sandbox, crm: str, number: int) -> None:
    """Let an account answer so many requests and no further one."""
    seen = iter(range(10_000))
    getattr(sandbox, crm).faults = lambda index, call: Fault(cut=True) if next(seen) >= number else None


def people(uri: str) -> set[str]:
    return {str(lead.email_key) for lead in read_rows(uri.removeprefix("file://"), Lead)}


def names(sandbox: Sandbox) -> dict[int, str | None]:
    return {i: contact.properties.get("firstname") for i, contact in sandbox.hubspot.store.contacts.items()}


@pytest.mark.parametrize("store", [True, False], ids=["state store", "file"])
@pytest.mark.parametrize("crm", CRMS)
def test_row_34_an_extract_reads_one_account_only(
    accounts: tuple[Sandbox, Sandbox], tmp_path: Path, crm: str, store: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of pages that are read side by side the first may be the one that is cut.
    monkeypatch.setattr(pages_ahead, "_SHORTEST", 1_000)
    ours, theirs = accounts
    state = tmp_path / "state.json" if store else None
    task = Extract(f"{crm}_default", connection(ours, crm), tmp_path / "files", state)
    cut_from(ours, crm, 6)
    with pytest.raises(LeadsApiError):
        run_extract(task)
    assert any((tmp_path / "files").iterdir())
    result = run_extract(dataclasses.replace(task, connection=connection(theirs, crm)))
    assert people(result["uri"]) == {f"p{n}@theirs.example" for n in range(300)}
    assert (result["rows"], result["complete"]) == (300, True)
    assert [path.name for path in (tmp_path / "files").iterdir()] == [Path(result["uri"]).name]


def golden_of(folder: Path, count: int = 250) -> str:
    """Write golden records of people that the first account holds, each with another name."""
    rows = [
        Lead(
            source="golden", source_scope="", source_id=str(n), email=f"p{n}@ours.example",
            email_key=f"p{n}@ours.example", first_name="Changed",
        )
        for n in range(count)
    ]  # fmt: skip
    write_rows(f"{folder}/golden.parquet", Lead, rows)
    return f"file://{folder}/golden.parquet"


def task_for(sandbox: Sandbox, folder: Path, golden: str, **more: Any) -> Task:
    return Task(
        conn_id="hubspot_default", connection=connection(sandbox, "hubspot", **more), golden=golden,
        folder=folder / "files", run_id="r", state_store=folder / "state.json", settle_seconds=0.0,
    )  # fmt: skip


def test_row_35_ids_of_one_account_are_never_written_in_another(
    accounts: tuple[Sandbox, Sandbox], tmp_path: Path
) -> None:
    ours, theirs = accounts
    task = task_for(ours, tmp_path, golden_of(tmp_path))
    cut_from(ours, "hubspot", 5)
    with pytest.raises(LeadsApiError):
        run_try(task)
    assert any(name == "Changed" for name in names(ours).values())
    result = run_try(dataclasses.replace(task, connection=connection(theirs, "hubspot")))
    # Planned anew: they are new people there, and nobody who has the id of one of them is touched.
    assert (result["created"], result["updated"]) == (250, 0)
    assert all(names(theirs)[FIRST_ID + n] == "Theirs" for n in range(300))


def test_row_35_a_plan_is_refused_by_another_account_and_not_by_another_key(
    accounts: tuple[Sandbox, Sandbox], tmp_path: Path
) -> None:
    ours, theirs = accounts
    task = task_for(ours, tmp_path, golden_of(tmp_path))
    plan = make_plan(task)
    account._IDS.clear()
    for if_stale in ("replan", "ignore"):
        switched = task_for(theirs, tmp_path, task.golden)
        switched = dataclasses.replace(switched, plan=plan, arguments={"if_stale": if_stale})
        with pytest.raises(ValueError, match="another account"):
            run_try(switched)
    assert set(names(theirs).values()) == {"Theirs"}
    rotated = task_for(ours, tmp_path, task.golden, password=ROTATED)
    result = run_try(dataclasses.replace(rotated, plan=plan))
    assert result["updated"] == 250


def merged_from(sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    """Extract the first account and merge."""
    extract = Extract("hubspot_default", connection(sandbox, "hubspot"), folder / "extract")
    extracted = run_extract(extract)
    merge = LeadsDeduplicateOperator(task_id="merge", inputs=[extracted], output=f"file://{folder}/merge")
    merged: dict[str, Any] = merge.execute(context_of("merge", "r", None))
    return {**merged, "extracted": extracted}


@pytest.mark.parametrize("given", ["result", "uri"])
def test_row_35_what_was_merged_of_one_account_is_not_written_to_another(
    accounts: tuple[Sandbox, Sandbox], tmp_path: Path, given: str
) -> None:
    ours, theirs = accounts
    merged = merged_from(ours, tmp_path)
    task = task_for(theirs, tmp_path, merged["golden"])
    existing = merged["extracted"] if given == "result" else merged["extracted"]["uri"]
    with pytest.raises(ValueError, match="another account"):
        run_try(dataclasses.replace(task, arguments={"existing": existing}))
    # Golden records of elsewhere, and of this connection what another account held.
    task = task_for(theirs, tmp_path, golden_of(tmp_path))
    again = dataclasses.replace(task, arguments={"existing": existing}, run_id="again")
    if given == "uri":
        with pytest.raises(ValueError, match="another account"):
            run_try(again)
    else:
        assert run_try(again)["created"] == 250
    assert all(names(theirs)[FIRST_ID + n] == "Theirs" for n in range(300))


def test_a_lookup_refuses_files_of_another_account(
    accounts: tuple[Sandbox, Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = accounts
    extracted = run_extract(Extract("hubspot_default", connection(ours, "hubspot"), tmp_path / "extract"))
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", connection(theirs, "hubspot"))
    lookup = LeadsLookupOperator(
        task_id="look", conn_id="hubspot_default", inputs=[extracted["uri"]], output=f"file://{tmp_path}/found"
    )
    with pytest.raises(ValueError, match="another account"):
        lookup.execute(context_of("look", "r", None))


def test_nobody_is_enrolled_by_the_ids_of_another_account(
    accounts: tuple[Sandbox, Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = accounts
    task = Task(
        conn_id="persistiq_default", connection=connection(ours, "persistiq"), golden=golden_of(tmp_path, 3),
        folder=tmp_path / "files", run_id="r",
    )  # fmt: skip
    results = run_try(task)["results"]
    assert [row.outcome for row in read_rows(results.removeprefix("file://"), WriteResult)] == ["updated"] * 3
    monkeypatch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", connection(theirs, "persistiq"))
    enrol = LeadsEnrolOperator(
        task_id="enrol", conn_id="persistiq_default", campaign_id="c", leads=results, outcomes=["updated"],
        output=f"file://{tmp_path}/enrolled",
    )  # fmt: skip
    with pytest.raises(ValueError, match="another account"):
        enrol.execute(context_of("enrol", "r", None))
