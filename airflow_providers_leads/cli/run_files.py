"""The files of a run on the command line: a plan, its results, and the report of all."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from airflow_providers_leads.cli.places import as_uri
from airflow_providers_leads.cli.terminal import Terminal
from airflow_providers_leads.leads.files.plan_facts import read_plan_facts
from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.model.outcomes import OUTCOMES, WriteResult
from airflow_providers_leads.plan import show
from airflow_providers_leads.report.files import MEMORY, RunFiles, uris_below
from airflow_providers_leads.report.masking import mask_address, mask_addresses
from airflow_providers_leads.report.page import write_text
from airflow_providers_leads.report.printed import print_rows, print_some, printable, whole_table
from airflow_providers_leads.report.run import Run
from airflow_providers_leads.report.sync import status, summary, sync_page
from airflow_providers_leads.report.sync_facts import read_sync
from airflow_providers_leads.tasks.paths import storage_path


def plan(given: argparse.Namespace, out: TextIO) -> int:
    """Print a plan.

    :raises StagingError: when the file is missing, damaged, or no plan
    """
    uri = storage_path(as_uri(given.uri))
    facts = read_plan_facts(uri)
    show(uri, facts, shown=given.show_addresses, action=given.action, limit=given.limit, form=given.output, out=out)
    return 0


def results(given: argparse.Namespace, out: TextIO) -> int:
    """Print what became of a plan: as anything but a table the rows alone, and the totals on standard error.

    :raises StagingError: when the file is missing, damaged, or holds no results
    """
    totals: Counter[str] = Counter()

    def chosen() -> Iterator[WriteResult]:
        for row in read_rows(storage_path(as_uri(given.uri)), WriteResult):
            totals[row.outcome] += 1
            if given.outcome in (None, row.outcome):
                yield row

    print_some(
        chosen(),
        given.output,
        out,
        limit=given.limit,
        data=lambda row: _data(row, shown=given.show_addresses),
        table=lambda rows: _table([_data(row, shown=given.show_addresses) for row in rows]),
        totals=lambda: ", ".join(f"{outcome} {totals[outcome]}" for outcome in OUTCOMES),
    )
    return 0


def report(given: argparse.Namespace, out: TextIO) -> int:
    """Make the report of the files below a folder.

    :raises ValueError: when there are none, or the report's name is no file's
    :raises StagingError: naming the file that is damaged
    """
    if not given.file.lower().endswith((".html", ".htm")):
        raise ValueError(f"{given.file} can't be written: give a file whose name ends in .html")
    folder = storage_path(as_uri(given.folder).rstrip("/"))
    files = RunFiles()
    with Terminal():
        files.add_names(uris_below(folder, MEMORY))
        if not files.all:
            raise ValueError(f"{given.folder} holds no files of a run")
        now = datetime.now(UTC)
        run = Run(dag_id=folder.parent.name, run_id=folder.name, at=now, started=None, finished=now, files=files.all)
        facts = read_sync(files, storage_path)
        write_text(storage_path(as_uri(given.file)), sync_page(facts, run, (), show_addresses=given.show_addresses))
    made = {"report": given.file, "status": status(facts, run), "summary": summary(facts, run)}
    if given.output == "table":
        out.write(f"{made['summary']}\n{made['report']}\n")
    else:
        print_rows([made], given.output, out)
    return 0


def _data(row: WriteResult, *, shown: bool) -> dict[str, Any]:
    return {
        "outcome": row.outcome,
        "person": row.email_key if shown else mask_address(row.email_key),
        "reason": row.reason if shown or row.reason is None else mask_addresses(row.reason),
        "target_id": row.target_id,
        "fields": row.fields,
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = ([Text(printable(_cell(value))) for value in row.values()] for row in rows)
    return whole_table([name.replace("_", " ").capitalize() for name in rows[0]], cells)


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else value or ""
