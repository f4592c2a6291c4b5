"""Arguments of hooks and operators: what callers hand over, as values, and whether they are allowed."""

from airflow_providers_leads.hooks.arguments.checks import (
    boolean,
    instant,
    maybe_instant,
    offset_minutes,
    one_of,
    refuse_properties,
    refuse_unknown,
    require,
    whole,
    window,
    wire_time,
)
from airflow_providers_leads.hooks.arguments.values import (
    addresses,
    conditions,
    id_list,
    items,
    json_body,
    mapping,
    plain_value,
    text_value,
)

__all__ = [
    "addresses",
    "boolean",
    "conditions",
    "id_list",
    "instant",
    "items",
    "json_body",
    "mapping",
    "maybe_instant",
    "offset_minutes",
    "one_of",
    "plain_value",
    "refuse_properties",
    "refuse_unknown",
    "require",
    "text_value",
    "whole",
    "window",
    "wire_time",
]
