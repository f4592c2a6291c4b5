"""What a memory says to a plan: which fields stay as somebody left them, and who isn't made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_providers_leads.leads.memory import table
from airflow_providers_leads.leads.memory.decide import stays_empty
from airflow_providers_leads.leads.memory.hashing import ADDRESS, digest_probe, keyed, keyed_form, keyed_sql, quoted
from airflow_providers_leads.leads.memory.local import local_copy

if TYPE_CHECKING:
    import ibis

CLEARED_HERE: Final = "cleared_here"
"""Reason: a field is left empty because somebody emptied it in this CRM."""
DELETED_HERE: Final = "deleted_here"
"""Reason: somebody deleted the person's record in this CRM."""
EDITED_HERE: Final = "edited_here"
"""Reason: a field is left as it is because somebody changed it in this CRM, which the merge didn't read."""
ALIKE_HERE: Final = "alike_here"
"""Reason: a field is left as it is because the CRM keeps the value in another form."""
BOTH_CHANGED: Final = "both_changed"
"""Reason: a field was changed here and elsewhere, and the other value won."""
ADDRESS_CHANGED: Final = "address_changed"
"""Reason: the person has another address elsewhere."""
ERASED: Final = "erased"
"""Reason: the person was erased and stays out."""

_FACT: Final = ("kind", "source", "source_scope", "source_id", "field", "after", "until", "hash", "fresh")


class Edited(NamedTuple):
    """When somebody changed a field.

    :param after: at the earliest, where that is known better than by the last look
    :param weighed: the merge has read it so
    """

    after: datetime | None = None
    weighed: bool = False


class Cleared(NamedTuple):
    """When somebody emptied a field.

    :param until: at the latest
    :param now: it was only noticed now
    :param after: at the earliest, where that is known better than by the last look
    """

    until: datetime
    now: bool
    after: datetime | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What somebody has done to a record of the destination since the sync last saw or wrote it.

    :param edited: fields that were changed
    :param cleared: fields that were emptied
    :param noted: fields that hold what somebody changed here or elsewhere before the last run → when, at the latest
    :param forms: fields that hold what the CRM has made of what a run wrote → what stands for that
    """

    edited: Mapping[str, Edited] = field(default_factory=dict)
    cleared: Mapping[str, Cleared] = field(default_factory=dict)
    noted: Mapping[str, datetime] = field(default_factory=dict)
    forms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of a person who is planned.

    :param facts: see :mod:`~…memory.outcome`
    :param state: of the record that would be written to
    :param weighed: the merge has read that record, and so has weighed what it held against what others hold
    """

    facts: Sequence[Mapping[str, Any]] = ()
    state: State = field(default_factory=State)
    weighed: bool = True

    def of(self, kind: str, name: str | None = None) -> list[Mapping[str, Any]]:
        """Return the facts of a kind, about a field where one is named."""
        return [fact for fact in self.facts if fact["kind"] == kind and name in (None, fact["field"])]


NO_PAST: Final = Past()


