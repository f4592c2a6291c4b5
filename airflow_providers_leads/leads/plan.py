"""What a golden record means for one CRM, decided before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import msgspec

from airflow_providers_leads.leads.components import RECORD
from airflow_providers_leads.leads.engine import connect, read_parquet
from airflow_providers_leads.leads.identity import domain_of
from airflow_providers_leads.leads.outcomes import PlanRow
from airflow_providers_leads.leads.schema import ALIASES_PROPERTY, LEAD_COLUMNS, PROFILE_FIELDS, Lead
from airflow_providers_leads.leads.staging import StagingError, structs

if TYPE_CHECKING:
    import ibis

Mode = Literal["update", "fill", "create_only"]
MODES: Final[tuple[str, ...]] = get_args(Mode)

_EXISTING: Final = "existing_"
_CHUNK_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class PlanRules:
    """What decides between create, update, unchanged and suppress.

    :param mode: ``update`` writes what differs, ``fill`` only where the destination has nothing, ``create_only`` never
        touches an existing record
    :param writable: lead fields that the destination has a place for
    :param blocked_domains: domains never to contact
    """

    mode: Mode
    writable: frozenset[str]
    blocked_domains: frozenset[str] = frozenset()


def check_mode(mode: str) -> None:
    """Refuse an unknown mode.

    :raises ValueError: listing the modes
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")


def same_value(left: str | None, right: str | None) -> bool:
    """Tell whether two values are the same once white space is folded: CRMs fold it when they store."""
    return " ".join((left or "").split()) == " ".join((right or "").split())


def suppression(golden: Lead, existing: Lead | None, blocked_domains: frozenset[str]) -> str | None:
    """Return why a person must not be written, ``None`` when nothing stands against it."""
    records = (golden, existing) if existing else (golden,)
    if any(record.opted_out for record in records):
        return "opted_out"
    if any(record.bounced for record in records):
        return "bounced"
    return "do_not_contact_domain" if domain_of(golden.email_key or "") in blocked_domains else None


def plan_row(
    golden: Lead, existing: Lead | None, rules: PlanRules, *, records: int = 0, alias_of: str | None = None
) -> PlanRow:
    """Decide what becomes of one golden record in one destination.

    :param golden: the golden record; has an email key
    :param existing: the destination's record of that address, ``None`` when there is none
    :param rules: see :class:`PlanRules`
    :param records: how many records of that address the destination holds
    :param alias_of: id of the destination's record that has this address as a secondary one
    """
    key = golden.email_key or ""
    target_id, target_scope = (existing.source_id, existing.source_scope) if existing else (None, None)
    if reason := suppression(golden, existing, rules.blocked_domains):
        return PlanRow(email_key=key, action="suppress", reason=reason, target_id=target_id, target_scope=target_scope)
    if existing is None and alias_of is not None:
        # Creating it would either be refused or swap the primary address of that record.
        return PlanRow(email_key=key, action="unchanged", reason="secondary_address", target_id=alias_of)
    values = {name: value for name in PROFILE_FIELDS if name in rules.writable and (value := getattr(golden, name))}
    if existing is None:
        return PlanRow(email_key=key, action="create", values=values)
    duplicates = f"{records} records of this address in the destination" if records > 1 else None
    held = {name: getattr(existing, name) for name in values}
    if rules.mode == "create_only":
        values = {}
    elif rules.mode == "fill":
        values = {name: value for name, value in values.items() if not held[name]}
    changes = {name: value for name, value in values.items() if not same_value(value, held[name])}
    return PlanRow(
        email_key=key,
        action="update" if changes else "unchanged",
        reason=duplicates,
        values=changes,
        before={name: held[name] for name in changes},
        target_id=target_id,
        target_scope=target_scope,
        records=records,
    )


