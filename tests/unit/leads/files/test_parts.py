"""A file that grows in parts and outlives its writer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_providers_leads.leads.files.parts import Parts, parts_left
from airflow_providers_leads.leads.files.staging import StagingError, read_rows
from airflow_providers_leads.leads.model.outcomes import WriteResult
from airflow_providers_leads.leads.model.schema import Lead


def results(*names: str) -> list[WriteResult]:
    return [WriteResult(email_key=name, outcome="created", fields=["city"]) for name in names]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "x.results.parquet"


def parts(file: Path, owner: str = "me", count: int = 0) -> Parts[WriteResult]:
    return Parts(str(file), WriteResult, owner, count)


def names_in(rows: Iterator[WriteResult]) -> list[str]:
    return [row.email_key for row in rows]


def left(file: Path) -> list[str]:
    return sorted(path.name for path in file.parent.iterdir())


def test_parts_are_read_in_order_and_joined_with_what_is_in_none(file: Path) -> None:
    ours = parts(file)
    assert [ours.append(results("a", "b")), ours.append(results()), ours.append(results("c"))] == [2, 0, 1]
    assert names_in(iter(ours)) == ["a", "b", "c"]
    assert ours.assemble(results("d")) == 4
    assert list(read_rows(str(file), WriteResult)) == results("a", "b", "c", "d")
    assert names_in(iter(ours)) == ["a", "b", "c"]
    ours.discard()
    assert (ours.count, left(file)) == (0, [file.name])


def test_a_file_of_nothing_is_a_file(file: Path) -> None:
    ours = parts(file)
    assert (ours.complete(), ours.assemble()) == (True, 0)
    assert list(read_rows(str(file), WriteResult)) == []


def test_the_next_try_keeps_what_was_noted_and_writes_over_the_rest(file: Path) -> None:
    first = parts(file)
    for name in ("a", "b", "never noted"):
        first.append(results(name))
    second = parts(file, count=2)
    assert second.complete()
    second.append(results("c"))
    assert names_in(iter(second)) == ["a", "b", "c"]


def test_parts_of_a_longer_try_go_as_well(file: Path) -> None:
    for name in ("a", "b", "c"):
        parts(file, count=0).append(results(name))
        file.parent.joinpath(f"{file.name}.me.00001.part").write_bytes(b"of an earlier try")
    parts(file, count=1).discard()
    assert left(file) == []


def test_a_part_that_is_gone_is_noticed(file: Path) -> None:
    ours = parts(file)
    ours.append(results("a"))
    ours.append(results("b"))
    (file.parent / left(file)[0]).unlink()
    again = parts(file, count=2)
    assert not again.complete()
    with pytest.raises(StagingError):
        list(again)
    again.discard()
    assert left(file) == []


def test_writers_of_one_file_are_kept_apart(file: Path) -> None:
    ours, theirs = parts(file), parts(file, owner="you")
    ours.append(results("a"))
    theirs.append(results("b"))
    theirs.discard()
    assert names_in(iter(ours)) == ["a"]


def test_a_writer_that_is_killed_leaves_no_half_part_and_no_half_file(file: Path) -> None:
    class Killed(BaseException):
        pass

    def killed() -> Iterator[WriteResult]:
        yield from results("b", "c")
        raise Killed

    ours = parts(file)
    ours.append(results("a"))
    ours.assemble()
    with pytest.raises(Killed):
        ours.append(killed())
    assert ours.count == 1
    with pytest.raises(Killed):
        ours.assemble(killed())
    assert names_in(read_rows(str(file), WriteResult)) == ["a"]
    assert names_in(iter(parts(file, count=1))) == ["a"]


def test_what_is_added_is_durable_with_its_part(file: Path) -> None:
    ours = parts(file)
    ours.add(results("a"))
    ours.add(results("b"))
    assert (ours.count, names_in(iter(ours))) == (0, [])
    assert ours.append(results("c")) == 3
    ours.add(results("d"))
    assert names_in(iter(parts(file, count=1))) == ["a", "b", "c"]
    assert ours.append() == 1
    assert ours.assemble() == 4
    ours.discard()
    assert left(file) == [file.name]


def test_a_part_that_was_begun_is_lost_with_what_can_not_be_written(file: Path) -> None:
    ours = parts(file)
    ours.add(results("lost"))
    unfit = WriteResult(email_key="x", outcome="created", fields=["city"], target_id=object())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ours.append([unfit])
    assert (ours.count, left(file)) == (0, [])
    ours.append(results("a"))
    assert names_in(iter(ours)) == ["a"]
    ours.add(results("never ended"))
    ours.discard()
    assert left(file) == []


def test_a_part_of_another_row_type_is_as_good_as_none(file: Path) -> None:
    ours = parts(file)
    ours.append(results("a"))
    assert not Parts(str(file), Lead, "me", 1).complete()


def test_what_a_killed_writer_left_is_found_beside_the_file_it_never_wrote(file: Path) -> None:
    assert parts_left(file) == []
    killed, other = parts(file), parts(file.with_name("x.results.parquet2"))
    killed.append(results("ada@x.example"))
    killed.append(results("bea@x.example"))
    killed.add(results("lost@x.example"))
    other.append(results("eve@x.example"))

    left = [row for part in parts_left(str(file)) for row in read_rows(part, WriteResult)]

    assert names_in(iter(left)) == ["ada@x.example", "bea@x.example"]
    killed.assemble()
    killed.discard()
    assert parts_left(file) == []
