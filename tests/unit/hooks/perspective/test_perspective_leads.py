from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import requests_mock as rm

from airflow_providers_leads.hooks.perspective import PerspectiveHook
from airflow_providers_leads.hooks.perspective.fields import create_fields, split_address, to_lead
from airflow_providers_leads.hooks.perspective.streams import STREAMS
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsNetworkError,
    LeadsNotFoundError,
    LeadsServerError,
)
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS

ROOT = "https://api.perspective.co/v1"


def connect(monkeypatch: pytest.MonkeyPatch, **extra: Any) -> PerspectiveHook:
    extra = {"rate_limit": 10**6, "max_retries": 1, **extra}
    value = {"conn_type": "perspective", "password": "k", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_PERSPECTIVE_DEFAULT", json.dumps(value))
    hook = PerspectiveHook()
    hook.client.sleep = lambda seconds: None
    return hook


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> PerspectiveHook:
    return connect(monkeypatch)


@pytest.fixture
def api() -> Any:
    with rm.Mocker() as mocker:
        yield mocker


def contact(number: int, converted: str | None = None, **more: Any) -> dict[str, Any]:
    meta = {"ps_converted_at": converted} if converted else {}
    return {"id": f"c{number}", "email": f"p{number}@x.de", "meta": meta, **more}


def serve(api: Any, pages: list[list[dict[str, Any]]], funnel: str = "f") -> Any:
    def answer(request: Any, context: Any) -> Any:
        number = int(request.qs["page"][0])
        return {"data": pages[number] if pages else [], "meta": {"hasNext": number + 1 < len(pages)}}

    return api.get(f"{ROOT}/funnels/{funnel}/contacts", json=answer)


# Contacts as leads ------------------------------------------------------------------------------------------------


def test_a_full_contact_becomes_a_lead_and_nothing_is_lost() -> None:
    lead = to_lead(
        {
            "id": "c1", "status": "won", "email": " Ann@X.de ", "phone": "1", "firstName": "Ann", "lastName": "B",
            "website": "w.de", "birthday": "1990-12-31", "timezone": "",
            "address": {"street": "Hauptstr.", "houseNumber": "5a", "postalCode": "1", "city": "B", "state": "BE",
                        "country": "DE", "floor": "3"},
            "meta": {"ps_converted_at": "2026-01-02T00:00:00.000Z", "ps_first_seen_at": "2026-01-01T00:00:00.000Z"},
            "utmParams": {"utm_source": "ig"},
            "properties": {"company": {"value": "ACME", "title": "Company?"}, "jobTitle": "CEO", "industry": "IT",
                           "companyName": "not asked", "q": {"value": ["a", "b"], "title": "Q"}, "n": None},
        },
        "f",
    )  # fmt: skip
    held = {name: str(getattr(lead, name)) for name in LEAD_COLUMNS if getattr(lead, name) is not None}
    rest = json.loads(held.pop("properties"))
    assert held == {
        "source": "perspective", "source_scope": "f", "source_id": "c1", "email": "Ann@X.de", "email_key": "ann@x.de",
        "first_name": "Ann", "last_name": "B", "phone": "1", "company": "ACME", "title": "CEO", "industry": "IT",
        "website": "w.de", "address": "Hauptstr. 5a", "city": "B", "state": "BE", "postal_code": "1", "country": "DE",
        "status": "won", "created_at": "2026-01-01 00:00:00+00:00", "updated_at": "2026-01-02 00:00:00+00:00",
    }  # fmt: skip
    assert rest == {
        "birthday": "1990-12-31",
        "address": {"floor": "3"},
        "meta": {"ps_converted_at": "2026-01-02T00:00:00.000Z", "ps_first_seen_at": "2026-01-01T00:00:00.000Z"},
        "utmParams": {"utm_source": "ig"},
        "properties": {"companyName": "not asked", "q": ["a", "b"], "n": None},
    }


@pytest.mark.parametrize(
    "bare",
    [
        {"id": "c"},
        {"id": "c", "meta": None, "address": None, "properties": None, "utmParams": None, "email": "", "messages": []},
        {"id": "c", "meta": [], "address": "", "properties": [], "email": None},
    ],
)
def test_missing_parts_are_absent(bare: dict[str, Any]) -> None:
    lead = to_lead(bare, "f")
    assert [name for name in LEAD_COLUMNS if getattr(lead, name)] == ["source", "source_scope", "source_id"]


def test_flat_parts_and_wrapped_values_are_understood() -> None:
    lead = to_lead(
        {"id": "c", "street": "Weg", "zip": "1", "address": "x", "firstName": {"value": "A", "title": "?"}}, "f"
    )
    assert (lead.address, lead.postal_code, lead.first_name) == ("Weg", "1", "A")
    assert to_lead({"id": "c", "address": "Weg 1, Ort"}, "f").address == "Weg 1, Ort"


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("Hauptstr. 5a", ("Hauptstr.", "5a")),
        ("Straße des 17. Juni 135", ("Straße des 17. Juni", "135")),
        ("Am Hof 3-5", ("Am Hof", "3-5")),
        ("Am Hof 5 b", ("Am Hof", "5 b")),
        ("Hauptstr.", None),
        ("12 Main Street", None),
        ("12 Main Street 4", None),
        ("Am Hof  5", None),
        ("5", None),
    ],
)
def test_an_address_is_split_only_if_joining_gives_it_back(line: str, parts: tuple[str, str] | None) -> None:
    found = split_address(line)
    assert found == (dict(zip(("street", "houseNumber"), parts, strict=True)) if parts else None)
    assert found is None or " ".join(found.values()) == line
    sent = create_fields({"address": line})[0]["address"]
    assert to_lead({"id": "c", "address": sent}, "f").address == " ".join(line.split(" ")).strip()


