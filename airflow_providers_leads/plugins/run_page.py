"""The page of one run: what is unlike the last ones, what to do now, its destinations, tasks and logs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple
from urllib.parse import urlencode

from airflow.providers.common.compat.sdk import conf

from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.plugins.advice import Step, what_now
from airflow_providers_leads.plugins.airflow_runs import RunLine, TaskLine, earlier_runs
from airflow_providers_leads.plugins.opened_run import Opened, counted, open_run, opened, plan_facts, run_reasons
from airflow_providers_leads.plugins.run_files import WriteFiles
from airflow_providers_leads.plugins.runs_page import TREND, UNWRITTEN, bars, headline, status
from airflow_providers_leads.plugins.view import View, reason_code, segment
from airflow_providers_leads.report.page import render
from airflow_providers_leads.report.unlike import Figures, Limits, limits_in, unlike

_MOST_REASONS: Final = 8
_COMPARED: Final = 10
"""Runs that a run is compared to."""
_LOOKED_INTO: Final = 3
"""Of how many of these the files are opened, for their reasons."""

log = logging.getLogger(__name__)


class WriteLine(NamedTuple):
    """A destination of a run: what was planned and what became of it, or why that can't be shown."""

    files: WriteFiles
    facts: PlanFacts | None
    counts: list[tuple[str, int]]
    reasons: list[tuple[str, str, str, int]]
    problem: str
    link: str


def run_page(run: Opened, view: View) -> str:
    """Return the page of a run."""
    line = run.details.line
    earlier = earlier_runs(line, TREND - 1)
    writes = [_write_line(run, files, view) for files in run.own.writes]
    told = _unlike(run, earlier, view)
    return render(
        "run",
        root="../../",
        line=line,
        status=status(line),
        counts=_beside(line, earlier),
        unlike=told,
        steps=_steps(run, writes, told),
        details=run.details,
        failed=[(task, view.text(task.reason)) for task in _failed(run)],
        writes=writes,
        refused=run.own.refused,
        trend_bars=bars([line, *reversed(earlier)]),
        segment=segment,
    )


def _write_line(run: Opened, files: WriteFiles, view: View) -> WriteLine:
    facts = plan_facts(files)
    try:
        with opened(files) as write:
            counts, reasons = counted(write)
    except StagingError as error:
        return WriteLine(files, facts, [], [], str(error), "")
    named = [
        (outcome, view.text(reason), reason_code(reason), number)
        for (outcome, reason), number in reasons.most_common(_MOST_REASONS)
    ]
    link = run.details.links.get(facts.conn_id if facts else files.stem, "")
    return WriteLine(files, facts, list(counts.items()), named, "", link)


def _beside(line: RunLine, earlier: Sequence[RunLine]) -> list[tuple[str, int, int | None]]:
    """Return the numbers of a run, each with that of the run before, ``None`` where that has none."""
    before = dict(headline(earlier[-1].counts)) if earlier else {}
    return [(name, number, before.get(name)) for name, number in headline(line.counts)]


def _failed(run: Opened) -> list[TaskLine]:
    return [task for task in run.details.tasks if task.state in ("failed", "up_for_retry", "upstream_failed")]


def _steps(run: Opened, writes: Sequence[WriteLine], told: Sequence[str]) -> list[Step]:
    line = run.details.line
    outcomes: dict[str, tuple[int, str]] = {}
    for write in writes:
        for name, number in write.counts if write.files.results else ():
            before, url = outcomes.get(name, (0, ""))
            here = f"{segment(line.run_id)}/{segment(write.files.key)}?{urlencode({'outcome': name})}"
            outcomes[name] = (before + number, url or (here if number else ""))
    return what_now(
        waiting=line.waiting,
        run_url=line.url,
        failed=[(task.name, task.url) for task in _failed(run) if task.state == "failed"],
        outcomes=outcomes,
        unlike=bool(told),
    )


def _unlike(run: Opened, earlier: Sequence[RunLine], view: View) -> list[str]:
    """Return in words what is unlike the last runs."""
    compared = [line for line in earlier if line.counts.read is not None or line.counts.outcomes or line.counts.planned]
    compared = compared[-_COMPARED:]
    looked_in = [open_run(line.dag_id, line.run_id) for line in compared[-_LOOKED_INTO:]]
    reasons = {opened.details.line.run_id: run_reasons(opened) for opened in looked_in if opened}
    try:
        limits = limits_in(conf.get("leads", "unlike", fallback=None) or "")
    except ValueError as error:
        log.warning("The Airflow option [leads] unlike can't be used: %s", error)
        limits = Limits()
    now = figures(run.details.line, run_reasons(run))
    if run.details.line.state in ("running", "queued") and not run.details.line.waiting:
        # Still reading: that it has fewer leads than others in the end means nothing.
        now = replace(now, read=None)
    told = unlike(
        now,
        [figures(line, reasons.get(line.run_id)) for line in compared],
        limits,
        planned=not run.details.line.counts.outcomes,
    )
    return [view.text(sentence) for sentence in told]


def figures(line: RunLine, reasons: Mapping[str, int] | None) -> Figures:
    """Return what of a run is compared: what it wrote, or where nothing is written yet what it plans."""
    counts = line.counts
    if not (counts.outcomes or counts.planned):
        return Figures(read=counts.read, sources=counts.sources, reasons=reasons, quotas=counts.quotas)
    written = counts.outcomes or {"created": counts.planned["create"], "updated": counts.planned["update"]}
    return Figures(
        read=counts.read,
        sources=counts.sources,
        created=written.get("created", 0),
        updated=written.get("updated", 0),
        unwritten=sum(counts.outcomes[outcome] for outcome in UNWRITTEN) if counts.outcomes else None,
        reasons=reasons,
        quotas=counts.quotas,
    )
