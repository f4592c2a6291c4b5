"""Delimited text: plain pieces by Arrow and others line by line give the same rows, with the lines they stand in."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_providers_leads.leads.sources import delimited, encoding
from airflow_providers_leads.leads.sources.delimited import open_delimited

CELL = st.text(st.sampled_from('ab,;"\n\r \té'), max_size=6)
ROWS = st.lists(st.tuples(CELL, CELL, CELL), max_size=12)


def read(data: bytes, **options: Any) -> tuple[list[tuple[str, ...]], list[int], list[tuple[int, str, str]]]:
    table = open_delimited(io.BytesIO(data), "x.csv", {}, **options)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    broken: list[tuple[int, str, str]] = []
    for some in table.rows:
        rows += zip(*(column.to_pylist() for column in some.columns.values()), strict=True)
        lines += some.lines
        broken += some.broken
    return rows, lines, broken


def written(rows: list[tuple[str, ...]], quoting: Any, end: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=quoting)
    writer.writerow(("email", "b", "c"))
    writer.writerows(rows)
    return out.getvalue().encode()


@settings(max_examples=300, deadline=None)
# Python writes a lone carriage return unquoted where lines end otherwise.
@given(
    ROWS,
    st.sampled_from(((csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_MINIMAL, "\r\n"))),
    st.integers(1, 40),
)
def test_what_is_written_is_read_whatever_the_pieces(
    rows: list[tuple[str, ...]], how: tuple[Any, str], size: int
) -> None:
    data = written(rows, *how)
    with pytest.MonkeyPatch.context() as patch:
        # The first pieces hold the header; all after them are as small as this.
        patch.setattr(encoding, "CHUNK", size)
        patch.setattr(delimited, "_SAMPLE", 20)
        found, lines, broken = read(data, delimiter=",", header_row=1)
    kept = [row for row in rows if any(map(str.strip, row))]
    trimmed = [tuple(cell.strip(" ") for cell in row) for row in found if any(map(str.strip, row))]
    assert trimmed == [tuple(cell.strip(" ") for cell in row) for row in kept]
    assert broken == []
    assert lines == sorted(lines)


@pytest.mark.parametrize("slow", [False, True])
def test_lines_are_those_of_the_file(monkeypatch: pytest.MonkeyPatch, slow: bool) -> None:
    if slow:
        monkeypatch.setattr(delimited._Reader, "_plain_end", lambda self, data: 0)
    data = b'email,b\na@example.com,1\nb@example.com,2\n"c@example.com","3"\n'
    rows, lines, _ = read(data)
    assert rows == [("a@example.com", "1"), ("b@example.com", "2"), ("c@example.com", "3")]
    assert lines == [2, 3, 4]


def test_a_quote_that_never_ends_takes_nothing_with_it() -> None:
    """Row 23: what stands below is read on its own."""
    good = "".join(f"p{number}@example.com,{number}\n" for number in range(20_000))
    rows, lines, broken = read(f'email,b\ncarl@example.com,"asked twice\n{good}'.encode())
    assert (len(rows), lines[0], lines[-1]) == (20_000, 3, 20_002)
    assert broken == [(2, "bad_quotes", 'carl@example.com,"asked twice')]


@pytest.mark.parametrize(
    ("data", "delimiter"),
    [
        ("email,a;b\nx@example.com,1;2\n", ","),
        ("email;a,b\nx@example.com;1,2\n", ";"),
        ("E-Mail\tName\nx@example.com\tA, B; C\n", "\t"),
        ("E-Mail|Name\nx@example.com|A, B\n", "|"),
        ("email\nx@example.com\n", ","),
    ],
)
def test_the_delimiter_is_found(data: str, delimiter: str) -> None:
    assert open_delimited(io.BytesIO(data.encode()), "x.csv", {}).facts["delimiter"] == delimiter
