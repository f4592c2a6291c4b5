"""Where the relational expressions run: DuckDB in process by default, Spark where one machine is outgrown."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import uuid4

import duckdb
import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_providers_leads.leads.files.columns import strings
from airflow_providers_leads.leads.files.parquet import PAGES
from airflow_providers_leads.leads.files.places import at_hand, open_file
from airflow_providers_leads.leads.files.staging import (
    VERSION_METADATA,
    appearing_as_own,
    as_path,
    check_readable,
    count_rows,
    is_local,
    local_name,
    open_parquet,
    written_by,
)
from airflow_providers_leads.leads.merge import spark

DEFAULT_ENGINE: Final = "duckdb://"
_DEFAULT_MEMORY: Final = "2GB"
_BATCH_ROWS: Final = 10_000


_NO_CONNECT: Final = (
    " Spark Connect (sc://) is not supported: the merge asks the driver's own Java side which files its workers can "
    "open, and a client of Connect has none. Use the master's spark://host:7077, or merge on one machine by duckdb://."
)


@contextmanager
def connect(url: str = DEFAULT_ENGINE) -> Iterator[Any]:
    """Open an engine and close it again.

    ``duckdb://`` runs in this process and spills to disk beyond its memory limit. Its settings may stand in the URL:
    ``duckdb://?memory_limit=4GB&temp_directory=/mnt/spill&threads=4``; by default 2 GB and the system's temporary
    folder. ``spark://local[2]`` or ``spark://host:7077`` runs on Spark, which must be installed (``pyspark``); other
    settings in the URL become Spark's.

    :param url: the engine's URL
    :raises ValueError: for another kind of engine, or a setting that the engine refuses
    """
    # Not by urlsplit, to which the brackets of local[2] are a broken IPv6 address.
    kind, separator, rest = str(url).partition("://")
    target, _, query = rest.partition("?")
    openers = {"duckdb": _duckdb, "spark": spark.open_spark}
    if not separator or kind not in openers:
        also = _NO_CONNECT if kind == "sc" else ""
        raise ValueError(f"engine must start with {' or '.join(f'{name}://' for name in openers)}.{also}")
    with openers[kind](target, dict(parse_qsl(query, keep_blank_values=True))) as connection:
        yield connection


@contextmanager
def _duckdb(target: str, settings: dict[str, str]) -> Iterator[Any]:
    if target:
        raise ValueError("engine: duckdb:// takes settings only, no file: what it reads and writes are the given URIs")
    folder = settings.get("temp_directory") or None
    if folder is not None and not Path(folder).is_dir():
        raise ValueError(f"engine: temp_directory {folder} is no folder on this machine")
    with tempfile.TemporaryDirectory(prefix="leads-spill-", dir=folder) as spill:
        asked = {"memory_limit": _DEFAULT_MEMORY, **settings, "temp_directory": spill}
        try:
            connection = ibis.duckdb.connect(**asked)
        except duckdb.Error as error:
            raise ValueError(
                f"engine: DuckDB refuses the settings {_refused(asked)} ({type(error).__name__})"
            ) from None
        try:
            # Times mean UTC whatever the machine's zone, and rows may leave in the order in which they are ready.
            connection.raw_sql("SET TimeZone = 'UTC'")
            connection.raw_sql("SET preserve_insertion_order = false")
            yield connection
        finally:
            connection.disconnect()


def collect(connection: Any, table: ibis.Table) -> list[dict[str, Any]]:
    """Return the rows of a small result.

    Not by the connection's ``to_pyarrow`` or ``execute``: they need pandas.

    :param connection: from :func:`connect`
    :param table: what to read
    """
    return [row for batch in batches(connection, table) for row in batch.to_pylist()]


def scalar(connection: Any, value: Any) -> int:
    """Return a number that an engine counts; see :func:`collect`.

    :param connection: from :func:`connect`
    :param value: scalar expression
    """
    (row,) = collect(connection, value.name("value").as_table())
    return int(row["value"])


def in_memory(columns: Mapping[str, Sequence[str | None]]) -> ibis.Table:
    """Return texts as a table; made of anything but an Arrow table, Ibis' own would need pandas.

    :param columns: name → values, all of one length
    """
    return ibis.memtable(pa.table({name: strings(values) for name, values in columns.items()}))


def _refused(settings: dict[str, str]) -> list[str]:
    """Return the names of the settings that DuckDB refuses; their values may be secrets."""
    names = []
    for name, value in settings.items():
        try:
            duckdb.connect(config={name: value}).close()
        except duckdb.Error:
            names.append(name)
    return names


@contextmanager
def blaming(inputs: Sequence[Any]) -> Iterator[None]:
    """Turn an engine's error into one that says which input is broken, or what DuckDB ran out of.

    :param inputs: URIs or path objects that are read
    :raises StagingError: naming the broken file
    :raises MemoryError: when the memory limit or the disk did not suffice
    """
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise MemoryError(
            "DuckDB ran out of memory or of room to spill. Give the engine more, such as "
            "duckdb://?memory_limit=4GB&temp_directory=/a/larger/disk"
        ) from None
    except duckdb.Error:
        for uri in inputs:
            check_readable(uri)
        raise


def is_duckdb(connection: Any) -> bool:
    """Tell whether a connection is to DuckDB, whose own Parquet reader and writer are used then."""
    return bool(connection.name == "duckdb")


def read_numbered(connection: Any, uri: Any, columns: Sequence[str], first: int) -> ibis.Table:
    """Return a checked Parquet file as a table of DuckDB, with ``row``: each row's number, counted from ``first``.

    :param connection: from :func:`connect`, to DuckDB
    :param uri: URI or path object, of a file or a folder of parts
    :param columns: the columns wanted, all of which must be there
    :param first: the first row's number
    :raises StagingError: see :func:`~airflow_providers_leads.leads.files.parquet.open_parquet`
    """
    with open_parquet(uri, columns) as file:
        parts, sizes = at_hand(file.parts, spill_folder(connection)), file.part_rows
    names = plain_names(connection, parts)
    if len(parts) == 1:
        numbered = connection.read_parquet(names, file_row_number=True)
        return numbered.select(*columns, row=numbered.file_row_number + first)
    numbered = connection.read_parquet(names, file_row_number=True, filename=True)
    # A file's name is one value for all rows that DuckDB looks at together.
    begins = zip(parts, accumulate(sizes, initial=first), strict=False)
    begin = ibis.cases(*((numbered.filename == local_name(part), number) for part, number in begins))
    return numbered.select(*columns, row=numbered.file_row_number + begin)


def read_parquet(connection: Any, uri: Any, columns: Sequence[str]) -> ibis.Table:
    """Return a checked Parquet file as a table of the engine, which may be read more than once.

    :param connection: from :func:`connect`
    :param uri: URI or path object, of a file or a folder of parts
    :param columns: the columns wanted, all of which must be there
    :raises StagingError: see :func:`~airflow_providers_leads.leads.files.parquet.open_parquet`
    """
    with open_parquet(uri, columns) as file:
        return read_files(connection, file.parts).select(*columns)


def read_files(connection: Any, parts: Sequence[Any]) -> ibis.Table:
    """Return Parquet files of one schema, all local or all in one store, as a table of the engine.

    :param connection: from :func:`connect`
    :param parts: path objects
    """
    if not is_duckdb(connection):
        return spark.read_files(connection, plain_names(connection, spark.reachable(connection, parts)))
    return connection.read_parquet(plain_names(connection, at_hand(parts, spill_folder(connection))))


def plain_names(connection: Any, parts: Sequence[Any]) -> list[str]:
    """Return the names of files such that the engine takes none for a pattern."""
    names = [local_name(part) if is_local(part) else str(part) for part in parts]
    if is_duckdb(connection):
        return [re.sub(r"[*?[]", r"[\g<0>]", name) for name in names]
    return [re.sub(r"[*?[\]{}\\]", r"\\\g<0>", name) for name in names]


def keep(connection: Any, table: ibis.Table) -> ibis.Table:
    """Return a table that is computed once, because several results read it."""
    if is_duckdb(connection):
        return connection.create_table(f"kept_{uuid4().hex}", table, temp=True)
    return spark.keep(connection, table)


def forget(connection: Any, table: ibis.Table) -> None:
    """Give the room of a table from :func:`keep` back."""
    if is_duckdb(connection):
        connection.raw_sql(f'DROP TABLE "{table.op().name}"')


def batches(connection: Any, table: ibis.Table) -> Iterator[Any]:
    """Yield a table as Arrow record batches, never the whole of it in this process.

    :param connection: from :func:`connect`
    :param table: the expression
    """
    if is_duckdb(connection):
        yield from connection.to_pyarrow_batches(table, chunk_size=_BATCH_ROWS)
    else:
        yield from spark.batches(connection, table)


def write(connection: Any, table: ibis.Table, uri: Any, metadata: Mapping[str, str] | None = None) -> int:
    """Write a table to one Parquet file, which appears only when it is complete, and return its rows.

    :param connection: from :func:`connect`
    :param table: the expression
    :param uri: URI or path object
    :param metadata: what is to be known of the file as a whole
    """
    path = as_path(uri)
    with appearing_as_own(path) as part:
        # Ibis takes a backslash in a name for the begin of an escape.
        if is_local(path) and is_duckdb(connection) and "\\" not in local_name(part):
            write_local(connection, table, local_name(part), metadata)
        else:
            _stream(connection, table, part, metadata)
    return count_rows(path)


def write_local(connection: Any, table: ibis.Table, name: str, metadata: Mapping[str, str] | None = None) -> None:
    """Write a table to a local Parquet file by DuckDB."""
    told = {**VERSION_METADATA, **written_by(), **(metadata or {})}
    # Beyond the first level zstd saves little more of such rows. A dictionary is worth its price for columns of few
    # values only, and those that have more should be known for it early.
    connection.to_parquet(
        table, name, compression="zstd", compression_level=1, dictionary_size_limit=5000, kv_metadata=told
    )


def write_soon_read(connection: Any, table: ibis.Table, name: str, **options: Any) -> None:
    """Write a table to a local Parquet file, or folder of them, that DuckDB reads back once or twice."""
    # Compressing, or looking for values that recur, takes longer than it saves.
    connection.to_parquet(table, name, compression="uncompressed", dictionary_size_limit=1, **options)


def spill_folder(connection: Any) -> str:
    """Return the folder for what DuckDB has no memory for; it goes with the connection."""
    return str(connection.con.sql("SELECT current_setting('temp_directory')").fetchone()[0])


def _stream(connection: Any, table: ibis.Table, part: Any, metadata: Mapping[str, str] | None) -> None:
    # Through this process in batches: the engine's own writer would not know the store's credentials, or would leave a
    # folder of parts where one file is promised.
    fields = [field.with_type(_in_utc(field.type)) for field in table.schema().to_pyarrow()]
    schema = pa.schema(fields, metadata={**VERSION_METADATA, **written_by(), **(metadata or {})})
    with open_file(part, "wb") as file, pq.ParquetWriter(file, schema, compression="zstd", **PAGES) as writer:
        for batch in batches(connection, table):
            writer.write_batch(batch.cast(schema))


def _in_utc(kind: Any) -> Any:
    """Return an Arrow type whose times are UTC, which Spark's are without saying so."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_in_utc(field.type)) for field in kind])
    return pa.list_(_in_utc(kind.value_type)) if pa.types.is_list(kind) else kind


