"""A plan's row once it is known what people did in the destination since the sync last saw it."""

from __future__ import annotations

from functools import partial
from typing import Final

from airflow_providers_leads.leads.memory.decide import same_but_for_form
from airflow_providers_leads.leads.memory.planned import (
    ADDRESS_CHANGED,
    BOTH_CHANGED,
    Past,
    PlanMemory,
)
from airflow_providers_leads.leads.memory.table import PROPERTY
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.mapped import current_values
from airflow_providers_leads.leads.plan.rules import PlanRules
from airflow_providers_leads.leads.plan.suppression import LISTED

_SPREAD: Final = "cleared_elsewhere"


def remembered(row: PlanRow, existing: Lead | None, memory: PlanMemory, past: Past, rules: PlanRules) -> PlanRow:
    """Return a planned row as the memory lets it be.

    Fields stay as somebody left them in the destination, who was deleted there isn't made again, and whoever objected
    or was erased under any address of theirs isn't written.

    :param row: as planned without a memory; changed in place
    :param existing: the destination's record that it writes to, ``None`` when there is none
    :param memory: of the sync
    :param past: what is remembered of the person and the record
    :param rules: of the plan
    """
    if not past.facts and not memory.erased and not row.values and not row.properties:
        # Most people on most days: there is nothing that could be held back.
        return row
    if row.action != "suppress":
        reason = memory.suppression(row.email_key, past)
        if reason is None and rules.suppressions.listed_by_hash(fact["hash"] for fact in past.of("former")):
            reason = LISTED
        if reason is not None:
            return _suppressed(row, reason)
    if row.action == "create" and (absent := memory.absence(past)):
        return _suppressed(row, absent)
    if existing is None or row.action not in ("update", "unchanged"):
        return row
    reasons: dict[str, list[str]] = {}
    for values, before, prefix in (
        (row.values, row.before, ""),
        (row.properties, row.properties_before, PROPERTY),
    ):
        for name in list(values):
            field = f"{prefix}{name}"
            origin = rules.origins.get(field, name)
            alike = partial(_is_alike, memory, past, field, values[name], before[name])
            if reason := memory.leave(field, past, origin, alike):
                reasons.setdefault(reason, []).append(field)
                del values[name], before[name]
            elif past.of("both_changed", origin):
                reasons.setdefault(BOTH_CHANGED, []).append(field)
    _spread(row, existing, memory, past, rules, reasons)
    _readdress(row, existing, memory, past, rules, reasons)
    row.action = "update" if row.values or row.properties else "unchanged"
    parts = [row.reason] if row.reason else []
    parts += [f"{reason}: {', '.join(names)}" if names else reason for reason, names in sorted(reasons.items())]
    row.reason = "; ".join(parts) or None
    return row


def _is_alike(memory: PlanMemory, past: Past, field: str, value: str, there: str | None) -> bool:
    return memory.keeps(field, value, past) or same_but_for_form(value, there)


def _spread(
    row: PlanRow,
    existing: Lead,
    memory: PlanMemory,
    past: Past,
    rules: PlanRules,
    reasons: dict[str, list[str]],
) -> None:
    """Empty what somebody emptied elsewhere, where the policy says so."""
    if memory.cleared != "spread" or rules.mode != "update":
        return
    emptied = {str(fact["field"]): fact for fact in past.of("spread")}
    # A field that is written to new records or into empty places alone is none that a run takes anything out of.
    places = {
        place: emptied[origin]
        for place, origin in rules.origins.items()
        if origin in emptied and not (place in rules.fields and rules.fields[place].only)
    }
    names = [place.removeprefix(PROPERTY) for place in places if place.startswith(PROPERTY)]
    for place, now in current_values(existing, places, names).items() if places else ():
        own = place.removeprefix(PROPERTY)
        values, before = (row.values, row.before) if own == place else (row.properties, row.properties_before)
        if not now or own in values:
            continue
        if reason := memory.outlives(place, past, places[place]):
            reasons.setdefault(reason, []).append(place)
            continue
        values[own], before[own] = "", now
        reasons.setdefault(_SPREAD, []).append(place)


def _readdress(
    row: PlanRow, existing: Lead, memory: PlanMemory, past: Past, rules: PlanRules, reasons: dict[str, list[str]]
) -> None:
    """Say that a linked record has another address than its person, and write it where the policy says so."""
    if not existing.email_key or existing.email_key == row.email_key or not (past.of("former") or past.of("link")):
        return
    reasons.setdefault(ADDRESS_CHANGED, [])
    if memory.address == "spread" and rules.mode == "update":
        row.values["email"], row.before["email"] = row.email_key, existing.email


def _suppressed(row: PlanRow, reason: str) -> PlanRow:
    row.action, row.reason, row.requests = "suppress", reason, 0.0
    row.values, row.before, row.properties, row.properties_before = {}, {}, {}, {}
    return row
