"""A PostgreSQL of a test's own, in a temporary folder, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NEED = "PostgreSQL's initdb is missing: run .ci/install-postgresql, or install your system's PostgreSQL server"


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "/none")]
    if not found[-1].exists():
        # Where the suite is the gate, a test that was left out must not look like one that passed.
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NEED)
    return found[-1].parent


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class PostgresProcess:
    """A server that can be stopped and started again on its port.

    :param folder: an empty one
    """

    def __init__(self, folder: Path) -> None:
        self._binaries, self._folder, self.port = _binaries(), folder, _free_port()
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._as_user = ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(folder, user)
        self._command("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")

    def _command(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_user, str(self._binaries / name), "-D", str(self._folder / "data"), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/", timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}: {done.stdout}"

    def start(self) -> None:
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300"
        self._command("pg_ctl", "-w", "-t", "60", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._command("pg_ctl", "-m", "immediate", "stop")

    def connection(self) -> dict[str, Any]:
        """Return the connection to it as Airflow writes it."""
        return {
            "conn_type": "postgres", "host": "127.0.0.1", "port": self.port, "login": "postgres", "password": "none",
        }  # fmt: skip


@contextmanager
def running_postgres() -> Iterator[PostgresProcess]:
    """Start a server and yield it."""
    folder = Path(tempfile.mkdtemp(prefix="leads-postgres-"))
    try:
        server = PostgresProcess(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
