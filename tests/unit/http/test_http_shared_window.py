"""Machines that share a Redis keep one quota, fairly; one that loses it goes on by itself."""

from __future__ import annotations

import itertools
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from http_fakes import KEY, ORIGIN
from redis_process import PASSWORD, RedisProcess, running_redis

from airflow_providers_leads.http.quota import redis_store
from airflow_providers_leads.http.quota.departures import Departures
from airflow_providers_leads.http.quota.redis_store import RedisStore, store_at
from airflow_providers_leads.http.quota.shared import SharedWindow, Store
from airflow_providers_leads.http.quota.windows import LocalWindow
from airflow_providers_leads.http.rate_limit import HeldBackError, NoRoomError, RateLimiter, shared_limiter

ROOT = Path(redis_store.__file__).parents[3]
_NUMBERS = itertools.count()

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with running_redis() as process:
        yield process


@pytest.fixture
def store(server: RedisProcess) -> RedisStore:
    if server.process is None:
        server.start()
    with server.client() as client:
        client.flushall()
    store_at.cache_clear()
    return store_at(server.url)


def machine(store: Store, limit: int, period: float, *, clock_ahead: float = 0.0, name: str = "w") -> RateLimiter:
    """Return the limiter of one process on a machine of its own."""
    who = f"process{next(_NUMBERS)}"
    local = LocalWindow(Departures(), lambda: time.monotonic() + clock_ahead)
    return RateLimiter(limit, period, window=SharedWindow(store, name, local, lambda: who))


def spend(limiters: Sequence[RateLimiter], seconds: float, latency: Sequence[float] = ()) -> list[list[float]]:
    """Let each limiter be used for some seconds; return when each let requests through."""
    until = time.monotonic() + seconds
    departures: list[list[float]] = [[] for _ in limiters]

    def use(number: int) -> None:
        while time.monotonic() < until:
            limiters[number].acquire()
            departures[number].append(time.monotonic())
            if latency:
                time.sleep(latency[number])
            limiters[number].arrived()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(len(limiters))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return departures


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def fullest(departures: Sequence[Sequence[float]], period: float) -> int:
    times = sorted(itertools.chain(*departures))
    return max(sum(start <= moment < start + period for moment in times) for start in times)


@pytest.mark.parametrize(
    ("machines", "limit", "period"),
    [
        *(pytest.param(*case, marks=pytest.mark.story) for case in ((2, 20, 1.0), (4, 40, 1.0))),
        (8, 40, 1.0),
        (8, 16, 0.5),
    ],
)
def test_machines_keep_one_quota_fairly_and_use_it(store: RedisStore, machines: int, limit: int, period: float) -> None:
    seconds = 3.5 * period
    departures = spend([machine(store, limit, period) for _ in range(machines)], seconds)
    # Noted a little after they left, so the window is looked at a little shorter.
    assert fullest(departures, 0.95 * period) <= limit
    assert sum(map(len, departures)) >= 0.85 * 4 * limit, "at once, and after each of three windows"
    # The first window is whose who comes first: nobody else waits for a place yet.
    began = min(itertools.chain(*departures)) + period
    counts = [sum(moment >= began for moment in times) for times in departures]
    assert max(counts) <= 2 * min(counts) + 2


def test_the_slow_find_places_beside_the_fast(store: RedisStore) -> None:
    fast, slow = spend([machine(store, 40, 1.0) for _ in range(2)], 5.0, [0.0, 0.04])
    # It could send 25 a second by itself; half of the quota is 20.
    late = sum(moment > fast[0] + 2 for moment in slow)
    assert late >= 0.7 * 20 * 3
    assert sum(moment > fast[0] + 2 for moment in fast) >= 0.7 * 20 * 3


def test_threads_get_a_process_no_more_than_its_share(store: RedisStore) -> None:
    busy, single = machine(store, 20, 0.5), machine(store, 20, 0.5)
    *threads, alone = spend([busy, busy, busy, busy, single], 2.0)
    assert sum(map(len, threads)) <= 2 * len(alone)


def test_the_workers_clocks_do_not_matter(store: RedisStore) -> None:
    limiters = [machine(store, 20, 0.5, clock_ahead=ahead) for ahead in (0.0, 1e6, -1e3)]
    departures = spend(limiters, 1.6)
    assert fullest(departures, 0.47) <= 20
    assert sum(map(len, departures)) >= 60


def test_a_request_counts_from_its_arrival(store: RedisStore) -> None:
    first, second = machine(store, 1, 2.0), machine(store, 1, 2.0)
    first.acquire()
    time.sleep(0.05)
    first.arrived()
    arrived = time.monotonic()
    # What it knows of the arrival it says with its next request.
    assert first.left() == 0
    second.acquire()
    assert 2.0 <= time.monotonic() - arrived < 2.0 + 0.2


def test_what_never_arrived_counts_as_if_it_had_been_late(store: RedisStore) -> None:
    first, second = machine(store, 1, 1.0), machine(store, 1, 1.0)
    first.acquire()
    left = time.monotonic()
    second.acquire()
    assert 1.03 <= time.monotonic() - left < 1.3


