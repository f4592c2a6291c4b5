"""Row 43: what the package asks for is what the oldest Airflow ships, on which `make test-matrix` runs."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PINNED = {
    one.name: next(iter(one.specifier)).version
    for line in (ROOT / "tests" / "oldest_airflow.txt").read_text(encoding="utf-8").splitlines()
    if "==" in line and not line.startswith("#")
    for one in [Requirement(line)]
}


def test_row_43_the_oldest_airflow_meets_every_floor() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [Requirement(line) for line in project["dependencies"]]
    airflows = [one for one in asked if one.name.startswith("apache-airflow")]
    assert len(airflows) >= 2
    for one in airflows:
        assert one.specifier.contains(PINNED[one.name]), one
