"""A report is true: its numbers and sentences beside the files and the CRMs' own count, for runs of every kind."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.leads.model.outcomes import OUTCOMES
from airflow_providers_leads.sandbox import FaultPlan, Rule, Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

DAGS = Path(__file__).resolve().parents[2] / "dags"
DESTINATIONS = ("hubspot_default", "persistiq_default")


def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.connection_env().items():
        extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 1}
        monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))


def rows(uri: str) -> list[dict[str, Any]]:
    return pq.read_table(uri.removeprefix("file://")).to_pylist()


def stored(sandbox: Sandbox) -> dict[str, int]:
    return {
        "hubspot_default": len(sandbox.hubspot.store.contacts),
        "persistiq_default": len(sandbox.persistiq.store.leads),
    }


def text_of(html: str) -> str:
    shown = re.sub(r"<(style|svg|title)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", shown)))


def tiles(html: str) -> dict[str, tuple[int, str]]:
    found = re.findall(r'<div class="tile [^"]*"><b>([^<]*)</b><span>([^<]*)</span><small>([^<]*)</small>', html)
    return {label: (int(number.replace(",", "")), note) for number, label, note in found if number != "–"}


def number_after(words: str, text: str) -> int:
    return int(re.search(rf"([\d,]+) {words}", text)[1].replace(",", ""))  # type: ignore[index]


class Told:
    """One run, its report and what its files say."""

    def __init__(self, result: DagResult, sandbox: Sandbox, before: dict[str, int], folder: Path) -> None:
        self.result = result
        (self.made,) = result.returned("report")
        self.html = Path(self.made["report"].removeprefix("file://")).read_text(encoding="utf-8")
        self.text = text_of(self.html)
        self.tiles = tiles(self.html)
        now = stored(sandbox)
        self.grown = {conn_id: now[conn_id] - before[conn_id] for conn_id in DESTINATIONS}
        name = re.sub(r"[:+]", lambda found: "" if found[0] == ":" else "_", result.run_id)
        self.files = [str(path) for path in folder.rglob("*.parquet") if f"/{name}/" in str(path)]
        self.history = json.loads(
            max((Path(self.made["report"].removeprefix("file://")).parent / "history").iterdir()).read_bytes()
        )

    def named(self, ending: str) -> list[str]:
        return [uri for uri in self.files if uri.endswith(ending)]

    def check(self) -> None:
        """Compare whatever the report says with the files, whatever kind of run it was."""
        members = [row for uri in self.named("/members.parquet") for row in rows(uri)]
        rejects = [row for uri in self.named("/rejects.parquet") for row in rows(uri)]
        read = sum(pq.read_metadata(uri).num_rows for uri in self.named(".leads.parquet"))
        if self.named("/members.parquet"):
            people = {row["email_key"] for row in members}
            assert self.tiles["people"] == (len(people), f"{len(members) - len(people):,} leads merged into others")
            assert self.tiles["rejected"][0] == len(rejects)
            assert self.tiles["leads read"][0] == len(members) + len(rejects) == read
            assert number_after("leads from", self.made["summary"]) == read
        else:
            assert "they were not merged" in self.made["summary"]
            assert self.tiles["leads read"][0] == read
        outcomes: Counter[str] = Counter()
        for uri in self.named(".results.parquet"):
            outcomes.update(row["outcome"] for row in rows(uri))
        planned: Counter[str] = Counter()
        done = {Path(uri).name.split(".")[0] for uri in self.named(".results.parquet")}
        for uri in self.named(".plan.parquet"):
            if Path(uri).name.split(".")[0] not in done:
                planned.update(row["action"] for row in rows(uri))
        for outcome, action in zip(OUTCOMES[:4], ("create", "update", "unchanged", "suppress"), strict=True):
            assert self.tiles[outcome][0] == outcomes[outcome] + planned[action], outcome
            assert self.history["outcomes"].get(outcome, 0) == outcomes[outcome]
        # What the CRMs themselves have now.
        assert sum(self.grown.values()) == outcomes["created"]
        if done:
            assert f"{outcomes['created']:,} created and {outcomes['updated']:,} updated" in self.made["summary"]
        failed = outcomes["failed"] + outcomes["ambiguous"]
        assert self.tiles["not written"][0] == failed
        broken = [task for task in self.result.tasks if task.state in ("failed", "upstream_failed")]
        assert ("the picture is incomplete" in self.text) is bool(broken)
        assert ("nothing failed" in self.text) is not (failed or broken)
        if broken or rejects or failed or outcomes["suppressed"] or planned["suppress"]:
            assert "every person was taken" not in self.text
        assert (self.made["status"] == "problem") is bool(failed or broken)
        assert self.made["summary"] in self.text
        assert self.history["summary"] == self.made["summary"]
        assert self.history["status"] == self.made["status"]
        # An account that takes this many at once makes nobody wait.
        assert "at least" not in self.text or "at once" in self.text or not self.named(".plan.parquet")


Go = Callable[..., Told]


@pytest.fixture
def go(tmp_path: Path) -> Go:
    def run(sandbox: Sandbox, dag: str = "leads_sync", **params: Any) -> Told:
        before = stored(sandbox)
        result = run_dag_file(DAGS / f"{dag}.py", {"staging": f"file://{tmp_path}/files", **params})
        told = Told(result, sandbox, before, tmp_path / "files")
        told.check()
        return told

    return run


@pytest.mark.story
def test_dry_clean_edited_and_incremental_runs(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows 46, 47 and 48: five runs of one sync, each beside the one before."""
    with Sandbox(people=80, seed=7, limits=False) as sandbox:
        connect(sandbox, monkeypatch)
        dry = go(sandbox, dry_run=True)
        assert dry.made["status"] == "planned"
        assert dry.grown == dict.fromkeys(DESTINATIONS, 0)
        assert "There is no past to compare with" in dry.text
        clean = go(sandbox)
        assert clean.made["status"] == "ok"
        assert sum(clean.grown.values()) > 0
        # The trend's last point is this run; the dry one before it created nobody.
        assert "planned only" not in clean.text
        edited = next(lead for lead in sandbox.persistiq.store.leads.values() if lead.data.get("title"))
        edited.data["title"] = "Somebody's own words"
        again = go(sandbox)
        assert "fields changed 1" in again.text
        assert "PersistIQ title 1" in again.text
        assert again.grown == dict.fromkeys(DESTINATIONS, 0)
        quiet = go(sandbox)
        assert quiet.tiles["created"][0] == quiet.tiles["updated"][0] == 0
        assert "every record is as the last run has seen or left it" in quiet.text


