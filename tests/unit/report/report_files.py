"""The files of a small run, made by the code that makes them in earnest, with a planted attack in every text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_providers_leads.hooks.persistiq.metrics import PERSISTIQ_CAMPAIGN_STATS
from airflow_providers_leads.hooks.perspective.metrics import PERSPECTIVE_METRICS
from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import RowWriter, write_rows
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import policy_from
from airflow_providers_leads.leads.model.metrics import MetricRow, MetricTable, write_metrics
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.report.files import RunFiles
from airflow_providers_leads.report.run import Run

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ATTACK = "<script>alert(1)</script><img src=//evil.example/x onerror=alert(2)>\"'&"


def lead(source: str, number: int, address: str | None, **fields: Any) -> Lead:
    scope = {"perspective": "fnl_1"}.get(source, f"{source}_default")
    return Lead(
        source=source, source_scope=scope, source_id=f"{source}-{number}", email=address, email_key=address,
        updated_at=NOW.replace(day=number % 28 + 1, month=1), **fields,
    )  # fmt: skip


LEADS = [
    lead("perspective", 1, "ann@example.org", first_name=ATTACK, city="Köln"),
    lead("hubspot", 2, "ann@example.org", first_name="Ann", city="Koeln"),
    lead("persistiq", 3, "ann@example.org", first_name="ann", city="KÖLN"),
    lead("perspective", 4, "ben@example.org", phone="0221 12345"),
    lead("hubspot", 5, "ben@example.org", phone="0228 99999"),
    lead("hubspot", 6, "cem@example.org"),
    lead("perspective", 7, None, phone="0221 777"),
]


def write_merge(folder: Path, leads: Sequence[Lead] = LEADS) -> None:
    extract = folder / "extract" / "all.0.leads.parquet"
    write_rows(str(extract), Lead, leads)
    outputs = {name: str(folder / "golden" / f"{name}.parquet") for name in OUTPUTS}
    merge_files([str(extract)], outputs, policy=policy_from(None))


def write_plan(
    folder: Path, conn_id: str, rows: Sequence[PlanRow], results: Sequence[WriteResult] | None = None, **facts: Any
) -> None:
    told = PlanFacts(
        conn_id=conn_id, conn_type="hubspot", mode="update", planned_at=NOW, requests_per_second=10.0, **facts
    )
    stem = folder / "upsert" / conn_id
    with RowWriter(f"{stem}.plan.parquet", PlanRow, metadata=told.metadata()) as writer:
        writer.write_all(rows)
    if results is not None:
        write_rows(f"{stem}.results.parquet", WriteResult, results)


def write_run(folder: Path) -> None:
    """Write a run in which something of everything happened."""
    write_merge(folder)
    write_plan(
        folder,
        "hubspot_default",
        [
            PlanRow(email_key="ann@example.org", action="create", values={"city": "Köln", "phone": "1"}, requests=0.5),
            PlanRow(
                email_key="ben@example.org", action="update", values={"city": "Ulm", "phone": "2"},
                before={"city": None, "phone": "3"}, records=2, requests=0.6,
            ),
            PlanRow(email_key="cem@example.org", action="suppress", reason="opted_out"),
            PlanRow(email_key="dan@example.org", action="create", values={"city": "Bonn"}, requests=0.6),
            PlanRow(email_key="eve@example.org", action="create", values={"city": "Bonn"}),
        ],
        [
            WriteResult(email_key="ann@example.org", outcome="created", fields=["city"]),
            WriteResult(email_key="ben@example.org", outcome="updated", fields=["city", "phone"]),
            WriteResult(email_key="cem@example.org", outcome="suppressed"),
            WriteResult(
                email_key="dan@example.org", outcome="failed", target_id=ATTACK, request_id=ATTACK,
                reason=f"dan@example.org is taken {ATTACK}",
            ),
        ],
    )  # fmt: skip
    write_plan(folder, "persistiq_default", [PlanRow(email_key="ann@example.org", action="unchanged")])


def files_of(folder: Path) -> RunFiles:
    files = RunFiles()
    files.add_names(str(path) for path in folder.rglob("*.parquet"))
    return files


def run_of(**fields: Any) -> Run:
    given = {"dag_id": "d", "run_id": "r", "at": NOW, "started": NOW, "finished": NOW}
    return Run(**{**given, **fields})


def write_numbers(
    uri: str, scope: str, numbers: Mapping[str, Mapping[str, float]], *, end: datetime = NOW, campaign: bool = False
) -> None:
    table: MetricTable = PERSISTIQ_CAMPAIGN_STATS if campaign else PERSPECTIVE_METRICS
    rows = [
        MetricRow(
            source=table.source, scope_id=scope, metric=metric, key=key, value=float(value), count=None,
            start=end if campaign else end.replace(year=2025), end=end, offset=0, fetched_at=NOW,
        )
        for metric, points in numbers.items()
        for key, value in points.items()
    ]  # fmt: skip
    write_metrics(uri, table, rows)
