"""Leads as files for other programs: CSV, JSON and JSON Lines, by the name of the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

import msgspec

from airflow_providers_leads.leads.files.places import open_file
from airflow_providers_leads.leads.files.staging import appearing, as_path, read_rows
from airflow_providers_leads.leads.model.schema import Lead

_BATCH_ROWS: Final = 5_000


def form_of(name: str) -> str | None:
    """Return the ending of a file's name that says how leads are written, an empty text when it has none.

    :param name: the last part of a path or URI
    :return: ``None`` for an ending that says nothing of the kind
    """
    low = name.lower()
    if "." not in low.lstrip("."):
        return ""
    return next((ending for ending in ENDINGS if low.endswith(ending)), None)


def export_leads(source: Any, target: Any) -> int:
    """Write a Parquet file of leads in the form that the target's name says, and return how many there are.

    :param source: URI or path object of the Parquet file
    :param target: of the file, which appears when it is complete; its name ends in ``.csv``, ``.json`` or ``.jsonl``
    """
    path, count = as_path(target), 0
    with appearing(path) as part, open_file(part, "wb") as file:
        rows = read_rows(source, Lead)
        for chunk, number in _FORMS[form_of(path.name) or ""](rows):
            file.write(chunk)
            count += number
    return count


def _csv(rows: Iterable[Lead]) -> Iterator[tuple[bytes, int]]:
    yield _line(Lead.__struct_fields__), 0
    for lead in rows:
        yield _line([_text(value) for value in msgspec.structs.astuple(lead)]), 1


def _line(values: Iterable[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(values)
    return buffer.getvalue().encode()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _json_lines(rows: Iterable[Lead]) -> Iterator[tuple[bytes, int]]:
    left = map(_object, rows)
    while some := list(islice(left, _BATCH_ROWS)):
        yield _ENCODER.encode_lines(some), len(some)


def _json(rows: Iterable[Lead]) -> Iterator[tuple[bytes, int]]:
    before = b"[\n"
    for lead in rows:
        yield before + _ENCODER.encode(_object(lead)), 1
        before = b",\n"
    yield (b"[]\n" if before == b"[\n" else b"\n]\n"), 0


def _object(lead: Lead) -> dict[str, Any]:
    found = msgspec.structs.asdict(lead)
    # What other systems hold is theirs: it is handed on as it stands.
    return found | {"properties": msgspec.Raw(lead.properties.encode()) if lead.properties else {}}


_ENCODER: Final = msgspec.json.Encoder()
_FORMS: Final[Mapping[str, Callable[[Iterable[Lead]], Iterator[tuple[bytes, int]]]]] = {
    ".csv": _csv,
    ".json": _json,
    ".jsonl": _json_lines,
}
ENDINGS: Final = (*_FORMS, ".parquet")
"""Endings of the files that leads can be written to."""
