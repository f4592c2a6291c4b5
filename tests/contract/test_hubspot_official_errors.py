"""The stand-in's refusals as HubSpot's own client raises them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import hubspot.crm.associations.v4 as links
import hubspot.crm.contacts as contacts
import hubspot.crm.properties as properties
import hubspot.oauth as oauth
import pytest
from hubspot import Client
from official import connect, typed

from airflow_providers_leads.sandbox import Sandbox

READER = "reads-contacts"
CREATE = contacts.SimplePublicObjectInputForCreate


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=10, limits=False, hubspot_tokens={READER: ["crm.objects.contacts.read"]}) as running:
        yield running


@pytest.fixture
def somebody(sandbox: Sandbox) -> Any:
    return next(
        row for row in connect(sandbox.hubspot).crm.contacts.get_all(properties=["email"]) if row.properties["email"]
    )


def upsert(*emails: str, **values: str) -> Any:
    row = contacts.SimplePublicObjectBatchInputUpsert
    inputs = [row(id=email, id_property="email", properties=values) for email in emails]
    return contacts.BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs)


def find(**options: Any) -> Any:
    return contacts.PublicObjectSearchRequest(**options)


def link(client: Client, kind: int) -> Any:
    types = [links.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=kind)]
    return client.crm.associations.v4.basic_api.create("contacts", "999999", "companies", "20000001", types)


NONESUCH = contacts.FilterGroup(filters=[contacts.Filter(property_name="nonesuch", operator="HAS_PROPERTY")])
Call = Callable[[Client, Any], Any]
INVALID, ABSENT = "VALIDATION_ERROR", "OBJECT_NOT_FOUND"
# name: (package, call with a client and somebody it knows, status, category, part of the body)
REFUSALS: dict[str, tuple[Any, Call, int, str, dict[str, Any]]] = {
    "taken address": (
        contacts,
        lambda client, known: client.crm.contacts.basic_api.create(
            CREATE(properties={"email": known.properties["email"]}, associations=[])
        ),
        409, "CONFLICT", {"context": "existingId"},
    ),
    "unknown property": (
        contacts,
        lambda client, known: client.crm.contacts.basic_api.update(
            known.id, contacts.SimplePublicObjectInput(properties={"nonesuch": "1"})
        ),
        400, INVALID, {"code": "PROPERTY_DOESNT_EXIST"},
    ),
    "bad address": (
        contacts,
        lambda client, known: client.crm.contacts.basic_api.create(
            CREATE(properties={"email": "no address"}, associations=[])
        ),
        400, INVALID, {"code": "INVALID_EMAIL"},
    ),
    "untraced upsert of a bad value": (
        contacts,
        lambda client, known: client.crm.contacts.batch_api.upsert(upsert("a@b.example", annualrevenue="much")),
        400, INVALID, {"code": "INVALID_INTEGER"},
    ),
    "one id twice": (
        contacts,
        lambda client, known: client.crm.contacts.batch_api.upsert(upsert("a@b.example", "A@b.example")),
        400, INVALID, {"context": "ids"},
    ),
    "101 inputs": (
        contacts,
        lambda client, known: client.crm.contacts.batch_api.upsert(upsert(*(f"{n}@b.example" for n in range(101)))),
        400, INVALID, {},
    ),
    "key that is not unique": (
        contacts,
        lambda client, known: client.crm.contacts.basic_api.get_by_id("Ada", id_property="firstname"),
        400, INVALID, {},
    ),
    "page of 101": (
        contacts, lambda client, known: client.crm.contacts.basic_api.get_page(limit=101), 400, INVALID, {},
    ),
    "search cursor in a list": (
        contacts, lambda client, known: client.crm.contacts.basic_api.get_page(after="10"), 400, INVALID, {},
    ),
    "search past the window": (
        contacts,
        lambda client, known: client.crm.contacts.search_api.do_search(find(limit=200, after="9900")),
        400, INVALID, {},
    ),
    "search by an unknown property": (
        contacts,
        lambda client, known: client.crm.contacts.search_api.do_search(
            find(filter_groups=[NONESUCH])
        ),
        400, INVALID, {"code": "PROPERTY_DOESNT_EXIST"},
    ),
    "property that is there": (
        properties,
        lambda client, known: client.crm.properties.core_api.create(
            "contacts",
            properties.PropertyCreate(
                name="email", label="E", type="string", field_type="text", group_name="contactinformation"
            ),
        ),
        409, "CONFLICT", {},
    ),
    "property that is not": (
        properties,
        lambda client, known: client.crm.properties.core_api.get_by_name("contacts", "nonesuch"),
        404, ABSENT, {},
    ),
    "link of nobody": (links, lambda client, known: link(client, 279), 404, ABSENT, {"context": "id"}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(sandbox: Sandbox, somebody: Any, name: str) -> None:
    package, call, status, category, part = REFUSALS[name]
    with pytest.raises(package.exceptions.ApiException) as caught:
        call(connect(sandbox.hubspot), somebody)
    error = read(package, caught.value)
    assert (caught.value.status, error.category) == (status, category), error.message
    if "code" in part:
        assert [detail.code for detail in error.errors] == [part["code"]]
    if "context" in part:
        assert part["context"] in error.context
    if name == "taken address":
        assert (error.context["existingId"], somebody.id in error.message) == ([somebody.id], True)


def read(package: Any, caught: Any) -> Any:
    """Return an error's body as the client's model; the header names the same incident."""
    body = json.loads(caught.body)
    # Live answers have it; the OpenAPI files declare it for the entries of a batch only.
    assert body.pop("status") == "error"
    error = typed(package, body, "Error")
    assert caught.headers["X-HubSpot-Correlation-Id"] == error.correlation_id
    return error


@pytest.mark.parametrize(
    ("key", "error", "status", "category"),
    [
        ("unknown", contacts.exceptions.UnauthorizedException, 401, "INVALID_AUTHENTICATION"),
        (READER, contacts.exceptions.ForbiddenException, 403, "MISSING_SCOPES"),
    ],
)
def test_keys_that_are_not_enough(
    sandbox: Sandbox, key: str, error: type[Exception], status: int, category: str
) -> None:
    api = connect(sandbox.hubspot, key=key).crm.contacts.basic_api
    with pytest.raises(error) as caught:
        api.create(CREATE(properties={"firstname": "Ada"}, associations=[]))
    body = read(contacts, caught.value)
    assert (caught.value.status, body.category) == (status, category)
    if status == 403:
        assert body.errors[0].context["requiredGranularScopes"] == ["crm.objects.contacts.write"]
        assert api.get_page(limit=1).results


def test_an_unknown_contact_has_no_category(sandbox: Sandbox) -> None:
    # The OpenAPI files require one, the live API leaves it out; our hook must not rely on it.
    with pytest.raises(contacts.exceptions.NotFoundException) as caught:
        connect(sandbox.hubspot).crm.contacts.basic_api.get_by_id("999999")
    body = json.loads(caught.value.body)
    assert body == {"status": "error", "message": "resource not found", "correlationId": body["correlationId"]}


@pytest.mark.parametrize(
    ("change", "status"),
    [({"refresh_token": "gone"}, "BAD_REFRESH_TOKEN"), ({"client_secret": "wrong"}, "BAD_CLIENT_ID")],
)
def test_refused_refresh_tokens(sandbox: Sandbox, change: dict[str, str], status: str) -> None:
    config = sandbox.config
    given = {
        "grant_type": "refresh_token",
        "client_id": config.oauth_client_id,
        "client_secret": config.oauth_client_secret,
        "refresh_token": config.oauth_refresh_token,
    }
    with pytest.raises(oauth.exceptions.ApiException) as caught:
        connect(sandbox.hubspot).oauth.tokens_api.create(**given | change)
    body = json.loads(caught.value.body)
    assert (caught.value.status, body["status"]) == (400, status)


def test_limits() -> None:
    with Sandbox(people=5, hubspot_burst=2, hubspot_search=1, hubspot_daily=250) as limited:
        api = connect(limited.hubspot).crm.contacts
        _, status, headers = api.basic_api.get_page_with_http_info(limit=1)
        assert (status, headers["X-HubSpot-RateLimit-Max"], headers["X-HubSpot-RateLimit-Remaining"]) == (200, "2", "1")
        assert headers["X-HubSpot-RateLimit-Daily-Remaining"] == "249"
        api.basic_api.get_page(limit=1)
        api.search_api.do_search(find(limit=1))
        refused: list[tuple[Callable[[], Any], str | None]] = [
            (lambda: api.basic_api.get_page(limit=1), "TEN_SECONDLY_ROLLING"),
            (lambda: api.search_api.do_search(find(limit=1)), None),
        ]
        for call, policy in refused:
            with pytest.raises(contacts.exceptions.ApiException) as caught:
                call()
            body = json.loads(caught.value.body)
            assert (caught.value.status, body["errorType"], body.get("policyName")) == (429, "RATE_LIMIT", policy)
