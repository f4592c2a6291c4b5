"""Who must not be written: a user's own lists of addresses and domains, and the domains that a CRM never contacts."""

from __future__ import annotations

import csv
import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import TextIOWrapper
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec

from airflow_providers_leads.leads.files.staging import as_path, open_parquet
from airflow_providers_leads.leads.model.identity import domain_of, email_key

LISTED: Final = "suppression_list"
DO_NOT_CONTACT: Final = "do_not_contact_domain"

_COLUMNS: Final = ("email", "email_key", "domain")
_DELIMITERS: Final = ",;\t|"
_SAMPLE: Final = 4096

Row = tuple[int, list[str]]
"""Where an entry stands, and the cells that hold addresses or domains."""


class SuppressionError(ValueError):
    """A list can't be used; the message names the file and the line, never what stands in it."""


class Suppressions:
    """Addresses and domains that must not be written.

    An address takes eight bytes whatever its length, and none is kept in the clear.

    :param also: another hash by which addresses are kept, for people of whom only that is known
    """

    def __init__(self, also: Callable[[str], int | None] | None = None) -> None:
        self.domains: dict[str, str] = {}
        self._also = also
        self._others: set[int] = set()
        self._hashes = array("Q")
        self._sorted = 0

    def __bool__(self) -> bool:
        """True when anybody could be covered."""
        return bool(self._hashes or self.domains)

    def add(self, entry: str) -> bool:
        """Add an address or a domain in any spelling; false: it is neither."""
        key = email_key(entry)
        if key is None:
            return self.add_domain(entry, LISTED)
        self._hashes.append(_hash(key))
        if self._also is not None and (other := self._also(key)) is not None:
            self._others.add(other)
        return True

    def listed_by_hash(self, hashes: Iterable[int]) -> bool:
        """Tell whether an address with one of these hashes, of the kind that was asked for, is listed."""
        return not self._others.isdisjoint(hashes)

    def add_domain(self, domain: str, reason: str) -> bool:
        """Add a domain in any spelling, with or without ``@``; false: it is none. Subdomains are domains of their own.

        :param domain: the domain
        :param reason: of the plan rows that it concerns; the first one given stays
        """
        key = email_key(f"a@{domain.strip().removeprefix('@')}")
        if key is None or not key.startswith("a@"):
            return False
        self.domains.setdefault(domain_of(key), reason)
        return True

    def reason(self, keys: Iterable[str]) -> str | None:
        """Return why a person must not be written, ``None`` when nothing stands against it.

        :param keys: every address of the person, as email keys
        """
        if self._sorted < len(self._hashes):
            self._hashes = _in_order(self._hashes)
            self._sorted = len(self._hashes)
        found = [reason for key in keys if (reason := self._reason(key))]
        # The user's own list says more about the person than a whole domain does.
        return LISTED if LISTED in found else next(iter(found), None)

    def _reason(self, key: str) -> str | None:
        wanted = _hash(key)
        place = bisect_left(self._hashes, wanted)
        listed = place < len(self._hashes) and self._hashes[place] == wanted
        return LISTED if listed else self.domains.get(domain_of(key))


def _in_order(hashes: array[int]) -> array[int]:
    import pyarrow as pa

    # Not by sorted(), which makes an object of each number.
    numbers = pa.Array.from_buffers(pa.uint64(), len(hashes), [None, pa.py_buffer(hashes)]).sort()
    found = array("Q")
    found.frombytes(numbers.buffers()[1])
    return found[: len(hashes)]


def _hash(key: str) -> int:
    # 64 bits: among a million listed and a million planned, one false match in twenty million runs; it writes nothing.
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")


