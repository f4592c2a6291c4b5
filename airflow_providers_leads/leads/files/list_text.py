"""Lists of addresses in text, in every encoding and dialect that spreadsheets write: lines, and tables with or without
names of their columns."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import chain
from typing import Any, Final

from airflow_providers_leads.leads.files.list_columns import ListProblemError, Role, role_of, roles_of
from airflow_providers_leads.leads.files.list_entries import entries_in

_DELIMITERS: Final = ",;\t|"
_CHUNK: Final = 1 << 20
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_TWO_BYTES: Final = re.compile(rb"[\xc3\xc5][\x80-\xbf]")
_SEPARATOR: Final = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE)

Cells = list[tuple[Role, str]]


def decoded(path: Any) -> TextIOWrapper:
    """Open a file for reading as text, in the encoding in which it is.

    :raises ListProblemError: when it is in none that spreadsheets write
    """
    encoding = _encoding(path)
    return TextIOWrapper(path.open("rb"), encoding=encoding, newline="")


def _encoding(path: Any) -> str:
    with path.open("rb") as file:
        head = file.read(1024)
        for mark, name in _BYTE_ORDER_MARKS:
            if head.startswith(mark):
                return name
        # Every other byte of Latin letters is zero then; a single one is left of some program's own.
        if head.count(0) > len(head) * 0.2:
            return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
        file.seek(0)
        utf8, windows = (codecs.getincrementaldecoder(name)() for name in ("utf-8", "cp1252"))
        fits = True
        mixed = False
        while chunk := file.read(_CHUNK):
            mixed = mixed or bool(_TWO_BYTES.search(chunk))
            try:
                fits = fits and utf8.decode(chunk) is not None
            except UnicodeDecodeError:
                fits = False
            if not fits:
                try:
                    windows.decode(chunk)
                except UnicodeDecodeError:
                    raise ListProblemError("in no encoding that spreadsheets write: save it as UTF-8") from None
        try:
            utf8.decode(b"", final=True)
        except UnicodeDecodeError:
            fits = False
    if not fits and mixed:
        raise ListProblemError("part UTF-8 and part not: save it as UTF-8")
    return "utf-8" if fits else "cp1252"


def text_lines(file: TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a list, comments as empty lines so that the others keep their numbers."""
    for line in file:
        yield "\n" if line.lstrip().startswith("#") else line.replace("\0", "")


def text_rows(path: Any, *, lines: bool = False, delimiter: str = ",") -> Iterator[tuple[int, Cells]]:
    """Yield the number of the line of each row, and its cells.

    :param path: path object of the file
    :param lines: true for a file that holds one entry a line unless its first line names columns
    :param delimiter: of cells, where the first line doesn't tell
    :raises ListProblemError: when it is no readable text; ``line`` tells where
    """
    with decoded(path) as file:
        source = text_lines(file)
        skipped, first, separator = 0, "", None
        for first in source:
            if separator := separator or _SEPARATOR.fullmatch(first):
                delimiter, first = separator[1], "" if _SEPARATOR.fullmatch(first) else first
            if first.strip():
                break
            skipped += 1
        if not first.strip():
            return
        if separator is None:
            delimiter = _delimiter(first, delimiter)
        roles = _header(first, delimiter, skipped + 1)
        if not lines or (roles is not None and len(roles) > 1):
            yield from _table(chain([first], source), skipped, delimiter, roles)
            return
        # Below a single title each line is read by itself.
        for place, line in enumerate(source if roles else chain([first], source), start=skipped + 1 + bool(roles)):
            if line.strip():
                yield place, _line_cells(line, delimiter)


def _line_cells(line: str, delimiter: str) -> Cells:
    # A remark begins with a space and a hash; without the space it may be part of an address.
    text = re.split(r"\s#", line, maxsplit=1)[0]
    if entries_in(text) is not None:
        return [(Role.ADDRESS, text)]
    return [(Role.UNNAMED, cell) for cell in _split(text, delimiter)]


def _header(line: str, delimiter: str, place: int) -> list[Role] | None:
    """Return what the columns hold that a first line names, ``None`` when it names none."""
    cells = _split(line, delimiter)
    if any("@" in cell for cell in cells):
        return None
    roles = roles_of(cells)
    if len(cells) == 1 and roles and entries_in(cells[0]):
        raise ListProblemError("could be a domain or the name of a column: write @ before it, or email", place)
    if len(cells) > 1 and roles is None:
        raise ListProblemError("none of the columns is called email, domain, or something like it", place)
    return roles


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])


def _delimiter(line: str, default: str) -> str:
    """Return what separates the cells of a first line: by which most of them are names of columns, or entries."""

    def told(delimiter: str) -> tuple[int, int, bool]:
        cells = _split(line, delimiter)
        good = sum(
            role_of(cell) in (Role.ADDRESS, Role.DOMAIN, Role.ENTRY) or bool("@" in cell and entries_in(cell))
            for cell in cells
        )
        return good, len(cells), delimiter == default

    return max(_DELIMITERS, key=told)


def _table(
    source: Iterator[str], skipped: int, delimiter: str, roles: list[Role] | None
) -> Iterator[tuple[int, Cells]]:
    reader = csv.reader(source, delimiter=delimiter, skipinitialspace=True, strict=True)
    further = Role.UNNAMED if roles is None else Role.UNKNOWN
    while True:
        # Of a row of several lines the first tells where to look.
        place = skipped + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error:
            raise ListProblemError(
                "no readable CSV: a quotation mark is left open, or stands within a cell", place
            ) from None
        if cells is None:
            return
        if place == skipped + 1 and roles is not None:
            continue
        if any(cell.strip() for cell in cells):
            known = (roles or [])[: len(cells)]
            yield place, list(zip([*known, *[further] * (len(cells) - len(known))], cells, strict=True))
