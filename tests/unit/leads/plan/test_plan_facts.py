from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pendulum
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leads_rows import lead

from airflow_providers_leads.leads.files.plan_facts import PlanFacts, PlanTotals, read_plan_facts
from airflow_providers_leads.leads.files.staging import RowWriter, StagingError, count_rows, read_rows, write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.lookup import addresses_to_look_up, unfound

FACTS = PlanFacts(
    conn_id="crm",
    conn_type="perspective",
    mode="fill",
    scope="f1",
    planned_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    existing_at=None,
    requests_per_second=10 / 6,
    properties=["utm_source"],
)


def test_facts_and_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        PlanRow(email_key="a@x.de", action="create", values={"city": "Bonn"}, properties={"p": "1"}, requests=0.01),
        PlanRow(email_key="b@x.de", action="update", properties={"p": "1"}, properties_before={"p": None}, requests=2),
    ]
    uri = str(tmp_path / "plan.parquet")
    with RowWriter(uri, PlanRow, metadata=FACTS.metadata()) as writer:
        writer.write_all(rows)
    assert read_plan_facts(uri) == FACTS
    assert list(read_rows(uri, PlanRow)) == rows
    assert count_rows(uri) == 2


def test_a_pendulum_time_is_kept_with_its_zone(tmp_path: Path) -> None:
    at = pendulum.datetime(2026, 1, 1, 12, tz="Europe/Berlin")
    facts = PlanFacts(conn_id="c", conn_type="hubspot", mode="update", planned_at=at, requests_per_second=1)
    with RowWriter(str(tmp_path / "p.parquet"), PlanRow, metadata=facts.metadata()):
        pass
    found = read_plan_facts(str(tmp_path / "p.parquet")).planned_at
    assert found == at
    assert found.utcoffset() is not None


def test_what_is_no_plan_is_told(tmp_path: Path) -> None:
    write_rows(str(tmp_path / "golden.parquet"), Lead, [lead()])
    with pytest.raises(StagingError, match=r"golden\.parquet is no plan file"):
        read_plan_facts(str(tmp_path / "golden.parquet"))
    with pytest.raises(StagingError, match="does not exist"):
        read_plan_facts(str(tmp_path / "nowhere.parquet"))
    with RowWriter(str(tmp_path / "other.parquet"), PlanRow, metadata={"leads.plan": '{"conn_id": 1}'}):
        pass
    with pytest.raises(StagingError, match="another version"):
        read_plan_facts(str(tmp_path / "other.parquet"))


def totals(*rows: PlanRow) -> PlanTotals:
    found = PlanTotals()
    for row in rows:
        found.add(row)
    return found


def plan(action: Any, number: int, cost: float) -> list[PlanRow]:
    return [PlanRow(email_key=f"{action}{i}@x.de", action=action, requests=cost) for i in range(number)]


@pytest.mark.parametrize(
    ("rows", "requests"),
    [
        ([], 0),
        (plan("create", 100, 1 / 100), 1),
        (plan("create", 101, 1 / 100), 2),
        (plan("create", 30_000, 1 / 100), 300),
        (plan("create", 7, 1 / 10) + plan("update", 3, 1.0), 4),
        (plan("create", 1, 1 / 100) + plan("update", 1, 1 / 100), 2),
        (plan("update", 2, 3.0) + plan("suppress", 5, 0.0) + plan("unchanged", 5, 0.0), 6),
    ],
)
def test_whole_requests_per_kind_of_batch(rows: list[PlanRow], requests: int) -> None:
    assert totals(*rows).requests == requests


@pytest.mark.parametrize(("rows", "per_second", "minutes"), [(0, 1, 0.0), (100, 100 / 60, 1.0), (1_000, 10.0, 1.7)])
def test_minutes_follow_the_quota(rows: int, per_second: float, minutes: float) -> None:
    facts = PlanFacts(
        conn_id="c", conn_type="t", mode="update", planned_at=FACTS.planned_at, requests_per_second=per_second, quota=1
    )
    assert totals(*plan("update", rows, 1.0)).minutes(facts) == minutes


def test_totals_count_fields_reasons_and_duplicates() -> None:
    found = totals(
        PlanRow(email_key="a", action="create", values={"city": "x"}),
        PlanRow(email_key="b", action="update", values={"city": "x"}, properties={"p": "1"}, records=2, reason="2 …"),
        PlanRow(email_key="c", action="suppress", reason="bounced"),
    )
    assert found.actions == {"create": 1, "update": 1, "unchanged": 0, "suppress": 1}
    assert found.fields == {"city": 2, "properties.p": 1}
    assert found.reasons == {"2 …": 1, "bounced": 1}
    assert found.duplicates == 1


# Whom to look up ------------------------------------------------------------------------------------------------------

MEMBERS = [
    ("hubspot", "h", "1", "ann@x.de", "ann@x.de"),
    ("hubspot", "h", "2", "ann@x.de", None),
    ("persistiq", "p", "3", "ann@x.de", "a@xn--bcher-kva.de"),
    ("persistiq", "p", "4", "zoe@x.de", "zoe@x.de"),
    ("persistiq", "q", "5", "ann@x.de", "ann@x.de"),
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    names = ("source", "source_scope", "source_id", "email_key", "address")
    rows = [dict(zip(names, row, strict=True)) for row in MEMBERS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "members.parquet")
    people = [lead(key, key, source="golden") for key in ("bob@x.de", "ann@x.de")]
    write_rows(str(tmp_path / "golden.parquet"), Lead, people)
    return str(tmp_path / "golden.parquet"), str(tmp_path / "members.parquet")


def test_every_address_of_golden_people_is_looked_up_in_its_spellings(files: tuple[str, str]) -> None:
    golden, members = files
    assert addresses_to_look_up(golden) == ["ann@x.de", "bob@x.de"]
    assert addresses_to_look_up(golden, members) == ["a@xn--bcher-kva.de", "a@bücher.de", "ann@x.de", "bob@x.de"]


@pytest.mark.parametrize(
    ("source", "scope", "found", "missing"),
    [
        ("hubspot", "h", ["1", "2"], 0), ("hubspot", "h", ["1"], 1), ("hubspot", "h", [], 2),
        ("persistiq", "p", ["3"], 0), ("persistiq", "q", ["3"], 1), ("perspective", "f", [], 0),
    ],
)  # fmt: skip
def test_a_record_known_before_must_be_found(
    source: str, scope: str, found: list[str], missing: int, files: tuple[str, str], tmp_path: Path
) -> None:
    uri = str(tmp_path / "found.parquet")
    write_rows(uri, Lead, [lead(number, source=source, source_scope=scope) for number in found])
    assert unfound(*files, uri, source, scope) == missing
