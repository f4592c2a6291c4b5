from __future__ import annotations

import json
import time
from datetime import datetime
from email.utils import formatdate
from typing import Any

import pytest
import requests
import requests_mock as rm
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.hooks.persistiq import PersistIQHook
from airflow_providers_leads.hooks.persistiq import creating as _persistiq_create
from airflow_providers_leads.hooks.persistiq.fields import to_lead
from airflow_providers_leads.http.errors import LeadsAuthError, LeadsNetworkError
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS

ROOT = "https://api.persistiq.com/v1"
UNAUTHORIZED = {"status_code": 401, "json": {"status": "error", "error": {"reason": "unauthorized", "message": "no"}}}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> PersistIQHook:
    value = {"conn_type": "persistiq", "password": "k", "extra": {"rate_limit": 10**6, "max_retries": 2}}
    monkeypatch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", json.dumps(value))
    hook = PersistIQHook()
    hook.client.sleep = lambda seconds: None
    return hook


class Vendor:
    """Answers like the reference; each switch is a behaviour that the two documents leave open."""

    def __init__(self, mocker: Any, fields: tuple[str, ...] = ()) -> None:
        self.mocker = mocker
        self.held: dict[str, dict[str, Any]] = {}
        self.made: dict[str, float] = {}
        self.lists_skipped = self.ignores_filter = self.nameless = False
        self.silent_on: set[str] = set()
        mocker.post(f"{ROOT}/leads", json=self.create)
        mocker.get(f"{ROOT}/leads", json=self.list)
        names = ("email", "first_name", *fields)
        mocker.get(f"{ROOT}/lead_fields", json={"status": "success", "lead_fields": [{"name": name} for name in names]})

    def create(self, request: Any, context: Any) -> Any:
        body, leads, errors = request.json(), [], []
        context.headers["Date"] = formatdate(time.time(), usegmt=True)
        for sent in body["leads"]:
            key = str(sent.get("email") or "").lower()
            if "@" not in key:
                lead = {"lead": {"id": None, "status": "active", "data": dict(sent)}}
                errors.append(
                    {"reason": "invalid_request", "message": f"Email {key} is invalid"}
                    | (lead if not self.nameless else {})
                )
            elif key in self.silent_on:
                continue
            elif key in self.held and body["dup"] == "skip":
                leads += [self.held[key]] if self.lists_skipped else []
            else:
                row = self.held.setdefault(
                    key, {"id": f"l_{len(self.held)}", "status": "active", "data": {"title": None}}
                )
                self.made.setdefault(key, time.time())
                row["data"].update(sent)
                leads.append(row)
        return {"status": "error" if errors else "success", "errors": errors, "leads": leads}

    def list(self, request: Any, context: Any) -> Any:
        asked = request.qs.get("email", [None])[0]
        rows = list(self.held.values())
        if asked and not self.ignores_filter:
            rows = [row for key, row in self.held.items() if key == asked.lower()]
        after = request.qs.get("created_after", [None])[0]
        if after and not self.ignores_filter:
            bound = datetime.fromisoformat(after.upper()).timestamp()
            rows = [row for key, row in self.held.items() if self.made[key] > bound]
        return {"status": "success", "errors": [], "has_more": False, "leads": rows}

    def calls(self, method: str, path: str = "/leads") -> list[Any]:
        return [r for r in self.mocker.request_history if r.method == method and r.path == f"/v1{path}"]


@pytest.fixture
def vendor() -> Any:
    with rm.Mocker(case_sensitive=True) as mocker:
        yield Vendor(mocker)


def people(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{"email": f"P{n}@x.de", "first_name": f"N{n}", **more} for n in numbers]


# Leads ------------------------------------------------------------------------------------------------------------


