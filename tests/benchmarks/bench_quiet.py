"""What a sync costs on a day on which nothing, or something, has changed, step by step, and how it grows.

::

    python tests/benchmarks/bench_quiet.py --people 10000 100000 --changed 10000

Each person is in HubSpot and in PersistIQ, with the same values. Each step is what a task of ``leads_sync`` does, in a
process of its own, against the sandbox without quotas, which is another process: its time is not counted, and is waited
for.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from bench_clients import connect_unlimited, memory
from bench_merge import stands_on, write_section

MARKS: Final = ("<!-- bench-quiet: begin -->", "<!-- bench-quiet: end -->")
CRMS: Final = ("hubspot", "persistiq")
# Records that HubSpot takes in one request.
_BATCH: Final = 100
STEPS: Final = (
    *(f"extract {crm}" for crm in CRMS),
    "deduplicate",
    *(f"upsert {crm}" for crm in CRMS),
    "remember",
)


def step(name: str, folder: str, with_memory: bool, results: dict[str, Any]) -> dict[str, Any]:
    """Do what one task does, and return its result and what it took."""
    from airflow_providers_leads.operators import leads

    task, _, crm = name.partition(" ")
    conn_id, extracted = f"{crm}_default", [results.get(f"extract {each}") for each in CRMS]
    remembered = {"memory": f"{Path(folder).parent}/memory" if with_memory else None}
    operators = {
        "extract": lambda: leads.LeadsExtractOperator(
            task_id=task, conn_id=conn_id, output=f"{folder}/extract", **remembered
        ),
        "deduplicate": lambda: leads.LeadsDeduplicateOperator(
            task_id=task, inputs=extracted, output=f"{folder}/golden", **remembered
        ),
        "upsert": lambda: leads.LeadsUpsertOperator(
            task_id=task, conn_id=conn_id, golden=results["deduplicate"], existing=extracted, output=f"{folder}/upsert"
        ),
        "remember": lambda: leads.LeadsRememberOperator(task_id=task, golden=results["deduplicate"]),
    }  # fmt: skip
    ti = SimpleNamespace(dag_id="sync", run_id=Path(folder).name, task_id=name.replace(" ", "-"), map_index=-1)
    operator, imported = operators[task](), memory("VmHWM")
    began, busy = time.perf_counter(), time.process_time()
    result = operator.execute({"ti": ti})  # type: ignore[typeddict-item]
    took = {"seconds": time.perf_counter() - began, "processor": time.process_time() - busy}
    return {"result": result, **took, "memory": memory("VmHWM") - imported}


def run(sandbox: Any, folder: Path, with_memory: bool, changed: int = 0) -> dict[str, dict[str, Any]]:
    """Run all steps once, and return what each took.

    :param changed: how many people must be written to HubSpot; nobody else may be written
    """
    figures: dict[str, dict[str, Any]] = {}
    results: dict[str, Any] = {}
    for name in STEPS if with_memory else STEPS[:-1]:
        for api in sandbox.apis:
            api.stats.reset()
        before = _size(folder.parent)
        order = json.dumps([name, str(folder), with_memory, results])
        command = [sys.executable, __file__, "--step", "-"]
        output = subprocess.run(command, input=order, check=True, stdout=subprocess.PIPE, text=True).stdout
        figures[name] = json.loads(output.splitlines()[-1])
        results[name] = figures[name].pop("result")
        if name.startswith("upsert"):
            wrote, due = results[name]["created"] + results[name]["updated"], changed * (name == "upsert hubspot")
            if wrote != due:
                raise SystemExit(f"{name} wrote {wrote} records and had to write {due}")
        figures[name] |= {
            "requests": sum(api.stats.requests for api in sandbox.apis),
            "bytes": _size(folder.parent) - before,
        }
    return figures


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


Figures = dict[str, dict[str, Any]]


def measure(people: int, rounds: int, changed: int) -> tuple[list[tuple[Figures, Figures]], Figures]:
    """Return what the steps took on quiet days, without a memory and with one in turns, and then on a busy day.

    :param changed: how many people get another city in PersistIQ before the busy day; 0: there is none
    """
    from airflow_providers_leads.sandbox import Sandbox
    from airflow_providers_leads.sandbox.hubspot.store import Contact
    from airflow_providers_leads.sandbox.persistiq.store import Lead

    with Sandbox(people=0, limits=False) as sandbox, tempfile.TemporaryDirectory() as work:
        connect_unlimited(sandbox)
        hubspot, _, persistiq = (api.store for api in sandbox.apis)
        at = persistiq.clock.now() - 86_400_000
        for number in range(people):
            email, city, phone = f"p{number}@people.example", f"City {number % 997}", f"+4930{number:08}"
            hubspot.insert(
                Contact(70_000_000_000 + number, {}, at, at),
                {"email": email, "firstname": "Zoë", "lastname": f"Muster{number}", "city": city, "phone": phone},
            )
            data = {"email": email, "first_name": "Zoë", "last_name": f"Muster{number}", "city": city, "phone": phone}
            persistiq.add(Lead(persistiq.next_id("l"), "active", data, at, at))
        # The first run starts to remember.
        run(sandbox, Path(work) / "first", True)
        quiet = [
            (
                run(sandbox, Path(work) / f"without-{number}", False),
                run(sandbox, Path(work) / f"with-{number}", True),
            )
            for number in range(rounds)
        ]
        for lead in list(persistiq.leads.values())[:changed]:
            lead.data["city"], lead.updated = "Neustadt", persistiq.clock.now()
        return quiet, run(sandbox, Path(work) / "busy", True, changed) if changed else {}


def table(people: int, rounds: Sequence[tuple[Figures, Figures]]) -> str:
    """Return the figures of quiet days for one number of people as Markdown."""

    def median(place: int, name: str, figure: str) -> float:
        return statistics.median(pair[place][name][figure] for pair in rounds)

    lines = [
        f"{people:,} people:",
        "",
        "| | requests | seconds | processor, s | without a memory | peak memory above its imports | written |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in STEPS:
        values = {f: median(1, name, f) for f in ("requests", "seconds", "processor", "memory", "bytes")}
        without = f"{median(0, name, 'processor'):.2f}" if name != "remember" else "–"
        lines.append(
            f"| {name} | {values['requests']:,.0f} | {values['seconds']:.1f} | {values['processor']:.2f} | {without} | "
            f"{values['memory'] / 1e6:.0f} MB | {values['bytes'] / 1e3:,.0f} kB |"
        )
    sums = [
        {f: sum(median(place, n, f) for n in rounds[0][place]) for f in ("seconds", "processor")} for place in (0, 1)
    ]
    ratios = {f: sums[1][f] / sums[0][f] for f in sums[0]}
    lines += [
        "",
        f"All steps: {sums[1]['seconds']:.1f} s, {sums[1]['processor']:.1f} s of the processor; with a memory "
        f"{ratios['seconds']:.2f} times the seconds without, and {ratios['processor']:.2f} times the processor's.",
    ]
    return "\n".join(lines)


def busy_table(people: int, changed: int, figures: Figures) -> str:
    """Return the figures of a busy day as Markdown."""
    lines = [
        f"{changed:,} of {people:,} people have another city in PersistIQ:",
        "",
        "| | requests | seconds | processor, s | peak memory above its imports | written |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {took['requests']:,} | {took['seconds']:.1f} | {took['processor']:.2f} | "
        f"{took['memory'] / 1e6:.0f} MB | {took['bytes'] / 1e3:,.0f} kB |"
        for name, took in figures.items()
    ]
    upsert, least = figures["upsert hubspot"], -(-changed // _BATCH)
    lines += [
        "",
        f"HubSpot takes {_BATCH} records a request, so {least:,} requests are the least to write {changed:,}: it was "
        f"asked {upsert['requests'] / least:.2f} times that, and for each second of the processor "
        f"{people / upsert['processor']:,.0f} people were planned, written and accounted for.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark, and put its figures into the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 100_000], help="default 10,000 and 100,000")
    parser.add_argument("--rounds", type=int, default=1, help="quiet days of each kind (default 1)")
    parser.add_argument("--changed", type=int, default=10_000, help="people to change on a busy day (default 10,000)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="Markdown file whose section is replaced")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        sys.stdout.write("\n" + json.dumps(step(*json.load(sys.stdin))) + "\n")
        return
    parts = []
    for people in options.people:
        changed = min(options.changed, people)
        quiet, busy = measure(people, options.rounds, changed)
        parts.append(table(people, quiet))
        if busy:
            parts.append(busy_table(people, changed, busy))
    section = "\n\n".join(
        [
            "## A quiet day, and a busy one",
            "`leads_sync` of people who are all in HubSpot and in PersistIQ, as they were at the last run, against the "
            "sandbox without quotas; and the same when some of them were edited since.",
            *parts,
            f"{stands_on(['apache-airflow', 'duckdb', 'pyarrow'])}. Run it with `make bench-quiet`.",
        ]
    )
    sys.stdout.write(f"{section}\n")
    if options.write:
        write_section(options.write, section, MARKS)


if __name__ == "__main__":
    main()
