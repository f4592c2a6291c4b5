"""What each PersistIQ operator is given, and what must have become of it."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

from operator_runs import World, case

from airflow_providers_leads.operators import persistiq as op
from airflow_providers_leads.sandbox.persistiq.store import Campaign

Run = Generator[dict[str, Any], Any, None]


def campaign(at: World, *, active: bool = False) -> Campaign:
    """Put a campaign into the company."""
    made = Campaign(at.persistiq.next_id("c"), f"Run {at.number()}", at.persistiq.users[0], active)
    at.persistiq.campaigns[made.id] = made
    return made


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


@case(op.PersistIQListUsersOperator)
def users_are_listed(at: World) -> Run:
    rows = yield {}
    assert [row["default_mailbox_id"] for row in rows] == [u["default_mailbox_id"] for u in at.persistiq.users]


@case(op.PersistIQListLeadsOperator)
def leads_are_listed(at: World) -> Run:
    at.leads(101)
    rows = yield {}
    assert ids(rows) == list(at.persistiq.leads)
    rows = yield {"status": "new"}
    assert ids(rows) == [lead.id for lead in at.persistiq.leads.values() if lead.status == "new"]
    anchor = at.persistiq.leads[ids(rows)[0]].updated - 1
    rows = yield {"updated_after": datetime.fromtimestamp(anchor / 1000, UTC).isoformat()}
    assert set(ids(rows)) == {lead.id for lead in at.persistiq.leads.values() if lead.updated > anchor}


@case(op.PersistIQGetLeadOperator)
def a_lead_is_read_by_id_and_by_address(at: World) -> Run:
    [lead] = at.leads(1)
    for key in (lead.id, lead.data["email"]):
        assert (yield {"lead_id": key}) == at.persistiq.lead_body(lead)


@case(op.PersistIQCreateLeadsOperator)
def many_leads_are_created_and_those_there_left_alone(at: World) -> Run:
    [known] = at.leads(1)
    emails, creator = [*at.emails(11), known.data["email"]], at.persistiq.users[1]["id"]
    given = [{"email": email, "first_name": "Ann", "lead_score": 5} for email in emails]
    rows = yield {"leads": given, "creator_id": creator}
    assert [row["new"] for row in rows] == [True] * 11 + [False]
    made = [at.persistiq.find(email) for email in emails[:11]]
    assert [row["id"] for row in rows] == [lead.id for lead in (*made, known)]
    assert {(lead.data["first_name"], lead.data["lead_score"], lead.creator_id) for lead in made} == {
        ("Ann", "5", creator)
    }
    assert "first_name" not in known.data
    yield {"leads": given, "dup": "update"}
    assert known.data["first_name"] == "Ann"


@case(op.PersistIQUpdateLeadOperator)
def a_lead_is_changed(at: World) -> Run:
    [lead], owner = at.leads(1), at.persistiq.users[1]["id"]
    data = {"title": "CEO", "website": "https://runs.example"}
    changed = yield {"lead_id": lead.id, "data": data, "status": "qualified", "owner_id": owner, "optedout": "true"}
    assert changed == at.persistiq.lead_body(lead)
    assert data.items() <= lead.data.items()
    assert (lead.status, lead.owner_id, lead.optedout, lead.bounced) == ("qualified", owner, True, False)


@case(op.PersistIQListLeadStatusesOperator)
def statuses_are_listed(at: World) -> Run:
    rows = yield {}
    assert {row["id"]: row["name"] for row in rows} == at.persistiq.statuses


@case(op.PersistIQListLeadFieldsOperator)
def fields_are_listed(at: World) -> Run:
    rows = yield {}
    assert {row["id"]: row["name"] for row in rows} == at.persistiq.fields


@case(op.PersistIQListCampaignsOperator)
def campaigns_are_listed(at: World) -> Run:
    [lead], [mine, _] = at.leads(1), [campaign(at), campaign(at)]
    at.persistiq.join(mine, lead, "m")
    rows = yield {}
    assert ids(rows) == list(at.persistiq.campaigns)
    rows = yield {"lead_id": lead.id, "owner_id": mine.owner["id"], "name": mine.name}
    assert ids(rows) == [mine.id]
    assert rows[0]["stats"]["total_prospects"] == 1


@case(op.PersistIQAddLeadsToCampaignOperator)
def many_leads_join_a_campaign(at: World) -> Run:
    leads, joined = [lead.id for lead in at.leads(105)], campaign(at, active=True)
    mailbox = at.persistiq.users[1]["default_mailbox_id"]
    rows = yield {"campaign_id": joined.id, "lead_ids": leads, "mailbox_id": mailbox}
    assert list(joined.members) == leads
    assert [row["id"] for row in rows] == [member["id"] for member in joined.members.values()]
    assert {member["mailbox_id"] for member in joined.members.values()} == {mailbox}
    written_to = [m["lead_id"] for m in at.persistiq.messages_sent if m["campaign_id"] == joined.id]
    assert written_to == leads
    [late] = at.leads(1)
    yield {"campaign_id": joined.id, "lead_id": late.id}
    assert list(joined.members) == [*leads, late.id]


@case(op.PersistIQRemoveLeadFromCampaignOperator)
def a_lead_leaves_a_campaign_once(at: World) -> Run:
    [lead], left = at.leads(1), campaign(at)
    at.persistiq.join(left, lead, "m")
    for was_in_it in (True, False):
        assert (yield {"campaign_id": left.id, "lead_id": lead.id}) is was_in_it
        assert left.members == {}


@case(op.PersistIQListEventsOperator)
def events_of_a_window_are_listed(at: World) -> Run:
    events = [at.persistiq.event_body(event) for event in at.persistiq.events]
    rows = yield {}
    assert ids(rows) == ids(events)
    # What other cases did stands together in a few milliseconds.
    times = sorted({event["event_at"] for event in events})
    start, end = times[len(times) // 4], times[len(times) // 2]
    rows = yield {"group": "lead_detail", "start_at": start, "end_at": end}
    low, high = (datetime.fromisoformat(text) for text in (start, end))
    inside = [e for e in events if low <= datetime.fromisoformat(e["event_at"]) < high]
    assert ids(rows) == ids([event for event in inside if event["kind"] != "campaign_created"])
    assert rows


@case(op.PersistIQListDncDomainsOperator)
def blocked_domains_are_listed(at: World) -> Run:
    rows = yield {}
    assert {row["id"]: row["name"] for row in rows} == at.persistiq.dnc


@case(op.PersistIQCreateDncDomainOperator)
def a_domain_is_blocked(at: World) -> Run:
    name = f"blocked{at.number()}.example"
    made = yield {"name": name.upper()}
    assert at.persistiq.dnc[made["id"]] == made["name"] == name


@case(op.PersistIQListCampaignLeadsOperator)
def the_leads_of_a_campaign_are_listed(at: World) -> Run:
    of = campaign(at)
    for lead in at.leads(102):
        at.persistiq.join(of, lead, "m")
    rows = yield {"campaign_id": of.id}
    assert [row["lead"]["id"] for row in rows] == list(of.members)


@case(op.PersistIQCreateCampaignOperator)
def a_campaign_is_created(at: World) -> Run:
    name, owner = f"Run {at.number()}", at.persistiq.users[0]["id"]
    made = yield {"name": name, "owner_id": owner}
    held = at.persistiq.campaigns[made["id"]]
    assert (held.name, held.owner["id"], held.active) == (name, owner, False)


@case(op.PersistIQDuplicateCampaignOperator)
def a_campaign_is_copied(at: World) -> Run:
    source, owner, name = campaign(at), at.persistiq.users[1]["id"], f"Copy {at.number()}"
    made = yield {"campaign_id": source.id, "owner_id": owner, "name": name}
    held = at.persistiq.campaigns[made["id"]]
    assert (held is not source, held.name, held.owner["id"]) == (True, name, owner)


@case(op.PersistIQListRepliesOperator)
def replies_are_listed(at: World) -> Run:
    told = at.persistiq.replies[0]
    of = told["campaign_id"]
    rows = yield {"campaign_id": of}
    assert ids(rows) == ids([reply for reply in at.persistiq.replies if reply["campaign_id"] == of])
    rows = yield {"campaign_id": of, "lead_id": told["lead_id"], "start_at": told["sent_at"]}
    assert ids(rows) == [told["id"]]
    rows = yield {"campaign_id": of, "end_at": "2020-01-01T00:00:00Z"}
    assert rows == []


@case(op.PersistIQSendReplyOperator)
def a_reply_is_answered_once(at: World) -> Run:
    told, sent = at.persistiq.replies[0], len(at.persistiq.messages_sent)
    answer = yield {"campaign_id": told["campaign_id"], "inbox_message_id": told["id"], "body": "<p>Hello</p>"}
    assert answer["status"] == "queued"
    assert at.persistiq.messages_sent[sent:] == [
        {"kind": "reply", "campaign_id": told["campaign_id"], "lead_id": told["lead_id"]}
    ]


@case(op.PersistIQListTagsOperator)
def tags_are_listed(at: World) -> Run:
    rows = yield {}
    assert {row["id"]: row["name"] for row in rows} == at.persistiq.tags


@case(op.PersistIQGetWebhookPluginOperator)
def webhook_settings_are_read(at: World) -> Run:
    assert (yield {}) == at.persistiq.webhook


@case(op.PersistIQUpdateWebhookPluginOperator)
def webhook_settings_are_changed_and_the_others_kept(at: World) -> Run:
    at.persistiq.webhook["post_email_reply"] = True
    changes = {"raw_events": True, "raw_events_url": "https://runs.example/hook"}
    kept = {name: value for name, value in at.persistiq.webhook.items() if name not in changes}
    assert (yield {"settings": changes}) == {**kept, **changes}
    assert at.persistiq.webhook == {**kept, **changes}
