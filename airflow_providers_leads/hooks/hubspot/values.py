"""What callers pass in, checked and put into HubSpot's words before any request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from airflow_providers_leads.hooks.arguments import (
    boolean,
    instant,
    items,
    mapping,
    one_of,
    plain_value,
    text_value,
    whole,
)
from airflow_providers_leads.hooks.base import require

Names = str | Iterable[str] | None
"""Property or object type names: an iterable, or one comma-separated string."""

_WHOLE: Final = re.compile(r"(?<=\d)\.0+$")
_TYPE_ID: Final = re.compile(r"0*[1-9][0-9]{0,17}")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_CATEGORIES: Final = frozenset({"HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED", "WORK"})
# What each search operator needs besides the property.
_OPERATORS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("EQ", "NEQ", "GT", "GTE", "LT", "LTE", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"), ("value",)),
    **dict.fromkeys(("IN", "NOT_IN"), ("values",)),
    **dict.fromkeys(("HAS_PROPERTY", "NOT_HAS_PROPERTY"), ()),
    "BETWEEN": ("value", "highValue"),
}


def names(argument: str, value: Names) -> list[str] | None:
    """Return names without doubles, ``None`` when none are asked for.

    :raises ValueError: for an empty or non-text name
    """
    if value is None:
        return None
    found = [n.strip() if isinstance(n, str) else n for n in items(argument, value, split=True)]
    if not all(isinstance(n, str) and n for n in found):
        raise ValueError(f"{argument} must hold non-empty names")
    return list(dict.fromkeys(found)) or None


def joined(value: list[str] | None) -> str | None:
    """Return names in the comma-separated form of a query: repeating the parameter bloats the URL."""
    return ",".join(value) if value else None


def rows_per_page(value: int | None, most: int) -> int:
    """Return rows per request, the most allowed unless told.

    :raises ValueError: when it is out of range
    """
    return most if value is None else whole("page_size", value, 1, most)


def archived_param(value: bool) -> str | None:
    """Return whether archived records are meant in the form of a query; false is HubSpot's default and left out.

    :raises ValueError: when it is no boolean
    """
    return "true" if boolean("archived", value) else None


def record_id(argument: str, value: object, id_property: str | None = None) -> str:
    """Return a record's id, or the value that ``id_property`` finds it by, as text.

    :raises ValueError: when it is empty, or an address where a record id belongs
    """
    found = text_value(argument, value, identifies=True).strip()
    require(argument, found)
    if id_property is None:
        if "@" in found:
            raise ValueError(f"{argument} must be a record id; to address a contact by email pass id_property='email'")
        # Spreadsheets make texts of numbers in this way.
        found = _WHOLE.sub("", found)
    return found.lower() if id_property == "email" else found


def property_value(argument: str, value: object) -> str:
    """Return a property value in HubSpot's form: everything is text, ``""`` clears.

    :raises ValueError: for a time without time zone, or a value that no property can hold
    """
    meant = plain_value(argument, value)
    if isinstance(meant, bool):
        return "true" if meant else "false"
    if isinstance(meant, (str, int, float, Decimal)):
        return text_value(argument, meant)
    if isinstance(meant, datetime):
        return str(milliseconds(argument, meant))
    if isinstance(meant, date):
        return meant.isoformat()
    if isinstance(meant, list):
        return ";".join(property_value(argument, part) for part in meant if part is not None)
    raise ValueError(f"{argument} must be text, a number, a boolean, a date or a list of these")


def property_values(argument: str, properties: Mapping[str, Any]) -> dict[str, str]:
    """Return properties in HubSpot's form; ``None`` values are left out, as null clears nothing there.

    :raises ValueError: when nothing is left, or a value can't be sent
    """
    if not isinstance(properties, Mapping):
        raise ValueError(f"{argument} must be a mapping of property names to values")
    present = mapping(argument, properties)
    if not all(name.strip() for name in present):
        raise ValueError(f"{argument} must have names of properties as its keys")
    sent = {name: property_value(f"{argument}[{name!r}]", value) for name, value in present.items()}
    if address := sent.get("email"):
        # HubSpot refuses white space around an address; nothing but that is no address to clear one with.
        sent["email"] = address.strip()
        if not sent["email"]:
            del sent["email"]
    require(argument, list(sent))
    return sent


def milliseconds(argument: str, value: datetime | str) -> int:
    """Return a time as epoch milliseconds, which is how HubSpot is asked.

    :raises ValueError: for a time without time zone, or text that is no time
    """
    return (instant(argument, value) - _EPOCH) // timedelta(milliseconds=1)


def association_types(argument: str, types: Iterable[int | str | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return association types in HubSpot's form.

    :param types: type ids defined by HubSpot (279: company, 3 and 4: deal …), or mappings with
        ``associationCategory`` and ``associationTypeId``
    :raises ValueError: for an unknown category or a type id that is no number
    """
    found = []
    for entry in types:
        given = entry if isinstance(entry, Mapping) else {"associationTypeId": entry}
        category, number = given.get("associationCategory", "HUBSPOT_DEFINED"), given.get("associationTypeId")
        known_category = isinstance(category, str) and category in _CATEGORIES
        type_id = "" if number is None or isinstance(number, (bool, Mapping, list)) else text_value(argument, number)
        if not known_category or not _TYPE_ID.fullmatch(type_id):
            known = ", ".join(sorted(_CATEGORIES))
            raise ValueError(f"{argument} needs a numeric associationTypeId, and as associationCategory one of {known}")
        found.append({"associationCategory": category, "associationTypeId": int(type_id)})
    require(argument, found)
    return found