def read_suppressions(uri: Any, into: Suppressions) -> int:
    """Add a file's addresses and domains and return how many entries it holds.

    ``.txt`` holds one per line. ``.csv`` and ``.parquet`` hold them in the columns ``email``, ``email_key`` and
    ``domain``, in any letter case; a CSV of one column needs no header. ``.jsonl`` holds texts, or objects with those
    keys. A domain may be written ``example.com`` or ``@example.com``.

    :param uri: URI or path object
    :param into: takes the entries
    :raises SuppressionError: naming the file, and the line that is neither address nor domain
    """
    path = as_path(uri)
    reader = _READERS.get(suffix_of(path.name))
    if reader is None:
        raise SuppressionError(f"{path} must be a file of one of the kinds {', '.join(_READERS)}.")
    count = 0
    try:
        for place, cells in reader(path):
            written = [cell for cell in cells if cell.strip()]
            if not written or not all(into.add(cell) for cell in written):
                raise SuppressionError(
                    f"{path}, {'row' if reader is _parquet else 'line'} {place}: neither an address nor a domain. "
                    "Mend or remove it: whoever it means would be written to otherwise."
                )
            count += len(written)
    except FileNotFoundError:
        raise SuppressionError(
            f"{path} does not exist; a list of suppressions that can't be read stops the plan."
        ) from None
    except UnicodeDecodeError:
        raise SuppressionError(f"{path} is not UTF-8. Save it in that encoding.") from None
    return count


def is_list_uri(entry: str) -> bool:
    """Tell whether an entry names a file; anything else is a connection id."""
    return "/" in entry or suffix_of(entry) in _READERS


def suffix_of(name: str) -> str:
    """Return a file's kind by its name, in lower case with the dot."""
    return PurePosixPath(name).suffix.lower()


def _chosen(header: Iterable[object]) -> list[int]:
    """Return the positions of the columns that hold addresses or domains."""
    return [place for place, name in enumerate(header) if str(name).strip().lower() in _COLUMNS]


def _lacking(path: Any) -> SuppressionError:
    return SuppressionError(f"{path} has none of the columns {', '.join(_COLUMNS)}.")


def _text(path: Any) -> TextIOWrapper:
    # The mark that spreadsheets put at the beginning is none of the first address.
    return TextIOWrapper(path.open("rb"), encoding="utf-8-sig", newline="")


def _lines(path: Any) -> Iterator[Row]:
    with _text(path) as file:
        yield from ((place, [line]) for place, line in enumerate(file, start=1) if line.strip())


def _csv(path: Any) -> Iterator[Row]:
    with _text(path) as file:
        sample = file.read(_SAMPLE)
        file.seek(0)
        first = sample.lstrip().partition("\n")[0]
        delimiter = max(_DELIMITERS, key=first.count)
        rows = csv.reader(file, delimiter=delimiter)
        columns: list[int] | None = None
        try:
            for row in rows:
                if not any(cell.strip() for cell in row):
                    continue
                if columns is None:
                    columns = _chosen(row)
                    if columns:
                        continue
                    if len(row) > 1:
                        raise _lacking(path)
                    columns = [0]
                yield rows.line_num, [row[place] for place in columns if place < len(row)]
        except csv.Error:
            raise SuppressionError(f"{path}, line {rows.line_num}: no readable CSV.") from None


def _parquet(path: Any) -> Iterator[Row]:
    file = open_parquet(path)
    try:
        names = file.schema_arrow.names
        if not (columns := [names[place] for place in _chosen(names)]):
            raise _lacking(path)
        place = 0
        for batch in file.iter_batches(batch_size=10_000, columns=columns):
            cells = [column.to_pylist() for column in batch.columns]
            for row in zip(*cells, strict=True):
                place += 1
                yield place, [str(cell) for cell in row if cell is not None]
    finally:
        file.close(force=True)


def _jsonl(path: Any) -> Iterator[Row]:
    for place, (line,) in _lines(path):
        try:
            held = msgspec.json.decode(line)
        except msgspec.DecodeError:
            raise SuppressionError(f"{path}, line {place}: no JSON.") from None
        if isinstance(held, Mapping):
            held = [value for name, value in held.items() if str(name).strip().lower() in _COLUMNS]
        values = held if isinstance(held, list) else [held]
        yield place, [value for value in values if isinstance(value, str)]


_READERS: Final[Mapping[str, Callable[[Any], Iterator[Row]]]] = {
    ".csv": _csv, ".txt": _lines, ".parquet": _parquet, ".jsonl": _jsonl,
}  # fmt: skip
