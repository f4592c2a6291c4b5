"""Rows on their way between tasks: Parquet files at a URI, written whole or not at all, refused when they don't fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_origin, get_type_hints

import msgspec
from upath import UPath

from airflow_providers_leads.leads.files.columns import encode_rows, read_objects
from airflow_providers_leads.leads.model.schema import MOSTLY_UNIQUE, SCHEMA_VERSION, arrow_schema, struct_schema

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=msgspec.Struct)

_BATCH_ROWS: Final = 10_000
# So few that they are still in the processor's caches.
_TURNED_ROWS: Final = 1_000
VERSION_METADATA: Final = {"leads.schema_version": SCHEMA_VERSION}
_OF_YOUR_OWN: Final = "Leads of a file of your own are read by LeadsFromFileOperator."
_VERSION_KEY: Final = b"leads.schema_version"


class StagingError(ValueError):
    """A file can't be used; the message names the file and what is wrong with it."""


def as_path(uri: Any) -> Any:
    """Return a path object for a URI; path objects (such as Airflow's ObjectStoragePath) pass through."""
    return UPath(uri) if isinstance(uri, str) else uri


def is_local(path: Any) -> bool:
    """Tell whether a path is a file on this machine."""
    return getattr(path, "protocol", "") in ("", "file", "local")


def local_name(path: Any) -> str:
    """Return the operating system's name of a local path."""
    return str(path.path) if hasattr(path, "path") else str(path)


