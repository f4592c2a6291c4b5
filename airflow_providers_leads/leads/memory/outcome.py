"""What a merge with memory leaves behind: the rows of records that are new or changed, and what a plan must know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_providers_leads.leads.files.places import open_file
from airflow_providers_leads.leads.files.staging import VERSION_METADATA, appearing, as_path, is_local, local_name
from airflow_providers_leads.leads.memory import table
from airflow_providers_leads.leads.memory.hashing import ADDRESS, keyed_sql, quoted, time_sql
from airflow_providers_leads.leads.memory.reads import LEAST_SHARE, made_since_sql
from airflow_providers_leads.leads.model.schema import MERGED_IDS_PROPERTY, SCHEMA_VERSION, STICKY_FIELDS

_LEADS: Final = "memory_leads"
_FEW_VALUES: Final = 10
"""So many may be emptied in one run, whatever share of all they are."""
_FACT_COLUMNS: Final = {
    "email_key": "VARCHAR", "kind": "VARCHAR", "source": "VARCHAR", "source_scope": "VARCHAR", "source_id": "VARCHAR",
    "field": "VARCHAR", "after": "TIMESTAMPTZ", "until": "TIMESTAMPTZ", "hash": "BIGINT", "fresh": "BOOLEAN",
}  # fmt: skip


def write_outcome(
    recall: Any, members: Sequence[str], scopes: Sequence[tuple[str, str]], doubtful: Sequence[tuple[str, str]]
) -> None:
    """Write the delta and the facts of people; see :class:`~…memory.recall.Recall`.

    :param recall: after the merge
    :param members: local names of the merge's members
    :param scopes: source and scope of which everything was read, so that what is missing is gone
    :param doubtful: those of which too little was read to say so: who is missing is not made again either
    """
    con, run = recall._con, recall._run
    listed = ", ".join(map(quoted, members))
    run(f"CREATE TEMP VIEW memory_members AS SELECT {table.RECORD_SQL}, email_key FROM read_parquet([{listed}])")
    counts = recall.result.counts
    counts["moved"] = recall._one("SELECT count(*) FROM memory_read WHERE moved AND NOT new")
    _delta(recall, scopes, doubtful)
    _facts(recall)
    export(con, "SELECT * FROM memory_delta", recall.outputs["delta"])
    export(con, "SELECT * FROM memory_facts ORDER BY email_key", recall.outputs["people"])
    if recall.remakes_past:
        export(con, "SELECT * FROM memory_before", recall.outputs["baseline"])
    # Who has no address is in no memory, and new in every run.
    new = "SELECT count(*) FROM memory_read WHERE new AND email_hash IS NOT NULL"
    counts["new"] = recall._one(new) if recall.result.generation else 0
    counts["gone"] = recall._one("SELECT count(*) FROM memory_newly_gone")


def vanished(recall: Any) -> list[tuple[str, str]]:
    """Return the sources and fields of which most remembered values are gone at once, which nobody does one by one.

    A right that a key has lost looks so. Were they taken for emptied, they would be for edited once they are back.

    :param recall: once it has compared what was read with what is remembered
    """
    if recall.generation is None or not recall._one("SELECT count(*) FROM memory_read WHERE changed"):
        return []
    had = {
        field: f"p.{table.named(field)} IS NOT NULL AND p.{table.named(field)} <> {table.UNSEEN}"
        for field in recall.fields
    }
    all_of = ", ".join(f"count(*) FILTER ({each})" for each in had.values())
    gone = ", ".join(f"count(*) FILTER ({each} AND {table.value_sql(f, 'd.')} IS NULL)" for f, each in had.items())
    emptied = recall._con.sql(
        f'SELECT d.source, {gone} FROM memory_read c JOIN {_LEADS} d USING ("row") JOIN memory_before p ON '
        "(p.source, p.source_scope, p.source_id) = (d.source, d.source_scope, d.source_id) WHERE c.changed GROUP BY 1"
    ).fetchall()
    held = recall._con.sql(f"SELECT p.source, {all_of} FROM memory_before p WHERE p.gone IS NULL GROUP BY 1").fetchall()
    before = {source: counts for source, *counts in held}
    return [
        (str(source), field)
        for source, *counts in sorted(emptied)
        for field, number, of in zip(recall.fields, counts, before.get(source, ()), strict=False)
        if number >= _FEW_VALUES and number > LEAST_SHARE * of and recall.judge.was_read(str(source), field)
    ]


def _delta(recall: Any, scopes: Sequence[tuple[str, str]], doubtful: Sequence[tuple[str, str]]) -> None:
    run, key, fields = recall._run, recall.key, recall.fields
    now = quoted(recall.now.isoformat())
    run(
        "CREATE TEMP TABLE memory_dirty AS SELECT DISTINCT m.email_key FROM memory_members m "
        f"JOIN memory_read c {table.SAME_RECORD} WHERE c.new OR c.changed OR c.moved OR c.back"
    )
    _name_people(recall)
    hashes = ", ".join(
        f"{table.hash_sql(key, field, 'd.')} AS {table.named(field)}, {_known_sql(recall, field)} AS "
        f"{table.named(field + ':known')}"
        for field in fields
    )
    _reformatted(recall)
    # What is missing now is to be looked at again in each run, until it is back.
    missing = ", ".join(sorted({quoted(source) for source, _ in recall.result.vanished}))
    digest = f"CASE WHEN d.source NOT IN ({missing}) THEN r.new_digest END" if missing else "r.new_digest"
    silent = {flag: recall.silent_about(flag) for flag in STICKY_FIELDS}
    began = time_sql(recall.generation.since if recall.generation else None)
    read = (
        f"SELECT d.source, d.source_scope, d.source_id, r.email_hash, {digest} AS new_digest, n.next_person, "
        "d.updated_at, "
        f"CASE WHEN NOT r.first_look THEN {made_since_sql(recall.generation)} END AS since_memory, "
        f"CASE WHEN r.first_look THEN {began} ELSE {now}::TIMESTAMPTZ END AS first_at, "
        f"coalesce(x.looked_at, {now}::TIMESTAMPTZ) AS looked_at, x.was_read_at, d.opted_out, d.bounced, "
        "f.fields AS reformatted, "
        f'{now}::TIMESTAMPTZ AS present, {hashes} FROM memory_next n JOIN memory_read r USING ("row") '
        f'JOIN {_LEADS} d USING ("row") LEFT JOIN memory_reformatted f USING ("row") '
        "LEFT JOIN memory_reads x ON (x.source, x.source_scope) = "
        "(d.source, d.source_scope) WHERE n.dirty OR n.next_person IS DISTINCT FROM n.person"
    )
    rows = table.next_row_sql(key, fields, gaps=recall.gaps, silent=silent)
    run(
        f"CREATE TEMP TABLE memory_delta AS SELECT {rows} FROM ({read}) c "
        "LEFT JOIN memory_before p ON (p.source, p.source_scope, p.source_id) = (c.source, c.source_scope, c.source_id)"
    )
    _date(recall)
    run(
        "CREATE TEMP TABLE memory_absent AS SELECT source, source_scope, source_id, person, gone, opted_out, bounced, "
        f"email_hash, former FROM memory_before b ANTI JOIN memory_read c {table.SAME_RECORD}"
    )
    for name, places in (("newly_gone", scopes), ("missing", doubtful)):
        listed = ", ".join(f"({quoted(source)}, {quoted(scope)})" for source, scope in places) or "(NULL, NULL)"
        run(
            f"CREATE TEMP TABLE memory_{name} AS SELECT * FROM memory_absent a ANTI JOIN memory_merged x "
            f"{table.SAME_RECORD} WHERE gone IS NULL AND (source, source_scope) IN ({listed})"
        )
    run(
        f"INSERT INTO memory_delta SELECT {table.listed(fields)} FROM (SELECT * REPLACE "
        f"({now}::TIMESTAMPTZ AS gone) FROM memory_before SEMI JOIN memory_newly_gone {table.SAME_RECORD})"
    )
    _hand_objections_over(recall)


def _hand_objections_over(recall: Any) -> None:
    """Let a record that was merged into one that bears its objection object no more: the person may take that back."""
    if not recall._one("SELECT count(*) FROM memory_merged"):
        return
    borne = ", ".join(f"bool_or(d.{flag}) AS {flag}" for flag in STICKY_FIELDS)
    left = ", ".join(f"b.{flag} AND s.{flag} IS NOT TRUE AS {flag}" for flag in STICKY_FIELDS)
    recall._run(
        f"INSERT INTO memory_delta SELECT {table.listed(recall.fields)} FROM (SELECT b.* REPLACE ({left}) FROM "
        f"memory_before b JOIN (SELECT x.source, x.source_scope, x.source_id, {borne} FROM memory_merged x JOIN "
        f'{_LEADS} d USING ("row") GROUP BY ALL) s {table.SAME_RECORD} ANTI JOIN memory_read c {table.SAME_RECORD} '
        f"WHERE {' OR '.join(f'(b.{flag} AND s.{flag})' for flag in STICKY_FIELDS)})"
    )


def _name_people(recall: Any) -> None:
    """Make ``memory_next``: by which number each of the people is remembered of whom something has changed.

    Two of them never get one number, or the next run takes them for one person: where an address has passed from one
    to the other, the records that were one's are both people's now.
    """
    run, own = recall._run, keyed_sql(recall.key, ADDRESS, "email_key")
    generation = recall.generation.number if recall.generation else 0
    afresh = keyed_sql(recall.key, f"person {generation}", "email_key")
    if recall.result.counts["moved"]:
        # Whose records have parted are told apart together, also those of whom nothing has changed.
        run(
            "INSERT INTO memory_dirty SELECT DISTINCT m.email_key FROM memory_members m JOIN memory_read c "
            f"{table.SAME_RECORD} ANTI JOIN memory_dirty d ON d.email_key = m.email_key WHERE c.person IN (SELECT "
            f"c.person FROM memory_members m SEMI JOIN memory_dirty USING (email_key) JOIN memory_read c "
            f"{table.SAME_RECORD})"
        )
    # Whoever comes under an address of somebody of whom no record was read is that somebody, whom a memory may know by
    # a former address.
    run(
        'CREATE TEMP TABLE memory_again AS SELECT c."row", arg_min(b.person, b.former) AS person FROM memory_read c '
        "JOIN (SELECT person, email_hash, false AS former FROM memory_before UNION ALL SELECT person, unnest(former), "
        "true FROM memory_before WHERE former IS NOT NULL) b ON b.email_hash = c.email_hash WHERE c.new AND b.person "
        'NOT IN (SELECT person FROM memory_read WHERE person IS NOT NULL) GROUP BY c."row"'
    )
    run(
        'CREATE TEMP TABLE memory_named AS SELECT c."row", m.email_key, c.person, a.person AS again, '
        "c.new OR c.changed OR c.moved OR c.back AS dirty FROM memory_members m SEMI JOIN memory_dirty "
        f'USING (email_key) JOIN memory_read c {table.SAME_RECORD} LEFT JOIN memory_again a ON a."row" = c."row"'
    )
    run(
        "CREATE TEMP TABLE memory_numbers AS SELECT email_key, CASE WHEN row_number() OVER (PARTITION BY number "
        f"ORDER BY number <> own, email_key) = 1 THEN number ELSE {afresh} END AS number FROM (SELECT email_key, own, "
        "CASE WHEN bool_or(person = own) THEN own ELSE coalesce(min(person), min(again), own) END AS number FROM "
        f"(SELECT email_key, person, again, {own} AS own FROM memory_named) GROUP BY email_key, own)"
    )
    run(
        'CREATE TEMP TABLE memory_next AS SELECT m."row", n.number AS next_person, m.person, m.dirty '
        "FROM memory_named m JOIN memory_numbers n USING (email_key)"
    )


def _reformatted(recall: Any) -> None:
    fields = recall.judge.reformatted
    arrays = {
        "row": pa.array(fields.keys(), pa.int64()),
        "fields": pa.array(fields.values(), pa.list_(pa.string())),
    }
    recall._con.register("memory_reformatted", pa.table(arrays))


def _date(recall: Any) -> None:
    """Give values that are as good as edited their times."""
    dated = recall.judge.dated
    if not dated:
        return
    time = pa.timestamp("us", tz="UTC")
    columns = {"row": pa.int64(), "field": pa.string(), "after": time, "until": time}
    arrays = {name: pa.array([each[name] for each in dated], kind) for name, kind in columns.items()}
    recall._con.register("memory_dated", pa.table(arrays))
    for field in sorted({each["field"] for each in dated}):
        after, until = table.named(f"{field}:after"), table.named(f"{field}:until")
        recall._run(
            f'UPDATE memory_delta SET {after} = x."after", {until} = x."until", noted = memory_delta.noted OR '
            'x."until" IS NOT NULL FROM (SELECT * FROM memory_dated JOIN memory_read USING ("row") '
            f"WHERE field = {quoted(field)}) x WHERE (memory_delta.source, memory_delta.source_scope, "
            "memory_delta.source_id) = (x.source, x.source_scope, x.source_id)"
        )


def _known_sql(recall: Any, field: str) -> str:
    """Return the SQL of whether a field was read, in which case its absence says that it is empty."""
    sources = {read.source for read in recall.reads} | set(recall.files)
    unread = sorted(source for source in sources if not recall.judge.was_read(source, field))
    return f"d.source NOT IN ({', '.join(map(quoted, unread))})" if unread else "true"


def _facts(recall: Any) -> None:
    con, run, key = recall._con, recall._run, recall.key
    now = quoted(recall.now.isoformat())
    columns = ", ".join(f'"{name}" {kind}' for name, kind in _FACT_COLUMNS.items())
    run(f"CREATE TEMP TABLE memory_facts({columns})")
    if recall.judge.facts:
        names = ("source", "source_scope", "source_id", "kind", "field", "after", "until", "fresh")
        times = {"after", "until"}
        arrays = {
            name: pa.array(
                [fact[name] for fact in recall.judge.facts], pa.timestamp("us", tz="UTC") if name in times else None
            )
            for name in names
        }
        con.register("memory_noted", pa.table(arrays))
        run(
            "INSERT INTO memory_facts SELECT m.email_key, n.kind, n.source, n.source_scope, n.source_id, n.field, "
            f"n.after, n.until, NULL, n.fresh FROM memory_noted n JOIN memory_members m {table.SAME_RECORD}"
        )
    if recall.generation is None:
        return
    # Where nothing was looked at before, only the CRM's own time tells that somebody has come since.
    came = f"coalesce(c.created_at, CASE WHEN NOT c.first_look THEN {now}::TIMESTAMPTZ END)"
    run(
        "INSERT INTO memory_facts SELECT DISTINCT m.email_key, 'came', m.source, m.source_scope, m.source_id, NULL, "
        f"NULL::TIMESTAMPTZ, {now}::TIMESTAMPTZ, NULL::BIGINT, true FROM memory_members m JOIN memory_read c "
        f"{table.SAME_RECORD} WHERE c.new AND {came} > {time_sql(recall.generation.at)}"
    )
    gone_at = (f"{now}::TIMESTAMPTZ", time_sql(recall.generation.at))
    run(
        "CREATE TEMP TABLE memory_gone AS SELECT * FROM memory_absent WHERE gone IS NOT NULL "
        f"UNION ALL SELECT * REPLACE ({gone_at[0]} AS gone) FROM memory_newly_gone "
        f"UNION ALL SELECT * REPLACE ({gone_at[1]} AS gone) FROM memory_missing"
    )
    run(f"CREATE TEMP VIEW memory_elsewhere AS SELECT * FROM memory_absent ANTI JOIN memory_gone {table.SAME_RECORD}")
    run(
        "CREATE TEMP TABLE memory_pasts AS SELECT DISTINCT person, email_hash FROM ("
        "SELECT person, email_hash FROM memory_gone UNION ALL SELECT person, unnest(former) FROM memory_gone "
        "UNION ALL SELECT person, unnest(former) FROM memory_before WHERE former IS NOT NULL "
        "UNION ALL SELECT person, was FROM memory_read WHERE moved "
        "UNION ALL SELECT person, email_hash FROM memory_elsewhere) WHERE email_hash IS NOT NULL"
    )
    # People of now, by the links of their records, or by an address that a record of somebody has or had.
    run(
        "CREATE TEMP TABLE memory_of AS SELECT DISTINCT c.person, m.email_key FROM memory_read c "
        f"JOIN memory_members m {table.SAME_RECORD} WHERE c.person IN (SELECT person FROM memory_pasts) "
        "UNION SELECT DISTINCT a.person, m.email_key FROM memory_pasts a JOIN memory_read c "
        "ON c.email_hash = a.email_hash AND c.new "
        "JOIN memory_members m ON (m.source, m.source_scope, m.source_id) = (c.source, c.source_scope, c.source_id)"
    )
    # Somebody who comes anew after the record was missed is no ghost.
    run(
        "CREATE TEMP TABLE memory_latest AS SELECT m.email_key, max(CASE WHEN c.new THEN "
        f"{came} ELSE greatest(c.first, c.created_at) END) AS latest "
        "FROM memory_members m SEMI JOIN memory_of USING (email_key) JOIN memory_read c "
        f"{table.SAME_RECORD} WHERE NOT c.made GROUP BY m.email_key"
    )
    run(
        "INSERT INTO memory_facts SELECT o.email_key, 'gone', g.source, g.source_scope, g.source_id, NULL, NULL, "
        "g.gone, NULL, t.latest > g.gone FROM memory_gone g JOIN memory_of o USING (person) "
        "LEFT JOIN memory_latest t USING (email_key)"
    )
    _strayed(recall, now)
    for flag in STICKY_FIELDS:
        if silent := ", ".join(map(quoted, recall.silent_about(flag))):
            # A file that has no such column any more takes nobody's objection back.
            run(
                "INSERT INTO memory_facts SELECT DISTINCT m.email_key, 'objection', b.source, b.source_scope, "
                f"b.source_id, '{flag}', NULL::TIMESTAMPTZ, {now}::TIMESTAMPTZ, NULL::BIGINT, false "
                f"FROM memory_before b JOIN memory_members m {table.SAME_RECORD} "
                f"WHERE b.{flag} AND b.source IN ({silent})"
            )
        # Whether the record is gone, or its CRM is not read any more; and whoever has its address by now.
        run(
            "INSERT INTO memory_facts SELECT email_key, 'objection', source, source_scope, source_id, "
            f"'{flag}', NULL, gone, NULL, false FROM (SELECT o.email_key, g.* FROM memory_absent g JOIN memory_of o "
            f"USING (person) WHERE g.{flag} UNION SELECT m.email_key, g.* FROM memory_absent g JOIN memory_read c "
            f"USING (email_hash) JOIN memory_members m ON (m.source, m.source_scope, m.source_id) = "
            f"(c.source, c.source_scope, c.source_id) WHERE g.{flag})"
        )
    run(
        "INSERT INTO memory_facts SELECT DISTINCT o.email_key, 'former', NULL, NULL, NULL, NULL, NULL::TIMESTAMPTZ, "
        "NULL::TIMESTAMPTZ, a.email_hash, false FROM memory_pasts a JOIN memory_of o USING (person) "
        f"WHERE a.email_hash IS DISTINCT FROM {keyed_sql(key, ADDRESS, 'o.email_key')}"
    )
    run(
        "INSERT INTO memory_facts SELECT o.email_key, 'link', e.source, e.source_scope, e.source_id, NULL, NULL, NULL, "
        f"NULL, false FROM memory_elsewhere e JOIN memory_of o USING (person) "
        f"WHERE e.email_hash IS DISTINCT FROM {keyed_sql(key, ADDRESS, 'o.email_key')}"
    )


def _strayed(recall: Any, now: str) -> None:
    """Note who has a record in a CRM that bears another person's address now, so that none is made beside it."""
    recall._run(
        "CREATE TEMP TABLE memory_strayed AS SELECT source, source_scope, source_id, was AS email_hash "
        "FROM memory_read WHERE moved AND NOT new UNION SELECT b.source, b.source_scope, b.source_id, "
        "unnest(b.former) FROM (SELECT * FROM memory_before WHERE former IS NOT NULL) b SEMI JOIN memory_read c "
        f"{table.SAME_RECORD}"
    )
    if not recall._one("SELECT count(*) FROM memory_strayed"):
        return
    # A person who comes anew is none of whom a record is left.
    recall._run(
        "INSERT INTO memory_facts SELECT x.email_key, 'strayed', s.source, s.source_scope, s.source_id, NULL, NULL, "
        f"{now}::TIMESTAMPTZ, NULL, x.fresh FROM memory_strayed s JOIN (SELECT m.email_key, c.email_hash, "
        "bool_or(c.new AND NOT c.first_look) OVER (PARTITION BY m.email_key) AS fresh FROM memory_members m "
        f"JOIN memory_read c {table.SAME_RECORD} WHERE m.email_key IN (SELECT m.email_key FROM memory_members m "
        f"JOIN memory_read c {table.SAME_RECORD} WHERE c.email_hash IN "
        "(SELECT email_hash FROM memory_strayed))) x USING (email_hash) "
        "JOIN memory_members r ON (r.source, r.source_scope, r.source_id) = (s.source, s.source_scope, s.source_id) "
        "WHERE r.email_key <> x.email_key"
    )


def export(con: Any, select: str, uri: Any) -> None:
    """Write a SELECT to a Parquet file that appears when it is complete."""
    path = as_path(uri)
    with appearing(path) as part:
        if is_local(path):
            con.execute(
                f"COPY ({select}) TO {quoted(local_name(part))} (FORMAT parquet, COMPRESSION zstd, "
                f"KV_METADATA {{'leads.schema_version': '{SCHEMA_VERSION}'}})"
            )
            return
        reader = con.sql(select).to_arrow_reader(10_000)
        with (
            open_file(part, "wb") as file,
            pq.ParquetWriter(file, reader.schema.with_metadata(VERSION_METADATA), compression="zstd") as writer,
        ):
            for batch in reader:
                writer.write_batch(batch.replace_schema_metadata(VERSION_METADATA))


def merged_ids_sql() -> str:
    """Return the SELECT of records that a CRM has merged into others, which are not gone, and of those others' rows."""
    return (
        f'SELECT "row", source, source_scope, email_key, '
        f"unnest(json_extract_string(properties, '$.{MERGED_IDS_PROPERTY}[*]')) AS source_id "
        f"FROM {_LEADS} WHERE contains(properties, '\"{MERGED_IDS_PROPERTY}\"')"
    )