def test_a_full_row_becomes_a_lead_and_nothing_is_lost() -> None:
    row = {
        "id": "l_1", "status": "active", "creator_id": "u_1", "owner_id": None, "bounced": "true", "optedout": False,
        "sent_count": 2, "replied_count": 0, "last_sent_at": "2014-07-09T15:08:44.000-07:00",
        "data": {
            "email": " Ann@X.de", "first_name": "Ann", "last_name": "", "company_name": "ACME", "phone": "1",
            "title": "CEO", "industry": "IT", "address": "Weg 1", "city": "B", "state": "BE", "country": "DE",
            "zip": "1", "domain": "acme.de", "website": None, "snippet": "hi", "snippet2": None, "score": 5,
        },
    }  # fmt: skip
    lead = to_lead(row, "conn")
    held = {name: getattr(lead, name) for name in LEAD_COLUMNS if getattr(lead, name) is not None}
    assert json.loads(held.pop("properties")) == {
        "creator_id": "u_1", "sent_count": 2, "replied_count": 0, "last_sent_at": "2014-07-09T15:08:44.000-07:00",
        "snippet": "hi", "score": 5,
    }  # fmt: skip
    assert held == {
        "source": "persistiq", "source_scope": "conn", "source_id": "l_1", "email": "Ann@X.de", "email_key": "ann@x.de",
        "first_name": "Ann", "company": "ACME", "phone": "1", "title": "CEO", "industry": "IT", "address": "Weg 1",
        "city": "B", "state": "BE", "country": "DE", "postal_code": "1", "website": "acme.de", "status": "active",
        "opted_out": False, "bounced": True,
    }  # fmt: skip
    assert row["data"]["email"] == " Ann@X.de"


@pytest.mark.parametrize("bare", [{"id": "l"}, {"id": "l", "data": None, "status": None, "bounced": None}])
def test_missing_parts_are_absent(bare: dict[str, Any]) -> None:
    lead = to_lead(bare, "conn")
    assert [name for name in LEAD_COLUMNS if getattr(lead, name) is not None] == ["source", "source_scope", "source_id"]


def test_a_website_goes_before_a_domain() -> None:
    lead = to_lead({"id": "l", "data": {"website": "https://a.de", "domain": "b.de"}}, "conn")
    assert (lead.website, lead.properties) == ("https://a.de", '{"domain":"b.de"}')


def test_leads_are_read_with_a_margin_because_the_bound_may_be_exclusive(hook: Any, vendor: Vendor) -> None:
    assert list(hook.iter_leads(updated_after="2026-01-01T00:00:00Z", status="active")) == []
    [sent] = vendor.calls("GET")
    assert sent.qs == {"updated_after": ["2025-12-31T23:59:59.000Z"], "status": ["active"], "page": ["1"]}


@pytest.mark.parametrize(("ignores", "requests_sent"), [(False, 3), (True, 2)])
def test_leads_are_found_by_address(hook: Any, vendor: Vendor, ignores: bool, requests_sent: int) -> None:
    hook.create_leads(people(1, 2, 3))
    vendor.ignores_filter = ignores
    found = list(hook.find_leads(["p2@X.de", "p1@x.de", "P2@x.de", "p9@x.de", "no address"]))
    assert sorted(lead.email_key for lead in found) == ["p1@x.de", "p2@x.de"]
    assert len(found) == 2
    # Addresses that differ from their key are asked for in both spellings.
    assert len(vendor.calls("GET")) == (requests_sent + 1 if not ignores else requests_sent)


def test_an_international_address_is_asked_for_in_both_forms(hook: Any, vendor: Vendor) -> None:
    vendor.held["ann@bücher.de"] = {"id": "l_1", "data": {"email": "ann@bücher.de"}}
    assert [lead.source_id for lead in hook.find_leads(["ann@xn--bcher-kva.de"])] == ["l_1"]


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ((), set()),
        (("website", "postal_code", "country"), {"website", "postal_code", "country"}),
        (("zip", "domain"), {"postal_code"}),
    ],
)
def test_what_can_be_written_depends_on_the_account(hook: Any, fields: tuple[str, ...], more: set[str]) -> None:
    with rm.Mocker() as mocker:
        Vendor(mocker, fields)
        built_in = {"first_name", "last_name", "phone", "company", "title", "address", "city", "state", "industry"}
        assert hook.writable_fields() == built_in | more


def test_blocked_domains_are_in_lower_case(hook: Any, vendor: Vendor) -> None:
    rows = [{"id": "1", "name": "Test.COM"}, {"id": "2", "name": None}]
    vendor.mocker.get(f"{ROOT}/dnc_domains", json={"status": "success", "dnc_domains": rows})
    assert hook.blocked_domains() == {"test.com"}


# Creating ---------------------------------------------------------------------------------------------------------


