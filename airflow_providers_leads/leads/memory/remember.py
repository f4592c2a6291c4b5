"""The end of a run: what it read and wrote becomes the generation that counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import duckdb
import msgspec

from airflow_providers_leads.leads.files.places import is_complete, open_file
from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import appearing
from airflow_providers_leads.leads.memory import table
from airflow_providers_leads.leads.memory.generation import (
    Folder,
    Generation,
    SyncMemoryError,
    Writing,
    mark_of_key,
    scope_name,
)
from airflow_providers_leads.leads.memory.hashing import (
    ADDRESS,
    digest_probe,
    keyed_form_sql,
    keyed_sql,
    quoted,
    time_sql,
)
from airflow_providers_leads.leads.memory.intended import known_plans, names_now, properties_in, writes_sql, written_sql
from airflow_providers_leads.leads.memory.local import local_copy
from airflow_providers_leads.leads.memory.reads import (
    ReadFacts,
    gaps_of,
    has_read,
    next_accounts,
    next_gaps,
    next_kinds,
    next_scopes,
    of_other_accounts,
    under_new_names,
    without,
)

_MEMORY: Final = "1GB"


class Kept(msgspec.Struct, kw_only=True):
    """What the merge of a run leaves for its end, as it stands in the merge's result.

    :param memory: URI of the memory's folder
    :param generation: that was used
    :param token: see :meth:`~…memory.generation.Folder.token`
    :param baseline: files of what was remembered before the run
    :param delta: file of what is new
    :param people: file of what a plan knows of people
    :param inputs: files of leads that were merged
    """

    memory: str
    generation: int
    token: str
    baseline: list[str]
    delta: str
    people: str
    inputs: list[str] = []


def other_runs(folder: Folder, kept: Kept, run: str) -> str | None:
    """Return why what a run was told by its memory doesn't hold any more, ``None`` when it does.

    :param folder: the memory
    :param kept: of the run's merge
    :param run: the run, whose own writing is no surprise
    """
    generation, *marks = kept.token.split("|")
    if f"generation {folder.pointer().generation}" != generation:
        return "another run has remembered since this one merged"
    if others := sorted({mark.run for mark in folder.writing()} - {run, *marks}):
        return f"another run, {others[0]}, has begun to write since this one merged"
    return None


def remember(
    folder: Folder,
    kept: Kept,
    reads: Sequence[ReadFacts],
    members: Sequence[Any],
    *,
    run: str,
    now: datetime | None = None,
) -> Generation:
    """Write the next generation and let it count.

    :param folder: the sync's memory
    :param kept: of the run's merge
    :param reads: what the run has read
    :param members: URIs or path objects of the merge's members
    :param run: the run, whose marks say what it wrote
    :raises SyncMemoryError: when another run has remembered or written meanwhile
    """
    now = now or datetime.now(UTC)
    if reason := other_runs(folder, kept, run):
        raise SyncMemoryError(f"memory {folder.path}: {reason}. Nothing was remembered; the next run looks anew.")
    current, _ = folder.current()
    before = current if current and current.number == kept.generation else None
    marks = folder.writing()
    names = names_now(reads, known_plans(folder.plans(marks)))
    if before is not None:
        before = under_new_names(before, names)
    own = [mark for mark in marks if mark.run == run]
    open_marks: list[Writing] = []
    with TemporaryDirectory(prefix="leads-memory-") as scratch:
        work = _Work(Path(scratch), folder, kept)
        since = [facts for facts, _, _ in known_plans(folder.plans(marks), names)]
        foreign = of_other_accounts(since)
        before = without(before, foreign) if before else None
        properties = set(before.properties if before else ())
        plans = known_plans(folder.plans(own))
        properties |= properties_in(plans)
        fields = table.fields_of(properties)
        with closing(work.connect()) as con:
            work.load(con, fields, reads, foreign, names)
            work.people(con, fields)
            work.look(con, plans, fields, reads, members, before)
            for mark in own:
                if not work.add_writes(con, mark, fields):
                    open_marks.append(mark)
            number = folder.pointer().generation + 1
            files, records = work.write(con, number, members, fields, before)
            probe = digest_probe(con)
    generation = Generation(
        number=number,
        sync=folder.name,
        run=run,
        at=now,
        since=before.since if before else now,
        files=files,
        records=records,
        properties=sorted(properties),
        probe=probe,
        scopes=next_scopes(before, reads, now),
        gaps=next_gaps(before, reads, work.looks, now),
        looks={**(before.looks if before else {}), **{scope: at for scope, at, _ in work.looks}},
        accounts=next_accounts(before, reads, since),
        kinds=next_kinds(before, reads),
        made_with=mark_of_key(folder.key),
    )
    folder.publish(generation)
    folder.settle([mark for mark in marks if mark not in open_marks])
    return generation


class _Work:
    """The making of one generation."""

    def __init__(self, scratch: Path, folder: Folder, kept: Kept) -> None:
        self._scratch, self._folder, self._kept = scratch, folder, kept
        self._rows = "read"
        self.looks: list[tuple[str, datetime, frozenset[str] | None]] = []
        """What plans have looked at: the scope's name, when, and which properties."""

    def connect(self) -> Any:
        con = duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": str(self._scratch / "spill")})
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SET preserve_insertion_order = false")
        return con

    def local(self, uri: Any) -> str:
        """Return the local name of a file, which is copied from a remote store."""
        return local_copy(uri, self._scratch)

    def load(
        self,
        con: Any,
        fields: Sequence[str],
        reads: Sequence[ReadFacts],
        foreign: Sequence[tuple[str, str]],
        names: Mapping[tuple[str, str], str],
    ) -> None:
        """Make ``read``: what is remembered once what was read is taken in, and what is of other accounts left out.

        :param names: see :func:`~…memory.intended.names_now`
        """
        files = [self.local(uri) for uri in self._kept.baseline]
        delta = self.local(self._kept.delta)
        self.changed = con.sql(f"SELECT count(*) FROM read_parquet({quoted(delta)})").fetchall()[0][0] > 0
        present = table.columns_in(con, [delta])
        new = table.stored_sql([delta], fields, present)
        read = new
        if files:
            old = table.renamed_sql(table.stored_sql(files, fields, table.columns_in(con, files)), names)
            self.changed |= bool(names)
            if foreign:
                old, self.changed = f"SELECT * FROM ({old}) WHERE NOT {table.in_scopes_sql(foreign)}", True
            con.execute(f"CREATE VIEW delta AS {new}")
            read = (
                f"SELECT {table.listed(fields)} FROM ({old}) b ANTI JOIN delta d {table.SAME_RECORD} "
                f"UNION ALL SELECT {table.listed(fields)} FROM delta"
            )
        if learnt := [field for field in fields if field not in present]:
            read = self._as_read(con, read, learnt, reads)
        con.execute(f"CREATE VIEW read AS {read}")

    def _as_read(self, con: Any, read: str, learnt: Sequence[str], reads: Sequence[ReadFacts]) -> str:
        """Return the SELECT of remembered rows with what was read of properties that only the plans have named.

        A merge doesn't know which properties will be synced. Were they remembered from the next run on, all that they
        hold then would pass for edits. Of what was not read now it is noted that nobody has looked.
        """
        looks = [
            f"SELECT {table.RECORD_SQL}, updated_at, "
            + ", ".join(f"{table.hash_sql(self._folder.key, field)} AS {table.named(field)}" for field in learnt)
            + f" FROM read_parquet({quoted(self.local(uri))})"
            for uri in self._kept.inputs
        ]
        if not looks:
            unseen = ", ".join(f"{table.UNSEEN} AS {table.named(field)}" for field in learnt)
            return f"SELECT * REPLACE ({unseen}) FROM ({read})"
        con.execute(
            f"CREATE TABLE learnt AS SELECT * EXCLUDE (updated_at) FROM ({' UNION ALL '.join(looks)}) QUALIFY "
            f"row_number() OVER (PARTITION BY {table.RECORD_SQL} ORDER BY updated_at DESC NULLS LAST) = 1"
        )
        sources = sorted({each.source for each in reads})
        values = []
        for field in learnt:
            read_of = [quoted(source) for source in sources if has_read(reads, source, field)]
            seen = f"l.source IN ({', '.join(read_of)})" if read_of else "false"
            value = f"CASE WHEN {seen} THEN l.{table.named(field)} ELSE {table.UNSEEN} END"
            values.append(f"coalesce(r.{table.named(field)}, {value}) AS {table.named(field)}")
        return (
            f"SELECT r.* REPLACE ({', '.join(values)}) FROM ({read}) r LEFT JOIN learnt l ON (r.source, "
            "r.source_scope, r.source_id) = (l.source, l.source_scope, l.source_id)"
        )

    def look(
        self,
        con: Any,
        plans: Sequence[tuple[PlanFacts, Any, Any]],
        fields: Sequence[str],
        reads: Sequence[ReadFacts],
        members: Sequence[Any],
        before: Generation | None,
    ) -> None:
        """Make ``looks``: what plans saw of the people in CRMs that the run didn't read, beside what is remembered."""
        found = [each for facts, _, _ in plans if (each := self._seen_by(facts, fields, reads))]
        if not found:
            return
        listed = ", ".join(quoted(self.local(uri)) for uri in members)
        con.execute(
            f"CREATE TABLE looked AS SELECT * FROM ({' UNION ALL '.join(found)}) QUALIFY row_number() OVER (PARTITION "
            f"BY {table.RECORD_SQL} ORDER BY looked_at DESC, updated_at DESC NULLS LAST) = 1"
        )
        con.execute(
            f"CREATE TABLE whose AS SELECT m.email_key, min(n.person) AS person FROM read_parquet([{listed}]) m "
            f"LEFT JOIN read n {table.SAME_RECORD} WHERE m.email_key IN (SELECT email_key FROM looked) GROUP BY ALL"
        )
        same = "false"
        if before is not None and before.probe == digest_probe(con):
            same = "p.source IS NOT NULL AND p.digest IS NOT DISTINCT FROM c.new_digest"
        key, gaps = self._folder.key, gaps_of(before)
        same = " AND ".join([same, *(f"NOT {table.unseen_sql(field, gaps)}" for field in gaps)])
        own = keyed_sql(key, ADDRESS, "c.email_key")
        forms = []
        for field in fields:
            written, form = f"p.{table.named(field + ':written')}", keyed_form_sql(key, field, f"c.{_text(field)}")
            forms.append(f"CASE WHEN {written} <> 0 AND {written} IN ({form}, -1 - {form}) THEN {quoted(field)} END")
        con.execute(
            f"CREATE TABLE news AS SELECT c.*, {own} AS email_hash, coalesce(w.person, {own}) AS next_person, "
            "NULL::TIMESTAMPTZ AS since_memory, looked_at AS first_at, NULL::TIMESTAMPTZ AS was_read_at, looked_at AS "
            f"present, list_filter([{', '.join(forms)}], x -> x IS NOT NULL) AS reformatted "
            f"FROM looked c LEFT JOIN read p {table.SAME_RECORD} LEFT JOIN whose w ON w.email_key = c.email_key "
            f"WHERE NOT ({same}) AND (p.source IS NOT NULL OR w.email_key IS NOT NULL)"
        )
        # Under which address a person is known here stays as it was: by it their other records are found. They are
        # known by the one that they have got as well, unless it is somebody's.
        free = "n.email_hash <> p.email_hash AND n.email_hash NOT IN (SELECT email_hash FROM read WHERE email_hash "
        free += "IN (SELECT email_hash FROM news))"
        former = "list_distinct(list_append(coalesce(p.former, []), n.email_hash))"
        con.execute(
            "CREATE TABLE looks AS SELECT n.* REPLACE (coalesce(p.person, n.person) AS person, "
            "coalesce(p.email_hash, n.email_hash) AS email_hash, "
            f"CASE WHEN {free} THEN {former} ELSE p.former END AS former) FROM (SELECT "
            f"{table.next_row_sql(key, fields, gaps=gaps)} FROM news c "
            f"LEFT JOIN read p {table.SAME_RECORD}) n LEFT JOIN read p {table.SAME_RECORD} UNION ALL "
            "SELECT p.* REPLACE (greatest(p.seen, c.looked_at) AS seen) "
            f"FROM read p JOIN looked c {table.SAME_RECORD} WHERE {same}"
        )
        con.execute(
            f"CREATE VIEW seen AS SELECT {table.listed(fields)} FROM read ANTI JOIN looks {table.SAME_RECORD} "
            f"UNION ALL SELECT {table.listed(fields)} FROM looks"
        )
        self._rows = "seen"
        self.changed = True

    def _seen_by(self, facts: PlanFacts, fields: Sequence[str], reads: Sequence[ReadFacts]) -> str | None:
        """Return the SELECT of what a plan saw of its destination, ``None`` where the merge has looked there itself."""
        looked, scope = facts.looked, facts.scope
        if looked is None or any(
            read.conn_id == facts.conn_id and (scope is None or not read.parts or scope in read.parts) for read in reads
        ):
            return None
        if not is_complete(path := self._folder.path_to(looked.uri)):
            return None
        key, read = self._folder.key, {f"{table.PROPERTY}{name}" for name in looked.properties or ()}
        columns = []
        for field in fields:
            known = not field.startswith(table.PROPERTY) or looked.properties is None or field in read
            columns += [
                f"{table.hash_sql(key, field)} AS {table.named(field)}",
                f"{table.value_sql(field)} AS {_text(field)}",
                f"{'true' if known else 'false'} AS {table.named(field + ':known')}",
            ]
        known_of = None if looked.properties is None else frozenset(looked.properties)
        self.looks.append((scope_name(facts.conn_type, scope or facts.conn_id), looked.at, known_of))
        return (
            f"SELECT {table.RECORD_SQL}, email_key, updated_at, opted_out, bounced, {', '.join(columns)}, "
            f"{table.row_digest_sql(key, fields)} AS new_digest, {time_sql(looked.at)} AS "
            f"looked_at FROM read_parquet({quoted(self.local(path))}) WHERE source = {quoted(facts.conn_type)} "
            f"AND source_scope = {quoted(scope or facts.conn_id)}"
        )

    def people(self, con: Any, fields: Sequence[str]) -> None:
        """Make ``edited``: since when a person's values are edited ones."""
        people = quoted(self.local(self._kept.people))
        ends = ", ".join(
            f'max(CASE WHEN field = {quoted(field)} THEN "{end}" END) AS {table.named(f"{field}:{end}")}'
            for field in fields
            for end in ("after", "until")
        )
        con.execute(
            f"CREATE TABLE edited AS SELECT email_key, {ends} FROM read_parquet({people}) "
            "WHERE kind IN ('edit', 'both_changed') GROUP BY email_key"
        )

    def add_writes(self, con: Any, mark: Writing, fields: Sequence[str]) -> bool:
        """Add to ``writes`` what a run has written; true when the results tell of every row."""
        settled = True
        for facts, plan, results in known_plans(self._folder.plans([mark])):
            select = writes_sql(facts, plan, results, self._folder.key, fields, self.local)
            con.execute(f"CREATE OR REPLACE TABLE planned AS {select}")
            settled &= con.sql("SELECT count(*) FROM planned WHERE NOT settled").fetchall()[0][0] == 0
            ends = ", ".join(f"e.{table.named(f'{f}:{end}')}" for f in fields for end in ("after", "until"))
            rows = (
                f"SELECT p.*, {ends} FROM planned p LEFT JOIN edited e USING (email_key) "
                "WHERE p.settled AND p.source_id IS NOT NULL"
            )
            exists = con.sql("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'writes'").fetchall()[0][0]
            con.execute(f"INSERT INTO writes {rows}" if exists else f"CREATE TABLE writes AS {rows}")
        return settled

    def write(
        self, con: Any, number: int, members: Sequence[Any], fields: Sequence[str], before: Generation | None
    ) -> tuple[list[str], int]:
        """Write the generation's file, unless nothing has changed, and return the names and the number of records."""
        exists = con.sql("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'writes'").fetchall()[0][0]
        written = exists and con.sql("SELECT count(*) FROM writes").fetchall()[0][0]
        stored = before is not None and fields == table.fields_of(before.properties)
        kept_as_is = before is not None and [str(uri) for uri in self._kept.baseline] == [
            str(self._folder.path / name) for name in before.files
        ]
        if before is not None and stored and kept_as_is and not self.changed and not written:
            return before.files, before.records
        select = f"SELECT {table.listed(fields)} FROM {self._rows}"
        if written:
            listed = ", ".join(quoted(self.local(uri)) for uri in members)
            con.execute(
                "CREATE TABLE linked AS SELECT m.email_key, min(n.person) AS person FROM read_parquet("
                f"[{listed}]) m SEMI JOIN (SELECT email_key FROM writes WHERE created) w USING (email_key) "
                f"JOIN {self._rows} n {table.SAME_RECORD} GROUP BY m.email_key"
            )
            con.execute(
                "CREATE VIEW final_writes AS SELECT w.*, l.person FROM writes w LEFT JOIN linked l USING (email_key)"
            )
            select = written_sql(self._rows, "final_writes", fields, times=True)
        name = f"generation-{number:06}.parquet"
        path = self._folder.path / name
        made = self._scratch / "made.parquet"
        con.execute(
            f"COPY ({select} ORDER BY source, source_scope) TO {quoted(str(made))} "
            "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)"
        )
        with appearing(path) as part, made.open("rb") as source, open_file(part, "wb") as target:
            while chunk := source.read(1 << 22):
                target.write(chunk)
        records = con.sql(f"SELECT count(*) FROM read_parquet({quoted(str(made))})").fetchall()[0][0]
        return [name], int(records)


def _text(field: str) -> str:
    """Return the column of a look that holds a value itself."""
    return table.named(f"{field}:text")
