"""Tables of delimited text: the delimiter found, rows that are plain read by Arrow, all others line by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import IO, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from airflow_providers_leads.leads.files.columns import strings
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.sources.encoding import utf8
from airflow_providers_leads.leads.sources.headers import SEARCHED, Header, find_header
from airflow_providers_leads.leads.sources.names import ColumnsError, is_unsure, meaning
from airflow_providers_leads.leads.sources.rows import BAD_QUOTES, TOO_MANY_CELLS, Rows, Table

DELIMITERS: Final = (",", ";", "\t", "|")
_SAMPLE: Final = 1 << 18
_QUOTE: Final = ord('"')
_NEW_LINE: Final = ord("\n")
_ENDS: Final = (ord("\n"), ord("\r"))
_UNENDED: Final = "unexpected end of data"


def open_delimited(
    file: IO[bytes],
    path: object,
    wanted: Mapping[str, Sequence[str]],
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    header_row: int | None = None,
) -> Table:
    """Return a table of delimited text.

    :param file: open for reading
    :param path: for messages
    :param wanted: columns that the user names
    :param encoding: of the file; default found
    :param delimiter: one character between cells; default found among comma, semicolon, tab and bar
    :param header_row: number of the row that names the columns, 0: there is none; default found
    :raises StagingError: when it can't be read
    :raises ColumnsError: when no row names a column of addresses
    """
    delimiter = {"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ValueError("delimiter must be one character, such as ';'")
    pieces = utf8(file, path, encoding)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _SAMPLE:
            break
    sample = head[:_SAMPLE].decode("utf-8", "ignore")
    if not sample.strip():
        raise StagingError(f"{path} is empty.")
    before = 0
    if sample[:4].lower() == "sep=" and len(sample) > 4:
        delimiter, before = sample[4], 1
    lines = io.StringIO(sample, newline="").readlines()[before:]
    delimiter, header, used = _dialect(lines, wanted, delimiter, header_row)
    names = header.names
    rest = _after_lines(head, before + used)
    reader = _Reader(names, delimiter)
    rows = reader.rows(chain((rest,), pieces), before + used + 1)
    return Table(names, rows, header.groups, {"delimiter": delimiter})


def _dialect(
    lines: Sequence[str], wanted: Mapping[str, Sequence[str]], delimiter: str | None, header_row: int | None
) -> tuple[str, Header, int]:
    """Return the delimiter, the header, and how many lines that takes.

    The delimiter is the one by which the most names of columns are known, then the one that gives most rows as many
    cells as there are names, then the one that gives most cells.
    """
    found: list[tuple[tuple[int, int, int], str, Header, int]] = []
    failures: list[tuple[tuple[int, int], ColumnsError]] = []
    for candidate in (delimiter,) if delimiter else DELIMITERS:
        rows, ends = _first_rows(lines, candidate)
        width = max((sum(map(bool, row)) for row in rows), default=0)
        try:
            header = find_header(rows, wanted, header_row)
        except ColumnsError as error:
            known = max((sum(bool(meaning(cell)) for cell in row) for row in rows), default=0)
            failures.append(((known, width), error))
            continue
        known = sum((one := meaning(name)) is not None and not is_unsure(one) for name in header.names)
        used = ends[header.rows - 1] if header.rows else 0
        alike = sum(len(row) == len(header.names) for row in rows[header.rows :])
        found.append(((known, alike if len(header.names) > 1 else 0, width), candidate, header, used))
    if not found:
        raise max(failures, key=lambda failure: failure[0])[1]
    _, chosen, header, used = max(found, key=lambda one: one[0])
    return chosen, header, used


def _first_rows(lines: Sequence[str], delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Return the first rows, and the number of the line with which each ends."""
    rows: list[list[str]] = []
    ends: list[int] = []
    reader = csv.reader(iter(lines), delimiter=delimiter, skipinitialspace=delimiter != " ")
    try:
        for row in reader:
            rows.append(row)
            ends.append(reader.line_num)
            if len(rows) > SEARCHED + 1:
                break
    except csv.Error:
        pass
    return rows, ends


def _after_lines(data: bytes, lines: int) -> bytes:
    place = 0
    for _ in range(lines):
        line = data.find(b"\n", place)
        old = data.find(b"\r", place, line if line >= 0 else None)
        if old >= 0 and old + 1 != line:
            line = old
        if line < 0:
            return b""
        place = line + 1
    return data[place:]


