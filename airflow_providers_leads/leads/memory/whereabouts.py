"""Who is where, as far as a memory knows: a CRM that was read in full once need not be asked for those it hasn't."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa

from airflow_providers_leads.leads.memory.generation import Folder, Generation, scope_name
from airflow_providers_leads.leads.memory.hashing import ADDRESS, keyed, keyed_sql, quoted
from airflow_providers_leads.leads.memory.local import local_copy


def knows_all(generation: Generation | None, source: str, scope: str) -> bool:
    """Tell whether everything in a scope was read once, and is kept up since."""
    known = generation.scopes.get(scope_name(source, scope)) if generation else None
    return known is not None and known.read_at is not None


def people_there(folder: Folder, generation: Generation, people: Sequence[str], source: str, scope: str) -> list[str]:
    """Return which of some people have a record in a scope, under any address that is remembered of them.

    :param folder: the sync's memory
    :param generation: that counts
    :param people: email keys
    :param source: connection type
    :param scope: its scope
    """
    hashes = [keyed(folder.key, ADDRESS, person) for person in people]
    with TemporaryDirectory(prefix="leads-memory-") as scratch, closing(duckdb.connect()) as con:
        listed = ", ".join(quoted(name) for name in local_files(folder, generation.files, scratch))
        con.register("asked", pa.table({"place": range(len(hashes)), "hash": pa.array(hashes, pa.int64())}))
        rows = con.execute(
            f"WITH m AS (SELECT * FROM read_parquet([{listed}]) WHERE gone IS NULL), "
            "who AS (SELECT a.place, m.person FROM asked a JOIN m ON m.email_hash = a.hash UNION "
            "SELECT a.place, f.person FROM asked a JOIN (SELECT person, unnest(former) AS hash FROM m) f USING (hash)) "
            "SELECT DISTINCT who.place FROM who JOIN m USING (person) WHERE m.source = ? AND m.source_scope = ? "
            "ORDER BY 1",
            [source, scope],
        ).fetchall()
    return [people[place] for (place,) in rows]


def shows_same(folder: Folder, generation: Generation, leads: Any, source: str) -> bool:
    """Tell whether a read shows records that are remembered: of those with an id that is known most have its address.

    An account that tells no id of its own is known so by another key; another account has other ids, or other people.

    :param folder: the sync's memory
    :param generation: that counts
    :param leads: path object of a file of leads
    :param source: connection type
    """
    with TemporaryDirectory(prefix="leads-memory-") as scratch, closing(duckdb.connect()) as con:
        stored = ", ".join(quoted(name) for name in local_files(folder, generation.files, scratch))
        shown = (
            f"SELECT source, source_scope, source_id, {keyed_sql(folder.key, ADDRESS, ADDRESS)} AS hash "
            f"FROM read_parquet({quoted(local_copy(leads, scratch))}) WHERE source = ?"
        )
        met, alike = con.execute(
            f"SELECT count(*), count(*) FILTER (l.hash = m.email_hash) FROM ({shown}) l "
            f"JOIN read_parquet([{stored}]) m USING (source, source_scope, source_id) "
            "WHERE m.gone IS NULL AND m.email_hash IS NOT NULL",
            [source],
        ).fetchall()[0]
    return bool(alike and 2 * alike >= met)


def local_files(folder: Folder, names: Iterable[str], scratch: str) -> list[str]:
    """Return the local names of files of a memory, which are copied from a remote store."""
    return [local_copy(folder.path / name, scratch) for name in names]
