"""Leads from where no CRM is: the files and tables that people already have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import OperatorArguments, References, Templated
from airflow_providers_leads.tasks.arguments import as_bool, as_shown, given
from airflow_providers_leads.tasks.lineage import Datasets
from airflow_providers_leads.tasks.paths import file_name, resolve_folder

Column = str | Sequence[str] | None


class LeadsFromFileOperator(LeadsOperator):
    """Read leads from files that people have: CSV, Excel, JSON Lines or Parquet.

    What it gives is what an extract gives, so that every other operator of the pipeline takes it.

    .. code-block:: python

        LeadsFromFileOperator(task_id="fair", input="s3://conn@bucket/fair.csv", source="trade_fair")

    Which column is what is guessed by its name, in English and German (``E-Mail``, ``Vorname``, ``Company Name``), and
    shown in the log and the result; other columns go to ``properties``. Whoever a column such as ``unsubscribed``,
    ``opt_out`` or ``Abgemeldet`` marks is opted out. A phone number whose digits a spreadsheet has rounded
    (``4.93E+11``) and a date that can mean two days are left out, and counted.

    :param input: URI of a file, a list of them, or results of tasks that wrote one; also compressed (``.gz``)
    :param columns: field of a lead → name of its column, several names of which the first with a value counts, or
        ``None`` for no column: ``{"email": "Kontakt", "phone": ["Mobil", "Telefon"], "source_id": "Kundennummer"}``.
        What is not named is guessed. ``source_id`` is never guessed: by default a record's id is a hash of its row
    :param source: your word for where the leads come from, which policies and lineage know them by; default ``file``
    :param output: URI prefix (a folder) or the URI of a ``.parquet`` file; default below ``[leads] staging``
    :param glob: true takes ``*``, ``?`` and ``[…]`` in ``input`` for a pattern; default false
    :param format: ``csv``, ``excel``, ``jsonl`` or ``parquet``; default by the end of the name. Excel needs the extra
        ``airflow-providers-leads[excel]``
    :param encoding: of text, such as ``cp1252``; default found
    :param delimiter: between the cells of text; default found among comma, semicolon, tab and bar
    :param sheet: of a workbook; default the first with a column of addresses
    :param header_row: number of the row that names the columns, from 1; 0: there is none, and columns are called
        ``Column 1``, ``Column 2``, …; default found, below titles and blank rows
    :param date_order: ``dmy``, ``mdy`` or ``ymd``; default by what a column's first dates can mean. Times without an
        offset are UTC
    :return: as of an extract (``uri``, ``rows``, ``source``, ``rejects``, …; never ``complete``), and ``rejects_uri``
        (rows that can't be used, with file, line and reason), ``columns`` (field → columns), ``lost`` (field → values
        left out), ``files``
    :raises ValueError: for a bad argument or a file that can't be read: without a column of addresses with the columns
        that there are, in an unreadable encoding with the byte and the line
    """

    template_fields: Sequence[str] = (
        "input", "columns", "source", "output_uri", "glob", "format", "encoding", "delimiter", "sheet", "header_row",
        "date_order",
    )  # fmt: skip
    stages = True
    ui_color = "#fff6e5"
    datasets = Datasets(reads=("input",), writes=("uri", "rejects_uri"))
    choices: ClassVar[Mapping[str, Sequence[str]]] = {
        "format": ("csv", "excel", "jsonl", "parquet"),
        "date_order": ("dmy", "mdy", "ymd"),
    }

    def __init__(
        self,
        *,
        input: References,
        columns: Templated[Mapping[str, Column]] | None = None,
        source: Templated[str] = "file",
        output: Templated[str] | None = None,
        glob: Templated[bool] = False,
        format: Templated[str] | None = None,
        encoding: Templated[str] | None = None,
        delimiter: Templated[str] | None = None,
        sheet: Templated[str] | None = None,
        header_row: Templated[int] | None = None,
        date_order: Templated[str] | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input: Any = input
        self.columns: Any = columns
        self.source: Any = source
        self.output_uri: Any = output
        self.glob: Any = glob
        self.format: Any = format
        self.encoding: Any = encoding
        self.delimiter: Any = delimiter
        self.sheet: Any = sheet
        self.header_row: Any = header_row
        self.date_order: Any = date_order

    def run(self, context: Context) -> dict[str, Any]:
        """Read; see the class."""
        from airflow_providers_leads.tasks.sources.files import check_source, leads_from_files

        source = check_source(self.source)
        folder = resolve_folder(self.output_uri, context)
        uri = folder if folder.endswith(".parquet") else f"{folder}/{file_name(source, context)}.leads.parquet"
        return leads_from_files(
            self.input,
            uri,
            source,
            glob=as_bool("glob", self.glob),
            log=self.log,
            columns=as_shown("columns", self.columns) or {},
            format=given(self.format),
            encoding=given(self.encoding),
            # A blank is one, too.
            delimiter=self.delimiter or None,
            sheet=given(self.sheet),
            header_row=_row_number(self.header_row),
            date_order=given(self.date_order),
        )


def _row_number(value: Any) -> int | None:
    if given(value) is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise ValueError("header_row must be the number of a row from 1, or 0 for none")
    return number
