"""PersistIQ leads and campaigns."""

from airflow_providers_leads.hooks.persistiq.hook import PersistIQHook

__all__ = ["PersistIQHook"]
