"""Lead CRMs in Apache Airflow: Perspective funnels, HubSpot contacts and PersistIQ outreach behind one contract."""

from __future__ import annotations

__version__ = "0.1.0"
