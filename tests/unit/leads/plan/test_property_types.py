from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.leads.plan.property_types import (
    PropertyType,
    PropertyTypes,
    Unconvertible,
    value_text,
)

SOLAR = {"solar": "Solar power", "heating": "Heating", "price": "Price", "demo": "Demo"}
TYPES = {
    "text": PropertyType("text", most=8),
    "number": PropertyType("number"),
    "boolean": PropertyType("boolean"),
    "date": PropertyType("date"),
    "datetime": PropertyType("datetime"),
    "choice": PropertyType("choice", SOLAR),
    "choices": PropertyType("choices", SOLAR),
    "open": PropertyType("choice"),
}


@pytest.mark.parametrize(
    ("kind", "left", "right"),
    [
        ("datetime", "2025-01-15T08:00:00Z", "2025-01-15T08:00:00.000Z"),
        ("datetime", "2025-01-15T08:00:00Z", "1736928000000"),
        ("datetime", "2025-01-15T09:00:00+01:00", "2025-01-15T08:00:00Z"),
        ("datetime", "2025-01-15", "1736899200000"),
        ("date", "2025-01-15", "1736899200000"),
        ("date", "1960-01-01", "-315619200000"),
        ("date", "2025-01-15T08:00:00Z", "2025-01-15"),
        ("number", "1", "1.0"),
        ("number", "1e3", "1000"),
        ("number", "-0", "0"),
        ("boolean", "true", "TRUE"),
        ("boolean", "1", "true"),
        ("choice", "SOLAR", "solar"),
        ("choice", "Solar power", "solar"),
        ("choices", "price;price;demo", "price;demo"),
        ("choices", ";price;demo", "demo;price"),
        ("choices", "Price; demo ;", "price;demo"),
        ("text", "a  b", " a b"),
    ],
)
def test_equal_by_type(kind: str, left: str, right: str) -> None:
    """Row 10."""
    assert TYPES[kind].same(left, right) and TYPES[kind].same(right, left)


@pytest.mark.parametrize(
    ("kind", "left", "right"),
    [
        ("text", "1", "1.0"), ("text", "Ann", "ann"), ("number", "12345678901234567890123456789012345",
         "12345678901234567890123456789012346"), ("date", "2025-01-15", "2025-01-16"),
        ("choices", "price", "price;demo"),
        ("choice", "solar", None), ("boolean", "true", "false"), ("datetime", "x", "2025-01-15"), ("number", "", "0"),
    ],
)  # fmt: skip
def test_different_by_type(kind: str, left: str | None, right: str | None) -> None:
    """Row 10."""
    assert not TYPES[kind].same(left, right) and not TYPES[kind].same(right, left)


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("date", "2025-01-15T08:00:00.000Z", "2025-01-15"), ("date", 1736899200000, "2025-01-15"),
        ("date", "2024-02-29T00:00:00+02:00", "2024-02-29"), ("date", "9999-12-31T23:00:00-05:00", "9999-12-31"),
        ("date", "20250115", "2025-01-15"), ("date", "0", "1970-01-01"),
        ("datetime", "2025-01-15", "2025-01-15T00:00:00Z"), ("datetime", "1736928000123", "2025-01-15T08:00:00.123Z"),
        ("number", 3.0, "3"), ("number", "1.50", "1.5"), ("number", "12345678901234567890", "12345678901234567890"),
        ("number", Decimal("100"), "100"), ("boolean", True, "true"), ("boolean", "no", "false"),
        ("choice", "solar POWER", "solar"), ("choices", ["price", "Demo"], "price;demo"),
        ("choices", "price, demo", "price;demo"), ("choices", {"value": ["price"], "title": "What?"}, "price"),
        ("text", ["a", "b"], "a;b"), ("text", {"value": " x "}, "x"), ("text", 3.0, "3"), ("text", [], None),
        ("text", " ", None), ("open", "anything", "anything"), ("text", ["a;b"], "a;b"),
    ],
)  # fmt: skip
def test_converted_by_type(kind: str, value: Any, written: str | None) -> None:
    """Rows 7 and 11."""
    assert TYPES[kind].convert(value) == written


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("datetime", "0001-01-01T00:00:00+02:00"), ("date", "soon"), ("date", "2026"),
        ("date", "9" * 30), ("datetime", "9" * 5000), ("number", "1,234"),
        ("number", True), ("number", "1e9999"), ("number", "NaN"), ("boolean", "perhaps"), ("choice", "wind"),
        ("choices", ["price", "wind"]), ("text", {"a": 1, "b": 2}), ("text", ["a;b", "c"]), ("text", "x" * 9),
        ("date", ["2025-01-15", "2025-01-16"]),
    ],
)  # fmt: skip
def test_what_no_property_of_the_type_holds_is_said_without_the_value(kind: str, value: Any) -> None:
    """Rows 7 and 11."""
    with pytest.raises(Unconvertible) as raised:
        TYPES[kind].convert(value)
    assert str(value) not in str(raised.value)


def test_two_options_of_one_label_are_no_choice() -> None:
    twice = PropertyType("choice", {"a": "Same", "b": "Same"})
    with pytest.raises(Unconvertible):
        twice.convert("same")
    assert twice.convert("b") == "b"


def test_what_is_not_known_is_text() -> None:
    assert PropertyTypes().same("x", "1", " 1") and PropertyTypes().convert("x", 1) == "1"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("value"), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(sorted(TYPES)), ANYTHING)
def test_whatever_comes_is_written_or_refused_and_then_equal_to_itself(kind: str, value: Any) -> None:
    try:
        written = TYPES[kind].convert(value)
    except Unconvertible:
        return
    assert written is None or (TYPES[kind].convert(written) == written and TYPES[kind].same(written, written))


@given(st.sampled_from(sorted(TYPES)), st.text() | st.none(), st.text() | st.none())
def test_comparing_never_fails_and_has_no_direction(kind: str, left: str | None, right: str | None) -> None:
    assert TYPES[kind].same(left, right) == TYPES[kind].same(right, left)


def test_a_record_with_an_object_has_no_text_of_it() -> None:
    assert value_text({"a": 1}) is None and value_text([1, "b"]) == "1;b"
