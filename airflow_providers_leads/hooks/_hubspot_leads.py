"""HubSpot contacts as leads, and leads as contact properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from airflow_providers_leads.leads.identity import email_key
from airflow_providers_leads.leads.outcomes import PlanRow
from airflow_providers_leads.leads.schema import (
    ALIASES_PROPERTY,
    MERGED_IDS_PROPERTY,
    NOTHING,
    Lead,
    flag,
    leftover,
    moments,
    text,
    texts,
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
    """Turns contacts into leads, a page at a time: from bytes to leads without a dict, and column by column.

    A loop within the interpreter's own functions takes a third of the time of one that handles contact after contact.

    :param asked: the contact properties that are read, see :func:`wanted`
    :param scope: the connection id
    """

    def __init__(self, asked: Iterable[str], scope: str) -> None:
        self._scope = scope
        others = sorted({name for name in asked if name not in _HELD})
        names = (*_TEXTS, *_APART, *others)
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
        self._leftovers = Leftovers(others)

    def decode_page(self, raw: bytes) -> dict[str, Any]:
        """Return a page with its contacts as :meth:`leads` takes them.

        :raises msgspec.ValidationError: when it is no page of contacts
        """
        page = self._page.decode(raw)
        return {"results": page.results, "paging": page.paging}

    def leads(self, contacts: Iterable[Any]) -> list[Lead]:
        """Return contacts as leads.

        :param contacts: of :meth:`decode_page`, or dicts as HubSpot gives them
        """
        found = [msgspec.convert(each, self._contact) if isinstance(each, dict) else each for each in contacts]
        if not found:
            return []
        ids, held, created_at, updated_at, archived = zip(*map(astuple, found), strict=True)
        columns = list(zip(*[astuple(properties or self._none) for properties in held], strict=True))
        email, *profile = map(texts, columns[: len(_TEXTS)])
        opted_out, bounced, aliases, merged, created, updated, *others = columns[len(_TEXTS) :]
        # By position: naming two dozen arguments takes longer than all the rest.
        return list(
            map(
                Lead,
                repeat("hubspot"),
                repeat(self._scope),
                map(str, ids),
                email,
                map(email_key, email),
                *profile,
                [None if value is None else flag(text(value)) for value in opted_out],
                [True if value else None for value in texts(bounced)],
                moments([one or other for one, other in zip(created_at, created, strict=True)]),
                moments([one or other for one, other in zip(updated_at, updated, strict=True)]),
                self._leftovers.of(others, zip(aliases, merged, archived, strict=True)),
            )
        )


class Leftovers:
    """Makes JSON of the properties that no field of a lead holds, as :func:`~.schema.leftover` does of one mapping.

    :param names: of the properties, in order
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        places = [f"p{number}" for number in range(len(names))]
        absent = [(place, Any, None) for place in places]
        rename = dict(zip(places, names, strict=True))
        self._row: Any = msgspec.defstruct("Leftover", absent, rename=rename, omit_defaults=True, gc=False)
        self._encoder = msgspec.json.Encoder(order="deterministic")

    def of(self, columns: Sequence[Sequence[Any]], apart: Iterable[tuple[Any, Any, Any]]) -> list[str | None]:
        """Return the JSON of each contact, ``None`` where nothing is left.

        :param columns: values of the named properties
        :param apart: of each contact: secondary addresses, merged ids, and whether it is archived
        """
        told = list(apart)
        if columns:
            rows = map(self._row, *[[v if v or v not in NOTHING else None for v in column] for column in columns])
            lines = self._encoder.encode_lines(rows).decode().split("\n")
            found: list[str | None] = [None if line == "{}" else line for line in lines[: len(told)]]
        else:
            found = [None] * len(told)
        for place, (aliases, merged, archived) in enumerate(told):
            if aliases or merged or archived:
                rest = dict(zip(self._names, (column[place] for column in columns), strict=True))
                if aliases:
                    rest[ALIASES_PROPERTY] = [key for key in map(email_key, _parts(aliases)) if key]
                if merged:
                    rest[MERGED_IDS_PROPERTY] = _parts(merged)
                if archived:
                    rest["archived"] = True
                found[place] = leftover(rest)
        return found


def properties_for(row: PlanRow) -> dict[str, str]:
    """Return the contact properties that write a plan row, without its email and what contacts have no place for."""
    fields = {PROPERTY_OF[field]: value for field, value in row.values.items() if field in PROPERTY_OF}
    return {**row.properties, **fields}


def wanted(extra: Iterable[str] | None) -> list[str]:
    """Return the properties to read: those of a lead, and what the caller asks for besides."""
    return list(dict.fromkeys((*LEAD_PROPERTIES, *(extra or ()))))
