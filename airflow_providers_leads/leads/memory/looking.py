"""What a memory holds, for people: of a sync, of one person; and how somebody is taken out of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import msgspec

from airflow_providers_leads.leads.files.staging import appearing
from airflow_providers_leads.leads.memory import table
from airflow_providers_leads.leads.memory.generation import Folder, Generation, SyncMemoryError
from airflow_providers_leads.leads.memory.hashing import ADDRESS, keyed, quoted
from airflow_providers_leads.leads.memory.whereabouts import local_files


@contextmanager
def _opened(folder: Folder, generation: Generation) -> Iterator[tuple[Any, list[str]]]:
    """Yield a DuckDB connection with ``memory``, the rows of a generation, and the fields that are remembered."""
    fields = table.fields_of(generation.properties)
    with TemporaryDirectory(prefix="leads-memory-") as scratch, closing(duckdb.connect()) as con:
        con.execute("SET TimeZone = 'UTC'")
        files = local_files(folder, generation.files, scratch)
        con.execute(f"CREATE VIEW memory AS {table.stored_sql(files, fields, table.columns_in(con, files))}")
        yield con, fields


def current(folder: Folder) -> Generation:
    """Return the generation that counts.

    :raises SyncMemoryError: when there is none that can be used, saying why
    """
    generation, reason = folder.current()
    if generation is None:
        raise SyncMemoryError(f"memory {folder.path}: {reason}")
    return generation


def status(folder: Folder) -> dict[str, Any]:
    """Return what is known of a sync: generation, since when, records and deletions by connection, runs that write."""
    generation = current(folder)
    with _opened(folder, generation) as (con, _):
        rows = con.sql(
            "SELECT source, source_scope, count(*) FILTER (gone IS NULL), count(*) FILTER (gone IS NOT NULL), "
            "count(*) FILTER (noted) FROM memory GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    return {
        "sync": generation.sync,
        "generation": generation.number,
        "since": generation.since.isoformat(),
        "at": generation.at.isoformat(),
        "run": generation.run,
        "scopes": [
            {"source": source, "scope": scope, "records": records, "gone": gone, "changed": changed}
            for source, scope, records, gone, changed in rows
        ],
        "writing": [mark.run for mark in folder.writing()],
        "erased": len(folder.erased()),
    }


def of_person(folder: Folder, email_key: str) -> list[dict[str, Any]]:
    """Return what is remembered of a person, one entry per record, as hashes and times.

    :param folder: the sync's memory
    :param email_key: any address that the person has or had
    """
    generation = current(folder)
    wanted = keyed(folder.key, ADDRESS, email_key)
    with _opened(folder, generation) as (con, fields):
        cursor = con.execute(
            "SELECT * FROM memory WHERE person IN (SELECT person FROM memory WHERE email_hash = $1 OR "
            "list_contains(former, $1)) ORDER BY source, source_scope, source_id",
            [wanted],
        )
        names = [table.name_of(column[0]) for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [_entry(row, fields) for row in rows]


def _entry(row: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    values = {}
    for name in fields:
        held, until = row[name], row[f"{name}:until"]
        if held in (None, table.UNSEEN) and until is None:
            continue
        values[name] = {
            "hash": f"{held:010x}" if held not in (None, table.UNSEEN) else None,
            "by": "the sync" if row[f"{name}:written"] is not None else "people",
            "changed_after": _iso(row[f"{name}:after"]),
            "changed_by": _iso(until),
        }
    return {
        **{name: row[name] for name in ("source", "source_scope", "source_id")},
        "person": f"{row['person']:010x}" if row["person"] is not None else None,
        "first_seen": _iso(row["first"]),
        "last_seen": _iso(row["seen"]),
        "gone": _iso(row["gone"]),
        "former_addresses": len(row["former"] or ()),
        "fields": values,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None


def erase_people(folder: Folder, email_keys: Sequence[str]) -> int:
    """Remove people from a memory and keep them out; return how many records were removed.

    What stays is the hash of each address, by which no sync makes them again.

    :param folder: the sync's memory
    :param email_keys: any addresses that the people have or had
    """
    wanted = [value for key in email_keys if (value := keyed(folder.key, ADDRESS, key)) is not None]
    folder.erase(wanted)
    generation, _ = folder.current()
    if generation is None or not wanted:
        return 0
    listed = ", ".join(map(str, wanted))
    with _opened(folder, generation) as (con, _), TemporaryDirectory(prefix="leads-memory-") as scratch:
        con.execute(
            "CREATE TABLE erased AS SELECT DISTINCT person FROM memory WHERE "
            f"email_hash IN ({listed}) OR list_has_any(coalesce(former, []), [{listed}])"
        )
        removed = con.sql("SELECT count(*) FROM memory WHERE person IN (FROM erased)").fetchall()[0][0]
        addresses = con.sql(
            "SELECT DISTINCT email_hash FROM memory WHERE person IN (FROM erased) AND email_hash IS NOT NULL"
        ).fetchall()
        folder.erase([address for (address,) in addresses])
        made = f"{scratch}/made.parquet"
        con.execute(
            "COPY (SELECT * FROM memory WHERE person IS NULL OR person NOT IN (FROM erased)) "
            f"TO {quoted(made)} (FORMAT parquet, COMPRESSION zstd)"
        )
        records = con.sql(f"SELECT count(*) FROM read_parquet({quoted(made)})").fetchall()[0][0]
        number = generation.number + 1
        name = f"generation-{number:06}.parquet"
        with appearing(folder.path / name) as part, open(made, "rb") as source:  # noqa: PTH123  # a local scratch file
            part.write_bytes(source.read())
    folder.publish(msgspec.structs.replace(generation, number=number, files=[name], records=int(records)))
    # Older generations still hold them.
    folder.prune(keep=1)
    return int(removed)
