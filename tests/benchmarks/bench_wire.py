"""Benchmark of the wire: speed of reading beside other clients, quotas, requests sent, and what parsing a DAG costs.

Each client runs in an environment of its own, made here, and the server in a process of its own. Contestants take
turns, so that a busy minute of the machine hits all of them, and the median of the rounds counts; the figures to
compare are the ratios within one run. A client that can't be installed is named in the table and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import bench_crm
import bench_pace
from bench_clients import CLIENTS
from bench_merge import stands_on, write_section

ROOT: Final = Path(__file__).resolve().parents[2]
BASE: Final = "bare"
_DAG_ROUNDS: Final = 9
_LIMIT: Final = f"{bench_pace.LIMIT[0]} requests in {bench_pace.LIMIT[1]:g} s"
_MARKS: Final = ("<!-- bench-wire: begin -->", "<!-- bench-wire: end -->")


@dataclass(slots=True)
class Runs:
    """What one client took, round by round.

    :param seconds: wall time of the read alone
    :param cpu: seconds of processor time of the read alone
    :param peaks: resident memory at its highest, in bytes
    :param grown: of that, what came on top of what its imports took
    :param failure: why it has no result
    """

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    grown: list[int] = field(default_factory=list)
    failure: str | None = None


def environments(work: Path, names: Sequence[str]) -> dict[str, Path | str]:
    """Return each client's Python, or why there is none; environments that are there already are used as they are."""
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    ours = ["-c", str(ROOT / "constraints.txt"), *needs]
    made: dict[str, Path | str] = {}
    for name in names:
        package = CLIENTS[name][1]
        # The bare loop has the same requests as this package.
        kind = name if package else "ours"
        made[name] = made.get(kind) or _environment(work / "envs" / kind, [package] if package else ours)
        made[kind] = made[name]
    return made


def _environment(folder: Path, packages: Sequence[str]) -> Path | str:
    python, ready = folder / "bin" / "python", folder / ".ready"
    if ready.exists() and ready.read_text(encoding="utf-8") == "\n".join(packages):
        return python
    sys.stderr.write(f"making the environment {folder.name}\n")
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    run = subprocess.run(install, capture_output=True, text=True)
    if run.returncode:
        sys.stderr.write(run.stderr[-2000:])
        return "could not be installed here"
    ready.write_text("\n".join(packages), encoding="utf-8")
    return python


def run_once(name: str, python: Path, origin: str, folder: Path, options: Mapping[str, Any] | None = None) -> Any:
    """Run a client in a process of its own and return what it took, or why it failed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    order = json.dumps({"origin": origin, "folder": str(folder), "options": options or {}})
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_CONN_")},
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "NO_PROXY": "*",
    }
    command = [str(python), str(Path(__file__).with_name("bench_clients.py")), name, order]
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    if run.returncode:
        sys.stderr.write(run.stderr[-2000:])
        return "failed"
    return json.loads(run.stdout.splitlines()[-1])


def measure_reading(options: argparse.Namespace, settings: bench_crm.Settings) -> dict[str, Runs]:
    """Let the clients take turns at reading all contacts."""
    names = options.clients
    pythons = environments(options.work, names)
    runs = {name: Runs(failure=python if isinstance(python, str) else None) for name, python in pythons.items()}
    runs = {name: runs[name] for name in names}
    with bench_crm.running(settings) as origin:
        for number in range(options.rounds):
            for name in [*names[number % len(names) :], *names[: number % len(names)]]:
                took = runs[name]
                python = pythons[name]
                if took.failure or isinstance(python, str):
                    continue
                found = run_once(name, python, origin, options.work / "out" / name)
                if isinstance(found, str) or found["rows"] != settings.rows:
                    took.failure = found if isinstance(found, str) else f"read {found['rows']:,} of {settings.rows:,}"
                    continue
                took.seconds.append(found["seconds"])
                took.cpu.append(found["cpu"])
                took.peaks.append(found["peak"])
                took.grown.append(found["peak"] - found["before"])
                sys.stderr.write(f"round {number + 1}: {name} {found['seconds']:.2f} s, cpu {found['cpu']:.2f} s\n")
    return runs


def reading_table(runs: Mapping[str, Runs], rows: int) -> str:
    """Return the speeds as a Markdown table."""
    base = runs.get(BASE)
    lines = [
        "| | leads/s (median) | × bare | all rounds, s | processor, s | peak memory | above its imports |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for name, took in runs.items():
        label = CLIENTS[name][0]
        if took.failure:
            lines.append(f"| {label} | {took.failure} | | | | | |")
            continue
        median = statistics.median(took.seconds)
        ratio = f"{statistics.median(base.seconds) / median:.2f}" if base and base.seconds else "–"
        rounds = ", ".join(f"{seconds:.2f}" for seconds in took.seconds)
        lines.append(
            f"| {label} | {rows / median:,.0f} | {ratio} | {rounds} | {statistics.median(took.cpu):.2f} "
            f"| {max(took.peaks) / 1e6:.0f} MB | {max(took.grown) / 1e6:.0f} MB |"
        )
    return "\n".join(lines)


_PARSE: Final = """
import runpy, sys, time
import airflow.sdk
between, spent = time.perf_counter(), time.process_time()
if len(sys.argv) > 1:
    runpy.run_path(sys.argv[1])
