"""Files of rows whose form is not known beforehand: what the endpoints' lists return."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self

import msgspec

from airflow_providers_leads.leads.files.staging import appearing, as_path

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS: Final = 5_000
_ENCODER: Final = msgspec.json.Encoder()

Row = Mapping[str, Any]


class JsonLinesWriter:
    """Streams rows to a file of JSON Lines that appears under its name only when it is complete.

    :param uri: where to; compressed when it ends in ``.gz``
    """

    def __init__(self, uri: Any) -> None:
        self.path = as_path(uri)

    def __enter__(self) -> Self:
        compressed = {"compression": "gzip"} if self.path.name.endswith(".gz") else {}
        with ExitStack() as stack:
            part = stack.enter_context(appearing(self.path))
            self._file = stack.enter_context(part.open("wb", **compressed))
            self._open = stack.pop_all()
        return self

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows; in blocks, because small writes are slow on object stores."""
        self._file.write(_ENCODER.encode_lines(rows))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


class ParquetTableWriter:
    """Streams rows to a Parquet file whose columns are all that any row has.

    The rows are spooled to a local file first, because a Parquet file needs its columns before its first row and a
    later row may bring a new one. Whole numbers, numbers and booleans keep their type where every row agrees; texts
    stay; everything else becomes JSON text.

    :param uri: where to
    """

    def __init__(self, uri: Any) -> None:
        self.path = as_path(uri)
        self._kinds: dict[str, set[type]] = {}

    def __enter__(self) -> Self:
        self._spool: IO[bytes] = tempfile.TemporaryFile()
        return self

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        for row in rows:
            for name, value in row.items():
                kinds = self._kinds.setdefault(name, set())
                if value is not None:
                    kinds.add(type(value))
        self._spool.write(_ENCODER.encode_lines(rows))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._convert()
        finally:
            self._spool.close()

    def _convert(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([pa.field(name, _arrow_type(kinds)) for name, kinds in self._kinds.items()])
        with (
            appearing(self.path) as part,
            part.open("wb") as file,
            pq.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for rows in self._spooled():
                columns = [pa.array([_cell(r.get(f.name), f.type) for r in rows], type=f.type) for f in schema]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))

    def _spooled(self) -> Iterator[list[dict[str, Any]]]:
        self._spool.seek(0)
        rows: list[dict[str, Any]] = []
        for line in self._spool:
            rows.append(msgspec.json.decode(line))
            if len(rows) >= _BATCH_ROWS:
                yield rows
                rows = []
        if rows:
            yield rows


def _arrow_type(kinds: set[type]) -> pa.DataType:
    import pyarrow as pa

    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()


def _cell(value: Any, kind: pa.DataType) -> Any:
    import pyarrow as pa

    if value is None or isinstance(value, str) or not pa.types.is_string(kind):
        return value
    return msgspec.json.encode(value, order="sorted").decode()
