"""A local stand-in for the three lead APIs: real HTTP, real state, no account needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_providers_leads.sandbox.core.config import PerspectiveGrant, SandboxConfig
    from airflow_providers_leads.sandbox.core.shell import Fault
    from airflow_providers_leads.sandbox.faults import FaultPlan, Rule
    from airflow_providers_leads.sandbox.server import Sandbox

__all__ = ["Fault", "FaultPlan", "PerspectiveGrant", "Rule", "Sandbox", "SandboxConfig"]

_HOMES = {
    "Fault": "core.shell",
    "FaultPlan": "faults",
    "PerspectiveGrant": "core.config",
    "Rule": "faults",
    "Sandbox": "server",
    "SandboxConfig": "core.config",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package needs no web server."""
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
