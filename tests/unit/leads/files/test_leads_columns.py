"""Whole columns beside the functions for one value."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_providers_leads.leads.files import columns
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import FLAGS, flag, leftover, moment, text

EVERY = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]

texts = st.none() | st.text(max_size=6)
plain_times = st.datetimes().map(lambda at: at.isoformat() + "Z")
times = (
    plain_times
    | st.datetimes(timezones=st.timezones()).map(str)
    | st.from_regex(r"[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
)


@settings(deadline=None)
@given(st.lists(st.none() | st.text()))
@example(["", None])
def test_texts_become_a_column_and_back(values: list[str | None]) -> None:
    made = columns.strings(values)
    made.validate(full=True)
    assert made.to_pylist() == values


def test_every_character_is_trimmed_alike() -> None:
    framed = [f"{letter}a{letter}" for letter in EVERY]
    assert columns.texts(columns.strings(framed)).to_pylist() == [text(each) for each in framed]
    assert columns.texts(columns.strings(EVERY)).to_pylist() == [text(each) for each in EVERY]


def test_every_character_is_written_alike() -> None:
    made = columns.json_objects({"a": columns.strings(EVERY)})
    assert made.to_pylist() == [leftover({"a": each}) for each in EVERY]


def test_every_character_of_an_address_is_read_alike() -> None:
    # Planes beyond the second hold no letters that fold to others.
    written = [f"a{letter}b@x.de" for letter in EVERY[:0x3000]] + [f"a@x{letter}.de" for letter in EVERY[:0x3000]]
    trimmed = [each.strip() for each in written]
    assert columns.email_keys(columns.strings(trimmed)).to_pylist() == [email_key(each) for each in trimmed]


addresses = (
    st.none()
    | st.emails()
    | st.text("aB.@-'xn ", max_size=12)
    | st.builds(lambda local, domain: f"{'a' * local}@{'b' * domain}.de", st.integers(1, 70), st.integers(1, 70))
    | st.sampled_from(["Ann <a@b.de>", "a@xn--bcher-kva.de", "a@b.de.", "ａ@b.de", "a@b.de\n", "\u212aelvin@x.de"])
)


@settings(deadline=None)
@given(st.lists(addresses.map(lambda each: text(each)), min_size=1, max_size=5))
def test_email_keys(found: list[str | None]) -> None:
    assert columns.email_keys(columns.strings(found)).to_pylist() == [email_key(each) for each in found]


@settings(deadline=None)
@given(st.lists(texts | st.sampled_from([*FLAGS, " TRUE ", "No", "ye\u017f"]), min_size=1, max_size=8))
def test_flags(found: list[str | None]) -> None:
    assert columns.flags(columns.texts(columns.strings(found))).to_pylist() == [flag(text(each)) for each in found]


@settings(deadline=None)
@given(st.lists(texts | times, min_size=1, max_size=5))
@example(["2026-06-31T00:00:00Z", "2026-06-30T00:00:00Z"])
@example(["2026-06-30T23:59:60Z"])
@example(["2026-06-30T24:00:00Z", None, "0:"])
def test_moments(found: list[str | None]) -> None:
    made = columns.moments(columns.strings(found))
    assert made.type == pa.timestamp("us", tz="UTC")
    assert made.to_pylist() == [moment(each) for each in found]


@settings(deadline=None)
@given(
    st.lists(st.text(max_size=4), min_size=1, max_size=3, unique=True)
    .map(sorted)
    .flatmap(
        lambda names: st.tuples(st.just(names), st.lists(st.tuples(*[texts for _ in names]), min_size=1, max_size=4))
    )
)
def test_json_objects(table: tuple[list[str], list[tuple[str | None, ...]]]) -> None:
    names, rows = table
    made = columns.json_objects(
        {name: columns.filled(columns.strings([row[i] for row in rows])) for i, name in enumerate(names)}
    )
    assert made.to_pylist() == [leftover(dict(zip(names, row, strict=True))) for row in rows]


def test_marks() -> None:
    assert columns.marks(columns.strings(["x", None])).to_pylist() == [True, None]


@pytest.mark.parametrize("others", ["error", "ignore"])
def test_fields_beyond_the_schema(others: str) -> None:
    schema = pa.schema([("a", pa.string())])
    if others == "error":
        with pytest.raises(pa.ArrowInvalid):
            columns.read_objects(b'{"a": "x", "b": 1}', schema, others=others)
    else:
        assert columns.read_objects(b'{"a": "x", "b": 1}', schema, others=others).to_pylist() == [{"a": "x"}]


def test_no_pandas_is_loaded() -> None:
    code = """
import sys
from airflow_providers_leads.leads.files import columns as c
text = c.strings([" a ", None, "x@y.de", "Ä@ö.de", "2026-01-01T00:00:00Z", "true"])
for make in (c.texts, c.email_keys, c.flags, c.moments, c.marks):
    make(text)
    assert "pandas" not in sys.modules, make
c.json_objects({"a": text})
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