def test_a_block_holds_all_machines_and_the_longest_wins(store: RedisStore) -> None:
    first, second = machine(store, 100, 1.0), machine(store, 100, 1.0)
    second.acquire()
    first.block(0.6)
    first.block(0.2)
    blocked = time.monotonic()
    assert first.left() == 0
    with pytest.raises(NoRoomError) as caught:
        second.acquire(longest_block=0.1)
    assert caught.value.said
    # What it learned holds back what has its place already.
    with pytest.raises(HeldBackError), second.leaving(1, lambda way: False):
        pytest.fail("a request left")
    second.acquire()
    assert 0.55 <= time.monotonic() - blocked < 1.0


def test_who_waits_learns_of_a_block_meanwhile(store: RedisStore) -> None:
    first, second = machine(store, 1, 0.5), machine(store, 1, 0.5)
    first.acquire()
    began = time.monotonic()
    timer = threading.Timer(0.2, first.block, (1.0,))
    timer.start()
    second.acquire()
    assert time.monotonic() - began >= 1.15
    timer.join()


def test_who_gives_up_leaves_the_line(store: RedisStore, server: RedisProcess) -> None:
    first, second, third = (machine(store, 1, 0.5) for _ in range(3))
    first.acquire()
    with pytest.raises(NoRoomError) as caught:
        second.acquire(within=0.1)
    assert 0.1 < caught.value.seconds <= 0.6 and not caught.value.said
    with server.client() as client:
        assert client.hgetall("leads:quota:{w}:waiting") == {}
    began = time.monotonic()
    third.acquire()
    assert time.monotonic() - began < 0.7


def test_who_was_killed_while_waiting_holds_nobody_up_for_long(store: RedisStore) -> None:
    first, gone, third = (machine(store, 2, 0.5) for _ in range(3))
    first.acquire()
    first.acquire()
    assert gone._window.take(2, 0.5).place is None
    began = time.monotonic()
    third.acquire()
    third.acquire()
    assert time.monotonic() - began < 1.5


def test_what_others_spend_is_told_from_what_machines_spend_together(store: RedisStore) -> None:
    limiters = [machine(store, 40, 5.0) for _ in range(4)]
    for limiter in limiters:
        for _ in range(10):
            limiter.acquire()
    limiters[3].hear(0, None)
    assert limiters[3]._window.blocked() == 0
    other = machine(store, 40, 5.0, name="of another key")
    other.acquire()
    other.hear(0, 0.3)
    assert 0.2 < other._window.blocked() <= 0.3


class Slow:
    """A store that takes its time."""

    def __init__(self, store: RedisStore, seconds: float) -> None:
        self.store, self.seconds, self.asked = store, seconds, 0

    def take(self, name: str, arguments: Sequence[str]) -> list[str] | None:
        self.asked += 1
        time.sleep(self.seconds)
        return self.store.take(name, arguments)


def test_a_near_store_is_asked_once_for_a_request(store: RedisStore) -> None:
    near = Slow(store, 0.0)
    limiter = machine(near, 100, 10.0)
    for _ in range(50):
        limiter.acquire()
        limiter.arrived()
    assert near.asked <= 50


def test_a_far_store_lets_several_through_at_a_time_and_gets_back_what_is_left(store: RedisStore) -> None:
    far = Slow(store, 0.02)
    limiter = machine(far, 100, 10.0)
    for _ in range(50):
        limiter.acquire()
        limiter.arrived()
    assert far.asked <= 20
    taken = 50
    # Until some are lent that nobody has used: how many at a time depends on how fast this machine is.
    while taken < 70 and machine(store, 100, 10.0).left() >= 100 - taken:
        limiter.acquire()
        limiter.arrived()
        taken += 1
    assert machine(store, 100, 10.0).left() < 100 - taken
    time.sleep(0.3)
    limiter.acquire()
    assert limiter.left() >= 100 - (taken + 1) - 4, "those of the last lease at most"


def test_what_stands_in_the_store_tells_nothing(store: RedisStore, server: RedisProcess, tmp_path: Path) -> None:
    address = "https://jane.doe@api.example.com"
    for origin in (ORIGIN, address):
        limiter = shared_limiter(origin, KEY, f"bucket {origin}", 7, 10.0, folder=tmp_path, store_url=server.url)
        limiter.acquire()
        limiter.arrived()
        limiter.block(0.01)
    stored = []
    with server.client() as client:
        for name in client.scan_iter():
            kind = client.type(name)
            stored.append(
                (name, client.hgetall(name) if kind == "hash" else client.zrange(name, 0, -1, withscores=True))
            )
            assert client.pttl(name) > 0, "nothing stays for good"
    assert len(stored) >= 4
    text = json.dumps(stored)
    assert not any(word in text for word in (KEY, "example", "jane", socket.gethostname(), str(tmp_path)))


