from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from judged_requests import requests_are_known
from memory_world import World
from upsert_tries import hurried

from airflow_providers_leads.sandbox import Sandbox

__all__ = ["requests_are_known"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """CRMs without people, and a sync of theirs with a memory."""
    with Sandbox(people=0, limits=False) as sandbox, hurried():
        for name, value in sandbox.connection_env().items():
            monkeypatch.setenv(name, value)
        yield World(sandbox, tmp_path)
