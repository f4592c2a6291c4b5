"""Tables whose cells have types: spreadsheets, JSON Lines and Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain, islice
from typing import IO, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_providers_leads.leads.files.columns import strings
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.sources.encoding import utf8
from airflow_providers_leads.leads.sources.headers import SEARCHED, find_header
from airflow_providers_leads.leads.sources.names import ColumnsError
from airflow_providers_leads.leads.sources.rows import NO_OBJECT, TOO_MANY_CELLS, Rows, Table

_BATCH_ROWS: Final = 10_000
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
        # Not 4.93E+10, which would be taken for a number that a spreadsheet has rounded.
        return f"{value:f}"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bytes_text(bytes(value))
    if isinstance(value, (list, tuple, set, Mapping)):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)


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


# Spreadsheets ---------------------------------------------------------------------------------------------------------


def open_sheet(
    file: IO[bytes],
    path: object,
    wanted: Mapping[str, Sequence[str]],
    *,
    sheet: str | None = None,
    header_row: int | None = None,
) -> Table:
    """Return a sheet of an Excel workbook.

    :param file: open for reading
    :param path: for messages
    :param wanted: columns that the user names
    :param sheet: its name; default the first that has a column of addresses
    :param header_row: see :func:`~.delimited.open_delimited`
    :raises StagingError: when it can't be read, or ``python-calamine`` is not installed
    :raises ColumnsError: when there is no such sheet, or none with a column of addresses
    """
    try:
        import python_calamine as calamine
    except ImportError:
        raise StagingError(
            f"{path} is an Excel workbook, which needs python-calamine: pip install "
            "'airflow-providers-leads[excel]', or save it as CSV."
        ) from None
    try:
        book = calamine.load_workbook(file)
    except calamine.PasswordError:
        raise StagingError(f"{path} is protected by a password. Save it without one.") from None
    except calamine.CalamineError:
        raise StagingError(f"{path} is no Excel workbook, or a damaged one.") from None
    names = [meta.name for meta in book.sheets_metadata if meta.typ == calamine.SheetTypeEnum.WorkSheet]
    if sheet is not None and sheet not in names:
        raise ColumnsError(f"has no sheet {sheet!r}. Its sheets are {', '.join(map(repr, names))}")
    failure: ColumnsError | None = None
    for name in [sheet] if sheet is not None else names:
        # Blank rows and columns at the front count for people who look a line up.
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        first = [[cell_text(cell) or "" for cell in row] for row in cells[: SEARCHED + 2]]
        try:
            header = find_header(first, wanted, header_row)
        except ColumnsError as error:
            failure = failure or error
            continue
        facts = {"sheet": name} if len(names) > 1 else {}
        return Table(header.names, _sheet_rows(cells, header.names, header.rows), header.groups, facts)
    raise failure or ColumnsError("has no rows")


def _sheet_rows(cells: list[list[Any]], names: Sequence[str], first: int) -> Iterator[Rows]:
    for start in range(first, len(cells), _BATCH_ROWS):
        texts = [[cell_text(cell) for cell in row] for row in cells[start : start + _BATCH_ROWS]]
        broken = [
            (start + place + 1, TOO_MANY_CELLS, ";".join(cell or "" for cell in row))
            for place, row in enumerate(texts)
            if any((cell or "").strip() for cell in row[len(names) :])
        ]
        bad = {line for line, _, _ in broken}
        kept = [(start + place + 1, row) for place, row in enumerate(texts) if start + place + 1 not in bad]
        columns = {
            name: strings([row[place] if place < len(row) else None for _, row in kept])
            for place, name in enumerate(names)
        }
        yield Rows(columns, [line for line, _ in kept], broken)


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
        rows = _objects(_numbered_lines(chain((head,), pieces)), names)
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
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
            yield _typed([flat(row) for row in batch.to_pylist()], range(first, first + batch.num_rows), names)
            first += batch.num_rows
    except (pa.ArrowException, OSError):
        raise StagingError(f"{path} is damaged from row {first} on.") from None
