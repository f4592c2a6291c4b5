"""Large tables in slices, so that memory stays bounded however long they are.

DuckDB's aggregates keep their texts in memory: of tens of millions of people they would not fit, of a slice they do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from upath import UPath

from airflow_providers_leads.leads.files.places import publish
from airflow_providers_leads.leads.files.staging import as_path, count_rows
from airflow_providers_leads.leads.merge.engine import (
    is_duckdb,
    plain_names,
    read_files,
    scalar,
    spill_folder,
    write_local,
    write_soon_read,
)

if TYPE_CHECKING:
    import ibis

# What merges within DuckDB's default 2 GB, lineage and conflicts included, with little turning to the disk.
ROWS_PER_SLICE: Final = 1_000_000
_ROOM_FOR_SLICE: Final = 2_000_000_000
# One result alone needs half the room.
_ROOM_OF_ONE: Final = 2
# Reading all the leads so often costs less than writing them in slices and reading each of those once.
_MOST_READINGS: Final = 5
_SLICES_ON_DISK: Final = 8
_SLICE: Final = "slice"


def rows_per_slice(connection: Any) -> int:
    """Return how many rows DuckDB's memory limit has room for."""
    # Such as "1.8 GiB".
    number, unit = connection.con.sql("SELECT current_setting('memory_limit')").fetchone()[0].split()
    room = float(number) * {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}.get(unit, 1)
    return max(1, round(ROWS_PER_SLICE * room / _ROOM_FOR_SLICE))


def slices(connection: Any, table: ibis.Table, places: ibis.Table, key: str, *, once: bool) -> Iterator[ibis.Table]:
    """Yield a table joined with what is known of its rows in parts, each of which holds all rows of its keys.

    Only one is there at a time.

    :param connection: to DuckDB
    :param table: with ``row``
    :param places: with ``row``, one at most for each in the table; others of the table are left out
    :param key: the column of whole numbers in the places that decides
    :param once: true when a part is read once only
    """
    size = rows_per_slice(connection) * (_ROOM_OF_ONE if once else 1)
    count = max(1, -(-scalar(connection, places.count()) // size))
    marked = places.mutate(**{_SLICE: places[key] % count})
    if once and count <= _MOST_READINGS:
        for number in range(count):
            # Before the join, which is the smaller for it: DuckDB would do it after.
            yield table.inner_join(marked.filter(marked[_SLICE] == number).drop(_SLICE), "row")
        return
    for first in range(0, count, _SLICES_ON_DISK):
        # Not all at once: the join holds what is known of the rows it writes.
        some = marked.filter(marked[_SLICE].between(first, first + _SLICES_ON_DISK - 1))
        with tempfile.TemporaryDirectory(prefix="slices-", dir=spill_folder(connection)) as folder:
            write_soon_read(connection, table.inner_join(some, "row"), folder, partition_by=_SLICE)
            parts = sorted(Path(folder).glob(f"{_SLICE}=*"))
            if count == 1 and not parts:
                yield table.inner_join(places.limit(0), "row")
            for part in parts:
                files = plain_names(connection, sorted(part.glob("*.parquet")))
                yield connection.read_parquet(files, hive_partitioning=False)


class Pieces:
    """The results of slices, put together at the end.

    Use it as a context manager: what is put aside is removed when it ends.

    :param connection: the engine
    :param metadata: what is to be known of each file as a whole
    """

    def __init__(self, connection: Any, metadata: Mapping[str, str] | None = None) -> None:
        self._connection = connection
        self._metadata = metadata
        self._files: dict[str, list[str]] = {}

    def __enter__(self) -> Pieces:
        folder = spill_folder(self._connection) if is_duckdb(self._connection) else None
        self._folder = tempfile.TemporaryDirectory(prefix="pieces-", dir=folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def put_aside(self, name: str, table: ibis.Table) -> None:
        """Compute a slice's result now, because its slice is about to go."""
        files = self._files.setdefault(name, [])
        files.append(str(Path(self._folder.name) / f"{name}.{len(files)}.parquet"))
        write_local(self._connection, table, files[-1], self._metadata)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def whole(self, name: str) -> ibis.Table:
        """Return the results of all slices as one table."""
        return read_files(self._connection, [UPath(piece) for piece in self._files[name]])

    def write(self, name: str, uri: Any) -> int:
        """Let the results of all slices appear under one name, as a folder of parts when they are several.

        :param uri: URI or path object
        :return: the number of rows
        """
        path = as_path(uri)
        publish([UPath(piece) for piece in self._files[name]], path)
        return count_rows(path)
