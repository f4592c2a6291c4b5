"""Lead CRMs in Apache Airflow: Perspective funnels, HubSpot contacts and PersistIQ outreach behind one contract."""

from __future__ import annotations

from airflow_providers_leads._moved import follow

__version__ = "0.1.0"

follow()
