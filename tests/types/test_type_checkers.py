"""A wrong argument is flagged in a user's DAG by mypy and by pyright, and what is right by neither."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ("good_dag.py", "bad_dag.py")
Flagged = dict[str, set[int]]


def mypy(folder: Path, cache: Path) -> Flagged:
    config = folder / "mypy.ini"
    config.write_text("[mypy]\nfollow_imports = silent\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--cache-dir", str(cache)]
    done = subprocess.run(
        [*command, "--no-error-summary", *FILES], cwd=folder, env=_environment(), capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    flagged: Flagged = {name: set() for name in FILES}
    for line in done.stdout.splitlines():
        name, number, kind, *_ = line.split(":")
        if kind.strip() == "error":
            flagged[name].add(int(number))
    return flagged


def pyright(folder: Path, cache: Path) -> Flagged:
    # basedpyright is pyright with a Node.js from the same index; "standard" is what pyright itself reports.
    config = {"typeCheckingMode": "standard", "extraPaths": [str(ROOT)], "include": list(FILES)}
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    flagged: Flagged = {name: set() for name in FILES}
    for found in json.loads(done.stdout)["generalDiagnostics"]:
        if found["severity"] == "error":
            flagged[Path(found["file"]).name].add(found["range"]["start"]["line"] + 1)
    return flagged


def _environment() -> dict[str, str]:
    return {**os.environ, "MYPYPATH": str(ROOT)}


@pytest.mark.story
@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
def test_mistakes_are_flagged_and_nothing_else(
    checker: Callable[[Path, Path], Flagged], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    for name in FILES:
        (tmp_path / name).write_text((HERE / name).read_text(encoding="utf-8"), encoding="utf-8")
    lines = (HERE / "bad_dag.py").read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, start=1) if line.endswith("# wrong")}
    assert len(wrong) > 30
    cache: Any = pytestconfig.cache
    assert checker(tmp_path, cache.mkdir(checker.__name__)) == {"good_dag.py": set(), "bad_dag.py": wrong}
