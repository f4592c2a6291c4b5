"""What Airflow is told when leads were read or written, so that other DAGs can be scheduled by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.common.compat.sdk import Asset, AssetAlias, Context

from airflow_providers_leads.asset_uris import crm_asset_uri

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook

EXTRACTED: Final = AssetAlias(name="leads_extracted")
UPSERTED: Final = AssetAlias(name="leads_upserted")
"""The connection of a task may be a template and is known when it runs, so the assets are named then: by an alias."""


def with_alias(outlets: Any, alias: AssetAlias) -> list[Any]:
    """Return a task's outlets, an alias among them."""
    listed = [outlets] if isinstance(outlets, (Asset, AssetAlias)) else list(outlets or ())
    return listed if alias in listed else [*listed, alias]


def tell(context: Context, alias: AssetAlias, hook: LeadsHook, by_part: Mapping[str, Mapping[str, Any]]) -> None:
    """Emit an event for each part of a CRM in which something was read or written; nothing starts a run for nothing.

    :param context: the task's context
    :param alias: of the task's outlets
    :param hook: of the CRM
    :param by_part: funnel (in other CRMs anything) → counts and watermark; no addresses
    """
    events: Any = context.get("outlet_events")
    if events is None:
        return
    for part, extra in by_part.items():
        asset = Asset(uri=crm_asset_uri(hook.conn_type, hook.conn_id, part))
        events[alias].add(asset, extra={"conn_id": hook.conn_id, **extra})
