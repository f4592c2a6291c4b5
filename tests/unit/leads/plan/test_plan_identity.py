"""A plan holds to the policy's rules of who is one person, also for whom only the destination knows (row 28)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from leads_rows import lead

from airflow_providers_leads.leads.files.provenance import identity_of
from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.model.identity import IdentityRules
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, Lead
from airflow_providers_leads.leads.plan.planning import PlanRules, iter_plan
from airflow_providers_leads.leads.plan.suppression import DO_NOT_CONTACT, LISTED, Suppressions

PHONE = "+49 30 23125000"
RULES: dict[str, tuple[IdentityRules, dict[str, Any], dict[str, Any]]] = {
    "plus_tags": (IdentityRules(plus_tags=True), {"email": "ann+news@x.de"}, {"email": "ann@x.de"}),
    "plus_tags both": (IdentityRules(plus_tags=True), {"email": "ann+news@x.de"}, {"email": "Ann+old@x.de"}),
    "gmail_dots": (IdentityRules(gmail_dots=True), {"email": "ann.lee@gmail.com"}, {"email": "a.nnlee@googlemail.com"}),
    "domain_aliases": (
        IdentityRules(domain_aliases={"old.example": "new.example"}), {"email": "ann@old.example"},
        {"email": "ann@new.example"},
    ),
    "match_on": (
        IdentityRules(match_on=("email", "phone")), {"email": "ann@x.de", "phone": PHONE},
        {"email": "ann@other.de", "phone": PHONE},
    ),
    "secondary address": (
        IdentityRules(plus_tags=True), {"email": "ann+news@x.de"},
        {"email": "primary@x.de", "properties": f'{{"{ALIASES_PROPERTY}":["ann@x.de"]}}'},
    ),
}  # fmt: skip


def planned(
    folder: Path, rules: IdentityRules, sources: list[Lead], existing: list[Lead], lists: Suppressions | None = None
) -> dict[str, PlanRow]:
    folder.mkdir(exist_ok=True)
    write_rows(folder / "in.parquet", Lead, sources)
    write_rows(folder / "existing.parquet", Lead, existing)
    outputs = {name: str(folder / f"{name}.parquet") for name in OUTPUTS}
    merge_files([folder / "in.parquet"], outputs, policy=MergePolicy(identity=rules))
    plan = iter_plan(
        outputs["golden"], folder / "existing.parquet",
        PlanRules(mode="update", writable=frozenset({"first_name"}), suppressions=lists or Suppressions()),
        members_uri=outputs["members"], identity=identity_of(outputs["golden"]),
    )  # fmt: skip
    return {row.email_key: row for row in plan}


def source(number: str = "p1", **fields: Any) -> Lead:
    return lead(number, source="perspective", source_scope="f", first_name="Ann", **fields)


@pytest.mark.parametrize("name", RULES)
def test_row_28_who_opted_out_in_a_destination_that_was_not_merged(tmp_path: Path, name: str) -> None:
    rules, person, held = RULES[name]
    (row,) = planned(tmp_path, rules, [source(**person)], [lead("h1", **held, opted_out=True)]).values()
    assert (row.action, row.reason) == ("suppress", "opted_out")


@pytest.mark.parametrize("name", RULES)
def test_row_28_the_record_is_updated_and_no_second_one_created(tmp_path: Path, name: str) -> None:
    rules, person, held = RULES[name]
    (row,) = planned(tmp_path, rules, [source(**person)], [lead("h1", **held)]).values()
    assert (row.action, row.target_id, row.values) == ("update", "h1", {"first_name": "Ann"})
    assert str(held["email"]).lower() in row.addresses


@pytest.mark.parametrize("name", RULES)
def test_without_the_rule_they_are_two(tmp_path: Path, name: str) -> None:
    _, person, held = RULES[name]
    (row,) = planned(tmp_path, IdentityRules(), [source(**person)], [lead("h1", **held, opted_out=True)]).values()
    assert row.action == "create"


def test_a_record_that_would_join_two_people_is_nobodys(tmp_path: Path) -> None:
    rules = IdentityRules(match_on=("email", "phone"))
    people = [source("p1", email="ann@x.de", phone=PHONE), source("p2", email="bob@x.de", phone="+49 30 23125001")]
    aliases = f'{{"{ALIASES_PROPERTY}":["bob@x.de"]}}'
    rows = planned(tmp_path, rules, people, [lead("h1", "third@x.de", phone=PHONE, properties=aliases)])
    assert {key: row.target_id for key, row in rows.items() if row.action == "update"} == {}


@pytest.mark.parametrize("name", ["plus_tags", "plus_tags both", "gmail_dots", "domain_aliases"])
def test_row_28_lists_name_people_by_the_rules(tmp_path: Path, name: str) -> None:
    rules, person, held = RULES[name]
    lists = Suppressions(identity=rules)
    assert lists.add(held["email"])
    (row,) = planned(tmp_path, rules, [source(**person)], [], lists).values()
    assert (row.action, row.reason) == ("suppress", LISTED)


def test_row_28_a_domain_is_barred_under_all_its_names() -> None:
    rules = IdentityRules(domain_aliases={"old.example": "new.example"})
    for barred in ("old.example", "new.example"):
        lists = Suppressions(identity=rules)
        assert lists.add_domain(barred, DO_NOT_CONTACT)
        assert lists.reason(["a@old.example"]) == DO_NOT_CONTACT
        assert lists.reason(["a@other.example"]) is None
    assert lists.reason(["a@new.example"]) == DO_NOT_CONTACT


def test_a_plan_knows_every_address_of_a_person(tmp_path: Path) -> None:
    aliases = f'{{"{ALIASES_PROPERTY}":["two@x.de"]}}'
    people = [lead("h1", "one@x.de", properties=aliases), source("p1", email="two@x.de")]
    (row,) = planned(tmp_path, IdentityRules(), people, [lead("h1", "one@x.de", properties=aliases)]).values()
    assert {row.email_key, *row.addresses} == {"one@x.de", "two@x.de"}
