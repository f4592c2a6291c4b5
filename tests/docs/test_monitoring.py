"""The page of metrics and lineage and its dashboard say what the code emits, no less and no more."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import airflow_providers_leads
from airflow_providers_leads import operators
from airflow_providers_leads.hooks.telemetry import METRICS, status_class
from airflow_providers_leads.leads.model.outcomes import OUTCOMES
from airflow_providers_leads.operators.base import LeadsOperator

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "docs" / "dashboards" / "leads.json").read_text(encoding="utf-8"))
VALUES = {
    "status": {status_class(status) for status in (None, *range(200, 600))},
    "outcome": {"read", *OUTCOMES},
}


def table(heading: str) -> list[list[str]]:
    """Return the rows of the table with a heading, without that."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def expressions() -> list[str]:
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*queries, *(one["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query")]


def test_nothing_is_counted_but_by_these_names() -> None:
    """Every call of Airflow's Stats stands in the one module that has the names, and takes one of them."""
    calls = [
        (path.name, node)
        for path in Path(airflow_providers_leads.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "Stats"
    ]
    assert {name for name, _ in calls} == {"telemetry.py"}
    emitted: dict[str, tuple[Any, ...]] = {}
    telemetry = import_module("airflow_providers_leads.hooks.telemetry")
    for _, call in calls:
        assert isinstance(call.args[0], ast.Name)
        (tags,) = [keyword.value for keyword in call.keywords if keyword.arg == "tags"]
        assert isinstance(tags, ast.Dict)
        emitted[getattr(telemetry, call.args[0].id)] = tuple(ast.literal_eval(key) for key in tags.keys if key)
    assert emitted == METRICS


def test_the_page_has_each_counter_with_its_tags_and_values() -> None:
    rows = table("counter")
    assert [(words(name)[0], words(tag)[0]) for name, tag, _ in rows] == [
        (name, tag) for name, tags in METRICS.items() for tag in tags
    ]
    for _, tag, values in rows:
        if words(tag)[0] in VALUES:
            assert set(words(values)) == VALUES[words(tag)[0]]
    others = set(re.findall(r"`(leads\.\w+)`", PAGE)) - METRICS.keys()
    assert others == set()


def test_the_dashboard_has_each_counter_and_no_other() -> None:
    shown = [name for text in expressions() for name in re.findall(r'__name__=~"airflow_(\w+)\(_total\)\?"', text)]
    assert set(shown) == {name.replace(".", "_") for name in METRICS}
    # Nothing is selected in another way.
    assert len(shown) == sum(text.count("{") for text in expressions())


def test_the_dashboard_asks_for_tags_and_values_that_there_are() -> None:
    for text in expressions():
        for selector in re.findall(r"\{(__name__[^}]*)\}", text):
            (metric,) = [name for name in METRICS if f"airflow_{name.replace('.', '_')}(" in selector]
            for tag, value in re.findall(r'(\w+)(?:=~|!=|=)"([^"]*)"', selector):
                assert tag in (*METRICS[metric], "__name__")
                if tag in VALUES:
                    assert set(value.split("|")) <= VALUES[tag]
        for grouped in re.findall(r"by \(([^)]*)\)", text):
            assert set(grouped.split(", ")) <= {tag for tags in METRICS.values() for tag in tags}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_page_has_what_each_operator_reads_and_writes() -> None:
    modules = [import_module(one.name) for one in walk_packages(operators.__path__, f"{operators.__name__}.")]
    found = {
        name: cls
        for module in modules
        for name, cls in vars(module).items()
        if isinstance(cls, type) and issubclass(cls, LeadsOperator) and cls.datasets is not None
    }
    said = {words(name)[0]: (reads, writes) for name, reads, writes in table("operator")}
    assert said.keys() == found.keys()
    for name, cls in found.items():
        assert cls.datasets is not None
        reads, writes = said[name]
        assert words(reads) == list(cls.datasets.reads)
        assert words(writes) == list(cls.datasets.writes)
        assert ("CRM" in reads, "CRM" in writes) == (cls.datasets.crm == "reads", cls.datasets.crm == "writes")