print((time.perf_counter() - between) * 1000, (time.process_time() - spent) * 1000)
"""


def parse_times(rounds: int) -> Iterator[tuple[str, float, float]]:
    """Yield each example DAG and the medians of what importing it adds to ``import airflow.sdk``.

    :return: name, milliseconds, milliseconds of processor time, which a busy machine disturbs less
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for dag in sorted((ROOT / "dags").glob("*.py")):
        added: list[list[float]] = []
        for _ in range(rounds):
            command = [sys.executable, "-c", _PARSE, str(dag)]
            run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            added.append([float(word) for word in run.stdout.split()[-2:]])
        wall, spent = (statistics.median(column) for column in zip(*added, strict=True))
        yield dag.name, wall, spent


def parse_table(rounds: int) -> str:
    """Return what importing each example DAG costs as a Markdown table."""
    lines = ["| DAG | ms above `import airflow.sdk` (median) | of processor time |", "|---|---:|---:|"]
    lines += [f"| `{name}` | {wall:.0f} | {spent:.0f} |" for name, wall, spent in parse_times(rounds)]
    return "\n".join(lines)


def machine(pythons: Sequence[str]) -> str:
    """Return what the figures were measured on, as Markdown."""
    rivals = [package.replace("==", " ") for name in pythons if (package := CLIENTS[name][1])]
    here = stands_on(["apache-airflow", "msgspec", "pyarrow", "requests"], rivals)
    return (
        f"{here}. Times are of the work alone, without starting Python and importing; memory is that of the whole "
        "process, and beside it what came on top of its imports (this package runs within Airflow, which the others "
        "don't load)."
    )


def benchmark(options: argparse.Namespace) -> str:
    """Run what is asked for and return the report."""
    parts = []
    if "read" in options.parts:
        settings = bench_crm.Settings(rows=options.leads)
        runs = measure_reading(options, settings)
        parts.append(f"### Reading {options.leads:,} HubSpot contacts, no latency\n")
        parts[-1] += f"\n{reading_table(runs, options.leads)}"
    if "pace" in options.parts:
        parts.append(f"### Keeping to a quota of {_LIMIT}\n\n{bench_pace.pace()}")
    if "write" in options.parts:
        written = bench_pace.writing(options.work / "out" / "write", options.upserts)
        parts.append(f"### Writing at a quota of {_LIMIT}\n\n{written}")
    if "parse" in options.parts:
        parts.append(f"### Parsing the example DAGs\n\n{parse_table(_DAG_ROUNDS)}")
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leads", type=int, default=100_000, help="contacts to read (default 100,000)")
    parser.add_argument("--upserts", type=int, default=100_000, help="contacts to write (default 100,000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each client (default 3)")
    parser.add_argument("--work", type=Path, default=ROOT / ".demo" / "bench-wire", help="keeps the environments")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS), metavar="NAME",
                        help=f"of {', '.join(CLIENTS)} (default all)")  # fmt: skip
    parser.add_argument("--parts", nargs="+", choices=("read", "pace", "write", "parse"), metavar="PART",
                        default=["read", "pace", "write", "parse"],
                        help="of read, pace, write, parse (default all)")  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="FILE", help="Markdown file whose section is replaced")
    options = parser.parse_args(arguments)
    options.work = options.work.resolve()
    section = f"## The wire\n\n{benchmark(options)}\n\n{machine(options.clients)} Run it with `make bench-wire`."
    sys.stdout.write(section + "\n")
    if options.write:
        write_section(options.write, section, _MARKS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
