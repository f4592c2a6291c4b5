"""How HubSpot is addressed and signed in to: paths per API version, and access tokens for OAuth apps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from airflow.sdk.log import mask_secret

from airflow_providers_leads.hooks.hubspot.wire import DIALECT
from airflow_providers_leads.hooks.settings import LeadsSettingsError, Settings
from airflow_providers_leads.http.auth import OriginAuth
from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import LeadsAuthError, LeadsPermissionError, LeadsValidationError
from airflow_providers_leads.http.hints import number
from airflow_providers_leads.http.retry import RetryPolicy

DEFAULT_VERSION: Final = "2026-03"
_VERSION: Final = re.compile(r"v3|\d{4}-(?:0[1-9]|1[0-2])")
# Legacy association calls are v4 while everything else is v3; "records" are associations below one record.
_LEGACY: Final = {
    "objects": "/crm/v3/objects",
    "records": "/crm/v4/objects",
    "associations": "/crm/v4/associations",
    "properties": "/crm/v3/properties",
    "owners": "/crm/v3/owners",
    "account": "/account-info/v3",
    "lists": "/crm/v3/lists",
}
_DATED: Final = {
    "objects": "/crm/objects/",
    "records": "/crm/objects/",
    "associations": "/crm/associations/",
    "properties": "/crm/properties/",
    "owners": "/crm/owners/",
    "account": "/account-info/",
    "lists": "/crm/lists/",
}
_OAUTH_EXTRAS: Final = ("client_id", "client_secret", "refresh_token")
_INSTALL_AGAIN: Final = (
    f"check the extras {', '.join(_OAUTH_EXTRAS)}: install the app again and put its new refresh_token there."
)
OAUTH_ADVICE: Final[Mapping[int | None, str]] = {
    401: f"HubSpot refuses the OAuth app's access token, a new one too: {_INSTALL_AGAIN}",
    403: "The OAuth app lacks a scope: reading contacts needs crm.objects.contacts.read, writing them "
    "crm.objects.contacts.write, creating properties crm.schemas.contacts.write, owners crm.objects.owners.read. Add "
    "it to the app, install the app again and put its new refresh_token into the connection's extra.",
}
"""What to do about an HTTP status where an OAuth app signs in."""
_TOKEN_ADVICE: Final[Mapping[int | None, str]] = {
    404: "There is no token endpoint: check the connection's host and its extra api_version.",
    429: "OAuth access tokens are renewed too often: run later.",
}
# Used when the token answer does not say how long the token lives.
_SHORT_LIFE: Final = 300.0


def read_version(settings: Settings) -> str:
    """Return the API version of a connection, default ``2026-03``.

    :raises LeadsSettingsError: when it is neither ``v3`` nor of the form ``YYYY-MM``
    """
    version = settings.text("api_version") or DEFAULT_VERSION
    if not _VERSION.fullmatch(version):
        raise LeadsSettingsError(
            f"{settings.label}: extra 'api_version' must be 'v3' or a dated version such as '{DEFAULT_VERSION}'."
        )
    return version


def api_path(version: str, area: str, suffix: str = "") -> str:
    """Return the path template of a call in an API version.

    :param version: ``v3`` or ``YYYY-MM``
    :param area: ``objects``, ``records`` (associations of one record), ``associations``, ``properties``, ``owners``,
        ``account`` or ``lists``
    :param suffix: what follows the area's root, such as ``/contacts/{contact_id}``
    """
    root = _LEGACY[area] if version == "v3" else _DATED[area] + version
    return root + suffix


def token_path(version: str) -> str:
    """Return the path of the token endpoint; it exists in v3 and from 2026-03 on."""
    return f"/oauth/{version if version == 'v3' else max(version, DEFAULT_VERSION)}/token"


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """The secrets with which an OAuth app asks for access tokens."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


def read_oauth(settings: Settings) -> OAuthApp | None:
    """Return the OAuth app of a connection, ``None`` when it has a key: private apps have a client secret as well.

    :raises LeadsSettingsError: when there is neither a key nor a whole OAuth app, saying what is missing
    """
    if settings.key:
        return None
    given = {name: settings.text(name) for name in _OAUTH_EXTRAS}
    missing = [name for name in _OAUTH_EXTRAS if not given[name]]
    if len(missing) == len(_OAUTH_EXTRAS):
        raise LeadsSettingsError(
            f"{settings.label}: no key. Put a private-app token or service key into the connection's password, "
            f"or for an OAuth app set the extras {', '.join(_OAUTH_EXTRAS)}."
        )
    if missing:
        raise LeadsSettingsError(f"{settings.label}: an OAuth app needs the extra {', '.join(missing)} too.")
    return OAuthApp(**given)


def request_token(settings: Settings, version: str, app: OAuthApp, user_agent: str) -> tuple[str, float]:
    """Return a new access token and its lifetime in seconds.

    https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens

    :param settings: of the connection; the token is asked for at its own origin
    :param version: API version
    :param app: the app's secrets, sent as a form
    :param user_agent: sent with the request
    :raises LeadsAuthError: when HubSpot refuses the secrets; asking again would not help
    """
    client = HttpClient(
        origin=settings.origin,
        auth=OriginAuth(settings.origin, dict, settings.label),
        label=settings.label,
        policy=RetryPolicy(max_retries=settings.max_retries),
        timeout=(min(10.0, settings.timeout), settings.timeout),
        user_agent=user_agent,
        advice=_TOKEN_ADVICE,
        dialect=DIALECT,
    )
    form = {
        "grant_type": "refresh_token",
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "refresh_token": app.refresh_token,
    }
    try:
        # A refresh token stays valid when used: whatever becomes of a request, another one may be sent.
        body = client.request("POST", token_path(version), form=form, safe=True, expect=_is_token).body
    except (LeadsAuthError, LeadsPermissionError, LeadsValidationError) as error:
        raise LeadsAuthError(
            f"{settings.label}: HubSpot refused to renew the OAuth access token ({error.category or error.status}). "
            "The app was uninstalled, its refresh token revoked, or client id and secret belong to another app: "
            f"{_INSTALL_AGAIN}",
            status=error.status,
            category=error.category,
            request_id=error.request_id,
        ) from None
    finally:
        client.close()
    token = str(body["access_token"])
    mask_secret(token)
    return token, number(body.get("expires_in")) or _SHORT_LIFE


def _is_token(body: object) -> bool:
    return isinstance(body, dict) and isinstance(body.get("access_token"), str) and bool(body["access_token"])
