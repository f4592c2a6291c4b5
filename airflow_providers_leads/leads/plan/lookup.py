"""Whom to look up in a destination, where reading all of it would be much for few people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_providers_leads.leads.files.staging import open_parquet
from airflow_providers_leads.leads.memory.planned import PlanMemory
from airflow_providers_leads.leads.merge.components import RECORD
from airflow_providers_leads.leads.merge.engine import collect, connect, read_parquet
from airflow_providers_leads.leads.model.identity import spellings
from airflow_providers_leads.leads.model.properties import aliases_in
from airflow_providers_leads.leads.plan.linked import aliases_told


def addresses_to_look_up(golden_uri: Any, members_uri: Any = None) -> list[str]:
    """Return the addresses of golden people, in every spelling in which a CRM may hold them.

    :param golden_uri: file of golden records, few enough for their addresses to fit in memory
    :param members_uri: file of their members, whose own addresses count too: by them a record that the merge has
        joined to a person is found
    """
    with connect() as connection:
        golden = read_parquet(connection, golden_uri, ("email_key", "properties"))
        keys = golden.select(address=golden.email_key)
        if members_uri is not None:
            members = read_parquet(connection, members_uri, ("email_key", "address"))
            of_people = members.semi_join(golden, "email_key")
            keys = keys.union(of_people.select("address"), distinct=True)
        keys = keys.filter(keys.address.notnull()).distinct()
        told = (alias for _, aliases in aliases_told(connection, golden, "email_key") for alias in aliases)
        addresses = sorted({*(row["address"] for row in collect(connection, keys)), *told})
        return [spelling for address in addresses for spelling in spellings(address, address)]


def unfound(golden_uri: Any, members_uri: Any, found_uri: Any, source: str, scope: str) -> int:
    """Return how many records are known to belong to golden people and were not found by address.

    They may have none of their own, or one in a spelling that the CRM doesn't find.

    :param golden_uri: file of golden records
    :param members_uri: file of their members
    :param found_uri: file of the records found
    :param source: connection type of the destination
    :param scope: the scope of its records
    """
    with connect() as connection:
        golden = read_parquet(connection, golden_uri, ("email_key",))
        members = read_parquet(connection, members_uri, (*RECORD, "email_key"))
        known = members.filter((members.source == source) & (members.source_scope == scope))
        found = read_parquet(connection, found_uri, RECORD)
        missing = known.semi_join(golden, "email_key").anti_join(found, list(RECORD))
        (counted,) = collect(connection, missing.aggregate(records=missing.count()))
        return int(counted["records"])


def missed(golden_uri: Any, found_uri: Any, memory: PlanMemory) -> dict[str, bool]:
    """Return the records that are remembered of people and were not found by address: id → the person comes anew.

    They may have got another address, and whoever comes anew would be made a second time.

    :param golden_uri: file of golden records
    :param found_uri: file of the records found
    :param memory: of the sync
    """
    if memory.merged or memory.foreign or not memory.baseline:
        return {}
    with connect() as connection:
        golden = read_parquet(connection, golden_uri, ("email_key",))
        memory.prepare(connection, golden, read_parquet(connection, found_uri, (*RECORD, "email_key")))
        return memory.missed(connection)


def people_elsewhere(uris: Sequence[Any], source: str, scope: str) -> tuple[list[str], set[str]]:
    """Return the people of lead files of whom no record of one CRM is among them, and that CRM's records there.

    :param uris: files of leads, few enough for their addresses to fit in memory
    :param source: connection type of the CRM
    :param scope: scope of its records
    :return: email keys in order, secondary addresses too, and record ids
    """
    people: set[str] = set()
    known: set[str] = set()
    records: set[str] = set()
    for uri in uris:
        file = open_parquet(uri, (*RECORD, "email_key", "properties"))
        try:
            for batch in file.iter_batches(columns=[*RECORD, "email_key", "properties"]):
                for row in batch.to_pylist():
                    ours = (row["source"], row["source_scope"]) == (source, scope)
                    if ours:
                        records.add(row["source_id"])
                    if row["email_key"]:
                        (known if ours else people).update((row["email_key"], *aliases_in(row["properties"])))
        finally:
            file.close()
    return sorted(people - known), records
