"""What a golden record means for one CRM, decided before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

import ibis
import msgspec

from airflow_providers_leads.leads.files.staging import StagingError, structs
from airflow_providers_leads.leads.memory.planned import Past, PlanMemory, state_of
from airflow_providers_leads.leads.merge.components import RECORD
from airflow_providers_leads.leads.merge.engine import collect, connect, read_parquet
from airflow_providers_leads.leads.merge.objections import objecting_people
from airflow_providers_leads.leads.model.identity import IdentityRules, person_key
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import (
    ALIASES_PROPERTY,
    LEAD_COLUMNS,
    STICKY_FIELDS,
    Lead,
)
from airflow_providers_leads.leads.plan.fields import Rules, may_write, ruled_values, sources_of
from airflow_providers_leads.leads.plan.linked import alias_owners, linked_records
from airflow_providers_leads.leads.plan.mapped import field_values, property_values, with_left_out
from airflow_providers_leads.leads.plan.property_types import PROPERTY, PropertyTypes, value_text
from airflow_providers_leads.leads.plan.remembered import remembered
from airflow_providers_leads.leads.plan.slices import batches_by_slice, within
from airflow_providers_leads.leads.plan.suppression import Suppressions

Mode = Literal["update", "fill", "create_only"]
MODES: Final[tuple[str, ...]] = get_args(Mode)

OPT_OUT_PUSHED: Final = "opt_out_pushed"

_EXISTING: Final = "existing_"
# What doesn't fit goes to disk; two threads, because each needs a share of it for itself.
_ENGINE: Final = "duckdb://?memory_limit=256MB&threads=2"
_MEMBER_COLUMNS: Final = (*RECORD, "email_key", "address")
_FACTS: Final = ("records", *(f"any_{name}" for name in STICKY_FIELDS), "weighed", "addresses")
"""Columns beside the golden record's and the existing one's."""
_PAST: Final = ("facts", "edited", "clears", "noted")
"""Columns of what is remembered."""
_BY_ADDRESS: Final = IdentityRules()
_DECIDING: Final = frozenset({*RECORD, *STICKY_FIELDS, "email_key", "updated_at", "properties"})
"""Columns that are read whatever can be written."""


@dataclass(frozen=True, slots=True)
class PlanRules:
    """What decides between create, update, unchanged and suppress.

    :param mode: ``update`` writes what differs, ``fill`` only where the destination has nothing, ``create_only`` never
        touches an existing record
    :param writable: lead fields that the destination has a place for
    :param suppressions: addresses and domains that must not be written
    :param properties: key within the golden ``properties`` (``utm_source``, within objects too where only one has that
        name; ``utmParams.utm_source`` names the object) → the destination's custom property or field
    :param fields: lead field, or ``properties.`` + the destination's own field → what it is filled with
    :param owners: address of a user of the destination → id
    :param push_opt_outs: true: who is opted out, and whose record there isn't yet, becomes an update that says so,
        whatever the mode
    :param types: what the destination's values mean, by lead field and ``properties.`` + property; default text
    :param met: keys of ``properties`` that golden records have; filled as the plan is made
    """

    mode: Mode
    writable: frozenset[str]
    suppressions: Suppressions = field(default_factory=Suppressions)
    properties: Mapping[str, str] = field(default_factory=dict)
    fields: Rules = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    push_opt_outs: bool = False
    types: PropertyTypes = field(default_factory=PropertyTypes)
    met: set[str] = field(default_factory=set, compare=False)


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
    known = [golden.email_key, *addresses, *aliases_of(golden)]
    if held.record:
        known += [held.record.email_key, *aliases_of(held.record)]
    return list(dict.fromkeys(key for key in known if key))


def aliases_of(lead: Lead) -> list[str]:
    """Return the secondary addresses that a record names, as email keys."""
    if not lead.properties or f'"{ALIASES_PROPERTY}"' not in lead.properties:
        return []
    listed = msgspec.json.decode(lead.properties).get(ALIASES_PROPERTY)
    return [str(alias) for alias in listed] if isinstance(listed, list) else []


def property_text(properties: Mapping[str, Any], key: str) -> str | None:
    """Return a record's property as text, ``None`` where it is absent or an object of several values.

    :param properties: decoded ``properties`` of a lead
    :param key: its key
    """
    return value_text(properties.get(key))


def plan_row(
    golden: Lead, held: Held, rules: PlanRules, *, alias_of: str | None = None, addresses: Iterable[str] = ()
) -> PlanRow:
    """Decide what becomes of one golden record in one destination.

    :param golden: the golden record; has an email key
    :param held: what the destination holds of the person
    :param rules: see :class:`PlanRules`
    :param alias_of: id of the destination's record that has this address as a secondary one
    :param addresses: further addresses of the person, as email keys
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
    values, left_out = field_values(golden, rules.writable, rules.types)
    left_out |= {f"{PROPERTY}{name}": why for name, why in unwritten.items()} | unruled
    # A field that the table names is filled by the table alone.
    values = {name: value for name, value in values.items() if name not in rules.fields}
    values |= {name: value for name, value in ruled.items() if not name.startswith(PROPERTY)}
    if existing is None:
        row.action, row.values, row.properties = "create", values, properties
        row.reason = with_left_out(row.reason, left_out)
        return row
    if held.records > 1:
        row.reason = f"{held.records} records of this address in the destination"
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