def outcome(result: Any) -> tuple[list[tuple[int, Any]], list[tuple[int, Any]]]:
    return [(s.index, s.new) for s in result.succeeded], [(f.index, f.category) for f in result.failed]


def test_leads_are_created_ten_by_ten(hook: Any, vendor: Vendor) -> None:
    result = hook.create_leads(people(*range(23)), creator_id="u")
    # Once a lead is sent a second time, to find out whether answers name those that are left alone.
    assert [len(sent.json()["leads"]) for sent in vendor.calls("POST")] == [10, 1, 10, 3]
    assert vendor.calls("POST")[1].json() == {"dup": "skip", "creator_id": "u", "leads": people(0)}
    assert vendor.calls("POST")[0].json() == {"dup": "skip", "creator_id": "u", "leads": people(*range(10))}
    assert [(s.id, s.new) for s in result.succeeded] == [(f"l_{n}", True) for n in range(23)]
    assert result.summary == {"succeeded": 23, "failed": 0, "created": 23, "reasons": {}}


@pytest.mark.parametrize("lists_skipped", [False, True])
@pytest.mark.parametrize("ignores_filter", [False, True])
def test_skipped_leads_count_as_there_however_the_api_tells(
    hook: Any, vendor: Vendor, lists_skipped: bool, ignores_filter: bool
) -> None:
    hook.create_leads(people(1, 2))
    vendor.lists_skipped, vendor.ignores_filter = lists_skipped, ignores_filter
    result = hook.create_leads([*people(2, title="CEO"), *people(3, 3)])
    # Nothing tells whose the third one is where leads that are left alone are named, and times are not.
    new = None if lists_skipped and ignores_filter else True
    assert outcome(result) == ([(0, False), (1, new), (2, False)], [])
    assert [done.id for done in result.succeeded] == ["l_1", "l_2", "l_2"]


@pytest.mark.parametrize(
    ("trouble", "outcome", "unsure"),
    [
        ("", "unchanged", False),
        ("no times", "created", True),
        ("no clock", "created", True),
        ("slow", "created", True),
        ("fails", "created", True),
        ("silent", "unchanged", False),
    ],
)
def test_whom_somebody_else_has_just_made_of_the_same_values_is_not_new(
    hook: Any, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, trouble: str, outcome: str, unsure: bool
) -> None:
    vendor.lists_skipped, vendor.ignores_filter = trouble != "silent", trouble == "no times"
    vendor.held["p1@x.de"] = {"id": "l_9", "status": "active", "data": {"email": "p1@x.de", "first_name": "ANN"}}
    vendor.made["p1@x.de"] = time.time() - 60

    def create(request: Any, context: Any) -> Any:
        answer = vendor.create(request, context)
        if trouble == "no clock":
            del context.headers["Date"]
        if trouble == "slow":
            monkeypatch.setattr(_persistiq_create, "_LONGEST_WAIT", 0.0)
        return answer

    vendor.mocker.post(f"{ROOT}/leads", json=create)
    if trouble == "fails":
        vendor.mocker.get(f"{ROOT}/leads", status_code=400, json={"status": "error"})
    rows = [PlanRow(email_key=f"p{n}@x.de", action="create", values={"first_name": "Ann"}) for n in (1, 2)]
    results = {row.email_key: row for row in hook.apply_plan(rows)}
    found = results["p1@x.de"]
    assert (found.outcome, found.target_id, found.unsure) == (outcome, "l_9", unsure)
    assert (results["p2@x.de"].outcome, results["p2@x.de"].unsure) == ("created", unsure)
    assert "doesn't tell whether this run made it" in found.reason if unsure else True


def test_of_all_that_is_created_the_account_is_asked_once_what_its_answers_name(hook: Any, vendor: Vendor) -> None:
    rows = [PlanRow(email_key=f"p{n}@x.de", action="create", values={"first_name": "N"}) for n in range(40)]
    assert {(row.outcome, row.unsure) for row in hook.apply_plan(rows)} == {("created", False)}
    assert (len(vendor.calls("POST")), len(vendor.calls("GET"))) == (5, 0)


