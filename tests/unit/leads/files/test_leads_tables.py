from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from airflow_providers_leads.leads.files.tables import JsonLinesWriter, ParquetTableWriter

BLOCKS: list[list[dict[str, Any]]] = [[{"id": "1", "city": "Köln"}, {"id": "2"}], [], [{"id": "3", "tags": ["a"]}]]
ROWS = [row for block in BLOCKS for row in block]


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://tables/{tmp_path.name}"


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_json_lines_hold_the_rows_in_order(folder: str, name: str) -> None:
    uri = f"{folder}/new/{name}"
    with JsonLinesWriter(uri) as writer:
        for block in BLOCKS:
            writer.write(block)
        assert not UPath(uri).exists()
    content = UPath(uri).read_bytes()
    lines = (gzip.decompress(content) if name.endswith(".gz") else content).splitlines()
    assert [msgspec.json.decode(line) for line in lines] == ROWS


@pytest.mark.parametrize(
    ("values", "kind", "cells"),
    [
        ([1, None, 3], pa.int64(), [1, None, 3]),
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([True, None, False], pa.bool_(), [True, None, False]),
        (["a", "", None], pa.string(), ["a", "", None]),
        ([None, None], pa.string(), [None, None]),
        ([True, 1], pa.string(), ["true", "1"]),
        (["a", 1], pa.string(), ["a", "1"]),
        ([{"b": 1, "a": None}, ["x"]], pa.string(), ['{"a":null,"b":1}', '["x"]']),
        pytest.param([2**63 - 1, -(2**63)], pa.int64(), [2**63 - 1, -(2**63)], id="row 13, the largest"),
        pytest.param([2**63, 1], pa.string(), ["9223372036854775808", "1"], id="row 13, 2^63"),
        pytest.param([2**64, -(2**80)], pa.string(), [str(2**64), str(-(2**80))], id="row 13, beyond 64 bits"),
        pytest.param([2**53 + 1, 0.5], pa.string(), [str(2**53 + 1), "0.5"], id="row 13, beside floats"),
        pytest.param([2**53, 0.5], pa.float64(), [float(2**53), 0.5], id="row 13, exact beside floats"),
        pytest.param([0.5, 2**70], pa.string(), ["0.5", str(2**70)], id="row 13, huge beside floats"),
        pytest.param([{"n": 2**70}], pa.string(), [f'{{"n":{2**70}}}'], id="row 13, within"),
    ],
)
def test_a_column_keeps_its_type_where_every_row_agrees(
    tmp_path: Path, values: list[Any], kind: pa.DataType, cells: list[Any]
) -> None:
    with ParquetTableWriter(str(tmp_path / "rows.parquet")) as writer:
        writer.write([{"value": value} for value in values])
    found = pq.read_table(tmp_path / "rows.parquet")
    assert found.schema.field("value").type == kind
    assert found["value"].to_pylist() == cells


def test_parquet_columns_are_all_that_any_row_has(folder: str) -> None:
    uri = f"{folder}/new/rows.parquet"
    with ParquetTableWriter(uri) as writer:
        for block in BLOCKS:
            writer.write(block)
        assert not UPath(uri).exists()
    with UPath(uri).open("rb") as file:
        assert pq.read_table(file).to_pylist() == [
            {"id": "1", "city": "Köln", "tags": None},
            {"id": "2", "city": None, "tags": None},
            {"id": "3", "city": None, "tags": '["a"]'},
        ]


@pytest.mark.parametrize(
    ("writer", "rows", "error"),
    [
        (JsonLinesWriter, [{"id": 1}], RuntimeError),
        (ParquetTableWriter, [{"id": 1}], RuntimeError),
        # What no JSON can hold.
        (ParquetTableWriter, [{"id": object()}], TypeError),
        (JsonLinesWriter, [{"id": object()}], TypeError),
    ],
)
def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(
    folder: str, writer: Any, rows: list[dict[str, Any]], error: Any
) -> None:
    uri = f"{folder}/new/rows"
    with writer(uri) as earlier:
        earlier.write([{"id": 0}])
    before = UPath(uri).read_bytes()
    with pytest.raises(error), writer(uri) as broken:
        broken.write(rows)
        if error is RuntimeError:
            raise RuntimeError("the CRM went away")
    assert UPath(uri).read_bytes() == before
    assert [path.name for path in UPath(uri).parent.iterdir()] == ["rows"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_row_13_json_lines_keep_whole_numbers(tmp_path: Path, name: str) -> None:
    rows = [{"a": 2**63, "b": -(2**80)}, {"a": [2**64], "b": 0.5}]
    with JsonLinesWriter(str(tmp_path / name)) as writer:
        writer.write(rows)
    content = (tmp_path / name).read_bytes()
    lines = (gzip.decompress(content) if name.endswith(".gz") else content).splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_row_14_a_file_without_rows_has_its_columns(folder: str) -> None:
    uri = f"{folder}/new/rows.parquet"
    with ParquetTableWriter(uri, ("id", "name")) as writer:
        writer.write([])
    with UPath(uri).open("rb") as file:
        table = pq.read_table(file)
    assert (table.num_rows, table.column_names) == (0, ["id", "name"])
    if "://" not in folder:
        assert duckdb.sql(f"SELECT * FROM '{uri}'").columns == ["id", "name"]
    with ParquetTableWriter(uri, ("id", "name")) as writer:
        writer.write([{"other": 1}])
    with UPath(uri).open("rb") as file:
        assert pq.read_table(file).column_names == ["other"]
