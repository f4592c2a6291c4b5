from __future__ import annotations

import io
import itertools
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pendulum
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from leads_rows import JANUARY, JUNE, lead
from upath import UPath

from airflow_providers_leads.leads.files.staging import (
    RowWriter,
    StagingError,
    count_rows,
    is_local,
    local_name,
    open_parquet,
    read_rows,
    write_rows,
)
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, Lead, arrow_schema, struct_schema

_numbers = itertools.count()


@pytest.fixture(params=["local", "file URI", "memory", "Airflow"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A file in a folder that doesn't exist yet, in each form in which operators name one."""
    name = f"new/folder{next(_numbers)}/rows.parquet"
    return {
        "local": str(tmp_path / name),
        "file URI": f"file://{tmp_path}/{name}",
        "memory": f"memory://staging/{name}",
        "Airflow": ObjectStoragePath(f"file://{tmp_path}/{name}"),
    }[request.param]


def folder_of(target: Any) -> list[str]:
    folder = UPath(str(target)).parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


EVERY_TEXT: dict[str, Any] = {
    name: f"{name} ‘ü’\n\"'\\" for name in LEAD_COLUMNS if arrow_schema().field(name).type == pa.string()
}
ROWS: list[list[msgspec.Struct]] = [
    [
        lead(),
        lead("2", None, source="persistiq", opted_out=True, bounced=False, created_at=JANUARY, updated_at=JUNE),
        Lead(**EVERY_TEXT),
    ],
    [
        PlanRow(email_key="ann@example.org", action="unchanged"),
        PlanRow(
            email_key="bob@example.org",
            action="update",
            reason="2 records of this address in the destination",
            target_id="7",
            target_scope="",
            values={"phone": "+49 1", "city": 'K"öln'},
            before={"phone": None, "city": ""},
        ),
    ],
    [
        WriteResult(email_key="ann@example.org", outcome="suppressed"),
        WriteResult(
            email_key="bob@example.org", outcome="failed", target_id="7", reason="no", request_id="r", fields=["a", "b"]
        ),
    ],
]
KINDS = pytest.mark.parametrize("rows", ROWS, ids=lambda rows: type(rows[0]).__name__)


@KINDS
def test_rows_come_back_as_they_were_written(rows: list[msgspec.Struct], target: Any) -> None:
    kind = type(rows[0])
    assert write_rows(target, kind, iter(rows)) == len(rows)
    assert list(read_rows(target, kind)) == rows
    assert count_rows(target) == len(rows)
    assert folder_of(target) == ["rows.parquet"]


@KINDS
def test_a_file_without_rows_is_a_valid_file(rows: list[msgspec.Struct], target: Any) -> None:
    kind = type(rows[0])
    assert write_rows(target, kind, []) == 0
    assert list(read_rows(target, kind)) == []
    assert count_rows(target) == 0


words = st.text(st.characters(codec="utf-8"), max_size=12)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(
            PlanRow,
            email_key=words,
            action=st.just("update"),
            reason=st.none() | words,
            target_id=st.none() | words,
            values=st.dictionaries(words, words, max_size=3),
            before=st.dictionaries(words, st.none() | words, max_size=3),
        )
        | st.builds(
            PlanRow,
            email_key=words,
            action=st.just("suppress"),
            reason=st.sampled_from(["", " ", "null", "{}", "\x00"]),
        ),
        max_size=5,
    )
)
def test_any_text_comes_back_as_it_was_written(rows: list[PlanRow]) -> None:
    uri = f"memory://staging/any{next(_numbers)}.parquet"
    write_rows(uri, PlanRow, rows)
    assert list(read_rows(uri, PlanRow)) == rows
    UPath(uri).unlink()


@settings(max_examples=25, deadline=None)
@given(st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.timezones()), st.none() | st.booleans())
def test_times_of_any_zone_and_three_valued_flags_come_back(time: datetime, flag: bool | None) -> None:
    # Offsets with seconds went out of use by 1972, and ISO 8601 can't write them.
    assume((time.utcoffset() or timedelta()).seconds % 60 == 0)
    uri = f"memory://staging/time{next(_numbers)}.parquet"
    row = lead(created_at=time, opted_out=flag)
    write_rows(uri, Lead, [row])
    (read,) = read_rows(uri, Lead)
    UPath(uri).unlink()
    assert read.created_at is not None
    assert (read.created_at.timestamp(), read.opted_out) == (time.timestamp(), flag)


