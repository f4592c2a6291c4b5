"""Which lead CRMs there are: this package's own, and those of other packages that are installed.

A package's CRM is a connection type that is also the scheme of asset URIs which this package handles: its provider
info says both, as Airflow defines it, and nothing is imported to learn of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from airflow_providers_leads.get_provider_info import ASSET_URI_HANDLER, get_provider_info


class Crm(NamedTuple):
    """One CRM.

    :param name: how people know it
    :param hook: dotted name of its hook class
    """

    name: str
    hook: str


@cache
def crms() -> Mapping[str, Crm]:
    """Return connection type → CRM, this package's own first."""
    found: dict[str, Crm] = {}
    for info in (get_provider_info(), *_installed()):
        for conn_type, crm in _crms_of(info):
            found.setdefault(conn_type, crm)
    return found


def crm_name(conn_type: str) -> str:
    """Return how people know a CRM; its connection type when it isn't installed here."""
    crm = crms().get(conn_type)
    return crm.name if crm else conn_type


def _crms_of(info: Mapping[str, Any]) -> Iterator[tuple[str, Crm]]:
    uris = [entry for entry in info.get("asset-uris") or () if entry.get("handler") == ASSET_URI_HANDLER]
    schemes = {scheme for entry in uris for scheme in entry["schemes"]}
    for form in info.get("connection-types") or ():
        conn_type = form["connection-type"]
        if conn_type in schemes:
            yield conn_type, Crm(form.get("hook-name") or conn_type, form["hook-class-name"])


def _installed() -> Iterable[Mapping[str, Any]]:
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    return [dict(provider.data) for provider in ProvidersManagerTaskRuntime().providers.values()]  # type: ignore[no-untyped-call]
