"""What a table of fields gives: constants, defaults, owners; what is written once, into empty places, or forward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.fields import check_rules, field_rules, ruled_values, with_owners
from airflow_providers_leads.leads.plan.planning import Held, PlanRules, plan_row
from airflow_providers_leads.leads.plan.property_types import PropertyType, PropertyTypes
from airflow_providers_leads.leads.plan.recheck import recheck_row

STAGES = ("subscriber", "lead", "customer")
TYPES = PropertyTypes(
    {
        "properties.lifecyclestage": PropertyType("choice", {name: name.title() for name in STAGES}, forward=STAGES),
        "properties.score": PropertyType("number"),
    }
)
OWNERS = {"sales@example.com": "77"}
GOLDEN = Lead(
    "golden", "", "a@example.com", "a@example.com", "a@example.com", company="Acme",
    properties='{"utmParams":{"utm_source":"fair"},"seller":"Sales@example.com","score":3}',
)  # fmt: skip


def planned(fields: dict[str, Any], now: dict[str, Any] | None = None, **rules: Any) -> PlanRow:
    placed = {
        name if name in ("company", "status") else f"properties.{name}": rule
        for name, rule in field_rules(fields).items()
    }
    held = Held()
    if now is not None:
        import json

        own = {name: value for name, value in now.items() if name not in ("company", "status")}
        lead_fields = {name: value for name, value in now.items() if name in ("company", "status")}
        record = Lead("crm", "c", "1", "a@example.com", "a@example.com", properties=json.dumps(own), **lead_fields)
        held = Held(record, 1)
    how = PlanRules(
        mode=rules.pop("mode", "update"), writable=frozenset({"company"}), fields=placed, owners=OWNERS, types=TYPES,
        **rules,
    )  # fmt: skip
    return plan_row(GOLDEN, held, how)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("utmParams.utm_source", "fair"),
        ("properties.utmParams.utm_source", "fair"),
        ("utm_source", "fair"),
        ({"from": "score"}, "3"),
        ({"from": "company"}, "Acme"),
        ({"constant": "x"}, "x"),
        ({"constant": 5}, "5"),
        ({"from": "gone", "default": "unknown"}, "unknown"),
        ({"from": "company", "default": "unknown"}, "Acme"),
        ({"from": "seller", "owner": True}, "77"),
        ({"constant": "sales@example.com", "owner": True}, "77"),
        ({"from": "gone"}, None),
    ],
)
def test_where_a_value_comes_from(rule: Any, value: str | None) -> None:
    row = planned({"target": rule})
    assert row.action == "create"
    assert row.properties == ({"target": value} if value else {})


@pytest.mark.parametrize(
    ("rule", "now", "written"),
    [
        ({"constant": "lead", "only": "create"}, {}, {}),
        ({"constant": "lead", "only": "create"}, None, {"lifecyclestage": "lead"}),
        ({"constant": "lead", "only": "empty"}, {}, {"lifecyclestage": "lead"}),
        ({"constant": "lead", "only": "empty"}, {"lifecyclestage": "subscriber"}, {}),
        ({"constant": "lead"}, {"lifecyclestage": "subscriber"}, {"lifecyclestage": "lead"}),
        ({"constant": "lead"}, {"lifecyclestage": "customer"}, {}),
        ({"constant": "lead"}, {"lifecyclestage": "4711"}, {"lifecyclestage": "lead"}),
        ({"constant": "Lead"}, {"lifecyclestage": "lead"}, {}),
    ],
)
def test_when_a_value_is_written(rule: Any, now: dict[str, Any] | None, written: dict[str, str]) -> None:
    row = planned({"lifecyclestage": rule}, now)
    assert row.properties == written
    assert row.action == ("create" if now is None else "update" if written else "unchanged") or row.values


def test_a_field_of_a_lead_is_filled_by_the_table_alone() -> None:
    row = planned(
        {"company": {"constant": "Fixed", "only": "empty"}, "status": {"constant": "NEW"}}, {"company": "Old"}
    )
    assert (row.values, row.before) == ({"status": "NEW"}, {"status": None})
    assert planned({"company": {"constant": "Fixed"}}).values == {"company": "Fixed"}


def test_an_owner_that_nobody_is_is_left_out_and_named() -> None:
    row = planned({"owner": {"from": "company", "owner": True}})
    assert row.properties == {}
    assert "owner (no user who can own records has that address or id)" in str(row.reason)
    assert planned({"owner": {"from": "score", "owner": True}}).properties == {}


def test_a_property_of_owners_takes_owners_whether_the_table_says_so_or_not() -> None:
    types = PropertyTypes({"properties.seller": PropertyType(of_owner=True)})
    owners = {"sales@example.com": "77", "two@example.com": ""}

    def checked(value: Any) -> dict[str, Any]:
        table = with_owners(field_rules({"properties.seller": {"constant": value}}), types)
        check_rules(table, types, owners, "here")
        return ruled_values(GOLDEN, table, types, owners, set())[0]

    assert checked("Sales@example.com") == checked(77) == {"properties.seller": "77"}
    for value, message in (("two@example.com", "several users"), ("who@example.com", "no user"), (78, "no user")):
        with pytest.raises(ValueError, match=message) as raised:
            checked(value)
        assert "@" not in str(raised.value)


def test_a_stage_never_goes_back_by_a_mapping_either() -> None:
    lead = Lead("golden", "", "a", "a@example.com", "a@example.com", properties='{"stage":"lead"}')
    record = Lead("crm", "c", "1", "a@example.com", "a@example.com", properties='{"lifecyclestage":"customer"}')
    rules = PlanRules(mode="update", writable=frozenset(), properties={"stage": "lifecyclestage"}, types=TYPES)
    assert plan_row(lead, Held(record, 1), rules).action == "unchanged"


def test_a_create_whose_person_came_meanwhile_writes_nothing_that_is_for_new_records() -> None:
    row = planned({"lifecyclestage": {"constant": "lead", "only": "create"}, "score": "score"})
    record = Lead("crm", "c", "1", "a@example.com", "a@example.com")
    only = {"properties.lifecyclestage": "create"}
    fresh = recheck_row(row, Held(record, 1), mode="update", types=TYPES, only=only)
    assert (fresh.action, fresh.properties) == ("update", {"score": "3"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("gone.yaml", "gone.yaml can't be read"),
        (["a"], "fields must be a mapping"),
        ({"a": 1}, "'a' must be the name"),
        ({"a": {}}, "give one of 'from' and 'constant'"),
        ({"a": {"from": "x", "constant": "y"}}, "give one of"),
        ({"a": {"form": "x"}}, "unknown entry 'form'; did you mean 'from'"),
        ({"a": {"constant": "x", "only": "once"}}, "'a': only must be create or empty, not 'once'"),
        ({"a": {"constant": ""}}, "an empty text writes nothing"),
        ({"a": {"constant": "x", "default": "y"}}, "a constant needs none"),
    ],
)
def test_tables_that_are_wrong(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        field_rules(fields)


def test_a_table_as_yaml(tmp_path: Path) -> None:
    file = tmp_path / "fields.yaml"
    file.write_text("fields:\n  lifecyclestage: {constant: lead, only: create}\n  utm: utm_source\n")
    assert field_rules(str(file)) == field_rules(
        {"lifecyclestage": {"constant": "lead", "only": "create"}, "utm": "utm_source"}
    )
    for text, message in (
        ("a: 1\na: 2\n", "line 2"),
        ("fields:\n  a: x\n  b: {form: x}\n", "line 3: 'b' has the unknown entry 'form'"),
        ("a: {from: x}\nb: {constant: x, only: once}\n", "line 2: 'b': only must be"),
        ("", "fields.yaml must be a mapping"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            field_rules(str(file))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"properties.lifecyclestage": {"constant": "led"}}, "lifecyclestage.*subscriber, lead, customer"),
        ({"properties.score": {"from": "x", "default": "many"}}, "'score': it is no number"),
        ({"properties.o": {"constant": "who@example.com", "owner": True}}, "'o': no user who can own records"),
    ],
)
def test_constants_that_a_destination_cant_hold(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        check_rules(field_rules(fields), TYPES, OWNERS, "here")
    assert "@" not in str(raised.value)
