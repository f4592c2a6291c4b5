"""The rows of a memory, and the SQL that compares them with what CRMs hold now.

One row per record: ``person`` links the records of one person; per field a hash of the value that was last seen or
written, and, once somebody has changed it, between which two looks that was (``…:after``, ``…:until``). A cleared field
has no hash and such times; a field that never held anything has neither. ``…:after`` alone is when a run wrote the
value that died before it remembered. ``…:written``: the sync put the value there; above 0 it stands for the form of
what was written, until a look has shown in which form the CRM keeps it; below 0 it is that form less 1, negative: the
CRM's own answer says that it has made another value of it. ``gone`` is when a record was noticed to have disappeared.
There are no values and no addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from airflow_providers_leads.leads.memory.generation import Gap
from airflow_providers_leads.leads.memory.hashing import ADDRESS, digest_sql, keyed_sql, quoted, time_sql
from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS, STICKY_FIELDS

FIELDS: Final = tuple(name for name in PROFILE_FIELDS if name != "status")
"""Lead fields that are remembered: statuses of different CRMs don't compare and aren't synced."""
PROPERTY: Final = "properties."
"""Before the name of a custom property that is remembered as a field."""

Gaps = Mapping[str, Mapping[tuple[str, str], Gap]]
"""Field → source and scope → when it was not read for a while."""
UNSEEN: Final = -1
"""Stands for a property of a record that was not looked at since it is remembered: whatever it holds is no edit."""

_SPELLED: Final = re.compile(r"\^([0-9a-f]+)\^")

RECORD_SQL: Final = "source, source_scope, source_id"
SAME_RECORD: Final = "USING (source, source_scope, source_id)"

_HEAD: Final = {
    "source": "VARCHAR", "source_scope": "VARCHAR", "source_id": "VARCHAR",
    "person": "BIGINT",
    "email_hash": "BIGINT",
    "former": "BIGINT[]",
    "digest": "UBIGINT",
    "at": "TIMESTAMPTZ",
    "first": "TIMESTAMPTZ",
    "seen": "TIMESTAMPTZ",
    "gone": "TIMESTAMPTZ",
    "opted_out": "BOOLEAN",
    "bounced": "BOOLEAN",
    "noted": "BOOLEAN",
    "made": "BOOLEAN",
}  # fmt: skip
# at: time of the record when it was first seen, by which unchanged values compete; null where the CRM tells none.
# first, seen: when it was first and last seen; first is when the sync began to remember, where what its CRM held then
# was never looked at. noted: some field of it has been changed since, or holds what the CRM
# has made of what was written.
# made: the whole record was made by the sync, so that its being there is no sign of the person.


def fields_of(properties: Iterable[str]) -> list[str]:
    """Return all fields that are remembered, custom properties after a lead's own."""
    return [*FIELDS, *(f"{PROPERTY}{name}" for name in sorted(set(properties)))]


def columns(fields: Sequence[str]) -> dict[str, str]:
    """Return the columns of a memory and their SQL types."""
    found = dict(_HEAD)
    for field in fields:
        found |= {field: "BIGINT", f"{field}:after": "TIMESTAMPTZ", f"{field}:until": "TIMESTAMPTZ"}
        found |= {f"{field}:written": "BIGINT"}
    return found


def named(column: str) -> str:
    """Return a column's name as a SQL identifier.

    To DuckDB ``Tier`` and ``tier`` are one name, and CRMs have properties of both: capital letters are spelled out.
    """
    spelled = "".join(f"^{ord(char):x}^" if char.isupper() or char == "^" else char for char in column)
    return '"' + spelled.replace('"', '""') + '"'


def name_of(identifier: str) -> str:
    """Return the name of a column that :func:`named` has made an identifier of, as DuckDB gives it back."""
    return _SPELLED.sub(lambda found: chr(int(found[1], 16)), identifier)


def columns_in(con: Any, files: Sequence[str]) -> list[str]:
    """Return the columns of some files of rows.

    :param con: to DuckDB
    :param files: local names
    """
    described = con.sql(f"DESCRIBE SELECT * FROM read_parquet([{', '.join(map(quoted, files))}])").fetchall()
    return [name_of(row[0]) for row in described]


def listed(fields: Sequence[str], prefix: str = "") -> str:
    """Return the columns of a memory for a SELECT, in their order."""
    return ", ".join(f"{prefix}{named(name)}" for name in columns(fields))


