"""The pages that show runs, and what a run means for each person. Masked, unless they are asked for unmasked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from airflow_providers_leads.leads.files.plan_facts import ACTIONS, PlanFacts, read_plan_facts
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.model.outcomes import OUTCOMES
from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS
from airflow_providers_leads.plugins import airflow_runs
from airflow_providers_leads.plugins.airflow_runs import Counts, RunDetails, RunLine
from airflow_providers_leads.plugins.run_files import OwnFiles, WriteFiles, own_files
from airflow_providers_leads.report.masking import mask_address, mask_addresses, mask_value, visible
from airflow_providers_leads.report.page import render, words
from airflow_providers_leads.report.rows import PENDING, PLANNED, Filters, PersonRow, Write, page
from airflow_providers_leads.tasks.paths import storage_path

STATES: Final = ("waiting", "running", "failed", "success", "queued")
_TREND: Final = 20
_MOST_TRENDS: Final = 8
_MOST_REASONS: Final = 8
_SHORT: Final = 120
"""Letters of a value in a table; the person's own page has all."""
_UNWRITTEN: Final = ("failed", "ambiguous")


@dataclass(frozen=True, slots=True)
class View:
    """How a page is shown.

    :param shown: addresses and values as they are; whoever made this true has written it down
    :param may_unmask: the user may ask for that
    """

    shown: bool = False
    may_unmask: bool = False

    def who(self, address: str) -> str:
        """Return an address as it may be shown."""
        return visible(address if self.shown else mask_address(address))

    def value(self, value: str | None, most: int | None = _SHORT) -> str:
        """Return a value as it may be shown, an empty text for none."""
        if not value:
            return ""
        return visible(value if self.shown else mask_value(value), most)

    def text(self, text: str | None) -> str:
        """Return a reason as it may be shown: it should hold no address, but may be a vendor's."""
        if not text:
            return ""
        return visible(words(text) if self.shown else mask_addresses(words(text)), 400)


class Bar(NamedTuple):
    """One run in a trend: its height in per cent, and what it was."""

    height: int
    state: str
    title: str


def segment(text: str) -> str:
    """Return a text as one segment of an address."""
    return quote(text, safe="")


# The list -----------------------------------------------------------------------------------------------------------


def runs_page(dag_ids: Collection[str], *, search: str = "", state: str = "", before: int | None = None) -> str:
    """Return the list of runs.

    :param dag_ids: DAGs whose runs the user may read
    :param search: words that stand in the ids of DAG and run
    :param state: one of :data:`STATES`
    :param before: number of the run that the page before has ended with
    """
    state = state if state in STATES else ""
    lines, more = airflow_runs.runs(dag_ids, search=search, state=state, before=before)
    names = list(dict.fromkeys(line.dag_id for line in lines))[:_MOST_TRENDS]
    trends = {} if before is not None else {name: _bars(airflow_runs.runs([name], size=_TREND)[0]) for name in names}
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
    if line.state == "success" and any(line.counts.outcomes[outcome] for outcome in _UNWRITTEN):
        return "problem"
    return line.state


def headline(counts: Counts) -> list[tuple[str, int]]:
    """Return the numbers of a run that are worth a place in a list: what was read, and what became of it."""
    numbers = [("read", counts.read), ("people", counts.people)]
    if counts.outcomes:
        numbers += [(outcome, counts.outcomes[outcome]) for outcome in ("created", "updated")]
        numbers += [("not written", sum(counts.outcomes[outcome] for outcome in _UNWRITTEN))]
    elif counts.planned:
        numbers += [(f"to {action}", counts.planned[action]) for action in ("create", "update")]
    return [(name, number) for name, number in numbers if number is not None]


def _bars(lines: Sequence[RunLine]) -> list[Bar]:
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


# One run ------------------------------------------------------------------------------------------------------------


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
    details = airflow_runs.run_details(dag_id, run_id)
    return Opened(details, own_files(details)) if details else None


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
    return render(
        "run",
        root="../../",
        line=line,
        status=status(line),
        counts=headline(line.counts),
        details=run.details,
        failed=[task for task in run.details.tasks if task.state in ("failed", "upstream_failed")],
        writes=[_write_line(run, files, view) for files in run.own.writes],
        refused=run.own.refused,
        trend_bars=_bars([line, *reversed(airflow_runs.earlier_runs(line, _TREND - 1))]),
        segment=segment,
    )


def _write_line(run: Opened, files: WriteFiles, view: View) -> WriteLine:
    facts = _facts(files)
    try:
        with opened(files) as write:
            counts, reasons = _counted(write)
    except StagingError as error:
        return WriteLine(files, facts, [], [], str(error), "")
    named = [
        (outcome, view.text(reason), reason_code(reason), number)
        for (outcome, reason), number in reasons.most_common(_MOST_REASONS)
    ]
    link = run.details.links.get(facts.conn_id if facts else files.stem, "")
    return WriteLine(files, facts, list(counts.items()), named, "", link)


def opened(files: WriteFiles) -> Write:
    """Return a destination's files, open for reading.

    :raises StagingError: naming the file that can't be read
    """
    return Write(*(uri and storage_path(uri) for uri in (files.plan, files.results)))


