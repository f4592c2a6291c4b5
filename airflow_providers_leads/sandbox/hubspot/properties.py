"""Contact properties: what exists, what a value must look like, what cannot be written.

https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from airflow_providers_leads.sandbox.core.clock import parse_iso

STAGES = (
    "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist",
    "other", "48271630",
)  # fmt: skip
LEAD_STATUSES = (
    "NEW", "OPEN", "IN_PROGRESS", "OPEN_DEAL", "UNQUALIFIED", "ATTEMPTED_TO_CONTACT", "CONNECTED", "BAD_TIMING",
)  # fmt: skip
DEFAULT_NAMES = ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname")
SYSTEM_NAMES = ("createdate", "hs_object_id", "lastmodifieddate")
MAX_STRING = 65_536
MAX_UNIQUE = 10

EMAIL = re.compile(r"[^\s@,;:<>()\"\[\]\\.]+(\.[^\s@,;:<>()\"\[\]\\.]+)*@([^\W_]([\w-]*[^\W_])?\.)+[^\W\d_][\w-]+")
NAME = re.compile(r"[a-z][a-z0-9_]*")
TYPES = ("bool", "date", "datetime", "enumeration", "number", "phone_number", "string")
FIELD_TYPES = (
    "booleancheckbox", "calculation_equation", "checkbox", "date", "file", "html", "number", "phonenumber", "radio",
    "select", "text", "textarea",
)  # fmt: skip

# name: (type, fieldType)
WRITABLE = {
    **dict.fromkeys(
        (
            "email", "firstname", "lastname", "company", "jobtitle", "website", "address", "city", "state", "zip",
            "country", "industry", "salutation", "date_of_birth", "message", "hs_additional_emails", "hs_language",
            "hs_linkedin_url", "twitterhandle", "internalcustomerid", "lead_source", "utm_source",
        ),
        ("string", "text"),
    ),
    "phone": ("phone_number", "phonenumber"),
    "mobilephone": ("phone_number", "phonenumber"),
    "annualrevenue": ("number", "number"),
    "hubspot_owner_id": ("enumeration", "select"),
    "hs_pinned_engagement_id": ("number", "number"),
    "lifecyclestage": ("enumeration", "radio"),
    "hs_lead_status": ("enumeration", "radio"),
    "product_interest": ("enumeration", "checkbox"),
    "newsletter": ("bool", "booleancheckbox"),
    "closedate": ("datetime", "date"),
    "contract_start": ("date", "date"),
}  # fmt: skip
READ_ONLY = {
    "createdate": ("datetime", "date"),
    "lastmodifieddate": ("datetime", "date"),
    # Meant for other object types; on contacts it exists and is never filled.
    "hs_lastmodifieddate": ("datetime", "date"),
    "hs_object_id": ("number", "number"),
    "hs_merged_object_ids": ("enumeration", "checkbox"),
    "hs_email_domain": ("string", "text"),
    "hs_email_optout": ("bool", "booleancheckbox"),
    "num_associated_deals": ("number", "number"),
}
OPTIONS = {
    "lifecyclestage": STAGES,
    "hs_lead_status": LEAD_STATUSES,
    "product_interest": ("solar", "heating", "storage", "insulation"),
    "newsletter": ("true", "false"),
    "hs_email_optout": ("true", "false"),
}
UNIQUE = ("email", "internalcustomerid")

Property = dict[str, Any]


def default_properties(created_at: str) -> dict[str, Property]:
    """Return the properties a fresh account has, and three custom ones."""
    definitions = {}
    for writable, table in ((True, WRITABLE), (False, READ_ONLY)):
        for name, (kind, field_type) in table.items():
            definitions[name] = make_property(
                {
                    "name": name,
                    "label": name.replace("_", " ").capitalize(),
                    "type": kind,
                    "fieldType": field_type,
                    "groupName": "contactinformation",
                    "hasUniqueValue": name in UNIQUE,
                    "options": [
                        {"label": value, "value": value, "hidden": False, "displayOrder": order}
                        for order, value in enumerate(OPTIONS.get(name, ()))
                    ],
                },
                created_at,
                own=name in ("internalcustomerid", "product_interest", "lead_source"),
                writable=writable,
            )
    return definitions


def make_property(definition: dict[str, Any], created_at: str, *, own: bool = True, writable: bool = True) -> Property:
    """Return a complete property definition."""
    options = [{"description": "", **option} for option in definition.get("options") or []]
    return {
        "description": "",
        "displayOrder": -1,
        "hidden": False,
        "formField": writable,
        "hasUniqueValue": False,
        "calculated": False,
        "externalOptions": definition["name"] == "hubspot_owner_id",
        "hubspotDefined": not own,
        "archived": False,
        "dataSensitivity": "non_sensitive",
        "createdAt": created_at,
        "updatedAt": created_at,
        "modificationMetadata": {
            "archivable": own,
            "readOnlyDefinition": not own,
            "readOnlyOptions": not own,
            "readOnlyValue": not writable,
        },
        **definition,
        "options": options,
    }


def as_text(value: Any) -> str | None:
    """Return a JSON value as HubSpot stores it, or None when it cannot be a property value.

    All values are strings on the wire; the vendor's contacts guide itself sends a bare number. Null is not a documented
    way to clear a value, so it is refused.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return None


