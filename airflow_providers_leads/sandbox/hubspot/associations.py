"""HubSpot associations, record by record and in batches.

https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from airflow_providers_leads.sandbox.core.clock import iso_utc
from airflow_providers_leads.sandbox.core.shell import ApiError, Call, Reply
from airflow_providers_leads.sandbox.hubspot.errors import bad_request, failure
from airflow_providers_leads.sandbox.hubspot.store import HubSpotStore, Link
from airflow_providers_leads.sandbox.hubspot.types import ALIASES, FROM_CONTACT, TYPE_NAMES, kinds_between

MAX_PAGE = 500
MAX_INLINE = 100
"""Links that a contact shows of itself; further ones are paged."""
MAX_CREATE, MAX_READ, MAX_ARCHIVE = 2000, 1000, 2000


def default_kind(one: str, other: str) -> Link:
    """Return the unlabelled type of a pair of object types."""
    kinds = kinds_between(one, other)
    if not kinds:
        raise bad_request(f"No association type between {one} and {other}")
    return "HUBSPOT_DEFINED", next(iter(kinds))


def object_type(name: str) -> str:
    """Return the plural name of an object type given in any of its spellings."""
    if name not in ALIASES:
        raise bad_request(f"Unable to infer object type from: {name}")
    return ALIASES[name]


def read_kinds(raw: Any, one: str, other: str) -> set[Link]:
    """Validate a list of association types for one direction; the reverse direction's ids are refused."""
    if not isinstance(raw, list) or not raw:
        raise bad_request("A list of association types is required")
    allowed = kinds_between(one, other)
    chosen: set[Link] = set()
    for item in raw:
        number = item.get("associationTypeId") if isinstance(item, dict) else None
        if number not in allowed or item.get("associationCategory") != allowed[number][1]:
            raise bad_request(f"Association type {item} is not valid from {one} to {other}")
        chosen.add((allowed[number][1], number))
    return chosen


def inline_links(store: HubSpotStore, raw: Any) -> dict[tuple[str, int], set[Link]]:
    """Validate the `associations` of a create: every target must exist, every type must lead from contacts."""
    links: dict[tuple[str, int], set[Link]] = {}
    for item in raw or ():
        types, target = item.get("types") or [{}], as_id((item.get("to") or {}).get("id"))
        number = types[0].get("associationTypeId")
        other = next((name for name, kinds in FROM_CONTACT.items() if number in {k[0] for k in kinds}), None)
        if other is None:
            raise bad_request(f"Association type {number} does not lead from contacts")
        kinds = read_kinds(types, "contacts", other)
        if target is None or not store.exists(other, target):
            raise bad_request(
                f"Associations are not valid: {other} {target} does not exist", subCategory="INVALID_OBJECT_IDS"
            )
        links[(other, target)] = kinds | {default_kind("contacts", other)}
    return links


def as_id(value: Any) -> int | None:
    """Return a record id given as number or text."""
    return int(value) if str(value).isdecimal() else None


# --- one record -----------------------------------------------------------------------------------------------------


def ends(store: HubSpotStore, call: Call) -> tuple[tuple[str, int], tuple[str, int]]:
    """Return both ends of a link named in the path; both records must exist."""
    one = _end(store, call.params.get("from", "contacts"), call.params["fromId"])
    return one, _end(store, call.params["to"], call.params["toId"])


def _end(store: HubSpotStore, kind: str, record_id: Any) -> tuple[str, int]:
    name, number = object_type(kind), as_id(record_id)
    if name == "contacts" and number is not None:
        number = store.merged.get(number, number)
    if number is None or not store.exists(name, number):
        raise failure(404, f"{name} {record_id} does not exist", "OBJECT_NOT_FOUND", context={"id": [str(record_id)]})
    return name, number


def link_body(one: tuple[str, int], other: tuple[str, int], kinds: set[Link]) -> dict[str, Any]:
    """Return the answer to a link that was set."""
    known = kinds_between(one[0], other[0])
    return {
        "fromObjectTypeId": TYPE_NAMES[one[0]][1],
        "fromObjectId": one[1],
        "toObjectTypeId": TYPE_NAMES[other[0]][1],
        "toObjectId": other[1],
        "labels": sorted(label for _, number in kinds if (label := known[number][0])),
    }


def put_default(store: HubSpotStore, call: Call) -> Reply:
    """Link two records without a label; labels they have stay."""
    one, other = ends(store, call)
    kinds = store.links.get(one, {}).get(other, set()) | {default_kind(one[0], other[0])}
    store.link(one, other, kinds)
    answer = [
        {
            "from": {"id": str(a[1])},
            "to": {"id": str(b[1])},
            "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind},
        }
        for a, b, (_, kind) in ((one, other, default_kind(one[0], other[0])),)
    ]
    return Reply({"status": "COMPLETE", "results": answer, **_times(store)})