# Reading ----------------------------------------------------------------------------------------------------------


def test_without_funnels_every_funnel_of_every_workspace_is_read_once(hook: Any, api: Any) -> None:
    workspaces = [{"campaigns": [{"id": "a"}, {"id": "b"}]}, {"funnels": [{"id": "b"}, {"id": "c"}]}, {}]
    api.get(f"{ROOT}/workspaces", json={"data": workspaces})
    for number, funnel in enumerate("abc"):
        serve(api, [[contact(number)]], funnel)
    assert [(lead.source_scope, lead.source_id) for lead in hook.iter_leads()] == [
        ("a", "c0"),
        ("b", "c1"),
        ("c", "c2"),
    ]


@pytest.mark.parametrize("configured", [["a", "b"], '["a", "b"]', "a, b"])
def test_the_connection_can_name_the_funnels(monkeypatch: pytest.MonkeyPatch, api: Any, configured: Any) -> None:
    hook = connect(monkeypatch, funnel_ids=configured)
    for funnel in "abc":
        serve(api, [[contact(1)]], funnel)
    assert [lead.source_scope for lead in hook.iter_leads()] == ["a", "b"]
    assert [lead.source_scope for lead in hook.iter_leads(funnel_ids="c")] == ["c"]
    assert hook.parts.to_read(["c"]) == {"funnel_ids": ["c"]}


def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, api: Any) -> None:
    with pytest.raises(LeadsSettingsError, match=r"perspective_default.*funnel_ids"):
        list(connect(monkeypatch, funnel_ids=["a", ""]).iter_leads())


@pytest.mark.parametrize("status", [404, 400])
def test_an_unknown_funnel_is_named(hook: Any, api: Any, status: int) -> None:
    api.get(f"{ROOT}/funnels/nope/contacts", status_code=status, json={"error": "Funnel not found", "status": status})
    with pytest.raises(LeadsNotFoundError, match=r"perspective_default.*'nope'.*list_workspaces"):
        list(hook.iter_leads(funnel_ids=["nope"]))


