"""What stands for a file on the command line, and what doesn't."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_providers_leads.cli import commands
from airflow_providers_leads.cli.definition import main


@pytest.mark.parametrize("name", ["-", "", " "])
@pytest.mark.parametrize(
    "words", [["pull", "crm", "{}"], ["plan", "{}"], ["results", "{}"], ["report", "{}", "x.html"]]
)
def test_neither_a_dash_nor_nothing_is_a_file(
    words: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "AIRFLOW_CONN_CRM", json.dumps({"conn_type": "persistiq", "password": "key", "host": "http://x"})
    )
    assert main([word.format(name) for word in words]) == 2
    said = capsys.readouterr()
    assert f"{name!r} is no file" in said.err
    assert said.out == ""
    assert not list(tmp_path.iterdir())


def test_stopped_while_it_begins_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run", stopped)
    assert main(["version"]) == 1
    assert "Stopped." in capsys.readouterr().err
