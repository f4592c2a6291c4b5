"""Addresses that modules had in 0.1: an import by them still works, with a warning that names the new one."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

_ROOT: Final = __name__.rpartition(".")[0]
_HOMES: Final = {
    "files": ("address_lists", "parts", "staging", "tables", "yaml_text"),
    "merge": ("components", "engine", "functions", "lineage", "policy", "slices", "survivorship"),
    "model": ("erasure", "identity", "metrics", "outcomes", "phones", "properties", "schema"),
    "plan": ("ledger", "lookup", "recheck", "suppression"),
}
_RENAMED: Final = {
    "leads.engagement": "bridges.persistiq_hubspot",
    "leads.incremental": "leads.memory.watermarks",
    "leads.plan_facts": "leads.files.plan_facts",
    "operators.assets": "tasks.assets",
    "operators.lineage": "tasks.lineage",
    "operators.returns": "tasks.returns",
}
MOVED: Final = {
    **{f"{_ROOT}.leads.{name}": f"{_ROOT}.leads.{room}.{name}" for room, names in _HOMES.items() for name in names},
    **{f"{_ROOT}.{old}": f"{_ROOT}.{new}" for old, new in _RENAMED.items()},
}
"""Old dotted name → new one."""


class _Alias(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        warnings.warn(f"{module.__name__} is now {MOVED[module.__name__]}", DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = import_module(MOVED[module.__name__])


def follow() -> None:
    """Let imports by the old names find the modules."""
    sys.meta_path.append(_Alias())
