from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_providers_leads.sandbox import Sandbox


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Three CRMs without rate limits, and the connections to them."""
    with Sandbox(people=120, seed=7, limits=False) as running:
        for name, value in running.connection_env().items():
            # The client paces itself by the vendors' documented limits; here nobody counts.
            extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 2}
            monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
        yield running