def value_sql(field: str, prefix: str = "") -> str:
    """Return the SQL of a field's value in a table of leads.

    :param field: a lead field or a custom property
    :param prefix: the table's name and a dot
    """
    if not field.startswith(PROPERTY):
        return f"{prefix}{named(field)}"
    name = field.removeprefix(PROPERTY)
    paths = [_json_path([name]), *([_json_path(name.split("."))] if "." in name else [])]
    return f"coalesce({', '.join(f'json_extract_string({prefix}properties, {path})' for path in paths)})"


def _json_path(parts: Sequence[str]) -> str:
    escaped = [part.replace("\\", "\\\\").replace('"', '\\"') for part in parts]
    return quoted("$" + "".join(f'."{part}"' for part in escaped))


def hash_sql(key: str, field: str, prefix: str = "") -> str:
    """Return the SQL of what stands for a field's value in a table of leads."""
    return keyed_sql(key, field, value_sql(field, prefix))


def row_digest_sql(key: str, fields: Sequence[str], prefix: str = "") -> str:
    """Return the SQL that tells whether anything that is remembered of a lead may have changed."""
    texts = [value_sql(field, prefix) for field in fields]
    flags = [f"CAST({prefix}{name} AS VARCHAR)" for name in STICKY_FIELDS]
    return digest_sql(key, [f"{prefix}{ADDRESS}", *texts, *flags])


def stored_sql(files: Sequence[str], fields: Sequence[str], present: Iterable[str]) -> str:
    """Return the SELECT of stored rows in the form of :func:`columns`; what is newly remembered is null.

    :param files: local names
    :param fields: all fields that are remembered now
    :param present: columns that the files have
    """
    have = set(present)
    chosen = ", ".join(
        named(name) if name in have else f"NULL::{kind} AS {named(name)}" for name, kind in columns(fields).items()
    )
    return f"SELECT {chosen} FROM read_parquet([{', '.join(map(quoted, files))}])"


def renamed_sql(select: str, names: Mapping[tuple[str, str], str]) -> str:
    """Return the SELECT of rows under the names that connections have now.

    :param select: of rows
    :param names: see :func:`~…memory.intended.names_now`
    """
    if not names:
        return select
    cases = " ".join(
        f"WHEN source = {quoted(source)} AND source_scope = {quoted(old)} THEN {quoted(new)}"
        for (source, old), new in sorted(names.items())
    )
    return f"SELECT * REPLACE (CASE {cases} ELSE source_scope END AS source_scope) FROM ({select})"


def in_scopes_sql(places: Iterable[tuple[str, str]]) -> str:
    """Return the SQL that tells whether a row is of one of some sources and scopes."""
    listed = ", ".join(f"({quoted(source)}, {quoted(scope)})" for source, scope in places)
    return f"(source, source_scope) IN ({listed})"


def unseen_sql(field: str, gaps: Gaps, read: str = "c", before: str = "p") -> str:
    """Return the SQL that tells whether a record was last seen while a field of it was not read.

    :param field: the field
    :param gaps: see :func:`~…memory.reads.gaps_of`
    :param read: alias of the record
    :param before: alias of its remembered row
    """
    cases = []
    for (source, scope), gap in sorted(gaps.get(field, {}).items()):
        here = f"({read}.source, {read}.source_scope) = ({quoted(source)}, {quoted(scope)})"
        later = f"{before}.seen >= {time_sql(gap.again)}" if gap.again else "false"
        cases.append(f"({here} AND NOT coalesce({later}, false))")
    return f"({' OR '.join(cases)})" if cases else "false"


def _since_sql(field: str, gaps: Gaps, read: str, before: str) -> str:
    """Return the SQL of the time at which a field was surely seen last, before it is looked at now."""
    seen = f"greatest({before}.seen, {read}.was_read_at)"
    for place, gap in sorted(gaps.get(field, {}).items()):
        until = time_sql(gap.until)
        gone = unseen_sql(field, {field: {place: gap}}, read, before)
        seen = f"CASE WHEN {gone} THEN least({seen}, {until}) ELSE {seen} END"
    return seen


