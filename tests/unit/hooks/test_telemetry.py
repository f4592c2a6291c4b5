"""Counters: which, how often, and with how few different tags."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import requests
import requests_mock as requests_mock_module
from airflow.providers.common.compat.sdk import Stats

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.hooks.telemetry import count_rows, status_class
from airflow_providers_leads.http.errors import LeadsApiError


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, ...]]:
    seen: Counter[tuple[str, ...]] = Counter()

    def incr(stat: str, count: int = 1, rate: float = 1, *, tags: Any = None) -> None:
        seen[(stat, *tags.values())] += count

    monkeypatch.setattr(Stats, "incr", incr)
    return seen


@pytest.mark.parametrize(
    ("status", "word"),
    [(200, "2xx"), (207, "2xx"), (302, "3xx"), (404, "4xx"), (429, "429"), (503, "5xx"), (None, "none")],
)
def test_a_status_is_one_of_a_few_words(status: int | None, word: str) -> None:
    assert status_class(status) == word


def test_each_request_that_was_sent_is_counted_once(
    counted: Counter[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock_module.Mocker
) -> None:
    conn = {"conn_type": "persistiq", "password": "secret-key-1", "extra": {"max_retries": 1}}
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(conn))
    hook = get_leads_hook("crm")
    hook.client.sleep = lambda seconds: None
    url = "https://api.persistiq.com/v1/users"
    users = {"json": {"users": [], "has_more": False}}
    requests_mock.get(url, [{"status_code": 503}, users])
    hook.test_connection()
    requests_mock.get(url, [{"status_code": 429, "headers": {"Retry-After": "1"}}, users])
    hook.test_connection()
    requests_mock.get(url, exc=requests.exceptions.ConnectTimeout)
    hook.client.policy = hook.client.policy.__class__(max_retries=0)
    with pytest.raises(LeadsApiError):
        hook.request("GET", "/v1/users")
    assert counted == {
        ("leads.requests", "persistiq", "5xx"): 1,
        ("leads.requests", "persistiq", "429"): 1,
        ("leads.requests", "persistiq", "2xx"): 2,
        ("leads.requests", "persistiq", "none"): 1,
    }


def test_leads_are_counted_by_what_became_of_them(counted: Counter[tuple[str, ...]]) -> None:
    count_rows("hubspot", {"created": 3, "failed": 0, "updated": 1})
    assert counted == {("leads.rows", "hubspot", "created"): 3, ("leads.rows", "hubspot", "updated"): 1}
