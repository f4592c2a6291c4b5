"""Where a sync's memory lies: numbered generations, a pointer that moves last, and the marks of runs that write.

::

    <folder>/current.json              the generation that counts, and the key of the hashes
    <folder>/generation-000007.json    what was read when, by connection; names its files
    <folder>/generation-000007.parquet one row per record, see :mod:`…memory.table`
    <folder>/writing/<run>.json        plans of a run that writes, until its results are remembered
    <folder>/erased.json               hashes of people who were erased and stay out

A killed run leaves the old generation or the new one, never half of one: each file appears when it is complete, and
``current.json`` is the last.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from airflow_providers_leads.leads.files.places import files_below, remove
from airflow_providers_leads.leads.files.staging import StagingError, appearing, as_path, is_local, open_parquet
from airflow_providers_leads.leads.files.stores import is_store_error, store_problem
from airflow_providers_leads.leads.memory.hashing import keyed

VERSION: Final = 2
_CURRENT: Final = "current.json"
_ERASED: Final = "erased.json"
_WRITING: Final = "writing"
_OPTION: Final = "option"
KEPT_GENERATIONS: Final = 3
"""Older ones are removed once a newer one counts."""


class SyncMemoryError(ValueError):
    """A memory can't be used; the message names it and says what to do."""


class Scope(msgspec.Struct, kw_only=True):
    """What is known of the records of one connection, or of one funnel of it.

    :param conn_id: the connection
    :param account: fingerprint of the CRM's account, ``None`` where it isn't known
    :param rows: how many records a complete read gave last, ``None``: never read completely
    :param read_at: when the last complete read began: no record was changed before it without being seen
    :param seen_at: when the last read of any kind began
    """

    conn_id: str
    account: str | None = None
    rows: int | None = None
    read_at: datetime | None = None
    seen_at: datetime | None = None


class Gap(msgspec.Struct, kw_only=True):
    """A property of a scope's records was not read for a while.

    :param until: when a read of it began last before that: what is another value since may be so since then
    :param again: when it was read again first, ``None``: not yet. Records that were seen later have no gap
    """

    until: datetime
    again: datetime | None = None


class Kind(msgspec.Struct, kw_only=True, frozen=True):
    """What a property's values are.

    :param kind: see :class:`~airflow_providers_leads.leads.plan.property_types.PropertyType`
    :param options: what stands for those of which it is one, or several, see :func:`kind_of`; empty: not known
    """

    kind: str
    options: tuple[int, ...] = msgspec.field(default=(), name="option_hashes")


def kind_of(key: str, kind: str, options: Iterable[str]) -> Kind:
    """Return what a property's values are, without naming an option: one may be somebody's address.

    :param key: the memory's key, hexadecimal
    :param kind: see :class:`Kind`
    :param options: the values of its options
    """
    hashes = (keyed(key, _OPTION, option) for option in options)
    return Kind(kind=kind, options=tuple(sorted(each for each in hashes if each is not None)))


class Generation(msgspec.Struct, kw_only=True):
    """What a sync remembers after one of its runs.

    :param number: counts from 1
    :param version: of the form of the files
    :param sync: name of the sync
    :param run: the run after which it was written
    :param at: when
    :param since: when the sync began to remember
    :param files: names of its files of records within the folder, which a later generation may share
    :param records: how many records they hold
    :param properties: custom properties that are remembered besides the fields of a lead
    :param probe: tells whether the quick comparison of whole records is still the one of this DuckDB
    :param scopes: :func:`scope_name` → what is known of it
    :param gaps: :func:`scope_name` → property that was not read for a while, until a complete read has it again
    :param looks: the same → when a plan last looked at what a CRM holds that no merge reads
    :param accounts: the same → fingerprint of the account that was read or written to last
    :param kinds: the same → property → what its values are
    :param made_with: tells whether its hashes were made with a key, see :func:`mark_of_key`; empty in older ones
    """

    number: int
    version: int = VERSION
    sync: str
    run: str
    at: datetime
    since: datetime
    files: list[str]
    records: int
    properties: list[str] = []
    probe: str
    scopes: dict[str, Scope] = {}
    gaps: dict[str, dict[str, Gap]] = {}
    looks: dict[str, datetime] = {}
    accounts: dict[str, str] = {}
    kinds: dict[str, dict[str, Kind]] = {}
    made_with: str = ""


