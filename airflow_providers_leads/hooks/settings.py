"""What an Airflow connection says about a conversation with a CRM, read once and checked before the first request."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import Connection, conf

from airflow_providers_leads.http.auth import is_loopback, origin_of

T = TypeVar("T")

_KINDS: Final = {list: "a list", str: "text", int: "a number", float: "a number", bool: "a boolean"}


class LeadsSettingsError(ValueError):
    """A connection can't be used as it is; the message names the connection, the setting and what to put there."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The checked settings of a connection.

    :param label: how messages name the connection
    :param origin: scheme, host and port of the API
    :param key: the secret in the password field, empty for OAuth
    :param timeout: read time-out in seconds
    :param max_retries: repeats of a failed request
    :param rate_limit: requests per period when the connection overrides the documented limit
    :param rate_limit_period: seconds of that override
    :param extra: the connection's extra, for settings of one CRM
    """

    label: str
    origin: str
    key: str = field(repr=False)
    timeout: float = 60.0
    max_retries: int = 5
    rate_limit: int | None = None
    rate_limit_period: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def text(self, name: str) -> str:
        """Return a setting of the extra as text, empty when it is absent.

        :raises LeadsSettingsError: when it is neither text nor a whole number
        """
        value = self.extra.get(name)
        if isinstance(value, bool) or not isinstance(value, (str, int, type(None))):
            raise LeadsSettingsError(f"{self.label}: extra '{name}' must be text.")
        return "" if value is None else str(value).strip()

    def switch(self, name: str) -> bool:
        """Return a setting of the extra as true or false, false when it is absent.

        :raises LeadsSettingsError: when it is neither
        """
        return _switch(self.extra, name, self.label)


def label_for(conn_id: str) -> str:
    """Return how messages name a connection."""
    return f"Connection '{conn_id}'"


_SWITCH: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def read_extra(conn: Connection) -> Mapping[str, Any]:
    """Return a connection's extra.

    :raises LeadsSettingsError: when it is no JSON object; Airflow passes over text that is no JSON
    """
    plain: Any = conn.extra
    if isinstance(plain, dict):
        # What Airflow 3.2 makes of an object where 3.3 makes text of it; it asks for text to show what is secret.
        conn.extra = json.dumps(plain)
    try:
        extra = json.loads(conn.extra) if conn.extra else None
    except ValueError:
        extra = conn.extra
    if isinstance(extra, dict):
        # As it also masks what is secret in it.
        return conn.extra_dejson
    if extra is None:
        return {}
    raise LeadsSettingsError(
        f'{label_for(str(conn.conn_id))}: extra must be a JSON object such as {{"timeout": 30}}, not '
        f"{_KINDS.get(type(extra), 'something else')}."
    )


def read_settings(conn: Connection, *, default_host: str) -> Settings:
    """Return a connection's checked settings.

    :param conn: the Airflow connection
    :param default_host: the vendor's origin, used when the connection names no host
    :raises LeadsSettingsError: when a setting can't be used
    """
    label = label_for(str(conn.conn_id))
    extra = read_extra(conn)

    def setting(name: str, kind: Callable[[Any], T], least: float, fallback: T) -> T:
        value = extra.get(name)
        if value is None or value == "":
            return fallback
        try:
            number = kind(value)
            exact = float(number) == float(value)  # type: ignore[arg-type]  # kind is int or float
        except (TypeError, ValueError, OverflowError):
            exact = False
        # What is not equal to itself is no number, and neither is infinity.
        if isinstance(value, bool) or not exact or not least <= float(number) < math.inf:  # type: ignore[arg-type]
            whole = "whole " if kind is int else ""
            raise LeadsSettingsError(f"{label}: extra '{name}' must be a {whole}number of at least {least:g}.")
        return number

    rate_limit: int | None = setting("rate_limit", int, 1, None)
    period: float | None = setting("rate_limit_period", float, 0.001, None)
    return Settings(
        label=label,
        origin=_origin(conn, default_host, label, allow_http=_switch(extra, "allow_http", label)),
        key=(conn.password or "").strip(),
        timeout=setting("timeout", float, 0.001, conf.getfloat("leads", "timeout", fallback=60.0)),
        max_retries=setting("max_retries", int, 0, conf.getint("leads", "max_retries", fallback=5)),
        rate_limit=rate_limit,
        rate_limit_period=period,
        extra=extra,
    )


def _switch(extra: Mapping[str, Any], name: str, label: str) -> bool:
    value = extra.get(name)
    if value is None or value == "":
        return False
    answer = _SWITCH.get(str(value).strip().lower())
    if answer is None:
        raise LeadsSettingsError(f"{label}: extra '{name}' must be true or false.")
    return answer


def _origin(conn: Connection, default_host: str, label: str, *, allow_http: bool) -> str:
    host = (conn.host or "").strip().rstrip("/") or default_host
    if "://" not in host:
        # A connection given as a URI has its parts in fields of their own.
        port = f":{conn.port}" if conn.port and ":" not in host else ""
        host = f"{conn.schema or 'https'}://{host}{port}"
    try:
        scheme, name, _ = origin_of(host)
    except ValueError:
        raise LeadsSettingsError(f"{label}: host must be an origin such as {default_host}.") from None
    parts = urlsplit(host)
    if parts.path or parts.query or parts.username:
        raise LeadsSettingsError(
            f"{label}: host must be an origin such as {default_host}, without path, query or user."
        )
    if scheme == "http" and not is_loopback(name) and not allow_http:
        raise LeadsSettingsError(
            f"{label}: host starts with http://, which would send the key unencrypted. Use https://, or set the extra "
            "'allow_http' to true for a test server."
        )
    return host
