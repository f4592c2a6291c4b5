from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leads_rows import JANUARY, JUNE, lead, table
from upath import UPath

from airflow_providers_leads.leads.files.staging import StagingError, write_rows
from airflow_providers_leads.leads.merge import spark
from airflow_providers_leads.leads.merge.engine import connect, keep, read_parquet, scalar, write, write_partitioned
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, Lead


@pytest.fixture
def memory() -> Iterator[str]:
    """A folder in a file system that is not the machine's."""
    name = f"memory://{uuid4().hex}"
    yield name
    if UPath(name).exists():
        UPath(name).fs.rm(UPath(name).path, recursive=True)


def setting(connection: Any, name: str) -> str:
    return str(connection.raw_sql(f"SELECT current_setting('{name}')").fetchone()[0])


def test_settings_stand_in_the_url(tmp_path: Path) -> None:
    with connect(f"duckdb://?memory_limit=1GiB&threads=1&temp_directory={tmp_path}") as connection:
        assert setting(connection, "memory_limit") == "1.0 GiB"
        assert setting(connection, "threads") == "1"
        (spill,) = tmp_path.iterdir()
        assert setting(connection, "temp_directory") == str(spill)
        assert setting(connection, "TimeZone") == "UTC"


def test_memory_is_limited_without_being_told() -> None:
    with connect() as connection:
        # Two billion bytes, as DuckDB counts them.
        assert setting(connection, "memory_limit") == "1.8 GiB"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("duckdb://?memory_limit=lots", r"refuses the settings \['memory_limit'\]"),
        ("duckdb://?threads=1&memory_limt=1GB", r"refuses the settings \['memory_limt'\]"),
        ("duckdb://?threads=none&memory_limit=", r"\['memory_limit', 'threads'\]"),
        ("duckdb://?temp_directory=/nowhere/at/all", "temp_directory /nowhere/at/all is no folder"),
        ("duckdb:///leads.db", "no file"),
        ("duckdb://leads.db?threads=1", "no file"),
        ("postgres://localhost/leads", "must start with duckdb:// or spark://"),
        ("sc://localhost:15002", r"must start with .* Spark Connect \(sc://\) is not supported: .* has none. Use"),
        ("duckdb", "must start with"),
        ("", "must start with"),
    ],
)
def test_an_engine_that_cannot_be_used_is_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words), connect(url):
        pytest.fail("it opened")


def test_the_values_of_refused_settings_are_not_told() -> None:
    with pytest.raises(ValueError) as caught, connect("duckdb://?s3_token=geheim"):
        pytest.fail("it opened")
    assert "s3_token" in str(caught.value)
    assert "geheim" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_spark_without_pyspark_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyspark", "pyspark.errors", "pyspark.sql"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match="needs the package pyspark, and Java 17"), connect("spark://local[2]"):
        pytest.fail("it opened")


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_spilled_is_removed(fails: bool, tmp_path: Path) -> None:
    url = f"duckdb://?temp_directory={tmp_path}&memory_limit=40MB&threads=1"
    # Texts that don't compress, twice as large as the memory.
    large = "CREATE TEMP TABLE large AS SELECT hash(n)::text || hash(-n)::text AS t FROM range(2000000) AS r(n)"
    try:
        with connect(url) as connection:
            connection.raw_sql(large)
            assert [file for file in tmp_path.rglob("*") if file.is_file()], "nothing was spilled"
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert list(tmp_path.iterdir()) == []


def rows(count: int) -> ibis.Table:
    return ibis.memtable(pa.table({"email_key": [f"p{number}@x.de" for number in range(count)]}))


def failing(table: ibis.Table) -> ibis.Table:
    """Return a table whose last rows can't be computed."""
    number = table.email_key.re_extract("[0-9]+", 0)
    return table.mutate(number=(number == "99999").ifelse("none", number).cast("int64"))


@pytest.mark.parametrize("place", ["here", "elsewhere"])
def test_a_file_is_written_whole_or_not_at_all(place: str, tmp_path: Path, memory: str) -> None:
    folder = UPath(str(tmp_path) if place == "here" else memory)
    target = folder / "out" / "rows.parquet"
    with connect() as connection:
        assert write(connection, rows(100_000), str(target)) == 100_000
        before = target.read_bytes()
        with pytest.raises(Exception, match="Could not convert string 'none'"):
            write(connection, failing(rows(100_000)), str(target))
        assert [path.name for path in (folder / "out").iterdir()] == ["rows.parquet"]
        assert target.read_bytes() == before
        assert write(connection, rows(0), str(target)) == 0
    assert table(str(target)) == []


