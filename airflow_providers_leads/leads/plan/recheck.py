"""A plan that has waited, held against what the destination holds by now, record by record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import ibis
import msgspec

from airflow_providers_leads.leads.files.staging import structs
from airflow_providers_leads.leads.merge.engine import connect, read_parquet
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, STICKY_FIELDS, Lead
from airflow_providers_leads.leads.plan.linked import alias_owners, odd_owners
from airflow_providers_leads.leads.plan.mapped import left_out_of
from airflow_providers_leads.leads.plan.planning import ODD_ADDRESS, Held, Mode, current_values
from airflow_providers_leads.leads.plan.property_types import PROPERTY, PropertyTypes

IfStale = Literal["replan", "refuse", "ignore"]
IF_STALE: Final[tuple[str, ...]] = get_args(IfStale)

STALE: Final = "stale"
"""How the reason of a row begins that is no longer what was planned."""

_HELD: Final = "held_"
_FACTS: Final = ("held_records", *(f"any_{name}" for name in STICKY_FIELDS))
_CHUNK_ROWS: Final = 10_000


def recheck_row(
    row: PlanRow,
    held: Held,
    *,
    mode: Mode,
    refuse: bool = False,
    whole: bool = True,
    alias_of: str | None = None,
    odd_of: str | None = None,
    types: PropertyTypes | None = None,
    only: Mapping[str, str] | None = None,
) -> PlanRow:
    """Return what a planned row means by now.

    Whoever has opted out or bounced since is not written. A create of somebody who is there by now becomes an update,
    and an update loses the fields that are as planned already; what somebody else has changed meanwhile is written over
    as the mode says. A record that is gone is not made again.

    :param row: as planned
    :param held: what the destination holds: of a create, by address; of an update, the record itself
    :param mode: of the plan
    :param refuse: true: a record that isn't as it was when planned is left alone
    :param whole: false: what is not found may be there under another address
    :param alias_of: id of the record that has the address as a secondary one
    :param odd_of: id of the record that names one of the person's addresses in an odd form
    :param types: what the destination's values mean; default text
    :param only: fields that are written to new records (``create``) or empty places (``empty``) alone
    """
    if row.action not in ("create", "update"):
        return row
    record = held.record
    if record is None:
        if row.action == "create" and alias_of is not None:
            left = _left(row, "secondary_address")
            left.action, left.target_id = "unchanged", alias_of
            return left
        if row.action == "create" and odd_of is not None:
            return msgspec.structs.replace(_left(row, ODD_ADDRESS), target_id=odd_of)
        return _left(row, f"{STALE}: the record is gone") if row.action == "update" and whole else row
    if reason := _objection(row, held):
        return _left(row, reason)
    compare = _Comparison(types or PropertyTypes(), current_values(record, row.values, row.properties), only or {})
    values = compare.still(row.values, row.before, mode)
    properties = compare.still(row.properties, row.properties_before, mode, PROPERTY)
    if row.action == "create" and mode == "create_only":
        values, properties = {}, {}
    # An empty place was empty when a create was planned, and nobody has changed it.
    changed = compare.touched(row.values, row.before) or compare.touched(
        row.properties, row.properties_before, PROPERTY
    )
    if changed and refuse:
        return _left(row, f"{STALE}: the record was changed")
    fresh = msgspec.structs.replace(
        row,
        action="update" if values or properties else "unchanged",
        values=values,
        before={name: compare.now[name] for name in values},
        properties=properties,
        properties_before={name: compare.now[f"{PROPERTY}{name}"] for name in properties},
        target_id=record.source_id,
        target_scope=record.source_scope,
        records=max(row.records, held.records),
    )
    if changed or row.action == "create":
        fresh.reason = "; ".join(filter(None, (f"{STALE}: planned anew", left_out_of(row.reason))))
    return fresh


def _objection(row: PlanRow, held: Held) -> str | None:
    if "opted_out" in row.values:
        # The row says that very thing.
        return None
    record = held.record
    for name, told in (("opted_out", held.opted_out), ("bounced", held.bounced)):
        if told or (record is not None and getattr(record, name)):
            return name
    return None


def _left(row: PlanRow, reason: str) -> PlanRow:
    return msgspec.structs.replace(
        row, action="suppress", reason=reason, values={}, before={}, properties={}, properties_before={}, requests=0.0
    )


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Values of a plan row held against a record.

    :param types: what values mean
    :param now: what the record has, by lead field and ``properties.`` + property
    :param only: fields that are written to new records (``create``) or empty places (``empty``) alone
    """

    types: PropertyTypes
    now: Mapping[str, str | None]
    only: Mapping[str, str]

    def touched(self, values: Mapping[str, str], before: Mapping[str, str | None], prefix: str = "") -> bool:
        """Tell whether somebody has written something else where a value is to be written."""
        return any(
            not self._is(f"{prefix}{name}", before.get(name)) and not self._is(f"{prefix}{name}", value)
            for name, value in values.items()
        )

    def still(
        self, values: Mapping[str, str], before: Mapping[str, str | None], mode: Mode, prefix: str = ""
    ) -> dict[str, str]:
        """Return the values that are still to be written."""
        values = {name: value for name, value in values.items() if self._may(f"{prefix}{name}", value)}
        filled = {
            name
            for name in values
            if mode == "fill" and self.now[f"{prefix}{name}"] and not self._is(f"{prefix}{name}", before.get(name))
        }
        return {
            name: value
            for name, value in values.items()
            if name not in filled and not self._is(f"{prefix}{name}", value)
        }

    def _may(self, name: str, value: str) -> bool:
        if self.only.get(name) == "create" or (self.only.get(name) == "empty" and self.now[name]):
            return False
        return not self.types.goes_back(name, value, self.now[name])

    def _is(self, name: str, value: str | None) -> bool:
        return self.types.same(name, self.now[name], value)