def iter_plan(
    golden_uri: Any, existing_uri: Any, rules: PlanRules, *, scope: str | None = None, members_uri: Any = None
) -> Iterator[PlanRow]:
    """Yield the plan of a file of golden records against a file of what the destination holds, ordered by address.

    The order is the same at each call, so the n-th batch of a retried task is the n-th batch of the first try.

    :param golden_uri: file of golden records
    :param existing_uri: full extract of the destination
    :param rules: see :class:`PlanRules`
    :param scope: only records of this scope count as existing (Perspective: the funnel that is written to)
    :param members_uri: the members that the golden records were made of: a record that the merge has joined to a person
        by more than the address is then found again, and not created under the other address
    :raises StagingError: naming the file that is missing, broken, lacks a column, or holds a person twice
    """
    check_mode(rules.mode)
    with connect() as connection:
        golden = read_parquet(connection, golden_uri, LEAD_COLUMNS)
        _check_golden(connection, golden, golden_uri)
        existing = read_parquet(connection, existing_uri, LEAD_COLUMNS)
        if scope is not None:
            existing = existing.filter(existing.source_scope == scope)
        aliases = _aliases(connection, existing)
        members = None if members_uri is None else read_parquet(connection, members_uri, (*RECORD, "email_key"))
        for batch in connection.to_pyarrow_batches(_joined(golden, existing, members), chunk_size=_CHUNK_ROWS):
            held = structs(batch, Lead, rename=lambda name: f"{_EXISTING}{name}")
            counts = batch.column("records").to_pylist()
            for person, record, records in zip(structs(batch, Lead), held, counts, strict=True):
                known = record if record.source_id is not None else None
                alias_of = aliases.get(person.email_key or "")
                yield plan_row(person, known, rules, records=records or 0, alias_of=alias_of)


def _check_golden(connection: Any, golden: ibis.Table, uri: Any) -> None:
    people = golden.aggregate(rows=golden.count(), people=golden.email_key.nunique())
    (counted,) = connection.to_pyarrow(people).to_pylist()
    if counted["rows"] != counted["people"]:
        raise StagingError(
            f"{uri} holds {counted['rows']} rows of {counted['people']} people: it is no file of golden records. "
            "Give the result of LeadsDeduplicateOperator."
        )


def _joined(golden: ibis.Table, existing: ibis.Table, members: ibis.Table | None) -> ibis.Table:
    import ibis

    if members is not None:
        # A record may be read twice, and a person then has it twice; its golden row is the same.
        belongs = members.group_by(list(RECORD)).aggregate(golden_key=members.email_key.min())
        existing = existing.left_join(belongs, list(RECORD))
        existing = existing.mutate(person=ibis.coalesce(existing.golden_key, existing.email_key))
    else:
        existing = existing.mutate(person=existing.email_key)
    usable = existing.filter(existing.person.notnull())
    by_key = ibis.window(
        group_by=usable.person,
        # Among duplicates the same record is chosen in every run, or each run would write to another.
        order_by=[usable.updated_at.desc(nulls_first=False), usable.source_scope, usable.source_id],
    )
    counted = usable.mutate(place=ibis.row_number().over(by_key), records=usable.count().over(group_by=usable.person))
    first = counted.filter(counted.place == 0)
    renamed = first.select(
        **{f"{_EXISTING}{name}": first[name] for name in LEAD_COLUMNS}, records=first.records, holder=first.person
    )
    joined = golden.left_join(renamed, golden.email_key == renamed.holder)
    return joined.order_by(joined.email_key)


def _aliases(connection: Any, existing: ibis.Table) -> dict[str, str]:
    """Return secondary address → record id; few records have any, so they fit in memory."""
    some = existing.filter(existing.properties.contains(f'"{ALIASES_PROPERTY}"')).select("source_id", "properties")
    # Of two records that list one address the same is named in every run.
    some = some.order_by(some.source_id.desc())
    owners: dict[str, str] = {}
    for row in connection.to_pyarrow(some).to_pylist():
        for alias in msgspec.json.decode(row["properties"]).get(ALIASES_PROPERTY) or ():
            owners[str(alias)] = row["source_id"]
    return owners