def put_labels(store: HubSpotStore, call: Call) -> Reply:
    """Replace the labels of a pair."""
    one, other = ends(store, call)
    kinds = read_kinds(call.json(), one[0], other[0]) | {default_kind(one[0], other[0])}
    store.link(one, other, kinds)
    return Reply(link_body(one, other, kinds), 201)


def delete_all(store: HubSpotStore, call: Call) -> Reply:
    """Remove every link of a pair; removing none is a success too."""
    store.unlink(*ends(store, call))
    return Reply(status=204)


def put_typed(store: HubSpotStore, call: Call) -> Reply:
    """Add one link type named in the path: the form of HubSpot's contacts guide, absent from its OpenAPI files."""
    one, other = ends(store, call)
    kind = _typed(call, one[0], other[0])
    store.link(one, other, store.links.get(one, {}).get(other, set()) | {kind, default_kind(one[0], other[0])})
    links = {other[0]: {"results": [{"id": str(other[1]), "type": f"{_single(one[0])}_to_{_single(other[0])}"}]}}
    return Reply(store.render(store.contacts[one[1]]) | {"associations": links})


def delete_typed(store: HubSpotStore, call: Call) -> Reply:
    """Remove one link type; without the unlabelled one nothing of the pair is left."""
    one, other = ends(store, call)
    kind = _typed(call, one[0], other[0])
    left = store.links.get(one, {}).get(other, set()) - {kind}
    if default_kind(one[0], other[0]) in left:
        store.link(one, other, left)
    else:
        store.unlink(one, other)
    return Reply(status=204)


def _typed(call: Call, one: str, other: str) -> Link:
    number = as_id(call.params["typeId"])
    allowed = kinds_between(one, other)
    if number not in allowed:
        raise bad_request(f"Association type {call.params['typeId']} is not valid from {one} to {other}")
    return allowed[number][1], number


def _single(name: str) -> str:
    return TYPE_NAMES[name][0]


def targets(store: HubSpotStore, one: tuple[str, int], other: str) -> list[dict[str, Any]]:
    """Return everything of one type that a record is linked to, by id."""
    known = kinds_between(one[0], other)
    return [
        {
            "toObjectId": number,
            "associationTypes": [
                {"category": category, "typeId": kind, "label": known[kind][0]} for category, kind in sorted(kinds)
            ],
        }
        for (name, number), kinds in sorted(store.links.get(one, {}).items())
        if name == other
    ]


def list_links(store: HubSpotStore, call: Call) -> Reply:
    """Page through the links of one record."""
    one, other = _end(store, call.params["from"], call.params["fromId"]), object_type(call.params["to"])
    limit = call.query.get("limit", str(MAX_PAGE))
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
        raise bad_request(f"limit must be between 1 and {MAX_PAGE}")
    rows = targets(store, one, other)
    after = call.query.get("after", "0")
    if not after.isdecimal():
        raise bad_request(f"Cannot deserialize value of type `long` from String {after!r}")
    start = bisect_left(rows, int(after), key=lambda row: row["toObjectId"])
    page, rest = rows[start : start + int(limit)], rows[start + int(limit) :]
    paging = {"paging": {"next": {"after": str(rest[0]["toObjectId"])}}} if rest else {}
    return Reply({"results": page, **paging})


def inline_associations(store: HubSpotStore, contact_id: int, names: list[str]) -> dict[str, Any]:
    """Return the `associations` part of a contact; types without links are left out."""
    result = {}
    for name in map(object_type, names):
        rows = targets(store, ("contacts", contact_id), name)
        if rows:
            kind = f"contact_to_{_single(name)}"
            shown, rest = rows[:MAX_INLINE], rows[MAX_INLINE:]
            paging = {"paging": {"next": {"after": str(rest[0]["toObjectId"])}}} if rest else {}
            result[name] = {"results": [{"id": str(row["toObjectId"]), "type": kind} for row in shown], **paging}
    return result


def labels(store: HubSpotStore, call: Call) -> Reply:
    """List the association types from one object type to another; the unlabelled one has no label."""
    kinds = kinds_between(object_type(call.params["from"]), object_type(call.params["to"]))
    return Reply(
        {"results": [{"category": c, "typeId": number, "label": label} for number, (label, c) in kinds.items()]}
    )


# --- batches --------------------------------------------------------------------------------------------------------

Step = Callable[[str, str, dict[str, Any]], Any]


