"""A user's function over a file of leads, batch by batch: which of them to keep, or what to change in them.

Whatever the function does, nobody gets mail for it: who has opted out or bounced stays in the file, and stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal, get_args

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_providers_leads.leads.files.places import open_file
from airflow_providers_leads.leads.files.staging import (
    appearing_as_own,
    as_path,
    open_parquet,
    written_by,
)
from airflow_providers_leads.leads.merge.components import RECORD
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, STICKY_FIELDS, Lead, arrow_schema, text
from airflow_providers_leads.leads.model.values import plain

Form = Literal["dicts", "arrow"]
FORMS: Final[tuple[str, ...]] = get_args(Form)
BATCH_ROWS: Final = 1_000

_TEXTS: Final = frozenset(LEAD_COLUMNS) - {*RECORD, *STICKY_FIELDS, "email_key", "created_at", "updated_at"}


class FunctionError(ValueError):
    """A function returned what can't be used; the message names the row by its number and nothing of its content."""


def filter_leads(
    source: Any,
    target: Any,
    function: Callable[[Any], Any],
    *,
    form: Form = "dicts",
    batch_rows: int = BATCH_ROWS,
    progress: Callable[[int], None] = lambda rows: None,
) -> dict[str, int]:
    """Write the leads of a file that a function wants to keep into another.

    Records that say that somebody opted out or bounced are kept in any case: other records of that person would
    otherwise be written as if nothing had been said.

    :param source: URI or path object of the file
    :param target: of the file to write; it appears only when it is complete
    :param function: takes a batch and returns true or false for each of its leads, in their order
    :param form: of a batch: ``dicts`` (a list of one dict per lead) or ``arrow`` (a ``pyarrow.Table``)
    :param batch_rows: leads per batch
    :param progress: called with the number of leads read so far
    :return: ``rows`` written, ``dropped``, ``protected`` (kept against the function's word) and ``rejects`` (written
        rows without a usable address)
    :raises FunctionError: when the function returned something else
    :raises StagingError: when the file can't be used
    """
    counts = {"rows": 0, "dropped": 0, "protected": 0, "rejects": 0}
    with _batches(source, batch_rows) as (schema, batches), _writer(target, schema) as write:
        for first, batch in batches:
            wanted = _mask(_call(function, batch, form, first), batch.num_rows, first)
            marked = [pc.fill_null(batch[name], False) for name in STICKY_FIELDS]
            protected = pc.and_not(pc.or_(*marked), wanted)
            kept = batch.filter(pc.or_(wanted, protected))
            write(kept)
            counts["rows"] += kept.num_rows
            counts["dropped"] += batch.num_rows - kept.num_rows
            counts["protected"] += pc.sum(protected.cast(pa.int64())).as_py() or 0
            counts["rejects"] += kept["email_key"].null_count
            progress(first + batch.num_rows - 1)
    return counts


def map_leads(
    source: Any,
    target: Any,
    function: Callable[[Any], Any],
    *,
    form: Form = "dicts",
    batch_rows: int = BATCH_ROWS,
    progress: Callable[[int], None] = lambda rows: None,
) -> dict[str, int]:
    """Write the leads of a file into another, as a function changes them.

    What the function leaves out stays as it is. It can't change which record a row is (``source``, ``source_scope``,
    ``source_id``), nor take back that somebody opted out or bounced; ``email_key`` follows from ``email``.

    :param function: takes a batch and returns one of as many leads in the same order: dicts of the fields to change, or
        a table of the columns to change
    :return: ``rows`` written, how many of them are ``changed``, and ``rejects`` (rows without a usable address)

    The other parameters and errors are those of :func:`filter_leads`.
    """
    counts = {"rows": 0, "changed": 0, "rejects": 0}
    with _batches(source, batch_rows) as (schema, batches), _writer(target, schema) as write:
        for first, batch in batches:
            before = batch.select(list(LEAD_COLUMNS))
            returned = _call(function, batch, form, first)
            given = _from_dicts(returned, before, first) if form == "dicts" else _from_arrow(returned, before, first)
            after = _with_rules(before, given, first)
            for name, column in after.items():
                place = batch.schema.get_field_index(name)
                batch = batch.set_column(place, schema.field(place), column.cast(schema.field(place).type))
            write(batch)
            counts["rows"] += batch.num_rows
            counts["changed"] += _differing(before, batch)
            counts["rejects"] += batch["email_key"].null_count
            progress(first + batch.num_rows - 1)
    return counts


