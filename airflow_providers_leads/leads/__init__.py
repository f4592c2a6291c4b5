"""The domain: what a lead is, who is the same person, what survives, what is to be written. No Airflow, no HTTP.

It works in a notebook or a script, with Airflow not installed:

>>> from airflow_providers_leads.leads import Lead, email_key, merge_files, read_rows, write_rows
>>> email_key("  Ann.Lee@Example.COM ")
'ann.lee@example.com'

Two CRMs hold the same person; the newest present value of each field survives:

>>> from datetime import UTC, datetime
>>> from tempfile import TemporaryDirectory
>>> def lead(source, day, **values):
...     key = email_key("ann@example.com")
...     return Lead(source, "", "1", email_key=key, updated_at=datetime(2026, 1, day, tzinfo=UTC), **values)
>>> with TemporaryDirectory() as folder:
...     read = f"{folder}/read.parquet"
...     rows = [lead("hubspot", 1, city="Bonn", phone="0228 1"), lead("persistiq", 2, city="Ulm")]
...     _ = write_rows(read, Lead, rows)
...     counts = merge_files([read], {"golden": f"{folder}/golden.parquet"})
...     (golden,) = read_rows(f"{folder}/golden.parquet", Lead)
>>> counts["golden"], golden.city, golden.phone
(1, 'Ulm', '0228 1')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_providers_leads.leads.files.staging import StagingError as StagingError
    from airflow_providers_leads.leads.files.staging import count_rows as count_rows
    from airflow_providers_leads.leads.files.staging import read_rows as read_rows
    from airflow_providers_leads.leads.files.staging import write_rows as write_rows
    from airflow_providers_leads.leads.merge.golden import merge_files as merge_files
    from airflow_providers_leads.leads.merge.lineage import Origin as Origin
    from airflow_providers_leads.leads.merge.lineage import explain as explain
    from airflow_providers_leads.leads.merge.policy import MergePolicy as MergePolicy
    from airflow_providers_leads.leads.merge.policy import policy_from as policy_from
    from airflow_providers_leads.leads.model.identity import email_key as email_key
    from airflow_providers_leads.leads.model.outcomes import PlanRow as PlanRow
    from airflow_providers_leads.leads.model.outcomes import WriteResult as WriteResult
    from airflow_providers_leads.leads.model.schema import Lead as Lead
    from airflow_providers_leads.leads.model.schema import arrow_schema as arrow_schema
    from airflow_providers_leads.leads.plan.planning import PlanRules as PlanRules
    from airflow_providers_leads.leads.plan.planning import iter_plan as iter_plan

_HOMES = {
    "files.staging": ("StagingError", "count_rows", "read_rows", "write_rows"),
    "merge.golden": ("merge_files",),
    "merge.lineage": ("Origin", "explain"),
    "merge.policy": ("MergePolicy", "policy_from"),
    "model.identity": ("email_key",),
    "model.outcomes": ("PlanRow", "WriteResult"),
    "model.schema": ("Lead", "arrow_schema"),
    "plan.planning": ("PlanRules", "iter_plan"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    # On first use only: DuckDB and PyArrow must not be loaded for whoever wants email_key.
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
