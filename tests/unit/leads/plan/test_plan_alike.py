"""Whoever is left out of the looking one by one is planned as if looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leads_rows import JANUARY, JUNE, lead

from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, Lead
from airflow_providers_leads.leads.plan import planning, query
from airflow_providers_leads.leads.plan.planning import MODES, PlanRules, iter_plan
from airflow_providers_leads.leads.plan.property_types import PropertyType, PropertyTypes
from airflow_providers_leads.leads.plan.suppression import Suppressions

ADDRESSES = [f"{name}@x.example" for name in ("ann", "bob", "bea", "zoë")]
TYPES = PropertyTypes(
    {
        "phone": PropertyType("number"),
        "title": PropertyType("choice", {"boss": "Boss"}),
        "company": PropertyType(most=3),
    }
)
WRITABLE = frozenset({"city", "phone", "title", "company"})
ALIAS = msgspec.json.encode({ALIASES_PROPERTY: [ADDRESSES[1]]}).decode()

values = st.fixed_dictionaries(
    {},
    optional={
        "city": st.sampled_from(["Bonn", "Köln", "bonn", " Bonn", "Bad  Ems", "Bad Ems", "", " "]),
        "phone": st.sampled_from(["1", "1.0", "x"]),
        "title": st.sampled_from(["boss", "Boss", "clerk"]),
        "company": st.sampled_from(["AG", "GmbH"]),
        "first_name": st.sampled_from(["Ann", "Anne"]),
        "opted_out": st.booleans(),
        "bounced": st.booleans(),
        "properties": st.sampled_from([ALIAS, '{"tier": "gold"}']),
    },
)


def files(folder: Path, golden: list[Lead], existing: list[Lead]) -> tuple[str, str]:
    names = str(folder / "golden.parquet"), str(folder / "existing.parquet")
    for name, rows in zip(names, (golden, existing), strict=True):
        write_rows(name, Lead, rows)
    return names


def planned_both_ways(golden: str, existing: str, rules: PlanRules) -> tuple[list[PlanRow], list[PlanRow]]:
    with pytest.MonkeyPatch.context() as patch:
        quick = list(iter_plan(golden, existing, rules))
        patch.setattr(query, "alike", lambda *_: ibis.literal(False))
        return quick, list(iter_plan(golden, existing, rules))


@settings(max_examples=12, deadline=None)
@given(
    st.dictionaries(st.sampled_from(ADDRESSES), values),
    st.lists(st.tuples(st.sampled_from([*ADDRESSES, None]), st.none() | values), max_size=12),
    st.sampled_from(MODES),
    st.booleans(),
    st.sampled_from([PropertyTypes(), TYPES]),
    st.sampled_from([(), (ADDRESSES[0],)]),
)
def test_the_plan_is_that_of_looking_at_everybody(
    tmp_path_factory: pytest.TempPathFactory,
    people: dict[str, dict[str, Any]],
    held: list[tuple[str | None, dict[str, Any] | None]],
    mode: Any,
    pushes: bool,
    types: PropertyTypes,
    listed: tuple[str, ...],
) -> None:
    golden = [lead(f"g{key}", key, source="golden", **people[key]) for key in sorted(people)]
    # Most records hold what is to be written.
    records = [
        lead(
            str(n),
            key,
            updated_at=JUNE if n % 2 else JANUARY,
            **(people.get(key or "", {}) if own is None else own),
        )
        for n, (key, own) in enumerate(held)
    ]
    suppressions = Suppressions()
    for address in listed:
        suppressions.add(address)
    rules = PlanRules(mode=mode, writable=WRITABLE, types=types, push_opt_outs=pushes, suppressions=suppressions)
    quick, slow = planned_both_ways(*files(tmp_path_factory.mktemp("alike"), golden, records), rules)
    assert quick == slow
    assert [row.email_key for row in quick] == sorted(people)


def test_who_is_alike_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def plan_row(golden: Lead, *args: Any, **more: Any) -> PlanRow:
        looked.append(golden.email_key or "")
        return decided(golden, *args, **more)

    decided = planning.plan_row
    monkeypatch.setattr(planning, "plan_row", plan_row)
    golden = [lead(f"g{key}", key, source="golden", city="Bonn", phone="1") for key in ADDRESSES]
    held = [lead(key, key, city="Köln" if key == ADDRESSES[2] else "Bonn", phone="1") for key in ADDRESSES]
    rows = list(
        iter_plan(*files(tmp_path, golden, held), PlanRules(mode="update", writable=frozenset({"city", "phone"})))
    )
    assert looked == [ADDRESSES[2]]
    assert [row.action for row in rows] == ["unchanged", "update", "unchanged", "unchanged"]
    assert [row.target_id for row in rows] == sorted(ADDRESSES)
