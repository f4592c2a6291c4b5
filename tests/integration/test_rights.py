"""Row 56: the Test button tells what a key may do and not, and which host is dead and why; and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.sandbox import PerspectiveGrant, Sandbox

READER = "pat-reader-key"
READ = frozenset({"crm.objects.contacts.read"})
GRANTS = {
    "reads-contacts": frozenset({"workspaces:read", "crm:read"}),
    "reads-metrics": frozenset({"workspaces:read", "metrics:read"}),
    "no-workspaces": frozenset({"crm:read", "crm:write"}),
}


def button(conn_type: str, origin: str, key: str, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> tuple[bool, str]:
    conn = {"conn_type": conn_type, "host": origin, "password": key, "extra": {"max_retries": 0, **extra}}
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(conn))
    return get_leads_hook("crm").test_connection()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    grants = {key: PerspectiveGrant(permissions=permissions) for key, permissions in GRANTS.items()}
    with Sandbox(people=20, seed=3, limits=False, hubspot_tokens={READER: READ}, perspective_keys=grants) as running:
        yield running


@pytest.mark.parametrize("version", ["2026-03", "v3"])
def test_hubspot_tells_what_the_key_may_and_may_not(
    version: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = sandbox.hubspot
    before = deepcopy(api.store.contacts), deepcopy(api.store.properties)
    works, told = button("hubspot", api.origin, READER, monkeypatch, api_version=version)
    assert works
    assert "it may read contacts. It may not write contacts (crm.objects.contacts.write), make properties " in told
    assert "or list owners (crm.objects.owners.read)." in told
    works, told = button("hubspot", api.origin, api.key, monkeypatch, api_version=version)
    assert works
    assert told.endswith("it may read contacts. It may write contacts, make properties and list owners.")
    assert (api.store.contacts, api.store.properties) == before


def test_what_can_not_be_found_out_is_said_so(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_providers_leads.sandbox.core.shell import Fault

    sandbox.hubspot.faults = lambda index, call: Fault(status=500) if call.method == "POST" else None
    works, told = button("hubspot", sandbox.hubspot.origin, sandbox.hubspot.key, monkeypatch)
    assert works
    assert told.endswith("It may list owners. Whether it may write contacts or make properties could not be found out.")


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("http://127.0.0.1:9", "connection refused"),
        ("https://api.nowhere.invalid", "there is no such name"),
    ],
)
@pytest.mark.parametrize("crm", ["hubspot", "perspective", "persistiq"])
def test_a_dead_host_is_named_with_the_cause(crm: str, host: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    works, told = button(crm, host, "planted-key", monkeypatch)
    assert not works
    assert f"the host is unreachable ({why})" in told
    assert told.endswith(f"The host is {host}.")
    assert "planted" not in told


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("", "It may read contacts, write contacts and read metrics."),
        (
            "reads-contacts",
            "It may read contacts. It may not write contacts (CRM, writing) or read metrics (metrics, read",
        ),
        (
            "reads-metrics",
            "It may read metrics. It may not read contacts (CRM, reading) or write contacts (CRM, writing)",
        ),
        ("no-workspaces", "or grant that permission. What else it may do could not be found out without a funnel."),
    ],
)
def test_perspective_tells_what_the_key_may_and_may_not(
    key: str, told: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = sandbox.perspective
    before = deepcopy([funnel.contacts for funnel in api.store.funnels.values()])
    works, said = button("perspective", api.origin, key or api.key, monkeypatch)
    assert works
    assert told in said
    assert [funnel.contacts for funnel in api.store.funnels.values()] == before
    assert api.store.automations_fired == []


def test_perspective_without_workspaces_but_with_a_funnel(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    funnel = next(iter(sandbox.perspective.store.funnels))
    said = button("perspective", sandbox.perspective.origin, "no-workspaces", monkeypatch, funnel_ids=[funnel])[1]
    assert "It may read contacts and write contacts. It may not read metrics (metrics, reading)." in said


def test_persistiq_knows_no_rights(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    works, told = button("persistiq", sandbox.persistiq.origin, sandbox.persistiq.key, monkeypatch)
    assert works
    assert told.endswith("it may read, write, and send mail.")
    assert sandbox.persistiq.store.messages_sent == []
