"""The commands against the sandbox, as a person at a terminal calls them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from report_files import write_run
from rich.console import Console
from rich.text import Text

from airflow_providers_leads.cli import commands
from airflow_providers_leads.cli.definition import COMMANDS, get_leads_cli_commands, main
from airflow_providers_leads.cli.terminal import Terminal
from airflow_providers_leads.leads.files.exports import export_leads
from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import RowWriter, read_rows, write_rows
from airflow_providers_leads.leads.memory.generation import Folder
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.plan import main as show_plan
from airflow_providers_leads.report.printed import whole_table
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.tasks.paths import storage_path
from airflow_providers_leads.tasks.progress import Progress

PLANTED = "planted-secret-key-4711"
FACTS = PlanFacts(
    conn_id="crm", conn_type="perspective", mode="update", scope="f1",
    planned_at=datetime(2026, 1, 2, tzinfo=UTC), requests_per_second=0.5,
)  # fmt: skip
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


@pytest.mark.parametrize("name", ["out file", "a%20b#c?d", "~ü [x]@b", "it's;x"])
def test_a_file_is_the_one_that_was_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 38: every command and every file argument, in a folder whose name is no better."""
    folder = tmp_path / f"dir {name}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert main(["pull", "hubspot_default", f"{name}.parquet", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["uri"] == f"file://{folder}/{name}.parquet"
    assert main(["pull", "hubspot_default", f"sub {name}/"]) == 0
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == sorted(
        [f"dir {name}/{name}.parquet", f"dir {name}/sub {name}/hubspot_default.leads.parquet"]
    )
    Path(f"{name}.yaml").write_text("priority: [hubspot]\n", encoding="utf-8")
    for source in (f"{name}.parquet", f"./{name}.parquet", f"sub {name}/hubspot_default.leads.parquet"):
        assert main(["diff", "persistiq_default", source, "--policy", f"{name}.yaml"]) == 0
    capsys.readouterr()
    Folder(storage_path(str(folder / name))).open()
    assert main(["memory", "forget", name, "--yes"]) == 0
    assert json.loads(capsys.readouterr().out)["forgotten"] == name
    assert not list(Path(name).rglob("*.json"))
    with RowWriter(str(folder / f"{name}.plan.parquet"), PlanRow, metadata=FACTS.metadata()) as writer:
        writer.write(PlanRow(email_key="ann@example.org", action="create"))
    assert show_plan(["show", f"{name}.plan.parquet"]) == 0


def test_pull_writes_the_form_that_the_name_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 51."""
    rows = list(read_rows(pull("hubspot", tmp_path), Lead))
    for name in ("leads.csv", "leads.json", "leads.JSONL"):
        assert main(["pull", "hubspot_default", str(tmp_path / name)]) == 0
    with (tmp_path / "leads.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    whole = json.loads((tmp_path / "leads.json").read_bytes())
    lines = [json.loads(line) for line in (tmp_path / "leads.JSONL").read_bytes().splitlines()]
    assert whole == lines
    assert len(rows) == len(table) == len(whole)
    for row, of_csv, of_json in zip(rows, table, whole, strict=True):
        assert of_csv["email"] == (row.email or "") and of_json["email"] == row.email
        assert of_json["properties"] == json.loads(row.properties or "{}") == json.loads(of_csv["properties"] or "{}")
        assert of_csv["created_at"] == (row.created_at.isoformat() if row.created_at else "")
        assert of_json["opted_out"] is row.opted_out
        assert set(of_csv) == set(of_json) == set(Lead.__struct_fields__)
    capsys.readouterr()


@pytest.mark.parametrize("name", ["leads.xlsx", "leads.tsv", "leads.csv.gz", "out.d", "made.csv"])
def test_pull_refuses_a_name_that_says_no_form(
    name: str, sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 51: before anything is read."""
    (tmp_path / "made.csv").mkdir()
    before = sum(api.stats.requests for api in sandbox.apis)
    assert main(["pull", "hubspot_default", str(tmp_path / name)]) == 2
    assert f"{name} can't be written" in capsys.readouterr().err
    assert sum(api.stats.requests for api in sandbox.apis) == before
    assert [path.name for path in tmp_path.iterdir()] == ["made.csv"]


def test_no_leads_are_an_empty_file_of_their_form(tmp_path: Path) -> None:
    """Row 51."""
    write_rows(str(tmp_path / "none.parquet"), Lead, [])
    for name, content in (("x.json", b"[]\n"), ("x.jsonl", b"")):
        assert export_leads(str(tmp_path / "none.parquet"), str(tmp_path / name)) == 0
        assert (tmp_path / name).read_bytes() == content
    assert export_leads(str(tmp_path / "none.parquet"), str(tmp_path / "x.csv")) == 0
    assert (tmp_path / "x.csv").read_text().strip() == ",".join(Lead.__struct_fields__)


def parsed(form: str, printed: str) -> Any:
    return {
        "json": json.loads, "yaml": yaml.safe_load, "csv": lambda text: list(csv.DictReader(io.StringIO(text))),
    }[form](printed)  # fmt: skip


