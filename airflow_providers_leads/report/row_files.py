"""Files of plans and results as they are, of this version of the package or an older one, a row group at a time."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_providers_leads.leads.files.places import parts_of
from airflow_providers_leads.leads.files.staging import StagingError, as_path

_MOST_KEPT: Final = 64
_MOST_REASONS: Final = 200
_OTHERS: Final = "others"
_counted: OrderedDict[tuple[Any, ...], Counter[tuple[str, str | None]]] = OrderedDict()


class Group(NamedTuple):
    """A row group: the file that it is in, its number there, the number of its first row in all, and its rows."""

    file: int
    number: int
    first: int
    rows: int


class RowFile:
    """A Parquet file, or a folder of such, that is read leniently: columns that it lacks are passed over.

    :param uri: URI or path object
    :param kind: the column that says what a row is, counted by :meth:`counts`
    :raises StagingError: naming the file when it is gone, damaged, or no file of people
    """

    def __init__(self, uri: Any, kind: str) -> None:
        path = as_path(uri)
        self._path, self._kind = path, kind
        self._files: list[Any] = []
        self.groups: list[Group] = []
        self.rows = 0
        try:
            for part in parts_of(path):
                self._add(part)
            self.metadata: dict[bytes, bytes] = self._files[0].schema_arrow.metadata or {}
        except BaseException:
            self.close()
            raise

    def _add(self, part: Any) -> None:
        source = None
        try:
            source = part.open("rb")
            file = pq.ParquetFile(source)
        except FileNotFoundError:
            raise StagingError(f"{part} is gone.") from None
        except (pa.ArrowException, OSError):
            if source is not None:
                source.close()
            raise StagingError(f"{part} can't be read: it is damaged, or no Parquet file.") from None
        self._files.append(file)
        for name in ("email_key", self._kind):
            if name not in file.schema_arrow.names:
                raise StagingError(f"{part} can't be shown: it has no column '{name}'.")
        for number in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            self.groups.append(Group(len(self._files) - 1, number, self.rows, rows))
            self.rows += rows

    def read(self, group: Group, columns: Iterable[str]) -> pa.Table:
        """Return columns of a row group, those that are there, or else the address.

        :raises StagingError: when it is damaged
        """
        file = self._files[group.file]
        there = set(file.schema_arrow.names)
        names = list(dict.fromkeys(name for name in columns if name in there))
        try:
            table = file.read_row_group(group.number, columns=names or ["email_key"], use_threads=False)
        except (pa.ArrowException, OSError):
            raise StagingError(f"{self._path} can't be read: it is damaged.") from None
        for place, column in enumerate(table.schema):
            if pa.types.is_dictionary(column.type):
                table = table.set_column(place, column.name, table.column(place).cast(column.type.value_type))
        return table

    def counts(self) -> Counter[tuple[str, str | None]]:
        """Return how many rows there are of each kind and reason; counted once per file."""
        key = (str(self._path), self.rows, *(file.metadata.serialized_size for file in self._files))
        if (known := _counted.get(key)) is not None:
            _counted.move_to_end(key)
            return known
        counts: Counter[tuple[str, str | None]] = Counter()
        for group in self.groups:
            table = self.read(group, (self._kind, "reason"))
            columns = table.column_names
            for row in table.group_by(columns).aggregate([([], "count_all")]).to_pylist():
                reason = row.get("reason") or None
                pair = (str(row[self._kind]), reason)
                if reason and pair not in counts and len(counts) >= _MOST_REASONS:
                    pair = (pair[0], _OTHERS)
                counts[pair] += row["count_all"]
        _counted[key] = counts
        while len(_counted) > _MOST_KEPT:
            _counted.popitem(last=False)
        return counts

    def close(self) -> None:
        """Close all files."""
        for file in self._files:
            file.close(force=True)