def test_a_lead_that_an_update_leaves_out_is_reported(hook: Any, vendor: Vendor) -> None:
    hook.create_leads(people(1))
    vendor.silent_on = {"p1@x.de"}
    result = hook.create_leads(people(1, 2), dup="update")
    assert outcome(result) == ([(1, None)], [(0, "UNACCOUNTED")])
    assert result.failed[0].ambiguous
    assert vendor.calls("GET") == []


def test_a_lead_that_was_neither_created_nor_there_is_reported(hook: Any, vendor: Vendor) -> None:
    vendor.silent_on = {"p1@x.de"}
    assert outcome(hook.create_leads(people(1, 2))) == ([(1, True)], [(0, "UNACCOUNTED")])


@pytest.mark.parametrize("nameless", [False, True])
def test_one_bad_lead_doesnt_sink_the_others(hook: Any, vendor: Vendor, nameless: bool) -> None:
    vendor.nameless = nameless
    result = hook.create_leads([{"email": ""}, *people(1), {"email": "nope"}, {"first_name": "N"}])
    assert outcome(result) == ([(1, True)], [(n, "invalid_request") for n in (0, 2, 3)])
    assert result.failed[1].reason == "Email nope is invalid. Correct the address where it comes from."


def test_a_chunk_that_is_refused_whole_is_halved_until_the_bad_lead_stands_alone(hook: Any, vendor: Vendor) -> None:
    def strict(request: Any, context: Any) -> Any:
        if any("bad" in lead["email"] for lead in request.json()["leads"]):
            context.status_code = 400
            return {"status": "error", "error": {"reason": "bad_params", "message": "bad@x.de is bad"}}
        return vendor.create(request, context)

    vendor.mocker.post(f"{ROOT}/leads", json=strict)
    leads = people(*range(20))
    for index in (0, 1, 2, 4, 13):
        leads[index]["email"] = f"bad{index}@x.de"
    result = hook.create_leads(leads)
    assert [failed.index for failed in result.failed] == [0, 1, 2, 4, 13]
    assert {(failed.category, failed.reason) for failed in result.failed} == {
        ("bad_params", "<address> is bad. Correct what is named where it comes from, or leave it out.")
    }
    assert len(result.succeeded) == 15


@pytest.mark.parametrize("status", [200, 400])
def test_a_call_that_is_refused_as_such_is_not_halved_for_ever(hook: Any, vendor: Vendor, status: int) -> None:
    refusal = {"status": "error", "error": {"reason": "bad_params", "message": "Creator is unknown"}}
    vendor.mocker.post(f"{ROOT}/leads", status_code=status, json=refusal)
    result = hook.create_leads(people(*range(100)), creator_id="u")
    assert [failed.index for failed in result.failed] == list(range(100))
    assert {failed.reason for failed in result.failed} == {
        "Creator is unknown. PersistIQListUsersOperator lists the users that there are."
    }
    assert len(vendor.calls("POST")) < 25


def test_a_create_is_repeated_after_a_cut_connection(hook: Any, vendor: Vendor) -> None:
    def lost(request: Any, context: Any) -> Any:
        vendor.create(request, context)
        raise requests.exceptions.ConnectionError("cut")

    vendor.mocker.post(f"{ROOT}/leads", [{"json": lost}, {"json": vendor.create}])
    result = hook.create_leads(people(1, 2))
    # Who made them, the request whose answer was lost or somebody before it, PersistIQ doesn't say.
    assert outcome(result) == ([(0, None), (1, None)], [])
    assert len(vendor.held) == 2


def test_a_dead_connection_loses_no_outcome(hook: Any, vendor: Vendor) -> None:
    vendor.mocker.post(f"{ROOT}/leads", [{"json": vendor.create}, *[{"exc": requests.exceptions.ConnectionError}] * 9])
    result = hook.create_leads(people(*range(25)))
    assert len(result.succeeded) == 10
    assert [failed.category for failed in result.failed] == ["LeadsNetworkError"] * 10 + ["NOT_ATTEMPTED"] * 5
    assert [failed.ambiguous for failed in result.failed] == [True] * 10 + [False] * 5


def test_a_dead_key_is_raised_only_when_nothing_was_done(hook: Any, vendor: Vendor) -> None:
    vendor.mocker.post(f"{ROOT}/leads", [{"json": vendor.create}, UNAUTHORIZED])
    assert len(hook.create_leads(people(*range(11))).failed) == 1
    with pytest.raises(LeadsAuthError):
        hook.create_leads(people(1))


