"""What may import what: the domain and the HTTP layer stand alone, and parsing a DAG stays cheap."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_providers_leads

PACKAGE = Path(airflow_providers_leads.__file__).parent
MODULES = {
    layer: [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in sorted((PACKAGE / layer).rglob("[a-z]*.py"))
    ]
    for layer in ("leads", "http")
}
FORBIDDEN = {
    "leads": ("airflow", "requests", *(f"airflow_providers_leads.{layer}" for layer in ("http", "hooks", "operators"))),
    "http": ("airflow", *(f"airflow_providers_leads.{layer}" for layer in ("leads", "hooks", "operators"))),
}
LAYERS = pytest.mark.parametrize("layer", ["leads", "http"])


def loaded_by(modules: list[str], then: str = "") -> set[str]:
    """Return what a fresh interpreter has loaded after importing the modules, and running what comes then."""
    code = f"import {', '.join(modules)}, json, sys; {then}\nprint(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return set(json.loads(run.stdout.splitlines()[-1]))


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def imported_names(file: Path) -> Iterator[str]:
    """Yield every absolute import of a file, those inside functions too, which sys.modules doesn't show."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


@LAYERS
def test_a_layer_that_stands_alone_loads_nothing_above_it(layer: str) -> None:
    loaded = loaded_by(MODULES[layer])
    assert set(MODULES[layer]) <= loaded
    assert sorted(module for module in loaded if within(module, FORBIDDEN[layer])) == []


@LAYERS
def test_a_layer_that_stands_alone_names_nothing_above_it(layer: str) -> None:
    named = {name: file.name for file in (PACKAGE / layer).rglob("*.py") for name in imported_names(file)}
    assert {name: file for name, file in named.items() if within(name, FORBIDDEN[layer])} == {}


@pytest.mark.parametrize("module", ["leads", "erase", "enrol"])
def test_importing_the_pipeline_operators_loads_no_heavy_library(module: str) -> None:
    loaded = loaded_by([f"airflow_providers_leads.operators.{module}"])
    assert f"airflow_providers_leads.operators.{module}" in loaded
    assert {"duckdb", "pyarrow", "ibis", "requests"} & loaded == set()


def test_parsing_a_policy_loads_no_heavy_library() -> None:
    """One that stands in the DAG is checked there."""
    module = "airflow_providers_leads.operators.leads"
    made = f"{module}.LeadsDeduplicateOperator(task_id='t', inputs=[], policy={{'priority': ['hubspot']}})"
    loaded = loaded_by([module], made)
    assert "airflow_providers_leads.tasks.policies" in loaded
    assert {"duckdb", "pyarrow", "ibis", "requests"} & loaded == set()
