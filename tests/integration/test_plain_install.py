"""What a plain install must hold: every library that the package imports, and none that it never calls."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import airflow_providers_leads
from airflow_providers_leads.sandbox import Sandbox

PACKAGE = Path(airflow_providers_leads.__file__).parent
ROOT = PACKAGE.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Airflow's own requirements, which it may not drop while these names are part of its interface to providers.
BY_AIRFLOW = {"apache-airflow-task-sdk", "apache-airflow-core", "sqlalchemy", "fsspec", "fastapi"}
# Part of the interface of a library that is declared: requests', Jinja's and PySpark's.
WITHIN = {"urllib3", "markupsafe", "py4j"}
ABSENT = """
import sys
from importlib.abc import MetaPathFinder


class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
"""
# Every output, slices, lineage, identity by phone and by merged ids: each a road of its own through Ibis.
MERGE = """
import json
from airflow_providers_leads.leads import Lead, MergePolicy, write_rows
from airflow_providers_leads.leads.merge import slices
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import policy_from

folder = sys.argv[1]
more = {"email_aliases": ["c@x.example"], "merged_ids": ["3"]}
write_rows(f"{folder}/in.parquet", Lead, [
    Lead("hubspot", "", str(n), email=f"{key}@x.example", email_key=f"{key}@x.example", phone="+49 30 123456",
         properties=json.dumps({**more, "n": n}))
    for n, key in enumerate(["a", "a", "b", "c", "info"])
])
slices.ROWS_PER_SLICE = int(sys.argv[2])
policy = policy_from({"identity": {"match_on": ["email", "phone"], "phone_region": "DE"}})
outputs = {name: f"{folder}/{name}.parquet" for name in OUTPUTS}
counts = merge_files([f"{folder}/in.parquet"], outputs, policy=policy, lineage=True)
assert counts["inputs"] == 5 and counts["golden"] > 0, counts
merge_files([], {"golden": f"{folder}/none.parquet"})
"""
DIFF = """
from airflow_providers_leads.cli.definition import main

sys.exit(main(["diff", "persistiq_default", "hubspot_default", "perspective_default", "--limit", "1"]))
"""


EXTRACTS = """
import logging
import sys

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.tasks.extract import extract

for conn_id in ("hubspot_default", "perspective_default", "persistiq_default"):
    assert extract(get_leads_hook(conn_id), f"{sys.argv[1]}/{conn_id}.parquet", scope={}, log=logging)["rows"], conn_id
    assert "pandas" not in sys.modules, conn_id
"""


def name_of(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;(]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def imported(file: Path) -> set[str]:
    """Return the top-level names that a file imports, within functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_every_imported_library_is_a_requirement_of_its_own() -> None:
    extras = [one for some in PROJECT["optional-dependencies"].values() for one in some]
    declared = {name_of(one) for one in [*PROJECT["dependencies"], *extras]} | BY_AIRFLOW | WITHIN
    homes = packages_distributions()
    missing = {}
    for file in PACKAGE.rglob("*.py"):
        for name in imported(file) - set(sys.stdlib_module_names) - {"airflow", PACKAGE.name}:
            ours = {distribution.lower().replace("_", "-") for distribution in homes.get(name, ())}
            if not ours & declared:
                missing[name] = f"{file.relative_to(ROOT)} (from {ours or 'nowhere'})"
    assert missing == {}


@pytest.mark.story
@pytest.mark.parametrize("rows_per_slice", [1_000_000, 2])
def test_a_merge_runs_where_pandas_is_not_installed(rows_per_slice: int, tmp_path: Path) -> None:
    """Row 44."""
    done = subprocess.run(
        [sys.executable, "-c", ABSENT + MERGE, str(tmp_path), str(rows_per_slice)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.story
def test_reading_merging_and_planning_run_where_pandas_is_not_installed() -> None:
    """Row 44."""
    with Sandbox(people=30, seed=7, limits=False) as sandbox:
        extra = {"rate_limit": 100_000, "rate_limit_period": 1}
        env = {name: json.dumps({**json.loads(it), "extra": extra}) for name, it in sandbox.connection_env().items()}
        done = subprocess.run(
            [sys.executable, "-c", ABSENT + DIFF],
            cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"create [1-9]", done.stdout)


def test_an_extract_leaves_pandas_alone_where_it_is_installed(tmp_path: Path) -> None:
    """It takes a task a quarter of a second and 40 MB, and Arrow loads it for a single truth value of Python's."""
    with Sandbox(people=30, seed=7, limits=False) as sandbox:
        done = subprocess.run(
            [sys.executable, "-c", EXTRACTS, str(tmp_path)],
            cwd=ROOT, env=os.environ | sandbox.connection_env(), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.wheel
def test_every_extra_installs_with_the_pins() -> None:
    """Google's provider holds back several libraries that others would have newer."""
    users = [name for name in PROJECT["optional-dependencies"] if name not in ("bench", "cluster", "dev", "docs")]
    assert {"s3", "gcs", "azure"} <= {*users}
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet"]
    wanted = f".[{','.join(users)}]"
    done = subprocess.run(
        [*command, "-c", "constraints.txt", wanted], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
