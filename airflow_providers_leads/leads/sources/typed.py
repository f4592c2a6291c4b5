"""Tables whose cells have types: JSON Lines and Parquet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain, islice
from typing import IO, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_providers_leads.leads.files.columns import strings
from airflow_providers_leads.leads.files.parquet import python_values
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS
from airflow_providers_leads.leads.sources.encoding import utf8
from airflow_providers_leads.leads.sources.names import meaning, unique_names
from airflow_providers_leads.leads.sources.rows import NO_OBJECT, Rows, Table

_BATCH_ROWS: Final = 10_000
_SEPARATOR: Final = ";"
_EXACT: Final = 2**53
_MOST_OF_AN_ARRAY: Final = 64 << 20


def cell_text(value: Any) -> str | None:
    """Return a typed value as the text that a person would have written."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        # Not 4.93E+10, which would be taken for a number that a spreadsheet has rounded, and without a column's places.
        whole = value.is_finite() and value == value.to_integral_value()
        return f"{value.to_integral_value() if whole else value:f}"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bytes_text(bytes(value))
    if isinstance(value, (list, tuple, set)):
        return _list_text(value)
    if isinstance(value, Mapping):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)


def _list_text(value: Collection[Any]) -> str | None:
    """Return a list as CRMs write one, with semicolons, ``None`` for an empty one; what is nested stays JSON."""
    parts = [cell_text(part) for part in value if part is not None]
    inner = any(isinstance(part, (list, tuple, set, Mapping)) for part in value)
    if inner or (len(parts) > 1 and any(_SEPARATOR in (part or "") for part in parts)):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return _SEPARATOR.join(part for part in parts if part) or None


def _bytes_text(value: bytes) -> str:
    """Return what bytes of a database mean: a bit, a text, or else their hexadecimal digits."""
    if value in (b"\x00", b"\x01"):
        return str(value[0])
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def flat(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object whose inner objects' keys stand in it by their paths, with dots."""
    leaves: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping) and "value" in inner:
            inner = inner["value"]
        if isinstance(inner, Mapping):
            leaves |= {f"{name}.{key}": leaf for key, leaf in flat(inner).items()}
        else:
            leaves[name] = inner
    return leaves


# JSON Lines -----------------------------------------------------------------------------------------------------------


def open_json_lines(file: IO[bytes], path: object, encoding: str | None = None) -> Table:
    """Return objects, one a line or all in one array; their keys are the columns, which grow with the rows.

    :param file: open for reading
    :param path: for messages
    :param encoding: of the file; default found
    :raises StagingError: when it can't be decoded, or no line holds an object
    """
    names: list[str] = []
    pieces = utf8(file, path, encoding)
    head = next(pieces, b"")
    if head.lstrip().startswith(b"["):
        rows = _array(head, pieces, path, names)
    else:
        read = [head]
        if (items := _within_one(read, pieces)) is not None:
            rows = _items(items, names)
        else:
            rows = _objects(_numbered_lines(chain(read, pieces)), names)
    first = next(rows, None)
    if first is None or not names:
        raise StagingError(f"{path} holds no object: JSON Lines have one of them a line.")
    return Table(names, _again(first, rows))


def _again(first: Rows, rows: Iterator[Rows]) -> Iterator[Rows]:
    yield first
    yield from rows


def _array(head: bytes, pieces: Iterator[bytes], path: object, names: list[str]) -> Iterator[Rows]:
    """Yield the objects of an array, which is held as a whole; their numbers are those in it."""
    whole = bytearray(head)
    for piece in pieces:
        whole += piece
        if len(whole) > _MOST_OF_AN_ARRAY:
            raise StagingError(
                f"{path} is one JSON array of more than {_MOST_OF_AN_ARRAY >> 20} MB, which would have to be held as a "
                "whole. Write it as JSON Lines, an object a line."
            )
    try:
        items = msgspec.json.decode(bytes(whole), type=list[Any])
    except msgspec.MsgspecError:
        return
    yield from _items(items, names)


