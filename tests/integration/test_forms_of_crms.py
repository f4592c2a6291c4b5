"""A CRM that makes other values of what is written: it is written once, and nobody's words are replaced by its own."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from memory_world import DESTINATIONS, HUBSPOT, PERSISTIQ, World
from upsert_tries import hurried

from airflow_providers_leads.sandbox import Sandbox

Form = Callable[[str], str]

TITLE = "Head of R&D, Straße 1"
FORMS: dict[str, Form] = {
    "lower": str.lower,
    "upper": str.upper,
    "cut": lambda value: value[:9],
    "escaped": lambda value: html.escape(html.unescape(value)),
    "plain": lambda value: unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode(),
    "quoted": lambda value: f"“{value.strip('“”')}”",
}
WEB: dict[str, Form] = {
    "schemed": lambda value: value if "://" in value else f"http://{value}",
    "bare": lambda value: re.sub("^https?://", "", value).rstrip("/"),
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    with Sandbox(people=0, limits=False) as sandbox, hurried():
        for name, value in sandbox.connection_env().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AIRFLOW__LEADS__STAGING", f"file://{tmp_path}/staging")
        yield World(sandbox, tmp_path, memory=request.param == "memory")


def keeps(world: World, forms: dict[str, tuple[Form, Form]]) -> None:
    """Let both CRMs make something of the titles that are written, each by its own form for a person."""
    hubspot, persistiq = world.hubspot, world.persistiq
    assign, insert, change, add = hubspot.assign, hubspot.insert, persistiq.change, persistiq.add

    def made(email: object, values: dict[str, str], name: str, which: int) -> dict[str, str]:
        form = forms[str(email)][which] if email in forms else str
        return {key: form(value) if key == name and value else value for key, value in values.items()}

    hubspot.assign = lambda contact, values: assign(contact, made(contact.properties["email"], values, "jobtitle", 0))
    hubspot.insert = lambda contact, values: insert(contact, made(values["email"], values, "jobtitle", 0))
    persistiq.change = lambda lead, values, **flags: change(lead, made(lead.data["email"], values, "title", 1), **flags)

    def added(lead: object) -> None:
        lead.data = made(lead.data["email"], lead.data, "title", 1)  # type: ignore[attr-defined]
        add(lead)

    persistiq.add = added


@pytest.mark.memory
@pytest.mark.parametrize("world", ["memory", "none"], indirect=True)
def test_what_a_crm_makes_of_a_value_is_written_once(world: World) -> None:
    pairs = [(TITLE, FORMS[one], str) for one in FORMS] + [(TITLE, str, FORMS[one]) for one in FORMS]
    pairs += [(TITLE, FORMS["lower"], FORMS["upper"]), (TITLE, FORMS["escaped"], FORMS["cut"])]
    pairs += [("www.acme.example/a", WEB["schemed"], WEB["bare"]), ("www.acme.example/a", WEB["bare"], WEB["schemed"])]
    forms: dict[str, tuple[Form, Form]] = {}
    origins: dict[str, tuple[str, str]] = {}
    keeps(world, forms)
    homes = ((HUBSPOT, world.comes_to_hubspot), (PERSISTIQ, world.comes_to_persistiq))
    for value, *two in pairs:
        for number, (crm, comes) in enumerate(homes):
            email = world.email()
            forms[email] = (two[0], two[1])
            comes(email, title=value)
            origins[email] = (crm, two[number](value))
    created = world.run()
    assert {crm: created[crm]["created"] for crm in DESTINATIONS} == dict.fromkeys(DESTINATIONS, len(pairs))
    for _ in range(2):
        world.run()
    writes = world.writes()
    results = world.run()
    assert world.writes() == writes, "after three runs nothing is written any more"
    assert all(result["failed"] == result["updated"] == 0 for result in results.values())
    if world.memory:
        # What a plan counts, circuit breakers do.
        assert all(result["update"] == 0 for result in results.values())
        for email, (crm, value) in origins.items():
            assert world.holds(crm, email, "title") == value, "its author's own words"


@pytest.mark.story
@pytest.mark.parametrize("world", ["memory", "none"], indirect=True)
def test_an_edit_goes_on_where_the_value_before_it_was_kept_in_another_form(world: World) -> None:
    email = world.email()
    keeps(world, {email: (str, FORMS["cut"])})
    world.comes_to_hubspot(email, title="Chief Executive Officer")
    for _ in range(3):
        world.run()
    assert world.holds(PERSISTIQ, email, "title") == "Chief Exe"
    world.edits(HUBSPOT, email, "title", "Owner")
    world.run()
    assert [world.holds(crm, email, "title") for crm in DESTINATIONS] == ["Owner", "Owner"]


@pytest.mark.parametrize("world", ["none"], indirect=True)
def test_what_somebody_changes_there_is_no_form_of_the_crm(world: World) -> None:
    email = world.email()
    keeps(world, {email: (str, FORMS["cut"])})
    world.comes_to_hubspot(email, title="Chief Executive Officer")
    world.run()
    world.edits(PERSISTIQ, email, "title", "Boss")
    world.run()
    assert world.holds(PERSISTIQ, email, "title") == "Chief Exe"


@pytest.mark.story
@pytest.mark.parametrize("world", ["memory"], indirect=True)
def test_a_copy_in_another_form_speaks_where_what_it_was_made_of_is_gone(world: World) -> None:
    email = world.converts(properties={"title": "Trainee"})
    keeps(world, {email: (str, FORMS["lower"])})
    world.comes_to_hubspot(email, title="Head of Sales")
    for _ in range(2):
        world.run()
    assert world.holds(PERSISTIQ, email, "title") == "head of sales"
    world.deletes(email)
    world.run()
    assert world.holds(PERSISTIQ, email, "title") == "head of sales"
