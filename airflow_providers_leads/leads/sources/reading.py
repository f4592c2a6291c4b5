"""Files of leads that people have, of any form, as record batches of leads."""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from gzip import BadGzipFile
from itertools import chain
from typing import IO, Any, Final

from airflow_providers_leads.leads.files.places import parts_of
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.sources.batches import Made, Origin, make_leads, orders_of
from airflow_providers_leads.leads.sources.delimited import open_delimited
from airflow_providers_leads.leads.sources.names import Columns, ColumnsError, assign, chosen, listing, nearest_column
from airflow_providers_leads.leads.sources.rows import Table
from airflow_providers_leads.leads.sources.sheets import open_sheet
from airflow_providers_leads.leads.sources.typed import open_json_lines, open_parquet_table
from airflow_providers_leads.leads.sources.values import ORDERS

ENDINGS: Final[Mapping[str, str]] = {
    "csv": "csv", "tsv": "csv", "txt": "csv", "tab": "csv", "xlsx": "excel", "xlsm": "excel", "xlsb": "excel",
    "xls": "excel", "ods": "excel", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl", "parquet": "parquet",
}  # fmt: skip
"""How a file's name ends → its format."""
FORMATS: Final = ("csv", "excel", "jsonl", "parquet")
_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """How files are read.

    :param columns: field of a lead → name of its column, or several, of which the first that has a value counts; no
        name leaves the field out
    :param format: ``csv``, ``excel``, ``jsonl`` or ``parquet``; default by the end of the file's name
    :param encoding: of text; default found
    :param delimiter: between cells of text; default found
    :param sheet: of a workbook; default the first that is not hidden and has a column of addresses
    :param header_row: number of the row that names the columns, 0: there is none; default found
    :param date_order: ``dmy``, ``mdy`` or ``ymd``; default by what a column's dates can mean
    :raises ValueError: naming the option that is wrong
    """

    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    header_row: int | None = None
    date_order: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", chosen(self.columns))
        for name, known in (("format", FORMATS), ("date_order", ORDERS)):
            value = getattr(self, name)
            if value is not None and value not in known:
                near = "".join(f"; did you mean {one!r}?" for one in get_close_matches(str(value), known, n=1))
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}{near}")


@dataclass(slots=True)
class FileRead:
    """A file whose leads are read as :attr:`made` is consumed.

    :param columns: what each of its columns is; of JSON Lines they grow as rows name more
    :param facts: how it was read
    :param made: leads and rejects
    """

    columns: Columns
    facts: dict[str, Any]
    made: Iterator[Made]
    lost: Counter[str] = field(default_factory=Counter)


def file_parts(path: Any, form: str | None = None) -> list[Any]:
    """Return the files that a name stands for: itself, or the Parquet files of a folder, as extracts leave them.

    :param path: path object
    :param form: the format, default by the end of the name
    :raises StagingError: when it is a folder without such, or not all of its parts are there yet
    """
    if (form or _form_of(path) or "parquet") != "parquet":
        return [path]
    return parts_of(path)


def _form_of(path: Any) -> str | None:
    """Return the format that the end of a name tells."""
    return ENDINGS.get(str(path.name).lower().removesuffix(".gz").rpartition(".")[2])