def problem(prop: Property, value: str, owners: set[str]) -> tuple[str, str] | None:
    """Return (code, message) when a non-empty value does not suit its property."""
    name, kind = prop["name"], prop["type"]
    if name == "email" and not EMAIL.fullmatch(value):
        return "INVALID_EMAIL", f"Email address {value} is invalid"
    if name == "hubspot_owner_id":
        return None if value in owners else ("INVALID_OWNER_ID", f"{value} is not a valid owner id")
    if kind in ("enumeration", "bool"):
        allowed = {option["value"] for option in prop["options"]} or {"true", "false"}
        chosen = [part for part in value.split(";") if part] if prop["fieldType"] == "checkbox" else [value]
        wrong = [part for part in chosen if part not in allowed]
        return (
            ("INVALID_OPTION", f"{wrong[0]} was not one of the allowed options: {sorted(allowed)}") if wrong else None
        )
    if kind == "number" and not re.fullmatch(r"-?\d+(\.\d+)?", value):
        return "INVALID_INTEGER", f"{value} was not a valid number"
    if kind == "date" and not _is_date(value):
        return "INVALID_DATE", f"{value} was not a valid date"
    if kind == "datetime" and not (re.fullmatch(r"\d{1,15}", value) or parse_iso(value) is not None):
        return "INVALID_DATE", f"{value} was not a valid datetime"
    if len(value) > MAX_STRING:
        return "PROPERTY_VALUE_TOO_LONG", f"{name} is longer than {MAX_STRING} characters"
    return None


def _is_date(value: str) -> bool:
    if re.fullmatch(r"-?\d{6,15}", value):
        return int(value) % 86_400_000 == 0
    try:
        return len(value) == 10 and bool(date.fromisoformat(value))
    except ValueError:
        return False


def definition_problem(definition: dict[str, Any], groups: set[str], *, dated: bool = True) -> str | None:
    """Return why a property cannot be created as given; what an option must have differs between versions."""
    missing = [key for key in ("groupName", "name", "label", "type", "fieldType") if not definition.get(key)]
    if missing:
        return f"Required fields are missing: {missing}"
    if not NAME.fullmatch(definition["name"]):
        return "Property names hold lower-case letters, digits and underscores and start with a letter"
    if definition["type"] not in TYPES or definition["fieldType"] not in FIELD_TYPES:
        return f"Invalid type {definition['type']} or fieldType {definition['fieldType']}"
    if definition["groupName"] not in groups:
        return f"Property group {definition['groupName']} does not exist"
    if definition["type"] == "enumeration" and not definition.get("options"):
        return "An enumeration needs options"
    required = ("label", "value", "hidden", *(("displayOrder",) if dated else ()))
    for option in definition.get("options") or ():
        if lacking := [key for key in required if key not in option]:
            return f"Required fields of an option are missing: {lacking}"
    return None
