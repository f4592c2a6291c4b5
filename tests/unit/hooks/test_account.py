"""The mark of a connection's account: it follows the account, not the connection's name, and costs nothing unasked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests_mock

from airflow_providers_leads.hooks import account
from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.http.errors import LeadsServerError

DETAILS = "https://api.hubapi.com/account-info/2026-03/details"
OAUTH = {"client_id": "i", "client_secret": "s", "refresh_token": "r"}


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    account._IDS.clear()
    yield
    account._IDS.clear()


def hook(monkeypatch: pytest.MonkeyPatch, crm: str = "hubspot", key: str | None = "one-secret", **more: Any) -> Any:
    """Return the hook of the one connection, with these settings in it now."""
    told = {"conn_type": crm, "password": key, "extra": {"max_retries": 0}} | more
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(told))
    return get_leads_hook("crm")


@pytest.mark.parametrize("crm", ["hubspot", "persistiq", "perspective"])
@pytest.mark.parametrize("changed", [{"key": "another-secret"}, {"host": "https://other.example"}], ids=["key", "host"])
def test_row_34_another_key_or_origin_is_another_account(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker, crm: str, changed: dict[str, Any]
) -> None:
    mark = hook(monkeypatch, crm).known_account
    assert hook(monkeypatch, crm).is_account(mark)
    assert not hook(monkeypatch, crm, **changed).is_account(mark)
    assert "secret" not in mark
    assert not requests_mock.called


@pytest.mark.parametrize("crm", ["persistiq", "perspective"])
def test_a_crm_without_account_ids_is_never_asked(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker, crm: str
) -> None:
    assert hook(monkeypatch, crm).account == hook(monkeypatch, crm).known_account
    assert not requests_mock.called


@pytest.mark.parametrize(
    "rotated", [{"key": "rotated"}, {"key": None, "extra": OAUTH}], ids=["another token", "an OAuth app instead"]
)
def test_rotating_the_key_within_a_portal_is_no_other_account(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker, rotated: dict[str, Any]
) -> None:
    requests_mock.get(DETAILS, json={"portalId": 4711})
    requests_mock.post("https://api.hubapi.com/oauth/2026-03/token", json={"access_token": "t", "expires_in": 1800})
    mark = hook(monkeypatch).account
    assert "4711" not in mark
    assert hook(monkeypatch, **rotated).is_account(mark)
    requests_mock.get(DETAILS, json={"portalId": 4712})
    account._IDS.clear()
    assert not hook(monkeypatch, **rotated).is_account(mark)


def test_the_id_is_asked_for_once_and_not_at_all_when_a_mark_of_the_same_key_has_it(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker
) -> None:
    asked = requests_mock.get(DETAILS, json={"portalId": 4711})
    mark = hook(monkeypatch).account
    assert hook(monkeypatch).account == mark
    assert asked.call_count == 1
    account._IDS.clear()
    assert hook(monkeypatch).is_account(mark)
    assert hook(monkeypatch).account == mark
    assert asked.call_count == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_key_that_may_not_ask_is_known_by_itself(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker, status: int
) -> None:
    requests_mock.get(DETAILS, status_code=status)
    assert hook(monkeypatch).account == hook(monkeypatch).known_account


def test_a_failure_says_nothing_about_the_account(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker
) -> None:
    requests_mock.get(DETAILS, json={"portalId": 4711})
    mark = hook(monkeypatch).account
    requests_mock.get(DETAILS, status_code=500)
    with pytest.raises(LeadsServerError):
        hook(monkeypatch, key="rotated").is_account(mark)


@pytest.mark.parametrize("mark", ["", "key:", "sandbox", "key:0 id:1", "key:0123456789abcdef0"])
def test_what_is_no_mark_is_no_account(monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    assert not hook(monkeypatch).is_account(mark)


@pytest.mark.parametrize("version", ["v3", "2025-09", "2026-03", "2026-09"])
def test_the_account_is_asked_for_in_the_connections_version(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker, version: str
) -> None:
    root = f"https://api.hubapi.com/account-info/{version}"
    requests_mock.get(f"{root}/details", json={"portalId": 4711})
    usage = {"results": [{"usageLimit": 500, "currentUsage": 120}]}
    requests_mock.get(f"{root}/api-usage/daily/private-apps", json=usage)
    asking = hook(monkeypatch, extra={"api_version": version})
    assert "id:" in asking.account
    assert "Calls left today: 380 of 500." in asking.limits_left()
