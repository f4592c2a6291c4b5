"""What the reads of a run hand on to the tasks after them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from airflow_providers_leads.leads.files.staging import StagingError, appearing
from airflow_providers_leads.leads.memory.generation import Kind, kind_of
from airflow_providers_leads.leads.memory.reads import ReadFacts, read_facts
from airflow_providers_leads.leads.plan.property_types import PROPERTY, PropertyTypes
from airflow_providers_leads.tasks.paths import storage_path


def kinds_of(key: str, types: PropertyTypes, names: Iterable[str]) -> dict[str, Kind]:
    """Return what the values of properties are.

    :param key: the memory's key, hexadecimal
    :param types: of the account
    :param names: of properties
    """
    of_names = {name: types.of(f"{PROPERTY}{name}") for name in names}
    return {name: kind_of(key, each.kind, each.options) for name, each in of_names.items()}


def write_kinds(uri: str, kinds: Mapping[str, Kind]) -> str:
    """Write what the values of properties are beside the leads that have them; return the URI of that file.

    :param uri: of the leads
    :param kinds: see :func:`kinds_of`
    """
    beside = f"{uri.removesuffix('.parquet')}.kinds.json"
    with appearing(storage_path(beside)) as part:
        part.write_bytes(msgspec.json.encode(kinds))
    return beside


def reads_of(inputs: Iterable[Any]) -> list[ReadFacts]:
    """Return what some tasks have read.

    :param inputs: results of extracts and lookups
    :raises StagingError: when what one has written beside its leads is gone
    """
    facts = (read_facts(item) for item in inputs)
    return [replace(each, kinds=_kinds_at(each.kinds_uri)) for each in facts if each]


def _kinds_at(uri: str | None) -> Mapping[str, Kind]:
    if uri is None:
        return {}
    try:
        return msgspec.json.decode(storage_path(uri).read_bytes(), type=dict[str, Kind])
    except (FileNotFoundError, msgspec.DecodeError):
        raise StagingError(f"{uri} is gone or incomplete: run the task again that has read these leads.") from None


def read_as_json(read: ReadFacts) -> dict[str, Any]:
    """Return what :func:`reads_of` makes the same of."""
    return {
        "conn_id": read.conn_id,
        "source": read.source,
        "account": read.account,
        "read_at": read.at.isoformat() if read.at else None,
        "complete": read.complete,
        "parts": dict(read.parts),
        "known_as": read.known_as,
        "narrows_properties": read.properties is not None,
        "properties": sorted(read.properties or ()),
        "kinds": read.kinds_uri,
    }
