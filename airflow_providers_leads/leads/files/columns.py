"""What :mod:`.schema` and :mod:`.identity` make of one value, made of a whole Arrow column.

Arrow's loops leave the interpreter to other threads, such as one that asks a CRM for the next page. The few values that
Arrow would read otherwise go through the functions for one value, so that both ways give the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, reduce
from itertools import accumulate, repeat
from operator import is_not
from typing import Any, Final, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from airflow_providers_leads.leads.model.identity import PLAIN_ADDRESS, email_key
from airflow_providers_leads.leads.model.schema import FLAGS, arrow_schema, leftover, moment

# So short that neither the whole nor what stands before the @ is too long for an address.
_SHORT: Final = 64
# Where Arrow and :func:`~.schema.moment` read the same time.
_PLAIN_TIME: Final = r"^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3}|\.\d{6})?Z$"
_ESCAPED: Final = r'[\x00-\x1f"\\]'
# A pendulum time is a datetime to everybody but msgspec.
_ENCODER: Final = msgspec.json.Encoder(enc_hook=datetime.isoformat)


def encode_rows(rows: Iterable[Any]) -> bytes:
    """Return rows as JSON objects that :func:`read_objects` takes."""
    return _ENCODER.encode_lines(rows)


def read_objects(lines: bytes, schema: pa.Schema, *, others: str = "error") -> pa.Table:
    """Return JSON objects, one after the other, as a table.

    :param lines: the objects
    :param schema: of the table; what an object lacks is null
    :param others: ``error`` or ``ignore``: what to do with fields that the schema doesn't have; default the former
    :raises pyarrow.ArrowInvalid: when it is not such JSON, a value is not of its column's type, or there is no object
    """
    return pj.read_json(
        pa.BufferReader(lines),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others),
    )


def strings(values: Sequence[str | None]) -> pa.Array:
    """Return texts as an Arrow array; ``pyarrow.array`` would load pandas, which takes a task 40 MB."""
    present = None
    if None in values:
        there = pa.py_buffer(bytes(map(is_not, values, repeat(None))))
        present = pa.UInt8Array.from_buffers(pa.uint8(), len(values), [None, there]).cast(pa.bool_()).buffers()[1]
    filled = cast("Sequence[str]", values) if present is None else [value or "" for value in values]
    whole = "".join(filled)
    # Of ASCII alone, a text has as many bytes as letters.
    lengths = map(len, filled if whole.isascii() else [value.encode() for value in filled])
    ends = array("i", accumulate(lengths, initial=0))
    return pa.StringArray.from_buffers(len(values), *map(pa.py_buffer, (ends, whole.encode())), present)


@cache
def constant(value: str) -> pa.Scalar:
    """Return a text as an Arrow scalar."""
    return strings([value])[0]


@cache
def truth(value: bool) -> pa.Scalar:
    """Return a truth value as an Arrow scalar; to take Python's own for one, Arrow would load pandas."""
    return strings([str(value).lower()]).cast(pa.bool_())[0]


@cache
def absent(kind: pa.DataType) -> pa.Scalar:
    """Return the null of an Arrow type."""
    return pa.nulls(1, kind)[0]


def together(columns: Mapping[str, pa.Array], make: Callable[[pa.Array], pa.Array]) -> dict[str, pa.Array]:
    """Return what a function makes of several columns, at one go: after each step Arrow waits for the interpreter.

    :param columns: of one type and length
    :param make: makes a column of a column, value by value
    """
    made = make(pa.concat_arrays([*columns.values()]))
    rows = len(made) // len(columns)
    return {name: made.slice(place * rows, rows) for place, name in enumerate(columns)}


def filled(column: pa.Array) -> pa.Array:
    """Return texts with null in place of empty ones."""
    return pc.if_else(pc.not_equal(column, constant("")), column, absent(column.type))


def texts(column: pa.Array) -> pa.Array:
    """Return texts trimmed, null where nothing is left, see :func:`~.schema.text`."""
    return filled(pc.utf8_trim_whitespace(column))


def marks(column: pa.Array) -> pa.Array:
    """Return true where there is a value, else null."""
    there = pc.is_valid(column)
    return pc.if_else(there, there, absent(there.type))


def email_keys(emails: pa.Array) -> pa.Array:
    """Return the keys of trimmed addresses, see :func:`~.identity.email_key`."""
    lowered = pc.ascii_lower(emails)
    short = pc.less_equal(pc.binary_length(lowered), pc.binary_length(constant("x" * _SHORT)))
    usual = pc.and_not(pc.match_substring_regex(lowered, f"^(?:{PLAIN_ADDRESS})$"), pc.match_substring(lowered, "xn--"))
    return patched(lowered, pc.invert(pc.and_(short, usual)), emails, email_key)


@cache
def _spellings(kind: bool) -> pa.Array:
    return strings([word for word, means in FLAGS.items() if means is kind])


def flags(column: pa.Array) -> pa.Array:
    """Return trimmed spellings of true and false as booleans, null for anything else, see :func:`~.schema.flag`."""
    words = pc.ascii_lower(column)
    true, false = (pc.is_in(words, value_set=_spellings(kind)) for kind in (True, False))
    return pc.if_else(pc.or_(true, false), true, absent(true.type))


def moments(column: pa.Array) -> pa.Array:
    """Return times, null for what is none, see :func:`~.schema.moment`."""

    def as_time(value: str) -> str | None:
        found = moment(value)
        return found.isoformat() if found else None

    kind = arrow_schema().field("created_at").type
    odd = pc.invert(pc.match_substring_regex(column, _PLAIN_TIME))
    try:
        return patched(column, odd, column, as_time).cast(kind)
    except pa.ArrowInvalid:
        # Such as the 31st of June.
        return patched(column, pc.is_valid(column), column, as_time).cast(kind)


def json_objects(columns: Mapping[str, pa.Array]) -> pa.Array:
    """Return the rows of columns of text as JSON objects, null where nothing is left, see :func:`~.schema.leftover`.

    :param columns: at least one, in the order of their names; null in place of empty texts
    """
    nothing = constant("")
    begins = [constant(f',{msgspec.json.encode(name).decode()}:"') for name in columns]
    pairs = zip(begins, columns.values(), strict=True)
    quoted = {begin: pc.binary_join_element_wise(begin, column, constant('"'), nothing) for begin, column in pairs}
    pieces = together(quoted, lambda written: pc.coalesce(written, nothing))
    inner = filled(pc.binary_join_element_wise(*pieces.values(), nothing))
    # The brace takes the place of the first comma.
    made = pc.binary_join_element_wise(pc.binary_replace_slice(inner, 0, 1, "{"), constant("}"), nothing)
    escaped = together(columns, lambda column: _certain(pc.match_substring_regex(column, _ESCAPED)))
    rows = pa.StructArray.from_arrays([*columns.values()], names=[*columns])
    return patched(made, reduce(pc.or_, escaped.values()), rows, leftover)


def patched(made: pa.Array, odd: pa.Array, source: pa.Array, make: Callable[[Any], str | None]) -> pa.Array:
    """Return a column of text in which some values are made one by one.

    :param made: the column
    :param odd: true for those values; false or null for the others
    :param source: what they are made of
    :param make: makes one
    """
    chosen = source.filter(odd).to_pylist()
    return pc.replace_with_mask(made, _certain(odd), strings([*map(make, chosen)])) if chosen else made


def _certain(flags: pa.Array) -> pa.Array:
    """Return flags with false in place of null."""
    return pc.and_kleene(flags, pc.is_valid(flags))
