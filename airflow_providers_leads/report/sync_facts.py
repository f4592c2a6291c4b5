"""What a run's files tell, counted by DuckDB: aggregates and a bounded number of examples, however many rows."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from airflow_providers_leads.hooks.base import is_divided
from airflow_providers_leads.hooks.registry import crm_name
from airflow_providers_leads.leads.files.plan_facts import ACTIONS, PlanFacts, least_seconds, read_plan_facts
from airflow_providers_leads.leads.files.staging import as_path, open_parquet
from airflow_providers_leads.leads.merge.components import RECORD
from airflow_providers_leads.leads.merge.engine import blaming, connect
from airflow_providers_leads.leads.model.outcomes import OUTCOMES
from airflow_providers_leads.report.files import RunFiles
from airflow_providers_leads.report.merge_facts import (
    MOST_EXAMPLES,
    OTHERS,
    Conflict,
    MemoryFacts,
    Tables,
    add_directions,
    case_of,
    put_in_order,
    read_conflicts,
    read_memory,
)

PENDING: Final = "pending"
"""Outcome of a planned row without a result: the write was stopped before it, or there was none."""

_PLANNED: Final = dict(zip(ACTIONS, OUTCOMES, strict=False))
_MOST_SOURCES: Final = 8
_MOST_SETS: Final = 12
_MOST_REASONS: Final = 12


@dataclass(slots=True)
class Source:
    """Where leads came from.

    :param name: for people to read
    :param people: leads that are the best record of their person
    :param merged: leads that were merged into such a one
    :param rejected: leads that belong to nobody, by reason
    """

    name: str
    people: int = 0
    merged: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def leads(self) -> int:
        """All leads that were read."""
        return self.people + self.merged + self.rejected.total()


@dataclass(slots=True)
class FieldWrites:
    """How often a field was written: into new records, where nothing was, and over another value."""

    field: str
    new: int = 0
    filled: int = 0
    replaced: int = 0

    @property
    def total(self) -> int:
        """All writes of the field."""
        return self.new + self.filled + self.replaced


@dataclass(frozen=True, slots=True)
class Failure:
    """One lead that was not written."""

    email_key: str
    outcome: str
    target_id: str | None
    reason: str | None
    request_id: str | None


@dataclass(slots=True)
class Destination:
    """What became of the golden records in one CRM.

    :param conn_id: its connection
    :param facts: of its plan, ``None`` when that is missing
    :param applied: false: planned only, so that ``outcomes`` are those that writing it would give
    :param requests: API calls that the plan takes
    :param seconds: in which the quota lets them through at least
    :param duplicates: people of whom it holds several records
    """

    conn_id: str
    facts: PlanFacts | None = None
    applied: bool = False
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    fields: dict[str, FieldWrites] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    requests: int = 0
    seconds: float = 0.0
    duplicates: int = 0

    @property
    def failed(self) -> int:
        """Leads that were not written, or may not have been."""
        return sum(self.outcomes[outcome] for outcome in ("failed", "ambiguous", PENDING))


@dataclass(slots=True)
class SyncFacts:
    """One run.

    :param overlap: set of sources → people who are in exactly these
    :param conflicts: field → (disagreements in spelling only, others)
    :param over: source whose value was kept, source whose value was not → how often
    :param missing: what a task that failed has not left
    :param memory: what the sync's memory saw, ``None`` without one
    """

    sources: list[Source] = field(default_factory=list)
    overlap: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    conflicts: dict[str, tuple[int, int]] = field(default_factory=dict)
    over: Counter[tuple[str, str]] = field(default_factory=Counter)
    disagreements: list[Conflict] = field(default_factory=list)
    destinations: list[Destination] = field(default_factory=list)
    merged: bool = False
    missing: list[str] = field(default_factory=list)
    memory: MemoryFacts | None = None

    @property
    def leads(self) -> int:
        """All leads that were read."""
        return sum(source.leads for source in self.sources)

    @property
    def people(self) -> int:
        """Golden records."""
        return sum(source.people for source in self.sources) if self.merged else 0

    @property
    def rejects(self) -> int:
        """Leads that belong to nobody."""
        return sum(source.rejected.total() for source in self.sources)

    @property
    def outcomes(self) -> Counter[str]:
        """Outcomes in all destinations, those that were planned only included."""
        return self.written + self.planned

    @property
    def written(self) -> Counter[str]:
        """Outcomes in the destinations that were written to."""
        return sum((destination.outcomes for destination in self.destinations if destination.applied), Counter())

    @property
    def planned(self) -> Counter[str]:
        """Outcomes that writing the other plans would have."""
        return sum((destination.outcomes for destination in self.destinations if not destination.applied), Counter())


def read_sync(files: RunFiles, path: Any = str, engine: str = "duckdb://") -> SyncFacts:
    """Return what the files of a run tell.

    :param files: of the run; of a failed one some are missing
    :param path: URI → path object that knows the credentials; default: as it is
    :param engine: see :func:`~airflow_providers_leads.leads.merge.engine.connect`
    :raises StagingError: naming the file that is damaged
    """
    facts = SyncFacts()
    uris = [path(uri) for _, uri in files.all]
    with connect(engine) as connection, blaming(uris):
        tables = Tables(connection, path)
        name = _read_sources(tables, files, facts)
        if files.conflicts:
            read_conflicts(tables, files, facts, name)
        facts.memory = read_memory(list(files.memory), path)
        _read_destinations(tables, files, facts, path)
        put_in_order(facts)
    if not facts.merged:
        facts.missing.append("the golden records: the merge left no files")
    if not facts.destinations:
        facts.missing.append("a plan: no destination was reached")
    return facts


def _source_names(found: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str], str]:
    """Return source and scope → name: a CRM is named by itself, unless several accounts of it were read.

    The scopes of a CRM that is divided are parts of one account. Of many names the largest stand for themselves.
    """
    scopes: dict[str, set[str]] = defaultdict(set)
    for source, scope, _ in found:
        scopes[source].add(scope)
    names, sizes = {}, Counter[str]()
    for source, scope, number in found:
        title = crm_name(source)
        several = len(scopes[source]) > 1 and not is_divided(source)
        names[source, scope] = f"{title} · {scope}" if several else title
        sizes[names[source, scope]] += number
    kept = {name for name, _ in sizes.most_common(_MOST_SOURCES)}
    return {key: name if name in kept else OTHERS for key, name in names.items()}


def _read_sources(tables: Tables, files: RunFiles, facts: SyncFacts) -> Mapping[tuple[str, str], str]:
    facts.merged = bool(files.members)
    if not (files.members or files.extracts):
        return {}
    if not facts.merged:
        leads = tables.view(files.extracts.values(), ("source", "source_scope"))
        read = tables.rows(f"SELECT source, source_scope, count(*) FROM {leads} GROUP BY ALL ORDER BY ALL")
        name = _source_names(read)
        facts.sources = [Source(title) for title in dict.fromkeys(name.values())]
        by_name = {source.name: source for source in facts.sources}
        for source, scope, number in read:
            by_name[name[source, scope]].people += number
        return name

    members = tables.view(files.members.values(), (*RECORD, "rank", "email_key"))
    counted = tables.rows(
        f"SELECT source, source_scope, count(*) FILTER (rank = 0), count(*) FILTER (rank > 0) "
        f"FROM {members} GROUP BY ALL ORDER BY ALL"
    )
    rejected = []
    if files.rejects:
        rejects = tables.view(files.rejects.values(), ("source", "source_scope", "reason"))
        rejected = tables.rows(
            f"SELECT source, source_scope, reason, count(*) FROM {rejects} GROUP BY ALL ORDER BY ALL"
        )
    name = _source_names(
        [(source, scope, first + more) for source, scope, first, more in counted]
        + [(source, scope, number) for source, scope, _, number in rejected]
    )
    by_name = {title: Source(title) for title in sorted(set(name.values()), key=lambda t: (t == OTHERS, t))}
    for source, scope, first, more in counted:
        by_name[name[source, scope]].people += first
        by_name[name[source, scope]].merged += more
    for source, scope, reason, number in rejected:
        by_name[name[source, scope]].rejected[reason or "no reason given"] += number
    facts.sources = list(by_name.values())

    # One bit per source: who is in which takes no list per person.
    bits = {title: number for number, title in enumerate(by_name)}
    sets = tables.rows(
        f"SELECT found, count(*) AS people FROM ("
        f"SELECT bit_or({case_of(name, {t: str(1 << b) for t, b in bits.items()})}) AS found "
        f"FROM {members} GROUP BY email_key) GROUP BY found ORDER BY people DESC, found"
    )
    facts.overlap = [
        (tuple(title for title, bit in bits.items() if found >> bit & 1), people) for found, people in sets[:_MOST_SETS]
    ]
    return name


def _read_destinations(tables: Tables, files: RunFiles, facts: SyncFacts, path: Any) -> None:
    found: dict[tuple[str, str | None], Destination] = {}
    for stem, plan, results in files.writes:
        if results and not _are_writes(path(results)):
            results = None
        if not (plan or results):
            continue
        told = read_plan_facts(path(plan)) if plan else None
        conn_id = told.conn_id if told else stem
        destination = found.setdefault((conn_id, told.scope if told else None), Destination(conn_id, told))
        destination.applied = destination.applied or results is not None
        _read_write(tables, destination, plan, results, facts.memory if plan else None, path)
    facts.destinations = list(found.values())


def _are_writes(path: Any) -> bool:
    """Tell whether results are those of writing a plan: an enrolment's, for one, tell of no fields."""
    file = open_parquet(path)
    try:
        return {"email_key", "outcome", "fields"} <= set(file.schema_arrow.names)
    finally:
        file.close()


