"""What a run has read, as far as a memory must know: of which account, when, and whether it was all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.memory.generation import Gap, Generation, Kind, Scope, scope_name
from airflow_providers_leads.leads.memory.hashing import quoted, time_sql
from airflow_providers_leads.leads.memory.table import PROPERTY

_BY_SCOPE: Final = ("gaps", "looks", "accounts", "kinds")
"""What a generation keeps by the names of scopes, besides the scopes."""
LEAST_SHARE: Final = 0.5
"""A complete read with less than this share of the records of the last one concludes no deletion."""


@dataclass(frozen=True, slots=True)
class ReadFacts:
    """What one task has read.

    :param conn_id: the connection
    :param source: connection type
    :param account: fingerprint of the account, ``None`` where it isn't known
    :param at: when the read began
    :param complete: everything that the connection has was read
    :param parts: source scope → rows
    :param properties: custom properties that were read, ``None``: all there are
    :param other_account: it is another account than the one that is remembered
    :param known_as: another connection under which its account is remembered, ``None``: it is remembered under its own
        name, or not at all
    :param kinds: property → what its values are, of those of which it is known
    :param kinds_uri: of the file that they are from
    :param token: the memory's when the read began, see :meth:`~…memory.generation.Folder.token`; ``None``: not known
    """

    conn_id: str
    source: str
    account: str | None = None
    at: datetime | None = None
    complete: bool = False
    parts: Mapping[str, int] = field(default_factory=dict)
    properties: frozenset[str] | None = None
    other_account: bool = False
    known_as: str | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    kinds_uri: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is to be known of leads that come from files or a query.

    :param fields: lead fields that all of them have a column for
    :param by_row: a record has no id of its own, and another name as soon as anything in its row is another
    """

    fields: frozenset[str]
    by_row: bool = True


def file_facts(results: Iterable[Any]) -> dict[str, FileFacts]:
    """Return what is known of files of leads, by their source, as far as their results are at hand."""
    found: dict[str, FileFacts] = {}
    for result in results:
        if not isinstance(result, Mapping) or "conn_id" in result or "fields" not in result:
            continue
        fields, source = frozenset(result["fields"]), str(result["source"])
        earlier = found.get(source, FileFacts(fields, by_row=False))
        found[source] = FileFacts(fields & earlier.fields, earlier.by_row or "source_id" not in fields)
    return found


def read_facts(result: Any) -> ReadFacts | None:
    """Return what the result of an extract or lookup tells, without kinds; ``None`` when it is a bare URI."""
    if not isinstance(result, Mapping) or "conn_id" not in result or "source" not in result:
        return None
    at = result.get("read_at") or result.get("watermark")
    known = result.get("properties") if result.get("narrows_properties") else None
    return ReadFacts(
        conn_id=str(result["conn_id"]),
        source=str(result["source"]),
        account=result.get("account"),
        at=datetime.fromisoformat(str(at)).astimezone(UTC) if at else None,
        complete=bool(result.get("complete")),
        parts=dict(result.get("parts") or {}),
        properties=None if known is None else frozenset(known),
        other_account=bool(result.get("other_account")),
        known_as=result.get("known_as"),
        kinds_uri=result.get("kinds"),
        token=result.get("memory_token"),
    )


def has_read(reads: Iterable[ReadFacts], source: str, name: str) -> bool:
    """Tell whether a field was read of a CRM, in which case its absence says that it is empty.

    :param reads: what a run has read
    :param source: connection type
    :param name: of the field, as a memory names it
    """
    if not name.startswith(PROPERTY):
        return True
    # Which read a record came from is not known: where one of them lacks a property, its absence says nothing.
    known = [read.properties for read in reads if read.source == source]
    return bool(known) and all(each is None or name.removeprefix(PROPERTY) in each for each in known)


def new_names(reads: Iterable[ReadFacts]) -> dict[tuple[str, str], str]:
    """Return the connections that have another name than in the memory: CRM and old name → name now.

    Where both are read, they are two ways to one account, and neither is the other.
    """
    reads = list(reads)
    read = {each.conn_id for each in reads}
    return {(each.source, each.known_as): each.conn_id for each in reads if each.known_as and each.known_as not in read}


def under_new_names(generation: Generation, names: Mapping[tuple[str, str], str]) -> Generation:
    """Return a generation with what is known of renamed connections under their names now.

    :param generation: that counts
    :param names: see :func:`new_names`
    """

    def called(name: str) -> str:
        # A funnel keeps its name whatever the connection is called.
        source, _, part = name.partition("|")
        return scope_name(source, names.get((source, part), part))

    scopes = {}
    for name, scope in generation.scopes.items():
        now = names.get((name.partition("|")[0], scope.conn_id), scope.conn_id)
        scopes[called(name)] = msgspec.structs.replace(scope, conn_id=now)
    others: dict[str, Any] = {
        each: {called(name): known for name, known in getattr(generation, each).items()} for each in _BY_SCOPE
    }
    return msgspec.structs.replace(generation, scopes=scopes, **others)


