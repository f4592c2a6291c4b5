"""Reading HubSpot's contact records: one method per endpoint, any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from airflow_providers_leads.hooks.batches import unless_the_key_is_at_fault
from airflow_providers_leads.hooks.hubspot import batches as batch
from airflow_providers_leads.hooks.hubspot import search, wire
from airflow_providers_leads.hooks.hubspot.associations import HubSpotAssociations
from airflow_providers_leads.hooks.hubspot.batches import Action, Item, Record
from airflow_providers_leads.hooks.hubspot.crm import is_batch
from airflow_providers_leads.hooks.hubspot.items import (
    keys_by,
    lookup,
)
from airflow_providers_leads.hooks.hubspot.leads import ALIASES
from airflow_providers_leads.hooks.hubspot.values import (
    Names,
    archived_param,
    filter_inputs,
    joined,
    names,
    record_id,
    rows_per_page,
    sort_input,
)
from airflow_providers_leads.hooks.reading import with_positions
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.errors import LeadsNotFoundError, LeadsServerError
from airflow_providers_leads.http.json_text import encode
from airflow_providers_leads.leads.model.outcomes import BatchResult

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.hubspot.reading import LeadReader

# Given when no properties are asked for, besides the record's id and times.
_DEFAULTS: Final = ("email", "firstname", "lastname")
# HubSpot refuses longer URLs with 414.
_MAX_QUERY: Final = 8_000


class HubSpotContacts(HubSpotAssociations):
    """The calls of :class:`~airflow_providers_leads.hooks.hubspot.HubSpotHook` that read contact records."""

    def list_contacts(
        self,
        *,
        properties: Names = None,
        properties_with_history: Names = None,
        associations: Names = None,
        archived: bool = False,
        page_size: int | None = None,
        after: str | None = None,
    ) -> Iterator[Record]:
        """Yield all contacts, a page in memory at a time.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/get-contacts

        :param properties: names to read, default HubSpot's few; any number: what no URL can hold is read in batches
        :param properties_with_history: names to read with their earlier values
        :param associations: object types such as ``companies`` whose associated ids to read, all of them
        :param archived: yield archived contacts instead
        :param page_size: rows per request, default and most 100, with history 50
        :param after: id of the contact to start from, as ``paging.next.after`` of an earlier answer has it
        :return: records as HubSpot gives them
        :raises ValueError: for an argument out of range
        """
        size = rows_per_page(page_size, batch.HISTORY_SIZE if properties_with_history else batch.SIZE)
        query, complete = self._read_query(properties, properties_with_history, associations, archived)
        links = self.with_all_links if query["associations"] else list
        pages = self.pages(
            wire.list_pages(cursor=after), self.path("objects", "/contacts"), params={"limit": size, **query}
        )
        return (row for page in pages for row in links(complete(page)))

    def typed_pages(
        self,
        decode: Callable[[bytes], Any],
        *,
        properties: list[str],
        archived: bool,
        position: Mapping[str, Any] | None = None,
    ) -> Iterator[tuple[list[Any], dict[str, Any]]]:
        """Yield what :meth:`list_contacts` does in pages, as ``decode`` makes them of their bytes where it can.

        :param decode: returns a page with the records under ``results``
        :param properties: names to read; records whose properties no URL can name are yielded as dicts
        :param archived: yield archived contacts instead
        :param position: of the page to start with
        :return: pages, each with its position
        """
        query, complete = self._read_query(properties, None, None, archived)
        options: dict[str, Any] = {"decode": decode} if query.get("properties") else {}
        params, place = {"limit": batch.SIZE, **query}, wire.list_pages().resume(position)
        pages = self.pages(place, self.path("objects", "/contacts"), params=params, **options)
        return ((complete(page), at) for page, at in with_positions(pages, place))

    def get_contact(
        self,
        contact_id: str | int,
        *,
        id_property: str | None = None,
        properties: Names = None,
        properties_with_history: Names = None,
        associations: Names = None,
        archived: bool = False,
    ) -> Record:
        """Return one contact.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

        :param contact_id: record id, or the value of ``id_property``
        :param id_property: ``email`` (secondary addresses count) or a property with unique values; default: record id
        :param properties: names to read, default HubSpot's few
        :param properties_with_history: names to read with their earlier values
        :param associations: object types whose associated ids to read, all of them
        :param archived: look among archived contacts
        :return: the record as HubSpot gives it; a merged id gives the surviving record
        :raises LeadsNotFoundError: when there is none
        :raises ValueError: for an empty id, or an address without ``id_property``
        """
        values = {"contact_id": record_id("contact_id", contact_id, id_property)}
        query, complete = self._read_query(properties, properties_with_history, associations, archived)
        params = {"idProperty": id_property, **query}
        path = self.path("objects", "/contacts/{contact_id}")
        record = self.one("GET", path, path_params=values, params=params)
        completed = complete([record])
        if not completed:
            raise LeadsNotFoundError(f"{self.label}: the contact was deleted while it was being read")
        return self.with_all_links(completed)[0]

    def _read_query(
        self, properties: Names, history: Names, associations: Names, archived: bool
    ) -> tuple[dict[str, object], Callable[[list[Record]], list[Record]]]:
        """Return the query of a read, and what completes the records when the query can't hold all names."""
        asked, asked_history = names("properties", properties), names("properties_with_history", history)
        base = {"associations": joined(names("associations", associations)), "archived": archived_param(archived)}
        full = {**base, "properties": joined(asked), "propertiesWithHistory": joined(asked_history)}
        if len(urlencode({k: v for k, v in full.items() if v})) <= _MAX_QUERY:
            return dict(full), lambda records: self._with_names_told(records, asked, asked_history)
        return dict(base), lambda records: self._completed(records, asked, asked_history, archived=archived)

    def _completed(
        self, records: list[Record], properties: list[str] | None, history: list[str] | None, *, archived: bool
    ) -> list[Record]:
        """Return listed records with properties that are read in batches."""
        result, stopped = batch.run(
            [lookup(i, r["id"], str(r["id"])) for i, r in enumerate(records)],
            self._read_action(None, properties, history, archived=archived),
        )
        if stopped:
            raise stopped
        if lost := [f for f in result.failed if f.category != batch.NOT_FOUND]:
            raise LeadsServerError(
                f"{self.label}: the properties of {len(lost)} listed contacts could not be read ({lost[0].category})",
                category=lost[0].category,
                request_id=lost[0].request_id,
            )
        self._with_names_told([done.record for done in result.succeeded], properties, history)
        found = {str(done.input): done.record or {} for done in result.succeeded}
        # A record that is gone since the list was read is left out, as the list would leave it out now.
        return [{**r, **_values_of(found[i])} for r in records if (i := str(r["id"])) in found]

    def search_contacts(
        self,
        *,
        filter_groups: Iterable[Mapping[str, Any]] | None = None,
        sorts: Iterable[Mapping[str, Any] | str] | None = None,
        properties: Names = None,
        query: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[Record]:
        """Yield the contacts that match, any number of them unless sorted by something other than the record id.

        The index lags behind writes by seconds, holds no archived contacts, and a filter on ``email`` does not see
        secondary addresses.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/search/search-contacts

        :param filter_groups: OR-ed groups ``{"filters": [{"propertyName", "operator", "value"}]}``; ``IN`` takes
            ``values`` (text in lower case), ``BETWEEN`` ``value`` and ``highValue``; datetimes may be given as such
        :param sorts: one sort, ``{"propertyName", "direction"}`` or a name with ``-`` for descending
        :param properties: names to read, default HubSpot's few
        :param query: text to look for in the default searchable properties
        :param page_size: rows per request, default and most 200
        :return: records as HubSpot gives them
        :raises LeadsValidationError: after 10,000 rows of a sorted search that has more
        :raises ValueError: for a filter, sort or page size that HubSpot doesn't know
        """
        pages = self.found_pages(filter_groups, sorts, properties, query=query, page_size=page_size)
        return (row for page in pages for row in page)

    def found_pages(
        self,
        filter_groups: Iterable[Mapping[str, Any]] | None,
        sorts: Iterable[Mapping[str, Any] | str] | None = None,
        properties: Names = None,
        *,
        query: str | None = None,
        page_size: int | None = None,
        beyond: int | None = None,
    ) -> Iterator[list[Record]]:
        """Yield what :meth:`search_contacts` does in pages.

        :param beyond: record id after which a search without a sort starts
        """
        groups, order = filter_inputs(filter_groups), sort_input(sorts)
        size = rows_per_page(page_size, search.PAGE_SIZE)
        asked = names("properties", properties)
        rest = {k: v for k, v in (("properties", asked), ("query", query)) if v}
        wide = len(encode([groups, order, rest])) > search.MAX_BODY
        if wide:
            rest.pop("properties", None)

        pages = search.search_pages(
            self._search, groups=groups, sort=order, rest=rest, size=size, label=self.label, beyond=beyond
        )
        if wide and asked:
            return (self._completed(page, asked, None, archived=False) for page in pages)
        return (self._with_names_told(page, asked) for page in pages)

    def count_contacts(self, filters: Iterable[Mapping[str, Any]]) -> int:
        """Return how many contacts match all filters, by the search index.

        :param filters: as within a group of :meth:`search_contacts`
        """
        groups = filter_inputs([{"filters": list(filters)}])
        total = self._search({"filterGroups": groups, "limit": 1}).get("total")
        return total if type(total) is int else 0

    def _search(self, body: Record) -> Record:
        path = self.path("objects", "/contacts/search")
        return self.one("POST", path, json=body, safe=True, bucket="search", expect=search.is_page)

    def batch_read_contacts(
        self,
        ids: Iterable[str | int],
        *,
        id_property: str | None = None,
        properties: Names = None,
        properties_with_history: Names = None,
        archived: bool = False,
    ) -> BatchResult:
        """Read any number of contacts by id, 100 per request (50 with history).

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

        :param ids: record ids, or values of ``id_property``
        :param id_property: ``email`` (secondary addresses count) or a property with unique values; default: record id
        :param properties: names to read, default HubSpot's few
        :param properties_with_history: names to read with their earlier values
        :param archived: look among archived contacts
        :return: every id once: ``succeeded`` with its record, or ``failed`` (``OBJECT_NOT_FOUND`` when unknown)
        :raises ValueError: for an empty id
        """
        items = [lookup(i, given, record_id(f"ids[{i}]", given, id_property)) for i, given in enumerate(ids)]
        asked, history = names("properties", properties), names("properties_with_history", properties_with_history)
        action = self._read_action(id_property, asked, history, archived=archived)
        result = unless_the_key_is_at_fault(*batch.run(items, action))
        self._with_names_told([done.record for done in result.succeeded], asked, history)
        return result

    def _read_action(
        self,
        id_property: str | None,
        properties: list[str] | None,
        history: list[str] | None,
        *,
        archived: bool = False,
    ) -> Action:
        asked = properties or []
        if id_property:
            # Without the property asked by, and for an address the secondary ones, no result is told from another.
            needed = ("email", ALIASES) if id_property == "email" else (id_property,)
            asked = list(dict.fromkeys((*(properties or _DEFAULTS), *needed)))
        fixed = {"properties": asked, "propertiesWithHistory": history or [], "idProperty": id_property}
        body = {name: value for name, value in fixed.items() if value}
        path, params = self.path("objects", "/contacts/batch/read"), {"archived": archived_param(archived)}

        def send(items: list[Item]) -> Answer:
            sent = {**body, "inputs": [item.wire for item in items]}
            return self.request("POST", path, params=params, json=sent, safe=True, expect=is_batch)

        size = batch.HISTORY_SIZE if history else batch.SIZE
        return Action(send, keys_by(id_property), size=size, writes=False, pause=self.client.pause)

    def _reader(self, asked: Collection[str]) -> LeadReader:
        # Arrow is for those who read contacts, not for everybody who names the hook.
        from airflow_providers_leads.hooks.hubspot.reading import LeadReader

        return LeadReader(asked, self.conn_id, self.label)


def _values_of(record: Record) -> Record:
    return {name: record[name] for name in ("properties", "propertiesWithHistory") if name in record}