@cache
def _kept_as_json(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Return the fields of a row type that are maps or lists, for which a column of text holds JSON."""
    return frozenset(name for name, hint in get_type_hints(kind).items() if get_origin(hint) in (dict, list))


class RowWriter:
    """Writes rows of one type to a Parquet file that appears under its name only when it is complete.

    Use it as a context manager; when the block raises, nothing is left at the URI.

    :param uri: where to; folders are made
    :param kind: the row type
    :param batch_rows: rows held in memory before they are written, default 10,000
    :param metadata: what is to be known of the file as a whole, beside its version
    """

    def __init__(
        self,
        uri: Any,
        kind: type[msgspec.Struct],
        *,
        batch_rows: int = _BATCH_ROWS,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.path = as_path(uri)
        self.rows = 0
        self._schema = struct_schema(kind).with_metadata({**VERSION_METADATA, **(metadata or {})})
        self._kept_as_json = _kept_as_json(kind)
        self._batch_rows = batch_rows
        self._turned_rows = min(batch_rows, _TURNED_ROWS)
        self._waiting: list[msgspec.Struct] = []
        self._turned: list[pa.RecordBatch] = []
        self._held = 0

    def __enter__(self) -> RowWriter:
        import pyarrow as pa
        import pyarrow.parquet as pq

        # Arrow's own allocator keeps what it frees, 60 MB by the end of a file, and is no faster at this.
        pa.set_memory_pool(pa.system_memory_pool())
        repeating = [name for name in self._schema.names if name not in MOSTLY_UNIQUE]
        with ExitStack() as stack:
            part = stack.enter_context(appearing(self.path))
            file = stack.enter_context(part.open("wb"))
            parquet = pq.ParquetWriter(file, self._schema, compression="zstd", use_dictionary=repeating)
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
        if not self._waiting:
            return
        rows: list[Any] = [self._flat(row) for row in self._waiting] if self._kept_as_json else self._waiting
        table = read_objects(encode_rows(rows), self._schema)
        self._waiting.clear()
        self._hold(table.replace_schema_metadata(self._schema.metadata).to_batches())

    def _flat(self, row: msgspec.Struct) -> dict[str, Any]:
        found = msgspec.structs.asdict(row)
        kept = {name: msgspec.json.encode(found[name], order="sorted").decode() for name in self._kept_as_json}
        return {**found, **kept}

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


def move_into_place(part: Any, path: Any) -> None:
    """Give a complete file its name, replacing what an earlier try left there."""
    if is_local(path):
        # One step on a local disk, so no reader meets half a file.
        part.rename(path)
    else:
        path.fs.mv(str(part.path), str(path.path))


@contextmanager
def appearing(path: Any) -> Iterator[Any]:
    """Yield the path under which to write a file that gets its name only when it is complete.

    :param path: path object; its folder is made
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
    except BaseException:
        if part.exists():
            part.unlink()
        raise
    move_into_place(part, path)


def write_rows(
    uri: Any,
    kind: type[msgspec.Struct],
    rows: Iterable[msgspec.Struct],
    *,
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Write rows to a file and return how many.

    :param uri: where to
    :param kind: the row type
    :param rows: streamed, never held all at once
    :param metadata: what is to be known of the file as a whole, beside its version
    """
    with RowWriter(uri, kind, metadata=metadata) as writer:
        writer.write_all(rows)
    return writer.rows


def _kind(arrow_type: pa.DataType) -> str:
    """Return what a column holds in a word; widths, units and encodings of it don't matter."""
    import pyarrow as pa

    def is_text(kind: pa.DataType) -> bool:
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

    kinds = {"text": is_text, "truth": pa.types.is_boolean, "time": pa.types.is_timestamp}
    plain = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    return next((word for word, fits in kinds.items() if fits(plain)), str(plain))


def _problem(file: Any, required: Sequence[str]) -> str | None:
    """Return what keeps a Parquet file from being used."""
    held = {field.name: field.type for field in file.schema_arrow}
    if missing := [name for name in required if name not in held]:
        return f"has no column '{missing[0]}'. A file of leads has: {', '.join(required)}. {_OF_YOUR_OWN}"
    version = (file.schema_arrow.metadata or {}).get(_VERSION_KEY, SCHEMA_VERSION.encode()).decode()
    if version != SCHEMA_VERSION:
        return (
            f"is of schema version {version}, this package writes {SCHEMA_VERSION}. "
            "Run the pipeline from its extract again."
        )
    for field in arrow_schema():
        if field.name in required and _kind(held[field.name]) != _kind(field.type):
            return f"has the column '{field.name}' as {held[field.name]}; it must be {field.type}."
    return None


def open_parquet(uri: Any, required: Sequence[str] = ()) -> Any:
    """Return a ``pyarrow.parquet.ParquetFile`` whose columns and version were checked.

    :param uri: the file
    :param required: columns that must be there
    :raises StagingError: naming the file when it is missing, is no Parquet file, lacks a column, or was written by
        another version of this package
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = as_path(uri)
    source = None
    try:
        source = path.open("rb")
        file = pq.ParquetFile(source)
    except FileNotFoundError:
        raise StagingError(
            f"{path} does not exist. Did the task that writes it run, on a disk that this one shares?"
        ) from None
    except (pa.ArrowException, OSError):
        if source is not None:
            source.close()
        raise StagingError(
            f"{path} is not a readable Parquet file. Run the task that writes it again. {_OF_YOUR_OWN}"
        ) from None
    if problem := _problem(file, required):
        file.close(force=True)
        raise StagingError(f"{path} {problem}")
    return file


def check_readable(uri: Any) -> None:
    """Read a Parquet file from its first to its last row.

    :raises StagingError: naming the file when it is damaged
    """
    import pyarrow as pa

    file = open_parquet(uri)
    try:
        for _ in file.iter_batches():
            pass
    except (pa.ArrowException, OSError):
        raise StagingError(f"{as_path(uri)} is damaged. Run the task that writes it again.") from None
    finally:
        file.close(force=True)


def count_rows(uri: Any) -> int:
    """Return the number of rows of a Parquet file, from its footer."""
    file = open_parquet(uri)
    try:
        return int(file.metadata.num_rows)
    finally:
        file.close(force=True)


def file_metadata(uri: Any, *, with_footer: bool = False) -> dict[str, str]:
    """Return what a Parquet file says of itself as a whole.

    :param uri: the file
    :param with_footer: adds, under the empty name, a fingerprint of its footer, which differs for other rows
    :raises StagingError: see :func:`open_parquet`
    """
    file = open_parquet(uri)
    try:
        found = {name.decode(): value.decode() for name, value in (file.schema_arrow.metadata or {}).items()}
        if with_footer:
            found[""] = hashlib.sha256(repr(file.metadata.to_dict()).encode()).hexdigest()
        return found
    finally:
        file.close(force=True)


def digest(uri: Any) -> str:
    """Return a fingerprint of a file's content."""
    with as_path(uri).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_rows(uri: Any, kind: type[S]) -> Iterator[S]:
    """Yield a file's rows as structs, a batch in memory at a time.

    :param uri: the file
    :param kind: the row type; columns that it doesn't have are left out
    :raises StagingError: see :func:`open_parquet`
    """
    names = list(kind.__struct_fields__)
    file = open_parquet(uri, names)
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
            yield from structs(batch, kind)
    finally:
        file.close(force=True)


def structs(batch: Any, kind: type[S], rename: Callable[[str], str] = str) -> Iterator[S]:
    """Yield the rows of an Arrow record batch as structs; columns that it doesn't have are ``None``.

    :param batch: the record batch
    :param kind: the row type
    :param rename: field name → column name, default the same
    """
    names = kind.__struct_fields__
    columns: list[Sequence[Any]] = []
    for name in names:
        there = rename(name) in batch.schema.names
        values = batch.column(rename(name)).to_pylist() if there else [None] * batch.num_rows
        if name in _kept_as_json(kind):
            values = [msgspec.json.decode(v) if v else {} for v in values]
        columns.append(values)
    for row in zip(*columns, strict=True):
        yield kind(**dict(zip(names, row, strict=True)))
