from __future__ import annotations

import itertools

import pytest
from sandbox_client import Client

V3 = "/crm/v3/objects/contacts"
ROOTS = [V3, "/crm/v3/objects/0-1", "/crm/objects/2026-03/contacts", "/crm/objects/2026-09/0-1"]
numbers = itertools.count()


def email() -> str:
    return f"new{next(numbers)}@example.com"


def make(hubspot: Client, **properties: str) -> dict:
    answer = hubspot("POST", V3, {"properties": {"email": email(), **properties}})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("root", ROOTS)
def test_list_walks_every_contact_once(hubspot: Client, root: str) -> None:
    seen, after = [], None
    while True:
        page = hubspot.get(root, limit=7, **({"after": after} if after else {}))
        seen += [int(row["id"]) for row in page["results"]]
        if "paging" not in page:
            break
        after = page["paging"]["next"]["after"]
        assert hubspot("GET", page["paging"]["next"]["link"].removeprefix(hubspot.api.origin)).status_code == 200
    assert seen == hubspot.store.live


def test_list_properties(hubspot: Client) -> None:
    row = hubspot.get(V3, limit=1)["results"][0]
    assert set(row["properties"]) == {
        "createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname",
    }  # fmt: skip
    joined = hubspot.get(V3, limit=1, properties="phone,mobilephone,nonsense")["results"][0]["properties"]
    repeated = hubspot.get(V3, limit=1, properties=["phone", "mobilephone"])["results"][0]["properties"]
    assert joined == repeated
    assert set(joined) == {"phone", "mobilephone", "createdate", "hs_object_id", "lastmodifieddate"}
    assert joined["mobilephone"] is None


def test_list_associations(hubspot: Client) -> None:
    rows = hubspot.get(V3, limit=100, associations="companies,notes")["results"]
    linked = [row for row in rows if "associations" in row]
    assert 0 < len(linked) < len(rows)
    assert list(linked[0]["associations"]) == ["companies"]
    assert linked[0]["associations"]["companies"]["results"][0]["type"] == "contact_to_company"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"limit": 101}, "100"),
        ({"limit": 0}, "limit"),
        ({"limit": 51, "propertiesWithHistory": "phone"}, "50"),
        ({"after": "200"}, "Cannot deserialize value of type"),
        ({"after": "garbage"}, "Cannot deserialize value of type"),
        ({"archived": "perhaps"}, "archived"),
        ({"associations": "unicorns"}, "unicorns"),
    ],
)
def test_list_refuses(hubspot: Client, query: dict, text: str) -> None:
    answer = hubspot("GET", V3, params=query)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert text in answer.json()["message"]
    assert answer.headers["X-HubSpot-Correlation-Id"] == answer.json()["correlationId"]


def test_create_lowers_email_and_conflicts(hubspot: Client) -> None:
    address = email()
    created = hubspot("POST", V3, {"properties": {"email": address.upper(), "firstname": "A"}})
    assert created.status_code == 201
    assert created.json()["properties"]["email"] == address
    again = hubspot("POST", V3, {"properties": {"email": address}})
    assert (again.status_code, again.json()["category"]) == (409, "CONFLICT")
    assert again.json()["message"] == f"Contact already exists. Existing ID: {created.json()['id']}"


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"email": "ann@"}, "INVALID_EMAIL"),
        ({"email": " ann@example.com"}, "INVALID_EMAIL"),
        ({"email": "ann@example.com "}, "INVALID_EMAIL"),
        ({"email": "a@b"}, "INVALID_EMAIL"),
        ({"firstname": "A", "nope": "x"}, "PROPERTY_DOESNT_EXIST"),
        ({"firstname": "A", "lifecyclestage": "Lead"}, "INVALID_OPTION"),
        ({"firstname": "A", "annualrevenue": "1,000"}, "INVALID_INTEGER"),
        ({"firstname": "A", "createdate": "2026-01-01"}, "READ_ONLY_VALUE"),
        ({"firstname": "A", "hs_email_optout": "true"}, "READ_ONLY_VALUE"),
        ({"firstname": "A", "contract_start": "01.02.2026"}, "INVALID_DATE"),
        ({"firstname": None}, "INVALID_VALUE"),
        ({"firstname": "A", "hubspot_owner_id": "9586504"}, "INVALID_OWNER_ID"),
    ],
)
def test_create_refuses_values(hubspot: Client, properties: dict, code: str) -> None:
    before = len(hubspot.store.live)
    answer = hubspot("POST", V3, {"properties": properties})
    body = answer.json()
    assert (answer.status_code, body["category"], body["errors"][0]["code"]) == (400, "VALIDATION_ERROR", code)
    assert body["message"].startswith("Property values were not valid: [{")
    assert len(hubspot.store.live) == before


def test_create_needs_a_name_or_address(hubspot: Client) -> None:
    assert hubspot("POST", V3, {"properties": {"phone": "1"}}).status_code == 400
    assert hubspot("POST", V3, {"props": {"email": email()}}).status_code == 400
    assert hubspot("POST", V3, data="email=x").status_code == 415


def test_get_by_id_and_unique_property(hubspot: Client) -> None:
    made = make(hubspot, email=f"a+b/{next(numbers)}@example.com", internalcustomerid="K 1")
    for key, id_property in ((made["id"], None), (made["properties"]["email"], "email"), ("k 1", "internalcustomerid")):
        path = f"{V3}/{key.replace('+', '%2B').replace('/', '%2F').replace('@', '%40')}"
        found = hubspot.get(path, **({"idProperty": id_property} if id_property else {}))
        assert found["id"] == made["id"]
    missing = hubspot("GET", f"{V3}/999")
    assert (missing.status_code, missing.json()["message"]) == (404, "resource not found")
    assert "category" not in missing.json()
    assert hubspot("GET", f"{V3}/x", params={"idProperty": "firstname"}).status_code == 400


