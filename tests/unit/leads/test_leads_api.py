"""The domain without Airflow: what a notebook imports."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pytest

import airflow_providers_leads.leads as api

BLOCKED = """
import sys
from importlib.abc import MetaPathFinder


class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Absent())
"""


def run(code: str, *absent: str) -> None:
    code = BLOCKED.format(names=set(absent)) + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_doctest_holds() -> None:
    failed, tried = doctest.testmod(api, verbose=False)
    assert (failed, tried > 5) == (0, True)


def test_every_exported_name_exists_and_no_other_does() -> None:
    for name in api.__all__:
        assert getattr(api, name).__doc__, name
        assert name in dir(api)
    with pytest.raises(AttributeError, match="no attribute 'golden_records'"):
        _ = api.golden_records  # type: ignore[attr-defined]


def test_everything_is_usable_where_airflow_is_not_installed() -> None:
    run(
        """
import doctest
import airflow_providers_leads.leads as api
for name in api.__all__:
    getattr(api, name)
assert doctest.testmod(api).failed == 0
assert not [name for name in sys.modules if name.split(".")[0] == "airflow"]
""",
        "airflow",
        "requests",
    )


def test_a_name_that_needs_no_heavy_library_loads_none() -> None:
    run(
        """
from airflow_providers_leads.leads import Lead, MergePolicy, email_key
assert email_key("A@B.example") == "a@b.example"
""",
        "duckdb",
        "pyarrow",
        "ibis",
        "airflow",
    )


@pytest.mark.parametrize("module", ["decorators.leads", "cli.definition", "retry_policy", "operators.links"])
def test_what_every_dag_parse_or_airflow_command_imports_needs_no_heavy_library(module: str) -> None:
    run(f"import airflow_providers_leads.{module}", "duckdb", "pyarrow", "ibis", "requests", "rich")