@contextmanager
def _batches(source: Any, rows: int) -> Iterator[tuple[pa.Schema, Iterator[tuple[int, pa.Table]]]]:
    """Yield a file's schema, and its batches with the number of their first row, counted from 1."""
    file = open_parquet(source, LEAD_COLUMNS)

    def tables() -> Iterator[tuple[int, pa.Table]]:
        first = 1
        for batch in file.iter_batches(batch_size=rows):
            yield first, pa.Table.from_batches([batch])
            first += batch.num_rows

    try:
        yield file.schema_arrow, tables()
    finally:
        file.close()


@contextmanager
def _writer(target: Any, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    # Else it would pass for the file of the task that wrote what is read.
    owner = {name.encode(): value.encode() for name, value in written_by().items()}
    owned = schema.with_metadata({**(schema.metadata or {}), **owner})
    with (
        appearing_as_own(as_path(target)) as part,
        open_file(part, "wb") as file,
        pq.ParquetWriter(file, owned, compression="zstd") as parquet,
    ):
        yield parquet.write_table


def _call(function: Callable[[Any], Any], batch: pa.Table, form: Form, first: int) -> Any:
    leads = batch.select(list(LEAD_COLUMNS))
    try:
        return function(leads.to_pylist() if form == "dicts" else leads)
    except Exception as error:
        where = f"rows {first} to {first + batch.num_rows - 1}"
        if isinstance(error, ValueError):
            # Of ours the message says it all; of the user's own the traceback must not get lost.
            raise RuntimeError(f"the function failed in {where} with a {type(error).__name__}") from error
        error.add_note(f"The function failed in {where}.")
        raise


def _mask(returned: Any, rows: int, first: int) -> pa.ChunkedArray:
    values = plain(returned)
    if not isinstance(values, list):
        raise FunctionError(
            f"the function must return a list of true or false, one for each lead, and returned {_kind(returned)}"
        )
    _check_length(len(values), rows, first)
    for number, value in enumerate(values, start=first):
        if not isinstance(value, bool):
            raise FunctionError(f"row {number}: the function must return true or false and returned {_kind(value)}")
    return pa.chunked_array([pa.array(values, pa.bool_())])


def _from_dicts(returned: Any, before: pa.Table, first: int) -> dict[str, pa.ChunkedArray]:
    """Return the changed columns of what a function returned as dicts."""
    changes = plain(returned)
    if not isinstance(changes, list):
        raise FunctionError(
            f"the function must return a list of dicts, one for each lead, and returned {_kind(returned)}"
        )
    _check_length(len(changes), before.num_rows, first)
    after = []
    for number, (lead, change) in enumerate(zip(before.to_pylist(), changes, strict=True), start=first):
        if not isinstance(change, Mapping):
            raise FunctionError(f"row {number}: the function must return a dict and returned {_kind(change)}")
        _check_names(change, f"row {number}: ")
        merged = lead | dict(change)
        try:
            row = msgspec.convert(merged, Lead)
        except msgspec.ValidationError as error:
            # It tells the type and the field, and nothing of the value.
            raise FunctionError(f"row {number}: the function returned what is no lead: {error}") from None
        if any(time is not None and time.tzinfo is None for time in (row.created_at, row.updated_at)):
            raise FunctionError(f"row {number}: created_at and updated_at must have a time zone")
        after.append(merged)
    return {
        field.name: pa.chunked_array([pa.array([row[field.name] for row in after], type=field.type)])
        for field in arrow_schema()
    }


def _from_arrow(returned: Any, before: pa.Table, first: int) -> dict[str, pa.ChunkedArray]:
    """Return the changed columns of what a function returned as a table."""
    if isinstance(returned, pa.RecordBatch):
        returned = pa.Table.from_batches([returned])
    if not isinstance(returned, pa.Table):
        raise FunctionError(f"the function must return a pyarrow.Table and returned {_kind(returned)}")
    _check_length(returned.num_rows, before.num_rows, first)
    _check_names(returned.column_names, "")
    columns = {}
    for field in arrow_schema():
        if field.name not in returned.column_names:
            continue
        given = returned[field.name]
        try:
            columns[field.name] = given.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            # Its own text quotes the value.
            raise FunctionError(
                f"the function returned the column {field.name!r} as {given.type}; it must be {field.type}"
            ) from None
    return columns


def _with_rules(before: pa.Table, given: dict[str, pa.ChunkedArray], first: int) -> dict[str, pa.ChunkedArray]:
    """Return the changed columns after what a function must not do was refused, and the address keys made anew."""
    after = dict(given)
    for name in RECORD:
        _refuse(first, before, after.pop(name, None), name, lambda old, new: old != new, "says which record it is")
    for name in STICKY_FIELDS:
        _refuse(first, before, after.get(name), name, lambda old, new: old is True and new is not True, "stays true")
    for name in _TEXTS & after.keys():
        column = [text(value) for value in after[name].to_pylist()]
        after[name] = pa.chunked_array([pa.array(column, pa.string())])
    _check_properties(after.get("properties"), first)
    keys, emails = before["email_key"].to_pylist(), before["email"].to_pylist()
    changed = after["email"].to_pylist() if "email" in after else emails
    new_keys = [
        key if old == new else email_key(new) for key, old, new in zip(keys, emails, changed, strict=True)
    ]  # fmt: skip
    # Given as it was, or as it follows from the new address, a key is no change of its own.
    asked = after["email_key"].to_pylist() if "email_key" in after else keys
    for number, (old, wanted, new) in enumerate(zip(keys, asked, new_keys, strict=True), start=first):
        if wanted not in (old, new):
            raise FunctionError(f"row {number}: email_key follows from email: change that")
    after["email_key"] = pa.chunked_array([pa.array(new_keys, pa.string())])
    return after


def _refuse(
    first: int, before: pa.Table, column: Any, name: str, forbidden: Callable[[Any, Any], bool], why: str
) -> None:
    if column is None:
        return
    for number, (old, new) in enumerate(zip(before[name].to_pylist(), column.to_pylist(), strict=True), start=first):
        if forbidden(old, new):
            raise FunctionError(f"row {number}: the function must not change {name!r}: it {why}")


def _check_properties(column: Any, first: int) -> None:
    for number, value in enumerate(column.to_pylist() if column is not None else (), start=first):
        try:
            if value is not None:
                msgspec.json.decode(value, type=dict[str, Any])
        except msgspec.DecodeError:
            raise FunctionError(f"row {number}: properties must be the text of a JSON object") from None


def _check_length(given: int, rows: int, first: int) -> None:
    if given != rows:
        raise FunctionError(
            f"rows {first} to {first + rows - 1}: the function was given {rows} leads and returned {given}; it must "
            "return as many, in the same order"
        )


def _check_names(names: Any, where: str) -> None:
    for name in names:
        if name not in LEAD_COLUMNS:
            told = f" {name!r}" if isinstance(name, str) and name.isidentifier() else ""
            raise FunctionError(f"{where}the function returned the unknown field{told}; a lead has {LEAD_COLUMNS}")


def _differing(before: pa.Table, after: pa.Table) -> int:
    rows = after.select(before.column_names)
    if rows.equals(before):
        return 0
    return sum(old != new for old, new in zip(before.to_pylist(), rows.to_pylist(), strict=True))


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
