"""How Airflow's assets name what lies behind a connection: ``hubspot://<conn_id>/contacts`` and the like.

An asset URI names a connection and a part of its CRM, never a key or a person.
"""

from __future__ import annotations

from urllib.parse import SplitResult, quote


def crm_asset_uri(conn_type: str, conn_id: str, part: str | None = None) -> str:
    """Return the asset URI of a connection's people.

    :param conn_type: connection type
    :param conn_id: the connection
    :param part: the funnel, in a CRM that is divided into them
    """
    # Airflow loads this module with the first asset that has a URI; the hooks are not needed for that.
    from airflow_providers_leads.hooks.base import hook_class, is_divided

    hook = hook_class(conn_type)
    path = quote(part, safe="") if part and is_divided(conn_type) else hook.asset_path if hook else "leads"
    return f"{conn_type}://{quote(conn_id, safe='')}/{path}"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return an asset URI in the one form in which Airflow compares it.

    :raises ValueError: when it names no connection, or holds what doesn't belong there
    """
    if not uri.netloc or "@" in uri.netloc or uri.query or uri.fragment:
        raise ValueError(f"a {uri.scheme} asset is named {uri.scheme}://<connection id>/<what>, without anything else")
    return uri._replace(path=uri.path.rstrip("/"))