@pytest.mark.parametrize("form", ["json", "yaml", "csv"])
def test_every_command_prints_data_for_programs(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 51: whole, and more than the fifty rows of a table."""
    rows = [Lead("golden", "", f"{n}", email=f"a{n}@x.example", email_key=f"a{n}@x.example") for n in range(60)]
    write_rows(str(tmp_path / "golden.parquet"), Lead, rows)
    Folder(storage_path(str(tmp_path / "sync"))).open()
    calls = {
        "check": ["check", "hubspot_default"],
        "pull": ["pull", "hubspot_default", str(tmp_path / "x.csv")],
        "diff": ["diff", "hubspot_default", str(tmp_path / "golden.parquet"), "--show-addresses"],
        "plan": ["plan", str(tmp_path / "run" / "upsert" / "hubspot_default.plan.parquet")],
        "results": ["results", str(tmp_path / "run" / "upsert" / "hubspot_default.results.parquet")],
        "report": ["report", str(tmp_path / "run"), str(tmp_path / "report.html")],
        "memory": ["memory", "forget", str(tmp_path / "sync"), "--yes"],
    }
    write_run(tmp_path / "run")
    assert calls.keys() == {command.name for command in COMMANDS} - {"version"}
    printed = {}
    for name, words in calls.items():
        assert main([*words, "-o", form]) == 0
        printed[name] = parsed(form, capsys.readouterr().out)
    assert {row["person"] for row in printed["diff"]} == {row.email_key for row in rows}
    assert {row["action"] for row in printed["diff"]} == {"create"}
    assert [len(printed[name]) for name in ("plan", "results", "report")] == [5, 4, 1]
    assert str(printed["check"][0]["works"]).lower() == "true"
    assert int(printed["pull"][0]["rows"]) > 0
    assert main(["check", "absent", "-o", form]) == 1


def test_where_there_is_no_terminal_nothing_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 51: long addresses in a table, and at a narrow terminal."""
    address = f"{'long' * 15}@{'very' * 12}.example"
    row = Lead("golden", "", "1", email=address, email_key=address, title="Head of " * 30, city="Bonn")
    write_rows(str(tmp_path / "golden.parquet"), Lead, [row])
    monkeypatch.setenv("COLUMNS", "80")
    words = ["diff", "hubspot_default", str(tmp_path / "golden.parquet"), "--show-addresses"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert address in said
    assert ("Head of " * 30).strip() in said
    assert "…" not in said
    written = io.StringIO()
    narrow = Console(file=written, width=30, force_terminal=True, color_system=None)
    narrow.print(whole_table(["Person"], [[Text(address)]]))
    assert address in re.sub(r"[^\w@.]", "", written.getvalue())


def test_pull_names_the_file_in_a_folder_and_narrows_the_read(tmp_path: Path) -> None:
    whole = list(read_rows(pull("perspective", tmp_path), Lead))
    funnel = whole[0].source_scope
    assert main(["pull", "perspective_default", str(tmp_path / "f"), "--scope", f"funnel_ids={funnel}"]) == 0
    part = list(read_rows(str(tmp_path / "f" / "perspective_default.leads.parquet"), Lead))
    assert part == [row for row in whole if row.source_scope == funnel]
    assert 0 < len(part) < len(whole)


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
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
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
    assert not [*tmp_path.glob("leads-diff-*")]


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


NOISE = """
import atexit, logging, sys, warnings
logging.basicConfig(stream=sys.stdout, level="WARNING")
logging.getLogger("airflow.providers_manager").warning("a warning of the logging")
print("said while Airflow starts", file=sys.stderr)
import airflow_providers_leads.cli.commands as commands
check = commands.get_leads_hook
def noisy(conn_id):
    logging.getLogger("airflow.secrets").warning("a warning of the logging")
    print("printed by somebody's plugin")
    return check(conn_id)
commands.get_leads_hook = noisy
"""


def process(*words: str, before: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own."""
    code = f"{before}\nfrom airflow_providers_leads.cli.definition import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", f"import sys\n{code}", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=140, check=False, **options)


def test_data_stands_alone_on_standard_output(tmp_path: Path) -> None:
    """Row 51: whoever else prints or logs meanwhile, also by a handler that took hold of standard output before."""
    # What is logged before the command begins is Airflow's own affair.
    quiet = NOISE.replace('logging.getLogger("airflow.providers_manager").warning("a warning of the logging")', "")
    # And so is what its own tests have it say.
    env = os.environ | {"AIRFLOW__CORE__UNIT_TEST_MODE": "False", "AIRFLOW_HOME": str(tmp_path)}
    done = process("check", "hubspot_default", "--output", "json", before=quiet, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[\n"), done.stdout
    assert json.loads(done.stdout)[0]["conn_id"] == "hubspot_default"
    assert "a warning of the logging" in done.stderr
    assert "printed by somebody's plugin" in done.stderr


@pytest.mark.story
def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    """Row 51: `| head`."""
    rows = [Lead("golden", "", f"{n}", email=f"a{n}@x.example", email_key=f"a{n}@x.example") for n in range(3000)]
    write_rows(str(tmp_path / "golden.parquet"), Lead, rows)
    command = f'"{sys.executable}" -m airflow_providers_leads diff hubspot_default "{tmp_path}/golden.parquet" -o csv'
    done = subprocess.run(
        ["/bin/bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=140,
    )
    assert done.returncode == 141
    assert done.stdout == "action,person,target_id,reason,changes,requests\n"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Row 51."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    version = metadata.version("airflow-providers-leads")
    assert re.match(rf"airflow-providers-leads {version}, Airflow 3\.\d", capsys.readouterr().out)
    assert main(["version"]) == 0
    assert version in capsys.readouterr().out


@pytest.mark.story
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
    pulled = run("airflow", "leads", "pull", "stored", f"{tmp_path}/out file.csv", "--output", "json")
    assert json.loads(pulled.stdout)[0]["uri"] == f"file://{tmp_path}/out file.csv"
    assert (tmp_path / "out file.csv").read_text().startswith("source,")
    assert bad.returncode == 1
    assert "Connection 'absent' is not defined" in bad.stderr
    assert "Traceback" not in bad.stderr