def association_inputs(argument: str, given: Iterable[Mapping[str, Any] | tuple[Any, Any]]) -> list[dict[str, Any]]:
    """Return the associations of a new contact in HubSpot's form.

    :param given: ``(to_id, type_id)`` pairs, or mappings such as ``{"to": {"id": 5}, "types": [{…}]}``
    :raises ValueError: for any other form
    """
    found = []
    for entry in given:
        if isinstance(entry, Mapping):
            to, types = entry.get("to"), entry.get("types")
            target = to.get("id") if isinstance(to, Mapping) else None
        elif isinstance(entry, (tuple, list)) and len(entry) == 2:
            target, types = entry[0], [entry[1]]
        else:
            target = types = None
        if target in (None, "") or not isinstance(types, Sequence) or isinstance(types, str):
            raise ValueError(f"{argument} must hold (to_id, type_id) pairs or mappings with 'to' and 'types'")
        linked = association_types(argument, types)
        found.append({"to": {"id": record_id(f"{argument}['to']", target)}, "types": linked})
    return found


def _filter(argument: str, given: Mapping[str, Any]) -> dict[str, Any]:
    operator = str(given.get("operator", "")).upper() if isinstance(given, Mapping) else ""
    if operator not in _OPERATORS or not isinstance(given.get("propertyName"), str) or not given["propertyName"]:
        raise ValueError(f"{argument} needs propertyName and an operator out of {', '.join(sorted(_OPERATORS))}")
    if missing := [name for name in _OPERATORS[operator] if given.get(name) in (None, [], ())]:
        raise ValueError(f"{argument}: operator {operator} needs {missing[0]}")
    sent: dict[str, Any] = {"propertyName": given["propertyName"], "operator": operator}
    for name in _OPERATORS[operator]:
        several = given[name] if name == "values" else [given[name]]
        if isinstance(several, str) or not isinstance(several, Iterable):
            raise ValueError(f"{argument}: values must be a list")
        found = [property_value(argument, value) for value in several]
        sent[name] = found if name == "values" else found[0]
    return sent


_WORDS: Final[Mapping[str, str]] = {
    "is": "EQ", "not": "NEQ", "after": "GTE", "before": "LT", "above": "GT", "below": "LT", "least": "GTE",
    "most": "LTE", "contains": "CONTAINS_TOKEN", "known": "HAS_PROPERTY",
}  # fmt: skip
_OF_SEVERAL: Final[Mapping[str, str]] = {"is": "IN", "not": "NOT_IN"}

Filters = Iterable[Mapping[str, Any]] | Mapping[str, Any] | None
"""Filter groups as HubSpot has them, or their short form."""


