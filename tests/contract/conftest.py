"""One sandbox per test module, for clients that are not ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_providers_leads.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=150, limits=False) as running:
        yield running
