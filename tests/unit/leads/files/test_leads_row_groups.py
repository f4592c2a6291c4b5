"""Parquet files put end to end read as if one writer had written them."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.leads.files.row_groups import concatenate

ROWS = pa.table(
    {
        "key": [f"person{number}@example.org" for number in range(500)],
        "city": pa.array([None, "Köln", "Bonn", "", "Ulm"] * 100, pa.dictionary(pa.int32(), pa.string())),
        "flag": [True, None, False, None] * 125,
        "when": pa.array(range(500), pa.timestamp("us", tz="UTC")),
        "list": [[{"a": number, "b": "x" * (number % 7)}] * (number % 4) for number in range(500)],
    }
).replace_schema_metadata({"version": "1"})


def by_pyarrow(path: Path, rows: pa.Table, **options: Any) -> None:
    pq.write_table(rows, path, row_group_size=40, **options)


def by_duckdb(path: Path, rows: pa.Table, **_: Any) -> None:
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        # Dictionary pages and Bloom filters are at offsets too.
        connection.execute(f"COPY rows TO '{path}' (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{version: '1'}})")


@pytest.mark.parametrize(
    ("write", "options"),
    [
        (by_duckdb, {}),
        (by_pyarrow, {}),
        (by_pyarrow, {"compression": "zstd", "write_page_index": True, "data_page_version": "2.0"}),
        (by_pyarrow, {"use_dictionary": False, "write_statistics": False, "store_schema": False}),
    ],
)
@pytest.mark.parametrize("cuts", [[0, 500], [0, 120, 121, 500], [0, 0, 250, 250, 500], [0, 0]])
def test_the_rows_are_those_of_the_files_in_order(tmp_path: Path, write: Any, options: Any, cuts: list[int]) -> None:
    files = []
    for number, (begin, end) in enumerate(pairwise(cuts)):
        files.append(tmp_path / f"{number}.parquet")
        write(files[-1], ROWS.slice(begin, end - begin), **options)
    whole = tmp_path / "whole.parquet"
    with whole.open("wb") as target:
        concatenate(files, target)
    expected = ROWS.slice(0, cuts[-1]).to_pylist()
    assert pq.read_table(whole).to_pylist() == expected
    assert pq.read_schema(whole).equals(pq.read_schema(files[0]), check_metadata=True)
    groups = pq.read_metadata(whole)
    assert groups.num_row_groups == sum(pq.read_metadata(file).num_row_groups for file in files)
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT key, city FROM '{whole}'").fetchall() == [
            (row["key"], row["city"]) for row in expected
        ]
        # By statistics and Bloom filters, which must be those of the right row group.
        one = f"SELECT list FROM '{whole}' WHERE key = 'person130@example.org'"
        assert connection.execute(one).fetchall() == [(row["list"],) for row in expected[130:131]]


def test_statistics_stay_with_their_row_group(tmp_path: Path) -> None:
    files = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    for file, rows in zip(files, (ROWS.slice(0, 40), ROWS.slice(40, 40)), strict=True):
        by_pyarrow(file, rows)
    with (tmp_path / "whole.parquet").open("wb") as target:
        concatenate(files, target)
    held = pq.read_metadata(tmp_path / "whole.parquet")
    for number, file in enumerate(files):
        wanted, found = pq.read_metadata(file).row_group(0), held.row_group(number)
        assert found.column(0).statistics.equals(wanted.column(0).statistics)


@pytest.mark.parametrize("content", [b"PAR1\0\0\0\0PARE", b"no Parquet file at all", b"PAR1" + b"\xff" * 4 + b"PAR1"])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.parquet"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="not a Parquet file"):
        concatenate([file], BytesIO())
