"""A destination's people as a table that filters, a page at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS
from airflow_providers_leads.plugins.opened_run import Opened, counted, opened, plan_facts, reasons_of
from airflow_providers_leads.plugins.run_files import WriteFiles
from airflow_providers_leads.plugins.view import View, person_line, reason_code, segment
from airflow_providers_leads.report.masking import visible
from airflow_providers_leads.report.page import render, words
from airflow_providers_leads.report.rows import PLANNED, Filters, Write, page


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
    line, facts = run.details.line, plan_facts(files)
    shared = {
        "root": "../../../", "line": line, "files": files, "facts": facts, "view": view, "segment": segment,
        "link": run.details.links.get(facts.conn_id if facts else files.stem, ""),
    }  # fmt: skip
    try:
        with opened(files) as write:
            reasons = reasons_of(write)
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
        nobody="nobody" in asked,
        clear="?" + urlencode(shown),
    )


def seen(asked: Mapping[str, str]) -> str:
    """Return in words which rows a page shows, by what stands in its address."""
    names = ("action", "outcome", "reason", "field", "after", "before")
    return ", ".join(f"{name} {asked[name][:60]}" for name in names if asked.get(name)) or "from the first row"


def _number(asked: Mapping[str, str], name: str, default: Any) -> Any:
    text = asked.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 13 else default


def _choices(
    write: Write, facts: PlanFacts | None, named: Mapping[str, str], reasons: Counter[str], view: View
) -> dict[str, list[Choice]]:
    """Return the filters and what each may be."""
    actions: Counter[str] = Counter()
    for (action, _), number in (write.plan.counts() if write.plan else Counter()).items():
        actions[action] += number
    outcomes = counted(write)[0] if write.results else Counter({PLANNED: write.rows})
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
