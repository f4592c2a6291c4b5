"""HubSpot's own Python client, made to distrust what it reads.

Its models are generated from the vendor's OpenAPI files. Their validation is off unless asked for, and even then it
notices no more than absent values: it reads 5 as "5" and passes over names it does not know. So every answer is also
held against the declared status and types before the client reads it.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

from hubspot import Client
from hubspot.discovery.discovery_base import DiscoveryBase

DATED = "2026-03"
# The client only knows the paths before dated versions; HubSpot documents the same shapes for both.
_DATED_ROOTS = (
    ("/crm/v3/objects", "/crm/objects/{version}"),
    ("/crm/v4/objects", "/crm/objects/{version}"),
    ("/crm/v4/associations", "/crm/associations/{version}"),
    ("/crm/v3/properties", "/crm/properties/{version}"),
    ("/crm/v3/owners", "/crm/owners/{version}"),
)
# In HubSpot's OpenAPI files since this client was generated from them.
_NEWER = {"ModelProperty": {"dataSensitivity"}}
# Declared as text, answered as numbers: https://github.com/HubSpot/hubspot-api-nodejs/issues/552
_NUMBERS = {"fromObjectId", "toObjectId"}
_JSON_TYPES = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


class ShapeError(AssertionError):
    """An answer that HubSpot's OpenAPI files do not declare."""


def connect(api: Any, *, key: str | None = None, dated: bool = False) -> Client:
    """Return the official client of a stand-in."""
    return Client.create(
        access_token=key or api.key,
        host=api.origin,
        base_url=api.origin,
        client_side_validation=True,
        api_factory=partial(_distrustful, dated=dated),
    )


def dated_path(path: str, version: str = "{version}") -> str:
    """Return the dated form of a path or template; what has none stays."""
    for old, new in _DATED_ROOTS:
        path = path.replace(old, new.replace("{version}", version))
    return path


def typed(package: ModuleType, body: Any, kind: str) -> Any:
    """Return JSON data as the client's own models, strictly."""
    configuration = package.Configuration()
    configuration.client_side_validation = True
    check(body, kind, package)
    return package.ApiClient(configuration).deserialize(SimpleNamespace(data=json.dumps(body)), kind)


def _distrustful(package: ModuleType, name: str, config: dict[str, Any], *, dated: bool) -> Any:
    api = DiscoveryBase._default_api_factory(package, name, config)
    client = api.api_client
    call, read = client.call_api, client.deserialize

    def checked_call(path: str, method: str, *args: Any, response_types_map: dict[int, str], **options: Any) -> Any:
        declared = set(response_types_map) or {204}
        if dated:
            path = dated_path(path, DATED)
            # Dated versions answer the removal of associations with a body.
            declared |= {200} if "/crm/associations/" in path else set()
        answer = call(path, method, *args, response_types_map=response_types_map, **options)
        if client.last_response.status not in declared:
            raise ShapeError(f"{method} {path} answered {client.last_response.status}, declared: {sorted(declared)}")
        return answer

    def checked_read(response: Any, kind: str) -> Any:
        check(json.loads(response.data), kind, package)
        return read(response, kind)

    client.call_api, client.deserialize = checked_call, checked_read
    return api


def check(data: Any, kind: str, package: ModuleType, where: str = "body") -> None:
    """Raise ShapeError where JSON data is not what a declared type says; nulls are left to the models' validation."""
    if data is None:
        return
    if found := re.fullmatch(r"list\[(.*)\]", kind):
        _is(data, (list,), where)
        for index, item in enumerate(data):
            check(item, found[1], package, f"{where}[{index}]")
    elif found := re.fullmatch(r"dict\[str, (.*)\]", kind):
        _is(data, (dict,), where)
        for name, item in data.items():
            check(item, found[1], package, f"{where}.{name}")
    elif kind in _JSON_TYPES:
        _is(data, _JSON_TYPES[kind], where)
    elif kind == "datetime":
        _is(data, (str,), where)
        if datetime.fromisoformat(data).tzinfo is None:
            raise ShapeError(f"{where} is a time without time zone: {data}")
    elif kind != "object":
        _is(data, (dict,), where)
        model = getattr(package.models, kind)
        if unknown := data.keys() - set(model.attribute_map.values()) - _NEWER.get(kind, set()):
            raise ShapeError(f"{where} has undeclared names: {sorted(unknown)}")
        for attribute, name in model.attribute_map.items():
            if not (name in _NUMBERS and type(data.get(name)) is int):
                check(data.get(name), model.openapi_types[attribute], package, f"{where}.{name}")


def _is(data: Any, kinds: tuple[type, ...], where: str) -> None:
    if type(data) not in kinds:
        raise ShapeError(f"{where} is {data!r}, declared: {kinds[0].__name__}")
