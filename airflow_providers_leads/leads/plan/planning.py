"""What a golden record means for one CRM, decided before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

import ibis

from airflow_providers_leads.leads.files.staging import StagingError, structs
from airflow_providers_leads.leads.memory.planned import NO_PAST, Past, PlanMemory, state_of
from airflow_providers_leads.leads.merge.components import RECORD
from airflow_providers_leads.leads.merge.engine import collect, connect, read_parquet
from airflow_providers_leads.leads.merge.objections import objecting_people
from airflow_providers_leads.leads.model.identity import IdentityRules, person_key
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.properties import aliases_in
from airflow_providers_leads.leads.model.schema import (
    LEAD_COLUMNS,
    Lead,
)
from airflow_providers_leads.leads.plan.alike import EXISTING, one_by_one, rows_of_alike, several_records
from airflow_providers_leads.leads.plan.fields import may_write, ruled_values
from airflow_providers_leads.leads.plan.linked import (
    alias_owners,
    linked_records,
    odd_owners,
    records_by_other_addresses,
)
from airflow_providers_leads.leads.plan.mapped import (
    current_values,
    field_values,
    flag_or_text,
    property_text,
    property_values,
    with_left_out,
)
from airflow_providers_leads.leads.plan.property_types import PROPERTY
from airflow_providers_leads.leads.plan.query import FACTS, PAST, Pasts, people_beside
from airflow_providers_leads.leads.plan.remembered import remembered
from airflow_providers_leads.leads.plan.rules import Mode, PlanRules
from airflow_providers_leads.leads.plan.slices import batches_by_slice

__all__ = [
    "MODES", "Held", "Mode", "PlanRules", "addresses_of", "check_mode", "current_values", "flag_or_text",
    "iter_plan", "plan_row", "property_text", "suppression",
]  # fmt: skip

MODES: Final[tuple[str, ...]] = get_args(Mode)

OPT_OUT_PUSHED: Final = "opt_out_pushed"
ODD_ADDRESS: Final = "odd_address"
"""Reason: a record of the destination names the person's address in a field that is no address as a whole."""

# What doesn't fit goes to disk. One thread, because each has a share for itself, and most of a plan is Python's work.
_ENGINE: Final = "duckdb://?memory_limit=256MB&threads=1"
_MEMBER_COLUMNS: Final = (*RECORD, "email_key", "address")
_BY_ADDRESS: Final = IdentityRules()


@dataclass(frozen=True, slots=True)
class Held:
    """What the destination holds of one person.

    :param record: the one that is written to; ``None`` when there is none
    :param records: how many there are
    :param opted_out: any of them is
    :param bounced: any of them is
    """

    record: Lead | None = None
    records: int = 0
    opted_out: bool = False
    bounced: bool = False


