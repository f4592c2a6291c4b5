"""Erasing people from PersistIQ: mail is stopped first, then the fields are blanked, the address stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests_mock as rm

from airflow_providers_leads.hooks.persistiq import PersistIQHook
from airflow_providers_leads.leads.model.erasure import Erasure
from airflow_providers_leads.leads.model.identity import person_hash

ROOT = "https://api.persistiq.com/v1"
ANN = "ann@firma.example"
REFUSED = {"status": "error", "error": {"reason": "bad_params", "message": f"{ANN} can't be blank"}}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> PersistIQHook:
    value = {"conn_type": "persistiq", "password": "k", "extra": {"rate_limit": 10**6, "max_retries": 0}}
    monkeypatch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", json.dumps(value))
    hook = PersistIQHook()
    hook.client.sleep = lambda seconds: None
    return hook


class Vendor:
    """One account; the switches are what the documents leave open about blanking."""

    def __init__(self, mocker: Any) -> None:
        self.mocker = mocker
        self.leads: dict[str, dict[str, Any]] = {}
        self.ignores_empty = False
        self.refuses: set[str] = set()
        self.keeps: set[str] = set()
        self.domains: list[str] = []
        self.campaigns: dict[str, set[str]] = {}
        mocker.get(f"{ROOT}/leads", json=lambda r, c: self.listed("leads", list(self.leads.values())))
        mocker.get(f"{ROOT}/dnc_domains", json=lambda r, c: self.listed("dnc_domains", self.named(self.domains)))
        mocker.get(f"{ROOT}/campaigns", json=lambda r, c: self.listed("campaigns", self.joined(r.qs["lead_id"][0])))
        mocker.post(f"{ROOT}/dnc_domains", json=self.bar)

    def add(self, lead_id: str, email: str, campaigns: tuple[str, ...] = (), **data: Any) -> None:
        self.leads[lead_id] = {"id": lead_id, "optedout": False, "data": {"email": email, **data}}
        url = f"{ROOT}/leads/{lead_id}"
        self.mocker.patch(url, json=lambda r, c: self.change(lead_id, r, c))
        self.mocker.get(url, json=lambda r, c: {"status": "success", "leads": [self.leads[lead_id]]})
        for campaign in campaigns:
            self.campaigns.setdefault(campaign, set()).add(lead_id)
            self.mocker.delete(f"{ROOT}/campaigns/{campaign}/leads/{lead_id}", text="")

    def joined(self, lead_id: str) -> list[dict[str, str]]:
        return [{"id": campaign} for campaign, members in self.campaigns.items() if lead_id in members]

    @staticmethod
    def named(names: list[str]) -> list[dict[str, str]]:
        return [{"id": name, "name": name} for name in names]

    @staticmethod
    def listed(key: str, rows: list[Any]) -> Any:
        return {"status": "success", "errors": [], "has_more": False, key: rows}

    def bar(self, request: Any, context: Any) -> Any:
        self.domains.append(request.json()["name"])
        return {"status": "success", "dnc_domain": {"id": "dom_1", "name": self.domains[-1]}}

    def change(self, lead_id: str, request: Any, context: Any) -> Any:
        body, lead = request.json(), self.leads[lead_id]
        if self.refuses & set(body.get("data") or ()):
            context.status_code = 400
            return REFUSED
        lead["optedout"] = body.get("optedout", lead["optedout"])
        for name, value in (body.get("data") or {}).items():
            if name not in self.keeps and not (value == "" and self.ignores_empty):
                lead["data"][name] = value
        return {"status": "success", "error": None, "lead": lead}

    def writes(self) -> list[tuple[str, str, Any]]:
        sent = [r for r in self.mocker.request_history if r.method != "GET"]
        return [(r.method, r.path.removeprefix("/v1"), r.json() if r.text else None) for r in sent]


@pytest.fixture
def vendor() -> Any:
    with rm.Mocker() as mocker:
        yield Vendor(mocker)


def told(rows: list[Erasure]) -> dict[str, str]:
    return {row.step: row.status for row in rows}


def test_mail_stops_first_then_the_fields_are_blanked_in_one_request(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.add("l_1", " Ann@Firma.example ", ("c_1", "c_2"), first_name="Ann", phone="1", title=None, snippet="")
    vendor.add("l_2", "bob@firma.example", first_name="Bob")
    rows = list(hook.erase([ANN]))
    assert vendor.writes() == [
        ("PATCH", "/leads/l_1", {"optedout": True}),
        ("DELETE", "/campaigns/c_1/leads/l_1", None),
        ("DELETE", "/campaigns/c_2/leads/l_1", None),
        ("PATCH", "/leads/l_1", {"data": {"first_name": "", "phone": ""}}),
    ]
    assert [(row.step, row.status, row.scope) for row in rows] == [
        ("opt out", "done", None),
        ("remove from campaign", "done", "c_1"),
        ("remove from campaign", "done", "c_2"),
        ("blank first_name", "done", None),
        ("blank phone", "done", None),
        ("delete lead", "not_possible", None),
        ("do_not_contact_domain", "not_possible", None),
    ]
    assert {row.person for row in rows} == {person_hash(ANN)}
    assert "@" not in str(rows)
    assert vendor.leads["l_2"]["data"]["first_name"] == "Bob"


def test_an_opt_out_that_is_ignored_is_not_called_done(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.add("l_1", ANN)
    kept = {"status": "success", "error": None, "lead": {**vendor.leads["l_1"], "optedout": "false"}}
    vendor.mocker.patch(f"{ROOT}/leads/l_1", json=kept)
    assert told(list(hook.erase([ANN])))["opt out"] == "not_possible"
    # The reference's samples leave the flag out.
    del kept["lead"]["optedout"]
    assert told(list(hook.erase([ANN])))["opt out"] == "done"


def test_a_lead_that_is_said_to_be_gone_and_is_there_is_a_failure(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.add("l_1", ANN, phone="1")
    vendor.mocker.patch(f"{ROOT}/leads/l_1", status_code=404, json={"status": "error"})
    found = told(list(hook.erase([ANN])))
    assert (found["opt out"], found["blank phone"]) == ("failed", "failed")


def test_a_second_run_writes_nothing(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.add("l_1", ANN, first_name="Ann")
    list(hook.erase([ANN]))
    before = len(vendor.writes())
    assert told(list(hook.erase([ANN]))) == {
        "opt out": "done",
        "delete lead": "not_possible",
        "do_not_contact_domain": "not_possible",
    }
    assert len(vendor.writes()) == before


def test_an_api_that_ignores_empty_texts_is_sent_null(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.add("l_1", ANN, first_name="Ann")
    vendor.ignores_empty = True
    assert told(list(hook.erase([ANN])))["blank first_name"] == "done"
    assert [body for *_, body in vendor.writes()][1:] == [{"data": {"first_name": ""}}, {"data": {"first_name": None}}]


@pytest.mark.parametrize("how", ["refuses", "keeps"])
def test_a_field_that_can_not_be_blanked_keeps_no_other(hook: PersistIQHook, vendor: Vendor, how: str) -> None:
    vendor.add("l_1", ANN, first_name="Ann", domain="firma.example", phone="1")
    getattr(vendor, how).add("domain")
    rows = list(hook.erase([ANN]))
    statuses = told(rows)
    assert (statuses["blank first_name"], statuses["blank phone"]) == ("done", "done")
    assert statuses["blank domain"] == "not_possible"
    assert "by hand" in next(row.reason or "" for row in rows if row.step == "blank domain")
    assert {k: v for k, v in vendor.leads["l_1"]["data"].items() if v} == {"email": ANN, "domain": "firma.example"}


def test_two_leads_of_one_address_are_both_erased(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.add("l_1", ANN, first_name="Ann")
    vendor.add("l_2", f"{ANN} ", first_name="Anne")
    rows = list(hook.erase([ANN]))
    assert {row.record_id for row in rows if row.step == "opt out"} == {"l_1", "l_2"}
    assert all(lead["optedout"] for lead in vendor.leads.values())


def test_nobody_there(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.add("l_1", "bob@x.de")
    assert told(list(hook.erase([ANN], block_domains=True))) == {"find": "not_found"}
    assert vendor.writes() == []


def test_a_dry_run_writes_nothing_and_tells_what_it_would(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.add("l_1", ANN, ("c_1",), first_name="Ann")
    assert told(list(hook.erase([ANN], dry_run=True, block_domains=True))) == {
        "opt out": "planned",
        "remove from campaign": "planned",
        "blank first_name": "planned",
        "delete lead": "not_possible",
        "do_not_contact_domain": "planned",
    }
    assert vendor.writes() == []


@pytest.mark.parametrize(
    ("domain", "asked", "held", "status", "barred"),
    [
        ("firma.example", False, [], "not_possible", []),
        ("firma.example", True, [], "done", ["firma.example"]),
        ("firma.example", True, ["firma.example"], "done", ["firma.example"]),
        ("gmail.com", True, [], "not_possible", []),
        ("yahoo.fr", True, [], "not_possible", []),
    ],
)
def test_only_a_company_domain_is_barred_and_only_when_asked_for(
    hook: PersistIQHook, vendor: Vendor, domain: str, asked: bool, held: list[str], status: str, barred: list[str]
) -> None:
    vendor.domains = list(held)
    vendor.add("l_1", f"ann@{domain}")
    vendor.add("l_2", f"bob@{domain}")
    rows = [r for r in hook.erase([f"ann@{domain}", f"bob@{domain}"], block_domains=asked) if r.step.startswith("do_")]
    assert [row.status for row in rows] == [status, status]
    assert vendor.domains == barred
    assert domain not in str(rows)


def test_what_fails_stops_no_other_step(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.add("l_1", ANN, first_name="Ann")
    vendor.add("l_2", "bob@firma.example", first_name="Bob")
    vendor.mocker.patch(f"{ROOT}/leads/l_1", status_code=500, json={})
    vendor.mocker.get(
        f"{ROOT}/campaigns",
        [{"status_code": 400, "json": REFUSED}, {"json": vendor.listed("campaigns", [])}],
    )
    rows = list(hook.erase([ANN, "bob@firma.example"]))
    ann, bob = (told([row for row in rows if row.record_id == lead_id]) for lead_id in ("l_1", "l_2"))
    assert ann == {
        "opt out": "failed",
        "remove from campaign": "failed",
        "blank first_name": "failed",
        "delete lead": "not_possible",
    }
    assert bob["opt out"] == bob["blank first_name"] == "done"
    assert "@" not in str(rows)


def test_a_refused_key_ends_it_with_a_row_for_everybody(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.mocker.get(f"{ROOT}/leads", status_code=401, json=REFUSED)
    rows = list(hook.erase([ANN, "bob@x.de"]))
    assert [(row.step, row.status) for row in rows] == [("find", "failed")] * 2
    assert "Put the company's API key" in (rows[0].reason or "")
    assert len(vendor.mocker.request_history) == 1


@pytest.mark.parametrize("held", [f"mailto:{ANN}", f"'{ANN}'", f"{ANN} (privat)", f"{ANN}; Ann <{ANN}>"])
def test_an_address_in_an_odd_form_is_found(hook: PersistIQHook, vendor: Vendor, held: str) -> None:
    vendor.add("l_1", held, phone="1")

    rows = list(hook.erase([ANN]))

    assert vendor.leads["l_1"]["optedout"] is True and not vendor.leads["l_1"]["data"]["phone"]
    assert told(rows)["blank phone"] == "done" and "not_found" not in told(rows).values()


def test_a_record_of_two_people_who_both_go_is_told_of_for_each(hook: PersistIQHook, vendor: Vendor) -> None:
    vendor.add("l_1", f"{ANN}, bob@x.example", phone="1")

    rows = list(hook.erase([ANN, "bob@x.example"]))

    for key in (ANN, "bob@x.example"):
        steps = told([row for row in rows if row.person == person_hash(key)])
        assert steps["blank phone"] == steps["opt out"] == "done" and "find" not in steps
    assert [method for method, _, _ in vendor.writes()] == ["PATCH", "PATCH"]


@pytest.mark.parametrize(
    ("held", "more"),
    [(f"{ANN}, other@x.example", {}), (ANN.replace("@", " (at) "), {}), ("other@x.example", {"second": f"or: {ANN}."})],
    ids=["beside another", "in doubt", "in another field"],
)
def test_who_is_named_beside_others_is_left_to_people(
    hook: PersistIQHook, vendor: Vendor, held: str, more: dict[str, str]
) -> None:
    vendor.add("l_1", held, **more)

    rows = list(hook.erase([ANN]))

    assert told(rows) == {"erase by hand": "not_possible"} and rows[0].record_id == "l_1"
    assert not vendor.writes() and ANN not in str(rows[0].reason)
