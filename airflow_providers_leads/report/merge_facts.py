"""What a merge had to decide: values that disagree, and what people did in the CRMs since the last run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from airflow_providers_leads.hooks.registry import crm_name
from airflow_providers_leads.leads.files.staging import StagingError, as_path
from airflow_providers_leads.leads.memory.hashing import quoted
from airflow_providers_leads.leads.merge.engine import read_parquet
from airflow_providers_leads.report.files import RunFiles

MOST_EXAMPLES: Final = 6
OTHERS: Final = "others"
"""Name of what has no name of its own in a report."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One value about which the records of a person disagree; the first candidate was kept."""

    email_key: str
    field: str
    rule: str
    candidates: list[tuple[str, str | None]]
    times: Sequence[datetime | None] = ()


class Tables:
    """The files as views of one DuckDB, which reads them through Airflow's own paths."""

    def __init__(self, connection: Any, path: Any) -> None:
        self._connection, self._path, self._views = connection, path, 0

    def view(self, uris: Iterable[str], columns: Sequence[str]) -> str:
        """Return the name of a view of some files of one kind."""
        tables = [read_parquet(self._connection, self._path(uri), columns) for uri in uris]
        table = tables[0]
        for other in tables[1:]:
            table = table.union(other)
        self._views += 1
        name = f"report_{self._views}"
        self._connection.create_view(name, table)
        return name

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query; those given here are few."""
        found: list[tuple[Any, ...]] = self._connection.con.execute(sql).fetchall()
        return found


def case_of(name: Mapping[tuple[str, str], str], values: Mapping[str, str], prefix: str = "") -> str:
    """Return SQL that gives a record's source a value by its name."""
    whens = " ".join(
        f"WHEN {prefix}source = {quoted(source)} AND {prefix}source_scope = {quoted(scope)} THEN {values[title]}"
        for (source, scope), title in name.items()
    )
    return f"CASE {whens} END" if whens else "NULL"


def read_conflicts(tables: Tables, files: RunFiles, facts: Any, name: Mapping[tuple[str, str], str]) -> None:
    columns = ("email_key", "field", "winner", "rule", "candidates")
    conflicts = tables.view(files.conflicts.values(), columns)
    plain = "lower(strip_accents(regexp_replace(coalesce(c.value, ''), '[^\\p{L}\\p{N}]', '', 'g')))"
    marked = (
        f"SELECT *, len(list_distinct(list_transform(candidates, lambda c: {plain}))) = 1 AS spelling FROM {conflicts}"
    )
    for title, spelling, other in tables.rows(
        f"SELECT field, count(*) FILTER (spelling), count(*) FILTER (NOT spelling) FROM ({marked}) "
        "GROUP BY field ORDER BY count(*) DESC, field"
    ):
        facts.conflicts[title] = (spelling, other)
    label = case_of(name, {title: quoted(title) for title in name.values()}, "c.")
    labelled = (
        f"list_transform(candidates, lambda c: {{'source': {label}, 'value': c.value, 'at': epoch(c.updated_at)}})"
    )
    others = f"list_filter(({labelled})[2:], lambda c: c.value IS DISTINCT FROM winner)"
    for kept, lost, number in tables.rows(
        "SELECT kept, lost, count(*) FROM ("
        f"SELECT ({labelled})[1].source AS kept, "
        f"unnest(list_distinct(list_transform({others}, lambda c: c.source))) AS lost FROM {conflicts}) "
        "GROUP BY ALL ORDER BY ALL"
    ):
        facts.over[kept or OTHERS, lost or OTHERS] += number
    facts.disagreements = [
        Conflict(
            key,
            title,
            rule,
            [(c["source"] or OTHERS, c["value"]) for c in candidates],
            [None if c["at"] is None else datetime.fromtimestamp(c["at"], UTC) for c in candidates],
        )
        for key, title, rule, candidates in tables.rows(
            f"SELECT email_key, field, rule, {labelled}[:4] FROM ({marked}) WHERE NOT spelling "
            # A different field each, those in which most sources take part first; both sides' edits before all.
            "QUALIFY row_number() OVER (PARTITION BY field ORDER BY rule = 'both_changed' DESC, len(candidates) DESC, "
            "email_key) = 1 ORDER BY rule = 'both_changed' DESC, len(candidates) DESC, field"
        )
    ]


