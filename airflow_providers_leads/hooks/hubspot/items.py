"""Inputs of HubSpot's batch calls as callers give them, and the keys by which results are told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_providers_leads.hooks.arguments import items as entries
from airflow_providers_leads.hooks.hubspot.batches import Item, Record
from airflow_providers_leads.hooks.hubspot.leads import additional_emails
from airflow_providers_leads.hooks.hubspot.values import association_inputs, property_values, record_id

Inputs = Iterable[Mapping[str, Any]]


def lookup(index: int, given: Any, key: str) -> Item:
    """Return an item that is nothing but its key."""
    return Item(index, given, key, {"id": key})


def items_to_create(inputs: Inputs) -> list[Item]:
    """Return the items of a batch create; what sets them apart is the email, where they have one.

    :raises ValueError: naming the input that can't be sent
    """
    items = []
    for index, given in enumerate(inputs):
        name = f"inputs[{index}]"
        sent = property_values(name, _properties(name, given))
        wire: Record = {"properties": sent}
        if linked := given.get("associations"):
            where = f"{name}['associations']"
            wire["associations"] = association_inputs(where, entries(where, linked))
        items.append(Item(index, given, sent.get("email", "").strip().lower() or None, wire))
    return items


def items_to_update(inputs: Inputs, id_property: str | None) -> list[Item]:
    """Return the items of a batch update.

    :raises ValueError: naming the input that can't be sent
    """
    items = []
    for index, given in enumerate(inputs):
        name = f"inputs[{index}]"
        sent = property_values(name, _properties(name, given))
        items.append(_keyed(index, given, record_id(f"{name}['id']", given.get("id"), id_property), id_property, sent))
    return items


def items_to_upsert(inputs: Inputs, id_property: str) -> list[Item]:
    """Return the items of a batch upsert, each with its key among the properties too: a new record needs it there.

    :raises ValueError: naming the input that can't be sent
    """
    items = []
    for index, given in enumerate(inputs):
        name = f"inputs[{index}]"
        properties = _properties(name, given)
        key = properties.get(id_property) if given.get("id") is None else given["id"]
        found = record_id(f"{name}[{id_property!r}]", key, id_property)
        sent = property_values(name, {id_property: found, **{k: v for k, v in properties.items() if v is not None}})
        if sent[id_property].strip().lower() == found.lower():
            sent[id_property] = found
        items.append(_keyed(index, given, found, id_property, sent))
    return items


def primary_of(record: Mapping[str, Any]) -> str:
    """Return a contact's primary address, in lower case; empty when it has none."""
    return str((record.get("properties") or {}).get("email") or "").strip().lower()


def at_primary(item: Item, known: Mapping[str, Record]) -> Item:
    """Return an upsert by address as one by the primary address of the contact, which then stays what it is.

    :param item: of :func:`items_to_upsert`
    :param known: secondary address → contact
    """
    if (record := known.get(item.key or "")) is None:
        return item
    primary = primary_of(record)
    properties = dict(item.wire["properties"])
    if properties["email"].strip().lower() == item.key:
        properties["email"] = primary
    return Item(item.index, item.input, primary, {**item.wire, "id": primary, "properties": properties})


def _keyed(index: int, given: Any, key: str, id_property: str | None, properties: dict[str, str]) -> Item:
    by = {"idProperty": id_property} if id_property else {}
    return Item(index, given, key, {"id": key, **by, "properties": properties})


def _properties(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} must be a mapping")
    if "properties" not in given:
        return {key: value for key, value in given.items() if key not in ("id", "associations")}
    if not isinstance(given["properties"], Mapping):
        raise ValueError(f"{name}['properties'] must be a mapping")
    return given["properties"]


def keys_by(id_property: str | None) -> Callable[[Mapping[str, Any]], list[str]]:
    """Return what tells by which keys a result record may have been asked for.

    :param id_property: property that the keys are of, ``None`` for record ids
    """

    def keys_of(record: Mapping[str, Any]) -> list[str]:
        if id_property is None:
            return [str(record.get("id"))]
        properties = record.get("properties") or {}
        found = str(properties.get(id_property) or "").strip()
        # An address may have found its contact as a secondary one.
        return [a.lower() for a in (found, *additional_emails(properties))] if id_property == "email" else [found]

    return keys_of
