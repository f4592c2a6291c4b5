"""Parsing an example DAG stays cheap: no heavy library is loaded, and not much time goes by."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DAGS = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))
HEAVY = {"duckdb", "ibis", "pandas", "pyarrow", "requests", "urllib3", "starlette", "email_validator", "phonenumbers"}
# A hundred and fifty are promised, and measured by `make bench-wire` on a quiet machine; this one may be busy.
_MOST_MILLISECONDS = 600
_PARSE = """
import json, runpy, sys, time
import airflow.sdk
before, began, spent = set(sys.modules), time.perf_counter(), time.process_time()
runpy.run_path(sys.argv[1])
print(json.dumps([(time.process_time() - spent) * 1000, sorted(set(sys.modules) - before)]))
"""


def test_there_are_examples() -> None:
    assert DAGS


@pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag.stem)
def test_parsing_loads_nothing_heavy(dag: Path) -> None:
    run = subprocess.run([sys.executable, "-c", _PARSE, str(dag)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    milliseconds, loaded = json.loads(run.stdout.splitlines()[-1])
    assert HEAVY & {module.partition(".")[0] for module in loaded} == set()
    assert milliseconds < _MOST_MILLISECONDS
