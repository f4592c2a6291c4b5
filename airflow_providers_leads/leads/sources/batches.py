"""Rows of a table as leads, a whole column at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from threading import local
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_providers_leads.leads.files.columns import constant, email_keys, json_objects, strings, truth
from airflow_providers_leads.leads.model.identity import email_key, reject_reason
from airflow_providers_leads.leads.model.schema import (
    ALIASES_PROPERTY,
    LEAD_COLUMNS,
    PROFILE_FIELDS,
    arrow_schema,
    leftover,
)
from airflow_providers_leads.leads.sources.names import HOUSE_NUMBER, Columns, folded
from airflow_providers_leads.leads.sources.rows import Rows
from airflow_providers_leads.leads.sources.values import (
    addresses,
    any_true,
    bounces,
    clean,
    consent,
    date_order,
    phones,
    postal_codes,
    times,
)

_TIMES: Final = ("created_at", "updated_at")
_SEPARATOR: Final = "\x1f"
_BETWEEN: Final = re.compile(r"[;,|\s]+")
_ENGINE: Final = local()


class Reject(msgspec.Struct):
    """A row of a file that can't be used.

    :param file: URI of the file
    :param line: number of its line, of a spreadsheet its row, from 1
    :param reason: ``no_email``, ``invalid_email``, ``bad_quotes``, ``too_many_cells`` or ``no_object``
    :param source: as of the leads of the same file
    :param email: what stands where the address should be
    :param row: the whole row as a JSON object, or its text where it could not be told apart into cells
    """

    file: str
    line: int
    reason: str
    source: str
    email: str | None = None
    row: str | None = None


@dataclass(slots=True)
class Origin:
    """Where rows come from.

    :param file: URI of the file
    :param source: the user's word for it
    :param scope: sets parts of one source apart
    """

    file: str
    source: str
    scope: str


@dataclass(slots=True)
class Made:
    """What some rows have become.

    :param leads: with a usable address
    :param rejects: the other rows
    :param lost: field → values that were left out because nobody can know what they mean
    :param lines: of the leads, the numbers of their lines
    :param named: a column gives the records' ids
    """

    leads: pa.RecordBatch
    rejects: list[Reject]
    lost: Counter[str] = field(default_factory=Counter)
    lines: Sequence[int] = ()
    named: bool = False


def make_leads(rows: Rows, columns: Columns, origin: Origin, orders: Mapping[str, str | None]) -> Made:
    """Return rows as leads.

    :param rows: by column; a column that is missing has no values
    :param columns: what each is
    :param origin: where they come from
    :param orders: column of times → the order of its dates, see :func:`~.values.date_order`
    """
    count, lost = len(rows.lines), Counter[str]()
    cleaned = {name: clean(column) for name, column in rows.columns.items()}
    nothing = pa.nulls(count, pa.string())

    def first_of(*names: str) -> pa.Array:
        present = [cleaned[one] for name in names for one in columns.fields.get(name, ()) if one in cleaned]
        return pc.coalesce(*present) if len(present) > 1 else present[0] if present else nothing

    fields: dict[str, pa.Array] = {name: first_of(name) for name in PROFILE_FIELDS}
    fields["email"] = addresses(first_of("email", ALIASES_PROPERTY))
    fields["email_key"] = email_keys(fields["email"])
    fields["phone"], lost["phone"] = phones(fields["phone"])
    fields["postal_code"] = postal_codes(fields["postal_code"])
    if HOUSE_NUMBER in columns.fields:
        both = pc.binary_join_element_wise(fields["address"], first_of(HOUSE_NUMBER), constant(" "))
        fields["address"] = pc.coalesce(both, fields["address"])
    properties = {name: cleaned[name] for name in columns.properties if name in cleaned} if rows.others is None else {}
    for name in _TIMES:
        column = first_of(name)
        order = next((orders.get(one) for one in columns.fields.get(name, ())), None)
        fields[name], unread = times(column, order)
        if unread.null_count < count:
            lost[name] = count - unread.null_count
            # The text stays to be read by a person.
            properties[columns.fields[name][0]] = unread
    told = [consent(cleaned[name], kind) for name, kind in columns.consent.items() if name in cleaned]
    fields["opted_out"] = any_true(told, count)
    back = [
        bounces(cleaned[name], reasons=folded(name).endswith("reason"))
        for name in columns.fields.get("bounced", ())
        if name in cleaned
    ]
    fields["bounced"] = any_true(back, count)
    fields["properties"] = _properties(properties, rows, count)
    if further := [cleaned[name] for name in columns.fields.get(ALIASES_PROPERTY, ()) if name in cleaned]:
        fields["properties"] = _with_aliases(fields["properties"], further, fields["email_key"])
    fields["source"], fields["source_scope"] = (_repeated(word, count) for word in (origin.source, origin.scope))
    schema = arrow_schema()
    own = first_of("source_id")
    fields["source_id"] = own if not own.null_count else pc.coalesce(own, _hashes(fields, count))
    batch = pa.RecordBatch.from_arrays(
        [fields[name].cast(schema.field(name).type) for name in LEAD_COLUMNS], schema=schema
    )
    rejects = [Reject(origin.file, line, reason, origin.source, None, text) for line, reason, text in rows.broken]
    lines = rows.lines
    if batch.column("email_key").null_count:
        usable = pc.is_valid(batch.column("email_key"))
        rejects += _rejects(batch, cleaned, rows, pc.invert(usable), origin)
        # Two addresses in one cell are none to write to, but whoever objected there has objected: the merge hears it.
        heard = pc.and_(
            batch.column("opted_out").fill_null(truth(False)), pc.match_substring(batch.column("email"), "@")
        )
        kept = pc.or_(usable, heard.fill_null(truth(False)))
        lines = [line for line, good in zip(lines, kept.to_pylist(), strict=True) if good]
        batch = batch.filter(kept)
    rejects.sort(key=lambda reject: reject.line)
    return Made(batch, rejects, +lost, lines, "source_id" in columns.fields)


def orders_of(rows: Rows, columns: Columns, order: str | None) -> dict[str, str | None]:
    """Return the order of dates in each column of times, by the first rows."""
    names = [one for name in _TIMES for one in columns.fields.get(name, ()) if one in rows.columns]
    return {name: order or date_order(clean(rows.columns[name]).to_pylist()) for name in names}


def _repeated(word: str, count: int) -> pa.Array:
    # The next power of two, so that batches of about one length share what is made once.
    return _many(word, 1 << count.bit_length()).slice(0, count)


@lru_cache(maxsize=16)
def _many(word: str, count: int) -> pa.Array:
    return strings([word] * count)


def _properties(columns: dict[str, pa.Array], rows: Rows, count: int) -> pa.Array:
    if rows.others is None:
        present = {name: column for name, column in sorted(columns.items()) if column.null_count < count}
        return json_objects(present) if present else pa.nulls(count, pa.string())
    texts = {name: column.to_pylist() for name, column in columns.items()}
    others = (
        {**other, **{name: values[place] for name, values in texts.items()}} for place, other in enumerate(rows.others)
    )
    return strings([leftover(other) for other in others])


def _with_aliases(properties: pa.Array, further: Sequence[pa.Array], own: pa.Array) -> pa.Array:
    """Return properties with the other addresses of each row, as the records of CRMs have them."""
    made, keys = properties.to_pylist(), own.to_pylist()
    for column in further:
        for place in pc.indices_nonzero(pc.is_valid(column)).to_pylist():
            told = msgspec.json.decode(made[place]) if made[place] else {}
            found = map(email_key, _BETWEEN.split(column[place].as_py()))
            aliases = dict.fromkeys((*told.get(ALIASES_PROPERTY, ()), *(key for key in found if key)))
            aliases.pop(keys[place], None)
            made[place] = leftover({**told, ALIASES_PROPERTY: [*aliases]})
    return strings(made)


def _rejects(
    batch: pa.RecordBatch, cleaned: Mapping[str, pa.Array], rows: Rows, bad: pa.Array, origin: Origin
) -> list[Reject]:
    """Return the rows without a usable address; blank ones are nobody's."""
    places = pc.indices_nonzero(bad)
    emails = batch.column("email").take(places).to_pylist()
    cells = {name: column.take(places).to_pylist() for name, column in cleaned.items()}
    found: list[Reject] = []
    for number, place in enumerate(places.to_pylist()):
        whole = {name: values[number] for name, values in cells.items() if values[number] is not None}
        if rows.others is not None:
            whole |= rows.others[place]
        if row := leftover(whole):
            email = emails[number]
            found.append(Reject(origin.file, rows.lines[place], reject_reason(email), origin.source, email, row))
    return found


