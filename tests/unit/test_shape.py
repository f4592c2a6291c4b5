"""The package keeps its shape: no circles, few imports inside functions, rooms and files that can be overseen."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import airflow_providers_leads

PACKAGE = Path(airflow_providers_leads.__file__).parent
ROOT = PACKAGE.name
MODULES = {
    ".".join((ROOT, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): ast.parse(
        path.read_text(encoding="utf-8")
    )
    for path in PACKAGE.rglob("*.py")
}
MOST_IMPORTS_IN_FUNCTIONS = 160
MOST_FILES = 17
MOST_LINES = 450
# On their way to fewer lines.
LONG = {"operators/hubspot.py"}


def imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield the imports below a node, type-only ones too, and whether they stand in a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, inside
        yield from imports(node, inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


def targets(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """Yield the modules of the package that an import names, and the name that is taken from each."""
    if isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield (whole, "") if whole in MODULES else (node.module, alias.name)


def test_no_circles() -> None:
    """Those within functions don't count: they are there for parse cost, and import-linter looks at the rooms."""
    graph = {
        module: {name for node, inside in imports(tree) if not inside for name, _ in targets(node)} & MODULES.keys()
        for module, tree in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" → ".join(error.args[1])) from None


def test_few_imports_stand_in_functions() -> None:
    counts = Counter(module for module, tree in MODULES.items() for _, inside in imports(tree) if inside)
    assert counts.total() < MOST_IMPORTS_IN_FUNCTIONS, counts.most_common(15)


def test_what_begins_with_an_underscore_is_not_imported() -> None:
    taken = [
        f"{module}: {source}.{name}"
        for module, tree in MODULES.items()
        for node, _ in imports(tree)
        for source, name in targets(node)
        if source.startswith(ROOT) and name.startswith("_") and not name.startswith("__")
    ]
    assert taken == []


def test_rooms_and_files_can_be_overseen() -> None:
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    crowded = {str(room): number for room, number in Counter(p.parent for p in files).items() if number > MOST_FILES}
    assert crowded == {}
    lines = {p.relative_to(PACKAGE).as_posix(): len(p.read_text("utf-8").splitlines()) for p in PACKAGE.rglob("*.py")}
    assert {name for name, number in lines.items() if number > MOST_LINES} == LONG