def check_mode(mode: str) -> None:
    """Refuse an unknown mode.

    :raises ValueError: listing the modes
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")


def suppression(golden: Lead, held: Held, rules: PlanRules, addresses: Iterable[str] = ()) -> str | None:
    """Return why a person must not be written, ``None`` when nothing stands against it.

    :param golden: the golden record
    :param held: what the destination holds of the person
    :param rules: see :class:`PlanRules`
    :param addresses: further addresses of the person, as email keys
    """
    if golden.opted_out or held.opted_out or (held.record and held.record.opted_out):
        return "opted_out"
    if golden.bounced or held.bounced or (held.record and held.record.bounced):
        return "bounced"
    return rules.suppressions.reason(addresses_of(golden, held, addresses)) if rules.suppressions else None


def addresses_of(golden: Lead, held: Held, addresses: Iterable[str] = ()) -> list[str]:
    """Return every address of a person, as email keys, that of the golden record first.

    :param golden: the golden record
    :param held: what the destination holds of the person
    :param addresses: further addresses of the person
    """
    known = [golden.email_key, *addresses, *aliases_in(golden.properties)]
    if held.record:
        known += [held.record.email_key, *aliases_in(held.record.properties)]
    return list(dict.fromkeys(key for key in known if key))


def plan_row(
    golden: Lead,
    held: Held,
    rules: PlanRules,
    *,
    alias_of: str | None = None,
    addresses: Iterable[str] = (),
    odd_of: str | None = None,
) -> PlanRow:
    """Decide what becomes of one golden record in one destination.

    :param golden: the golden record; has an email key
    :param held: what the destination holds of the person
    :param rules: see :class:`PlanRules`
    :param alias_of: id of the destination's record that has this address as a secondary one
    :param addresses: further addresses of the person, as email keys
    :param odd_of: id of the destination's record that names one of the person's addresses in an odd form
    """
    row = PlanRow(email_key=golden.email_key or "", action="unchanged", records=held.records)
    row.addresses = [key for key in addresses_of(golden, held, addresses) if key != row.email_key]
    if existing := held.record:
        row.target_id, row.target_scope = existing.source_id, existing.source_scope
    properties, unwritten = property_values(golden, rules.properties, rules.types, rules.met)
    ruled, unruled = ruled_values(golden, rules.fields, rules.types, rules.owners, rules.met)
    properties |= {name.removeprefix(PROPERTY): value for name, value in ruled.items() if name.startswith(PROPERTY)}
    if reason := suppression(golden, held, rules, addresses):
        pushed = rules.push_opt_outs and golden.opted_out and existing is not None and not existing.opted_out
        if existing is not None and pushed:
            row.action, row.reason, row.values = "update", OPT_OUT_PUSHED, {"opted_out": "true"}
            row.before = {"opted_out": None if existing.opted_out is None else "false"}
        else:
            row.action, row.reason, row.records = "suppress", reason, 0
        return row
    if existing is None and alias_of is not None:
        # Creating it would either be refused or swap the primary address of that record.
        row.reason, row.target_id = "secondary_address", alias_of
        return row
    if existing is None and odd_of is not None:
        # It would be the person's second record, and both would be mailed.
        row.action, row.reason, row.target_id = "suppress", ODD_ADDRESS, odd_of
        return row
    values, left_out = field_values(golden, rules.writable, rules.types)
    left_out |= {f"{PROPERTY}{name}": why for name, why in unwritten.items()} | unruled
    # A field that the table names is filled by the table alone.
    values = {name: value for name, value in values.items() if name not in rules.fields}
    values |= {name: value for name, value in ruled.items() if not name.startswith(PROPERTY)}
    if existing is None:
        row.action, row.values, row.properties = "create", values, properties
        row.reason = with_left_out(row.reason, left_out)
        return row
    row.reason = several_records(held.records)
    if rules.mode == "create_only":
        return row
    now = current_values(existing, {*values, *left_out}, [*properties, *(_own(name) for name in left_out)])
    for name, rule in rules.fields.items():
        if not may_write(rule, now.get(name)):
            values.pop(name, None)
            properties.pop(_own(name), None)
            left_out.pop(name, None)
    row.values, row.before = _changes(values, now, rules)
    row.properties, row.properties_before = _changes(properties, now, rules, PROPERTY)
    # Where something stands already, nothing would have been filled in.
    row.reason = with_left_out(
        row.reason, {name: why for name, why in left_out.items() if rules.mode == "update" or not now[name]}
    )
    if row.values or row.properties:
        row.action = "update"
    return row


def _own(name: str) -> str:
    return name.removeprefix(PROPERTY)


def _changes(
    values: Mapping[str, str], now: Mapping[str, str | None], rules: PlanRules, prefix: str = ""
) -> tuple[dict[str, str], dict[str, str | None]]:
    changes = {
        name: value
        for name, value in values.items()
        if not (rules.mode == "fill" and now[f"{prefix}{name}"])
        and not rules.types.same(f"{prefix}{name}", value, now[f"{prefix}{name}"])
        and not rules.types.goes_back(f"{prefix}{name}", value, now[f"{prefix}{name}"])
    }
    return changes, {name: now[f"{prefix}{name}"] for name in changes}


def iter_plan(
    golden_uri: Any,
    existing_uri: Any,
    rules: PlanRules,
    *,
    scope: str | None = None,
    members_uri: Any = None,
    memory: PlanMemory | None = None,
    identity: IdentityRules = _BY_ADDRESS,
    other_golden: Sequence[Any] = (),
) -> Iterator[PlanRow]:
    """Yield the plan of a file of golden records against a file of what the destination holds, ordered by address.

    The order is the same at each call, so the n-th batch of a retried task is the n-th batch of the first try.

    :param golden_uri: file of golden records
    :param existing_uri: full extract of the destination
    :param rules: see :class:`PlanRules`
    :param scope: only records of this scope count as existing (Perspective: the funnel that is written to)
    :param members_uri: the members that the golden records were made of: a record that the merge has joined to a person
        by more than the address is then found again, and not created under the other address
    :param memory: what the sync remembers of the destination and the people
    :param identity: who is one person by the policy that the golden records were made by; default by address
    :param other_golden: the other partitions, where the golden file is one of several: by such a policy a record that
        would be a person's of two of them is nobody's
    :raises StagingError: naming the file that is missing, broken, lacks a column, or holds a person twice
    """
    check_mode(rules.mode)
    with connect(_ENGINE) as connection:
        golden = read_parquet(connection, golden_uri, LEAD_COLUMNS)
        _check_golden(connection, golden, golden_uri)
        existing = read_parquet(connection, existing_uri, LEAD_COLUMNS)
        objecting = objecting_people(connection, existing, identity)
        if scope is not None:
            existing = existing.filter(existing.source_scope == scope)
        aliases, odd = alias_owners(connection, existing, identity), odd_owners(connection, existing, identity)
        members = None if members_uri is None else read_parquet(connection, members_uri, _MEMBER_COLUMNS)
        if identity.joins:
            others = [read_parquet(connection, uri, LEAD_COLUMNS) for uri in other_golden]
            everybody = ibis.union(golden, *others) if others else golden
            linked = linked_records(connection, everybody, existing, members, identity)
        else:
            linked = records_by_other_addresses(connection, golden, existing, members, identity)
        pasts = None if memory is None else Pasts(connection, golden, existing, memory)
        joined = people_beside(connection, golden, existing, members, linked, pasts, rules)
        who = _Who(rules, memory, objecting, aliases, odd, identity)
        for batch in batches_by_slice(connection, joined, golden):
            rows = rows_of_alike(batch, who.may_stay)
            looked_at = _looked_at(one_by_one(batch, rows), who)
            for row in rows:
                yield row if row is not None else next(looked_at)


@dataclass(frozen=True, slots=True)
class _Who:
    """What stands for and against people, whatever their records hold.

    :param rules: of the plan
    :param memory: of the sync
    :param objecting: people who objected in any record of the destination
    :param aliases: person of a secondary address → record that has it
    :param odd: person whom an address field that is none names → record that has it
    :param identity: who is one person
    """

    rules: PlanRules
    memory: PlanMemory | None
    objecting: AbstractSet[str]
    aliases: Mapping[str, str]
    odd: Mapping[str, str]
    identity: IdentityRules

    def objects(self, keys: Iterable[str]) -> bool:
        """Tell whether anybody of some addresses has objected."""
        return bool(self.objecting) and not self.objecting.isdisjoint(person_key(key, self.identity) for key in keys)

    def odd_of(self, keys: Iterable[str]) -> str | None:
        """Return the record that names one of some addresses in an odd form."""
        people = sorted(person_key(key, self.identity) for key in keys) if self.odd else ()
        return next((self.odd[person] for person in people if person in self.odd), None)

    def may_stay(self, key: str) -> bool:
        """Tell whether nothing stands against a person of whom there is no more than one address."""
        listed = self.rules.suppressions and self.rules.suppressions.reason([key])
        return not (listed or self.objects([key]) or (self.memory and self.memory.suppression(key, NO_PAST)))


def _looked_at(batch: Any, who: _Who) -> Iterator[PlanRow]:
    """Yield what becomes of the people of a record batch, one by one."""
    records = structs(batch, Lead, prefix=EXISTING)
    facts = [batch.column(name).to_pylist() for name in (*FACTS, *PAST)]
    for person, record, *known in zip(structs(batch, Lead), records, *facts, strict=True):
        count, opted_out, bounced, weighed, addresses, remembered_facts, *states = known
        held = Held(record, count, bool(opted_out), bool(bounced)) if record.source_id is not None else Held()
        keys = addresses_of(person, held, addresses or ())
        if who.objects(keys):
            held = replace(held, opted_out=True)
        alias_of = who.aliases.get(person_key(person.email_key or "", who.identity))
        odd_of = who.odd_of(keys)
        row = plan_row(person, held, who.rules, alias_of=alias_of, addresses=addresses or (), odd_of=odd_of)
        if who.memory is not None:
            past = Past(remembered_facts or (), state_of(*states), bool(weighed))
            row = remembered(row, held.record, who.memory, past, who.rules)
        yield row


def _check_golden(connection: Any, golden: ibis.Table, uri: Any) -> None:
    people = golden.aggregate(rows=golden.count(), people=golden.email_key.nunique())
    (counted,) = collect(connection, people)
    if counted["rows"] != counted["people"]:
        raise StagingError(
            f"{uri} holds {counted['rows']} rows of {counted['people']} people: it is no file of golden records. "
            "Give the result of LeadsDeduplicateOperator."
        )