class Erased(msgspec.Struct, kw_only=True):
    """Who was erased.

    :param hashes: of addresses
    :param made_with: see :func:`mark_of_key`
    """

    hashes: list[int]
    made_with: str = ""


class Pointer(msgspec.Struct, kw_only=True):
    """Which generation counts.

    :param generation: its number; 0: none yet
    :param key: of the hashes, hexadecimal; empty when it is kept elsewhere
    """

    generation: int = 0
    key: str = ""


class Writing(msgspec.Struct, kw_only=True):
    """What a run set out to write, noted before its first write.

    :param run: the run
    :param dag: its DAG
    :param plans: connection id → URIs of plan and results
    """

    run: str
    dag: str = ""
    plans: dict[str, list[str]] = {}


class Folder:
    """One sync's memory.

    :param uri: URI or path object of its folder
    :param key: of the hashes when it is kept apart from the files; default: with the pointer
    :param path_of: makes a path object of a URI, with the credentials of whoever it names
    """

    def __init__(self, uri: Any, key: str | None = None, path_of: Callable[[str], Any] = as_path) -> None:
        self.path = as_path(uri)
        self._key = key
        self._path_of = path_of

    @property
    def name(self) -> str:
        """Name of the sync."""
        return str(self.path.name)

    def open(self) -> None:
        """Make the folder, its key and its pointer unless they are there; told before the first request.

        :raises SyncMemoryError: when it can't be written, or can't keep out any more who was erased
        """
        try:
            known = self._read(_CURRENT, Pointer)
            if known is None or not (known.key or self._key):
                self._write(_CURRENT, Pointer(key="" if self._key else secrets.token_hex(16)))
        except StagingError as error:
            raise SyncMemoryError(f"memory: {error} All workers must be able to write there.") from None
        except OSError as error:
            raise SyncMemoryError(
                f"memory {self.path} can't be written ({error.strerror or type(error).__name__}): give a folder that "
                "all workers can write to"
            ) from None
        if self._erased().made_with not in ("", mark_of_key(self.key)):
            raise SyncMemoryError(
                f"memory {self.path}: its key is another one (the option [leads] memory_key, or current.json), so that "
                "people who were erased would be made again. Give the former key back; or remove erased.json there and "
                "erase these people once more with LeadsEraseOperator(memories=…)."
            )

    def pointer(self) -> Pointer:
        """Return which generation counts."""
        found = self._read(_CURRENT, Pointer)
        return found or Pointer()

    @property
    def key(self) -> str:
        """Key of the hashes."""
        return self._key or self.pointer().key

    def current(self) -> tuple[Generation | None, str | None]:
        """Return the generation that counts, or why there is none that can be used."""
        pointer = self.pointer()
        if not pointer.generation:
            return None, "there is none yet"
        name = f"generation-{pointer.generation:06}.json"
        found = self._read(name, Generation)
        if found is None:
            return None, f"{name} is missing or damaged"
        if found.version != VERSION:
            return None, f"{name} is of version {found.version}, this package writes {VERSION}"
        if found.made_with not in ("", mark_of_key(self.key)):
            return None, f"{name} was made with another key: [leads] memory_key or current.json has changed"
        try:
            rows = sum(_rows_of(self.path / file) for file in found.files)
        except StagingError as error:
            return None, str(error)
        if rows != found.records:
            return None, f"{', '.join(found.files)}: {rows} records where {name} says {found.records}"
        return found, None

    def publish(self, generation: Generation) -> None:
        """Let a generation count, whose files are written; older ones go."""
        self._write(f"generation-{generation.number:06}.json", generation)
        self._write(_CURRENT, msgspec.structs.replace(self.pointer(), generation=generation.number))
        self.prune()

    def prune(self, keep: int = KEPT_GENERATIONS) -> None:
        """Remove generations that don't count any more, but for the last ones.

        :param keep: how many stay, the one that counts among them
        """
        last = f"generation-{self.pointer().generation:06}"
        names = sorted(str(path.name) for path in self.path.glob("generation-*.json"))
        kept: set[str] = set()
        for name in [name for name in names if name <= f"{last}.json"][-keep:]:
            older = self._read(name, Generation)
            kept |= {name, *(older.files if older else ())}
        for path in self.path.glob("generation-*"):
            # What is newer than what counts is another run's, or what a killed one left; it will be written over.
            if str(path.name) not in kept and str(path.name)[: len(last)] <= last:
                remove(path)

    def forget(self) -> None:
        """Remove everything, erased people's hashes and the key included."""
        for path in [*self.path.glob("*.*"), *(self.path / _WRITING).glob("*.json")]:
            remove(path)

    # Runs that write --------------------------------------------------------------------------------------------------

    def writing(self) -> list[Writing]:
        """Return what runs set out to write whose results are not remembered yet, in the order of their names."""
        names = sorted(str(path.name) for path in files_below(self.path / _WRITING))
        marks = [self._read(f"{_WRITING}/{name}", Writing) for name in names if name.endswith(".json")]
        return [mark for mark in marks if mark is not None]

    def begin(self, mark: Writing) -> None:
        """Note what a run sets out to write; several tasks of a run add to one mark each under their own name."""
        self._write(_mark_name(mark), mark)

    def plans(self, marks: Iterable[Writing]) -> list[tuple[Any, Any]]:
        """Return path objects of the plans and results that marks name."""
        pairs = [pair for mark in marks for pair in mark.plans.values()]
        return [(self.path_to(plan), self.path_to(results)) for plan, results in pairs]

    def path_to(self, uri: str) -> Any:
        """Return the path object of a run's file."""
        return self._path_of(uri)

    def settle(self, marks: Iterable[Writing]) -> None:
        """Remove marks whose results are remembered."""
        for mark in marks:
            remove(self.path / _mark_name(mark))

    def token(self) -> str:
        """Return what is another text once another run has written or remembered."""
        # Nothing that Jinja's native rendering would take for a number or a list.
        return "|".join([f"generation {self.pointer().generation}", *sorted({mark.run for mark in self.writing()})])

    # People who were erased -------------------------------------------------------------------------------------------

    def erased(self) -> frozenset[int]:
        """Return the hashes of people who were erased."""
        return frozenset(self._erased().hashes)

    def erase(self, hashes: Sequence[int]) -> None:
        """Keep people out from now on."""
        self._write(_ERASED, Erased(hashes=sorted(self.erased() | set(hashes)), made_with=mark_of_key(self.key)))

    def _erased(self) -> Erased:
        found = self._read(_ERASED, list[int] | Erased)
        # Older versions wrote the hashes alone.
        return found if isinstance(found, Erased) else Erased(hashes=found or [])

    # Files ------------------------------------------------------------------------------------------------------------

    def _read(self, name: str, kind: Any) -> Any:
        path = self.path / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        except Exception as error:
            if is_local(path) or not is_store_error(error):
                raise
            raise SyncMemoryError(f"memory: {store_problem(path, error)}") from None

    def _write(self, name: str, content: Any) -> None:
        with appearing(self.path / name) as part:
            part.write_bytes(msgspec.json.encode(content, enc_hook=datetime.isoformat))


def mark_of_key(key: str) -> str:
    """Return what tells of a key whether it is another one, and doesn't give it away."""
    return hashlib.sha256(f"leads memory\x1f{key}".encode()).hexdigest()[:16]


def _rows_of(path: Any) -> int:
    """Return the number of records in a file.

    :raises StagingError: when it is missing, damaged or holds something else
    """
    with open_parquet(path, ("source", "source_scope", "source_id", "person", "email_hash", "made")) as file:
        return file.num_rows


def _mark_name(mark: Writing) -> str:
    plans = "\x1f".join([mark.run, *(plan for plan, _ in mark.plans.values())])
    return f"{_WRITING}/{hashlib.sha256(plans.encode()).hexdigest()[:16]}.json"


def scope_name(source: str, source_scope: str) -> str:
    """Return under which name a generation tells of the records of one source and scope."""
    return f"{source}|{source_scope}"
