"""From what a hook method returns to what goes to XCom: rows to a file, counts to XCom; and what a failure leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final

import msgspec
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException

from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.model.outcomes import BatchResult, Failed, Succeeded
from airflow_providers_leads.report.masking import mask_addresses
from airflow_providers_leads.report.run import FAILURE
from airflow_providers_leads.tasks.arguments import given
from airflow_providers_leads.tasks.paths import storage_path, uri_or_none

XCOM_ROWS: Final = 1_000
"""Rows that a list may have without an ``output``."""
_BATCH_ROWS: Final = 5_000
# Readers refuse a Parquet file without columns.
_UNKNOWN_COLUMNS: Final = ("id",)
_LONGEST_REASON: Final = 600
_ENDINGS: Final = (".parquet", ".jsonl", ".jsonl.gz")


class LeadsWriteError(AirflowException):
    """More inputs were not written than the task allows."""


def tolerance(on_failure: str, max_failed: float | str) -> float | None:
    """Return how many failures are tolerated, ``None`` for any number.

    :param on_failure: ``fail`` or ``report``
    :param max_failed: a number, or a share below 1
    :raises ValueError: naming the argument
    """
    if (given(on_failure) or "fail") not in ("fail", "report"):
        raise ValueError("on_failure must be 'fail' or 'report'")
    meant = given(max_failed)
    try:
        number = 0.0 if meant is None else float(meant)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    # Nothing is more than NaN, and everything would be tolerated.
    if isinstance(meant, bool) or not number >= 0:
        raise ValueError("max_failed must be a number, or a share below 1")
    return None if given(on_failure) == "report" else number


def check_failures(failed: int, total: int, tolerated: float | None, message: str, log: Any) -> None:
    """Fail the task, or warn, when something was not written.

    :param failed: how many were not written
    :param total: of how many
    :param tolerated: see :func:`tolerance`
    :param message: what to say
    :param log: the task's logger
    :raises LeadsWriteError: when too many failed
    """
    if not failed:
        return
    if tolerated is not None and failed > (tolerated * total if 0 < tolerated < 1 else tolerated):
        raise LeadsWriteError(message)
    log.warning(message)


def check_output(uri: str | None) -> None:
    """Refuse a file that :func:`write_table` couldn't write, before there is anything to write.

    :param uri: of the file, ``None`` for none
    :raises ValueError: for an unknown ending
    """
    if uri is not None and not str(uri).endswith(_ENDINGS):
        raise ValueError(f"output must end in {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}")


def hand_over(
    result: Any,
    *,
    label: str,
    log: Any,
    output: Any = None,
    on_failure: str = "fail",
    max_failed: float | str = 0,
    columns: Sequence[str] = (),
) -> Any:
    """Return what goes to XCom for a hook method's result.

    A list goes to ``output``, and then XCom holds its URI and count; without ``output`` it goes to XCom itself, refused
    above :data:`XCOM_ROWS`. A batch result becomes counts and reasons; its rows go to ``output``.

    :param result: what the hook method returned
    :param label: the connection and the method, for messages
    :param log: the task's logger
    :param output: URI of a ``.parquet``, ``.jsonl`` or ``.jsonl.gz`` file
    :param on_failure: for batches: ``fail`` or ``report``
    :param max_failed: for batches: failures that are tolerated, a number or a share below 1
    :param columns: of a Parquet file without rows
    :raises LeadsWriteError: when too many inputs of a batch failed
    :raises ValueError: when a list is too long for XCom, or ``output`` is of an unknown kind
    """
    uri = uri_or_none("output", output)
    if isinstance(result, BatchResult):
        return _batch(result, label, uri, tolerance(on_failure, max_failed), log)
    if isinstance(result, Iterator) or (isinstance(result, list) and uri):
        return _rows(iter(result), label, uri, log, columns)
    plain = msgspec.to_builtins(result)
    if uri is None:
        return plain
    # A metric without data is no row of nothing.
    return _rows(iter([plain] if plain else []), label, uri, log, columns)


def _rows(rows: Iterator[Any], label: str, uri: str | None, log: Any, columns: Sequence[str]) -> Any:
    if uri is not None:
        count = write_table(uri, rows, columns)
        log.info("%s: %d rows written to %s", label, count, uri)
        return {"uri": uri, "rows": count}
    kept = [msgspec.to_builtins(row) for row in islice(rows, XCOM_ROWS)]
    if next(rows, None) is not None:
        raise ValueError(
            f"{label}: more than {XCOM_ROWS} rows, too many for XCom. Set output to a URI to stream them to a file."
        )
    log.info("%s: %d rows", label, len(kept))
    return kept


def _batch(result: BatchResult, label: str, uri: str | None, tolerated: float | None, log: Any) -> dict[str, Any]:
    summary: dict[str, Any] = dict(result.summary)
    if uri is not None:
        summary["uri"] = uri
        write_table(uri, _batch_rows(result), _batch_columns())
    total = summary["succeeded"] + summary["failed"]
    log.info("%s: %d of %d succeeded", label, summary["succeeded"], total)
    reasons = "; ".join(f"{reason} ({number})" for reason, number in list(summary["reasons"].items())[:5])
    where = f" Each stands in {uri}." if uri else " Set output to a URI to see each."
    where += f" What ended it: {result.ended_by}" if result.ended_by else ""
    check_failures(
        summary["failed"], total, tolerated, f"{label}: {summary['failed']} of {total} failed: {reasons}.{where}", log
    )
    return summary


def _batch_rows(result: BatchResult) -> Iterator[dict[str, Any]]:
    marked = [(item.index, True, item) for item in result.succeeded] + [(i.index, False, i) for i in result.failed]
    for _, ok, item in sorted(marked, key=lambda entry: entry[0]):
        yield {"ok": ok, **msgspec.to_builtins(item)}


def _batch_columns() -> list[str]:
    return list(dict.fromkeys(["ok", *Succeeded.__struct_fields__, *Failed.__struct_fields__]))


def write_table(uri: str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> int:
    """Stream rows of any form to a file and return how many.

    JSON Lines keeps each row as it is. Parquet needs one schema for the whole file: values that are no plain text,
    number or boolean are kept as JSON text, and so is a column whose type differs between rows, or holds whole numbers
    that no number type keeps exactly.

    :param uri: ends in ``.parquet``, ``.jsonl`` or ``.jsonl.gz``
    :param rows: mappings
    :param columns: of a Parquet file without rows; default an ``id``
    :raises ValueError: for another ending
    """
    from airflow_providers_leads.leads.files.tables import JsonLinesWriter, ParquetTableWriter

    check_output(uri)
    path = storage_path(uri)
    writer: Any = (
        ParquetTableWriter(path, columns or _UNKNOWN_COLUMNS) if uri.endswith(".parquet") else JsonLinesWriter(path)
    )
    count, remaining = 0, iter(rows)
    with writer:
        while batch := list(islice(remaining, _BATCH_ROWS)):
            writer.write(batch)
            count += len(batch)
    return count


# What a failure leaves ------------------------------------------------------------------------------------------------


def note_failure(context: Any, operator: Any, error: Exception) -> None:
    """Leave what a report says of a failure; whatever goes wrong with that, the failure itself counts.

    :param context: the task's context
    :param operator: the task
    :param error: that ends the try
    """
    if isinstance(error, AirflowSkipException):
        return
    # Of an error that nobody foresaw the text may hold anything.
    said = isinstance(error, (LeadsApiError, ValueError, AirflowException))
    reason = mask_addresses(str(error)) if said else f"unexpected {type(error).__name__}, see the task's log"
    conn_id = next((v for n, v in sorted(vars(operator).items()) if n.endswith("conn_id") and isinstance(v, str)), None)
    with suppress(Exception):
        context["ti"].xcom_push(
            key=FAILURE, value={"conn_id": conn_id, "reason": " ".join(reason.split())[:_LONGEST_REASON]}
        )
