from __future__ import annotations

import itertools

import pytest
from sandbox_client import Client

BATCH = "/crm/objects/2026-03/contacts/batch"
numbers = itertools.count()


def email() -> str:
    return f"batch{next(numbers)}@example.com"


def upserts(*addresses: str, traced: bool = True, **properties: str) -> list[dict]:
    return [
        {"id": a, "idProperty": "email", "properties": {"email": a, **properties}}
        | ({"objectWriteTraceId": str(i)} if traced else {})
        for i, a in enumerate(addresses)
    ]


def known(hubspot: Client, count: int) -> list[str]:
    return [str(n) for n in hubspot.store.live[:count]]


def test_upsert_tells_new_from_known_and_lowers(hubspot: Client) -> None:
    first, second = email(), email()
    made = hubspot("POST", f"{BATCH}/upsert", {"inputs": upserts(first.upper())})
    assert (made.status_code, made.json()["results"][0]["new"]) == (200, True)
    assert made.json()["results"][0]["properties"]["email"] == first
    both = hubspot("POST", f"{BATCH}/upsert", {"inputs": upserts(first, second, city="Kiel")}).json()
    assert both["status"] == "COMPLETE"
    assert [row["new"] for row in both["results"]] == [True, False], "results do not follow the inputs"
    assert "objectWriteTraceId" not in both["results"][0]


def test_upsert_writes_good_rows_only_when_all_are_traced(hubspot: Client) -> None:
    good = email()
    traced = hubspot("POST", f"{BATCH}/upsert", {"inputs": upserts(good, "not an email")})
    assert traced.status_code == 207
    body = traced.json()
    assert [row["properties"]["email"] for row in body["results"]] == [good]
    assert body["numErrors"] == 1
    assert body["errors"][0]["context"]["objectWriteTraceId"] == ["1"]
    other = email()
    bare = hubspot("POST", f"{BATCH}/upsert", {"inputs": upserts(other, "not an email", traced=False)})
    assert bare.status_code == 400
    assert hubspot.store.resolve(other, "email") is None
    inputs = upserts(other, "not an email")
    inputs[1]["objectWriteTraceId"] = inputs[0]["objectWriteTraceId"]
    assert hubspot("POST", f"{BATCH}/upsert", {"inputs": inputs}).status_code == 400


def test_upsert_by_own_key_and_by_secondary_address(hubspot: Client) -> None:
    item = {"id": "X9", "idProperty": "internalcustomerid", "properties": {"firstname": "Key"}}
    assert hubspot("POST", f"{BATCH}/upsert", {"inputs": [item]}).status_code == 400
    item["properties"]["internalcustomerid"] = "X9"
    made = hubspot("POST", f"{BATCH}/upsert", {"inputs": [item]}).json()["results"][0]
    secondary = email()
    hubspot.store.assign(hubspot.store.get(int(made["id"])), {"hs_additional_emails": secondary})
    again = upserts(secondary, city="Ulm")
    del again[0]["properties"]["email"]
    answer = hubspot("POST", f"{BATCH}/upsert", {"inputs": again}).json()
    assert (answer["results"][0]["id"], answer["results"][0]["new"]) == (made["id"], False)


def test_create_conflicts(hubspot: Client) -> None:
    def inputs(*addresses: str, traced: bool) -> dict:
        rows = [{"properties": {"email": address}, "associations": []} for address in addresses]
        return {"inputs": [r | {"objectWriteTraceId": f"t{i}"} for i, r in enumerate(rows)] if traced else rows}

    taken, fresh = email(), email()
    made = hubspot("POST", f"{BATCH}/create", inputs(taken, traced=False))
    assert made.status_code == 201
    contact_id = made.json()["results"][0]["id"]
    bare = hubspot("POST", f"{BATCH}/create", inputs(fresh, taken, traced=False))
    assert (bare.status_code, f"Existing ID: {contact_id}" in bare.json()["message"]) == (409, True)
    assert hubspot.store.resolve(fresh, "email") is None
    traced = hubspot("POST", f"{BATCH}/create", inputs(fresh, taken, traced=True))
    assert traced.status_code == 207
    error = traced.json()["errors"][0]
    assert (error["category"], error["context"]) == (
        "CONFLICT",
        {"existingId": [contact_id], "objectWriteTraceId": ["t1"]},
    )
    twice = email()
    assert hubspot("POST", f"{BATCH}/create", inputs(twice, twice.upper(), traced=True)).status_code == 409


