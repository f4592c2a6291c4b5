"""Some of HubSpot's contacts: what changed, what matches filters, and who is in a list, which can be changed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from airflow_providers_leads.hooks.arguments import id_list
from airflow_providers_leads.hooks.batches import UNACCOUNTED, chunked
from airflow_providers_leads.hooks.campaigns import ListChange, Lists
from airflow_providers_leads.hooks.hubspot import batches as batch
from airflow_providers_leads.hooks.hubspot import wire
from airflow_providers_leads.hooks.hubspot.batches import Record
from airflow_providers_leads.hooks.hubspot.contacts import HubSpotContacts
from airflow_providers_leads.hooks.hubspot.items import lookup
from airflow_providers_leads.hooks.hubspot.leads import CHANGED
from airflow_providers_leads.hooks.hubspot.values import Filters, filter_inputs, milliseconds, short_filters
from airflow_providers_leads.hooks.reading import LeadPage, Position, with_positions
from airflow_providers_leads.http.errors import LeadsNotFoundError, LeadsServerError

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.hubspot.reading import LeadReader

_MEMBERS_PER_PAGE: Final = 100
_CHANGED_AT_ONCE: Final = 100_000
_MISSING: Final = ("recordIdsMissing", "recordsIdsMissing")
_BY_HAND: Final = ("MANUAL", "SNAPSHOT")
_CONTACTS: Final = "0-1"


class HubSpotNarrowing(HubSpotContacts):
    """The calls of :class:`~airflow_providers_leads.hooks.hubspot.HubSpotHook` that an extract is narrowed by."""

    @property
    def lists(self) -> Lists:
        """The account's lists of contacts."""
        return HubSpotLists(self)

    def changed_pages(
        self, reader: LeadReader, asked: list[str], since: datetime, until: datetime | None, position: Position | None
    ) -> Iterator[LeadPage]:
        """Yield contacts that changed within a window, with the position of each page.

        :param reader: makes leads of them
        :param asked: properties to read
        :param since: first moment
        :param until: moment after the last
        :param position: of the page to start with
        """
        return self._found_leads(reader, asked, [{"filters": _window(since, until)}], position)

    def narrowed_pages(
        self,
        reader: LeadReader,
        asked: list[str],
        window: tuple[datetime | None, datetime | None],
        position: Position | None,
        *,
        filters: Filters,
        lists: Iterable[object] | str | None,
    ) -> Iterator[LeadPage]:
        """Yield contacts that match filters, members of lists, or members that match, with the position of each page.

        :param reader: makes leads of them
        :param asked: properties to read
        :param window: within which they changed; ``None``: at any time
        :param position: of the page to start with
        :param filters: see :meth:`filter_groups`
        :param lists: see :meth:`list_ids`
        :raises ValueError: for an unknown property, option or list
        """
        groups, list_ids = self.filter_groups(filters), self.list_ids(lists)
        since, until = window
        if not groups:
            return self._member_leads(reader, asked, list_ids, window, position)
        if since is not None:
            groups = [{"filters": [*group["filters"], *_window(since, until)]} for group in groups]
        members = None if lists is None else {member for one in list_ids for member in self.list_members(one)}
        return self._found_leads(reader, asked, groups, position, members)

    def filter_groups(self, filters: Filters) -> list[dict[str, Any]]:
        """Return filters as HubSpot's search takes them.

        :param filters: HubSpot's filter groups, or a mapping property → value, list of values, or mapping of ``after``,
            ``before``, ``above``, ``below``, ``not``, ``known`` → value
        :raises ValueError: for an unknown property, a value that is none of its options, or no condition at all, which
            would not narrow anything
        """
        if filters is None:
            return []
        groups = filters["filterGroups"] if isinstance(filters, Mapping) and "filterGroups" in filters else filters
        if not groups:
            raise ValueError(f"{self.label}: filters hold no condition: leave them out to read all contacts")
        if not isinstance(groups, Mapping):
            return filter_inputs(groups)
        filters = groups
        known = self.known_properties(list(filters))
        if unknown := [name for name in filters if name not in known]:
            raise ValueError(
                f"{self.label}: filters: HubSpot has no contact property {unknown[0]!r}. Give its internal name, as in "
                "Settings > Properties."
            )
        return filter_inputs([{"filters": short_filters(filters, known)}])

    def list_ids(self, lists: Iterable[object] | str | None) -> list[str]:
        """Return the ids of lists.

        https://developers.hubspot.com/docs/api-reference/latest/crm/lists/get-list-by-name

        :param lists: ids or names
        :raises ValueError: naming the list that doesn't exist
        """
        return list(dict.fromkeys(str(self.find_list(one)["listId"]) for one in id_list("lists", lists) or ()))

    def find_list(self, name: str) -> Record:
        """Return a list of contacts.

        https://developers.hubspot.com/docs/api-reference/latest/crm/lists/get-list-by-name

        :param name: its id or exact name; digits are an id where there is one of it
        :raises ValueError: naming the list that doesn't exist, or is of other records
        """
        found = self._list_at("/{name}", name) if name.isdecimal() else None
        found = found or self._list_at("/object-type-id/0-1/name/{name}", name)
        if found is None:
            raise ValueError(
                f"{self.label}: lists: HubSpot has no list {name!r} of contacts. Give its id or its exact name, as in "
                "CRM > Segments; the key needs the scope crm.lists.read."
            )
        if found.get("objectTypeId") not in (None, _CONTACTS):
            # Its record ids are of other records: as contacts they would be somebody else.
            raise ValueError(
                f"{self.label}: lists: list {name!r} ({found.get('name')}) is of other records than contacts."
            )
        return found

    def _list_at(self, path: str, name: str) -> Record | None:
        try:
            answer = self.one("GET", self.path("lists", path), path_params={"name": name}, expect=is_crm_list)
        except LeadsNotFoundError:
            return None
        found: Record = answer["list"]
        # One that was deleted can be restored for some weeks, and until then is told of by its id.
        return None if found.get("deletedAt") else found

    def change_list(self, list_id: str, contact_ids: Sequence[str], *, remove: bool = False) -> ListChange:
        """Add contacts to a list that people fill by hand, or remove them; who is in it or gone already stays so.

        Needs the scope ``crm.lists.write``. Adding a contact may start a workflow that mails it.

        https://developers.hubspot.com/docs/api-reference/latest/crm/lists/memberships/add-records-to-list

        :param list_id: the list
        :param contact_ids: record ids, any number
        :param remove: remove them instead
        """
        path = self.path("lists", "/{list_id}/memberships/" + ("remove" if remove else "add"))
        changed: set[str] = set()
        missing: set[str] = set()
        for chunk in chunked(dict.fromkeys(map(str, contact_ids)), _CHANGED_AT_ONCE):
            body = self.one("PUT", path, path_params={"list_id": list_id}, json=chunk, expect=_is_change)
            # The first is how the API spells it.
            named = ("recordIdsRemoved", "recordsIdsRemoved") if remove else ("recordsIdsAdded", "recordIdsAdded")
            changed.update(str(one) for name in named for one in body.get(name) or ())
            missing.update(str(one) for name in _MISSING for one in body.get(name) or ())
        return ListChange(changed, missing)

    def list_members(self, list_id: str) -> Iterator[str]:
        """Yield the ids of the contacts in a list.

        https://developers.hubspot.com/docs/api-reference/latest/crm/lists/memberships/get-list-memberships

        :param list_id: the list
        """
        return (member for page, _ in self._member_pages(list_id, None) for member in page)

    def _member_pages(self, list_id: str, position: Position | None) -> Iterator[tuple[list[str], dict[str, Any]]]:
        place = wire.list_pages(key="recordId").resume(position)
        path = self.path("lists", "/{list_id}/memberships")
        pages = self.pages(place, path, params={"limit": _MEMBERS_PER_PAGE}, path_params={"list_id": list_id})
        return (([str(row["recordId"]) for row in page], at) for page, at in with_positions(pages, place))

    def _member_leads(
        self,
        reader: LeadReader,
        asked: list[str],
        list_ids: list[str],
        window: tuple[datetime | None, datetime | None],
        position: Position | None,
    ) -> Iterator[LeadPage]:
        since, until = window
        start, within = (position or {}).get("list", 0), (position or {}).get("within")
        seen: set[str] = set()
        for number, list_id in enumerate(list_ids[start:], start):
            for page, at in self._member_pages(list_id, within):
                fresh = [member for member in page if member not in seen]
                seen.update(fresh)
                leads = [
                    lead
                    for lead in reader.leads(self.current(fresh, asked))
                    if since is None or lead.updated_at is None or since <= lead.updated_at
                    if until is None or lead.updated_at is None or lead.updated_at < until
                ]
                yield LeadPage(leads, {"list": number, "within": at})
            within = None

    def _found_leads(
        self,
        reader: LeadReader,
        asked: list[str],
        groups: list[dict[str, Any]],
        position: Position | None,
        members: Container[str] | None = None,
    ) -> Iterator[LeadPage]:
        beyond = (position or {}).get("beyond")
        # The index finds records by time, but what it tells of them may be older than what changed since: merged with
        # other sources, it would win over its own successor.
        for page in self.found_pages(groups, properties=[CHANGED], beyond=beyond):
            found = [str(row["id"]) for row in page]
            kept = found if members is None else [one for one in found if one in members]
            yield LeadPage(reader.leads(self.current(kept, asked)), {"beyond": beyond})
            beyond = max(map(int, found))

    def current(self, ids: list[str], asked: list[str]) -> Iterable[Record]:
        """Return contacts as they are now, without those that are gone since.

        :param ids: record ids
        :param asked: properties to read
        """
        items = [lookup(i, each, each) for i, each in enumerate(ids)]
        result, stopped = batch.run(items, self._read_action(None, asked, None))
        if stopped:
            raise stopped
        records = {str(done.id): done.record or {} for done in result.succeeded}
        for failure in result.failed:
            if failure.category == UNACCOUNTED:
                # A batch leaves merged-away ids out; a single read gives the surviving record.
                with suppress(LeadsNotFoundError):
                    survivor = self.get_contact(failure.input, properties=asked)
                    records[str(survivor["id"])] = survivor
            elif failure.category != batch.NOT_FOUND:
                raise LeadsServerError(
                    f"{self.label}: a contact that was found could not be read ({failure.category})",
                    category=failure.category,
                    request_id=failure.request_id,
                )
        return records.values()


