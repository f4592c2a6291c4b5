"""Golden records: who is one person, and which value survives."""

from __future__ import annotations

from typing import Any

__all__ = ["OUTPUTS", "merge_files"]


def __getattr__(name: str) -> Any:
    """Return a public name; its module, which loads Ibis, is imported only for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_providers_leads.leads.merge import golden

    return getattr(golden, name)
