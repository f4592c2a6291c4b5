"""Lists of addresses as people hand them over: in place, or as a file. No message repeats what stands in them."""

from __future__ import annotations

import ast
import csv
import io
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from airflow_providers_leads.leads.files.staging import StagingError, as_path, open_parquet
from airflow_providers_leads.leads.model.identity import email_key

COLUMNS: Final = ("email_key", "email", "e-mail", "mail", "email address", "e_mail")
"""Names of the column with the address, the first that is there counts; letter case doesn't matter."""

_NO_COLUMN: Final = f"has no column with addresses; it must be called {' or '.join(COLUMNS[:2])}"


def read_addresses(name: str, value: Any, path_of: Callable[[str], Any] = as_path) -> list[Any]:
    """Return the addresses of a list, of its text, or of a file, unchecked and in their order.

    :param name: of the argument, for messages
    :param value: a list; text of a list, as a template gives it; one address; or the URI of a ``.csv``, ``.txt``,
        ``.jsonl`` or ``.parquet`` file
    :param path_of: URI → path object
    :raises StagingError: naming the file that can't be read
    :raises ValueError: for anything else
    """
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            return _listed(name, text)
        ending = text.rpartition(".")[2].lower()
        if ending in _READERS and not email_key(text):
            return _from_file(path_of(text), _READERS[ending])
        if email_key(text):
            return [text]
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, dict)):
        return list(value)
    raise ValueError(f"{name} must be a list of addresses, or the URI of a {', '.join(f'.{e}' for e in _READERS)} file")


def _listed(name: str, text: str) -> list[Any]:
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError):
            continue
        if isinstance(found, list):
            return found
    raise ValueError(f"{name} begins like a list, but is none")


def _from_file(path: Any, read: Callable[[Any], list[Any]]) -> list[Any]:
    problem = "can't be read"
    try:
        return read(path)
    except FileNotFoundError:
        problem = "does not exist"
    except _NoColumnError:
        problem = _NO_COLUMN
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        if isinstance(error, StagingError):
            raise
    raise StagingError(f"{path} {problem}.") from None


class _NoColumnError(ValueError):
    """The names of the columns are not shown: without a header they are somebody's address."""


def _column(names: Iterable[Any]) -> Any:
    """Return the name of the column with the address."""
    known = {str(name).strip().lower(): name for name in names}
    found = next((known[wanted] for wanted in COLUMNS if wanted in known), None)
    if found is None:
        raise _NoColumnError
    return found


def _text(path: Any) -> str:
    content: bytes = path.read_bytes()
    return content.decode("utf-8-sig")


def _txt(path: Any) -> list[Any]:
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def _csv(path: Any) -> list[Any]:
    content = _text(path)
    head = content.partition("\n")[0]
    # Spreadsheets of half of Europe separate by semicolon.
    rows = [row for row in csv.reader(io.StringIO(content), delimiter=";" if ";" in head else ",") if any(row)]
    if rows and len(rows[0]) == 1 and email_key(rows[0][0]):
        return [row[0] for row in rows]
    place = rows[0].index(_column(rows[0])) if rows else 0
    return [row[place] if place < len(row) else None for row in rows[1:]]


def _jsonl(path: Any) -> list[Any]:
    rows = [json.loads(line) for line in _text(path).splitlines() if line.strip()]
    if all(isinstance(row, str) for row in rows):
        return rows
    if not all(isinstance(row, dict) for row in rows):
        raise _NoColumnError
    return [row[_column(row)] for row in rows]


def _parquet(path: Any) -> list[Any]:
    file = open_parquet(path)
    try:
        column = _column(file.schema_arrow.names)
        values: list[Any] = file.read(columns=[column]).column(0).to_pylist()
        return values
    finally:
        file.close(force=True)


_READERS: Final[dict[str, Callable[[Any], list[Any]]]] = {
    "csv": _csv,
    "txt": _txt,
    "jsonl": _jsonl,
    "parquet": _parquet,
}
