from __future__ import annotations

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from report_files import ATTACK, NOW, files_of, lead, run_of, write_merge, write_numbers, write_plan, write_run

from airflow_providers_leads.leads.files.plan_facts import PlanFacts, least_seconds
from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import policy_from
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.report import charts
from airflow_providers_leads.report.files import metric_tables
from airflow_providers_leads.report.history import Entry
from airflow_providers_leads.report.masking import mask_address, mask_addresses, mask_value
from airflow_providers_leads.report.merge_facts import Conflict, MemoryFacts
from airflow_providers_leads.report.metrics import entry as metrics_entry
from airflow_providers_leads.report.metrics import metrics_page
from airflow_providers_leads.report.metrics_facts import read_metrics
from airflow_providers_leads.report.page import duration, is_page, number, percent
from airflow_providers_leads.report.run import FailedTask, Run
from airflow_providers_leads.report.sync import entry, status, sync_page
from airflow_providers_leads.report.sync_facts import read_sync
from airflow_providers_leads.report.unlike import Limits

HISTORY = [
    Entry(kind="sync", dag_id="d", run_id=str(n), at=NOW - timedelta(days=9 - n), status="ok", summary="", people=n)
    for n in range(5)
]
PEOPLE = ("ann", "ben", "cem", "dan", "eve")