def next_row_sql(
    key: str,
    fields: Sequence[str],
    *,
    gaps: Gaps | None = None,
    silent: Mapping[str, Sequence[str]] | None = None,
    read: str = "c",
    before: str = "p",
) -> str:
    """Return the columns of a record's next row, made of what is read now and what was remembered.

    :param gaps: see :func:`~…memory.reads.gaps_of`
    :param silent: flag → sources that say nothing of it now
    :param read: alias of the lead as read, which has ``looked_at``, ``first_at``, ``new_digest``, ``next_person``,
        ``present``, the time at which it may have been changed at the latest, and ``reformatted``, the names of fields
        whose written value the CRM keeps in another form
    :param before: alias of its remembered row, all null when the record is new
    """
    new = f"{before}.source IS NULL"
    made: dict[str, str] = {
        "source": f"{read}.source",
        "source_scope": f"{read}.source_scope",
        "source_id": f"{read}.source_id",
        "person": f"{read}.next_person",
        "email_hash": f"coalesce({read}.email_hash, {before}.email_hash)",
        "former": (
            f"CASE WHEN {before}.email_hash IS NOT NULL AND {read}.email_hash IS NOT NULL "
            f"AND {before}.email_hash <> {read}.email_hash "
            f"THEN list_distinct(list_append(coalesce({before}.former, []), {before}.email_hash)) "
            f"ELSE {before}.former END"
        ),
        "digest": f"{read}.new_digest",
        "at": f"CASE WHEN {new} THEN coalesce({read}.updated_at, {read}.since_memory) ELSE {before}.at END",
        "first": f"coalesce({before}.first, {read}.first_at)",
        "seen": f"{read}.looked_at",
        "gone": "NULL::TIMESTAMPTZ",
    }
    for flag in STICKY_FIELDS:
        mute = ", ".join(map(quoted, (silent or {}).get(flag, ())))
        kept = f"CASE WHEN {read}.source IN ({mute}) THEN coalesce({read}.{flag}, {before}.{flag}) "
        if not mute:
            made[flag] = f"{read}.{flag}"
            continue
        made[flag] = f"{kept}ELSE {read}.{flag} END"
        # Whoever is told to be in again is to be seen, though the row is as it was while nothing was said.
        made["digest"] = f"CASE WHEN ({made[flag]}) IS NOT DISTINCT FROM {read}.{flag} THEN {made['digest']} END"
    changed_fields: list[str] = []
    for field in fields:
        old, name = f"{before}.{named(field)}", named(field)
        now = f"{read}.{name}"
        after, until = f"{before}.{named(field + ':after')}", f"{before}.{named(field + ':until')}"
        reformatted = f"coalesce(list_contains({read}.reformatted, {quoted(field)}), false)"
        differs = (
            f"({before}.source IS NOT NULL AND {differs_sql(now, old)} AND {read}.{named(field + ':known')} "
            f"AND NOT {reformatted})"
        )
        made[field] = f"CASE WHEN {read}.{named(field + ':known')} THEN {now} WHEN {new} THEN {UNSEEN} ELSE {old} END"
        # With no end, it is when a run wrote it that died before it remembered; and what a run has written there it
        # wrote once the change that it copied was made.
        written = f"{before}.{named(field + ':written')}"
        copied = f"WHEN {written} IS NOT NULL THEN {until}"
        since, touched = _since_sql(field, gaps or {}, read, before), f"{read}.updated_at"
        known = f"greatest({since}, CASE WHEN {until} IS NULL THEN {after} {copied} END)"
        changed = f"CASE WHEN {touched} > {since} AND {touched} < {read}.present THEN {touched} ELSE {read}.present END"
        made[f"{field}:after"] = f"CASE WHEN {differs} THEN {known} ELSE {after} END"
        # What the CRM has emptied, because it is no value of the property's new type, nobody has.
        kept = f"CASE WHEN {now} IS NULL AND {reformatted} THEN NULL ELSE {until} END"
        made[f"{field}:until"] = f"CASE WHEN {differs} THEN {changed} ELSE {kept} END"
        seen_form = f"CASE WHEN {written} > 0 AND {read}.{named(field + ':known')} THEN 0 ELSE {written} END"
        made[f"{field}:written"] = f"CASE WHEN NOT {differs} THEN {seen_form} END"
        changed_fields.append(noted_sql(made, field))
    made["noted"] = " OR ".join(changed_fields)
    made["made"] = f"{before}.made"
    return ", ".join(f"{made[name]} AS {named(name)}" for name in columns(fields))


def differs_sql(now: str, before: str) -> str:
    """Return the SQL that tells whether a value is another one than was seen before, in a record that was remembered.

    :param now: SQL of what stands for the value now
    :param before: of what stood for it
    """
    return f"({now} IS DISTINCT FROM {before} AND {before} IS DISTINCT FROM {UNSEEN})"


def noted_sql(columns: Mapping[str, str], field: str) -> str:
    """Return the SQL that tells whether a field makes a record one that is looked at closely.

    :param columns: column → its SQL
    :param field: somebody has changed it, or holds what a CRM has made of what was written
    """
    return f"(({columns[f'{field}:until']}) IS NOT NULL OR coalesce(({columns[f'{field}:written']}) < 0, false))"


def spill_folder(con: Any) -> str:
    """Return the folder for what a DuckDB connection has no memory for; it goes with the connection."""
    return str(con.sql("SELECT current_setting('temp_directory')").fetchall()[0][0])
