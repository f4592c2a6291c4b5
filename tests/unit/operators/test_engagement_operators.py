"""From PersistIQ's events to HubSpot's properties, over HTTP: what is matched, written and told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_providers_leads.bridges.persistiq_hubspot import GROUP, PROPERTIES
from airflow_providers_leads.http.errors import LeadsAuthError, LeadsValidationError
from airflow_providers_leads.operators.engagement import (
    HubSpotEnsurePropertiesOperator,
    PersistIQEngagementToHubSpotOperator,
)
from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.sandbox.hubspot.store import Contact
from airflow_providers_leads.sandbox.persistiq.store import Lead
from airflow_providers_leads.tasks.returns import LeadsWriteError

LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(people=0, limits=False, anchor="2024-01-01T00:00:00Z") as running:
        for name, value in running.connection_env().items():
            extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 0}
            monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
        yield running


def ensure(**changes: Any) -> Any:
    arguments = {"group": GROUP, "properties": PROPERTIES, **changes}
    return HubSpotEnsurePropertiesOperator(task_id="p", **arguments).execute({})  # type: ignore[typeddict-item]


def sync(**changes: Any) -> Any:
    arguments = {"start_at": LONG_AGO, **changes}
    return PersistIQEngagementToHubSpotOperator(task_id="e", **arguments).execute({})  # type: ignore[typeddict-item]


def contact(sandbox: Sandbox, email: str, **properties: str) -> Contact:
    made: Contact = sandbox.hubspot.store.plan_create({"email": email, **properties}).commit()
    return made


def befall(sandbox: Sandbox, email: str, kind: str = "message_received", campaign: str | None = None) -> None:
    store = sandbox.persistiq.store
    now = store.clock.now()
    lead = store.find(email) or Lead(store.next_id("l"), "new", {"email": email}, now, now)
    if lead.id not in store.leads:
        store.add(lead)
    store.record(kind, lead_id=lead.id, campaign_id=campaign)


def engagement(of: Contact) -> dict[str, str]:
    return {name: value for name, value in of.properties.items() if name.startswith("persistiq_")}


def test_properties_are_made_once(sandbox: Sandbox) -> None:
    names = [definition["name"] for definition in PROPERTIES]
    assert ensure(dry_run="true") == {"group_created": True, "created": names, "existing": 0}
    assert sandbox.hubspot.stats.writes == 0
    assert ensure() == {"group_created": True, "created": names, "existing": 0}
    assert sandbox.hubspot.stats.writes == 5
    assert ensure() == {"group_created": False, "created": [], "existing": 4}
    assert sandbox.hubspot.stats.writes == 5
    del sandbox.hubspot.store.properties[names[0]]
    assert ensure() == {"group_created": False, "created": names[:1], "existing": 3}


def test_a_property_of_another_type_is_left_alone_and_told(sandbox: Sandbox) -> None:
    ensure(properties=[{**PROPERTIES[0], "type": "string", "field_type": "text"}])
    writes = sandbox.hubspot.stats.writes
    with pytest.raises(ValueError, match="'persistiq_replied_at' of type 'string', and 'datetime' is needed"):
        ensure()
    assert sandbox.hubspot.stats.writes == writes


def test_two_first_runs_at_once_both_succeed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_providers_leads.hooks.hubspot import HubSpotHook

    together = threading.Barrier(2)
    listed = HubSpotHook.list_property_groups

    def slowly(self: HubSpotHook) -> Any:
        found = list(listed(self))
        together.wait(10)
        return iter(found)

    monkeypatch.setattr(HubSpotHook, "list_property_groups", slowly)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(ensure())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert {definition["name"] for definition in PROPERTIES} <= sandbox.hubspot.store.properties.keys()


def test_people_are_matched_however_their_address_is_written(sandbox: Sandbox) -> None:
    ensure()
    plain, foreign = contact(sandbox, "ann@people.example"), contact(sandbox, "eva@xn--bcher-kva.example")
    several = contact(sandbox, "first@people.example", hs_additional_emails="second@people.example")
    befall(sandbox, "Ann@People.Example ")
    befall(sandbox, "eva@bücher.example", "message_bounced")
    befall(sandbox, "first@people.example", "message_received")
    befall(sandbox, "second@people.example", "message_optout")
    befall(sandbox, "stranger@people.example")
    done = sync()
    assert (done["people"], done["updated"], done["unmatched"]) == (5, 3, 1)
    assert done["events"] == {"replied_at": 3, "bounced_at": 1, "opted_out_at": 1}
    assert list(engagement(plain)) == ["persistiq_replied_at"]
    assert list(engagement(foreign)) == ["persistiq_bounced_at"]
    assert sorted(engagement(several)) == ["persistiq_opted_out_at", "persistiq_replied_at"]
    assert len(sandbox.hubspot.store.contacts) == 3
    again = sync()
    assert (again["updated"], again["unchanged"], again["unmatched"]) == (0, 3, 1)


def test_many_are_written_in_the_largest_batches(sandbox: Sandbox) -> None:
    ensure()
    people = [f"p{n}@people.example" for n in range(230)]
    for email in people:
        contact(sandbox, email)
        befall(sandbox, email)
    writes = sandbox.hubspot.stats.writes
    assert sync()["updated"] == 230
    assert sandbox.hubspot.stats.writes - writes == 3


def test_nothing_happened_costs_one_request(sandbox: Sandbox) -> None:
    contact(sandbox, "ann@people.example")
    befall(sandbox, "ann@people.example", "message_opened")
    done = sync()
    assert (done["people"], done["updated"], done["unchanged"]) == (0, 0, 0)
    assert sandbox.hubspot.stats.requests == 0
    assert sandbox.persistiq.stats.requests == 1


def test_other_properties_and_only_some(sandbox: Sandbox) -> None:
    ensure(properties=[{**PROPERTIES[0], "name": "answered_at"}])
    ann = contact(sandbox, "ann@people.example")
    befall(sandbox, "ann@people.example")
    befall(sandbox, "ann@people.example", "message_bounced")
    assert sync(properties={"replied_at": "answered_at", "bounced_at": ""})["updated"] == 1
    assert "answered_at" in ann.properties
    assert engagement(ann) == {}
    assert sync(properties={"replied_at": "answered_at"})["unchanged"] == 1


def test_only_the_window_counts(sandbox: Sandbox) -> None:
    ensure()
    contact(sandbox, "ann@people.example")
    befall(sandbox, "ann@people.example")
    assert sync(end_at="2021-01-01T00:00:00Z")["people"] == 0
    assert sync(start_at="2999-01-01T00:00:00Z", end_at=None)["people"] == 0


def test_the_file_tells_what_was_written_by_ids(sandbox: Sandbox, tmp_path: Path) -> None:
    ensure()
    ann = contact(sandbox, "ann@people.example")
    befall(sandbox, "ann@people.example")
    for dry_run, outcome in ((True, "planned"), (False, "updated")):
        file = tmp_path / f"{outcome}.jsonl"
        assert sync(output=f"file://{file}", dry_run=dry_run)["uri"] == f"file://{file}"
        (row,) = map(json.loads, file.read_text().splitlines())
        assert (row["contact_id"], row["outcome"], list(row["properties"])) == (
            str(ann.id), outcome, ["persistiq_replied_at"],
        )  # fmt: skip
    assert "@" not in file.read_text()


def test_a_contact_that_is_not_written_fails_the_task_and_the_rest_is_written(sandbox: Sandbox, tmp_path: Path) -> None:
    ensure()
    people = [contact(sandbox, f"p{n}@people.example") for n in range(3)]
    for one in people:
        befall(sandbox, one.properties["email"])
    gone = people[1]
    store = sandbox.hubspot.store
    update = "/batch/update"

    def vanish(index: int, call: Any) -> Fault | None:
        if call.path.endswith(update) and gone.archived is None:
            store.archive(gone)
        return None

    sandbox.hubspot.faults = vanish
    with pytest.raises(LeadsWriteError, match="1 of 3 contacts were not written") as caught:
        sync(output=f"file://{tmp_path}/out.jsonl")
    assert "@" not in str(caught.value)
    assert [bool(engagement(one)) for one in people] == [True, False, True]
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(row["outcome"] for row in rows) == ["failed", "updated", "updated"]
    done = sync()
    assert (done["unmatched"], done["unchanged"]) == (1, 2)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"start_at": None}, "start_at must be given"),
        ({"start_at": ""}, "start_at must be given"),
        ({"start_at": "2026-01-01"}, "start_at has no time zone"),
        ({"end_at": "2019-01-01T00:00:00Z"}, "start_at must be before end_at"),
        ({"properties": {"opened_at": "x"}}, "properties must be a mapping of any of replied_at"),
        ({"properties": {"replied_at": ""}}, "properties must be a mapping"),
        ({"dry_run": "maybe"}, "dry_run must be true or false"),
        ({"on_failure": "ignore"}, "on_failure must be"),
        ({}, "HubSpotEnsurePropertiesOperator makes it"),
    ],
)
def test_bad_input_is_told_before_the_first_write(sandbox: Sandbox, given: dict[str, Any], told: str) -> None:
    contact(sandbox, "ann@people.example")
    befall(sandbox, "ann@people.example")
    with pytest.raises(ValueError, match=told):
        sync(**given)
    assert sandbox.hubspot.stats.writes == 0


@pytest.mark.parametrize("crm", ["hubspot", "persistiq"])
def test_a_wrong_key_names_its_connection(sandbox: Sandbox, crm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contact(sandbox, "ann@people.example")
    befall(sandbox, "ann@people.example")
    wrong = {**sandbox.connections()[f"{crm}_default"], "password": "planted-secret-key"}
    monkeypatch.setenv(f"AIRFLOW_CONN_{crm.upper()}_DEFAULT", json.dumps(wrong))
    with pytest.raises(LeadsAuthError, match=f"'{crm}_default'") as caught:
        sync()
    assert "planted-secret-key" not in str(caught.value)
    assert sandbox.hubspot.stats.writes == 0


def test_a_name_that_hubspot_refuses_is_told(sandbox: Sandbox) -> None:
    with pytest.raises((LeadsValidationError, ValueError), match="name must consist of"):
        ensure(group={"name": "My Group", "label": "x"})
    assert sandbox.hubspot.stats.writes == 0
