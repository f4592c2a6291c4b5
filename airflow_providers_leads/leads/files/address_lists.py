"""Lists of addresses and domains as people hand them over, in place or as a file: whom not to write, whom to erase.

An entry is read, or the list is refused with the line that holds it. No message repeats what stands in a list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from airflow_providers_leads.leads.files.list_columns import ListProblemError, Role, role_of, roles_of, row_entries
from airflow_providers_leads.leads.files.list_entries import Entry, entries_in
from airflow_providers_leads.leads.files.list_text import decoded, text_rows
from airflow_providers_leads.leads.files.parquet import open_parquet, python_values
from airflow_providers_leads.leads.files.places import StagingError, as_path
from airflow_providers_leads.leads.model.values import shown_in

# What people put in place of a list; it is said what to do rather than that there is no such connection.
_NO_LISTS: Final = frozenset({".xlsx", ".xls", ".xlsm", ".ods", ".numbers", ".gz", ".zip", ".pdf", ".doc", ".docx"})


class AddressListError(StagingError):
    """A list can't be used; the message names the file and the line, never what stands in it."""


class ListRow(NamedTuple):
    """One row of a list.

    :param where: the line or row, for messages
    :param entries: whom it names
    :param sure: false for several cells with addresses whose columns have no names: one may be somebody else's
    """

    where: str
    entries: list[Entry]
    sure: bool = True


def read_list(uri: Any) -> Iterator[ListRow]:
    """Yield the rows of a file of addresses and domains.

    ``.csv``, ``.tsv`` and ``.txt`` may be of any dialect and encoding that spreadsheets write, with or without names of
    their columns; ``.txt`` holds one entry a line as a rule. ``.jsonl`` and ``.json`` hold texts, objects, or lists of
    them. Columns and keys with addresses are called ``email`` or something like it, those with domains ``domain``.

    :param uri: URI or path object
    :raises AddressListError: naming the file, and the line that names nobody or can't be read
    """
    path = as_path(uri)
    kind = suffix_of(path.name)
    if (reader := _READERS.get(kind)) is None:
        raise AddressListError(
            f"{path} must be a file of one of the kinds {', '.join(_READERS)}. Save a spreadsheet as CSV (UTF-8)."
        )
    unit = _UNITS.get(kind, "line")
    place: int | None = None
    try:
        for place, cells in reader(path):
            named = sum(role is Role.UNNAMED and "@" in cell for role, cell in cells)
            yield ListRow(f"{unit} {place}", row_entries(cells), sure=named < 2)
            place = None
    except FileNotFoundError:
        raise AddressListError(f"{path} does not exist: a list that was asked for and can't be read.") from None
    except ListProblemError as error:
        where = f", line {error.line}" if error.line else f", {unit} {place}" if place else ""
        raise AddressListError(
            f"{path}{where}: {error}. Mend or remove it: whoever it means would be passed over otherwise."
        ) from None
    except (UnicodeError, OSError):
        raise AddressListError(f"{path} can't be read as text. Save it as UTF-8.") from None


def is_list_uri(entry: str) -> bool:
    """Tell whether an entry names a file; anything else is a connection id."""
    return "/" in entry or suffix_of(entry) in _READERS or suffix_of(entry) in _NO_LISTS


def suffix_of(name: str) -> str:
    """Return a file's kind by its name, in lower case with the dot."""
    return PurePosixPath(name).suffix.lower()


def read_addresses(name: str, value: Any, path_of: Callable[[str], Any] = as_path) -> list[Any]:
    """Return the addresses of a list, of its text, or of a file, in their order.

    :param name: of the argument, for messages
    :param value: a list; text of a list, as a template gives it; one address; or the URI of a file, see
        :func:`read_list`
    :param path_of: URI → path object
    :return: addresses without what wraps them; ``None`` for what is none in a list that was given in place
    :raises AddressListError: naming the file, and the line that is no address, or a whole domain
    :raises ValueError: for anything else
    """
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            return _in_place(_listed(name, text))
        entries = entries_in(text) if "@" in text else None
        if entries and not any(entry.is_domain for entry in entries):
            return [entry.written for entry in entries]
        if is_list_uri(text):
            return list(_addresses_of(path_of(text)))
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)):
        return _in_place(value)
    raise ValueError(f"{name} must be a list of addresses, or the URI of a {', '.join(_READERS)} file")


