"""The people of a plan beside what the destination holds and remembers of each, as one query."""

from __future__ import annotations

from typing import Any, Final

import ibis

from airflow_providers_leads.leads.memory.planned import PlanMemory
from airflow_providers_leads.leads.merge.components import RECORD
from airflow_providers_leads.leads.model.properties import may_tell_aliases
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, STICKY_FIELDS
from airflow_providers_leads.leads.plan.alike import ALIKE, EXISTING, alike
from airflow_providers_leads.leads.plan.fields import sources_of
from airflow_providers_leads.leads.plan.rules import PlanRules
from airflow_providers_leads.leads.plan.slices import within

FACTS: Final = ("records", *(f"any_{name}" for name in STICKY_FIELDS), "weighed", "addresses")
"""Columns beside the golden record's and the existing one's."""
PAST: Final = ("facts", "edited", "clears", "noted", "forms")
"""Columns of what is remembered."""

_BELONGS: Final = "plan_belongs"
_DECIDING: Final = frozenset({*RECORD, *STICKY_FIELDS, "email_key", "updated_at", "properties"})
"""Columns that are read whatever can be written."""


class Pasts:
    """What a memory knows of the people and records of a plan, as tables to join."""

    def __init__(self, connection: Any, golden: ibis.Table, existing: ibis.Table, memory: PlanMemory) -> None:
        memory.prepare(connection, golden, existing)
        self.facts = memory.facts(connection)
        self.links = memory.links(connection)
        self.states = memory.states(connection)


def _what_decides(leads: ibis.Table, rules: PlanRules) -> ibis.Table:
    """Return what a plan is made of; of the properties, which are most of a record, what something is read from."""
    needed = {*rules.writable, *_DECIDING, *rules.fields, *sources_of(rules.fields)}
    leads = leads.select(name for name in LEAD_COLUMNS if name in needed)
    if rules.properties or rules.fields:
        return leads
    naming = may_tell_aliases(leads.properties)
    return leads.mutate(properties=naming.ifelse(leads.properties, ibis.null(str)))


def people_beside(
    connection: Any,
    golden: ibis.Table,
    existing: ibis.Table,
    members: ibis.Table | None,
    linked: ibis.Table | None,
    pasts: Pasts | None,
    rules: PlanRules,
) -> ibis.Table:
    """Return the people of the slice that is planned, beside what the destination holds and remembers of each.

    :param connection: to DuckDB
    :param golden: golden records
    :param existing: what the destination holds
    :param members: the members that the golden records were made of
    :param linked: records that are somebody's by more than the address
    :param pasts: what is remembered
    :param rules: of the plan
    :return: a golden record's columns, those of the existing one after :data:`EXISTING`, :data:`FACTS`, :data:`PAST`
        and :data:`ALIKE`
    """
    golden, existing = (_what_decides(table, rules) for table in (golden, existing))
    names = existing.columns
    golden = within(golden, "email_key")
    belongs = None
    if members is not None:
        # A record may be read twice, and a person then has it twice; its golden row is the same.
        # Of the destination's records only, or it would be everybody's in each CRM.
        ours = members.filter(members.source.isin(existing.source))
        belongs = ours.group_by(list(RECORD)).aggregate(golden_key=ours.email_key.min())
        belongs = belongs.mutate(weighed=ibis.literal(True))
        if pasts is not None:
            # Also of records that the merge did not read, under an address that the person had.
            links = pasts.links.mutate(weighed=ibis.literal(False))
            belongs = ibis.union(belongs, links.anti_join(belongs, list(RECORD)))
    if linked is not None:
        linked = linked.mutate(weighed=ibis.literal(False))
        belongs = linked if belongs is None else ibis.union(belongs, linked.anti_join(belongs, list(RECORD)))
    usable = _of_slice(existing, None if belongs is None else connection.create_table(_BELONGS, belongs, temp=True))
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
    renamed = first.select(*FACTS[:-1], **{f"{EXISTING}{name}": first[name] for name in names}, holder=first.person)
    joined = golden.left_join(renamed, golden.email_key == renamed.holder)
    if members is None:
        joined = joined.mutate(addresses=ibis.null("array<string>"))
    else:
        other = within(members.filter(members.address != members.email_key), "email_key")
        others = other.group_by(member_key=other.email_key).aggregate(
            addresses=other.address.collect(order_by=other.address)
        )
        joined = joined.left_join(others, joined.email_key == others.member_key)
    joined = _with_pasts(joined, pasts)
    # What is read from properties may say something of the plan as a whole.
    plain = not rules.properties and not rules.fields
    holds = alike(joined, rules.writable, rules.types, PAST) if plain else ibis.literal(False)
    return joined.mutate(**{ALIKE: holds})


def _of_slice(existing: ibis.Table, belongs: ibis.Table | None) -> ibis.Table:
    """Return the records of the people of the slice that is planned, with ``person`` and ``weighed``.

    Whose a record is takes all members to tell, so that it is told once for all slices; what a slice has to join is no
    more than its own people and records.
    """
    by_address = within(existing.filter(existing.email_key.notnull()).mutate(person=existing.email_key), "person")
    if belongs is None:
        return by_address.mutate(weighed=ibis.literal(True))
    known = belongs.filter(belongs.golden_key.notnull())
    of_people = within(known, "golden_key").rename(person="golden_key")
    others = by_address.anti_join(known, list(RECORD))
    return ibis.union(
        existing.join(of_people, list(RECORD)).select(*existing.columns, "person", "weighed"),
        others.select(*existing.columns, "person", weighed=ibis.null(bool)),
    )


def _with_pasts(joined: ibis.Table, pasts: Pasts | None) -> ibis.Table:
    if pasts is None:
        return joined.mutate(**{name: ibis.null("string") for name in PAST})
    facts = pasts.facts.select("facts", past_key="email_key")
    joined = joined.left_join(facts, joined.email_key == facts.past_key)
    if pasts.states is None:
        return joined.mutate(**{name: ibis.null("string") for name in PAST[1:]})
    states = pasts.states.rename(state_source="source", state_scope="source_scope", state_id="source_id")
    return joined.left_join(
        states,
        [
            joined[f"{EXISTING}source"] == states.state_source,
            joined[f"{EXISTING}source_scope"] == states.state_scope,
            joined[f"{EXISTING}source_id"] == states.state_id,
        ],
    )
