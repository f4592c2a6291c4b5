"""Which records of a destination are of golden people by the policy's rules of who is one person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import ibis

from airflow_providers_leads.leads.files.list_entries import addresses_within
from airflow_providers_leads.leads.merge.components import RECORD, sort_by_person
from airflow_providers_leads.leads.merge.engine import collect, in_memory, keep
from airflow_providers_leads.leads.model.identity import IdentityRules, is_role_address, person_key
from airflow_providers_leads.leads.model.properties import aliases_in, may_tell_aliases
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY

_BY_ADDRESS: Final = IdentityRules()
_TOLD: Final = ("email", "email_key", "first_name", "last_name", "phone", "properties")
_GOLDEN: Final = "golden"
_MEMBER: Final = "member"
_EXISTING: Final = "existing"


def linked_records(
    connection: Any, golden: ibis.Table, existing: ibis.Table, members: ibis.Table | None, rules: IdentityRules
) -> ibis.Table:
    """Return the records of a destination that are of a golden person by more than their address.

    They are found by the very steps by which the merge joins records, as if the destination had been merged too.

    :param connection: from :func:`~airflow_providers_leads.leads.merge.engine.connect`
    :param golden: golden records
    :param existing: what the destination holds
    :param members: the members of the golden records, ``None`` when unknown
    :param rules: of the policy that the golden records were made by
    :return: the columns that identify a record, and ``golden_key``, the golden record's address; no record that would
        join several golden people
    """
    leads = [
        golden.select(*_TOLD, **_record("", "", golden.email_key), part=ibis.literal(_GOLDEN), known_as="email_key"),
        existing.select(*_TOLD, *RECORD, part=ibis.literal(_EXISTING), known_as=ibis.null(str)),
    ]
    if members is not None:
        other = members.filter(members.address.notnull() & (members.address != members.email_key))
        # Whatever joined them in the merge, they are one person.
        naming = ibis.literal(f'{{"{ALIASES_PROPERTY}":["') + other.email_key + '"]}'
        nothing = {name: ibis.null(str) for name in ("first_name", "last_name", "phone")}
        of_members = other.select(
            email="address", email_key="address", properties=naming, **nothing,
            **_record("", _MEMBER, other.address), part=ibis.literal(_MEMBER), known_as=ibis.null(str),
        )  # fmt: skip
        leads.append(of_members.select(*leads[0].columns))
    together = keep(connection, ibis.union(*(table.select(*leads[0].columns) for table in leads)))
    known = keep(
        connection, sort_by_person(connection, together, rules).known.select("person", "part", "known_as", *RECORD)
    )
    people = (
        known.filter(known.part == _GOLDEN)
        .group_by("person")
        .aggregate(people=lambda table: table.known_as.nunique(), golden_person=lambda table: table.known_as.min())
    )
    single = people.filter(people.people == 1).select("golden_person", of="person")
    records = known.filter(known.part == _EXISTING).select(*RECORD, "person")
    linked = records.inner_join(single, records.person == single.of)
    return keep(connection, linked.group_by(list(RECORD)).aggregate(golden_key=linked.golden_person.min()))


def records_by_other_addresses(
    connection: Any, golden: ibis.Table, existing: ibis.Table, members: ibis.Table | None, rules: IdentityRules
) -> ibis.Table | None:
    """Return the records of a destination that have one of the other addresses of a golden person.

    A merge that has read the destination has joined them itself.

    :param connection: from :func:`~airflow_providers_leads.leads.merge.engine.connect`
    :param golden: golden records, of which each is one person by the address alone
    :param existing: what the destination holds
    :param members: the members of the golden records, ``None`` when unknown
    :param rules: of the policy that the golden records were made by
    :return: as :func:`linked_records`, ``None`` where nobody has another address
    """
    owners: dict[str, set[str]] = {}
    if members is not None:
        other = members.filter(members.address.notnull() & (members.address != members.email_key))
        for row in collect(connection, other.select("address", "email_key").distinct()):
            owners.setdefault(row["address"], set()).add(row["email_key"])
    for key, aliases in aliases_told(connection, golden, "email_key"):
        for alias in aliases:
            owners.setdefault(alias, set()).add(key)
    single = {
        address: min(people)
        for address, people in owners.items()
        if len(people) == 1 and not any(is_role_address(each, rules) for each in (address, *people))
    }
    if not single:
        return None
    named = in_memory({"address": [*single], "golden_key": [*single.values()]})
    named = named.anti_join(golden, named.address == golden.email_key)
    found = existing.inner_join(named, existing.email_key == named.address).select(*RECORD, "golden_key")
    return keep(connection, found)


def aliases_told(connection: Any, leads: ibis.Table, name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a column of leads that tell secondary addresses, and those as email keys, in the column's order.

    :param connection: from :func:`~airflow_providers_leads.leads.merge.engine.connect`
    :param leads: few of which tell any
    :param name: of the column
    """
    some = leads.filter(may_tell_aliases(leads.properties)).select(name, "properties").order_by(name)
    for row in collect(connection, some):
        yield row[name], aliases_in(row["properties"])


def _record(source: str, scope: str, source_id: Any) -> dict[str, Any]:
    return {"source": ibis.literal(source), "source_scope": ibis.literal(scope), "source_id": source_id}


def odd_owners(connection: Any, existing: ibis.Table, identity: IdentityRules = _BY_ADDRESS) -> dict[str, str]:
    """Return address → record id, of records whose address field is none that could be used, but names addresses.

    :param connection: from :func:`~airflow_providers_leads.leads.merge.engine.connect`
    :param existing: what the destination holds
    :param identity: who is one person; the addresses are what stands for a person by it
    """
    odd = existing.filter(existing.email_key.isnull() & existing.email.contains("@")).select("source_id", "email")
    # Of two records that name one address the same is named in every run.
    found = ((row["source_id"], addresses_within(row["email"])) for row in collect(connection, odd))
    return {person_key(key, identity): record for record, keys in sorted(found, reverse=True) for key in keys}


def alias_owners(connection: Any, existing: ibis.Table, identity: IdentityRules = _BY_ADDRESS) -> dict[str, str]:
    """Return secondary address → record id; few records have any, so they fit in memory.

    :param connection: from :func:`~airflow_providers_leads.leads.merge.engine.connect`
    :param existing: what the destination holds
    :param identity: who is one person; the addresses are what stands for a person by it
    """
    owners: dict[str, str] = {}
    for record, aliases in aliases_told(connection, existing, "source_id"):
        for alias in aliases:
            # Of two records that list one address the same is named in every run.
            owners.setdefault(person_key(alias, identity), record)
    return owners
