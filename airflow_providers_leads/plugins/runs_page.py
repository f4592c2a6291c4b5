"""The list of runs, and what a run says in a line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from airflow_providers_leads.plugins.airflow_runs import Counts, RunLine, runs
from airflow_providers_leads.plugins.view import segment
from airflow_providers_leads.report.page import render, words

STATES: Final = ("waiting", "running", "failed", "success", "queued")
TREND: Final = 20
"""Runs of a trend."""
UNWRITTEN: Final = ("failed", "ambiguous")
_MOST_TRENDS: Final = 8


class Bar(NamedTuple):
    """One run in a trend: its height in per cent, and what it was."""

    height: int
    state: str
    title: str


def runs_page(dag_ids: Collection[str], *, search: str = "", state: str = "", before: int | None = None) -> str:
    """Return the list of runs.

    :param dag_ids: DAGs whose runs the user may read
    :param search: words that stand in the ids of DAG and run
    :param state: one of :data:`STATES`
    :param before: number of the run that the page before has ended with
    """
    state = state if state in STATES else ""
    lines, more = runs(dag_ids, search=search, state=state, before=before)
    names = list(dict.fromkeys(line.dag_id for line in lines))[:_MOST_TRENDS]
    trends = {} if before is not None else {name: bars(runs([name], size=TREND)[0]) for name in names}
    asked = {name: value for name, value in (("search", search), ("state", state)) if value}
    return render(
        "runs",
        root="",
        lines=[(line, status(line), headline(line.counts)) for line in lines],
        trends=trends,
        states=STATES,
        search=search,
        state=state,
        known=bool(dag_ids),
        more="?" + urlencode({**asked, "before": more}) if more else "",
        begun="?" + urlencode(asked) if before is not None else "",
        segment=segment,
    )


def status(line: RunLine) -> str:
    """Return a run's state as people say it: one that succeeded and left people unwritten needs a look."""
    if line.waiting:
        return "waiting"
    if line.state == "success" and any(line.counts.outcomes[outcome] for outcome in UNWRITTEN):
        return "problem"
    return line.state


def headline(counts: Counts) -> list[tuple[str, int]]:
    """Return the numbers of a run that are worth a place in a list: what was read, and what became of it."""
    numbers = [("read", counts.read), ("people", counts.people)]
    if counts.outcomes:
        numbers += [(outcome, counts.outcomes[outcome]) for outcome in ("created", "updated")]
        numbers += [("not written", sum(counts.outcomes[outcome] for outcome in UNWRITTEN))]
    elif counts.planned:
        numbers += [(f"to {action}", counts.planned[action]) for action in ("create", "update")]
    return [(name, number) for name, number in numbers if number is not None]


def bars(lines: Sequence[RunLine]) -> list[Bar]:
    """Return the trend of a DAG: of each run how many people it wrote, the oldest first."""
    sizes = [sum(line.counts.outcomes[name] for name in ("created", "updated")) for line in lines]
    most = max(sizes, default=0) or 1
    return [
        Bar(
            height=max(round(100 * size / most), 4),
            state=status(line),
            title=f"{line.run_id}: {size:,} written, {words(status(line))}",
        )
        for line, size in zip(reversed(lines), reversed(sizes), strict=True)
    ]