def filter_inputs(groups: Iterable[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """Return search filters in HubSpot's form; datetimes become epoch milliseconds.

    :param groups: OR-ed, each ``{"filters": [{"propertyName", "operator", "value" | "values" | "highValue"}]}``, AND-ed
    :raises ValueError: for an unknown operator, or a value that it lacks
    """
    found = []
    for index, group in enumerate([] if groups is None else items("filter_groups", groups)):
        filters = group.get("filters") if isinstance(group, Mapping) else None
        if not isinstance(filters, Sequence) or isinstance(filters, str) or not filters:
            raise ValueError(f"filter_groups[{index}] must be a mapping with a non-empty list 'filters'")
        found.append({"filters": [_filter(f"filter_groups[{index}]", f) for f in filters]})
    return found


def short_filters(filters: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return filters, all of which must match, of their short form.

    :param filters: property → value, list of values, ``None`` (it has none), or mapping of :data:`_WORDS` → value
    :param known: property → its definition
    :raises ValueError: for an unknown word, or a value that is none of the property's options
    """
    found: list[dict[str, Any]] = []
    for name, wanted in filters.items():
        for word, value in wanted.items() if isinstance(wanted, Mapping) else (("is", wanted),):
            if word not in _WORDS:
                raise ValueError(f"filters[{name!r}]: {word!r} is none of {', '.join(_WORDS)}")
            if value is None or word == "known":
                there = value is not None and boolean("known", value)
                found.append({"propertyName": name, "operator": "HAS_PROPERTY" if there else "NOT_HAS_PROPERTY"})
                continue
            several = not isinstance(value, (str, bytes, Mapping)) and isinstance(value, Iterable)
            values = [_filter_value(name, one, known[name]) for one in (value if several else [value])]
            if not several:
                found.append({"propertyName": name, "operator": _WORDS[word], "value": values[0]})
                continue
            if word not in _OF_SEVERAL:
                raise ValueError(f"filters[{name!r}]: {word!r} takes one value")
            # HubSpot compares texts in lower case here, and options as they are.
            if known[name].get("type") == "string":
                values = [str(one).lower() for one in values]
            found.append({"propertyName": name, "operator": _OF_SEVERAL[word], "values": values})
    return found


def _filter_value(name: str, value: Any, definition: Mapping[str, Any]) -> Any:
    kind = definition.get("type")
    if kind == "date" and (day := _day(value)) is not None:
        # A date has no time zone, and HubSpot keeps it as its midnight in UTC.
        return milliseconds(f"filters[{name!r}]", day)
    if kind in ("date", "datetime"):
        return milliseconds(f"filters[{name!r}]", value)
    if isinstance(value, bool):
        return "true" if value else "false"
    options = {str(one.get("value")): str(one.get("label")) for one in definition.get("options") or ()}
    if kind == "enumeration" and options and str(value) not in options:
        by_label = [one for one, label in options.items() if label.casefold() == str(value).casefold()]
        if len(by_label) != 1:
            raise ValueError(f"filters[{name!r}]: {value!r} is none of its options {', '.join(sorted(options))}")
        return by_label[0]
    return value


def _day(value: Any) -> datetime | None:
    """Return the first moment of a date, ``None`` for what is none."""
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        with suppress(ValueError):
            value = date.fromisoformat(value.strip())
    if not isinstance(value, date) or isinstance(value, datetime):
        return None
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def sort_input(sorts: Iterable[Mapping[str, Any] | str] | None) -> dict[str, str] | None:
    """Return the one sort that HubSpot's search takes, ``None`` when none is asked for.

    :param sorts: ``{"propertyName", "direction"}``, or a property name, descending with a leading ``-``
    :raises ValueError: for more than one, or an unknown direction
    """
    given = [sorts] if isinstance(sorts, Mapping) else [] if sorts is None else items("sorts", sorts, split=True)
    if len(given) > 1:
        raise ValueError("sorts: HubSpot sorts a search by one property only")
    if not given:
        return None
    entry = given[0]
    if isinstance(entry, str):
        direction = "DESCENDING" if entry.startswith("-") else "ASCENDING"
        entry = {"propertyName": entry.removeprefix("-"), "direction": direction}
    if not isinstance(entry, Mapping):
        raise ValueError("sorts must name a property, or be a mapping with propertyName and direction")
    name, direction = str(entry.get("propertyName") or ""), str(entry.get("direction") or "ASCENDING").upper()
    require("sorts: propertyName", name)
    return {"propertyName": name, "direction": one_of("sorts: direction", direction, ("ASCENDING", "DESCENDING"))}