def some_leads() -> list[Lead]:
    return [
        lead(str(number), f"p{number % 70}@x.de", city=f"C{number}", updated_at=JUNE if number % 3 else JANUARY)
        for number in range(120)
    ]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_partitions_hold_each_person_once_and_in_the_same_place_in_every_run(
    count: int, tmp_path: Path, memory: str
) -> None:
    leads = some_leads()
    write_rows(f"{tmp_path}/in.parquet", Lead, leads)
    write_rows(f"{tmp_path}/reversed.parquet", Lead, leads[::-1])
    names = ("golden", "members")
    whole = {name: f"{tmp_path}/{name}.parquet" for name in names}
    whole_counts = merge_files([f"{tmp_path}/in.parquet"], whole)
    runs = []
    for source, folder in (("in", f"{tmp_path}/first"), ("reversed", memory)):
        parts = {name: [f"{folder}/{name}-{number}.parquet" for number in range(count)] for name in names}
        counts = merge_files([f"{tmp_path}/{source}.parquet"], {}, partitions=parts)
        assert counts == whole_counts
        runs.append({name: [table(uri) for uri in uris] for name, uris in parts.items()})
    places = []
    for run in runs:
        for name in names:
            assert in_order(row for part in run[name] for row in part) == in_order(table(whole[name]))
        keys = {name: [{row["email_key"] for row in part} for part in run[name]] for name in names}
        assert sum(map(len, keys["golden"])) == 70
        # What belongs to a person is in one part, under the same number.
        assert keys["members"] == keys["golden"]
        places.append(keys["golden"])
    assert places[0] == places[1]
    assert count == 1 or min(map(len, places[0])) > 0


def in_order(found: Any) -> list[dict[str, Any]]:
    return sorted(found, key=repr)


def test_the_hash_of_a_row_without_key_has_a_place_too(tmp_path: Path) -> None:
    with connect() as connection:
        some = ibis.memtable(pa.table({"email_key": pa.array([None, "a@x.de"])}))
        written = write_partitioned(connection, some, [tmp_path / "0.parquet", tmp_path / "1.parquet"], "email_key")
    assert written == 2


def test_files_elsewhere_are_read_and_written_through_their_own_file_system(tmp_path: Path, memory: str) -> None:
    for folder in (str(tmp_path), memory):
        write_rows(f"{folder}/in.parquet", Lead, some_leads())
        merge_files([f"{folder}/in.parquet"], {name: f"{folder}/{name}.parquet" for name in OUTPUTS})
    for name in OUTPUTS:
        ours, theirs = (f"{folder}/{name}.parquet" for folder in (str(tmp_path), memory))
        assert in_order(table(theirs)) == in_order(table(ours))
        with UPath(ours).open("rb") as one, UPath(theirs).open("rb") as other:
            schemas = [pq.read_schema(file) for file in (one, other)]
        told = [{**(schema.metadata or {}), b"leads.members": b""} for schema in schemas]
        assert schemas[0].equals(schemas[1])
        assert told[0] == told[1]


def test_a_table_is_kept_as_it_was(tmp_path: Path) -> None:
    write_rows(f"{tmp_path}/in.parquet", Lead, some_leads())
    with connect() as connection:
        kept = keep(connection, read_parquet(connection, tmp_path / "in.parquet", LEAD_COLUMNS))
        (tmp_path / "in.parquet").unlink()
        assert scalar(connection, kept.count()) == 120


def test_the_machines_time_zone_changes_nothing(tmp_path: Path) -> None:
    write_rows(f"{tmp_path}/in.parquet", Lead, some_leads())
    code = (
        "import sys; from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files; "
        "folder = sys.argv[1]; "
        "merge_files([f'{folder}/../in.parquet'], {name: f'{folder}/{name}.parquet' for name in OUTPUTS})"
    )
    files = {}
    for zone in ("UTC", "Asia/Tokyo"):
        folder = tmp_path / zone.partition("/")[0]
        folder.mkdir()
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env={**os.environ, "TZ": zone})
        files[zone] = {name: pq.read_table(folder / f"{name}.parquet") for name in OUTPUTS}
    for name in OUTPUTS:
        ours, theirs = files["UTC"][name], files["Asia/Tokyo"][name]
        assert theirs.schema == ours.schema
        assert in_order(theirs.to_pylist()) == in_order(ours.to_pylist())
    assert files["UTC"]["golden"].schema.field("updated_at").type == pa.timestamp("us", tz="UTC")
    assert {row["updated_at"] for row in files["Asia/Tokyo"]["members"].to_pylist()} == {JANUARY, JUNE}


@pytest.mark.parametrize("target", ["yarn", "k8s://https://10.0.0.1:443", "spark.example.org", ""])
def test_what_is_no_standalone_master_is_refused_before_spark_starts(target: str) -> None:
    with pytest.raises(ValueError, match="host and port of a standalone master"), connect(f"spark://{target}"):
        pass


@pytest.mark.parametrize("opens", [True, False])
def test_on_a_cluster_files_of_a_store_are_refused_that_its_workers_cannot_open(
    opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark, "_opens", lambda connection, scheme: opens)
    cluster, file = SimpleNamespace(fetched_to=None), UPath("memory://bucket/x.parquet")
    if opens:
        assert spark.reachable(cluster, [file]) == [file]
    else:
        with pytest.raises(StagingError, match=r"memory://bucket/x\.parquet can't be read by the workers"):
            spark.reachable(cluster, [file])
    assert spark.reachable(cluster, [UPath("/tmp/x.parquet")]) == [UPath("/tmp/x.parquet")]


def test_on_one_machine_spark_reads_what_is_fetched_of_a_store(tmp_path: Path) -> None:
    file = UPath("memory://bucket/fetched/x.parquet")
    file.write_bytes(b"leads")
    (copy,) = spark.reachable(SimpleNamespace(fetched_to=tmp_path), [file])
    assert (copy.parent, copy.read_bytes()) == (UPath(tmp_path), b"leads")
