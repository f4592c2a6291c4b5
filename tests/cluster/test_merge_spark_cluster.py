"""The merge on a standalone Spark cluster, a master and two workers, against the merge on DuckDB: the same rows."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pyspark
import pytest
from celery_cluster import BUCKET, Bucket

from airflow_providers_leads.leads.files.staging import StagingError, write_rows
from airflow_providers_leads.leads.merge.engine import DEFAULT_ENGINE
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.tasks.paths import storage_path

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated:DeprecationWarning"),
]

NEED = "Java is missing: run .ci/install-java, or install your system's Java 17"
START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = {
    "spark.default.parallelism": "2",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _until(text: str, log: Path, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while text not in log.read_text(errors="replace"):
        assert time.monotonic() < end, log.read_text(errors="replace")[-2000:]
        time.sleep(0.2)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a cluster and yield the engine's URL."""
    works = shutil.which("java") and subprocess.run(["java", "-version"], capture_output=True).returncode == 0
    if not works:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NEED)
    home, port = tmp_path_factory.mktemp("spark"), _free_port()
    command = str(Path(pyspark.__file__).parent / "bin" / "spark-class")
    package = str(Path(__file__).resolve().parents[2])
    environment = {
        **os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": package,
    }  # fmt: skip
    deploy, master = "org.apache.spark.deploy", f"spark://127.0.0.1:{port}"
    orders = {
        "master": [f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"],
        **{
            name: [f"{deploy}.worker.Worker", "--cores", "1", "--memory", "1g", "--webui-port", "0",
                   "--work-dir", str(home / name), master]
            for name in ("worker-1", "worker-2")
        },
    }  # fmt: skip
    processes = []
    patch = pytest.MonkeyPatch()
    try:
        for name, order in orders.items():
            log = home / f"{name}.log"
            with log.open("wb") as file:
                processes.append(
                    subprocess.Popen([command, *order], env=environment, stdout=file, stderr=subprocess.STDOUT)
                )
            _until("I have been elected leader" if name == "master" else "Successfully registered with master", log)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        yield f"{master}?" + "&".join(f"{name}={value}" for name, value in SETTINGS.items())
    finally:
        patch.undo()
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def _leads(count: int) -> Iterator[Lead]:
    rng = random.Random(6)
    for number in range(count):
        email = rng.choice((f"p{rng.randrange(count // 4)}@example.org",) * 9 + ("info@example.org", None))
        yield Lead(
            rng.choice(("hubspot", "persistiq")), "", str(number), email=email, email_key=email_key(email),
            city=rng.choice((None, "Ulm", "Köln")), company=rng.choice((None, "Acme GmbH", "é")),
            opted_out=rng.choice((None, None, True)), updated_at=START + timedelta(seconds=rng.randrange(9)),
        )  # fmt: skip


def _rows(path: Path) -> list[dict[str, Any]]:
    return sorted(pq.read_table(path).to_pylist(), key=repr)


def test_a_cluster_and_duckdb_agree_row_for_row(engine: str, tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/leads.parquet"
    write_rows(storage_path(uri), Lead, _leads(2_000))
    made = {}
    for name, url in (("duckdb", DEFAULT_ENGINE), ("cluster", engine)):
        outputs = {output: storage_path(f"file://{tmp_path}/{name}/{output}.parquet") for output in OUTPUTS}
        counts = merge_files([storage_path(uri)], outputs, policy=MergePolicy(), engine=url)
        made[name] = counts, {output: _rows(tmp_path / name / f"{output}.parquet") for output in OUTPUTS}
    assert made["cluster"] == made["duckdb"]
    assert made["duckdb"][0]["members"] > 1_000


def test_files_of_a_bucket_are_refused_with_the_reason(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bucket() as bucket:
        monkeypatch.setenv("AIRFLOW_CONN_BUCKET", bucket.connection())
        uri = storage_path(f"s3://bucket@{BUCKET}/leads.parquet")
        write_rows(uri, Lead, _leads(10))
        outputs = {output: storage_path(f"file://{tmp_path}/{output}.parquet") for output in OUTPUTS}
        with pytest.raises(StagingError, match=r"can't be read by the workers of a Spark cluster: .* Merge by duckdb"):
            merge_files([uri], outputs, policy=MergePolicy(), engine=engine)
    assert not list(tmp_path.iterdir())
