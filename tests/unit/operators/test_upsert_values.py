"""Values of golden records in a sandbox CRM's typed properties, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.model.outcomes import WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsPlanOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.sandbox import Sandbox

MAPPING = {
    "interest": "product_interest",
    "start": "contract_start",
    "closed": "closedate",
    "revenue": "annualrevenue",
    "news": "newsletter",
    "utm_source": "utm_source",
}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(people=30, seed=7, limits=False) as running:
        for name, value in running.connection_env().items():
            monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": {"max_retries": 0}}))
        yield running


def golden(tmp_path: Path, **people: dict[str, Any]) -> str:
    rows = [
        Lead("golden", "", name, f"{name}@new.example", f"{name}@new.example", properties=json.dumps(properties))
        for name, properties in people.items()
    ]
    uri = f"file://{tmp_path}/golden.parquet"
    write_rows(uri, Lead, rows)
    return uri


def upsert(tmp_path: Path, uri: str, kind: Any = LeadsUpsertOperator, **options: Any) -> dict[str, Any]:
    operator = kind(
        task_id="t", conn_id="hubspot_default", golden=uri, output=f"file://{tmp_path}/out",
        **{"properties": MAPPING, **options},
    )  # fmt: skip
    ti = SimpleNamespace(dag_id="d", run_id=uuid4().hex, task_id="t", map_index=-1)
    result: dict[str, Any] = operator.execute({"ti": ti})
    return result


def test_values_are_written_by_type_and_never_again(tmp_path: Path, sandbox: Sandbox) -> None:
    """Rows 7, 8, 10 and 11."""
    uri = golden(
        tmp_path,
        ann={
            "properties": {
                "interest": ["Solar", "heating", "solar"],
                "start": {"value": "2025-01-15T08:00:00Z", "title": "When?"},
                "closed": "2025-01-15T08:00:00.000Z",
                "revenue": 1.0,
                "news": True,
            },
            "utmParams": {"utm_source": "ads"},
        },
        bob={"start": "soon", "interest": ["wind"], "revenue": "7.50", "utm_source": {"a": 1, "b": 2}},
    )
    result = upsert(tmp_path, uri)
    assert (result["created"], result["failed"], result["unknown_properties"]) == (2, 0, [])
    names = list(MAPPING.values())
    ann = HubSpotHook().get_contact("ann@new.example", id_property="email", properties=names)["properties"]
    assert {name: ann[name] for name in names} == {
        "product_interest": "solar;heating",
        "contract_start": "2025-01-15",
        "closedate": "2025-01-15T08:00:00Z",
        "annualrevenue": "1",
        "newsletter": "true",
        "utm_source": "ads",
    }
    bob = HubSpotHook().get_contact("bob@new.example", id_property="email", properties=names)["properties"]
    assert {name for name in names if bob[name]} == {"annualrevenue"}
    reasons = {row.email_key: row.reason for row in read_rows(result["results"], WriteResult)}
    assert reasons["ann@new.example"] is None
    assert "properties.contract_start (it is no date such as 2025-01-15)" in (reasons["bob@new.example"] or "")
    assert "properties.product_interest (" in (reasons["bob@new.example"] or "")
    assert "properties.utm_source (it is an object of several values)" in (reasons["bob@new.example"] or "")
    again = upsert(tmp_path, uri)
    assert (again["unchanged"], again["updated"], again["created"]) == (2, 0, 0)


def test_a_key_that_no_golden_record_has_is_told(
    tmp_path: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 8."""
    uri = golden(tmp_path, ann={"utmParams": {"utm_source": "ads"}})
    mapping = {"utm_sorce": "utm_source", "utm_source": "lead_source"}
    planned = upsert(tmp_path, uri, LeadsPlanOperator, properties=mapping)
    assert planned["unknown_properties"] == ["utm_sorce"]
    assert "no golden record has 'utm_sorce'" in capsys.readouterr().out


def test_a_key_without_the_right_to_read_definitions_compares_text(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_providers_leads.http.errors import LeadsPermissionError

    def refuse(self: HubSpotHook) -> Any:
        raise LeadsPermissionError("Connection 'hubspot_default': no scope.", status=403)

    monkeypatch.setattr(HubSpotHook, "list_properties", refuse)
    assert upsert(tmp_path, golden(tmp_path, ann={}), properties=None)["created"] == 1


def test_the_first_recipe_of_the_cookbook_writes_where_people_came_from(tmp_path: Path, sandbox: Sandbox) -> None:
    """Row 8."""
    funnel = "65f0a0000000000000000001"
    extracts = [
        _run(LeadsExtractOperator, tmp_path / conn_id, conn_id=conn_id, scope=scope)
        for conn_id, scope in (("perspective_default", {"funnel_ids": [funnel]}), ("hubspot_default", None))
    ]
    merged = _run(LeadsDeduplicateOperator, tmp_path / "golden", inputs=extracts)
    result = upsert(tmp_path, merged, mode="fill", properties={"utm_source": "utm_source"})
    people = {
        lead.email_key
        for lead in read_rows(merged["golden"], Lead)
        if json.loads(lead.properties or "{}").get("utmParams", {}).get("utm_source")
    }
    written = {
        row.email_key
        for row in read_rows(result["results"], WriteResult)
        if "properties.utm_source" in row.fields or row.outcome == "suppressed"
    }
    assert people and people <= written
    assert result["unknown_properties"] == []


def _run(kind: Any, folder: Path, **options: Any) -> dict[str, Any]:
    ti = SimpleNamespace(dag_id="d", run_id=uuid4().hex, task_id="t", map_index=-1)
    result: dict[str, Any] = kind(task_id="t", output=f"file://{folder}", **options).execute({"ti": ti})
    return result
