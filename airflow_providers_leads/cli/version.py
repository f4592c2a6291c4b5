"""Which version this is."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version


def version_line() -> str:
    """Return the versions of the package, of Airflow and of Python."""
    return (
        f"airflow-providers-leads {_version('airflow-providers-leads')}, Airflow {_version('apache-airflow-core')}, "
        f"Python {sys.version.split()[0]}"
    )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "(not installed)"
