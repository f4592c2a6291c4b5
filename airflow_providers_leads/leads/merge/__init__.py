"""Golden records: who is one person, and which value survives."""

from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files

__all__ = ["OUTPUTS", "merge_files"]