def batch(store: HubSpotStore, call: Call, limit: int, step: Step) -> tuple[list[Any], list[dict[str, Any]]]:
    """Run a step per input; an input with an unknown record fails alone."""
    one, other = object_type(call.params["from"]), object_type(call.params["to"])
    inputs = call.json_object().get("inputs")
    if not isinstance(inputs, list) or not inputs or len(inputs) > limit:
        raise bad_request(f"inputs must hold 1 to {limit} items")
    results, errors = [], []
    for item in inputs:
        try:
            results.append(step(one, other, item))
        except ApiError as error:
            if error.body.get("category") != "OBJECT_NOT_FOUND":
                raise
            known = {
                k: error.body[k] for k in ("status", "category", "message", "context", "subCategory") if k in error.body
            }
            errors.append(known | {"links": {}, "errors": []})
    return results, errors


def _times(store: HubSpotStore) -> dict[str, str]:
    now = iso_utc(store.clock.now())
    return {"startedAt": now, "completedAt": now}


def _answer(store: HubSpotStore, results: list[Any], errors: list[Any], status: int, part: int = 207) -> Reply:
    body = {"status": "COMPLETE", "results": results, **_times(store)}
    return Reply(body | {"errors": errors, "numErrors": len(errors)}, part) if errors else Reply(body, status)


def _pair(store: HubSpotStore, one: str, other: str, item: dict[str, Any]) -> tuple[tuple[str, int], tuple[str, int]]:
    ids = [(item.get(key) or {}).get("id") for key in ("from", "to")]
    return _end(store, one, ids[0]), _end(store, other, ids[1])


def batch_default(store: HubSpotStore, call: Call) -> Reply:
    """Link many pairs without a label."""

    def step(one: str, other: str, item: dict[str, Any]) -> dict[str, Any]:
        a, b = _pair(store, one, other, item)
        kind = default_kind(one, other)
        store.link(a, b, store.links.get(a, {}).get(b, set()) | {kind})
        spec = {"associationCategory": kind[0], "associationTypeId": kind[1]}
        return {"from": {"id": str(a[1])}, "to": {"id": str(b[1])}, "associationSpec": spec}

    # The one batch for which the vendor declares no 207: its 200 holds the errors.
    return _answer(store, *batch(store, call, MAX_CREATE, step), 200, part=200)


def batch_create(store: HubSpotStore, call: Call) -> Reply:
    """Link many pairs with types."""

    def step(one: str, other: str, item: dict[str, Any]) -> dict[str, Any]:
        a, b = _pair(store, one, other, item)
        kinds = read_kinds(item.get("types"), one, other) | {default_kind(one, other)}
        store.link(a, b, kinds)
        return link_body(a, b, kinds)

    return _answer(store, *batch(store, call, MAX_CREATE, step), 201)


def batch_read(store: HubSpotStore, call: Call) -> Reply:
    """Read the links of many records."""

    def step(one: str, other: str, item: dict[str, Any]) -> dict[str, Any]:
        end = _end(store, one, item.get("id"))
        rows = targets(store, end, other)
        if not rows:
            raise failure(
                404,
                f"No {_single(other)} is associated with {_single(one)} {end[1]}.",
                "OBJECT_NOT_FOUND",
                subCategory="crm.associations.NO_ASSOCIATIONS_FOUND",
                context={
                    "fromObjectId": [str(end[1])],
                    "fromObjectType": [_single(one)],
                    "toObjectType": [_single(other)],
                },
            )
        start = bisect_left(rows, int(item.get("after") or 0), key=lambda row: row["toObjectId"])
        page, rest = rows[start : start + MAX_PAGE], rows[start + MAX_PAGE :]
        paging = {"paging": {"next": {"after": str(rest[0]["toObjectId"])}}} if rest else {}
        return {"from": {"id": str(end[1])}, "to": page, **paging}

    return _answer(store, *batch(store, call, MAX_READ, step), 200)


def batch_archive(store: HubSpotStore, call: Call) -> Reply:
    """Remove all links of many pairs; dated versions answer with a body, v4 without."""

    def step(one: str, other: str, item: dict[str, Any]) -> dict[str, Any]:
        end = _end(store, one, (item.get("from") or {}).get("id"))
        for to in item.get("to") or ():
            store.unlink(end, _end(store, other, to.get("id")))
        return item

    return _archived(store, call, *batch(store, call, MAX_ARCHIVE, step))


def batch_labels_archive(store: HubSpotStore, call: Call) -> Reply:
    """Remove given labels of many pairs and keep the pairs linked."""

    def step(one: str, other: str, item: dict[str, Any]) -> dict[str, Any]:
        a, b = _pair(store, one, other, item)
        left = store.links.get(a, {}).get(b, set()) - read_kinds(item.get("types"), one, other)
        store.link(a, b, left) if left else store.unlink(a, b)
        return item

    return _archived(store, call, *batch(store, call, MAX_ARCHIVE, step))


def _archived(store: HubSpotStore, call: Call, results: list[Any], errors: list[Any]) -> Reply:
    if "version" not in call.params and not errors:
        return Reply(status=204)
    return _answer(store, results, errors, 200)