def test_many_skipped_leads_are_looked_up_in_the_list(
    hook: Any, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_persistiq_create, "_QUESTIONS", 5)
    hook.create_leads(people(*range(40)))
    assert hook.create_leads(people(*range(40))).summary["succeeded"] == 40
    assert len(vendor.calls("GET")) == 6


@given(data=st.data())
def test_every_input_ends_in_exactly_one_place(data: Any) -> None:
    with pytest.MonkeyPatch.context() as patch, rm.Mocker(case_sensitive=True) as mocker:
        patch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", json.dumps(
            {"conn_type": "persistiq", "password": "k", "extra": {"rate_limit": 10**6, "max_retries": 0}}
        ))  # fmt: skip
        hook, vendor = PersistIQHook(), Vendor(mocker)
        emails = data.draw(st.lists(st.sampled_from(["", "nope", *(f"P{n}@x.de" for n in range(8))]), max_size=25))
        vendor.silent_on = data.draw(st.sets(st.sampled_from([f"p{n}@x.de" for n in range(8)])))
        vendor.lists_skipped, vendor.ignores_filter = data.draw(st.booleans()), data.draw(st.booleans())
        vendor.nameless = data.draw(st.booleans())
        dup = data.draw(st.sampled_from(["skip", "update"]))
        result = hook.create_leads([{"email": email} for email in emails], dup=dup)
        settled = [*result.succeeded, *result.failed]
        assert sorted(entry.index for entry in settled) == list(range(len(emails)))
        assert all(entry.input == {"email": emails[entry.index]} for entry in settled)
        for done in result.succeeded:
            key = emails[done.index].lower()
            assert key not in vendor.silent_on
            assert vendor.held[key]["id"] == done.id


# Campaigns --------------------------------------------------------------------------------------------------------


class Campaign:
    def __init__(self, mocker: Any) -> None:
        self.members: dict[str, str] = {}
        self.single = "envelope"
        self.sent: list[Any] = []
        mocker.post(f"{ROOT}/campaigns/c/leads", json=self.add)

    def add(self, request: Any, context: Any) -> Any:
        body = request.json()
        self.sent.append(body)
        good, errors = [], []
        for lead_id in [body["lead_id"]] if "lead_id" in body else [lead["id"] for lead in body["leads"]]:
            place = {"id": None, "campaign_id": "c", "lead": {"id": lead_id}}
            if lead_id in self.members:
                errors.append(
                    {"reason": "invalid_request", "message": "Lead has already been taken", "campaign_lead": place}
                )
            elif lead_id.startswith("bad"):
                errors.append({"reason": "invalid_request", "message": "Lead is bad", "campaign_lead": place})
            else:
                self.members[lead_id] = f"cl_{lead_id}"
                good.append({**place, "id": self.members[lead_id]})
        status = "error" if errors else "success"
        if "lead_id" not in body:
            return {"status": status, "errors": errors, "campaign_leads": good}
        if errors and self.single == "status":
            context.status_code = 400
        error = {name: errors[0][name] for name in ("reason", "message")} if errors else None
        return {"status": status, "error": error, "campaign_lead": good[0] if good else None}


@pytest.fixture
def campaign(vendor: Vendor) -> Campaign:
    return Campaign(vendor.mocker)


def test_leads_join_a_campaign_a_hundred_at_a_time(hook: Any, campaign: Campaign) -> None:
    ids = [f"l{n}" for n in range(201)]
    result = hook.add_leads_to_campaign("c", ids, mailbox_id="m")
    assert [len(body.get("leads", ())) for body in campaign.sent] == [100, 100, 0]
    assert campaign.sent[0]["leads"][0] == {"id": "l0"}
    assert campaign.sent[2] == {"lead_id": "l200", "mailbox_id": "m"}
    assert [(s.input, s.id, s.new) for s in result.succeeded] == [(i, f"cl_{i}", True) for i in ids]


def test_leads_that_are_in_the_campaign_already_are_where_they_should_be(hook: Any, campaign: Campaign) -> None:
    hook.add_leads_to_campaign("c", ["l1"])
    result = hook.add_leads_to_campaign("c", ["l1", "l2", "l2", "bad", "l3"])
    assert outcome(result) == ([(0, False), (1, True), (2, False), (4, True)], [(3, "invalid_request")])
    assert result.failed[0].reason == "Lead is bad. Correct what is named where it comes from, or leave it out."