def test_equal_rows_make_equal_files(tmp_path: Path) -> None:
    for name, values in (("one", {"city": "Bonn", "phone": "1"}), ("other", {"phone": "1", "city": "Bonn"})):
        write_rows(str(tmp_path / name), PlanRow, [PlanRow(email_key="a", action="create", values=values)])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_an_earlier_file_is_replaced(target: Any) -> None:
    write_rows(target, Lead, [lead("1"), lead("2")])
    write_rows(target, Lead, [lead("3")])
    assert [row.source_id for row in read_rows(target, Lead)] == ["3"]
    assert folder_of(target) == ["rows.parquet"]


def test_what_a_killed_task_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".rows.parquet.part").write_bytes(b"PAR1 half a file")
    write_rows(str(tmp_path / "rows.parquet"), Lead, [lead()])
    assert list(read_rows(str(tmp_path / "rows.parquet"), Lead)) == [lead()]
    assert folder_of(tmp_path / "rows.parquet") == ["rows.parquet"]


def raise_in_block(writer: RowWriter) -> None:
    writer.write(lead("new"))
    raise RuntimeError("the CRM went away")


def write_what_does_not_fit(writer: RowWriter) -> None:
    # Found only when the batch is written, which for the last one is after the block.
    writer.write(lead("new", updated_at="yesterday"))


@pytest.mark.parametrize("batch_rows", [1, 100])
@pytest.mark.parametrize("fails", [raise_in_block, write_what_does_not_fit])
@pytest.mark.parametrize("earlier", [True, False], ids=["earlier file", "no earlier file"])
def test_a_failed_write_leaves_nothing_of_its_own(
    target: Any, fails: Callable[[RowWriter], None], batch_rows: int, earlier: bool
) -> None:
    if earlier:
        write_rows(target, Lead, [lead("old")])
    with pytest.raises((RuntimeError, pa.ArrowException)), RowWriter(target, Lead, batch_rows=batch_rows) as writer:
        fails(writer)
    assert folder_of(target) == (["rows.parquet"] if earlier else [])
    if earlier:
        assert [row.source_id for row in read_rows(target, Lead)] == ["old"]


def test_a_reader_never_meets_half_a_file(target: Any) -> None:
    with RowWriter(target, Lead, batch_rows=1) as writer:
        writer.write_all([lead("1"), lead("2")])
        with pytest.raises(StagingError, match="does not exist"):
            count_rows(target)
    with RowWriter(target, Lead, batch_rows=1) as writer:
        writer.write(lead("3"))
        assert [row.source_id for row in read_rows(target, Lead)] == ["1", "2"]
    assert [row.source_id for row in read_rows(target, Lead)] == ["3"]


def test_rows_are_written_in_batches_and_the_rest_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    written = []
    with RowWriter(str(path), Lead, batch_rows=2) as writer:
        for number in range(5):
            writer.write(lead(str(number)))
            written.append(writer.rows)
    assert written == [0, 2, 2, 4, 4]
    assert writer.rows == 5
    footer = pq.read_metadata(path)
    assert [footer.row_group(group).num_rows for group in range(footer.num_row_groups)] == [2, 2, 1]


def arrow_file(columns: list[str], version: str | None = None) -> bytes:
    content = io.BytesIO()
    schema = pa.schema(
        [arrow_schema().field(name) for name in columns],
        metadata={"leads.schema_version": version} if version else None,
    )
    pq.write_table(schema.empty_table(), content)
    return content.getvalue()


WHOLE = arrow_file(list(LEAD_COLUMNS), "1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "not a readable Parquet file"),
        (b"source,email\nhubspot,ann@example.org\n", "not a readable Parquet file"),
        (WHOLE[:-20], "not a readable Parquet file"),
        (WHOLE[len(WHOLE) // 2 :], "not a readable Parquet file"),
        (arrow_file([name for name in LEAD_COLUMNS if name != "email_key"], "1"), "no column 'email_key'"),
        (arrow_file(list(LEAD_COLUMNS), "0"), "schema version 0, this package writes 1"),
    ],
    ids=["missing", "empty", "CSV", "cut off", "no schema", "lacks a column", "other version"],
)
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(content: bytes | None, words: str, target: Any) -> None:
    path = UPath(str(target))
    path.parent.mkdir(parents=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StagingError, match=words) as caught:
        list(read_rows(target, Lead))
    assert "rows.parquet" in str(caught.value)


def test_a_folder_without_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StagingError, match="is a folder without"):
        count_rows(str(tmp_path))


