"""What Airflow is told when leads were read or written, so that other DAGs can be scheduled by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.common.compat.sdk import Asset, AssetAlias, Context

from airflow_providers_leads.asset_uris import crm_asset_uri
from airflow_providers_leads.hooks.registry import crms
from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.tasks.paths import storage_path

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook

EXTRACTED: Final = AssetAlias(name="leads_extracted")
UPSERTED: Final = AssetAlias(name="leads_upserted")
"""The connection of a task may be a template and is known when it runs, so the assets are named then: by an alias."""

_DAGS: Final = "dags"


def with_alias(outlets: Any, alias: AssetAlias) -> list[Any]:
    """Return a task's outlets, an alias among them."""
    listed = [outlets] if isinstance(outlets, (Asset, AssetAlias)) else list(outlets or ())
    return listed if alias in listed else [*listed, alias]


def tell_read(
    context: Context, hook: LeadsHook, result: Mapping[str, Any], known_until: datetime | None, *, first: bool
) -> None:
    """Emit an event for each part of a CRM in which a read found something new.

    A read changes nothing. A DAG that is scheduled by what it reads itself would start itself again and again, so in a
    run that events of leads have started a read emits none.

    :param context: the task's context
    :param hook: of the CRM
    :param result: of the extract
    :param known_until: what was changed before this time was read before, ``None`` when nobody knows
    :param first: true: nothing was read before
    """
    if next(_started_by(context), None) is not None:
        return
    new: Mapping[str, int] = result["parts"] if first else {}
    if known_until is not None:
        new = _newer(result, known_until)
    by_part = {
        part: {"rows": rows, "new": new[part], "watermark": result["watermark"]}
        for part, rows in result["parts"].items()
        if new.get(part)
    }
    tell(context, EXTRACTED, hook, by_part)


def _newer(result: Mapping[str, Any], known_until: datetime) -> Counter[str]:
    """Return how many leads of each part have changed since; those without a time come with every read."""
    leads = read_rows(storage_path(result["uri"]), Lead)
    return Counter(lead.source_scope for lead in leads if lead.updated_at and lead.updated_at > known_until)


def _started_by(context: Context) -> Iterator[Any]:
    """Yield the events of leads by which a run was started."""
    events: Any = context.get("triggering_asset_events") or {}
    schemes = tuple(f"{conn_type}://" for conn_type in crms())
    for listed in events.values():
        yield from (event for event in listed if str(event.asset.uri).startswith(schemes))


def _dags_before(context: Context) -> list[str]:
    """Return the DAGs whose writes, one by the other, have started this run."""
    lists = ((event.extra or {}).get(_DAGS) for event in _started_by(context))
    return sorted({str(dag) for listed in lists if isinstance(listed, list) for dag in listed})


def tell(context: Context, alias: AssetAlias, hook: LeadsHook, by_part: Mapping[str, Mapping[str, Any]]) -> None:
    """Emit an event for each part of a CRM in which something was read or written; nothing starts a run for nothing.

    An event names the DAGs that have led to it. One that is among them emits none: else a write that a CRM doesn't keep
    would be written, and start the DAG, for ever.

    :param context: the task's context
    :param alias: of the task's outlets
    :param hook: of the CRM
    :param by_part: funnel (in other CRMs anything) → counts and watermark; no addresses
    """
    events: Any = context.get("outlet_events")
    if events is None:
        return
    dags, own = _dags_before(context), str(getattr(context.get("ti"), "dag_id", ""))
    if own in dags:
        return
    for part, extra in by_part.items():
        asset = Asset(uri=crm_asset_uri(hook.conn_type, hook.conn_id, part))
        events[alias].add(asset, extra={"conn_id": hook.conn_id, _DAGS: sorted({*dags, own}), **extra})
