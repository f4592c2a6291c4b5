"""Files in buckets: S3 by a stand-in, and what is said where a store can't be used."""

from __future__ import annotations

import errno
import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from leads_rows import table
from moto.server import ThreadedMotoServer
from s3fs.core import S3File, S3FileSystem
from upath import UPath

from airflow_providers_leads import operators
from airflow_providers_leads.cli.definition import main
from airflow_providers_leads.leads.files.parts import Parts, parts_left
from airflow_providers_leads.leads.files.places import open_file, remove
from airflow_providers_leads.leads.files.staging import StagingError, appearing, read_rows, write_rows
from airflow_providers_leads.leads.memory.generation import Folder, SyncMemoryError, Writing
from airflow_providers_leads.leads.model.outcomes import WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.endpoint import EndpointOperator
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsRememberOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.tasks import paths
from airflow_providers_leads.tasks.memory.folders import folder_at
from airflow_providers_leads.tasks.paths import storage_path

SECRET = "planted-secret-4711"
LEADS = [Lead("hubspot", "", "1", email="ann@example.org", email_key="ann@example.org")]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    extra = {"endpoint_url": server, "region_name": "us-east-1", "config_kwargs": {"retries": {"max_attempts": 1}}}
    bucket = {"conn_type": "aws", "login": "key-id", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_BUCKET", json.dumps(bucket))
    paths._check_store.cache_clear()
    client = boto3.client(
        "s3", endpoint_url=server, region_name="us-east-1", aws_access_key_id="key-id", aws_secret_access_key=SECRET
    )
    client.create_bucket(Bucket="leads")
    return client


def buckets(client: Any) -> list[str]:
    return [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]


def test_a_file_is_written_to_a_bucket_and_read_again(client: Any) -> None:
    assert write_rows(storage_path("s3://bucket@leads/a/b/x.parquet"), Lead, LEADS) == 1
    assert list(read_rows(storage_path("s3://bucket@leads/a/b/x.parquet"), Lead)) == LEADS
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket="leads")["Contents"]] == ["a/b/x.parquet"]