def _facts(files: WriteFiles) -> PlanFacts | None:
    try:
        return read_plan_facts(storage_path(files.plan)) if files.plan else None
    except StagingError:
        # Of another version: the rows say what they can.
        return None


def _counted(write: Write) -> tuple[Counter[str], Counter[tuple[str, str]]]:
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


# Its people ---------------------------------------------------------------------------------------------------------


def reason_code(reason: str) -> str:
    """Return what stands for a reason in an address: addresses are logged, and a reason is another's text."""
    return hashlib.sha256(reason.encode()).hexdigest()[:12]


class Choice(NamedTuple):
    """One choice of a filter: its value, what people see, how many rows have it, and whether it is chosen."""

    value: str
    label: str
    number: int | None
    chosen: bool


def rows_page(run: Opened, files: WriteFiles, asked: Mapping[str, str], view: View) -> str:
    """Return a page of a destination's people.

    :param asked: ``action``, ``outcome``, ``reason``, ``field``, ``after`` and ``before``, as they stand in the address
    """
    line, facts = run.details.line, _facts(files)
    shared = {
        "root": "../../../", "line": line, "files": files, "facts": facts, "view": view, "segment": segment,
        "link": run.details.links.get(facts.conn_id if facts else files.stem, ""),
    }  # fmt: skip
    try:
        with opened(files) as write:
            reasons = _reasons(write)
            named = {name: asked.get(name, "") for name in ("action", "outcome", "reason", "field")}
            filters = Filters(
                action=named["action"] or None,
                outcome=named["outcome"] or None,
                reason=next((text for text in reasons if reason_code(text) == named["reason"]), None),
                field=named["field"] or None,
            )
            found = page(write, filters, after=_number(asked, "after", -1), before=_number(asked, "before", None))
            choices = _choices(write, facts, named, reasons, view)
            total = write.rows
    except StagingError as error:
        return render(
            "rows", **shared, problem=str(error), rows=[], choices={}, total=0, after="", before="", toggle=""
        )
    kept = {name: value for name, value in named.items() if value}
    shown = {"show": "1"} if view.shown else {}

    def link(**more: Any) -> str:
        return "?" + urlencode({**kept, **shown, **more})

    place = {name: asked[name] for name in ("after", "before") if name in asked}
    return render(
        "rows",
        **shared,
        problem="",
        rows=[person_line(row, view) for row in found.rows],
        choices=choices,
        total=total,
        after=link(after=found.after) if found.after is not None else "",
        before=link(before=found.before) if found.before is not None else "",
        toggle="?" + urlencode({**kept, **place, **({} if view.shown else {"show": "1"})}),
        person_query="?show=1" if view.shown else "",
        filtered=bool(kept),
        clear="?" + urlencode(shown),
    )


def seen(asked: Mapping[str, str]) -> str:
    """Return in words which rows a page shows, by what stands in its address."""
    names = ("action", "outcome", "reason", "field", "after", "before")
    return ", ".join(f"{name} {asked[name][:60]}" for name in names if asked.get(name)) or "from the first row"


def _number(asked: Mapping[str, str], name: str, default: Any) -> Any:
    text = asked.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 13 else default


def _reasons(write: Write) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for file in (write.plan, write.results):
        own: Counter[str] = Counter()
        for (_, reason), number in (file.counts() if file else Counter()).items():
            if reason:
                own[reason] += number
        reasons |= own
    return reasons


def _choices(
    write: Write, facts: PlanFacts | None, named: Mapping[str, str], reasons: Counter[str], view: View
) -> dict[str, list[Choice]]:
    """Return the filters and what each may be."""
    actions: Counter[str] = Counter()
    for (action, _), number in (write.plan.counts() if write.plan else Counter()).items():
        actions[action] += number
    outcomes = _counted(write)[0] if write.results else Counter({PLANNED: write.rows})
    fields = [*PROFILE_FIELDS, *(f"properties.{name}" for name in (facts.properties if facts else ()))]
    numbered: dict[str, list[tuple[str, str, int | None]]] = {
        "action": [(name, words(name), number) for name, number in actions.items() if number],
        "outcome": [(name, words(name), number) for name, number in outcomes.items() if number],
        "reason": [(reason_code(text), view.text(text), number) for text, number in reasons.most_common(50)],
        "field": [(name, visible(words(name)), None) for name in fields],
    }
    return {
        name: [Choice(value, label, number, value == named[name]) for value, label, number in values]
        for name, values in numbered.items()
        if values
    }


def person_line(row: PersonRow, view: View, most: int | None = _SHORT) -> dict[str, Any]:
    """Return a row as it may be shown."""
    return {
        "place": str(row.place),
        "who": view.who(row.email_key),
        "action": visible(row.action or ""),
        "outcome": visible(row.outcome or ""),
        "reason": view.text(row.reason),
        "target_id": visible(row.target_id or ""),
        "request_id": visible(row.request_id or ""),
        "records": row.records,
        "changes": [
            (visible(words(change.field), 80), view.value(change.before, most), view.value(change.after, most),
             change.written)
            for change in row.changes
        ],
    }  # fmt: skip
