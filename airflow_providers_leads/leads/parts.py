"""A file that grows in durable parts: what is there stays there when the writer is killed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

import msgspec

from airflow_providers_leads.leads.staging import RowWriter, as_path, read_rows, write_rows

S = TypeVar("S", bound=msgspec.Struct)


class Parts(Generic[S]):
    """Rows on their way to one Parquet file, kept in numbered parts until :meth:`assemble`.

    :param uri: the file in the end
    :param kind: the row type
    :param owner: keeps the parts of different writers to one URI apart
    :param count: how many parts an earlier try has left that are to be kept; any beyond are written over
    """

    def __init__(self, uri: Any, kind: type[S], owner: str, count: int = 0) -> None:
        self.path = as_path(uri)
        self.count = count
        self._kind = kind
        self._owner = owner

    def append(self, rows: Iterable[S]) -> int:
        """Write a part, and return its rows when it is durable."""
        written = write_rows(self._part(self.count), self._kind, rows)
        self.count += 1
        return written

    def __iter__(self) -> Iterator[S]:
        """Yield the rows of all parts in their order."""
        for number in range(self.count):
            yield from read_rows(self._part(number), self._kind)

    def complete(self) -> bool:
        """Tell whether every part that should be there is: a store may have been cleared between two tries."""
        return all(self._part(number).exists() for number in range(self.count))

    def assemble(self, more: Iterable[S] = ()) -> int:
        """Write all parts into the one file, and return its rows; the parts stay.

        :param more: rows to end with, which are in no part
        """
        with RowWriter(self.path, self._kind) as writer:
            for number in range(self.count):
                writer.copy(self._part(number))
            writer.write_all(more)
        return writer.rows

    def discard(self) -> None:
        """Remove the parts, and those of an earlier try that had more of them."""
        number = 0
        while number < self.count or self._part(number).exists():
            self._part(number).unlink(missing_ok=True)
            number += 1
        self.count = 0

    def _part(self, number: int) -> Any:
        return self.path.with_name(f"{self.path.name}.{self._owner}.{number:05}.part")
