"""A lead as every CRM's records are read into, and the Arrow schema of the files that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import msgspec
import pendulum

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION: Final = "1"
"""Written into the metadata of every file; a file of another version is refused."""


class Lead(msgspec.Struct, gc=False):
    """One record of one CRM. Absent is ``None``; an empty string from an API is absent too.

    :param source: connection type of the CRM: ``perspective``, ``hubspot``, ``persistiq``
    :param source_scope: what sets two accounts or funnels of one CRM apart: the funnel id, elsewhere the connection id
    :param source_id: the record's id in that CRM
    :param email: the address as the CRM holds it
    :param email_key: the address in the one spelling that identifies a person, ``None`` when there is no usable one
    :param status: the CRM's own status word; statuses of different CRMs don't compare
    :param opted_out: true: must not be mailed; ``None``: the CRM doesn't say
    :param bounced: true: mail to the address came back
    :param created_at: aware, UTC
    :param updated_at: aware, UTC; ``None`` where the API has no such time
    :param properties: everything else the CRM holds, as a JSON object
    """

    source: str
    source_scope: str
    source_id: str
    email: str | None = None
    email_key: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    company: str | None = None
    title: str | None = None
    website: str | None = None
    address: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    industry: str | None = None
    status: str | None = None
    opted_out: bool | None = None
    bounced: bool | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    properties: str | None = None


LEAD_COLUMNS: Final[tuple[str, ...]] = Lead.__struct_fields__

PROFILE_FIELDS: Final[tuple[str, ...]] = (
    "first_name", "last_name", "phone", "company", "title", "website", "address", "city", "state", "postal_code",
    "country", "industry", "status",
)  # fmt: skip
"""The fields in which one value survives a merge and which can be written to a CRM."""

STICKY_FIELDS: Final = ("opted_out", "bounced")
"""True in any record of a person is true for the person."""

MOSTLY_UNIQUE: Final = frozenset(
    ("source_id", "target_id", "email", "email_key", "phone", "website", "address", "created_at", "updated_at",
     "properties")
)  # fmt: skip
"""Columns in which values hardly come twice: a dictionary of them would cost time and room."""

MERGED_IDS_PROPERTY: Final = "merged_ids"
"""Key within ``properties``: list of the ids of records that the CRM has merged into this one."""

ALIASES_PROPERTY: Final = "email_aliases"
"""Key within ``properties``: list of the other addresses, as email keys, under which the CRM knows this record."""


@cache
def struct_schema(kind: type[msgspec.Struct]) -> pa.Schema:
    """Return the Arrow schema of a row type: booleans, numbers, times and text; all else is kept as JSON text."""
    import pyarrow as pa

    def arrow_type(hint: Any) -> pa.DataType:
        words = str(hint)
        if "datetime" in words:
            return pa.timestamp("us", tz="UTC")
        if hint in (int, float):
            return pa.int64() if hint is int else pa.float64()
        return pa.bool_() if "bool" in words else pa.string()

    hints = get_type_hints(kind)
    return pa.schema([pa.field(name, arrow_type(hints[name])) for name in kind.__struct_fields__])


def arrow_schema() -> pa.Schema:
    """Return the Arrow schema of a file of leads."""
    return struct_schema(Lead)


def text(value: object) -> str | None:
    """Return a value as trimmed text, ``None`` when there is nothing in it.

    What is no text is written as CRMs write it: a list with semicolons, an object as JSON.
    """
    if value is None:
        return None
    return (value if isinstance(value, str) else _written(value)).strip() or None


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return ";".join(filter(None, map(text, value)))
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode() if value else ""
    return str(value)


FLAGS: Final[Mapping[str, bool]] = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
"""How CRMs spell true and false."""


def flag(value: object) -> bool | None:
    """Return a CRM's idea of true and false as a boolean: both JSON booleans and their spellings are met."""
    if isinstance(value, bool) or value is None:
        return value
    return FLAGS.get(str(value).strip().lower())


def mark(value: object) -> bool | None:
    """Return a CRM's mark of who must not be mailed: anything but nothing and a no is one, such as the time of it."""
    said = flag(value)
    return said if said is not None else (text(value) is not None or None)


def moment(value: object) -> datetime | None:
    """Return a time as an aware UTC datetime.

    :param value: ISO 8601 text, epoch milliseconds as text or number, or a datetime; naive means UTC, as the three
        vendors' samples have it; ``None`` and what is no time give ``None``
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        if isinstance(value, datetime):
            parsed: datetime | None = value
        elif isinstance(value, (int, float)) or (isinstance(value, str) and value.isdecimal()):
            parsed = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(value))
        else:
            parsed = _iso_time(str(value).strip())
        if parsed is None or parsed.tzinfo is UTC:
            return parsed
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError, TypeError):
        # TypeError: Pendulum trips over texts such as "0:".
        return None


def _iso_time(words: str) -> datetime | None:
    try:
        return datetime.fromisoformat(words)
    except ValueError:
        # Pendulum takes "now", and a clock time for one of today: neither is the time of a record.
        parsed = pendulum.parse(words, exact=True) if words[:1].isdecimal() else None
    if isinstance(parsed, datetime):
        return parsed
    return datetime(parsed.year, parsed.month, parsed.day) if isinstance(parsed, date) else None


# What a CRM may give for a property that has no value; 0 and false are values.
NOTHING: Final[tuple[Any, ...]] = (None, "", {}, [])
_SORTED: Final = msgspec.json.Encoder(order="sorted")


def leftover(values: Mapping[str, Any]) -> str | None:
    """Return what no field of :class:`Lead` holds as a JSON object with sorted keys, ``None`` when nothing is left."""
    kept = {name: value for name, value in values.items() if value not in NOTHING}
    return _SORTED.encode(kept).decode() if kept else None
