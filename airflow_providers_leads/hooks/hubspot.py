"""HubSpot: contacts, their associations and properties. https://developers.hubspot.com"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

from airflow_providers_leads.hooks import _hubspot_batch as batch
from airflow_providers_leads.hooks._hubspot_batch import Action, Item, Record
from airflow_providers_leads.hooks._hubspot_contacts import HubSpotContacts
from airflow_providers_leads.hooks._hubspot_crm import is_list
from airflow_providers_leads.hooks._hubspot_leads import WRITABLE, lead_from, properties_for, wanted
from airflow_providers_leads.hooks._hubspot_values import Names, milliseconds, names, record_id
from airflow_providers_leads.hooks.arguments import boolean, maybe_instant
from airflow_providers_leads.hooks.base import RECORD_ERRORS, chunked, failed_result
from airflow_providers_leads.hooks.batches import UNACCOUNTED
from airflow_providers_leads.http.client import Answer
from airflow_providers_leads.http.errors import LeadsApiError, LeadsServerError
from airflow_providers_leads.leads.outcomes import Failed, Outcome, PlanRow, WriteResult
from airflow_providers_leads.leads.schema import Lead, moment

# How a lookup says that HubSpot holds no such address, or that it is none it could hold.
_UNKNOWN = frozenset({batch.NOT_FOUND, UNACCOUNTED, "VALIDATION_ERROR"})


class HubSpotHook(HubSpotContacts):
    """Reads and writes HubSpot's contacts, and what hangs on them.

    :param hubspot_conn_id: connection of type ``hubspot``; password: a private-app token or service key, or instead
        the extras ``client_id``, ``client_secret`` and ``refresh_token`` of an OAuth app; extra ``api_version``

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide
    """

    conn_name_attr = "hubspot_conn_id"
    default_conn_name = "hubspot_default"
    conn_type = "hubspot"
    hook_name = "HubSpot"

    quotas: ClassVar[Mapping[str, tuple[int, float]]] = {"default": (100, 10.0), "search": (5, 1.0)}
    advice: ClassVar[Mapping[int | None, str]] = {
        401: "Put a valid private-app token or service key into the connection's password. HubSpot deactivates tokens "
        "that it finds in public repositories, those that were rotated, and those whose app was deleted.",
        403: "The token lacks a scope: reading contacts needs crm.objects.contacts.read, writing them "
        "crm.objects.contacts.write, creating properties crm.schemas.contacts.write, owners crm.objects.owners.read. "
        "Add it to the private app, service key or OAuth app.",
        404: "Check the ids given: the record may have been deleted. If nothing is found, check the connection's "
        "api_version.",
        409: "A contact with this email or unique value exists already: update it, or use the upsert.",
        414: "Ask for fewer properties.",
        423: "Another process is writing these records in bulk: run later.",
        477: "HubSpot is moving the account to another data centre, which takes up to 24 hours: run later.",
    }
    scope_keys = frozenset({"properties", "archived"})
    create_batch = batch.SIZE
    update_batch = batch.SIZE

    def __init__(self, hubspot_conn_id: str = default_conn_name) -> None:
        super().__init__(hubspot_conn_id)

    def iter_leads(
        self,
        *,
        updated_after: datetime | str | None = None,
        properties: Names = None,
        archived: bool = False,
        **scope: Any,
    ) -> Iterator[Lead]:
        """Yield contacts as leads, a page in memory at a time.

        :param updated_after: only contacts changed at or after this time. They are found by search, whose index lags
            behind writes by seconds: let successive windows overlap by some minutes
        :param properties: contact properties to read besides those of a lead, kept in the lead's ``properties``
        :param archived: yield archived contacts instead
        :raises ValueError: for an unknown scope or a time without time zone
        """
        self.check_scope(**scope)
        since = maybe_instant("updated_after", updated_after)
        asked = wanted(names("properties", properties))
        if since is None:
            rows = self.list_contacts(properties=asked, archived=archived)
        elif boolean("archived", archived):
            # Search sees no archived contacts, so they are all read and the older ones left out here.
            listed = self.list_contacts(properties=asked, archived=True)
            rows = (row for row in listed if _changed_since(row, since))
        else:
            changed = {
                "propertyName": "lastmodifieddate",
                "operator": "GTE",
                "value": milliseconds("updated_after", since),
            }
            rows = self.search_contacts(filter_groups=[{"filters": [changed]}], properties=asked)
        return (lead_from(row, self.conn_id) for row in rows)

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
        return self._find(emails, self._read_action("email", asked, None, archived=archived))

    def _find(self, emails: Iterable[str], action: Action) -> Iterator[Lead]:
        found: dict[str, Record] = {}

        def send(items: list[Item]) -> Answer:
            answer = action.send(items)
            found.update((str(record["id"]), record) for record in answer.body.get("results") or ())
            return answer

        collect = Action(send, action.keys_of, writes=False)
        yielded: set[str] = set()
        keys = (email.strip().lower() for email in emails if email and email.strip())
        for chunk in chunked(keys, batch.SIZE):
            items = [Item(i, key, key, {"id": key}) for i, key in enumerate(dict.fromkeys(chunk))]
            result, stopped = batch.run(items, collect)
            if stopped:
                raise stopped
            if unread := [f for f in result.failed if f.category not in _UNKNOWN]:
                # Taking an address for unknown because it could not be asked for would make a second contact of it.
                raise LeadsServerError(
                    f"{self.label}: {len(unread)} addresses could not be looked up ({unread[0].category})",
                    category=unread[0].category,
                    request_id=unread[0].request_id,
                )
            # Two addresses of one contact give one record.
            yield from (lead_from(record, self.conn_id) for i, record in found.items() if i not in yielded)
            yielded.update(found)
            found.clear()

    def writable_fields(self) -> frozenset[str]:
        """Return the lead fields that contacts have a place for; ``status`` is left to explicit writes."""
        return WRITABLE

    def _create(self, rows: list[PlanRow], **options: Any) -> Iterator[WriteResult]:
        # An upsert, so that a repetition after a lost answer creates nobody twice.
        items = []
        for index, row in enumerate(rows):
            properties = {"email": row.email_key, **properties_for(row)}
            wire = {"id": row.email_key, "idProperty": "email", "properties": properties}
            items.append(Item(index, row, row.email_key, wire))
        result, stopped = batch.run(items, self._write_action("upsert", "email"))
        for done in result.succeeded:
            yield _written(done.input, "updated" if done.new is False else "created", done.id)
        yield from _not_written(result.failed, stopped)

    def _update(self, rows: list[PlanRow], **options: Any) -> Iterator[WriteResult]:
        items = []
        for index, row in enumerate(rows):
            key = record_id("target_id", row.target_id)
            items.append(Item(index, row, key, {"id": key, "properties": properties_for(row)}))
        result, stopped = batch.run(items, self._write_action("update", None))
        for done in result.succeeded:
            yield _written(done.input, "updated", done.id or done.input.target_id)
        # A batch leaves merged-away ids out without a word; a single update of one writes to the surviving record.
        merged = [f.input for f in result.failed if f.category == UNACCOUNTED and not stopped]
        yield from _not_written([f for f in result.failed if stopped or f.category != UNACCOUNTED], stopped)
        for row in merged:
            try:
                record = self.update_contact(row.target_id, properties_for(row))
                yield _written(row, "updated", str(record["id"]))
            except RECORD_ERRORS as error:
                yield failed_result(row, error)

    def _probe(self) -> tuple[bool, str]:
        self.request("GET", self.path("objects", "/contacts"), params={"limit": 1}, expect=is_list)
        account = ""
        try:
            details = self.request("GET", "/account-info/v3/details").body
            account = f" {details['portalId']}"
        except (LeadsApiError, KeyError, TypeError):
            # Not every key may ask; the contacts have answered, and that is what matters.
            pass
        return True, f"HubSpot account{account} accepts the key, and it may read contacts."


def _changed_since(row: Record, since: datetime) -> bool:
    times = [time for name in ("updatedAt", "archivedAt") if (time := moment(row.get(name)))]
    return not times or max(times) >= since


def _written(row: PlanRow, outcome: Outcome, target_id: str | None) -> WriteResult:
    fields = [field for field in row.values if field in WRITABLE or field == "status"]
    return WriteResult(email_key=row.email_key, outcome=outcome, target_id=target_id, fields=fields)


def _not_written(failed: Iterable[Failed], stopped: LeadsApiError | None) -> Iterator[WriteResult]:
    for failure in failed:
        row: PlanRow = failure.input
        yield WriteResult(
            email_key=row.email_key,
            outcome="ambiguous" if failure.ambiguous else "failed",
            target_id=row.target_id or failure.existing_id,
            reason=": ".join(part for part in (failure.category, failure.reason) if part),
            request_id=failure.request_id,
        )
    if stopped:
        raise stopped
