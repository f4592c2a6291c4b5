"""What each HubSpot operator is given, and what must have become of it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from operator_runs import World, case

from airflow_providers_leads.operators import hubspot as op
from airflow_providers_leads.sandbox.hubspot.store import Contact

Run = Generator[dict[str, Any], Any, None]
COMPANY, NOTE = {("HUBSPOT_DEFINED", 279)}, {("HUBSPOT_DEFINED", 201)}
MANY = 105  # more than one request takes


def ids(contacts: list[Contact]) -> list[str]:
    return [str(contact.id) for contact in contacts]


@case(op.HubSpotListContactsOperator)
def contacts_are_listed(at: World) -> Run:
    rows = yield {"properties": "email,city", "page_size": 7}
    assert [int(row["id"]) for row in rows] == at.hubspot.live
    held = [at.hubspot.contacts[number].properties for number in at.hubspot.live]
    for name in ("email", "city"):
        assert [row["properties"][name] for row in rows] == [values.get(name) for values in held]
    at.hubspot.archive(*at.contacts(1))
    rows = yield {"archived": True}
    assert [int(row["id"]) for row in rows] == at.hubspot.archived


@case(op.HubSpotGetContactOperator)
def a_contact_is_read(at: World) -> Run:
    contact, company = at.linked("companies", COMPANY)
    email = contact.properties["email"]
    found = yield {
        "contact_id": email.upper(),
        "id_property": "email",
        "properties": ["email"],
        "properties_with_history": ["firstname"],
        "associations": ["companies"],
    }
    assert (found["id"], found["properties"]["email"]) == (str(contact.id), email)
    assert [past["value"] for past in found["propertiesWithHistory"]["firstname"]] == ["Ann"]
    assert [other["id"] for other in found["associations"]["companies"]["results"]] == [str(company)]


@case(op.HubSpotCreateContactOperator)
def a_contact_is_created_with_company_and_pinned_note(at: World) -> Run:
    email, company, note = at.email(), at.neighbour("companies"), at.neighbour("notes")
    made = yield {
        "properties": {"email": email, "hs_pinned_engagement_id": note},
        "associations": [[company, 279], [note, 201]],
    }
    assert at.hubspot.resolve(email, "email").id == int(made["id"])
    assert at.hubspot.contacts[int(made["id"])].properties["hs_pinned_engagement_id"] == str(note)
    assert at.links(made["id"], "companies") == {company: {279}}
    assert at.links(made["id"], "notes") == {note: {201}}


@case(op.HubSpotUpdateContactOperator)
def a_contact_is_changed_and_its_stage_moved_back(at: World) -> Run:
    [contact] = at.contacts(1, lifecyclestage="customer")
    changed = yield {
        "contact_id": contact.properties["email"],
        "id_property": "email",
        "properties": {"city": "Ulm", "firstname": "", "lifecyclestage": "lead"},
        "clear_lifecyclestage_first": "true",
    }
    assert changed["id"] == str(contact.id)
    written = {name: contact.properties[name] for name in ("city", "firstname", "lifecyclestage")}
    assert written == {"city": "Ulm", "firstname": "", "lifecyclestage": "lead"}


@case(op.HubSpotArchiveContactOperator)
def a_contact_is_archived_once(at: World) -> Run:
    [contact] = at.contacts(1)
    for archived in (True, False):
        assert (yield {"contact_id": str(contact.id)}) is archived
    assert contact.id in at.hubspot.archived
    assert contact.id not in at.hubspot.live


@case(op.HubSpotGdprDeleteContactOperator)
def a_contact_is_forgotten_and_an_unknown_address_blocked(at: World) -> Run:
    [contact], unknown = at.contacts(1), at.email()
    assert (yield {"contact_id": str(contact.id)}) is None
    assert contact.id not in at.hubspot.contacts
    assert (yield {"email": unknown}) is None
    assert unknown in at.hubspot.blocked


@case(op.HubSpotMergeContactsOperator)
def a_contact_goes_into_another(at: World) -> Run:
    primary, other = at.contacts(2)
    survivor = yield {"primary_id": str(primary.id), "merged_id": str(other.id)}
    assert survivor["id"] == str(primary.id)
    assert at.hubspot.merged[other.id] == primary.id
    assert at.hubspot.resolve(other.properties["email"], "email") is primary


@case(op.HubSpotSearchContactsOperator)
def contacts_are_found(at: World) -> Run:
    wanted = at.contacts(12, city="Bonn", company=f"Seek {at.number()}")
    company = wanted[0].properties["company"]
    alike = {"propertyName": "company", "operator": "EQ", "value": company}
    rows = yield {"filter_groups": [{"filters": [alike]}], "properties": ["city"], "page_size": 5}
    assert [row["id"] for row in rows] == ids(wanted)
    assert {row["properties"]["city"] for row in rows} == {"Bonn"}


@case(op.HubSpotReadContactsOperator)
def many_contacts_are_read(at: World) -> Run:
    wanted = at.contacts(MANY)
    rows = yield {"ids": [contact.properties["email"] for contact in wanted], "id_property": "email"}
    assert [row["id"] for row in rows] == ids(wanted)


@case(op.HubSpotCreateContactsOperator)
def many_contacts_are_created(at: World) -> Run:
    emails, company = at.emails(MANY), at.neighbour("companies")
    rows = yield {"inputs": [{"properties": {"email": e}, "associations": [[company, 279]]} for e in emails]}
    assert [row["id"] for row in rows] == ids([at.hubspot.resolve(email, "email") for email in emails])
    assert all(at.links(row["id"], "companies") == {company: {279}} for row in rows)


@case(op.HubSpotUpdateContactsOperator)
def many_contacts_are_changed(at: World) -> Run:
    contacts = at.contacts(MANY)
    rows = yield {"inputs": [{"id": str(c.id), "properties": {"city": f"C{c.id}"}} for c in contacts]}
    assert [row["id"] for row in rows] == ids(contacts)
    assert all(contact.properties["city"] == f"C{contact.id}" for contact in contacts)


@case(op.HubSpotUpsertContactsOperator)
def many_contacts_are_changed_or_created(at: World) -> Run:
    known = [contact.properties["email"] for contact in at.contacts(50)]
    emails = known + at.emails(MANY - len(known))
    rows = yield {"inputs": [{"id": email, "properties": {"city": "Jena"}} for email in emails]}
    assert [row["new"] for row in rows] == [email not in known for email in emails]
    assert {at.hubspot.resolve(email, "email").properties["city"] for email in emails} == {"Jena"}


@case(op.HubSpotArchiveContactsOperator)
def many_contacts_are_archived(at: World) -> Run:
    contacts = at.contacts(MANY)
    rows = yield {"ids": ids(contacts)}
    assert len(rows) == MANY
    assert {contact.id for contact in contacts} <= set(at.hubspot.archived)


@case(op.HubSpotAssociateContactOperator)
def a_contact_is_associated_without_and_with_a_label(at: World) -> Run:
    [contact], company = at.contacts(1), at.neighbour("companies")
    pair = {"contact_id": str(contact.id), "to_object_type": "companies", "to_object_id": str(company)}
    yield pair
    assert at.links(contact, "companies") == {company: {279}}
    answer = yield {**pair, "types": [{"associationCategory": "USER_DEFINED", "associationTypeId": 36}]}
    assert at.links(contact, "companies") == {company: {279, 36}}
    assert answer["labels"] == ["Decision maker"]


@case(op.HubSpotRemoveAssociationOperator)
def an_association_is_removed(at: World) -> Run:
    contact, company = at.linked("companies", COMPANY)
    pair = {"contact_id": str(contact.id), "to_object_type": "companies", "to_object_id": str(company)}
    assert (yield pair) is True
    assert at.links(contact, "companies") == {}


@case(op.HubSpotListAssociationsOperator)
def associations_are_listed(at: World) -> Run:
    contact, company = at.linked("companies", COMPANY | {("USER_DEFINED", 38)})
    rows = yield {"contact_id": str(contact.id), "to_object_type": "companies"}
    assert [row["toObjectId"] for row in rows] == [company]
    assert {kind["typeId"]: kind["label"] for kind in rows[0]["associationTypes"]} == {279: None, 38: "Billing contact"}


@case(op.HubSpotReadAssociationsOperator)
def links_of_many_contacts_are_read(at: World) -> Run:
    contacts, company = at.contacts(1_005), at.neighbour("companies")
    for contact in contacts[1:]:
        at.hubspot.link(("contacts", contact.id), ("companies", company), COMPANY)
    rows = yield {"contact_ids": ids(contacts), "to_object_type": "companies"}
    assert [[to["toObjectId"] for to in row["record"]["to"]] for row in rows] == [[], *[[company]] * 1_004]


@case(op.HubSpotListMembershipsOperator)
def lists_of_a_contact_are_listed(at: World) -> Run:
    [contact] = at.contacts(1)
    at.hubspot.memberships[contact.id] = {"7": at.hubspot.born, "9": at.hubspot.born}
    rows = yield {"contact_id": str(contact.id)}
    assert [row["listId"] for row in rows] == ["7", "9"]


@case(op.HubSpotListAssociationLabelsOperator)
def labels_are_listed(at: World) -> Run:
    rows = yield {"to_object_type": "companies"}
    assert {row["label"]: row["typeId"] for row in rows} == {
        None: 279, "Primary": 1, "Decision maker": 36, "Billing contact": 38,
    }  # fmt: skip


@case(op.HubSpotPinActivityOperator)
def an_activity_is_pinned(at: World) -> Run:
    contact, note = at.linked("notes", NOTE)
    pinned = yield {"contact_id": str(contact.id), "activity_id": str(note)}
    assert pinned["properties"]["hs_pinned_engagement_id"] == str(note)
    assert contact.properties["hs_pinned_engagement_id"] == str(note)


@case(op.HubSpotListPropertiesOperator)
def properties_are_listed(at: World) -> Run:
    rows = yield {}
    assert [(row["name"], row["type"]) for row in rows] == [(n, p["type"]) for n, p in at.hubspot.properties.items()]
    rows = yield {"data_sensitivity": "sensitive"}
    assert rows == []


@case(op.HubSpotGetPropertyOperator)
def a_property_is_read(at: World) -> Run:
    assert (yield {"name": "lifecyclestage"}) == at.hubspot.properties["lifecyclestage"]


@case(op.HubSpotCreatePropertyOperator)
def a_property_is_created(at: World) -> Run:
    options = [{"label": "Roof", "value": "roof"}, {"label": "Field", "value": "field"}]
    given = {"name": f"site_{at.number()}", "label": "Site", "type": "enumeration", "options": options}
    made = yield {**given, "field_type": "select"}
    held = at.hubspot.properties[given["name"]]
    assert made == held
    assert (held["fieldType"], held["groupName"]) == ("select", "contactinformation")
    assert [option["value"] for option in held["options"]] == ["roof", "field"]


@case(op.HubSpotListPropertyGroupsOperator)
def property_groups_are_listed(at: World) -> Run:
    rows = yield {}
    assert [row["name"] for row in rows] == list(at.hubspot.groups)


@case(op.HubSpotCreatePropertyGroupOperator)
def a_property_group_is_created(at: World) -> Run:
    name = f"group_{at.number()}"
    made = yield {"name": name, "label": "Mine", "display_order": "3"}
    assert made == at.hubspot.groups[name]
    assert (made["label"], made["displayOrder"]) == ("Mine", 3)


@case(op.HubSpotListOwnersOperator)
def owners_are_listed(at: World) -> Run:
    for archived in (False, True):
        rows = yield {"archived": archived}
        assert [row["id"] for row in rows] == [o["id"] for o in at.hubspot.owners if o["archived"] is archived]
    rows = yield {"email": at.hubspot.owners[1]["email"]}
    assert [row["id"] for row in rows] == [at.hubspot.owners[1]["id"]]


@case(op.HubSpotGetOwnerOperator)
def an_owner_is_read_by_either_id(at: World) -> Run:
    owner = at.hubspot.owners[0]
    assert (yield {"owner_id": owner["id"]}) == owner
    assert (yield {"owner_id": str(owner["userId"]), "id_property": "userId"}) == owner