@pytest.mark.story
def test_a_failed_source_and_failed_writes(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 46."""
    refused = FaultPlan((Rule(fault="error_500", crm="persistiq", method="POST", path="*/leads"),))
    with Sandbox(people=80, seed=7, limits=False, faults=refused) as sandbox:
        connect(sandbox, monkeypatch)
        told = go(sandbox)
        assert told.result.state == "failed"
        assert "persistiq_default was not finished" in told.text
        assert told.grown["hubspot_default"] > 0
        nowhere = {"conn_type": "perspective", "host": "http://127.0.0.1:9", "password": "k"}
        monkeypatch.setenv("AIRFLOW_CONN_PERSPECTIVE_DEFAULT", json.dumps({**nowhere, "extra": {"max_retries": 0}}))
        told = go(sandbox)
        assert told.made["status"] == "problem"
        assert "perspective_default was not read" in told.text
        assert "the host is unreachable" in told.text
        assert "perspective_default could not be read: the picture is incomplete." in told.made["summary"]


@pytest.mark.story
def test_a_run_without_anybody_and_one_that_was_resumed(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 48: answers that are lost, once and for longer than requests are repeated."""
    with Sandbox(people=0, seed=7, limits=False) as sandbox:
        connect(sandbox, monkeypatch)
        empty = go(sandbox)
        assert empty.tiles["leads read"][0] == 0
    lost = FaultPlan(
        (
            Rule(fault="cut_after", crm="persistiq", method="POST", path="*/leads", times=5),
            Rule(fault="cut_after", crm="hubspot", method="POST", path="*/batch/upsert", times=5),
        )
    )
    with Sandbox(people=80, seed=7, limits=False, faults=lost) as sandbox:
        connect(sandbox, monkeypatch)
        resumed = go(sandbox)
        assert resumed.result.state == "success"
        assert sum(api.stats.faults.total() for api in sandbox.apis) >= 2
