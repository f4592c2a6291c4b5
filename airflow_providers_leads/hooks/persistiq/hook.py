"""PersistIQ: outreach leads and campaigns. https://apidocs.persistiq.com"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Final

from airflow_providers_leads.get_provider_info import default_host
from airflow_providers_leads.hooks.arguments import addresses, maybe_instant
from airflow_providers_leads.hooks.base import refuse_properties
from airflow_providers_leads.hooks.batches import run_batch, run_chunks
from airflow_providers_leads.hooks.campaigns import Campaigns
from airflow_providers_leads.hooks.erasing import Trail
from airflow_providers_leads.hooks.persistiq import wire
from airflow_providers_leads.hooks.persistiq.account import given, maybe_wire
from airflow_providers_leads.hooks.persistiq.answers import Record
from airflow_providers_leads.hooks.persistiq.campaigns import PersistIQCampaigns
from airflow_providers_leads.hooks.persistiq.creating import LEADS_PER_CALL, LeadCreator
from airflow_providers_leads.hooks.persistiq.enrolling import PersistIQEnrolling
from airflow_providers_leads.hooks.persistiq.erasing import erase
from airflow_providers_leads.hooks.persistiq.fields import (
    BUILT_IN,
    EVENT_GROUPS,
    HELD,
    WEBHOOK_SETTINGS,
    field_names,
    lead_values,
    to_lead,
)
from airflow_providers_leads.hooks.persistiq.streams import STREAMS
from airflow_providers_leads.hooks.reading import LeadPage, Position, leads_of, with_positions
from airflow_providers_leads.hooks.writing import stored_otherwise
from airflow_providers_leads.http.errors import LeadsApiError, LeadsNotFoundError, LeadsServerError
from airflow_providers_leads.leads.model.erasure import Erasure
from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.leads.model.outcomes import BatchResult, PlanRow, Succeeded, WriteResult
from airflow_providers_leads.leads.model.schema import Lead, text
from airflow_providers_leads.leads.plan.property_types import PROPERTY

__all__ = ["EVENT_GROUPS", "WEBHOOK_SETTINGS", "PersistIQHook"]

# Whether the API counts the bound in is not documented.
_MARGIN: Final = timedelta(seconds=1)


class PersistIQHook(PersistIQCampaigns):
    """Reads and writes PersistIQ leads, campaigns and events.

    :param persistiq_conn_id: connection of type ``persistiq``; password: the company's API key

    https://apidocs.persistiq.com
    """

    conn_name_attr = "persistiq_conn_id"
    default_conn_name = "persistiq_default"
    conn_type = "persistiq"
    hook_name = "PersistIQ"
    host = default_host(conn_type)
    asset_path = "leads"

    app = "https://app.persistiq.com"
    key_header = "x-api-key"
    quotas = wire.QUOTAS
    dialect = wire.DIALECT
    advice: ClassVar[Mapping[int | None, str]] = {
        401: "Put the company's API key into the connection's password; it is under Settings > Integrations > API Key.",
    }
    lead_fields: ClassVar[Mapping[str, str]] = {name: field for field, name in BUILT_IN.items()}
    scope_keys = frozenset({"status", "campaign"})
    create_batch = LEADS_PER_CALL
    # One request each, where a page of the list holds as many.
    lookup_rows = 100
    writable_flags = frozenset({"opted_out"})
    streams = STREAMS

    def __init__(self, persistiq_conn_id: str = default_conn_name) -> None:
        super().__init__(persistiq_conn_id)
        self._creator = LeadCreator(self)

    # Leads ------------------------------------------------------------------------------------------------------------

    def create_leads(
        self, leads: Sequence[Mapping[str, Any]], dup: str = "skip", creator_id: str | None = None
    ) -> BatchResult:
        """Create any number of leads, ten per request, and return what became of each.

        Repeating it creates nobody twice. A lead that was there before counts as succeeded with ``new`` false. With
        ``dup="update"`` the API doesn't tell new from old, and ``new`` is ``None``; with ``skip`` it is where an answer
        was lost or may name leads that were left alone. To find that out, one of the leads is sent a second time.

        :param leads: flat objects: ``email`` (required), ``first_name``, ``last_name``, ``address``, ``city``,
            ``state``, ``company_name``, ``industry``, ``title``, ``phone``, ``snippet``, and custom fields by name
        :param dup: what happens to a lead that is there already: ``skip`` (default) or ``update``
        :param creator_id: user who counts as creator of the new leads
        :raises LeadsAuthError, LeadsPermissionError: when nothing was created and the key is the reason

        https://apidocs.persistiq.com/#leads
        """
        if any("data" in lead for lead in leads):
            raise ValueError("leads must be flat, as in {'email': …, 'first_name': …}; 'data' is the form of updates")
        creator = LeadCreator(self, dup, given("creator_id", creator_id))
        sent = [lead_values(f"leads[{index}]", lead) for index, lead in enumerate(leads)]
        result = run_batch(sent, LEADS_PER_CALL, creator, self.client.pause)
        for taken in result.succeeded:
            taken.input = leads[taken.index]
        for refused in result.failed:
            refused.input = leads[refused.index]
        return result

    # What the pipeline uses -------------------------------------------------------------------------------------------

    def iter_leads(
        self,
        *,
        updated_after: datetime | str | None = None,
        status: str | None = None,
        campaign: str | None = None,
        **scope: Any,
    ) -> Iterator[Lead]:
        """Yield leads; PersistIQ tells no time of change, so keep the time at which the read began as the next bound.

        :param updated_after: only leads changed at or after this time
        :param status: only leads with this status, by name
        :param campaign: only leads in this campaign, by id or name. Who is in one is told without times, so all of them
            are yielded whatever ``updated_after`` says
        """
        return leads_of(self.lead_pages(updated_after=updated_after, status=status, campaign=campaign, **scope))

    def lead_pages(
        self,
        *,
        updated_after: datetime | str | None = None,
        updated_before: datetime | str | None = None,
        position: Position | None = None,
        status: str | None = None,
        campaign: str | None = None,
        **scope: Any,
    ) -> Iterator[LeadPage]:
        """Yield what :meth:`iter_leads` does, page by page and with the position of each.

        :param updated_after: see :meth:`iter_leads`
        :param updated_before: the API has no upper bound, so newer ones are yielded whatever this says
        :param position: of the page to start with
        :param status: see :meth:`iter_leads`
        :param campaign: see :meth:`iter_leads`
        """
        self.check_scope(**scope)
        if given("campaign", campaign) is not None:
            return self._campaign_pages(str(campaign), given("status", status), position)
        bound = maybe_instant("updated_after", updated_after)
        query = {
            "updated_after": maybe_wire("updated_after", bound - _MARGIN if bound else None),
            "status": given("status", status),
        }
        place = wire.list_pages("leads").resume(position)
        found = with_positions(self.pages(place, "/v1/leads", params=query), place)
        return (LeadPage([self._whole_lead(row) for row in page], at) for page, at in found)

    def _whole_lead(self, row: Mapping[str, Any]) -> Lead:
        if not isinstance(row.get("data"), dict):
            # It would have no address: an opt-out that nobody is known to have declared.
            raise LeadsServerError(
                f"{self.label}: GET /v1/leads answered with a lead without its data, which this API doesn't document. "
                "Run it again; if it stays, check the connection's host."
            )
        return to_lead(row, self.conn_id)

    def _campaign_pages(self, campaign: str, status: str | None, position: Position | None) -> Iterator[LeadPage]:
        place = wire.list_pages("campaign_leads").resume(position)
        values = {"campaign_id": self.campaign_id(campaign)}
        pages = self.pages(place, "/v1/campaigns/{campaign_id}/leads", path_params=values)
        for page, at in with_positions(pages, place):
            leads = [to_lead(row, self.conn_id) for row in map(self.lead_of_place, page) if row is not None]
            kept = [lead for lead in leads if status is None or (lead.status or "").casefold() == status.casefold()]
            yield LeadPage(kept, at)

    def check_read(self, *, status: str | None = None, campaign: str | None = None, **scope: Any) -> None:
        """Refuse a lead status or campaign that the account doesn't have: no lead would be found.

        :param status: as for :meth:`iter_leads`
        :param campaign: as for :meth:`iter_leads`
        :raises ValueError: naming it
        """
        self.check_scope(**scope)
        if given("campaign", campaign) is not None:
            self.campaign_id(str(campaign))
        if given("status", status) is None:
            return
        known = [str(one.get("name")) for one in self.list_lead_statuses()]
        if str(status).casefold() not in map(str.casefold, known):
            near = nearest(str(status), known) or f"; it has {', '.join(sorted(known))}."
            raise ValueError(f"{self.label}: status: PersistIQ has no lead status {status!r}{near}")

    def find_leads(self, emails: Iterable[str], **scope: Any) -> Iterator[Lead]:
        """Yield the leads with these addresses, one request each; the list is read once where the API can't filter.

        An address that was stored with white space around it is met by :meth:`iter_leads` only.

        :param emails: addresses in any spelling
        """
        self.check_scope(**scope)
        wanted = addresses("emails", emails)
        return (to_lead(row, self.conn_id) for row in self._find(wanted))

    def leads_by_id(self, ids: Sequence[str], **scope: Any) -> Iterator[Lead]:
        self.check_scope(**scope)
        return self._by_id(ids)

    def _by_id(self, ids: Sequence[str]) -> Iterator[Lead]:
        for lead_id in ids:
            with suppress(LeadsNotFoundError):
                yield to_lead(self.get_lead(lead_id), self.conn_id)

    def writable_fields(self) -> frozenset[str]:
        """Return the lead fields that the account has; ``status`` is left to explicit writes."""
        return frozenset(self._field_names)

    def blocked_domains(self) -> frozenset[str]:
        """Return the account's do-not-contact domains in lower case."""
        names = (text(row.get("name")) for row in self.list_dnc_domains())
        return frozenset(name.lower() for name in names if name)

    def check_properties(self, names: Collection[str]) -> None:
        """Refuse lead fields that the account doesn't have, or that hold a lead's own values.

        :param names: names of the account's lead fields
        :raises ValueError: naming the field and how to make it
        """
        if names:
            how = "Make the lead field in PersistIQ's settings; PersistIQListLeadFieldsOperator tells its name."
            refuse_properties(self.label, names, dict.fromkeys(self._account_fields, True), HELD, how)

    @cached_property
    def _account_fields(self) -> frozenset[str]:
        return frozenset(str(field.get("name")) for field in self.list_lead_fields())

    @cached_property
    def _field_names(self) -> dict[str, str]:
        return field_names(self._account_fields)

    def prepare_writes(self, options: Mapping[str, Any]) -> None:
        self._creator = LeadCreator(self)

    def create_rows(self, rows: list[PlanRow], **options: Any) -> Iterator[WriteResult]:
        names = self._field_names
        leads = [
            {"email": row.email_key, **row.properties, **{names[f]: v for f, v in row.values.items() if f in names}}
            for row in rows
        ]
        result, stopped = run_chunks(leads, self.create_batch, self._creator, pause=self.client.pause)
        for done in result.succeeded:
            yield self._created(rows[done.index], done)
        for failure in result.failed:
            yield WriteResult(
                email_key=rows[failure.index].email_key,
                outcome="ambiguous" if failure.ambiguous else "failed",
                reason=f"{failure.category or 'refused'}: {failure.reason}",
                request_id=failure.request_id,
                refused=failure.refused,
            )
        if stopped:
            raise stopped

    def _created(self, row: PlanRow, done: Succeeded) -> WriteResult:
        if done.new is False:
            return WriteResult(email_key=row.email_key, outcome="unchanged", target_id=done.id, reason="exists already")
        fields, left_out = self._split(row)
        fields += _properties_of(row)
        reasons = [f"no place for {', '.join(left_out)}"] if left_out else []
        if done.new is None:
            reasons.append("it is there, and PersistIQ doesn't tell whether this run made it")
        if "status" in row.values and done.id:
            # A new lead takes no status, only a change of one does.
            try:
                self.update_lead(done.id, status=row.values["status"])
                fields.append("status")
            except LeadsApiError as error:
                reasons.append(f"status not written: {error.category or type(error).__name__}")
        return WriteResult(
            email_key=row.email_key,
            outcome="created",
            target_id=done.id,
            reason="; ".join(reasons) or None,
            fields=fields,
            stored=self._stored(row, done.record),
            unsure=done.new is None,
        )

    def _stored(self, row: PlanRow, record: Record | None) -> dict[str, str]:
        held = (record or {}).get("data")
        if not isinstance(held, dict):
            return {}
        places = {"email": "email", **self._field_names, **{f"{PROPERTY}{name}": name for name in row.properties}}
        return stored_otherwise(row, {name: held[at] for name, at in places.items() if at in held})

    def update_rows(self, rows: list[PlanRow], **options: Any) -> Iterator[WriteResult]:
        for row in rows:
            fields, left_out = self._split(row)
            data = {**row.properties, **{self._field_names[field]: row.values[field] for field in fields}}
            status = row.values.get("status")
            # Only ever told, never taken back: whether an opt-out can be undone is not documented.
            opted_out = row.values.get("opted_out") == "true" or None
            told = {"status": status, "opted_out": opted_out}
            if email := row.values.get("email"):
                data["email"] = email
                fields.append("email")
            fields += [*_properties_of(row), *(name for name, value in told.items() if value)]
            record = None
            if fields:
                record = self.update_lead(str(row.target_id or ""), data=data, status=status, optedout=opted_out)
            yield WriteResult(
                email_key=row.email_key,
                outcome="updated" if fields else "unchanged",
                target_id=row.target_id,
                reason=f"no place for {', '.join(left_out)}" if left_out else None,
                fields=fields,
                stored=self._stored(row, record),
            )

    def _split(self, row: PlanRow) -> tuple[list[str], list[str]]:
        """Return the lead fields of a plan row that go into a lead's data, and those without a place."""
        names = self._field_names
        apart = ("status", "email", "opted_out")
        left_out = [field for field in row.values if field not in names and field not in apart]
        return [field for field in row.values if field in names], left_out

    @property
    def campaigns(self) -> Campaigns:
        """The account's campaigns."""
        return PersistIQEnrolling(self)

    def erase_steps(self, trail: Trail, people: Mapping[str, str]) -> Iterator[Erasure]:
        return erase(self, trail, people)

    def probe(self) -> tuple[bool, str]:
        users = wire.list_pages("users")
        answer = self.request("GET", "/v1/users", expect=lambda body: users.rows(body) is not None)
        count = len(answer.body["users"])
        more = "more than " if answer.body.get("has_more") else ""
        rights = "Its keys are not restricted: it may read, write, and send mail."
        return True, f"PersistIQ accepts the key: {more}{count} users. {rights}"


def _properties_of(row: PlanRow) -> list[str]:
    return [f"properties.{name}" for name in row.properties]
