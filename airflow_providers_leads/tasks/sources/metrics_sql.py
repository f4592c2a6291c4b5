"""Metrics into any SQL database that ``common.sql`` reaches: a window is replaced as a whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowOptionalProviderFeatureException,
    BaseHook,
)

from airflow_providers_leads.hooks.arguments import wire_time
from airflow_providers_leads.hooks.settings import LeadsSettingsError, label_for

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from airflow_providers_leads.leads.model.metrics import MetricRow, MetricTable

_BATCH_ROWS: Final = 1_000
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]*")
_ANSI_QUOTES: Final = '"{}"'
_IDENTITY: Final = ("source", "{scope}", "metric", "key", "start", "end", "offset")


class Flavour(NamedTuple):
    """What one kind of database wants different.

    :param time: type of the columns of time; as text they sort and compare right, and every database has text
    :param unique: whether a primary key can span the long texts; it stops two runs from filling the same window at once
    :param quotes: around names
    :param text: type of the columns of text of any length
    :param truth: type of the columns of true and false
    """

    time: str = "VARCHAR(32)"
    unique: bool = False
    quotes: str = _ANSI_QUOTES
    text: str = "TEXT"
    truth: str = "BOOLEAN"


_FLAVOURS: Final[Mapping[str, Flavour]] = {
    "sqlite": Flavour(unique=True),
    "postgresql": Flavour(time="TIMESTAMP WITH TIME ZONE", unique=True),
    "mysql": Flavour(quotes="`{}`", text="LONGTEXT"),
    "mariadb": Flavour(quotes="`{}`", text="LONGTEXT"),
    "mssql": Flavour(text="NVARCHAR(MAX)", truth="BIT"),
    "oracle": Flavour(text="CLOB", truth="NUMBER(1)"),
    "snowflake": Flavour(text="VARCHAR"),
    "redshift": Flavour(text="VARCHAR(65535)"),
}
_TYPES: Final = {
    "source": "VARCHAR(32)",
    "metric": "VARCHAR(255)",
    "key": "VARCHAR(4000)",
    "value": "DOUBLE PRECISION",
    "count": "BIGINT",
    "offset": "INTEGER",
}
_TIMES: Final = ("start", "end", "fetched_at")


def sql_hook(conn_id: str) -> DbApiHook:
    """Return the hook of a SQL database.

    :param conn_id: a connection of any type whose hook is a ``DbApiHook``
    :raises AirflowOptionalProviderFeatureException: when ``apache-airflow-providers-common-sql`` is not installed
    :raises LeadsSettingsError: when the connection is of a type that is not installed or no SQL database
    """
    try:
        from airflow.providers.common.sql.hooks.sql import DbApiHook
    except ImportError:
        raise AirflowOptionalProviderFeatureException(
            "sql_conn_id needs apache-airflow-providers-common-sql: pip install 'airflow-providers-leads[sql]', and "
            "the provider of your database"
        ) from None
    connection: Any = BaseHook.get_connection(conn_id)
    try:
        hook = connection.get_hook()
    except (AirflowException, ImportError):
        raise LeadsSettingsError(
            f"{label_for(conn_id)}: the provider of its type '{connection.conn_type}' is not installed. Install it, "
            "such as apache-airflow-providers-postgres."
        ) from None
    if not isinstance(hook, DbApiHook):
        raise LeadsSettingsError(
            f"{label_for(conn_id)}: sql_conn_id must name a SQL database, and '{connection.conn_type}' is none."
        )
    return hook


def check_table(table: str) -> str:
    """Return a table name of up to three parts, as in ``schema.table``.

    :raises ValueError: when a part is no plain name
    """
    parts = str(table).strip().split(".")
    if len(parts) > 3 or not all(_NAME.fullmatch(part) for part in parts):
        raise ValueError("table must be a name such as metrics or analytics.metrics")
    return ".".join(parts)


def replace_rows(
    hook: DbApiHook, name: str, table: MetricTable, replaced: Sequence[Mapping[str, Any]], rows: Sequence[MetricRow]
) -> int:
    """Replace rows of a table of metrics in one transaction, and return how many were inserted.

    :param hook: of the database
    :param name: of the table, from :func:`check_table`
    :param table: the table that the rows are of
    :param replaced: what to delete first: column → value, all of them with the same columns
    :param rows: what to insert
    """
    tuples = (
        [msgspec.structs.astuple(row) for row in rows[first:][:_BATCH_ROWS]]
        for first in range(0, len(rows), _BATCH_ROWS)
    )
    return replace_in(hook, name, table.columns, lambda *how: _create(how[0], table, *how[1:]), replaced, tuples)


def replace_in(
    hook: DbApiHook,
    name: str,
    columns: Sequence[str],
    create: Callable[[str, Flavour, str], str],
    replaced: Sequence[Mapping[str, Any]],
    batches: Iterable[Sequence[Sequence[Any]]],
) -> int:
    """Replace rows of a table in one transaction, and return how many were inserted; the table is made when missing.

    Names are quoted, so they are taken as they are written, case included. Times are sent as ISO 8601 text in UTC,
    which a table of your own may also hold in columns of a time type.

    :param hook: of the database
    :param name: of the table, from :func:`check_table`
    :param columns: of the rows
    :param create: makes the statement that creates the table, of its quoted name, the kind of database and its quotes
    :param replaced: what to delete first: column → value, all of them with the same columns; one without columns
        deletes everything
    :param batches: rows to insert
    """
    flavour = _FLAVOURS.get(hook.dialect_name, Flavour())
    # A connection that names its own quotes knows better.
    quotes = hook.escape_word_format if hook.escape_word_format != _ANSI_QUOTES else flavour.quotes
    target = ".".join(quotes.format(part) for part in name.split("."))
    named = ", ".join(quotes.format(column) for column in columns)
    insert = f"INSERT INTO {target} ({named}) VALUES ({', '.join([hook.placeholder] * len(columns))})"
    count = 0
    with closing(hook.get_conn()) as conn:
        if hook.supports_autocommit:
            hook.set_autocommit(conn, False)
        _make_sure_of(conn, target, create(target, flavour, quotes))
        with _transaction(conn) as cursor:
            for window in replaced:
                matches = " AND ".join(f"{quotes.format(column)} = {hook.placeholder}" for column in window)
                delete = f"DELETE FROM {target}" + (f" WHERE {matches}" if matches else "")
                cursor.execute(delete, tuple(map(_cell, window.values())))
            for batch in batches:
                cursor.executemany(insert, [tuple(map(_cell, row)) for row in batch])
                count += len(batch)
    return count


@contextmanager
def _transaction(conn: Any) -> Iterator[Any]:
    """Yield a cursor of which all is done or nothing."""
    with closing(conn.cursor()) as cursor:
        work = conn
        if "duckdb" in type(conn).__module__:
            # Its cursors are connections of their own, and each statement is final unless it is told otherwise.
            work = cursor
            cursor.execute("BEGIN TRANSACTION")
        try:
            yield cursor
            work.commit()
        except BaseException:
            _undo(work)
            raise


def _undo(work: Any) -> None:
    # Where there is nothing to undo, or nobody to be told, what went wrong before says more.
    with suppress(Exception):
        work.rollback()


def _make_sure_of(conn: Any, target: str, create: str) -> None:
    """Create the table unless it is there.

    Creating can fail although it is: two tasks meet while they create it, a user may write to it but not create any, or
    the database knows no ``IF NOT EXISTS``.
    """
    failed = _tried(conn, create)
    if failed is not None and _tried(conn, f"SELECT 1 FROM {target} WHERE 1 = 0") is not None:
        raise failed


def _tried(conn: Any, sql: str) -> Exception | None:
    """Run a statement in a transaction of its own and return what went wrong: each driver has its own errors."""
    try:
        with closing(conn.cursor()) as cursor:
            cursor.execute(sql)
            if cursor.description:
                cursor.fetchall()
        conn.commit()
    except Exception as error:
        _undo(conn)
        return error
    return None


def _create(target: str, table: MetricTable, flavour: Flavour, quotes: str) -> str:
    lines = [
        f"{quotes.format(column)} {flavour.time if column in _TIMES else _TYPES.get(column, 'VARCHAR(255)')}"
        # Some databases take an empty key for null.
        + ("" if column in ("key", "count") else " NOT NULL")
        for column in table.columns
    ]
    if flavour.unique:
        identity = [quotes.format(name.format(scope=table.scope_column)) for name in _IDENTITY]
        lines.append(f"PRIMARY KEY ({', '.join(identity)})")
    return f"CREATE TABLE IF NOT EXISTS {target} ({', '.join(lines)})"


def _cell(value: object) -> object:
    return wire_time(value) if isinstance(value, datetime) else value
