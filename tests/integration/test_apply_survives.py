"""A fault at every request of an upsert, in turn: the retried task ends where the undisturbed one does.

The whole matrix runs under the marker ``faults`` (``make test-faults``); the suite runs all of it for HubSpot, where an
upsert has few requests, and a sample for the other two.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from survival import FAULTS, KILLED, Case, Destination, Outcome, destination, sample

CRMS = ("hubspot", "persistiq", "perspective")
SAMPLED = {"hubspot": 100, "persistiq": 2, "perspective": 2}
"""Requests per fault in the suite."""
STRUCK = {"hubspot": 0.3, "persistiq": 0.03, "perspective": 0.02}
"""Share of the requests that foul weather strikes."""


QUICK = {
    ("hubspot", "cut after the effect"),
    ("hubspot", "429 for ten minutes"),
    ("hubspot", "killed after the effect"),
    ("persistiq", "500 after the effect"),
    ("persistiq", "killed before the effect"),
    ("perspective", "cut after the effect"),
    ("perspective", "killed after the effect"),
}
"""Of every CRM a fault on either side of a process's end; `make test-slow` meets the others."""


def pairs(faults: Iterable[str]) -> list[Any]:
    """Return CRMs with faults as parameters, of which most are slow."""
    return [
        pytest.param(crm, fault, marks=() if (crm, fault) in QUICK else pytest.mark.slow)
        for crm in CRMS
        for fault in faults
    ]


@pytest.fixture(scope="module")
def destinations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Destination]]:
    made: dict[str, Destination] = {}
    with ExitStack() as open_ones:

        def of(crm: str) -> Destination:
            if crm not in made:
                made[crm] = open_ones.enter_context(destination(crm, tmp_path_factory.mktemp(crm)))
            return made[crm]

        yield of


def case(crm: str, fault: str, index: int, **more: Any) -> Case:
    # Whether a kill finds much that is durable or nothing makes two different retries.
    return Case(crm, fault, index, settle_seconds=0.05 if index % 2 else 5.0, **more)


def check(outcomes: Sequence[Outcome]) -> None:
    assert outcomes
    assert not [(outcome.case, outcome.problems) for outcome in outcomes if outcome.problems]
    assert sum(outcome.lost + outcome.duplicated for outcome in outcomes) == 0


@pytest.mark.story
@pytest.mark.parametrize(("crm", "fault"), pairs(FAULTS))
def test_a_struck_upsert_ends_like_an_undisturbed_one(
    destinations: Callable[[str], Destination], crm: str, fault: str
) -> None:
    met = destinations(crm)
    check([met.meet(case(crm, fault, index)) for index in sample(met.requests, SAMPLED[crm], f"{crm} {fault}")])


@pytest.mark.faults
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("crm", CRMS)
def test_every_request(destinations: Callable[[str], Destination], crm: str, fault: str) -> None:
    met = destinations(crm)
    outcomes = [met.meet(case(crm, fault, index)) for index in range(met.requests)]
    if folder := os.environ.get("FAULTS_OUTPUT"):
        told = {"crm": crm, "fault": fault, "requests": met.requests, "runs": [one.as_dict() for one in outcomes]}
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{crm} {fault}.json").write_text(json.dumps(told))
    check(outcomes)


@pytest.mark.parametrize(("crm", "fault"), pairs(fault for fault in FAULTS if fault not in KILLED))
def test_with_the_retries_of_a_connection_as_they_are_by_default(
    destinations: Callable[[str], Destination], crm: str, fault: str
) -> None:
    met = destinations(crm)
    (index,) = sample(met.requests - 1, 3, f"retries {crm} {fault}")[1:2]
    outcome = met.meet(case(crm, fault, index, max_retries=5))
    check([outcome])
    # A wait of ten minutes is longer than a task waits; and a create that Perspective may have done or not is not sent
    # again before somebody has looked.
    assert outcome.tries <= (2 if "429" in fault or crm == "perspective" else 1)


@pytest.mark.parametrize(("crm", "fault"), pairs(["cut after the effect", *KILLED]))
@pytest.mark.parametrize("variant", [{"state_store": False}, {"planned_before": True}], ids=str)
def test_other_ways_to_run_it(
    destinations: Callable[[str], Destination], variant: dict[str, bool], crm: str, fault: str
) -> None:
    met = destinations(crm)
    (index,) = sample(met.requests - 1, 3, f"{variant} {crm} {fault}")[1:2]
    check([met.meet(case(crm, fault, index, **variant))])


@pytest.mark.story
@pytest.mark.parametrize("max_retries", [0, 5])
@pytest.mark.parametrize("crm", CRMS)
def test_foul_weather(destinations: Callable[[str], Destination], crm: str, max_retries: int) -> None:
    check([destinations(crm).weather(1, STRUCK[crm], max_retries=max_retries, settle_seconds=0.05)])


@pytest.mark.faults
@pytest.mark.parametrize("max_retries", [0, 5])
@pytest.mark.parametrize("crm", CRMS)
def test_much_foul_weather(destinations: Callable[[str], Destination], crm: str, max_retries: int) -> None:
    met = destinations(crm)
    settle = (5.0, 0.0, 0.05)
    check(
        [
            met.weather(seed, STRUCK[crm], max_retries=max_retries, settle_seconds=settle[seed % 3])
            for seed in range(2, 22)
        ]
    )
