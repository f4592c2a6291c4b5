"""HubSpot contacts as leads, and leads as contact properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from airflow_providers_leads.hooks.hubspot.wire import read_problem
from airflow_providers_leads.hooks.writing import stored_otherwise
from airflow_providers_leads.http.errors import scrub
from airflow_providers_leads.http.problems import Problem
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.outcomes import Outcome, PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import (
    ALIASES_PROPERTY,
    MERGED_IDS_PROPERTY,
    Lead,
    flag,
    leftover,
    moment,
    text,
)
from airflow_providers_leads.leads.model.statuses import bounced, opted_out
from airflow_providers_leads.leads.plan.property_types import PROPERTY

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
"""Lead field → contact property, for what is read and written alike; in the order of the fields of a lead."""

OPTED_OUT: Final = "hs_email_optout"
BOUNCE: Final = "hs_email_hard_bounce_reason_enum"
ALIASES: Final = "hs_additional_emails"
MERGED: Final = "hs_merged_object_ids"
CREATED: Final = "createdate"
CHANGED: Final = "lastmodifieddate"
TEXTS: Final = ("email", *PROPERTY_OF.values())
"""The properties that are fields of a lead as they are."""
_APART: Final = (OPTED_OUT, BOUNCE, ALIASES, MERGED)
READ: Final = (*TEXTS, *_APART, CREATED, CHANGED)
"""The properties that a lead is made of, besides those that are kept as they are."""
LEAD_PROPERTIES: Final[tuple[str, ...]] = (
    *TEXTS, *_APART, "lifecyclestage", "hubspot_owner_id",
)  # fmt: skip
"""What is asked for to fill a lead."""

WRITABLE: Final = frozenset(PROPERTY_OF) - {"status"}
"""Statuses of different CRMs don't compare, and setting one may start a workflow that sends mail."""


def additional_emails(properties: Mapping[str, Any]) -> list[str]:
    """Return the secondary addresses of a contact as HubSpot holds them."""
    return _parts(properties.get(ALIASES))


def _parts(listed: object) -> list[str]:
    return [part.strip() for part in str(listed or "").split(";") if part.strip()]


class Contact(msgspec.Struct, rename="camel"):
    """A contact as HubSpot gives it, as far as it makes a lead."""

    id: str | int
    # One without would have no address and no opt-out, and pass for nobody in particular.
    properties: dict[str, Any]
    created_at: Any = None
    updated_at: Any = None
    archived: Any = None


def to_lead(contact: Contact | Mapping[str, Any], scope: str, kept: Iterable[str]) -> Lead:
    """Return a contact as a lead.

    :param contact: the record
    :param scope: the connection id
    :param kept: the properties that go into the lead's own ``properties``, see :func:`kept_of`
    """
    if not isinstance(contact, Contact):
        contact = msgspec.convert(contact, Contact)
    held = contact.properties
    email = text(held.get("email"))
    rest = {name: held.get(name) for name in kept}
    status = text(held.get(PROPERTY_OF["status"]))
    return Lead(
        source="hubspot",
        source_scope=scope,
        source_id=str(contact.id),
        email=email,
        email_key=email_key(email),
        **{field: text(held.get(name)) for field, name in PROPERTY_OF.items()},
        opted_out=opted_out(flag(text(held.get(OPTED_OUT))), status),
        bounced=bounced(True if text(held.get(BOUNCE)) else None, status),
        created_at=moment(contact.created_at or held.get(CREATED)),
        updated_at=moment(contact.updated_at or held.get(CHANGED)),
        properties=lead_properties(rest, held.get(ALIASES), held.get(MERGED), contact.archived),
    )


def lead_properties(kept: Mapping[str, Any], aliases: object, merged: object, archived: object) -> str | None:
    """Return what no field of a lead holds of a contact, as JSON.

    :param kept: properties by name
    :param aliases: secondary addresses as HubSpot holds them
    :param merged: ids of the records that were merged into it, as HubSpot holds them
    :param archived: is it archived
    """
    others = {
        ALIASES_PROPERTY: [key for key in map(email_key, _parts(aliases)) if key],
        MERGED_IDS_PROPERTY: _parts(merged),
        "archived": True if archived else None,
    }
    return leftover({**kept, **others})


def properties_for(row: PlanRow) -> dict[str, str]:
    """Return the contact properties that write a plan row, without what contacts have no place for.

    An address is among them only where a plan says so: it is the key by which records are made.
    """
    fields = {PROPERTY_OF[field]: value for field, value in row.values.items() if field in PROPERTY_OF}
    if row.action == "update" and "email" in row.values:
        fields["email"] = row.values["email"]
    return {**row.properties, **fields}


def wanted(extra: Iterable[str] | None) -> list[str]:
    """Return the properties to read: those of a lead, and what the caller asks for besides."""
    return list(dict.fromkeys((*LEAD_PROPERTIES, *(extra or ()))))


def kept_of(asked: Iterable[str]) -> list[str]:
    """Return which of the properties that are read no field of a lead holds, in order."""
    return sorted({name for name in asked if name not in (*READ, "hs_object_id")})


def written_result(
    row: PlanRow,
    outcome: Outcome,
    target_id: str | None,
    record: Mapping[str, Any] | None,
    *,
    unsure: bool = False,
) -> WriteResult:
    """Return the result of a plan row that was written.

    :param row: the row
    :param outcome: what became of it
    :param target_id: id of the contact
    :param record: the contact as the answer gives it, ``None`` where it doesn't
    :param unsure: see :class:`~airflow_providers_leads.leads.model.outcomes.WriteResult`
    """
    fields = [field for field in row.values if field in WRITABLE or field == "status"]
    fields += ["email"] if row.action == "update" and "email" in row.values else []
    fields += [f"properties.{name}" for name in row.properties]
    held = (record or {}).get("properties") or {}
    places = {name: PROPERTY_OF.get(name, name.removeprefix(PROPERTY)) for name in fields}
    return WriteResult(
        email_key=row.email_key,
        outcome=outcome,
        target_id=target_id,
        fields=fields,
        reason=_warnings(record or {}),
        stored=stored_otherwise(row, {name: held[at] for name, at in places.items() if at in held}),
        unsure=unsure,
    )


def _warnings(record: Mapping[str, Any]) -> str | None:
    """Return what HubSpot remarks on a record that it wrote, such as a value that it left out."""
    told = record.get("warnings")
    remarks = [read_problem({}, one) if isinstance(one, dict) else one for one in told or ()]
    texts = [
        ": ".join(part for part in (one.category, one.words) if part) if isinstance(one, Problem) else scrub(one)
        for one in remarks
    ]
    return f"warning: {'; '.join(text or 'without words' for text in texts)}" if texts else None