def _within_one(read: list[bytes], pieces: Iterator[bytes]) -> list[Any] | None:
    """Return the objects of a file that is one JSON object: those of the only list in it (``{"contacts": [...]}``), or
    itself; ``None`` for lines of objects.

    :param read: the first piece; what is read of the others is added
    :param pieces: the others
    """
    line, end, _ = read[0].partition(b"\n")
    told = _object_in(line) if end else None
    if told is not None and not _lists_in(told):
        return None
    while sum(map(len, read)) <= _MOST_OF_AN_ARRAY and (piece := next(pieces, None)) is not None:
        read.append(piece)
    whole = _object_in(b"".join(read))
    if whole is None:
        return None
    lists = [] if any((meaning(name) or ("",))[0] == "email" for name in whole) else _lists_in(whole)
    return lists[0] if len(lists) == 1 else [whole]


def _object_in(text: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None


def _lists_in(value: Mapping[str, Any]) -> list[list[Any]]:
    """Return the lists of objects that an object holds."""
    return [one for one in value.values() if isinstance(one, list) and any(isinstance(item, dict) for item in one)]


def _items(items: list[Any], names: list[str]) -> Iterator[Rows]:
    for first in range(0, len(items), _BATCH_ROWS):
        numbered = list(enumerate(items[first : first + _BATCH_ROWS], first + 1))
        taken = [(number, flat(item)) for number, item in numbered if isinstance(item, dict)]
        broken = [(number, NO_OBJECT, str(item)) for number, item in numbered if not isinstance(item, dict)]
        yield _typed([row for _, row in taken], [number for number, _ in taken], names, broken)


def _numbered_lines(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    rest, number = b"", 0
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            number += 1
            yield number, line
    if rest:
        yield number + 1, rest


def _objects(lines: Iterator[tuple[int, bytes]], names: list[str]) -> Iterator[Rows]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    while some := list(islice(lines, _BATCH_ROWS)):
        taken: list[tuple[int, dict[str, Any]]] = []
        broken: list[tuple[int, str, str]] = []
        for number, line in some:
            if not line.strip():
                continue
            try:
                taken.append((number, flat(decoder.decode(line))))
            except msgspec.MsgspecError:
                broken.append((number, NO_OBJECT, line.decode(errors="replace").strip()))
        yield _typed([row for _, row in taken], [number for number, _ in taken], names, broken)


def _typed(
    objects: list[dict[str, Any]], lines: Sequence[int], names: list[str], broken: Sequence[tuple[int, str, str]] = ()
) -> Rows:
    names += [name for name in dict.fromkeys(key for row in objects for key in row) if name not in names]
    columns = {name: strings([cell_text(row.get(name)) for row in objects]) for name in names}
    return Rows(columns, lines, broken, objects)


# Parquet --------------------------------------------------------------------------------------------------------------


def open_parquet_table(file: IO[bytes], path: object) -> Table:
    """Return the rows of a Parquet file, of whatever columns.

    :param file: open for reading
    :param path: for messages
    :raises StagingError: when it can't be read
    """
    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowException, OSError):
        raise StagingError(f"{path} is not a readable Parquet file.") from None
    names: list[str] = []
    rows = _parquet_rows(parquet, path, names)
    first = next(rows, None)
    return Table(names or list(parquet.schema_arrow.names), _again(first, rows) if first else rows)


def _parquet_rows(parquet: Any, path: object, names: list[str]) -> Iterator[Rows]:
    first = 1
    try:
        # What leads hold besides their fields stays the one column that it is.
        columns = parquet.schema_arrow.names
        whole = {*columns} >= {*LEAD_COLUMNS}
        if len({*columns}) < len(columns):
            columns = unique_names(columns)
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
            values = [python_values(column, name, path) for name, column in zip(columns, batch.columns, strict=True)]
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]
            if not whole:
                rows = _with_objects(rows)
            yield _typed([flat(row) for row in rows], range(first, first + batch.num_rows), names)
            first += batch.num_rows
    except (pa.ArrowException, OSError):
        raise StagingError(f"{path} is damaged from row {first} on.") from None


def _with_objects(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows in which an object that is written as JSON text is one, as files of lists and searches have them."""
    for name in rows[0] if rows else ():
        first = next((row[name] for row in rows if row[name] is not None), None)
        if not isinstance(first, str) or first[:1] != "{":
            continue
        for row in rows:
            if isinstance(row[name], str):
                with suppress(msgspec.MsgspecError):
                    row[name] = msgspec.json.decode(row[name], type=dict[str, Any])
    return rows
