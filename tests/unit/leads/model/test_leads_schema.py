from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_providers_leads.leads.model.schema import (
    LEAD_COLUMNS,
    PROFILE_FIELDS,
    STICKY_FIELDS,
    Lead,
    arrow_schema,
    flag,
    leftover,
    moment,
    text,
)

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        (" \t\u00a0\n", None),
        ("  Ann ", "Ann"),
        ("Ann  Lee", "Ann  Lee"),
        ("0", "0"),
        # Zero and false are values, not absence.
        (0, "0"),
        (False, "false"),
        (12.5, "12.5"),
    ],
)
def test_text(value: object, expected: str | None) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True), (False, False), (None, None), ("true", True), (" TRUE ", True), ("false", False),
        ("False", False), ("yes", True), ("no", False), ("1", True), ("0", False), (1, True), (0, False),
        ("", None), ("maybe", None), (2, None), ([], None),
    ],
)  # fmt: skip
def test_flag(value: object, expected: bool | None) -> None:
    assert flag(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-01T00:00:00Z", NEW_YEAR),
        ("2026-01-01T00:00:00.000Z", NEW_YEAR),
        ("2026-01-01T01:00:00+01:00", NEW_YEAR),
        ("2025-12-31T19:00:00-0500", NEW_YEAR),
        ("2026-01-01T00:00:00", NEW_YEAR),
        ("2026-01-01 00:00:00", NEW_YEAR),
        (" 2026-01-01T00:00:00Z ", NEW_YEAR),
        ("2026-01-01", NEW_YEAR),
        ("2026/01/01", NEW_YEAR),
        ("2026-001", NEW_YEAR),
        ("2026-01-01T00:00:00.123456789Z", NEW_YEAR.replace(microsecond=123456)),
        (1767225600000, NEW_YEAR),
        (1767225600000.0, NEW_YEAR),
        ("1767225600000", NEW_YEAR),
        ("1767225600250", NEW_YEAR.replace(microsecond=250000)),
        (-1000, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1), NEW_YEAR),
        (datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), NEW_YEAR),
    ],
)
def test_moment(value: object, expected: datetime) -> None:
    found = moment(value)
    assert found == expected
    assert found is not None
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        None, "", "  ", "garbage", "2026-13-01", "2026-02-30", "25:99", "P1D", "2026-01-01/2026-02-01", True, [], {},
        # Read as of today, these would make a record look fresh in every run.
        "now", "today", "12:30", "T12",
        # Numbers that are no point in time, and a digit that is no decimal.
        "99999999999999999999", 10**30, float("nan"), float("inf"), "²", "0001-01-01T00:00:00+14:00",
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_time_is_none(value: object) -> None:
    assert moment(value) is None


@given(
    st.text(max_size=25)
    | st.text("0123456789-:TZ+./W ", max_size=25)
    | st.floats()
    | st.integers()
    | st.datetimes(timezones=st.timezones() | st.none())
)
@example("²")
@example("0:")
@example("9" * 5000)
def test_moment_never_raises_and_is_always_utc(value: object) -> None:
    found = moment(value)
    assert found is None or found.utcoffset() == timedelta(0)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_moment_reads_back_what_iso_format_writes(time: datetime) -> None:
    assert moment(time.isoformat()) == time
    milliseconds = time.replace(microsecond=time.microsecond // 1000 * 1000)
    assert moment(str((time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))) == milliseconds


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"a": None, "b": "", "c": {}, "d": []}, None),
        ({"b": 1, "a": "x"}, '{"a":"x","b":1}'),
        ({"zero": 0, "no": False}, '{"no":false,"zero":0}'),
        ({"nested": {"b": 1, "a": [None]}}, '{"nested":{"a":[null],"b":1}}'),
        ({"name": "J\u00fcrgen"}, '{"name":"J\u00fcrgen"}'),
        ({"day": date(2026, 1, 1)}, '{"day":"2026-01-01"}'),
    ],
)
def test_leftover(values: dict[str, Any], expected: str | None) -> None:
    assert leftover(values) == expected


@given(st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.integers())))
def test_leftover_does_not_depend_on_the_order_of_keys(values: dict[str, Any]) -> None:
    found = leftover(values)
    assert found == leftover(dict(reversed(values.items())))
    kept = {name: value for name, value in values.items() if value not in (None, "", [])}
    assert (msgspec.json.decode(found) if found else {}) == kept


def test_arrow_schema_has_every_field_in_order_and_type() -> None:
    schema = arrow_schema()
    assert tuple(schema.names) == LEAD_COLUMNS == Lead.__struct_fields__
    special = {
        "opted_out": pa.bool_(),
        "bounced": pa.bool_(),
        "created_at": pa.timestamp("us", tz="UTC"),
        "updated_at": pa.timestamp("us", tz="UTC"),
    }
    assert {field.name: field.type for field in schema} == {
        name: special.get(name, pa.string()) for name in LEAD_COLUMNS
    }


def test_no_field_is_both_merged_by_value_and_sticky_and_none_identifies() -> None:
    assert not set(PROFILE_FIELDS) & set(STICKY_FIELDS)
    assert set(PROFILE_FIELDS) | set(STICKY_FIELDS) < set(LEAD_COLUMNS)
    assert not set(PROFILE_FIELDS) & {"source", "source_scope", "source_id", "email", "email_key"}
