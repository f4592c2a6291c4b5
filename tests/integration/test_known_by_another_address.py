"""Row 36: whom HubSpot knows under another address is found, however the golden records are handed over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from upsert_tries import context_of, hurried

from airflow_providers_leads.cli.definition import main
from airflow_providers_leads.hooks.persistiq import PersistIQHook
from airflow_providers_leads.leads.files.staging import StagingError, write_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsFromFileOperator,
)
from airflow_providers_leads.operators.upsert import LeadsUpsertOperator
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.hubspot.store import Contact
from airflow_providers_leads.sandbox.persistiq.store import Lead as PersistIQLead

AT = 1_790_000_000_000
PEOPLE = 6
POLICY = {"identity": {"match_on": ["email", "phone"], "phone_region": "DE"}, "priority": ["perspective", "hubspot"]}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """HubSpot knows people by their work address; a funnel has met them by their private one, and the phone is one."""
    with Sandbox(people=0, limits=False) as running, hurried():
        for n in range(PEOPLE):
            properties = {"email": f"work{n}@firm.example", "phone": f"+49 171 23456{n:02}", "city": "Bonn"}
            running.hubspot.store.insert(Contact(70_000_000_000 + n, {}, AT, AT), properties)
        told = {"conn_type": "hubspot", "host": running.hubspot.origin, "password": running.hubspot.key}
        monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(told))
        yield running


def lead(source: str, number: int, address: str, city: str) -> Lead:
    source_id = str(70_000_000_000 + number) if source == "hubspot" else f"{number:024x}"
    return Lead(
        source=source, source_scope=f"{source}_default", source_id=source_id, email=address, email_key=address,
        phone=f"+49 171 23456{number:02}", city=city,
    )  # fmt: skip


@pytest.fixture
def merged(sandbox: Sandbox, tmp_path: Path) -> Any:
    write_rows(tmp_path / "h.parquet", Lead, [lead("hubspot", n, f"work{n}@firm.example", "Bonn") for n in range(6)])
    write_rows(tmp_path / "p.parquet", Lead, [lead("perspective", n, f"me{n}@home.example", "Köln") for n in range(6)])

    def merge(partitions: int = 1, folder: str = "merge") -> dict[str, Any]:
        operator = LeadsDeduplicateOperator(
            task_id="m", inputs=[f"file://{tmp_path}/{name}.parquet" for name in "hp"], policy=POLICY,
            output=f"file://{tmp_path}/{folder}", partitions=partitions,
        )  # fmt: skip
        found: dict[str, Any] = operator.execute(context_of("m", "r", None))
        return found

    return merge


def upsert(golden: Any, folder: Path, **more: Any) -> dict[str, Any]:
    more = {"conn_id": "hubspot_default", **more}
    operator = LeadsUpsertOperator(task_id="u", golden=golden, output=f"file://{folder}/out", **more)
    found: dict[str, Any] = operator.execute(context_of("u", "r", None))
    return found


def check(sandbox: Sandbox) -> None:
    contacts = sandbox.hubspot.store.contacts.values()
    told = [(one.properties["email"], one.properties["city"]) for one in contacts]
    assert sorted(told) == [(f"work{n}@firm.example", "Köln") for n in range(PEOPLE)]


@pytest.mark.parametrize("handed", ["result", "uri", "partitions", "moved"])
def test_row_36_nobody_is_created_a_second_time(sandbox: Sandbox, merged: Any, tmp_path: Path, handed: str) -> None:
    result = merged(2 if handed == "partitions" else 1)
    golden: list[Any] = [result if handed == "result" else result["golden"]]
    if handed == "partitions":
        golden = result["golden"]
    if handed == "moved":
        (tmp_path / "merge").rename(tmp_path / "elsewhere")
        golden = [f"file://{tmp_path}/elsewhere/golden.parquet"]
    for number, part in enumerate(golden):
        assert upsert(part, tmp_path / str(number))["created"] == 0
    check(sandbox)


@pytest.mark.parametrize("what", ["gone", "another merge's", "handed over, of another merge"])
def test_row_36_without_its_members_it_is_refused(sandbox: Sandbox, merged: Any, tmp_path: Path, what: str) -> None:
    golden, members = merged()["golden"], tmp_path / "merge" / "members.parquet"
    more: dict[str, Any] = {}
    write_rows(tmp_path / "h.parquet", Lead, [])
    if what == "gone":
        members.unlink()
    elif what == "another merge's":
        kept = (tmp_path / "merge" / "golden.parquet").read_bytes()
        merged()
        (tmp_path / "merge" / "golden.parquet").write_bytes(kept)
    else:
        more = {"members": merged(folder="other")["members"]}
    with pytest.raises(StagingError, match=r"merged together with .*members\.parquet"):
        upsert(golden, tmp_path, **more)
    assert len(sandbox.hubspot.store.contacts) == PEOPLE


def test_row_36_the_command_line_finds_them_too(
    sandbox: Sandbox, merged: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", "hubspot_default", merged()["golden"]]) == 0
    out = capsys.readouterr().out
    assert "update" in out
    assert "create  " not in out


@pytest.mark.parametrize("with_hubspot", [True, False])
def test_whom_a_file_knows_by_two_addresses_is_found_by_either(
    sandbox: Sandbox, tmp_path: Path, with_hubspot: bool
) -> None:
    rows = [f"me{n}@home.example,work{n}@firm.example,Köln" for n in range(PEOPLE)]
    (tmp_path / "file.csv").write_text("\n".join(["Email,Email 2,City", *rows]))
    read = LeadsFromFileOperator(
        task_id="f", input=f"file://{tmp_path}/file.csv", source="list", columns={"email_aliases": "Email 2"},
        output=f"file://{tmp_path}/read",
    ).execute(context_of("f", "r", None))  # fmt: skip
    there = LeadsExtractOperator(task_id="e", conn_id="hubspot_default", output=f"file://{tmp_path}/there")
    inputs = [read, there.execute(context_of("e", "r", None))] if with_hubspot else [read]
    merged = LeadsDeduplicateOperator(
        task_id="m", inputs=inputs, policy={"priority": ["list"]}, output=f"file://{tmp_path}/merge"
    )
    result = upsert(merged.execute(context_of("m", "r", None)), tmp_path, existing=inputs)
    assert (result["created"], result["updated"]) == (0, PEOPLE)
    check(sandbox)


@pytest.mark.parametrize("looked_up", [True, False])
def test_whom_hubspot_knows_by_two_addresses_is_found_where_only_the_other_one_is_known(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked_up: bool
) -> None:
    persistiq, at = sandbox.persistiq, sandbox.persistiq.store.clock.now()
    told = {"conn_type": "persistiq", "host": persistiq.origin, "password": persistiq.key}
    monkeypatch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", json.dumps(told))
    if not looked_up:
        monkeypatch.setattr(PersistIQHook, "lookup_rows", 0)
    for n, contact in enumerate(sandbox.hubspot.store.contacts.values()):
        contact.properties["hs_additional_emails"] = f"me{n}@home.example"
        persistiq.store.add(PersistIQLead(f"l_{n}", "active", {"email": f"me{n}@home.example"}, at, at))
    extracted = LeadsExtractOperator(task_id="e", conn_id="hubspot_default", output=f"file://{tmp_path}/there")
    merged = LeadsDeduplicateOperator(
        task_id="m", inputs=[extracted.execute(context_of("e", "r", None))], output=f"file://{tmp_path}/merge"
    )
    result = upsert(merged.execute(context_of("m", "r", None)), tmp_path, conn_id="persistiq_default")
    assert (result["created"], result["updated"]) == (0, PEOPLE)
    assert {lead.data["city"] for lead in persistiq.store.leads.values()} == {"Bonn"}