def read_file(path: Any, options: FileOptions, source: str, scope: str, stack: ExitStack) -> FileRead:
    """Open a file of leads.

    :param path: path object
    :param options: how it is read
    :param source: the user's word for where its leads come from
    :param scope: sets parts of one source apart
    :param stack: closes the file
    :raises StagingError: naming the file that can't be read, and where
    :raises ValueError: for an option that doesn't fit
    """
    packed = str(path.name).lower().endswith(".gz")
    form = options.format or _form_of(path)
    if form is None:
        known = ", ".join(f".{one}" for one in ENDINGS)
        raise StagingError(f"{path}: what its format is can't be told by its name. Give format, or a name in {known}.")
    try:
        file = stack.enter_context(path.open("rb", **({"compression": "gzip"} if packed else {})))
    except FileNotFoundError:
        more = " For several files by a pattern give glob=True." if "*" in str(path) else ""
        raise StagingError(f"{path} does not exist.{more}") from None
    except IsADirectoryError:
        raise StagingError(f"{path} is a folder. For the files in it give glob=True and a pattern: {path}/*") from None
    except OSError as error:
        raise StagingError(f"{path} can't be read: {error.strerror or type(error).__name__}.") from None
    try:
        with _unpacked(path):
            table = _OPENERS[form](file, path, options)
    except ColumnsError as error:
        raise StagingError(f"{path} {error}") from None
    table.facts = {"format": form, **table.facts}
    read = table_leads(table, options, str(path), source, scope)
    read.made = _all_unpacked(read.made, path)
    return read


@contextmanager
def _unpacked(path: object) -> Iterator[None]:
    """Name the file that can't be unpacked."""
    try:
        yield
    except BadGzipFile:
        raise StagingError(
            f"{path} is not packed, as .gz says, or damaged: give it the name that it should have."
        ) from None
    except (EOFError, zlib.error):
        raise StagingError(f"{path} is cut off or damaged, and can't be unpacked: copy it anew.") from None


def _all_unpacked(made: Iterator[Made], path: object) -> Iterator[Made]:
    with _unpacked(path):
        yield from made


def table_leads(table: Table, options: FileOptions, name: str, source: str, scope: str) -> FileRead:
    """Return a table's leads, which are read as they are consumed.

    :param table: the table
    :param options: what its columns are
    :param name: of the table, for messages and rejects
    :param source: the user's word for where its leads come from
    :param scope: sets parts of one source apart
    :raises StagingError: naming the table when it has no column of addresses
    """
    try:
        columns = _assigned(table, options)
    except ColumnsError as error:
        raise StagingError(f"{name} {error}") from None
    read = FileRead(columns, table.facts, iter(()))
    read.made = _made(table, read, options, Origin(name, source, scope))
    return read


def _csv(file: IO[bytes], path: Any, options: FileOptions) -> Table:
    return open_delimited(
        file, path, options.columns,
        encoding=options.encoding, delimiter=options.delimiter, header_row=options.header_row,
    )  # fmt: skip


_OPENERS: Final[Mapping[str, Callable[[IO[bytes], Any, FileOptions], Table]]] = {
    "csv": _csv,
    "excel": lambda file, path, options: open_sheet(
        file, path, options.columns, sheet=options.sheet, header_row=options.header_row
    ),
    "jsonl": lambda file, path, options: open_json_lines(file, path, options.encoding),
    "parquet": lambda file, path, options: open_parquet_table(file, path),
}


def _assigned(table: Table, options: FileOptions) -> Columns:
    columns = assign(table.names, options.columns, table.groups)
    if "email" not in columns.fields:
        near = nearest_column("email", table.names)
        raise ColumnsError(f"has no column that is named for an address{near}. {listing(table.names)}")
    return columns


def _made(table: Table, read: FileRead, options: FileOptions, origin: Origin) -> Iterator[Made]:
    """Yield what rows become, in their order; the next ones are made meanwhile."""
    rows = iter(table.rows)
    first = next(rows, None)
    if first is None:
        return
    orders = orders_of(first, read.columns, options.date_order)
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="leads-file") as pool:
        for some in chain((first,), rows):
            if len(table.names) > len(read.columns.names):
                # A key that comes late may be the one that says who opted out.
                read.columns = assign(table.names, options.columns, table.groups)
                orders = {**orders_of(some, read.columns, options.date_order), **orders}
            if some.others is not None:
                kept = set(read.columns.properties)
                some.others = [{name: row[name] for name in row if name in kept} for row in some.others]
            waiting.append(pool.submit(make_leads, some, read.columns, origin, orders))
            while len(waiting) > _AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
