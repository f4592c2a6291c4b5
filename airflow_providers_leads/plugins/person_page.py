"""The page of one person in one destination: every change, where each value came from, and who says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from importlib import import_module
from typing import Any, NamedTuple

from airflow_providers_leads.hooks.registry import crm_name, crms
from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.merge.lineage import explain
from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS
from airflow_providers_leads.plugins.airflow_runs import web_address
from airflow_providers_leads.plugins.opened_run import Opened, opened, plan_facts
from airflow_providers_leads.plugins.run_files import WriteFiles
from airflow_providers_leads.plugins.view import View, person_line, segment
from airflow_providers_leads.report.masking import visible
from airflow_providers_leads.report.page import render, words
from airflow_providers_leads.report.rows import Place, find, person, rows_of
from airflow_providers_leads.tasks.paths import storage_path

_MOST_RECORDS = 50
_MOST_CONFLICTS = 50
_ORDER = {name: place for place, name in enumerate(PROFILE_FIELDS)}


class Record(NamedTuple):
    """One record that a person is made of, or a value that one has."""

    source: str
    record: str
    value: str
    at: datetime | None = None


class Conflict(NamedTuple):
    """A field in which the person's records disagree: the value that was kept is the first."""

    field: str
    rule: str
    values: list[Record]


def person_page(run: Opened, files: WriteFiles, place: Place, view: View) -> str | None:
    """Return the page of a person, ``None`` when there is nobody at this place.

    :raises StagingError: when neither plan nor results can be read
    """
    with opened(files) as write:
        row = person(write, place)
    if row is None:
        return None
    facts = plan_facts(files)
    link = run.details.links.get(facts.conn_id if facts else files.stem, "")
    problems: list[str] = []
    key = row.email_key
    return render(
        "person",
        root="../../../../",
        line=run.details.line,
        files=files,
        facts=facts,
        view=view,
        segment=segment,
        place=str(place),
        row=person_line(row, view, None),
        sentence=_sentence(row.action, row.outcome, facts.conn_id if facts else files.stem),
        crm=crm_name(facts.conn_type) if facts else "",
        link=link,
        record=record_url(facts, link, row.target_id),
        records=_safely(problems, lambda: _records(run, key, view)),
        origins=_safely(problems, lambda: _origins(run, key, view)),
        conflicts=_safely(problems, lambda: _conflicts(run, key, view)),
        problems=problems,
    )


def find_person(files: WriteFiles, address_key: str) -> Place | None:
    """Return where a person stands in a destination's files.

    :raises StagingError: when they can't be read
    """
    with opened(files) as write:
        return find(write, address_key)


def record_url(facts: PlanFacts | None, list_url: str, record_id: str | None) -> str:
    """Return where the CRM shows a record: its hook knows, without asking the API."""
    crm = crms().get(facts.conn_type) if facts else None
    if crm is None or not list_url or not record_id:
        return ""
    try:
        module, _, name = crm.hook.rpartition(".")
        return web_address(getattr(import_module(module), name).record_url(list_url, record_id))
    except (ImportError, AttributeError):
        # A CRM of another package that is no longer installed, or of another version.
        return ""


_SENTENCES = {
    "created": "Created in {}",
    "updated": "Updated in {}",
    "unchanged": "Nothing to do in {}",
    "suppressed": "Not written to {}, on purpose",
    "failed": "Not written to {}: it refused, or could not be reached",
    "ambiguous": "Sent to {}, and no answer says whether it took effect",
    "pending": "Not reached: the write to {} was stopped before; a retry goes on from there",
}
_PLANS = {
    "create": "Is to be created in {}",
    "update": "Is to be updated in {}",
    "unchanged": "Nothing to do in {}",
    "suppress": "Is not to be written to {}",
}


def _sentence(action: str | None, outcome: str | None, name: str) -> str:
    return (_SENTENCES.get(outcome or "") or _PLANS.get(action or "", "Planned for {}")).format(name)


def _safely(problems: list[str], read: Callable[[], list[Any]]) -> list[Any]:
    """Return what is read; what can't be is told, and the rest of the page is there."""
    try:
        return read()
    except StagingError as error:
        problems.append(str(error))
        return []


def _records(run: Opened, key: str, view: View) -> list[Record]:
    columns = ("source", "source_scope", "source_id", "rank", "address", "updated_at")
    rows = [row for uri in run.own.files.members.values() for row in rows_of(storage_path(uri), "rank", key, columns)]
    rows.sort(key=lambda row: row.get("rank") or 0)
    return [
        Record(
            _source(row),
            visible(row.get("source_id") or ""),
            view.who(row["address"]) if row.get("address") else "",
            row.get("updated_at"),
        )
        for row in rows[:_MOST_RECORDS]
    ]


def _origins(run: Opened, key: str, view: View) -> list[tuple[str, Record]]:
    members = list(run.own.files.members.values())
    for uri in run.own.golden if members else ():
        try:
            origins = explain(storage_path(uri), storage_path(members[0]), key)
        except KeyError:
            # Of several partitions one has the person.
            continue
        return [
            (
                words(origin.field),
                Record(
                    _source(origin._asdict()),
                    visible(origin.source_id),
                    view.value(str(origin.value), None),
                    origin.updated_at,
                ),
            )
            for origin in origins
        ]
    return []


def _conflicts(run: Opened, key: str, view: View) -> list[Conflict]:
    columns = ("field", "rule", "candidates")
    conflicts = []
    for uri in run.own.files.conflicts.values():
        rows = rows_of(storage_path(uri), "field", key, columns)
        # The file has them in any order.
        for row in sorted(rows, key=_place_of)[:_MOST_CONFLICTS]:
            values = [
                Record(_source(one), visible(str(one.get("source_id") or "")), view.value(one.get("value"), None))
                for one in _dicts(row.get("candidates"))
            ]
            names = [visible(words(row.get(name) or "")) for name in ("field", "rule")]
            conflicts.append(Conflict(names[0], names[1], values))
    return conflicts


def _place_of(conflict: dict[str, Any]) -> tuple[int, str]:
    name = str(conflict.get("field"))
    return _ORDER.get(name, len(_ORDER)), name


def _dicts(values: Any) -> Iterable[dict[str, Any]]:
    return [value for value in values or () if isinstance(value, dict)]


def _source(record: dict[str, Any]) -> str:
    return visible(f"{crm_name(record.get('source') or '')} {record.get('source_scope') or ''}".strip())
