"""What a memory says to a plan: which fields stay as somebody left them, and who isn't made again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_providers_leads.leads.memory import table
from airflow_providers_leads.leads.memory.decide import stays_empty
from airflow_providers_leads.leads.memory.hashing import ADDRESS, keyed, keyed_sql, quoted
from airflow_providers_leads.leads.memory.local import local_copy

if TYPE_CHECKING:
    import ibis

CLEARED_HERE: Final = "cleared_here"
"""Reason: a field is left empty because somebody emptied it in this CRM."""
DELETED_HERE: Final = "deleted_here"
"""Reason: somebody deleted the person's record in this CRM."""
EDITED_HERE: Final = "edited_here"
"""Reason: a field is left as it is because somebody changed it in this CRM, which the merge didn't read."""
BOTH_CHANGED: Final = "both_changed"
"""Reason: a field was changed here and elsewhere, and the other value won."""
ADDRESS_CHANGED: Final = "address_changed"
"""Reason: the person has another address elsewhere."""
ERASED: Final = "erased"
"""Reason: the person was erased and stays out."""

_FACT: Final = ("kind", "source", "source_scope", "source_id", "field", "after", "until", "hash", "fresh")


@dataclass(frozen=True, slots=True)
class State:
    """What somebody has done to a record of the destination since the sync last saw or wrote it.

    :param edited: fields that were changed
    :param cleared: fields that were emptied → when, at the latest, and whether it was only noticed now
    """

    edited: Collection[str] = ()
    cleared: Mapping[str, tuple[datetime, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of a person who is planned.

    :param facts: see :mod:`~…memory.outcome`
    :param state: of the record that would be written to
    """

    facts: Sequence[Mapping[str, Any]] = ()
    state: State = field(default_factory=State)

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
    :param people: URI of what the merge knows of people
    :param merged: the merge has read this destination, and so has weighed what was changed there
    :param priority: sources of the policy, best first
    :param cleared: see :class:`~airflow_providers_leads.leads.merge.policy.MergePolicy`
    :param deleted: likewise
    :param address: likewise
    :param erased: hashes of people who were erased
    """

    source: str
    scope: str
    key: str
    fields: Sequence[str]
    baseline: Sequence[str]
    people: str
    merged: bool
    priority: Sequence[str] = ()
    cleared: str = "keep"
    deleted: str = "keep"
    address: str = "keep"
    erased: frozenset[int] = frozenset()

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
        con.execute(f"CREATE OR REPLACE TEMP TABLE plan_people AS SELECT * FROM read_parquet({people})")
        if self.merged or not self.baseline:
            return
        # The merge has not read this destination: who was given another address there, or is gone, is seen here.
        hashed = keyed_sql(self.key, ADDRESS, ADDRESS)
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE plan_here AS SELECT source, source_scope, source_id, email_hash, person "
            f"FROM ({self._stored(connection)}) WHERE gone IS NULL AND source = {quoted(self.source)} "
            f"AND source_scope = {quoted(self.scope)}"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE plan_astray AS SELECT h.*, e.source_id IS NULL AS missing FROM plan_here h "
            f"LEFT JOIN (SELECT source, source_scope, source_id, {hashed} AS now FROM plan_existing) e "
            "USING (source, source_scope, source_id) WHERE e.source_id IS NULL OR e.now IS DISTINCT FROM h.email_hash"
        )
        con.execute(
            "INSERT INTO plan_people SELECT g.email_key, CASE WHEN a.missing THEN 'gone' ELSE 'link' END, a.source, "
            "a.source_scope, a.source_id, NULL, NULL, now(), NULL, a.missing AND g.email_key IN "
            "(SELECT email_key FROM plan_people WHERE kind = 'came') "
            f"FROM plan_astray a JOIN (SELECT email_key, {hashed} AS hash FROM plan_golden) g ON g.hash = a.email_hash"
        )

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

    def _stored(self, connection: Any) -> str:
        files = [_local(connection, uri) for uri in self.baseline]
        listed = ", ".join(map(quoted, files))
        present = [row[0] for row in connection.con.sql(f"DESCRIBE SELECT * FROM read_parquet([{listed}])").fetchall()]
        return table.stored_sql(files, self.fields, present)

    def states(self, connection: Any) -> ibis.Table | None:
        """Return what was done to records, of those to which something was: the record, ``edited``, ``clears``."""
        if not self.baseline:
            return None
        edited, clears = [], []
        for name in self.fields:
            now, before = table.hash_sql(self.key, name, "e."), f"b.{table.named(name)}"
            until = f"b.{table.named(name + '_until')}"
            changed = f"{now} IS NOT NULL AND {now} IS DISTINCT FROM {before}"
            edited.append(f"CASE WHEN {changed} THEN {quoted(name)} END")
            emptied = f"{now} IS NULL AND ({before} IS NOT NULL OR {until} IS NOT NULL)"
            when = f"CASE WHEN {before} IS NOT NULL THEN now() ELSE {until} END"
            clears.append(
                f"CASE WHEN {emptied} THEN struct_pack(field := {quoted(name)}, until := {when}, "
                f"now := {before} IS NOT NULL) END"
            )
        connection.con.execute(
            "CREATE OR REPLACE TEMP TABLE plan_states AS SELECT * FROM (SELECT e.source, e.source_scope, e.source_id, "
            f"list_filter([{', '.join(edited)}], x -> x IS NOT NULL) AS edited, "
            f"list_filter([{', '.join(clears)}], x -> x IS NOT NULL) AS clears FROM plan_existing e "
            f"JOIN ({self._stored(connection)}) b "
            "USING (source, source_scope, source_id) WHERE b.gone IS NULL) WHERE len(edited) > 0 OR len(clears) > 0"
        )
        states: ibis.Table = connection.table("plan_states")
        return states

    def suppression(self, email_key: str, past: Past) -> str | None:
        """Return why a person isn't written whatever the destination holds, ``None`` when nothing stands against it."""
        if self.erased and keyed(self.key, ADDRESS, email_key) in self.erased:
            return ERASED
        if self.erased & {fact["hash"] for fact in past.of("former")}:
            return ERASED
        objections = past.of("objection")
        return str(objections[0]["field"]) if objections else None

    def deletion(self, past: Past) -> bool:
        """Tell whether a person who isn't in the destination was deleted there, and has not come anew since."""
        gone = [fact for fact in past.of("gone") if (fact["source"], fact["source_scope"]) == (self.source, self.scope)]
        return self.deleted == "keep" and bool(gone) and not any(fact["fresh"] for fact in gone)

    def leave(self, name: str, past: Past) -> str | None:
        """Return why a field of an existing record is left as it is, ``None`` when it may be written."""
        edits = [*past.of("edit", name), *past.of("both_changed", name)]
        fresh = any(fact["fresh"] for fact in edits)
        if (emptied := past.state.cleared.get(name)) is not None and self.cleared == "keep":
            until, just_now = emptied
            after = max((fact["after"] for fact in edits if fact["after"]), default=None)
            if stays_empty(until, fresh_value=fresh, value_after=after, cleared_now=just_now):
                return CLEARED_HERE
        if self.merged or name not in past.state.edited:
            return None
        if not fresh:
            return EDITED_HERE
        # Changed here and elsewhere: the policy's order decides between the two.
        elsewhere = {str(fact["source"]) for fact in edits if fact["fresh"]}
        return EDITED_HERE if self._place(self.source) < min(map(self._place, elsewhere)) else None

    def _place(self, source: str) -> int:
        return self.priority.index(source) if source in self.priority else len(self.priority)


def state_of(edited: Any, clears: Any) -> State:
    """Return a state as :meth:`PlanMemory.states` gives it."""
    if not edited and not clears:
        return NO_PAST.state
    return State(frozenset(edited or ()), {clear["field"]: (clear["until"], clear["now"]) for clear in clears or ()})


def _local(connection: Any, uri: Any) -> str:
    return local_copy(uri, table.spill_folder(connection.con))
