"""Parquet files, and folders of them, read as one thing and refused when they don't fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_providers_leads.leads.files.places import (
    WRITER,
    appearing,
    as_path,
    has_folders,
    is_local,
    open_file,
    parts_of,
)
from airflow_providers_leads.leads.files.stores import StagingError, is_store_error, store_problem
from airflow_providers_leads.leads.model.schema import SCHEMA_VERSION, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS: Final = 10_000
_OF_YOUR_OWN: Final = "Leads of a file of your own are read by LeadsFromFileOperator."
PAGES: Final = {"data_page_size": 2**16}
"""Options of Arrow's writer: a reader has a page of each column in memory, and a megabyte of each is much."""
_VERSION_KEY: Final = b"leads.schema_version"
_RUN: Final = "leads.run"
_TASK: Final = "leads.task"


class ParquetFiles:
    """Checked Parquet files as one, from :func:`open_parquet`; one of them is open at a time.

    :ivar path: path object of the file, or of the folder
    :ivar parts: path objects of the files, in the order of their rows
    :ivar part_rows: rows of each
    :ivar part_metadata: what each says of itself
    :ivar schema_arrow: the first file's schema and metadata
    """

    def __init__(self, uri: Any, required: Sequence[str]) -> None:
        self.path = as_path(uri)
        self.parts = parts_of(self.path)
        self.part_rows: list[int] = []
        self.part_metadata: list[dict[str, str]] = []
        self._columns: list[str] = []
        self._file: Any = None
        self._at: Any = None
        try:
            # From the last to the first, which stays open: it is the only one as a rule.
            for part in reversed(self.parts):
                file = self._open(part)
                self.part_rows.insert(0, int(file.metadata.num_rows))
                self.part_metadata.insert(0, _metadata(file.schema_arrow))
                self._check(part, file.schema_arrow, required)
        except BaseException:
            self.close()
            raise
        self.schema_arrow: pa.Schema = file.schema_arrow

    @property
    def num_rows(self) -> int:
        """Rows of all files, from their footers."""
        return sum(self.part_rows)

    def _open(self, part: Any) -> Any:
        from pyarrow import ArrowException, parquet

        self.close()
        keep_little()
        source = None
        try:
            # A row group is fetched as a whole, and nothing beside it.
            stored = not has_folders(part)
            source = part.open("rb", **({"cache_type": "none"} if stored else {}))
            self._file = parquet.ParquetFile(source, pre_buffer=stored)
        except FileNotFoundError as error:
            if not is_local(part) and not _bucket_exists(part):
                raise StagingError(store_problem(part, error)) from None
            raise StagingError(
                f"{part} does not exist. Did the task that writes it run, on a disk that this one shares?"
            ) from None
        except PermissionError as error:
            raise StagingError(store_problem(part, error)) from None
        except (ArrowException, OSError) as error:
            if source is None:
                what = "it is a folder" if isinstance(error, IsADirectoryError) else "it can't be opened"
                raise StagingError(f"{part} is not a readable Parquet file: {what}.") from None
            beginning = b""
            with source, suppress(Exception):
                source.seek(0)
                beginning = source.read(1_000)
            raise StagingError(f"{part} {_no_parquet(beginning)}") from None
        except Exception as error:
            if not is_store_error(error):
                raise
            raise StagingError(store_problem(part, error)) from None
        self._at = part
        return self._file

    def _check(self, part: Any, schema: pa.Schema, required: Sequence[str]) -> None:
        if problem := _problem(schema, required):
            raise StagingError(f"{part} {problem}")
        names = sorted(schema.names)
        if self._columns and self._columns != names:
            raise StagingError(f"{part} has other columns than the files beside it: they are not parts of one thing.")
        self._columns = names

    def iter_batches(
        self, batch_size: int = _BATCH_ROWS, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all files in record batches.

        :param batch_size: most rows of a batch
        :param columns: the columns wanted, default all
        """
        names = list(self.schema_arrow.names if columns is None else columns)
        for part in self.parts:
            file = self._opened(part)
            # Of several at once, a store's would all be fetched before the first is read.
            groups = [None] if has_folders(part) else [[n] for n in range(file.num_row_groups)]
            some = (file.iter_batches(batch_size=batch_size, columns=names, row_groups=group) for group in groups)
            for batch in chain.from_iterable(some):
                # Parts of another writer may differ in widths or encodings of their types.
                yield batch if len(self.parts) == 1 else _as_in(self.schema_arrow, batch.select(names))

    def footers(self) -> Iterator[bytes]:
        """Yield the footer of each file."""
        for part in self.parts:
            # As plain values they would load pandas, which takes a task 35 MB, for their times.
            footer = BytesIO()
            self._opened(part).metadata.write_metadata_file(footer)
            yield footer.getvalue()

    def _opened(self, part: Any) -> Any:
        return self._file if part is self._at and self._file is not None else self._open(part)

    def close(self) -> None:
        """Close the file that is open."""
        file, self._file = self._file, None
        if file is not None:
            file.close(force=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def keep_little() -> None:
    """Let Arrow take its memory from the system: its own allocator keeps what it frees, 60 MB by the end of a file."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())


def _metadata(schema: pa.Schema) -> dict[str, str]:
    # What other software has put into a file of somebody's own may be no text.
    return {
        name.decode(errors="replace"): told.decode(errors="replace") for name, told in (schema.metadata or {}).items()
    }


def _as_in(schema: pa.Schema, batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    fields = [schema.field(name) for name in batch.schema.names]
    if batch.schema.types == [field.type for field in fields]:
        return batch
    columns = [column.cast(field.type) for column, field in zip(batch.columns, fields, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _kind(arrow_type: pa.DataType) -> str:
    """Return what a column holds in a word; widths, units and encodings of it don't matter."""
    import pyarrow as pa

    def is_text(kind: pa.DataType) -> bool:
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

    kinds = {"text": is_text, "truth": pa.types.is_boolean, "time": pa.types.is_timestamp}
    plain = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    return next((word for word, fits in kinds.items() if fits(plain)), str(plain))


def _problem(schema: pa.Schema, required: Sequence[str]) -> str | None:
    """Return what keeps a Parquet file from being used."""
    types = {field.name: field.type for field in schema}
    if missing := [name for name in required if name not in types]:
        return f"has no column '{missing[0]}'. Such a file has: {', '.join(required)}. {_OF_YOUR_OWN}"
    version = (schema.metadata or {}).get(_VERSION_KEY, SCHEMA_VERSION.encode()).decode()
    if version != SCHEMA_VERSION:
        return (
            f"is of schema version {version}, this package writes {SCHEMA_VERSION}. "
            "Run the pipeline from its extract again."
        )
    for field in arrow_schema():
        if field.name in required and _kind(types[field.name]) != _kind(field.type):
            return f"has the column '{field.name}' as {types[field.name]}; it must be {field.type}."
    return None


_BEGINNINGS: Final = {
    b"PK": "a spreadsheet or another archive",
    b"\x1f\x8b": "a compressed file",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"{": "JSON",
    b"[": "JSON",
    b"<": "a page of HTML or XML",
    b"SQLite format": "a database",
}


def _no_parquet(beginning: bytes) -> str:
    """Return what is wrong with a file that can't be read as Parquet, from its first bytes."""
    if beginning.startswith(b"PAR1"):
        return "is not a readable Parquet file: its end is missing or spoilt. Run the task that writes it again."
    if not beginning:
        return "is not a readable Parquet file: it is empty. Run the task that writes it again."
    plain = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    kind = next((words for start, words in _BEGINNINGS.items() if plain.startswith(start)), None)
    if kind is None:
        kind = "CSV or another text" if b"\x00" not in beginning else "something else"
    return f"is not a readable Parquet file: it looks like {kind}. {_OF_YOUR_OWN}"


def _bucket_exists(path: Any) -> bool:
    """Tell whether the bucket of a path is there, as far as the store tells."""
    try:
        path.fs.info(path.path.partition("/")[0])
    except FileNotFoundError:
        return False
    except Exception:
        return True
    return True


def open_parquet(uri: Any, required: Sequence[str] = ()) -> ParquetFiles:
    """Open a Parquet file, or a folder of them, whose columns and version are checked; close it in the end.

    :param uri: of a file, or of a folder whose ``.parquet`` files are parts of one thing
    :param required: columns that must be there
    :raises StagingError: naming the file when it is missing, is no Parquet file, lacks a column, or was written by
        another version of this package
    """
    return ParquetFiles(uri, required)


def check_parquet(uri: Any, required: Sequence[str] = ()) -> None:
    """Test that a file can be used; parameters and errors are those of :func:`open_parquet`."""
    open_parquet(uri, required).close()


def check_readable(uri: Any) -> None:
    """Read a Parquet file from its first to its last row.

    :raises StagingError: naming the file when it is damaged
    """
    import pyarrow as pa

    with open_parquet(uri) as file:
        try:
            for _ in file.iter_batches():
                pass
        except (pa.ArrowException, OSError):
            raise StagingError(f"{file.path} is damaged. Run the task that writes it again.") from None


@dataclass(frozen=True, slots=True)
class Footer:
    """What a Parquet file, or a folder of them, says of itself, as it was read once.

    :param path: path object
    :param rows: of all parts
    :param parts: the metadata of each part, in the order of their rows
    :param fingerprint: of the parts' footers, which differs for other rows; empty where it was not asked for
    """

    path: Any
    rows: int
    parts: Sequence[Mapping[str, str]]
    fingerprint: str = ""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file, or the first part of a folder, says of the whole."""
        return self.parts[0]

    def __str__(self) -> str:
        return str(self.path)


def footer_of(file: Any, required: Sequence[str] = (), *, fingerprint: bool = False) -> Footer:
    """Return what a Parquet file says of itself; a footer that was read before is returned as it is.

    :param file: URI, path object, or footer
    :param required: columns that must be there
    :param fingerprint: true: with a fingerprint of the content
    :raises StagingError: see :func:`open_parquet`
    """
    if isinstance(file, Footer):
        return file
    with open_parquet(file, required) as parquet:
        mark = hashlib.sha256(b"".join(parquet.footers())).hexdigest() if fingerprint else ""
        return Footer(parquet.path, parquet.num_rows, parquet.part_metadata, mark)


def count_rows(file: Any) -> int:
    """Return the number of rows of a Parquet file; parameters and errors are those of :func:`footer_of`."""
    return footer_of(file).rows


def file_metadata(file: Any) -> Mapping[str, str]:
    """Return what a Parquet file says of itself as a whole; parameters and errors are those of :func:`footer_of`."""
    return footer_of(file).metadata


def python_values(column: pa.Array, name: str, path: object) -> list[Any]:
    """Return a column as Python's values, as texts where Python has none: times far ahead, or of nanoseconds.

    :raises StagingError: when there is no text of them either
    """
    values: list[Any]
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):
        try:
            values = column.cast("string").to_pylist()
        except (ValueError, TypeError, NotImplementedError):
            raise StagingError(
                f"{path}: the column {name!r} holds a value that Python has none for. Write it as text."
            ) from None
    return values


def written_by() -> dict[str, str]:
    """Return the metadata of a file that is a task's own, none outside of a task."""
    writer = WRITER.get()
    return {} if writer is None else {_RUN: writer.run, _TASK: writer.task}


def refuse_anothers(path: Any, *, beside: bool = False) -> None:
    """Refuse to write over what another task of the same run has written: who reads that would get the wrong rows.

    :param path: path object of the file to write
    :param beside: see :func:`appearing_as_own`
    :raises StagingError: naming the other task
    """
    writer = WRITER.get()
    if writer is None:
        return
    try:
        told: Mapping[str, str] = {}
        if path.exists():
            told = _said_beside(path) if beside else file_metadata(path)
    except Exception as error:
        # What isn't there may be no business of a key that can't list; what is wrong with a store the write tells.
        if not isinstance(error, StagingError) and not is_store_error(error):
            raise
        return
    if told.get(_RUN) == writer.run and (other := told.get(_TASK)) not in (None, writer.task):
        raise StagingError(
            f"{path} was written by the task {other} of this run, and {writer.task} would write over it: give each of "
            "them an output of its own, such as a folder with {{ task.task_id }} in its name, and with "
            "{{ ti.map_index }} where a task is mapped."
        )


@contextmanager
def appearing_as_own(path: Any, *, beside: bool = False) -> Iterator[Any]:
    """Yield what :func:`~…files.places.appearing` does, for a file that another task of the run doesn't write over.

    :param path: path object
    :param beside: the file can't say whose it is, so that a hidden one beside it does
    :raises StagingError: when one has, at the begin or meanwhile
    """
    refuse_anothers(path, beside=beside)
    with appearing(path) as part:
        yield part
        refuse_anothers(path, beside=beside)
    if beside and (owner := written_by()):
        with appearing(_beside(path)) as part, open_file(part, "wb") as file:
            file.write(json.dumps(owner).encode())


def _beside(path: Any) -> Any:
    return path.with_name(f".{path.name}.task")


def _said_beside(path: Any) -> Mapping[str, str]:
    mark = _beside(path)
    try:
        told = json.loads(mark.read_bytes()) if mark.exists() else {}
    except ValueError:
        told = {}
    return told if isinstance(told, dict) else {}


def digest(uri: Any) -> str:
    """Return a fingerprint of a file's content, of a folder's that of its parts in their order."""
    total = hashlib.sha256()
    for part in parts_of(as_path(uri)):
        with open_file(part, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
