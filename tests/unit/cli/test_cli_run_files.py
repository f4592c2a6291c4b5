"""The files of a run on the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from report_files import ATTACK, write_run

from airflow_providers_leads.cli.definition import COMMANDS, main
from airflow_providers_leads.leads.memory.generation import Folder
from airflow_providers_leads.tasks.paths import storage_path

PEOPLE = ("ann@", "ben@", "cem@", "dan@", "eve@")
VALUES = ("Köln", "Bonn")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    write_run(tmp_path / "sync" / "night")
    return tmp_path / "sync" / "night"


def test_plan_results_report_and_memory_stand_under_one_command() -> None:
    assert {"plan", "results", "report", "memory"} <= {command.name for command in COMMANDS}


def test_a_plan_is_printed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = str(run / "upsert" / "hubspot_default.plan.parquet")
    assert main(["plan", plan]) == 0
    said = capsys.readouterr().out
    assert "create 3, update 1, unchanged 0, suppress 1" in said
    assert not [word for word in (*PEOPLE, *VALUES) if word in said]
    assert main(["plan", plan, "--show-addresses", "--action", "update", "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["person"] == "ben@example.org"


def test_results_are_printed_with_their_reasons(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where Airflow knows no server, as a path of this folder.
    monkeypatch.chdir(run)
    assert main(["results", "upsert/hubspot_default.results.parquet"]) == 0
    said = capsys.readouterr().out
    assert "created 1, updated 1, unchanged 0, suppressed 1, failed 1, ambiguous 0" in said
    assert "is taken" in said
    assert not [word for word in PEOPLE if word in said]
    uri = f"file://{run}/upsert/hubspot_default.results.parquet"
    assert main(["results", uri, "--outcome", "failed", "--show-addresses", "--output", "csv"]) == 0
    captured = capsys.readouterr()
    (row,) = csv.DictReader(io.StringIO(captured.out))
    assert (row["person"], row["target_id"]) == ("dan@example.org", ATTACK)
    assert "failed 1" in captured.err
    assert main(["results", uri, "--limit", "1"]) == 0
    assert "… and 3 more rows" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["results", uri, "--limit", "some"])
    assert "argument --limit: must be a whole number, not 'some'" in capsys.readouterr().err


def test_a_report_is_made_of_a_folder(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "report.html"
    assert main(["report", str(run), str(target), "-o", "json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert made["status"] == "problem"
    assert "1 failed" in made["summary"] or "not written" in made["summary"]
    html = target.read_text()
    assert "sync" in html
    assert not [word for word in PEOPLE if word in html]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "{run}/missing.plan.parquet"], "missing.plan.parquet"),
        (["plan", "{run}/upsert/hubspot_default.results.parquet"], "no plan"),
        (["results", "{run}/nothing.parquet"], "nothing.parquet"),
        (["report", "{run}/empty", "{run}/x.html"], "holds no files of a run"),
        (["report", "{run}", "{run}/empty"], "give a file whose name ends in .html"),
        (["memory", "forget", "{run}/sync"], "Give --yes to forget it all the same"),
    ],
    ids=["no plan", "no plan but results", "no results", "no run", "a report that is a folder", "nobody to ask"],
)
def test_what_cannot_be_read_is_said_in_one_line(
    arguments: list[str], said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "empty").mkdir()
    Folder(storage_path(str(run / "sync"))).open()
    assert main([word.replace("{run}", str(run)) for word in arguments]) in (1, 2)
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert (run / "sync/current.json").exists()
