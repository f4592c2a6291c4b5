"""The work of the operators that read leads from where no CRM is: files, and tables of databases."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final

import pendulum

from airflow_providers_leads.hooks.registry import crms
from airflow_providers_leads.leads.files.staging import RowWriter, StagingError
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, Lead
from airflow_providers_leads.leads.sources.batches import Made, Reject
from airflow_providers_leads.leads.sources.reading import FileOptions, FileRead, file_parts, read_file
from airflow_providers_leads.leads.sources.rows import BAD_QUOTES, TOO_MANY_CELLS
from airflow_providers_leads.tasks.arguments import given
from airflow_providers_leads.tasks.inputs import as_list, uri_in
from airflow_providers_leads.tasks.paths import storage_path
from airflow_providers_leads.tasks.progress import Progress, phase

_SOURCE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_MOST_FILES_SHOWN: Final = 20
_LEFT_OUT: Final = re.compile(r"\.|~\$")


def check_source(source: Any) -> str:
    """Return the user's word for where leads come from.

    :raises ValueError: when it is no plain word, or a CRM's: its record ids would be taken for that CRM's
    """
    word = given(source)
    if not isinstance(word, str) or not _SOURCE.fullmatch(word):
        raise ValueError(
            "source must be a word of your own for where the leads come from, such as trade_fair: letters, digits, "
            "and _ . - after the first"
        )
    if word in crms():
        raise ValueError(f"source: {word!r} is a CRM, whose record ids these leads don't have. Give another word")
    return word


def leads_from_files(inputs: Any, uri: str, source: str, *, glob: bool, log: Any, **options: Any) -> dict[str, Any]:
    """Read files of leads into one, and return what is worth knowing of it.

    :param inputs: URIs, or results of tasks that have one
    :param uri: the file of leads; rejects are written beside it
    :param source: from :func:`check_source`
    :param options: how they are read, see :class:`~airflow_providers_leads.leads.sources.reading.FileOptions`
    :param glob: take a URI with ``*``, ``?`` or ``[`` for a pattern
    :param log: the task's logger
    :raises StagingError: naming the file that can't be read
    """
    how = FileOptions(**options)
    named = [path for item in as_list(inputs) for path in _paths(uri_in(item, "uri"), glob)]
    paths = [part for path in named for part in file_parts(path, how.format)]
    if not paths:
        raise ValueError("input is empty: give the URI of a file")

    def made(work: Writing) -> Iterator[Made]:
        for path in paths:
            with ExitStack() as stack:
                read = read_file(path, how, source, source, stack)
                before = (work.rows, work.rejected)
                yield from read.made
                work.add_columns(read)
                facts = {**read.facts, "rows": work.rows - before[0], "rejects": work.rejected - before[1]}
                log.info("%s: %s", path, ", ".join(f"{name} {value!r}" for name, value in facts.items()))
                if others := facts.get("sheets_left_out"):
                    log.warning(
                        "%s: the sheets %s have a column of addresses too, and are not read. Read them by tasks of "
                        "their own, with sheet", path, ", ".join(map(repr, others)),
                    )  # fmt: skip

    with phase(log, f"Read {len(paths)} file{'s' if len(paths) > 1 else ''} of leads"):
        result = write_leads(uri, made, source, log)
    return {**result, "files": [str(path) for path in paths[:_MOST_FILES_SHOWN]], "number_of_files": len(paths)}


def _paths(uri: str, glob: bool) -> list[Any]:
    path = storage_path(uri)
    if not glob:
        return [path]
    start = re.search(r"[*?\[]", uri)
    if start is None:
        return [path]
    folder, _, _ = uri[: start.start()].rpartition("/")
    base, pattern = storage_path(folder or "."), uri[len(folder) :].lstrip("/")
    matches = sorted(base.glob(pattern), key=str)
    if not any(step.startswith(".") for step in pattern.split("/")):
        # What a shell leaves out, too: halves of uploads, macOS's companions, and the lock of a workbook that is open.
        matches = [one for one in matches if not any(map(_LEFT_OUT.match, one.parts[len(base.parts) :]))]
    files = [match for match in matches if match.is_file() or str(match).endswith(".parquet")]
    if not files:
        raise StagingError(f"{uri}: no file has a name of this pattern.")
    return files


class Writing:
    """Leads and rejects on their way into their files, and what there is to tell of them."""

    def __init__(self, leads: RowWriter, rejects: RowWriter) -> None:
        self._leads, self._rejects = leads, rejects
        self.rows = self.rejected = 0
        self.reasons: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.columns: dict[str, list[str]] = {}
        self.fields: set[str] | None = None
        """Fields that each of the files has a column for."""
        self.properties: list[str] = []
        self.further_addresses: dict[str, None] = {}
        self._ids: dict[int, tuple[int, int]] = {}

    def add(self, made: Made) -> None:
        """Write some of them.

        :raises StagingError: when two people have one record id: the merge would take them for one
        """
        if made.named:
            self._check_ids(made)
        self._leads.write_all(made.leads)
        self._rejects.write_all(made.rejects)
        self.rows += made.leads.num_rows
        self.rejected += len(made.rejects)
        self.reasons.update(reject.reason for reject in made.rejects)
        self.lost.update(made.lost)

    def _check_ids(self, made: Made) -> None:
        named = (made.leads.column(name).to_pylist() for name in ("source_id", "email_key"))
        for line, record, person in zip(made.lines, *named, strict=True):
            earlier = self._ids.setdefault(hash(record), (hash(person), line))
            if earlier[0] != hash(person):
                raise StagingError(
                    f"Lines {earlier[1]} and {line} have the same record id and different addresses: the column that "
                    "columns gives for source_id is no id. Without one, records are named by a hash of their row."
                )

    def add_columns(self, read: FileRead) -> None:
        """Note what the columns of a file are."""
        self.fields = set(read.columns.shown) & (self.fields if self.fields is not None else set(read.columns.shown))
        for name, columns in read.columns.shown.items():
            known = self.columns.setdefault(name, [])
            known += [column for column in columns if column not in known]
        self.properties += [name for name in read.columns.properties if name not in self.properties]
        self.further_addresses |= dict.fromkeys(read.columns.further_addresses)


def write_leads(uri: str, made: Any, source: str, log: Any) -> dict[str, Any]:
    """Write leads and rejects, and return what an extract would.

    :param uri: the file of leads
    :param made: yields what is to be written, given the :class:`Writing`
    :param source: where they come from
    :param log: the task's logger
    """
    rejects_uri = f"{uri.removesuffix('.parquet').removesuffix('.leads')}.unusable.parquet"
    at = pendulum.now("UTC").isoformat()
    progress = Progress(log, f"{source}: read")
    with RowWriter(storage_path(uri), Lead) as leads, RowWriter(storage_path(rejects_uri), Reject) as rejects:
        work = Writing(leads, rejects)
        for some in made(work):
            work.add(some)
            progress.at(work.rows)
    _tell(work, source, log, rejects_uri)
    return {
        "uri": uri,
        "rows": work.rows,
        "watermark": at,
        "source": source,
        "complete": False,
        "since": None,
        "parts": {source: work.rows},
        "rejects": work.rejected,
        "rejects_uri": rejects_uri,
        "columns": work.columns,
        "fields": sorted(work.fields or ()),
        "lost": dict(work.lost),
    }


def _tell(work: Writing, source: str, log: Any, rejects_uri: str) -> None:
    for name, columns in work.columns.items():
        log.info("%s: %s is %s", source, name, ", then ".join(map(repr, columns)))
    if work.properties:
        log.info("%s: these go to properties: %s", source, ", ".join(map(repr, work.properties)))
    if further := [*work.further_addresses]:
        log.info(
            "%s: nobody is known by %s yet. If they are further addresses of the same people, give columns=%r",
            source, ", ".join(map(repr, further)), {ALIASES_PROPERTY: further},
        )  # fmt: skip
    log.info("%s: %d leads, %d rows can't be used", source, work.rows, work.rejected)
    if work.rejected:
        reasons = ", ".join(f"{reason} {number}" for reason, number in work.reasons.most_common())
        log.warning("%s: rows that can't be used stand with their lines in %s: %s", source, rejects_uri, reasons)
    mixed = sum(work.reasons[reason] for reason in (BAD_QUOTES, TOO_MANY_CELLS))
    if mixed and "opted_out" in work.columns:
        log.warning("%s: who opted out in %d rows whose cells can't be told apart is not known", source, mixed)
    for name, number in work.lost.items():
        log.warning("%s: %d values of %s were left out: %s", source, number, name, _LOST.get(name, _LOST_TIME))


_LOST: Final[Mapping[str, str]] = {
    "phone": "a spreadsheet has rounded these numbers (such as 4.93E+11). Export the column as text",
}
_LOST_TIME: Final = "which day they mean is not certain. Give date_order, such as dmy; the texts are in properties"
