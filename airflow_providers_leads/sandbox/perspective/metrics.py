"""Perspective's metrics, computed from visits: every contact had one, and four others left without converting.

https://developers.perspective.co
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import Any

from airflow_providers_leads.sandbox.core.clock import iso_utc, parse_iso
from airflow_providers_leads.sandbox.core.shell import Call, Reply
from airflow_providers_leads.sandbox.perspective.errors import refuse
from airflow_providers_leads.sandbox.perspective.store import Funnel, PerspectiveStore, funnel_of

PAGES = ("start", "question_1", "question_2", "contact", "thank-you")
DEVICES = ("mobile", "mobile", "mobile", "desktop", "tablet")
VISITS_WITHOUT_CONTACT = 4
AB_TESTS = ("all", "original", "variant")
AB_CHART = "chart_page_to_page_conversion_rate"
MINUTE, DAY = 60_000, 86_400_000
INSIGHTS = {
    "question_1": "Do you own the building?",
    "question_2": "What are you interested in?",
    "sq_earliestStartDay": "When would you like to start?",
}
MAX_OFFSET = 14 * 60


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit to a funnel: how far, how long per page, and whether it ended in a contact."""

    at: int
    device: str
    source: str | None
    variant: str
    seconds: tuple[int, ...]
    clicks: int
    converted: bool
    messages: int
    delivered: int
    opened: int

    @property
    def completed(self) -> bool:
        """Whether the last page was reached."""
        return len(self.seconds) == len(PAGES)


def visits(store: PerspectiveStore, funnel: Funnel) -> list[Visit]:
    """Return a funnel's visits in time order; they are derived from its seeded contacts, so they repeat."""
    if funnel.sessions is None:
        random = Random(f"visits/{funnel.id}/{store.config.seed}")
        made = []
        for contact_id in sorted(funnel.contacts):
            contact = funnel.contacts[contact_id]
            meta = contact["meta"]
            if "ps_timezone" not in meta:
                continue  # made through the API, without a visit
            converted = "ps_converted_at" in meta
            # A visit counts where its contact counts, so that metrics and contact lists agree.
            at = parse_iso(meta["ps_converted_at" if converted else "ps_first_seen_at"]) or 0
            made.append(_visit(random, at, contact["utmParams"].get("utm_source"), converted=converted))
            for _ in range(VISITS_WITHOUT_CONTACT):
                made.append(_visit(random, at - random.randrange(DAY), None, converted=False))
        funnel.sessions = sorted(made, key=lambda visit: visit.at)
    sessions: list[Visit] = funnel.sessions
    return sessions


def _visit(random: Random, at: int, source: str | None, *, converted: bool) -> Visit:
    depth = len(PAGES) - random.randrange(2) if converted else random.randrange(1, len(PAGES) - 1)
    sent = 2 if converted else 0
    delivered = sent - (random.random() < 0.1) if sent else 0
    return Visit(
        at=at,
        device=random.choice(DEVICES),
        source=source,
        variant=random.choice(AB_TESTS[1:]),
        seconds=tuple(random.randrange(2, 60) for _ in range(depth)),
        clicks=depth + random.randrange(3),
        converted=converted,
        messages=sent,
        delivered=delivered,
        opened=random.randrange(delivered + 1),
    )


@dataclass(frozen=True)
class Span:
    """The time range of a question: both ends belong to it; the offset only moves day and hour boundaries."""

    start: int
    end: int
    offset: int

    def local(self, at: int) -> int:
        """Return an instant as milliseconds of the asker's local time."""
        return at + self.offset * MINUTE


def read_span(call: Call) -> Span:
    """Read `from`, `to` and `offset`."""
    ends: list[int] = []
    for name in ("from", "to"):
        text = call.query.get(name)
        if not text:
            raise refuse(400, f"{name} is required")
        moment = parse_iso(text) if text.endswith("Z") and "T" in text else None
        if moment is None:
            raise refuse(400, f"{name} must be an ISO 8601 date in UTC")
        ends.append(moment)
    if ends[0] >= ends[1]:
        raise refuse(400, "from must be before to")
    # A plus sign that was not percent-encoded arrives as a space and is no number.
    offset = call.query.get("offset", "0")
    if not re.fullmatch(r"[+-]?\d{1,4}", offset) or abs(int(offset)) > MAX_OFFSET:
        raise refuse(400, "offset must be whole minutes")
    return Span(ends[0], ends[1], int(offset))


def within(store: PerspectiveStore, funnel: Funnel, span: Span) -> list[Visit]:
    """Return the visits of a time range."""
    made = visits(store, funnel)
    start = bisect_left(made, span.start, key=lambda visit: visit.at)
    return made[start : bisect_right(made, span.end, key=lambda visit: visit.at)]


# --- KPIs -----------------------------------------------------------------------------------------------------------


def _percent(part: int, whole: int) -> tuple[float, int]:
    return (round(100 * part / whole, 2) if whole else 0.0), whole


def _mean(values: list[int]) -> float:
    return round(fmean(values), 2) if values else 0.0


