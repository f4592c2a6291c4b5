"""Perspective's names: contact fields, metric subtypes, and how a contact and a lead turn into each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from airflow_providers_leads.hooks.arguments import plain_value, text_value
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import Lead, leftover, moment, text
from airflow_providers_leads.leads.model.statuses import bounced, opted_out

KPI_SUBTYPES: Final = (
    "kpi_conversion_rate", "kpi_completion_rate", "kpi_messages_delivery_rate", "kpi_messages_open_rate",
    "kpi_average_time_on_page", "kpi_time_to_completion", "kpi_new_contacts", "kpi_total_sessions", "kpi_messages_sent",
)  # fmt: skip
"""Subtypes of ``get_kpi``: four rates in percent, two durations in seconds, three counts."""

CHART_SUBTYPES: Final = (
    "chart_page_to_page_conversion_rate", "chart_activity_by_daytime", "chart_contacts_over_time",
    "chart_visitor_devices", "chart_top_utm_sources", "chart_time_on_page", "chart_button_clicks",
)  # fmt: skip
"""Subtypes of ``get_chart``."""

AB_TEST_CHART: Final = "chart_page_to_page_conversion_rate"
AB_TESTS: Final = ("all", "original", "variant")
SORT_FIELDS: Final = ("ps_converted_at", "email", "firstName", "lastName")
SORT_ORDERS: Final[Mapping[object, int]] = {"asc": 1, "desc": -1, 1: 1, -1: -1, "1": 1, "-1": -1}

ADDRESS_PARTS: Final = ("street", "houseNumber", "postalCode", "city", "state", "country")
STANDARD_FIELDS: Final = ("firstName", "lastName", "email", "phone", "website", "birthday", *ADDRESS_PARTS, "status")
"""Fields that every contact can have; any other name is a custom property."""

_SNAKE: Final = {
    "first_name": "firstName",
    "last_name": "lastName",
    "postal_code": "postalCode",
    "zip": "postalCode",
    "house_number": "houseNumber",
}
# Parts of a contact that no single value can be written to; as a field name they would make a custom property.
_CONTAINERS: Final = frozenset({"id", "address", "meta", "utmParams", "properties", "timezone", "messages"})

LEAD_FIELDS: Final[Mapping[str, str]] = {
    "first_name": "firstName",
    "last_name": "lastName",
    "phone": "phone",
    "website": "website",
    "city": "city",
    "state": "state",
    "postal_code": "postalCode",
    "country": "country",
    "status": "status",
}
"""Lead field → contact field, where one is the other; ``address`` is street and houseNumber."""

_STREET_AND_NUMBER: Final = re.compile(r"(?!\d)(?P<street>.*\S) (?P<number>\d+ ?[a-zA-Z]?(?:[-/]\d+ ?[a-zA-Z]?)?)")
_READ_APART: Final = frozenset({"id", "email", "address", "properties", *ADDRESS_PARTS, "zip", *LEAD_FIELDS.values()})


def api_name(field: str, *, allow_custom: bool = False) -> str:
    """Return the API's name of a field; the lead columns' spellings (``postal_code``) are understood.

    :param field: a field name
    :param allow_custom: also accept names that are no standard field
    :raises ValueError: for a reserved or unknown name
    """
    if not isinstance(field, str) or not field.strip():
        raise ValueError("field must not be empty")
    name = _SNAKE.get(field, field)
    if name in STANDARD_FIELDS:
        return name
    if name.lower().startswith("ps_"):
        raise ValueError(f"field {field!r} is read-only: names that start with ps_ are Perspective's own")
    if name in _CONTAINERS:
        raise ValueError(f"field {field!r} can't be written as one value; address parts are {', '.join(ADDRESS_PARTS)}")
    if not allow_custom:
        raise ValueError(
            f"field {field!r} is no standard field ({', '.join(STANDARD_FIELDS)}). Perspective would make a custom "
            "property of this name without asking: set allow_custom=True if that is meant"
        )
    return name


def requested_name(field: str, *, allow_custom: bool = False) -> str:
    """Return the API's name of a field that somebody asks to write; see :func:`api_name`.

    :raises ValueError: also for a name that is a standard field's in another spelling: it would stand beside that field
    """
    name = api_name(field, allow_custom=allow_custom)
    meant = _BY_LETTERS.get(_letters(name), name)
    if meant != name:
        raise ValueError(
            f"field {field!r} would become a custom property beside the standard field {meant!r}: write {meant!r}"
        )
    return name


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


_BY_LETTERS: Final = {_letters(spelt): name for spelt, name in {**{n: n for n in STANDARD_FIELDS}, **_SNAKE}.items()}


def wire_value(name: str, value: object) -> str:
    """Return a value as the text that the API takes; an empty text asks to clear the field.

    :raises ValueError: when it is ``None``, a list or a mapping
    """
    meant = plain_value(name, value)
    if isinstance(meant, bool):
        return "true" if meant else "false"
    if isinstance(meant, date):
        # Databases and templates give days as times.
        return (meant.date() if isinstance(meant, datetime) and name == "birthday" else meant).isoformat()
    if isinstance(meant, (str, int, float, Decimal)):
        words = text_value(name, meant)
        return words.strip() if name == "email" else words
    raise ValueError(f"{name} must be text, a number, a boolean or a date; to clear a field write an empty text")


def wire_address(address: Mapping[str, object]) -> dict[str, str]:
    """Return an address as the nested object that a create takes.

    :param address: part → value, parts as in :data:`ADDRESS_PARTS` or in the lead columns' spelling
    :raises ValueError: for an unknown part, or one that is named twice
    """
    if not isinstance(address, Mapping):
        raise ValueError(f"address must be a mapping with any of {', '.join(ADDRESS_PARTS)}")
    parts = {_SNAKE.get(name, name): value for name, value in address.items()}
    if len(parts) < len(address):
        raise ValueError("address must name each part once")
    if unknown := sorted(set(parts) - set(ADDRESS_PARTS)):
        raise ValueError(f"address has no part {unknown[0]!r}; parts are {', '.join(ADDRESS_PARTS)}")
    return {name: wire_value(f"address.{name}", value) for name, value in parts.items() if value is not None}


def split_address(address: str) -> dict[str, str] | None:
    """Return street and house number of one line, ``None`` unless joining them gives the same line back.

    A leading number ("12 Main Street 4") is not understood: what the last one means is anybody's guess.
    """
    found = _STREET_AND_NUMBER.fullmatch(address)
    return {"street": found["street"], "houseNumber": found["number"]} if found else None


def create_fields(values: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return lead values as arguments of ``create_contact``, and the lead fields that Perspective has no place for."""
    address = {LEAD_FIELDS[f]: values[f] for f in ("city", "state", "postal_code", "country") if f in values}
    if line := values.get("address"):
        address |= split_address(line) or {"street": line}
    flat = {f: values[f] for f in ("first_name", "last_name", "phone", "website", "status") if f in values}
    return {**flat, **({"address": address} if address else {})}, _homeless(values)


