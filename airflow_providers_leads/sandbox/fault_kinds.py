"""What can go wrong: each kind of trouble as one row of a table, built for the request that it meets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any, Final

import msgspec

from airflow_providers_leads.sandbox.core.shell import ApiError, Call, Fault, Reply, Scene
from airflow_providers_leads.sandbox.hubspot.errors import failure as hubspot_error
from airflow_providers_leads.sandbox.perspective.errors import refuse as perspective_error

CRMS: Final = ("hubspot", "perspective", "persistiq")
FOREIGN_HOST: Final = "http://foreign.invalid"
_REASONS: Final = {401: "unauthorized", 429: "too_many_requests", 500: "server_error"}


@dataclass(frozen=True, slots=True)
class Met:
    """The request that a fault meets, and the options of its rule."""

    crm: str
    call: Call
    options: Mapping[str, Any]

    @property
    def seconds(self) -> int:
        """How long the vendor asks to wait."""
        return int(self.options.get("seconds", 1))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault: how it is made, whom it can happen to, and the options that a rule may give it."""

    make: Callable[[Met], Fault]
    does: str
    crms: tuple[str, ...] = CRMS
    options: tuple[str, ...] = ()


# --- answers instead of the real one ----------------------------------------------------------------------------------


def _error(met: Met, status: int, message: str, **extra: Any) -> ApiError:
    """Return an error in the shape of the vendor, which repeats the request's key as PersistIQ does."""
    text = f"{message} ({_key(met.call)})"
    if met.crm == "hubspot":
        return hubspot_error(status, text, **extra)
    if met.crm == "perspective":
        return perspective_error(status, text)
    return ApiError(status, {"status": "error", "error": {"reason": _REASONS.get(status, "error"), "message": text}})


def _key(call: Call) -> str:
    names = ("authorization", "x-perspective-api-key", "x-api-key")
    return next((call.headers[name] for name in names if name in call.headers), "no key")


def _answer(error: ApiError, **headers: str) -> Fault:
    return Fault(status=error.status, body=error.body, headers={**error.headers, **headers})


def _html(met: Met) -> Fault:
    # What a broken gateway shows of a request is everything.
    sent = met.call.body.decode("utf-8", "replace")
    page = f"<html><h1>Bad Gateway</h1><pre>{met.call.path} {_key(met.call)} {sent}</pre></html>"
    return Fault(status=502, body=page)


def _limited(met: Met, message: str = "Rate limit exceeded", **headers: str) -> Fault:
    if met.crm == "hubspot":
        return _answer(_error(met, 429, message, errorType="RATE_LIMIT"), **headers)
    return _answer(_error(met, 429, message), **headers)


def _policy(met: Met, policy: str) -> Fault:
    fault = _limited(met, f"You have reached your {policy.lower()} limit.")
    headers = {
        "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        "X-HubSpot-RateLimit-Max": "100",
        "X-HubSpot-RateLimit-Remaining": "0",
    }
    return replace(fault, body={**fault.body, "policyName": policy}, headers={**fault.headers, **headers})


def _epoch(met: Met) -> int:
    return int(time.time()) + met.seconds + 1


def _waiting_body(met: Met) -> Fault:
    fault = _limited(met)
    return replace(fault, body={**fault.body, "retryAfter": met.seconds})


def _expired(met: Met) -> Fault:
    category = {"category": "EXPIRED_AUTHENTICATION"} if met.crm == "hubspot" else {}
    return _answer(_error(met, 401, "The token used to make this call expired.", **category))


# --- the real answer, spoilt ------------------------------------------------------------------------------------------


def _spoilt(change: Callable[[Reply, Scene], Reply]) -> Fault:
    return Fault(when="after", change=change)


