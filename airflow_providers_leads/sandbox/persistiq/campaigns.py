"""PersistIQ campaigns, their members and replies: https://apidocs.persistiq.com, Campaigns."""

from __future__ import annotations

from typing import Any

from airflow_providers_leads.sandbox.core.clock import parse_iso
from airflow_providers_leads.sandbox.core.shell import Call, Reply
from airflow_providers_leads.sandbox.persistiq.errors import bad_params, bare, per_item, refuse
from airflow_providers_leads.sandbox.persistiq.lists import list_reply, moment
from airflow_providers_leads.sandbox.persistiq.store import Campaign, PersistIQStore

MAX_ADD = 100


def campaign_of(store: PersistIQStore, call: Call) -> Campaign:
    """Return the campaign of the path."""
    campaign = store.campaigns.get(call.params["id"])
    if campaign is None:
        raise refuse(404, "Campaign not found")
    return campaign


def list_campaigns(store: PersistIQStore, call: Call) -> Reply:
    """Page through campaigns by member, owner or name."""
    lead, owner, name = (call.query.get(key) for key in ("lead_id", "owner_id", "name"))
    rows = [
        campaign
        for campaign in store.campaigns.values()
        if (not lead or lead in campaign.members)
        and (not owner or campaign.owner["id"] == owner)
        and (not name or campaign.name == name)
    ]
    return list_reply(store, call, "campaigns", rows, store.campaign_body, 100)


def _new(store: PersistIQStore, name: Any, owner_id: Any) -> Reply:
    """Add a campaign, which starts paused; success and failure both come without the envelope."""
    owner = store.user(owner_id)
    if not isinstance(name, str) or not name.strip():
        raise bare("Name can't be blank")
    if owner is None:
        raise bare("Owner must exist")
    campaign = Campaign(store.next_id("c"), name, owner, active=False)
    store.campaigns[campaign.id] = campaign
    store.record("campaign_created", campaign_id=campaign.id, user_id=owner["id"])
    return Reply(store.campaign_body(campaign))


def create_campaign(store: PersistIQStore, call: Call) -> Reply:
    """Create a campaign; the same call twice makes two."""
    body = call.json_object()
    return _new(store, body.get("campaign_name"), body.get("owner_id"))


def duplicate_campaign(store: PersistIQStore, call: Call) -> Reply:
    """Copy a campaign without its members."""
    body = call.json_object()
    source = store.campaigns.get(str(body.get("campaign_id")))
    if source is None:
        raise bare("Campaign must exist")
    return _new(store, body.get("name") or f"{source.name} (copy)", body.get("owner_id"))


def list_members(store: PersistIQStore, call: Call) -> Reply:
    """Page through the leads of a campaign."""
    campaign = campaign_of(store, call)
    return list_reply(
        store,
        call,
        "campaign_leads",
        list(campaign.members),
        lambda lead_id: store.member_body(campaign, store.leads[lead_id]),
        100,
    )


def add_members(store: PersistIQStore, call: Call) -> Reply:
    """Add one lead (`lead_id`) or up to a hundred (`leads`, objects or ids) to a campaign."""
    campaign, body = campaign_of(store, call), call.json_object()
    mailbox = body.get("mailbox_id") or campaign.owner["default_mailbox_id"]
    if mailbox not in store.mailboxes():
        raise bad_params("Mailbox not found")
    if "leads" not in body:
        return _add_one(store, campaign, body, mailbox)
    members = body["leads"]
    if not isinstance(members, list) or not members:
        raise bad_params("Leads is missing")
    if len(members) > MAX_ADD:
        raise bad_params(f"Maximum of {MAX_ADD} leads per request")
    added: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for item in members:
        lead_id = item.get("id") if isinstance(item, dict) else item
        outcome = _add(store, campaign, lead_id, mailbox)
        (errors if "reason" in outcome else added).append(outcome)
    return Reply({"status": "error" if errors else "success", "errors": errors, "campaign_leads": added})


def _add(store: PersistIQStore, campaign: Campaign, lead_id: Any, mailbox: str) -> dict[str, Any]:
    lead = store.leads.get(lead_id) if isinstance(lead_id, str) else None
    shown: dict[str, Any] = {"id": None, "campaign_id": campaign.id, "mailbox_id": mailbox, "lead": {"id": lead_id}}
    if lead is None:
        return per_item("Lead must exist", campaign_lead=shown)
    if lead.id in campaign.members:
        return per_item("Lead has already been taken", campaign_lead=shown | {"lead": store.lead_body(lead)})
    return store.join(campaign, lead, mailbox)


def _add_one(store: PersistIQStore, campaign: Campaign, body: dict[str, Any], mailbox: str) -> Reply:
    lead_id = body.get("lead_id")
    if not lead_id:
        raise bad_params("Lead is missing")
    if lead_id not in store.leads:
        raise refuse(404, "Lead not found")
    if body.get("skip_if_exists") is True and lead_id in campaign.members:
        outcome = store.member_body(campaign, store.leads[lead_id])
    else:
        outcome = _add(store, campaign, lead_id, mailbox)
    if "reason" in outcome:
        return Reply({"status": "error", "error": outcome, "campaign_lead": None})
    return Reply({"status": "success", "error": None, "campaign_lead": outcome})


def remove_member(store: PersistIQStore, call: Call) -> Reply:
    """Take a lead out of a campaign; success has no body at all."""
    campaign = campaign_of(store, call)
    if call.params["leadId"] not in campaign.members:
        raise bad_params("Lead is not in the campaign")
    del campaign.members[call.params["leadId"]]
    return Reply()


def list_replies(store: PersistIQStore, call: Call) -> Reply:
    """Page through the replies a campaign got; both ends of the time range belong to it."""
    campaign, lead = campaign_of(store, call), call.query.get("lead_id")
    start, end = moment(call, "start_at"), moment(call, "end_at")
    rows = [
        reply
        for reply in store.replies
        if reply["campaign_id"] == campaign.id
        and (not lead or reply["lead_id"] == lead)
        and (start is None or (parse_iso(reply["sent_at"]) or 0) >= start)
        and (end is None or (parse_iso(reply["sent_at"]) or 0) <= end)
    ]
    return list_reply(store, call, "replies", rows, lambda row: row, 100)


def send_reply(store: PersistIQStore, call: Call) -> Reply:
    """Answer a reply, by its id; this sends real mail, so it is counted."""
    campaign, body = campaign_of(store, call), call.json_object()
    for name in ("inbox_message_id", "body"):
        if not body.get(name):
            raise bad_params(f"{name} is missing")
    reply = next((r for r in store.replies if r["id"] == body["inbox_message_id"]), None)
    if reply is None or reply["campaign_id"] != campaign.id:
        raise refuse(404, "Message not found")
    if campaign.owner["default_mailbox_id"] in store.disconnected_mailboxes:
        raise refuse(422, "Mailbox is disconnected")
    store.messages_sent.append({"kind": "reply", "campaign_id": campaign.id, "lead_id": reply["lead_id"]})
    return Reply({"status": "queued", "message": "Reply has been queued"}, 201)