class Tags(HTMLParser):
    """What a browser would see: the tags, and every attribute that could fetch or run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.active: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            local = (value or "").startswith(("data:,", "#"))
            if name.startswith("on") or (name in ("src", "href", "xlink:href", "action", "srcset") and not local):
                self.active.append((tag, name))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    return folder


def page(folder: Path, run: Run | None = None, *, shown: bool = False) -> str:
    return sync_page(read_sync(files_of(folder)), run or run_of(), HISTORY, show_addresses=shown)


def check_harmless(html: str) -> None:
    tags = Tags(html)
    assert not {"script", "img", "iframe", "object", "embed", "form", "base", "foreignobject"} & set(tags.tags)
    assert tags.active == []
    assert "@import" not in html
    assert not re.search(r"url\((?!['\"]?#)", html)
    assert "default-src 'none'" in html
    assert is_page(html)


@pytest.mark.parametrize("shown", [False, True])
def test_nothing_that_a_lead_or_a_vendor_says_runs_or_fetches(run: Path, shown: bool) -> None:
    told = run_of(
        dag_id=ATTACK,
        run_id=ATTACK,
        failed=[FailedTask(task_id=ATTACK, conn_id=ATTACK, reason=ATTACK)],
        files=[(ATTACK, ATTACK)],
    )
    html = page(run, told, shown=shown)
    check_harmless(html)
    # It is there, as text.
    assert "&lt;script&gt;alert(1)" in html


def test_people_and_values_are_masked_unless_asked_for(run: Path) -> None:
    masked, shown = page(run), page(run, shown=True)
    for name in PEOPLE[:2]:
        assert f"{name}@example.org" not in masked
    assert "@example.org" not in masked
    for value in ("0228 99999", "0221 12345", "Koeln", "KÖLN"):
        assert value not in masked
    assert "ann@example.org" in shown
    assert "0228 99999" in shown
    assert "dan@example.org is taken" in shown


def test_the_page_tells_the_run(run: Path) -> None:
    told = run_of(failed=[FailedTask(task_id="upsert", map_index=1)])
    html = page(run, told)
    for said in (
        "7 leads from 3 sources are 3 people",
        "needs a look",
        "task upsert [1]: it was ended before it could say why",
        "The picture is incomplete",
        "persistiq_default (planned)",
        "not reached",
    ):
        assert said in html
    # The flow in three widths, two charts in two, and four of the runs before.
    assert html.count("<svg") == 3 + 2 * 2 + 4


def test_without_the_library_for_charts_numbers_stand_in_tables(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "available", lambda: False)
    html = page(run)
    assert "airflow-providers-leads[report]" in html
    assert re.search(r"<details open><summary>The numbers", html)
    # The flow chart is our own.
    assert html.count("<svg") == 3


def test_what_is_unlike_the_last_runs_stands_on_top(run: Path) -> None:
    facts = read_sync(files_of(run))
    before = [
        Entry(
            kind="sync", dag_id="d", run_id=str(n), at=NOW, status="ok", summary="", leads=1_000,
            outcomes={"created": 1, "updated": 1, "suppressed": 1}, reasons={"bounced": 1},
        )
        for n in range(3)
    ]  # fmt: skip
    page = sync_page(facts, run_of(), before)
    top = page[: page.index('class="tiles"')]
    assert "7 leads were read, 99 % fewer than in the 3 runs before (1,000)." in top
    # One failed and one was not reached; nobody was left unwritten before.
    assert "2 people were not written, nobody in the 3 runs before." in top
    assert "A reason that the 3 runs before did not have: opted out (1 person)." in top
    assert "dan@example.org" not in top
    assert "leads were read" not in sync_page(facts, run_of(), before, limits=Limits(read=0)).split('class="tiles"')[0]
    assert "Unlike the last runs" not in sync_page(facts, run_of(), [])
    # Entries of an older version say nothing of reasons.
    older = [Entry(kind="sync", dag_id="d", run_id="0", at=NOW, status="ok", summary="", leads=7)]
    assert "did not have" not in sync_page(facts, run_of(), older)


def test_what_is_kept_of_a_run_is_counts_and_no_person(run: Path) -> None:
    kept = entry(read_sync(files_of(run)), run_of())
    assert (kept.status, kept.people, kept.outcomes["failed"]) == ("problem", 3, 1)
    assert "@" not in repr(kept)


def test_a_run_without_any_file_is_a_problem_and_has_a_page() -> None:
    from airflow_providers_leads.report.files import RunFiles

    facts = read_sync(RunFiles())
    assert status(facts, run_of()) == "problem"
    check_harmless(sync_page(facts, run_of(started=None)))


def test_status_is_a_problem_also_where_only_a_task_failed(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "upsert" / "hubspot_default.results.parquet").unlink()
    facts = read_sync(files_of(tmp_path))
    assert status(facts, run_of()) == "planned"
    assert "would be created" in entry(facts, run_of()).summary
    assert status(facts, run_of(failed=[FailedTask(task_id="extract")])) == "problem"


def test_metrics_are_shown_by_page_day_device_source_and_variant(tmp_path: Path) -> None:
    pages = {"start": 90, "start.step": 0, "form": 30, "form.step": 2, ATTACK: 60, f"{ATTACK}.step": 1}
    numbers = {
        "kpi_total_sessions": {"": 90},
        "kpi_conversion_rate": {"": 12.5},
        "chart_page_to_page_conversion_rate": pages,
        "chart_page_to_page_conversion_rate.original": {"start": 50, "form": 10},
        "chart_page_to_page_conversion_rate.variant": {"start": 40, "form": 20},
        "chart_contacts_over_time": {f"2026-04-{day:02}": day % 3 for day in range(1, 31)},
        "chart_visitor_devices": {"mobile": 60, "desktop": 30},
        "chart_top_utm_sources": {f"{ATTACK}{n}": n for n in range(20)},
        "chart_activity_by_daytime": {"day=0; hour=7": 3, "day=1; hour=23": 1},
        "insight.q1.answers": {"yes": 3, ATTACK: 4},
    }
    write_numbers(str(tmp_path / "f.parquet"), ATTACK, numbers)
    write_numbers(str(tmp_path / "g.parquet"), ATTACK, {"kpi_total_sessions": {"": 70}}, end=NOW - timedelta(days=1))
    counters = {"total_prospects": 20, "prospects_contacted": 10, "prospects_replied": 3}
    write_numbers(str(tmp_path / "c.parquet"), "c_1", {k: {"": v} for k, v in counters.items()}, campaign=True)
    uris = [str(path) for path in tmp_path.glob("*.parquet")]
    facts = read_metrics(uris)
    html = metrics_page(facts, run_of(files=[("metrics", uri) for uri in uris]))
    check_harmless(html)
    for said in (
        "90 · 100 %",
        "60 · 67 %",
        "30 · 33 %",
        "12.5 %",
        "Contacts by day",
        "others",
        "3 · 30 %",
        "sessions by window",
    ):
        assert said in html, said
    # In the order of their steps, whatever the order in the file.
    assert html.index("90 · 100 %") < html.index("60 · 67 %") < html.index("30 · 33 %")
    assert metrics_entry(facts, run_of()).summary == (
        "1 funnel had 90 sessions and 0 new contacts; 1 campaign contacted 10 people, of whom 3 replied."
    )


def test_a_failed_source_is_named_with_its_reason_and_nothing_says_that_all_is_well(tmp_path: Path) -> None:
    """Row 46."""
    write_merge(tmp_path, [lead("hubspot", 6, "cem@example.org")])
    write_plan(
        tmp_path, "hubspot_default", [PlanRow(email_key="cem@example.org", action="unchanged")],
        [WriteResult(email_key="cem@example.org", outcome="unchanged")],
    )  # fmt: skip
    failed = FailedTask(
        task_id="extract", map_index=0, conn_id="persistiq_default", reason="the host is unreachable", reads=True
    )
    after = FailedTask(task_id="upsert", state="upstream_failed")
    html = page(tmp_path, run_of(failed=[failed, after]))
    assert "<b>persistiq_default</b> was not read (task extract [0]): the host is unreachable" in html
    assert "task upsert: did not run, because one before it failed" in html
    assert "persistiq_default could not be read: the picture is incomplete." in html
    assert "every person was taken" not in html
    assert "nothing failed" not in html
    whole = page(tmp_path, run_of())
    assert "every person was taken" in whole
    assert "nothing failed" in whole


@pytest.mark.parametrize(
    ("requests", "quota", "per_second", "seconds"),
    [
        (78, 100, 100 / 60, 0),
        (100, 100, 100 / 60, 0),
        (101, 100, 100 / 60, 60),
        (301, 100, 10.0, 30),
        (5, None, 1.0, 0),
    ],
)
def test_a_quota_slows_only_what_it_has_no_room_for(
    requests: int, quota: int | None, per_second: float, seconds: float
) -> None:
    """Row 47: 78 requests to an account that takes 100 in a minute go at once."""
    facts = PlanFacts(
        conn_id="c", conn_type="t", mode="update", planned_at=NOW, requests_per_second=per_second, quota=quota
    )
    assert least_seconds(requests, facts) == pytest.approx(seconds)


def test_a_dry_run_creates_nobody_in_the_trend(tmp_path: Path) -> None:
    """Row 48."""
    write_merge(tmp_path)
    write_plan(tmp_path, "hubspot_default", [PlanRow(email_key="ann@example.org", action="create", requests=1)])
    facts = read_sync(files_of(tmp_path))
    kept = entry(facts, run_of())
    assert (kept.outcomes, kept.planned, kept.status) == ({}, {"created": 1}, "planned")
    assert kept.counts["created"] == 0
    # As an earlier version has kept it.
    older = Entry(kind="sync", dag_id="d", run_id="r", at=NOW, status="planned", summary="", outcomes={"created": 1})
    assert older.counts["created"] == 0
    assert "1 would be created" in kept.summary


def test_a_plan_that_was_not_approved_says_so(tmp_path: Path) -> None:
    """Row 48."""
    write_merge(tmp_path)
    write_plan(tmp_path, "hubspot_default", [PlanRow(email_key="ann@example.org", action="create", requests=1)])
    facts = read_sync(files_of(tmp_path))
    told = run_of(rejected=True)
    assert entry(facts, told).status == "rejected"
    assert "1 were to be created and 0 were to be updated, and the plan was not approved." in entry(facts, told).summary
    html = page(tmp_path, told)
    assert "not approved: nothing was written" in html
    assert "planned only" not in html


def test_fields_that_no_destination_takes_do_not_lead_the_examples(tmp_path: Path) -> None:
    """Row 48: the rule is the one that decided, and a status is never written."""
    leads = [
        lead("hubspot", 1, "ann@example.org", status="new", city="Ulm"),
        lead("perspective", 2, "ann@example.org", status="old", city="Bonn"),
        lead("persistiq", 3, "ann@example.org", status="other"),
    ]
    write_merge(tmp_path, leads)
    write_plan(tmp_path, "hubspot_default", [PlanRow(email_key="ann@example.org", action="unchanged")], fields=["city"])
    facts = read_sync(files_of(tmp_path))
    assert [conflict.field for conflict in facts.disagreements] == ["city", "status"]
    assert {conflict.rule for conflict in facts.disagreements} == {"newest"}
    assert "priority" not in page(tmp_path)


@pytest.mark.parametrize(
    ("policy", "days", "rule"),
    [
        (None, (2, 1), "newest"),
        (None, (1, 1), "source"),
        (None, (None, None), "source"),
        (None, (1, None), "newest"),
        ({"priority": ["perspective", "hubspot"]}, (2, 1), "priority"),
        ({"priority": ["persistiq"]}, (2, 1), "newest"),
        ({"fields": {"city": "longest"}}, (2, 1), "longest"),
    ],
)
def test_the_rule_of_a_conflict_is_the_one_that_applied(
    policy: Any, days: tuple[int | None, int | None], rule: str, tmp_path: Path
) -> None:
    """Row 48."""
    leads = []
    for source, city, day in (("hubspot", "Ulm", days[0]), ("perspective", "Bonn", days[1])):
        made = lead(source, 1, "ann@example.org", city=city)
        made.updated_at = None if day is None else NOW.replace(day=day)
        leads.append(made)
    write_rows(str(tmp_path / "x.parquet"), Lead, leads)
    outputs = {name: str(tmp_path / f"{name}.parquet") for name in OUTPUTS}
    merge_files([str(tmp_path / "x.parquet")], outputs, policy=policy_from(policy))
    (conflict,) = pq.read_table(outputs["conflicts"]).to_pylist()
    assert (conflict["field"], conflict["rule"]) == ("city", rule)


def test_metrics_that_went_to_a_database_only_are_told_of(tmp_path: Path) -> None:
    """Row 49."""
    results = [
        {"rows": 200, "table": "kpis", "sql_conn_id": "warehouse"},
        [{"rows": 37, "table": "kpis", "sql_conn_id": "warehouse"}],
        {"rows": 3, "table": "x", "uri": "s3://b/x.parquet"},
    ]
    facts = read_metrics([])
    facts.tables = metric_tables(results)
    html = metrics_page(facts, run_of())
    assert "237 rows are in table kpis of connection warehouse" in html
    assert "no metrics" not in html.lower()
    assert metrics_entry(facts, run_of()).status == "ok"
    broken = run_of(failed=[FailedTask(task_id="export", conn_id="perspective_default", reason="no rights")])
    assert metrics_entry(facts, broken).status == "problem"
    assert "perspective_default could not be read: the picture is incomplete." in metrics_page(facts, broken)


def test_what_a_memory_saw_is_told(tmp_path: Path) -> None:
    """Edits by CRM and direction, conflicts with both sides' times, deletions, cleared fields."""
    write_merge(tmp_path)
    people = pa.table(
        {
            "email_key": ["ben@example.org", "ben@example.org"], "kind": ["edit", "edit"],
            "source": ["persistiq", "persistiq"], "field": ["phone", "title"], "fresh": [True, True],
        }
    )  # fmt: skip
    pq.write_table(people, tmp_path / "people.parquet")
    saw = {
        "generation": 3, "first": None, "counts": {"edits": 2, "cleared": 1, "gone": 4, "moved": 0, "new": 5},
        "edits": {"persistiq": {"phone": 1, "title": 1}, "hubspot": {"city": 1}}, "shrunken": ["hubspot_default"],
        "people": str(tmp_path / "people.parquet"),
    }  # fmt: skip
    (tmp_path / "golden" / "memory.json").write_text(json.dumps(saw))
    rows = [
        PlanRow(email_key="ben@example.org", action="update", values={"phone": "1"}, before={"phone": "2"}),
        PlanRow(email_key="cem@example.org", action="unchanged", reason="cleared_here: phone, city; address_changed"),
        PlanRow(email_key="dan@example.org", action="suppress", reason="deleted_here"),
    ]
    write_plan(tmp_path, "hubspot_default", rows, [
        WriteResult(email_key="ben@example.org", outcome="updated", fields=["phone"]),
        WriteResult(email_key="cem@example.org", outcome="unchanged", reason=rows[1].reason),
        WriteResult(email_key="dan@example.org", outcome="suppressed", reason="deleted_here"),
    ])  # fmt: skip
    files = files_of(tmp_path)
    files.add_names([str(tmp_path / "golden" / "memory.json")])
    facts = read_sync(files)
    assert facts.memory is not None
    assert dict(facts.memory.directions) == {("PersistIQ", "hubspot_default", "phone"): 1}
    html = sync_page(facts, run_of())
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    for said in (
        "fields changed 2", "fields emptied 1", "records deleted 4", "new records 5",
        "PersistIQ phone 1", "HubSpot city 1", "PersistIQ hubspot_default phone 1",
        "hubspot_default gave far fewer records than the last time",
        "phone, city: left empty, because somebody emptied it here; the person has another address elsewhere",
        "somebody deleted the record here",
    ):  # fmt: skip
        assert said in text, said
    assert "records with another address" not in text
    first = read_sync(files)
    first.memory = MemoryFacts(first="there is none yet")
    assert "There is no past to compare with: there is none yet" in sync_page(first, run_of())
    first.memory = MemoryFacts(generation=1, counts={"edits": 0})
    assert "every record is as the last run has seen or left it" in sync_page(first, run_of())


