"""Benchmark of leads from a CSV against DuckDB's bare ``read_csv`` to Parquet, each in a process of its own, in turns.

``python tests/benchmarks/bench_files.py --rows 1000000 --rounds 3`` prints a line per contestant (seconds, and the most
memory that it had) and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import csv
import logging
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

CONTESTANTS: Final = ("duckdb", "leads")
HEADER: Final = (
    "E-Mail", "Vorname", "Nachname", "Telefon", "Firma", "PLZ", "Ort", "Land", "Erstellt am", "Abgemeldet", "Score",
    "Notiz",
)  # fmt: skip


def show(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def write_csv(path: Path, rows: int) -> None:
    """Write leads as a spreadsheet would."""
    pick = random.Random(7)
    names, cities = ("Ann", "Jörg", "Zoë", "Max", "Łucja"), ("Berlin", "Köln", "Wien", "Zürich")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(HEADER)
        for number in range(rows):
            name = pick.choice(names)
            writer.writerow(
                (
                    f"p{number}@example.com", name, f"Muster{number % 9973}", f"+4930{number % 10_000_000:07}",
                    f"Firma {number % 50_021} GmbH" if number % 3 else "", f"{10000 + number % 80_000}",
                    pick.choice(cities), "Deutschland", f"2026-{1 + number % 12:02}-{1 + number % 28:02} 10:00:00",
                    "ja" if number % 50 == 0 else "", number % 100, "Halle 3; Stand 7" if number % 10 == 0 else "",
                )
            )  # fmt: skip


def run(contestant: str, source: str, target: str) -> None:
    """Do the work once, and print the seconds and mebibytes that it took."""
    if contestant == "duckdb":
        import duckdb

        began = time.perf_counter()
        duckdb.sql(f"COPY (SELECT * FROM read_csv('{source}')) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    else:
        from airflow_providers_leads.tasks.sources.files import leads_from_files

        began = time.perf_counter()
        leads_from_files(source, target, "bench", glob=False, log=logging.getLogger("bench"))
    seconds = time.perf_counter() - began
    show(f"{seconds:.3f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


def main() -> None:
    """Let them take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", nargs=3, metavar=("CONTESTANT", "SOURCE", "TARGET"))
    arguments = parser.parse_args()
    if arguments.run:
        run(*arguments.run)
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "leads.csv"
        write_csv(source, arguments.rows)
        show(f"{arguments.rows} rows, {source.stat().st_size / 1e6:.0f} MB")
        seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
        for _ in range(arguments.rounds):
            for name in CONTESTANTS:
                command = [sys.executable, __file__, "--run", name, str(source), f"{folder}/{name}.parquet"]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                seconds[name].append(float(told[-2]))
                show(f"{name:8} {float(told[-2]):7.2f} s  {told[-1]:>6} MB")
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        show(f"leads runs at {medians['duckdb'] / medians['leads']:.2f} of the speed of duckdb")


if __name__ == "__main__":
    main()