@dataclass(frozen=True, slots=True)
class PlanMemory:
    """A memory as a plan for one destination uses it.

    :param source: connection type of the destination
    :param scope: its scope
    :param key: of the hashes
    :param fields: all that is remembered
    :param baseline: URIs of what was remembered before the run
    :param delta: URI of what of it the merge has read otherwise
    :param people: URI of what the merge knows of people
    :param merged: the merge has read all of this destination, and so knows who is gone or has another address there
    :param priority: sources of the policy, best first
    :param cleared: see :class:`~airflow_providers_leads.leads.merge.policy.MergePolicy`
    :param deleted: likewise
    :param address: likewise
    :param erased: hashes of people who were erased
    :param probe: of the digests in the baseline; see :func:`~…memory.hashing.digest_probe`
    :param vanished: fields of which most values were gone at once in what the merge has read
    :param foreign: what is remembered of the destination is of another account than its connection leads to now
    :param known_as: another connection by which the destination is remembered
    """

    source: str
    scope: str
    key: str
    fields: Sequence[str]
    baseline: Sequence[str]
    delta: str
    people: str
    merged: bool
    priority: Sequence[str] = ()
    cleared: str = "keep"
    deleted: str = "keep"
    address: str = "keep"
    erased: frozenset[int] = frozenset()
    probe: str = ""
    vanished: frozenset[str] = frozenset()
    foreign: bool = False
    known_as: str | None = None

    def prepare(self, connection: Any, golden: ibis.Table, existing: ibis.Table) -> None:
        """Make what the other methods read.

        :param connection: to DuckDB
        :param golden: the people who are planned
        :param existing: what the destination holds
        """
        con = connection.con
        connection.create_view("plan_golden", golden.select("email_key"), overwrite=True)
        connection.create_view("plan_existing", existing, overwrite=True)
        people = quoted(_local(connection, self.people))
        known = "true"
        if self.foreign:
            # Who objected there has objected all the same.
            known = f"NOT (kind IN ('gone', 'strayed', 'link') AND {self._here()})"
        told = table.renamed_sql(f"SELECT * FROM read_parquet({people})", self._names)
        con.execute(f"CREATE OR REPLACE TEMP TABLE plan_people AS SELECT * FROM ({told}) WHERE {known}")
        con.execute("CREATE OR REPLACE TEMP TABLE plan_missed(source_id VARCHAR, came BOOLEAN)")
        if self.merged or not self.baseline or self.foreign:
            return
        # The merge has not read this destination: who was given another address there, or is gone, is seen here.
        hashed = keyed_sql(self.key, ADDRESS, ADDRESS)
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE plan_here AS SELECT source, source_scope, source_id, email_hash, person "
            f"FROM ({self._stored(connection)}) WHERE gone IS NULL AND {self._here()}"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE plan_astray AS SELECT h.*, e.source_id IS NULL AS missing FROM plan_here h "
            f"LEFT JOIN (SELECT source, source_scope, source_id, {hashed} AS now FROM plan_existing) e "
            "USING (source, source_scope, source_id) WHERE e.source_id IS NULL OR e.now IS DISTINCT FROM h.email_hash"
        )
        if not con.sql("SELECT count(*) FROM plan_astray").fetchall()[0][0]:
            return
        # By any address that the person has or had, also in another CRM.
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE plan_who AS WITH m AS ({self._stored(connection)}), k AS ("
            f"SELECT email_key, {hashed} AS hash FROM plan_golden UNION SELECT email_key, hash FROM plan_people "
            "WHERE kind = 'former') SELECT k.email_key, m.person FROM k JOIN m ON m.email_hash = k.hash UNION "
            "SELECT k.email_key, f.person FROM k JOIN (SELECT person, unnest(former) AS hash FROM m) f USING (hash)"
        )
        con.execute(
            "INSERT INTO plan_people SELECT w.email_key, CASE WHEN a.missing THEN 'gone' ELSE 'link' END, a.source, "
            "a.source_scope, a.source_id, NULL, NULL, now(), NULL, a.missing AND w.email_key IN "
            "(SELECT email_key FROM plan_people WHERE kind = 'came') FROM plan_astray a JOIN plan_who w USING (person)"
        )
        con.execute(
            "INSERT INTO plan_missed SELECT a.source_id, bool_or(w.email_key IN (SELECT email_key FROM plan_people "
            "WHERE kind = 'came')) FROM plan_astray a JOIN plan_who w USING (person) WHERE a.missing GROUP BY 1"
        )

    def missed(self, connection: Any) -> dict[str, bool]:
        """Return the records of people that are remembered and were not found, once :meth:`prepare` has looked.

        :return: id → the person comes anew
        """
        return dict(connection.con.sql("SELECT * FROM plan_missed ORDER BY 1").fetchall())

    @property
    def _names(self) -> dict[tuple[str, str], str]:
        return {} if self.known_as is None else {(self.source, self.known_as): self.scope}

    def _here(self) -> str:
        return f"source = {quoted(self.source)} AND source_scope = {quoted(self.scope)}"

    def facts(self, connection: Any) -> ibis.Table:
        """Return what is known of people, one row per ``email_key`` with a list of ``facts``."""
        import ibis

        people = connection.table("plan_people")
        fact = ibis.struct({name: people[name] for name in _FACT})
        grouped: ibis.Table = people.group_by("email_key").aggregate(facts=fact.collect())
        return grouped

    def links(self, connection: Any) -> ibis.Table:
        """Return which records of the destination are whose, by more than the address: ``golden_key``."""
        people = connection.table("plan_people")
        mine = people.filter((people.kind == "link") & (people.source == self.source))
        linked: ibis.Table = mine.select("source", "source_scope", "source_id", golden_key=mine.email_key)
        return linked.distinct()

    def _stored(self, connection: Any, uris: Sequence[str] | None = None) -> str:
        files = [_local(connection, uri) for uri in (self.baseline if uris is None else uris)]
        stored = table.stored_sql(files, self.fields, table.columns_in(connection.con, files))
        stored = table.renamed_sql(stored, self._names)
        return f"SELECT * FROM ({stored}) WHERE NOT ({self._here()})" if self.foreign else stored

    def states(self, connection: Any) -> ibis.Table | None:
        """Return what was done to records, of those to which something was: the record, ``edited``,
        ``clears``, ``noted`` and ``forms``."""
        if not self.baseline:
            return None
        edited, clears, noted, forms = [], [], [], []
        for name in self.fields:
            now, before, read = (f"{each}.{table.named(name)}" for each in ("e", "b", "m"))
            until = f"b.{table.named(name + ':until')}"
            # With no end, it is when a run wrote it that died before it remembered.
            after = f"CASE WHEN {until} IS NULL THEN b.{table.named(name + ':after')} END"
            # What the merge has read it has weighed.
            differs = table.differs_sql(now, before)
            # What nobody has read may be anybody's.
            changed = f"({now} IS DISTINCT FROM {read} OR (b.source IS NOT NULL AND {differs}))"
            had = f"coalesce({before} <> {table.UNSEEN}, false)"
            edited.append(
                f"CASE WHEN {now} IS NOT NULL AND {changed} THEN struct_pack(field := {quoted(name)}, "
                f"after := {after}, weighed := {now} IS NOT DISTINCT FROM {read}) END"
            )
            emptied = f"{now} IS NULL AND ({had} OR {until} IS NOT NULL)"
            when = f"CASE WHEN {had} THEN now() ELSE {until} END"
            clears.append(
                f"CASE WHEN {emptied} THEN struct_pack(field := {quoted(name)}, until := {when}, "
                f"now := {had}, after := {after}) END"
            )
            noted.append(
                f"CASE WHEN {now} IS NOT NULL AND {until} IS NOT NULL THEN struct_pack(field := {quoted(name)}, "
                f"until := {until}) END"
            )
            written = f"b.{table.named(name + ':written')}"
            forms.append(
                f"CASE WHEN {now} IS NOT DISTINCT FROM {before} AND {written} < 0 THEN struct_pack("
                f"field := {quoted(name)}, form := -1 - {written}) END"
            )
        hashes = ", ".join(f"{table.hash_sql(self.key, name, 'e.')} AS {table.named(name)}" for name in self.fields)
        # Of records that are back after they were missed, too.
        here = f"source = {quoted(self.source)}"
        read = f"SELECT * FROM ({self._stored(connection, [self.delta])}) WHERE {here}"
        # Most records are as they were: to leave them out first costs a twentieth of hashing what they hold.
        connection.con.execute(
            f"CREATE OR REPLACE TEMP VIEW plan_before AS SELECT * FROM ({self._stored(connection)}) WHERE {here}; "
            f"CREATE OR REPLACE TEMP VIEW plan_read AS SELECT *, true AS by_delta FROM ({read}) UNION ALL "
            f"SELECT b.*, false FROM plan_before b ANTI JOIN ({read}) d {table.SAME_RECORD}; "
            f"CREATE OR REPLACE TEMP TABLE plan_touched AS SELECT {table.RECORD_SQL}, {hashes} FROM plan_existing e "
            f"JOIN plan_read m {table.SAME_RECORD} LEFT JOIN plan_before b {table.SAME_RECORD} "
            f"WHERE {self._touched(connection)}; "
            "CREATE OR REPLACE TEMP TABLE plan_states AS SELECT * FROM (SELECT e.source, e.source_scope, e.source_id, "
            f"list_filter([{', '.join(edited)}], x -> x IS NOT NULL) AS edited, "
            f"list_filter([{', '.join(clears)}], x -> x IS NOT NULL) AS clears, "
            f"list_filter([{', '.join(noted)}], x -> x IS NOT NULL) AS noted, "
            f"list_filter([{', '.join(forms)}], x -> x IS NOT NULL) AS forms FROM plan_touched e "
            f"JOIN plan_read m {table.SAME_RECORD} LEFT JOIN plan_before b {table.SAME_RECORD}) "
            "WHERE len(edited) > 0 OR len(clears) > 0 OR len(noted) > 0 OR len(forms) > 0"
        )
        states: ibis.Table = connection.table("plan_states")
        return states

    def _touched(self, connection: Any) -> str:
        """Return the SQL that is false of a record to which nothing was done, as its row as a whole shows."""
        if digest_probe(connection.con) != self.probe:
            return "true"
        now = table.row_digest_sql(self.key, self.fields, "e.")
        return f"m.by_delta OR b.noted IS NOT FALSE OR b.digest IS DISTINCT FROM {now}"

    def suppression(self, email_key: str, past: Past) -> str | None:
        """Return why a person isn't written whatever the destination holds, ``None`` when nothing stands against it."""
        if self.erased and keyed(self.key, ADDRESS, email_key) in self.erased:
            return ERASED
        if self.erased & {fact["hash"] for fact in past.of("former")}:
            return ERASED
        objections = past.of("objection")
        return str(objections[0]["field"]) if objections else None

    def absence(self, past: Past) -> str | None:
        """Return why a person who isn't in the destination isn't made there, ``None`` when nothing stands against it.

        Whoever was deleted there, or whose record bears somebody else's address now, is made when they come anew.
        """
        if self.deleted == "keep" and self._left(past, "gone"):
            return DELETED_HERE
        return ADDRESS_CHANGED if self._left(past, "strayed") else None

    def _left(self, past: Past, kind: str) -> bool:
        here = [fact for fact in past.of(kind) if (fact["source"], fact["source_scope"]) == (self.source, self.scope)]
        # Whoever came anew may have been deleted once more since.
        return not all(fact["fresh"] for fact in here)

    def keeps(self, name: str, value: str, past: Past) -> bool:
        """Tell whether what a field holds is what the CRM has made of a value when a run wrote it."""
        form = past.state.forms.get(name)
        return form is not None and form == keyed_form(self.key, name, value)

    def leave(self, name: str, past: Past, origin: str, alike: Callable[[], bool]) -> str | None:
        """Return why a field of an existing record is left as it is, ``None`` when it may be written.

        :param name: of the field
        :param past: what is remembered
        :param origin: field of the golden record whose value would be written
        :param alike: tells whether that value is the one that stands there, in the CRM's own form
        """
        edits = [*past.of("edit", origin), *past.of("both_changed", origin)]
        fresh = any(fact["fresh"] for fact in edits)
        until = max((fact["until"] for fact in edits if fact["until"] and (fact["fresh"] or not fresh)), default=None)
        after = max((fact["after"] for fact in edits if fact["after"]), default=None)
        # A field of another name the merge has not weighed against this one.
        weighed = origin == name and past.weighed and name not in self.vanished
        # What the merge has weighed it has emptied everywhere.
        emptied = None if self.cleared == "spread" and weighed else past.state.cleared.get(name)
        if emptied is not None and stays_empty(
            emptied.until,
            cleared_after=emptied.after,
            cleared_now=emptied.now,
            fresh_value=fresh,
            value_after=after,
            value_until=until,
        ):
            return CLEARED_HERE
        noted = past.state.noted.get(name)
        old = not fresh and (until is None or (noted is not None and noted >= until))
        if old and self.baseline and alike():
            # The CRM keeps it in a form of its own, and would at every run.
            return ALIKE_HERE
        if not weighed and not fresh and noted is not None and (after is None or after < noted):
            # What the merge has read of others may be what lost against this in an earlier run.
            return EDITED_HERE
        edited = past.state.edited.get(name)
        if edited is None or (edited.weighed and origin == name):
            return None
        if not fresh or (edited.after is not None and until is not None and edited.after >= until):
            return EDITED_HERE
        # Changed here and elsewhere: the policy's order decides between the two.
        elsewhere = {str(fact["source"]) for fact in edits if fact["fresh"]}
        return EDITED_HERE if self._place(self.source) <= min(map(self._place, elsewhere)) else None

    def outlives(self, name: str, past: Past, emptied: Mapping[str, Any]) -> str | None:
        """Return why a field stays as it is although it was emptied elsewhere, ``None`` when it is emptied here too.

        :param name: of the field
        :param past: what is remembered
        :param emptied: the fact of the clearing
        """
        if emptied["field"] == name and past.weighed:
            return None
        noted, after = past.state.noted.get(name), emptied["after"]
        # What was changed here that the merge has not weighed stays, unless it is known to be older.
        changed = name in past.state.edited or (noted is not None and (after is None or after < noted))
        return EDITED_HERE if changed else None

    def _place(self, source: str) -> tuple[int, str]:
        return (self.priority.index(source) if source in self.priority else len(self.priority), source)


def state_of(edited: Any, clears: Any, noted: Any, forms: Any) -> State:
    """Return a state as :meth:`PlanMemory.states` gives it."""
    if not (edited or clears or noted or forms):
        return NO_PAST.state
    return State(
        {edit["field"]: Edited(edit["after"], edit["weighed"]) for edit in edited or ()},
        {clear["field"]: Cleared(clear["until"], clear["now"], clear["after"]) for clear in clears or ()},
        {note["field"]: note["until"] for note in noted or ()},
        {made["field"]: made["form"] for made in forms or ()},
    )


def _local(connection: Any, uri: Any) -> str:
    return local_copy(uri, table.spill_folder(connection.con))
