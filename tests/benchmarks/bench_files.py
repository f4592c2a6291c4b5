"""Benchmark of leads from a CSV beside DuckDB's bare ``read_csv`` to Parquet, and of leads from a SQL query beside a
bare loop over a cursor, which writes nothing; each in a process of its own, in turns.

``python tests/benchmarks/bench_files.py --rows 1000000 --rounds 3`` prints a line per contestant (seconds, those of the
processor, and the most memory that it had) and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

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


def write_database(path: Path, source: Path) -> None:
    """Write the same leads as a table of SQLite, with a number and a time that are no text."""
    with (
        closing(sqlite3.connect(path)) as connection,
        source.open(encoding="utf-8", newline="") as file,
        connection,
    ):
        rows = csv.reader(file, delimiter=";")
        names = ", ".join(f'"{name}"' for name in next(rows))
        connection.execute(f"CREATE TABLE people ({names})")
        marks = ", ".join("?" * len(HEADER))
        number = HEADER.index("Score")
        connection.executemany(
            f"INSERT INTO people VALUES ({marks})",
            ([int(cell) if place == number else cell or None for place, cell in enumerate(row)] for row in rows),
        )


def bare_csv(source: str, target: str) -> None:
    """Let DuckDB read a CSV and write it, whatever its cells mean."""
    import duckdb

    duckdb.sql(f"COPY (SELECT * FROM read_csv('{source}')) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


def our_csv(source: str, target: str) -> None:
    """Read a CSV as ``LeadsFromFileOperator`` does."""
    from airflow_providers_leads.tasks.sources.files import leads_from_files

    leads_from_files(source, target, "bench", glob=False, log=logging.getLogger("bench"))


def bare_cursor(source: str, target: str) -> None:
    """Fetch every row, and do nothing with it."""
    with closing(sqlite3.connect(source)) as connection:
        cursor = connection.execute("SELECT * FROM people")
        while cursor.fetchmany(10_000):
            pass


def written_cursor(source: str, target: str) -> None:
    """Fetch every row, and write it as people do who have no package for it: as CSV."""
    with closing(sqlite3.connect(source)) as connection, Path(target).open("w", encoding="utf-8", newline="") as file:
        cursor = connection.execute("SELECT * FROM people")
        writer = csv.writer(file)
        while rows := cursor.fetchmany(10_000):
            writer.writerows(rows)


def our_sql(source: str, target: str) -> None:
    """Read a query as ``LeadsFromSqlOperator`` does."""
    os.environ["AIRFLOW_CONN_BENCH"] = json.dumps({"conn_type": "sqlite", "host": source})
    from airflow_providers_leads.tasks.sources.sql import leads_from_sql

    leads_from_sql("bench", "SELECT * FROM people", None, target, "bench", log=logging.getLogger("bench"))


CONTESTANTS: Final[Mapping[str, Mapping[str, Callable[[str, str], None]]]] = {
    "csv": {"bare": bare_csv, "leads": our_csv},
    "sql": {"bare": bare_cursor, "to CSV": written_cursor, "leads": our_sql},
}


def run(kind: str, name: str, source: str, target: str) -> None:
    """Do the work once, and print what it took: seconds, those of the processor, and mebibytes."""
    if name == "leads":
        # The time is that of the work alone, not of what every task of Airflow's loads.
        from airflow.sdk.lineage import get_hook_lineage_collector

        import airflow_providers_leads.tasks.sources.sql  # noqa: F401

        get_hook_lineage_collector()

    began, busy = time.perf_counter(), time.process_time()
    CONTESTANTS[kind][name](source, target)
    seconds, processor = time.perf_counter() - began, time.process_time() - busy
    show(json.dumps([seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def measure(kind: str, source: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Let the contestants of a kind take turns, and return the medians: seconds, and seconds of the processor."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTESTANTS[kind]}
    for _ in range(rounds):
        for name, taken in runs.items():
            command = [sys.executable, __file__, "--run", kind, name, str(source), f"{source}.{name}.out"]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            seconds, processor, memory = json.loads(output.splitlines()[-1])
            taken.append((seconds, processor))
            show(f"{kind} {name:8} {seconds:7.2f} s {processor:7.2f} s of the processor {memory:6.0f} MB")
    return {name: (statistics.median(s for s, _ in taken), statistics.median(p for _, p in taken))
            for name, taken in runs.items()}  # fmt: skip


def main() -> None:
    """Let them take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=[*CONTESTANTS], default=[*CONTESTANTS])
    parser.add_argument("--run", nargs=4, metavar=("KIND", "CONTESTANT", "SOURCE", "TARGET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(*arguments.run)
        return
    with tempfile.TemporaryDirectory() as folder:
        sources = {"csv": Path(folder) / "leads.csv", "sql": Path(folder) / "leads.db"}
        write_csv(sources["csv"], arguments.rows)
        write_database(sources["sql"], sources["csv"])
        show(f"{arguments.rows} rows, {sources['csv'].stat().st_size / 1e6:.0f} MB of CSV")
        for kind in arguments.kinds:
            medians = measure(kind, sources[kind], arguments.rounds)
            for name, taken in medians.items():
                if name != "leads":
                    wall, busy = (theirs / ours for theirs, ours in zip(taken, medians["leads"], strict=True))
                    show(f"{kind}: {wall:.2f} times the speed of {name}; by the processor's time {busy:.2f}")


if __name__ == "__main__":
    main()