def current_values(record: Lead, fields: Iterable[str], properties: Iterable[str]) -> dict[str, str | None]:
    """Return what a record has now, by lead field and ``properties.`` + property.

    :param record: of the destination
    :param fields: names; those of properties are passed over
    :param properties: names of custom properties
    """
    now = {name: flag_or_text(record, name) for name in fields if not name.startswith(PROPERTY)}
    names = list(properties)
    decoded = msgspec.json.decode(record.properties) if names and record.properties else {}
    return now | {f"{PROPERTY}{name}": property_text(decoded, name) for name in names}


def flag_or_text(record: Lead, name: str) -> str | None:
    """Return a field of a lead as a plan names its value."""
    value = getattr(record, name, None)
    return str(value).lower() if isinstance(value, bool) else value


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
        aliases = alias_owners(connection, existing, identity)
        members = None if members_uri is None else read_parquet(connection, members_uri, _MEMBER_COLUMNS)
        linked = None
        if identity.joins:
            others = [read_parquet(connection, uri, LEAD_COLUMNS) for uri in other_golden]
            everybody = ibis.union(golden, *others) if others else golden
            linked = linked_records(connection, everybody, existing, members, identity)
        pasts = None if memory is None else _Pasts(connection, golden, existing, memory)
        golden, existing = (_what_decides(table, rules) for table in (golden, existing))
        joined = _joined(golden, existing, members, linked, pasts)
        for batch in batches_by_slice(connection, joined, golden):
            records = structs(batch, Lead, rename=lambda name: f"{_EXISTING}{name}")
            facts = [batch.column(name).to_pylist() for name in (*_FACTS, *_PAST)]
            for person, record, *known in zip(structs(batch, Lead), records, *facts, strict=True):
                count, opted_out, bounced, weighed, addresses, remembered_facts, *states = known
                held = Held(record, count, bool(opted_out), bool(bounced)) if record.source_id is not None else Held()
                if objecting:
                    keys = addresses_of(person, held, addresses or ())
                    if not objecting.isdisjoint(person_key(key, identity) for key in keys):
                        held = replace(held, opted_out=True)
                alias_of = aliases.get(person_key(person.email_key or "", identity))
                row = plan_row(person, held, rules, alias_of=alias_of, addresses=addresses or ())
                if memory is not None:
                    past = Past(remembered_facts or (), state_of(*states), bool(weighed))
                    row = remembered(row, held.record, memory, past, rules)
                yield row


class _Pasts:
    """What a memory knows of the people and records of a plan, as tables to join."""

    def __init__(self, connection: Any, golden: ibis.Table, existing: ibis.Table, memory: PlanMemory) -> None:
        memory.prepare(connection, golden, existing)
        self.facts = memory.facts(connection)
        self.links = memory.links(connection)
        self.states = memory.states(connection)


def _check_golden(connection: Any, golden: ibis.Table, uri: Any) -> None:
    people = golden.aggregate(rows=golden.count(), people=golden.email_key.nunique())
    (counted,) = collect(connection, people)
    if counted["rows"] != counted["people"]:
        raise StagingError(
            f"{uri} holds {counted['rows']} rows of {counted['people']} people: it is no file of golden records. "
            "Give the result of LeadsDeduplicateOperator."
        )


