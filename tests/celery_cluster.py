"""Airflow on several machines for a test: PostgreSQL, Redis, a bucket, and Celery workers that share no folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from airflow_cluster import COMPONENTS, AirflowCluster, _free_ports
from cryptography.fernet import Fernet
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from postgres_process import PostgresProcess
from redis_process import RedisProcess
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "leads"


class Bucket:
    """A stand-in for S3 that refuses when it is told to, and tells of requests before it answers them."""

    def __init__(self) -> None:
        self._backend = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._app, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.refuses = False
        self._awaited: tuple[re.Pattern[str], Callable[[], None]] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Bucket:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client().create_bucket(Bucket=BUCKET)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def client(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="id", aws_secret_access_key="secret"
        )

    def connection(self) -> str:
        extra = {"endpoint_url": self.url, "region_name": "us-east-1"}
        return json.dumps({"conn_type": "aws", "login": "id", "password": "secret", "extra": extra})

    def at(self, pattern: str, act: Callable[[], None]) -> None:
        """Act once, at the first request whose method and path match, before it is answered."""
        self._awaited = (re.compile(pattern), act)

    def names(self) -> list[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def _app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            awaited = self._awaited
            met = awaited and awaited[0].search(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            if met:
                self._awaited = None
        if awaited and met:
            awaited[1]()
        if self.refuses:
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code></Error>"]
        answer: Iterator[bytes] = self._backend(environ, start_response)
        return answer


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Say nothing."""


class CeleryCluster(AirflowCluster):
    """Airflow with the CeleryExecutor; its workers are started by the test, each has a home and a temporary folder.

    :param home: an empty folder
    :param dags: the DAG files; each worker has copies of its own
    :param database: for the metadata
    :param broker: of Celery, and for the quotas
    :param bucket: for the files between the tasks
    :param environment: further environment variables
    :param triggerers: how many
    """

    def __init__(
        self,
        home: Path,
        dags: Iterable[Path],
        database: PostgresProcess,
        broker: RedisProcess,
        bucket: Bucket,
        environment: Mapping[str, str],
        triggerers: int = 1,
    ) -> None:
        at = f"postgres@127.0.0.1:{database.port}/postgres"
        settings = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{at}",
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://{at}",
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            # A worker that is gone is noticed within half a minute instead of five.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "25",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "40",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
            "AIRFLOW_CONN_BUCKET": bucket.connection(),
            "AIRFLOW__LEADS__STAGING": f"s3://bucket@{BUCKET}/leads",
            "AIRFLOW__LEADS__LIMITER_URL": broker.url,
            **environment,
        }
        further = [f"triggerer-{number}" for number in range(1, triggerers)]
        super().__init__(home, dags, settings, [*COMPONENTS, *further])
        self.ended_of_themselves: Counter[str] = Counter()
        self.restarts = False

    def keep_up(self, died: Sequence[str]) -> Sequence[str]:
        """Start again what has ended, as systemd or Kubernetes do, where the test says so."""
        if not self.restarts:
            return died
        for name in died:
            self.ended_of_themselves[name] += 1
            self.start_only(name)
        return ()

    def command(self, name: str) -> list[str]:
        """Return what runs a component; a worker's name begins with ``worker``, a further triggerer's with its kind."""
        if name.startswith("worker"):
            return ["celery", "worker", "-c", "2", "-H", name, "--skip-serve-logs"]
        return [name.partition("-")[0]] if name.startswith("triggerer") else [name]

    def environment_of(self, name: str) -> dict[str, str]:
        """Return the environment of a component, in which no folder is another's."""
        if not name.startswith(("worker", "triggerer")):
            return self.environment
        home = self.home / name
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.home / "dags", home / "dags", dirs_exist_ok=True)
        (port,) = _free_ports(1)
        return {
            **self.environment,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__LEADS__RATE_LIMIT_FOLDER": str(home / "quota"),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(port),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "machine_name.machine_name",
            "MACHINE_NAME": name,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")])),
            "TMPDIR": str(home / "tmp"),
        }
