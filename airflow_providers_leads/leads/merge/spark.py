"""Spark as an engine: its session, and its results as Arrow batches, which Ibis would take through pandas."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import ibis
import pyarrow as pa

from airflow_providers_leads.leads.files.places import StagingError, at_hand, is_local

_HOST: Final = re.compile(r"[\w.-]+:\d+(,[\w.-]+:\d+)*|\[[\da-fA-F:]+\]:\d+")
_FIXED: Final = {"spark.sql.session.timeZone": "UTC", "spark.ui.showConsoleProgress": "false"}


@contextmanager
def open_spark(target: str, settings: dict[str, str]) -> Iterator[Any]:
    """Open a connection to Spark; a session that was there before is used and left running.

    :param target: ``local[2]``, or host and port of a master
    :param settings: Spark's own; the time zone is UTC whatever they say
    :raises ValueError: when ``pyspark`` or Java is missing, or Spark refuses master or settings
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise ValueError("engine: spark:// needs the package pyspark, and Java 17") from None
    from py4j.protocol import Py4JError

    # It tells of every connection that it closes, even after the log's own file is gone.
    logging.getLogger("py4j").setLevel(logging.WARNING)
    local = target.startswith("local")
    if not local and not _HOST.fullmatch(target):
        raise ValueError(
            f"engine: spark:// takes local[2], or the host and port of a standalone master, not {target!r}. YARN and "
            "Kubernetes are reached by none of these; run the merge on one machine, by duckdb://"
        )
    running = SparkSession.getActiveSession()
    builder = SparkSession.builder.master(target if local else f"spark://{target}").appName("airflow-providers-leads")
    for name, value in {**settings, **_FIXED}.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        raise ValueError(
            f"engine: Spark does not start ({type(error).__name__}); it needs Java 17, and a master such as local[2]"
        ) from None
    if local and "PYSPARK_PYTHON" not in os.environ:
        # Else the first python3 of the machine runs the functions, which lacks what this one has installed.
        session.sparkContext.pythonExec = sys.executable
    try:
        with tempfile.TemporaryDirectory(prefix="leads-spark-") as folder:
            connection = ibis.pyspark.connect(session)
            connection.fetched_to = folder if local else None
            yield connection
    finally:
        if running is None:
            session.stop()


def _frame(connection: Any, table: ibis.Table) -> Any:
    # Registers the functions and tables of this process that the expression uses.
    connection._run_pre_execute_hooks(table)
    return connection.raw_sql(connection.compile(table))


def reachable(connection: Any, parts: Sequence[Any]) -> list[Any]:
    """Return where Spark reads files: on one machine a store's are fetched first, through the connection's credentials.

    :param connection: from :func:`open_spark`
    :param parts: path objects
    :raises StagingError: for a store whose files the workers of a cluster can't open
    """
    if connection.fetched_to is not None:
        return at_hand(parts, connection.fetched_to)
    for part in parts:
        if is_local(part):
            continue
        if getattr(part, "conn_id", None) or not _opens(connection, part.protocol):
            raise StagingError(
                f"{part} can't be read by the workers of a Spark cluster: they have no connection of Airflow's, and no "
                f"file system for {part.protocol}:// unless Spark's own jars bring one. Merge by duckdb:// or "
                "spark://local[2], which fetch it, or give the files by file:// on a disk that all of them share."
            )
    return list(parts)


def _opens(connection: Any, scheme: str) -> bool:
    """Tell whether Spark's Java side has a file system for a scheme."""
    from py4j.protocol import Py4JError

    session = connection._session
    try:
        session._jvm.org.apache.hadoop.fs.FileSystem.getFileSystemClass(scheme, session._jsc.hadoopConfiguration())
    except Py4JError:
        return False
    return True


def read_files(connection: Any, names: Sequence[str]) -> ibis.Table:
    """Return Parquet files as a table.

    :param connection: from :func:`open_spark`
    :param names: as Spark names them: a pattern unless escaped
    """
    name = f"read_{uuid4().hex}"
    connection._session.read.parquet(*names).createTempView(name)
    return connection.table(name)


def keep(connection: Any, table: ibis.Table) -> ibis.Table:
    """Return a table that Spark computes once, now, and holds in memory or on its disks until the session ends."""
    name = f"kept_{uuid4().hex}"
    # Not a cached table: its plan goes on holding the plans of all that it was made of, and where one kept table is
    # made of another several times, as the rounds of components are, that plan grows until it fills the memory.
    _frame(connection, table).localCheckpoint(eager=True).createTempView(name)
    return connection.table(name)


def batches(connection: Any, table: ibis.Table) -> Iterator[Any]:
    """Yield a table as Arrow record batches, holding one of Spark's partitions at a time.

    :param connection: from :func:`open_spark`
    :param table: the expression
    """
    packed = _frame(connection, table).mapInArrow(_packed, "batch binary")
    for row in packed.toLocalIterator():
        yield from pa.ipc.open_stream(row["batch"])


def _packed(batches: Iterator[Any]) -> Iterator[Any]:
    """Yield one row per batch, the batch itself in Arrow's stream format: rows alone would leave Spark one by one."""
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield pa.RecordBatch.from_pydict({"batch": [sink.getvalue().to_pybytes()]})
