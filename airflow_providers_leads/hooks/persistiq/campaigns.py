"""PersistIQ's campaigns: who is in them, and what is answered. Adding a lead may send mail at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from airflow_providers_leads.hooks.arguments import window
from airflow_providers_leads.hooks.base import require
from airflow_providers_leads.hooks.batches import Chunk, run_batch
from airflow_providers_leads.hooks.persistiq.account import given, is_object, maybe_wire
from airflow_providers_leads.hooks.persistiq.answers import Matching, Record, records_in, settle_chunk, unaccounted
from airflow_providers_leads.hooks.persistiq.leads import PersistIQLeads
from airflow_providers_leads.http.errors import LeadsApiError, LeadsNotFoundError
from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.leads.model.outcomes import BatchResult, Succeeded

LEADS_PER_CALL: Final = 100


def lead_id_in(place: object) -> str | None:
    """Return the id of the lead that a place in a campaign is of, however the place names it."""
    if not isinstance(place, dict):
        return None
    lead = place.get("lead")
    found = (lead.get("id") if isinstance(lead, dict) else None) or place.get("lead_id")
    return str(found) if found else None


class PersistIQCampaigns(PersistIQLeads):
    """The calls of :class:`~airflow_providers_leads.hooks.persistiq.PersistIQHook` that concern campaigns."""

    def list_campaigns(
        self, *, lead_id: str | None = None, owner_id: str | None = None, name: str | None = None
    ) -> Iterator[Record]:
        """Yield campaigns with their counters as of now.

        :param lead_id: only campaigns that this lead is in
        :param owner_id: only campaigns of this user
        :param name: only campaigns of this name

        https://apidocs.persistiq.com/#campaigns
        """
        query = {
            "lead_id": given("lead_id", lead_id),
            "owner_id": given("owner_id", owner_id),
            "name": given("name", name),
        }
        return self._list("campaigns", "/v1/campaigns", params=query)

    def campaign_id(self, campaign: str) -> str:
        """Return the id of a campaign.

        :param campaign: its id or exact name
        :raises ValueError: when there is none, or several have the name
        """
        known = list(self.list_campaigns())
        found = [str(one["id"]) for one in known if campaign == str(one.get("id"))]
        found = found or [str(one["id"]) for one in known if campaign == one.get("name")]
        if len(found) != 1:
            what = "several campaigns are named" if found else "PersistIQ has no campaign"
            names = [str(one[key]) for one in known for key in ("name", "id") if one.get(key)]
            near = "" if found else nearest(campaign, names)
            raise ValueError(f"{self.label}: campaign: {what} {campaign!r}{near or '. Give its id.'}")
        return found[0]

    def lead_of_place(self, place: Mapping[str, Any]) -> Record | None:
        """Return the lead that is in a campaign, ``None`` when it is gone since.

        :param place: of :meth:`list_campaign_leads`. Whether it holds the whole lead is not documented
        """
        lead = place.get("lead")
        if isinstance(lead, dict) and isinstance(lead.get("data"), dict):
            return lead
        found = lead_id_in(place)
        with suppress(LeadsNotFoundError):
            return self.get_lead(found) if found else None
        return None

    def create_campaign(self, name: str, owner_id: str) -> Record:
        """Create a campaign and return it. Not repeated after an unclear failure. OpenAPI only.

        :param name: of the campaign
        :param owner_id: user who owns it

        https://api.persistiq.com/api-docs/v1/swagger.json
        """
        require("name", name)
        require("owner_id", owner_id)
        return self._one("POST", "/v1/campaigns", "campaign", {}, {"campaign_name": name, "owner_id": owner_id})

    def duplicate_campaign(self, campaign_id: str, owner_id: str, name: str | None = None) -> Record:
        """Copy a campaign and return the copy. Not repeated after an unclear failure. OpenAPI only.

        :param campaign_id: the campaign to copy
        :param owner_id: user who owns the copy
        :param name: of the copy; default the vendor's choice

        https://api.persistiq.com/api-docs/v1/swagger.json
        """
        require("campaign_id", campaign_id)
        require("owner_id", owner_id)
        body = {"campaign_id": campaign_id, "owner_id": owner_id}
        if given("name", name):
            body["name"] = str(name)
        return self._one("POST", "/v1/campaigns/duplicate", "campaign", {}, body)

    def list_campaign_leads(self, campaign_id: str) -> Iterator[Record]:
        """Yield the leads in a campaign: ``{"id", "campaign_id", "mailbox_id", "lead"}``. OpenAPI only.

        :param campaign_id: the campaign
        :raises LeadsNotFoundError: when there is no such campaign

        https://api.persistiq.com/api-docs/v1/swagger.json
        """
        require("campaign_id", campaign_id)
        return self._list(
            "campaign_leads", "/v1/campaigns/{campaign_id}/leads", path_params={"campaign_id": campaign_id}
        )

    def add_leads_to_campaign(
        self,
        campaign_id: str,
        lead_ids: Sequence[str] | None = None,
        mailbox_id: str | None = None,
        *,
        lead_id: str | None = None,
    ) -> BatchResult:
        """Add any number of leads to a campaign, a hundred per request, and return what became of each.

        Mail may go out at once. A lead that is in the campaign already counts as succeeded with ``new`` false, so the
        whole call can be repeated.

        :param campaign_id: the campaign
        :param lead_ids: ids of the leads; either this or ``lead_id``
        :param mailbox_id: mailbox to send from; default that of the campaign's owner
        :param lead_id: id of the only lead
        :returns: ``id`` is the lead's place in the campaign, ``input`` the lead id
        :raises LeadsAuthError, LeadsPermissionError: when nothing was added and the key is the reason

        https://apidocs.persistiq.com/#campaigns
        """
        require("campaign_id", campaign_id)
        if (lead_ids is None) == (lead_id is None):
            raise ValueError("give either lead_ids or lead_id")
        lead_ids = [lead_id] if lead_id is not None else lead_ids
        if isinstance(lead_ids, (str, bytes)):
            raise ValueError("lead_ids must be a list of ids, not one text")
        inputs = list(lead_ids or ())
        if not all(isinstance(lead_id, str) and lead_id.strip() for lead_id in inputs):
            raise ValueError("lead_ids must hold ids, none of them empty")
        more = {"mailbox_id": mailbox_id} if given("mailbox_id", mailbox_id) else {}
        path = "/v1/campaigns/{campaign_id}/leads"
        matching = Matching(
            what=f"{self.label}: POST {path}",
            of_input=str,
            of_record=lead_id_in,
            of_problem=lambda problem: lead_id_in(problem.get("campaign_lead")) or lead_id_in(problem),
            is_new=lambda item, record: True,
            exists_is_fine=True,
            # Mail may have gone out.
            idempotent=False,
        )

        def send(chunk: Chunk) -> BatchResult:
            several = {"leads": [{"id": lead_id} for _, lead_id in chunk]}
            body = {"lead_id": chunk[0][1]} if len(chunk) == 1 else several
            try:
                answer = self.request(
                    "POST",
                    path,
                    path_params={"campaign_id": campaign_id},
                    json={**more, **body},
                    expect=is_object,
                    partial=True,
                )
            except LeadsApiError as error:
                if len(chunk) == 1 and error.exists:
                    return BatchResult(succeeded=[Succeeded(index=chunk[0][0], input=chunk[0][1], new=False)])
                raise
            records = records_in(answer.body, "campaign_lead", "campaign_leads")
            result, missing = settle_chunk(chunk, answer, records, matching)
            result.failed += [unaccounted(index, item, answer) for index, item in missing]
            return result

        return run_batch(inputs, LEADS_PER_CALL, send, self.client.pause)

    def remove_lead_from_campaign(self, campaign_id: str, lead_id: str, missing_ok: bool = True) -> bool:
        """Remove a lead from a campaign, and tell whether it was in it.

        :param campaign_id: the campaign
        :param lead_id: the lead
        :param missing_ok: return false when the lead is not in the campaign (default), else raise
        :raises LeadsApiError: ``not_found`` is true when the lead is not in the campaign

        https://apidocs.persistiq.com/#campaigns
        """
        require("campaign_id", campaign_id)
        require("lead_id", lead_id)
        path = {"campaign_id": campaign_id, "lead_id": lead_id}
        try:
            self.request("DELETE", "/v1/campaigns/{campaign_id}/leads/{lead_id}", path_params=path)
        except LeadsApiError as error:
            if not missing_ok or not error.not_found:
                raise
            return False
        return True

    def list_replies(
        self,
        campaign_id: str,
        *,
        lead_id: str | None = None,
        start_at: datetime | str | None = None,
        end_at: datetime | str | None = None,
    ) -> Iterator[Record]:
        """Yield the replies to a campaign's messages. OpenAPI only.

        :param campaign_id: the campaign
        :param lead_id: only replies of this lead
        :param start_at: only replies at or after this time; aware datetime, or ISO 8601 text with an offset
        :param end_at: only replies at or before this time
        :raises LeadsNotFoundError: when there is no such campaign

        https://api.persistiq.com/api-docs/v1/swagger.json
        """
        require("campaign_id", campaign_id)
        if start_at is not None and end_at is not None:
            window("start_at", start_at, "end_at", end_at)
        query = {
            "lead_id": given("lead_id", lead_id),
            "start_at": maybe_wire("start_at", start_at),
            "end_at": maybe_wire("end_at", end_at),
        }
        path = {"campaign_id": campaign_id}
        return self._list("replies", "/v1/campaigns/{campaign_id}/replies", path_params=path, params=query)

    def send_reply(self, campaign_id: str, inbox_message_id: str, body: str) -> Record:
        """Send an answer to a reply, and return ``{"status": "queued", …}``. Sends real mail. OpenAPI only.

        Not repeated after an unclear failure.

        :param campaign_id: the campaign
        :param inbox_message_id: the message to answer, most likely the ``id`` from :meth:`list_replies`
        :param body: HTML
        :raises LeadsValidationError: also when the mailbox is disconnected (422)

        https://api.persistiq.com/api-docs/v1/swagger.json
        """
        for name, value in (("campaign_id", campaign_id), ("inbox_message_id", inbox_message_id), ("body", body)):
            require(name, value)
        answer = self.request(
            "POST",
            "/v1/campaigns/{campaign_id}/replies",
            path_params={"campaign_id": campaign_id},
            json={"inbox_message_id": inbox_message_id, "body": body},
        )
        return answer.body if isinstance(answer.body, dict) else {}
