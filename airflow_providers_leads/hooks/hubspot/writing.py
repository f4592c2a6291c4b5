"""Writing HubSpot's contact records: one method per endpoint, batches of any size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import msgspec

from airflow_providers_leads.hooks.base import require
from airflow_providers_leads.hooks.batches import UNACCOUNTED, failed_input, unless_the_key_is_at_fault
from airflow_providers_leads.hooks.hubspot import batches as batch
from airflow_providers_leads.hooks.hubspot.batches import Action, Item, Record
from airflow_providers_leads.hooks.hubspot.crm import is_batch
from airflow_providers_leads.hooks.hubspot.items import (
    at_primary,
    items_to_create,
    items_to_update,
    items_to_upsert,
    keys_by,
    lookup,
    primary_of,
)
from airflow_providers_leads.hooks.hubspot.leads import properties_for
from airflow_providers_leads.hooks.hubspot.narrowing import HubSpotNarrowing
from airflow_providers_leads.hooks.hubspot.properties import STAGE
from airflow_providers_leads.hooks.hubspot.values import association_inputs, property_values, record_id
from airflow_providers_leads.http.client import Answer
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.model.outcomes import BatchResult, Failed, PlanRow, Succeeded, merge_batches
from airflow_providers_leads.leads.plan.property_types import PROPERTY, PropertyTypes

UNKNOWN: Final = frozenset({batch.NOT_FOUND, UNACCOUNTED, "VALIDATION_ERROR"})
"""How a lookup says that HubSpot holds no such address, or that it is none it could hold."""
NO_ADDRESS: Final = "it has no email to look it up by: before it is created again, look for it in HubSpot"


class HubSpotWriting(HubSpotNarrowing):
    """The calls of :class:`~airflow_providers_leads.hooks.hubspot.HubSpotHook` that write contact records."""

    def create_contact(
        self,
        properties: Mapping[str, Any],
        associations: Iterable[Mapping[str, Any] | tuple[Any, Any]] | None = None,
    ) -> Record:
        """Create a contact; give at least an email, or a name.

        Not repeated when it is unclear whether it took effect: the error then says so. Without an email nothing keeps a
        second call from making a second contact.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

        :param properties: property names to values; ``None`` values are left out
        :param associations: ``(to_id, type_id)`` pairs, or mappings as in HubSpot's reference
        :return: the record as HubSpot gives it
        :raises LeadsConflictError: when the email is taken; its ``existing_id`` names the contact
        :raises ValueError: for properties or associations that can't be sent
        """
        body: Record = {"properties": property_values("properties", properties)}
        if associations is not None and (linked := association_inputs("associations", associations)):
            body["associations"] = linked
        return self.one("POST", self.path("objects", "/contacts"), json=body)

    def update_contact(
        self,
        contact_id: str | int,
        properties: Mapping[str, Any],
        *,
        id_property: str | None = None,
        clear_lifecyclestage_first: bool = False,
    ) -> Record:
        """Write properties of one contact; the others stay.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

        :param contact_id: record id, or the value of ``id_property``
        :param properties: property names to values; ``""`` clears, ``None`` values are left out
        :param id_property: ``email`` or a property with unique values; default: record id
        :param clear_lifecyclestage_first: HubSpot silently ignores a lifecycle stage that lies before the present one;
            true clears the stage in a request of its own before it is set
        :return: the record as HubSpot gives it
        :raises LeadsNotFoundError: when there is none
        :raises ValueError: for an empty id or properties that can't be sent
        """
        values = {"contact_id": record_id("contact_id", contact_id, id_property)}
        sent = property_values("properties", properties)
        if id_property == "email" and sent.get("email", "").strip().lower() == values["contact_id"].strip().lower():
            # It is what finds the contact. Written as well, it would take the place of the primary address where it is
            # a secondary one.
            del sent["email"]
        steps = [sent]
        if clear_lifecyclestage_first and sent.get("lifecyclestage"):
            # The other properties go with the clearing: if one of them is refused, the stage is still what it was.
            steps = [{**sent, "lifecyclestage": ""}, {"lifecyclestage": sent["lifecyclestage"]}]
        path, params, record = self.path("objects", "/contacts/{contact_id}"), {"idProperty": id_property}, Record()
        for step in steps:
            try:
                answer = self.one("PATCH", path, path_params=values, params=params, json={"properties": step})
            except LeadsApiError as error:
                if record:
                    error.args = (
                        f"{error} The lifecycle stage was cleared before that, and may be empty now: set it.",
                    )
                raise
            known = record.get("properties") or {}
            record = {**answer, "properties": {**known, **(answer.get("properties") or {})}}
            # What found it may be among what was written.
            values, params = {"contact_id": str(answer["id"])}, {}
        return record

    def pin_activity(self, contact_id: str | int, activity_id: str | int) -> Record:
        """Pin an activity to the top of a contact's timeline; it must be associated with the contact already.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

        :param contact_id: record id
        :param activity_id: record id of the note, call, email, meeting or task
        :return: the contact
        :raises ValueError: for an empty id
        """
        return self.update_contact(contact_id, {"hs_pinned_engagement_id": record_id("activity_id", activity_id)})

    def archive_contact(self, contact_id: str | int) -> bool:
        """Move a contact to HubSpot's recycling bin, from where it can be restored for 90 days.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

        :param contact_id: record id
        :return: false when HubSpot knows no such contact (any more)
        :raises ValueError: for an empty id
        """
        values = {"contact_id": record_id("contact_id", contact_id)}
        return self.delete(self.path("objects", "/contacts/{contact_id}"), values)

    def gdpr_delete_contact(self, contact_id: str | int | None = None, *, email: str | None = None) -> None:
        """Delete a contact and all its content for good; an unknown address is put on HubSpot's blocklist.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

        :param contact_id: record id; either this or ``email``
        :param email: address
        :raises ValueError: when both or neither are given
        """
        if (contact_id is None) == (email is None):
            raise ValueError("give either contact_id or email")
        if email is not None:
            body = {"objectId": record_id("email", email, "email"), "idProperty": "email"}
        else:
            body = {"objectId": record_id("contact_id", contact_id)}
        self._effect("POST", self.path("objects", "/contacts/gdpr-delete"), json=body)

    def merge_contacts(self, primary_id: str | int, merged_id: str | int) -> Record:
        """Merge a contact into another; there is no way back.

        Not repeated when it is unclear whether it took effect: the error then says so.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/merge-contacts

        :param primary_id: record id of the contact that survives
        :param merged_id: record id of the contact that goes into it
        :return: the surviving record
        :raises ValueError: for empty or equal ids
        """
        body = {
            "primaryObjectId": record_id("primary_id", primary_id),
            "objectIdToMerge": record_id("merged_id", merged_id),
        }
        if len(set(body.values())) == 1:
            raise ValueError("merged_id must be another contact than primary_id")
        return self.one("POST", self.path("objects", "/contacts/merge"), json=body)

    def batch_create_contacts(self, inputs: Iterable[Mapping[str, Any]]) -> BatchResult:
        """Create any number of contacts, 100 per request.

        After an unclear failure the contacts are looked up by email, never created again; of those that were made at
        that time ``new`` is ``None``, and those that can't be found are reported as ambiguous. Contacts without an
        email can't be looked up: calling this again with one whose fate is unclear may create it a second time.
        :meth:`batch_upsert_contacts` can be repeated without harm.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

        :param inputs: ``{"properties": {…}, "associations": […]}`` or just the properties
        :return: every input once
        :raises ValueError: naming the input that can't be sent
        """
        items = items_to_create(inputs)
        started = datetime.now(UTC)
        result, stopped = batch.run(items, self._write_action("create", "email", idempotent=False))
        for done in result.succeeded:
            done.new = True
        looked_up = self._looked_up(unless_the_key_is_at_fault(result, stopped), items, started)
        return unless_the_key_is_at_fault(looked_up, stopped)

    def _looked_up(self, result: BatchResult, items: list[Item], started: datetime) -> BatchResult:
        """Settle creates of unclear fate by what HubSpot holds now."""
        unclear = [lookup(f.index, f.input, key) for f in result.failed if f.ambiguous and (key := items[f.index].key)]
        found, _ = batch.run(unclear, self._read_action("email", None, None))
        settled = BatchResult()
        for done in found.succeeded:
            if batch.made_since(done.record or {}, started.timestamp()):
                # By this call, or by somebody else at that time.
                done.new = None
                settled.succeeded.append(done)
            else:
                settled.failed.append(
                    Failed(
                        index=done.index,
                        input=done.input,
                        category="CONFLICT",
                        reason="the contact existed before",
                        existing_id=done.id,
                    )
                )
        known = {done.index for done in found.succeeded}
        rest = [f for f in result.failed if f.index not in known]
        for failure in rest:
            if failure.ambiguous and not items[failure.index].key:
                failure.reason = f"{failure.reason}; {NO_ADDRESS}".removeprefix("; ")
        return merge_batches([BatchResult(succeeded=result.succeeded, failed=rest), settled])

    def batch_update_contacts(self, inputs: Iterable[Mapping[str, Any]], id_property: str | None = None) -> BatchResult:
        """Write properties of any number of contacts, 100 per request.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

        :param inputs: ``{"id": …, "properties": {…}}``, or the properties with an ``id`` among them
        :param id_property: a property with unique values that the ids are of; default: record ids. HubSpot refuses
            ``email`` here: use :meth:`batch_upsert_contacts`
        :return: every input once; a merged-away id is ``UNACCOUNTED``, as HubSpot doesn't mention it
        :raises ValueError: naming the input that can't be sent
        """
        if id_property == "email":
            raise ValueError("id_property: HubSpot takes no email for batch updates; use batch_upsert_contacts")
        # The record id is the default, and refused when it is spelled out.
        by = None if id_property == "hs_object_id" else id_property
        items = items_to_update(inputs, by)
        return unless_the_key_is_at_fault(*batch.run(items, self._write_action("update", by)))

    def batch_upsert_contacts(self, inputs: Iterable[Mapping[str, Any]], id_property: str = "email") -> BatchResult:
        """Create or update any number of contacts, 100 per request; may be repeated without harm.

        Several inputs with the same key are written in their order. Properties that are not given stay as they are. An
        address that is a contact's secondary one finds that contact, whose primary address stays: addresses are looked
        up first, which takes one request more per 100.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/batch/upsert-contacts

        :param inputs: ``{"id": key, "properties": {…}}``, or just the properties with the key among them
        :param id_property: property that the keys are of: ``email``, or one with unique values
        :return: every input once; ``new`` tells created from updated, ``None``: an answer was lost, and the contact was
            made at that time, by this call or by somebody else
        :raises ValueError: naming the input that can't be sent
        """
        require("id_property", id_property)
        items = items_to_upsert(inputs, id_property)
        result, stopped = self.upsert(items, id_property)
        return unless_the_key_is_at_fault(result, stopped)

    def upsert(self, items: list[Item], id_property: str) -> tuple[BatchResult, LeadsApiError | None]:
        """Upsert items, after a look at which of their addresses are secondary ones.

        :return: the outcome, and the error that ended the work early
        """
        action = self._write_action("upsert", id_property)
        if id_property != "email":
            return batch.run(items, action)
        known, unread, stopped = self.found_secondary(items)
        if stopped:
            # Nothing is written yet, whatever became of the question.
            failures = (failed_input(item.index, item.input, stopped) for item in items)
            unread = [msgspec.structs.replace(one, refused=False, ambiguous=False) for one in failures]
        lost = {failure.index for failure in unread}
        result, ended = batch.run([at_primary(item, known) for item in items if item.index not in lost], action)
        return merge_batches([result, BatchResult(failed=unread)]), stopped or ended

    def found_secondary(self, items: list[Item]) -> tuple[dict[str, Record], list[Failed], LeadsApiError | None]:
        """Look up which addresses are secondary ones.

        :param items: what is to be upserted, each with its address as key
        :return: secondary address → contact; the items whose address could not be looked up; what ended it early
        """
        keys = dict.fromkeys(item.key for item in items if item.key)
        asked = [lookup(i, key, key) for i, key in enumerate(keys)]
        found, stopped = batch.run(asked, self._read_action("email", ["email"], None))
        known = {
            str(done.input): done.record
            for done in found.succeeded
            if done.record and primary_of(done.record) not in ("", done.input)
        }
        troubled = {f.input: f for f in found.failed if f.category not in UNKNOWN}
        unread = [
            msgspec.structs.replace(
                troubled[item.key], index=item.index, input=item.input, refused=False, ambiguous=False
            )
            for item in items
            if item.key in troubled
        ]
        return known, unread, stopped

    @cached_property
    def _stages(self) -> PropertyTypes:
        """What is known of the order of stages; ``definitions`` would ask again where it was refused."""
        return self.property_types()

    def cleared_stages(self, items: list[Item]) -> tuple[list[Failed], LeadsApiError | None]:
        """Clear the lifecycle stage of contacts that are to get an earlier one, which HubSpot passes over otherwise.

        All else that is to be written goes with it: where that is refused, the stage is still what it was.

        :param items: updates, whose inputs are rows of a plan
        :return: whose stage could not be cleared, and the error that ended the work early
        """
        moved = [item for item in items if item.input.properties.get(STAGE) and item.input.properties_before.get(STAGE)]
        if not moved:
            return [], None
        order = self._stages
        back = []
        for item in moved:
            row: PlanRow = item.input
            if order.goes_back(f"{PROPERTY}{STAGE}", row.properties[STAGE], row.properties_before[STAGE]):
                cleared = {**properties_for(row), STAGE: ""}
                back.append(Item(item.index, row, item.key, {"id": item.key, "properties": cleared}))
        result, stopped = batch.run(back, self._write_action("update", None))
        return result.failed, stopped

    def batch_archive_contacts(self, ids: Iterable[str | int]) -> BatchResult:
        """Move any number of contacts to HubSpot's recycling bin, 100 per request.

        https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

        :param ids: record ids
        :return: every id once; HubSpot doesn't tell which of them were archived already
        :raises ValueError: for an empty id
        """
        items = [lookup(i, given, record_id(f"ids[{i}]", given)) for i, given in enumerate(ids)]
        if odd := next((item for item in items if not re.fullmatch(r"[0-9]+", item.key or "")), None):
            # HubSpot answers without a word about each, so that one that is none would pass for archived.
            raise ValueError(f"ids[{odd.index}] must be a record id, which is a whole number")
        path = self.path("objects", "/contacts/batch/archive")

        def send(chunk: list[Item]) -> Answer:
            return self.request("POST", path, json={"inputs": [item.wire for item in chunk]}, idempotent=True)

        action = Action(send, keys_by(None), silent=True, pause=self.client.pause)
        result, stopped = batch.run(items, action)
        # Not there (any more) is what was asked for.
        gone = [Succeeded(index=f.index, input=f.input) for f in result.failed if f.category == batch.NOT_FOUND]
        failed = [f for f in result.failed if f.category != batch.NOT_FOUND]
        settled = merge_batches([BatchResult(succeeded=[*result.succeeded, *gone], failed=failed)])
        return unless_the_key_is_at_fault(settled, stopped)

    def _write_action(self, verb: str, id_property: str | None, *, idempotent: bool = True) -> Action:
        path = self.path("objects", f"/contacts/batch/{verb}")

        def send(items: list[Item]) -> Answer:
            body = {"inputs": batch.traced(items)}
            return self.request("POST", path, json=body, idempotent=idempotent, expect=is_batch)

        return Action(
            send, keys_by(id_property), again_on_conflict=verb == "upsert", idempotent=idempotent,
            pause=self.client.pause,
        )  # fmt: skip
