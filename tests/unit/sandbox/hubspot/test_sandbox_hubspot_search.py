from __future__ import annotations

import time

import pytest
from sandbox_client import Client

SEARCH = "/crm/v3/objects/contacts/search"


def search(hubspot: Client, **body) -> dict:
    answer = hubspot("POST", SEARCH, {"limit": 200, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(hubspot: Client, *filters: dict, **body) -> set[int]:
    return {int(r["id"]) for r in search(hubspot, filterGroups=[{"filters": list(filters)}], **body)["results"]}


def one(name: str, operator: str, value: object = None, **more: object) -> dict:
    return {"propertyName": name, "operator": operator} | ({} if value is None else {"value": value}) | more


def matching(hubspot: Client, test) -> set[int]:
    contacts = (hubspot.store.contacts[n] for n in hubspot.store.live)
    return {c.id for c in contacts if test({"": "", **c.properties})}


@pytest.mark.parametrize(
    ("filter_", "test"),
    [
        (one("city", "EQ", "BERLIN"), lambda p: p.get("city") == "Berlin"),
        (one("city", "NEQ", "Berlin"), lambda p: p.get("city") != "Berlin"),
        (one("city", "IN", values=["berlin", "kiel"]), lambda p: p.get("city") in ("Berlin", "Kiel")),
        (one("city", "IN", values=["Berlin"]), lambda p: False),
        (one("city", "NOT_IN", values=["berlin"]), lambda p: p.get("city") != "Berlin"),
        (one("hs_lead_status", "HAS_PROPERTY"), lambda p: p.get("hs_lead_status")),
        (one("hs_lead_status", "NOT_HAS_PROPERTY"), lambda p: not p.get("hs_lead_status")),
        (one("lifecyclestage", "EQ", "lead"), lambda p: p.get("lifecyclestage") == "lead"),
        (one("lifecyclestage", "EQ", "Lead"), lambda p: False),
        (one("email", "CONTAINS_TOKEN", "*@example.com"), lambda p: p.get("email", "").endswith("@example.com")),
        (one("email", "NOT_CONTAINS_TOKEN", "*@example.com"), lambda p: "@example.com" not in p.get("email", "")),
        (one("hs_lastmodifieddate", "GTE", "0"), lambda p: False),
    ],
)  # fmt: skip
def test_operators(hubspot: Client, filter_: dict, test) -> None:
    assert ids(hubspot, filter_) == matching(hubspot, test)


@pytest.mark.parametrize("operator", ["GT", "GTE", "LT", "LTE", "BETWEEN"])
def test_times_are_epoch_milliseconds(hubspot: Client, operator: str) -> None:
    times = sorted(hubspot.store.contacts[n].updated for n in hubspot.store.live)
    middle, high = times[len(times) // 2], times[-3]
    keep = {
        "GT": lambda t: t > middle,
        "GTE": lambda t: t >= middle,
        "LT": lambda t: t < middle,
        "LTE": lambda t: t <= middle,
        "BETWEEN": lambda t: middle <= t <= high,
    }[operator]
    more = {"highValue": str(high)} if operator == "BETWEEN" else {}
    expected = {n for n in hubspot.store.live if keep(hubspot.store.contacts[n].updated)}
    assert ids(hubspot, one("lastmodifieddate", operator, str(middle), **more)) == expected


def test_keyset_walk_and_offsets(hubspot: Client) -> None:
    seen: list[int] = []
    while True:
        keyset = [one("hs_object_id", "GT", str(seen[-1]))] if seen else []
        page = search(
            hubspot,
            limit=9,
            filterGroups=[{"filters": keyset}],
            sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        )
        seen += [int(row["id"]) for row in page["results"]]
        if "paging" not in page:
            break
    assert seen == hubspot.store.live
    second = search(hubspot, limit=9, after="9", sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}])
    assert [int(row["id"]) for row in second["results"]] == hubspot.store.live[9:18]
    assert second["total"] == len(hubspot.store.live)


def test_sorts_groups_and_words(hubspot: Client) -> None:
    created = [hubspot.store.contacts[int(r["id"])].created for r in search(hubspot)["results"]]
    assert created == sorted(created)
    names = [r["properties"]["lastname"] for r in search(hubspot, sorts=["-lastname"])["results"]]
    assert [n for n in names if n] == sorted((n for n in names if n), key=str.lower, reverse=True)
    groups = [{"filters": [one("city", "EQ", c)]} for c in ("Kiel", "Berlin")]
    either = {int(r["id"]) for r in search(hubspot, filterGroups=groups)["results"]}
    assert either == matching(hubspot, lambda p: p.get("city") in ("Kiel", "Berlin"))
    some = search(hubspot)["results"][0]["properties"]
    assert some["email"] in [r["properties"]["email"] for r in search(hubspot, query=some["email"])["results"]]


def test_associations_filter_and_no_archived(hubspot: Client) -> None:
    company = str(next(iter(hubspot.store.neighbours["companies"])))
    linked = ids(hubspot, one("associations.company", "EQ", company))
    assert linked == {n for (k, n) in hubspot.store.links[("companies", int(company))] if k == "contacts"}
    row = search(hubspot, limit=1)["results"][0]
    assert "associations" not in row
    hubspot("DELETE", f"/crm/v3/objects/contacts/{row['id']}")
    assert int(row["id"]) not in ids(hubspot)


def test_email_search_ignores_secondary_addresses(hubspot: Client) -> None:
    contact = hubspot.store.contacts[hubspot.store.live[0]]
    hubspot.store.assign(contact, {"hs_additional_emails": "second@example.com"})
    assert ids(hubspot, one("hs_additional_emails", "CONTAINS_TOKEN", "second@example.com")) == {contact.id}
    assert contact.id not in ids(hubspot, one("email", "CONTAINS_TOKEN", "second@example.com"))
    assert ids(hubspot, one("email", "EQ", "second@example.com")) == set()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"limit": 201}, "200"),
        ({"limit": 200, "after": "9900"}, "10,000"),
        ({"after": "x"}, "Cannot deserialize"),
        ({"sorts": ["city", "email"]}, "one sort"),
        ({"filterGroups": [{"filters": []}] * 6}, "5"),
        ({"filterGroups": [{"filters": [one("city", "EQ", "x")] * 7}]}, "6"),
        ({"filterGroups": [{"filters": [one("city", "LIKE", "x")]}]}, "LIKE"),
        ({"filterGroups": [{"filters": [one("nope", "EQ", "x")]}]}, "nope"),
        ({"filterGroups": [{"filters": [one("city", "IN", "x")]}]}, "values"),
        ({"filterGroups": [{"filters": [one("city", "BETWEEN", "x")]}]}, "highValue"),
        ({"filterGroups": [{"filters": [one("lastmodifieddate", "GTE", "2026-01-01T00:00:00Z")]}]}, "deserialize"),
        ({"query": "x" * 3001}, "3000"),
    ],
)
def test_refused(hubspot: Client, body: dict, text: str) -> None:
    answer = hubspot("POST", SEARCH, body)
    assert (answer.status_code, text in answer.json()["message"]) == (400, True), answer.text


def test_index_lag(serve) -> None:
    hubspot = Client(serve(search_lag_seconds=0.3).hubspot)
    seeded = len(hubspot.store.live)
    hubspot("POST", "/crm/v3/objects/contacts", {"properties": {"email": "late@example.com"}})
    filters = [{"filters": [one("email", "EQ", "late@example.com")]}]
    assert search(hubspot)["total"] == seeded
    assert search(hubspot, filterGroups=filters)["total"] == 0
    time.sleep(0.35)
    assert search(hubspot, filterGroups=filters)["total"] == 1