def put_in_order(facts: Any) -> None:
    """Keep a few examples of conflicts, those of fields that some destination takes before all others."""
    known = [destination.facts.fields for destination in facts.destinations if destination.facts]
    writable = {name for fields in known for name in fields}
    if writable:
        facts.disagreements.sort(
            key=lambda conflict: conflict.field not in writable and not conflict.field.startswith("properties.")
        )
    del facts.disagreements[MOST_EXAMPLES:]


class _Recalled(msgspec.Struct):
    """What a merge has left of its memory; see :class:`~…leads.memory.recalled.Recalled`."""

    generation: int = 0
    first: str | None = None
    counts: dict[str, int] = {}
    edits: dict[str, dict[str, int]] = {}
    shrunken: list[str] = []
    people: str | None = None


@dataclass(slots=True)
class MemoryFacts:
    """What a memory saw.

    :param first: why it has compared with no past, ``None`` when it has
    :param generation: that it has compared with
    :param counts: ``edits`` and ``cleared`` (fields), ``gone``, ``moved`` (records with another address), ``new``
    :param edits: CRM → field → changes by people
    :param shrunken: connections whose complete reads gave too few records to conclude that the others are gone
    :param directions: CRM where people changed it, connection it was written to, field → how often
    """

    first: str | None = None
    generation: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    edits: dict[str, dict[str, int]] = field(default_factory=dict)
    shrunken: list[str] = field(default_factory=list)
    directions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    people: str | None = None

    @property
    def quiet(self) -> bool:
        """Nobody has done anything since the last run."""
        return not self.first and not self.shrunken and not any(self.counts.values())


def read_memory(uris: Sequence[str], path: Any) -> MemoryFacts | None:
    """Return what a run's memory saw, ``None`` where it has none.

    :param uris: of what merges have left of their memories; a run has one merge, and the last counts
    :param path: URI → path object
    :raises StagingError: when it is damaged
    """
    if not uris:
        return None
    try:
        recalled = msgspec.json.decode(as_path(path(uris[-1])).read_bytes(), type=_Recalled)
    except msgspec.MsgspecError:
        raise StagingError(f"{uris[-1]} is damaged. Run the merge again.") from None
    edits: dict[str, dict[str, int]] = {}
    for source, fields in sorted(recalled.edits.items()):
        edits[crm_name(source)] = dict(sorted(fields.items(), key=lambda one: (-one[1], one[0])))
    return MemoryFacts(
        recalled.first, recalled.generation, recalled.counts, edits, recalled.shrunken, people=recalled.people
    )


def add_directions(facts: MemoryFacts, conn_id: str, rows: Any, joined: str, people: str) -> None:
    """Count which fields that people changed in one CRM were written to another.

    :param facts: are added to
    :param conn_id: of the destination
    :param rows: returns the rows of a query
    :param joined: a SELECT of the destination's rows with their outcomes
    :param people: view of what the memory knows of people
    """
    for source, name, number in rows(
        f"SELECT f.source, f.field, count(DISTINCT j.email_key) FROM {people} f JOIN ({joined}) j USING (email_key) "
        "WHERE f.kind IN ('edit', 'both_changed', 'spread') AND f.fresh AND j.outcome = 'updated' AND "
        '(list_contains(json_keys(j."values"), f.field) OR '
        "(f.field LIKE 'properties.%' AND list_contains(json_keys(j.properties), substr(f.field, 12)))) "
        "GROUP BY ALL ORDER BY ALL"
    ):
        facts.directions[crm_name(source), conn_id, name] += number


def told(facts: MemoryFacts) -> Sequence[tuple[str, int]]:
    """Return what people did, and how often, in the order in which it matters."""
    counts: Mapping[str, int] = facts.counts
    words = {
        "edits": "fields changed",
        "cleared": "fields emptied",
        "gone": "records deleted",
        "moved": "records with another address",
        "new": "new records",
    }
    return [(label, counts.get(name, 0)) for name, label in words.items()]
