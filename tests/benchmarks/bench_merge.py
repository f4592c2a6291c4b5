"""Benchmark of the merge against DuckDB's bare ``DISTINCT ON``, pandas and Polars: ratios of one run on one machine.

Every run is a process of its own. The contestants take turns, so that a busy minute of the machine hits all of them,
and the median of the rounds counts. One that needs more memory than there is gets stopped and is measured again, with
those it is compared to, at the largest size that fits.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench_contestants import CONTESTANTS
from bench_data import dataset

from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS, STICKY_FIELDS

ROOT: Final = Path(__file__).resolve().parents[2]
BASE: Final = "distinct"
FRAMES: Final = ("pandas", "polars")
# What must be left for everything else on the machine.
_HEADROOM: Final = 1 << 30
_COMPARED: Final = (
    "email_key", "email", *PROFILE_FIELDS, *STICKY_FIELDS, "created_at", "updated_at", "properties", "member_count"
)  # fmt: skip
_MARKS: Final = ("<!-- bench-merge: begin -->", "<!-- bench-merge: end -->")


@dataclass(slots=True)
class Runs:
    """What one contestant took, round by round.

    :param seconds: wall time
    :param processor: seconds of processor time, of all threads
    :param peaks: resident memory at its highest, in bytes
    :param failure: why it has no result
    :param too_large: true when it failed for want of memory
    :param memory: DuckDB's limit, where another than the one asked for was needed
    """

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    failure: str | None = None
    too_large: bool = False
    memory: str | None = None


def run_once(name: str, files: Sequence[Path], folder: Path, options: argparse.Namespace, runs: Runs) -> None:
    """Run a contestant in a process of its own and note what it took, or why it failed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    order = {
        "inputs": [str(file) for file in files],
        "folder": str(folder),
        "memory": runs.memory or options.memory_limit,
        "threads": options.threads,
    }
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "POLARS_MAX_THREADS": str(options.threads),
        "OMP_NUM_THREADS": str(options.threads),
        "TMPDIR": str(folder),
    }
    command = [sys.executable, str(Path(__file__).with_name("bench_contestants.py")), name, json.dumps(order)]
    process = subprocess.Popen(
        command, env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    stopped = _watch(process, options.memory_cap)
    out, errors = process.communicate()
    if process.returncode == 0:
        took = json.loads(out.splitlines()[-1])
        runs.seconds.append(took["seconds"])
        runs.processor.append(took["processor"])
        runs.peaks.append(took["peak"])
    elif stopped.is_set() or process.returncode == -9:
        runs.failure, runs.too_large = f"stopped at {options.memory_cap / 1e9:.1f} GB of memory", True
    else:
        runs.too_large = any(words in errors for words in ("Out of Memory", "OutOfMemory", "MemoryError"))
        runs.failure = "out of memory" if runs.too_large else "failed"
        sys.stderr.write(errors)


def _watch(process: subprocess.Popen[str], cap: int) -> threading.Event:
    """Stop a process once it holds more memory than the cap; the event tells that this happened."""
    stopped = threading.Event()

    def watch() -> None:
        status = Path(f"/proc/{process.pid}/statm")
        while process.poll() is None and status.exists():
            try:
                resident = int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            except (OSError, IndexError):
                return
            if resident > cap:
                stopped.set()
                process.kill()
                return
            time.sleep(0.1)

    threading.Thread(target=watch, daemon=True).start()
    return stopped


def measure(names: Sequence[str], files: Sequence[Path], options: argparse.Namespace) -> dict[str, Runs]:
    """Let contestants take turns; one that fails doesn't run again."""
    runs = {name: Runs() for name in names}
    for number in range(options.rounds):
        # The next round begins with another one.
        turn = [*names[number % len(names) :], *names[: number % len(names)]]
        for name in turn:
            if not runs[name].failure:
                run_once(name, files, options.work / "out" / name, options, runs[name])
                # The bare query can't spill what it keeps per address: it gets what it needs, and the table says so.
                while name == BASE and runs[name].too_large and (more := _doubled(runs[name], options)):
                    runs[name] = Runs(memory=more)
                    run_once(name, files, options.work / "out" / name, options, runs[name])
                sys.stderr.write(f"round {number + 1}: {name} {_seconds(runs[name])}\n")
    return runs


def _doubled(runs: Runs, options: argparse.Namespace) -> str | None:
    """Return twice the memory limit of a failed run; ``None`` where it succeeded before or the machine has no more."""
    limit = re.fullmatch(r"(\d+)\s*([MG])B", runs.memory or options.memory_limit)
    if runs.seconds or not limit:
        return None
    number, unit = 2 * int(limit[1]), limit[2]
    return f"{number}{unit}B" if number * {"M": 10**6, "G": 10**9}[unit] < options.memory_cap else None


def differences(one: Path, other: Path) -> dict[str, int]:
    """Return column → people whose golden values differ between two results; a missing person differs in all."""
    import duckdb

    with duckdb.connect(config={"memory_limit": "2GB", "temp_directory": str(one / "spill")}) as connection:
        columns = ", ".join(f"count(*) FILTER (WHERE a.{name} IS DISTINCT FROM b.{name})" for name in _COMPARED)
        query = (
            f"SELECT {columns} FROM '{one / 'golden.parquet'}' a "
            f"FULL JOIN '{other / 'golden.parquet'}' b ON a.email_key = b.email_key"
        )
        counts = connection.execute(query).fetchone() or ()
    return {name: count for name, count in zip(_COMPARED, counts, strict=True) if count}


def table(runs: dict[str, Runs], leads: int, people: int) -> str:
    """Return the results as a Markdown table."""
    base = statistics.median(runs[BASE].seconds) if BASE in runs and runs[BASE].seconds else None
    lines = [
        f"{leads:,} leads, {people:,} people:",
        "",
        "| | seconds (median) | all rounds | × `DISTINCT ON` | processor, s | peak memory |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for name, took in runs.items():
        label = CONTESTANTS[name][0] + (f", with {took.memory} for want of less" if took.memory else "")
        if took.failure:
            lines.append(f"| {label} | {took.failure} | | | | |")
            continue
        median = statistics.median(took.seconds)
        ratio = f"{median / base:.2f}" if base else "–"
        rounds = ", ".join(f"{seconds:.1f}" for seconds in took.seconds)
        processor = statistics.median(took.processor)
        peak = max(took.peaks) / 1e9
        lines.append(f"| {label} | {median:.1f} | {rounds} | {ratio} | {processor:.1f} | {peak:.2f} GB |")
    return "\n".join(lines)


def _seconds(runs: Runs) -> str:
    return runs.failure or f"{runs.seconds[-1]:.2f} s, {runs.peaks[-1] / 1e9:.2f} GB"


def available_memory() -> int:
    """Return how many bytes programs may take without swapping; what files fill of the memory is given up for them."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def stands_on(packages: Sequence[str], others: Sequence[str] = ()) -> str:
    """Return what a benchmark runs on: the machine, Python, the packages that are here and what others tell."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = []
    for name in packages:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory; Python "
        f"{platform.python_version()}, {', '.join([*versions, *others])}"
    )


def machine(options: argparse.Namespace) -> str:
    """Return what the figures were measured on, as Markdown."""
    here = stands_on(["duckdb", "ibis-framework", "pyarrow", "pandas", "polars"])
    return (
        f"{here}. DuckDB had {options.memory_limit} and {options.threads} "
        "threads, in this package and bare. Times are of the work alone, without starting Python and importing. "
        "The result of pandas and Polars is this package's: people joined by secondary addresses and merged ids, "
        "shared mailboxes held back, the first present value by newest time, opt-outs kept, properties merged key by "
        "key, rejects with reasons."
    )


def write_section(path: Path, section: str, marks: tuple[str, str] = _MARKS) -> None:
    """Put a section between the marks of a Markdown file; a file or marks that are missing are made."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Benchmarks\n"
    begin, end = marks
    if begin not in text or end not in text:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{before}{begin}\n{section}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def benchmark(options: argparse.Namespace) -> str:
    """Run all rounds and return the report."""
    leads, people = options.leads, options.people
    files = dataset(options.work, leads, people)
    runs = measure(options.contestants, files, options)
    parts = [table(runs, leads, people)]
    checked = [name for name in FRAMES if name in runs and not runs[name].failure]
    if "ours" in runs and not runs["ours"].failure:
        parts += [_agreement(name, options.work / "out") for name in checked]
    parts += [_at_the_size_that_fits(name, options) for name in FRAMES if name in runs and runs[name].too_large]
    return "\n\n".join(parts)


def _at_the_size_that_fits(name: str, options: argparse.Namespace) -> str:
    """Halve the leads until a contestant can do them, and return its table with what it is compared to."""
    names = [other for other in options.contestants if other in (BASE, "ours", name)]
    leads, people = options.leads, options.people
    while (leads := leads // 2) and (people := people // 2):
        runs = measure(names, dataset(options.work, leads, people), options)
        if not runs[name].too_large:
            return f"The largest size that {name} can do here: {table(runs, leads, people)}"
    return f"There is no size that {name} can do here."


def _agreement(name: str, folder: Path) -> str:
    differing = differences(folder / "ours", folder / name)
    if not differing:
        return f"Golden records of this package and {name}: the same, value for value."
    return f"**Golden records of this package and {name} differ**, people per column: {differing}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leads", type=int, default=10_000_000, help="rows (default 10,000,000)")
    parser.add_argument("--people", type=int, help="distinct people (default 6 for 10 leads)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant (default 3)")
    parser.add_argument("--memory-limit", default="2GB", help="of DuckDB (default 2GB)")
    parser.add_argument("--threads", type=int, default=2, help="of each contestant (default 2)")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "bench-merge", help="keeps the data")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="NAME",
                        help=f"of {', '.join(CONTESTANTS)} (default all)")  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="FILE", help="Markdown file whose section is replaced")
    options = parser.parse_args(arguments)
    options.work = options.work.resolve()
    options.people = options.people or options.leads * 6 // 10
    options.memory_cap = available_memory() - _HEADROOM
    if hasattr(os, "sched_setaffinity"):
        # Also for those that take their number of threads from the machine.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    report = benchmark(options)
    shown = "" if options.leads == 10_000_000 else f" BENCH='--leads {options.leads} --people {options.people}'"
    section = f"{report}\n\n{machine(options)} Run it with `make bench-merge{shown}`."
    sys.stdout.write(section + "\n")
    if options.write:
        write_section(options.write, section)
    return 0


if __name__ == "__main__":
    sys.exit(main())