def of_other_accounts(plans: Iterable[PlanFacts]) -> list[tuple[str, str]]:
    """Return the sources and scopes of which a plan has found that what is remembered is of another account.

    :param plans: what runs have set out to write since it was remembered
    """
    return [(facts.conn_type, facts.scope or facts.conn_id) for facts in plans if facts.other_account]


def without(generation: Generation, places: Iterable[tuple[str, str]]) -> Generation:
    """Return a generation that knows nothing of some sources and scopes."""
    left = {scope_name(*place) for place in places}
    kept: dict[str, Any] = {
        each: {name: known for name, known in getattr(generation, each).items() if name not in left}
        for each in ("scopes", *_BY_SCOPE)
    }
    return msgspec.structs.replace(generation, **kept)


def next_accounts(
    generation: Generation | None, reads: Iterable[ReadFacts], plans: Iterable[PlanFacts]
) -> dict[str, str]:
    """Return of which account the records of each scope are, after some reads and writes.

    :param generation: that counted
    :param reads: what the run has read
    :param plans: what was written, the oldest first
    """
    accounts = dict(generation.accounts) if generation else {}
    for read in reads:
        if read.account:
            accounts |= {scope_name(read.source, part): read.account for part in read.parts or (read.conn_id,)}
    return accounts | {
        scope_name(facts.conn_type, facts.scope or facts.conn_id): facts.account for facts in plans if facts.account
    }


def next_kinds(generation: Generation | None, reads: Iterable[ReadFacts]) -> dict[str, dict[str, Kind]]:
    """Return what the values of properties are, by scope, after some reads."""
    kinds = dict(generation.kinds) if generation else {}
    for read in reads:
        for part in (read.parts or (read.conn_id,)) if read.kinds else ():
            name = scope_name(read.source, part)
            kinds[name] = {**kinds.get(name, {}), **read.kinds}
    return kinds


class Retyped(NamedTuple):
    """Properties that are not what they were: what stands there now may be the CRM's doing.

    :param of_kind: source, scope and field of those of another kind
    :param of_options: of those that have lost options
    """

    of_kind: frozenset[tuple[str, str, str]] = frozenset()
    of_options: frozenset[tuple[str, str, str]] = frozenset()


def retyped(generation: Generation | None, reads: Iterable[ReadFacts]) -> Retyped:
    """Return which properties are not what they were when they were read last.

    :param generation: that counts
    :param reads: what a run has read
    """
    of_kind, of_options = set(), set()
    kinds = generation.kinds if generation else {}
    for read in reads:
        for part in read.parts or (read.conn_id,):
            for name, before in kinds.get(scope_name(read.source, part), {}).items():
                place, now = (read.source, part, f"{PROPERTY}{name}"), read.kinds.get(name, before)
                if now.kind != before.kind:
                    of_kind.add(place)
                elif now.options and set(before.options) - set(now.options):
                    of_options.add(place)
    return Retyped(frozenset(of_kind), frozenset(of_options))


def first_looks(generation: Generation | None, reads: Iterable[ReadFacts]) -> list[tuple[str, str]]:
    """Return the scopes that a memory has never seen: what they hold may have been there all along.

    :param generation: that counts
    :param reads: what a run has read
    """
    if generation is None or not generation.number:
        return []
    parts = {(read.source, part) for read in reads for part in read.parts or (read.conn_id,)}
    return sorted(part for part in parts if scope_name(*part) not in generation.scopes)


def reads_sql(reads: Iterable[ReadFacts], generation: Generation | None, now: datetime) -> str:
    """Return the SQL of what was read, a row per scope: CRM, scope, looked at, read before at, whether completely.

    As text: to take Python's values, DuckDB would load pandas.

    :param reads: of the run
    :param generation: that counts, ``None`` without one
    :param now: nothing was read later
    """
    scopes = generation.scopes if generation else {}
    rows: dict[tuple[str, str], tuple[datetime, datetime | None, bool]] = {}
    for read in reads:
        for part in read.parts or (read.conn_id,):
            known, at = scopes.get(scope_name(read.source, part)), min(read.at or now, now)
            looked, before, complete = rows.get((read.source, part), (at, known.read_at if known else None, False))
            rows[read.source, part] = (min(at, looked), before, read.complete or complete)
    return ", ".join(
        f"({quoted(source)}, {quoted(part)}, {time_sql(looked)}, {time_sql(before)}, {complete})"
        for (source, part), (looked, before, complete) in rows.items()
    )


