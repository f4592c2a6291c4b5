"""What is remembered, brought to bear on a merge: who is one person, whose value was changed, what is gone.

Runs in the merge's own DuckDB, on its numbered leads. Records that are as they were cost one comparison of a number;
only people of whom something has changed are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from airflow_providers_leads.leads.memory import table
from airflow_providers_leads.leads.memory.generation import Folder, Generation
from airflow_providers_leads.leads.memory.hashing import ADDRESS, digest_probe, keyed_sql, quoted
from airflow_providers_leads.leads.memory.intended import fold_writings, known_plans, names_now, written_before
from airflow_providers_leads.leads.memory.judge import Judge
from airflow_providers_leads.leads.memory.local import local_copy
from airflow_providers_leads.leads.memory.outcome import export, merged_ids_sql, vanished, write_outcome
from airflow_providers_leads.leads.memory.reads import (
    FileFacts,
    ReadFacts,
    concluding,
    first_looks,
    gaps_of,
    in_doubt,
    made_since_sql,
    reads_sql,
    retyped,
    under_new_names,
)
from airflow_providers_leads.leads.memory.recalled import Policy, Recalled

if TYPE_CHECKING:
    import ibis


OUTPUTS: Final = ("baseline", "delta", "people")
"""What a merge with memory writes besides: what was remembered before it, what is new, and what a plan must know."""
_FETCH_ROWS: Final = 10_000
_LEADS: Final = "memory_leads"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Recall:
    """One use of a memory by a merge.

    :param folder: the sync's memory
    :param reads: what the run has read
    :param outputs: name in :data:`OUTPUTS` → URI or path object
    :param policy: of the merge
    :param beside: URI under which what is recalled is told to those who know a golden file only
    :param now: the present time
    :param files: source → what is known of files of leads
    """

    def __init__(
        self,
        folder: Folder,
        reads: Sequence[ReadFacts],
        outputs: Mapping[str, Any],
        policy: Policy,
        beside: str | None = None,
        now: datetime | None = None,
        files: Mapping[str, FileFacts] | None = None,
    ) -> None:
        crms = {read.source for read in reads}
        self.files = {source: facts for source, facts in (files or {}).items() if source not in crms}
        self._named_anew = False
        self.folder, self.reads, self.outputs, self.policy = folder, reads, outputs, policy
        self.beside = beside
        self.now = now or datetime.now(UTC)
        self.result = Recalled(token=folder.token())
        generation, reason = folder.current()
        if generation is not None and (others := [read.conn_id for read in reads if read.other_account]):
            generation, reason = None, f"it is of another account than connection '{others[0]}' leads to now"
        elif generation is None:
            generation = written_before(folder)
        self.names: dict[tuple[str, str], str] = {}
        if generation is not None:
            self.names = names_now(reads, known_plans(folder.plans(folder.writing())))
            generation = under_new_names(generation, self.names)
        self.generation: Generation | None = generation
        self.first_looks = first_looks(generation, reads)
        self.result.first = reason
        self.result.generation = generation.number if generation else 0
        self.properties = sorted(generation.properties if generation else ())
        self.fields = table.fields_of(self.properties)
        self.key = folder.key
        self.gaps = gaps_of(generation)
        since = generation.at if generation else None
        changed = retyped(generation, reads)
        self.judge = Judge(
            self.key, self.fields, reads, policy, self.result, self.now, since, self.gaps, changed, self.files
        )

    @property
    def remakes_past(self) -> bool:
        """Tell whether what was remembered is written anew, because runs have written since or a name has changed."""
        return self.generation is not None and bool(self.names or self._named_anew or self.folder.writing())

    def silent_about(self, flag: str) -> list[str]:
        """Return the sources of files that have no column for a flag."""
        return sorted(source for source, facts in self.files.items() if flag not in facts.fields)

    @property
    def baseline(self) -> list[Any]:
        """The files of what was remembered before this run."""
        if self.generation is None:
            return []
        if self.remakes_past:
            return [self.outputs["baseline"]]
        return [self.folder.path / name for name in self.generation.files]

    # Before records are sorted by person ------------------------------------------------------------------------------

    def begin(self, connection: Any, leads: ibis.Table) -> None:
        """Compare what was read with what is remembered.

        :param connection: to DuckDB
        :param leads: numbered leads
        """
        self._connection, self._con = connection, connection.con
        connection.create_view(_LEADS, leads, overwrite=True)
        self._reads_table()
        self._previous()
        self._compare()
        self.result.vanished = vanished(self)
        self._run(f"CREATE TEMP TABLE memory_merged AS {merged_ids_sql()}")
        self._links()

    def _reads_table(self) -> None:
        self._run(
            "CREATE TEMP TABLE memory_reads(source VARCHAR, source_scope VARCHAR, looked_at TIMESTAMPTZ, "
            "was_read_at TIMESTAMPTZ, complete BOOLEAN)"
        )
        if rows := reads_sql(self.reads, self.generation, self.now):
            self._run(f"INSERT INTO memory_reads VALUES {rows}")

    def _previous(self) -> None:
        """Make ``memory_before``: what was remembered, and what runs have written since that nobody remembered."""
        columns = ", ".join(f"{table.named(name)} {kind}" for name, kind in table.columns(self.fields).items())
        if self.generation is None:
            self._run(f"CREATE TEMP TABLE memory_before({columns})")
            return
        writings, past = self.folder.writing(), None
        if self.generation.files:
            files = [self._local(self.folder.path / name) for name in self.generation.files]
            stored = table.stored_sql(files, self.fields, table.columns_in(self._con, files))
            past = table.renamed_sql(stored, self.names)
        if writings or past is None:
            self._run(f"CREATE TEMP TABLE memory_stored{f' AS {past}' if past else f'({columns})'}")
            plans = known_plans(self.folder.plans(writings), self.names)
            fold_writings(self._con, plans, self.key, self.fields, self._local, leads=_LEADS)
            past = "SELECT * FROM memory_stored"
        self._run(f"CREATE TEMP VIEW memory_past AS {past}")
        self._named_by_row()

    def _named_by_row(self) -> None:
        """Make ``memory_before`` of ``memory_past``: with the names that rows of files have now.

        A row that has no id has another name as soon as anything in it is another, and would pass for a person who
        comes anew: who has one row now is the one whose row was there before.
        """
        sources = [quoted(source) for source, facts in self.files.items() if facts.by_row]
        if sources:
            own = keyed_sql(self.key, ADDRESS, ADDRESS)
            self._run(
                "CREATE TEMP TABLE memory_rows AS SELECT n.source, n.source_scope, b.source_id, n.source_id AS new_id "
                f"FROM (SELECT source, source_scope, {own} AS email_hash, min(source_id) AS source_id FROM {_LEADS} "
                f"WHERE source IN ({', '.join(sources)}) AND {ADDRESS} IS NOT NULL GROUP BY ALL "
                "HAVING count(DISTINCT source_id) = 1) n JOIN (SELECT source, source_scope, email_hash, "
                f"arg_max(source_id, seen) AS source_id FROM memory_past WHERE source IN ({', '.join(sources)}) "
                "GROUP BY ALL) b USING (source, source_scope, email_hash) "
                f"ANTI JOIN memory_past p ON (p.source, p.source_scope, p.source_id) = "
                "(n.source, n.source_scope, n.source_id)"
            )
            self._named_anew = bool(self._one("SELECT count(*) FROM memory_rows"))
        past = "memory_past"
        if self._named_anew:
            past = (
                "(SELECT p.* REPLACE (coalesce(r.new_id, p.source_id) AS source_id) FROM memory_past p "
                f"LEFT JOIN memory_rows r {table.SAME_RECORD})"
            )
        self._run(f"CREATE TEMP VIEW memory_before AS SELECT * FROM {past}")

    def _compare(self) -> None:
        """Make ``memory_read``: each record that was read, beside what is remembered of it."""
        same = "p.digest IS NOT DISTINCT FROM c.new_digest" if self._probed() else "false"
        # What is empty now was as good as empty while nobody read it.
        read_again = [field for field in self.gaps if any(self.judge.was_read(s, field) for s, _ in self.gaps[field])]
        same = " AND ".join([same, *(f"NOT {table.unseen_sql(field, self.gaps)}" for field in read_again)])
        # The address is part of the digest: of a record that is as it was, its hash is known.
        address = f"CASE WHEN p.source IS NULL OR NOT ({same}) THEN {keyed_sql(self.key, ADDRESS, ADDRESS)} "
        address += f"WHEN {ADDRESS} IS NOT NULL THEN p.email_hash END"
        self._run(
            "CREATE TEMP TABLE memory_read AS SELECT *, was IS NOT NULL AND was IS DISTINCT FROM email_hash AS moved "
            f"FROM (SELECT c.*, {address} AS email_hash, p.person, p.email_hash AS was, p.at, p.first, p.noted, "
            f"p.source IS NULL AS new, p.source IS NOT NULL AND NOT ({same}) AS changed, p.gone IS NOT NULL AS back, "
            f"p.former IS NOT NULL AS readdressed, coalesce(p.made, false) AS made, "
            f"{self._first_look_sql()} AS first_look "
            f'FROM (SELECT "row", {table.RECORD_SQL}, {ADDRESS}, updated_at, created_at, '
            f"{table.row_digest_sql(self.key, self.fields)} AS new_digest FROM {_LEADS}) c "
            f"LEFT JOIN memory_before p {table.SAME_RECORD})"
        )
        duplicates = self._one(f"SELECT count(*) - count(DISTINCT hash({table.RECORD_SQL})) FROM memory_read")
        if duplicates:
            # The newest reading counts; the others are the same record.
            self._run(
                "CREATE OR REPLACE TEMP TABLE memory_read AS SELECT * FROM memory_read QUALIFY row_number() OVER "
                f'(PARTITION BY {table.RECORD_SQL} ORDER BY updated_at DESC NULLS LAST, "row" DESC) = 1'
            )

    def _first_look_sql(self) -> str:
        listed = ", ".join(f"({quoted(source)}, {quoted(scope)})" for source, scope in self.first_looks)
        return f"(c.source, c.source_scope) IN ({listed})" if listed else "false"

    def _probed(self) -> bool:
        return bool(self.generation and digest_probe(self._con) == self.generation.probe)

    def _local(self, path: Any) -> str:
        """Return the local name of a file, which is copied from a remote store."""
        return local_copy(path, table.spill_folder(self._con))

    def _links(self) -> None:
        """Make ``memory_names``: by which address records are known whose own one is new or gone."""
        # A record that has taken over somebody else's address follows it; whoever had it before stays who they are.
        self._run(
            "CREATE TEMP TABLE memory_mine AS SELECT person, email_key, email_hash, moved, was FROM memory_read "
            "WHERE person IS NOT NULL AND person IN "
            "(SELECT person FROM memory_read WHERE moved AND person IS NOT NULL)"
        )
        self._run(
            "CREATE TEMP TABLE memory_kept AS SELECT m.* FROM memory_mine m WHERE NOT (m.moved AND m.email_hash IN "
            "(SELECT b.email_hash FROM memory_before b WHERE b.email_hash IN (SELECT email_hash FROM memory_mine "
            "WHERE moved) "
            "AND b.gone IS NULL AND b.person <> m.person))"
        )
        self._run(
            "CREATE TEMP TABLE memory_names AS SELECT person, min(email_key) AS name FROM memory_kept "
            "WHERE email_key IS NOT NULL GROUP BY person"
        )
        # Whom an address names that somebody had, also at last in a record that is gone, and nobody has now, is they.
        self._run(
            "CREATE TEMP TABLE memory_former AS SELECT DISTINCT person, email_hash FROM ("
            "SELECT person, was AS email_hash FROM memory_mine WHERE moved "
            "UNION ALL SELECT person, unnest(list_append(former, email_hash)) FROM memory_before "
            "WHERE former IS NOT NULL) WHERE email_hash IS NOT NULL"
        )
        self._run(
            "CREATE TEMP TABLE memory_returning AS SELECT c.email_key, min(f.person) AS person FROM memory_read c "
            "JOIN memory_former f ON c.email_hash = f.email_hash WHERE c.new AND "
            "c.email_hash NOT IN (SELECT email_hash FROM memory_read "
            "WHERE NOT new AND email_hash IN (SELECT email_hash FROM memory_former)) GROUP BY c.email_key"
        )

    def edges(self) -> list[tuple[str, str]]:
        """Return pairs of addresses that are one person's by what is remembered."""
        pairs = self._con.sql(
            "SELECT DISTINCT k.email_key, n.name FROM memory_kept k JOIN memory_names n USING (person) "
            "WHERE k.email_key IS NOT NULL AND k.email_key <> n.name"
        ).fetchall()
        # People whose records have long had another address are found by any record of theirs.
        pairs += self._con.sql(
            "SELECT r.email_key, min(c.email_key) FROM memory_returning r JOIN memory_read c USING (person) "
            "WHERE c.email_key IS NOT NULL GROUP BY r.email_key"
        ).fetchall()
        pairs += self._lasting()
        # Whose record was merged into another one is the same person as that, also where the CRM keeps no old address.
        # Once that is remembered, the record that survived and theirs are one person's.
        pairs += self._con.sql(
            f"SELECT DISTINCT c.email_key, x.email_key FROM memory_merged x JOIN memory_before b {table.SAME_RECORD} "
            "JOIN memory_read c ON c.person = b.person WHERE c.email_key <> x.email_key "
            'UNION SELECT c.email_key, s.email_key FROM memory_merged x JOIN memory_read s USING ("row") '
            "JOIN memory_read c USING (person) "
            "WHERE NOT c.moved AND NOT s.moved AND c.email_key <> s.email_key"
        ).fetchall()
        return [(str(one), str(other)) for one, other in pairs]

    def _lasting(self) -> list[tuple[Any, ...]]:
        """Return pairs of people whose records have different addresses since an earlier run."""
        return list(
            self._con.sql(
                "WITH apart AS (SELECT person FROM memory_before WHERE person IS NOT NULL AND former IS NOT NULL), "
                "mine AS (SELECT person, email_key FROM memory_read "
                "WHERE NOT moved AND email_key IS NOT NULL AND person IN (FROM apart)) "
                "SELECT DISTINCT a.email_key, b.name FROM mine a JOIN (SELECT person, min(email_key) AS name FROM mine "
                "GROUP BY person) b USING (person) WHERE a.email_key <> b.name"
            ).fetchall()
        )

    def nameless(self) -> list[tuple[int, str]]:
        """Return the numbers of leads without an address that are somebody's by what is remembered, and whose."""
        return [
            (int(row), str(name))
            for row, name in self._con.sql(
                'SELECT lost."row", min(c.email_key) FROM memory_read lost JOIN memory_read c USING (person) '
                'WHERE lost.email_key IS NULL AND c.email_key IS NOT NULL GROUP BY lost."row"'
            ).fetchall()
        ]

    # Once records are sorted by person --------------------------------------------------------------------------------

    def settle(self, known: ibis.Table) -> ibis.Table | None:
        """Decide what has changed, and return what the merge is to see otherwise, by number of the lead.

        The table has ``row``, ``silenced`` (a bit per profile field, whose value doesn't compete), ``kept_properties``
        (instead of the lead's own, ``None``: those), ``at`` (instead of its time, with ``timed``) and ``readdressed``
        (above 0: the address is one that somebody gave the person later).

        :param known: numbered leads with ``person``
        """
        self.judge.conflicts.clear()
        self.judge.facts.clear()
        self.judge.reformatted.clear()
        self.judge.dated.clear()
        if self.generation is None:
            return None
        numbers = known.select("row", "person")
        self._connection.create_view("memory_people", numbers, overwrite=True)
        self._run(
            "CREATE TEMP TABLE memory_touched AS SELECT DISTINCT m.person FROM memory_people m JOIN memory_read c "
            'USING ("row") WHERE c.changed OR c.noted'
        )
        silences: list[tuple[int, int, str | None]] = []
        if self._one("SELECT count(*) FROM memory_touched"):
            for person in self._touched():
                silences += self.judge.person(person)
        silenced = pa.table(
            {
                "row": pa.array([row for row, _, _ in silences], pa.int64()),
                "silenced": pa.array([mask for _, mask, _ in silences], pa.int64()),
                "kept_properties": pa.array([text for _, _, text in silences], pa.string()),
            }
        )
        self._con.register("memory_silenced", silenced)
        # A record's own time moves with every look at its page: unchanged values keep the time at which they were seen.
        # What came since without a time is younger than all that was there.
        self._run(
            'CREATE TEMP TABLE memory_timed AS SELECT c."row", c.at FROM memory_read c '
            "WHERE NOT c.new AND c.updated_at IS DISTINCT FROM c.at UNION ALL "
            f'SELECT c."row", {made_since_sql(self.generation)} FROM memory_read c '
            "WHERE c.new AND NOT c.first_look AND c.updated_at IS NULL"
        )
        # The address that somebody gave a person last is the person's.
        self._run(
            'CREATE TEMP TABLE memory_readdressed AS SELECT "row", CASE WHEN moved THEN 2 ELSE 1 END AS readdressed '
            "FROM memory_read WHERE (moved AND email_key IS NOT NULL) OR readdressed"
        )
        self._run(
            'CREATE TEMP TABLE memory_overlay AS SELECT "row", coalesce(s.silenced, 0) AS silenced, s.kept_properties, '
            't.at, t."row" IS NOT NULL AS timed, coalesce(a.readdressed, 0) AS readdressed FROM '
            '(SELECT "row" FROM memory_silenced UNION SELECT "row" FROM memory_timed UNION SELECT "row" FROM '
            'memory_readdressed) LEFT JOIN memory_silenced s USING ("row") LEFT JOIN memory_timed t USING ("row") '
            'LEFT JOIN memory_readdressed a USING ("row")'
        )
        if not self._one("SELECT count(*) FROM memory_overlay"):
            return None
        overlay: ibis.Table = self._connection.table("memory_overlay")
        return overlay

    def _touched(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the records of each person of whom something has changed."""
        values = ", ".join(
            f"{table.value_sql(f, 'd.')} AS {table.named('v:' + f)}, p.{table.named(f)} AS {table.named('h:' + f)}, "
            f"p.{table.named(f + ':after')} AS {table.named('a:' + f)}, "
            f"p.{table.named(f + ':until')} AS {table.named('u:' + f)}, "
            f"p.{table.named(f + ':written')} AS {table.named('w:' + f)}"
            for f in self.fields
        )
        rows = self._con.sql(
            f'SELECT m.person, d."row", d.source, d.source_scope, d.source_id, d.updated_at, d.created_at, '
            f"d.properties, c.new, c.first_look, c.at, c.moved, greatest(p.seen, r.was_read_at) AS seen, p.seen AS "
            f"row_seen, {values} "
            'FROM memory_people m JOIN memory_touched t USING (person) JOIN memory_read c USING ("row") '
            f'JOIN {_LEADS} d USING ("row") LEFT JOIN memory_before p ON (p.source, p.source_scope, p.source_id) = '
            "(d.source, d.source_scope, d.source_id) LEFT JOIN memory_reads r ON (r.source, r.source_scope) = "
            "(d.source, d.source_scope) ORDER BY m.person, d.source, d.source_scope, d.source_id"
        )
        reader = rows.to_arrow_reader(_FETCH_ROWS)
        names = [table.name_of(name) for name in reader.schema.names]
        flat = (row for batch in reader for row in batch.rename_columns(names).to_pylist())
        for _, records in groupby(flat, key=lambda row: row["person"]):
            yield list(records)

    # Once the merge is written ----------------------------------------------------------------------------------------

    @property
    def conflicts(self) -> list[dict[str, Any]]:
        """What memory decided between differing values: by winning record, to be joined to its person."""
        return self.judge.conflicts

    def add_conflicts(self, uri: Any, members: Sequence[Any]) -> int:
        """Add what memory decided to a merge's conflicts, and return how many there are.

        :param uri: file of conflicts, which is written anew
        :param members: URIs or path objects of the merge's members
        """
        texts = [pa.field(name, pa.string()) for name in ("source", "source_scope", "source_id")]
        place = [pa.field("place", pa.int64()), *texts]
        candidate = pa.struct(
            [*place, pa.field("updated_at", pa.timestamp("us", tz="UTC")), pa.field("value", pa.string())]
        )
        named = [pa.field(name, pa.string()) for name in ("field", "winner", "rule")]
        schema = pa.schema([*texts, *named, pa.field("candidates", pa.list_(candidate))])
        self._con.register("memory_conflicts", pa.Table.from_pylist(self.judge.conflicts, schema=schema))
        listed = ", ".join(quoted(self._local(path)) for path in members)
        own = (
            "SELECT m.email_key, n.field, n.winner, n.source AS winner_source, n.source_scope AS winner_scope, "
            "n.source_id AS winner_id, n.rule, n.candidates FROM memory_conflicts n JOIN "
            f"(SELECT {table.RECORD_SQL}, email_key FROM read_parquet([{listed}])) m {table.SAME_RECORD}"
        )
        joined = f"SELECT * FROM read_parquet({quoted(self._local(uri))}) UNION ALL {own}"
        self._run(f"CREATE OR REPLACE TEMP TABLE memory_all_conflicts AS {joined}")
        export(self._con, "SELECT * FROM memory_all_conflicts", uri)
        return int(self._one("SELECT count(*) FROM memory_all_conflicts"))

    def finish(self, members: Sequence[Any]) -> None:
        """Write what is new, and what a plan must know.

        :param members: URIs or path objects of the merge's members
        """
        scopes, self.result.shrunken = concluding(self.generation, self.reads)
        doubtful = in_doubt(self.generation, self.reads, scopes)
        write_outcome(self, [self._local(path) for path in members], scopes, doubtful)

    def links(self) -> ibis.Table:
        """Return which records are whose by more than their address, once :meth:`finish` has told: ``golden_key``."""
        facts = self._connection.table("memory_facts")
        linked = facts.filter(facts.kind == "link")
        return linked.select("source", "source_scope", "source_id", golden_key=linked.email_key).distinct()

    def _run(self, statement: str) -> None:
        self._con.execute(statement)

    def _one(self, statement: str) -> Any:
        (row,) = self._con.sql(statement).fetchall()
        return row[0]
