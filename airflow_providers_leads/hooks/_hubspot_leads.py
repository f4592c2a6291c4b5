"""HubSpot contacts as leads, and leads as contact properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from airflow_providers_leads.leads.identity import email_key
from airflow_providers_leads.leads.outcomes import PlanRow
from airflow_providers_leads.leads.schema import (
    ALIASES_PROPERTY,
    MERGED_IDS_PROPERTY,
    Lead,
    flag,
    leftover,
    moment,
    text,
)

PROPERTY_OF: Final[Mapping[str, str]] = {
    "first_name": "firstname",
    "last_name": "lastname",
    "phone": "phone",
    "company": "company",
    "title": "jobtitle",
    "website": "website",
    "address": "address",
    "city": "city",
    "state": "state",
    "postal_code": "zip",
    "country": "country",
    "industry": "industry",
    "status": "hs_lead_status",
}
"""Lead field → contact property, for what is read and written alike."""

_BOUNCE: Final = "hs_email_hard_bounce_reason_enum"
_ALIASES: Final = "hs_additional_emails"
_MERGED: Final = "hs_merged_object_ids"
_HELD: Final = frozenset(PROPERTY_OF.values()) | {
    "email", "hs_email_optout", _BOUNCE, _ALIASES, _MERGED, "createdate", "lastmodifieddate", "hs_object_id",
}  # fmt: skip
LEAD_PROPERTIES: Final[tuple[str, ...]] = (
    "email", *PROPERTY_OF.values(), "hs_email_optout", _BOUNCE, _ALIASES, _MERGED,
    "lifecyclestage", "hubspot_owner_id",
)  # fmt: skip
"""What is asked for to fill a lead."""

WRITABLE: Final = frozenset(PROPERTY_OF) - {"status"}
"""Statuses of different CRMs don't compare, and setting one may start a workflow that sends mail."""


def additional_emails(properties: Mapping[str, Any]) -> list[str]:
    """Return the secondary addresses of a contact as HubSpot holds them."""
    return _parts(properties.get(_ALIASES))


def _parts(listed: object) -> list[str]:
    return [part.strip() for part in str(listed or "").split(";") if part.strip()]


def lead_from(record: Mapping[str, Any], scope: str) -> Lead:
    """Return a contact as a lead.

    :param record: as HubSpot gives it, with :data:`LEAD_PROPERTIES`
    :param scope: the connection id
    """
    properties = record.get("properties") or {}
    rest = {name: value for name, value in properties.items() if name not in _HELD}
    if properties.get(_ALIASES):
        rest[ALIASES_PROPERTY] = [key for key in map(email_key, additional_emails(properties)) if key]
    if properties.get(_MERGED):
        rest[MERGED_IDS_PROPERTY] = _parts(properties[_MERGED])
    if record.get("archived"):
        rest["archived"] = True
    email = text(properties.get("email"))
    return Lead(
        source="hubspot",
        source_scope=scope,
        source_id=str(record["id"]),
        email=email,
        email_key=email_key(email),
        opted_out=flag(text(properties.get("hs_email_optout"))),
        bounced=True if text(properties.get(_BOUNCE)) else None,
        created_at=moment(record.get("createdAt") or properties.get("createdate")),
        updated_at=moment(record.get("updatedAt") or properties.get("lastmodifieddate")),
        properties=leftover(rest) if rest else None,
        **{field: text(properties.get(name)) for field, name in PROPERTY_OF.items()},
    )


def properties_for(row: PlanRow) -> dict[str, str]:
    """Return the contact properties that write a plan row, without its email and what contacts have no place for."""
    return {PROPERTY_OF[field]: value for field, value in row.values.items() if field in PROPERTY_OF}


def wanted(extra: Iterable[str] | None) -> list[str]:
    """Return the properties to read: those of a lead, and what the caller asks for besides."""
    return list(dict.fromkeys((*LEAD_PROPERTIES, *(extra or ()))))
