"""What Airflow's own command line says of the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DAGS = Path(__file__).resolve().parents[2] / "dags"


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("airflow")
    return os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }


def run(env: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *command], env=env, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("listing", ["hooks", "behaviours"])
def test_the_three_connection_types_are_listed(airflow: dict[str, str], listing: str) -> None:
    printed = run(airflow, "providers", listing, "--output", "json")
    rows = json.loads(printed)
    assert {"hubspot", "perspective", "persistiq"} <= {value for row in rows for value in row.values()}
    # Other providers may be installed without what their hooks need.
    ours = [row for row in rows if {"hubspot", "perspective", "persistiq"} & set(row.values())]
    assert not any("Error" in str(value) for row in ours for value in row.values())


@pytest.mark.story
def test_every_example_dag_is_imported_without_an_error(airflow: dict[str, str]) -> None:
    run(airflow, "db", "migrate")
    run(airflow, "dags", "reserialize")
    assert json.loads(run(airflow, "dags", "list-import-errors", "--output", "json") or "[]") == []
    listed = {row["dag_id"] for row in json.loads(run(airflow, "dags", "list", "--output", "json"))}
    assert {path.stem for path in DAGS.glob("*.py")} <= listed
