"""A minute or two that tell whether something has become slow: ratios of processor time, of two that take turns.

It fails where a ratio is above its bound: what was measured last, and half as much for the noise of a busy machine. Of
so few leads, what this package takes to begin is a good part of it, and the other contestant has nothing to begin with.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import bench_crm
import bench_files
import bench_memory
import bench_merge
import bench_wire
from bench_data import dataset

_LEADS: Final = 100_000
_ROUNDS: Final = 2


def reading(work: Path) -> tuple[float, float]:
    """Return what the operator and a bare loop take to read contacts."""
    spent: dict[str, list[float]] = {"ours": [], "bare": []}
    with bench_crm.running(bench_crm.Settings(rows=_LEADS)) as origin:
        for _ in range(_ROUNDS):
            for name, taken in spent.items():
                taken.append(bench_wire.run_once(name, Path(sys.executable), origin, work / name)["cpu"])
    return statistics.median(spent["ours"]), statistics.median(spent["bare"])


def merging(work: Path) -> tuple[float, float]:
    """Return what a merge with lineage and DuckDB's bare ``DISTINCT ON`` take."""
    options = argparse.Namespace(
        rounds=_ROUNDS, memory_limit="2GB", threads=2, memory_cap=bench_merge.available_memory(), work=work
    )
    runs = bench_merge.measure(["ours_full", "distinct"], dataset(work, _LEADS, _LEADS * 6 // 10), options)
    return statistics.median(runs["ours_full"].processor), statistics.median(runs["distinct"].processor)


def remembering(work: Path) -> tuple[float, float]:
    """Return what a merge takes with a memory of people who are as they were, and without."""
    options = argparse.Namespace(memory_limit="2GB", threads=2, leads=_LEADS)
    files = [str(file) for file in dataset(work, _LEADS, _LEADS * 6 // 10)]
    spent: dict[str, list[float]] = {"with": [], "without": []}
    bench_memory.once("first", 0, files, str(work), options)
    for number in range(_ROUNDS):
        for name, taken in spent.items():
            taken.append(bench_memory.once(name, number, files, str(work), options)["processor"])
    return statistics.median(spent["with"]), statistics.median(spent["without"])


def from_csv(work: Path) -> tuple[float, float]:
    """Return what leads from a CSV take, and DuckDB's bare copy of it."""
    bench_files.write_csv(work / "leads.csv", _LEADS)
    medians = bench_files.measure("csv", work / "leads.csv", _ROUNDS)
    return medians["leads"][1], medians["bare"][1]


def from_sql(work: Path) -> tuple[float, float]:
    """Return what leads from a query take, and a cursor whose rows are written as CSV."""
    bench_files.write_csv(work / "leads.csv", _LEADS)
    bench_files.write_database(work / "leads.db", work / "leads.csv")
    medians = bench_files.measure("sql", work / "leads.db", _ROUNDS)
    return medians["leads"][1], medians["to CSV"][1]


BOUNDS: Final[Mapping[Callable[[Path], tuple[float, float]], float]] = {
    reading: 1.8,
    merging: 9.0,
    remembering: 1.8,
    from_csv: 6.5,
    from_sql: 5.5,
}
"""What is measured → the ratio that it may have at most."""


def main() -> int:
    """Measure all, and return 1 when a ratio is above its bound."""
    lines = []
    late = False
    for measured, bound in BOUNDS.items():
        with tempfile.TemporaryDirectory() as folder:
            ours, other = measured(Path(folder))
        ratio = ours / other
        late = late or ratio > bound
        verdict = "TOO SLOW" if ratio > bound else "well"
        lines.append(
            f"{measured.__name__:12} {ours:6.2f} s / {other:6.2f} s = {ratio:5.2f}, at most {bound}: {verdict}"
        )
    sys.stdout.write("\n".join(["", *lines, ""]))
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
