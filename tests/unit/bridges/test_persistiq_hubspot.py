"""Events folded to what a person did last, whatever their order, and what of it a contact lacks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.bridges.persistiq_hubspot import (
    FIELD_OF,
    PROPERTIES,
    PROPERTY_OF,
    TIMES,
    Engagement,
    fold,
    missing,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
ANN = "ann@people.example"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def event(kind: str, minutes: float, *, email: str | None = ANN, campaign: str | None = None) -> dict[str, Any]:
    return {
        "kind": kind,
        "event_at": at(minutes).isoformat(),
        "lead": {"id": "l_1", "email": email} if email else None,
        "campaign": {"id": "c_1", "name": campaign} if campaign else None,
    }


def test_the_last_of_each_counts_and_the_newest_campaign() -> None:
    folded = fold(
        [
            event("message_received", 5, campaign="A"),
            event("message_received", 1, campaign="B"),
            event("message_optout", 9),
            event("message_opened", 20, campaign="C"),
            event("message_bounced", 2, email=" Ann@People.example ", campaign="D"),
        ]
    )
    assert folded.people == {
        ANN: Engagement(replied_at=at(5), bounced_at=at(2), opted_out_at=at(9), last_campaign="A", campaign_at=at(5))
    }
    assert folded.counts == {"replied_at": 2, "opted_out_at": 1, "bounced_at": 1}


@pytest.mark.parametrize(
    "broken",
    [
        event("message_received", 1, email=None),
        event("message_received", 1, email="nobody"),
        event("message_received", 1, email=""),
        {"kind": "message_received", "event_at": at(1).isoformat()},
    ],
)
def test_who_has_no_address_is_counted(broken: dict[str, Any]) -> None:
    folded = fold([broken, event("message_bounced", 3)])
    assert (folded.without_address, list(folded.people)) == (1, [ANN])


def test_who_opts_out_under_two_addresses_in_one_field_has_opted_out_under_both() -> None:
    both = f"{ANN}; bob@people.example"
    folded = fold([event("message_optout", 3, email=both), event("message_received", 4, email=both)])
    assert folded.people == dict.fromkeys((ANN, "bob@people.example"), Engagement(opted_out_at=at(3)))
    assert (folded.without_address, set(folded.addresses)) == (2, set(folded.people))


@pytest.mark.parametrize("broken", [{}, {"kind": None}, {"kind": "message_received", "event_at": "soon", "lead": {}}])
def test_what_is_no_such_event_is_passed_over(broken: dict[str, Any]) -> None:
    folded = fold([broken])
    assert (folded.people, folded.without_address, folded.counts) == ({}, 0, {})


EVENTS = st.builds(
    event,
    st.sampled_from(list(FIELD_OF)),
    st.integers(0, 9),
    email=st.sampled_from([ANN, "bob@people.example"]),
    campaign=st.sampled_from([None, "A", "B"]),
)


@given(st.lists(EVENTS, max_size=12).flatmap(lambda events: st.tuples(st.just(events), st.permutations(events))))
def test_the_order_does_not_matter(both: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    assert fold(both[0]).people == fold(both[1]).people


@given(st.lists(EVENTS, max_size=8), st.lists(EVENTS, max_size=8))
def test_what_was_written_once_is_never_written_again(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    """Windows may overlap, come late and be run again: a contact's times never go back."""
    held: dict[str, Any] = {}
    whole = fold(first + second).people.get(ANN, Engagement())
    for window in (first, second, first, first + second, second):
        person = fold(window).people.get(ANN)
        before = dict(held)
        if person:
            held |= missing(person, held)
            assert missing(person, held) == {}
        for name in TIMES:
            assert before.get(name) is None or held[name] >= before[name]
    assert {name: held.get(name) for name in TIMES} == {name: getattr(whole, name) for name in TIMES}


def test_an_old_window_does_not_bring_back_an_old_campaign() -> None:
    held = {"replied_at": str(int(at(9).timestamp() * 1000)), "last_campaign": "New"}
    assert missing(Engagement(replied_at=at(1), last_campaign="Old", campaign_at=at(1)), held) == {}


def test_finer_than_hubspot_keeps_is_cut() -> None:
    fine = {**event("message_received", 0), "event_at": "2026-11-01T00:00:00.123456Z"}
    person = fold([fine]).people[ANN]
    assert missing(person, {"replied_at": "2026-11-01T00:00:00.123Z"}) == {}


def test_each_field_has_its_property() -> None:
    assert [definition["name"] for definition in PROPERTIES] == list(PROPERTY_OF.values())
