"""What decides what becomes of people in a destination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS
from airflow_providers_leads.leads.plan.fields import Rules
from airflow_providers_leads.leads.plan.property_types import PROPERTY, PropertyTypes
from airflow_providers_leads.leads.plan.suppression import Suppressions

Mode = Literal["update", "fill", "create_only"]


@dataclass(frozen=True, slots=True)
class PlanRules:
    """What decides between create, update, unchanged and suppress.

    :param mode: ``update`` writes what differs, ``fill`` only where the destination has nothing, ``create_only`` never
        touches an existing record
    :param writable: lead fields that the destination has a place for
    :param suppressions: addresses and domains that must not be written
    :param properties: key within the golden ``properties`` (``utm_source``, within objects too where only one has that
        name; ``utmParams.utm_source`` names the object) → the destination's custom property or field
    :param fields: lead field, or ``properties.`` + the destination's own field → what it is filled with
    :param owners: address of a user of the destination → id
    :param push_opt_outs: true: who is opted out, and whose record there isn't yet, becomes an update that says so,
        whatever the mode
    :param types: what the destination's values mean, by lead field and ``properties.`` + property; default text
    :param met: keys of ``properties`` that golden records have; filled as the plan is made
    """

    mode: Mode
    writable: frozenset[str]
    suppressions: Suppressions = field(default_factory=Suppressions)
    properties: Mapping[str, str] = field(default_factory=dict)
    fields: Rules = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    push_opt_outs: bool = False
    types: PropertyTypes = field(default_factory=PropertyTypes)
    met: set[str] = field(default_factory=set, compare=False)
    origins: Mapping[str, str] = field(init=False, compare=False, repr=False)
    """What is written to, lead field or ``properties.`` + the destination's own, → where golden records have it from,
    likewise; an empty text for a constant."""

    def __post_init__(self) -> None:
        origins = {name: name for name in self.writable}
        origins |= {f"{PROPERTY}{target}": f"{PROPERTY}{key}" for key, target in self.properties.items()}
        for place, rule in self.fields.items():
            source = rule.source or ""
            plain = source in ("", *PROFILE_FIELDS) or source.startswith(PROPERTY)
            origins[place] = source if plain else f"{PROPERTY}{source}"
        object.__setattr__(self, "origins", origins)
