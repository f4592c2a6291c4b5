"""What the pipeline tells lineage that it read and wrote."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
from airflow.providers.common.compat import sdk

from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators import lineage
from airflow_providers_leads.operators.leads import (
    LeadsApplyOperator,
    LeadsDeduplicateOperator,
    LeadsPlanOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.tasks.lineage import dataset_name

HUBSPOT = "hubspot://hubspot_default/contacts"
CONTEXT: Any = {"ti": SimpleNamespace(dag_id="d", run_id="r", task_id="t")}


class Collector:
    def __init__(self) -> None:
        self.seen: dict[str, list[str]] = {"in": [], "out": []}

    def add_input_asset(self, *, context: Any, uri: str) -> None:
        self.seen["in"].append(uri)

    def add_output_asset(self, *, context: Any, uri: str) -> None:
        self.seen["out"].append(uri)


class NoOpCollector(Collector):
    """What Airflow gives when nobody listens."""


class Dataset(NamedTuple):
    namespace: str
    name: str


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Collector:
    made = Collector()
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps({"conn_type": "hubspot", "password": "planted"}))
    monkeypatch.setattr(sdk, "get_hook_lineage_collector", lambda: made)
    from airflow_providers_leads.hooks import telemetry

    monkeypatch.setattr(telemetry, "get_hook_lineage_collector", lambda: made)
    return made


@pytest.fixture
def openlineage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for OpenLineage's provider, which is not installed here."""
    extractors = ModuleType("airflow.providers.openlineage.extractors")
    extractors.OperatorLineage = lambda inputs, outputs: SimpleNamespace(inputs=inputs, outputs=outputs)  # type: ignore[attr-defined]
    facet = ModuleType("airflow.providers.common.compat.openlineage.facet")
    facet.Dataset = Dataset  # type: ignore[attr-defined]
    for module in (ModuleType("airflow.providers.openlineage"), extractors, facet):
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture(autouse=True)
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__LEADS__STAGING", tmp_path.as_uri())


GOLDEN = {"golden": ["file:///g.0", "file:///g.1"], "members": "file:///m", "rows": {}}
PLANNED = {"plan": "file:///p", "existing": "file:///e"}
CASES: list[tuple[Any, dict[str, Any], dict[str, Any], list[str], list[str]]] = [
    (
        LeadsDeduplicateOperator,
        {"inputs": [{"uri": "file:///a", "rows": 1}, "file:///b"]},
        {**GOLDEN, "conflicts": "file:///c", "rejects": "file:///r"},
        ["file:///a", "file:///b"],
        ["file:///g.0", "file:///g.1", "file:///m", "file:///c", "file:///r"],
    ),
    (
        LeadsPlanOperator,
        {"conn_id": "hubspot_default", "golden": {**GOLDEN, "golden": "file:///g"}, "existing": [{"uri": "file:///a"}]},
        PLANNED,
        ["file:///g", "file:///a", HUBSPOT],
        ["file:///p"],
    ),
    (
        LeadsApplyOperator,
        {"conn_id": "hubspot_default", "plan": PLANNED},
        {"results": "file:///res"},
        ["file:///p"],
        ["file:///res", HUBSPOT],
    ),
    (
        LeadsUpsertOperator,
        {"conn_id": "hubspot_default", "golden": "file:///g"},
        {**PLANNED, "results": None, "dry_run": True},
        ["file:///g"],
        ["file:///p"],
    ),
]


@pytest.mark.parametrize(("kind", "given", "result", "inputs", "outputs"), CASES)
def test_what_an_operator_read_and_wrote(
    kind: Any,
    given: dict[str, Any],
    result: dict[str, Any],
    inputs: list[str],
    outputs: list[str],
    collector: Collector,
    openlineage: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operator = kind(task_id="t", **given)
    monkeypatch.setattr(operator, "run", lambda context: result)
    assert operator.execute(CONTEXT) == result
    assert collector.seen == {"in": inputs, "out": outputs}
    facets = operator.get_openlineage_facets_on_complete(None)
    assert facets.inputs == [dataset_name(uri) for uri in inputs]
    assert facets.outputs == [dataset_name(uri) for uri in outputs]


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("file:///tmp/a.parquet", ("file", "/tmp/a.parquet")),
        ("s3://aws_default@bucket/leads/a.parquet", ("s3://bucket", "leads/a.parquet")),
        (HUBSPOT, ("hubspot://hubspot_default", "contacts")),
        ("/tmp/a.parquet", ("file", "/tmp/a.parquet")),
    ],
)
def test_openlineages_names_hold_no_connection_of_a_store(uri: str, named: tuple[str, str]) -> None:
    assert dataset_name(uri) == named


def test_where_nobody_listens_nothing_is_asked_and_nothing_told(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk, "get_hook_lineage_collector", NoOpCollector)
    monkeypatch.delenv("AIRFLOW_CONN_HUBSPOT_DEFAULT")
    operator = LeadsApplyOperator(task_id="t", conn_id="hubspot_default", plan="file:///p")
    monkeypatch.setattr(operator, "run", lambda context: {"results": "file:///r"})
    operator.execute(CONTEXT)
    assert operator.get_openlineage_facets_on_complete(None) is None
    assert collector.seen == {"in": [], "out": []}


def test_work_that_is_done_does_not_fail_over_its_lineage(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "_found", lambda *given: 1 / 0)
    operator = LeadsApplyOperator(task_id="t", conn_id="hubspot_default", plan="file:///p")
    monkeypatch.setattr(operator, "run", lambda context: {"results": "file:///r"})
    assert operator.execute(CONTEXT) == {"results": "file:///r"}


def test_airflows_own_collector_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk import lineage as airflow_lineage

    from airflow_providers_leads.hooks import telemetry

    real = airflow_lineage.HookLineageCollector()
    monkeypatch.setattr(sdk, "get_hook_lineage_collector", lambda: real)
    monkeypatch.setattr(telemetry, "get_hook_lineage_collector", lambda: real)
    uri = f"file://{tmp_path}/in.parquet"
    write_rows(uri, Lead, [Lead("hubspot", "c", "1", email="a@x.example", email_key="a@x.example")])
    LeadsDeduplicateOperator(task_id="t", inputs=uri, output=f"file://{tmp_path}/out").execute(CONTEXT)
    found = real.collected_assets
    assert uri in {info.asset.uri for info in found.inputs}
    assert f"file://{tmp_path}/out/golden.parquet" in {info.asset.uri for info in found.outputs}
    assert "x.example" not in repr(found)
