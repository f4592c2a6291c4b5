from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.hooks import arguments
from airflow_providers_leads.hooks.hubspot.values import milliseconds

NOON = "2025-07-01T12:00:00.000Z"


@pytest.mark.parametrize(
    "value",
    [
        "2025-07-01T12:00:00Z",
        "2025-07-01 14:00:00+02:00",
        " 2025-07-01T12:00:00.000999+00:00 ",
        datetime(2025, 7, 1, 12, tzinfo=UTC),
        datetime(2025, 7, 1, 7, tzinfo=timezone(timedelta(hours=-5))),
        pendulum.datetime(2025, 7, 1, 14, tz="Europe/Berlin"),
    ],
)
def test_every_way_to_write_a_moment_is_sent_alike(value: Any) -> None:
    moment = arguments.instant("t", value)
    assert arguments.wire_time(moment) == NOON
    assert milliseconds("t", value) == 1751371200000
    # Nothing of pendulum's: its differences can't be divided by those of datetime.
    assert type(moment) is datetime


@pytest.mark.parametrize("value", ["2025-07-01T12:00:00", "2025-07-01", "", "now", 1751371200, None, "None"])
def test_what_could_mean_another_moment_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="updated_after"):
        arguments.instant("updated_after", value)


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.timezones()))
def test_a_moment_survives_the_wire_to_the_millisecond(value: datetime) -> None:
    sent = arguments.wire_time(arguments.instant("t", value))
    assert timedelta(0) <= value - datetime.fromisoformat(sent) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("value", "minutes"),
    [(0, 0), ("-120", -120), ("+90", 90), ("Europe/Berlin", 120), ("America/St_Johns", -150), ("UTC", 0)],
)
def test_an_offset_is_minutes_or_a_zone_at_that_moment(value: Any, minutes: int) -> None:
    assert arguments.offset_minutes("offset", value, arguments.instant("t", NOON)) == minutes


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (None, None),
        (" ", None),
        ("null", None),
        (["a", "b", "a"], ["a", "b"]),
        ((1, "b"), ["1", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ("a, b", ["a", "b"]),
        ('"a"', ["a"]),
        ("65e5", ["65e5"]),
        ("65f0a0000000000000000001", ["65f0a0000000000000000001"]),
        ("['a', '5']", ["a", "5"]),
        ([9353.0, Decimal(5)], ["9353", "5"]),
    ],
)
def test_ids_come_in_many_forms(value: Any, ids: list[str] | None) -> None:
    assert arguments.id_list("funnel_ids", value) == ids


@pytest.mark.parametrize("value", [[], "[]", ["a", None], "a,,b", 5])
def test_an_empty_id_never_means_all(value: Any) -> None:
    with pytest.raises(ValueError, match="funnel_ids"):
        arguments.id_list("funnel_ids", value)


def test_people_are_named_once() -> None:
    assert arguments.addresses("emails", ["A@x.de", "a@x.de", "", "no", "b@x.de"]) == {
        "a@x.de": "A@x.de",
        "b@x.de": "b@x.de",
    }