def _truncated(reply: Reply, scene: Scene) -> Reply:
    raw = msgspec.json.encode(reply.body)
    return Reply(raw[: max(1, len(raw) // 2)], reply.status, reply.headers)


def _padded(megabytes: int) -> Callable[[Reply, Scene], Reply]:
    def change(reply: Reply, scene: Scene) -> Reply:
        return Reply(msgspec.json.encode(reply.body) + b" " * (megabytes << 20), reply.status, reply.headers)

    return change


def _nested(reply: Reply, scene: Scene) -> Reply:
    return Reply(b'{"results":' + b"[" * 100_000 + b"]" * 100_000 + b"}", reply.status, reply.headers)


def _list_in(body: Any) -> tuple[str, list[Any]] | None:
    entries = body.items() if isinstance(body, dict) else ()
    return next(((key, value) for key, value in entries if isinstance(value, list) and key != "errors"), None)


def _without_list(reply: Reply, scene: Scene) -> Reply:
    listed = _list_in(reply.body)
    kept = {key: value for key, value in reply.body.items() if key != listed[0]} if listed else {}
    return replace(reply, body=kept)


def _repeated(reply: Reply, scene: Scene) -> Reply:
    listed = _list_in(reply.body)
    if not listed:
        return reply
    key, rows = listed
    earlier = _list_in(scene.before)
    again = earlier[1] if earlier and earlier[0] == key else rows[:1]
    return replace(reply, body={**reply.body, key: [*again, *rows]})


def _foreign_link(host: str) -> Callable[[Reply, Scene], Reply]:
    def change(reply: Reply, scene: Scene) -> Reply:
        body = dict(reply.body) if isinstance(reply.body, dict) else {}
        link = f"{host}{scene.call.path}?page=2"
        if body.get("next_page"):
            body["next_page"] = link
        elif isinstance(body.get("paging"), dict):
            body["paging"] = {"next": {**body["paging"]["next"], "link": link}}
        else:
            return reply
        return replace(reply, body=body)

    return change


def _deleting(count: int) -> Callable[[Reply, Scene], Reply]:
    def change(reply: Reply, scene: Scene) -> Reply:
        listed = _list_in(reply.body)
        for row in listed[1][:count] if listed else ():
            _DELETE[scene.vendor](scene.store, scene.call, str(row.get("id")))
        return reply

    return change


def _delete_in_hubspot(store: Any, call: Call, record_id: str) -> None:
    contact = store.get(int(record_id)) if record_id.isdecimal() else None
    if contact:
        store.archive(contact)


def _delete_in_perspective(store: Any, call: Call, record_id: str) -> None:
    funnel = store.funnels.get(call.params.get("funnelId"))
    contact = funnel.contacts.pop(record_id, None) if funnel else None
    for name, key in funnel.keys(contact).items() if contact else ():
        funnel.orders[name].remove(key)


def _delete_in_persistiq(store: Any, call: Call, record_id: str) -> None:
    lead = store.leads.pop(record_id, None)
    if lead:
        store.ordered.remove(lead)
        store.by_email.pop(lead.data.get("email", "").lower(), None)
        store.version += 1


_DELETE: Final = {
    "hubspot": _delete_in_hubspot,
    "perspective": _delete_in_perspective,
    "persistiq": _delete_in_persistiq,
}

_WAIT = ("seconds",)
_HUBSPOT, _PERSPECTIVE, _PERSISTIQ = (("hubspot",), ("perspective",), ("persistiq",))

KINDS: Final[Mapping[str, Kind]] = {
    "cut_before": Kind(lambda met: Fault("before", cut=True), "cuts the connection; nothing took effect"),
    "cut_after": Kind(lambda met: Fault("after", cut=True), "cuts the connection after the request took effect"),
    "error_500": Kind(lambda met: _answer(_error(met, 500, "internal error")), "500 in the vendor's shape"),
    "error_500_after": Kind(
        lambda met: replace(_answer(_error(met, 500, "internal error")), when="after"),
        "500 after the request took effect",
    ),
    "error_502": Kind(_html, "502 with a gateway's HTML page, which quotes key and body"),
    "error_503": Kind(
        lambda met: _answer(_error(met, 503, "unavailable"), **{"Retry-After": str(met.seconds)}),
        "503 with `Retry-After`",
        options=_WAIT,
    ),
    "slow": Kind(
        lambda met: Fault(delay=int(met.options.get("milliseconds", 1000)) / 1000),
        "answers late",
        options=("milliseconds",),
    ),
    "truncated": Kind(lambda met: _spoilt(_truncated), "a success whose JSON ends in the middle"),
    "oversized": Kind(
        lambda met: _spoilt(_padded(int(met.options.get("megabytes", 65)))),
        "a success whose body is larger than the client takes",
        options=("megabytes",),
    ),
    "nested": Kind(lambda met: _spoilt(_nested), "a success nested 100,000 deep"),
    "without_list": Kind(lambda met: _spoilt(_without_list), "a success without the list (or record) it is about"),
    "rows_repeated": Kind(lambda met: _spoilt(_repeated), "a page that begins with the rows of the page before it"),
    "rows_deleted": Kind(
        lambda met: _spoilt(_deleting(int(met.options.get("rows", 1)))),
        "deletes the first rows of a page once it is answered, so that later pages move up",
        options=("rows",),
    ),
    "foreign_next": Kind(
        lambda met: _spoilt(_foreign_link(str(met.options.get("to", FOREIGN_HOST)))),
        "a link to the next page that leads to another host",
        ("hubspot", "persistiq"),
        ("to",),
    ),
    "foreign_redirect": Kind(
        lambda met: Fault(
            status=302, headers={"Location": str(met.options.get("to", FOREIGN_HOST)) + met.call.path}
        ),
        "a redirect to another host",
        options=("to",),
    ),
    "token_expired": Kind(_expired, "401; an OAuth app renews its token, a key is refused"),
    "locked": Kind(
        lambda met: _answer(_error(met, 423, "The record is locked.")), "423, HubSpot's lock of two seconds", _HUBSPOT
    ),
    "migrating": Kind(
        lambda met: _answer(_error(met, 477, "Migration in progress."), **{"Retry-After": str(met.seconds)}),
        "477, HubSpot moves the account to another data centre",
        _HUBSPOT,
        _WAIT,
    ),
    "limit_seconds": Kind(
        lambda met: _limited(met, **{"Retry-After": str(met.seconds)}), "429 with `Retry-After` in seconds",
        options=_WAIT,
    ),
    "limit_date": Kind(
        lambda met: _limited(met, **{"Retry-After": formatdate(_epoch(met), usegmt=True)}),
        "429 with `Retry-After` as an HTTP date",
        options=_WAIT,
    ),
    "limit_text": Kind(
        lambda met: _limited(
            met, f"You performed more than 100 requests per minute. Limit will be reseted at {_epoch(met)}."
        ),
        "429 with an epoch second in the sentence",
        _PERSISTIQ,
        _WAIT,
    ),
    "limit_reset": Kind(
        lambda met: _limited(met, **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(_epoch(met))}),
        "429 with an epoch second in `X-RateLimit-Reset`",
        _PERSISTIQ,
        _WAIT,
    ),
    "limit_body": Kind(_waiting_body, "429 with `retryAfter` in the body", _PERSPECTIVE, _WAIT),
    "limit_policy": Kind(
        lambda met: _policy(met, "TEN_SECONDLY_ROLLING"), "429 that names the ten-second policy", _HUBSPOT
    ),
    "limit_daily": Kind(lambda met: _policy(met, "DAILY"), "429 that names the daily policy", _HUBSPOT),
    "limit_silent": Kind(_limited, "429 that doesn't say how long to wait"),
}  # fmt: skip
"""Every kind of fault by the name that a plan calls it by."""