def test_a_store_that_goes_is_done_without_and_comes_back(
    store: RedisStore, server: RedisProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "_LOOK_AGAIN", 0.1)
    caplog.set_level(logging.INFO)
    one, other = machine(store, 40, 6.0), machine(store, 40, 6.0)
    for _ in range(4):
        one.acquire()
        other.acquire()
    server.stop()
    began = time.monotonic()
    for _ in range(5):
        one.acquire()
        one.arrived()
    assert time.monotonic() - began < 1
    assert one.left() == 40 - 4 - 5, "its own are known"
    one.block(0.01)
    time.sleep(0.3)
    [said] = warnings_in(caplog)
    assert f"127.0.0.1:{server.port}" in said and "each machine" in said
    server.start()
    until = time.monotonic() + 10
    while "share quotas again" not in caplog.text and time.monotonic() < until:
        time.sleep(0.05)
    assert caplog.text.count("share quotas again") == 1
    # The new one is empty; what left while it was away is told to it.
    one.acquire()
    time.sleep(0.6)
    assert other.left() == 20, "its share; 34 are free"
    with server.client() as client:
        assert client.zcard("leads:quota:{w}:places") == 6
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("first", [True, False], ids=["from the start", "later"])
def test_a_store_that_hangs_costs_less_than_a_second(
    store: RedisStore, server: RedisProcess, caplog: pytest.LogCaptureFixture, first: bool
) -> None:
    limiter = machine(store, 100, 10.0)
    if not first:
        limiter.acquire()
    assert server.process
    server.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        for _ in range(20):
            limiter.acquire()
            limiter.arrived()
        assert time.monotonic() - began < 1
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert len(warnings_in(caplog)) == 1


def test_a_host_that_is_not_there_costs_less_than_a_second(caplog: pytest.LogCaptureFixture) -> None:
    limiter = machine(store_at("redis://user:secret-1@host-that-is-not-there.invalid/0"), 100, 10.0)
    began = time.monotonic()
    assert [limiter.acquire() for _ in range(100)] == [0.0] * 100
    assert time.monotonic() - began < 1.2
    assert limiter.left() == 0, "the quota of this machine is kept"
    assert len(warnings_in(caplog)) == 1 and "secret-1" not in caplog.text


def test_a_wrong_password_is_said_once_and_not_shown(
    store: RedisStore, server: RedisProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "_LOOK_AGAIN", 0.05)
    for url in (f"redis://:wrong-secret-2@127.0.0.1:{server.port}/0", f"redis://127.0.0.1:{server.port}/0"):
        caplog.clear()
        limiters = [machine(store_at(url), 5, 10.0, name=name) for name in ("default", "search")]
        assert [limiter.acquire() for limiter in limiters for _ in range(3)] == [0.0] * 6
        time.sleep(0.3)
        [said] = warnings_in(caplog)
        assert "user name or password" in said and "limiter_url" in said
        assert "secret-2" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:se/cret-3@host:6379/0",
        "redis://user:se#cret-3@host/0",
        "redis://host:secret-3/0",
        "amqp://user:secret-3@host//",
        "secret-3",
        "redis://:secret-3@host:6379/cret-3",
    ],
)
def test_what_is_no_url_is_said_without_it(url: str, caplog: pytest.LogCaptureFixture) -> None:
    limiter = machine(store_at(url), 2, 10.0)
    assert [limiter.acquire(), limiter.acquire()] == [0.0, 0.0]
    assert limiter.left() == 0
    assert len(warnings_in(caplog)) == 1 and "cret-3" not in caplog.text


def test_a_missing_library_is_named(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "airflow_providers_leads.http.quota.redis_client", raising=False)
    store_at.cache_clear()
    limiter = machine(store_at("redis://host/0"), 2, 10.0)
    limiter.acquire()
    assert "airflow-providers-leads[redis]" in caplog.text


def test_a_user_who_may_not_run_scripts_is_told_so(
    store: RedisStore, server: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">secret-4", "~*", "+@read", "+ping")
    limiter = machine(store_at(f"redis://reader:secret-4@127.0.0.1:{server.port}/0"), 2, 10.0)
    assert limiter.acquire() == 0
    assert "permissions" in caplog.text and "secret-4" not in caplog.text


SPENDER = """
import sys, time
from pathlib import Path
from airflow_providers_leads.http.rate_limit import shared_limiter
folder, url = sys.argv[1:]
limiter = shared_limiter("https://api.example.com", "k", "default", 40, 1.0, folder=Path(folder), store_url=url)
limiter.left()
print("ready", flush=True)
sys.stdin.readline()
until = time.monotonic() + 3.5
while time.monotonic() < until:
    limiter.acquire()
    print(time.monotonic(), flush=True)
    limiter.arrived()
"""


def test_processes_of_several_machines_keep_one_quota_and_none_starves(
    store: RedisStore, server: RedisProcess, tmp_path: Path
) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, str(tmp_path / str(number // 2)), server.url], cwd=ROOT, text=True,
            bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for number in range(4)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline().strip() == "ready"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
    times = [[float(line) for line in worker.communicate()[0].split()] for worker in workers]
    assert fullest(times, 0.95) <= 40
    assert sum(map(len, times)) >= 140
    assert max(map(len, times)) <= 2 * min(map(len, times))
