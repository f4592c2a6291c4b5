"""Benchmark of a sync's tasks over a bucket: what each asks of it, reads from it and has in memory at its highest.

Each task has a process of its own, as on a worker; the bucket is moto's, in another process, which counts. There are
two tables: planning 200,000 people by 1, 2 and 8 partitions, and all tasks of a sync of 100,000. ``make bench-bucket``
runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from bench_clients import connect_unlimited, memory

_MARKS: Final = ("<!-- bench-bucket: begin -->", "<!-- bench-bucket: end -->")
_BUCKET: Final = "leads"
_URI: Final = f"s3://bench_bucket@{_BUCKET}"
_CRMS: Final = ("perspective_default", "hubspot_default", "persistiq_default")
_PARTITIONS: Final = (1, 2, 8)


# The bucket, in a process of its own ----------------------------------------------------------------------------------


def serve(port: int) -> None:
    """Serve a bucket, and at ``/counted`` what was asked of it since the last time that this was asked."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    backend = DomainDispatcherApplication(create_backend_app)
    counted = {"requests": 0, "read": 0, "written": 0}

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            """Say nothing."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        if environ["PATH_INFO"] == "/counted":
            start_response("200 OK", [("Content-Type", "application/json")])
            yield json.dumps(counted).encode()
            counted.update(dict.fromkeys(counted, 0))
            return
        counted["requests"] += 1
        counted["written"] += int(environ.get("CONTENT_LENGTH") or 0)
        for part in backend(environ, start_response):
            counted["read"] += len(part)
            yield part

    make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet).serve_forever()


@contextmanager
def bucket() -> Iterator[Callable[[], dict[str, int]]]:
    """Start a bucket and yield what tells what was asked of it; tasks of child processes find it."""
    import requests

    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    extra = {"endpoint_url": url, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "key-id", "password": "secret", "extra": extra}
    os.environ["AIRFLOW_CONN_BENCH_BUCKET"] = json.dumps(connection)
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(port)])
    try:
        _until_it_answers(url)
        _client(url).create_bucket(Bucket=_BUCKET)
        yield lambda: dict(requests.get(f"{url}/counted", timeout=60).json())
    finally:
        server.kill()
        server.wait()


def _client(url: str) -> Any:
    import boto3

    return boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="key-id", aws_secret_access_key="secret"
    )


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _until_it_answers(url: str) -> None:
    import requests

    for _ in range(600):
        try:
            requests.get(url, timeout=10)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("moto does not start")


# A task, in a process of its own --------------------------------------------------------------------------------------


def run(order: Mapping[str, Any]) -> dict[str, Any]:
    """Run an operator as a worker would and return its result, the seconds and the mebibytes it had at its highest."""
    from airflow_providers_leads.operators import leads, report

    operators = {**vars(leads), "LeadsReportOperator": report.LeadsReportOperator}
    operator = operators[order["operator"]](task_id=order["task_id"], **order["arguments"])
    ti = SimpleNamespace(
        dag_id="sync", run_id="r", task_id=order["task_id"], map_index=order["map_index"], try_number=1,
        get_task_states=lambda **_: {"r": {}},
    )  # fmt: skip
    dag_run = SimpleNamespace(run_id="r", logical_date=None, run_after=None, start_date=None)
    began = time.perf_counter()
    result = operator.execute({"ti": ti, "dag_run": dag_run})
    return {"result": result, "seconds": time.perf_counter() - began, "peak": memory("VmHWM") / 2**20}


class Tasks:
    """Runs tasks, and keeps what each took."""

    def __init__(self, counted: Callable[[], dict[str, int]]) -> None:
        self._counted = counted

    def run(self, operator: str, task_id: str, arguments: Mapping[str, Any], map_index: int = -1) -> dict[str, Any]:
        """Run a task; ``requests``, ``read`` and ``written`` (bytes) are what it asked of the bucket."""
        self._counted()
        return self._one(operator, task_id, arguments, map_index) | self._counted()

    def mapped(self, operator: str, task_id: str, each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Run mapped tasks, two at a time; what they asked of the bucket and the seconds of all are told together."""
        self._counted()
        began = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda pair: self._one(operator, task_id, pair[1], pair[0]), enumerate(each)))
        whole = {"wall": time.perf_counter() - began, "seconds": sum(one["seconds"] for one in found)}
        return (
            whole
            | {"peak": max(one["peak"] for one in found), "result": [one["result"] for one in found]}
            | (self._counted())
        )

    @staticmethod
    def _one(operator: str, task_id: str, arguments: Mapping[str, Any], map_index: int) -> dict[str, Any]:
        order = {"operator": operator, "task_id": task_id, "arguments": arguments, "map_index": map_index}
        command = [sys.executable, __file__, "--order", json.dumps(order)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{task_id}: {done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


# The tables -----------------------------------------------------------------------------------------------------------


def spread(counted: Callable[[], dict[str, int]], people: int, work: Path) -> str:
    """Plan people by different numbers of partitions and return the figures as a table in Markdown."""
    from bench_data import dataset

    url = json.loads(os.environ["AIRFLOW_CONN_BENCH_BUCKET"])["extra"]["endpoint_url"]
    inputs, tasks, rows = {}, Tasks(counted), []
    for file in dataset(work, people * 3 // 2, people):
        _client(url).upload_file(str(file), _BUCKET, f"extract/{file.name}")
        inputs[file.stem] = f"{_URI}/extract/{file.name}"
    for count in _PARTITIONS:
        output = f"{_URI}/{count}"
        merged = tasks.run(
            "LeadsDeduplicateOperator", "deduplicate",
            {"inputs": list(inputs.values()), "output": output, "partitions": count},
        )  # fmt: skip
        golden = merged["result"]["golden"]
        plan = {"conn_id": "hubspot_default", "existing": inputs["hubspot"], "output": f"{output}/plan"}
        planned = tasks.mapped(
            "LeadsUpsertOperator", "upsert",
            [{**plan, "golden": one, "dry_run": True} for one in ([golden] if isinstance(golden, str) else golden)],
        )  # fmt: skip
        rows.append(
            f"| {count} | {merged['seconds']:.1f} | {merged['written'] / 1e6:.0f} MB | {planned['requests']} "
            f"| {planned['read'] / 1e6:.1f} MB | {planned['seconds']:.1f} | {planned['wall']:.1f} "
            f"| {planned['peak']:.0f} MB |"
        )
        sys.stderr.write(rows[-1] + "\n")
    head = (
        "| partitions | merge, s | it writes | requests of the plans | they read | seconds, in sum "
        "| on two workers, with starts | most memory of one |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    return head + "\n".join(rows)


def sync(counted: Callable[[], dict[str, int]], people: int, work: Path) -> str:
    """Run a sync's tasks and return the figures of each as a table in Markdown."""
    files, tasks, rows = f"{_URI}/sync", Tasks(counted), []

    def task(operator: str, task_id: str, map_index: int = -1, /, **arguments: Any) -> Any:
        told = tasks.run(operator, re.split("[ ,]", task_id)[0], arguments, map_index)
        rows.append(
            f"| {task_id} | {told['seconds']:.1f} | {told['requests']} | {told['read'] / 1e6:.1f} MB "
            f"| {told['written'] / 1e6:.1f} MB | {told['peak']:.0f} MB |"
        )
        sys.stderr.write(rows[-1] + "\n")
        return told["result"]

    kept = {"memory": f"{_URI}/memory/sync"}
    for turn in ("first", "second"):
        output = f"{files}/{turn}"
        extracted = [
            task("LeadsExtractOperator", f"extract {conn_id}, {turn} run", place,
                 conn_id=conn_id, output=f"{output}/extract", **kept)
            for place, conn_id in enumerate(_CRMS)
        ]  # fmt: skip
        golden = task(
            "LeadsDeduplicateOperator", f"deduplicate, {turn} run", inputs=extracted, output=f"{output}/golden", **kept
        )
        for place, conn_id in enumerate(_CRMS[1:]):
            task("LeadsUpsertOperator", f"upsert {conn_id}, {turn} run", place, conn_id=conn_id, golden=golden,
                 existing=extracted, output=f"{output}/upsert", **kept)  # fmt: skip
        task("LeadsRememberOperator", f"remember, {turn} run", golden=golden)
        task("LeadsReportOperator", f"report, {turn} run", files=output, output=f"{_URI}/reports")
    head = "| task | seconds | requests | reads | writes | most memory |\n|---|---:|---:|---:|---:|---:|\n"
    return head + "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spread", type=int, default=200_000, help="people whose plan is spread; 0: not")
    parser.add_argument("--sync", type=int, default=100_000, help="people of the sync; 0: none")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "bench-merge", help="keeps the data")
    parser.add_argument("--write", type=Path, metavar="FILE", help="Markdown file whose section is replaced")
    parser.add_argument("--order", help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(options.serve)
    if options.order:
        sys.stdout.write(json.dumps(run(json.loads(options.order)), default=str) + "\n")
        return 0
    # Not at the module's head: what a task's process has loaded counts.
    from bench_merge import stands_on, write_section

    from airflow_providers_leads.sandbox import Sandbox

    parts = ["## A sync over a bucket"]
    for people, table, what in (
        (options.spread, spread, "Golden records in several files, of {:,} people, planned by mapped upserts"),
        (options.sync, sync, "The tasks of a sync with a memory, {:,} people; nobody limits requests"),
    ):
        if people:
            with Sandbox(people=0 if table is spread else people, seed=7, limits=False) as sandbox, bucket() as counted:
                connect_unlimited(sandbox)
                parts += [what.format(people) + ":", table(counted, people, options.work)]
    parts.append(
        f"{stands_on(['apache-airflow', 'duckdb', 'moto', 's3fs'])}. The bucket is moto's, on the same machine. Run it "
        "with `make bench-bucket`."
    )
    section = "\n\n".join(parts)
    sys.stdout.write(section + "\n")
    if options.write:
        write_section(options.write, section, _MARKS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
