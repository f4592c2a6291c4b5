"""Leads out of a SQL database, and rows of any of the pipeline's files into one."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
from airflow.providers.common.compat.sdk import AirflowException

from airflow_providers_leads.hooks.settings import label_for
from airflow_providers_leads.leads.files.columns import strings
from airflow_providers_leads.leads.files.staging import StagingError, open_parquet
from airflow_providers_leads.leads.sources.names import unique_names
from airflow_providers_leads.leads.sources.reading import FileOptions, table_leads
from airflow_providers_leads.leads.sources.rows import Rows, Table
from airflow_providers_leads.leads.sources.typed import cell_text, flat
from airflow_providers_leads.leads.sources.values import without_nul
from airflow_providers_leads.report.masking import mask_addresses
from airflow_providers_leads.tasks.inputs import as_list, uri_in
from airflow_providers_leads.tasks.paths import storage_path
from airflow_providers_leads.tasks.progress import phase
from airflow_providers_leads.tasks.sources.files import Writing, check_source, write_leads
from airflow_providers_leads.tasks.sources.metrics_sql import Flavour, check_table, replace_in, sql_hook
from airflow_providers_leads.tasks.sources.postgres_values import read_odd_values

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

__all__ = ["LeadsDatabaseError", "check_source", "file_to_sql", "leads_from_sql"]

_FETCHED: Final = 10_000
# So few that they are still in the processor's caches, and young enough for Python to clear away at once.
_TURNED: Final = 500
_INSERTED: Final = 1_000
_LONGEST: Final = 255
"""Characters of a file's name in a table."""
_TAIL: Final = 200
RUN, FILE, ROW = "run_id", "file", "row_number"
"""Columns that a table has beside those of the file: they say which rows a run replaces."""


class LeadsDatabaseError(AirflowException):
    """A database refused a statement, or its connection was lost; what it said is in the message, without addresses."""


@contextmanager
def masked_errors(conn_id: str, what: str) -> Iterator[None]:
    """Raise what a database's driver raises without the addresses in it: databases quote the rows that they refuse.

    :param conn_id: of the database
    :param what: has failed
    :raises LeadsDatabaseError: for any error of a driver
    """
    try:
        yield
    except Exception as error:
        # Each driver has classes of its own, of which all are some Error, as PEP 249 has it.
        if not any(kind.__name__ == "Error" for kind in type(error).__mro__):
            raise
        said = mask_addresses(" ".join(str(error).split()))
        raise LeadsDatabaseError(f"{label_for(conn_id)}: {what}: {type(error).__name__}: {said}") from None


def leads_from_sql(
    conn_id: str, sql: str, parameters: Any, uri: str, source: str, *, log: Any, **options: Any
) -> dict[str, Any]:
    """Read the rows that a query gives into a file of leads, and return what is worth knowing of it.

    :param conn_id: connection of the database
    :param sql: the query
    :param parameters: for its placeholders
    :param uri: the file of leads; rejects are written beside it
    :param source: the user's word for where they come from
    :param log: the task's logger
    :param options: how columns are mapped, see :class:`~airflow_providers_leads.leads.sources.reading.FileOptions`
    :raises StagingError: when the query gives no column of addresses
    """
    how, hook = FileOptions(**options), sql_hook(conn_id)
    name = f"sql:{conn_id}"

    def made(work: Writing) -> Iterator[Any]:
        with (
            masked_errors(conn_id, "the query failed"),
            closing(hook.get_conn()) as conn,
            closing(_cursor(hook, conn)) as cursor,
        ):
            cursor.execute(sql, parameters) if parameters else cursor.execute(sql)
            read = table_leads(_rows(cursor), how, name, source, source)
            yield from read.made
            work.add_columns(read)

    with phase(log, f"Read the leads of {conn_id}"):
        result = write_leads(uri, made, source, log)
    if not result["rows"] + result["rejects"] and (absent := _without_value(parameters)):
        log.warning(
            "%s: the query gave no row, and %s is NULL, as it is None or renders to nothing. A comparison with NULL is "
            "never true: if all rows are meant then, say so in the query, such as (%%(since)s IS NULL OR changed_at >= "
            "%%(since)s)", source, " and ".join(absent),
        )  # fmt: skip
    return result


def _without_value(parameters: Any) -> list[str]:
    """Return the names, or the places, of parameters that are NULL."""
    named = parameters.items() if isinstance(parameters, Mapping) else enumerate(parameters or (), 1)
    return [f"parameter {name!r}" for name, value in named if value is None]


