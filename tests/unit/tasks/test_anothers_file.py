"""Tasks of one run that name the same file: nobody's rows take the place of another's without a word."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from upath import UPath

from airflow_providers_leads.decorators.leads import LeadsFilterOperator
from airflow_providers_leads.leads.files.parts import Parts
from airflow_providers_leads.leads.files.places import WRITER, Writer
from airflow_providers_leads.leads.files.staging import RowWriter, StagingError, count_rows, read_rows, write_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.leads import LeadsDeduplicateOperator, LeadsFromFileOperator
from airflow_providers_leads.tasks.returns import write_table


def context(task_id: str, map_index: int = -1, run_id: str = "r") -> Any:
    return {"ti": SimpleNamespace(dag_id="d", run_id=run_id, task_id=task_id, map_index=map_index)}


def lead(name: str) -> Lead:
    return Lead("fair", "fair", name, email=f"{name}@fair.example", email_key=f"{name}@fair.example")


def names(uri: Any) -> list[str | None]:
    return [row.email for row in read_rows(uri, Lead)]


@pytest.fixture
def lists(tmp_path: Path) -> list[str]:
    for name in ("ann", "bob"):
        (tmp_path / f"{name}.csv").write_text(f"email\n{name}@fair.example\n")
    return [f"file://{tmp_path}/{name}.csv" for name in ("ann", "bob")]


@pytest.mark.parametrize("output", ["", "/leads.parquet"])
@pytest.mark.parametrize(("first", "second"), [(("a", -1), ("b", -1)), (("a", 0), ("a", 1))])
def test_a_second_task_is_refused(first: Any, second: Any, output: str, lists: list[str], tmp_path: Path) -> None:
    if not output and first[1] >= 0:
        # Below a folder mapped tasks have files of their own.
        output = "/one.parquet"
    results = []
    for who, file in zip((first, second), lists, strict=True):
        task = LeadsFromFileOperator(task_id=who[0], input=file, output=f"file://{tmp_path}/out{output}")
        try:
            results.append(task.execute(context(*who)))
        except StagingError as error:
            assert "was written by the task a" in str(error)
            assert "output of its own" in str(error)
    (result,) = results
    assert names(result["uri"]) == ["ann@fair.example"]


def test_a_retry_and_the_next_run_write_over_it(lists: list[str], tmp_path: Path) -> None:
    for task_id, run_id in (("a", "r"), ("a", "r"), ("b", "next")):
        task = LeadsFromFileOperator(task_id=task_id, input=lists[1], output=f"file://{tmp_path}/out")
        assert names(task.execute(context(task_id, run_id=run_id))["uri"]) == ["bob@fair.example"]


def test_what_is_made_of_a_file_is_not_the_file_s_task_s(lists: list[str], tmp_path: Path) -> None:
    """A retry would else be refused by the mark that was copied from the file that it reads."""
    output = f"file://{tmp_path}/out"
    read = LeadsFromFileOperator(task_id="a", input=lists[0], output=output).execute(context("a"))
    for _ in range(2):
        task: Any = LeadsFilterOperator(
            task_id="kept", python_callable=lambda leads: [True] * len(leads), op_args=[read], output=output
        )
        kept = task.execute(context("kept"))
    assert names(kept["uri"]) == ["ann@fair.example"]


def test_a_mapped_merge_has_files_of_its_own(lists: list[str], tmp_path: Path) -> None:
    read = LeadsFromFileOperator(task_id="a", input=lists[0], output=f"file://{tmp_path}/out").execute(context("a"))
    merge = LeadsDeduplicateOperator(task_id="d", inputs=[read], output=f"file://{tmp_path}")
    result = merge.execute(context("d", 3))
    assert {name: result[name].rpartition("/")[2] for name in ("golden", "members", "conflicts", "rejects")} == {
        name: f"{name}.3.parquet" for name in ("golden", "members", "conflicts", "rejects")
    }
    assert names(result["golden"]) == ["ann@fair.example"]
    assert count_rows(result["members"]) == 1


def test_of_two_at_once_the_later_one_is_refused(tmp_path: Path) -> None:
    """Neither finds a file at its start, and neither meets the half of the other's."""
    uri = f"file://{tmp_path}/leads.parquet"
    writers = []
    for name in ("a", "b"):
        token = WRITER.set(Writer("d/r", name))
        writer = RowWriter(uri, Lead)
        writer.__enter__()
        writers.append((name, writer))
        WRITER.reset(token)
    for (name, writer), refused in zip(writers, (False, True), strict=True):
        token = WRITER.set(Writer("d/r", name))
        writer.write(lead(name))
        if refused:
            with pytest.raises(StagingError, match="written by the task a"):
                writer.__exit__(None, None, None)
        else:
            writer.__exit__(None, None, None)
        WRITER.reset(token)
    assert names(uri) == ["a@fair.example"]
    assert [path.name for path in tmp_path.iterdir()] == ["leads.parquet"]


@pytest.mark.parametrize("again", [
    lambda uri: Parts(uri, Lead, "owner"),
    lambda uri: write_table(str(uri), [{"id": 1}]),
])  # fmt: skip
def test_other_ways_of_writing_are_refused_too(again: Any, tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/leads.parquet"
    WRITER.set(Writer("d/r", "a"))
    try:
        write_rows(uri, Lead, [lead("ann")])
        WRITER.set(Writer("d/r", "b"))
        with pytest.raises(StagingError, match="written by the task a"):
            again(uri)
    finally:
        WRITER.set(None)
    assert names(uri) == ["ann@fair.example"]


@pytest.mark.parametrize("name", ["found.jsonl", "found.jsonl.gz"])
def test_a_file_that_cant_say_whose_it_is_has_that_said_beside_it(name: str, tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/{name}"
    try:
        for task, run, refused in (("a", "d/r", False), ("a", "d/r", False), ("b", "d/r", True), ("b", "d/s", False)):
            WRITER.set(Writer(run, task))
            if refused:
                with pytest.raises(StagingError, match="written by the task a of this run"):
                    write_table(uri, [{"id": 2}])
            else:
                write_table(uri, [{"id": 1}])
        (tmp_path / name).unlink()
        WRITER.set(Writer("d/s", "c"))
        write_table(uri, [{"id": 3}])
    finally:
        WRITER.set(None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{name}.task", name]


def test_what_tasks_share_is_written_by_one_after_the_other(tmp_path: Path) -> None:
    try:
        for name in ("a", "b"):
            WRITER.set(Writer("d/r", name))
            write_rows(f"file://{tmp_path}/ledger.parquet", Lead, [lead(name)], shared=True)
    finally:
        WRITER.set(None)
    assert names(f"file://{tmp_path}/ledger.parquet") == ["b@fair.example"]


def test_a_store_that_tells_nobody_what_is_not_there_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 answers 403 instead of 404 to a key that may not list the bucket."""
    path = UPath(f"file://{tmp_path}/leads.parquet")

    def forbidden(self: Any, **_: Any) -> bool:
        raise PermissionError(13, "Forbidden")

    token = WRITER.set(Writer("d/r", "a"))
    try:
        with monkeypatch.context() as patch:
            patch.setattr(type(path), "exists", forbidden)
            write_rows(path, Lead, [lead("ann")])
    finally:
        WRITER.reset(token)
    assert names(path) == ["ann@fair.example"]