@pytest.mark.parametrize("single", ["envelope", "status"])
def test_the_single_form_says_the_same(hook: Any, campaign: Campaign, single: str) -> None:
    campaign.single = single
    assert outcome(hook.add_leads_to_campaign("c", ["l1"])) == ([(0, True)], [])
    assert outcome(hook.add_leads_to_campaign("c", ["l1"])) == ([(0, False)], [])
    assert outcome(hook.add_leads_to_campaign("c", ["bad"])) == ([], [(0, "invalid_request")])


def test_leads_that_the_answer_leaves_out_are_reported(hook: Any, vendor: Vendor) -> None:
    body = {"status": "success", "errors": [], "campaign_leads": [{"id": "cl", "lead": {"id": "l2"}}]}
    vendor.mocker.post(f"{ROOT}/campaigns/c/leads", json=body)
    result = hook.add_leads_to_campaign("c", ["l1", "l2"])
    assert outcome(result) == ([(1, True)], [(0, "UNACCOUNTED")])


def test_adding_is_not_repeated_after_a_cut_connection(hook: Any, vendor: Vendor) -> None:
    vendor.mocker.post(f"{ROOT}/campaigns/c/leads", exc=requests.exceptions.ConnectionError("cut"))
    result = hook.add_leads_to_campaign("c", ["l1", "l2"])
    assert [failed.ambiguous for failed in result.failed] == [True, True]
    assert vendor.mocker.call_count == 1


# The pipeline -----------------------------------------------------------------------------------------------------


def create(number: int, **values: str) -> PlanRow:
    return PlanRow(email_key=f"p{number}@x.de", action="create", values=values)


def test_a_plan_creates_everybody_once(hook: Any, vendor: Vendor) -> None:
    vendor.mocker.patch(rm.ANY, json={"status": "success", "error": None, "lead": {"id": "l"}})
    rows = [create(n, first_name="A", company="ACME") for n in range(11)]
    rows[3] = create(3, company="ACME", country="DE", status="won")
    found = list(hook.apply_plan(rows))
    assert [(r.outcome, r.target_id) for r in found] == [("created", f"l_{n}") for n in range(11)]
    assert (found[3].fields, found[3].reason) == (["company", "status"], "no place for country")
    assert vendor.held["p0@x.de"]["data"] == {
        "title": None,
        "email": "p0@x.de",
        "first_name": "A",
        "company_name": "ACME",
    }
    [patched] = [r for r in vendor.mocker.request_history if r.method == "PATCH"]
    assert (patched.path, patched.json()) == ("/v1/leads/l_3", {"status": "won"})
    again = list(hook.apply_plan(rows))
    assert [(r.outcome, r.reason) for r in again] == [("unchanged", "exists already")] * 11
    assert len([r for r in vendor.mocker.request_history if r.method == "PATCH"]) == 1


def test_refused_rows_are_told_with_the_vendors_reason(hook: Any, vendor: Vendor) -> None:
    rows = [create(1), PlanRow(email_key="nope", action="create"), create(2)]
    assert sorted((r.email_key, r.outcome, r.reason) for r in hook.apply_plan(rows)) == [
        ("nope", "failed", "invalid_request: Email nope is invalid. Correct the address where it comes from."),
        ("p1@x.de", "created", None),
        ("p2@x.de", "created", None),
    ]


def test_an_error_that_meets_all_ends_the_work(hook: Any, vendor: Vendor) -> None:
    for answer, error, outcomes in (
        (UNAUTHORIZED, LeadsAuthError, {"failed"}),
        ({"exc": requests.exceptions.ConnectionError}, LeadsNetworkError, {"ambiguous"}),
    ):
        vendor.mocker.post(f"{ROOT}/leads", [answer])
        results = hook.apply_plan([create(n) for n in range(30)])
        assert {next(results).outcome for _ in range(10)} == outcomes
        with pytest.raises(error):
            next(results)


def update(**values: str) -> PlanRow:
    return PlanRow(email_key="p1@x.de", action="update", target_id="l_1", values=values)


