"""Rows on their way between tasks: Parquet files at a URI, written whole or not at all, refused when they don't fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from inspect import Parameter, signature
from itertools import islice, starmap
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_origin, get_type_hints

import msgspec

from airflow_providers_leads.leads.files.parquet import (
    PAGES,
    appearing_as_own,
    check_parquet,
    check_readable,
    count_rows,
    digest,
    file_metadata,
    footer_of,
    keep_little,
    open_parquet,
    refuse_anothers,
    written_by,
)
from airflow_providers_leads.leads.files.places import StagingError, appearing, as_path, is_local, local_name, open_file
from airflow_providers_leads.leads.model.schema import MOSTLY_UNIQUE, SCHEMA_VERSION, struct_schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "VERSION_METADATA", "RowWriter", "StagingError", "appearing", "appearing_as_own", "as_path", "check_parquet",
    "check_readable", "count_rows", "digest", "file_metadata", "footer_of", "is_local", "local_name", "open_file",
    "open_parquet", "read_rows", "refuse_anothers", "structs", "write_rows", "written_by",
]  # fmt: skip

S = TypeVar("S", bound=msgspec.Struct)

_BATCH_ROWS: Final = 10_000
# So few that they are still in the processor's caches.
_TURNED_ROWS: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Most maps and lists are empty, and there are several in each row.
_EMPTY: Final[Mapping[Any, str]] = {dict: "{}", list: "[]"}
VERSION_METADATA: Final = {"leads.schema_version": SCHEMA_VERSION}


@cache
def _kept_as_json(kind: type[msgspec.Struct]) -> dict[str, type]:
    """Return the fields of a row type that are maps or lists, for which a column of text holds JSON, and which."""
    kinds = {name: get_origin(hint) for name, hint in get_type_hints(kind).items()}
    return {name: kept for name, kept in kinds.items() if kept in _EMPTY}


class RowWriter:
    """Writes rows of one type to a Parquet file that appears under its name only when it is complete.

    Use it as a context manager; when the block raises, nothing is left at the URI.

    :param uri: where to; folders are made
    :param kind: the row type
    :param batch_rows: rows held in memory before they are written, default 10,000
    :param metadata: what is to be known of the file as a whole, beside its version
    :param shared: tasks write it one after the other; else another task's of the same run is not written over
    """

    def __init__(
        self,
        uri: Any,
        kind: type[msgspec.Struct],
        *,
        batch_rows: int = _BATCH_ROWS,
        metadata: Mapping[str, str] | None = None,
        shared: bool = False,
    ) -> None:
        self.path = as_path(uri)
        self.rows = 0
        self._shared = shared
        owner = {} if shared else written_by()
        self._schema = struct_schema(kind).with_metadata({**VERSION_METADATA, **owner, **(metadata or {})})
        self._kept_as_json = _kept_as_json(kind)
        self._batch_rows = batch_rows
        self._turned_rows = min(batch_rows, _TURNED_ROWS)
        self._waiting: list[msgspec.Struct] = []
        self._turned: list[pa.RecordBatch] = []
        self._held = 0

    def __enter__(self) -> RowWriter:
        import pyarrow.parquet as pq

        keep_little()
        appears = appearing if self._shared else appearing_as_own
        repeating = [name for name in self._schema.names if name not in MOSTLY_UNIQUE]
        with ExitStack() as stack:
            part = stack.enter_context(appears(self.path))
            file = stack.enter_context(open_file(part, "wb"))
            parquet = pq.ParquetWriter(file, self._schema, compression="zstd", use_dictionary=repeating, **PAGES)
            self._parquet = stack.enter_context(parquet)
            self._open = stack.pop_all()
        return self

    def write(self, row: msgspec.Struct) -> None:
        """Add a row."""
        self.write_all((row,))

    def write_all(self, rows: Iterable[msgspec.Struct] | pa.RecordBatch) -> None:
        """Add rows as they come, or a record batch with the columns of the row type."""
        import pyarrow as pa

        if isinstance(rows, pa.RecordBatch):
            self._turn()
            self._hold([pa.RecordBatch.from_arrays(rows.columns, schema=self._schema)])
            return
        iterator = iter(rows)
        while some := list(islice(iterator, self._turned_rows - len(self._waiting))):
            self._waiting += some
            if len(self._waiting) >= self._turned_rows:
                self._turn()

    def _turn(self) -> None:
        """Turn the rows that wait into columns, which take a fraction of their memory.

        They go through JSON, which Arrow reads without holding up the thread that makes the next rows; from Python's
        objects it would, and it would load pandas.
        """
        from airflow_providers_leads.leads.files.columns import encode_rows, read_objects

        if not self._waiting:
            return
        rows: list[Any] = [self._flat(row) for row in self._waiting] if self._kept_as_json else self._waiting
        table = read_objects(encode_rows(rows), self._schema)
        self._waiting.clear()
        self._hold(table.replace_schema_metadata(self._schema.metadata).to_batches())

    def _flat(self, row: msgspec.Struct) -> dict[str, Any]:
        found = msgspec.structs.asdict(row)
        for name, kept in self._kept_as_json.items():
            held = found[name]
            found[name] = msgspec.json.encode(held, order="sorted").decode() if held else _EMPTY[kept]
        return found

    def _hold(self, batches: Sequence[pa.RecordBatch]) -> None:
        self._turned += batches
        self._held += sum(batch.num_rows for batch in batches)
        if self._held >= self._batch_rows:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._turned:
            self._parquet.write_table(pa.Table.from_batches(self._turned))
            self.rows += self._held
            self._turned.clear()
            self._held = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._open.__exit__(kind, error, trace)
            return
        with self._open:
            # The last rows are written here, and they may be the ones that don't fit.
            self._turn()
            self._flush()


def write_rows(
    uri: Any,
    kind: type[msgspec.Struct],
    rows: Iterable[msgspec.Struct],
    *,
    metadata: Mapping[str, str] | None = None,
    shared: bool = False,
) -> int:
    """Write rows to a file and return how many.

    :param uri: where to
    :param kind: the row type
    :param rows: streamed, never held all at once
    :param metadata: what is to be known of the file as a whole, beside its version
    :param shared: see :class:`RowWriter`
    """
    with RowWriter(uri, kind, metadata=metadata, shared=shared) as writer:
        writer.write_all(rows)
    return writer.rows


def read_rows(uri: Any, kind: type[S]) -> Iterator[S]:
    """Yield a file's rows as structs, a batch in memory at a time.

    :param uri: the file
    :param kind: the row type; columns that it doesn't have are left out
    :raises StagingError: see :func:`open_parquet`
    """
    names = list(kind.__struct_fields__)
    with open_parquet(uri, names) as file:
        for batch in file.iter_batches(columns=names):
            yield from structs(batch, kind)


def structs(batch: Any, kind: type[S], prefix: str = "") -> Iterator[S]:
    """Yield the rows of an Arrow record batch as structs; columns that it doesn't have are ``None``.

    :param batch: the record batch
    :param kind: the row type
    :param prefix: what stands before a field's name in that of its column, default nothing
    """
    names = kind.__struct_fields__
    columns: list[Sequence[Any]] = []
    for name in names:
        column = f"{prefix}{name}"
        there = column in batch.schema.names
        values: Any = _values_of(batch.column(column)) if there else [None] * batch.num_rows
        if kept := _kept_as_json(kind).get(name):
            nothing = (None, "", _EMPTY[kept])
            values = [kept() if value in nothing else msgspec.json.decode(value) for value in values]
        columns.append(values)
    rows = zip(*columns, strict=True)
    if _by_position(kind):
        # It takes a fraction of the time that names take.
        yield from starmap(kind, rows)
        return
    for row in rows:
        yield kind(**dict(zip(names, row, strict=True)))


def _values_of(column: pa.Array) -> list[Any]:
    """Return a column as Python's values, times in UTC; of times ``to_pylist`` would load pandas."""
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        return list(column.to_pylist())
    numbers = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64()).to_pylist()
    return [None if number is None else _EPOCH + timedelta(microseconds=number) for number in numbers]


@cache
def _by_position(kind: type[msgspec.Struct]) -> bool:
    return all(each.kind is Parameter.POSITIONAL_OR_KEYWORD for each in signature(kind).parameters.values())
