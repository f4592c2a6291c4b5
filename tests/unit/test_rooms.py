"""No CRM's name outside its rooms: what is shared knows CRMs by their hooks only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_providers_leads
from airflow_providers_leads.get_provider_info import CRMS

PACKAGE = Path(airflow_providers_leads.__file__).parent
NAMES = re.compile("|".join({str(crm[key]).lower() for crm in CRMS for key in ("conn_type", "name")}), re.IGNORECASE)
ROOMS = tuple(
    place
    for crm in CRMS
    for place in (
        f"hooks/{crm['conn_type']}/",
        *(f"{kind}/{crm['conn_type']}.py" for kind in crm["modules"] if kind != "hooks"),
    )
)
TABLE = "get_provider_info.py"
BRIDGES = (
    "bridges/",  # where two CRMs meet, see its docstring
    "operators/engagement.py",  # public path of the bridge's operators
    "operators/metrics.py",  # public path of two CRMs' metrics operators
    "_moved.py",  # old addresses of modules
)
SANDBOX = "sandbox/"  # stand-in servers, which nothing of the package imports
SHARED = sorted(
    name
    for path in PACKAGE.rglob("*")
    if path.suffix in (".py", ".j2", ".css")
    and not (name := path.relative_to(PACKAGE).as_posix()).startswith((*ROOMS, *BRIDGES, SANDBOX, TABLE))
)


def words_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield all names and texts of a module with their lines; no docstrings, which may give examples."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, (str, bytes)) and id(node) not in docs:
                yield line, str(node.value)
            continue
        for _, value in ast.iter_fields(node):
            yield from ((line, word) for word in (value if isinstance(value, list) else [value]) if type(word) is str)


def crms_named_in(name: str, text: str) -> list[str]:
    found = words_of(ast.parse(text)) if name.endswith(".py") else enumerate(text.splitlines(), start=1)
    return [f"{name}:{line}: {word}" for line, word in found if NAMES.search(word)]


# Vendors' hints and words are on their way to the hooks.
@pytest.mark.parametrize("name", SHARED)
def test_a_shared_file_names_no_crm(name: str) -> None:
    assert crms_named_in(name, (PACKAGE / name).read_text()) == []


def test_there_are_shared_files_and_each_exception_is_needed() -> None:
    assert len(SHARED) > 80
    for place in (*ROOMS, *BRIDGES, TABLE):
        path = PACKAGE / place
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        assert any(crms_named_in(place, file.read_text()) for file in files), place


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ('"""HubSpot."""\nX = 1\n"""As in HubSpot."""\n# hubspot', 0),
        ("import a.hooks.hubspot", 1),
        ("from a import hubspot as h", 1),
        ("def f(hubspot_conn_id): ...", 1),
        ("class HubSpotThing: ...", 1),
        ("f(hubspot=1)", 1),
        ("x.hubspot", 1),
        ("x = 'PersistIQ'", 1),
        ("x = f'{a} of perspective'", 1),
        ("x = b'perspective'", 1),
    ],
)
def test_the_rule_sees_names_wherever_they_stand(code: str, number: int) -> None:
    assert len(crms_named_in("x.py", code)) == number