class _Reader:
    """Rows out of pieces of UTF-8."""

    def __init__(self, names: Sequence[str], delimiter: str) -> None:
        self._names, self._delimiter = list(names), delimiter
        stops = np.zeros(256, dtype=bool)
        # A delimiter beyond ASCII is no byte: then everything with a quote goes line by line.
        for byte in (*_ENDS, *delimiter.encode()[:1]):
            stops[byte] = True
        self._stops = stops
        self._arrow = len(delimiter.encode()) == 1

    def rows(self, pieces: Iterator[bytes], line: int) -> Iterator[Rows]:
        """Yield rows; ``line`` is the number of the first."""
        rest = b""
        for piece in pieces:
            data = rest + piece if rest else piece
            end = self._plain_end(data) if self._arrow else 0
            if end > 0:
                yield self._plain(data[:end], line)
                line += data.count(b"\n", 0, end)
                rest = data[end:]
                continue
            rows, rest, lines = self._line_by_line(data, line, final=False)
            yield rows
            line += lines
        if rest:
            yield self._line_by_line(rest, line, final=True)[0]

    def _plain_end(self, data: bytes) -> int:
        """Return where the last row ends by the plain rules of quoting, 0 when they don't hold."""
        end = data.rfind(b"\n") + 1
        if not end or data.count(b"\r") != data.count(b"\r\n") + (data[-1:] == b"\r"):
            return 0
        if b'"' not in data:
            return end
        values = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(values == _QUOTE)
        ends = np.flatnonzero(values == _NEW_LINE)
        outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
        if not len(outside):
            return 0
        end = int(outside[-1]) + 1
        quotes = quotes[quotes < end]
        before = np.where(quotes > 0, values[quotes - 1], _NEW_LINE)
        after = values[quotes + 1]
        opening, closing = self._stops[before], self._stops[after]
        alone = ~(opening | closing | (before == _QUOTE) | (after == _QUOTE))
        return 0 if alone.any() or opening.sum() != closing.sum() else end

    def _plain(self, data: bytes, line: int) -> Rows:
        ends = data.count(b"\n")
        try:
            table = pacsv.read_csv(
                pa.py_buffer(data),
                pacsv.ReadOptions(column_names=self._names, use_threads=False, block_size=len(data) + 1),
                pacsv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                pacsv.ConvertOptions(column_types=dict.fromkeys(self._names, pa.string()), check_utf8=False),
            )
        except pa.ArrowInvalid:
            table = None
        # Blank lines, line ends within cells and rows of another length: which line is which, the slow way knows.
        if table is None or table.num_rows != ends:
            return self._line_by_line(data, line, final=True)[0]
        table = table.combine_chunks()
        arrays = [column.chunk(0) if column.num_chunks else strings([]) for column in table.columns]
        return Rows(dict(zip(self._names, arrays, strict=True)), range(line, line + ends))

    def _line_by_line(self, data: bytes, line: int, *, final: bool) -> tuple[Rows, bytes, int]:
        """Return the rows of a piece, what of it is to be read with the next one, and how many lines the rows took."""
        lines = io.StringIO(data.decode(), newline="").readlines()
        left = "" if final or not lines or (lines[-1].endswith("\n")) else lines.pop()
        taken: list[tuple[int, list[str]]] = []
        broken: list[tuple[int, str, str]] = []
        start = 0
        while start < len(lines):
            first = start
            reader = csv.reader(
                (lines[place] for place in range(first, len(lines))),
                delimiter=self._delimiter, strict=True, skipinitialspace=self._delimiter != " ",
            )  # fmt: skip
            try:
                for row in reader:
                    self._take(row, line + start, taken, broken)
                    start = first + reader.line_num
            except csv.Error as error:
                if str(error) == _UNENDED and not final:
                    left = "".join(lines[start:]) + left
                    del lines[start:]
                    break
                # The quote that doesn't end may be one too many: what stands below it is read on its own.
                broken.append((line + start, BAD_QUOTES, lines[start].rstrip("\r\n")))
                start += 1
        cells = [[row[place] if place < len(row) else None for _, row in taken] for place in range(len(self._names))]
        columns = {name: strings(values) for name, values in zip(self._names, cells, strict=True)}
        return Rows(columns, [number for number, _ in taken], broken), left.encode(), len(lines)

    def _take(
        self, row: list[str], line: int, taken: list[tuple[int, list[str]]], broken: list[tuple[int, str, str]]
    ) -> None:
        if not any(map(str.strip, row)):
            return
        if any(cell.strip() for cell in row[len(self._names) :]):
            # Cells have moved: a delimiter within a value stands there unquoted.
            broken.append((line, TOO_MANY_CELLS, self._delimiter.join(row)))
        else:
            taken.append((line, row))
