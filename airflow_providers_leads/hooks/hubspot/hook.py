"""HubSpot: contacts, their associations and properties. https://developers.hubspot.com"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import msgspec
import pendulum

from airflow_providers_leads.get_provider_info import default_host
from airflow_providers_leads.hooks.arguments import boolean, maybe_instant
from airflow_providers_leads.hooks.base import RECORD_ERRORS, chunked, failed_result, refuse_properties
from airflow_providers_leads.hooks.batches import UNACCOUNTED
from airflow_providers_leads.hooks.erasing import Trail
from airflow_providers_leads.hooks.hubspot import batches as batch
from airflow_providers_leads.hooks.hubspot import wire
from airflow_providers_leads.hooks.hubspot.batches import Action, Item, Record
from airflow_providers_leads.hooks.hubspot.crm import is_list
from airflow_providers_leads.hooks.hubspot.erasing import erase
from airflow_providers_leads.hooks.hubspot.items import lookup
from airflow_providers_leads.hooks.hubspot.leads import (
    CREATED,
    PROPERTY_OF,
    WRITABLE,
    properties_for,
    wanted,
    written_result,
)
from airflow_providers_leads.hooks.hubspot.properties import is_read_only, property_types
from airflow_providers_leads.hooks.hubspot.reads.index import fits
from airflow_providers_leads.hooks.hubspot.reads.two_doors import TwoDoors, number_of
from airflow_providers_leads.hooks.hubspot.streams import STREAMS
from airflow_providers_leads.hooks.hubspot.values import Filters, Names, names, record_id
from airflow_providers_leads.hooks.hubspot.writing import UNKNOWN, HubSpotWriting
from airflow_providers_leads.hooks.reading import LeadPage, Position, leads_of
from airflow_providers_leads.hooks.rights import Right, told_rights
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsNotFoundError,
    LeadsPermissionError,
    LeadsServerError,
)
from airflow_providers_leads.http.paths import objects_at
from airflow_providers_leads.leads.model.erasure import Erasure
from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.leads.model.outcomes import Failed, Outcome, PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead, moment
from airflow_providers_leads.leads.plan.property_types import PropertyTypes

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.hubspot.reading import LeadReader

_LIST_PAGE = "objects/0-1/views/all/list"
_APP_DOMAIN = re.compile(r"[a-z0-9-]+\.hubspot\.com")


class HubSpotHook(HubSpotWriting):
    """Reads and writes HubSpot's contacts, and what hangs on them.

    :param hubspot_conn_id: connection of type ``hubspot``; password: a private-app token or service key, or instead
        the extras ``client_id``, ``client_secret`` and ``refresh_token`` of an OAuth app; extra ``api_version``, and
        ``search_beside_list``, see there

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide
    """

    conn_name_attr = "hubspot_conn_id"
    default_conn_name = "hubspot_default"
    conn_type = "hubspot"
    hook_name = "HubSpot"
    host = default_host(conn_type)
    asset_path = "contacts"

    quotas = wire.QUOTAS
    dialect = wire.DIALECT
    advice: ClassVar[Mapping[int | None, str]] = {
        401: "Put a valid private-app token or service key into the connection's password. HubSpot deactivates tokens "
        "that it finds in public repositories, those that were rotated, and those whose app was deleted.",
        403: "The token lacks a scope: reading contacts needs crm.objects.contacts.read, writing them "
        "crm.objects.contacts.write, creating properties crm.schemas.contacts.write, owners crm.objects.owners.read, "
        "lists crm.lists.read and .write. "
        "Add it to the private app, service key or OAuth app.",
        404: "Check the ids given: the record may have been deleted. If nothing is found, check the connection's "
        "api_version.",
        409: "A contact with this email or unique value exists already: update it, or use the upsert.",
        414: "Ask for fewer properties.",
        423: "Another process is writing these records in bulk: run later.",
        477: "HubSpot is moving the account to another data centre, which takes up to 24 hours: run later.",
    }
    scope_keys = frozenset({"properties", "archived", "filters", "lists"})
    lead_fields: ClassVar[Mapping[str, str]] = {name: field for field, name in PROPERTY_OF.items()}
    explicit_fields = frozenset({"status"})
    create_batch = batch.SIZE
    update_batch = batch.SIZE
    lookup_rows = 10_000
    settle_seconds = 60.0
    streams = STREAMS

    def __init__(self, hubspot_conn_id: str = default_conn_name) -> None:
        super().__init__(hubspot_conn_id)

    @cached_property
    def search_beside_list(self) -> bool:
        """True reads all contacts of a large account by list and search side by side; default: the connection's extra.

        :raises LeadsSettingsError: when the extra says neither true nor false
        """
        return self.settings.switch("search_beside_list")

    def iter_leads(
        self,
        *,
        updated_after: datetime | str | None = None,
        properties: Names = None,
        archived: bool = False,
        filters: Filters = None,
        lists: Iterable[object] | str | None = None,
        **scope: Any,
    ) -> Iterator[Lead]:
        """Yield contacts as leads, a page in memory at a time.

        :param updated_after: only contacts changed at or after this time. They are found by search, whose index lags
            behind writes by seconds: let successive windows overlap by some minutes
        :param properties: contact properties to read besides those of a lead, kept in the lead's ``properties``
        :param archived: yield archived contacts instead
        :param filters: only contacts that match, by the search index: HubSpot's filter groups, or a short form such as
            ``{"hs_lead_status": "NEW", "createdate": {"after": "2026-01-01T00:00:00Z"}}``
        :param lists: only members of these lists, by id or name; of any of them
        :raises ValueError: for an unknown scope, property, option or list, or a time without time zone
        """
        scope |= {"filters": filters, "lists": lists}
        pages = self.lead_pages(updated_after=updated_after, properties=properties, archived=archived, **scope)
        return leads_of(pages)

    def lead_pages(
        self,
        *,
        updated_after: datetime | str | None = None,
        updated_before: datetime | str | None = None,
        position: Position | None = None,
        properties: Names = None,
        archived: bool = False,
        filters: Filters = None,
        lists: Iterable[object] | str | None = None,
        **scope: Any,
    ) -> Iterator[LeadPage]:
        """Yield what :meth:`iter_leads` does, page by page and with the position of each.

        A full read is held against the search index at its end: contacts that are in there and were not listed are an
        error.

        :param updated_after: see :meth:`iter_leads`
        :param updated_before: only contacts changed before this time; for reads with ``updated_after``
        :param position: of the page to start with
        :param properties: see :meth:`iter_leads`
        :param archived: see :meth:`iter_leads`
        :param filters: see :meth:`iter_leads`
        :param lists: see :meth:`iter_leads`
        :raises LeadsServerError: when a list or search ends before its last row
        """
        self.check_scope(**scope)
        since, until = maybe_instant("updated_after", updated_after), maybe_instant("updated_before", updated_before)
        asked = wanted(names("properties", properties))
        reader = self._reader(asked)
        if filters is not None or lists is not None:
            if boolean("archived", archived):
                raise ValueError("filters and lists find no archived contacts: leave archived out")
            return self.narrowed_pages(reader, asked, (since, until), position, filters=filters, lists=lists)
        if since is not None and not boolean("archived", archived):
            return self.changed_pages(reader, asked, since, until, position)
        return self._listed_pages(reader, asked, since, position, archived=boolean("archived", archived))

    def _listed_pages(
        self, reader: LeadReader, asked: list[str], since: datetime | None, position: Position | None, *, archived: bool
    ) -> Iterator[LeadPage]:
        began, last = pendulum.now("UTC"), 0
        if since is not None:
            # Search sees no archived contacts, so they are all read and the older ones left out here.
            listed = self.typed_pages(msgspec.json.decode, properties=asked, archived=True, position=position)
            for page, at in listed:
                yield LeadPage(reader.leads(row for row in page if _changed_since(row, since)), at)
            return
        if self.search_beside_list and not archived and fits(asked):
            both = TwoDoors(self, reader, asked, position, partial(self._check_end, began=began))
            yield from (LeadPage(reader.leads(page), at) for page, at in both.pages())
            return
        for page, at in self.typed_pages(reader.decode, properties=asked, archived=archived, position=position):
            last = max((last, *(number_of(row, self.label) for row in page)))
            yield LeadPage(reader.leads(page), at)
        if not archived:
            self._check_end(last, began)

    def _check_end(self, last: int, began: datetime) -> None:
        """Refuse a list that ended before its last contact; it comes by id, and tells no total of its own."""
        settled = began - timedelta(seconds=self.settle_seconds)
        older = {"propertyName": CREATED, "operator": "LT", "value": settled}
        unlisted = self.count_contacts([{"propertyName": "hs_object_id", "operator": "GT", "value": last}, older])
        if unlisted:
            raise LeadsServerError(
                f"{self.label}: the list of contacts ended although HubSpot's search knows {unlisted} more behind its "
                "last one. Run it again; what was listed may not be taken for the whole.",
                category="ENDED_EARLY",
            )

    def check_read(
        self,
        *,
        properties: Names = None,
        filters: Filters = None,
        lists: Iterable[object] | str | None = None,
        **scope: Any,
    ) -> None:
        """Refuse contact properties that don't exist, which HubSpot passes over in silence, and such options and lists.

        :param properties: as for :meth:`iter_leads`
        :param filters: as for :meth:`iter_leads`
        :param lists: as for :meth:`iter_leads`
        :raises ValueError: naming the property, the option or the list
        """
        self.check_scope(**scope)
        self.filter_groups(filters)
        self.list_ids(lists)
        asked = names("properties", properties)
        if not asked:
            return
        known = self.known_properties(asked)
        if unknown := [name for name in asked if name not in known]:
            titles = {str(one.get("label") or name): name for name, one in known.items()}
            near = nearest(unknown[0], titles | {n: n for n in known}) or ". Give its name as in Settings > Properties."
            raise ValueError(f"{self.label}: properties: HubSpot has no contact property {unknown[0]!r}{near}")

    def find_leads(
        self, emails: Iterable[str], *, properties: Names = None, archived: bool = False, **scope: Any
    ) -> Iterator[Lead]:
        """Yield the contacts that HubSpot holds for these addresses, each once; secondary addresses count.

        :param emails: addresses; unknown ones yield nothing
        :param properties: contact properties to read besides those of a lead
        :param archived: look among archived contacts instead
        :raises LeadsApiError: when the addresses can't be looked up
        :raises ValueError: for an unknown scope, or a single text instead of a list
        """
        self.check_scope(**scope)
        if isinstance(emails, str):
            raise ValueError("emails must be a list of addresses, not one text")
        asked = wanted(names("properties", properties))
        reader = self._reader(asked)
        return self._find(emails, self._read_action("email", asked, None, archived=archived), reader)

    def leads_by_id(self, ids: Sequence[str], *, properties: Names = None, **scope: Any) -> Iterable[Lead]:
        self.check_scope(**scope)
        asked = wanted(names("properties", properties))
        meant = [record_id(f"ids[{i}]", one) for i, one in enumerate(ids)]
        return self._reader(asked).leads(self.current(meant, asked))

    def _find(self, emails: Iterable[str], action: Action, reader: LeadReader) -> Iterator[Lead]:
        found: dict[str, Record] = {}

        def send(items: list[Item]) -> Answer:
            answer = action.send(items)
            found.update((str(one["id"]), one) for one in objects_at(answer.body, "results") if "id" in one)
            return answer

        collect = Action(send, action.keys_of, writes=False, pause=action.pause)
        yielded: set[str] = set()
        keys = (email.strip().lower() for email in emails if email and email.strip())
        for chunk in chunked(keys, batch.SIZE):
            items = [lookup(i, key, key) for i, key in enumerate(dict.fromkeys(chunk))]
            result, stopped = batch.run(items, collect)
            if stopped:
                raise stopped
            if unread := [f for f in result.failed if f.category not in UNKNOWN]:
                # Taking an address for unknown because it could not be asked for would make a second contact of it.
                raise LeadsServerError(
                    f"{self.label}: {len(unread)} addresses could not be looked up ({unread[0].category})",
                    category=unread[0].category,
                    request_id=unread[0].request_id,
                )
            # Two addresses of one contact give one record.
            yield from reader.leads(record for i, record in found.items() if i not in yielded)
            yielded.update(found)
            found.clear()

    def writable_fields(self) -> frozenset[str]:
        """Return the lead fields that contacts have a place for; ``status`` is left to explicit writes."""
        return WRITABLE

    def check_properties(self, names: Collection[str]) -> None:
        """Refuse contact properties that don't exist, can only be read, or hold a lead field.

        :param names: internal names
        :raises ValueError: naming the property and how to make it
        """
        if not names:
            return
        known = {name: not is_read_only(one) for name, one in self.known_properties(names).items()}
        where = "in HubSpot under Settings > Properties or by HubSpotCreatePropertyOperator"
        how = f"Make it {where}, and give its internal name."
        refuse_properties(self.label, names, known, {"email", *PROPERTY_OF.values()}, how)

    def property_types(self) -> PropertyTypes:
        """Return what the values of contacts mean; text where the key may not read the definitions."""
        try:
            return property_types(self.definitions)
        except (LeadsPermissionError, LeadsNotFoundError) as error:
            self.log.warning("%s Values are compared as text.", error)
            return PropertyTypes()

    def create_rows(self, rows: list[PlanRow], **options: Any) -> Iterator[WriteResult]:
        # An upsert, so that a repetition after a lost answer creates nobody twice.
        items = []
        for index, row in enumerate(rows):
            properties = {"email": row.email_key, **properties_for(row)}
            wire = {"id": row.email_key, "idProperty": "email", "properties": properties}
            items.append(Item(index, row, row.email_key, wire))
        # Since it was planned an address may have become a secondary one, by a merge in HubSpot: written, it would take
        # the place of the primary one.
        secondary, unread, stopped = self.found_secondary(items)
        yield from _not_written(unread, stopped)
        kept = {failure.index for failure in unread}
        for item in items:
            if record := secondary.get(item.key or ""):
                kept.add(item.index)
                yield WriteResult(
                    email_key=item.input.email_key,
                    outcome="unchanged",
                    target_id=str(record["id"]),
                    reason="secondary_address",
                )
        result, stopped = batch.run([i for i in items if i.index not in kept], self._write_action("upsert", "email"))
        for done in result.succeeded:
            outcome: Outcome = "updated" if done.new is False else "created"
            yield written_result(done.input, outcome, done.id, done.record, unsure=done.new is None)
        yield from _not_written(result.failed, stopped)

    def update_rows(self, rows: list[PlanRow], **options: Any) -> Iterator[WriteResult]:
        items = []
        for index, row in enumerate(rows):
            key = record_id("target_id", row.target_id)
            items.append(Item(index, row, key, {"id": key, "properties": properties_for(row)}))
        unclear, stopped = self.cleared_stages(items)
        yield from _not_written(unclear, stopped)
        kept = {failure.index for failure in unclear}
        result, stopped = batch.run([i for i in items if i.index not in kept], self._write_action("update", None))
        for done in result.succeeded:
            yield written_result(done.input, "updated", done.id or done.input.target_id, done.record)
        # A batch leaves merged-away ids out without a word; a single update of one writes to the surviving record.
        merged = [f.input for f in result.failed if f.category == UNACCOUNTED and not stopped]
        yield from _not_written([f for f in result.failed if stopped or f.category != UNACCOUNTED], stopped)
        for row in merged:
            try:
                record = self.update_contact(row.target_id, properties_for(row))
                yield written_result(row, "updated", str(record["id"]), record)
            except RECORD_ERRORS as error:
                yield failed_result(row, error)

    def limits_left(self) -> list[str]:
        """Return what is left of each quota and of the account's calls today, one sentence each.

        https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
        """
        try:
            answer = self.request("GET", self.path("account", "/api-usage/daily/private-apps"), expect=is_list)
        except LeadsApiError:
            return [*super().limits_left(), "Calls left today: unknown, the key may not ask."]
        told = []
        for usage in objects_at(answer.body, "results"):
            limit, spent = usage.get("usageLimit"), usage.get("currentUsage")
            if isinstance(limit, int) and isinstance(spent, int):
                told.append(f"Calls left today: {limit - spent:,} of {limit:,}.")
        return [*super().limits_left(), *told]

    def app_url(self, record_id: str | None = None) -> str:
        """Return where HubSpot shows a contact, or all of them; asks for the account unless the extra names it.

        :param record_id: id of a contact; default the list
        :raises LeadsApiError: when the key may not ask for the account
        """
        portal, origin = self.settings.text("portal_id"), self.app
        if not portal:
            details = self.account_details()
            portal = details["portalId"]
            # Accounts live in several regions, each with pages of its own.
            domain = str(details.get("uiDomain"))
            origin = f"https://{domain}" if _APP_DOMAIN.fullmatch(domain) else origin
        contacts = f"{origin}/contacts/{quote(str(portal), safe='')}/{_LIST_PAGE}"
        return self.record_url(contacts, record_id) if record_id else contacts

    @classmethod
    def record_url(cls, list_url: str, record_id: str) -> str:
        """Return where HubSpot shows a contact; see :meth:`app_url`."""
        place = list_url.removesuffix(_LIST_PAGE)
        return f"{place}record/0-1/{quote(record_id, safe='')}" if place != list_url else ""

    def erase_steps(self, trail: Trail, people: Mapping[str, str]) -> Iterator[Erasure]:
        return erase(self, trail, people)

    def probe(self) -> tuple[bool, str]:
        self.request("GET", self.path("objects", "/contacts"), params={"limit": 1}, expect=is_list)
        account = ""
        # Not every key may ask; the contacts have answered, and that is what matters.
        with suppress(LeadsApiError):
            account = f" {self.account_details()['portalId']}"
        rights = told_rights(self._rights())
        return True, f"HubSpot account{account} accepts the key, and it may read contacts. {rights}"

    def _rights(self) -> Iterator[Right]:
        # A batch of nothing changes nothing; whoever may not write is refused all the same.
        nothing: dict[str, list[Any]] = {"inputs": []}
        for name, needs, area, suffix in (
            ("write contacts", "crm.objects.contacts.write", "objects", "/contacts/batch/update"),
            ("make properties", "crm.schemas.contacts.write", "properties", "/contacts/batch/create"),
        ):
            path = self.path(area, suffix)
            yield Right(name, partial(self.request, "POST", path, json=nothing, safe=True), needs)
        owners = partial(self.request, "GET", self.path("owners"), params={"limit": 1}, expect=is_list)
        yield Right("list owners", owners, "crm.objects.owners.read")


def _changed_since(row: Record, since: datetime) -> bool:
    times = [time for name in ("updatedAt", "archivedAt") if (time := moment(row.get(name)))]
    return not times or max(times) >= since


def _not_written(failed: Iterable[Failed], stopped: LeadsApiError | None) -> Iterator[WriteResult]:
    for failure in failed:
        row: PlanRow = failure.input
        yield WriteResult(
            email_key=row.email_key,
            outcome="ambiguous" if failure.ambiguous else "failed",
            target_id=row.target_id or failure.existing_id,
            reason=": ".join(part for part in (failure.category, failure.reason) if part),
            request_id=failure.request_id,
            refused=failure.refused,
        )
    if stopped:
        raise stopped
