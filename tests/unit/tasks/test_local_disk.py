"""Files on a disk that other workers don't see are told of before anything is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_providers_leads.tasks import paths
from airflow_providers_leads.tasks.memory.folders import memory_uri
from airflow_providers_leads.tasks.paths import resolve_folder

CELERY, PODS = "CeleryExecutor", "airflow.providers.cncf.kubernetes.executors.kubernetes_executor.KubernetesExecutor"
MOUNTS = """overlay / overlay rw 0 0
server:/share /mnt/share nfs4 rw 0 0
/dev/sdb /mnt/volume ext4 rw 0 0
tmpfs /mnt/share/in\\040memory tmpfs rw 0 0
"""
CONTEXT: Any = {"ti": SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)}


@pytest.fixture(autouse=True)
def _mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(paths, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    paths.check_local.cache_clear()
    yield
    paths.check_local.cache_clear()


@pytest.mark.parametrize(
    ("executor", "uri", "told"),
    [
        (CELERY, "file:///tmp/leads", True),
        (CELERY, "/tmp/leads", True),
        (f"LocalExecutor,{CELERY}", "file:///tmp/leads", True),
        (f"LocalExecutor;team={CELERY}", "file:///tmp/leads", True),
        (f"{PODS}:pods", "file:///tmp/leads", True),
        ("a.company.OwnExecutor", "file:///mnt/volume/leads", True),
        (CELERY, "file:///mnt/share/in memory/leads", True),
        (CELERY, "file:///mnt/share", False),
        (CELERY, "file:///mnt/share/leads", False),
        (CELERY, "file:///mnt/sharelike/leads", True),
        (CELERY, "s3://aws_default@bucket/leads", False),
        ("LocalExecutor", "file:///tmp/leads", False),
    ],
)
def test_who_may_not_find_the_files_is_told(
    executor: str, uri: str, told: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    assert [resolve_folder(uri, CONTEXT) for _ in range(2)] == [uri] * 2
    assert [record.levelname for record in caplog.records] == ["WARNING"] * told, "once"
    assert not told or all(word in caplog.text for word in (uri, "Executor", "s3://", "shared_files"))


def test_staging_and_memory_are_told_of_as_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", CELERY)
    monkeypatch.setenv("AIRFLOW__LEADS__STAGING", "file:///tmp/staging")
    resolve_folder(None, CONTEXT)
    memory_uri(True, CONTEXT)
    memory_uri("file:///tmp/memories", CONTEXT)
    assert len(caplog.records) == 3 and "staging/memory/d" in caplog.text and "/tmp/memories" in caplog.text


def test_a_pods_own_disk_is_refused(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "KubernetesExecutor")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(ValueError, match=r"pod's own disk.*s3://.*shared_files"):
        resolve_folder("file:///opt/leads", CONTEXT)
    assert resolve_folder("file:///mnt/share/leads", CONTEXT)
    assert not caplog.records
    assert resolve_folder("file:///mnt/volume/leads", CONTEXT)
    assert len(caplog.records) == 1


def test_a_folder_that_is_mounted_everywhere_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", CELERY)
    monkeypatch.setenv("AIRFLOW__LEADS__SHARED_FILES", "True")
    resolve_folder("file:///tmp/leads", CONTEXT)
    assert not caplog.records


def test_where_mounts_are_not_listed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(paths, "_MOUNTS", Path("/nonexistent/mounts"))
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", CELERY)
    resolve_folder("file:///tmp/leads", CONTEXT)
    assert len(caplog.records) == 1