def made_since_sql(generation: Generation | None) -> str:
    """Return the SQL of the time after which records were made that are new: when the last run remembered."""
    return time_sql(generation.at if generation and generation.number else None)


def remembered_rows(generation: Generation | None, conn_id: str) -> int | None:
    """Return how many records the last complete read of a connection gave, ``None`` when there was none."""
    if generation is None:
        return None
    rows = [scope.rows for scope in generation.scopes.values() if scope.conn_id == conn_id and scope.rows is not None]
    return sum(rows) if rows else None


def concluding(generation: Generation | None, reads: Iterable[ReadFacts]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the scopes of which what is missing is gone, and the connections whose reads are too small to say so."""
    scopes: list[tuple[str, str]] = []
    shrunken: list[str] = []
    for read in reads:
        if not read.complete:
            continue
        last = remembered_rows(generation, read.conn_id)
        if last and sum(read.parts.values()) < LEAST_SHARE * last:
            shrunken.append(read.conn_id)
            continue
        scopes += [(read.source, part) for part, rows in read.parts.items() if rows]
    return scopes, shrunken


def in_doubt(
    generation: Generation | None, reads: Iterable[ReadFacts], concluded: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return the scopes that were read completely and are too small to conclude anything: who is missing may be there.

    :param generation: that counts
    :param reads: what a run has read
    :param concluded: scopes of which what is missing is gone
    """
    complete = {read.conn_id for read in reads if read.complete}
    names = [name for name, scope in (generation.scopes if generation else {}).items() if scope.conn_id in complete]
    scopes = [(source, scope) for source, _, scope in (name.partition("|") for name in names)]
    return [scope for scope in scopes if scope not in set(concluded)]


def gaps_of(generation: Generation | None) -> dict[str, dict[tuple[str, str], Gap]]:
    """Return which fields were not read for a while: field → source and scope → when.

    :param generation: that counts
    """
    found: dict[str, dict[tuple[str, str], Gap]] = {}
    for name, gaps in (generation.gaps if generation else {}).items():
        source, _, scope = name.partition("|")
        for field_name, gap in gaps.items():
            found.setdefault(f"{PROPERTY}{field_name}", {})[source, scope] = gap
    return found


def next_gaps(
    generation: Generation | None,
    reads: Iterable[ReadFacts],
    looks: Iterable[tuple[str, datetime, frozenset[str] | None]],
    now: datetime,
) -> dict[str, dict[str, Gap]]:
    """Return which properties were not read for a while, after some reads.

    :param generation: that counted
    :param reads: what the run has read
    :param looks: what its plans have looked at: :func:`~…memory.generation.scope_name`, when, and which properties,
        ``None``: all there are
    :param now: the present time
    """
    if generation is None:
        return {}
    reads, gaps = list(reads), {name: dict(each) for name, each in generation.gaps.items()}

    def note(scope: str, last: datetime | None, at: datetime, name: str, *, known: bool, whole: bool) -> None:
        mine = gaps.setdefault(scope, {})
        gap = mine.get(name)
        if not known and last is not None:
            mine[name] = Gap(until=gap.until if gap else last)
        elif known and gap is not None:
            mine[name] = msgspec.structs.replace(gap, again=gap.again or at)
            if whole:
                del mine[name]

    whole = {(read.source, part) for read in reads if read.complete for part in read.parts}
    for read in reads:
        for part in read.parts or (read.conn_id,):
            scope = scope_name(read.source, part)
            before = generation.scopes.get(scope)
            for name in generation.properties:
                known = has_read(reads, read.source, f"{PROPERTY}{name}")
                note(scope, before.seen_at if before else None, read.at or now, name, known=known,
                     whole=(read.source, part) in whole)  # fmt: skip
    for scope, at, properties in looks:
        for name in generation.properties:
            known = properties is None or name in properties
            note(scope, generation.looks.get(scope), at, name, known=known, whole=False)
    return {scope: each for scope, each in gaps.items() if each}


def next_scopes(generation: Generation | None, reads: Iterable[ReadFacts], now: datetime) -> dict[str, Scope]:
    """Return what is known of each scope after some reads."""
    scopes = dict(generation.scopes) if generation else {}
    for read in reads:
        at = read.at or now
        if read.complete:
            # Where a complete read shows nothing, nothing is left to be missed by the next.
            for name, known in scopes.items():
                if known.conn_id == read.conn_id and known.rows:
                    scopes[name] = msgspec.structs.replace(known, rows=0)
        for part, rows in (read.parts or {read.conn_id: 0}).items():
            name = scope_name(read.source, part)
            known = scopes.get(name) or Scope(conn_id=read.conn_id)
            scopes[name] = Scope(
                conn_id=read.conn_id,
                account=read.account or known.account,
                rows=rows if read.complete else known.rows,
                read_at=at if read.complete else known.read_at,
                seen_at=at,
            )
    return scopes
