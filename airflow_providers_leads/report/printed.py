"""What a command prints: rows as a table for people, or as JSON, CSV or YAML for programs, whole in each."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TextIO, TypeVar

import yaml
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

FORMS: Final = ("table", "json", "csv", "yaml")
ROWS_OF_A_TABLE: Final = 50
_UNBOUNDED: Final = 100_000
"""Columns of what is no terminal: lines have no end there."""


def printable(value: str) -> str:
    """Return a value without the characters by which it could take over the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in value)


def console_for(out: TextIO | None = None) -> Console:
    """Return a console that breaks lines on a terminal and nowhere else, and cuts nothing off.

    :param out: where to; default standard output
    """
    console = Console(file=out or sys.stdout, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = _UNBOUNDED
    return console


def whole_table(headers: Sequence[str], rows: Iterable[Sequence[RenderableType]]) -> Table:
    """Return a table whose cells are broken rather than cut where a terminal is narrow."""
    table = Table(highlight=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def print_rows(rows: Sequence[Mapping[str, Any]], form: str, out: TextIO | None = None) -> None:
    """Print rows, all of them with the same keys.

    :param rows: plain values, and mappings and lists of such
    :param form: one of :data:`FORMS`
    :param out: where to; default standard output
    """
    file = out or sys.stdout
    if form == "json":
        file.write(json.dumps(rows, indent=2, ensure_ascii=False, default=str) + "\n")
    elif form == "yaml":
        yaml.safe_dump(list(map(_plain, rows)), file, sort_keys=False, allow_unicode=True)
    elif form == "csv":
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([list(row) for row in rows[:1]])
        writer.writerows([_cell(value) for value in row.values()] for row in rows)
    else:
        table = whole_table(
            list(rows[0]) if rows else (), ([Text(printable(_cell(v))) for v in row.values()] for row in rows)
        )
        console_for(file).print(table)


def print_some(
    rows: Iterator[T], form: str, out: TextIO | None, *, limit: int | None, data: Callable[[T], Mapping[str, Any]],
    table: Callable[[Sequence[T]], Table], totals: Callable[[], str],
) -> None:  # fmt: skip
    """Print rows and what all of them amount to; as anything but a table the rows alone, the rest on standard error.

    :param rows: are read to their end
    :param form: one of :data:`FORMS`
    :param out: where to; default standard output
    :param limit: rows to print at most; default :data:`ROWS_OF_A_TABLE` in a table, else all
    :param data: makes of a row what programs get
    :param table: makes a table of rows
    :param totals: says what all rows amount to, once they are read
    """
    as_table = form == "table"
    some = list(islice(rows, ROWS_OF_A_TABLE if limit is None and as_table else limit))
    more = sum(1 for _ in rows)
    lines = [*([f"… and {more} more rows"] if more else []), totals()]
    if not as_table:
        print_rows([*map(data, some)], form, out)
        sys.stderr.writelines(f"{line}\n" for line in lines)
        return
    console = console_for(out)
    if some:
        console.print(table(some))
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _plain(row: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(row, default=str))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
