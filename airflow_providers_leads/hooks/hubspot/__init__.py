"""HubSpot contacts."""

from airflow_providers_leads.hooks.hubspot.hook import HubSpotHook

__all__ = ["HubSpotHook"]