def iter_recheck(
    plan_uri: Any,
    current_uri: Any,
    *,
    mode: Mode,
    scope: str | None,
    refuse: bool,
    whole: bool,
    types: PropertyTypes | None = None,
    only: Mapping[str, str] | None = None,
) -> Iterator[PlanRow]:
    """Yield a plan's rows as they are by now, in the plan's order; see :func:`recheck_row`.

    :param plan_uri: the plan file
    :param current_uri: file of what the destination holds of these people, or of everybody
    :param mode: of the plan
    :param scope: only records of this scope count
    :param refuse: see :func:`recheck_row`
    :param whole: true when the file holds the whole scope
    :param types: see :func:`recheck_row`
    :param only: see :func:`recheck_row`
    """
    told = {"mode": mode, "refuse": refuse, "whole": whole, "types": types, "only": only}
    with connect() as connection:
        plan = read_parquet(connection, plan_uri, PlanRow.__struct_fields__)
        current = read_parquet(connection, current_uri, LEAD_COLUMNS)
        if scope is not None:
            current = current.filter(current.source_scope == scope)
        owners, odd = alias_owners(connection, current), odd_owners(connection, current)
        for batch in connection.to_pyarrow_batches(_joined(plan, current), chunk_size=_CHUNK_ROWS):
            records = structs(batch, Lead, prefix=_HELD)
            rows = structs(batch, PlanRow)
            facts = [batch.column(name).to_pylist() for name in _FACTS]
            for row, record, count, opted_out, bounced in zip(rows, records, *facts, strict=True):
                held = Held(record, count, bool(opted_out), bool(bounced)) if record.source_id is not None else Held()
                odd_of = next((odd[key] for key in (row.email_key, *row.addresses) if key in odd), None)
                yield recheck_row(row, held, alias_of=owners.get(row.email_key), odd_of=odd_of, **told)  # type: ignore[arg-type]


def _joined(plan: ibis.Table, current: ibis.Table) -> ibis.Table:
    """Return the plan's rows, each with the record that it would write to."""
    usable = current.filter(current.email_key.notnull())
    same = ibis.window(group_by=usable.email_key)
    chosen = ibis.window(group_by=usable.email_key, order_by=[usable.source_scope, usable.source_id])
    of_person = usable.mutate(
        place=ibis.row_number().over(chosen),
        held_records=usable.count().over(same),
        **{f"any_{name}": usable[name].fill_null(False).max().over(same) for name in STICKY_FIELDS},
    )
    by_address = _renamed(of_person.filter(of_person.place == 0), "a:", "email_key")
    by_id = current.mutate(
        held_records=ibis.literal(1, "int64"),
        **{f"any_{name}": current[name].fill_null(False) for name in STICKY_FIELDS},
    )
    holders = ibis.union(by_address, _renamed(by_id, "i:", "source_id"))
    wanted = plan.mutate(
        held_key=(plan.action == "update").ifelse(
            ibis.literal("i:") + plan.target_id, ibis.literal("a:") + plan.email_key
        )
    )
    joined = wanted.left_join(holders, wanted.held_key == holders.holder)
    return joined.order_by(joined.email_key)


def _renamed(table: ibis.Table, prefix: str, key: str) -> ibis.Table:
    held = {f"{_HELD}{name}": table[name] for name in LEAD_COLUMNS}
    return table.select(*_FACTS, **held, holder=ibis.literal(prefix) + table[key])
