from __future__ import annotations

import itertools
from typing import Any

import pytest
import requests
from sandbox_client import Client

from airflow_providers_leads.sandbox.persistiq.store import GROUPS

numbers = itertools.count()


def email() -> str:
    return f"iq{next(numbers)}@example.com"


def walk(client: Client, path: str, key: str, **params: Any) -> list[dict]:
    rows, page = [], 1
    while True:
        body = client.get(path, page=page, **params)
        assert (body["status"], body["errors"]) == ("success", [])
        rows += body[key]
        if not body["has_more"]:
            assert body["next_page"] is None
            return rows
        page += 1


def create(client: Client, *leads: dict, **more: Any) -> dict:
    answer = client("POST", "/v1/leads", {"leads": list(leads), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def active_campaign(client: Client) -> Any:
    return next(c for c in client.store.campaigns.values() if c.active)


@pytest.mark.parametrize(
    ("path", "key", "shape"),
    [
        ("/v1/users", "users", {"id", "name", "email", "activated", "default_mailbox_id", "salesforce_id",
                                "mailboxes"}),
        ("/v1/leads", "leads", {"id", "status", "data", "creator_id", "owner_id", "bounced", "optedout", "sent_count",
                                "replied_count", "last_sent_at"}),
        ("/v1/lead_statuses", "lead_statuses", {"id", "name"}),
        ("/v1/lead_fields", "lead_fields", {"id", "name", "label"}),
        ("/v1/campaigns", "campaigns", {"id", "name", "creator", "stats"}),
        ("/v1/events", "events", {"id", "kind", "event_at", "user_id", "user", "campaign", "lead", "params", "diff"}),
        ("/v1/dnc_domains", "dnc_domains", {"id", "name"}),
        ("/v1/tags", "tags", {"id", "name"}),
    ],
)  # fmt: skip
def test_lists(persistiq: Client, path: str, key: str, shape: set[str]) -> None:
    body = persistiq.get(path)
    assert set(body[key][0]) == shape
    assert ("has_more" in body) == (key not in ("lead_statuses", "lead_fields"))


def test_pages(serve) -> None:
    client = Client(serve(people=1200).persistiq)
    first = client.get("/v1/leads")
    assert (len(first["leads"]), first["has_more"]) == (100, True)
    assert first["next_page"] == f"{client.api.origin}/v1/leads?page=2"
    assert client.get("/v1/leads", page=0)["leads"] == first["leads"], "page 0 is page 1"
    rows = walk(client, "/v1/leads", "leads")
    assert [row["id"] for row in rows] == list(client.store.leads)
    assert client.get("/v1/leads", page=99)["leads"] == []
    assert client("GET", "/v1/leads?page=x").status_code == 400
    events = walk(client, "/v1/events", "events")
    assert len(events) == len(client.store.events) > 500
    assert [e["id"] for e in events[:500]] == [e["id"] for e in client.get("/v1/events")["events"]]
    kept = Client(serve(people=600, next_page_keeps_filters=True).persistiq)
    assert kept.get("/v1/leads", created_after="2025-01-01T00:00:00Z")["next_page"].count("created_after") == 1


def test_lead_filters(persistiq: Client) -> None:
    leads = list(persistiq.store.leads.values())
    middle = sorted(lead.updated for lead in leads)[len(leads) // 2]
    from airflow_providers_leads.sandbox.core.clock import iso_pacific

    for name, attribute in (("updated_after", "updated"), ("created_after", "created")):
        rows = walk(persistiq, "/v1/leads", "leads", **{name: iso_pacific(middle)})
        assert {r["id"] for r in rows} == {lead.id for lead in leads if getattr(lead, attribute) > middle}
    by_name = {r["id"] for r in walk(persistiq, "/v1/leads", "leads", status="replied")}
    status_id = next(key for key, name in persistiq.store.statuses.items() if name == "replied")
    by_id = {r["id"] for r in walk(persistiq, "/v1/leads", "leads", status_id=status_id)}
    assert by_name == by_id == {lead.id for lead in leads if lead.status == "replied"}
    assert walk(persistiq, "/v1/leads", "leads", status="nonsense") == []
    address = next(lead.data["email"] for lead in leads if lead.data["email"].strip() == lead.data["email"])
    assert len(walk(persistiq, "/v1/leads", "leads", email=address.upper())) == 1
    assert persistiq("GET", "/v1/leads?updated_after=yesterday").status_code == 400
    assert persistiq("GET", "/v1/leads?updated_after=2026-01-01T00:00:00+01:00").status_code == 400, "plus not encoded"


def test_create_partly(persistiq: Client) -> None:
    address = email()
    body = create(persistiq, {"email": address, "first_name": "Ivan", "lead_score": 5, "nonsense": "x"},
                  {"email": ""}, {"first_name": "A"}, {"email": "ann@"}, {"data": {"email": email()}})  # fmt: skip
    assert body["status"] == "error"
    assert [e["message"] for e in body["errors"]] == [
        "Email can't be blank", "Email can't be blank", "Email is invalid", "Email can't be blank",
    ]  # fmt: skip
    assert body["errors"][0]["lead"] == {"id": None, "status": "active", "data": {"email": ""}}
    lead = body["leads"][0]
    assert (lead["data"]["email"], lead["data"]["lead_score"], lead["data"]["last_name"]) == (address, "5", None)
    assert "nonsense" not in lead["data"]


def test_create_duplicates(persistiq: Client) -> None:
    address = email()
    made = create(persistiq, {"email": address, "first_name": "One"})["leads"][0]
    skipped = create(persistiq, {"email": address.upper(), "first_name": "Two"})
    assert (skipped["status"], skipped["leads"], skipped["errors"]) == ("success", [], [])
    assert persistiq.store.leads[made["id"]].data["first_name"] == "One"
    updated = create(persistiq, {"email": address.upper(), "first_name": "Two"}, dup="update")
    assert (updated["leads"][0]["id"], updated["leads"][0]["data"]["first_name"]) == (made["id"], "Two")
    assert updated["leads"][0]["data"]["email"] == address


def test_skipped_duplicates_may_be_told(serve) -> None:
    client = Client(serve(skipped_in_leads=True).persistiq)
    address = email()
    ids = [create(client, {"email": address})["leads"][0]["id"] for _ in range(2)]
    assert ids[0] == ids[1]


def test_single_form(persistiq: Client) -> None:
    made = persistiq("POST", "/v1/leads", {"lead": {"email": email()}}).json()
    assert made["lead"]["id"]
    assert made["error"] is None
    failed = persistiq("POST", "/v1/leads", {"lead": {"email": ""}}).json()
    assert (failed["status"], failed["lead"], failed["error"]["message"]) == ("error", None, "Email can't be blank")


@pytest.mark.parametrize(
    "body",
    [
        {"leads": [{"email": "x@example.com"}] * 11},
        {"leads": []},
        {"lead": "x"},
        {"email": "x@example.com"},
        {"leads": [{"email": "x@example.com"}], "dup": "merge"},
        {"leads": [{"email": "x@example.com"}], "creator_id": "u_none"},
    ],
)
def test_create_refuses(persistiq: Client, body: dict) -> None:
    answer = persistiq("POST", "/v1/leads", body)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "bad_params")
    assert persistiq.store.find("x@example.com") is None


def test_form_data_is_refused(persistiq: Client) -> None:
    assert persistiq("POST", "/v1/leads", data={"email": "x@example.com"}).status_code == 400


def test_get_one(serve) -> None:
    sandbox = serve()
    client = Client(sandbox.persistiq)
    lead = next(x for x in client.store.leads.values() if "@example" in x.data["email"])
    assert client.get(f"/v1/leads/{lead.id}")["leads"][0]["id"] == lead.id
    assert client.get(f"/v1/leads/{lead.data['email']}")["leads"][0]["id"] == lead.id
    missing = client("GET", "/v1/leads/l_none")
    assert (missing.status_code, missing.json()["error"]["reason"]) == (404, "not_found")
    other = Client(serve(single_lead_form="lead").persistiq)
    assert other.get(f"/v1/leads/{lead.id}")["lead"]["id"] == lead.id


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_update(persistiq: Client, method: str) -> None:
    made = create(persistiq, {"email": email(), "title": "CEO"})["leads"][0]["id"]
    path, events = f"/v1/leads/{made}", persistiq.store.events
    owner = persistiq.store.users[0]["id"]
    body = {"data": {"title": "", "first_name": "A"}, "status": "engaged", "bounced": True, "owner_id": owner}
    answer = persistiq(method, path, body).json()
    assert (answer["status"], answer["error"]) == ("success", None)
    assert answer["lead"]["bounced"] == "true"
    assert (answer["lead"]["data"]["title"], answer["lead"]["status"]) == (None, "engaged")
    assert {e.kind for e in events if e.lead_id == made} == {
        "lead_created", "lead_updated", "lead_status_updated", "lead_owner_updated",
    }  # fmt: skip
    read = persistiq.get(path)["leads"][0]
    assert (read["bounced"], read["owner_id"]) == (True, owner)
    before, stamp = len(events), persistiq.store.leads[made].updated
    persistiq(method, path, {"data": {"first_name": "A"}, "status": "engaged"})
    assert (len(events), persistiq.store.leads[made].updated) == (before, stamp), "no change, no trace"
    taken = create(persistiq, {"email": email()})["leads"][0]["data"]["email"]
    for wrong in (
        {"status": "nonsense"},
        {"status_id": "lss_none"},
        {"owner_id": "u_none"},
        {"optedout": "perhaps"},
        {"data": []},
        {"data": {"email": "ann@"}},
        {"data": {"email": taken.upper()}},
    ):
        answer = persistiq(method, path, wrong)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "bad_params"), wrong
    assert persistiq(method, "/v1/leads", {"data": {}}).status_code == 404


def test_campaigns(persistiq: Client) -> None:
    owner = persistiq.store.users[0]["id"]
    made = persistiq("POST", "/v1/campaigns", {"campaign_name": "New", "owner_id": owner})
    assert (made.status_code, made.json()["name"], "status" in made.json()) == (200, "New", False)
    copied = persistiq("POST", "/v1/campaigns/duplicate", {"campaign_id": made.json()["id"], "owner_id": owner})
    assert copied.json()["name"] == "New (copy)"
    names = [row["name"] for row in walk(persistiq, "/v1/campaigns", "campaigns", name="New")]
    assert names == ["New"]
    assert all(r["creator"]["id"] == owner for r in walk(persistiq, "/v1/campaigns", "campaigns", owner_id=owner))
    for path, body in (
        ("", {"owner_id": owner}),
        ("", {"campaign_name": "X", "owner_id": "u_none"}),
        ("/duplicate", {"campaign_id": "c_none", "owner_id": owner}),
    ):
        answer = persistiq("POST", f"/v1/campaigns{path}", body)
        assert (answer.status_code, set(answer.json())) == (422, {"reason", "message"})


@pytest.mark.parametrize("form", ["objects", "strings", "single"])
def test_add_to_and_remove_from_campaign(persistiq: Client, form: str) -> None:
    campaign = active_campaign(persistiq)
    path = f"/v1/campaigns/{campaign.id}/leads"
    lead = create(persistiq, {"email": email()})["leads"][0]["id"]
    body = {"objects": {"leads": [{"id": lead}]}, "strings": {"leads": [lead]}, "single": {"lead_id": lead}}[form]
    before = len(persistiq.store.messages_sent)
    added = persistiq("POST", path, body).json()
    row = added["campaign_lead"] if form == "single" else added["campaign_leads"][0]
    assert (added["status"], row["lead"]["id"], row["campaign_id"]) == ("success", lead, campaign.id)
    assert row["mailbox_id"] == campaign.owner["default_mailbox_id"]
    assert persistiq.store.messages_sent[before:] == [{"kind": "campaign", "campaign_id": campaign.id, "lead_id": lead}]
    again = persistiq("POST", path, body)
    error = again.json()["error"] if form == "single" else again.json()["errors"][0]
    assert (again.status_code, again.json()["status"]) == (200, "error")
    assert error["message"] == "Lead has already been taken"
    assert lead in [r["lead"]["id"] for r in walk(persistiq, path, "campaign_leads")]
    assert [r["id"] for r in walk(persistiq, "/v1/campaigns", "campaigns", lead_id=lead)] == [campaign.id]
    if form == "single":
        assert persistiq("POST", path, body | {"skip_if_exists": True}).json()["campaign_lead"] == row
    gone = persistiq("DELETE", f"{path}/{lead}")
    assert (gone.status_code, gone.content) == (200, b"")
    assert persistiq("DELETE", f"{path}/{lead}").status_code == 400
    assert len(persistiq.store.messages_sent) == before + 1


@pytest.mark.parametrize(
    ("campaign", "body", "status"),
    [
        (None, {"leads": [{"id": "l_x"}] * 101}, 400),
        (None, {"leads": []}, 400),
        (None, {}, 400),
        (None, {"lead_id": "l_none"}, 404),
        (None, {"leads": ["l_x"], "mailbox_id": "mbox_none"}, 400),
        ("c_none", {"lead_id": "l_none"}, 404),
    ],
)
def test_add_refuses(persistiq: Client, campaign: str | None, body: dict, status: int) -> None:
    path = f"/v1/campaigns/{campaign or active_campaign(persistiq).id}/leads"
    assert persistiq("POST", path, body).status_code == status


def test_quiet_campaigns_and_protected_leads_get_no_mail(persistiq: Client) -> None:
    quiet = next(c for c in persistiq.store.campaigns.values() if not c.active)
    lead = create(persistiq, {"email": email()})["leads"][0]["id"]
    dnc = create(persistiq, {"email": f"x{next(numbers)}@competitor.example"})["leads"][0]["id"]
    before = len(persistiq.store.messages_sent)
    persistiq("POST", f"/v1/campaigns/{quiet.id}/leads", {"lead_id": lead})
    persistiq("POST", f"/v1/campaigns/{active_campaign(persistiq).id}/leads", {"leads": [{"id": dnc}]})
    assert len(persistiq.store.messages_sent) == before


def test_replies(serve) -> None:
    client = Client(serve(people=400).persistiq)
    reply = next(
        r
        for r in client.store.replies
        if client.store.campaigns[r["campaign_id"]].owner["default_mailbox_id"]
        not in client.store.disconnected_mailboxes
    )
    path = f"/v1/campaigns/{reply['campaign_id']}/replies"
    assert reply in walk(client, path, "replies")
    at = reply["sent_at"]
    assert walk(client, path, "replies", start_at=at, end_at=at, lead_id=reply["lead_id"]) == [reply]
    sent = client("POST", path, {"inbox_message_id": reply["id"], "body": "<p>Hi</p>"})
    assert (sent.status_code, sent.json()["status"]) == (201, "queued")
    assert client.store.messages_sent[-1]["kind"] == "reply"
    assert client("POST", path, {"inbox_message_id": reply["id"]}).status_code == 400
    assert client("POST", path, {"inbox_message_id": "x", "body": "y"}).status_code == 404
    assert client("GET", "/v1/campaigns/c_none/replies").status_code == 404
    client.store.disconnected_mailboxes.add(client.store.campaigns[reply["campaign_id"]].owner["default_mailbox_id"])
    assert client("POST", path, {"inbox_message_id": reply["id"], "body": "y"}).status_code == 422


def test_events(persistiq: Client) -> None:
    everything = walk(persistiq, "/v1/events", "events")
    assert [e["event_at"] for e in everything] == sorted(e["event_at"] for e in everything)
    assert everything[0]["event_at"].endswith("-07:00")
    for group, kinds in GROUPS.items():
        found = walk(persistiq, "/v1/events", "events", group=group)
        assert {e["id"] for e in found} == {e["id"] for e in everything if e["kind"] in kinds}
    middle = everything[len(everything) // 2]["event_at"]
    early = walk(persistiq, "/v1/events", "events", end_at=middle)
    late = walk(persistiq, "/v1/events", "events", start_at=middle)
    assert 0 < len(early) < len(everything)
    assert {e["id"] for e in early + late} == {e["id"] for e in everything}
    lead = next(e["lead"]["id"] for e in everything if e["lead"])
    assert {e["lead"]["id"] for e in walk(persistiq, "/v1/events", "events", lead=lead)} == {lead}
    assert persistiq("GET", "/v1/events?group=nonsense").status_code == 400


def test_dnc_domains_and_webhook(persistiq: Client) -> None:
    made = persistiq("POST", "/v1/dnc_domains", {"name": "new-block.example"})
    assert (made.status_code, made.json()["errors"], made.json()["dnc_domain"]["name"]) == (
        200, None, "new-block.example",
    )  # fmt: skip
    assert "new-block.example" in [row["name"] for row in walk(persistiq, "/v1/dnc_domains", "dnc_domains")]
    for body in ({"domain": "x.example"}, {"name": ""}, {"name": "no domain"}, {"name": "new-block.example"}):
        assert persistiq("POST", "/v1/dnc_domains", body).status_code == 400
    settings = persistiq.get("/v1/webhook_plugin")
    assert len(settings) == 10
    changed = settings | {"raw_events": True, "raw_events_url": "https://hooks.example"}
    assert persistiq("PUT", "/v1/webhook_plugin", changed).json() == changed
    assert persistiq("PUT", "/v1/webhook_plugin", {"raw_event": True}).status_code == 400
    assert persistiq("PUT", "/v1/webhook_plugin", {}).json() == settings


@pytest.mark.parametrize(("header", "echo"), [({}, ""), ({"x-api-key": "secret-1"}, "secret-1")])
def test_wrong_key_is_echoed_with_rate_headers(persistiq: Client, header: dict, echo: str) -> None:
    answer = requests.get(f"{persistiq.api.origin}/v1/users", headers=header, timeout=5)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (401, "unauthorized")
    assert answer.json()["error"]["message"].startswith(f"Failed to find api key: {echo}.  Did you set header")
    assert int(answer.headers["X-RateLimit-Remaining"]) >= 0


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/mailboxes"), ("DELETE", "/v1/leads/l_x"), ("GET", "/leads"), ("POST", "/v1/tags")]
)
def test_what_the_vendor_does_not_have(persistiq: Client, method: str, path: str) -> None:
    assert persistiq(method, path).status_code == 404