@pytest.mark.parametrize(
    ("row", "sent", "outcome", "fields"),
    [
        (
            update(company="ACME", phone="1"),
            {"data": {"company_name": "ACME", "phone": "1"}},
            "updated",
            ["company", "phone"],
        ),
        (update(status="won", title="X"), {"status": "won", "data": {"title": "X"}}, "updated", ["title", "status"]),
        (update(status="won"), {"status": "won"}, "updated", ["status"]),
        (update(website="w"), None, "unchanged", []),
    ],
)
def test_updates_write_the_changed_fields_only(
    hook: Any, vendor: Vendor, row: PlanRow, sent: Any, outcome: str, fields: list[str]
) -> None:
    vendor.mocker.patch(f"{ROOT}/leads/l_1", json={"status": "success", "error": None, "lead": {"id": "l_1"}})
    [result] = hook.apply_plan([row])
    assert [r.json() for r in vendor.mocker.request_history if r.method == "PATCH"] == ([sent] if sent else [])
    assert (result.outcome, result.target_id, result.fields) == (outcome, "l_1", fields)
    assert result.reason == (None if sent else "no place for website")


def test_one_refused_update_doesnt_sink_the_others(hook: Any, vendor: Vendor) -> None:
    refused = {"status": "error", "error": {"reason": "bad_params", "message": "Phone is odd"}}
    good = {"status": "success", "error": None, "lead": {"id": "l_1"}}
    vendor.mocker.patch(f"{ROOT}/leads/l_1", [{"json": refused}, {"status_code": 400, "json": refused}, {"json": good}])
    results = list(hook.apply_plan([update(phone=str(n)) for n in range(3)]))
    odd = "bad_params: Phone is odd. Correct what is named where it comes from, or leave it out."
    assert [(r.outcome, r.reason) for r in results] == [("failed", odd)] * 2 + [("updated", None)]


@pytest.mark.parametrize(
    ("sent", "held", "new"),
    [
        ("Ann", "ANN", True),
        ("+49 (30) 123 456 78", "+493012345678", True),
        ("+49 30 12345678", "030-12345678", True),
        ("Chief Executive Officer", "Chief Exec", True),
        ("R&D", "R&amp;D", True),
        ("Größe", "Grosse", True),
        ("Björn Straße", "Bjorn Strae", True),
        ("https://www.x.de/", "x.de", True),
        ("Ann", "Bo", False),
        ("Ann", None, False),
    ],
)
def test_a_new_lead_is_new_in_whatever_form_its_values_are_kept(
    hook: Any, vendor: Vendor, sent: str, held: str | None, new: bool
) -> None:
    lead = {"id": "l_1", "data": {"email": "p1@x.de", "first_name": held}}
    vendor.mocker.post(f"{ROOT}/leads", json={"status": "success", "errors": None, "leads": [lead]})
    [result] = hook.apply_plan([PlanRow(email_key="p1@x.de", action="create", values={"first_name": sent})])
    assert (result.outcome, result.stored) == (("created", {"first_name": held}) if new else ("unchanged", {}))
    # An answer that names leads which were there before, and no time, tells of none that it is new.
    assert result.unsure is new


def test_what_an_answer_made_is_new_in_any_form_where_it_names_nobody_else(hook: Any, vendor: Vendor) -> None:
    lead = {"id": "l_1", "data": {"email": "p1@x.de", "first_name": "Łukasz"}}
    answers = [{"status": "success", "errors": None, "leads": found} for found in ([lead], [])]
    vendor.mocker.post(f"{ROOT}/leads", [{"json": answer} for answer in answers])
    [result] = hook.apply_plan([PlanRow(email_key="p1@x.de", action="create", values={"first_name": "Ann"})])
    assert (result.outcome, result.unsure) == ("created", False)


def test_what_persistiq_makes_of_a_value_stands_in_the_result(hook: Any, vendor: Vendor) -> None:
    lead = {"id": "l_1", "data": {"phone": "+491", "title": None, "company_name": "ACME", "score": 5}}
    vendor.mocker.patch(f"{ROOT}/leads/l_1", json={"status": "success", "error": None, "lead": lead})
    row = update(phone="+49 1", title="T", company="ACME")
    row.properties = {"score": "5.5"}
    [result] = hook.apply_plan([row])
    assert result.stored == {"phone": "+491", "title": "", "properties.score": "5"}
