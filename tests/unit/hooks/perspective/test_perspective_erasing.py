"""Erasing people from Perspective: one field a request, no automation fired, the address last."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests_mock as rm

from airflow_providers_leads.hooks.perspective import PerspectiveHook
from airflow_providers_leads.leads.model.erasure import Erasure

ROOT = "https://api.perspective.co/v1"
ANN = "ann@x.de"


def connect(monkeypatch: pytest.MonkeyPatch, **extra: Any) -> PerspectiveHook:
    value = {"conn_type": "perspective", "password": "k", "extra": {"rate_limit": 10**6, "max_retries": 0, **extra}}
    monkeypatch.setenv("AIRFLOW_CONN_PERSPECTIVE_DEFAULT", json.dumps(value))
    hook = PerspectiveHook()
    hook.client.sleep = lambda seconds: None
    return hook


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> PerspectiveHook:
    return connect(monkeypatch)


class Vendor:
    """Two funnels; the switches are what the documents leave open about empty texts."""

    def __init__(self, mocker: Any) -> None:
        self.mocker = mocker
        self.funnels: dict[str, dict[str, dict[str, Any]]] = {"f1": {}, "f2": {}}
        self.refuses = {"email"}
        self.keeps: set[str] = set()
        campaigns = [{"id": funnel} for funnel in self.funnels]
        mocker.get(f"{ROOT}/workspaces", json={"data": [{"id": "w", "campaigns": campaigns}]})
        for funnel, held in self.funnels.items():
            # The list shows less than the contact itself.
            mocker.get(
                f"{ROOT}/funnels/{funnel}/contacts",
                json=lambda r, c, held=held: {
                    "data": [{k: v for k, v in one.items() if k != "properties"} for one in held.values()],
                    "meta": {"hasNext": False},
                },
            )

    def add(self, funnel: str, contact_id: str, **values: Any) -> dict[str, Any]:
        contact = self.funnels[funnel][contact_id] = {"id": contact_id, "status": "lead", **values}
        url = f"{ROOT}/funnels/{funnel}/contacts/{contact_id}"
        self.mocker.get(url, json=lambda r, c: {"data": contact})
        self.mocker.put(f"{url}/values", json=lambda r, c: self.change(contact, r, c))
        return contact

    def change(self, contact: dict[str, Any], request: Any, context: Any) -> Any:
        name, value = request.json()["fieldName"], request.json()["value"]
        if name in self.refuses:
            context.status_code = 400
            return {"error": f"Invalid {ANN}", "status": 400}
        parts = contact.get("address") or {}
        place = contact if name in contact else parts if name in parts else contact.get("properties")
        if name not in self.keeps:
            place[name] = value  # type: ignore[index]
        return {"data": {"id": contact["id"], "fieldName": name, "value": value}}

    def writes(self) -> list[Any]:
        return [r.json() for r in self.mocker.request_history if r.method != "GET"]


@pytest.fixture
def vendor() -> Any:
    with rm.Mocker() as mocker:
        yield Vendor(mocker)


def told(rows: list[Erasure]) -> dict[str, str]:
    return {row.step: row.status for row in rows}


def blanked(*fields: str) -> list[dict[str, Any]]:
    return [{"fieldName": field, "value": "", "skipAutomationTrigger": True} for field in fields]


def test_every_field_is_blanked_without_an_automation_and_the_rest_is_told_of(
    hook: PerspectiveHook, vendor: Vendor
) -> None:
    contact = vendor.add(
        "f2", "c1", email=" Ann@x.de", firstName="Ann", phone="", website=None,
        address={"street": "Weg", "city": "Ulm", "floor": "3"}, utmParams={"utm_source": "ig"},
        timezone="Europe/Berlin",
        properties={"question_1": {"value": "Yes", "title": "Sure?"}, "empty": "", "ps_score": "5", "meta": "x"},
        meta={"ps_converted_at": "2026-01-01T00:00:00Z"},
    )  # fmt: skip
    vendor.add("f1", "c2", email="bob@x.de", firstName="Bob")
    rows = list(hook.erase([ANN]))
    assert vendor.writes() == blanked("firstName", "street", "city", "question_1", "email")
    assert told(rows) == {
        "blank firstName": "done",
        "blank street": "done",
        "blank city": "done",
        "blank question_1": "done",
        "blank email": "not_possible",
        "blank utmParams": "not_possible",
        "blank timezone": "not_possible",
        "blank meta": "not_possible",
        "blank address.floor": "not_possible",
        "blank properties.ps_score": "not_possible",
        "blank properties.meta": "not_possible",
        "delete contact": "not_possible",
    }
    assert {(row.scope, row.record_id) for row in rows} == {("f2", "c1")}
    assert contact["address"] == {"street": "", "city": "", "floor": "3"}
    assert "@" not in str(rows)


def test_an_address_that_can_be_blanked_goes_last(hook: PerspectiveHook, vendor: Vendor) -> None:
    vendor.refuses.clear()
    vendor.add("f1", "c1", email=ANN, lastName="Lee")
    assert told(list(hook.erase([ANN])))["blank email"] == "done"
    assert vendor.writes() == blanked("lastName", "email")
    assert told(list(hook.erase([ANN]))) == {"find": "not_found"}


def test_what_keeps_its_value_is_not_called_done(hook: PerspectiveHook, vendor: Vendor) -> None:
    vendor.keeps = {"phone"}
    vendor.add("f1", "c1", email=ANN, firstName="Ann", phone="1")
    rows = list(hook.erase([ANN]))
    assert (told(rows)["blank firstName"], told(rows)["blank phone"]) == ("done", "not_possible")
    assert "keeps its value" in next(row.reason or "" for row in rows if row.step == "blank phone")


def test_a_custom_field_named_like_an_address_is_not_repeated(hook: PerspectiveHook, vendor: Vendor) -> None:
    vendor.add("f1", "c1", email=ANN, properties={"of zoe@z.de": "x"})
    assert "@" not in str(list(hook.erase([ANN])))


def test_contacts_in_every_funnel_are_found(hook: PerspectiveHook, vendor: Vendor) -> None:
    for funnel, number in (("f1", 1), ("f1", 2), ("f2", 3)):
        vendor.add(funnel, f"c{number}", email="ANN@X.de", firstName="Ann")
    rows = list(hook.erase([ANN]))
    assert {(row.scope, row.record_id) for row in rows if row.step == "blank firstName"} == {
        ("f1", "c1"), ("f1", "c2"), ("f2", "c3"),
    }  # fmt: skip


def test_a_connection_that_names_its_funnels_says_that_others_were_not_searched(
    monkeypatch: pytest.MonkeyPatch, vendor: Vendor
) -> None:
    hook = connect(monkeypatch, funnel_ids=["f1"])
    vendor.add("f2", "c1", email=ANN)
    assert told(list(hook.erase([ANN]))) == {"find": "not_found", "other funnels": "not_possible"}
    assert vendor.writes() == []


def test_a_dry_run_writes_nothing(hook: PerspectiveHook, vendor: Vendor) -> None:
    vendor.add("f1", "c1", email=ANN, firstName="Ann")
    assert told(list(hook.erase([ANN], dry_run=True))) == {
        "blank firstName": "planned",
        "blank email": "planned",
        "delete contact": "not_possible",
    }
    assert vendor.writes() == []


def test_a_funnel_that_can_not_be_read_stops_no_other(hook: PerspectiveHook, vendor: Vendor) -> None:
    vendor.mocker.get(f"{ROOT}/funnels/f1/contacts", status_code=403, json={"error": "Forbidden", "status": 403})
    vendor.add("f2", "c1", email=ANN, firstName="Ann")
    rows = list(hook.erase([ANN]))
    assert [(row.step, row.status) for row in rows if row.scope == "f1"] == [("find", "failed")]
    assert told([row for row in rows if row.scope == "f2"])["blank firstName"] == "done"


def test_a_write_that_fails_stops_no_other(hook: PerspectiveHook, vendor: Vendor) -> None:
    vendor.add("f1", "c1", email=ANN, firstName="Ann", lastName="Lee")
    url = f"{ROOT}/funnels/f1/contacts/c1/values"
    vendor.mocker.put(url, [{"status_code": 500, "text": "no"}, {"json": {"data": {}}}])
    statuses = told(list(hook.erase([ANN])))
    assert statuses["blank firstName"] == "failed"
    # Answered well, but the contact shows that it changed nothing.
    assert statuses["blank lastName"] == "not_possible"


def test_a_refused_key_ends_it_with_a_row_for_everybody(hook: PerspectiveHook, vendor: Vendor) -> None:
    vendor.mocker.get(f"{ROOT}/workspaces", status_code=401, json={"error": "Invalid or unauthorized API key"})
    rows = list(hook.erase([ANN, "bob@x.de"]))
    assert [(row.step, row.status) for row in rows] == [("find", "failed")] * 2


def test_an_address_in_an_odd_form_is_found(hook: PerspectiveHook, vendor: Vendor) -> None:
    vendor.add("f1", "c1", email=f"mailto:{ANN}", phone="1")

    rows = list(hook.erase([ANN]))

    assert told(rows)["blank phone"] == "done" and "find" not in told(rows)


@pytest.mark.parametrize(
    "values",
    [{"email": f"{ANN} / other@x.example"}, {"email": "other@x.example", "website": f"x.example?mail={ANN}"}],
    ids=["beside another", "in another field"],
)
def test_who_is_named_beside_others_is_left_to_people(
    hook: PerspectiveHook, vendor: Vendor, values: dict[str, str]
) -> None:
    vendor.add("f2", "c1", **values)

    (row,) = hook.erase([ANN])

    assert (row.step, row.status, row.record_id, row.scope) == ("erase by hand", "not_possible", "c1", "f2")
    assert not vendor.writes()
