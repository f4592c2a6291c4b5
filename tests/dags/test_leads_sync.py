"""The main job in real Airflow, over real HTTP, against the three sandbox CRMs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

FILE = Path(__file__).resolve().parents[2] / "dags" / "leads_sync.py"


def run(tmp_path: Path, **params: Any) -> DagResult:
    return run_dag_file(FILE, {"staging": f"file://{tmp_path}/files", **params})


def writes(sandbox: Sandbox) -> int:
    return sum(api.stats.writes for api in sandbox.apis)


def rows(uri: str) -> list[dict[str, Any]]:
    return pq.read_table(uri.removeprefix("file://")).to_pylist()


def held(sandbox: Sandbox) -> dict[str, Counter[str | None]]:
    """Return how often each address stands in each destination, by the stores themselves."""
    hubspot = Counter(email_key(c.properties.get("email")) for c in sandbox.hubspot.store.contacts.values())
    persistiq = Counter(email_key(lead.data.get("email")) for lead in sandbox.persistiq.store.leads.values())
    return {"hubspot_default": hubspot, "persistiq_default": persistiq}


def test_everybody_stands_once_in_each_destination_and_a_second_run_writes_nothing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    first = run(tmp_path)
    assert first.state == "success"
    for destination, addresses in held(sandbox).items():
        for person in sandbox.people:
            if person.kind == "contactable":
                assert addresses[email_key(person.email)] == 1, (destination, person.person_id)
    assert writes(sandbox) > 0
    for upserted in first.returned("upsert"):
        assert upserted["failed"] == upserted["ambiguous"] == 0
        assert upserted["created"] > 0

    sent, before = writes(sandbox), held(sandbox)
    second = run(tmp_path)
    assert second.state == "success"
    assert writes(sandbox) == sent
    assert held(sandbox) == before
    for upserted in second.returned("upsert"):
        assert upserted["created"] == upserted["updated"] == 0


def test_nothing_is_lost_and_every_golden_row_has_one_outcome(sandbox: Sandbox, tmp_path: Path) -> None:
    result = run(tmp_path)
    merged = result.returned("deduplicate")[0]
    read = sum(part["rows"] for part in result.returned("extract"))
    assert read == merged["rows"]["inputs"] == merged["rows"]["members"] + merged["rows"]["rejects"]
    golden = {row["email_key"] for row in rows(merged["golden"])}
    for upserted in result.returned("upsert"):
        settled = Counter(row["email_key"] for row in rows(upserted["results"]))
        assert settled.keys() == golden
        assert set(settled.values()) == {1}


def test_nobody_who_must_not_be_mailed_is_written_and_no_automation_fires(sandbox: Sandbox, tmp_path: Path) -> None:
    blocked = {email_key(p.email) for p in sandbox.people if p.kind in ("opted_out", "bounced")}
    assert blocked
    before = held(sandbox)
    result = run(tmp_path)
    for destination, addresses in held(sandbox).items():
        assert {k: n for k, n in addresses.items() if k in blocked} == {
            k: n for k, n in before[destination].items() if k in blocked
        }
    for upserted in result.returned("upsert"):
        outcomes = {row["email_key"]: row["outcome"] for row in rows(upserted["results"])}
        assert {outcomes[key] for key in blocked} == {"suppressed"}
    assert sandbox.perspective.store.automations_fired == []
    assert sandbox.persistiq.store.messages_sent == []


@pytest.mark.story
def test_a_dry_run_sends_no_write_and_says_what_it_would_do(sandbox: Sandbox, tmp_path: Path) -> None:
    dry = run(tmp_path, dry_run=True)
    assert dry.state == "success"
    assert writes(sandbox) == 0
    real = run(tmp_path)
    for planned, done in zip(dry.returned("upsert"), real.returned("upsert"), strict=True):
        assert planned["results"] is None
        assert {k: planned[k] for k in ("created", "updated", "unchanged", "suppressed")} == {
            k: done[k] for k in ("created", "updated", "unchanged", "suppressed")
        }


def test_xcom_holds_no_address(sandbox: Sandbox, tmp_path: Path) -> None:
    result = run(tmp_path)
    assert "@" not in json.dumps([task.returned for task in result.tasks])


@pytest.mark.story
def test_one_funnel_only(sandbox: Sandbox, tmp_path: Path) -> None:
    funnel = next(copy.scope for p in sandbox.people for copy in p.copies if copy.crm == "perspective")
    result = run(tmp_path, sources=["perspective_default"], destinations=[], funnel_ids=[funnel])
    (part,) = result.returned("extract")
    assert part["complete"] is False
    assert {row["source_scope"] for row in rows(part["uri"])} == {funnel}


@pytest.mark.parametrize(
    ("broken", "params", "said"),
    [
        ("missing", {"sources": ["hubspt_default"]}, "is not defined; did you mean 'hubspot_default'?"),
        ("key", {"sources": ["hubspot_default"]}, "Put a valid"),
        pytest.param(
            "funnel",
            {"sources": ["perspective_default"], "funnel_ids": ["fnl_unknown"]},
            "fnl_unknown",
            marks=pytest.mark.story,
        ),
        pytest.param("host", {"sources": ["persistiq_default"]}, "host is unreachable", marks=pytest.mark.story),
    ],
)
def test_bad_input_ends_the_task_with_one_line_that_says_what_to_do(
    broken: str,
    params: dict[str, Any],
    said: str,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    planted = "planted-secret-key-4711"
    if broken == "key":
        env = {"conn_type": "hubspot", "host": sandbox.hubspot.origin, "password": planted}
        monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(env))
    if broken == "host":
        env = {"conn_type": "persistiq", "host": "http://127.0.0.1:9", "password": planted, "extra": {"max_retries": 0}}
        monkeypatch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", json.dumps(env))
    result = run(tmp_path, destinations=[], **params)
    assert result.state == "failed"
    printed = "".join(capfd.readouterr())
    (line, *_) = [line for line in printed.splitlines() if said in line]
    assert params["sources"][0] in line
    assert planted not in printed
    assert "@" not in line
    # Frames of ours beyond the operator's boundary would only push the line off the screen.
    assert "airflow_providers_leads/http" not in printed
    assert "airflow_providers_leads/hooks" not in printed
