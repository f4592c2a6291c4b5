"""HubSpot's associations: what contacts are linked to, and the lists they are in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from airflow_providers_leads.hooks.base import require
from airflow_providers_leads.hooks.batches import unless_the_key_is_at_fault
from airflow_providers_leads.hooks.hubspot import batches as batch
from airflow_providers_leads.hooks.hubspot import wire
from airflow_providers_leads.hooks.hubspot.batches import Action, Item, Record
from airflow_providers_leads.hooks.hubspot.crm import HubSpotCrm, is_batch
from airflow_providers_leads.hooks.hubspot.items import lookup
from airflow_providers_leads.hooks.hubspot.values import association_types, record_id
from airflow_providers_leads.hooks.hubspot.wire import context_values
from airflow_providers_leads.http.client import Answer
from airflow_providers_leads.http.paths import objects_at
from airflow_providers_leads.leads.model.outcomes import BatchResult

READ_SIZE: Final = 1_000
"""Contacts whose links one request reads."""
_NO_LINKS: Final = "NO_ASSOCIATIONS_FOUND"
_CONTACTS: Final = "0-1"


class HubSpotAssociations(HubSpotCrm):
    """The calls of :class:`~airflow_providers_leads.hooks.hubspot.HubSpotHook` on what contacts are linked to."""

    def associate_contact(
        self,
        contact_id: str | int,
        to_object_type: str,
        to_object_id: str | int,
        types: Iterable[int | str | Mapping[str, Any]] | None = None,
    ) -> Record:
        """Link a contact to another record or an activity.

        https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

        :param contact_id: record id
        :param to_object_type: such as ``companies``, ``deals``, ``notes``, or a type id
        :param to_object_id: record id
        :param types: association type ids, or mappings with ``associationCategory`` and ``associationTypeId``; they
            replace the labels that the pair has. Default: a link without label
        :return: HubSpot's answer
        :raises LeadsNotFoundError: when one of the records doesn't exist
        :raises LeadsValidationError: when HubSpot refuses the link, be it in an answer that calls itself a success
        :raises ValueError: for an empty id or a type that is none
        """
        path, values = self._pair(contact_id, to_object_type, to_object_id, default=types is None)
        labels = None if types is None else association_types("types", types)
        return self._effect("PUT", path, path_params=values, json=labels)

    def remove_association(self, contact_id: str | int, to_object_type: str, to_object_id: str | int) -> bool:
        """Remove every link between a contact and another record.

        https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

        :param contact_id: record id
        :param to_object_type: such as ``companies``
        :param to_object_id: record id
        :return: false when HubSpot knows no such pair
        :raises ValueError: for an empty id
        """
        path, values = self._pair(contact_id, to_object_type, to_object_id)
        return self.delete(path, values)

    def _pair(
        self, contact_id: str | int, to_object_type: str, to_object_id: str | int, *, default: bool = False
    ) -> tuple[str, dict[str, str]]:
        require("to_object_type", to_object_type)
        values = {
            "contact_id": record_id("contact_id", contact_id),
            "to_object_type": to_object_type,
            "to_object_id": record_id("to_object_id", to_object_id),
        }
        below = "/default/{to_object_type}/{to_object_id}" if default else "/{to_object_type}/{to_object_id}"
        return self.path("records", "/contacts/{contact_id}/associations" + below), values

    def list_associations(self, contact_id: str | int, to_object_type: str) -> Iterator[Record]:
        """Yield the records of a type that a contact is linked to.

        https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

        :param contact_id: record id
        :param to_object_type: such as ``companies``
        :return: mappings with ``toObjectId`` and ``associationTypes``
        :raises ValueError: for an empty id or type
        """
        require("to_object_type", to_object_type)
        values = {"contact_id": record_id("contact_id", contact_id), "to_object_type": to_object_type}
        path = self.path("records", "/contacts/{contact_id}/associations/{to_object_type}")
        return self.rows(wire.list_pages(key="toObjectId"), path, path_params=values, params={"limit": 500})

    def batch_read_associations(self, contact_ids: Iterable[str | int], to_object_type: str) -> BatchResult:
        """Read what any number of contacts are linked to, 1,000 contacts per request.

        https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

        :param contact_ids: record ids
        :param to_object_type: such as ``companies``
        :return: every id once: ``succeeded`` with ``record``: ``{"from": {"id"}, "to": [{"toObjectId",
            "associationTypes"}]}``, the list empty when there is no link; or ``failed``
        :raises ValueError: for an empty id or type
        """
        require("to_object_type", to_object_type)
        given = list(contact_ids)
        items = [lookup(i, one, record_id(f"contact_ids[{i}]", one)) for i, one in enumerate(given)]
        path = self.path("associations", "/contacts/{to_object_type}/batch/read")

        def send(chunk: list[Item]) -> Answer:
            body = {"inputs": [item.wire for item in chunk]}
            values = {"to_object_type": to_object_type}
            answer = self.request("POST", path, path_params=values, json=body, safe=True, expect=is_batch)
            return replace(answer, body=_without_lone(answer.body))

        action = Action(send, _keys_of, size=READ_SIZE, writes=False, pause=self.client.pause)
        result, stopped = batch.run(items, action)
        for done in result.succeeded:
            record: Record = done.record or {}
            if (record.pop("paging", None) or {}).get("next"):
                record["to"] = list(self.list_associations(done.input, to_object_type))
        return unless_the_key_is_at_fault(result, stopped)

    def list_association_labels(self, to_object_type: str) -> Iterator[Record]:
        """Yield the association types that exist between contacts and another object type.

        https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associations-schema/guide

        :param to_object_type: such as ``companies``
        :return: mappings with ``category``, ``typeId`` and ``label`` (``None``: the link without label)
        :raises ValueError: for an empty type
        """
        require("to_object_type", to_object_type)
        path = self.path("associations", "/contacts/{to_object_type}/labels")
        return self.rows(wire.list_pages(), path, path_params={"to_object_type": to_object_type})

    def list_memberships(self, contact_id: str | int) -> Iterator[Record]:
        """Yield the lists that a contact is in.

        Needs the scope ``crm.lists.read``.

        https://developers.hubspot.com/docs/api-reference/latest/crm/lists/memberships/get-lists-per-record

        :param contact_id: record id
        :return: mappings with ``listId``, ``firstAddedTimestamp`` and ``lastAddedTimestamp``
        :raises ValueError: for an empty id
        """
        values = {"object_type": _CONTACTS, "contact_id": record_id("contact_id", contact_id)}
        path = self.path("lists", "/records/{object_type}/{contact_id}/memberships")
        return self.rows(wire.list_pages(key="listId"), path, path_params=values)

    def with_all_links(self, records: list[Record]) -> list[Record]:
        """Return contacts with all that they are linked to, where HubSpot gave the first page of it only."""
        for record in records:
            links: Record = record.get("associations") or {}
            for object_type, listed in links.items():
                if isinstance(listed, dict) and (listed.get("paging") or {}).get("next"):
                    every = self.list_associations(str(record["id"]), object_type)
                    links[object_type] = {"results": _joined([*objects_at(listed, "results")], every)}
        return records


def _joined(listed: list[Record], every: Iterable[Record]) -> list[Record]:
    """Return the rows of the first page and all others in the same form, of which the association calls have another.

    Their types are named as in the first page where it holds one of the kind, otherwise by the label.
    """
    types: dict[str, list[Any]] = defaultdict(list)
    for row in listed:
        types[str(row.get("id"))].append(row.get("type"))
    rows = [(str(row["toObjectId"]), row.get("associationTypes") or [{}]) for row in every]
    named: dict[Any, Any] = {}
    for record, kinds in rows:
        if len(kinds) == 1 and len(types.get(record, ())) == 1:
            named.setdefault(kinds[0].get("typeId"), types[record][0])
    more = [
        {"id": record, "type": named.get(kind.get("typeId"), kind.get("label"))}
        for record, kinds in rows
        if record not in types
        for kind in kinds
    ]
    return [*listed, *more]


def _keys_of(record: Mapping[str, Any]) -> list[str]:
    one = record.get("from")
    return [str(one.get("id"))] if isinstance(one, dict) else []


def _without_lone(body: Record) -> Record:
    """Return a batch answer in which contacts without a link are results: HubSpot calls each of them an error."""
    results, errors = list(body.get("results") or ()), []
    for entry in body.get("errors") or ():
        ids = context_values(entry, "fromObjectId") if isinstance(entry, dict) else []
        if ids and str(entry.get("subCategory")).rpartition(".")[2] == _NO_LINKS:
            results += [{"from": {"id": contact_id}, "to": []} for contact_id in ids]
        else:
            errors.append(entry)
    return {**body, "results": results, "errors": errors}
