"""Files of rows whose form is not known beforehand: what the endpoints' lists return."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from enum import Enum
from types import TracebackType
from typing import IO, Any, Final, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_providers_leads.leads.files.places import open_file
from airflow_providers_leads.leads.files.staging import appearing_as_own, as_path, written_by

_BATCH_ROWS: Final = 5_000
_ENCODER: Final = msgspec.json.Encoder()
_EXACT: Final = 1 << 53
_WHOLE: Final = 1 << 63

Row = Mapping[str, Any]


class JsonLinesWriter:
    """Streams rows to a file of JSON Lines that appears under its name only when it is complete.

    A hidden file beside it says which task wrote it.

    :param uri: where to; compressed when it ends in ``.gz``
    """

    def __init__(self, uri: Any) -> None:
        self.path = as_path(uri)

    def __enter__(self) -> Self:
        compressed = {"compression": "gzip"} if self.path.name.endswith(".gz") else {}
        with ExitStack() as stack:
            part = stack.enter_context(appearing_as_own(self.path, beside=True))
            self._file = stack.enter_context(open_file(part, "wb", **compressed))
            self._open = stack.pop_all()
        return self

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows; in blocks, because small writes are slow on object stores."""
        self._file.write(_lines_of(rows))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


class ParquetTableWriter:
    """Streams rows to a Parquet file whose columns are all that any row has.

    The rows are spooled to a local file first, because a Parquet file needs its columns before its first row and a
    later row may bring a new one. Whole numbers, numbers and booleans keep their type where every row agrees and the
    type holds them exactly; texts stay; everything else becomes JSON text.

    :param uri: where to
    :param columns: the columns of a file without rows
    """

    def __init__(self, uri: Any, columns: Sequence[str] = ()) -> None:
        self.path = as_path(uri)
        self._columns = columns
        self._kinds: dict[str, set[_Kind]] = {}

    def __enter__(self) -> Self:
        self._spool: IO[bytes] = tempfile.TemporaryFile()
        return self

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        for row in rows:
            for name, value in row.items():
                kinds = self._kinds.setdefault(name, set())
                if value is not None:
                    kinds.add(_kind(value))
        self._spool.write(_lines_of([{name: _spooled(value) for name, value in row.items()} for row in rows]))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._convert()
        finally:
            self._spool.close()

    def _convert(self) -> None:
        kinds = self._kinds or {name: set() for name in self._columns}
        fields = [pa.field(name, _arrow_type(found)) for name, found in kinds.items()]
        schema = pa.schema(fields, metadata=written_by())
        with (
            appearing_as_own(self.path) as part,
            open_file(part, "wb") as file,
            pq.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for rows in self._rows():
                columns = [pa.array([_cell(r.get(f.name), f.type) for r in rows], type=f.type) for f in schema]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))

    def _rows(self) -> Iterator[list[dict[str, Any]]]:
        self._spool.seek(0)
        rows: list[dict[str, Any]] = []
        for line in self._spool:
            rows.append(msgspec.json.decode(line))
            if len(rows) >= _BATCH_ROWS:
                yield rows
                rows = []
        if rows:
            yield rows


class _Kind(Enum):
    FLAG = "flag"
    WHOLE = "whole"
    NUMBER = "number"
    # Beyond 2⁵³ a number with a fraction would round it, beyond 2⁶³ there is no whole number for it.
    LARGE = "large"
    HUGE = "huge"
    OTHER = "other"


def _kind(value: Any) -> _Kind:
    if isinstance(value, bool):
        return _Kind.FLAG
    if isinstance(value, int):
        return _Kind.WHOLE if abs(value) <= _EXACT else _Kind.LARGE if -_WHOLE <= value < _WHOLE else _Kind.HUGE
    return _Kind.NUMBER if isinstance(value, float) else _Kind.OTHER


def _arrow_type(kinds: set[_Kind]) -> pa.DataType:
    if kinds == {_Kind.FLAG}:
        return pa.bool_()
    if kinds and kinds <= {_Kind.WHOLE, _Kind.LARGE}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {_Kind.WHOLE, _Kind.NUMBER} else pa.string()


def _spooled(value: Any) -> Any:
    """Return what of a value comes back from JSON as it was: what is no plain value as its text."""
    plain = value is None or isinstance(value, (str, bool, float))
    return value if plain or (isinstance(value, int) and -_WHOLE <= value < _WHOLE) else _json_text(value)


def _cell(value: Any, kind: pa.DataType) -> Any:
    return value if value is None or isinstance(value, str) or not pa.types.is_string(kind) else _json_text(value)


def _lines_of(rows: Sequence[Row]) -> bytes:
    try:
        return _ENCODER.encode_lines(rows)
    except OverflowError:
        # It knows no whole numbers of more than 64 bits, which Python's own encoder does.
        return b"".join(json.dumps(msgspec.to_builtins(row)).encode() + b"\n" for row in rows)


def _json_text(value: Any) -> str:
    try:
        return msgspec.json.encode(value, order="sorted").decode()
    except OverflowError:
        return json.dumps(msgspec.to_builtins(value), sort_keys=True, separators=(",", ":"))
