from __future__ import annotations

import json
from typing import Any

import pytest
from leads_rows import lead

from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.mapped import find_property
from airflow_providers_leads.leads.plan.planning import MODES, OPT_OUT_PUSHED, Held, PlanRules, plan_row
from airflow_providers_leads.leads.plan.property_types import PropertyType, PropertyTypes
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
        ("a", " x "), ("n", 4), ("nothing", None), ("list", [1]), ("o.deep", "y"), ("o.deep.er", None),
        ("o.missing", None), ("dot.ted", "z"), ("missing", None), ("deep", "y"), ("utm", "ads"), ("er.one", 1),
        ("same", 2),
    ],
)  # fmt: skip
def test_a_property_is_found_by_its_key_its_path_or_the_only_short_name(key: str, expected: Any) -> None:
    """Row 8."""
    properties = {"a": " x ", "n": 4, "nothing": None, "list": [1], "o": {"deep": "y"}, "dot.ted": "z",
                  "params": {"utm": "ads", "er": {"one": 1}}, "p": {"same": 2}, "q": {"same": 2}}  # fmt: skip
    assert find_property(properties, key) == expected


def test_a_short_name_of_several_values_is_none() -> None:
    """Row 8."""
    golden = person(properties=told(p={"same": 1}, q={"same": 2}))
    row = plan_row(golden, Held(), rules(properties={"same": "same", "p.same": "of_p"}))
    assert (row.action, row.properties) == ("create", {"of_p": "1"})
    assert row.reason == "left out: properties.same (several keys have this name: give the path of one, with dots)"


TYPED = PropertyTypes(
    {
        "city": PropertyType("choice", {"bonn": "Bonn"}),
        "properties.since": PropertyType("date"),
        "properties.budget": PropertyType("number"),
        "properties.interest": PropertyType("choices", {"price": "Price", "demo": "Demo"}),
    }
)
SAME_NAMES = {name: name for name in ("since", "budget", "interest")}


def typed(mode: str = "update") -> PlanRules:
    return rules(mode, properties=SAME_NAMES, types=TYPED)


def test_values_are_written_in_the_form_of_their_type() -> None:
    """Rows 7 and 11."""
    given = {"properties": {"since": "2025-01-15T08:00:00Z", "interest": ["Price", "demo", "price"], "budget": 3.0}}
    row = plan_row(person(city="Bonn", properties=told(**given)), Held(), typed())
    assert (row.action, row.values, row.reason) == ("create", {"city": "bonn"}, None)
    assert row.properties == {"since": "2025-01-15", "interest": "price;demo", "budget": "3"}


def test_what_cannot_be_converted_is_left_out_and_the_person_created() -> None:
    """Row 11."""
    row = plan_row(person(city="Köln", properties=told(since="soon", budget="much", interest="demo")), Held(), typed())
    assert (row.action, row.values, row.properties) == ("create", {}, {"interest": "demo"})
    assert row.reason == (
        "left out: city (it is none of the property's options), properties.since (it is no date such as 2025-01-15), "
        "properties.budget (it is no number)"
    )


def test_what_is_left_out_is_told_only_where_it_would_have_been_written() -> None:
    golden, held = person(properties=told(since="soon", budget="much")), at(properties=told(since="2025-01-15"))
    assert "since" in (plan_row(golden, held, typed()).reason or "")
    assert plan_row(golden, held, typed("fill")).reason == "left out: properties.budget (it is no number)"
    assert plan_row(golden, held, typed("create_only")).reason is None


def test_equal_by_type_is_not_written_again() -> None:
    """Row 10."""
    golden = person(
        city="Bonn", properties=told(since="2025-01-15T08:00:00.000Z", budget=1, interest=["price", "demo"])
    )
    held = at(city="bonn", properties=told(since="1736899200000", budget="1.0", interest=";demo;price"))
    assert plan_row(golden, held, typed()).action == "unchanged"


def test_keys_that_golden_records_have_are_noted_whatever_becomes_of_them() -> None:
    """Row 8."""
    noting = typed()
    plan_row(person(opted_out=True, properties=told(since="2025-01-15")), Held(), noting)
    plan_row(person(properties=told(answers={"budget": "much"})), Held(), noting)
    assert noting.met == {"since", "budget"}


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
