"""Rows of text on their way from a file to leads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

BAD_QUOTES: Final = "bad_quotes"
TOO_MANY_CELLS: Final = "too_many_cells"
NO_OBJECT: Final = "no_object"


@dataclass(slots=True)
class Rows:
    """Some rows of a table, by column.

    :param columns: name of a column → its cells as text, null or empty where there is none
    :param lines: of each row, the number of its line in the file, from 1
    :param broken: number, reason and text of lines that are no rows of the table
    :param others: what else each row holds, as objects: of tables whose cells have types
    """

    columns: Mapping[str, pa.Array]
    lines: Sequence[int]
    broken: Sequence[tuple[int, str, str]] = ()
    others: Sequence[dict[str, Any]] | None = None


@dataclass(slots=True)
class Table:
    """An opened table: its columns, and its rows as they are read.

    :param names: of the columns, which grow with the rows where each row names its own
    :param groups: headings above the names
    :param rows: the rows
    :param facts: how it was read, for people to check
    """

    names: list[str]
    rows: Iterator[Rows]
    groups: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
