"""What runs wrote, or meant to write, as rows of a memory: own writes are nobody's edits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from airflow_providers_leads.leads.files.parquet import open_parquet
from airflow_providers_leads.leads.files.parts import parts_left
from airflow_providers_leads.leads.files.places import StagingError, as_path, is_complete
from airflow_providers_leads.leads.files.plan_facts import PlanFacts, read_plan_facts
from airflow_providers_leads.leads.memory import table
from airflow_providers_leads.leads.memory.generation import Folder, Generation
from airflow_providers_leads.leads.memory.hashing import ADDRESS, keyed_form_sql, keyed_sql, quoted, time_sql
from airflow_providers_leads.leads.memory.reads import ReadFacts, new_names

_WRITTEN: Final = ("created", "updated")


def fold_writings(
    con: Any,
    known: Sequence[tuple[PlanFacts, Any, Any]],
    key: str,
    fields: Sequence[str],
    local: Callable[[Any], str],
    *,
    leads: str,
) -> None:
    """Bring ``memory_stored`` to what runs wrote that nobody remembered.

    Where a run's results say what was written, that is what the record held. Where they don't, because the run was
    killed, a value that stands there now and was meant to be written was written.

    :param con: DuckDB connection, with ``memory_stored``
    :param known: see :func:`known_plans`
    :param key: of the hashes
    :param fields: all that is remembered
    :param local: gives the local name of a file
    :param leads: view of the leads that were read
    """
    for facts, plan, results in known:
        if facts.other_account:
            place = (facts.conn_type, facts.scope or facts.conn_id)
            con.execute(f"DELETE FROM memory_stored WHERE {table.in_scopes_sql([place])}")
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE memory_writes AS {writes_sql(facts, plan, results, key, fields, local)}"
        )
        _find_creates(con, key, leads)
        _keep_what_stands(con, key, fields, leads)
        con.execute(f"CREATE TEMP TABLE memory_folded AS {written_sql('memory_stored', 'memory_writes', fields)}")
        con.execute("DROP TABLE memory_stored")
        con.execute("ALTER TABLE memory_folded RENAME TO memory_stored")


def written_before(folder: Folder) -> Generation | None:
    """Return what stands for a generation while there is none and runs have written, ``None`` where none has.

    A first run that died has told nobody what it read, and what it wrote is nobody's edit all the same.

    :param folder: a memory
    """
    if folder.pointer().generation or not (known := known_plans(folder.plans(folder.writing()))):
        return None
    at = known[0][0].planned_at
    return Generation(
        number=0, sync=folder.name, run="", at=at, since=at, files=[], records=0,
        properties=sorted(properties_in(known)), probe="",
    )  # fmt: skip


def known_plans(
    plans: Sequence[tuple[Any, Any]], names: Mapping[tuple[str, str], str] | None = None
) -> list[tuple[PlanFacts, Any, Any]]:
    """Return what plans say of themselves, with the plans and their results, the oldest first.

    One that was never whole is left out: its task ended before it wrote.

    :param plans: path objects of plans and results
    :param names: see :func:`names_now`
    """
    known = []
    for plan, results in plans:
        with suppress(StagingError):
            facts = read_plan_facts(plan)
            conn_id = (names or {}).get((facts.conn_type, facts.conn_id), facts.conn_id)
            known.append((msgspec.structs.replace(facts, conn_id=conn_id), plan, results))
    return sorted(known, key=lambda each: each[0].planned_at)


def names_now(reads: Iterable[ReadFacts], plans: Sequence[tuple[PlanFacts, Any, Any]]) -> dict[tuple[str, str], str]:
    """Return the connections that have another name than in the memory: CRM and old name → name now.

    :param reads: what a run has read
    :param plans: what was written since it was remembered, see :func:`known_plans`
    """
    written = {(facts.conn_type, facts.conn_id) for facts, _, _ in plans}
    # Where both are written to, they are two ways to one account, and neither is the other.
    return new_names(reads) | {
        old: facts.conn_id
        for facts, _, _ in plans
        if facts.known_as and (old := (facts.conn_type, facts.known_as)) not in written
    }


def properties_in(known: Sequence[tuple[PlanFacts, Any, Any]]) -> set[str]:
    """Return the custom properties that plans write, and those that they make them of.

    :param known: see :func:`known_plans`
    """
    return {name for facts, _, _ in known for name in (*facts.properties, *facts.property_keys)}


def writes_sql(
    facts: PlanFacts, plan: Any, results: Any, key: str, fields: Sequence[str], local: Callable[[Any], str]
) -> str:
    """Return the SELECT of what a plan writes, as hashes; ``settled`` where the results say that it was written.

    :param facts: of the plan
    :param plan: its URI
    :param results: URI of its results, which may not be there
    :param key: of the hashes
    :param fields: all that is remembered
    :param local: gives the local name of a file
    """
    scope = quoted(facts.scope or facts.conn_id)
    chosen = ", ".join(
        f"{keyed_sql(key, name, _stored_sql(name))} AS {table.named(name)}, {_is_planned_sql(name)} AS "
        f"{table.named(name + ':set')}, {_form_sql(key, name)} AS {table.named(name + ':form')}"
        for name in fields
    )
    outcomes = _outcomes_sql(results, local)
    # A failed row may have been written in part, where a CRM takes its fields one by one.
    written = f"(r.outcome IN ({', '.join(map(quoted, _WRITTEN))}) OR (r.outcome = 'failed' AND len(r.fields) > 0))"
    return (
        f"SELECT {quoted(facts.conn_type)} AS source, {scope} AS source_scope, "
        f"coalesce(r.target_id, p.target_id) AS source_id, p.email_key, "
        + f"{keyed_sql(key, ADDRESS, 'p.email_key')} AS email_hash, "
        f"{time_sql(facts.planned_at)} AS at, p.action = 'create' AS created, "
        f"p.action = 'update' AND {_is_planned_sql('email')} AS readdressed, "
        f"coalesce({written}, false) AS settled, {chosen} "
        f"FROM read_parquet({quoted(local(plan))}) p LEFT JOIN {outcomes} r USING (email_key) "
        f"WHERE p.action IN ('create', 'update') AND (r.outcome IS NULL OR r.outcome = 'ambiguous' OR {written})"
    )


def _outcomes_sql(results: Any, local: Callable[[Any], str]) -> str:
    """Return the SELECT of what became of the rows of a plan, as far as somebody has written it down."""
    path = as_path(results)
    # A killed task has left what it had settled; where it was tried again, that is younger than its results.
    files = [file for file in (path, *parts_left(path)) if is_complete(file)]
    if not files:
        nothing = ("email_key", "outcome", "target_id", "stored")
        return f"(SELECT {', '.join(f'NULL::VARCHAR AS {name}' for name in nothing)}, []::VARCHAR[] AS fields)"
    each = [
        "SELECT email_key, outcome, target_id, coalesce(from_json(fields, '[\"VARCHAR\"]'), []) AS fields, "
        f"{_stored_in(file)} AS stored, {number} AS age FROM read_parquet({quoted(local(file))})"
        for number, file in enumerate(files)
    ]
    if len(each) == 1:
        return f"({each[0]})"
    return (
        f"(SELECT * FROM ({' UNION ALL '.join(each)}) QUALIFY "
        "row_number() OVER (PARTITION BY email_key ORDER BY age DESC) = 1)"
    )


def _stored_in(results: Any) -> str:
    """Return the column of results that says what a CRM has made of values; older ones have none."""
    with open_parquet(results) as file:
        return "stored" if "stored" in file.schema_arrow.names else "NULL::VARCHAR"


def _form_sql(key: str, field: str) -> str:
    """Return the SQL of the form of what was planned, below 0 where the answer says that the CRM has another value."""
    # Turning all bits over makes -1 - n of n.
    turned = f"CASE WHEN json_exists(r.stored, {_key_path(field)}) THEN -1 ELSE 0 END"
    return f"xor({keyed_form_sql(key, field, _planned_sql(field))}, {turned})"


def _stored_sql(field: str) -> str:
    """Return the SQL of what stands in a CRM once a field is written: what its answer says, else what was planned."""
    return f"coalesce(json_extract_string(r.stored, {_key_path(field)}), {_planned_sql(field)})"


def _planned_sql(field: str) -> str:
    return f"json_extract_string(p.{_place(field)})"


def _is_planned_sql(field: str) -> str:
    known = f"(r.outcome IS NULL OR len(r.fields) = 0 OR list_contains(r.fields, {quoted(field)}))"
    return f"(json_exists(p.{_place(field)}) AND {known})"


def _place(field: str) -> str:
    """Return the column of a plan that holds a field, and where in its JSON."""
    if field.startswith(table.PROPERTY):
        return f'"properties", {_key_path(field.removeprefix(table.PROPERTY))}'
    return f'"values", {_key_path(field)}'


def _key_path(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return quoted(f'$."{escaped}"')


def _find_creates(con: Any, key: str, leads: str) -> None:
    """Give creations of which no answer came the ids of the records that are there now."""
    new = (
        f"SELECT c.source, c.source_scope, {keyed_sql(key, ADDRESS, 'c.email_key')} AS email_hash, min(c.source_id) AS "
        f"source_id FROM {leads} c ANTI JOIN memory_stored s {table.SAME_RECORD} GROUP BY ALL"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE memory_writes AS SELECT w.* REPLACE (coalesce(w.source_id, n.source_id) AS "
        f"source_id) FROM memory_writes w LEFT JOIN ({new}) n ON w.created AND w.source_id IS NULL AND "
        "(n.source, n.source_scope, n.email_hash) = (w.source, w.source_scope, w.email_hash)"
    )
    con.execute("DELETE FROM memory_writes WHERE source_id IS NULL")


def _keep_what_stands(con: Any, key: str, fields: Sequence[str], leads: str) -> None:
    """Of updates that may have got through or not, keep the values that stand there now."""
    if not con.sql("SELECT count(*) FROM memory_writes WHERE NOT settled AND NOT created").fetchone()[0]:
        return
    hashes = ", ".join(f"{table.hash_sql(key, field, 'd.')} AS {table.named(field)}" for field in fields)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE memory_standing AS SELECT {table.RECORD_SQL}, {hashes} FROM {leads} d "
        f"SEMI JOIN (SELECT * FROM memory_writes WHERE NOT settled AND NOT created) {table.SAME_RECORD}"
    )
    kept = ", ".join(
        f"w.{table.named(field + ':set')} AND (w.settled OR w.created OR w.{table.named(field)} IS NOT DISTINCT FROM "
        f"s.{table.named(field)}) AS {table.named(field + ':set')}"
        for field in fields
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE memory_writes AS SELECT w.* REPLACE ({kept}) FROM memory_writes w "
        f"LEFT JOIN memory_standing s {table.SAME_RECORD}"
    )


def written_sql(stored: str, writes: str, fields: Sequence[str], *, times: bool = False) -> str:
    """Return the SELECT of rows of a memory once some writes are done.

    :param stored: table of rows
    :param writes: table of writes, at most one per record
    :param fields: all that is remembered
    :param times: the writes say since when a value is an edited one, which it stays wherever it is copied to
    """
    updated: dict[str, str] = {name: f"s.{table.named(name)}" for name in table.columns(fields)}
    created: dict[str, str] = {name: f"NULL::{kind}" for name, kind in table.columns(fields).items()}
    created |= {name: f"w.{name}" for name in ("source", "source_scope", "source_id", "email_hash", "at")}
    created |= {"person": "coalesce(w.person, w.email_hash)" if times else "w.email_hash"}
    created |= {"first": "w.at", "seen": "w.at", "noted": "false"}
    moved = "w.readdressed AND s.email_hash IS DISTINCT FROM w.email_hash"
    updated["email_hash"] = f"CASE WHEN {moved} THEN w.email_hash ELSE s.email_hash END"
    updated["former"] = (
        f"CASE WHEN {moved} AND s.email_hash IS NOT NULL THEN list_distinct(list_append(coalesce(s.former, []), "
        "s.email_hash)) ELSE s.former END"
    )
    noted = ["coalesce(s.noted, false)"]
    for field in fields:
        is_set, value = f"w.{table.named(field + ':set')}", f"w.{table.named(field)}"
        old = f"s.{table.named(field)}"
        updated[field] = f"CASE WHEN {is_set} THEN {value} ELSE {old} END"
        # Of a record that was there before nobody knows what else it holds.
        created[field] = f"CASE WHEN {is_set} THEN {value} WHEN NOT w.created THEN {table.UNSEEN} END"
        for end in ("after", "until"):
            name = f"{field}:{end}"
            # Of what a run wrote that nobody remembered it is known when: what differs from it was done later.
            written_at = "w.at" if end == "after" else "NULL::TIMESTAMPTZ"
            since = f"w.{table.named(name)}" if times else written_at
            updated[name] = f"CASE WHEN {is_set} THEN {since} ELSE s.{table.named(name)} END"
            created[name] = f"CASE WHEN {is_set} THEN {since} END"
        form = f"w.{table.named(field + ':form')}"
        updated[f"{field}:written"] = f"CASE WHEN {is_set} THEN {form} ELSE s.{table.named(field + ':written')} END"
        created[f"{field}:written"] = f"CASE WHEN {is_set} THEN {form} END"
        noted.append(table.noted_sql(updated, field))
    updated["noted"] = " OR ".join(noted[1:])
    # What it held as a whole isn't known any more: the next look compares field by field.
    updated["digest"] = "CASE WHEN w.source IS NULL THEN s.digest END"
    created["made"] = "w.created"
    created["noted"] = " OR ".join(table.noted_sql(created, field) for field in fields)
    made = ", ".join(f"{updated[name]} AS {table.named(name)}" for name in table.columns(fields))
    new = ", ".join(f"{created[name]} AS {table.named(name)}" for name in table.columns(fields))
    return (
        f"SELECT {made} FROM {stored} s LEFT JOIN {writes} w {table.SAME_RECORD} UNION ALL SELECT {new} "
        f"FROM {writes} w ANTI JOIN {stored} s {table.SAME_RECORD}"
    )
