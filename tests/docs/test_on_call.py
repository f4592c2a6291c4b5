"""The page for who is on call quotes lines that the package really says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import airflow_providers_leads

PACKAGE = Path(airflow_providers_leads.__file__).parent
PAGE = Path(__file__).resolve().parents[2] / "docs" / "on_call.md"
QUOTED = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def said() -> str:
    """Return all texts of the package as they are said: pieces of one text that stand on several lines are joined."""
    code = " ".join(path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py")))
    return re.sub(r"\"\s*f?\"", "", code)


def test_there_are_lines() -> None:
    assert len(QUOTED) > 12


@pytest.mark.parametrize("line", QUOTED)
def test_a_line_is_said_somewhere(line: str, said: str) -> None:
    parts = line.split(": ") if line.startswith("can't be written") else [line]
    assert all(part in said for part in parts)
