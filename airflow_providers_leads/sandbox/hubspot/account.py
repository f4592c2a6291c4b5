"""HubSpot beyond contacts: tokens, account information, owners and property definitions."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from starlette.datastructures import QueryParams

from airflow_providers_leads.sandbox.core.clock import iso_utc
from airflow_providers_leads.sandbox.core.config import HUBSPOT_SCOPES, SandboxConfig
from airflow_providers_leads.sandbox.core.shell import ApiError, Call, Reply
from airflow_providers_leads.sandbox.hubspot.contacts import flag
from airflow_providers_leads.sandbox.hubspot.errors import PORTAL_ID, bad_request, failure
from airflow_providers_leads.sandbox.hubspot.properties import MAX_UNIQUE, definition_problem, make_property
from airflow_providers_leads.sandbox.hubspot.store import HubSpotStore

MAX_OWNERS_PAGE = 500


@dataclass(frozen=True)
class Token:
    """What an access token may do; only OAuth tokens end."""

    name: str
    scopes: frozenset[str]
    oauth: bool = False
    expires: float | None = None


class Tokens:
    """Access tokens of one account."""

    def __init__(self, config: SandboxConfig) -> None:
        """Know the private-app tokens of the configuration."""
        self.config = config
        scopes = {config.hubspot_key: HUBSPOT_SCOPES} | {k: frozenset(v) for k, v in config.hubspot_tokens.items()}
        self._known = {name: Token(name, granted) for name, granted in scopes.items()}

    def check(self, authorization: str) -> Token:
        """Return the token of an `Authorization` header or answer 401."""
        scheme, _, name = authorization.partition(" ")
        if scheme.lower() != "bearer" or not name.strip():
            message = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
            raise failure(401, message, "INVALID_AUTHENTICATION")
        token = self._known.get(name.strip())
        if token is None:
            raise failure(401, "Authentication credentials are invalid", "INVALID_AUTHENTICATION")
        if token.expires is not None and token.expires <= time.monotonic():
            message = "The OAuth token used to make this call expired."
            raise failure(401, message, "EXPIRED_AUTHENTICATION")
        return token

    def issue(self) -> str:
        """Make a new access token for the OAuth app; the ones before it live until they end."""
        name = f"sandbox-oauth-{uuid4().hex}"
        self._known[name] = Token("oauth-app", HUBSPOT_SCOPES, True, time.monotonic() + self.config.oauth_expires_in)
        return name


def exchange(store: HubSpotStore, call: Call) -> Reply:
    """Exchange a refresh token; only the oldest version of the endpoint also reads the query string.

    https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/guide
    """
    form = QueryParams(call.body.decode()) if "urlencoded" in call.headers.get("content-type", "") else QueryParams("")
    fields = dict(form) or (dict(call.query) if call.path == "/oauth/v1/token" else {})
    config = store.config
    if fields.get("grant_type") != "refresh_token":
        raise _oauth_error("unsupported_grant_type", "BAD_GRANT_TYPE", "missing or unsupported grant_type")
    if (fields.get("client_id"), fields.get("client_secret")) != (config.oauth_client_id, config.oauth_client_secret):
        raise _oauth_error("invalid_client", "BAD_CLIENT_ID", "missing or unknown client id or secret")
    if fields.get("refresh_token") != config.oauth_refresh_token:
        raise _oauth_error("invalid_grant", "BAD_REFRESH_TOKEN", "missing or unknown refresh token")
    body = {
        "access_token": store.tokens.issue(),
        "refresh_token": config.oauth_refresh_token,
        "expires_in": int(config.oauth_expires_in),
        "token_type": "bearer",
    }
    if call.path != "/oauth/v1/token":
        body |= {"token_use": "access_token", "hub_id": PORTAL_ID, "user_id": 1, "scopes": sorted(HUBSPOT_SCOPES)}
    return Reply(body)


def _oauth_error(error: str, status: str, message: str) -> ApiError:
    body = {"error": error, "error_description": message, "status": status, "message": message}
    return ApiError(400, body)


# --- account information --------------------------------------------------------------------------------------------


def details(store: HubSpotStore, call: Call) -> Reply:
    """Describe the account."""
    return Reply(
        {
            "portalId": PORTAL_ID,
            "accountType": "DEVELOPER_TEST",
            "timeZone": "UTC",
            "companyCurrency": "EUR",
            "utcOffset": "+00:00",
            "utcOffsetMilliseconds": 0,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "eu1",
        }
    )


def daily_usage(store: HubSpotStore, call: Call) -> Reply:
    """Tell how much of today's pool is spent."""
    now = store.clock.now()
    midnight = datetime.fromtimestamp(now / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    usage = {
        "name": "private-apps-api-calls-daily",
        "usageLimit": store.config.hubspot_daily,
        "currentUsage": store.calls_today,
        "collectedAt": iso_utc(now),
        "resetsAt": iso_utc(int(midnight.timestamp() * 1000) + 86_400_000),
        "fetchStatus": "SUCCESS",
    }
    return Reply({"results": [usage]})


# --- owners ---------------------------------------------------------------------------------------------------------


def seed_owners(created: str) -> list[dict[str, Any]]:
    """Return two sales people, a queue and somebody who left."""
    names = (("Petra", "Lang", "PERSON"), ("Marco", "Silva", "PERSON"), ("Inbound", "Queue", "QUEUE"))
    owners = [_owner(i, first, last, kind, created) for i, (first, last, kind) in enumerate(names)]
    return [*owners, _owner(3, "Gone", "Colleague", "PERSON", created) | {"archived": True, "userId": None}]


def _owner(index: int, first: str, last: str, kind: str, created: str) -> dict[str, Any]:
    return {
        "id": str(41_629_779 + index * 101),
        "email": f"{first}.{last}@vendor.example".lower(),
        "type": kind,
        "firstName": first,
        "lastName": last,
        "userId": 9_586_504 + index if kind == "PERSON" else None,
        "userIdIncludingInactive": 9_586_504 + index,
        "createdAt": created,
        "updatedAt": created,
        "archived": False,
        "teams": [{"id": "368389", "name": "Sales", "primary": True}],
    }


def list_owners(store: HubSpotStore, call: Call) -> Reply:
    """Page through owners."""
    limit, after = call.query.get("limit", "100"), call.query.get("after", "0")
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_OWNERS_PAGE or not after.isdecimal():
        raise bad_request(f"limit must be between 1 and {MAX_OWNERS_PAGE} and after a cursor")
    archived, email = flag(call, "archived"), call.query.get("email")
    owners = [o for o in store.owners if o["archived"] is archived and email in (None, o["email"])]
    rest = [owner for owner in owners if int(owner["id"]) >= int(after)]
    page, rest = rest[: int(limit)], rest[int(limit) :]
    paging = {"paging": {"next": {"after": rest[0]["id"]}}} if rest else {}
    return Reply({"results": page, **paging})


def get_owner(store: HubSpotStore, call: Call) -> Reply:
    """Read one owner by owner id or user id."""
    key = call.query.get("idProperty", "id")
    if key not in ("id", "userId"):
        raise bad_request(f"Invalid idProperty {key}")
    archived = flag(call, "archived")
    field = "userIdIncludingInactive" if key == "userId" else "id"
    for owner in store.owners:
        if str(owner[field]) == call.params["id"] and owner["archived"] is archived:
            return Reply(owner)
    raise failure(404, "resource not found")


# --- properties -----------------------------------------------------------------------------------------------------


def list_properties(store: HubSpotStore, call: Call) -> Reply:
    """List every definition; there is no paging."""
    sensitivity, source = _sensitivity(call), _definitions(store, flag(call, "archived"))
    return Reply({"results": [p for p in source.values() if p["dataSensitivity"] == sensitivity]})


def _definitions(store: HubSpotStore, archived: bool) -> dict[str, dict[str, Any]]:
    return store.archived_properties if archived else store.properties


def _property(store: HubSpotStore, name: str, *, archived: bool = False) -> dict[str, Any]:
    source = _definitions(store, archived)
    if name not in source:
        raise failure(404, f"Property {name} does not exist", "OBJECT_NOT_FOUND")
    return source[name]


def get_property(store: HubSpotStore, call: Call) -> Reply:
    """Read one definition."""
    definition = _property(store, call.params["name"], archived=flag(call, "archived"))
    if definition["dataSensitivity"] != _sensitivity(call):
        raise failure(404, f"Property {definition['name']} does not exist", "OBJECT_NOT_FOUND")
    return Reply(definition)


def _sensitivity(call: Call) -> str:
    sensitivity = call.query.get("dataSensitivity", "non_sensitive")
    if sensitivity not in ("non_sensitive", "sensitive", "highly_sensitive"):
        raise bad_request(f"Invalid dataSensitivity {sensitivity}")
    return sensitivity


def create_property(store: HubSpotStore, call: Call) -> Reply:
    """Define a property."""
    return Reply(_define(store, call, call.json_object()), 201)


def _define(store: HubSpotStore, call: Call, definition: dict[str, Any]) -> dict[str, Any]:
    if trouble := definition_problem(definition, set(store.groups), dated="version" in call.params):
        raise bad_request(trouble)
    if definition["name"] in store.properties:
        raise failure(409, f"A property named '{definition['name']}' already exists.", "CONFLICT")
    if definition.get("hasUniqueValue") and sum(p["hasUniqueValue"] for p in store.properties.values()) >= MAX_UNIQUE:
        raise bad_request(f"At most {MAX_UNIQUE} properties may have unique values")
    return store.properties.setdefault(definition["name"], make_property(definition, iso_utc(store.clock.now())))


def update_property(store: HubSpotStore, call: Call) -> Reply:
    """Change a definition; its name and uniqueness stay for ever."""
    known, changes = _property(store, call.params["name"]), call.json_object()
    if known["hubspotDefined"]:
        raise bad_request(f"Property {known['name']} is defined by HubSpot and cannot be changed")
    if fixed := {"name", "hasUniqueValue"} & changes.keys():
        raise bad_request(f"{sorted(fixed)} cannot be changed")
    merged = {**known, **changes}
    if trouble := definition_problem(merged, set(store.groups)):
        raise bad_request(trouble)
    known |= make_property(merged, known["createdAt"]) | {"updatedAt": iso_utc(store.clock.now())}
    return Reply(known)


def archive_property(store: HubSpotStore, call: Call) -> Reply:
    """Take a property away."""
    _retire(store, call.params["name"])
    return Reply(status=204)


def _retire(store: HubSpotStore, name: str) -> None:
    known = _property(store, name)
    if known["hubspotDefined"]:
        raise bad_request(f"Property {name} is defined by HubSpot and cannot be archived")
    store.archived_properties[name] = store.properties.pop(name) | {
        "archived": True,
        "archivedAt": iso_utc(store.clock.now()),
    }


def batch_properties(store: HubSpotStore, call: Call) -> Reply:
    """Read, create or archive definitions in one call."""
    body = call.json_object()
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= 100:
        raise bad_request("inputs must hold 1 to 100 items")
    now = iso_utc(store.clock.now())
    match call.path.rpartition("/")[2]:
        case "read":
            source = _definitions(store, body.get("archived") is True)
            results = [source[i["name"]] for i in inputs if i.get("name") in source]
            status = 200
        case "create":
            results, status = [_define(store, call, definition) for definition in inputs], 201
        case _:
            for definition in inputs:
                _retire(store, str(definition.get("name")))
            return Reply(status=204)
    return Reply({"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}, status)


def list_groups(store: HubSpotStore, call: Call) -> Reply:
    """List property groups."""
    return Reply({"results": list(store.groups.values())})


def create_group(store: HubSpotStore, call: Call) -> Reply:
    """Create a property group."""
    fields = call.json_object()
    if not fields.get("name") or not fields.get("label"):
        raise bad_request("name and label are required")
    if fields["name"] in store.groups:
        raise failure(409, f"A group named '{fields['name']}' already exists.", "CONFLICT")
    store.groups[fields["name"]] = group = make_group(fields["name"], fields["label"], fields.get("displayOrder", -1))
    return Reply(group, 201)


def make_group(name: str, label: str, order: int = -1) -> dict[str, Any]:
    """Return a group definition."""
    return {"name": name, "label": label, "displayOrder": order, "archived": False}
