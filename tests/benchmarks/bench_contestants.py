"""Ways of merging the same leads; run as a program, one of them once, and measured from within its own process.

Each gets input files, an output folder, a memory limit and a number of threads, and returns the number of golden rows.
What it imports is loaded before the clock starts.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from bench_clients import memory

from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.model.identity import DEFAULT_ROLE_ADDRESSES
from airflow_providers_leads.leads.model.properties import merge_objects
from airflow_providers_leads.leads.model.schema import (
    ALIASES_PROPERTY,
    MERGED_IDS_PROPERTY,
    PROFILE_FIELDS,
    STICKY_FIELDS,
)

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


def role_pattern() -> str:
    """Return the pattern of shared mailboxes in the words that Python, Arrow and Polars share."""
    return f"^(?:{'|'.join(map(re.escape, DEFAULT_ROLE_ADDRESSES))})(?:[+][^@]*)?@"


def links(rows: Iterable[tuple[str, str, str, str, str]]) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """Return who is said to be whom: pairs of addresses, and merged records with the address they went to.

    :param rows: address, properties and identity of the records whose properties tell of others
    """
    is_role = re.compile(role_pattern()).match
    pairs: list[tuple[str, str]] = []
    merged: dict[str, list[str]] = {name: [] for name in ("survivor", *RECORD)}
    for address, properties, source, scope, _ in rows:
        told = msgspec.json.decode(properties)
        if is_role(address):
            continue
        pairs += [(address, alias) for alias in told.get(ALIASES_PROPERTY) or () if not is_role(alias)]
        for source_id in told.get(MERGED_IDS_PROPERTY) or ():
            for name, value in zip(merged, (address, source, scope, str(source_id)), strict=True):
                merged[name].append(value)
    return pairs, merged


def other_names(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return each address that has a lesser one in its connected component → the least one there."""
    parents: dict[str, str] = {}

    def root(node: str) -> str:
        while (parent := parents.setdefault(node, node)) != node:
            parents[node] = node = parents[parent]
        return node

    for pair in pairs:
        one, other = sorted(map(root, pair))
        parents[other] = one
    return {node: least for node in list(parents) if (least := root(node)) != node}