def _read_write(
    tables: Tables, into: Destination, plan: str | None, results: str | None, memory: MemoryFacts | None, path: Any
) -> None:
    planned = plan and tables.view(
        [plan],
        ("email_key", "action", "reason", "values", "before", "properties", "properties_before", "records", "requests"),
    )
    done = results and tables.view([results], ("email_key", "outcome", "target_id", "reason", "request_id", "fields"))
    if planned and done:
        # A row that was planned and has no result was not reached.
        joined = (
            f"SELECT p.*, coalesce(r.outcome, '{PENDING}') AS outcome, r.fields, r.target_id, r.request_id, "
            f"coalesce(r.reason, p.reason) AS told FROM {planned} p LEFT JOIN {done} r USING (email_key)"
        )
    elif planned:
        outcome = " ".join(f"WHEN '{action}' THEN '{outcome}'" for action, outcome in _PLANNED.items())
        joined = (
            f"SELECT *, CASE action {outcome} END AS outcome, NULL AS fields, NULL AS target_id, NULL AS request_id, "
            f"reason AS told FROM {planned}"
        )
    else:
        joined = f"SELECT *, reason AS told FROM {done}"
    for outcome, reason, number in tables.rows(
        f"SELECT outcome, CASE WHEN outcome NOT IN ('created', 'updated') THEN told END AS told, count(*) AS rows "
        f"FROM ({joined}) GROUP BY ALL ORDER BY rows DESC, outcome, told"
    ):
        into.outcomes[outcome] += number
        if reason:
            known = (outcome, reason) in into.reasons or len(into.reasons) < _MOST_REASONS
            into.reasons[outcome, reason if known else OTHERS] += number
    into.failures += [
        Failure(*row)
        for row in tables.rows(
            f"SELECT email_key, outcome, target_id, told, request_id FROM ({joined}) "
            "WHERE outcome IN ('failed', 'ambiguous') "
            "QUALIFY row_number() OVER (PARTITION BY outcome, told ORDER BY email_key) <= 2 "
            f"ORDER BY told, email_key LIMIT {MOST_EXAMPLES}"
        )
    ][: MOST_EXAMPLES - len(into.failures)]
    if planned:
        _read_cost(tables, into, planned)
        _read_fields(tables, into, joined)
    if planned and memory is not None and memory.people and as_path(path(memory.people)).exists():
        people = tables.view([memory.people], ("email_key", "kind", "source", "field", "fresh"))
        add_directions(memory, into.conn_id, tables.rows, joined, people)


