"""What HubSpot's definitions tell of a property: what its values mean, and whether they can be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from airflow_providers_leads.hooks.hubspot.leads import PROPERTY_OF
from airflow_providers_leads.http.paths import value_at
from airflow_providers_leads.leads.plan.property_types import PROPERTY, Kind, PropertyType, PropertyTypes

Definition = Mapping[str, Any]

STAGE: Final = "lifecyclestage"
"""The property that HubSpot lets go on only, unless it is cleared."""
_OWNER: Final = "hubspot_owner_id"
_MOST_CHARACTERS: Final = 65_536
_KINDS: Final[Mapping[str, Kind]] = {
    "number": "number",
    "bool": "boolean",
    "date": "date",
    "datetime": "datetime",
    "enumeration": "choice",
}
# Of enumerations, by their form field.
_OF_FIELD: Final[Mapping[str, Kind]] = {"checkbox": "choices", "booleancheckbox": "boolean"}


def is_read_only(definition: Definition) -> bool:
    """Tell whether a property's values are HubSpot's own."""
    return bool(value_at(definition, "modificationMetadata.readOnlyValue") or definition.get("calculated"))


def property_type(definition: Definition) -> PropertyType:
    """Return what the values of a property mean.

    https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide
    """
    kind = _KINDS.get(str(definition.get("type")), "text")
    if kind == "choice":
        kind = _OF_FIELD.get(str(definition.get("fieldType")), kind)
    # Where options come from elsewhere, as owners do, what is listed is not all there is.
    listed = () if definition.get("externalOptions") else definition.get("options") or ()
    options = {
        str(option["value"]): str(option.get("label") or option["value"])
        for option in listed
        if isinstance(option, Mapping) and option.get("value") is not None
    }
    # HubSpot passes over a step back in silence, and its answer looks like success.
    forward = tuple(options) if definition.get("name") == STAGE else ()
    of_owner = definition.get("name") == _OWNER or definition.get("referencedObjectType") == "OWNER"
    return PropertyType(kind, options, _MOST_CHARACTERS if kind == "text" else None, forward, of_owner)


def property_types(definitions: Iterable[Definition]) -> PropertyTypes:
    """Return what the values of contacts mean, by lead field and ``properties.`` + internal name."""
    by_name = {str(one.get("name")): property_type(one) for one in definitions}
    fields = {field: by_name[name] for field, name in PROPERTY_OF.items() if name in by_name}
    return PropertyTypes({**fields, **{f"{PROPERTY}{name}": kind for name, kind in by_name.items()}})
