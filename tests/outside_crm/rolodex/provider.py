"""What Airflow learns of this package: plain data."""

from __future__ import annotations

from typing import Any

from airflow_providers_leads.get_provider_info import asset_uris, connection_type

ROLODEX: dict[str, Any] = {
    "conn_type": "rolodex",
    "name": "Rolodex",
    "hook": "rolodex.hook.RolodexHook",
    "host": "https://api.rolodex.example",
    "key": "API key",
    "key_hint": "Settings > API",
    "quota": "50 in 1 second",
    "fields": {},
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata."""
    return {
        "package-name": "airflow-providers-rolodex",
        "name": "Rolodex",
        "description": "A small CRM.",
        "connection-types": [connection_type(ROLODEX)],
        "asset-uris": asset_uris("rolodex"),
    }