def record_hash(source: Any, scope: Any, source_id: Any) -> Any:
    """Return a hash of three text columns, by DuckDB's own function: Ibis goes by way of a text of bits."""

    def hash_of(one: str, two: str, three: str) -> int:
        raise AssertionError("runs in DuckDB only")

    signature = ((dt.string, dt.string, dt.string), dt.uint64)
    return ibis.udf.scalar.builtin(hash_of, name="hash", signature=signature)(source, scope, source_id)


def bucket(column: Any, count: int) -> Any:
    """Return the number from 0 to ``count - 1`` that a value's hash, which may be negative, falls to."""
    return (column.hash() % count + count) % count


def write_partitioned(
    connection: Any, table: ibis.Table, uris: Sequence[Any], key: str, metadata: Mapping[str, str] | None = None
) -> int:
    """Write a table to several Parquet files by hash of a column, and return its rows.

    :param connection: from :func:`connect`
    :param table: the expression
    :param uris: one URI or path object per partition; a row's partition depends on its key alone
    :param key: the column whose hash decides
    :param metadata: what is to be known of each file as a whole
    """
    table = keep(connection, table)
    place = bucket(table[key], len(uris))
    return sum(write(connection, table.filter(place == number), uri, metadata) for number, uri in enumerate(uris))