def _as_text(column: pa.Array) -> pa.Array:
    # Arrow takes microseconds to write a time out.
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).cast(pa.string())


def _hashes(fields: Mapping[str, pa.Array], count: int) -> pa.Array:
    """Return a name for each row that only a row of the same values has."""
    hashed: list[Any] = []
    names = [name for name in LEAD_COLUMNS if name not in ("source", "source_scope", "source_id", "email_key")]
    for nobodys, some in groupby(names, lambda name: fields[name].null_count == count and name != "email"):
        columns = [fields[name] for name in some]
        # Those that nobody has are, to Arrow, one text for all rows: what stands between them.
        hashed += [constant(_SEPARATOR * (len(columns) - 1))] if nobodys else map(_as_text, columns)
    whole = pc.binary_join_element_wise(*hashed, constant(_SEPARATOR), null_handling="replace")
    if not hasattr(_ENGINE, "connection"):
        _ENGINE.connection = duckdb.connect(config={"threads": 1})
    rows: Any = pa.table({"whole": whole})
    _ENGINE.connection.register("rows", rows)
    found = _ENGINE.connection.sql("SELECT md5(whole) AS id FROM rows").to_arrow_table().column("id")
    _ENGINE.connection.unregister("rows")
    return pa.concat_arrays(found.chunks) if count else pa.nulls(0, pa.string())
