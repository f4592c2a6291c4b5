"""Hooks for the HubSpot tests: no waiting, no quota, every request seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests_mock

from airflow_providers_leads.hooks.hubspot import HubSpotHook

ORIGIN = "https://api.hubapi.com"
CONTACTS = "/crm/objects/2026-03/contacts"
Make = Callable[..., HubSpotHook]


def make_hook(monkeypatch: pytest.MonkeyPatch, **conn: Any) -> HubSpotHook:
    """Return a hook on a connection of its own."""
    given = {"conn_type": "hubspot", "password": "pat-eu1-secret-key", **conn}
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(given))
    return HubSpotHook()


def quick(hook: HubSpotHook) -> HubSpotHook:
    """Take the waiting out of a hook."""
    hook.client.sleep = lambda seconds: None
    hook.client.limiters = {}
    return hook


def record(i: int | str, **properties: Any) -> dict[str, Any]:
    """Return a contact as HubSpot gives it."""
    return {
        "id": str(i),
        "properties": properties,
        "createdAt": "2025-01-01T00:00:00Z",
        "updatedAt": "2025-02-01T00:00:00.5Z",
        "archived": False,
    }


def batch_of(*records: dict[str, Any], errors: Any = None) -> dict[str, Any]:
    """Return a batch answer."""
    body: dict[str, Any] = {"status": "COMPLETE", "results": list(records)}
    return body if errors is None else {**body, "errors": errors, "numErrors": len(errors)}


def url(path: str) -> str:
    """Return the whole URL of a path."""
    return ORIGIN + path


def no_secondary(wire: requests_mock.Mocker) -> None:
    """Let HubSpot know none of the addresses that an upsert looks up."""
    wire.post(url(CONTACTS + "/batch/read"), status_code=207, json=batch_of())


def calls(wire: requests_mock.Mocker) -> list[tuple[str, str]]:
    """Return the method and path of each request."""
    return [(r.method, r.url.removeprefix(ORIGIN).split("?")[0]) for r in wire.request_history]
