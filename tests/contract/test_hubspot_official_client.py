"""The stand-in as HubSpot's own client sees it, so that the stand-in and our hook cannot share a misreading.

Each scenario names the endpoints it is about; together they must be all that the stand-in serves and the client has.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import hubspot.crm.associations.v4 as links
import hubspot.crm.contacts as contacts
import hubspot.crm.properties as properties
import pytest
from hubspot import Client
from official import DATED, ShapeError, connect, dated_path

from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.sandbox.hubspot.app import GUIDE, operations

OBJECTS, RECORDS = "/crm/v3/objects/{type}", "/crm/v4/objects/{from}/{fromId}/associations"
PAIRS, PROPERTIES, OWNERS = "/crm/v4/associations/{from}/{to}", "/crm/v3/properties/{type}", "/crm/v3/owners"
UNKNOWN = "999999"
SYSTEM = {"createdate", "hs_object_id", "lastmodifieddate"}
_numbers = count(1)


@dataclass
class Account:
    """The client, and what an account has that the client cannot make."""

    client: Client
    sandbox: Sandbox

    def company(self, index: int = 0) -> str:
        return str(sorted(self.sandbox.hubspot.store.neighbours["companies"])[index])

    def contact(self, **values: str) -> Any:
        given = contacts.SimplePublicObjectInputForCreate(properties={"email": new_email(), **values}, associations=[])
        return self.client.crm.contacts.basic_api.create(given)


def new_email() -> str:
    return f"ada+{next(_numbers)}/x@contract.example"


Scenario = Callable[[Account], None]
SCENARIOS: list[tuple[Scenario, frozenset[str]]] = []


def covers(*routes: str) -> Callable[[Scenario], Scenario]:
    def register(scenario: Scenario) -> Scenario:
        SCENARIOS.append((scenario, frozenset(routes)))
        return scenario

    return register


def spec(kind: int, category: str = "HUBSPOT_DEFINED", package: Any = links) -> Any:
    return package.AssociationSpec(association_category=category, association_type_id=kind)


def inputs_of(kind: str, rows: list[dict[str, Any]], item: str | None = None) -> Any:
    """Return a batch input of contacts."""
    rows_of = getattr(contacts, item or kind.removeprefix("BatchInput"))
    return getattr(contacts, kind)(inputs=[rows_of(**row) for row in rows])


@covers(
    f"POST {OBJECTS}", f"GET {OBJECTS}/{{id}}", f"PATCH {OBJECTS}/{{id}}", f"DELETE {OBJECTS}/{{id}}", f"GET {OBJECTS}"
)
def one_contact_lives_and_is_archived(account: Account) -> None:
    api, email = account.client.crm.contacts.basic_api, new_email()
    link = contacts.PublicAssociationsForObject(
        to=contacts.PublicObjectId(id=account.company()), types=[spec(279, package=contacts)]
    )
    given = contacts.SimplePublicObjectInputForCreate(
        properties={"email": email.upper(), "firstname": "Ada", "lastname": "L"}, associations=[link]
    )
    made = api.create(given)
    assert (made.properties["email"], made.archived, made.created_at) == (email, False, made.updated_at)

    change = contacts.SimplePublicObjectInput(properties={"firstname": "Åse", "lastname": ""})
    changed = api.update(email, change, id_property="email")
    assert (changed.id, changed.properties["lastname"]) == (made.id, None)
    assert changed.updated_at > made.updated_at

    read = api.get_by_id(
        email,
        id_property="email",
        properties=["email", "no_such_property"],
        properties_with_history=["firstname"],
        associations=["companies", "deals"],
    )
    assert read.properties.keys() == {"email", "firstname", *SYSTEM}
    assert [entry.value for entry in read.properties_with_history["firstname"]] == ["Åse", "Ada"]
    assert {kind: [(r.id, r.type) for r in found.results] for kind, found in read.associations.items()} == {
        "companies": [(account.company(), "contact_to_company")]
    }

    api.archive(made.id)
    with pytest.raises(contacts.exceptions.NotFoundException):
        api.get_by_id(made.id)
    binned = api.get_by_id(made.id, archived=True)
    assert binned.archived and binned.archived_at >= changed.updated_at
    assert made.id in {row.id for row in account.client.crm.contacts.get_all(archived=True)}


@covers(f"GET {OBJECTS}")
def pages_join_to_the_whole(account: Account) -> None:
    api, options = account.client.crm.contacts.basic_api, {"properties": ["email", "phone"], "associations": ["0-2"]}
    rows, after = [], None
    while True:
        page = api.get_page(limit=7, after=after, **options)
        rows += page.results
        if page.paging is None:
            break
        after = page.paging.next.after
        assert f"after={after}" in page.paging.next.link
    assert rows == account.client.crm.contacts.get_all(**options)
    assert [int(row.id) for row in rows] == account.sandbox.hubspot.store.live
    assert any(row.associations for row in rows)
    assert len(account.client.crm.contacts.get_all(properties_with_history=["email"])) == len(rows)


@covers(f"POST {OBJECTS}/merge", f"POST {OBJECTS}/gdpr-delete")
def contacts_are_joined_and_forgotten(account: Account) -> None:
    api = account.client.crm.contacts.basic_api
    kept, gone = account.contact(firstname="Kept"), account.contact(firstname="Gone", company="Filled in")
    both = api.merge(contacts.PublicMergeInput(primary_object_id=kept.id, object_id_to_merge=gone.id))
    assert both.id == kept.id
    survivor = api.get_by_id(gone.properties["email"], id_property="email", properties=["firstname", "company"])
    assert (survivor.id, survivor.properties["firstname"], survivor.properties["company"]) == (
        kept.id, "Kept", "Filled in",
    )  # fmt: skip
    api.purge(contacts.PublicGdprDeleteInput(object_id=kept.properties["email"], id_property="email"))
    for archived in (False, True):
        with pytest.raises(contacts.exceptions.NotFoundException):
            api.get_by_id(kept.id, archived=archived)


@covers(*(f"POST {OBJECTS}/batch/{verb}" for verb in ("create", "read", "update", "upsert", "archive")))
def batches_succeed(account: Account) -> None:
    api, emails = account.client.crm.contacts.batch_api, [new_email() for _ in range(3)]
    made = api.create(
        inputs_of(
            "BatchInputSimplePublicObjectBatchInputForCreate",
            [{"properties": {"email": email}, "associations": []} for email in emails],
        )
    )
    ids = {row.properties["email"]: row.id for row in made.results}
    assert (made.status, ids.keys()) == ("COMPLETE", set(emails))

    changes = [{"id": ids[email], "properties": {"city": email}} for email in emails]
    changed = api.update(inputs_of("BatchInputSimplePublicObjectBatchInput", changes))
    assert {row.properties["city"] for row in changed.results} == set(emails)

    upserts = [
        {"id": email, "id_property": "email", "properties": {"city": "Ulm"}} for email in (emails[0], new_email())
    ]
    upserted = api.upsert(inputs_of("BatchInputSimplePublicObjectBatchInputUpsert", upserts))
    assert {row.properties["email"]: row.new for row in upserted.results} == {
        emails[0]: False, upserts[1]["id"]: True,
    }  # fmt: skip

    api.archive(inputs_of("BatchInputSimplePublicObjectId", [{"id": ids[emails[2]]}], "SimplePublicObjectId"))
    left = read_by_email(account, emails)
    assert {row.properties["email"]: row.properties["city"] for row in left.results} == {
        emails[0]: "Ulm", emails[1]: emails[1],
    }  # fmt: skip
    assert (left.num_errors, left.errors[0].category) == (1, "OBJECT_NOT_FOUND")
    assert left.errors[0].context == {"ids": [emails[2]]}
    binned = api.read(
        contacts.BatchReadInputSimplePublicObjectId(
            inputs=[contacts.SimplePublicObjectId(id=ids[emails[2]])], properties=[], properties_with_history=["city"]
        ),
        archived=True,
    )
    assert [(row.id, row.archived) for row in binned.results] == [(ids[emails[2]], True)]
    assert binned.results[0].properties_with_history["city"][0].value == emails[2]


def read_by_email(account: Account, emails: list[str]) -> Any:
    given = contacts.BatchReadInputSimplePublicObjectId(
        inputs=[contacts.SimplePublicObjectId(id=email) for email in emails],
        id_property="email",
        properties=["email", "city"],
        properties_with_history=[],
    )
    return account.client.crm.contacts.batch_api.read(given)


@covers(*(f"POST {OBJECTS}/batch/{verb}" for verb in ("create", "update", "upsert")))
def batches_fail_in_part(account: Account) -> None:
    api, taken = account.client.crm.contacts.batch_api, account.contact()
    good, bad = new_email(), {"no_such_property": "1"}
    answers = {
        "create": api.create(
            inputs_of(
                "BatchInputSimplePublicObjectBatchInputForCreate",
                [
                    {"properties": {"email": good}, "object_write_trace_id": "good", "associations": []},
                    {"properties": {"email": taken.properties["email"]}, "object_write_trace_id": "bad"},
                ],
            )
        ),
        "update": api.update(
            inputs_of(
                "BatchInputSimplePublicObjectBatchInput",
                [
                    {"id": taken.id, "properties": {"city": "Ulm"}, "object_write_trace_id": "good"},
                    {"id": UNKNOWN, "properties": {"city": "Ulm"}, "object_write_trace_id": "bad"},
                ],
            )
        ),
        "upsert": api.upsert(
            inputs_of(
                "BatchInputSimplePublicObjectBatchInputUpsert",
                [
                    {"id": good, "id_property": "email", "properties": {}, "object_write_trace_id": "good"},
                    {"id": new_email(), "id_property": "email", "properties": bad, "object_write_trace_id": "bad"},
                ],
            )
        ),
    }
    for verb, answer in answers.items():
        assert type(answer).__name__.endswith("WithErrors"), verb
        assert (len(answer.results), answer.num_errors, len(answer.errors)) == (1, 1, 1), verb
        assert answer.errors[0].context["objectWriteTraceId"] == ["bad"], verb
    errors = {verb: answer.errors[0] for verb, answer in answers.items()}
    assert {verb: (error.status, error.category) for verb, error in errors.items()} == {
        "create": ("error", "CONFLICT"),
        "update": ("error", "OBJECT_NOT_FOUND"),
        "upsert": ("error", "VALIDATION_ERROR"),
    }
    assert errors["create"].context["existingId"] == [taken.id]
    assert errors["update"].context["ids"] == [UNKNOWN]
    detail = errors["upsert"].errors[0]
    assert (detail.code, detail.context) == ("PROPERTY_DOESNT_EXIST", {"propertyName": ["no_such_property"]})


@covers(f"POST {OBJECTS}/search")
def search_finds(account: Account) -> None:
    api, city = account.client.crm.contacts.search_api, f"City {next(_numbers)}"
    made = [account.contact(city=city, firstname=name, lastname=city.replace(" ", "")) for name in "CABED"]
    ids = [int(contact.id) for contact in made]

    def find(*filters: tuple[str, str, dict[str, Any]], **options: Any) -> list[str]:
        names, after, total = [], None, None
        given = [contacts.Filter(property_name=n, operator=o, **value) for n, o, value in filters]
        while True:
            request = contacts.PublicObjectSearchRequest(
                filter_groups=[contacts.FilterGroup(filters=given)] if given else [],
                properties=["firstname"],
                limit=2,
                after=after,
                **options,
            )
            page = api.do_search(request)
            total = page.total if total is None else total
            names += [row.properties["firstname"] for row in page.results]
            if page.paging is None:
                assert len(names) == total == page.total
                return names
            after = page.paging.next.after

    here = ("city", "EQ", {"value": city})
    assert find(here) == list("CABED")
    assert find(here, sorts=["firstname"]) == list("ABCDE")
    assert find(here, sorts=["-hs_object_id"]) == list("DEBAC")
    assert find(here, query="cab") == []
    assert find(query=made[0].properties["lastname"]) == list("CABED")
    cases: dict[str, tuple[str, str, dict[str, Any]]] = {
        "AB": ("firstname", "IN", {"values": ["a", "b"]}),
        "CED": ("firstname", "NOT_IN", {"values": ["a", "b"]}),
        "CABE": ("firstname", "NEQ", {"value": "D"}),
        "ABE": ("hs_object_id", "BETWEEN", {"value": str(ids[1]), "high_value": str(ids[3])}),
        "ED": ("hs_object_id", "GT", {"value": str(ids[2])}),
        "BED": ("hs_object_id", "GTE", {"value": str(ids[2])}),
        "C": ("hs_object_id", "LT", {"value": str(ids[1])}),
        "CA": ("hs_object_id", "LTE", {"value": str(ids[1])}),
        "B": ("firstname", "CONTAINS_TOKEN", {"value": "b*"}),
        "CAED": ("firstname", "NOT_CONTAINS_TOKEN", {"value": "b"}),
        "CABED": ("lastname", "HAS_PROPERTY", {}),
        "": ("lastname", "NOT_HAS_PROPERTY", {}),
    }
    assert {expected: "".join(find(here, one)) for expected, one in cases.items()} == {case: case for case in cases}


@covers(
    f"GET {PROPERTIES}", f"POST {PROPERTIES}", *(f"{verb} {PROPERTIES}/{{name}}" for verb in ("GET", "PATCH", "DELETE"))
)
def properties_are_defined(account: Account) -> None:
    api, name = account.client.crm.properties.core_api, f"colour_{next(_numbers)}"
    made = api.create("contacts", definition(name, options=["red", "green"]))
    assert [(o.label, o.value, o.hidden) for o in made.options] == [("red", "red", False), ("green", "green", False)]
    assert (made.hubspot_defined, made.modification_metadata.read_only_value, made.has_unique_value) == (
        False, False, False,
    )  # fmt: skip
    changed = api.update("contacts", name, properties.PropertyUpdate(label="Farbe"))
    assert (changed.label, changed.name, changed.options) == ("Farbe", name, made.options)
    assert api.get_by_name("contacts", name) == changed
    everything = api.get_all("contacts").results
    assert changed in everything
    assert next(p for p in everything if p.name == "hs_object_id").modification_metadata.read_only_value

    api.archive("contacts", name)
    with pytest.raises(properties.exceptions.NotFoundException):
        api.get_by_name("contacts", name)
    binned = api.get_by_name("contacts", name, archived=True)
    assert binned.archived and binned.archived_at >= made.created_at
    assert binned in api.get_all("contacts", archived=True).results


def definition(name: str, options: list[str] | None = None, group: str = "contactinformation") -> Any:
    return properties.PropertyCreate(
        name=name,
        label=name.capitalize(),
        type="enumeration" if options else "string",
        field_type="select" if options else "text",
        group_name=group,
        options=[
            properties.OptionInput(label=o, value=o, hidden=False, display_order=place)
            for place, o in enumerate(options or ())
        ],
    )


@covers(
    f"GET {PROPERTIES}/groups",
    f"POST {PROPERTIES}/groups",
    *(f"POST {PROPERTIES}/batch/{verb}" for verb in ("create", "read", "archive")),
)
def properties_are_grouped_and_batched(account: Account) -> None:
    api, number = account.client.crm.properties, next(_numbers)
    group = properties.PropertyGroupCreate(name=f"group_{number}", label="Ours", display_order=3)
    made = api.groups_api.create("contacts", group)
    assert (made.name, made.label, made.display_order, made.archived) == (group.name, "Ours", 3, False)
    assert made in api.groups_api.get_all("contacts").results

    names = [properties.PropertyName(name=f"batched_{number}_{letter}") for letter in "ab"]
    given = [definition(name.name, group=group.name) for name in names]
    created = api.batch_api.create("contacts", properties.BatchInputPropertyCreate(inputs=given))
    assert {(p.name, p.group_name) for p in created.results} == {(name.name, group.name) for name in names}

    def read(*, archived: bool) -> set[str]:
        asked = properties.BatchReadInputPropertyName(inputs=names, archived=archived)
        return {p.name for p in api.batch_api.read("contacts", asked).results}

    api.batch_api.archive("contacts", properties.BatchInputPropertyName(inputs=names[:1]))
    assert (read(archived=False), read(archived=True)) == ({names[1].name}, {names[0].name})


@covers(f"GET {OWNERS}/", f"GET {OWNERS}/{{id}}")
def owners_are_listed(account: Account) -> None:
    api = account.client.crm.owners.owners_api
    first = api.get_page(limit=1)
    rest = api.get_page(limit=100, after=first.paging.next.after)
    owners = [*first.results, *rest.results]
    assert rest.paging is None
    assert {(owner.type, owner.archived) for owner in owners} == {("PERSON", False), ("QUEUE", False)}
    assert owners == account.client.crm.owners.get_all()
    person = next(owner for owner in owners if owner.type == "PERSON")
    assert api.get_page(email=person.email).results == [person]
    assert api.get_by_id(int(person.id)) == api.get_by_id(person.user_id, id_property="userId") == person
    gone = api.get_page(archived=True).results
    assert [(owner.archived, owner.user_id) for owner in gone] == [(True, None)]


@covers(
    f"PUT {RECORDS}/default/{{to}}/{{toId}}",
    *(f"{verb} {RECORDS}/{{to}}/{{toId}}" for verb in ("PUT", "DELETE")),
    f"GET {RECORDS}/{{to}}",
    f"GET {PAIRS}/labels",
)
def one_pair_is_linked(account: Account) -> None:
    v4, contact, company = account.client.crm.associations.v4, account.contact().id, account.company()
    api, pair = v4.basic_api, ("contacts", contact, "companies", company)

    def linked() -> dict[str, list[tuple[str, int, str | None]]]:
        rows = api.get_page("contacts", contact, "companies", limit=500).results
        return {r.to_object_id: [(t.category, t.type_id, t.label) for t in r.association_types] for r in rows}

    plain, label = ("HUBSPOT_DEFINED", 279, None), ("USER_DEFINED", 36, "Decision maker")
    default = api.create_default(*pair)
    assert [(r._from.id, r.to.id, r.association_spec) for r in default.results] == [
        (contact, company, spec(279, package=links))
    ]
    assert linked() == {company: [plain]}
    both = api.create(*pair, [spec(36, "USER_DEFINED")])
    assert (both.from_object_type_id, both.from_object_id, both.to_object_type_id, both.to_object_id) == (
        "0-1", contact, "0-2", company,
    )  # fmt: skip
    assert both.labels == ["Decision maker"]
    assert linked() == {company: [plain, label]}
    known = v4.schema.definitions_api.get_all("contacts", "companies").results
    assert {plain, label} <= {(t.category, t.type_id, t.label) for t in known}

    api.create_default("contacts", contact, "companies", account.company(1))
    first = api.get_page("contacts", contact, "companies", limit=1)
    second = api.get_page("contacts", contact, "companies", limit=1, after=first.paging.next.after)
    assert [r.to_object_id for r in (*first.results, *second.results)] == [company, account.company(1)]
    assert second.paging is None
    for other in (company, account.company(1)):
        api.archive("contacts", contact, "companies", other)
    assert linked() == {}


@covers(
    *(
        f"POST {PAIRS}/batch/{verb}"
        for verb in ("associate/default", "create", "read", "archive", "labels/archive")
    )
)  # fmt: skip
def many_pairs_are_linked(account: Account) -> None:
    api, ends, company = account.client.crm.associations.v4.batch_api, ("contacts", "companies"), account.company()
    one, two = account.contact().id, account.contact().id
    ref = links.PublicObjectId

    def linked() -> Any:
        asked = [links.PublicFetchAssociationsBatchRequest(id=n) for n in (one, two)]
        found = api.get_page(*ends, links.BatchInputPublicFetchAssociationsBatchRequest(inputs=asked))
        return {r._from.id: [t.type_id for to in r.to for t in to.association_types] for r in found.results}

    pairs = [links.PublicDefaultAssociationMultiPost(_from=ref(id=n), to=ref(id=company)) for n in (one, UNKNOWN)]
    default = api.create_default(*ends, links.BatchInputPublicDefaultAssociationMultiPost(inputs=pairs))
    assert ([r._from.id for r in default.results], default.num_errors) == ([one], 1)

    posts = [
        links.PublicAssociationMultiPost(_from=ref(id=n), to=ref(id=company), types=[spec(36, "USER_DEFINED")])
        for n in (one, two, UNKNOWN)
    ]
    made = api.create(*ends, links.BatchInputPublicAssociationMultiPost(inputs=posts[:2]))
    assert sorted(r.from_object_id for r in made.results) == sorted((one, two))
    part = api.create(*ends, links.BatchInputPublicAssociationMultiPost(inputs=posts))
    assert (len(part.results), part.num_errors, part.errors[0].category) == (2, 1, "OBJECT_NOT_FOUND")
    assert part.errors[0].context == {"id": [UNKNOWN]}
    assert linked() == {one: [279, 36], two: [279, 36]}

    api.archive_labels(*ends, links.BatchInputPublicAssociationMultiPost(inputs=posts[:1]))
    assert linked() == {one: [279], two: [279, 36]}
    gone = [links.PublicAssociationMultiArchive(_from=ref(id=n), to=[ref(id=company)]) for n in (one, two)]
    api.archive(*ends, links.BatchInputPublicAssociationMultiArchive(inputs=gone))
    assert not any(linked().values())


@covers("POST /oauth/v1/token")
def a_refresh_token_gives_access(account: Account) -> None:
    config = account.sandbox.config
    answer = account.client.oauth.tokens_api.create(
        grant_type="refresh_token",
        client_id=config.oauth_client_id,
        client_secret=config.oauth_client_secret,
        refresh_token=config.oauth_refresh_token,
    )
    assert (answer.token_type, answer.expires_in) == ("bearer", 1800)
    assert answer.refresh_token == config.oauth_refresh_token
    granted = connect(account.sandbox.hubspot, key=answer.access_token)
    assert granted.crm.contacts.basic_api.get_page(limit=1).results


@pytest.mark.parametrize(
    ("scenario", "routes", "dated"),
    [
        pytest.param(scenario, routes, dated, id=f"{scenario.__name__}-{DATED if dated else 'first'}")
        for scenario, routes in SCENARIOS
        for dated in (False, True)
        if not dated or any(dated_path(route) != route for route in routes)
    ],
)
def test_scenario(sandbox: Sandbox, scenario: Scenario, routes: frozenset[str], dated: bool) -> None:
    sandbox.hubspot.stats.reset()
    scenario(Account(connect(sandbox.hubspot, dated=dated), sandbox))
    assert {dated_path(route) if dated else route for route in routes} <= set(sandbox.hubspot.stats.by_route)


def test_scenarios_cover_what_is_served() -> None:
    served = {f"{operation.method} {operation.path}" for operation in operations()}
    # The client has no dated paths, no account information, no token call after the first version's; of its lists it
    # knows no record's own.
    mine = {r for r in served if re.search(r" /(crm/v[34]/(?!lists)|oauth/v1/)", r) and not r.endswith((GUIDE, OWNERS))}
    assert mine == frozenset().union(*(routes for _, routes in SCENARIOS))


@pytest.mark.parametrize(
    ("path", "name"),
    [("/account-info/v3/details", "portalId"), ("/account-info/v3/api-usage/daily/private-apps", "results")],
)
def test_untyped_requests(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, path: str, name: str) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    answer = connect(sandbox.hubspot).api_request({"path": path})
    assert (answer.status_code, name in answer.json()) == (200, True)


GOOD = {
    "id": "1", "properties": {}, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {k: v for k, v in GOOD.items() if k != "createdAt"}, ValueError),
        (200, GOOD | {"id": None}, ValueError),
        (200, GOOD | {"id": 1}, ShapeError),
        (200, GOOD | {"properties": {"age": 7}}, ShapeError),
        (200, GOOD | {"createdAt": "2026-01-01T00:00:00"}, ShapeError),
        (200, GOOD | {"vid": 1}, ShapeError),
        (201, GOOD, ShapeError),
    ],
)
def test_other_shapes_would_be_noticed(sandbox: Sandbox, status: int, body: Any, error: type[Exception]) -> None:
    api = connect(sandbox.hubspot).crm.contacts.basic_api
    sandbox.hubspot.faults = lambda index, call: Fault(status=status, body=body)
    try:
        with pytest.raises(error):
            api.get_by_id("1")
    finally:
        sandbox.hubspot.faults = None
