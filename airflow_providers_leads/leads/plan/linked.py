"""Which records of a destination are of golden people by the policy's rules of who is one person."""

from __future__ import annotations

from typing import Any, Final

import ibis
import msgspec

from airflow_providers_leads.leads.files.list_entries import addresses_within
from airflow_providers_leads.leads.merge.components import RECORD, sort_by_person
from airflow_providers_leads.leads.merge.engine import collect, keep
from airflow_providers_leads.leads.model.identity import IdentityRules, person_key
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
    some = existing.filter(existing.properties.contains(f'"{ALIASES_PROPERTY}"')).select("source_id", "properties")
    # Of two records that list one address the same is named in every run.
    some = some.order_by(some.source_id.desc())
    owners: dict[str, str] = {}
    for row in collect(connection, some):
        for alias in msgspec.json.decode(row["properties"]).get(ALIASES_PROPERTY) or ():
            owners[person_key(str(alias), identity)] = row["source_id"]
    return owners
