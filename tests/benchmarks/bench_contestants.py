"""Ways of merging the same leads; run as a program, one of them once, and measured from within its own process.

Each gets input files, an output folder, a memory limit and a number of threads, and returns the number of golden rows.
What it imports is loaded before the clock starts.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from airflow_providers_leads.leads.merge import OUTPUTS, merge_files
from airflow_providers_leads.leads.schema import PROFILE_FIELDS, STICKY_FIELDS

Inputs = list[str]
RECORD: Final = ["source", "source_scope", "source_id"]
_FIRST: Final = ["email", *PROFILE_FIELDS, "properties"]


def run_ours(
    inputs: Inputs, folder: Path, memory: str, threads: int, *, names: Sequence[str] = ("golden", "rejects")
) -> int:
    """Merge with this package; without the members, which say where a golden record comes from, lineage is off."""
    engine = f"duckdb://?memory_limit={memory}&threads={threads}&temp_directory={folder}"
    outputs = {name: str(folder / f"{name}.parquet") for name in names}
    return merge_files(inputs, outputs, engine=engine, lineage="members" in names)["golden"]


def run_ours_full(inputs: Inputs, folder: Path, memory: str, threads: int) -> int:
    """Merge with this package, with lineage and conflicts."""
    return run_ours(inputs, folder, memory, threads, names=OUTPUTS)


def run_distinct(inputs: Inputs, folder: Path, memory: str, threads: int) -> int:
    """Keep any one row per address: the least work that can be called deduplication."""
    import duckdb

    settings = {"memory_limit": memory, "threads": threads, "temp_directory": str(folder / "spill")}
    with duckdb.connect(config=settings) as connection:
        query = f"SELECT DISTINCT ON (email_key) * FROM read_parquet({inputs})"
        return connection.execute(f"COPY ({query}) TO '{folder / 'golden.parquet'}' (FORMAT parquet)").fetchall()[0][0]


def run_pandas(inputs: Inputs, folder: Path, memory: str, threads: int) -> int:
    """The result of the merge without lineage, in pandas."""
    import pandas as pd

    leads = pd.concat([pd.read_parquet(file, dtype_backend="pyarrow") for file in inputs], ignore_index=True)
    unusable = leads["email_key"].isna()
    rejects = leads.loc[unusable, [*RECORD, "email", "phone"]].copy()
    rejects["reason"] = rejects["email"].isna().map({True: "no_email", False: "invalid_email"})
    rejects.to_parquet(folder / "rejects.parquet", compression="zstd")
    del rejects
    order = ["updated_at", *RECORD]
    leads = leads.loc[~unusable].sort_values(order, ascending=[False, True, True, True], na_position="last")
    grouped = leads.groupby("email_key", sort=False)
    golden = grouped[_FIRST].first()  # the first present one, that is
    golden[list(STICKY_FIELDS)] = grouped[list(STICKY_FIELDS)].max()
    golden["created_at"] = grouped["created_at"].min()
    golden["updated_at"] = grouped["updated_at"].max()
    golden["member_count"] = grouped.size()
    golden = golden.reset_index().assign(source="golden", source_scope="")
    golden["source_id"] = golden["email_key"]
    golden.to_parquet(folder / "golden.parquet", compression="zstd")
    return len(golden)


def run_polars(inputs: Inputs, folder: Path, memory: str, threads: int) -> int:
    """The result of the merge without lineage, in Polars."""
    import polars as pl

    # Lazy from the file on: columns and filters are pushed into the scan, and what is sorted is never held twice. On
    # these data the streaming engine takes as much memory and half as long again.
    leads = pl.scan_parquet(inputs)
    reason = pl.when(pl.col("email").is_null()).then(pl.lit("no_email")).otherwise(pl.lit("invalid_email"))
    rejects = leads.filter(pl.col("email_key").is_null()).select(*RECORD, "email", "phone", reason=reason)
    rejects.collect().write_parquet(folder / "rejects.parquet")
    golden = (
        leads.filter(pl.col("email_key").is_not_null())
        .sort(["updated_at", *RECORD], descending=[True, False, False, False], nulls_last=True)
        .group_by("email_key")
        .agg(
            *(pl.col(name).first(ignore_nulls=True) for name in _FIRST),
            *(pl.col(name).max() for name in STICKY_FIELDS),
            pl.col("created_at").min(),
            pl.col("updated_at").max(),
            member_count=pl.len(),
        )
        .with_columns(source=pl.lit("golden"), source_scope=pl.lit(""), source_id=pl.col("email_key"))
        .collect()
    )
    golden.write_parquet(folder / "golden.parquet")
    return golden.height


CONTESTANTS: Final[dict[str, tuple[str, tuple[str, ...], Callable[[Inputs, Path, str, int], int]]]] = {
    "distinct": ("DuckDB, bare `DISTINCT ON`", ("duckdb",), run_distinct),
    "ours": ("this package, lineage off", ("duckdb", "ibis", "ibis.backends.duckdb"), run_ours),
    "ours_full": ("this package, lineage and conflicts", ("duckdb", "ibis", "ibis.backends.duckdb"), run_ours_full),
    "pandas": ("pandas, the result of lineage off", ("pandas", "pyarrow.parquet"), run_pandas),
    "polars": ("Polars, the result of lineage off", ("polars",), run_polars),
}
"""Name → label, modules to load first, function."""


def peak_memory() -> int:
    """Return the most memory that this process has had resident, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike getrusage's, this mark starts anew with the program and knows nothing of the parent.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Run the contestant named on the command line and write what it took as JSON to standard output."""
    name, order = sys.argv[1], json.loads(sys.argv[2])
    _, modules, run = CONTESTANTS[name]
    for module in modules:
        importlib.import_module(module)
    started = time.perf_counter()
    rows = run(order["inputs"], Path(order["folder"]), order["memory"], order["threads"])
    seconds = time.perf_counter() - started
    sys.stdout.write(json.dumps({"seconds": seconds, "peak": peak_memory(), "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