def _cursor(hook: DbApiHook, conn: Any) -> Any:
    """Return a cursor that streams: some drivers would fetch everything when the query is run."""
    if hook.dialect_name == "postgresql":
        read_odd_values(conn)
        cursor = conn.cursor("leads")
        cursor.itersize = _FETCHED
        return cursor
    if hook.dialect_name in ("mysql", "mariadb"):
        with suppress(ImportError, AttributeError):
            cursors = import_module(f"{type(conn).__module__.partition('.')[0]}.cursors")
            return conn.cursor(cursors.SSCursor)
    return conn.cursor()


def _rows(cursor: Any) -> Table:
    """Return what a query gives as a table; its first rows are read, as they name the keys of inner objects."""
    # A cursor on the server knows its columns once it has fetched, and others don't fetch where there are none.
    first = None if cursor.description is not None else _fetched(cursor)
    if cursor.description is None:
        raise StagingError("sql gives no rows: it must be a query, such as SELECT email FROM people")
    names = unique_names(str(column[0]) for column in cursor.description)

    def batches() -> Iterator[Rows]:
        at = 1
        rows = _fetched(cursor) if first is None else first
        while rows:
            pieces = [_turned(rows[place : place + _TURNED], names) for place in range(0, len(rows), _TURNED)]
            yield Rows(_joined(pieces, names), range(at, at + len(rows)))
            at += len(rows)
            rows = _fetched(cursor)

    some = batches()
    return Table(names, chain([*islice(some, 1)], some))


def _fetched(cursor: Any) -> Sequence[Sequence[Any]]:
    """Return the next rows.

    :raises LeadsDatabaseError: when a driver has no Python value for one of theirs
    """
    try:
        rows: Sequence[Sequence[Any]] = cursor.fetchmany(_FETCHED)
        return rows
    except Exception as error:
        if not isinstance(error, (ValueError, ArithmeticError)) and type(error).__name__ != "DataError":
            raise
        unread = type(error).__name__
    names = ", ".join(repr(str(column[0])) for column in cursor.description or ())
    raise LeadsDatabaseError(
        f"sql: one of the columns {names} holds a value for which the driver has none in Python "
        f"({unread}), such as a date before the year 1 or after 9999. In the query, make a text of that "
        "column (CAST(… AS VARCHAR)), or NULL of such values."
    ) from None


def _turned(rows: Sequence[Sequence[Any]], names: list[str]) -> dict[str, pa.Array]:
    """Return rows as columns of text; keys of inner objects are columns of their own, and new names join the others."""
    cells: list[Sequence[Any]] = list(zip(*rows, strict=True))
    kinds = [{*map(type, values)} for values in cells]
    if any(issubclass(kind, dict) for some in kinds for kind in some):
        objects = [flat(dict(zip(names, row, strict=False))) for row in rows]
        names += [name for name in dict.fromkeys(key for row in objects for key in row) if name not in names]
        cells = [[row.get(name) for row in objects] for name in names]
        kinds = [{*map(type, values)} for values in cells]
    texts = zip(names, map(_texts, cells, kinds), strict=False)
    return {name: strings(values) for name, values in texts}


def _joined(pieces: Sequence[Mapping[str, pa.Array]], names: Sequence[str]) -> dict[str, pa.Array]:
    """Return the columns of several pieces as one."""
    if len(pieces) == 1:
        return dict(pieces[0])
    lengths = [len(next(iter(piece.values()))) for piece in pieces]
    none = pa.nulls(max(lengths), pa.string())
    return {
        name: pa.concat_arrays([piece.get(name, none[:rows]) for piece, rows in zip(pieces, lengths, strict=True)])
        for name in names
    }


def _texts(values: Sequence[Any], kinds: Collection[type]) -> Sequence[str | None]:
    """Return the cells of a column as texts, which most are already."""
    if not {*kinds} - {str, type(None)}:
        return values
    return [*map(str, values)] if {*kinds} == {int} else [cell_text(value) for value in values]


# Into a table ---------------------------------------------------------------------------------------------------------


