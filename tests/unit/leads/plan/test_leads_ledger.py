"""The memory of refused rows: tried again, held back, never forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from leads_rows import lead

from airflow_providers_leads.leads.files.staging import StagingError, write_rows
from airflow_providers_leads.leads.model.identity import person_hash
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.ledger import Ledger, Rejection, row_hash

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
ANN = "ann@example.org"


def row(key: str = ANN, action: Any = "create", **values: str) -> PlanRow:
    return PlanRow(email_key=key, action=action, values=values or {"first_name": "Ann"})


def refused(key: str = ANN, reason: str = "INVALID_EMAIL") -> WriteResult:
    return WriteResult(email_key=key, outcome="failed", reason=reason, refused=True)


def after(tries: int, **settings: Any) -> Ledger:
    """Return a ledger, a day later, in which Ann was refused this often, once a day."""
    ledger = Ledger("unused", now=START, **settings)
    for day in range(tries):
        ledger.now = START + day * DAY
        ledger.record(row(), refused())
    ledger.now = START + tries * DAY
    return ledger


@pytest.mark.parametrize(("tries", "held"), [(0, False), (1, False), (2, False), (3, True), (5, True)])
def test_a_refused_row_is_sent_each_run_until_the_third_refusal(tries: int, held: bool) -> None:
    verdict = after(tries).verdict(row())
    assert (verdict is not None) == held
    if verdict:
        assert verdict.startswith(f"quarantined after {tries} tries: INVALID_EMAIL.")
        assert "@" not in verdict


@pytest.mark.parametrize(
    "changed",
    [row(first_name="Anne"), row(first_name="Ann", phone="1"), row(action="update"), row("bob@example.org")],
    ids=["value", "field", "action", "person"],
)
def test_a_changed_row_is_sent_and_begins_anew(changed: PlanRow) -> None:
    ledger = after(3)
    assert ledger.verdict(changed) is None
    ledger.record(changed, refused(changed.email_key))
    found = {r.person: r for r in ledger}[person_hash(changed.email_key)]
    assert (found.tries, found.status, found.first_failed_at) == (1, "retrying", ledger.now)


def test_the_order_of_values_is_no_change() -> None:
    assert row_hash(row(a="1", b="2")) == row_hash(row(b="2", a="1")) != row_hash(row(a="2", b="1"))


def test_after_a_week_a_quarantined_row_is_sent_once_more() -> None:
    ledger = after(3)
    (known,) = ledger
    ledger.now = known.last_failed_at + 7 * DAY - timedelta(seconds=1)
    assert ledger.verdict(row())
    ledger.now += timedelta(seconds=1)
    assert ledger.verdict(row()) is None
    ledger.record(row(), refused(reason="still"))
    (known,) = ledger
    assert (known.tries, known.reason, known.first_failed_at) == (4, "still", START)
    ledger.now += DAY
    assert "quarantined after 4 tries: still" in (ledger.verdict(row()) or "")


@pytest.mark.parametrize("action", ["unchanged", "suppress"])
def test_what_is_not_sent_is_not_held_back(action: str) -> None:
    assert after(3).verdict(row(action=action)) is None


@pytest.mark.parametrize("outcome", ["created", "updated", "unchanged"])
def test_success_forgets(outcome: Any) -> None:
    ledger = after(2)
    ledger.record(row(), WriteResult(email_key=ANN, outcome=outcome))
    assert len(ledger) == 0


@pytest.mark.parametrize(
    "result",
    [
        WriteResult(email_key=ANN, outcome="failed", reason="LeadsAuthError"),
        WriteResult(email_key=ANN, outcome="ambiguous", reason="cut"),
        WriteResult(email_key=ANN, outcome="ambiguous", reason="cut", refused=True),
        WriteResult(email_key=ANN, outcome="suppressed", reason="opted_out"),
    ],
    ids=["connection", "ambiguous", "ambiguous refusal", "suppressed"],
)
def test_what_says_nothing_about_the_record_changes_nothing(result: WriteResult) -> None:
    for tries in (0, 2):
        ledger = after(tries)
        before = list(ledger)
        ledger.record(row(), result)
        assert list(ledger) == before


def test_one_run_counts_once_however_often_it_is_recorded() -> None:
    ledger = Ledger("unused", now=START)
    ledger.record(row(), refused())
    ledger.record(row(), refused())
    assert [r.tries for r in ledger] == [1]


def test_a_ledger_is_the_same_after_the_file(tmp_path: Path) -> None:
    uri = str(tmp_path / "deep" / "ledger.parquet")
    ledger = Ledger.load(uri, now=START)
    assert len(ledger) == 0
    ledger.record(row(), refused())
    ledger.record(row("bob@example.org"), refused())
    ledger.save()
    again = Ledger.load(uri, now=START + DAY)
    assert sorted(again, key=lambda r: r.person) == sorted(ledger, key=lambda r: r.person)
    assert again.counts == {"retrying": 2, "quarantined": 0}
    again.record(row(), WriteResult(email_key=ANN, outcome="created"))
    again.save()
    assert [r.person for r in Ledger.load(uri)] == [person_hash("bob@example.org")]
    text = str(pq.read_table(uri).to_pylist())
    assert "@" not in text
    assert "bob" not in text.lower()
    assert "Ann" not in text


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _hole(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4:1500] = bytes(1496)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no parquet"),
        _half,
        _hole,
        lambda path: write_rows(str(path), Lead, [lead()]),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["empty", "text", "half", "hole", "leads", "folder"],
)
def test_a_damaged_ledger_is_never_an_empty_one(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "ledger.parquet"
    ledger = Ledger.load(str(path), now=START)
    for number in range(200):
        ledger.record(row(f"p{number}@example.org"), refused(reason=f"reason {number}"))
    ledger.save()
    damage(path)
    with pytest.raises(StagingError, match=r"ledger\.parquet can't be read as a ledger"):
        Ledger.load(str(path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_tries": 0}, "max_tries"),
        ({"retry_after": timedelta(0)}, "retry_after"),
        ({"now": datetime(2026, 1, 1)}, "no time zone"),
    ],
)
def test_bad_settings(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Ledger("unused", **arguments)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    uri = str(tmp_path / "ledger.parquet")
    ledger = Ledger.load(uri, now=START)
    ledger.record(row(), refused())
    ledger.save()
    broken = Ledger.load(uri, now=START)
    broken._rows["x"] = Rejection(
        person="x", row_hash="x", reason="x", tries="many",  # type: ignore[arg-type]
        first_failed_at=START, last_failed_at=START, status="retrying",
    )  # fmt: skip
    with pytest.raises(Exception, match=r"tries|many"):
        broken.save()
    assert list(Ledger.load(uri)) == list(ledger)


class Runs(RuleBasedStateMachine):
    """Runs of one destination against the plainest model: a list of refusals per person since the last change."""

    people = ("a@x.de", "b@x.de")
    max_tries = 3

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[Rejection] = []
        self.now = START
        self.content = dict.fromkeys(self.people, "0")
        self.model: dict[str, list[datetime]] = {}
        self.sent: dict[str, str] = {}

    @rule(hours=st.integers(1, 24 * 9))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(key=st.sampled_from(people), content=st.sampled_from("01"))
    def the_person_changes(self, key: str, content: str) -> None:
        self.content[key] = content

    @rule(answers=st.dictionaries(st.sampled_from(people), st.sampled_from(["refused", "good", "cut", "auth"])))
    def run(self, answers: dict[str, str]) -> None:
        self.now += timedelta(minutes=1)
        ledger = Ledger("unused", self.stored, max_tries=self.max_tries, now=self.now)
        for key, answer in answers.items():
            plan = row(key, name=self.content[key])
            refusals = self.model.get(key, []) if self.sent.get(key) == self.content[key] else []
            held = len(refusals) >= self.max_tries and self.now - refusals[-1] < timedelta(days=7)
            assert (ledger.verdict(plan) is not None) == held
            if held:
                continue
            outcome = {"good": "created", "cut": "ambiguous"}.get(answer, "failed")
            result = WriteResult(email_key=key, outcome=outcome, reason="r", refused=answer == "refused")  # type: ignore[arg-type]
            ledger.record(plan, result)
            if answer == "refused":
                self.model[key], self.sent[key] = [*refusals, self.now], self.content[key]
            elif answer == "good":
                self.model.pop(key, None)
                self.sent.pop(key, None)
        self.stored = list(ledger)

    @invariant()
    def whoever_is_refused_stands_in_it_with_the_right_count(self) -> None:
        held = {r.person: (r.tries, r.first_failed_at, r.last_failed_at, r.status) for r in self.stored}
        assert held == {
            person_hash(key): (
                len(times), times[0], times[-1], "quarantined" if len(times) >= self.max_tries else "retrying"
            )
            for key, times in self.model.items()
        }  # fmt: skip


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_row_34_what_another_account_refused_says_nothing_about_this_one(tmp_path: Path) -> None:
    uri, row = tmp_path / "crm.refused.parquet", PlanRow(email_key="a@x.example", action="create")
    refused = WriteResult(email_key="a@x.example", outcome="failed", reason="INVALID", refused=True)
    ours = Ledger.load(uri, account="ours", is_account="ours".__eq__)
    ours.record(row, refused)
    ours.save()
    assert len(Ledger.load(uri, account="ours", is_account="ours".__eq__)) == 1
    theirs = Ledger.load(uri, account="theirs", is_account="theirs".__eq__)
    assert (len(theirs), theirs.verdict(row)) == (0, None)
    # One that nobody has marked is taken for the destination's.
    ours.account = None
    ours.save()
    assert len(Ledger.load(uri, account="theirs", is_account="theirs".__eq__)) == 1
