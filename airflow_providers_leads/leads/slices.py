"""Large tables in slices by hash of a column, so that memory stays bounded however long they are.

DuckDB's aggregates keep their texts in memory: of tens of millions of people they would not fit, of a slice they do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_providers_leads.leads.engine import bucket, is_duckdb, write_local
from airflow_providers_leads.leads.row_groups import concatenate
from airflow_providers_leads.leads.staging import appearing, as_path, count_rows

if TYPE_CHECKING:
    import ibis

# What merges within DuckDB's default 2 GB with room to spare.
ROWS_PER_SLICE: Final = 1_000_000
_SLICE: Final = "slice"


def slices(connection: Any, table: ibis.Table, key: str, rows: int) -> Iterator[ibis.Table]:
    """Yield a table in parts, each of which holds all rows of its keys; only one is there at a time.

    :param connection: the engine; one that spreads the work over machines gets the table whole
    :param table: the expression, which is computed once
    :param key: the column whose hash decides
    :param rows: how many rows there are
    """
    count = -(-rows // ROWS_PER_SLICE)
    if count <= 1 or not is_duckdb(connection):
        yield table
        return
    with tempfile.TemporaryDirectory(prefix="slices-", dir=_spill_folder(connection)) as folder:
        marked = table.mutate(**{_SLICE: bucket(table[key], count)})
        # Read once and soon: compressing takes longer than it saves.
        connection.to_parquet(marked, folder, partition_by=_SLICE, compression="uncompressed")
        parts = sorted(Path(folder).glob(f"{_SLICE}=*"))
        for part in parts:
            yield connection.read_parquet(str(part / "*.parquet"), hive_partitioning=False).select(*table.columns)
        if not parts:
            yield table.limit(0)


class Pieces:
    """The results of slices, put together at the end.

    Use it as a context manager: what is put aside is removed when it ends.

    :param connection: the engine
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._files: dict[str, list[str]] = {}

    def __enter__(self) -> Pieces:
        folder = _spill_folder(self._connection) if is_duckdb(self._connection) else None
        self._folder = tempfile.TemporaryDirectory(prefix="pieces-", dir=folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def put_aside(self, name: str, table: ibis.Table) -> None:
        """Compute a slice's result now, because its slice is about to go."""
        files = self._files.setdefault(name, [])
        files.append(str(Path(self._folder.name) / f"{name}.{len(files)}.parquet"))
        write_local(self._connection, table, files[-1])

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def whole(self, name: str) -> ibis.Table:
        """Return the results of all slices as one table."""
        table: ibis.Table = self._connection.read_parquet(self._files[name])
        return table

    def write(self, name: str, uri: Any) -> int:
        """Write the results of all slices to one Parquet file, which appears only when it is complete.

        :param uri: URI or path object
        :return: the number of rows
        """
        path = as_path(uri)
        with appearing(path) as part, part.open("wb") as file:
            concatenate([Path(piece) for piece in self._files[name]], file)
        return count_rows(path)


def _spill_folder(connection: Any) -> str:
    return str(connection.con.sql("SELECT current_setting('temp_directory')").fetchone()[0])