class OneFile:
    """A path object that remembers what it opened."""

    def __init__(self, content: bytes) -> None:
        self.opened = io.BytesIO(content)

    def open(self, mode: str) -> io.BytesIO:
        return self.opened


@pytest.mark.parametrize("content", [b"no Parquet", arrow_file(["source"]), arrow_file(list(LEAD_COLUMNS), "0")])
def test_a_refused_file_is_closed(content: bytes) -> None:
    path = OneFile(content)
    with pytest.raises(StagingError):
        open_parquet(path, LEAD_COLUMNS)
    assert path.opened.closed


def test_a_file_is_closed_when_its_reader_stops_early() -> None:
    uri = f"memory://staging/early{next(_numbers)}.parquet"
    write_rows(uri, Lead, [lead("1"), lead("2")])
    path = OneFile(UPath(uri).read_bytes())
    rows = read_rows(path, Lead)
    next(rows)
    assert not path.opened.closed
    rows.close()  # type: ignore[attr-defined]
    assert path.opened.closed


def test_columns_that_the_row_type_lacks_are_left_out_and_no_version_is_no_reason(tmp_path: Path) -> None:
    # Such a file comes from a user's own tool.
    wider = arrow_schema().append(pa.field("score", pa.int64()))
    row = dict.fromkeys(wider.names) | {"source": "crm", "source_scope": "", "source_id": "1", "score": 3}
    pq.write_table(pa.Table.from_pylist([row], schema=wider), tmp_path / "own.parquet")
    assert list(read_rows(str(tmp_path / "own.parquet"), Lead)) == [Lead(source="crm", source_scope="", source_id="1")]


def test_struct_schema_of_each_row_type() -> None:
    assert struct_schema(Lead) == arrow_schema()
    numbers = {"records": pa.int64(), "requests": pa.float64()}
    assert {f.name: f.type for f in struct_schema(PlanRow) if f.type != pa.string()} == numbers
    assert struct_schema(PlanRow).field("records").type == pa.int64()

    class Other(msgspec.Struct):
        name: str
        count: int
        sure: bool | None
        at: datetime | None

    assert struct_schema(Other).types == [pa.string(), pa.int64(), pa.bool_(), pa.timestamp("us", tz="UTC")]


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("/data/rows.parquet", True),
        ("file:///data/rows.parquet", True),
        ("memory://data/rows.parquet", False),
        ("s3://bucket/rows.parquet", False),
    ],
)
def test_is_local_and_local_name(uri: str, local: bool) -> None:
    # Only the protocol is looked at: a store's client library need not be there.
    path: Any = type("Elsewhere", (), {"protocol": "s3"})() if uri.startswith("s3") else UPath(uri)
    assert is_local(path) is local
    if local:
        assert local_name(path) == "/data/rows.parquet"
        assert local_name(Path("/data/rows.parquet")) == "/data/rows.parquet"


def test_pendulum_times_are_written_as_times(tmp_path: Path) -> None:
    time = pendulum.datetime(2026, 5, 1, 12, 30, 0, 123_456, tz="Europe/Berlin")
    write_rows(str(tmp_path / "rows.parquet"), Lead, [lead(updated_at=time)])
    (read,) = read_rows(str(tmp_path / "rows.parquet"), Lead)
    assert read.updated_at == time


@pytest.mark.parametrize("count", [999, 1_000, 1_001, 10_000, 10_001, 12_345])
def test_rows_keep_their_order_however_many(tmp_path: Path, count: int) -> None:
    path = str(tmp_path / "rows.parquet")
    assert write_rows(path, Lead, (lead(str(number)) for number in range(count))) == count
    assert [row.source_id for row in read_rows(path, Lead)] == [str(number) for number in range(count)]


def test_writing_and_knowing_a_file_again_load_no_pandas(tmp_path: Path) -> None:
    path = str(tmp_path / "rows.parquet")
    code = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from airflow_providers_leads.leads.model.schema import Lead\n"
        "from airflow_providers_leads.leads.files.staging import footer_of, write_rows\n"
        f"write_rows({path!r}, Lead, [Lead('hubspot', 'c', '1', updated_at=datetime.now(UTC))])\n"
        f"assert footer_of({path!r}, fingerprint=True).fingerprint\n"
        "assert 'pyarrow' in sys.modules and 'pandas' not in sys.modules\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
