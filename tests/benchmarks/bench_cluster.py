"""Benchmark of ``leads_sync`` on two Celery workers that share a database, a broker and a bucket, and no folder.

Three runs of the example DAG as it is: the first writes all, the second finds out what became of it, the third has
nothing to do. Each task tells the machine it ran on and what its process had in memory at its highest. Nobody limits
requests, so that what the tasks themselves take can be seen; beside it stands what the documented quotas would have
made their requests take. ``make bench-cluster`` runs it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

_TESTS: Final = Path(__file__).resolve().parents[1]
# Where the machines of the tests are started.
sys.path[:0] = [str(_TESTS), str(_TESTS / "unit" / "http")]

_MARKS: Final = ("<!-- bench-cluster: begin -->", "<!-- bench-cluster: end -->")
_WORKERS: Final = ("worker-1", "worker-2")
_TURNS: Final = ("first", "second", "third")
# Requests that a quota lets through, and in how many seconds; of HubSpot's the smallest.
_QUOTAS: Final = {"perspective": (100, 60.0), "hubspot": (100, 10.0), "persistiq": (100, 60.0)}
_SECONDS: Final = 3_600.0

_TELLS_MEMORY: Final = '''
"""Writes down what each task had in memory at its highest."""

import json
import os
from pathlib import Path

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


class Tells:
    @hookimpl
    def on_task_instance_success(self, previous_state, task_instance):
        status = Path("/proc/self/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
        told = {
            "run": task_instance.run_id, "task": task_instance.task_id, "place": task_instance.map_index,
            "machine": os.environ.get("MACHINE_NAME"), "peak": peak * 1024,
        }
        with open(os.environ["BENCH_TOLD"], "a") as file:
            file.write(json.dumps(told) + "\\n")


class TellsMemory(AirflowPlugin):
    name = "tells_memory"
    listeners = [Tells()]
'''


def least_minutes(requests: Mapping[str, int]) -> dict[str, float]:
    """Return how long each CRM's documented quota makes so many requests take at least, in minutes."""
    # A window may be spent at once.
    return {crm: (requests[crm] - 1) // most * period / 60 for crm, (most, period) in _QUOTAS.items()}


def measure(people: int, work: Path) -> tuple[list[str], list[str]]:
    """Run the DAG three times and return the lines of the tasks, and of the runs."""
    from bench_clients import unlimited
    from cluster_sync import DAG, cluster_sync

    plugins, told = work / "plugins", work / "told.jsonl"
    plugins.mkdir()
    (plugins / "tells_memory.py").write_text(_TELLS_MEMORY)
    further = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins), "BENCH_TOLD": str(told)}
    tasks, runs = [], []
    with cluster_sync(work, people, lambda sandbox: unlimited(sandbox) | further) as sync:
        sync.airflow.start(*_WORKERS)
        for turn in _TURNS:
            for api in sync.sandbox.apis:
                api.stats.reset()
            run_id = sync.trigger()
            run = sync.airflow.ended(DAG, run_id, seconds=_SECONDS)
            if run["state"] != "success":
                raise SystemExit(f"the {turn} run ended as {run['state']}")
            found = sync.airflow.get(f"/dags/{DAG}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
            peaks = {(one["task"], one["place"]): one for one in map(json.loads, told.read_text().splitlines())
                     if one["run"] == run_id}  # fmt: skip
            for task in sorted(found, key=lambda task: task["start_date"] or ""):
                one = peaks.get((task["task_id"], task["map_index"]))
                if one is None:
                    continue
                name = task["task_id"] + (f" {task['map_index']}" if task["map_index"] >= 0 else "")
                tasks.append(
                    f"| {name}, {turn} run | {one['machine']} | {task['duration']:.1f} | {one['peak'] / 1e6:.0f} MB |"
                )
                sys.stderr.write(tasks[-1] + "\n")
            requests = {api.name: api.stats.requests for api in sync.sandbox.apis}
            floors = least_minutes(requests)
            writes = sum(api.stats.writes for api in sync.sandbox.apis)
            began, ended = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
            took = (ended - began).total_seconds()
            runs.append(
                f"| {turn} | {took:.0f} | {sum(task['duration'] or 0 for task in found):.0f} | {writes:,} | "
                + " | ".join(f"{requests[crm]:,}: {floors[crm]:.1f}" for crm in _QUOTAS) + " |"
            )  # fmt: skip
            sys.stderr.write(runs[-1] + "\n")
        sync.check()
    return tasks, runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    from bench_merge import stands_on, write_section

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100_000, help="in the CRMs (default 100,000)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="Markdown file whose section is replaced")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        tasks, runs = measure(options.people, Path(work))
    section = "\n\n".join(
        [
            "## A sync on two workers",
            f"`leads_sync` of {options.people:,} people, as the example is, on two Celery workers that share "
            "PostgreSQL, Redis and a bucket. Nobody limits requests; beside the number of them stand the minutes that "
            "the documented quota makes them take at least:",
            "| run | seconds | of all tasks together | written | Perspective | HubSpot | PersistIQ |\n"
            "|---|---:|---:|---:|---:|---:|---:|\n" + "\n".join(runs),
            "| task | on | seconds | most memory |\n|---|---|---:|---:|\n" + "\n".join(tasks),
            f"{stands_on(['apache-airflow', 'duckdb', 'moto', 's3fs'])}. Workers, database, broker, bucket and CRMs "
            "are on this one machine. Run it with `make bench-cluster`.",
        ]
    )
    sys.stdout.write(section + "\n")
    if options.write:
        write_section(options.write, section, _MARKS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
