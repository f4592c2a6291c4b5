"""Whatever goes wrong, nothing that a run leaves behind holds a key or an address."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.story
@pytest.mark.parametrize("level", ["INFO", pytest.param("DEBUG", marks=pytest.mark.slow)])
def test_a_faulty_sync_gives_nothing_away(tmp_path: Path, level: str) -> None:
    """`dag.test()` masks nothing, so what is found here would be found in a log."""
    command = [sys.executable, str(HERE / "faulty_runs.py"), str(tmp_path), level]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-3000:]
    found = json.loads((tmp_path / "planted.json").read_text(encoding="utf-8"))
    passing, oauth, *deadly = found["runs"]
    assert (passing["state"], oauth["state"]) == ("success", "success")
    assert {run["state"] for run in deadly} == {"failed"}
    assert all(sum(run["faults"]["hubspot"].values()) for run in found["runs"])
    assert len({kind for faults in passing["faults"].values() for kind in faults}) >= 10
    assert "trying again" in printed
    if level == "DEBUG":
        assert "urllib3" in printed

    # At DEBUG, Airflow itself logs what it hands to its masker, and the answers with connections in them.
    printed = "\n".join(line for line in printed.splitlines() if "loc=supervisor.py" not in line)
    left = {"stdout and stderr": printed, "XCom": json.dumps([run["returned"] for run in found["runs"]])}
    for path in sorted(tmp_path.rglob("*")):
        # The staged files are where leads belong; the database has XComs, rendered fields, states and log entries.
        if path.is_file() and "files" not in path.relative_to(tmp_path).parts and path.name != "planted.json":
            left[str(path.relative_to(tmp_path))] = path.read_bytes().decode("utf-8", "replace")
    assert "airflow.db" in left
    for where, text in left.items():
        for secret in found["planted"]:
            for form in {secret, quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}:
                at = text.find(form)
                assert at < 0, f"{where}: …{text[max(0, at - 200) : at + 100]}…"
        assert not re.search(r"Bearer (?!\*)\S{8,}", text), where
