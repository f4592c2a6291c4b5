"""The sync report: what a run did, as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal

from markupsafe import Markup

from airflow_providers_leads.leads.model.outcomes import OUTCOMES
from airflow_providers_leads.report import charts
from airflow_providers_leads.report.flow import Flow, flow_svg
from airflow_providers_leads.report.history import Entry
from airflow_providers_leads.report.masking import mask_address, mask_addresses, mask_value
from airflow_providers_leads.report.merge_facts import told
from airflow_providers_leads.report.page import moment, percent, reason_words, render, words
from airflow_providers_leads.report.run import Run
from airflow_providers_leads.report.sync_facts import PENDING, Destination, SyncFacts
from airflow_providers_leads.report.unlike import Figures, Limits, kinds_of, unlike

_ORDER: Final = (*OUTCOMES, PENDING)
_FLOW_WIDTHS: Final = {"narrow": 330, "middle": 640, "wide": 1000}
_FIELDS: Final = {"new": "created", "filled": "updated", "replaced": "suppressed"}
"""Kind of write → CSS variable of its colour."""
_COMPARED: Final = 10
"""Runs that a run is compared with."""
RULES: Final = {
    "priority": "priority of the source",
    "newest": "newest record",
    "source": "order of the sources, as no time decides",
    "longest": "longest value",
    "most_common": "value of most records",
    "group": "fields that stay together",
    "both_changed": "changed in both since the last run",
}
"""What decided between values, in words."""
_BOTH: Final = ("small", "large")
_CONFLICTS: Final = {"spelling": "unchanged", "other": "suppressed"}


def status(facts: SyncFacts, run: Run) -> Literal["ok", "problem", "planned", "rejected"]:
    """Return ``problem`` when something failed or is missing, why nothing was written, else ``ok``."""
    if run.failed or facts.missing or any(destination.failed for destination in facts.destinations):
        return "problem"
    if any(destination.applied for destination in facts.destinations):
        return "ok"
    return "rejected" if run.rejected else "planned"


def summary(facts: SyncFacts, run: Run) -> str:
    """Return the run in one sentence, without a person, and one more when it tells less than all."""
    what = _what_happened(facts, run)
    if not run.failed:
        return what
    unread = sorted({task.conn_id or task.name for task in run.failed if task.reads and task.state == "failed"})
    if unread:
        return f"{what} {' and '.join(unread)} could not be read: the picture is incomplete."
    first = next((task for task in run.failed if task.state == "failed"), run.failed[0])
    more = f" and {len(run.failed) - 1} more" if len(run.failed) > 1 else ""
    return f"{what} Task {first.name}{more} did not succeed: the picture is incomplete."


def _what_happened(facts: SyncFacts, run: Run) -> str:
    sources, places = _some(len(facts.sources), "source"), _some(len(facts.destinations), "destination")
    if not facts.merged:
        return f"{facts.leads:,} leads were read from {sources}; they were not merged."
    people = f"{facts.leads:,} leads from {sources} are {facts.people:,} people"
    if not facts.destinations:
        return f"{people}; nothing was planned for any destination."
    planned, done = facts.planned, facts.written
    failed = sum(destination.failed for destination in facts.destinations)
    told = []
    if any(destination.applied for destination in facts.destinations):
        told.append(f"{done['created']:,} created and {done['updated']:,} updated")
    if any(not destination.applied for destination in facts.destinations):
        would = "were to be" if run.rejected else "would be"
        told.append(f"{planned['created']:,} {would} created and {planned['updated']:,} {would} updated")
    said = ", ".join(told)
    rejected = ", and the plan was not approved" if run.rejected else ""
    return f"{people}; in {places} {said}{f', {failed:,} not written' if failed else ''}{rejected}."


def entry(facts: SyncFacts, run: Run) -> Entry:
    """Return what is kept of the run for later reports."""
    return Entry(
        kind="sync",
        dag_id=run.dag_id,
        run_id=run.run_id,
        at=run.at,
        status=status(facts, run),
        summary=summary(facts, run),
        leads=facts.leads,
        people=facts.people,
        rejects=facts.rejects,
        conflicts=sum(map(sum, facts.conflicts.values())),
        requests=sum(destination.requests for destination in facts.destinations),
        outcomes=dict(facts.written),
        planned=dict(facts.planned),
        reasons=dict(_left_out(facts)),
    )


def _left_out(facts: SyncFacts) -> Counter[str]:
    """Return kind of reason → leads; of very many reasons the rarest stand together and are no kind."""
    reasons: Counter[str] = Counter()
    for destination in facts.destinations:
        for (_, reason), number in destination.reasons.items():
            reasons[reason] += number if reason != "others" else 0
    return kinds_of(+reasons)


def _figures(entry: Entry) -> Figures:
    """Return what of a run is compared with others."""
    counts, unwritten = Counter(entry.outcomes) + Counter(entry.planned), ("failed", "ambiguous", PENDING)
    return Figures(
        read=entry.leads,
        created=counts["created"],
        updated=counts["updated"],
        unwritten=sum(counts[name] for name in unwritten) if entry.status not in ("planned", "rejected") else None,
        reasons=entry.reasons,
    )


def sync_page(
    facts: SyncFacts,
    run: Run,
    history: Sequence[Entry] = (),
    *,
    show_addresses: bool = False,
    limits: Limits | None = None,
) -> str:
    """Return the report as HTML.

    :param facts: what the files tell
    :param run: what is known of the run beside them
    :param history: earlier runs, the oldest first, without this one
    :param show_addresses: true shows addresses and values as they are; they are personal data
    :param limits: from when on something is told as unlike the last runs
    """
    flow = _flow(facts)
    now = entry(facts, run)
    compared = [_figures(one) for one in history[-_COMPARED:] if one.kind == now.kind]
    return render(
        "sync",
        facts=facts,
        run=run,
        status=status(facts, run),
        summary=summary(facts, run),
        tiles=_tiles(facts, run),
        flows=[(kind, flow_svg(flow, width)) for kind, width in _FLOW_WIDTHS.items()] if facts.sources else [],
        overlap=_overlap(facts),
        fields=[(destination, _fields(destination)) for destination in facts.destinations],
        conflicts=_conflicts(facts),
        over=_over(facts),
        examples=_examples(facts, shown=show_addresses),
        memory=facts.memory,
        acts=told(facts.memory) if facts.memory else [],
        failures=_failures(facts, shown=show_addresses),
        reasons=_reasons(facts, shown=show_addresses),
        trend=_trend([*history, now]),
        unlike=unlike(_figures(now), compared, limits, planned=now.status in ("planned", "rejected")),
        took=(run.finished - run.started).total_seconds() if run.started else None,
        order=_ORDER,
        shown=show_addresses,
        charts=charts.available(),
    )


def _some(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _tiles(facts: SyncFacts, run: Run) -> list[tuple[str, str, str, str]]:
    """Return number, label, what is to be known of it, and kind of each headline figure."""
    done, merged = facts.outcomes, facts.merged
    failed = sum(destination.failed for destination in facts.destinations)
    duplicates = sum(source.merged for source in facts.sources)
    return [
        (f"{facts.leads:,}", "leads read", f"from {_some(len(facts.sources), 'source')}", "plain"),
        (f"{facts.people:,}" if merged else "–", "people", f"{duplicates:,} leads merged into others", "people"),
        (f"{facts.rejects:,}", "rejected", f"{percent(facts.rejects, facts.leads)} of the leads", "rejected"),
        (f"{failed:,}", "not written", _unwritten(failed, run), "failed"),
        *(
            (f"{done[outcome]:,}", outcome, f"{percent(done[outcome], done.total())} of all outcomes", outcome)
            for outcome in ("created", "updated", "unchanged", "suppressed")
        ),
    ]


def _unwritten(failed: int, run: Run) -> str:
    if failed:
        return "failed, unclear or not reached"
    return f"but {_some(len(run.failed), 'task')} did not succeed" if run.failed else "nothing failed"


def _flow(facts: SyncFacts) -> Flow:
    if not facts.merged:
        return Flow([(s.name, [s.leads]) for s in facts.sources], [("leads, not merged", facts.leads, "source")])
    middle = [("people", facts.people, "people")]
    merged, rejected = sum(source.merged for source in facts.sources), facts.rejects
    parts = [("merged", merged, "unchanged"), ("rejected", rejected, "rejected")]
    middle += [part for part in parts if part[1]]
    kept = [True, bool(merged), bool(rejected)]
    sources = [
        (
            source.name,
            [n for n, used in zip((source.people, source.merged, source.rejected.total()), kept, strict=True) if used],
        )
        for source in facts.sources
    ]
    ends = [
        (
            destination.conn_id if destination.applied else f"{destination.conn_id} (planned)",
            [(words(o), destination.outcomes[o], o) for o in _ORDER if destination.outcomes[o]],
        )
        for destination in facts.destinations
    ]
    return Flow(sources, middle, ends)


def _overlap(facts: SyncFacts) -> list[dict[str, Any]]:
    most = max((people for _, people in facts.overlap), default=1)
    names = [source.name for source in facts.sources]
    return [
        {
            "dots": [name in found for name in names],
            "names": " and ".join(found),
            "people": people,
            "width": round(100 * people / most, 1),
            "share": percent(people, facts.people),
        }
        for found, people in facts.overlap
    ]


def _fields(destination: Destination) -> Markup | None:
    rows = sorted(destination.fields.values(), key=lambda counts: (-counts.total, counts.field))[:15]
    parts = [(words(c.field), {"new": c.new, "filled": c.filled, "replaced": c.replaced}) for c in rows]
    return charts.bars(parts, _FIELDS, f"Fields written in {destination.conn_id}", widths=_BOTH)


def _conflicts(facts: SyncFacts) -> Markup | None:
    rows = [(words(name), {"spelling": a, "other": b}) for name, (a, b) in facts.conflicts.items()]
    return charts.bars(rows, _CONFLICTS, "Conflicts by field", widths=_BOTH)


def _over(facts: SyncFacts) -> dict[str, Any]:
    """Return the table of whose value was kept over whose."""
    most = max(facts.over.values(), default=1)
    names = [source.name for source in facts.sources if any(source.name in pair for pair in facts.over)]
    cells = [
        (kept, [(facts.over[kept, lost], round(100 * facts.over[kept, lost] / most)) for lost in names])
        for kept in names
    ]
    return {"names": names, "rows": cells}


def _examples(facts: SyncFacts, *, shown: bool) -> list[dict[str, Any]]:
    def told(value: str | None) -> str:
        if value is None:
            return "(empty)"
        return value if shown else mask_value(value)

    found = []
    for conflict in facts.disagreements:
        (winner, kept), *others = conflict.candidates
        # Of what was changed on both sides the times decide, and they are those of the changes.
        timed = conflict.rule == "both_changed"
        times = conflict.times or [None] * len(conflict.candidates)
        when = [f", {moment(at)}" if timed and at else "" for at in times]
        found.append(
            {
                "person": conflict.email_key if shown else mask_address(conflict.email_key),
                "field": conflict.field,
                "rule": RULES.get(conflict.rule, conflict.rule),
                "kept": (f"{winner}{when[0]}", told(kept)),
                "others": [
                    (f"{source}{at}", told(value))
                    for (source, value), at in zip(others, when[1:], strict=True)
                    if value != kept
                ],
            }
        )
    return found


def _failures(facts: SyncFacts, *, shown: bool) -> list[dict[str, Any]]:
    return [
        {
            "conn_id": destination.conn_id,
            "person": failure.email_key if shown else mask_address(failure.email_key),
            "outcome": failure.outcome,
            "target_id": failure.target_id or "–",
            "reason": _reason(failure.reason, shown=shown),
            "request_id": failure.request_id or "–",
        }
        for destination in facts.destinations
        for failure in destination.failures
    ]


def _reason(reason: str | None, *, shown: bool) -> str:
    told = reason_words(reason or "no reason given")
    return told if shown else mask_addresses(told)


def _reasons(facts: SyncFacts, *, shown: bool) -> list[tuple[str, str, str, int]]:
    """Return where, outcome, reason and number: what was left out, and why."""
    rejected = [
        (source.name, "rejected", words(reason), number)
        for source in facts.sources
        for reason, number in source.rejected.most_common()
    ]
    left = [
        (destination.conn_id, outcome, _reason(reason, shown=shown), number)
        for destination in facts.destinations
        for (outcome, reason), number in destination.reasons.most_common()
    ]
    unreached = [
        (destination.conn_id, PENDING, "the write was stopped before it; a retry goes on from there", number)
        for destination in facts.destinations
        if (number := destination.outcomes[PENDING])
    ]
    rank = {"failed": 0, "ambiguous": 1, PENDING: 2, "rejected": 3, "suppressed": 4}
    return sorted([*rejected, *left, *unreached], key=lambda row: (rank.get(row[1], 5), -row[3], row[0]))


def _trend(entries: Sequence[Entry]) -> list[tuple[str, str, Markup | None]]:
    """Return title, last number and chart of what changes from run to run; nothing for a first run."""
    if len(entries) < 2:
        return []
    unwritten = ("failed", "ambiguous", PENDING)
    series = [
        ("people", "people", [float(e.people) for e in entries]),
        ("created", "created", [float(e.counts["created"]) for e in entries]),
        ("updated", "updated", [float(e.counts["updated"]) for e in entries]),
        ("not written", "failed", [float(sum(e.counts[name] for name in unwritten)) for e in entries]),
    ]
    times = [e.at.isoformat() for e in entries]
    return [
        (title, f"{numbers[-1]:,.0f}", charts.line(list(zip(times, numbers, strict=True)), color, f"{title} by run"))
        for title, color, numbers in series
    ]
