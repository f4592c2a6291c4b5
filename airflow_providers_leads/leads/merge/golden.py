"""Golden records: one row per person, with what was merged, what disagreed and what could not be placed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import ibis
import msgspec

from airflow_providers_leads.leads.files.provenance import (
    MEMORY,
    identity_metadata,
    merge_metadata,
    partitions_metadata,
)
from airflow_providers_leads.leads.memory.table import FIELDS
from airflow_providers_leads.leads.merge import slices, survivorship
from airflow_providers_leads.leads.merge.components import RECORD, People, sort_by_person
from airflow_providers_leads.leads.merge.engine import (
    DEFAULT_ENGINE,
    blaming,
    connect,
    is_duckdb,
    keep,
    read_numbered,
    read_parquet,
    record_hash,
    scalar,
    write,
    write_partitioned,
)
from airflow_providers_leads.leads.merge.objections import objecting_people, opted_out_where
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.merge.shares import Shares
from airflow_providers_leads.leads.merge.slices import Pieces
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, arrow_schema

if TYPE_CHECKING:
    from airflow_providers_leads.leads.memory.recall import Recall

OUTPUTS: Final = ("golden", "members", "conflicts", "rejects")
# More rows than a file has, so that every row of all files has a number of its own.
_ROWS_APART: Final = 1 << 40


def members(placed: ibis.Table) -> ibis.Table:
    """Return one row per record of a person.

    ``email_key`` is the golden row's, ``address`` the record's own; ``rank`` is 0 for the best by the policy;
    ``duplicate`` tells that a better record of the same source and scope stands before it.

    :param placed: ranked leads
    """
    records = placed.select(
        *RECORD, "rank", "updated_at", "member_count",
        email_key=placed.golden_key, address=placed.email_key,
    )  # fmt: skip
    several = records.filter(records.member_count > 1)
    same = ibis.window(group_by=[several.email_key, several.source, several.source_scope], order_by=several["rank"])
    # Only who has several records can have two of one source: the others are not sorted for it.
    marked = several.mutate(duplicate=ibis.row_number().over(same) > 0)
    alone = records.filter(records.member_count == 1).mutate(duplicate=False)
    # By name: the columns that Ibis drops stand in the SQL in another order at each run.
    return ibis.union(marked, alone).select(*RECORD, "rank", "updated_at", "email_key", "address", "duplicate")


def rejects(people: People) -> ibis.Table:
    """Return one row per record that belongs to nobody: ``no_email``, ``invalid_email`` or ``shared_mailbox``."""
    return people.rejected.select(*RECORD, "email", "phone", "reason")


def merge_files(
    inputs: Sequence[Any],
    outputs: Mapping[str, Any],
    *,
    policy: MergePolicy | None = None,
    engine: str = DEFAULT_ENGINE,
    lineage: bool = True,
    partitions: Mapping[str, Sequence[Any]] | None = None,
    recall: Recall | None = None,
) -> dict[str, int]:
    """Merge files of leads into files of golden records, members, conflicts and rejects.

    :param inputs: URIs or path objects of Parquet files of leads
    :param outputs: URI or path object per name in :data:`OUTPUTS`; each appears only when it is complete. One that is
        left out is not computed
    :param policy: decides who is one person and which value survives; default :class:`MergePolicy`
    :param engine: see :func:`~airflow_providers_leads.leads.merge.engine.connect`; default DuckDB in process
    :param lineage: true (default) tells for each golden field which record it came from
    :param partitions: instead of one file, several per name (``golden``, ``members``), by hash of the address
    :param recall: what a sync remembers of these people; DuckDB only, and ``members`` must be among the outputs
    :return: rows per output, ``inputs``, and ``shared_phones`` when phones joined nobody because too many share them
    :raises StagingError: naming the file that is missing, damaged, or has a wrong or no column
    :raises MemoryError: when DuckDB's memory limit and the disk did not suffice
    :raises ValueError: when the engine can't be used
    """
    with connect(engine) as connection, blaming(inputs):
        read = _read_each(connection, inputs)
        leads = _together(read)
        chosen = policy or MergePolicy()
        if recall is not None:
            if not is_duckdb(connection):
                raise ValueError("memory works with the engine duckdb:// only")
            recall.begin(connection, leads)
        people = sort_by_person(connection, leads, chosen.identity, recall)
        counts = {"inputs": scalar(connection, leads.count())}
        targets: dict[str, Any] = {**outputs, **(partitions or {})}
        if recall is not None and (overlay := recall.settle(people.known)) is not None:
            leads = _overlaid(leads, overlay)
            people = replace(people, known=_overlaid(people.known, overlay))
        if objecting := objecting_people(connection, leads, chosen.identity):
            leads = opted_out_where(leads, objecting, chosen.identity)
            people = replace(people, known=opted_out_where(people.known, objecting, chosen.identity))
        told = msgspec.json.encode(chosen, order="sorted").decode()
        split = list((partitions or {}).get("golden", ()))
        metadata = merge_metadata(inputs, outputs.get("members"), told, *map(str, split))
        metadata |= identity_metadata(chosen.identity) | (partitions_metadata(split) if split else {})
        if recall is not None and recall.beside:
            metadata |= {MEMORY: recall.beside}
        with Pieces(connection, metadata) as pieces:
            tables = _of_people(connection, people, chosen, counts["inputs"], leads, targets, pieces, lineage=lineage)
            for name, target in targets.items():
                if name not in outputs:
                    counts[name] = write_partitioned(connection, tables[name], target, "email_key", metadata)
                elif name in pieces:
                    counts[name] = pieces.write(name, target)
                else:
                    table = rejects(people) if name == "rejects" else tables[name]
                    counts[name] = write(connection, table, target, metadata)
            # By other rules than the address whatever the destination holds may be anybody's of any partition.
            shares = None
            if split and "members" in tables and not chosen.identity.joins:
                shares = Shares(connection, split, metadata)
                shares.sort_members(tables["members"], read)
        if recall is not None:
            members_at = targets["members"]
            listed = list(members_at) if isinstance(members_at, (list, tuple)) else [members_at]
            if recall.conflicts and "conflicts" in targets:
                counts["conflicts"] = recall.add_conflicts(targets["conflicts"], listed)
            recall.finish(listed)
        if shares is not None:
            links = None if recall is None else recall.links()
            shares.write_leads(list(zip(inputs, read, strict=True)), links)
        if people.shared_phones:
            counts["shared_phones"] = len(people.shared_phones)
        return counts


def _overlaid(leads: ibis.Table, overlay: ibis.Table) -> ibis.Table:
    """Return leads as a memory lets the merge see them."""
    joined = leads.left_join(overlay.rename(overlaid="row", seen_at="at"), leads.row == overlay.row)
    silenced = joined.silenced.fill_null(0)
    fields = {
        field: ((silenced & (1 << bit)) != 0).ifelse(ibis.null(str), joined[field]) for bit, field in enumerate(FIELDS)
    }
    changed = joined.mutate(
        **fields,
        updated_at=joined.timed.fill_null(False).ifelse(joined.seen_at, joined.updated_at),
        properties=ibis.coalesce(joined.kept_properties, joined.properties),
        readdressed=joined.readdressed.fill_null(0),
    )
    return changed.select(*leads.columns, "readdressed")


def _of_people(
    connection: Any,
    people: People,
    policy: MergePolicy,
    rows: int,
    leads: ibis.Table,
    targets: Mapping[str, Any],
    pieces: Pieces,
    *,
    lineage: bool,
) -> dict[str, ibis.Table]:
    """Return the results that concern people.

    On one machine what does not fit into one slice is computed in several, and people with one record apart from them.
    """
    duckdb = is_duckdb(connection)
    disputed = partial(survivorship.disputed, policy=policy, duckdb=duckdb)
    results: dict[str, Callable[[ibis.Table], ibis.Table]] = {
        "golden": lambda placed: survivorship.golden(placed, policy, lineage=lineage, duckdb=duckdb),
        "members": members,
        "conflicts": lambda placed: survivorship.conflicts(disputed(placed), policy),
    }
    asked = [name for name in results if name in targets]
    if not asked:
        return {}
    repeated = _repeated(connection, leads, rows)
    placed = survivorship.ranked(
        people.known, policy, by_address=people.by_address, repeated=repeated, nameless=people.nameless
    )
    if not duckdb or rows <= slices.rows_per_slice(connection):
        kept = placed if len(asked) <= 1 else keep(connection, placed)
        return {name: results[name](kept) for name in asked}
    # Whose records are only to be told apart needs no text for a name.
    places = keep(connection, survivorship.places(placed.drop("golden_key") if asked == ["golden"] else placed))
    alone = leads.inner_join(places.filter(places.member_count == 1), "row")
    if "golden" in asked:
        pieces.put_aside("golden", survivorship.golden_of_one(alone, policy, lineage=lineage))
    if "members" in asked:
        pieces.put_aside("members", members(alone))
    competing = places.filter(places.member_count > 1)
    for part in slices.slices(connection, leads, competing, "first_row", once=len(asked) == 1):
        for name in asked:
            pieces.put_aside(name, results[name](part))
    return {name: pieces.whole(name) for name in asked}


def _repeated(connection: Any, leads: ibis.Table, rows: int) -> bool:
    """Tell whether some record was read twice; to say so wrongly, which is rare, costs time and nothing else."""
    if is_duckdb(connection):
        # Numbers are counted faster than texts.
        return scalar(connection, record_hash(*(leads[name] for name in RECORD)).nunique()) < rows
    return scalar(connection, leads.select(*RECORD).distinct().count()) < rows


def _read_each(connection: Any, inputs: Sequence[Any]) -> list[ibis.Table]:
    if is_duckdb(connection):
        return [read_numbered(connection, uri, LEAD_COLUMNS, place * _ROWS_APART) for place, uri in enumerate(inputs)]
    return [read_parquet(connection, uri, LEAD_COLUMNS) for uri in inputs]


def _together(tables: Sequence[ibis.Table]) -> ibis.Table:
    if not tables:
        return ibis.memtable(arrow_schema().empty_table())
    return ibis.union(*tables) if len(tables) > 1 else tables[0]
