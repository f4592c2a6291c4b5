"""Random acts of people, runs of all kinds, and workers that die, against the reference in :mod:`what_should_be`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from people_at_work import FIELDS, HUBSPOT, PERSISTIQ, PERSPECTIVE, World
from what_should_be import FIRST, VALUES, Office

from airflow_providers_leads.leads.merge.policy import MergePolicy

PEOPLE = 40
WORLDS: dict[str, Mapping[str, Any]] = {
    "two": {},
    "three": {"sources": (PERSPECTIVE, HUBSPOT, PERSISTIQ)},
    "one way": {"sources": (PERSPECTIVE,), "writable": (HUBSPOT,)},
    "to perspective": {"sources": (HUBSPOT, PERSPECTIVE), "writable": (PERSPECTIVE,)},
    "persistiq first": {"policy": MergePolicy(priority=(PERSISTIQ,))},
}
STEPS = [f"{step}:{crm}" for crm in (HUBSPOT, PERSISTIQ) for step in ("plan", "write", "results")]
DEATHS = st.one_of(
    st.sampled_from(["merge", "remember", *STEPS]).map(lambda step: {"dies": step}),
    st.integers(0, 20).map(lambda number: {"after_writes": number}),
)
ACT = ("edit", "edit", "edit", "edit", "clear", "clear", "delete", "move", "object", "come", "touch")
INTS = st.integers()
ACTS = st.lists(
    st.tuples(st.integers(0, PEOPLE), st.integers(0, 2), st.sampled_from(ACT), st.sampled_from(FIELDS), INTS),
    min_size=10,
    max_size=40,
)


class Months(RuleBasedStateMachine):
    """People work, and runs come and go."""

    @initialize(kind=st.sampled_from(sorted(WORLDS)))
    def begin(self, kind: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="leads-months-"))
        self.world = World(self.folder, **WORLDS[kind])
        self.office = Office(self.world)
        sources = sorted(self.world.sources)
        values: Any = {name.replace(".", "__"): value for name, value in FIRST.items()}
        for number in range(PEOPLE):
            person = self.office.comes(sources[number % len(sources)])
            for crm in {*self.world.crms} - {*self.world.writable, *person.ids}:
                person.ids[crm] = {self.world[crm].comes(person.email, **values).id}
        self.world.run()
        self.office.look()

    @rule(acts=ACTS, incremental=st.booleans())
    def people_work_and_a_run_follows(self, acts: Any, incremental: bool) -> None:
        self.work(acts)
        self.settle(self.office.foretell(), incremental)

    @rule(acts=ACTS, later=ACTS, death=DEATHS, notes=st.booleans(), incremental=st.booleans(), then=st.booleans())
    def a_run_dies_and_people_work_on(
        self, acts: Any, later: Any, death: Mapping[str, Any], notes: bool, incremental: bool, then: bool
    ) -> None:
        self.work(acts)
        left = self.office.foretell()
        self.world.run(incremental=incremental, notes=notes, **death)
        self.office.goes_on()
        self.work(later)
        self.settle(self.office.foretell(left), then)

    @rule(incremental=st.booleans())
    def nothing_happens(self, incremental: bool) -> None:
        assert self.world.run(incremental=incremental) == 0, self.world.writes

    def work(self, acts: Any) -> None:
        office, crms = self.office, self.office.crms
        for who, where, kind, name, number in acts:
            person, crm = office.people[who % len(office.people)], crms[where % len(crms)]
            if kind == "edit":
                office.edits(person, crm, name, VALUES[name][number % len(VALUES[name])])
            elif kind == "clear":
                office.edits(person, crm, name, None)
            elif kind == "delete":
                office.deletes(person, crm)
            elif kind == "move":
                office.moves(person, crm, f"m{next(self.world.ids)}@people.example")
            elif kind == "object":
                office.objects(person, crm)
            elif kind == "come":
                office.comes(self.world.sources[number % len(self.world.sources)])
            else:
                office.touches(person, crm)

    def settle(self, left: Any, incremental: bool) -> None:
        self.world.run(incremental=incremental)
        assert self.office.complaints(left) == []
        assert self.world.run() == 0, self.world.writes
        self.office.look()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)


def months(examples: int, steps: int) -> None:
    checks = list(HealthCheck)
    run_state_machine_as_test(
        Months,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks,
            database=None, report_multiple_bugs=False,
        ),
    )  # fmt: skip


@pytest.mark.story
def test_random_acts_end_as_their_authors_left_them() -> None:
    months(examples=3, steps=2)


@pytest.mark.memory
def test_many_random_acts_end_as_their_authors_left_them() -> None:
    months(examples=40, steps=8)
