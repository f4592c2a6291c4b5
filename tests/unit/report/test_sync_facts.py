from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from report_files import LEADS, files_of, write_merge, write_plan, write_run

from airflow_providers_leads.leads.files.staging import StagingError, write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.operators.enrol import Enrolment
from airflow_providers_leads.report.files import RunFiles, metric_uris
from airflow_providers_leads.report.sync_facts import PENDING, FieldWrites, read_sync


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path)
    return tmp_path


def test_every_lead_is_counted_once_as_person_merged_or_rejected(run: Path) -> None:
    facts = read_sync(files_of(run))
    assert facts.leads == len(LEADS)
    assert (facts.people, facts.rejects) == (3, 1)
    assert {s.name: s.leads for s in facts.sources} == {"HubSpot": 3, "PersistIQ": 1, "Perspective": 3}
    assert dict(facts.overlap) == {
        ("HubSpot", "PersistIQ", "Perspective"): 1,
        ("HubSpot", "Perspective"): 1,
        ("HubSpot",): 1,
    }
    assert sum(people for _, people in facts.overlap) == facts.people


def test_spelling_is_told_from_disagreement_and_whose_value_was_kept(run: Path) -> None:
    facts = read_sync(files_of(run))
    # Köln and KÖLN are one spelling apart from each other, Koeln is another word.
    assert facts.conflicts == {"first_name": (0, 1), "city": (0, 1), "phone": (0, 1)}
    assert facts.over == {
        ("PersistIQ", "HubSpot"): 2,
        ("PersistIQ", "Perspective"): 2,
        ("HubSpot", "Perspective"): 1,
    }
    assert {c.field: c.candidates[0][0] for c in facts.disagreements} == {
        "first_name": "PersistIQ", "city": "PersistIQ", "phone": "HubSpot",
    }  # fmt: skip


def test_outcomes_are_those_of_the_results_and_what_has_none_was_not_reached(run: Path) -> None:
    hubspot, persistiq = read_sync(files_of(run)).destinations
    assert hubspot.outcomes == Counter(created=1, updated=1, suppressed=1, failed=1, **{PENDING: 1})
    assert hubspot.failed == 2
    assert hubspot.reasons["suppressed", "opted_out"] == 1
    assert [failure.email_key for failure in hubspot.failures] == ["dan@example.org"]
    # Written is what the result says, not what was planned: the phone number of the first was left out.
    assert hubspot.fields == {
        "city": FieldWrites("city", new=1, filled=1), "phone": FieldWrites("phone", replaced=1),
    }  # fmt: skip
    assert (hubspot.requests, hubspot.duplicates) == (3, 1)
    assert hubspot.seconds == 0
    assert (persistiq.applied, persistiq.outcomes) == (False, Counter(unchanged=1))


def test_a_plan_without_results_counts_what_it_would_write(tmp_path: Path) -> None:
    write_plan(tmp_path, "h", [PlanRow(email_key="a@b.example", action="create", properties={"utm": "x"})])
    (destination,) = read_sync(files_of(tmp_path)).destinations
    assert destination.outcomes == Counter(created=1)
    assert destination.fields == {"properties.utm": FieldWrites("properties.utm", new=1)}


def test_files_of_one_destination_are_counted_together_and_the_checked_plan_stands_for_the_plan(tmp_path: Path) -> None:
    for part in range(3):
        rows = [PlanRow(email_key=f"{part}@b.example", action="create")]
        write_plan(tmp_path / str(part), "h", rows, [WriteResult(email_key=f"{part}@b.example", outcome="created")])
        # Each part of the people is planned and written by a task of its own.
        for kind in ("plan", "results"):
            file = tmp_path / str(part) / "upsert" / f"h.{kind}.parquet"
            file.rename(file.with_name(f"h.{part}.{kind}.parquet"))
    plan = tmp_path / "0" / "upsert" / "h.0.plan.parquet"
    plan.with_name("h.0.checked.parquet").write_bytes(plan.read_bytes())
    (destination,) = read_sync(files_of(tmp_path)).destinations
    assert destination.outcomes == Counter(created=3)


