"""HubSpot contacts as leads, and leads as contact properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

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
"""Lead field → contact property, for what is read and written alike; in the order of the fields of a lead."""

_BOUNCE: Final = "hs_email_hard_bounce_reason_enum"
_ALIASES: Final = "hs_additional_emails"
_MERGED: Final = "hs_merged_object_ids"
_TEXTS: Final = ("email", *PROPERTY_OF.values())
_APART: Final = ("hs_email_optout", _BOUNCE, _ALIASES, _MERGED, "createdate", "lastmodifieddate")
_HELD: Final = frozenset((*_TEXTS, *_APART, "hs_object_id"))
LEAD_PROPERTIES: Final[tuple[str, ...]] = (
    *_TEXTS, "hs_email_optout", _BOUNCE, _ALIASES, _MERGED,
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


class LeadReader:
    """Turns contacts into leads; a page goes from bytes to leads without a dict in between.

    :param asked: the contact properties that are read, see :func:`wanted`
    :param scope: the connection id
    """

    def __init__(self, asked: Iterable[str], scope: str) -> None:
        self._scope = scope
        self._others = tuple(name for name in asked if name not in _HELD)
        names = (*_TEXTS, *_APART, *self._others)
        # Not every property's name is one that Python takes.
        places = [f"p{number}" for number in range(len(names))]
        optional = [(place, Any, None) for place in places]
        # gc: there are no circles in JSON, and looking for them takes longer than reading it.
        held: Any = msgspec.defstruct("Properties", optional, rename=dict(zip(places, names, strict=True)), gc=False)
        fields: list[Any] = [("id", str | int), ("properties", held | None, None)]
        fields += [(name, Any, None) for name in ("createdAt", "updatedAt", "archived")]
        contact: Any = msgspec.defstruct("Contact", fields, gc=False)
        results: Any = list[contact]
        page: Any = msgspec.defstruct("Page", [("results", results), ("paging", Any, None)])
        self._contact = contact
        self._none = held()
        self._page = msgspec.json.Decoder(page)

    def decode_page(self, raw: bytes) -> dict[str, Any]:
        """Return a page with its contacts as :meth:`lead` takes them.

        :raises msgspec.ValidationError: when it is no page of contacts
        """
        page = self._page.decode(raw)
        return {"results": page.results, "paging": page.paging}

    def lead(self, contact: Any) -> Lead:
        """Return a contact as a lead.

        :param contact: of :meth:`decode_page`, or a dict as HubSpot gives it
        """
        if isinstance(contact, dict):
            contact = msgspec.convert(contact, self._contact)
        values = astuple(contact.properties or self._none)
        email, *profile = map(text, values[: len(_TEXTS)])
        opted_out, bounced, aliases, merged, created, updated, *others = values[len(_TEXTS) :]
        rest = dict(zip(self._others, others, strict=True))
        if aliases:
            rest[ALIASES_PROPERTY] = [key for key in map(email_key, _parts(aliases)) if key]
        if merged:
            rest[MERGED_IDS_PROPERTY] = _parts(merged)
        if contact.archived:
            rest["archived"] = True
        fields: list[Any] = [
            "hubspot",
            self._scope,
            str(contact.id),
            email,
            email_key(email),
            *profile,
            flag(text(opted_out)),
            True if text(bounced) else None,
            moment(contact.createdAt or created),
            moment(contact.updatedAt or updated),
            leftover(rest),
        ]
        # By position: naming two dozen arguments takes longer than all the rest.
        return Lead(*fields)


def properties_for(row: PlanRow) -> dict[str, str]:
    """Return the contact properties that write a plan row, without its email and what contacts have no place for."""
    fields = {PROPERTY_OF[field]: value for field, value in row.values.items() if field in PROPERTY_OF}
    return {**row.properties, **fields}


def wanted(extra: Iterable[str] | None) -> list[str]:
    """Return the properties to read: those of a lead, and what the caller asks for besides."""
    return list(dict.fromkeys((*LEAD_PROPERTIES, *(extra or ()))))
