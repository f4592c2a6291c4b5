"""None leaves after an answer has said "wait": threads against a server of another process that keeps arrival times."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from http_fakes import KEY, make_client

from airflow_providers_leads.http.auth import OriginAuth
from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import LeadsApiError, LeadsRateLimitError
from airflow_providers_leads.http.gate import leaving_by
from airflow_providers_leads.http.rate_limit import HeldBackError, NoRoomError, RateLimiter
from airflow_providers_leads.http.retry import RetryPolicy

# Answers after 10 ms; of every 40 requests in a row the last is refused, with the wait that its first argument says.
_SERVER = """
import asyncio, json, select, sys, time
hint, body, log = sys.argv[1], sys.argv[2].encode(), []
# Whose requests were there already when a refusal was written, though nobody had come to read them.
ways, early = set(), set()
async def serve(reader, writer):
    way = writer.get_extra_info("socket").fileno()
    ways.add(way)
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            arrived = 0.0 if way in early else time.monotonic()
            early.discard(way)
            length = [line for line in head.split(b"\\r\\n") if line.lower().startswith(b"content-length")]
            if length:
                await reader.readexactly(int(length[0].split(b":")[1]))
            if head.startswith(b"GET /log"):
                text = json.dumps(log).encode()
                writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(text) + text)
                continue
            number = len(log)
            log.append([arrived, 0.0])
            await asyncio.sleep(0.01)
            if number % 40 == 39:
                early.update(select.select(ways, [], [], 0)[0])
                writer.write(b"HTTP/1.1 429 Too Many Requests\\r\\n" + (b"Retry-After: %s\\r\\n" % hint.encode() if hint
                             else b"") + b"Content-Length: %d\\r\\n\\r\\n" % len(body))
                log[number][1] = time.monotonic()
                # What an answer says comes in pieces.
                await asyncio.sleep(0.03)
                writer.write(body)
            else:
                writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
    except asyncio.IncompleteReadError:
        ways.discard(way)
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
# On the way to the server, and from it to the thread that reads the answer; the server's own loop included.
_ON_THE_WAY = 0.005


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    command = [sys.executable, "-c", _SERVER, *request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


def client_of(origin: str, limiter: RateLimiter, **policy: Any) -> HttpClient:
    auth = OriginAuth(origin, lambda: {"x-api-key": KEY}, "crm 'test'")
    return HttpClient(
        origin=origin, auth=auth, label="crm 'test'", limiters={"default": limiter}, policy=RetryPolicy(**policy)
    )


def write(client: HttpClient, until: float, errors: list[LeadsApiError]) -> None:
    try:
        while time.monotonic() < until:
            client.request("POST", "/write", json={"inputs": list(range(200))})
    except LeadsApiError as error:
        errors.append(error)


def side_by_side(client: HttpClient, seconds: float) -> list[LeadsApiError]:
    errors: list[LeadsApiError] = []
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=write, args=(client, until, errors)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.mark.parametrize(
    ("server", "wait"),
    [
        pytest.param(("1", "{}"), 1.0, id="said by a header"),
        pytest.param(("", '{"message": "slow down"}'), 0.03, id="said by nothing but the status"),
    ],
    indirect=["server"],
)
def test_none_leaves_after_an_answer_has_said_wait(server: str, wait: float) -> None:
    """Row 19."""
    # A busy machine may hold one up on its way once; where nobody waits, every look finds many.
    assert any(late(server, wait) == [] for _ in range(3))


def late(server: str, wait: float) -> list[float]:
    """Return how many milliseconds after an answer that said wait others arrived that had not left before it."""
    client = client_of(server, RateLimiter(4000, 0.001), base=0.2)
    seen = len(departed(client))
    assert side_by_side(client, 4.0) == []
    log = departed(client)[seen:]
    refusals = [said for _, said in log if said]
    assert len(refusals) >= 2
    return [
        (arrived - said) * 1000 for said in refusals for arrived, _ in log if said + _ON_THE_WAY < arrived < said + wait
    ]


def departed(client: HttpClient) -> list[list[float]]:
    return json.loads(json.dumps(client.request("GET", "/log").body))


@pytest.mark.parametrize("server", [("300", "{}")], indirect=True)
def test_what_would_take_too_long_is_told_to_all_at_once(server: str) -> None:
    limiter = RateLimiter(4000, 0.001)
    client = client_of(server, limiter)
    errors = side_by_side(client, 20.0)
    assert [type(error) for error in errors] == [LeadsRateLimitError] * 4
    assert all(error.retry_after is not None and 290 < error.retry_after <= 300 for error in errors)
    assert not any(error.ambiguous for error in errors)
    with pytest.raises(LeadsRateLimitError, match="was not sent"):
        client.request("GET", "/log")


@pytest.mark.parametrize("server", [("1", "{}")], indirect=True)
def test_what_was_signed_before_is_held_back_and_takes_another_place(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 19: the answer of another thread comes between the place in the quota and the first byte."""
    limiter = RateLimiter(4000, 0.001)
    client = client_of(server, limiter)
    signed = client._signed

    def sign(*args: Any) -> Any:
        if not blocked:
            blocked.append(time.monotonic())
            limiter.block(0.3)
        return signed(*args)

    blocked: list[float] = []
    monkeypatch.setattr(client, "_signed", sign)
    client.request("POST", "/write", json={})
    monkeypatch.undo()
    [[arrived, _]] = client.request("GET", "/log").body
    assert arrived >= blocked[0] + 0.3


def test_the_gate_is_shut_while_blocked_and_only_for_its_own() -> None:
    limiter = RateLimiter(10, 1.0)
    with limiter.leaving(1, lambda way: False):
        pass
    limiter.answered(1)
    limiter.block(5)
    with pytest.raises(HeldBackError), limiter.leaving(1, lambda way: False):
        pytest.fail("a request left")
    with leaving_by(None):
        pass
    with pytest.raises(NoRoomError) as caught:
        limiter.acquire(longest_block=1)
    assert caught.value.said


def test_the_gate_is_in_every_way_out() -> None:
    session = make_client()._session
    for scheme in ("http", "https"):
        adapter: Any = session.get_adapter(f"{scheme}://crm.example")
        for manager in (adapter.poolmanager, adapter.proxy_manager_for("http://proxy.example:3128")):
            pool = manager.connection_from_url(f"{scheme}://crm.example")
            assert hasattr(pool.ConnectionCls, "getresponse") and pool.ConnectionCls.__module__.endswith("http.gate")
