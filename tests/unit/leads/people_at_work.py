"""CRMs in memory, the people who work in them, and a sync with a memory between them, without a request or Airflow.

A run here takes the steps of a real one over the same files, and can die between any two of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from airflow_providers_leads.leads.files.parts import Parts
from airflow_providers_leads.leads.files.plan_facts import Looked, PlanFacts
from airflow_providers_leads.leads.files.staging import RowWriter, read_rows, write_rows
from airflow_providers_leads.leads.memory.generation import Folder, Kind, Writing, scope_name
from airflow_providers_leads.leads.memory.planned import PlanMemory
from airflow_providers_leads.leads.memory.reads import ReadFacts
from airflow_providers_leads.leads.memory.recall import Recall
from airflow_providers_leads.leads.memory.remember import Kept, remember
from airflow_providers_leads.leads.merge.golden import merge_files
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.fields import FieldRule, property_sources
from airflow_providers_leads.leads.plan.planning import PlanRules, iter_plan
from airflow_providers_leads.leads.plan.property_types import PropertyType, PropertyTypes

FIELDS = ("title", "phone", "properties.tier", "properties.born", "properties.topics", "properties.note")
"""A text, a phone number, a choice, a date, several choices, and a property of free text."""
KINDS = {
    "properties.tier": PropertyType("choice", {"gold": "Gold", "silver": "Silver"}),
    "properties.born": PropertyType("date"),
    "properties.topics": PropertyType("choices", {"a": "A", "b": "B", "c": "C"}),
}
HUBSPOT, PERSISTIQ, PERSPECTIVE = "hubspot", "persistiq", "perspective"


class Killed(BaseException):
    """The worker is killed."""


@dataclass
class Record:
    """One record of a CRM."""

    id: str
    email: str | None
    values: dict[str, str]
    made: datetime
    touched: datetime
    opted_out: bool = False
    merged: list[str] = field(default_factory=list)


@dataclass
class Crm:
    """One CRM: what people see in it."""

    source: str
    world: World
    timed: bool = True
    stores: Callable[[str, str], str] = lambda name, value: value
    """What the CRM makes of a value that it is given."""
    records: dict[str, Record] = field(default_factory=dict)
    conn_id: str = ""

    def __post_init__(self) -> None:
        self.conn_id = self.conn_id or f"{self.source}_default"

    @property
    def scope(self) -> str:
        return "funnel" if self.source == PERSPECTIVE else self.conn_id

    def comes(self, email: str | None, **values: str) -> Record:
        now = self.world.tick()
        record = Record(f"{self.source[:2]}{next(self.world.ids):04}", email, {}, now, now)
        self.records[record.id] = record
        self.set(record, {name.replace("__", "."): value for name, value in values.items()})
        return record

    def set(self, record: Record, values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if name == "email":
                record.email = value
            elif name == "opted_out":
                record.opted_out = value == "true"
            elif value:
                record.values[name] = self.stores(name, value)
            else:
                record.values.pop(name, None)
        record.touched = self.world.tick()

    def of(self, email: str) -> list[Record]:
        return [record for record in self.records.values() if email_key(record.email) == email_key(email)]

    def lead(self, record: Record) -> Lead:
        properties: dict[str, Any] = {
            name.removeprefix("properties."): value
            for name, value in record.values.items()
            if name.startswith("properties.")
        }
        if record.merged:
            properties["merged_ids"] = record.merged
        at = {HUBSPOT: record.touched, PERSPECTIVE: record.made}.get(self.source)
        return Lead(
            source=self.source, source_scope=self.scope, source_id=record.id,
            email=record.email, email_key=email_key(record.email),
            opted_out=record.opted_out or None,
            created_at=record.made if self.source != PERSISTIQ else None,
            updated_at=at,
            properties=msgspec.json.encode(properties, order="sorted").decode() if properties else None,
            **{name: value for name, value in record.values.items() if not name.startswith("properties.")},
        )  # fmt: skip


class World:
    """The CRMs and the runs of one sync.

    :param folder: for the files
    :param writable: sources that are written to
    :param sources: that are read
    :param policy: of the merge
    :param names: golden property → the destination's own, by destination; default: the same everywhere
    """

    def __init__(
        self,
        folder: Path,
        *,
        sources: Sequence[str] = (HUBSPOT, PERSISTIQ),
        writable: Sequence[str] = (HUBSPOT, PERSISTIQ),
        policy: MergePolicy | None = None,
        names: Mapping[str, Mapping[str, str]] | None = None,
        order: Callable[[list[Any]], list[Any]] = lambda rows: rows,
    ) -> None:
        self.folder, self.sources, self.writable = folder, sources, writable
        self.policy = policy or MergePolicy()
        self.names = names or {}
        self.order = order
        self.ids = itertools.count(1)
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)
        self.crms = {source: Crm(source, self) for source in {*sources, *writable}}
        self.memory = Folder(folder / "memory")
        self.runs = 0
        self.writes: list[tuple[str, PlanRow]] = []
        self.plans: dict[str, dict[str, PlanRow]] = {}
        self.seen: dict[str, datetime] = {}
        self.settled: set[str] = set()
        """Sources of which the last run wrote down what it wrote."""
        self.unsure: set[str] = set()
        """Ids of records that a run made and did not write down."""
        self.known_as: dict[str, str] = {}
        """Source → what its connection was called when the sync last remembered."""
        self.mode: Any = "update"
        self.kinds: dict[str, Mapping[str, Kind]] = {}
        """Source → property → what its values are."""
        self.fields: dict[str, Mapping[str, FieldRule]] = {}
        """Source → its table of fields."""
        self.refuses: set[str] = set()
        """Email keys whose writes the CRMs refuse."""

    def __getitem__(self, source: str) -> Crm:
        return self.crms[source]

    def tick(self) -> datetime:
        self.clock += timedelta(seconds=1)
        return self.clock

    # A run ------------------------------------------------------------------------------------------------------------

    def run(
        self,
        *,
        incremental: bool = False,
        dies: str | None = None,
        after_writes: int | None = None,
        notes: bool = True,
        meanwhile: Callable[[str], None] | None = None,
        remembers: bool = True,
        accounts: Mapping[str, bool] | None = None,
        unread: Collection[str] = (),
    ) -> int:
        """Run the sync once and return the number of its writes.

        :param incremental: only what changed is read, and what the CRMs hold of those people is looked up
        :param dies: step before which the worker is killed: ``merge``, ``plan:hubspot``, ``write:hubspot``,
            ``results:hubspot``, ``remember``
        :param after_writes: the worker is killed after so many writes, before its results are written
        :param notes: what is written is durable at once, though the run dies; false: its ids are lost with it
        :param meanwhile: called before each step
        :param remembers: false: the last task doesn't run
        :param accounts: sources that lead to another account than before
        :param unread: properties that are not read of HubSpot
        """
        self.runs += 1
        self.writes, self.settled = [], set()
        self._unread = {f"properties.{name}" for name in unread}
        self._left, self._notes = after_writes, notes
        self._may_die = dies is not None or after_writes is not None
        at = self.folder / f"run{self.runs}"
        at.mkdir()

        def step(name: str) -> None:
            if meanwhile:
                meanwhile(name)
            if dies == name:
                raise Killed

        with suppress(Killed):
            self._run(at, incremental, step, remembers, accounts or {})
        return len(self.writes)

    def _run(
        self, at: Path, incremental: bool, step: Callable[[str], None], remembers: bool, accounts: Mapping[str, bool]
    ) -> None:
        self.memory.open()
        begun: dict[str, datetime] = {}
        files: list[Path] = []
        reads: list[ReadFacts] = []
        known: dict[str, set[str]] = {}
        for source in self.sources:
            step(f"read:{source}")
            crm, begun[source] = self[source], self.tick()
            since = self.seen.get(source) if incremental else None
            leads = [self._lead(crm, r) for r in crm.records.values() if since is None or r.touched >= since]
            files.append(at / f"{source}.parquet")
            write_rows(files[-1], Lead, self.order(leads))
            known[source] = {lead.source_id for lead in leads}
            reads.append(
                ReadFacts(
                    conn_id=crm.conn_id,
                    source=source,
                    at=begun[source],
                    complete=since is None,
                    parts={crm.scope: len(leads)} if leads else {},
                    other_account=bool(accounts.get(source)),
                    known_as=self.known_as.get(source),
                    properties=self._read_of(source),
                    kinds=self.kinds.get(source, {}),
                )
            )
        people = {lead.email_key for file in files for lead in read_rows(file, Lead) if lead.email_key}
        for source in self.sources if incremental else ():
            crm = self[source]
            leads = [self._lead(crm, r) for r in crm.records.values() if email_key(r.email) in people]
            files.append(at / f"{source}.found.parquet")
            write_rows(files[-1], Lead, self.order([lead for lead in leads if lead.source_id not in known[source]]))
        step("merge")
        now = self.tick()
        outputs = {name: at / f"memory.{name}.parquet" for name in ("baseline", "delta", "people")}
        recall = Recall(self.memory, reads, outputs, self.policy, now=now)
        merged = {name: at / f"{name}.parquet" for name in ("golden", "members")}
        merge_files(self.order(files), merged, policy=self.policy, recall=recall, lineage=False)
        self.recall = recall.result
        baseline = recall.baseline
        kept = Kept(
            memory=str(self.memory.path), generation=recall.result.generation, token=recall.result.token,
            baseline=baseline, delta=outputs["delta"], people=outputs["people"], inputs=files,
        )  # fmt: skip
        for source in self.writable:
            self._upsert(at, source, merged, outputs, baseline, reads, recall, step)
        step("remember")
        if remembers:
            self.generation = remember(
                self.memory, kept, reads, [merged["members"]], run=f"run{self.runs}", now=self.tick()
            )
            self.seen, self.known_as = begun, {}
            self.unsure.clear()

    def _read_of(self, source: str) -> frozenset[str] | None:
        """Return which properties are read of a CRM, ``None`` for all: HubSpot's are read by name."""
        if source != HUBSPOT or not self._unread:
            return None
        return frozenset(n.removeprefix("properties.") for n in FIELDS if n not in self._unread)

    def _lead(self, crm: Crm, record: Record) -> Lead:
        """Return a record as it is read now."""
        if crm.source != HUBSPOT:
            return crm.lead(record)
        kept = {name: value for name, value in record.values.items() if name not in self._unread}
        return crm.lead(replace(record, values=kept))

    def _names(self, source: str) -> Mapping[str, str]:
        left = [name for name in FIELDS if name not in self._unread]
        own = [name.removeprefix("properties.") for name in left if name.startswith("properties.")]
        return self.names.get(source, {name: name for name in own})

    def _upsert(
        self, at: Path, source: str, merged: Mapping[str, Path], outputs: Any, baseline: list[Any],
        reads: Sequence[ReadFacts], recall: Recall, step: Callable[[str], None],
    ) -> None:  # fmt: skip
        step(f"plan:{source}")
        crm, names, table = self[source], self._names(source), self.fields.get(source, {})
        own = {*names.values(), *(name.removeprefix("properties.") for name in table if name.startswith("properties."))}
        planned_at = self.tick()
        complete = any(read.source == source and read.complete for read in reads)
        existing = at / f"{source}.parquet" if complete else at / f"{source}.existing.parquet"
        if not complete:
            write_rows(existing, Lead, self.order([self._lead(crm, record) for record in crm.records.values()]))
        rules = PlanRules(
            mode=self.mode,
            writable=frozenset(name for name in FIELDS if not name.startswith("properties.")),
            properties=names,
            fields=table,
            types=PropertyTypes(KINDS) if source == HUBSPOT else PropertyTypes(),
        )
        memory = PlanMemory(
            source=source, scope=crm.scope, key=self.memory.key, fields=recall.fields, baseline=baseline,
            delta=str(outputs["delta"]), people=str(outputs["people"]), merged=complete and source != PERSPECTIVE,
            priority=self.policy.priority, cleared=self.policy.cleared, deleted=self.policy.deleted,
            address=self.policy.address, erased=self.memory.erased(),
            vanished=frozenset(name for crm, name in recall.result.vanished if crm == source),
            probe="" if not recall.generation or scope_name(source, crm.scope) in recall.generation.gaps
            else recall.generation.probe,
        )  # fmt: skip
        scope = crm.scope if source == PERSPECTIVE else None
        facts = PlanFacts(
            conn_id=crm.conn_id, conn_type=source, mode="update", scope=scope, planned_at=planned_at,
            existing_at=planned_at, requests_per_second=1.0, properties=sorted(own),
            property_keys=sorted({*names, *property_sources(table)}),
            looked=Looked(uri=str(existing), at=planned_at, properties=sorted(names) if source == HUBSPOT else None),
        )  # fmt: skip
        plan, results = at / f"{source}.plan.parquet", at / f"{source}.results.parquet"
        rows = list(
            iter_plan(merged["golden"], existing, rules, scope=scope, members_uri=merged["members"], memory=memory)
        )
        with RowWriter(plan, PlanRow, metadata=facts.metadata()) as writer:
            for row in rows:
                writer.write(row)
        self.plans[source] = {row.email_key: row for row in rows}
        step(f"write:{source}")
        self.memory.begin(Writing(run=f"run{self.runs}", dag="sync", plans={crm.conn_id: [str(plan), str(results)]}))
        parts = Parts(results, WriteResult, "task")
        outcomes = []
        for row in rows:
            outcomes.append(self._write(crm, row))
            if self._notes and self._may_die:
                parts.append(outcomes[-1:])
                self.unsure.discard(str(outcomes[-1].target_id))
        step(f"results:{source}")
        parts.discard()
        # Of a long apply the results are a folder of parts.
        parts.append(outcomes[:1])
        parts.assemble(outcomes[1:])
        parts.discard()
        self.settled.add(source)
        self.unsure -= {str(outcome.target_id) for outcome in outcomes}

    def _write(self, crm: Crm, row: PlanRow) -> WriteResult:
        if row.action not in ("create", "update"):
            outcome: Any = "suppressed" if row.action == "suppress" else "unchanged"
            return WriteResult(email_key=row.email_key, outcome=outcome, target_id=row.target_id, reason=row.reason)
        if row.email_key in self.refuses:
            return WriteResult(email_key=row.email_key, outcome="failed", target_id=row.target_id, refused=True)
        if self._left is not None:
            if self._left == 0:
                raise Killed
            self._left -= 1
        values = row.values | {f"properties.{name}": value for name, value in row.properties.items()}
        if row.action == "create":
            record = crm.comes(row.email_key)
            self.unsure.add(record.id)
        else:
            record = crm.records[str(row.target_id)]
        crm.set(record, values)
        self.writes.append((crm.source, row))
        return WriteResult(
            email_key=row.email_key, outcome="created" if row.action == "create" else "updated",
            target_id=record.id, fields=list(values),
        )  # fmt: skip


def emails(people: Iterable[int]) -> list[str]:
    return [f"p{n}@people.example" for n in people]
