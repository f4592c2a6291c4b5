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
# A process each, of one that has what Airflow's own processor has loaded before it parses.
_PARSE = """
import json, os, runpy, sys, time
import airflow.sdk
for file in sys.argv[1:]:
    if child := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, file
        continue
    before, spent = set(sys.modules), time.process_time()
    runpy.run_path(file)
    told = [file, (time.process_time() - spent) * 1000, sorted(set(sys.modules) - before)]
    print(json.dumps(told), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def parsed() -> dict[str, tuple[float, list[str]]]:
    """Return by file the milliseconds that parsing it took, and which modules it loaded."""
    run = subprocess.run([sys.executable, "-c", _PARSE, *map(str, DAGS)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[")]
    return {file: (milliseconds, loaded) for file, milliseconds, loaded in lines}


def test_there_are_examples() -> None:
    assert DAGS


@pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag.stem)
def test_parsing_loads_nothing_heavy(dag: Path, parsed: dict[str, tuple[float, list[str]]]) -> None:
    milliseconds, loaded = parsed[str(dag)]
    assert "airflow_providers_leads.operators.base" in loaded
    assert HEAVY & {module.partition(".")[0] for module in loaded} == set()
    assert milliseconds < _MOST_MILLISECONDS
