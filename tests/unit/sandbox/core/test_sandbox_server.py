from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from sandbox_client import Client

from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.sandbox.core.limits import Window

ROOT = Path(__file__).parents[4]
COMMAND = [sys.executable, "-m", "airflow_providers_leads.sandbox"]
CONTACTS = "/crm/v3/objects/contacts"


def test_connections(sandbox: Sandbox) -> None:
    env = sandbox.connection_env()
    assert set(env) == {f"AIRFLOW_CONN_{name}_DEFAULT" for name in ("HUBSPOT", "PERSPECTIVE", "PERSISTIQ")}
    assert json.loads(env["AIRFLOW_CONN_HUBSPOT_DEFAULT"]) == {
        "conn_type": "hubspot",
        "host": sandbox.hubspot.origin,
        "password": sandbox.hubspot.key,
    }


def test_stats(serve) -> None:
    client = Client(serve().hubspot)
    client.get(CONTACTS, limit=1)
    client("POST", f"{CONTACTS}/search", {})
    client("POST", CONTACTS, {"properties": {"email": "ann@"}})
    client("GET", "/nowhere")
    stats = client.get("/_sandbox/stats")
    assert (stats["requests"], stats["writes"], stats["rate_limited"]) == (4, 1, 0)
    assert stats["by_method"] == {"GET": 2, "POST": 2}
    assert stats["by_status"] == {"200": 2, "400": 1, "404": 1}
    assert stats["by_route"]["POST /crm/v3/objects/{type}/search"] == 1
    assert stats["records"]["contacts"] == len(client.store.live)
    assert client.api.key not in json.dumps(stats)
    client("POST", "/_sandbox/reset-stats")
    assert client.get("/_sandbox/stats")["requests"] == 0


def test_people_are_told_on_every_port_without_a_key(sandbox: Sandbox) -> None:
    truths = [requests.get(f"{api.origin}/_sandbox/people", timeout=5).json() for api in sandbox.apis]
    assert truths[0] == truths[1] == truths[2]
    assert len(truths[0]) == len(sandbox.people)


@pytest.mark.parametrize(
    ("fault", "applied", "status"),
    [
        (Fault(cut=True), False, None),
        (Fault("after", cut=True), True, None),
        (Fault(status=503, body="<html>sorry</html>", headers={"Retry-After": "2"}), False, 503),
        (Fault("after", status=502, body={"status": "error"}), True, 502),
        (Fault(delay=0.2), True, 201),
    ],
)
def test_faults(serve, fault: Fault, applied: bool, status: int | None) -> None:
    client = Client(serve().hubspot)
    client.get(CONTACTS)
    client.api.faults = lambda index, call: fault if index == 0 and call.method == "POST" else None
    start = time.monotonic()
    if status is None:
        with pytest.raises(requests.ConnectionError):
            client("POST", CONTACTS, {"properties": {"email": "f@example.com"}})
        assert client.get("/_sandbox/stats")["by_status"]["cut"] == 1
    else:
        answer = client("POST", CONTACTS, {"properties": {"email": "f@example.com"}})
        assert answer.status_code == status
        assert all(answer.headers[key] == value for key, value in fault.headers.items())
    assert time.monotonic() - start >= fault.delay
    assert (client.store.resolve("f@example.com", "email") is not None) is applied
    assert client.get(CONTACTS)["results"], "the next request is served"


def test_rolling_and_fixed_windows() -> None:
    now = [0.0]
    rolling, fixed = (Window(2, 10, rolling=kind, now=lambda: now[0]) for kind in (True, False))
    for at, expected in (
        (0, (True, True)),
        (9, (True, True)),
        (9.5, (False, False)),
        (10, (True, True)),
        (11, (False, True)),
        (11.5, (False, False)),
    ):
        now[0] = at
        assert (rolling.spend().allowed, fixed.spend().allowed) == expected, at


def test_hubspot_limits(serve) -> None:
    client = Client(serve(limits=True, hubspot_burst=3, hubspot_search=2, time_scale=20).hubspot)
    answers = [client("GET", CONTACTS) for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert [a.headers["X-HubSpot-RateLimit-Remaining"] for a in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "500"
    assert answers[0].headers["X-HubSpot-RateLimit-Daily"] == "250000"
    body = answers[3].json()
    assert (body["policyName"], body["errorType"]) == ("TEN_SECONDLY_ROLLING", "RATE_LIMIT")
    searches = [client("POST", f"{CONTACTS}/search", {}) for _ in range(3)]
    assert [a.status_code for a in searches] == [200, 200, 429]
    assert not [name for a in searches for name in a.headers if "ratelimit" in name.lower()]
    assert "policyName" not in searches[2].json()
    time.sleep(0.55)
    assert client("GET", CONTACTS).status_code == 200
    assert client.get("/_sandbox/stats")["rate_limited"] == 2


def test_hubspot_daily_limit(serve) -> None:
    client = Client(serve(limits=True, hubspot_daily=1).hubspot)
    answers = [client("GET", CONTACTS) for _ in range(2)]
    assert answers[1].status_code == 429
    assert answers[1].json()["policyName"] == "DAILY"


def test_perspective_limits(serve) -> None:
    client = Client(serve(limits=True, time_scale=60).perspective)
    answers = [client("GET", "/v1/workspaces") for _ in range(101)]
    assert "RateLimit-Limit" not in answers[0].headers
    assert answers[95].headers["RateLimit-Remaining"] == "4"
    assert answers[100].status_code == 429
    assert answers[100].json() == {"error": "Rate limit exceeded", "status": 429, "retryAfter": 1}
    time.sleep(1)
    assert client("GET", "/v1/workspaces").status_code == 200


def test_persistiq_limits(serve) -> None:
    client = Client(serve(limits=True, persistiq_per_minute=2, time_scale=60).persistiq)
    answers = [client("GET", "/v1/tags") for _ in range(3)]
    assert [a.headers["X-RateLimit-Remaining"] for a in answers] == ["1", "0", "0"]
    body, reset = answers[2].json(), answers[2].headers["X-RateLimit-Reset"]
    assert (answers[2].status_code, set(body)) == (429, {"error"})
    assert body["error"]["message"].endswith(f"reseted at {reset}.")
    assert abs(int(reset) - time.time()) <= 2
    time.sleep(1)
    assert client("GET", "/v1/tags").status_code == 200


def test_restart_on_the_same_port() -> None:
    with Sandbox(people=3) as first:
        port = int(first.hubspot.origin.rpartition(":")[2])
        Client(first.hubspot).get(CONTACTS)
    with Sandbox(people=3, hubspot_port=port) as second:
        Client(second.hubspot).get(CONTACTS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command(tmp_path: Path, number: int) -> None:
    ready = tmp_path / "ready.json"
    ports = ["--hubspot-port", "0", "--perspective-port", "0", "--persistiq-port", "0"]
    process = subprocess.Popen(
        [*COMMAND, "--people", "5", *ports, "--no-limits", "--ready-file", str(ready)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        end = time.monotonic() + 20
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        found = json.loads(ready.read_text(encoding="utf-8"))
        answer = requests.get(
            f"{found['persistiq']['origin']}/v1/users", headers={"x-api-key": found["persistiq"]["key"]}, timeout=5
        )
        assert answer.status_code == 200
    finally:
        process.send_signal(number)
        output, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    exports = [line for line in output.splitlines() if line.startswith("export AIRFLOW_CONN_")]
    assert len(exports) == 3
    assert found["hubspot"]["origin"] in exports[0]


def test_command_with_a_busy_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--hubspot-port", port], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert port in done.stderr
