"""Our hook and HubSpot's own client on one account: what either reads or writes, the other sees the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hubspot.crm.associations.v4 as links
import hubspot.crm.associations.v4.schema as schema
import hubspot.crm.contacts as contacts
import hubspot.crm.owners as owners
import hubspot.crm.properties as properties
import pytest
from hubspot import Client
from official import connect, typed

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.sandbox import Sandbox

WANTED = ["email", "phone", "lifecyclestage", "hs_additional_emails", "nonesuch"]
DECIDES = {"associationCategory": "USER_DEFINED", "associationTypeId": 36}
CONTACT, WITH_LINKS = "SimplePublicObject", "SimplePublicObjectWithAssociations"


@pytest.fixture
def hook(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    for name, value in sandbox.connection_env().items():
        monkeypatch.setenv(name, value)
    return HubSpotHook()


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return connect(sandbox.hubspot)


@pytest.fixture(scope="module", autouse=True)
def some_are_archived(sandbox: Sandbox) -> None:
    api = connect(sandbox.hubspot).crm.contacts
    ids = [contacts.SimplePublicObjectId(id=row.id) for row in api.get_all(limit=5)]
    api.batch_api.archive(contacts.BatchInputSimplePublicObjectId(inputs=ids))


def search_all(client: Client, **options: Any) -> list[Any]:
    found, after = [], None
    while True:
        page = client.crm.contacts.search_api.do_search(
            contacts.PublicObjectSearchRequest(limit=20, after=after, **options)
        )
        found += page.results
        if page.paging is None:
            return found
        after = page.paging.next.after


def linked_contact(client: Client) -> str:
    return next(row.id for row in client.crm.contacts.get_all(associations=["companies"]) if row.associations)


Reading = tuple[Any, str, Callable[[HubSpotHook, Client], Any], Callable[[Client], Any]]
# name: (package, model of a row, as our hook reads, as HubSpot's client reads)
READINGS: dict[str, Reading] = {
    "all contacts": (
        contacts, WITH_LINKS,
        lambda hook, _: hook.list_contacts(properties=WANTED, associations=["companies"], page_size=13),
        lambda client: client.crm.contacts.get_all(properties=WANTED, associations=["companies"]),
    ),
    "all contacts with their past": (
        contacts, WITH_LINKS,
        lambda hook, _: hook.list_contacts(properties_with_history=["email"]),
        lambda client: client.crm.contacts.get_all(properties_with_history=["email"]),
    ),
    "archived contacts": (
        contacts, WITH_LINKS,
        lambda hook, _: hook.list_contacts(archived=True, page_size=2),
        lambda client: client.crm.contacts.get_all(archived=True),
    ),
    "search by id": (
        contacts, CONTACT,
        lambda hook, _: hook.search_contacts(
            filter_groups=[{"filters": [{"propertyName": "lifecyclestage", "operator": "NEQ", "value": "lead"}]}],
            properties=WANTED,
            page_size=10,
        ),
        lambda client: search_all(
            client,
            filter_groups=[
                contacts.FilterGroup(
                    filters=[contacts.Filter(property_name="lifecyclestage", operator="NEQ", value="lead")]
                )
            ],
            properties=WANTED,
            sorts=["hs_object_id"],
        ),
    ),
    "sorted search": (
        contacts, CONTACT,
        lambda hook, _: hook.search_contacts(sorts=["-lastmodifieddate"], page_size=9),
        lambda client: search_all(client, sorts=["-lastmodifieddate"]),
    ),
    "properties": (
        properties, "ModelProperty",
        lambda hook, _: hook.list_properties(),
        lambda client: client.crm.properties.core_api.get_all("contacts").results,
    ),
    "owners": (
        owners, "PublicOwner",
        lambda hook, _: hook.list_owners(page_size=2),
        lambda client: client.crm.owners.get_all(),
    ),
    "links": (
        links, "MultiAssociatedObjectWithLabel",
        lambda hook, client: hook.list_associations(linked_contact(client), "companies"),
        lambda client: client.crm.associations.v4.basic_api.get_page(
            "contacts", linked_contact(client), "companies"
        ).results,
    ),
    "kinds of links": (
        schema, "AssociationSpecWithLabel",
        lambda hook, _: hook.list_association_labels("companies"),
        lambda client: client.crm.associations.v4.schema.definitions_api.get_all("contacts", "companies").results,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READINGS)
def test_both_read_the_same(hook: HubSpotHook, client: Client, name: str) -> None:
    package, model, ours, theirs = READINGS[name]
    rows = typed(package, list(ours(hook, client)), f"list[{model}]")
    assert rows
    assert rows == theirs(client)


def test_what_the_hook_upserts_is_read_back(hook: HubSpotHook, client: Client) -> None:
    basic = client.crm.contacts.basic_api
    given = contacts.SimplePublicObjectInputForCreate(
        properties={"email": "known@contract.example", "firstname": "Old", "city": "Stays", "phone": "+49 89 1"},
        associations=[],
    )
    known = basic.create(given)
    inputs: list[dict[str, Any]] = [
        {"email": " Known@Contract.example ", "firstname": "Zoë 🦊", "phone": ""},
        {"email": "plus+tag/slash@contract.example", "annualrevenue": 1250.5, "newsletter": True, "lastname": "O'Neil"},
        {"email": "many@contract.example", "product_interest": "solar;storage", "lead_source": 'a "b" <c>\n,d'},
        {"id": "keyed@contract.example", "properties": {"contract_start": "2026-02-28", "lifecyclestage": "customer"}},
        {"email": "bad@contract.example", "nonesuch": "1"},
        *({"email": f"row{n}@contract.example", "city": f"C{n}"} for n in range(120)),
    ]
    result = hook.batch_upsert_contacts(inputs)

    assert [failed.index for failed in result.failed] == [4]
    assert [done.index for done in result.succeeded if not done.new] == [0]
    assert result.succeeded[0].id == known.id
    stored = {row.id: row for row in client.crm.contacts.get_all(properties=sorted({*STORED, *WANTED}))}
    written = {done.index: stored[done.id].properties for done in result.succeeded}
    for index, expected in enumerate(EXPECTED):
        assert {name: written[index][name] for name in expected} == expected
    assert {written[n + 5]["email"]: written[n + 5]["city"] for n in range(120)} == {
        f"row{n}@contract.example": f"C{n}" for n in range(120)
    }
    assert "bad@contract.example" not in {row.properties["email"] for row in stored.values()}
    for done in result.succeeded[:4]:
        typed(contacts, done.record, "SimplePublicUpsertObject")


EXPECTED: tuple[dict[str, str | None], ...] = (
    {"email": "known@contract.example", "firstname": "Zoë 🦊", "city": "Stays", "phone": None},
    {"email": "plus+tag/slash@contract.example", "annualrevenue": "1250.5", "newsletter": "true", "lastname": "O'Neil"},
    {"email": "many@contract.example", "product_interest": "solar;storage", "lead_source": 'a "b" <c>\n,d'},
    {"email": "keyed@contract.example", "contract_start": "2026-02-28", "lifecyclestage": "customer"},
)
STORED = {name for expected in EXPECTED for name in expected}


def test_what_the_hook_does_to_one_contact_is_seen(hook: HubSpotHook, client: Client, sandbox: Sandbox) -> None:
    basic, v4 = client.crm.contacts.basic_api, client.crm.associations.v4.basic_api
    company = str(min(sandbox.hubspot.store.neighbours["companies"]))
    one, other = (
        typed(contacts, hook.create_contact({"email": f"{name}@hook.example"}, [(company, 279)]), CONTACT)
        for name in ("one", "other")
    )
    assert basic.get_by_id(one.id, associations=["companies"]).associations["companies"].results[0].id == company

    changed = hook.update_contact("one@hook.example", {"city": "Ulm"}, id_property="email")
    assert typed(contacts, changed, CONTACT).id == one.id
    assert basic.get_by_id(one.id, properties=["city"]).properties["city"] == "Ulm"
    assert typed(contacts, hook.get_contact(one.id, properties=["city"]), WITH_LINKS) == basic.get_by_id(
        one.id, properties=["city"]
    )

    typed(links, hook.associate_contact(one.id, "companies", company, [DECIDES]), "LabelsBetweenObjectPair")
    found = v4.get_page("contacts", one.id, "companies").results
    assert [t.label for row in found for t in row.association_types] == [None, "Decision maker"]
    typed(links, hook.associate_contact(other.id, "companies", company), "BatchResponsePublicDefaultAssociation")
    assert hook.remove_association(one.id, "companies", company) is True
    assert v4.get_page("contacts", one.id, "companies").results == []

    typed(contacts, hook.merge_contacts(one.id, other.id), CONTACT)
    assert basic.get_by_id("other@hook.example", id_property="email").id == one.id
    assert hook.archive_contact(one.id) is True
    assert basic.get_by_id(one.id, archived=True).archived
    hook.gdpr_delete_contact(one.id)
    with pytest.raises(contacts.exceptions.NotFoundException):
        basic.get_by_id(one.id, archived=True)
