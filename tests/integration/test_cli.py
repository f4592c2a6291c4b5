"""The commands against the sandbox, as a person at a terminal calls them."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from airflow_providers_leads.cli import commands
from airflow_providers_leads.cli.definition import COMMANDS, get_leads_cli_commands, main
from airflow_providers_leads.cli.terminal import Terminal
from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.tasks.progress import Progress

PLANTED = "planted-secret-key-4711"
CRMS = ("hubspot", "perspective", "persistiq")


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(people=40, seed=7, limits=False) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def sandbox(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    for name, value in running.connection_env().items():
        extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 0}
        monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
    monkeypatch.setenv("COLUMNS", "200")
    # The command sets it for its own process.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    return running


def writes(sandbox: Sandbox) -> int:
    return sum(api.stats.writes for api in sandbox.apis)


def pull(crm: str, tmp_path: Path, *options: str) -> str:
    target = tmp_path / f"{crm}.parquet"
    assert main(["pull", f"{crm}_default", str(target), *options]) == 0
    return str(target)


@pytest.mark.parametrize("crm", CRMS)
def test_a_working_connection_is_checked_with_what_is_left_of_its_limits(
    crm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", f"{crm}_default"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"accepts the key", said)
    assert re.search(r"^Quota default: 100000 requests per 1 s, \d+ left now\.$", said, re.MULTILINE)
    assert bool(re.search(r"^Calls left today: [\d,]+ of [\d,]+\.$", said, re.MULTILINE)) is (crm == "hubspot")


@pytest.mark.parametrize(
    ("conn", "code", "said"),
    [
        ({"conn_type": "hubspot", "password": PLANTED, "host": "{hubspot}"}, 1, "valid"),
        ({"conn_type": "persistiq", "password": PLANTED, "host": "http://127.0.0.1:9"}, 1, "host is unreachable"),
        ({"conn_type": "persistiq", "password": ""}, 1, "no key"),
        ({"conn_type": "http", "password": PLANTED}, 1, "is no lead CRM"),
        (None, 1, "Connection 'crm' is not defined"),
    ],
)
@pytest.mark.parametrize("command", [["check", "crm"], ["pull", "crm", "OUT"], ["diff", "hubspot_default", "crm"]])
def test_a_connection_that_does_not_work_is_told_in_one_line(
    conn: dict[str, Any] | None, code: int, said: str, command: list[str], sandbox: Sandbox,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if conn is not None:
        extra = {"max_retries": 0}
        env = json.dumps({**conn, "extra": extra}).replace("{hubspot}", sandbox.hubspot.origin)
        monkeypatch.setenv("AIRFLOW_CONN_CRM", env)
    assert main([str(tmp_path) if word == "OUT" else word for word in command]) == code
    told = capsys.readouterr()
    (line,) = [line for line in told.err.splitlines() if said in line]
    assert PLANTED not in told.err + told.out
    assert "Traceback" not in told.err + told.out
    assert "crm" in line
    assert not list(tmp_path.iterdir())


def test_pull_writes_what_the_crm_holds(tmp_path: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(read_rows(pull("hubspot", tmp_path), Lead))
    assert {row.source_id for row in rows} == {str(key) for key in sandbox.hubspot.store.contacts}
    told = capsys.readouterr()
    assert f"{len(rows)} leads in file://" in told.out
    # Without a terminal: plain lines, and none that only folds others in Airflow.
    assert f"Read {len(rows)} leads from hubspot_default" in told.err
    assert "::" not in told.err
    assert "\x1b" not in told.err + told.out
    assert "@" not in told.err + told.out


def test_pull_names_the_file_in_a_folder_and_narrows_the_read(tmp_path: Path) -> None:
    whole = list(read_rows(pull("perspective", tmp_path), Lead))
    funnel = whole[0].source_scope
    assert main(["pull", "perspective_default", str(tmp_path / "f"), "--scope", f"funnel_ids={funnel}"]) == 0
    part = list(read_rows(str(tmp_path / "f" / "perspective_default.leads.parquet"), Lead))
    assert part == [row for row in whole if row.source_scope == funnel]
    assert 0 < len(part) < len(whole)


@pytest.mark.parametrize("name", ["out file", "100% übrig", "a#b"])
def test_files_and_folders_are_those_that_are_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 38."""
    folder = tmp_path / f"dir {name}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert main(["pull", "hubspot_default", f"{name}.parquet"]) == 0
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet")] == [f"dir {name}/{name}.parquet"]
    assert main(["diff", "persistiq_default", f"{name}.parquet"]) == 0
    assert "does not exist" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["pull", "hubspot_default", "OUT", "--updated-after", "2026-01-01T00:00:00"], "--updated-after"),
        (["pull", "hubspot_default", "OUT", "--scope", "funnel_ids"], "--scope takes KEY=VALUE"),
        (
            ["pull", "hubspot_default", "OUT", "--scope", "archived=1", "--scope", "archived=0"],
            "archived must be true or false",
        ),
        (["pull", "persistiq_default", "OUT", "--scope", "funnel_ids=f"], "unknown scope 'funnel_ids'"),
        (["diff", "hubspot_default", "OUT/absent.parquet"], "does not exist"),
        (["diff", "persistiq_default", "hubspot_default", "--funnel-id", "f"], "unknown write option 'funnel_id'"),
        (["diff", "hubspot_default", "persistiq_default", "--policy", "OUT/absent.yaml"], "absent.yaml"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(
    command: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.replace("OUT", str(tmp_path)) for word in command]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "words", [[], ["check"], ["pull", "x"], ["diff", "x"], ["diff", "x", "y", "--limit", "-1"], ["no"]]
)
def test_what_is_not_understood_ends_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(words)
    assert raised.value.code == 2


