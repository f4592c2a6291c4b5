"""What tells other DAGs that leads have changed: writes and what is new, and nobody is started in a circle (row 42)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.leads import LeadsExtractOperator, LeadsUpsertOperator
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.tasks.assets import EXTRACTED, UPSERTED, tell

CONTACTS = "hubspot://hubspot_default/contacts"


class Events(dict[Any, Any]):
    """Stands in for the outlet events of a task."""

    def __missing__(self, alias: AssetAlias) -> Any:
        self[alias] = SimpleNamespace(told=[])
        self[alias].add = lambda asset, extra: self[alias].told.append((asset.uri, extra))
        return self[alias]

    def of(self, alias: AssetAlias) -> list[tuple[str, dict[str, Any]]]:
        return list(self[alias].told) if alias in self else []


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(people=20, limits=False) as running:
        for name, value in running.connection_env().items():
            extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 0}
            monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
        yield running


def context(*started_by: dict[str, Any], dag_id: str = "d") -> dict[str, Any]:
    """Return a task's context in a run that events have started, each with an ``asset`` and an ``extra``."""
    events = [SimpleNamespace(asset=Asset(uri=one["asset"]), extra=one.get("extra") or {}) for one in started_by]
    ti = SimpleNamespace(dag_id=dag_id, run_id="r", task_id="t", map_index=-1)
    return {"ti": ti, "outlet_events": Events(), "triggering_asset_events": {Asset("any"): events}}


def extract(tmp_path: Path, at: dict[str, Any], **arguments: Any) -> list[tuple[str, dict[str, Any]]]:
    operator = LeadsExtractOperator(task_id="t", conn_id="hubspot_default", output=str(tmp_path), **arguments)
    operator.execute(at)  # type: ignore[arg-type]
    return list(at["outlet_events"].of(EXTRACTED))


def newest(sandbox: Sandbox) -> str:
    return max(str(contact["updatedAt"]) for contact in HubSpotHook().list_contacts())


def test_row_42_a_full_read_is_no_change(sandbox: Sandbox, tmp_path: Path) -> None:
    assert extract(tmp_path, context()) == []


def test_row_42_only_what_is_new_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    ((uri, extra),) = extract(tmp_path, context(), updated_after="2020-01-01T00:00:00Z")
    assert (uri, extra["new"]) == (CONTACTS, extra["rows"])
    # What is read twice, for clocks that differ, is nothing new.
    assert extract(tmp_path, context(), updated_after=newest(sandbox)) == []


@pytest.mark.parametrize("asset", [CONTACTS, "persistiq://persistiq_default/leads"])
def test_row_42_what_leads_have_started_tells_of_no_read(sandbox: Sandbox, tmp_path: Path, asset: str) -> None:
    assert extract(tmp_path, context({"asset": asset}), updated_after="2020-01-01T00:00:00Z") == []


def test_what_something_else_has_started_tells(sandbox: Sandbox, tmp_path: Path) -> None:
    at = context({"asset": "s3://bucket/file.csv"})
    assert len(extract(tmp_path, at, updated_after="2020-01-01T00:00:00Z")) == 1


def test_row_42_a_write_is_told_once_and_never_in_a_circle(sandbox: Sandbox, tmp_path: Path) -> None:
    row = Lead(source="golden", source_scope="", source_id="1", email="a@new.example", email_key="a@new.example")
    write_rows(tmp_path / "golden.parquet", Lead, [row])

    def upsert(at: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        operator = LeadsUpsertOperator(
            task_id="t", conn_id="hubspot_default", golden=str(tmp_path / "golden.parquet"), output=str(tmp_path)
        )
        operator.execute(at)  # type: ignore[arg-type]
        return list(at["outlet_events"].of(UPSERTED))

    ((uri, extra),) = upsert(context())
    assert (uri, extra["created"], extra["dags"]) == (CONTACTS, 1, ["d"])
    assert upsert(context({"asset": uri, "extra": extra})) == []


def test_row_42_a_chain_of_dags_ends_where_it_began(sandbox: Sandbox) -> None:
    hook = get_leads_hook("hubspot_default")
    extra: dict[str, Any] = {}
    for dag_id, emits in (("a", True), ("b", True), ("a", False), ("b", False)):
        at: Any = context({"asset": CONTACTS, "extra": extra}, dag_id=dag_id) if extra else context(dag_id=dag_id)
        tell(at, UPSERTED, hook, {"hubspot_default": {"updated": 1}})
        told = at["outlet_events"].of(UPSERTED)
        assert bool(told) is emits, dag_id
        extra = told[0][1] if told else extra
    assert extra["dags"] == ["a", "b"]
