"""A plan into a CRM that fails where the test says, and the tries after that."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pendulum
import pytest

from airflow_providers_leads.hooks.base import LeadsHook
from airflow_providers_leads.hooks.writing import Batch, Settled
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsNetworkError,
    LeadsServerError,
    LeadsValidationError,
)
from airflow_providers_leads.leads.files.parts import Parts
from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.ledger import MAX_TRIES, Ledger
from airflow_providers_leads.operators import upsert
from airflow_providers_leads.tasks import apply as _apply
from airflow_providers_leads.tasks.apply import FOUND_AGAIN, apply_plan
from airflow_providers_leads.tasks.checkpoint import Checkpoint
from airflow_providers_leads.tasks.returns import LeadsWriteError

LOG = logging.getLogger(__name__)


class Killed(BaseException):
    """The worker is gone: nothing is tidied up, as far as a process can do that to itself."""


Fault = tuple[str, BaseException]


class Crm(LeadsHook):
    """A CRM that makes a second record of whoever is created twice, two rows to a request.

    :param faults: number of a request, from 0 → (``before`` or ``after`` the effect, what is raised)
    :param threads: requests side by side
    """

    conn_type = "hubspot"
    hook_name = "Scripted"
    host = "https://api.scripted.example"
    key_header = "x-key"
    quotas: ClassVar[Mapping[str, tuple[int, float]]] = {"default": (100, 10.0)}
    scope_keys = frozenset({"properties"})
    create_batch = update_batch = 2
    quiet = True
    write_threads = 1

    def __init__(self, faults: Mapping[int, Fault] | None = None, threads: int = 1) -> None:
        super().__init__("crm")
        self.faults = dict(faults or {})
        self.write_threads = threads  # type: ignore[misc]
        self.records: list[Lead] = []
        self.sent: list[tuple[str, list[str]]] = []
        self.written: list[dict[str, str]] = []
        self.asked: list[list[str]] = []
        self._lock = threading.Lock()

    def repeats_quietly(self, **options: Any) -> bool:
        return self.quiet

    def iter_leads(self, **scope: Any) -> Iterator[Lead]:
        self.asked.append(["everybody"])
        yield from self.records

    def find_leads(self, emails: Iterable[str], **scope: Any) -> Iterator[Lead]:
        self.asked.append(list(emails))
        yield from (lead for lead in self.records if lead.email_key in self.asked[-1])

    def hold(self, email: str, **values: Any) -> Lead:
        record = Lead(
            source="crm", source_scope="crm", source_id=str(len(self.records)), email=email, email_key=email, **values
        )
        self.records.append(record)
        return record

    def _request(self, action: str, rows: list[PlanRow], effect: Callable[[PlanRow], str]) -> list[WriteResult]:
        with self._lock:
            number = len(self.sent)
            self.sent.append((action, [row.email_key for row in rows]))
        when, error = self.faults.pop(number, ("", LeadsApiError("")))
        if when == "before":
            raise error
        ids = []
        for row in rows:
            with self._lock:
                ids.append(effect(row))
                self.written.append(row.values)
        if when == "after":
            raise error
        outcome: Any = {"create": "created", "update": "updated"}[action]
        return [
            WriteResult(email_key=row.email_key, outcome=outcome, target_id=id_)
            for row, id_ in zip(rows, ids, strict=True)
        ]

    def create_rows(self, rows: list[PlanRow], **options: Any) -> list[WriteResult]:
        return self._request("create", rows, lambda row: self.hold(row.email_key, **row.values).source_id)

    def update_rows(self, rows: list[PlanRow], **options: Any) -> list[WriteResult]:
        def update(row: PlanRow) -> str:
            record = next(lead for lead in self.records if lead.source_id == row.target_id)
            for name, value in row.values.items():
                setattr(record, name, value)
            return record.source_id

        return self._request("update", rows, update)

    def probe(self) -> tuple[bool, str]:
        return True, ""

    @property
    def state(self) -> list[tuple[str | None, str | None]]:
        return sorted((lead.email_key, lead.city) for lead in self.records)


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps({"conn_type": "hubspot", "password": "a key"}))


class Run:
    """A task whose tries share a folder and a checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = f"file://{folder}/crm.plan.parquet"
        self.results = f"file://{folder}/crm.results.parquet"

    def planned(self, rows: Iterable[PlanRow]) -> Run:
        write_rows(f"{self.folder}/crm.plan.parquet", PlanRow, rows)
        return self

    def checkpoint(self) -> Checkpoint:
        ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
        return Checkpoint({"ti": ti}, "apply", self.results)  # type: ignore[typeddict-item]

    def apply(self, crm: Crm, tolerated: float | None = 0.0, ledger: Ledger | None = None) -> dict[str, Any]:
        return apply_plan(
            crm, self.plan, self.results, {}, tolerated, checkpoint=self.checkpoint(), log=LOG, ledger=ledger
        )

    def settled(self) -> list[WriteResult]:
        return list(read_rows(f"{self.folder}/crm.results.parquet", WriteResult))

    def outcomes(self) -> dict[str, str]:
        rows = self.settled()
        assert set(Counter(row.email_key for row in rows).values()) <= {1}
        return {row.email_key: row.outcome for row in rows}

    def left(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"crm.plan.parquet", "crm.results.parquet"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def person(number: int) -> str:
    return f"p{number:02}@x.example"


def creates(numbers: Iterable[int], **values: str) -> list[PlanRow]:
    return [PlanRow(email_key=person(n), action="create", values={"city": "Köln", **values}) for n in numbers]


def updates(crm: Crm, numbers: Iterable[int], **values: str) -> list[PlanRow]:
    held = {lead.email_key: lead.source_id for lead in crm.records}
    written = values or {"city": "Köln"}
    return [PlanRow(email_key=person(n), action="update", target_id=held[person(n)], values=written) for n in numbers]


def a_crm(**arguments: Any) -> tuple[Crm, list[PlanRow]]:
    """Return a CRM that holds four people, and a plan for sixteen: seven requests."""
    crm = Crm(**arguments)
    for number in range(20, 24):
        crm.hold(person(number), city="Bonn")
    rows = [
        *creates(range(10)), *updates(crm, range(20, 24)),
        PlanRow(email_key=person(30), action="unchanged"), PlanRow(email_key=person(31), action="suppress"),
    ]  # fmt: skip
    return crm, sorted(rows, key=lambda row: row.email_key[2:])


UNDISTURBED = sorted([*((person(n), "Köln") for n in range(10)), *((person(n), "Köln") for n in range(20, 24))])
OUTCOMES = {
    **{person(n): "created" for n in range(10)},
    **{person(n): "updated" for n in range(20, 24)},
    person(30): "unchanged",
    person(31): "suppressed",
}
REQUESTS = 7


def test_counts_and_results_of_an_undisturbed_apply(run: Run) -> None:
    crm, rows = a_crm(threads=4)
    told = run.planned(rows).apply(crm)
    assert (crm.state, run.outcomes(), run.left()) == (UNDISTURBED, OUTCOMES, set())
    assert told == {
        "results": run.results, "conn_id": "crm", "created": 10, "updated": 4, "unchanged": 1, "suppressed": 1,
        "failed": 0, "ambiguous": 0, "quarantined": 0,
    }  # fmt: skip


ENDS = [LeadsNetworkError("cut", ambiguous=True), LeadsServerError("500", ambiguous=True), Killed()]


@pytest.mark.parametrize(("threads", "durable"), [(1, 0.0), (3, 1e9)], ids=["each batch durable", "none durable"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("number", range(REQUESTS))
def test_a_try_that_ends_anywhere_is_taken_up_by_the_next(
    run: Run,
    number: int,
    error: BaseException,
    when: str,
    threads: int,
    durable: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_apply, "_DURABLE_SECONDS", durable)
    crm, rows = a_crm(faults={number: (when, error)}, threads=threads)
    run.planned(rows)
    lone = isinstance(error, LeadsServerError)
    with pytest.raises(LeadsWriteError if lone else type(error)):
        run.apply(crm)
    if lone:
        # All went through but this one: written down, and the next try sends what is left.
        assert Counter(run.outcomes().values())["ambiguous"] == 2
    elif not isinstance(error, Killed):
        assert set(run.outcomes().items()) - set(OUTCOMES.items()) <= {
            (name, "ambiguous" if isinstance(error, LeadsNetworkError) else "failed") for name in OUTCOMES
        }
    run.apply(crm)
    assert crm.state == UNDISTURBED
    assert (run.outcomes(), run.left()) == (OUTCOMES, set())


def test_a_retry_sends_nothing_that_was_settled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    crm, rows = a_crm(faults={3: ("before", LeadsAuthError("key"))})
    with pytest.raises(LeadsAuthError):
        run.planned(rows).apply(crm)
    assert len(run.outcomes()) == 2 * 4
    before = crm.sent.copy()
    run.apply(crm)
    again = [name for _, names in crm.sent[len(before) :] for name in names]
    settled = [name for _, names in before[:3] for name in names]
    assert not set(again) & set(settled)
    assert run.outcomes() == OUTCOMES


def claimed(run: Run, batches: int, settled: int = 0) -> None:
    """Leave what a worker leaves that was killed when it had begun so many batches."""
    work = _apply._Work(Crm(), run.plan, run.results, run.checkpoint(), LOG)
    work.started, work.settled = batches, settled
    work._save()


def test_creates_in_doubt_are_looked_up(run: Run) -> None:
    crm = Crm()
    rows = [
        *creates([0, 1, 2, 3, 4, 5]),
        PlanRow(email_key=person(6), action="create", values={"city": "Köln"}, properties={"score": "7"}),
        PlanRow(email_key=person(7), action="create", values={"city": "Köln"}, properties={"score": "7"}),
    ]
    run.planned(rows)
    claimed(run, batches=4)
    crm.hold(person(0), city="Köln")
    crm.hold(person(2), city="Bonn")
    crm.hold(person(4), city=" Köln  ", phone="1")
    crm.hold(person(6), city="Köln", properties='{"score": "6"}')
    crm.hold(person(7), city="Köln", properties='{"score": 7}')
    run.apply(crm)
    # Whoever stands there in full was created; of the others the CRM says itself what it makes of a create.
    assert [name for _, names in crm.sent for name in names] == [person(n) for n in (1, 2, 3, 5, 6)]
    reasons = {row.email_key: (row.outcome, row.reason, row.target_id) for row in run.settled()}
    assert {name for name, told in reasons.items() if told[1] == FOUND_AGAIN} == {person(0), person(4), person(7)}
    assert reasons[person(0)] == ("created", FOUND_AGAIN, "0")
    assert {told[0] for told in reasons.values()} == {"created"}
    # Somebody else may have made these of the same values.
    assert {row.email_key for row in run.settled() if row.unsure} == {person(0), person(4), person(7)}


def test_a_batch_found_in_full_needs_no_request_and_what_comes_after_the_claim_is_not_looked_up(run: Run) -> None:
    crm = Crm()
    run.planned(creates(range(6)))
    claimed(run, batches=2)
    for number in (0, 1):
        crm.hold(person(number), city="Köln")
    run.apply(crm)
    assert [names for _, names in crm.sent] == [[person(2), person(3)], [person(4), person(5)]]
    assert crm.asked == [["everybody"]]


@pytest.mark.parametrize(("most", "asked"), [(100, [[person(n) for n in range(4)]]), (3, [["everybody"]])])
def test_few_are_asked_for_by_address_and_many_are_read(
    run: Run, most: int, asked: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Crm, "lookup_rows", most)
    crm = Crm()
    run.planned(creates(range(6)))
    claimed(run, batches=2)
    run.apply(crm)
    assert crm.asked == asked


def test_a_lookup_that_fails_ends_the_try_and_the_next_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    crm = Crm()
    run.planned(creates(range(6)))
    claimed(run, batches=2)
    crm.hold(person(0), city="Köln")
    with monkeypatch.context() as broken, pytest.raises(LeadsNetworkError):
        broken.setattr(crm, "iter_leads", lambda **_: iter([None, *crm.records]) if crm.asked else raise_())
        run.apply(crm)
    assert crm.sent == []
    run.apply(crm)
    assert crm.state == [(person(n), "Köln") for n in range(6)]


def raise_() -> Iterator[Lead]:
    raise LeadsNetworkError("cut")


def test_updates_in_doubt_are_written_again_where_that_does_nothing(run: Run) -> None:
    crm = Crm()
    crm.hold(person(0), city="Köln")
    run.planned(updates(crm, [0]))
    claimed(run, batches=1)
    run.apply(crm)
    assert (crm.sent, crm.asked) == ([("update", [person(0)])], [])


def test_updates_in_doubt_are_looked_up_where_writing_starts_something(run: Run) -> None:
    crm = Crm()
    crm.quiet = False
    crm.hold(person(0), city="Köln", phone="1")
    crm.hold(person(1), city="Köln", phone="0")
    crm.hold(person(2), city="Bonn", phone="0")
    crm.hold(person(3), city="Köln", phone="1")
    rows = updates(crm, [0, 1, 2, 3], city="Köln", phone="1")
    rows[3].target_id = "4"
    crm.hold(person(3), city="Bonn", phone="0")
    run.planned(rows)
    claimed(run, batches=2)
    run.apply(crm)
    assert crm.sent == [("update", [person(1)]), ("update", [person(2), person(3)])]
    assert crm.written == [{"phone": "1"}, {"city": "Köln", "phone": "1"}, {"city": "Köln", "phone": "1"}]
    assert set(run.outcomes().values()) == {"updated"}


def test_another_plan_is_applied_from_its_start(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_apply, "_DURABLE_SECONDS", 0.0)
    crm, rows = a_crm(faults={6: ("before", LeadsAuthError("key"))})
    with pytest.raises(LeadsAuthError):
        run.planned(rows).apply(crm)
    assert len(run.left()) > 3
    run.planned(creates([50, 51]))
    run.apply(crm)
    assert (set(run.outcomes()), run.left()) == ({person(50), person(51)}, set())


@pytest.mark.parametrize("gone", ["first", "all"])
def test_parts_that_vanished_are_made_again(run: Run, gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_apply, "_DURABLE_SECONDS", 0.0)
    monkeypatch.setattr(_apply, "_DURABLE_ROWS", 4)
    crm, rows = a_crm(faults={6: ("before", LeadsAuthError("key"))})
    with pytest.raises(LeadsAuthError):
        run.planned(rows).apply(crm)
    parts = sorted(run.folder.glob("*.part"))
    assert len(parts) > 2
    for path in parts[: 1 if gone == "first" else None]:
        path.unlink()
    run.apply(crm)
    assert (crm.state, run.outcomes(), run.left()) == (UNDISTURBED, OUTCOMES, set())
    # Window by window: a plan is larger than memory.
    assert len([asked for asked in crm.asked if asked]) > 1


def test_too_many_failures_are_written_down_and_the_next_try_sends_what_failed_alone(run: Run) -> None:
    crm = Crm(faults={1: ("before", LeadsValidationError("no", category="BAD", words="not a city"))})
    with pytest.raises(LeadsWriteError, match=r"2 of 6 leads were not written: BAD: not a city \(2\)\. Each stands in"):
        run.planned(creates(range(6))).apply(crm, tolerated=1.0)
    assert Counter(run.outcomes().values()) == {"created": 4, "failed": 2}
    before = run.settled()
    crm.sent.clear()
    crm.faults = {0: ("after", LeadsServerError("502", ambiguous=True))}
    with pytest.raises(LeadsWriteError, match="2 of 6 leads were not written"):
        run.apply(crm)
    assert crm.sent == [("create", [person(2), person(3)])]
    assert Counter(run.outcomes().values()) == {"created": 4, "ambiguous": 2}
    # Of what is in doubt the third try finds that it took effect.
    assert run.apply(crm)["created"] == 6
    assert len(crm.sent) == 1
    assert len(crm.state) == 6
    assert [row for row in before if row.outcome == "created"] == [
        row for row in run.settled() if row.email_key not in (person(2), person(3))
    ]
    assert (run.checkpoint().state, run.left()) == ({}, set())


def test_a_retry_that_is_killed_goes_on_with_what_failed(run: Run) -> None:
    error = LeadsValidationError("no", category="BAD")
    crm = Crm(faults={0: ("before", error), 2: ("before", error)})
    with pytest.raises(LeadsWriteError):
        run.planned(creates(range(8))).apply(crm)
    crm.faults = {5: ("after", Killed())}
    with pytest.raises(Killed):
        run.apply(crm)
    assert run.apply(crm)["created"] == 8
    assert len(crm.state) == 8


def test_a_retry_that_has_lost_the_results_creates_nobody_twice(run: Run) -> None:
    crm = Crm(faults={0: ("before", LeadsValidationError("no", category="BAD"))})
    with pytest.raises(LeadsWriteError):
        run.planned(creates(range(6))).apply(crm)
    for path in run.folder.glob("*.earlier.parquet"):
        path.unlink()
    assert run.apply(crm)["created"] == 6
    assert len(crm.state) == 6


@pytest.mark.parametrize(
    ("tolerated", "fails"), [(0.0, True), (1.0, True), (2.0, False), (0.3, True), (0.34, False), (None, False)]
)
def test_failures_within_bounds_are_reported(run: Run, tolerated: float | None, fails: bool) -> None:
    crm = Crm(faults={1: ("before", LeadsValidationError("no"))})
    run.planned(creates(range(6)))
    if fails:
        with pytest.raises(LeadsWriteError):
            run.apply(crm, tolerated)
    else:
        assert run.apply(crm, tolerated)["failed"] == 2


@pytest.mark.parametrize("number", range(3))
def test_a_batch_without_an_answer_is_ambiguous_once_another_gets_through_or_none_is_left(
    run: Run, number: int
) -> None:
    crm = Crm(faults={number: ("after", LeadsServerError("502", ambiguous=True))})
    told = run.planned(creates(range(6))).apply(crm, tolerated=None)
    assert (told["created"], told["ambiguous"]) == (4, 2)


def test_a_vendor_that_keeps_failing_ends_the_try_with_nothing_settled(run: Run) -> None:
    down = LeadsServerError("503")
    crm = Crm(faults=dict.fromkeys(range(2, 5), ("before", down)))
    with pytest.raises(LeadsServerError):
        run.planned(creates(range(12))).apply(crm)
    assert len(crm.sent) == 5
    run.apply(crm)
    assert crm.state == [(person(n), "Köln") for n in range(12)]
    assert set(run.outcomes().values()) == {"created"}


def test_what_was_left_alone_is_sent_by_the_next_try(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose thread came late is no batch that was settled, though one after it was written."""
    crm = Crm()
    run.planned(creates(range(8)))

    def write(batches: Iterable[Batch], **options: Any) -> Iterator[Settled]:
        first, _, third, fourth = batches
        yield Settled(crm.create_rows(first.rows))
        yield Settled([], sent=False)
        yield Settled(crm.create_rows(third.rows))
        error = LeadsAuthError("key")
        yield Settled([WriteResult(email_key=row.email_key, outcome="failed") for row in fourth.rows], error)
        raise error

    with monkeypatch.context() as patch, pytest.raises(LeadsAuthError):
        patch.setattr(crm, "write_batches", write)
        run.apply(crm)
    run.apply(crm)
    assert crm.state == [(person(n), "Köln") for n in range(8)]
    assert run.outcomes() == {person(n): "created" for n in range(8)}


def test_results_that_cannot_be_kept_end_the_try_with_no_request_under_way(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_apply, "_DURABLE_SECONDS", 0.0)
    crm = Crm(threads=4)
    run.planned(creates(range(40)))

    def full(self: Any, rows: Any) -> int:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space") as raised:
        patch.setattr(Parts, "append", full)
        run.apply(crm)
    sent = len(crm.sent)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("leads-write")]
    assert raised.value is not None
    run.apply(crm)
    assert sent < 20
    assert crm.state == [(person(n), "Köln") for n in range(40)]


def test_nothing_is_kept_beyond_a_window(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_apply, "_DURABLE_ROWS", 10)
    kept: list[int] = []
    taken = Counter[str]()
    append = Parts.append

    def watched(self: Parts[WriteResult], rows: list[WriteResult]) -> int:
        kept.append(len(rows))
        return append(self, rows)

    monkeypatch.setattr(Parts, "append", watched)
    crm = Crm(threads=2)
    ahead: list[int] = []
    batched = crm.batched
    create = crm.create_rows

    def counted(rows: Iterable[PlanRow]) -> Iterator[Batch]:
        for batch in batched(rows):
            taken["batches"] += 1
            yield batch

    def creating(rows: list[PlanRow], **options: Any) -> list[WriteResult]:
        ahead.append(taken["batches"] - len(crm.sent))
        return create(rows, **options)

    monkeypatch.setattr(crm, "batched", counted)
    monkeypatch.setattr(crm, "create_rows", creating)
    run.planned(creates(range(90))).apply(crm)
    assert max(kept) <= 10 + 2
    assert max(ahead) <= 2 * 2 + 1
    assert crm.asked == []


def refused(person_: int) -> Callable[[list[PlanRow]], None]:
    def check(rows: list[PlanRow]) -> None:
        if any(row.email_key == person(person_) for row in rows):
            raise LeadsValidationError("no", category="BAD", words="not a city")

    return check


def test_whom_the_crm_keeps_refusing_is_left_out_of_the_batch_and_not_counted(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    uri = f"{tmp_path_factory.mktemp('ledger')}/crm.refused.parquet"
    now = pendulum.datetime(2026, 3, 1)
    for number in range(MAX_TRIES + 1):
        crm = Crm()
        crm.create_batch = 1  # type: ignore[misc]
        check, create = refused(1), crm.create_rows
        crm.create_rows = lambda rows, check=check, create=create, **options: (check(rows), create(rows))[1]  # type: ignore[method-assign]
        ledger = Ledger.load(uri, now=now.add(days=number))
        if number < MAX_TRIES:
            with pytest.raises(LeadsWriteError):
                run.planned(creates(range(3))).apply(crm, ledger=ledger)
        else:
            told = run.apply(crm, ledger=ledger)
            assert (told["created"], told["failed"], told["quarantined"]) == (2, 1, 1)
            reason = next(row.reason for row in run.settled() if row.email_key == person(1))
            assert str(reason).startswith("quarantined after 3 tries: BAD: not a city")
            assert person(1) not in [name for _, names in crm.sent for name in names]


def test_a_refusal_counts_once_for_a_run_whose_last_step_is_done_twice(run: Run, tmp_path: Path) -> None:
    uri = f"{tmp_path}/kept/crm.refused.parquet"
    run.planned(creates(range(2)))
    run.checkpoint().note(planned_at=pendulum.now("UTC").isoformat())
    faults: dict[int, Fault] = {0: ("before", LeadsValidationError("no", category="BAD"))}
    crm = Crm(faults)
    clear = Checkpoint.clear

    def killed(self: Checkpoint) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoint, "clear", killed)
        run.apply(crm, tolerated=None, ledger=Ledger.load(uri))
    assert Checkpoint.clear is clear
    run.apply(crm, tolerated=None, ledger=Ledger.load(uri))
    assert len(crm.sent) == 1
    assert [row.tries for row in Ledger.load(uri)] == [1, 1]


# --- which plan a retry goes on with ----------------------------------------------------------------------------------


def begun(run: Run, of: str, made: list[str]) -> dict[str, Any]:
    def make(wrote: bool) -> dict[str, Any]:
        made.append(of + " after writes" * wrote)
        return {"plan": run.plan}

    return upsert._begun(run.checkpoint(), of, make)


def test_a_retry_goes_on_with_the_plan_of_the_try_before_it(run: Run) -> None:
    made: list[str] = []
    run.planned(creates([1]))
    assert begun(run, "this", made) == begun(run, "this", made) == {"plan": run.plan}
    assert made == ["this"]


def test_a_task_that_is_given_something_else_plans_anew(run: Run) -> None:
    made: list[str] = []
    run.planned(creates([1]))
    begun(run, "this", made)
    run.checkpoint().note(digest="of this", settled=1, started=2, parts=1, done=1)
    begun(run, "that", made)
    # What was extracted before those writes knows nothing of them.
    assert made == ["this", "that after writes"]
    assert "digest" not in run.checkpoint().state


@pytest.mark.parametrize("why", ["an hour has passed", "the plan is gone"])
def test_an_old_or_lost_plan_is_made_anew(run: Run, why: str) -> None:
    made: list[str] = []
    run.planned(creates([1]))
    begun(run, "this", made)
    if why == "the plan is gone":
        Path(run.plan.removeprefix("file://")).unlink()
    else:
        old = pendulum.now("UTC") - upsert._PLAN_STAYS_FRESH - timedelta(seconds=1)
        run.checkpoint().note(planned_at=old.isoformat())
    begun(run, "this", made)
    assert made == ["this", "this"]


def test_a_plan_is_known_by_the_content_of_its_file_and_every_argument(run: Run) -> None:
    run.planned(creates([1]))
    one = upsert._fingerprint(run.plan, {"mode": "update", "existing": [{"uri": "a"}], "made_at": pendulum.now()})
    assert one != upsert._fingerprint(run.plan, {"mode": "fill", "existing": [{"uri": "a"}]})
    same = {"mode": "update", "push_opt_outs": False, "suppressions": None}
    before = upsert._fingerprint(run.plan, same)
    assert before == upsert._fingerprint(run.plan, dict(reversed(same.items())))
    run.planned(creates([2]))
    assert before != upsert._fingerprint(run.plan, same)
    assert upsert._fingerprint(f"{run.plan}.gone", same) == upsert._fingerprint(f"{run.plan}.nowhere", same)
