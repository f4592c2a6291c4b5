"""What stands for values in a memory is the same from Python and from SQL."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_providers_leads.leads.memory.hashing import form_of, keyed, keyed_form, keyed_form_sql, keyed_sql

KEY, NAME = "00ff", "properties.a'b"
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=("Cs", "Cn")), max_size=30),
    st.from_regex(r"\A-?[0-9]{1,6}(\.[0-9]{1,6})?\Z"),
    st.lists(st.sampled_from(["a", "B", "ß", "é", "", " c", "1"]), max_size=5).map(";".join),
    st.sampled_from(["https://www.x.example/", "HTTP://X.example", "+49 (30) 1", "-", "0.0", "-0", "...", "00.10"]),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=50))
def test_sql_and_python_agree(texts: list[str]) -> None:
    hashes = f"{keyed_sql(KEY, NAME, 'v')}, {keyed_form_sql(KEY, NAME, 'v')}"
    with duckdb.connect() as con:
        rows = con.execute(f"SELECT {hashes} FROM (SELECT unnest($1) AS v)", [texts]).fetchall()
    assert rows == [(keyed(KEY, NAME, text), keyed_form(KEY, NAME, text)) for text in texts]


def test_an_absent_value_has_neither_hash_nor_form() -> None:
    with duckdb.connect() as con:
        (row,) = con.sql(f"SELECT {keyed_sql(KEY, NAME, 'NULL')}, {keyed_form_sql(KEY, NAME, 'NULL')}").fetchall()
    assert row == (None, 0)
    assert (keyed(KEY, NAME, None), keyed_form(KEY, NAME, None)) == (None, 0)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("+49 (30) 1", "49301"), ("https://www.X.example/", "xexample"), ("b; a;b", "a;b"), ("1000.0", "1000"),
        ("1.50", "1.5"), ("15", "15"), ("-5", "-5"), ("…", ""), ("0171 998", "0171998"),
    ],
)  # fmt: skip
def test_a_form_is_letters_and_digits(value: str, form: str) -> None:
    assert form_of(value) == form
