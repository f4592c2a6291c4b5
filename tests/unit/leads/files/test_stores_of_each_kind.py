"""Buckets of Google and containers of Azure, by their schemes and what their clients raise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from upath import UPath

from airflow_providers_leads.leads.files.parts import Parts
from airflow_providers_leads.leads.files.places import check_writable, files_below, is_complete, publish
from airflow_providers_leads.leads.files.staging import (
    StagingError,
    appearing,
    count_rows,
    open_file,
    read_rows,
    write_rows,
)
from airflow_providers_leads.leads.memory.generation import Folder, Generation, SyncMemoryError, Writing
from airflow_providers_leads.leads.model.outcomes import WriteResult
from airflow_providers_leads.leads.model.schema import Lead

AT = datetime(2026, 1, 1, tzinfo=UTC)
GENERATION = Generation(number=1, sync="s", run="r", at=AT, since=AT, files=[], records=0, probe="")
LEADS = [Lead("hubspot", "", "1", email="ann@example.org", email_key="ann@example.org")]


class ResourceNotFoundError(Exception):
    """Azure's."""


ResourceNotFoundError.__module__ = "azure.core.exceptions"


def _google() -> Exception:
    return FileNotFoundError("The specified bucket does not exist.")


def _azure() -> Exception:
    error = RuntimeError("Failed to upload block: secret-4711")
    error.__cause__ = ResourceNotFoundError("The specified container does not exist.")
    return error


class Buckets(MemoryFileSystem):
    """A store with one bucket, which says of any other what its client would."""

    cachable = False
    root_marker = ""
    missing: Callable[[], Exception]

    def _check(self, path: str) -> None:
        if self._strip_protocol(path).strip("/").partition("/")[0] != "leads":
            raise self.missing()

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode == "rb" and not self.exists(path):
            raise FileNotFoundError(path)
        self._check(path)
        options.pop("block_size", None)
        return super()._open(path, mode, **options)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        self._check(path)
        super().pipe_file(path, value, mode, **options)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        raise AssertionError(f"{path} is made: of a store that is the bucket")

    makedirs = mkdir


def _of(scheme: str, error: Callable[[], Exception]) -> type[Buckets]:
    class Store(Buckets):
        protocol = scheme
        store: dict[str, Any] = {}  # noqa: RUF012  # as the base class has it
        pseudo_dirs = ["", "leads"]  # noqa: RUF012
        missing = staticmethod(error)

        @classmethod
        def _strip_protocol(cls, path: Any) -> str:
            return str(path).removeprefix(f"{scheme}://").strip("/")

    return Store


@pytest.fixture(params=[("gs", _google), ("abfs", _azure)], ids=["google", "azure"])
def at(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    scheme, error = request.param
    monkeypatch.setitem(_registry, scheme, _of(scheme, error))
    return lambda name: UPath(f"{scheme}://{name}")


def test_a_file_is_there_whole_or_not_at_all(at: Callable[[str], Any]) -> None:
    assert write_rows(at("leads/a/x.parquet"), Lead, LEADS) == 1
    assert list(read_rows(at("leads/a/x.parquet"), Lead)) == LEADS
    assert write_rows(at("leads/a/x.parquet"), Lead, LEADS * 3) == 3
    with pytest.raises(LookupError), appearing(at("leads/b/x.parquet")) as part, open_file(part, "wb") as file:
        file.write(b"half")
        raise LookupError
    assert not is_complete(at("leads/b/x.parquet"))
    assert [path.name for path in files_below(at("leads"))] == ["x.parquet"]
    assert count_rows(at("leads/a/x.parquet")) == 3


def test_parts_are_there_whole_or_not_at_all(at: Callable[[str], Any]) -> None:
    parts = Parts(at("leads/run/x.parquet"), WriteResult, "task")
    for key in ("ann@x.example", "bob@x.example"):
        parts.append([WriteResult(email_key=key, outcome="created", target_id="1", fields=[])])
    assert not is_complete(at("leads/run/x.parquet"))
    assert parts.assemble() == 2
    parts.discard()
    (at("leads/run/x.parquet") / "_incomplete").write_bytes(b"")
    assert not is_complete(at("leads/run/x.parquet"))
    with pytest.raises(StagingError, match="is incomplete"):
        list(read_rows(at("leads/run/x.parquet"), WriteResult))
    write_rows(at("leads/run/one.parquet"), WriteResult, ())
    publish([at("leads/run/one.parquet")] * 3, at("leads/run/x.parquet"))
    assert is_complete(at("leads/run/x.parquet"))


def test_a_bucket_that_is_missing_is_told_and_never_made(at: Callable[[str], Any]) -> None:
    told = (
        r"^[a-z]+://laeds/.* no such bucket .*\(bucket laeds, .* type (google_cloud_platform|wasb or adls) .*No bucket"
    )
    write_rows(at("leads/a/x.parquet"), Lead, LEADS)
    for attempt in (
        lambda: check_writable(at("laeds/run")),
        lambda: publish([at("leads/a/x.parquet")] * 2, at("laeds/a/x.parquet")),
        lambda: write_rows(at("laeds/a/x.parquet"), Lead, LEADS),
        lambda: list(read_rows(at("laeds/a/x.parquet"), Lead)),
    ):
        with pytest.raises(StagingError, match=told) as caught:
            attempt()
        assert "secret-4711" not in str(caught.value)
    lost = Folder(at("laeds/memory"), "ab" * 16)
    for attempt in (lambda: lost.begin(Writing(run="r")), lambda: lost.erase([1]), lambda: lost.publish(GENERATION)):
        with pytest.raises(StagingError, match="bucket laeds"):
            attempt()
    with pytest.raises(SyncMemoryError, match="bucket laeds"):
        lost.open()


def test_a_memory_is_kept(at: Callable[[str], Any]) -> None:
    kept = Folder(at("leads/memory"))
    kept.open()
    kept.begin(Writing(run="r", plans={"c": ["a", "b"]}))
    assert [mark.run for mark in kept.writing()] == ["r"]
