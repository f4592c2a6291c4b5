"""Processes of one machine count into one window, and what can't be shared is kept by each for itself."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from http_fakes import KEY, ORIGIN, FakeClock

from airflow_providers_leads.http.quota import departures as module
from airflow_providers_leads.http.quota.departures import CAPACITY, Departures, shared_departures
from airflow_providers_leads.http.quota.windows import LocalWindow
from airflow_providers_leads.http.rate_limit import RateLimiter

ROOT = Path(module.__file__).parents[3]


def spent(window: Departures) -> int:
    return sum(window.nth_last(number) > 0 for number in range(1, 20))


def shared(folder: Path, key: str = KEY, bucket: str = "default", origin: str = ORIGIN) -> Departures:
    return shared_departures(folder, origin, key, bucket)


def test_what_one_opener_adds_the_other_sees(tmp_path: Path) -> None:
    one, other = shared(tmp_path), shared(tmp_path)
    with one:
        one.add(5.0)
        one.add(7.0)
        one.blocked_until = 9.0
    with other:
        assert [other.nth_last(number) for number in (1, 2, 3)] == [7.0, 5.0, float("-inf")]
        assert other.blocked_until == 9.0
        other.forget()
    assert (one.nth_last(1), one.blocked_until) == (float("-inf"), 0.0)


@pytest.mark.parametrize(
    "other", [{"key": "another"}, {"bucket": "search"}, {"origin": "https://other.example.com"}], ids=str
)
def test_each_key_bucket_and_origin_has_a_window_of_its_own(tmp_path: Path, other: dict[str, str]) -> None:
    with shared(tmp_path) as window:
        window.add(5.0)
    assert shared(tmp_path, **other).nth_last(1) == float("-inf")


def test_more_departures_than_are_remembered() -> None:
    window = Departures()
    for moment in range(CAPACITY + 10):
        window.add(float(moment))
    assert window.nth_last(1) == CAPACITY + 9
    assert window.nth_last(CAPACITY) == 10


def test_neither_key_nor_origin_stand_in_the_folder(tmp_path: Path) -> None:
    shared(tmp_path)
    (file,) = tmp_path.iterdir()
    assert KEY not in file.name and "example" not in file.name
    assert KEY.encode() not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0


def laid_out_by_someone_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    monkeypatch.setattr(module.os, "getuid", lambda: 4242)


def a_link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


def a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_text("")


def a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "ftruncate", refuse)


def no_locks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fcntl", None)


@pytest.mark.parametrize("spoil", [laid_out_by_someone_else, a_link, a_file, a_full_disk, no_locks])
def test_a_folder_that_cannot_be_used_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: object
) -> None:
    folder = tmp_path / "quota"
    spoil(folder, monkeypatch)  # type: ignore[operator]
    one, other = shared(folder), shared(folder)
    with one:
        one.add(5.0)
    assert one.nth_last(1) == 5.0
    assert other.nth_last(1) == float("-inf")


def test_two_limiters_on_one_file_keep_one_quota(tmp_path: Path, clock: FakeClock) -> None:
    limiters = [
        RateLimiter(10, 10.0, clock=clock, sleep=clock.sleep, window=LocalWindow(shared(tmp_path), clock))
        for _ in range(2)
    ]
    waited = [limiters[number % 2].acquire() for number in range(11)]
    assert waited[:10] == [0] * 10
    assert waited[10] == pytest.approx(10.1, abs=0.01)
    limiters[0].block(30)
    assert limiters[1].acquire() == pytest.approx(30, abs=0.01)


def test_times_from_before_the_machines_last_start_are_forgotten(tmp_path: Path, clock: FakeClock) -> None:
    with shared(tmp_path) as window:
        window.add(clock.now + 1_000_000)
        window.blocked_until = clock.now + 1_000_000
    limiter = RateLimiter(1, 10.0, clock=clock, sleep=clock.sleep, window=LocalWindow(shared(tmp_path), clock))
    assert limiter.acquire() == 0
    assert limiter.acquire() == pytest.approx(10.1, abs=0.01)


SPENDER = """
import sys, time
from pathlib import Path
from airflow_providers_leads.http.rate_limit import shared_limiter
limiter = shared_limiter("https://api.example.com", "k", "default", 20, 0.5, folder=Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
until = time.monotonic() + 2
while time.monotonic() < until:
    limiter.acquire()
    print(time.monotonic(), flush=True)
"""


def test_processes_keep_one_quota_and_none_starves(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, str(tmp_path)], cwd=ROOT, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline().strip() == "ready"
    times = [[float(line) for line in worker.communicate("go\n")[0].split()] for worker in workers]
    together = sorted(moment for moments in times for moment in moments)
    # Noted a little after they left, so the window is looked at a little shorter.
    assert max(sum(start <= t < start + 0.45 for t in together) for start in together) <= 20
    assert len(together) >= 60, "20 at once and 20 in each half second"
    assert min(map(len, times)) >= 5


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from airflow_providers_leads.http.quota.departures import shared_departures\n"
        "with shared_departures(Path(sys.argv[1]), 'https://api.example.com', 'k', 'default'):\n    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    started = time.monotonic()
    with shared(tmp_path, key="k") as window:
        window.add(1.0)
    assert time.monotonic() - started < 5
