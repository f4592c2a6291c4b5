"""What long work shows in a task's log."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
import requests
import requests_mock

from airflow_providers_leads import operators
from airflow_providers_leads.http.activity import ACTIVITY
from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.http.rate_limit import RateLimiter
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.tasks import progress as progress_module
from airflow_providers_leads.tasks.progress import Display, Progress, heartbeat, phase

MODULES = [
    importlib.import_module(one.name) for one in pkgutil.iter_modules(operators.__path__, f"{operators.__name__}.")
]
LEADS_OPERATORS = sorted(
    {
        cls
        for module in MODULES
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, LeadsOperator) and not inspect.isabstract(cls)
    },
    key=lambda cls: cls.__name__,
)


class Log:
    """Keeps the lines of a task."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str, *values: Any) -> None:
        self.lines.append(message % values)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_phase_folds_what_is_logged_in_it_and_nothing_after() -> None:
    log = Log()
    with phase(log, "Read 100% of it"):
        log.info("within")
    log.info("after")
    assert log.lines == ["::group::Read 100% of it", "within", "::endgroup::", "after"]


def test_an_error_stands_outside_of_the_phase_that_it_ends() -> None:
    log = Log()
    with pytest.raises(KeyError), phase(log, "Read"):
        raise KeyError
    assert log.lines[-1] == "::endgroup::"


@pytest.mark.parametrize(
    ("total", "lines"),
    [
        (None, ["x: read 1500, 50 per second", "x: read 2500, 75 per second"]),
        (
            4000,
            [
                "x: read 1500 of 4000, 50 per second, about 50 s left",
                "x: read 2500 of 4000, 75 per second, about 20 s left",
            ],
        ),
    ],
)
def test_progress_is_told_every_ten_seconds_and_counts_from_where_it_began(total: Any, lines: list[str]) -> None:
    log, clock = Log(), Clock()
    progress = Progress(log, "x: read", total=total, done=1000, clock=clock)
    for now, done in ((109.9, 1400), (110.0, 1500), (115.0, 2000), (119.9, 2400), (120.0, 2500)):
        clock.now = now
        progress.at(done)
    assert log.lines == lines


def test_work_that_has_not_moved_is_told_without_a_division_by_zero() -> None:
    log, clock = Log(), Clock()
    progress = Progress(log, "x", total=5, clock=clock)
    clock.now += 10
    progress.at(0)
    assert log.lines[0].startswith("x 0 of 5, 0 per second, about ")


def test_a_display_is_told_each_time_and_only_while_it_draws() -> None:
    class Screen(Display):
        draws = True

        def __init__(self) -> None:
            self.drawn: list[Any] = []
            self.lines: list[str] = []

        def draw(self, what: str, done: int, total: int | None) -> None:
            self.drawn.append((what, done, total))

        def info(self, message: str, *values: Any) -> None:
            self.lines.append(message % values)

    screen, clock = Screen(), Clock()
    progress = Progress(screen, "x", total=5, clock=clock)
    progress.at(1)
    screen.draws = False
    clock.now += 10
    progress.at(2)
    assert screen.drawn == [("x", 1, 5)]
    assert len(screen.lines) == 1


def wait_for(log: Log, words: str) -> str:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if line := next((line for line in log.lines if words in line), None):
            return line
        time.sleep(0.01)
    raise AssertionError(log.lines)


def test_a_wait_is_told_of_with_what_is_waited_for() -> None:
    """Row 54: an answer that takes long, a place in a quota, and work without any request."""
    log, stop = Log(), threading.Event()

    def sleep(_: float) -> None:
        stop.wait()
        raise TimeoutError

    limiter = RateLimiter(1, 60.0, sleep=sleep)
    client = HttpClient("https://api.example", lambda request: request, "crm 'x'", limiters={"default": limiter})  # type: ignore[arg-type]

    def in_vain() -> None:
        with suppress(TimeoutError):
            client.request("GET", "/leads")

    def slow(request: Any, context: Any) -> dict[str, Any]:
        wait_for(log, "waits for the answer to GET /leads/{id}")
        return {}

    with requests_mock.Mocker() as api, heartbeat(log, 0.05):
        wait_for(log, "at work; 0 answers")
        api.get("https://api.example/leads/7", json=slow)
        client.request("GET", "/leads/{id}", path_params={"id": "7"})
        # The answer has come, and whatever goes on needs none.
        wait_for(log, "at work; 1 answers")
        waiting = threading.Thread(target=in_vain, daemon=True)
        waiting.start()
        line = wait_for(log, "crm 'x' waits for a place in its quota; 1 answers")
        stop.set()
        waiting.join()
    assert "s since the start" in line
    seen = len(log.lines)
    time.sleep(0.2)
    assert len(log.lines) == seen


def test_a_host_that_does_not_answer_is_no_answer() -> None:
    before = ACTIVITY.answers
    with requests_mock.Mocker() as api:
        api.get("https://api.example/leads", exc=requests.ConnectionError)
        client = HttpClient("https://api.example", lambda request: request, "crm 'x'", sleep=lambda _: None)  # type: ignore[arg-type]
        with pytest.raises(LeadsApiError):
            client.request("GET", "/leads")
        assert api.call_count
    assert ACTIVITY.answers == before


def test_nothing_is_told_beside_other_lines() -> None:
    """Row 54: work that tells how far it is says so alone."""
    log = Log()
    progress = Progress(log, "read")
    with heartbeat(log, 0.5):
        for number in range(10):
            progress._logged = -100.0
            progress.at(number)
            time.sleep(0.1)
    assert not [line for line in log.lines if "since the start" in line]


@pytest.mark.parametrize("cls", LEADS_OPERATORS, ids=lambda cls: cls.__name__)
def test_every_operator_tells_of_its_waits(cls: type[LeadsOperator], monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 54: an upsert, an enrolment, a lookup and all others."""
    monkeypatch.setattr(progress_module, "PROGRESS_SECONDS", 0.05)
    log = Log()
    operator = cls.__new__(cls)
    monkeypatch.setattr(cls, "log", log, raising=False)
    monkeypatch.setattr(cls, "output_folder", lambda self, context: None)
    monkeypatch.setattr(cls, "run", lambda self, context: wait_for(log, "since the start"))
    assert "at work" in operator._checked_run({})
