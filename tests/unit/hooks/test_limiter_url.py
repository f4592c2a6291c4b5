"""The option ``[leads] limiter_url`` reaches the limiters of every CRM's hook, and stays secret."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from airflow.providers.common.compat.sdk import conf
from redis_process import PASSWORD, RedisProcess, running_redis

from airflow_providers_leads.get_provider_info import CRMS, get_provider_info
from airflow_providers_leads.hooks.base import get_leads_hook

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with running_redis() as process:
        yield process


@pytest.mark.parametrize("crm", [str(crm["conn_type"]) for crm in CRMS])
def test_requests_of_every_crm_are_counted_there(
    crm: str, server: RedisProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = f"secret-key-of-{crm}-8151"
    monkeypatch.setenv("AIRFLOW__LEADS__LIMITER_URL", server.url)
    monkeypatch.setenv("AIRFLOW_CONN_SHARED", json.dumps({"conn_type": crm, "password": key}))
    limiter = get_leads_hook("shared").client.limiters["default"]
    with server.client() as client:
        client.flushall()
        limiter.acquire()
        names = client.keys("*")
        assert {client.zcard(name) for name in names if name.endswith("places")} == {1}
        assert not any(key in name or crm in name for name in names)
    assert PASSWORD not in caplog.text


def test_without_it_no_store_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__LEADS__LIMITER_URL", "")
    monkeypatch.setenv("AIRFLOW_CONN_ALONE", json.dumps({"conn_type": CRMS[0]["conn_type"], "password": "key-alone"}))
    limiter = get_leads_hook("alone").client.limiters["default"]
    assert type(limiter._window).__name__ == "LocalWindow"


@pytest.mark.parametrize("option", ["limiter_url", "memory_key"])
def test_airflow_hides_it(option: str) -> None:
    assert get_provider_info()["config"]["leads"]["options"][option]["sensitive"] is True
    assert ("leads", option) in conf.sensitive_config_values
