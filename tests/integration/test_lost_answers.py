"""A creation whose answer was lost is a creation, also where its repetition finds the record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.sandbox import FaultPlan, Rule, Sandbox

PATHS = {"hubspot": "*/batch/upsert", "persistiq": "*/leads", "perspective": "*/contacts"}
HELD = {"hubspot": "updated", "persistiq": "unchanged"}
LOST = {"hubspot": 3, "persistiq": 3, "perspective": 1}
"""How many of three leads one request is about."""


def hook_for(crm: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in sandbox.connection_env().items():
        extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 2}
        monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
    return get_leads_hook(f"{crm}_default")


@pytest.mark.parametrize("fault", ["cut_after", "error_500_after"])
@pytest.mark.parametrize("crm", PATHS)
def test_a_lost_answer_makes_no_record_an_old_one(crm: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 48."""
    lost = FaultPlan((Rule(fault=fault, crm=crm, method="POST", path=PATHS[crm], times=1),))
    with Sandbox(people=10, seed=7, limits=False, faults=lost) as sandbox:
        hook = hook_for(crm, sandbox, monkeypatch)
        options = {}
        if crm == "perspective":
            options = {"funnel_id": next(iter(sandbox.perspective.store.funnels))}
        plan = [
            PlanRow(email_key=f"new{n}@example.org", action="create", values={"first_name": f"N{n}", "phone": f"{n}"})
            for n in range(3)
        ]
        results = list(hook.apply_plan(plan, **options))
        assert sum(api.stats.faults.total() for api in sandbox.apis) == 1
        assert [row.outcome for row in results] == ["created"] * 3
        assert all(row.target_id and set(row.fields) >= {"first_name"} for row in results)
        # Whether somebody else made it at that moment no answer tells: nobody is mailed for it.
        assert [row.unsure for row in results] == [True] * LOST[crm] + [False] * (3 - LOST[crm])
        # Without a lost answer who was there is called so.
        if crm in HELD:
            again = list(hook.apply_plan(plan, **options))
            assert {row.outcome for row in again} == {HELD[crm]}


def test_who_was_there_long_before_a_lost_answer_stays_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 48: HubSpot says when a contact was made."""
    lost = FaultPlan((Rule(fault="cut_after", crm="hubspot", method="POST", path="*/batch/upsert", times=1),))
    with Sandbox(people=10, seed=7, limits=False, faults=lost) as sandbox:
        hook = hook_for("hubspot", sandbox, monkeypatch)
        held = next(lead for lead in hook.iter_leads() if lead.email_key)
        (row,) = hook.apply_plan([PlanRow(email_key=held.email_key, action="create", values={"city": "Ulm"})])
        assert (row.outcome, row.target_id, row.unsure) == ("updated", held.source_id, False)