def _in_place(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        entries = (entries_in(value) if isinstance(value, str) else None) or ()
        people = [entry.written for entry in entries if not entry.is_domain]
        found += people if people and len(people) == len(entries) else [None]
    return found


def _addresses_of(path: Any) -> Iterator[str]:
    for where, entries, sure in read_list(path):
        if any(entry.is_domain for entry in entries):
            raise AddressListError(f"{path}, {where}: a whole domain, where addresses of people are needed.")
        if not sure and len({entry.key for entry in entries}) > 1:
            raise AddressListError(
                f"{path}, {where}: several addresses in columns without names. Name those of the people meant email."
            )
        yield from (entry.written for entry in entries)


def _listed(name: str, text: str) -> list[Any]:
    for found in shown_in(text):
        if isinstance(found, list):
            return found
    raise ValueError(f"{name} begins like a list, but is none")


Rows = Iterator[tuple[int, list[tuple[Role, str]]]]


def _jsonl(path: Any) -> Rows:
    with decoded(path) as file:
        for place, line in enumerate(file, start=1):
            if line.strip():
                for value in _items(_json(line, place)):
                    yield place, _cells(value)


def _whole_json(path: Any) -> Rows:
    with decoded(path) as file:
        found = _json(file.read(), None)
    for place, value in enumerate(_items(found), start=1):
        yield place, _cells(value)


def _json(text: str, line: int | None) -> Any:
    try:
        # As pairs: of two keys of one name a dict would drop the first.
        return json.loads(text, object_pairs_hook=tuple)
    except json.JSONDecodeError as error:
        raise ListProblemError("no JSON", line or error.lineno) from None
    except RecursionError:
        raise ListProblemError("no list of addresses", line) from None


def _items(value: Any) -> Iterator[Any]:
    """Yield the rows of a JSON value: those of a list, also of one that stands alone within an object."""
    if isinstance(value, tuple) and not any(_is_named(key) for key, _ in value):
        lists = [inner for _, inner in value if isinstance(inner, list) and inner]
        value = lists[0] if len(lists) == 1 else value
    if isinstance(value, list):
        for each in value:
            yield from _items(each) if isinstance(each, list) else [each]
    else:
        yield value


def _is_named(key: str) -> bool:
    return role_of(key) in (Role.ADDRESS, Role.DOMAIN)


def _cells(value: Any) -> list[tuple[Role, str]]:
    """Return a row of JSON or Parquet as cells."""
    if not isinstance(value, tuple):
        return [(Role.ADDRESS, value)] if isinstance(value, str) else []
    pairs = list(_pairs(value))
    roles = roles_of([key for key, _ in pairs])
    return list(zip(roles or [Role.UNKNOWN] * len(pairs), (text for _, text in pairs), strict=True))


def _pairs(value: tuple[tuple[str, Any], ...]) -> Iterator[tuple[str, str]]:
    for key, inner in value:
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, tuple):
                yield from _pairs(each)
            elif each is not None:
                yield key, each if isinstance(each, str) else json.dumps(each, default=str)


def _parquet(path: Any) -> Rows:
    with open_parquet(path) as file:
        place = 0
        for batch in file.iter_batches():
            names = batch.schema.names
            columns = (python_values(column, name, path) for name, column in zip(names, batch.columns, strict=True))
            for row in zip(*columns, strict=True):
                place += 1
                # As pairs: of two columns of one name a dict would drop the first.
                yield place, _cells(tuple(zip(names, map(_as_pairs, row), strict=True)))


def _as_pairs(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((name, _as_pairs(inner)) for name, inner in value.items())
    return [_as_pairs(inner) for inner in value] if isinstance(value, list) else value


def _txt(path: Any) -> Rows:
    return text_rows(path, lines=True)


def _tsv(path: Any) -> Rows:
    return text_rows(path, delimiter="\t")


_READERS: Final[dict[str, Callable[[Any], Rows]]] = {
    ".csv": text_rows, ".tsv": _tsv, ".txt": _txt, ".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _whole_json,
    ".parquet": _parquet,
}  # fmt: skip
_UNITS: Final = {".parquet": "row", ".json": "entry"}
