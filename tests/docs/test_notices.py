"""The recipe that tells people of a run, with Slack's and the mail's own providers, against stand-ins of both."""

from __future__ import annotations

import email
import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from block_runs import environment
from code_blocks import blocks

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import run_dag_file

(RECIPE,) = [block for block in blocks() if "SlackWebhookNotifier" in block.text]


class _Slack(BaseHTTPRequestHandler):
    got: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Mail(socketserver.StreamRequestHandler):
    got: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 stand-in\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (line := self.rfile.readline()).rstrip(b"\r\n") != b".":
                    lines.append(line)
                self.got.append(b"".join(lines).decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")


@contextmanager
def served(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[index]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_people_are_told_of_every_run_and_mailed_when_one_needs_a_look(tmp_path: Path) -> None:
    slack, mail = type("Slack", (_Slack,), {"got": []}), type("Mail", (_Mail,), {"got": []})
    file = tmp_path / "sync_and_tell.py"
    file.write_text(re.sub(r"s3://[\w@-]+", f"file://{tmp_path}", RECIPE.text))
    with (
        Sandbox(people=20, seed=7, limits=False) as sandbox,
        served(ThreadingHTTPServer(("127.0.0.1", 0), slack)) as slack_port,
        served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), mail)) as mail_port,
        environment(sandbox.connection_env()),
        pytest.MonkeyPatch.context() as patch,
    ):
        connections = {
            "slack_default": {"conn_type": "slackwebhook", "password": f"http://127.0.0.1:{slack_port}/services/T/B/x"},
            "smtp_default": {
                "conn_type": "smtp", "host": "127.0.0.1", "port": mail_port,
                "extra": {"disable_ssl": True, "disable_tls": True},
            },
        }  # fmt: skip
        for name, value in connections.items():
            patch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(value))
        assert run_dag_file(file, retries=0).state == "success"
        (text,) = [message["text"] for message in slack.got]
        assert text.startswith("sync_and_tell: succeeded. ")
        assert mail.got == []

        broken = json.loads(sandbox.connection_env()["AIRFLOW_CONN_PERSISTIQ_DEFAULT"])
        patch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", json.dumps({**broken, "password": "no-such-key"}))
        run_dag_file(file, retries=0)
        text = slack.got[1]["text"]
        assert text.startswith("sync_and_tell: needs a look. ")
        assert "Task upsert did not succeed" in text
        (letter,) = [email.message_from_string(one, policy=policy.default) for one in mail.got]
        assert (letter["subject"], letter["to"]) == ("Leads: sync_and_tell", "on-call@example.org")
        shown = letter.get_body(("html",)).get_content()  # type: ignore[union-attr]
        assert "needs a look" in shown
        assert "no-such-key" not in text + shown
        # Nobody's address stands in what is told.
        assert "@" not in re.sub(r"file://\S+", "", text + shown)
