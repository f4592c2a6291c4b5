"""PersistIQ's campaigns as the pipeline enrols leads in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from airflow_providers_leads.hooks.campaigns import Campaigns
from airflow_providers_leads.hooks.persistiq.campaigns import PersistIQCampaigns, lead_id_in
from airflow_providers_leads.hooks.persistiq.fields import to_lead
from airflow_providers_leads.hooks.writing import RECORD_ERRORS
from airflow_providers_leads.http.errors import LeadsNotFoundError
from airflow_providers_leads.leads.model.outcomes import BatchResult
from airflow_providers_leads.leads.model.schema import Lead

# A minute's quota of single reads; more leads than these are found in the list, a hundred per request.
_SINGLE_READS: Final = 100
# A page of a campaign's events tells of some hundred leads.
_SINGLE_HISTORIES: Final = 5
_OF_MEMBERS: Final = frozenset({"campaign_lead_created", "message_sent"})


class PersistIQEnrolling(Campaigns):
    """Enrols leads over one connection.

    :param hook: sends the requests
    """

    def __init__(self, hook: PersistIQCampaigns) -> None:
        self._hook = hook

    def ids(self) -> list[str]:
        """Return the ids of the campaigns that the key may see."""
        return [str(campaign.get("id")) for campaign in self._hook.list_campaigns()]

    def mailboxes(self) -> list[str] | None:
        """Return the ids of the mailboxes of all users; only one of the vendor's two documents has them."""
        listed = [user["mailboxes"] for user in self._hook.list_users() if isinstance(user.get("mailboxes"), list)]
        return [str(box["id"]) for boxes in listed for box in boxes if box.get("id")] if listed else None

    def members(self, campaign_id: str) -> set[str]:
        """Return the ids of the leads that are in a campaign, none where the API can't list them."""
        try:
            members = {lead_id_in(place) for place in self._hook.list_campaign_leads(campaign_id)}
        except RECORD_ERRORS as error:
            # Only one of the vendor's two documents has this list. Adding a member again is refused, and does no harm.
            self._hook.log.warning(
                "The campaign's leads can't be listed (%s); PersistIQ itself refuses those in it", error
            )
            return set()
        return {lead_id for lead_id in members if lead_id}

    def former(self, campaign_id: str, lead_ids: Collection[str]) -> set[str]:
        """Return which leads joined a campaign, or were mailed by it, at any time, by what PersistIQ has noted."""
        few: Sequence[str | None] = sorted(lead_ids) if len(lead_ids) <= _SINGLE_HISTORIES else [None]
        return {
            lead_id
            for one in few
            for event in self._hook.list_events(group="lead_detail", campaign=campaign_id, lead=one)
            if event.get("kind") in _OF_MEMBERS and _id_in(event, "campaign") in (campaign_id, None)
            if (lead_id := _id_in(event, "lead") or one) in lead_ids and lead_id is not None
        }

    def leads(self, lead_ids: Collection[str]) -> Iterator[Lead]:
        """Yield what PersistIQ holds of these leads now; whom it doesn't know is left out."""
        left = set(lead_ids)
        if len(left) > _SINGLE_READS:
            for record in self._hook.list_leads():
                if (lead := to_lead(record, self._hook.conn_id)).source_id in left:
                    left.discard(lead.source_id)
                    yield lead
        # The list shifts while it is read, so those that weren't met there are asked for, too.
        for lead_id in sorted(left):
            try:
                yield to_lead(self._hook.get_lead(lead_id), self._hook.conn_id)
            except LeadsNotFoundError:
                continue

    def add(self, campaign_id: str, lead_ids: Sequence[str], mailbox_id: str | None) -> BatchResult:
        """Add leads to a campaign; an active one writes to them at once."""
        return self._hook.add_leads_to_campaign(campaign_id, lead_ids, mailbox_id)


def _id_in(event: Mapping[str, Any], name: str) -> str | None:
    """Return the id of what an event is about, ``None`` where it doesn't say."""
    about = event.get(name)
    found = (about.get("id") if isinstance(about, Mapping) else None) or event.get(f"{name}_id")
    return str(found) if found else None