def test_diff_says_what_a_sync_would_change_and_changes_nothing(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = writes(sandbox)
    assert main(["diff", "persistiq_default", "hubspot_default", "perspective_default", "--limit", "3"]) == 0
    told = capsys.readouterr()
    by_conn = told.out
    assert "Plan for persistiq_default (persistiq), mode update" in by_conn
    assert int(re.search(r"create (\d+)", by_conn)[1]) > 0  # type: ignore[index]
    assert "… and" in by_conn
    assert not re.search(r"[\w.]+@\w", told.out + told.err)
    # The same from files, and with addresses only when asked for.
    files = [pull(crm, tmp_path) for crm in ("hubspot", "perspective")]
    capsys.readouterr()
    assert main(["diff", "persistiq_default", *files, "--action", "create", "--show-addresses"]) == 0
    by_file = capsys.readouterr().out
    assert re.search(r"[\w.]+@\w", by_file)
    counts = r"create \d+, update \d+, unchanged \d+, suppress \d+"
    assert re.search(counts, by_file)[0] == re.search(counts, by_conn)[0]  # type: ignore[index]
    assert writes(sandbox) == before
    assert not [name for name in os.listdir("/tmp") if name.startswith("leads-diff-")]  # noqa: PTH208


def test_golden_records_are_compared_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = str(tmp_path / "golden.parquet")
    write_rows(golden, Lead, [Lead("golden", "", "1", email="new@x.example", email_key="new@x.example")])
    assert main(["diff", "hubspot_default", golden]) == 0
    assert "create 1, update 0, unchanged 0, suppress 0" in capsys.readouterr().out
    assert main(["diff", "hubspot_default", golden, "persistiq_default"]) == 2
    assert "holds golden records: give it alone" in capsys.readouterr().err


def test_an_error_that_nobody_foresaw_says_its_kind_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*given: Any) -> Any:
        raise KeyError(PLANTED)

    monkeypatch.setattr(commands, "get_leads_hook", broken)
    assert main(["check", "crm"]) == 1
    assert capsys.readouterr().err == "check failed unexpectedly (KeyError)\n"


def test_on_a_terminal_there_is_a_bar_that_is_gone_in_the_end() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80)
    with Terminal(console) as terminal:
        progress = Progress(terminal, "crm: read", total=None)
        progress.at(1234)
        terminal.info("a line with %s", "[markup]")
        assert terminal._bars is not None
        assert [(task.description, task.completed) for task in terminal._bars.tasks] == [("crm: read", 1234)]
    assert "a line with [markup]" in written.getvalue()
    assert written.getvalue().rstrip("\n").endswith("\x1b[2K")


def test_airflows_own_command_has_the_same_arguments() -> None:
    (group,) = get_leads_cli_commands()
    assert group.name == "leads"
    offered = {one.name: [arg.flags for arg in one.args] for one in group.subcommands}  # type: ignore[union-attr]
    assert offered == {command.name: [flags for flags, _ in command.arguments] for command in COMMANDS}


def test_airflow_leads_finds_connections_in_airflows_database(sandbox: Sandbox, tmp_path: Path) -> None:
    """The long way round, once: the installed command line, and a connection that was added to the database."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_CONN_")} | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        # Else each process has a key of its own for what is stored.
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }
    env.pop("_AIRFLOW_PROCESS_CONTEXT")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command], env=env, capture_output=True, text=True, timeout=140, check=False
        )

    assert run("airflow", "db", "migrate").returncode == 0
    added = json.loads(sandbox.connection_env()["AIRFLOW_CONN_HUBSPOT_DEFAULT"])
    assert run("airflow", "connections", "add", "stored", "--conn-json", json.dumps(added)).returncode == 0
    fine, bad = run("airflow", "leads", "check", "stored"), run("airflow_providers_leads", "check", "absent")
    assert fine.returncode == 0, fine.stderr
    assert "accepts the key" in fine.stdout
    assert bad.returncode == 1
    assert "Connection 'absent' is not defined" in bad.stderr
    assert "Traceback" not in bad.stderr
