"""One sandbox per test module, reached over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sandbox_client import Client

from airflow_providers_leads.sandbox import Sandbox, SandboxConfig


@pytest.fixture
def serve() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes with settings of the test's own."""
    running = []

    def start(**settings: Any) -> Sandbox:
        sandbox = Sandbox(SandboxConfig(people=40, limits=False), **settings).start()
        running.append(sandbox)
        return sandbox

    yield start
    for sandbox in running:
        sandbox.stop()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=150, seed=7, limits=False) as running:
        yield running


@pytest.fixture(scope="module")
def hubspot(sandbox: Sandbox) -> Client:
    return Client(sandbox.hubspot)


@pytest.fixture(scope="module")
def perspective(sandbox: Sandbox) -> Client:
    return Client(sandbox.perspective)


@pytest.fixture(scope="module")
def persistiq(sandbox: Sandbox) -> Client:
    return Client(sandbox.persistiq)