def _what_decides(leads: ibis.Table, rules: PlanRules) -> ibis.Table:
    """Return what a plan is made of; of the properties, which are most of a record, what something is read from."""
    needed = {*rules.writable, *_DECIDING, *rules.fields, *sources_of(rules.fields)}
    leads = leads.select(name for name in LEAD_COLUMNS if name in needed)
    if rules.properties or rules.fields:
        return leads
    naming = leads.properties.contains(f'"{ALIASES_PROPERTY}"')
    return leads.mutate(properties=naming.ifelse(leads.properties, ibis.null(str)))


def _joined(
    golden: ibis.Table,
    existing: ibis.Table,
    members: ibis.Table | None,
    linked: ibis.Table | None,
    pasts: _Pasts | None = None,
) -> ibis.Table:
    """Return the people of the slice that is planned, beside what the destination holds and remembers of each."""
    names = existing.columns
    golden = within(golden, "email_key")
    belongs = None
    if members is not None:
        # A record may be read twice, and a person then has it twice; its golden row is the same.
        belongs = members.group_by(list(RECORD)).aggregate(golden_key=members.email_key.min())
        belongs = belongs.mutate(weighed=ibis.literal(True))
        if pasts is not None:
            # Also of records that the merge did not read, under an address that the person had.
            links = pasts.links.mutate(weighed=ibis.literal(False))
            belongs = ibis.union(belongs, links.anti_join(belongs, list(RECORD)))
    if linked is not None:
        linked = linked.mutate(weighed=ibis.literal(False))
        belongs = linked if belongs is None else ibis.union(belongs, linked.anti_join(belongs, list(RECORD)))
    if belongs is None:
        existing = existing.mutate(golden_key=ibis.null(str), weighed=ibis.literal(True))
    else:
        existing = existing.left_join(belongs, list(RECORD))
    existing = existing.mutate(person=ibis.coalesce(existing.golden_key, existing.email_key))
    usable = within(existing.filter(existing.person.notnull()), "person")
    by_key = ibis.window(
        group_by=usable.person,
        # Among duplicates the same record is chosen in every run, or each run would write to another; and one of the
        # person's own address before one that may be somebody else's by now.
        order_by=[
            (usable.email_key == usable.person).fill_null(False).desc(),
            usable.updated_at.desc(nulls_first=False),
            usable.source_scope,
            usable.source_id,
        ],
    )
    of_person = ibis.window(group_by=usable.person)
    counted = usable.mutate(
        place=ibis.row_number().over(by_key),
        records=usable.count().over(of_person),
        # Who objected in one record has objected, also where another is the one that is written to.
        **{f"any_{name}": usable[name].fill_null(False).max().over(of_person) for name in STICKY_FIELDS},
    )
    first = counted.filter(counted.place == 0)
    renamed = first.select(*_FACTS[:-1], **{f"{_EXISTING}{name}": first[name] for name in names}, holder=first.person)
    joined = golden.left_join(renamed, golden.email_key == renamed.holder)
    if members is None:
        joined = joined.mutate(addresses=ibis.null("array<string>"))
    else:
        other = within(members.filter(members.address != members.email_key), "email_key")
        others = other.group_by(member_key=other.email_key).aggregate(
            addresses=other.address.collect(order_by=other.address)
        )
        joined = joined.left_join(others, joined.email_key == others.member_key)
    return _with_pasts(joined, pasts)


def _with_pasts(joined: ibis.Table, pasts: _Pasts | None) -> ibis.Table:
    if pasts is None:
        return joined.mutate(**{name: ibis.null("string") for name in _PAST})
    facts = pasts.facts.select("facts", past_key="email_key")
    joined = joined.left_join(facts, joined.email_key == facts.past_key)
    if pasts.states is None:
        return joined.mutate(**{name: ibis.null("string") for name in _PAST[1:]})
    states = pasts.states.rename(state_source="source", state_scope="source_scope", state_id="source_id")
    return joined.left_join(
        states,
        [
            joined[f"{_EXISTING}source"] == states.state_source,
            joined[f"{_EXISTING}source_scope"] == states.state_scope,
            joined[f"{_EXISTING}source_id"] == states.state_id,
        ],
    )
