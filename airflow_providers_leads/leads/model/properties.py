"""Custom properties of several records of one person, merged key by key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import islice
from typing import Any, Final

import ibis
import ibis.expr.datatypes as dt
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, NOTHING

Merge = Callable[[Iterable[dict[str, Any]]], dict[str, Any]]
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
# An object with such a key is one answer with its title, and not several.
_VALUE: Final = "value"


def merge_objects(objects: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return one mapping of several: per key, at any depth, the first present value wins; second addresses unite.

    :param objects: best first
    """
    best_first = list(objects)
    merged: dict[str, Any] = {}
    for told in best_first:
        _complete(merged, told)
    if ALIASES_PROPERTY in merged:
        united = [alias for told in best_first for alias in told.get(ALIASES_PROPERTY, ())]
        merged[ALIASES_PROPERTY] = list(dict.fromkeys(united))
    return merged


def _complete(merged: dict[str, Any], other: dict[str, Any]) -> None:
    """Add what another mapping has and this one lacks."""
    for key, value in other.items():
        held = merged.get(key)
        if key not in merged or (held in NOTHING and value not in NOTHING):
            merged[key] = value
        elif isinstance(held, dict) and isinstance(value, dict) and _VALUE not in held and _VALUE not in value:
            # A copy, as it may be another record's.
            merged[key] = dict(held)
            _complete(merged[key], value)


def best_alone(objects: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the first mapping, with the second addresses of all: whose they are is no matter of which value wins.

    :param objects: best first
    """
    best, *others = objects
    named = [told[ALIASES_PROPERTY] for told in others if told.get(ALIASES_PROPERTY)]
    return merge_objects([best, *({ALIASES_PROPERTY: aliases} for aliases in named)])


def merge_lists(lists: Any, merge: Merge) -> Any:
    """Return an Arrow array of JSON objects, one for each list of JSON objects; best first within a list.

    The whole batch is decoded and encoded in one call each: per object that costs several times less.

    :param lists: Arrow array of lists of texts
    :param merge: makes one of several
    """
    if lists is None or isinstance(lists, list):
        # Spark calls it with one list at a time.
        return _ENCODER.encode(merge(map(msgspec.json.decode, lists))).decode() if lists else None
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks()
    lengths = pc.list_value_length(lists).to_pylist()
    objects = iter(msgspec.json.decode("[" + ",".join(lists.flatten().to_pylist()) + "]"))
    merged = [merge(islice(objects, length)) for length in lengths if length]
    lines = iter(_ENCODER.encode_lines(merged).decode().split("\n"))
    return pa.array([next(lines) if length else None for length in lengths], pa.string())


@cache
def properties_udf(how: str) -> Any:
    """Return what an engine calls with a column of lists of JSON objects, see :func:`merge_lists`.

    :param how: ``merge`` merges them key by key, ``winner`` takes the best one, see :func:`best_alone`
    """
    merge = _HOW[how]

    # Its parameters are told from the function: it must have one alone.
    def merged(lists: Any) -> Any:
        return merge_lists(lists, merge)

    merged.__name__ = f"{how}_properties"
    return ibis.udf.scalar.pyarrow(merged, signature=((dt.Array(dt.string),), dt.string))


_HOW: Final[Mapping[str, Merge]] = {"merge": merge_objects, "winner": best_alone}


def may_tell_aliases(properties: Any) -> Any:
    """Return the expression that is true for all ``properties`` that tell secondary addresses, and for few others.

    :param properties: Ibis column of JSON objects
    """
    return properties.contains(f'"{ALIASES_PROPERTY}"')


def aliases_in(properties: str | None) -> list[str]:
    """Return the secondary addresses that a lead's ``properties`` tell, as email keys."""
    if not properties or f'"{ALIASES_PROPERTY}"' not in properties:
        return []
    listed = msgspec.json.decode(properties).get(ALIASES_PROPERTY)
    return [str(alias) for alias in listed] if isinstance(listed, list) else []