def test_what_was_changed_on_both_sides_has_both_times(run: Path) -> None:
    facts = read_sync(files_of(run))
    facts.disagreements = [
        Conflict(
            "ann@example.org",
            "city",
            "both_changed",
            [("HubSpot", "Ulm"), ("PersistIQ", "Bonn")],
            [NOW, NOW.replace(day=2)],
        )
    ]
    html = sync_page(facts, run_of())
    assert "HubSpot, 1 May 2026, 12:00 UTC" in html
    assert "PersistIQ, 2 May 2026, 12:00 UTC" in html
    assert "changed in both since the last run" in html


def test_no_metrics_are_told(tmp_path: Path) -> None:
    write_run(tmp_path)
    facts = read_metrics([str(path) for path in tmp_path.rglob("*.parquet")])
    assert (facts.funnels, facts.campaigns) == ({}, {})
    assert "nothing found" in metrics_page(facts, run_of())
    assert metrics_entry(facts, run_of()).status == "problem"


@given(st.emails())
@example("'@a.example")
@example('"quoted"@a.example')
def test_a_masked_address_does_not_tell_who(address: str) -> None:
    masked = mask_address(address)
    local, domain = address.rsplit("@", 1)
    assert masked == f"{local[:1]}…@….{domain.rsplit('.', 1)[1]}"
    assert mask_addresses(f"no: {address}, sorry") != f"no: {address}, sorry"
    assert f"@{domain}" not in mask_addresses(f"<{address}>")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (mask_value("Müller"), "M… (6)"),
        (mask_value(""), ""),
        (duration(0), "0 s"),
        (duration(0.004), "< 0.1 s"),
        (duration(2.04), "2.0 s"),
        (duration(61), "1 min 1 s"),
        (duration(3600), "1 h"),
        (duration(90_061), "25 h 1 min"),
        (number(1234567), "1,234,567"),
        (number(2.5), "2.5"),
        (percent(0, 0), "0 %"),
        (percent(1, 10_000), "< 0.1 %"),
        (percent(1, 30), "3.3 %"),
        (percent(1, 2), "50 %"),
    ],
)
def test_numbers_are_told_as_people_tell_them(made: str, said: str) -> None:
    assert made == said
