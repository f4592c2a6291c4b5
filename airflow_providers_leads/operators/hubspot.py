"""HubSpot contacts: an operator per endpoint of :class:`~airflow_providers_leads.hooks.hubspot.HubSpotHook`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_providers_leads.operators.endpoint import BatchOperator, EmailOperator, EndpointOperator, RowsOperator
from airflow_providers_leads.operators.links import CrmLink
from airflow_providers_leads.operators.signatures import Templated, argument

Ids = Sequence[str | int]
Names = Sequence[str] | str


class HubSpotOperator(EndpointOperator):
    """Base of the HubSpot operators."""

    hook: ClassVar[str] = "airflow_providers_leads.hooks.hubspot.HubSpotHook"
    conn_parameter: ClassVar[str] = "hubspot_conn_id"
    operator_extra_links = (CrmLink(),)
    ui_color = "#ffe8df"

    hubspot_conn_id: Templated[str] = "hubspot_default"


class HubSpotListContactsOperator(RowsOperator, HubSpotOperator):
    """Read all contacts.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param properties: names to read, a list or comma-separated; default HubSpot's few
    :param properties_with_history: names to read with their earlier values
    :param associations: object types such as ``companies`` whose associated ids to read
    :param archived: true reads archived contacts instead; default false
    :param page_size: rows per request, default and most 100, with history 50
    :return: ``uri`` and ``rows`` with ``output``, else the records
    :raises ValueError: for an argument out of range, or more than 1,000 rows without ``output``
    :raises LeadsApiError: when the API refuses
    """

    method = "list_contacts"
    columns = ("id", "properties", "createdAt", "updatedAt", "archived")
    properties: Templated[Names] | None = None
    properties_with_history: Templated[Names] | None = None
    associations: Templated[Names] | None = None
    archived: Templated[bool] = False
    page_size: Templated[int] | None = None


class HubSpotGetContactOperator(RowsOperator, HubSpotOperator):
    """Read one contact.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param contact_id: record id, or the value of ``id_property``
    :param id_property: ``email`` or another unique property; default the record id
    :param properties: names to read, default HubSpot's few
    :param properties_with_history: names to read with their earlier values
    :param associations: object types whose associated ids to read
    :param archived: true reads an archived contact; default false
    :return: the record; with ``output`` its ``uri``
    :raises LeadsNotFoundError: when there is no such contact
    :raises ValueError: for an empty ``contact_id``
    """

    method = "get_contact"
    contact_id: Templated[str]
    id_property: Templated[str] | None = None
    properties: Templated[Names] | None = None
    properties_with_history: Templated[Names] | None = None
    associations: Templated[Names] | None = None
    archived: Templated[bool] = False


class HubSpotCreateContactOperator(HubSpotOperator):
    """Create one contact, associated with other records where wished.

    When it is unclear whether the contact was made, the task is not retried. One that is retried after a kill meets a
    conflict, and without an address makes a second contact. To repeat safely there is
    :class:`HubSpotUpsertContactsOperator`.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param properties: property → value; at least one of ``email``, ``firstname``, ``lastname``. Together with an
        association, ``hs_pinned_engagement_id`` pins the activity in the same request
    :param associations: mappings as HubSpot documents them, or pairs of record id and association type id
    :return: the record
    :raises LeadsConflictError: when the address exists already; ``existing_id`` names the contact
    :raises ValueError: when no property is given, or one that can't be sent
    """

    method = "create_contact"
    once = True
    properties: Templated[Mapping[str, Any]]
    associations: Templated[Sequence[Any]] | None = None


class HubSpotUpdateContactOperator(HubSpotOperator):
    """Change properties of one contact; those not named stay.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param contact_id: record id, or the value of ``id_property``
    :param properties: property → value; an empty text clears
    :param id_property: ``email`` or another unique property; default the record id
    :param clear_lifecyclestage_first: true allows a lifecycle stage to move backwards, by clearing it in a request of
        its own first; default false: HubSpot then keeps the later stage
    :return: the record
    :raises LeadsNotFoundError: when there is no such contact
    :raises LeadsValidationError: when a property doesn't exist or takes no such value
    :raises ValueError: for an empty argument
    """

    method = "update_contact"
    contact_id: Templated[str]
    properties: Templated[Mapping[str, Any]]
    id_property: Templated[str] | None = None
    clear_lifecyclestage_first: Templated[bool] = False


class HubSpotArchiveContactOperator(HubSpotOperator):
    """Move one contact to the recycling bin, from where it can be restored for 90 days.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param contact_id: record id
    :return: false when there was nothing to archive
    :raises ValueError: for an empty ``contact_id``
    """

    method = "archive_contact"
    contact_id: Templated[str]


class HubSpotGdprDeleteContactOperator(EmailOperator, HubSpotOperator):
    """Delete one contact and all its content for good; an unknown address is put on HubSpot's blocklist.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param contact_id: record id; either this or ``email``
    :param email: address
    :return: nothing
    :raises ValueError: when both or neither are given
    """

    method = "gdpr_delete_contact"
    contact_id: Templated[str] | None = None


class HubSpotMergeContactsOperator(HubSpotOperator):
    """Merge a contact into another; there is no way back.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param primary_id: record id of the contact that survives
    :param merged_id: record id of the contact that goes into it
    :return: the surviving record
    :raises LeadsApiError: with ``ambiguous`` true when it is unclear whether it took effect; look before repeating
    :raises ValueError: for empty or equal ids
    """

    method = "merge_contacts"
    primary_id: Templated[str]
    merged_id: Templated[str]


class HubSpotSearchContactsOperator(RowsOperator, HubSpotOperator):
    """Search contacts, past HubSpot's 10,000 rows per query too.

    The search index lags behind writes by seconds: don't read your own writes through it.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param filter_groups: HubSpot's filter groups: groups are alternatives, filters within one all apply
    :param sorts: at most one sort, ``{"propertyName": …, "direction": …}``; with one, more than 10,000 hits are refused
    :param properties: names to read, default HubSpot's few
    :param query: text that is looked for in HubSpot's default searchable properties
    :param page_size: rows per request, default and most 200
    :return: ``uri`` and ``rows`` with ``output``, else the records
    :raises ValueError: for an argument out of range, or more than 1,000 rows without ``output``
    """

    method = "search_contacts"
    columns = ("id", "properties", "createdAt", "updatedAt", "archived")
    filter_groups: Templated[Sequence[Mapping[str, Any]]] | None = None
    sorts: Templated[Sequence[Any]] | None = None
    properties: Templated[Names] | None = None
    query: Templated[str] | None = None
    page_size: Templated[int] | None = None


class HubSpotReadContactsOperator(BatchOperator, HubSpotOperator):
    """Read many contacts by id, address or another unique property, in hundreds (fifties with history).

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param ids: record ids, or values of ``id_property``; any number
    :param id_property: ``email`` or another unique property; default the record id
    :param properties: names to read, default HubSpot's few
    :param properties_with_history: names to read with their earlier values
    :param archived: true reads archived contacts; default false
    :return: counts and reasons; each input's record is in ``output``
    :raises LeadsWriteError: when more ids were not found than tolerated
    :raises ValueError: for an empty id
    """

    method = "batch_read_contacts"
    repeatable = True
    ids: Templated[Ids]
    id_property: Templated[str] | None = None
    properties: Templated[Names] | None = None
    properties_with_history: Templated[Names] | None = None
    archived: Templated[bool] = False


class HubSpotCreateContactsOperator(BatchOperator, HubSpotOperator):
    """Create many contacts, in hundreds; a refused one doesn't hold up the others.

    A retry creates nobody twice who has an address: HubSpot refuses the second. Contacts without an address may be
    created again; for those whose fate is unclear ``output`` says so.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/batch/create-contacts

    :param inputs: ``{"properties": {…}, "associations": […]}`` each; any number
    :return: counts and reasons; each input's fate is in ``output``
    :raises LeadsWriteError: when more inputs failed than tolerated
    :raises ValueError: for an input without properties
    """

    method = "batch_create_contacts"
    inputs: Templated[Sequence[Mapping[str, Any]]]


class HubSpotUpdateContactsOperator(BatchOperator, HubSpotOperator):
    """Change many contacts by record id, in hundreds; those properties that aren't named stay.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/batch/update-contacts

    :param inputs: ``{"id": …, "properties": {…}}`` each; any number
    :param id_property: a custom unique property that ``id`` holds; HubSpot refuses ``email`` here
    :return: counts and reasons; each input's fate is in ``output``
    :raises LeadsWriteError: when more inputs failed than tolerated
    :raises ValueError: for an input without id or properties
    """

    method = "batch_update_contacts"
    repeatable = True
    inputs: Templated[Sequence[Mapping[str, Any]]]
    id_property: Templated[str] | None = None


class HubSpotUpsertContactsOperator(BatchOperator, HubSpotOperator):
    """Create or change many contacts by address, in hundreds; safe to repeat.

    An address that is a contact's secondary one finds that contact, and its primary address stays.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/batch/upsert-contacts

    :param inputs: ``{"id": address, "properties": {…}}`` each; any number
    :param id_property: ``email`` (default) or a custom unique property that ``id`` holds
    :return: counts and reasons; each input's fate is in ``output``
    :raises LeadsWriteError: when more inputs failed than tolerated
    :raises ValueError: for an input without id
    """

    method = "batch_upsert_contacts"
    repeatable = True
    inputs: Templated[Sequence[Mapping[str, Any]]]
    id_property: Templated[str] = "email"


class HubSpotArchiveContactsOperator(BatchOperator, HubSpotOperator):
    """Move many contacts to the recycling bin, in hundreds.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param ids: record ids; any number
    :return: counts and reasons; each input's fate is in ``output``
    :raises LeadsWriteError: when more inputs failed than tolerated
    :raises ValueError: for an empty id
    """

    method = "batch_archive_contacts"
    repeatable = True
    ids: Templated[Ids]


class HubSpotAssociateContactOperator(HubSpotOperator):
    """Associate a contact with another record; repeating it changes nothing.

    https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

    :param contact_id: record id
    :param to_object_type: such as ``companies`` or ``notes``
    :param to_object_id: record id of the other
    :param types: association types, which replace the pair's labels; default the unlabelled association
    :return: HubSpot's answer
    :raises LeadsNotFoundError: when one of the records doesn't exist
    :raises ValueError: for an empty argument
    """

    method = "associate_contact"
    contact_id: Templated[str]
    to_object_type: Templated[str]
    to_object_id: Templated[str]
    types: Templated[Sequence[Any]] | None = None


class HubSpotRemoveAssociationOperator(HubSpotOperator):
    """Remove every association between a contact and another record.

    https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

    :param contact_id: record id
    :param to_object_type: such as ``companies``
    :param to_object_id: record id of the other
    :return: false when there was nothing to remove
    :raises ValueError: for an empty argument
    """

    method = "remove_association"
    contact_id: Templated[str]
    to_object_type: Templated[str]
    to_object_id: Templated[str]


class HubSpotListAssociationsOperator(RowsOperator, HubSpotOperator):
    """List the records of one type that a contact is associated with.

    https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

    :param contact_id: record id
    :param to_object_type: such as ``companies``
    :return: ``uri`` and ``rows`` with ``output``, else the associations
    :raises ValueError: for an empty argument
    """

    method = "list_associations"
    columns = ("toObjectId", "associationTypes")
    contact_id: Templated[str]
    to_object_type: Templated[str]


class HubSpotReadAssociationsOperator(BatchOperator, HubSpotOperator):
    """Read what many contacts are associated with, a thousand per request.

    https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

    :param contact_ids: record ids; any number
    :param to_object_type: such as ``companies``
    :return: counts and reasons; what each contact is associated with is in ``output``
    :raises LeadsWriteError: when more contacts could not be read than tolerated
    :raises ValueError: for an empty argument
    """

    method = "batch_read_associations"
    repeatable = True
    contact_ids: Templated[Ids]
    to_object_type: Templated[str]


class HubSpotListMembershipsOperator(RowsOperator, HubSpotOperator):
    """List the lists that a contact is in.

    https://developers.hubspot.com/docs/api-reference/latest/crm/lists/memberships/get-lists-per-record

    :param contact_id: record id
    :return: ``uri`` and ``rows`` with ``output``, else the memberships
    :raises LeadsPermissionError: when the key lacks ``crm.lists.read``
    :raises ValueError: for an empty ``contact_id``
    """

    method = "list_memberships"
    contact_id: Templated[str]


class HubSpotListAssociationLabelsOperator(RowsOperator, HubSpotOperator):
    """List the association types between contacts and another object type, with their ids.

    https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide

    :param to_object_type: such as ``companies``
    :return: ``uri`` and ``rows`` with ``output``, else the labels
    :raises ValueError: for an empty argument
    """

    method = "list_association_labels"
    columns = ("category", "typeId", "label")
    to_object_type: Templated[str]


class HubSpotPinActivityOperator(HubSpotOperator):
    """Pin an activity to a contact it is associated with; a contact has one pinned activity.

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide

    :param contact_id: record id
    :param activity_id: id of a note, call, meeting, task or e-mail
    :return: the record
    :raises LeadsValidationError: when the activity isn't associated with the contact
    :raises ValueError: for an empty argument
    """

    method = "pin_activity"
    contact_id: Templated[str]
    activity_id: Templated[str]


class HubSpotListPropertiesOperator(RowsOperator, HubSpotOperator):
    """List the definitions of contact properties.

    https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide

    :param archived: true lists archived properties instead; default false
    :param data_sensitivity: ``non_sensitive`` (HubSpot's default), ``sensitive`` or ``highly_sensitive``
    :return: ``uri`` and ``rows`` with ``output``, else the definitions
    :raises ValueError: for an unknown ``data_sensitivity``
    """

    method = "list_properties"
    columns = ("name", "label", "type", "fieldType", "groupName", "description", "options", "archived")
    archived: Templated[bool] = False
    data_sensitivity: Templated[str] | None = None


class HubSpotGetPropertyOperator(HubSpotOperator):
    """Read the definition of one contact property.

    https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide

    :param name: internal name
    :param archived: look among archived ones
    :param data_sensitivity: ``non_sensitive``, ``sensitive`` or ``highly_sensitive``; default any of them
    :return: the definition
    :raises LeadsNotFoundError: when there is no such property
    :raises ValueError: for an empty ``name``
    """

    method = "get_property"
    name: Templated[str]
    archived: Templated[bool] = False
    data_sensitivity: Templated[str] | None = None


class HubSpotCreatePropertyOperator(HubSpotOperator):
    """Create a contact property.

    https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide

    :param name: internal name: lower-case letters, digits, underscores; can't be changed later
    :param label: what users see
    :param type: ``string``, ``number``, ``bool``, ``date``, ``datetime``, ``enumeration`` or ``phone_number``
    :param field_type: form field, such as ``text``, ``select`` or ``booleancheckbox``
    :param group_name: property group, default ``contactinformation``
    :param options: choices of an enumeration: mappings with ``label`` and ``value``
    :return: the definition
    :raises LeadsConflictError: when there is one of that name
    :raises LeadsPermissionError: when the key lacks ``crm.schemas.contacts.write``
    :raises ValueError: for an unknown type or an empty argument
    """

    method = "create_property"
    name: Templated[str]
    property_label: Templated[str] = argument(alias="label")
    type: Templated[str]
    field_type: Templated[str]
    group_name: Templated[str] = "contactinformation"
    options: Templated[Sequence[Mapping[str, Any]]] | None = None


class HubSpotListPropertyGroupsOperator(RowsOperator, HubSpotOperator):
    """List the groups that contact properties are sorted into.

    https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide

    :return: ``uri`` and ``rows`` with ``output``, else the groups
    :raises LeadsPermissionError: when the key may not read contacts or their properties
    """

    method = "list_property_groups"
    columns = ("name", "label", "displayOrder", "archived")


class HubSpotCreatePropertyGroupOperator(HubSpotOperator):
    """Create a group of contact properties.

    https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide

    :param name: internal name: lower-case letters, digits, underscores; can't be changed later
    :param label: what users see
    :param display_order: position among the groups, lowest first; default after all others
    :return: the group
    :raises LeadsConflictError: when there is one of that name
    :raises LeadsPermissionError: when the key lacks ``crm.schemas.contacts.write``
    :raises ValueError: for an empty or malformed argument
    """

    method = "create_property_group"
    name: Templated[str]
    property_label: Templated[str] = argument(alias="label")
    display_order: Templated[int] | None = None


class HubSpotListOwnersOperator(RowsOperator, EmailOperator, HubSpotOperator):
    """List the owners that contacts can be given to.

    https://developers.hubspot.com/docs/api-reference/latest/crm/owners/guide

    :param email: only the owner of this address
    :param archived: true lists archived owners instead; default false
    :return: ``uri`` and ``rows`` with ``output``, else the owners
    :raises LeadsPermissionError: when the key lacks ``crm.objects.owners.read``
    """

    method = "list_owners"
    columns = ("id", "email", "type", "firstName", "lastName", "userId", "createdAt", "updatedAt", "archived", "teams")
    archived: Templated[bool] = False


class HubSpotGetOwnerOperator(HubSpotOperator):
    """Read one owner.

    https://developers.hubspot.com/docs/api-reference/latest/crm/owners/guide

    :param owner_id: owner id, or user id with ``id_property``
    :param id_property: ``id`` (default) or ``userId``
    :param archived: true reads an archived owner; default false
    :return: the owner
    :raises LeadsNotFoundError: when there is no such owner
    :raises ValueError: for an empty ``owner_id``
    """

    method = "get_owner"
    owner_id: Templated[str]
    id_property: Templated[str] = "id"
    archived: Templated[bool] = False