def _read_cost(tables: Tables, into: Destination, planned: str) -> None:
    ((duplicates,),) = tables.rows(f"SELECT count(*) FILTER (records > 1) FROM {planned}")
    into.duplicates += duplicates
    # As the plan itself counts: creates and updates share no request.
    shares = tables.rows(f"SELECT sum(requests) FROM {planned} GROUP BY action")
    into.requests += sum(math.ceil(round(share or 0.0, 6)) for (share,) in shares)
    if into.facts:
        into.seconds = least_seconds(into.requests, into.facts)


def _read_fields(tables: Tables, into: Destination, joined: str) -> None:
    # Rows that write the same fields are counted together: there are far fewer such sets than rows.
    for values, before in (("values", "before"), ("properties", "properties_before")):
        had = f"list_filter(json_keys({before}), lambda k: json_type({before}, '$.\"' || k || '\"') <> 'NULL')"
        for action, names, full, fields, number in tables.rows(
            f"SELECT action, json_keys(\"{values}\") AS names, CASE WHEN action = 'update' THEN {had} END AS full, "
            f"fields, count(*) FROM ({joined}) "
            f"WHERE outcome IN ('created', 'updated') AND \"{values}\" NOT IN ('', '{{}}') GROUP BY ALL"
        ):
            written = set(msgspec.json.decode(fields, type=list[str])) if fields is not None else None
            for name in names:
                title = f"properties.{name}" if values == "properties" else name
                if written is not None and name not in written and title not in written:
                    continue
                counts = into.fields.setdefault(title, FieldWrites(title))
                if action == "create":
                    counts.new += number
                elif name in (full or ()):
                    counts.replaced += number
                else:
                    counts.filled += number
