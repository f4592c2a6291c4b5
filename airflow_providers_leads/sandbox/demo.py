"""The demo: three sandbox CRMs, the example DAG in real Airflow, twice, and a table of what happened."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_providers_leads.sandbox.core.airflow_run import DagResult, airflow_environment, run_dag_file
from airflow_providers_leads.sandbox.server import Sandbox

if TYPE_CHECKING:
    from rich.console import Console

_OUTCOMES = ("created", "updated", "unchanged", "suppressed", "failed", "ambiguous")
# The sandbox counts its rate limits in windows this many times shorter than the vendors', so nobody waits for minutes.
_TIME_SCALE = 60.0
_VENDOR_WINDOWS = {"hubspot_default": (100, 10.0), "perspective_default": (100, 60.0), "persistiq_default": (100, 60.0)}


def main(argv: list[str] | None = None) -> int:
    """Run the demo; the exit code is 0 when both runs succeeded and the second wrote nothing."""
    parser = argparse.ArgumentParser(prog="python -m airflow_providers_leads.sandbox.demo", description=__doc__)
    parser.add_argument("--people", type=int, default=500, help="people in the sandbox (default 500)")
    parser.add_argument("--seed", type=int, default=7, help="seed of their data (default 7)")
    parser.add_argument("--dags", type=Path, default=Path("dags"), help="folder of leads_sync.py (default dags)")
    parser.add_argument("--home", type=Path, default=Path(".demo"), help="folder for Airflow and the files")
    args = parser.parse_args(argv)

    home = args.home.resolve()
    shutil.rmtree(home, ignore_errors=True)
    (home / "airflow").mkdir(parents=True)
    dag_file = args.dags.resolve() / "leads_sync.py"
    # Airflow's own warnings would stand between the reader and the tables; errors still show.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    os.environ |= airflow_environment(home / "airflow", dag_file.parent)

    with Sandbox(people=args.people, seed=args.seed, time_scale=_TIME_SCALE) as sandbox:
        os.environ |= {name: _paced(name, value) for name, value in sandbox.connection_env().items()}
        from rich.console import Console

        console = Console(width=max(100, min(140, shutil.get_terminal_size((120, 40)).columns)))
        console.print(
            f"Three sandbox CRMs are up, holding {len(sandbox.people)} people (seed {args.seed}). "
            "Running [bold]leads_sync[/bold] in Airflow …"
        )
        first = _run(console, sandbox, dag_file, home, "first run")
        second = _run(console, sandbox, dag_file, home, "second run, nothing changed in between")
    for title, (result, _) in (("first", first), ("second", second)):
        for made in result.returned("report"):
            path = os.path.relpath(made["report"].removeprefix("file://"))
            console.print(f"Report of the {title} run: [bold]{path}[/bold]", soft_wrap=True)
    writes = second[1]
    if first[0].state != "success" or second[0].state != "success":
        console.print("[red]A run failed; the lines above say why.[/red]")
        return 1
    color = "green" if writes == 0 else "red"
    console.print(f"[{color}]The second run sent {writes} writes.[/{color}] The sandbox is stopped.")
    return 0 if writes == 0 else 1


def _paced(name: str, value: str) -> str:
    """Return a connection whose rate limit matches the sandbox's shorter windows."""
    connection = json.loads(value)
    limit, period = _VENDOR_WINDOWS[name.removeprefix("AIRFLOW_CONN_").lower()]
    pace = {"rate_limit": limit, "rate_limit_period": period / _TIME_SCALE}
    return json.dumps({**connection, "extra": {**connection.get("extra", {}), **pace}})


def _run(console: Console, sandbox: Sandbox, dag_file: Path, home: Path, title: str) -> tuple[DagResult, int]:
    before = _writes(sandbox)
    started = time.monotonic()
    result = run_dag_file(dag_file, {"staging": f"file://{home}/files"})
    seconds = time.monotonic() - started
    writes = _writes(sandbox) - before
    console.print()
    console.rule(f"{title}: {result.state}, {seconds:.0f} s, {writes} write requests", align="left")
    if result.state == "success":
        _show(console, result)
    return result, writes


def _writes(sandbox: Sandbox) -> int:
    return sum(api.stats.writes for api in sandbox.apis)


def _show(console: Console, result: DagResult) -> None:
    from rich.table import Table

    extracted, (merged,), upserted = (result.returned(task) for task in ("extract", "deduplicate", "upsert"))
    rows = merged["rows"]

    read = Table("source", "leads read", "no usable address", title="Extract", title_justify="left")
    for part in extracted:
        read.add_row(part["conn_id"], str(part["rows"]), str(part["rejects"]))
    golden = Table("leads", "golden", "conflicts", "rejects", title="Deduplicate", title_justify="left")
    golden.add_row(*(str(rows[name]) for name in ("inputs", "golden", "conflicts", "rejects")))
    written = Table("destination", *_OUTCOMES, title="Upsert", title_justify="left")
    for part in upserted:
        written.add_row(part["conn_id"], *(str(part[outcome]) for outcome in _OUTCOMES))
    named = [(uri.removeprefix("file://"), what) for uri, what in _files(extracted, merged, upserted)]
    folder = os.path.commonpath([path for path, _ in named])
    files = Table("file", "what it holds", title="Files", title_justify="left")
    for path, what in named:
        files.add_row(os.path.relpath(path, folder), what)
    for table in (read, golden, written, files):
        console.print(table)
    console.print(f"in {os.path.relpath(folder)}", soft_wrap=True)


def _files(extracted: list[Any], merged: Any, upserted: list[Any]) -> list[tuple[str, str]]:
    named = [(part["uri"], f"leads of {part['conn_id']}") for part in extracted]
    named += [(merged[name], name) for name in ("golden", "members", "conflicts", "rejects")]
    return named + [(part["results"], f"outcomes in {part['conn_id']}") for part in upserted]


if __name__ == "__main__":
    sys.exit(main())
