"""Keys that travel to one origin only."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from airflow_providers_leads.http.errors import LeadsApiError, LeadsAuthError

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> tuple[str, str, int]:
    """Return (scheme, host, port) of a URL in one spelling: lower case, default port filled in, no trailing dot.

    :raises ValueError: when the URL has no http(s) scheme or no host
    """
    if "\\" in url or not url.isprintable():
        # Here urlsplit and urllib3 differ: one would compare another host than the other connects to.
        raise ValueError("a URL holds no backslashes and control characters")
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".").lower()
    if scheme not in _DEFAULT_PORTS or not host:
        raise ValueError("a URL needs http:// or https:// and a host")
    return scheme, host, _DEFAULT_PORTS[scheme] if parts.port is None else parts.port


def is_at(url: str, origin: tuple[str, str, int]) -> bool:
    """Tell whether a URL, however malformed, is at an origin."""
    try:
        return origin_of(url) == origin
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Tell whether a host name is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class OriginAuth(AuthBase):
    """Signs requests to one origin and refuses to sign any other.

    :param origin: URL whose scheme, host and port are the only ones that may see the key
    :param headers: called for each request, returns the headers that carry the key
    :param label: how the connection is named in errors
    :param remedy: what to do about a key that no header can carry
    """

    def __init__(
        self,
        origin: str,
        headers: Callable[[], Mapping[str, str]],
        label: str,
        remedy: str = "Put it into the connection's password again.",
    ) -> None:
        self._origin = origin_of(origin)
        self._headers = headers
        self._label, self._remedy = label, remedy

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if not is_at(request.url or "", self._origin):
            raise LeadsApiError(
                f"{self._label}: a request to another host than the connection's was refused and the key was not sent. "
                "If the API moved, set the connection's host to its new origin.",
                category="FOREIGN_ORIGIN",
            )
        headers = self._headers()
        if not all(value.isascii() and value.isprintable() for value in headers.values()):
            # Further down it would fail as well, with an error that quotes the key.
            raise LeadsAuthError(
                f"{self._label}: the key holds a line break or another character that no key has. {self._remedy}"
            )
        request.headers.update(headers)
        return request
