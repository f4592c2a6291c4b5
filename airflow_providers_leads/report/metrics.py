"""The metrics report: funnels and campaigns, as a page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final, Literal

from markupsafe import Markup

from airflow_providers_leads.hooks.registry import crm_name
from airflow_providers_leads.report import charts
from airflow_providers_leads.report.history import Entry
from airflow_providers_leads.report.metrics_facts import Measured, MetricFacts
from airflow_providers_leads.report.page import duration, number, percent, render
from airflow_providers_leads.report.run import Run

Block = tuple[str, Callable[[], Markup | None], list[tuple[str, str]]]
"""Title, what draws the chart, and name and number of each row for where there is no chart."""

_PAGES: Final = "chart_page_to_page_conversion_rate"
_DAYS: Final = "chart_contacts_over_time"
_ACTIVITY: Final = "chart_activity_by_daytime"
_BARS: Final = {
    "chart_visitor_devices": ("Devices", False),
    "chart_top_utm_sources": ("UTM sources", False),
    "chart_button_clicks": ("Button clicks", False),
    "chart_time_on_page": ("Time on page", True),
}
"""Chart → title, and whether its numbers are seconds."""
_KPIS: Final = {
    "kpi_total_sessions": ("sessions", ""),
    "kpi_new_contacts": ("new contacts", ""),
    "kpi_conversion_rate": ("conversion rate", "%"),
    "kpi_completion_rate": ("completion rate", "%"),
    "kpi_time_to_completion": ("time to completion", "s"),
    "kpi_average_time_on_page": ("average time on a page", "s"),
    "kpi_messages_sent": ("messages sent", ""),
    "kpi_messages_delivery_rate": ("delivered", "%"),
    "kpi_messages_open_rate": ("opened", "%"),
}
"""KPI → what it is, and its unit."""
_TREND: Final = {"kpi_new_contacts": "created", "kpi_total_sessions": "updated", "kpi_conversion_rate": "suppressed"}
_STEPS: Final = {
    "total_prospects": "prospects",
    "prospects_contacted": "contacted",
    "prospects_reached": "reached",
    "prospects_opened": "opened",
    "prospects_replied": "replied",
}
_ASIDE: Final = {"prospects_bounced": "bounced", "prospects_optedout": "opted out"}
_MOST_BARS: Final = 12
_MOST_CARDS: Final = 24
_MOST_DRAWN: Final = 12
"""Funnels with charts, those with most sessions; a chart takes a twentieth of a second. The others have tables."""
_MOST_DAYS: Final = 120
_CELL: Final = re.compile(r"day=(?P<day>[^;]+); hour=(?P<hour>\d+)$")


def status(facts: MetricFacts, run: Run) -> Literal["ok", "problem"]:
    """Return ``problem`` when a task failed or nothing was measured."""
    return "ok" if (facts.funnels or facts.campaigns or facts.tables) and not run.failed else "problem"


def summary(facts: MetricFacts, run: Run) -> str:
    """Return all in a few sentences."""
    told = []
    if facts.funnels:
        sessions, contacts = (_sum(facts.funnels.values(), kpi) for kpi in ("kpi_total_sessions", "kpi_new_contacts"))
        named = f"{len(facts.funnels)} funnel{'' if len(facts.funnels) == 1 else 's'}"
        told.append(f"{named} had {sessions:,.0f} sessions and {contacts:,.0f} new contacts")
    if facts.campaigns:
        sent, replied = (_sum(facts.campaigns.values(), name) for name in ("prospects_contacted", "prospects_replied"))
        named = f"{len(facts.campaigns)} campaign{'' if len(facts.campaigns) == 1 else 's'}"
        told.append(f"{named} contacted {sent:,.0f} people, of whom {replied:,.0f} replied")
    sentences = [f"{'; '.join(told)}."] if told else []
    sentences += [
        f"{rows:,} rows are in {where}; a report shows those that an export writes to its output, too."
        for where, rows in facts.tables
    ]
    unread = sorted({task.conn_id or task.name for task in run.failed if task.state == "failed"})
    if unread:
        sentences.append(f"{' and '.join(unread)} could not be read: the picture is incomplete.")
    return " ".join(sentences) or "There were no metrics."


def entry(facts: MetricFacts, run: Run) -> Entry:
    """Return what is kept of the run for later."""
    return Entry(
        kind="metrics",
        dag_id=run.dag_id,
        run_id=run.run_id,
        at=run.at,
        status=status(facts, run),
        summary=summary(facts, run),
    )


def metrics_page(facts: MetricFacts, run: Run) -> str:
    """Return the report as HTML.

    :param facts: what the files tell
    :param run: what is known of the run beside them
    """
    campaigns = sorted(
        facts.campaigns.values(),
        key=lambda c: (-(c.value("prospects_contacted") or 0), -(c.value("total_prospects") or 0)),
    )
    funnels = sorted(facts.funnels.values(), key=lambda f: (-(f.value("kpi_total_sessions") or 0), f.id))
    return render(
        "metrics",
        run=run,
        status=status(facts, run),
        summary=summary(facts, run),
        funnels=[_funnel(funnel, drawn=place < _MOST_DRAWN) for place, funnel in enumerate(funnels)],
        campaigns=[(c, _campaign(c)) for c in campaigns[:_MOST_CARDS] if c.value("total_prospects")],
        table=[(c.id, [c.value(name) for name in (*_STEPS, *_ASIDE)], _rate(c)) for c in campaigns],
        sources=", ".join(sorted({crm_name(c.source) for c in campaigns})),
        steps=[*_STEPS.values(), *_ASIDE.values()],
        charts=charts.available(),
    )


def _sum(measured: Any, metric: str) -> float:
    return sum(m.value(metric) or 0.0 for m in measured)


def _funnel(funnel: Measured, *, drawn: bool) -> dict[str, Any]:
    variants = [
        (name, pages)
        for name in ("original", "variant")
        if (pages := _pages(funnel.numbers.get(f"{_PAGES}.{name}", ())))
    ]
    most = max((value for _, pages in variants for _, value in pages), default=0.0)
    pages = _pages(funnel.numbers.get(_PAGES, ()) or funnel.numbers.get(f"{_PAGES}.all", ()))
    blocks: list[Block] = []
    if pages:
        blocks.append(_block("Conversion by page", pages, "people", shares=True))
    for name, of in variants:
        color = "source" if name == "original" else "accent"
        blocks.append(_block(f"Conversion by page: {name}", of, color, shares=True, most=most))
    if days := _days(funnel.numbers.get(_DAYS, ())):
        title, points = days
        told = [(at, number(value)) for at, value in points]
        blocks.append((title, partial(charts.line, points, "created", title, area=True, dots=False), told))
    for metric, (title, seconds) in _BARS.items():
        if rows := _main(funnel.numbers.get(metric, ())):
            blocks.append(_block(title, rows, "accent", seconds=seconds))
    cells = [
        (m["day"], int(m["hour"]), v) for key, v, _ in funnel.numbers.get(_ACTIVITY, ()) if (m := _CELL.match(key))
    ]
    if cells:
        title = "Activity by day and hour"
        blocks.append((title, partial(charts.squares, cells, "accent", title), []))
    for metric, answers in funnel.numbers.items():
        if metric.startswith("insight.") and metric.endswith(".answers"):
            blocks.append(
                _block(f"Answers: {metric.split('.', 1)[1].removesuffix('.answers')}", _main(answers), "accent")
            )
    return {
        "id": funnel.id,
        "source": crm_name(funnel.source),
        "window": (funnel.start, funnel.end),
        "kpis": [
            (title, _with_unit(value, unit))
            for kpi, (title, unit) in _KPIS.items()
            if (value := funnel.value(kpi)) is not None
        ],
        "blocks": [(title, draw() if drawn else None, rows) for title, draw, rows in blocks],
        "trend": _trend(funnel) if drawn else [],
    }


def _with_unit(value: float, unit: str) -> str:
    return duration(value) if unit == "s" else f"{number(round(value, 1))} %" if unit == "%" else number(value)


def _main(numbers: Sequence[tuple[str, float, int | None]]) -> list[tuple[str, float]]:
    """Return the main number of each point: others stand under its name and a dot."""
    keys = {key for key, *_ in numbers}
    return [(key, value) for key, value, _ in numbers if key.rpartition(".")[0] not in keys or "." not in key]


def _pages(numbers: Sequence[tuple[str, float, int | None]]) -> list[tuple[str, float]]:
    """Return pages in their order: by step where the API tells it, else as it lists them."""
    steps = {key.removesuffix(".step"): value for key, value, _ in numbers if key.endswith(".step")}
    return sorted(_main(numbers), key=lambda page: steps.get(page[0], 0.0))


def _block(
    title: str,
    rows: Sequence[tuple[str, float]],
    color: str,
    *,
    shares: bool = False,
    seconds: bool = False,
    most: float | None = None,
) -> Block:
    shown = list(rows[:_MOST_BARS])
    if (rest := rows[_MOST_BARS:]) and not shares and not seconds:
        shown.append(("others", sum(value for _, value in rest)))
    first = shown[0][1] if shown else 0.0
    of_first = shares and first > 0 and all(value <= first for _, value in shown)
    told = [
        duration(value) if seconds else f"{number(value)}{f' · {percent(value, first)}' if of_first else ''}"
        for _, value in shown
    ]
    parts = [(name, {"all": value}) for name, value in shown]
    chart = partial(charts.bars, parts, {"all": color}, title, told=told, most=most)
    return title, chart, list(zip([name for name, _ in shown], told, strict=True))


def _days(numbers: Sequence[tuple[str, float, int | None]]) -> tuple[str, list[tuple[str, float]]] | None:
    """Return contacts by day, or by week where there are many days; empty days at both ends are left out."""
    points: list[tuple[date, float]] = []
    for key, value in _main(numbers):
        try:
            points.append((datetime.fromisoformat(key).date(), value))
        except ValueError:
            return None
    points.sort()
    filled = [place for place, (_, value) in enumerate(points) if value]
    if not filled:
        return None
    points = points[filled[0] : filled[-1] + 1]
    if len(points) <= _MOST_DAYS:
        return "Contacts by day", [(day.isoformat(), value) for day, value in points]
    weeks: Counter[date] = Counter()
    for day, value in points:
        weeks[day - timedelta(days=day.weekday())] += value  # type: ignore[assignment]
    return "Contacts by week", [(week.isoformat(), value) for week, value in sorted(weeks.items())]


def _trend(funnel: Measured) -> list[tuple[str, str, Markup | None]]:
    """Return title, last number and chart of KPIs over the windows; nothing for a single window."""
    found = []
    for kpi, color in _TREND.items():
        points = [(end.isoformat(), values[kpi]) for end, values in funnel.past.items() if kpi in values]
        if len(points) > 1:
            title, unit = _KPIS[kpi]
            found.append((title, _with_unit(points[-1][1], unit), charts.line(points, color, f"{title} by window")))
    return found


def _campaign(campaign: Measured) -> Markup | None:
    rows = [(title, value) for name, title in _STEPS.items() if (value := campaign.value(name)) is not None]
    aside = [(title, value) for name, title in _ASIDE.items() if (value := campaign.value(name)) is not None]
    contacted = campaign.value("prospects_contacted") or 0.0
    told = [
        number(value)
        + (f" · {percent(value, contacted)}" if contacted and title not in ("prospects", "contacted") else "")
        for title, value in (*rows, *aside)
    ]
    parts = [(title, {"step": value}) for title, value in rows] + [(title, {"aside": value}) for title, value in aside]
    return charts.bars(parts, {"step": "accent", "aside": "failed"}, f"Campaign {campaign.id}", told=told)


def _rate(campaign: Measured) -> str:
    contacted = campaign.value("prospects_contacted") or 0.0
    return percent(campaign.value("prospects_replied") or 0.0, contacted) if contacted else "–"
