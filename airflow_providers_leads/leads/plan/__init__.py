"""What golden records mean for one CRM, decided before anything is written."""

from __future__ import annotations

from typing import Any

__all__ = ["MODES", "PlanRules", "check_mode", "iter_plan"]


def __getattr__(name: str) -> Any:
    """Return a public name; its module, which loads Ibis, is imported only for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_providers_leads.leads.plan import planning

    return getattr(planning, name)
