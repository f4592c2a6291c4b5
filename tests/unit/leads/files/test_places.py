"""Files under any name, one by one and as folders of parts: names are names, never patterns (row 37)."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import ObjectStoragePath
from leads_rows import lead
from upath import UPath

from airflow_providers_leads.leads.files import places
from airflow_providers_leads.leads.files.parquet import open_parquet
from airflow_providers_leads.leads.files.parts import Parts
from airflow_providers_leads.leads.files.places import parquet_below, parts_of, publish, remove
from airflow_providers_leads.leads.files.staging import (
    StagingError,
    as_path,
    check_readable,
    count_rows,
    digest,
    read_rows,
    write_rows,
)
from airflow_providers_leads.leads.merge.engine import connect, read_numbered, read_parquet
from airflow_providers_leads.leads.merge.golden import merge_files
from airflow_providers_leads.leads.merge.lineage import explain
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, Lead

ODD = (
    "leads[1]", "a*b", "what?", "**", "[!b]", "sp ace", " edges ", "100%", "%41", "h#sh", "ünï", "日本", "it's", 'q"q',
    "{a,b}", "back\\slash", "co:lon", "a@b", "semi;x", "~t", "$x", "a&b=c",
)  # fmt: skip
NEIGHBOURS = ("leads1", "aXb", "what1", "x", "c", "A", "a", "b", "100")
_numbers = itertools.count()


@pytest.fixture(params=["local", "memory", "Airflow"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return {
        "local": UPath(str(tmp_path)),
        "memory": UPath(f"memory://places/{next(_numbers)}"),
        "Airflow": ObjectStoragePath(f"file://{tmp_path}"),
    }[request.param]


def ids(uri: Any) -> list[str]:
    return [row.source_id for row in read_rows(uri, Lead)]


def write_parts(uri: Any, *parts: list[str], owner: str = "me") -> Parts[Lead]:
    made = Parts(uri, Lead, owner)
    for part in parts:
        made.append([lead(name, f"{name}@x.de", city="Bonn") for name in part])
    made.assemble()
    return made


PATTERNS = {"leads[1]": "leads1", "a*b": "aXb", "what?": "what1", "**": "x", "[!b]": "c", "%41": "A", "{a,b}": "a"}


def read_by_duckdb(uri: Any) -> list[str]:
    with connect() as connection:
        tables = read_parquet(connection, uri, LEAD_COLUMNS), read_numbered(connection, uri, LEAD_COLUMNS, 7)
        one, other = (sorted(connection.to_pyarrow(table)["source_id"].to_pylist()) for table in tables)
    assert one == other
    return one


@pytest.mark.parametrize("name", ODD)
def test_row_37_names_are_no_patterns(tmp_path: Path, name: str) -> None:
    neighbour = tmp_path / PATTERNS.get(name, "x") / "x.parquet"
    write_rows(str(neighbour), Lead, [lead("stranger", "stranger@x.de")])
    uri = f"{tmp_path}/{name}/x.parquet"
    write_parts(uri, ["a"], ["b", "c"]).discard()
    assert ids(uri) == read_by_duckdb(uri) == ["a", "b", "c"]
    write_parts(uri, ["alone"]).discard()
    assert ids(uri) == read_by_duckdb(uri) == ["alone"]
    assert ids(str(neighbour)) == ["stranger"]
    assert [path.name for path in parquet_below(UPath(tmp_path) / name)] == ["x.parquet"]


@pytest.mark.parametrize("name", PATTERNS)
def test_row_37_in_every_store(folder: Any, name: str) -> None:
    neighbour, uri = folder / PATTERNS[name] / "x.parquet", folder / name / "x.parquet"
    write_rows(neighbour, Lead, [lead("stranger", "stranger@x.de")])
    write_parts(uri, ["a"], ["b", "c"]).discard()
    assert ids(uri) == ["a", "b", "c"]
    outputs = {kind: folder / name / f"{kind}.parquet" for kind in ("golden", "members")}
    assert merge_files([uri], outputs)["golden"] == 3
    assert explain(*outputs.values(), "a@x.de")
    write_rows(uri, Lead, [lead("alone")])
    assert (ids(uri), ids(neighbour)) == (["alone"], ["stranger"])
    found = sorted(path.name for path in parquet_below(folder / name))
    assert found == ["golden.parquet", "members.parquet", "x.parquet"]


@pytest.mark.parametrize("name", ODD)
def test_a_file_is_removed_by_its_name(folder: Any, name: str) -> None:
    for other in (*NEIGHBOURS, name):
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(b"")
    remove(folder / name)
    remove(folder / name)
    assert sorted(path.name for path in folder.iterdir()) == sorted(NEIGHBOURS)


def test_parts_are_a_folder_that_others_read_too(tmp_path: Path) -> None:
    target = tmp_path / "x.parquet"
    write_parts(str(target), ["a"], ["b"], ["c"]).discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.parquet"]
    assert sorted(path.name for path in target.iterdir()) == [f"part-0000{n}.parquet" for n in range(3)]
    assert pq.read_table(target)["source_id"].to_pylist() == ["a", "b", "c"]
    assert duckdb.sql(f"SELECT count(*) FROM '{target}/*.parquet'").fetchall() == [(3,)]


def test_a_part_alone_is_a_file(tmp_path: Path) -> None:
    write_parts(str(tmp_path / "x.parquet"), ["a"]).discard()
    assert (tmp_path / "x.parquet").is_file()


def test_each_row_of_a_folder_has_a_number_of_its_own(folder: Any) -> None:
    write_parts(folder / "x.parquet", ["a", "b"], [], ["c"], ["d"])
    with connect() as connection:
        rows = connection.to_pyarrow(read_numbered(connection, folder / "x.parquet", LEAD_COLUMNS, 100))
    assert sorted(rows["row"].to_pylist()) == [100, 101, 102, 103]


@pytest.mark.parametrize("before", [[], [["a"]], [["a"], ["b"], ["c"]]])
@pytest.mark.parametrize("after", [[["x"]], [["x"], ["y"]]])
def test_what_an_earlier_run_left_is_replaced(folder: Any, before: list[list[str]], after: list[list[str]]) -> None:
    uri = folder / "deep" / "x.parquet"
    if before:
        write_parts(uri, *before).discard()
    earlier = digest(uri) if before else None
    write_parts(uri, *after, owner="you").discard()
    assert ids(uri) == [name for part in after for name in part]
    assert count_rows(uri) == len(after)
    check_readable(uri)
    assert digest(uri) != earlier
    assert [path.name for path in uri.parent.iterdir()] == ["x.parquet"]
    write_rows(uri, Lead, [lead("single")])
    assert ids(uri) == ["single"]


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("before", [[["old"]], [["old"], ["older"]]])
def test_a_kill_while_parts_appear_leaves_all_or_nothing(
    folder: Any, before: list[list[str]], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    uri = folder / "x.parquet"
    write_parts(uri, *before).discard()
    ours = Parts(uri, Lead, "me")
    for name in ("a", "b", "c"):
        ours.append([lead(name)])
    copy, left = places._copy, steps

    def killed(source: Any, target: Any) -> None:
        nonlocal left
        if left == 0:
            raise KilledError
        left -= 1
        copy(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(places, "_copy", killed)
        try:
            ours.assemble()
        except KilledError:
            assert left == 0
    try:
        seen = ids(uri)
    except StagingError as error:
        seen = []
        assert "incomplete" in str(error) or "does not exist" in str(error)
    assert seen in ([], ["a", "b", "c"], [name for part in before for name in part])
    again = Parts(uri, Lead, "me", 3)
    assert again.complete()
    assert again.assemble() == 3
    assert ids(uri) == ["a", "b", "c"]


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").mkdir()
    (tmp_path / "x.parquet" / "diary.txt").write_text("dear")
    with pytest.raises(StagingError, match="other things"):
        write_rows(str(tmp_path / "x.parquet"), Lead, [lead()])
    with pytest.raises(StagingError, match="other things"):
        write_parts(str(tmp_path / "x.parquet"), ["a"], ["b"])
    assert (tmp_path / "x.parquet" / "diary.txt").read_text() == "dear"


def test_folders_as_spark_and_hive_write_them(folder: Any) -> None:
    uri = folder / "leads.parquet"
    for name in ("day=2/part-1.c000.snappy.parquet", "day=1/part-0.parquet", "part-9.parquet"):
        write_rows(uri / name, Lead, [lead(name)])
    for name in ("_temporary/0/part-7.parquet", ".part-9.parquet.crc", "_SUCCESS", "day=1/.hidden.parquet"):
        (uri / name).parent.mkdir(parents=True, exist_ok=True)
        (uri / name).write_bytes(b"no Parquet")
    assert ids(uri) == ["day=1/part-0.parquet", "day=2/part-1.c000.snappy.parquet", "part-9.parquet"]
    assert [path.name for path in parquet_below(folder)] == ["leads.parquet"]


def test_parts_that_do_not_fit_are_refused_by_name(folder: Any) -> None:
    write_parts(folder / "x.parquet", ["a"], ["b"])
    table = pa.table({name: pa.array([None], pa.string()) for name in LEAD_COLUMNS[:-1]})
    with (folder / "x.parquet" / "part-00001.parquet").open("wb") as file:
        pq.write_table(table, file)
    with pytest.raises(StagingError, match="part-00001"):
        ids(folder / "x.parquet")
    (folder / "x.parquet" / "part-00001.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(StagingError, match="part-00001"):
        count_rows(folder / "x.parquet")


def test_texts_of_parts_may_be_of_other_widths(folder: Any) -> None:
    write_parts(folder / "x.parquet", ["a"], ["b"])
    second = folder / "x.parquet" / "part-00001.parquet"
    with second.open("rb") as file:
        table = pq.read_table(file)
    wide = pa.schema(
        [field.with_type(pa.large_string()) if field.type == pa.string() else field for field in table.schema]
    )
    with second.open("wb") as file:
        pq.write_table(table.cast(pa.schema(wide)), file)
    assert ids(folder / "x.parquet") == ["a", "b"]
    with open_parquet(folder / "x.parquet") as file:
        assert pa.Table.from_batches(file.iter_batches()).num_rows == 2


def test_files_below_nothing(tmp_path: Path) -> None:
    assert parquet_below(as_path(f"memory://nowhere/{next(_numbers)}")) == []
    assert [str(path) for path in parts_of(UPath(tmp_path / "x.parquet"))] == [str(tmp_path / "x.parquet")]


def test_a_copy_to_another_store_reads_the_file(tmp_path: Path) -> None:
    names = [str(tmp_path / f"{n}.parquet") for n in range(2)]
    for name in names:
        write_rows(name, Lead, [lead(name)])
    target = UPath(f"memory://places/{next(_numbers)}/x.parquet")
    publish([UPath(name) for name in names], target)
    assert ids(target) == names