def test_patch_clears_and_moves_time_only_on_change(hubspot: Client) -> None:
    made = make(hubspot, phone="1")
    same = hubspot("PATCH", f"{V3}/{made['id']}", {"properties": {"phone": "1"}}).json()
    assert same["updatedAt"] == made["updatedAt"]
    cleared = hubspot(
        "PATCH", f"{V3}/{made['properties']['email']}", {"properties": {"phone": ""}}, params={"idProperty": "email"}
    ).json()
    assert cleared["properties"]["phone"] is None
    assert cleared["updatedAt"] > made["updatedAt"]
    history = hubspot.get(f"{V3}/{made['id']}", propertiesWithHistory="phone")["propertiesWithHistory"]["phone"]
    assert [entry["value"] for entry in history] == ["", "1"]


def test_lifecycle_stage_moves_forward_only(hubspot: Client) -> None:
    path = f"{V3}/{make(hubspot, lifecyclestage='customer')['id']}"

    def stage(value: str) -> str | None:
        answer = hubspot("PATCH", path, {"properties": {"lifecyclestage": value}})
        assert answer.status_code == 200
        return answer.json()["properties"]["lifecyclestage"]

    assert stage("lead") == "customer"
    assert stage("evangelist") == "evangelist"
    assert stage("") is None
    assert stage("lead") == "lead"


def test_checkbox_appends_after_a_semicolon(hubspot: Client) -> None:
    path = f"{V3}/{make(hubspot, product_interest='solar;storage')['id']}"
    answer = hubspot("PATCH", path, {"properties": {"product_interest": ";heating;solar"}})
    assert answer.json()["properties"]["product_interest"] == "solar;storage;heating"


def test_archive(hubspot: Client) -> None:
    made = make(hubspot)
    assert hubspot("DELETE", f"{V3}/{made['id']}").status_code == 204
    assert hubspot("DELETE", f"{V3}/{made['id']}").status_code == 404
    assert hubspot("GET", f"{V3}/{made['id']}").status_code == 404
    binned = hubspot.get(f"{V3}/{made['id']}", archived="true")
    assert binned["archived"]
    assert binned["archivedAt"]
    assert made["id"] in [row["id"] for row in hubspot.get(V3, archived="true", limit=100)["results"]]


def test_gdpr_delete(hubspot: Client) -> None:
    made, unknown = make(hubspot), email()
    body = {"objectId": made["properties"]["email"], "idProperty": "email"}
    assert hubspot("POST", f"{V3}/gdpr-delete", body).status_code == 204
    assert hubspot("GET", f"{V3}/{made['id']}", params={"archived": "true"}).status_code == 404
    assert hubspot("POST", f"{V3}/gdpr-delete", {"objectId": unknown, "idProperty": "email"}).status_code == 204
    assert hubspot("POST", V3, {"properties": {"email": unknown}}).status_code == 400
    assert hubspot("POST", f"{V3}/gdpr-delete", {"objectId": "123"}).status_code == 404


def test_merge(hubspot: Client) -> None:
    one, other = make(hubspot, firstname="One"), make(hubspot, firstname="Other", phone="5")
    merged = hubspot("POST", f"{V3}/merge", {"primaryObjectId": one["id"], "objectIdToMerge": other["id"]})
    assert merged.status_code == 200
    assert merged.json()["properties"]["hs_additional_emails"] == other["properties"]["email"]
    assert merged.json()["properties"]["hs_merged_object_ids"] == other["id"]
    patched = hubspot("PATCH", f"{V3}/{other['id']}", {"properties": {"city": "Kiel"}}).json()
    assert patched["id"] == one["id"]
    secondary = hubspot.get(f"{V3}/{other['properties']['email']}", idProperty="email", properties="phone,firstname")
    assert (secondary["id"], secondary["properties"]["phone"], secondary["properties"]["firstname"]) == (
        one["id"], "5", "One",
    )  # fmt: skip
    batch = hubspot("POST", f"{V3}/batch/update", {"inputs": [{"id": other["id"], "properties": {"city": "Bonn"}}]})
    assert (batch.status_code, batch.json()["results"]) == (200, [])
    assert hubspot("POST", V3, {"properties": {"email": other["properties"]["email"]}}).status_code == 409
    again = {"primaryObjectId": one["id"], "objectIdToMerge": other["id"]}
    assert hubspot("POST", f"{V3}/merge", again).status_code == 400


def test_writing_a_secondary_address_as_email_swaps_it(hubspot: Client) -> None:
    made, other = make(hubspot), email()
    path = f"{V3}/{made['id']}"
    hubspot("PATCH", path, {"properties": {"hs_additional_emails": other}})
    hubspot("PATCH", path, {"properties": {"email": other}})
    found = hubspot.get(path, properties="email,hs_additional_emails")["properties"]
    assert (found["email"], found["hs_additional_emails"]) == (other, made["properties"]["email"])


def test_unknown_type_method_version_and_long_url(hubspot: Client) -> None:
    assert hubspot("GET", "/crm/v3/objects/unicorns").status_code == 400
    assert hubspot("PUT", V3).status_code == 405
    assert hubspot("GET", "/crm/2026-03/objects/contacts").status_code == 404
    assert hubspot("GET", V3, params={"properties": "x" * 16_100}).status_code == 414