def test_the_walk_ends_at_the_first_page_of_old_conversions(hook: Any, api: Any) -> None:
    pages = [
        [contact(1, "2026-03-03T00:00:00.000Z"), contact(2)],
        [contact(3), contact(4)],
        [contact(5, "2026-03-01T00:00:00.000Z"), contact(6, "2026-02-28T23:59:59.999Z"), contact(7)],
        [contact(8, "2026-02-01T00:00:00.000Z"), contact(9)],
        [contact(10, "2026-03-09T00:00:00.000Z")],
    ]
    serve(api, pages)
    leads = hook.iter_leads(updated_after="2026-03-01T01:00:00+01:00", funnel_ids="f")
    # Equal to the bound is in; undated ones neither end the walk nor are left out.
    assert [lead.source_id for lead in leads] == ["c1", "c2", "c3", "c4", "c5", "c7", "c9"]
    assert api.call_count == 4
    assert api.request_history[0].qs["sortorder"] == ["-1"]
    assert len(list(hook.iter_leads(funnel_ids="f"))) == 10


def listing(api: Any, pages: dict[int, tuple[list[dict[str, Any]], int, bool]]) -> None:
    """Serve pages as (contacts, total, whether another follows)."""

    def answer(request: Any, context: Any) -> dict[str, Any]:
        number = int(request.qs["page"][0])
        rows, total, more = pages[number]
        return {"data": rows, "meta": {"total": total, "page": number, "limit": 100, "hasNext": more}}

    api.get(f"{ROOT}/funnels/f/contacts", json=answer)


@pytest.mark.parametrize(
    ("pages", "ends_early"),
    [
        ({0: ([contact(1), contact(2)], 2, False)}, False),
        ({0: ([contact(1), contact(2)], 3, False)}, True),
        ({0: ([contact(1)], 3, True), 1: ([], 3, False)}, True),
        # A page in the middle that is short.
        ({0: ([contact(1)], 3, True), 1: ([contact(3)], 3, False)}, True),
        # Two came at the front meanwhile, which pushed one to the next page.
        ({0: ([contact(1), contact(2)], 3, True), 1: ([contact(2), contact(3)], 5, False)}, False),
    ],
)
def test_a_list_that_ends_before_its_total_is_an_error(hook: Any, api: Any, pages: Any, ends_early: bool) -> None:
    listing(api, pages)
    if not ends_early:
        assert len({lead.source_id for lead in hook.iter_leads(funnel_ids="f")}) >= 2
        return
    with pytest.raises(LeadsServerError, match=r"'f'.* short of the number") as caught:
        list(hook.iter_leads(funnel_ids="f"))
    assert caught.value.category == "ENDED_EARLY"


def test_a_list_that_says_there_is_more_and_brings_nothing_is_an_error(hook: Any, api: Any) -> None:
    """Row S5."""
    listing(api, {0: ([contact(1)], 3, True), **{number: ([], 3, True) for number in range(1, 60)}})
    with pytest.raises(LeadsServerError, match="no new row for 50 pages"):
        list(hook.iter_leads(funnel_ids="f"))


def test_a_read_goes_on_from_any_page(hook: Any, api: Any) -> None:
    for funnel in "ab":
        serve(api, [[contact(1)], [contact(2)], [contact(3)]], funnel)
    scope = {"funnel_ids": ["a", "b"]}
    pages = list(hook.lead_pages(**scope))
    told = [[(lead.source_scope, lead.source_id) for lead in page.leads] for page in pages]
    for number, page in enumerate(pages):
        position = json.loads(json.dumps(page.position))
        rest = hook.lead_pages(position=position, **scope)
        assert [[(lead.source_scope, lead.source_id) for lead in one.leads] for one in rest] == told[number:]


