"""A local stand-in for the three lead APIs: real HTTP, real state, no account needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import PerspectiveGrant, SandboxConfig
    from .faults import FaultPlan, Rule
    from .server import Sandbox
    from .shell import Fault

__all__ = ["Fault", "FaultPlan", "PerspectiveGrant", "Rule", "Sandbox", "SandboxConfig"]

_HOMES = {
    "Fault": "shell",
    "FaultPlan": "faults",
    "PerspectiveGrant": "config",
    "Rule": "faults",
    "Sandbox": "server",
    "SandboxConfig": "config",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package needs no web server."""
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
