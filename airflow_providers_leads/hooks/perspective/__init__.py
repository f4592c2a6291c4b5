"""Perspective funnels, their contacts and metrics."""

from airflow_providers_leads.hooks.perspective.hook import PerspectiveHook

__all__ = ["PerspectiveHook"]
