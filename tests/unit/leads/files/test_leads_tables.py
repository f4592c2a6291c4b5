from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

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
        # Too large for a column of whole numbers, which shows only when the file is written.
        (ParquetTableWriter, [{"id": 2**63}], (pa.ArrowException, OverflowError)),
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
