from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from airflow_providers_leads.http.quota.departures import Departures
from airflow_providers_leads.sandbox import Sandbox


@pytest.fixture(autouse=True)
def unbarred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a refusal bar nobody from asking again: pauses are counted here, not waited for."""
    monkeypatch.setattr(Departures, "blocked_until", property(lambda self: 0.0, lambda self, moment: None))


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """The three stand-ins, seeded with a past."""
    with Sandbox(people=60, seed=7, limits=False, anchor="2024-01-01T00:00:00Z") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The stand-ins and the connections to them."""
    for name, value in running.connection_env().items():
        extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 0}
        monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
    yield running
    for api in running.apis:
        api.faults = None


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return all that was logged, by whichever of Airflow's two ways."""
    caplog.set_level("INFO")
    return lambda: caplog.text + "".join(capfd.readouterr())
