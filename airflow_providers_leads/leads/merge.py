"""Golden records: one row per person, with what was merged, what disagreed and what could not be placed.

One relational expression, written in Ibis: DuckDB runs it in process, other engines can run the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from airflow_providers_leads.leads.policy import MergePolicy
from airflow_providers_leads.leads.schema import LEAD_COLUMNS, PROFILE_FIELDS, STICKY_FIELDS, arrow_schema
from airflow_providers_leads.leads.staging import (
    VERSION_METADATA,
    as_path,
    count_rows,
    is_local,
    local_name,
    move_into_place,
    open_parquet,
    part_of,
)

if TYPE_CHECKING:
    import ibis

GOLDEN_SOURCE: Final = "golden"
OUTPUTS: Final = ("golden", "members", "conflicts", "rejects")
_IDENTITY: Final = ("source", "source_scope", "source_id")


@dataclass(frozen=True, slots=True)
class MergeTables:
    """The four results of a merge as Ibis tables.

    :param golden: one row per person, in the form of a lead whose source is ``golden``, plus ``member_count``
    :param members: one row per record that went into a golden row: ``email_key``, the record's identity, ``rank``
    :param conflicts: one row per person and field with differing values: the winner, the rule, all candidates, best
        first
    :param rejects: one row per record without a usable address, with the reason
    """

    golden: ibis.Table
    members: ibis.Table
    conflicts: ibis.Table
    rejects: ibis.Table


def merge(leads: ibis.Table, policy: MergePolicy) -> MergeTables:
    """Return the merge of a table of leads as unexecuted expressions.

    :param leads: the rows of all sources, with the columns of :class:`~airflow_providers_leads.leads.schema.Lead`
    :param policy: decides between differing values
    """
    usable = leads.filter(leads.email_key.notnull())
    ranked = usable.mutate(
        rank=_row_number(usable, _priority(usable, policy), _newest(usable)),
        rank_newest=_row_number(usable, _newest(usable), _priority(usable, policy)),
        member_count=usable.count().over(group_by=usable.email_key),
    )
    return MergeTables(
        golden=_golden(ranked, policy),
        members=ranked.select("email_key", *_IDENTITY, "rank"),
        conflicts=_conflicts(ranked.filter(ranked.member_count > 1), policy),
        rejects=_rejects(leads),
    )


def _priority(leads: ibis.Table, policy: MergePolicy) -> ibis.Value:
    import ibis

    listed = [(leads.source == source, place) for place, source in enumerate(policy.priority)]
    return ibis.cases(*listed, else_=len(listed)) if listed else ibis.literal(0)


def _newest(leads: ibis.Table) -> ibis.Value:
    return leads.updated_at.desc(nulls_first=False)


def _row_number(leads: ibis.Table, *order: ibis.Value) -> ibis.Value:
    import ibis

    # The record's content comes last: two readings of one record that carry the same time still have an order.
    ties = [leads[name].asc(nulls_first=False) for name in (*_IDENTITY, "email", *PROFILE_FIELDS, "properties")]
    return ibis.row_number().over(ibis.window(group_by=leads.email_key, order_by=[*order, *ties]))


def _order_for(ranked: ibis.Table, field: str, policy: MergePolicy) -> ibis.Value:
    rule = policy.rule(field)
    if rule == "newest":
        return ranked.rank_newest
    if rule == "longest":
        # Length decides, the usual order only between equals: one number holds both.
        return ranked.rank - ranked[field].length().cast("int64") * (1 << 32)
    return ranked.rank


def _may_set(ranked: ibis.Table, field: str, policy: MergePolicy) -> ibis.Value:
    present = ranked[field].notnull()
    barred = policy.barred_sources(field)
    return present & ~ranked.source.isin(barred) if barred else present


def _golden(ranked: ibis.Table, policy: MergePolicy) -> ibis.Table:
    import ibis

    values = {
        field: ranked[field].argmin(_order_for(ranked, field, policy), where=_may_set(ranked, field, policy))
        for field in PROFILE_FIELDS
    }
    grouped = ranked.group_by("email_key").aggregate(
        **values,
        **{field: ranked[field].any() for field in STICKY_FIELDS},
        email=ranked.email.argmin(ranked.rank),
        created_at=ranked.created_at.min(),
        updated_at=ranked.updated_at.max(),
        properties=ranked.properties.argmin(ranked.rank, where=ranked.properties.notnull()),
        member_count=ranked.count(),
    )
    golden = grouped.mutate(
        source=ibis.literal(GOLDEN_SOURCE), source_scope=ibis.literal(""), source_id=grouped.email_key
    )
    return golden.select(*LEAD_COLUMNS, "member_count")


def _conflicts(ranked: ibis.Table, policy: MergePolicy) -> ibis.Table:
    import ibis

    parts = []
    for field in PROFILE_FIELDS:
        present = ranked.filter(_may_set(ranked, field, policy))
        order = _order_for(present, field, policy)
        candidate = ibis.struct(
            {**{name: present[name] for name in _IDENTITY}, "updated_at": present.updated_at, "value": present[field]}
        )
        compared = present.group_by("email_key").aggregate(
            variants=present[field].nunique(),
            winner=present[field].argmin(order),
            winner_source=present.source.argmin(order),
            winner_scope=present.source_scope.argmin(order),
            winner_id=present.source_id.argmin(order),
            candidates=candidate.collect(order_by=order),
        )
        parts.append(
            compared.filter(compared.variants > 1)
            .mutate(field=ibis.literal(field), rule=ibis.literal(policy.rule(field)))
            .select("email_key", "field", "winner", "winner_source", "winner_scope", "winner_id", "rule", "candidates")
        )
    return ibis.union(*parts)


def _rejects(leads: ibis.Table) -> ibis.Table:
    import ibis

    rejected = leads.filter(leads.email_key.isnull())
    return rejected.mutate(
        # An address that gave no key was refused by the syntax check; no address at all is the other case.
        reason=ibis.cases(
            (rejected.email.isnull() | (rejected.email.strip() == ""), "no_email"), else_="invalid_email"
        ),
    ).select(*_IDENTITY, "email", "phone", "reason")


def merge_files(
    inputs: Sequence[Any], outputs: Mapping[str, Any], *, policy: MergePolicy | None = None, engine: str = "duckdb://"
) -> dict[str, int]:
    """Merge files of leads into files of golden records, members, conflicts and rejects.

    :param inputs: URIs or path objects of Parquet files of leads
    :param outputs: URI or path object per name in :data:`OUTPUTS`; each appears only when it is complete
    :param policy: decides between differing values; default :class:`MergePolicy`
    :param engine: Ibis connection URL, default DuckDB in process
    :return: rows per output, and ``inputs``
    :raises StagingError: naming the file that is missing, broken or lacks a column
    """
    if not engine.startswith("duckdb://"):
        raise ValueError("engine: only duckdb:// is supported")
    import ibis

    connection = ibis.connect(engine)
    try:
        leads = _read_all(connection, inputs)
        # Four results read it: the inputs are scanned and joined once.
        staged = connection.create_table("staged_leads", leads, temp=True)
        tables = merge(staged, policy or MergePolicy())
        counts = {"inputs": int(connection.execute(staged.count()))}
        for name in OUTPUTS:
            counts[name] = _write(connection, getattr(tables, name), outputs[name])
        return counts
    finally:
        connection.disconnect()


def _read_all(connection: Any, inputs: Sequence[Any]) -> ibis.Table:
    import ibis

    tables = [read_parquet(connection, uri, LEAD_COLUMNS) for uri in inputs]
    if not tables:
        return ibis.memtable(arrow_schema().empty_table())
    return ibis.union(*tables) if len(tables) > 1 else tables[0]


def read_parquet(connection: Any, uri: Any, columns: Sequence[str]) -> ibis.Table:
    """Return a checked Parquet file as a table of a DuckDB connection.

    :param connection: Ibis connection
    :param uri: URI or path object
    :param columns: the columns wanted, all of which must be there
    :raises StagingError: see :func:`~airflow_providers_leads.leads.staging.open_parquet`
    """
    open_parquet(uri, columns).close(force=True)
    path = as_path(uri)
    if is_local(path):
        return connection.read_parquet(local_name(path)).select(*columns)
    import pyarrow.dataset as ds

    # Read through the path's own filesystem, which holds the credentials.
    name = f"remote_{uuid4().hex}"
    connection.con.register(name, ds.dataset(str(path.path), filesystem=path.fs, format="parquet"))
    return connection.table(name).select(*columns)


def _write(connection: Any, table: ibis.Table, uri: Any) -> int:
    path = as_path(uri)
    part = part_of(path)
    if is_local(path):
        connection.to_parquet(table, local_name(part), compression="zstd", kv_metadata=VERSION_METADATA)
        move_into_place(part, path)
    else:
        import pyarrow.parquet as pq

        batches = connection.to_pyarrow_batches(table)
        schema = batches.schema.with_metadata(VERSION_METADATA)
        with part.open("wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
        move_into_place(part, path)
    return count_rows(path)
