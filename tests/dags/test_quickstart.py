"""The quickstart as its reader does it: the same commands in processes of their own, more than once.

`make test-wheel` names with LEADS_INSTALLED_BIN an environment into which nothing but the package's wheel was
installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_providers_leads.sandbox import Sandbox

BIN = Path(os.environ.get("LEADS_INSTALLED_BIN") or Path(sys.executable).parent).absolute()
TEXT = (Path(__file__).resolve().parents[2] / "docs" / "quickstart.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return [re.sub(r"(?m)^  ", "", block) for block in re.findall(rf"(?ms)^ *```{kind}\n(.*?)^ *```", TEXT)]


@pytest.mark.wheel
def test_it_works_twice_with_nothing_red_and_its_pattern_names_both_plans(sandbox: Sandbox, tmp_path: Path) -> None:
    """Row 52."""
    (tmp_path / "dags").mkdir()
    (dag,) = re.findall(r"(?ms)^```python\n(.*?)^```", TEXT)
    (tmp_path / "dags" / "my_leads.py").write_text(dag)
    (settings,) = [block for block in blocks("sh") if "AIRFLOW_HOME" in block]
    exports = "\n".join(line for line in settings.splitlines() if line.startswith("export"))
    (show,) = [block for block in blocks("sh") if "plan show" in block]
    # What tests set for themselves would be in its way.
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    env |= {"PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "200"}

    def shell(commands: str) -> subprocess.CompletedProcess[str]:
        script = f"set -e\n{exports}\n{commands}"
        return subprocess.run(
            ["/bin/bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240, check=False
        )

    where = shell("python -c 'import airflow_providers_leads as package; print(package.__path__[0])'").stdout.strip()
    assert Path(where).is_relative_to(BIN.parent) == ("LEADS_INSTALLED_BIN" in os.environ), where
    assert shell("airflow db migrate").returncode == 0
    written = []
    for _ in range(2):
        before = sandbox.hubspot.stats.writes
        done = shell("airflow dags test my_leads")
        assert done.returncode == 0, done.stderr
        assert (done.stdout, done.stderr) == ("", "")
        written.append(sandbox.hubspot.stats.writes - before)
    assert written[0] > 0 == written[1]
    shown = shell(show)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("Plan for hubspot_default") == 2
