"""A sync with a memory over the sandbox's real HTTP, and people who work in its CRMs between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq

from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsLookupOperator,
    LeadsMoveWatermarkOperator,
    LeadsRememberOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.operators.watermark import WATERMARKS
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.clock import iso_utc
from airflow_providers_leads.sandbox.hubspot.store import Contact
from airflow_providers_leads.sandbox.persistiq.store import Lead as PersistIQLead

PERSPECTIVE, HUBSPOT, PERSISTIQ = "perspective_default", "hubspot_default", "persistiq_default"
SOURCES = (PERSPECTIVE, HUBSPOT, PERSISTIQ)
DESTINATIONS = (HUBSPOT, PERSISTIQ)
FUNNEL = "65f0a0000000000000000001"
HUBSPOT_NAMES = {"title": "jobtitle", "phone": "phone", "city": "city", "first_name": "firstname"}
PERSISTIQ_NAMES = {"title": "title", "phone": "phone", "city": "city", "first_name": "first_name"}


class World:
    """The CRMs, their people, and the runs of one sync."""

    def __init__(self, sandbox: Sandbox, folder: Path, memory: bool = True) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.memory = f"file://{folder}/memory" if memory else None
        self.hubspot, self.perspective, self.persistiq = (api.store for api in sandbox.apis)
        self.runs = self.made = 0
        self.marks: Any = _State()

    # Runs -------------------------------------------------------------------------------------------------------------

    def context(self, task_id: str, map_index: int = -1) -> Any:
        ti = SimpleNamespace(dag_id="sync", run_id=f"run-{self.runs}", task_id=task_id, map_index=map_index)
        return {"ti": ti, "asset_state_store": {WATERMARKS: self.marks}}

    @property
    def output(self) -> str:
        return f"file://{self.folder}/{self.runs}"

    def extract(self, conn_id: str, **options: Any) -> dict[str, Any]:
        operator = LeadsExtractOperator(
            task_id="extract", conn_id=conn_id, output=f"{self.output}/extract", memory=self.memory, **options
        )
        result: dict[str, Any] = operator.execute(self.context(f"extract-{conn_id}"))
        return result

    def merge(self, inputs: Sequence[Any], policy: Any = None, **options: Any) -> dict[str, Any]:
        options = {"output": f"{self.output}/golden", **options}
        operator = LeadsDeduplicateOperator(
            task_id="deduplicate", inputs=inputs, policy=policy, memory=self.memory, **options
        )
        result: dict[str, Any] = operator.execute(self.context("deduplicate"))
        return result

    def upsert(self, conn_id: str, golden: Any, existing: Any, **options: Any) -> dict[str, Any]:
        operator = LeadsUpsertOperator(
            task_id="upsert", conn_id=conn_id, golden=golden, existing=existing, output=f"{self.output}/upsert",
            **options,
        )  # fmt: skip
        result: dict[str, Any] = operator.execute(self.context(f"upsert-{conn_id}"))
        return result

    def remember(self, golden: Any) -> dict[str, Any]:
        result: dict[str, Any] = LeadsRememberOperator(task_id="remember", golden=golden).execute(
            self.context("remember")
        )
        return result

    def run(
        self,
        sources: Sequence[str] = SOURCES,
        destinations: Sequence[str] = DESTINATIONS,
        policy: Any = None,
        *,
        remember: bool = True,
        extract: Any = None,
        **options: Any,
    ) -> dict[str, dict[str, Any]]:
        """Run the sync once, and return the results of its upserts."""
        self.runs += 1
        extracted = [self.extract(conn_id, **(extract or {})) for conn_id in sources]
        self.golden = self.merge(extracted, policy)
        results = {c: self.upsert(c, self.golden, extracted, **options) for c in destinations}
        if remember and self.memory:
            self.remember(self.golden)
        return results

    def run_incremental(self, **options: Any) -> dict[str, dict[str, Any]]:
        """Run what changed only."""
        self.runs += 1
        extracted = [self.extract(c, watermark="auto", move_watermark=False, settle=0) for c in SOURCES]
        found = [
            LeadsLookupOperator(
                task_id="look_up", conn_id=c, inputs=extracted, output=f"{self.output}/found", memory=self.memory
            ).execute(self.context(f"look_up-{c}"))
            for c in SOURCES
        ]
        self.golden = self.merge([*extracted, *found])
        results = {c: self.upsert(c, self.golden, extracted, **options) for c in DESTINATIONS}
        if self.memory:
            self.remember(self.golden)
        LeadsMoveWatermarkOperator(task_id="move", extracted=extracted).execute(self.context("move"))
        return results

    def plan(self, conn_id: str) -> dict[str, PlanRow]:
        """Return the rows of the last plan for a destination, by address."""
        (path,) = (self.folder / str(self.runs) / "upsert").glob(f"{conn_id}*.plan.parquet")
        return {row.email_key: row for row in read_rows(str(path), PlanRow)}

    def rules(self) -> set[str]:
        """Return the rules by which the last merge decided between differing values."""
        path = self.folder / str(self.runs) / "golden" / "conflicts.parquet"
        return set(pq.read_table(path, columns=["rule"]).column("rule").to_pylist())

    def writes(self) -> int:
        return sum(api.stats.writes for api in self.sandbox.apis)

    # People -----------------------------------------------------------------------------------------------------------

    def email(self) -> str:
        self.made += 1
        return f"p{self.made}@people.example"

    def in_hubspot(self, email: str) -> list[Contact]:
        live = [c for c in self.hubspot.contacts.values() if c.archived is None]
        return [c for c in live if c.properties.get("email") == email]

    def in_persistiq(self, email: str) -> list[PersistIQLead]:
        return [lead for lead in self.persistiq.leads.values() if lead.data.get("email") == email]

    def comes_to_hubspot(self, email: str | None = None, **values: str) -> str:
        email = email or self.email()
        self.hubspot.plan_create({"email": email, **{HUBSPOT_NAMES.get(k, k): v for k, v in values.items()}}).commit()
        return email

    def comes_to_persistiq(self, email: str | None = None, **values: str) -> str:
        email, at = email or self.email(), self.persistiq.clock.now()
        data = {"email": email, **{PERSISTIQ_NAMES.get(k, k): v for k, v in values.items()}}
        self.persistiq.add(PersistIQLead(self.persistiq.next_id("l"), "active", data, at, at))
        return email

    def converts(self, email: str | None = None, **values: str) -> str:
        email = email or self.email()
        self.made += 1
        names = {"first_name": "firstName", "phone": "phone"}
        contact = {
            "id": f"{self.made:024x}", "status": "new", "email": email,
            "meta": {"ps_converted_at": iso_utc(self.perspective.clock.now())},
            **{names.get(name, name): value for name, value in values.items()},
        }  # fmt: skip
        self.perspective.funnels[FUNNEL].add(contact)
        return email

    def edits(self, conn_id: str, email: str, field: str, value: str) -> None:
        """Give a field a value in a CRM; an empty one clears it."""
        if conn_id == HUBSPOT:
            (contact,) = self.in_hubspot(email)
            self.hubspot.plan_update(contact, {HUBSPOT_NAMES.get(field, field): value}).commit()
        else:
            (lead,) = self.in_persistiq(email)
            self.persistiq.change(lead, {PERSISTIQ_NAMES.get(field, field): value})

    def holds(self, conn_id: str, email: str, field: str) -> str | None:
        if conn_id == HUBSPOT:
            (contact,) = self.in_hubspot(email)
            return contact.properties.get(HUBSPOT_NAMES.get(field, field)) or None
        (lead,) = self.in_persistiq(email)
        return lead.data.get(PERSISTIQ_NAMES.get(field, field)) or None

    def touches(self, email: str) -> None:
        """Change something that nobody syncs, which moves the record's time."""
        (contact,) = self.in_hubspot(email)
        self.hubspot.plan_update(contact, {"hs_lead_status": "OPEN"}).commit()

    def deletes(self, email: str, conn_id: str = HUBSPOT) -> None:
        if conn_id == HUBSPOT:
            (contact,) = self.in_hubspot(email)
            self.hubspot.archive(contact)
            return
        (lead,) = self.in_persistiq(email)
        del self.persistiq.leads[lead.id], self.persistiq.by_email[email.lower()]
        self.persistiq.ordered.remove(lead)
        self.persistiq.version += 1


class _State(dict[str, Any]):
    """Stands in for the state of one asset."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)
