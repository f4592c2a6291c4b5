"""A file that grows in durable parts: what is there stays there when the writer is killed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from airflow_providers_leads.leads.files.places import publish, remove
from airflow_providers_leads.leads.files.staging import (
    RowWriter,
    StagingError,
    as_path,
    check_parquet,
    count_rows,
    open_parquet,
    read_rows,
    refuse_anothers,
    write_rows,
)

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=msgspec.Struct)


_ENDING: Final = ".part"


def parts_left(uri: Any) -> list[Any]:
    """Return the durable parts of a file that nobody has put together, as a killed writer leaves them, in their order.

    :param uri: of the file
    """
    path = as_path(uri)
    if not path.parent.exists():
        return []
    numbered = re.compile(re.escape(path.name) + r"\.[^.]+\.[0-9]{5}" + re.escape(_ENDING))
    left = {str(part.name): part for part in path.parent.iterdir()}
    return [left[name] for name in sorted(left) if numbered.fullmatch(name)]


class Parts(Generic[S]):
    """Rows on their way to one name, kept in numbered parts until :meth:`assemble`.

    :param uri: of the file, or of the folder of parts, in the end
    :param kind: the row type
    :param owner: keeps the parts of different writers to one URI apart
    :param count: how many parts an earlier try has left that are to be kept; any beyond are written over
    :param metadata: what is to be known of the file as a whole
    :raises StagingError: when another task of the same run has written the file, before anything is done for it
    """

    def __init__(
        self, uri: Any, kind: type[S], owner: str, count: int = 0, metadata: Mapping[str, str] | None = None
    ) -> None:
        self.path = as_path(uri)
        refuse_anothers(self.path)
        self.count = count
        self._kind = kind
        self._owner = owner
        self._metadata = metadata
        self._writer: RowWriter | None = None

    def add(self, rows: Iterable[S] | pa.RecordBatch) -> None:
        """Add rows, or columns of rows, to the next part, which is durable once :meth:`append` has ended it.

        When that fails, what was added since the last part is lost.
        """
        try:
            self._begun().write_all(rows)
        except BaseException:
            self._abandon()
            raise

    def append(self, rows: Iterable[S] = ()) -> int:
        """Write a part of what was added and of these rows, and return how many they are when it is durable."""
        self.add(rows)
        writer, self._writer = self._begun(), None
        writer.__exit__(None, None, None)
        self.count += 1
        return writer.rows

    def __iter__(self) -> Iterator[S]:
        """Yield the rows of all parts in their order."""
        for number in range(self.count):
            yield from read_rows(self._part(number), self._kind)

    def counts(self, *columns: str) -> Counter[tuple[Any, ...]]:
        """Return how many rows of all parts have which values of some columns."""
        found: Counter[tuple[Any, ...]] = Counter()
        for number in range(self.count):
            with open_parquet(self._part(number), columns) as file:
                for batch in file.iter_batches(columns=columns):
                    found.update(zip(*(batch.column(name).to_pylist() for name in columns), strict=True))
        return found

    def complete(self) -> bool:
        """Tell whether every part that should be there is: a store may have been cleared between two tries."""
        columns = self._kind.__struct_fields__
        try:
            for number in range(self.count):
                check_parquet(self._part(number), columns)
        except StagingError:
            return False
        return True

    def assemble(self, more: Iterable[S] = ()) -> int:
        """Let all parts appear under the name, as one file or as a folder of them, and return the rows; the parts stay.

        :param more: rows to end with, which are in no part
        """
        rows, parts = iter(more), [self._part(number) for number in range(self.count)]
        first = next(rows, None)
        if first is None and not parts:
            return write_rows(self.path, self._kind, (), metadata=self._metadata)
        refuse_anothers(self.path)
        last = self._named("last")
        try:
            if first is not None:
                write_rows(last, self._kind, chain([first], rows), metadata=self._metadata)
                parts.append(last)
            publish(parts, self.path)
        finally:
            remove(last)
        return count_rows(self.path)

    def discard(self) -> None:
        """Remove the parts, and those of an earlier try that had more of them."""
        self._abandon()
        number = 0
        while number < self.count or self._part(number).exists():
            remove(self._part(number))
            number += 1
        self.count = 0

    def _begun(self) -> RowWriter:
        if self._writer is None:
            self._writer = RowWriter(self._part(self.count), self._kind, metadata=self._metadata).__enter__()
        return self._writer

    def _abandon(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.__exit__(InterruptedError, None, None)

    def _part(self, number: int) -> Any:
        return self._named(f"{number:05}")

    def _named(self, name: str) -> Any:
        return self.path.with_name(f"{self.path.name}.{self._owner}.{name}{_ENDING}")
