"""What a memory costs a merge, as ratios within one run: with it, nothing having changed, and without.

::

    python tests/benchmarks/bench_memory.py --leads 10000000

Each merge has a process of its own: its time, and the most memory that it had. The outputs are the same, all four.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench_clients import memory
from bench_data import SOURCES, dataset

from airflow_providers_leads.leads.memory.generation import Folder
from airflow_providers_leads.leads.memory.reads import ReadFacts
from airflow_providers_leads.leads.memory.recall import OUTPUTS as RECALLED
from airflow_providers_leads.leads.memory.recall import Recall
from airflow_providers_leads.leads.memory.remember import Kept, remember
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import MergePolicy


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Merge, with a memory or without, and remember; return seconds and the peak of memory in bytes."""
    folder = Path(order["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    engine = f"duckdb://?memory_limit={order['limit']}&threads={order['threads']}&temp_directory={folder}"
    outputs = {name: str(folder / f"{name}.parquet") for name in OUTPUTS}
    recall, policy, reads = None, MergePolicy(), []
    started = time.perf_counter()
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
    merged = time.perf_counter() - started
    found: dict[str, Any] = {"seconds": merged, "peak": memory("VmHWM")}
    if recall is not None:
        began = time.perf_counter()
        baseline = [str(kept_in.path / name) for name in recall.generation.files] if recall.generation else []
        kept = Kept(
            memory=str(kept_in.path), generation=recall.result.generation, token=recall.result.token,
            baseline=baseline, delta=str(folder / "memory.delta.parquet"), people=str(folder / "memory.people.parquet"),
        )  # fmt: skip
        generation = remember(kept_in, kept, reads, [outputs["members"]], run=order["run"])
        size = sum((kept_in.path / name).stat().st_size for name in generation.files)
        found |= {"remember": time.perf_counter() - began, "bytes": size / max(1, generation.records)}
        found |= {"peak": memory("VmHWM"), "counts": recall.result.counts}
    return found


def main() -> None:
    """Run the benchmark and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leads", type=int, default=10_000_000, help="rows (default 10,000,000)")
    parser.add_argument("--rounds", type=int, default=1, help="merges of each kind after the first (default 1)")
    parser.add_argument("--memory-limit", default="2GB", help="of DuckDB (default 2GB)")
    parser.add_argument("--threads", type=int, default=2, help="of DuckDB (default 2)")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "bench-merge", help="keeps the data")
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.order:
        sys.stdout.write("\n" + json.dumps(run(json.loads(options.order))) + "\n")
        return
    files = [str(file) for file in dataset(options.work, options.leads, options.leads * 6 // 10)]
    with tempfile.TemporaryDirectory(dir=options.work) as scratch:

        def once(kind: str, number: int) -> dict[str, Any]:
            order = {
                "inputs": files, "folder": f"{scratch}/{kind}{number}", "limit": options.memory_limit,
                "threads": options.threads, "leads": options.leads, "run": f"{kind}{number}",
                "memory": None if kind == "without" else f"{scratch}/memory",
            }  # fmt: skip
            told = subprocess.run(
                [sys.executable, __file__, "--order", json.dumps(order)], check=True, capture_output=True, text=True
            )
            return dict(json.loads(told.stdout.strip().splitlines()[-1]))

        first = once("first", 0)
        rounds = [(once("without", n), once("with", n)) for n in range(options.rounds)]
        without, merged = (statistics.median(pair[n]["seconds"] for pair in rounds) for n in (0, 1))
        figures = {
            "leads": options.leads, "without": round(without, 1), "with": round(merged, 1),
            "ratio": round(merged / without, 2), "first": first, "last": rounds[-1][1],
            "first_ratio": round(first["seconds"] / without, 2),
            "peak_gb": round(max(first["peak"], *(pair[1]["peak"] for pair in rounds)) / 1e9, 2),
        }  # fmt: skip
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
