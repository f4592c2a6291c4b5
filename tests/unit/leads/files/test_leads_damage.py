"""Files that look whole and are not, and files whose columns hold something else."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leads_rows import lead

from airflow_providers_leads.leads.files.staging import StagingError, write_rows
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.model.schema import Lead


def test_damage_within_the_data_names_the_file(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    write_rows(str(good), Lead, [lead(str(i), f"p{i}@example.org") for i in range(2_000)])
    write_rows(str(bad), Lead, [lead(str(i), f"q{i}@example.org", phone=str(i)) for i in range(2_000)])
    content = bytearray(bad.read_bytes())
    # The footer stays: only who reads the rows can notice.
    content[100 : len(content) // 2] = bytes(len(content) // 2 - 100)
    bad.write_bytes(content)
    outputs = {name: tmp_path / "out" / f"{name}.parquet" for name in OUTPUTS}
    with pytest.raises(StagingError, match=r"bad\.parquet is damaged"):
        merge_files([good, bad], outputs)
    assert not any((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


@pytest.mark.parametrize(
    ("column", "values"),
    [("properties", pa.array([1])), ("opted_out", pa.array(["yes"])), ("updated_at", pa.array(["now"]))],
)
def test_a_column_that_holds_something_else_is_named_with_its_file(
    tmp_path: Path, column: str, values: pa.Array
) -> None:
    path = tmp_path / "odd.parquet"
    write_rows(str(path), Lead, [lead()])
    rows = pq.read_table(path)
    pq.write_table(rows.set_column(rows.schema.get_field_index(column), column, values), path)
    with pytest.raises(StagingError, match=rf"odd\.parquet has the column '{column}'"):
        merge_files([path], {})
