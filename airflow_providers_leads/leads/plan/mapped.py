"""The values that a golden record has for a destination: by its mapping, in the form of each property's type."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS, Lead
from airflow_providers_leads.leads.plan.property_types import PROPERTY, PropertyTypes, Unconvertible, value_text

LEFT_OUT: Final = "left out: "
"""How the part of a reason begins that names values which the destination can't hold."""

_NOWHERE: Final = object()


def find_property(properties: Mapping[str, Any], key: str) -> Any:
    """Return a property, ``None`` where it is absent.

    :param properties: decoded ``properties`` of a lead
    :param key: its key; where there is none of that name, a path with dots into objects, or else the short name of the
        only key of that name within objects
    :raises Unconvertible: when several keys within objects have that name, and different values
    """
    if key in properties:
        return properties[key]
    if (value := _at(properties, key.split("."))) is not _NOWHERE:
        return value
    values = list(_named(properties, key))
    if len(values) > 1 and any(value != values[0] for value in values[1:]):
        raise Unconvertible("several keys have this name: give the path of one, with dots")
    return values[0] if values else None


def _at(value: Any, path: list[str]) -> Any:
    for part in path:
        value = value.get(part, _NOWHERE) if isinstance(value, Mapping) else _NOWHERE
    return value


def _named(properties: Mapping[str, Any], key: str) -> Iterator[Any]:
    for value in properties.values():
        if isinstance(value, Mapping):
            if (inside := _at(value, key.split("."))) is not _NOWHERE:
                yield inside
            yield from _named(value, key)


def field_values(golden: Lead, fields: Collection[str], types: PropertyTypes) -> tuple[dict[str, str], dict[str, str]]:
    """Return the lead fields that a record has values for, and why others can't be written.

    :param golden: the golden record
    :param fields: that can be written
    :param types: of the destination
    """
    values = ((name, getattr(golden, name)) for name in PROFILE_FIELDS if name in fields)
    return _converted({name: value for name, value in values if value is not None}, types)


def property_values(
    golden: Lead, names: Mapping[str, str], types: PropertyTypes, met: set[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the destination's properties that a record has values for, and why others can't be written.

    :param golden: the golden record
    :param names: key within the golden ``properties`` → the destination's property
    :param types: of the destination
    :param met: keys that golden records have; those of this one are added
    """
    if not names or not golden.properties:
        return {}, {}
    decoded = msgspec.json.decode(golden.properties)
    present: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for key, target in names.items():
        try:
            value = find_property(decoded, key)
        except Unconvertible as error:
            left_out[target] = str(error)
            met.add(key)
            continue
        if value is not None:
            met.add(key)
            present[target] = value
    values, refused = _converted(present, types, PROPERTY)
    return values, left_out | refused


def _converted(
    values: Mapping[str, Any], types: PropertyTypes, prefix: str = ""
) -> tuple[dict[str, str], dict[str, str]]:
    converted: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name, value in values.items():
        try:
            written = types.convert(f"{prefix}{name}", value)
        except Unconvertible as error:
            left_out[name] = str(error)
            continue
        if written:
            converted[name] = written
    return converted, left_out


def property_text(properties: Mapping[str, Any], key: str) -> str | None:
    """Return a record's property as text, ``None`` where it is absent or an object of several values.

    :param properties: decoded ``properties`` of a lead
    :param key: its key
    """
    return value_text(properties.get(key))


def current_values(record: Lead, fields: Iterable[str], properties: Iterable[str]) -> dict[str, str | None]:
    """Return what a record has now, by lead field and ``properties.`` + property.

    :param record: of the destination
    :param fields: names; those of properties are passed over
    :param properties: names of custom properties
    """
    now = {name: flag_or_text(record, name) for name in fields if not name.startswith(PROPERTY)}
    names = list(properties)
    decoded = msgspec.json.decode(record.properties) if names and record.properties else {}
    return now | {f"{PROPERTY}{name}": property_text(decoded, name) for name in names}


def flag_or_text(record: Lead, name: str) -> str | None:
    """Return a field of a lead as a plan names its value."""
    value = getattr(record, name, None)
    return str(value).lower() if isinstance(value, bool) else value


def by_place(values: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a plan row by lead field, and by ``properties.`` + property.

    :param values: by lead field
    :param properties: by property
    """
    return {**values, **{f"{PROPERTY}{name}": value for name, value in properties.items()}}


def with_left_out(reason: str | None, left_out: Mapping[str, str]) -> str | None:
    """Return a reason with what it is that the destination can't hold."""
    named = LEFT_OUT + ", ".join(f"{name} ({why})" for name, why in left_out.items()) if left_out else None
    return "; ".join(filter(None, (reason, named))) or None


def left_out_of(reason: str | None) -> str | None:
    """Return the part of a plan row's reason that names what is left out."""
    start = (reason or "").find(LEFT_OUT)
    return None if reason is None or start < 0 else reason[start:]
