"""A run and its files, opened to be shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from airflow_providers_leads.leads.files.plan_facts import ACTIONS, PlanFacts, read_plan_facts
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.model.outcomes import OUTCOMES
from airflow_providers_leads.plugins.airflow_runs import RunDetails, run_details
from airflow_providers_leads.plugins.run_files import OwnFiles, WriteFiles, own_files
from airflow_providers_leads.report.rows import PENDING, Write
from airflow_providers_leads.report.unlike import kinds_of
from airflow_providers_leads.tasks.paths import storage_path


@dataclass(slots=True)
class Opened:
    """A run and its files."""

    details: RunDetails
    own: OwnFiles

    def write(self, key: str) -> WriteFiles | None:
        """Return the files of a destination by its key."""
        return next((write for write in self.own.writes if write.key == key), None)


def open_run(dag_id: str, run_id: str) -> Opened | None:
    """Return a run, ``None`` when there is none."""
    details = run_details(dag_id, run_id)
    return Opened(details, own_files(details)) if details else None


def opened(files: WriteFiles) -> Write:
    """Return a destination's files, open for reading.

    :raises StagingError: naming the file that can't be read
    """
    return Write(*(uri and storage_path(uri) for uri in (files.plan, files.results)))


def plan_facts(files: WriteFiles) -> PlanFacts | None:
    """Return what a plan says of itself, ``None`` where that is not known."""
    try:
        return read_plan_facts(storage_path(files.plan)) if files.plan else None
    except StagingError:
        # Of another version: the rows say what they can.
        return None


def counted(write: Write) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Return rows by outcome, or by action where nothing is written yet, and by outcome and reason."""
    file = write.results or write.plan
    order = OUTCOMES if write.results else ACTIONS
    outcomes: Counter[str] = Counter(dict.fromkeys(order, 0))
    reasons: Counter[tuple[str, str]] = Counter()
    for (kind, reason), number in (file.counts() if file else Counter()).items():
        outcomes[kind] += number
        if reason and kind not in ("created", "updated"):
            reasons[kind, reason] += number
    if write.results and write.plan and (pending := write.plan.rows - write.results.rows) > 0:
        outcomes[PENDING] = pending
    return outcomes, reasons


def reasons_of(write: Write) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for file in (write.plan, write.results):
        own: Counter[str] = Counter()
        for (_, reason), number in (file.counts() if file else Counter()).items():
            if reason:
                own[reason] += number
        reasons |= own
    return reasons


def run_reasons(run: Opened) -> Counter[str] | None:
    """Return kind of reason → people of a run's files, ``None`` where none can be read."""
    found: Counter[str] | None = None
    for files in run.own.writes:
        try:
            with opened(files) as write:
                found = (found or Counter()) + kinds_of(reasons_of(write))
        except StagingError:
            continue
    return found