class HubSpotLists(Lists):
    """Lists of contacts over one connection.

    :param hook: sends the requests
    """

    def __init__(self, hook: HubSpotNarrowing) -> None:
        self._hook = hook

    def find(self, name: str) -> str:
        """Return the id of a list that people fill by hand."""
        found = self._hook.find_list(name)
        if found.get("processingType") not in (None, *_BY_HAND):
            raise ValueError(
                f"{self._hook.label}: list {name!r} is an active one, which HubSpot fills by its filters. Give a "
                "static list."
            )
        return str(found["listId"])

    def change(self, list_id: str, record_ids: Sequence[str], *, remove: bool) -> ListChange:
        """Add contacts to a list or remove them."""
        return self._hook.change_list(list_id, record_ids, remove=remove)


def _is_change(body: Any) -> bool:
    return isinstance(body, dict)


def is_crm_list(body: Any) -> bool:
    """Tell whether a body is a list of HubSpot's."""
    return isinstance(body, dict) and isinstance(body.get("list"), dict) and "listId" in body["list"]


def _window(since: datetime, until: datetime | None) -> list[dict[str, Any]]:
    window = [{"propertyName": CHANGED, "operator": "GTE", "value": milliseconds("updated_after", since)}]
    if until is not None:
        window.append({"propertyName": CHANGED, "operator": "LT", "value": milliseconds("updated_before", until)})
    return window