def test_update(hubspot: Client) -> None:
    one, two = known(hubspot, 2)
    rows = [{"id": key, "properties": {"city": "Jena"}} for key in (one, two)]
    done = hubspot("POST", f"{BATCH}/update", {"inputs": rows})
    assert (done.status_code, [row["id"] for row in done.json()["results"]]) == (200, [two, one])
    assert "new" not in done.json()["results"][0]
    missing = {"id": "999", "properties": {"city": "Jena"}, "objectWriteTraceId": "b"}
    part = hubspot("POST", f"{BATCH}/update", {"inputs": [rows[0] | {"objectWriteTraceId": "a"}, missing]})
    assert part.status_code == 207
    assert part.json()["errors"][0]["context"] == {"ids": ["999"], "objectWriteTraceId": ["b"]}
    bad = {"id": two, "properties": {"lifecyclestage": "nonsense", "city": "Bonn"}}
    assert hubspot("POST", f"{BATCH}/update", {"inputs": [rows[0], bad]}).status_code == 400


def test_read(hubspot: Client) -> None:
    ids = known(hubspot, 3)
    rows = [{"id": key} for key in ids]
    done = hubspot("POST", f"{BATCH}/read", {"inputs": rows, "properties": ["city"]})
    assert (done.status_code, sorted(r["id"] for r in done.json()["results"])) == (200, ids)
    part = hubspot("POST", f"{BATCH}/read", {"inputs": [*rows, {"id": "998"}, {"id": "999"}]})
    assert (part.status_code, part.json()["numErrors"], len(part.json()["errors"])) == (207, 1, 1)
    assert part.json()["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert part.json()["errors"][0]["context"]["ids"] == ["998", "999"]
    address = email()
    hubspot("POST", f"{BATCH}/upsert", {"inputs": upserts(address)})
    found = hubspot("POST", f"{BATCH}/read", {"inputs": [{"id": address.upper()}], "idProperty": "email"}).json()
    assert found["results"][0]["properties"]["email"] == address
    history = hubspot("POST", f"{BATCH}/read", {"inputs": rows, "propertiesWithHistory": ["city"]}).json()
    assert "city" in history["results"][0]["propertiesWithHistory"]


def test_archive(hubspot: Client) -> None:
    made = hubspot("POST", f"{BATCH}/upsert", {"inputs": upserts(email(), email())}).json()["results"]
    rows = [{"id": row["id"]} for row in made]
    assert hubspot("POST", f"{BATCH}/archive", {"inputs": [*rows, {"id": "999"}]}).status_code == 204
    assert hubspot("POST", f"{BATCH}/read", {"inputs": rows}).json()["results"] == []
    assert len(hubspot("POST", f"{BATCH}/read?archived=true", {"inputs": rows}).json()["results"]) == 2


@pytest.mark.parametrize("verb", ["read", "create", "update", "upsert", "archive"])
def test_more_than_a_hundred_is_refused(hubspot: Client, verb: str) -> None:
    rows = [{"id": f"m{i}@example.com", "idProperty": "email", "properties": {"city": "x"}} for i in range(101)]
    answer = hubspot("POST", f"{BATCH}/{verb}", {"inputs": rows})
    assert (answer.status_code, "100" in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize(
    ("verb", "body", "text"),
    [
        ("update", {"inputs": upserts("a@example.com")}, "non-unique"),
        ("update", {"inputs": [{"id": "1", "idProperty": "hs_object_id", "properties": {}}]}, "non-unique"),
        ("upsert", {"inputs": [{"id": "1", "idProperty": "hs_object_id", "properties": {}}]}, "non-unique"),
        ("upsert", {"inputs": upserts("a@example.com", "A@example.com")}, "Duplicate IDs"),
        ("update", {"inputs": [{"id": "1", "properties": {}}, {"id": "1", "properties": {}}]}, "Duplicate IDs"),
        ("read", {"inputs": [{"id": str(i)} for i in range(51)], "propertiesWithHistory": ["city"]}, "50"),
        ("read", {"inputs": [{"id": "a", "idProperty": "email"}]}, "idProperty"),
        ("read", {"ids": ["1"]}, "inputs"),
        ("upsert", {"inputs": [upserts("z@example.com")[0] | {"associations": [{"to": {"id": 1}}]}]}, "associations"),
    ],
)
def test_whole_call_refused(hubspot: Client, verb: str, body: dict, text: str) -> None:
    answer = hubspot("POST", f"{BATCH}/{verb}", body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert text in answer.json()["message"]


def test_trace_ids_echoed_on_request(serve) -> None:
    hubspot = Client(serve(echo_trace_ids=True).hubspot)
    answer = hubspot("POST", f"{BATCH}/upsert", {"inputs": upserts("e@example.com")}).json()
    assert answer["results"][0]["objectWriteTraceId"] == "0"
