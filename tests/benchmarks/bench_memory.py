"""What a memory costs a merge, as ratios within one run: with it, nothing having changed, and without.

::

    python tests/benchmarks/bench_memory.py --leads 10000000

Each merge has a process of its own: its time, and the most memory that it had. The outputs are the same, all four.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench_clients import memory
from bench_data import SOURCES, dataset
from bench_merge import stands_on, write_section

from airflow_providers_leads.leads.memory.generation import Folder
from airflow_providers_leads.leads.memory.reads import ReadFacts
from airflow_providers_leads.leads.memory.recall import OUTPUTS as RECALLED
from airflow_providers_leads.leads.memory.recall import Recall
from airflow_providers_leads.leads.memory.remember import Kept, remember
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import MergePolicy

MARKS: Final = ("<!-- bench-memory: begin -->", "<!-- bench-memory: end -->")


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Merge, with a memory or without, and remember; return seconds, those of the processor, and bytes."""
    folder = Path(order["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    engine = f"duckdb://?memory_limit={order['limit']}&threads={order['threads']}&temp_directory={folder}"
    outputs = {name: str(folder / f"{name}.parquet") for name in OUTPUTS}
    recall, policy, reads = None, MergePolicy(), []
    started, busy = time.perf_counter(), time.process_time()
    if order["memory"]:
        kept_in = Folder(order["memory"])
        kept_in.open()
        reads = [
            ReadFacts(
                conn_id=scope, source=source, at=datetime.now(UTC), complete=True,
                parts={scope: order["leads"] // len(SOURCES)},
            )
            for source, scope in SOURCES
        ]  # fmt: skip
        recall = Recall(kept_in, reads, {name: folder / f"memory.{name}.parquet" for name in RECALLED}, policy)
    merge_files(order["inputs"], outputs, policy=policy, engine=engine, recall=recall)
    figures: dict[str, Any] = {"seconds": time.perf_counter() - started, "processor": time.process_time() - busy}
    if recall is not None:
        began = time.perf_counter()
        baseline = [str(kept_in.path / name) for name in recall.generation.files] if recall.generation else []
        kept = Kept(
            memory=str(kept_in.path), generation=recall.result.generation, token=recall.result.token,
            baseline=baseline, delta=str(folder / "memory.delta.parquet"), people=str(folder / "memory.people.parquet"),
        )  # fmt: skip
        generation = remember(kept_in, kept, reads, [outputs["members"]], run=order["run"])
        size = sum((kept_in.path / name).stat().st_size for name in generation.files)
        figures |= {"remember": time.perf_counter() - began, "bytes": size / max(1, generation.records)}
        figures["changes"] = recall.result.counts
    return figures | {"peak": memory("VmHWM")}


def once(kind: str, number: int, files: Sequence[str], scratch: str, options: argparse.Namespace) -> dict[str, Any]:
    """Merge in a process of its own: ``without`` a memory, with the ``first`` one, or ``with`` one that knows all."""
    order = {
        "inputs": files, "folder": f"{scratch}/{kind}{number}", "limit": options.memory_limit,
        "threads": options.threads, "leads": options.leads, "run": f"{kind}{number}",
        "memory": None if kind == "without" else f"{scratch}/memory",
    }  # fmt: skip
    command = [sys.executable, __file__, "--order", json.dumps(order)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    shutil.rmtree(order["folder"])
    figures = dict(json.loads(output.splitlines()[-1]))
    sys.stdout.write(f"{kind}: {figures}\n")
    sys.stdout.flush()
    return figures


def table(first: dict[str, Any], rounds: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """Return the figures as Markdown."""

    def median(place: int, name: str) -> float:
        return statistics.median(pair[place][name] for pair in rounds)

    base = {name: median(0, name) for name in ("seconds", "processor")}
    rows = {
        "without a memory": base | {"peak": max(pair[0]["peak"] for pair in rounds)},
        "with one, nothing has changed": {
            name: median(1, name) for name in ("seconds", "processor", "remember", "peak")
        },
        "with one for the first time": first,
    }
    lines = [
        "| | seconds | × without | processor, s | × without | remembering, s | peak memory |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for label, row in rows.items():
        spent = (f"{row[name]:.1f} | {row[name] / base[name]:.2f}" for name in base)
        remembering = f"{row['remember']:.1f}" if "remember" in row else "–"
        lines.append(f"| {label} | {' | '.join(spent)} | {remembering} | {row['peak'] / 1e9:.2f} GB |")
    return "\n".join([*lines, "", f"The memory takes {rounds[-1][1]['bytes']:.0f} bytes a record."])


def main() -> None:
    """Run the benchmark, and put its figures into the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leads", type=int, default=10_000_000, help="rows (default 10,000,000)")
    parser.add_argument("--rounds", type=int, default=1, help="merges of each kind after the first (default 1)")
    parser.add_argument("--memory-limit", default="2GB", help="of DuckDB (default 2GB)")
    parser.add_argument("--threads", type=int, default=2, help="of DuckDB (default 2)")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "bench-merge", help="keeps the data")
    parser.add_argument("--write", type=Path, metavar="FILE", help="Markdown file whose section is replaced")
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.order:
        sys.stdout.write("\n" + json.dumps(run(json.loads(options.order))) + "\n")
        return
    files = [str(file) for file in dataset(options.work, options.leads, options.leads * 6 // 10)]
    with tempfile.TemporaryDirectory(dir=options.work) as scratch:
        first = once("first", 0, files, scratch, options)
        rounds = []
        for number in range(options.rounds):
            pair = [once(kind, number, files, scratch, options) for kind in ("without", "with")]
            rounds.append((pair[0], pair[1]))
    shown = "" if options.leads == 10_000_000 else f" BENCH='--leads {options.leads}'"
    section = (
        f"## Memory\n\nThe merge of {options.leads:,} leads, lineage and conflicts included, with a memory of them all "
        f"and without:\n\n{table(first, rounds)}\n\n{stands_on(['duckdb', 'ibis-framework', 'pyarrow'])}. DuckDB had "
        f"{options.memory_limit} and {options.threads} threads. Run it with `make bench-memory{shown}`."
    )
    sys.stdout.write(f"{section}\n")
    if options.write:
        write_section(options.write, section, MARKS)


if __name__ == "__main__":
    main()