def test_a_status_that_no_contact_has_is_told_with_those_that_they_have(
    hook: Any, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(type(hook), "log", SimpleNamespace(warning=lambda text, *args: said.append(text % args)))
    serve(api, [[contact(1, status="Qualified")], [contact(2, status="lead"), contact(3)]])

    leads = list(hook.iter_leads(funnel_ids=["f"], contact_status=["qualifed", "LEAD"]))

    assert [lead.source_id for lead in leads] == ["c2"]
    (warning,) = said
    assert "status 'qualifed'; did you mean 'Qualified'? (statuses met: 'Qualified', 'lead')" in warning


def test_leads_are_found_by_any_spelling_of_their_address(hook: Any, api: Any) -> None:
    serve(api, [[contact(1), contact(2)], [{**contact(3), "email": "P1@X.DE"}]])
    assert [lead.source_id for lead in hook.find_leads(["P1@x.de", "none@x.de"], funnel_ids="f")] == ["c1", "c3"]
    api.reset_mock()
    assert list(hook.find_leads([])) == []
    assert api.call_count == 0


# Writing ----------------------------------------------------------------------------------------------------------


def create(key: str, **values: str) -> PlanRow:
    return PlanRow(email_key=key, action="create", values=values)


def results(hook: Any, rows: list[PlanRow], **options: Any) -> list[tuple[Any, ...]]:
    found = hook.apply_plan(rows, **{"funnel_id": "f", **options})
    return [(r.email_key, r.outcome, r.target_id, r.reason, r.fields) for r in found]


def test_contacts_are_created_once_however_often_the_plan_is_applied(hook: Any, api: Any) -> None:
    held = [contact(1)]
    serve(api, [held])

    def answer(request: Any, context: Any) -> Any:
        held.append({"id": f"n{len(held)}", **request.json()})
        return {"data": held[-1]}

    api.post(f"{ROOT}/funnels/f/contacts", json=answer, status_code=201)
    rows = [
        create("p1@x.de", first_name="A"),
        create("new@x.de", first_name="N", address="Weg 5", city="B", postal_code="1", status="lead", company="ACME"),
        create("new@x.de"),
    ]
    assert results(hook, rows) == [
        ("p1@x.de", "unchanged", "c1", "exists already", []),
        (
            "new@x.de", "created", "n1", "no place for company",
            ["first_name", "address", "city", "postal_code", "status"],
        ),
        ("new@x.de", "unchanged", "n1", "exists already", []),
    ]  # fmt: skip
    assert held[1] == {
        "id": "n1", "email": "new@x.de", "firstName": "N", "status": "lead", "skipAutomationTrigger": True,
        "address": {"street": "Weg", "houseNumber": "5", "city": "B", "postalCode": "1"},
    }  # fmt: skip
    assert [row[1] for row in results(hook, rows)] == ["unchanged"] * 3
    assert [sent.method for sent in api.request_history] == ["GET", "POST", "GET"]


@pytest.mark.parametrize(("arrived", "looks"), [("at once", 1), ("late", 2), ("never", 2)])
def test_an_unclear_create_is_looked_up_and_never_repeated(hook: Any, api: Any, arrived: str, looks: int) -> None:
    held: list[Any] = []
    serve(api, [held])
    created = {"id": "n1", "email": "new@x.de"}

    def cut(request: Any, context: Any) -> Any:
        if arrived == "at once":
            held.append(created)
        raise requests.exceptions.ConnectionError("cut")

    def pause(seconds: float) -> None:
        if seconds and arrived == "late":
            assert seconds == 30
            held.append(created)

    hook.client.sleep = pause
    api.post(f"{ROOT}/funnels/f/contacts", json=cut)
    [(key, outcome, target, reason, _)] = results(hook, [create("new@x.de")])
    unclear = ("ambiguous", None, "LeadsNetworkError")
    wanted = unclear if arrived == "never" else ("created", "n1", "found after an unclear answer")
    assert (key, outcome, target, reason) == ("new@x.de", *wanted)
    assert [sent.method for sent in api.request_history] == ["GET", "POST", *["GET"] * looks]


def test_an_unclear_create_stays_ambiguous_when_it_cant_be_looked_up(hook: Any, api: Any) -> None:
    url = f"{ROOT}/funnels/f/contacts"
    api.get(url, [{"json": {"data": [], "meta": {}}}, {"exc": requests.exceptions.ConnectionError}])
    api.post(url, exc=requests.exceptions.ConnectionError)
    found = hook.apply_plan([create("a@x.de"), create("b@x.de")], funnel_id="f")
    assert next(found).outcome == "ambiguous"
    with pytest.raises(LeadsNetworkError):
        next(found)
    assert sum(sent.method == "POST" for sent in api.request_history) == 1


def test_one_refused_contact_doesnt_sink_the_others(hook: Any, api: Any) -> None:
    serve(api, [])
    refused = {"status_code": 400, "json": {"error": "Invalid email format: a@x.de", "status": 400}}
    api.post(f"{ROOT}/funnels/f/contacts", [refused, {"status_code": 201, "json": {"data": {"id": "n2"}}}])
    assert [row[1:4] for row in results(hook, [create("a@x.de"), create("b@x.de")])] == [
        (
            "failed",
            None,
            "LeadsValidationError: Invalid email format: <address>. Correct the address where it comes from.",
        ),
        ("created", "n2", None),
    ]


def test_a_dead_key_or_unknown_funnel_ends_the_work(hook: Any, api: Any) -> None:
    url = f"{ROOT}/funnels/f/contacts"
    for status, error in ((401, LeadsAuthError), (404, LeadsApiError), (400, LeadsApiError)):
        api.get(url, status_code=status, json={"error": "Not found", "status": status})
        found = hook.apply_plan([create("a@x.de"), create("b@x.de")], funnel_id="f")
        assert next(found).outcome == "failed"
        with pytest.raises(error):
            next(found)


def test_a_failing_vendor_ends_the_work_after_three_leads(hook: Any, api: Any) -> None:
    serve(api, [])
    api.post(f"{ROOT}/funnels/f/contacts", status_code=500, json={"error": "oops", "status": 500})
    seen: list[Any] = []
    with pytest.raises(LeadsServerError):
        seen.extend(hook.apply_plan([create(f"p{n}@x.de") for n in range(9)], funnel_id="f"))
    assert [result.outcome for result in seen] == ["ambiguous"] * 3


def update(before: dict[str, Any] | None = None, **values: str) -> PlanRow:
    return PlanRow(
        email_key="a@x.de", action="update", target_id="c1", target_scope="g", values=values, before=before or {}
    )


@pytest.mark.parametrize(
    ("row", "sent", "outcome", "fields"),
    [
        (update(phone="1"), [("phone", "1")], "updated", ["phone"]),
        (update(status="won", city="B"), [("city", "B"), ("status", "won")], "updated", ["city", "status"]),
        (update(address="Weg 5"), [("street", "Weg"), ("houseNumber", "5")], "updated", ["address"]),
        (update(address="Weg", before={"address": "Hof 1"}), [], "unchanged", []),
        (update(address="Weg"), [], "unchanged", []),
        (update(address="Weg", before={"address": None}), [("street", "Weg")], "updated", ["address"]),
        (update(company="ACME"), [], "unchanged", []),
    ],
)
def test_updates_write_the_changed_fields_only(
    hook: Any, api: Any, row: PlanRow, sent: list[tuple[str, str]], outcome: str, fields: list[str]
) -> None:
    # The row's own funnel goes before the option's.
    api.put(f"{ROOT}/funnels/g/contacts/c1/values", json={"data": {}})
    [(_, found, target, reason, written)] = results(hook, [row])
    assert [(s.json()["fieldName"], s.json()["value"]) for s in api.request_history] == sent
    assert all(s.json()["skipAutomationTrigger"] for s in api.request_history)
    assert (found, target, written) == (outcome, "c1", fields)
    assert (reason is None) == (outcome == "updated")


def test_a_half_written_update_says_which_half(hook: Any, api: Any) -> None:
    refused = {"status_code": 400, "json": {"error": "Invalid phone", "status": 400}}
    api.put(rm.ANY, [{"json": {"data": {}}}, refused, {"json": {"data": {}}}])
    [(_, outcome, _, reason, fields)] = results(hook, [update(city="B", phone="?", status="won")])
    said = "phone: LeadsValidationError, Invalid phone. Correct the phone number where it comes from."
    assert (outcome, reason, fields) == ("failed", said, ["city", "status"])


def test_an_update_that_dies_half_way_keeps_what_was_written(hook: Any, api: Any) -> None:
    dead = {"status_code": 401, "json": {"error": "Invalid or unauthorized API key", "status": 401}}
    api.put(rm.ANY, [{"json": {"data": {}}}, dead])
    found = hook.apply_plan([update(city="B", phone="1"), update(city="C")], funnel_id="f")
    first = next(found)
    assert (first.outcome, first.fields) == ("failed", ["city"])
    with pytest.raises(LeadsAuthError):
        next(found)


def test_automations_start_only_when_asked_for(hook: Any, api: Any) -> None:
    serve(api, [])
    api.post(rm.ANY, json={"data": {"id": "n"}}, status_code=201)
    api.put(rm.ANY, json={"data": {}})
    results(hook, [create("a@x.de"), update(phone="1")], skip_automation_trigger=False)
    assert [s.json()["skipAutomationTrigger"] for s in api.request_history if s.method != "GET"] == [False, False]


def test_the_only_configured_funnel_is_written_to(monkeypatch: pytest.MonkeyPatch, api: Any) -> None:
    assert connect(monkeypatch, funnel_ids=["a"]).target_scope() == "a"
    with pytest.raises(ValueError, match=r"funnel_id .*names 2"):
        connect(monkeypatch, funnel_ids=["a", "b"]).check_write_options()
    assert "status" not in connect(monkeypatch).writable_fields()
    assert {"address", "phone"} < connect(monkeypatch).writable_fields()


def test_contacts_without_a_conversion_hide_none_that_stand_behind_them() -> None:
    def contact(name: str, at: str | None) -> dict[str, Any]:
        return {"id": name, "meta": {"ps_converted_at": at} if at else None}

    listed = [contact("new", "2026-01-03T00:00:00.000Z"), contact("odd", None), contact("next", "2026-01-02T00:00:00Z")]
    tail = [contact(f"u{number}", None) for number in range(1_000)]
    read: list[str] = []

    def list_contacts(funnel_id: str) -> Any:
        for one in [*listed, *tail]:
            read.append(one["id"])
            yield one

    hook = SimpleNamespace(scopes_to_read=lambda **scope: ["f"], list_contacts=list_contacts)
    found = list(STREAMS["contacts"].fetch(hook, {}, datetime(2026, 1, 1, tzinfo=UTC)))
    assert [item.subject for item in found] == ["new", "next"]
    # A page of them is the end.
    assert len(read) == 3 + 100


def test_what_perspective_makes_of_a_value_stands_in_the_result(hook: Any, api: Any) -> None:
    kept = {"phone": "+491", "city": "Bonn"}
    answers = [{"json": {"data": {"fieldName": name, "value": kept[name]}}} for name in ("city", "phone")]
    api.put(rm.ANY, [*answers, {"json": {"data": {}}}, {"json": {"data": {}}}])
    [result] = hook.apply_plan([update(city="Bonn", phone="+49 1", address="Weg 5")], funnel_id="f")
    assert (result.outcome, result.stored) == ("updated", {"phone": "+491"})
    serve(api, [[]])
    made = {"id": "n1", "email": "a@x.de", "phone": "+491", "address": {"city": "BONN"}}
    api.post(f"{ROOT}/funnels/f/contacts", status_code=201, json={"data": made})
    [result] = hook.apply_plan([create("a@x.de", city="Bonn", phone="+49 1", last_name="B")], funnel_id="f")
    assert (result.outcome, result.stored) == ("created", {"city": "BONN", "phone": "+491"})
