from __future__ import annotations

import json
from typing import Any

import pytest
from leads_rows import lead

from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.planning import MODES, OPT_OUT_PUSHED, Held, PlanRules, plan_row, property_text
from airflow_providers_leads.leads.plan.suppression import Suppressions

KEY = "ann@example.org"
NAMES = {"utm_source": "source_of_visit", "deep.city": "town"}


def person(**fields: Any) -> Lead:
    return lead(KEY, source="golden", **fields)


def at(**fields: Any) -> Held:
    return Held(lead("7", source_scope="s", **fields), 1)


def rules(mode: Any = "update", **given: Any) -> PlanRules:
    return PlanRules(mode=mode, writable=frozenset({"city"}), **given)


PUSHED = {
    "unknown there": (person(opted_out=True), at(), None),
    "opted in there": (person(opted_out=True), at(opted_out=False), "false"),
    "with other differences": (person(opted_out=True, city="Bonn"), at(city="Köln"), None),
    "bounced as well": (person(opted_out=True, bounced=True), at(bounced=True), None),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", PUSHED)
def test_an_opt_out_is_pushed_to_a_record_that_does_not_know_it(case: str, mode: str) -> None:
    golden, held, before = PUSHED[case]
    row = plan_row(golden, held, rules(mode, push_opt_outs=True))
    assert row == PlanRow(
        email_key=KEY,
        action="update",
        reason=OPT_OUT_PUSHED,
        target_id="7",
        target_scope="s",
        records=1,
        values={"opted_out": "true"},
        before={"opted_out": before},
    )
    assert plan_row(golden, held, rules(mode)).action == "suppress"


@pytest.mark.parametrize(
    ("golden", "held"),
    [
        (person(opted_out=True), Held()),
        (person(opted_out=True), at(opted_out=True)),
        (person(), at(opted_out=True)),
        (person(bounced=True), at()),
        (person(), Held(at().record, 2, opted_out=True)),
    ],
    ids=["not there", "known there", "opted out there only", "bounced", "another record there opted out"],
)
def test_no_opt_out_is_pushed_otherwise_and_nobody_is_created_for_it(golden: Lead, held: Held) -> None:
    row = plan_row(golden, held, rules(push_opt_outs=True))
    assert (row.action, row.values) == ("suppress", {})


def test_who_is_on_a_list_is_not_opted_out_for_that() -> None:
    listed = Suppressions()
    listed.add(KEY)
    assert plan_row(person(), at(), rules(push_opt_outs=True, suppressions=listed)).action == "suppress"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a", "x"), ("n", "4"), ("f", "1.5"), ("t", "true"), ("no", "false"), ("empty", None), ("nothing", None),
        ("list", None), ("o", None), ("o.deep", "y"), ("o.deep.er", None), ("o.missing", None), ("dot.ted", "z"),
        ("missing", None),
    ],
)  # fmt: skip
def test_property_text(key: str, expected: str | None) -> None:
    held = {"a": " x ", "n": 4, "f": 1.5, "t": True, "no": False, "empty": " ", "nothing": None, "list": [1],
            "o": {"deep": "y"}, "dot.ted": "z"}  # fmt: skip
    assert property_text(held, key) == expected


def told(**properties: Any) -> str:
    return json.dumps(properties)


GOLDEN = person(city="Bonn", properties=told(utm_source="ads", deep={"city": "Bonn"}, other="x"))
WHOLE = {"source_of_visit": "ads", "town": "Bonn"}
ROWS = {
    "new": (GOLDEN, Held(), "update", ("create", WHOLE, {})),
    "absent there": (GOLDEN, at(city="Bonn"), "update", ("update", WHOLE, dict.fromkeys(WHOLE))),
    "differs": (
        GOLDEN, at(city="Bonn", properties=told(source_of_visit="mail", town=" Bonn ")), "update",
        ("update", {"source_of_visit": "ads"}, {"source_of_visit": "mail"}),
    ),
    "the same": (GOLDEN, at(city="Bonn", properties=told(**WHOLE)), "update", ("unchanged", {}, {})),
    "fill": (
        GOLDEN, at(city="Bonn", properties=told(source_of_visit="mail")), "fill",
        ("update", {"town": "Bonn"}, {"town": None}),
    ),
    "create only": (GOLDEN, at(city="Bonn"), "create_only", ("unchanged", {}, {})),
    "nothing known": (person(city="Bonn"), at(city="Bonn", properties=told(**WHOLE)), "update", ("unchanged", {}, {})),
}  # fmt: skip


@pytest.mark.parametrize(("golden", "held", "mode", "expected"), ROWS.values(), ids=ROWS)
def test_custom_properties(golden: Lead, held: Held, mode: str, expected: tuple[Any, ...]) -> None:
    row = plan_row(golden, held, rules(mode, properties=NAMES))
    assert (row.action, row.properties, row.properties_before) == expected
    assert plan_row(golden, held, rules(mode)).properties == {}