Kpi = Callable[[list[Visit]], Any]
KPIS: dict[str, Kpi] = {
    # A pair is a rate with its sample size, anything else a bare value.
    "kpi_conversion_rate": lambda vs: _percent(sum(v.converted for v in vs), len(vs)),
    "kpi_completion_rate": lambda vs: _percent(sum(v.completed for v in vs), len(vs)),
    "kpi_messages_delivery_rate": lambda vs: _percent(sum(v.delivered for v in vs), sum(v.messages for v in vs)),
    "kpi_messages_open_rate": lambda vs: _percent(sum(v.opened for v in vs), sum(v.delivered for v in vs)),
    "kpi_average_time_on_page": lambda vs: _mean([s for v in vs for s in v.seconds]),
    "kpi_time_to_completion": lambda vs: _mean([sum(v.seconds) for v in vs if v.completed]),
    "kpi_new_contacts": lambda vs: sum(v.converted for v in vs),
    "kpi_total_sessions": len,
    "kpi_messages_sent": lambda vs: sum(v.messages for v in vs),
}


def camel(name: str) -> str:
    """Return a snake-case name in camel case."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _refuse_ab_test(call: Call, subtype: str) -> str:
    choice = call.query.get("abTest")
    if choice is None:
        return "all"
    if subtype != AB_CHART or choice not in AB_TESTS:
        raise refuse(400, f"abTest is only supported for {AB_CHART} and takes {', '.join(AB_TESTS)}")
    return choice


def get_kpi(store: PerspectiveStore, call: Call) -> Reply:
    """Answer one key figure."""
    funnel, subtype = funnel_of(store, call), call.params["subtype"]
    if subtype not in KPIS:
        raise refuse(400, "KPI not found")
    _refuse_ab_test(call, subtype)
    span = read_span(call)
    if not visits(store, funnel) and store.config.sparse_kpi_404:
        raise refuse(404, "Not found")
    result = KPIS[subtype](within(store, funnel, span))
    value, count = result if isinstance(result, tuple) else (result, None)
    return Reply({"data": {"type": camel(subtype), "value": value} | ({} if count is None else {"count": count})})


# --- charts ---------------------------------------------------------------------------------------------------------

Points = list[dict[str, Any]]


def _page_steps(vs: list[Visit], _: Span) -> Points:
    return [
        {"key": page, "step": step, "value": sum(len(v.seconds) > step for v in vs)} for step, page in enumerate(PAGES)
    ]


def _by_daytime(vs: list[Visit], span: Span) -> Points:
    counts = Counter(((span.local(v.at) // DAY + 4) % 7, span.local(v.at) % DAY // (60 * MINUTE)) for v in vs)
    return [{"day": day, "hour": hour, "value": counts[day, hour]} for day in range(7) for hour in range(24)]


def _over_time(vs: list[Visit], span: Span) -> Points:
    counts = Counter(span.local(v.at) // DAY for v in vs if v.converted)
    days = range(span.local(span.start) // DAY, span.local(span.end) // DAY + 1)
    return [{"key": iso_utc(day * DAY)[:10], "value": counts[day]} for day in days]


def _tally(read: Callable[[Visit], str | None]) -> Callable[[list[Visit], Span], Points]:
    def chart(vs: list[Visit], _: Span) -> Points:
        counts = Counter(key for v in vs if (key := read(v)))
        return [{"key": key, "value": number} for key, number in sorted(counts.items(), key=lambda p: (-p[1], p[0]))]

    return chart


def _time_on_page(vs: list[Visit], _: Span) -> Points:
    return [
        {"key": page, "value": _mean([v.seconds[step] for v in vs if len(v.seconds) > step])}
        for step, page in enumerate(PAGES)
    ]


CHARTS: dict[str, Callable[[list[Visit], Span], Points]] = {
    AB_CHART: _page_steps,
    "chart_activity_by_daytime": _by_daytime,
    "chart_contacts_over_time": _over_time,
    "chart_visitor_devices": _tally(lambda v: v.device),
    "chart_top_utm_sources": _tally(lambda v: v.source),
    "chart_time_on_page": _time_on_page,
    "chart_button_clicks": lambda vs, _: [{"key": "cta", "value": sum(v.clicks for v in vs)}],
}


def get_chart(store: PerspectiveStore, call: Call) -> Reply:
    """Answer the points of one chart."""
    funnel, subtype = funnel_of(store, call), call.params["subtype"]
    if subtype not in CHARTS:
        raise refuse(400, "Chart not found")
    choice, span = _refuse_ab_test(call, subtype), read_span(call)
    sessions = within(store, funnel, span)
    if not visits(store, funnel):
        return Reply({"data": []})
    chosen = [visit for visit in sessions if choice in ("all", visit.variant)]
    return Reply({"data": CHARTS[subtype](chosen, span)})


# --- insights -------------------------------------------------------------------------------------------------------


def get_insight(store: PerspectiveStore, call: Call) -> Reply:
    """Answer how often each option of a question was chosen, and each combination of options."""
    funnel, insight = funnel_of(store, call), call.params["insightId"]
    if insight not in INSIGHTS:
        raise refuse(400, "Insight not found")
    _refuse_ab_test(call, "")
    span = read_span(call)
    answers: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    for contact in funnel.contacts.values():
        at = parse_iso(contact["meta"].get("ps_converted_at", ""))
        answer = contact["properties"].get(insight)
        if answer and at is not None and span.start <= at <= span.end:
            groups[answer] += 1
            answers.update(answer.split("; "))
    return Reply(
        {
            "data": {
                "title": INSIGHTS[insight],
                "answers": dict(sorted(answers.items())),
                "groupedAnswers": dict(sorted(groups.items())),
            }
        }
    )