def file_to_sql(
    inputs: Any, conn_id: str, table: str, *, key: str, run_id: str, replace: str, log: Any
) -> dict[str, Any]:
    """Write the rows of files into a table, in place of those that the same run wrote before, and return their number.

    :param inputs: URIs of Parquet files, or results of tasks
    :param conn_id: connection of the database
    :param table: its table, made when missing
    :param key: under which a result of a task names its file
    :param run_id: of the run
    :param replace: ``run``: what this run has written of these files before; ``all``: everything in the table
    :param log: the task's logger
    """
    name, hook = check_table(table), sql_hook(conn_id)
    uris = [uri for item in as_list(inputs) for uri in _uris(item, key)]
    if not uris:
        raise ValueError("input is empty: give the URI of a file, or the result of a task")
    files = {uri: open_parquet(storage_path(uri)) for uri in uris}
    try:
        schema = _one_schema(files)
        names = _names(uris)
        replaced = [{}] if replace == "all" else [{RUN: run_id, FILE: names[uri]} for uri in uris]
        schema = _named_apart(schema)
        columns = [RUN, FILE, ROW, *schema.names]
        many = "s" if len(uris) > 1 else ""
        with phase(log, f"Write {len(uris)} file{many} into {name}"), masked_errors(conn_id, f"{name} was not changed"):
            rows = replace_in(
                hook,
                name,
                columns,
                lambda target, flavour, quotes: _create(target, flavour, quotes, schema),
                replaced,
                _batches({names[uri]: file for uri, file in files.items()}, schema, run_id),
            )
    finally:
        for file in files.values():
            file.close()
    log.info("%s: %d rows into %s", conn_id, rows, name)
    return {"table": name, "rows": rows, "run_id": run_id}


def _uris(item: Any, key: str) -> list[str]:
    # Of several partitions all are meant.
    value = item.get(key) if isinstance(item, Mapping) else item
    return [uri_in(one, key) for one in as_list(value)] if value else [uri_in(item, key)]


def _names(uris: Sequence[str]) -> dict[str, str]:
    """Return what tells files apart in the table, also other tasks' and DAGs': their URIs, of long ones the end."""
    return {
        uri: uri if len(uri) <= _LONGEST else f"{hashlib.sha256(uri.encode()).hexdigest()[:16]}/{uri[-_TAIL:]}"
        for uri in uris
    }


def _one_schema(files: Mapping[str, Any]) -> pa.Schema:
    schemas = {uri: file.schema_arrow for uri, file in files.items()}
    first = next(iter(schemas.values()))
    for uri, schema in schemas.items():
        if schema.names != first.names:
            raise StagingError(f"{uri} has other columns than the file before it: write each kind into its own table.")
    return first


def _named_apart(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose names differ from each other and from our own, also where case says nothing."""
    taken, names = {RUN, FILE, ROW}, []
    for name in schema.names:
        number, apart = 1, name
        while apart.lower() in taken:
            number += 1
            apart = f"{name}_{number}"
        taken.add(apart.lower())
        names.append(apart)
    return pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])


def _create(target: str, flavour: Flavour, quotes: str, schema: pa.Schema) -> str:
    own = {RUN: "VARCHAR(255)", FILE: "VARCHAR(255)", ROW: "BIGINT"}
    lines = [f"{quotes.format(column)} {kind} NOT NULL" for column, kind in own.items()]
    lines += [f"{quotes.format(field.name)} {_kind(field.type, flavour)}" for field in schema]
    if flavour.unique:
        lines.append(f"PRIMARY KEY ({', '.join(map(quotes.format, own))})")
    return f"CREATE TABLE IF NOT EXISTS {target} ({', '.join(lines)})"


def _kind(kind: pa.DataType, flavour: Flavour) -> str:
    if pa.types.is_boolean(kind):
        return flavour.truth
    if pa.types.is_timestamp(kind):
        return flavour.time
    if pa.types.is_integer(kind):
        return "BIGINT"
    return "DOUBLE PRECISION" if pa.types.is_floating(kind) else flavour.text


def _batches(files: Mapping[str, Any], schema: pa.Schema, run_id: str) -> Iterator[list[tuple[Any, ...]]]:
    nested = [pa.types.is_nested(field.type) for field in schema]
    for name, file in files.items():
        number = 0
        for batch in file.iter_batches(batch_size=_INSERTED):
            columns = [
                [None if value is None else _json(value) for value in column.to_pylist()]
                if inner
                else (without_nul(column) if pa.types.is_string(column.type) else column).to_pylist()
                for column, inner in zip(batch.columns, nested, strict=True)
            ]
            rows = list(zip(*columns, strict=True))
            yield [(run_id, name, number + place, *row) for place, row in enumerate(rows)]
            number += len(rows)


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value, enc_hook=str).decode()