def united(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return person → properties merged key by key.

    :param rows: person and properties, the best of a person first
    """
    told: dict[str, list[dict[str, Any]]] = {}
    for person, properties in rows:
        told.setdefault(person, []).append(msgspec.json.decode(properties))
    encode = msgspec.json.Encoder(order="sorted").encode
    return {person: encode(merge_objects(objects)).decode() for person, objects in told.items()}


def run_pandas(inputs: Inputs, folder: Path, memory: str, threads: int) -> int:
    """The result of the merge without lineage, in pandas."""
    import pandas as pd

    leads = pd.concat([pd.read_parquet(file, dtype_backend="pyarrow") for file in inputs], ignore_index=True)
    unusable = leads["email_key"].isna()
    rejects = leads.loc[unusable, [*RECORD, "email", "phone"]].copy()
    rejects["reason"] = rejects["email"].isna().map({True: "no_email", False: "invalid_email"})
    leads = leads.loc[~unusable]

    # Who is told to be whom, few in number; where nobody is, a person is an address.
    texts = leads["properties"]
    telling = texts.str.contains(f'"{ALIASES_PROPERTY}"', regex=False)
    telling |= texts.str.contains(f'"{MERGED_IDS_PROPERTY}"', regex=False)
    some = leads.loc[telling.fillna(False), ["email_key", "properties", *RECORD]]
    pairs, merged = links(some.itertuples(index=False, name=None))
    is_role = leads["email_key"].str.contains(role_pattern(), regex=True)
    if merged["survivor"]:
        old = pd.DataFrame(merged, dtype="string[pyarrow]")
        found = leads.loc[~is_role, [*RECORD, "email_key"]].merge(old, on=RECORD)
        pairs += list(found[["survivor", "email_key"]].itertuples(index=False, name=None))
    names = other_names(pairs)
    renamed = leads["email_key"].isin(list(names))
    by = "email_key"
    if renamed.any():
        by = "person"
        leads[by] = leads["email_key"]
        leads.loc[renamed, by] = leads.loc[renamed, "email_key"].map(names)

    # Shared mailboxes: people of several names, or of one name and of none.
    roles = leads.loc[is_role, [by, "first_name", "last_name"]]
    if len(roles):
        full = roles["first_name"].fillna("") + " " + roles["last_name"].fillna("")
        full = full.str.strip().str.lower()
        seen = full.mask(full == "").groupby(roles[by]).agg(["size", "count", "nunique"])
        mixed = seen[(seen["nunique"] > 1) | ((seen["nunique"] == 1) & (seen["count"] < seen["size"]))].index
        shared = leads[by].isin(list(mixed))
        glued = leads.loc[shared, [*RECORD, "email", "phone"]].assign(reason="shared_mailbox")
        rejects, leads = pd.concat([rejects, glued]), leads.loc[~shared]
    rejects.to_parquet(folder / "rejects.parquet", compression="zstd")
    del rejects, telling, is_role, renamed, some, roles, texts

    leads = leads.sort_values(["updated_at", *RECORD], ascending=[False, True, True, True], na_position="last")
    grouped = leads.groupby(by, sort=False)
    golden = grouped[_FIRST if by == "email_key" else [*_FIRST, "email_key"]].first()  # the first present one, that is
    golden[list(STICKY_FIELDS)] = grouped[list(STICKY_FIELDS)].max()
    golden["created_at"] = grouped["created_at"].min()
    golden["updated_at"] = grouped["updated_at"].max()
    golden["member_count"] = grouped.size()

    # Custom properties, of those alone who have several that differ.
    told = leads.loc[leads["properties"].notna(), [by, "properties"]]
    told = told.loc[told.duplicated(by, keep=False)].drop_duplicates()
    told = told.loc[told.duplicated(by, keep=False)]
    if len(told):
        properties = united(told.itertuples(index=False, name=None))
        values = pd.Series(list(properties.values()), dtype=golden["properties"].dtype)
        golden.loc[list(properties), "properties"] = values.array
    golden = golden.reset_index(drop=by != "email_key").assign(source="golden", source_scope="")
    golden["source_id"] = golden["email_key"]
    golden.to_parquet(folder / "golden.parquet", compression="zstd")
    return len(golden)


def run_polars(inputs: Inputs, folder: Path, memory: str, threads: int) -> int:
    """The result of the merge without lineage, in Polars."""
    import polars as pl

    # Lazy from the file on: columns and filters are pushed into the scan, and what is sorted is never held twice. On
    # these data the streaming engine takes as much memory and half as long again.
    leads = pl.scan_parquet(inputs)
    order = {"by": ["updated_at", *RECORD], "descending": [True, False, False, False], "nulls_last": True}
    address, texts = pl.col("email_key"), pl.col("properties")
    reason = pl.when(pl.col("email").is_null()).then(pl.lit("no_email")).otherwise(pl.lit("invalid_email"))
    telling = [texts.str.contains(f'"{name}"', literal=True) for name in (ALIASES_PROPERTY, MERGED_IDS_PROPERTY)]
    is_role = address.str.contains(role_pattern())
    rejects, some, roles = pl.collect_all(
        [
            leads.filter(address.is_null()).select(*RECORD, "email", "phone", reason=reason),
            leads.filter(address.is_not_null() & (telling[0] | telling[1])).select(address, texts, *RECORD),
            leads.filter(is_role).select(*RECORD, "email", "phone", address, "first_name", "last_name"),
        ]
    )

    # Who is told to be whom, few in number; where nobody is, a person is an address.
    pairs, merged = links(some.iter_rows())
    if merged["survivor"]:
        found = leads.filter(~is_role).select(*RECORD, address).join(pl.LazyFrame(merged), on=RECORD)
        pairs += found.select("survivor", address).collect().rows()
    names = other_names(pairs)
    renamed = leads.select(address.unique()).filter(address.is_in(list(names))).collect() if names else []
    usable, by = leads.filter(address.is_not_null()), "email_key"
    if len(renamed):
        by = "person"
        names = {name: names[name] for name in renamed["email_key"]}
        usable = usable.with_columns(person=address.replace(names))

    # Shared mailboxes: people of several names, or of one name and of none. No such address has another name.
    if roles.height:
        full = pl.concat_str(pl.col("first_name", "last_name").fill_null(""), separator=" ").str.strip_chars()
        full = pl.when(full != "").then(full.str.to_lowercase())
        seen = roles.group_by(address).agg(pl.len(), known=full.count(), names=full.drop_nulls().n_unique())
        several = (pl.col("names") > 1) | ((pl.col("names") == 1) & (pl.col("known") < pl.col("len")))
        mixed = seen.filter(several)["email_key"]
        glued = roles.filter(address.is_in(mixed.implode()))
        glued = glued.select(*RECORD, "email", "phone", reason=pl.lit("shared_mailbox"))
        rejects, usable = pl.concat([rejects, glued]), usable.filter(~address.is_in(mixed.implode()))
    rejects.write_parquet(folder / "rejects.parquet")
    del rejects, some, roles

    hashed = pl.when(texts.is_not_null()).then(texts.hash())
    golden = (
        usable.with_columns(hashed=hashed)
        .sort(**order)
        .group_by(by)
        .agg(
            *(pl.col(name).first(ignore_nulls=True) for name in _FIRST),
            *([] if by == "email_key" else [address.first()]),
            *(pl.col(name).max() for name in STICKY_FIELDS),
            pl.col("created_at").min(),
            pl.col("updated_at").max(),
            differ=pl.col("hashed").min() != pl.col("hashed").max(),
            member_count=pl.len(),
        )
        .with_columns(source=pl.lit("golden"), source_scope=pl.lit(""), source_id=pl.col("email_key"))
        .collect()
    )

    # Custom properties, of those alone who have several that differ.
    people = golden.lazy().filter("differ").select(by)
    told = usable.filter(texts.is_not_null()).join(people, on=by, how="semi").sort(**order).select(by, texts).collect()
    properties = united(told.iter_rows())
    table = pl.DataFrame({by: list(properties), "united": list(properties.values())}, schema={by: str, "united": str})
    golden = golden.join(table, on=by, how="left").with_columns(properties=pl.coalesce("united", "properties"))
    golden = golden.drop("united", "differ", *([] if by == "email_key" else [by]))
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


def main() -> None:
    """Run the contestant named on the command line and write what it took as JSON to standard output."""
    name, order = sys.argv[1], json.loads(sys.argv[2])
    _, modules, run = CONTESTANTS[name]
    for module in modules:
        importlib.import_module(module)
    started, busy = time.perf_counter(), time.process_time()
    rows = run(order["inputs"], Path(order["folder"]), order["memory"], order["threads"])
    took = {"seconds": time.perf_counter() - started, "processor": time.process_time() - busy, "rows": rows}
    sys.stdout.write(json.dumps({**took, "peak": memory("VmHWM")}) + "\n")


if __name__ == "__main__":
    main()