def test_a_bucket_is_asked_no_more_than_it_takes(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    call = S3FileSystem._call_s3

    async def noted(self: Any, method: str, *arguments: Any, **named: Any) -> Any:
        calls.append(method)
        return await call(self, method, *arguments, **named)

    monkeypatch.setattr(S3FileSystem, "_call_s3", noted)
    path = storage_path("s3://bucket@leads/few/x.json")
    with appearing(path) as part:
        part.write_bytes(b"{}")
    # After it was put there: is there a folder of its name? To copy a file its client must know how large it is.
    assert calls == ["list_objects_v2", "head_object", "copy_object", "delete_object"]
    calls.clear()
    remove(path)
    remove(path)
    assert calls == ["delete_object"] * 2
    assert not path.exists()


def test_what_is_read_of_a_bucket_is_fetched_once_and_a_row_group_at_a_time(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = Random(5)
    people = [
        Lead("hubspot", "", str(n), email=f"{rng.getrandbits(96):x}@example.org", city=f"{rng.getrandbits(400):x}")
        for n in range(30_000)
    ]
    uri = "s3://bucket@leads/large/x.parquet"
    write_rows(storage_path(uri), Lead, people)
    size = client.head_object(Bucket="leads", Key="large/x.parquet")["ContentLength"]
    fetched: list[int] = []
    fetch = S3File._fetch_range

    def counted(self: S3File, start: int, end: int) -> bytes:
        fetched.append(end - start)
        return bytes(fetch(self, start, end))

    monkeypatch.setattr(S3File, "_fetch_range", counted)
    assert sum(1 for _ in read_rows(storage_path(uri), Lead)) == len(people)
    # Three row groups and a footer.
    assert size <= sum(fetched) <= 1.1 * size
    assert max(fetched) < 0.4 * size
    assert len(fetched) <= 10


def test_what_is_written_to_a_bucket_leaves_in_parts(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    upload = S3File._upload_chunk

    def counted(self: S3File, final: bool = False) -> Any:
        nonlocal most
        most = max(most, len(self.buffer.getbuffer()))
        return upload(self, final)

    monkeypatch.setattr(S3File, "_upload_chunk", counted)
    path, block = storage_path("s3://bucket@leads/large/y.bin"), bytes(2**20)
    with appearing(path) as part, open_file(part, "wb") as file:
        for _ in range(20):
            file.write(block)
    assert 0 < most <= 10 * 2**20
    assert client.head_object(Bucket="leads", Key="large/y.bin")["ContentLength"] == 20 * 2**20


def test_what_a_killed_task_had_settled_is_found_in_a_bucket(client: Any) -> None:
    uri = storage_path("s3://bucket@leads/run/x.results.parquet")
    assert parts_left(uri) == []
    killed = Parts(uri, WriteResult, "task")
    killed.append([WriteResult(email_key="ada@x.example", outcome="created", target_id="1", fields=["city"])])
    (part,) = parts_left(uri)
    assert [row.target_id for row in read_rows(part, WriteResult)] == ["1"]
    killed.discard()
    assert parts_left(uri) == []


def test_a_mistyped_bucket_is_told_and_never_made(client: Any) -> None:
    """Row 50."""
    with pytest.raises(
        StagingError, match=r"s3://bucket@laeds/.* no such bucket .* type aws .* No bucket is ever made"
    ):
        write_rows(storage_path("s3://bucket@laeds/a/x.parquet"), Lead, LEADS)
    assert buckets(client) == ["leads"]


def test_a_bucket_that_is_missing_is_no_missing_file(client: Any) -> None:
    """Row 50: what a task reads."""
    with pytest.raises(StagingError, match=r"no such bucket .*\(bucket laeds, connection bucket\)"):
        list(read_rows(storage_path("s3://bucket@laeds/a/x.parquet"), Lead))
    with pytest.raises(StagingError, match=r"does not exist\. Did the task"):
        list(read_rows(storage_path("s3://bucket@leads/nobody/x.parquet"), Lead))


def with_output() -> Iterator[type[LeadsOperator]]:
    """Yield every operator that has an output."""
    for module in pkgutil.iter_modules(operators.__path__, f"{operators.__name__}."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            fits = issubclass(cls, LeadsOperator) and cls.__module__ == module.name and getattr(cls, "method", True)
            if fits and not cls.__name__.startswith("_") and "output" in inspect.signature(cls).parameters:
                yield cls


def built(cls: type[LeadsOperator], output: str) -> LeadsOperator:
    """Return an operator with something for each argument that it needs."""
    known = {
        "outcomes": None,
        "email_keys": ["ann@example.org"],
        "conn_ids": ["persistiq_default"],
        "on_failure": "fail",
    }
    arguments: dict[str, Any] = {
        name: known.get(name, "persistiq_default" if name.endswith("conn_id") else "{{ dag_run.conf['x'] }}")
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.KEYWORD_ONLY
    }
    return cls(**{**arguments, "task_id": "t", "output": output})


OPERATORS = {cls.__name__: cls for cls in with_output()}


@pytest.mark.parametrize("place", ["s3://bucket@laeds/run", "{file}/run"], ids=["bucket", "file"])
@pytest.mark.parametrize("cls", OPERATORS.values(), ids=OPERATORS)
def test_an_operator_tells_it_before_its_first_request(
    cls: type[LeadsOperator], place: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 50: a bucket with a typing error, and a folder below a file."""
    (tmp_path / "file").touch()
    connection = {"conn_type": "persistiq", "password": SECRET, "host": "http://127.0.0.1:9"}
    for crm in ("persistiq", "hubspot", "perspective"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{crm.upper()}_DEFAULT", json.dumps({**connection, "conn_type": crm}))
    asked: list[str] = []
    monkeypatch.setattr(requests.Session, "send", lambda *arguments, **options: asked.append("sent"))
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
    output = place.replace("{file}", str(tmp_path / "file"))
    endings = [f"{output}/x.jsonl"] if issubclass(cls, EndpointOperator) else [output, f"{output}/x.parquet"]
    for uri in endings:
        operator = built(cls, uri)
        with pytest.raises(StagingError, match=r"bucket laeds, connection bucket|is a file, no folder"):
            operator.execute({"ti": ti})
    assert not asked
    assert buckets(client) == ["leads"]


def test_the_staging_option_is_checked_as_an_output_is(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 50: the place that nobody gave the task."""
    monkeypatch.setenv("AIRFLOW__LEADS__STAGING", "s3://bucket@laeds/leads")
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
    staging = [cls for cls in OPERATORS.values() if cls.stages]
    assert {cls.__name__ for cls in staging} >= {"LeadsExtractOperator", "LeadsUpsertOperator", "LeadsEnrolOperator"}
    for cls in staging:
        operator = built(cls, "")
        with pytest.raises(StagingError, match="bucket laeds, connection bucket"):
            operator.execute({"ti": ti})


def test_a_memory_makes_no_bucket(client: Any) -> None:
    """Row 50: the memory's folder."""
    with pytest.raises(SyncMemoryError, match="bucket laeds, connection bucket"):
        Folder(storage_path("s3://bucket@laeds/memory/sync")).open()
    assert buckets(client) == ["leads"]
    kept = Folder(storage_path("s3://bucket@leads/memory/sync"))
    kept.open()
    kept.begin(Writing(run="r", plans={"c": ["a", "b"]}))
    assert [mark.run for mark in kept.writing()] == ["r"]


@pytest.mark.story
def test_a_sync_over_a_bucket_remembers_what_it_wrote(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    crm, runs = "persistiq_default", "s3://bucket@leads/runs"
    kept = {"memory": "s3://bucket@leads/memory/remembering"}
    with Sandbox(people=5, seed=7, limits=False) as sandbox:
        for name, value in sandbox.connection_env().items():
            monkeypatch.setenv(name, value)
        storage_path("s3://bucket@leads/policy.yaml").write_bytes(b"priority: [hubspot]\n")
        storage_path("s3://bucket@leads/fields.yaml").write_bytes(b"fields:\n  first_name: first_name\n")
        rules = {"policy": "s3://bucket@leads/policy.yaml"}
        for run in ("1", "2"):
            ti = SimpleNamespace(dag_id="d", run_id=run, task_id="t", map_index=-1)
            place = f"{runs}/{run}"
            read = [
                LeadsExtractOperator(task_id="e", conn_id=one, output=f"{place}/{one}", **kept).execute({"ti": ti})
                for one in ("hubspot_default", crm)
            ]
            merge = LeadsDeduplicateOperator(task_id="m", inputs=read, output=place, **kept, **rules)
            golden = merge.execute({"ti": ti})
            into = LeadsUpsertOperator(
                task_id="u",
                conn_id=crm,
                golden=golden,
                existing=read,
                output=place,
                fields="s3://bucket@leads/fields.yaml",
            )
            written = into.execute({"ti": ti})
            assert bool(written["created"]) == (run == "1")
            assert written["updated"] == 0
            LeadsRememberOperator(task_id="r", golden=golden).execute({"ti": ti})
        memory = folder_at(kept["memory"])
        assert memory.writing() == []
        generation, _ = memory.current()
        assert generation is not None
        files = [storage_path(f"{kept['memory']}/{name}") for name in generation.files]
        made = [row["made"] for file in files for row in table(file) if row["source"] == "persistiq"]
        assert any(made), "what the sync has written is known to be its own"
    with pytest.raises(TypeError, match="names a connection"):
        list(read_rows(f"{runs}/1/golden.parquet", Lead))


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "may not write there"), (errno.EIO, None)]
)
def test_a_disk_that_refuses_is_told_in_a_line(number: int, said: str | None, tmp_path: Path) -> None:
    """Row 50: a bad path."""
    with pytest.raises(StagingError if said else OSError, match=said), appearing(UPath(tmp_path / "x.parquet")) as part:
        raise OSError(number, "no", str(part))
    # What is read meanwhile has errors of its own.
    with pytest.raises(PermissionError), appearing(UPath(tmp_path / "x.parquet")):
        raise PermissionError(errno.EACCES, "no", "/elsewhere/y.parquet")


def test_a_connection_that_does_not_exist_is_told_instead_of_going_on_as_anybody(client: Any) -> None:
    """Row 50."""
    with pytest.raises(AirflowNotFoundException, match="absent"):
        storage_path("s3://absent@leads/x.parquet")


def test_the_command_line_tells_it_in_one_line(
    client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 50."""
    with Sandbox(people=5, seed=7, limits=False) as sandbox:
        for name, value in sandbox.connection_env().items():
            monkeypatch.setenv(name, value)
        assert main(["pull", "persistiq_default", "s3://bucket@leads/pulled.parquet"]) == 0
        assert main(["pull", "persistiq_default", "s3://bucket@laeds/pulled.parquet"]) == 2
        assert main(["pull", "persistiq_default", "s3://absent@leads/pulled.parquet"]) == 1
    told = capsys.readouterr().err
    assert "no such bucket" in told
    assert "`absent` isn't defined" in told
    assert "Traceback" not in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("uri", "module", "said"),
    [
        ("s3://leads/x", "s3fs", r"s3:// needs s3fs .*airflow-providers-leads\[s3\].* type aws decides"),
        ("s3://bucket@leads/x", "s3fs", r"airflow-providers-leads\[s3\]"),
        ("gs://leads/x", "gcsfs", r"airflow-providers-leads\[gcs\].* type google_cloud_platform decides"),
        ("gs://google@leads/x", None, r"airflow-providers-leads\[gcs\]"),
        ("abfs://leads/x", "adlfs", r"airflow-providers-leads\[azure\].* type wasb or adls decides"),
        ("nope://leads/x", None, "must start with file://, s3://"),
        ("s3:/leads/x", None, "too few slashes"),
        ("file:tmp/x", None, None),
        ("s3:///x.parquet", None, "names no bucket"),
        ("s3://bucket@/x.parquet", None, "names no bucket"),
    ],
)
def test_what_no_installed_package_opens_says_what_to_install(
    uri: str, module: str | None, said: str | None, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 50."""
    if module:
        monkeypatch.setitem(sys.modules, module, None)
    if said is None:
        storage_path(uri)
        return
    with pytest.raises(ValueError, match=said) as caught:
        storage_path(uri)
    assert uri.partition("@")[0] in str(caught.value)


@pytest.mark.parametrize("uri", ["/tmp/x", "file:///tmp/x", "relative/x"])
def test_what_needs_nothing_is_opened(uri: str) -> None:
    assert storage_path(uri).name == Path(uri).name


@pytest.mark.parametrize("uri", ["memory://anywhere/x", "http://example.org/fair.csv", "zip://fair.csv"])
def test_what_airflow_opens_no_file_of_is_told_before_anything_is_read(uri: str) -> None:
    """Its path objects list such a place as fsspec does, and fail once a file is opened there."""
    with pytest.raises(
        StagingError, match=r"must start with file://, s3://, .*that an installed Airflow provider opens"
    ):
        storage_path(uri)