def test_what_an_enrolment_leaves_is_passed_over(run: Path) -> None:
    row = Enrolment(email_key="ann@example.org", outcome="enrolled", target_id="1")
    write_rows(str(run / "enrol" / "hubspot_default.results.parquet"), Enrolment, [row])
    assert read_sync(files_of(run)).destinations[0].outcomes.total() == 5


@pytest.mark.parametrize("left", ["nothing", "extract", "merge"])
def test_a_run_that_failed_is_told_as_far_as_it_came(left: str, tmp_path: Path) -> None:
    if left != "nothing":
        write_merge(tmp_path)
    if left == "extract":
        for file in (tmp_path / "golden").iterdir():
            file.unlink()
    facts = read_sync(files_of(tmp_path))
    assert facts.leads == (0 if left == "nothing" else len(LEADS))
    assert facts.people == (3 if left == "merge" else 0)
    assert len(facts.missing) == (1 if left == "merge" else 2)


def test_a_damaged_file_is_named(run: Path) -> None:
    file = run / "golden" / "members.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(StagingError, match=r"members\.parquet"):
        read_sync(files_of(run))


def test_several_accounts_of_a_crm_are_named_apart_and_many_scopes_do_not_flood(tmp_path: Path) -> None:
    leads = [msgspec.structs.replace(LEADS[5], source_scope=f"acc'{n}", source_id=str(n)) for n in range(20)]
    write_merge(tmp_path, [*leads, LEADS[0]])
    names = [source.name for source in read_sync(files_of(tmp_path)).sources]
    assert len(names) == 9
    assert names[-1] == "others"
    assert all(name.startswith("HubSpot · acc'") for name in names[:-1] if name != "Perspective")


def test_a_column_of_large_files_stays_aggregated(tmp_path: Path) -> None:
    people = [f"p{n}@big.example" for n in range(20_000)]
    results = [
        WriteResult(email_key=p, outcome="failed", reason=f"no {n % 500}", refused=True) for n, p in enumerate(people)
    ]
    write_plan(tmp_path, "h", [PlanRow(email_key=p, action="create", values={"city": "x"}) for p in people], results)
    (destination,) = read_sync(files_of(tmp_path)).destinations
    assert destination.outcomes == Counter(failed=20_000)
    assert sum(destination.reasons.values()) == 20_000
    assert len(destination.reasons) <= 13
    assert len(destination.failures) <= 6


def test_files_are_known_by_the_results_of_tasks_too() -> None:
    files = RunFiles()
    files.add_results(
        [
            [{"uri": "s3://b/x/mine.parquet", "rows": 3}, None, {"uri": "s3://b/x/other.1.leads.parquet"}],
            {"golden": ["s3://b/g.0000.parquet"], "members": "s3://b/members.parquet", "rows": {}},
            {"plan": "s3://b/h.0.plan.parquet", "results": None},
            {"plan": "s3://b/p.1.plan.parquet", "results": "s3://b/p.1.results.parquet"},
            "s3://b/ignored.parquet",
        ]
    )
    assert files.extracts == {"mine": "s3://b/x/mine.parquet", "other.1": "s3://b/x/other.1.leads.parquet"}
    assert files.members == {"members": "s3://b/members.parquet"}
    assert files.writes == [
        ("h.0", "s3://b/h.0.plan.parquet", None),
        ("p.1", "s3://b/p.1.plan.parquet", "s3://b/p.1.results.parquet"),
    ]
    assert metric_uris([[{"uri": "a"}, {"table": "t"}], "b", None]) == ["a", "b"]


def test_what_is_still_being_written_is_passed_over(tmp_path: Path) -> None:
    files = RunFiles()
    files.add_names([".h.plan.parquet.part", ".x.leads.parquet", "h.results.parquet.abc.00001.part", "a/b.txt"])
    assert files.all == []