def update_fields(
    values: Mapping[str, str], before: Mapping[str, str | None]
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return the writes that bring a contact to lead values, and the lead fields that are left alone.

    :param values: lead field → value
    :param before: lead field → value the contact has now, as far as known
    :returns: (lead field, contact field, value) in writing order, ``status`` last because it may start messages
    """
    writes, skipped = [], _homeless(values)
    for field in sorted(values, key=lambda name: name == "status"):
        if field == "address":
            whole = values[field]
            parts = split_address(whole)
            if parts is None and "address" in before and not before["address"]:
                parts = {"street": whole}
            if parts is None:
                # A house number that stands there now would be joined to the new street at the next read.
                skipped.append(field)
            writes += [(field, name, part) for name, part in (parts or {}).items()]
        elif field in LEAD_FIELDS:
            writes.append((field, LEAD_FIELDS[field], values[field]))
    return writes, skipped


def _homeless(values: Mapping[str, str]) -> list[str]:
    return [field for field in values if field not in LEAD_FIELDS and field not in ("address", "email")]


def to_lead(contact: Mapping[str, Any], funnel_id: str) -> Lead:
    """Return a contact as a lead.

    ``updated_at`` is the conversion, the moment the person gave these values: later edits leave no trace in this API.

    :param contact: as the API gives it
    :param funnel_id: the funnel it was read from
    """
    meta = _mapping(contact.get("meta"))
    nested = _mapping(contact.get("address"))
    properties = {name: plain(value) for name, value in _mapping(contact.get("properties")).items()}
    email = text(plain(contact.get("email")))
    converted = moment(meta.get("ps_converted_at"))

    def part(name: str) -> str | None:
        # Nested is documented on create only; updates know the parts as flat names.
        return text(plain(nested.get(name))) or text(plain(contact.get(name)))

    def take(*names: str) -> str | None:
        name = next((n for n in names if isinstance(properties.get(n), str) and text(properties[n])), None)
        return text(properties.pop(name)) if name else None

    rest = {name: value for name, value in contact.items() if name not in _READ_APART}
    rest["address"] = {name: value for name, value in nested.items() if name not in _READ_APART}
    street = " ".join(filter(None, (part("street"), part("houseNumber"))))
    status = text(plain(contact.get("status")))
    return Lead(
        source="perspective",
        source_scope=funnel_id,
        source_id=str(contact.get("id") or ""),
        email=email,
        email_key=email_key(email),
        first_name=text(plain(contact.get("firstName"))),
        last_name=text(plain(contact.get("lastName"))),
        phone=text(plain(contact.get("phone"))),
        company=take("company"),
        title=take("title", "jobTitle"),
        industry=take("industry"),
        website=text(plain(contact.get("website"))),
        address=street or text(contact.get("address") if isinstance(contact.get("address"), str) else None),
        city=part("city"),
        state=part("state"),
        postal_code=part("postalCode") or part("zip"),
        country=part("country"),
        status=status,
        opted_out=opted_out(None, status),
        bounced=bounced(None, status),
        created_at=moment(meta.get("ps_first_seen_at")) or converted,
        updated_at=converted,
        properties=leftover({**rest, "properties": properties}),
    )


def fields_in(contact: Mapping[str, Any], fields: Iterable[str]) -> dict[str, str]:
    """Return which of some lead fields a contact of an answer has a value for: answers may leave parts of one out."""
    lead = to_lead(contact, "")
    return {name: value for name in fields if isinstance(value := getattr(lead, name, None), str)}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def plain(value: object) -> object:
    """Return the value of an answer, which may come with its title."""
    # Answers may come as {"value": …, "title": …}; which form the API uses where is not documented.
    return value["value"] if isinstance(value, dict) and "value" in value else value
