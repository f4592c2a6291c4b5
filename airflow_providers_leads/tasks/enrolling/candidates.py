"""Who is to join a campaign or a list: of an upsert's results, of golden records, or of any file of leads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_providers_leads.leads.files.parquet import Footer, footer_of, open_parquet
from airflow_providers_leads.leads.files.provenance import identity_of, members_of
from airflow_providers_leads.leads.files.staging import structs
from airflow_providers_leads.leads.merge.objections import objector_keys
from airflow_providers_leads.leads.model.identity import IdentityRules, person_key, spellings
from airflow_providers_leads.leads.model.outcomes import MAYBE_NOT_NEW, WriteResult
from airflow_providers_leads.leads.model.properties import aliases_in
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, STICKY_FIELDS, Lead
from airflow_providers_leads.tasks.existing import lists_of, source_connections, suppressions_of
from airflow_providers_leads.tasks.inputs import as_list, check_accounts
from airflow_providers_leads.tasks.paths import storage_path

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.plan.suppression import Suppressions

# Of more people than these a CRM is read as a whole, where it takes a request to ask for one.
_LEAST_LOOKED_UP: Final = 1_000
_MEMBER: Final = ("email_key", "source", "source_scope", "source_id", "address", "rank")
_LEAD: Final = ("email", "email_key", "source", "source_scope", "source_id", "updated_at", "properties", *STICKY_FIELDS)
_KINDS: Final = ("results", "golden", "uri")
_RESULT: Final = ("email_key", "outcome", "target_id")
_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)


@dataclass(slots=True)
class Candidates:
    """People, and the records that a CRM holds of them.

    :param people: person → ids of the records, the best first; in the order in which they join. No record: the CRM
        knows nobody of that address
    :param objections: person → why nobody may write to them, as the files say
    :param addresses: person → further addresses
    :param identity: who is one person
    :param results: URIs of the files of results among them
    :param files: footers of the other files
    """

    people: dict[str, list[str]] = field(default_factory=dict)
    objections: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, set[str]] = field(default_factory=dict)
    identity: IdentityRules = field(default_factory=IdentityRules)
    results: list[str] = field(default_factory=list)
    files: list[Footer] = field(default_factory=list)
    _objectors: set[str] = field(default_factory=set)

    def barred(self, hook: LeadsHook, names: Sequence[str], log: Any) -> Suppressions:
        """Return who must not be mailed by lists as they are now, and by the CRMs that the people were read from.

        :param hook: of the destination
        :param names: URIs of further lists, and connection ids
        :param log: the task's logger
        """
        listed, identity = lists_of(self.results)
        listed += [*source_connections(self.files, log), *names]
        rules = identity if identity is not None and identity.joins else self.identity
        return suppressions_of(hook, list(dict.fromkeys(listed)), log, identity=rules)

    def add(self, person: str, record: str | None = None) -> None:
        """Add a person, and a record of theirs."""
        records = self.people.setdefault(person, [])
        if record is not None and record not in records:
            records.append(record)

    def hear(self, lead: Lead) -> None:
        """Take in an objection in a record whose address field is no usable address, but names some."""
        self._objectors |= objector_keys(lead)

    def heard(self) -> None:
        """Let what was heard stand against those whom it is about."""
        if not self._objectors:
            return
        objected = {person_key(key, self.identity) for key in self._objectors}
        for person in self.people:
            known = (person, *self.addresses.get(person, ()))
            if any(person_key(key, self.identity) in objected for key in known):
                self.objections.setdefault(person, "opted_out")


def candidates(hook: LeadsHook, items: Sequence[Any], outcomes: Collection[str], log: Any) -> Candidates:
    """Return who is to join, by what a task was handed.

    :param hook: of the CRM with the campaign or list
    :param items: results of upserts, merges, extracts and their like, and URIs of the files that they write
    :param outcomes: of an upsert's results, those that count
    :param log: the task's logger
    :raises ValueError: for anything else, and for results or records of another connection or account
    :raises StagingError: naming a file that can't be used
    """
    found = Candidates()
    for kind, uri, members in _files(hook, items):
        file = footer_of(storage_path(uri))
        check_accounts(hook, [file])
        if kind == "results":
            found.results.append(uri)
            for row in _written(file.path):
                if row.outcome in outcomes and row.target_id:
                    found.add(row.email_key, row.target_id)
                    if row.unsure and "unchanged" not in outcomes:
                        found.objections.setdefault(row.email_key, MAYBE_NOT_NEW)
        else:
            found.files.append(file)
            _take_people(found, hook, file, members, log)
    absent = [person for person, records in found.people.items() if not records and person not in found.objections]
    if absent:
        _look_up(found, hook, absent, log)
    found.heard()
    return found


def _written(path: Any) -> Iterator[WriteResult]:
    """Yield results, also those of an older version, which has not said what is unsure."""
    with open_parquet(path, _RESULT) as file:
        there = [name for name in (*_RESULT, "unsure") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=there):
            yield from structs(batch, WriteResult)


def _files(hook: LeadsHook, items: Sequence[Any]) -> Iterator[tuple[str, str, str | None]]:
    """Yield the kind of each file, its URI, and that of the members where they are named."""
    for item in items:
        if not isinstance(item, Mapping):
            yield _kind_of(str(item)), str(item), None
            continue
        kind = next((kind for kind in _KINDS if kind in item), None)
        if kind is None:
            raise ValueError(
                "leads must be results of an upsert, a merge, an extract or a look-up, or URIs of the files they wrote"
            )
        if kind == "results" and (conn_id := item.get("conn_id", hook.conn_id)) != hook.conn_id:
            raise ValueError(
                f"leads are results of connection '{conn_id}', whose ids mean nothing to '{hook.conn_id}': "
                "give those of the upsert into the same connection"
            )
        members = item.get("members") if kind == "golden" else None
        for uri in as_list(item[kind]):
            yield kind, str(uri), None if members is None else str(members)


def _kind_of(uri: str) -> str:
    with open_parquet(storage_path(uri)) as file:
        names = set(file.schema_arrow.names)
    if {"outcome", "target_id", "email_key"} <= names:
        return "results"
    if names >= {*LEAD_COLUMNS}:
        return "uri"
    raise ValueError(f"leads: {uri} is no file of results, of golden records or of leads")


def _take_people(found: Candidates, hook: LeadsHook, golden: Footer, members: str | None, log: Any) -> None:
    """Take the people of a file of golden records or of leads, with the records that are known to be theirs."""
    rules, whole = identity_of(golden), members_of(golden, storage_path(members) if members else None, storage_path)
    found.identity = rules if rules.joins else found.identity
    mine, nobody = (hook.conn_type, hook.conn_id), 0
    with open_parquet(golden.path, LEAD_COLUMNS) as file:
        for batch in file.iter_batches(columns=[*_LEAD]):
            for lead in structs(batch, Lead):
                if not (person := lead.email_key):
                    nobody += 1
                    found.hear(lead)
                    continue
                ours = whole is None and (lead.source, lead.source_scope) == mine
                found.add(person, lead.source_id if ours else None)
                if reason := next((name for name in STICKY_FIELDS if getattr(lead, name)), None):
                    found.objections.setdefault(person, reason)
                found.addresses.setdefault(person, set()).update(aliases_in(lead.properties))
    if nobody:
        log.warning("%d leads in %s have no usable address and are left out", nobody, golden)
    if whole is None:
        return
    check_accounts(hook, [whole])
    known: dict[str, list[tuple[int, str]]] = {}
    with open_parquet(whole.path, _MEMBER) as file:
        for batch in file.iter_batches(columns=[*_MEMBER]):
            for row in batch.to_pylist():
                if (person := row["email_key"]) not in found.people:
                    continue
                if (row["source"], row["source_scope"]) == mine:
                    known.setdefault(person, []).append((row["rank"], row["source_id"]))
                if row["address"]:
                    found.addresses.setdefault(person, set()).add(row["address"])
    for person, records in known.items():
        for _, record in sorted(records):
            found.add(person, record)


def _look_up(found: Candidates, hook: LeadsHook, absent: Sequence[str], log: Any) -> None:
    """Add the records that the CRM holds of people of whom no file names one."""
    owners: dict[str, str] = {}
    for person in absent:
        for address in (person, *sorted(found.addresses.get(person, ()))):
            owners.setdefault(person_key(address, found.identity), person)
    asked = [spelling for person in absent for one in (person, *sorted(found.addresses.get(person, ())))
             for spelling in spellings(one, one)]  # fmt: skip
    few = hook.lookup_rows and not found.identity.joins and len(asked) <= max(hook.lookup_rows, _LEAST_LOOKED_UP)
    if few:
        log.info("%s: looking up %d people", hook.conn_id, len(absent))
    else:
        log.info("%s: reading all that it holds, to find %d people", hook.conn_id, len(absent))
    records: dict[str, list[tuple[bool, float, str]]] = {}
    for lead in hook.find_leads(asked) if few else hook.iter_leads():
        found.hear(lead)
        keys = (person_key(key, found.identity) for key in (lead.email_key, *aliases_in(lead.properties)) if key)
        owner = next((owners[key] for key in keys if key in owners), None)
        if owner is not None:
            if reason := next((name for name in STICKY_FIELDS if getattr(lead, name)), None):
                found.objections.setdefault(owner, reason)
            age = -(lead.updated_at or _LONG_AGO).timestamp()
            records.setdefault(owner, []).append((lead.email_key != owner, age, lead.source_id))
    for person, known in records.items():
        # Among several the same one in every run: that of the person's own address, then the one changed last.
        for _, _, record in sorted(known):
            found.add(person, record)
