"""HubSpot search: https://developers.hubspot.com/docs/api-reference/search/guide."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from airflow_providers_leads.sandbox.core.clock import parse_iso
from airflow_providers_leads.sandbox.core.shell import Call, Reply
from airflow_providers_leads.sandbox.hubspot.associations import object_type
from airflow_providers_leads.sandbox.hubspot.errors import bad_request
from airflow_providers_leads.sandbox.hubspot.store import Contact, HubSpotStore

MAX_PAGE, MAX_ROWS, MAX_QUERY = 200, 10_000, 3_000
MAX_GROUPS, MAX_FILTERS, MAX_FILTERS_TOTAL = 5, 6, 18
QUERY_PROPERTIES = ("email", "firstname", "lastname", "phone", "company")
LISTS = {"IN", "NOT_IN"}
PRESENCE = {"HAS_PROPERTY", "NOT_HAS_PROPERTY"}
Test = Callable[[Contact], bool]


def search(store: HubSpotStore, call: Call) -> Reply:
    """Find contacts; `after` is an offset, and nothing past row 10,000 can be reached."""
    body = call.json_object()
    limit, after = body.get("limit", 10), str(body.get("after") or "0")
    if not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE:
        raise bad_request(f"limit must be between 1 and {MAX_PAGE}, got {limit}")
    if not after.isdecimal():
        raise bad_request(f"Cannot deserialize value of type `int` from String {after!r}")
    start = int(after)
    if start + limit > MAX_ROWS:
        raise bad_request("The search results window is limited to 10,000: after + limit goes past it")
    if len(call.body) > MAX_QUERY:
        raise bad_request(f"The request body is longer than {MAX_QUERY} characters")
    matching = matches(store, body)
    order = sort_key(store, body.get("sorts") or [])
    matching.sort(key=order[0], reverse=order[1])
    page = matching[start : start + limit]
    answer: dict[str, Any] = {
        "total": len(matching),
        "results": [store.render(contact, body.get("properties")) for contact in page],
    }
    if start + limit < len(matching):
        answer["paging"] = {"next": {"after": str(start + limit)}}
    return Reply(answer)


def matches(store: HubSpotStore, body: dict[str, Any]) -> list[Contact]:
    """Return contacts that satisfy every filter of at least one group, and the query."""
    groups = [group.get("filters") or [] for group in body.get("filterGroups") or []]
    if (
        len(groups) > MAX_GROUPS
        or any(len(g) > MAX_FILTERS for g in groups)
        or sum(map(len, groups)) > MAX_FILTERS_TOTAL
    ):
        raise bad_request(
            f"At most {MAX_GROUPS} filterGroups of {MAX_FILTERS} filters, {MAX_FILTERS_TOTAL} in all, are allowed"
        )
    words = str(body.get("query") or "").lower().split()
    known = store.searchable()
    matching: dict[int, Contact] = {}
    for filters in groups or [[]]:
        tests = [make_test(store, one) for one in filters]
        ids, done = candidates(store, filters)
        tests = [test for test, one in zip(tests, filters, strict=True) if one not in done]
        for contact_id in ids:
            contact = known.get(contact_id)
            if contact and contact.archived is None and all(test(contact) for test in tests):
                matching[contact_id] = contact
    return (
        [contact for contact in matching.values() if _has_words(contact, words)] if words else list(matching.values())
    )


def candidates(store: HubSpotStore, filters: list[dict[str, Any]]) -> tuple[Iterable[int], list[dict[str, Any]]]:
    """Narrow a search by id or address and tell which filters that settled.

    A keyset walk over a large store must not test every contact on every page.
    """
    ids = sorted(store.searchable()) if store.config.search_lag_seconds else store.live
    done = []
    for one in filters:
        name, operator, value = one.get("propertyName"), one.get("operator"), str(one.get("value"))
        if name == "hs_object_id" and value.isdecimal() and operator in ("GT", "GTE", "LT", "LTE"):
            place = (bisect_right if operator in ("GT", "LTE") else bisect_left)(ids, int(value))
            ids = ids[place:] if operator in ("GT", "GTE") else ids[:place]
            done.append(one)
        elif name == "email" and operator in ("EQ", "IN") and not store.config.search_lag_seconds:
            keys = [value] if operator == "EQ" else [str(v) for v in one.get("values") or ()]
            return [n for key in keys if (n := store.unique.get("email", {}).get(key.lower())) is not None], []
    return ids, done


def _has_words(contact: Contact, words: list[str]) -> bool:
    text = " ".join(contact.properties.get(name, "") for name in QUERY_PROPERTIES).lower()
    return all(word in text for word in words)


def make_test(store: HubSpotStore, condition: dict[str, Any]) -> Test:
    """Return a test for one filter."""
    name, operator = str(condition.get("propertyName")), str(condition.get("operator"))
    if operator not in PRESENCE and operator not in LISTS and operator not in COMPARE:
        raise bad_request(f"Invalid operator {operator}")
    if name.startswith("associations."):
        return _linked(store, object_type(name.partition(".")[2]), operator, condition)
    prop = store.properties.get(name)
    if prop is None:
        message = f"Property {name} does not exist"
        raise bad_request(message, errors=[{"message": message, "code": "PROPERTY_DOESNT_EXIST"}])
    read = reader(prop)
    if operator in PRESENCE:
        present = operator == "HAS_PROPERTY"
        return lambda contact: (raw(store, contact, name) is not None) is present
    if operator in LISTS:
        values = condition.get("values")
        if not isinstance(values, list) or not values:
            raise bad_request(f"Operator {operator} needs values")
        # Only lower-case values match text here: the index is lower case and IN does not fold what it is given.
        accepted = {str(v) if prop["type"] in ("string", "phone_number") else read(str(v)) for v in values}
        inside = operator == "IN"
        return lambda contact: _inside(store, contact, name, read, accepted) is inside
    if "value" not in condition or (operator == "BETWEEN" and "highValue" not in condition):
        raise bad_request(f"Operator {operator} needs value" + (" and highValue" if operator == "BETWEEN" else ""))
    if "TOKEN" in operator:
        return partial(_has_token, store, name, str(condition["value"]).lower(), operator == "CONTAINS_TOKEN")
    low, high = read(str(condition["value"])), read(str(condition.get("highValue", condition["value"])))
    compare = COMPARE[operator]

    def test(contact: Contact) -> bool:
        value = raw(store, contact, name)
        if value is None:
            return operator == "NEQ"
        return compare(read(value), low, high)

    return test


COMPARE: dict[str, Callable[[Any, Any, Any], bool]] = {
    "EQ": lambda value, low, _: value == low,
    "NEQ": lambda value, low, _: value != low,
    "LT": lambda value, low, _: value < low,
    "LTE": lambda value, low, _: value <= low,
    "GT": lambda value, low, _: value > low,
    "GTE": lambda value, low, _: value >= low,
    "BETWEEN": lambda value, low, high: low <= value <= high,
    "CONTAINS_TOKEN": lambda *_: False,
    "NOT_CONTAINS_TOKEN": lambda *_: True,
}


def raw(store: HubSpotStore, contact: Contact, name: str) -> str | None:
    """Return a value as the index holds it: times are epoch milliseconds."""
    if name == "createdate":
        return str(contact.created)
    if name == "lastmodifieddate":
        return str(contact.updated)
    value = store.value(contact, name)
    if value and store.properties[name]["type"] in ("date", "datetime"):
        moment = parse_iso(value if "T" in value else f"{value}T00:00:00Z")
        return value if moment is None else str(moment)
    return value


def reader(prop: dict[str, Any]) -> Callable[[str], Any]:
    """Return how values of a property compare; enumerations keep their case, text does not."""
    kind = prop["type"]
    if kind in ("number", "datetime", "date"):

        def number(text: str) -> float:
            if not re.fullmatch(r"-?\d+(\.\d+)?", text):
                raise bad_request(f"Cannot deserialize value of type `long` from String {text!r} for {prop['name']}")
            return int(text) if text.lstrip("-").isdecimal() else float(text)

        return number
    return str if kind in ("enumeration", "bool") else str.lower


def _inside(store: HubSpotStore, contact: Contact, name: str, read: Callable[[str], Any], accepted: set[Any]) -> bool:
    value = raw(store, contact, name)
    return value is not None and read(value) in accepted


def _has_token(store: HubSpotStore, name: str, pattern: str, present: bool, contact: Contact) -> bool:
    text = (store.value(contact, name) or "").lower()
    tokens = {text, *re.split(r"[\s;,]+", text), *re.split(r"\W+", text)} - {""}
    has_it = any(fnmatchcase(token, pattern) for token in tokens) if "*" in pattern else pattern in tokens
    return has_it is present


def _linked(store: HubSpotStore, other: str, operator: str, condition: dict[str, Any]) -> Test:
    if operator not in ("EQ", "IN"):
        raise bad_request(f"Operator {operator} is not supported for associations")
    linked = {(other, int(v)) for v in condition.get("values") or [condition.get("value")] if str(v).isdecimal()}
    return lambda contact: bool(linked & store.links.get(("contacts", contact.id), {}).keys())


def sort_key(store: HubSpotStore, sorts: list[Any]) -> tuple[Callable[[Contact], Any], bool]:
    """Return key and direction; the default is oldest created first, and only one sort is taken."""
    if len(sorts) > 1:
        raise bad_request("Only one sort is allowed")
    if not sorts:
        return (lambda contact: (contact.created, contact.id)), False
    sort = sorts[0] if isinstance(sorts[0], dict) else {"propertyName": str(sorts[0]).lstrip("-")}
    direction = sort.get("direction", "DESCENDING" if str(sorts[0]).startswith("-") else "ASCENDING")
    prop = store.properties.get(sort.get("propertyName", ""))
    if prop is None or direction not in ("ASCENDING", "DESCENDING"):
        raise bad_request(f"Invalid sort {sorts[0]}")
    read, name = reader(prop), prop["name"]
    if name == "hs_object_id":
        return (lambda contact: contact.id), direction == "DESCENDING"

    def key(contact: Contact) -> Any:
        value = raw(store, contact, name)
        return (value is not None, read(value) if value is not None else 0, contact.id)

    return key, direction == "DESCENDING"
