"""What is unlike the last runs, in words."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_providers_leads.report.unlike import Figures, Limits, kinds_of, limits_from, unlike

USUAL = Figures(read=1_000, created=100, updated=200, unwritten=0, reasons={"opted_out": 3})


def of(**fields: Any) -> Figures:
    known = {name: getattr(USUAL, name) for name in ("read", "created", "updated", "unwritten", "reasons")}
    return Figures(**{**known, **fields})


@pytest.mark.parametrize(
    ("now", "sentences"),
    [
        (of(), []),
        (of(created=200), []),
        (of(created=201), ["201 people were created, 2 times as many as in the 4 runs before (100)."]),
        (of(updated=601), ["601 people were updated, 3 times as many as in the 4 runs before (200)."]),
        (of(read=800), []),
        (of(read=790), ["790 leads were read, 21 % fewer than in the 4 runs before (1,000)."]),
        (of(read=0), ["Nothing was read, unlike in the 4 runs before (1,000)."]),
        (of(read=None, created=None), []),
        (of(unwritten=1), ["1 person was not written, nobody in the 4 runs before."]),
        (
            of(reasons={"opted_out": 2, "bounced": 1, "do_not_contact_domain": 12}),
            [
                "A reason that the 4 runs before did not have: do-not-contact domain (12 people).",
                "A reason that the 4 runs before did not have: bounced (1 person).",
            ],
        ),
        (of(quotas={"crm": (899, 1_000)}), []),
        (of(quotas={"crm": (960, 1_000)}), ["crm: 40 of 1,000 calls are left today."]),
    ],
)
def test_what_is_unlike_is_said(now: Figures, sentences: list[str]) -> None:
    assert unlike(now, [USUAL] * 4) == sentences


SOURCES = [of(sources={"funnels": 600, "crm": 400})] * 4


@pytest.mark.parametrize(
    ("now", "sentences"),
    [
        ({"funnels": 600, "crm": 400}, []),
        ({"funnels": 90, "crm": 910}, ["90 leads were read from funnels, 85 % fewer than in the 4 runs before (600)."]),
        ({"crm": 400, "new": 9}, ["Nothing was read from funnels, unlike in the 4 runs before (600)."]),
        ({"funnels": 481, "crm": 321}, []),
    ],
)
def test_the_source_that_gave_less_is_named(now: dict[str, int], sentences: list[str]) -> None:
    assert unlike(of(read=sum(now.values()), sources=now), SOURCES) == sentences


def test_a_source_that_was_taken_out_before_is_missed_by_nobody() -> None:
    assert unlike(of(sources={"crm": 1_000}), [*SOURCES, of(sources={"crm": 1_000})]) == []


def test_a_run_that_reads_still_has_not_read_too_little() -> None:
    assert unlike(of(read=None, sources={"crm": 1}), SOURCES) == []


def test_a_first_run_is_unlike_nothing() -> None:
    assert unlike(of(created=10_000), []) == []


def test_a_few_more_are_no_news() -> None:
    assert unlike(of(created=19), [of(created=1)]) == []
    assert unlike(of(created=21), [of(created=1)]) == [
        "21 people were created, 21 times as many as in the run before (1)."
    ]
    assert unlike(of(created=30), [of(created=0)], planned=True) == [
        "30 people would be created, nobody in the run before."
    ]


def test_one_odd_run_before_changes_nothing() -> None:
    assert unlike(of(created=100), [of(created=100), of(created=0), of(created=100)]) == []


def test_a_reason_is_not_new_because_it_names_another_person() -> None:
    assert kinds_of({"ann@x.org exists (id 51)": 1, "ben@x.org exists (id 7)": 2}) == {"… exists (id …)": 3}


def test_limits_can_be_set() -> None:
    assert limits_from(None) == limits_from({}) == Limits()
    assert unlike(of(created=110), [USUAL], limits_from({"created": 1.05, "least": 5})) != []


@pytest.mark.parametrize("values", [{"creation": 1}, {"created": "x"}, {"created": True}, {"read": -1}, [1], "x"])
def test_a_wrong_limit_is_named(values: Any) -> None:
    with pytest.raises(ValueError, match="unlike"):
        limits_from(values)
