"""Asset URIs name a connection and a part of its CRM, and nothing else."""

from __future__ import annotations

from pkgutil import resolve_name
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_providers_leads.asset_uris import crm_asset_uri, sanitize_uri
from airflow_providers_leads.get_provider_info import get_provider_info


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        (("hubspot", "hubspot_default", "hubspot_default"), "hubspot://hubspot_default/contacts"),
        (("persistiq", "my conn/x@y", None), "persistiq://my%20conn%2Fx%40y/leads"),
        (("perspective", "p", "65f0"), "perspective://p/65f0"),
        (("perspective", "p", None), "perspective://p/funnels"),
    ],
)
def test_uris(given: tuple[str, str, str | None], uri: str) -> None:
    assert crm_asset_uri(*given) == uri
    assert Asset(uri=uri).uri == uri


@pytest.mark.parametrize("uri", ["hubspot:///contacts", "hubspot://key@conn/contacts", "hubspot://conn/contacts?key=1"])
def test_what_does_not_belong_there_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="connection id"):
        sanitize_uri(urlsplit(uri))


def test_the_provider_names_the_handler() -> None:
    (entry,) = get_provider_info()["asset-uris"]
    assert entry["schemes"] == ["hubspot", "perspective", "persistiq"]
    assert resolve_name(entry["handler"]) is sanitize_uri
