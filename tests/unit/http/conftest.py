"""The tests of the wire talk to nobody but this machine."""

from __future__ import annotations

import logging

import pytest
from http_fakes import FakeClock, make_client

from airflow_providers_leads.http.client import HttpClient


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def client(clock: FakeClock) -> HttpClient:
    return make_client(clock)


@pytest.fixture(autouse=True)
def _quiet_mock() -> None:
    """The stand-in for the network logs whole URLs itself."""
    logging.getLogger("requests_mock").setLevel(logging.WARNING)
