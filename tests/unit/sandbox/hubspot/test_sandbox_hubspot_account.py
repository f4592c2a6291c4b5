from __future__ import annotations

import pytest
import requests
from sandbox_client import Client

CONTACTS = "/crm/v3/objects/contacts"
RECORDS = ["/crm/v4/objects", "/crm/objects/2026-03"]
PAIRS = ["/crm/v4/associations/contacts/companies", "/crm/associations/2026-03/contacts/companies"]
PROPERTIES = "/crm/v3/properties/contacts"


@pytest.fixture
def contact(hubspot: Client) -> int:
    return next(n for n in hubspot.store.live if ("contacts", n) not in hubspot.store.links)


@pytest.fixture
def company(hubspot: Client) -> int:
    return next(iter(hubspot.store.neighbours["companies"]))


@pytest.fixture(autouse=True)
def unlinked(hubspot: Client, contact: int):
    yield
    for target in list(hubspot.store.links.get(("contacts", contact), {})):
        hubspot.store.unlink(("contacts", contact), target)
    hubspot.store.links.pop(("contacts", contact), None)


def spec(number: int, category: str = "HUBSPOT_DEFINED") -> dict:
    return {"associationCategory": category, "associationTypeId": number}


@pytest.mark.parametrize("root", RECORDS)
def test_link_one_record(hubspot: Client, contact: int, company: int, root: str) -> None:
    path = f"{root}/contacts/{contact}/associations"

    def kinds() -> list[list]:
        return [[t["typeId"] for t in r["associationTypes"]] for r in hubspot.get(f"{path}/companies")["results"]]

    for _ in range(2):
        assert hubspot("PUT", f"{path}/default/company/{company}").status_code == 200
    assert kinds() == [[279]]
    labelled = hubspot("PUT", f"{path}/companies/{company}", [spec(36, "USER_DEFINED")])
    assert (labelled.status_code, labelled.json()["labels"]) == (201, ["Decision maker"])
    assert kinds() == [[279, 36]]
    hubspot("PUT", f"{path}/companies/{company}", [spec(38, "USER_DEFINED")])
    assert kinds() == [[279, 38]], "labels are replaced"
    back = hubspot.get(f"{root}/companies/{company}/associations/contacts")["results"]
    assert [t["typeId"] for r in back if r["toObjectId"] == contact for t in r["associationTypes"]] == [280, 39]
    assert hubspot("DELETE", f"{path}/companies/{company}").status_code == 204
    assert kinds() == []


@pytest.mark.parametrize(
    ("method", "suffix", "body", "status"),
    [
        ("PUT", "default/company/1", None, 404),
        ("PUT", "default/unicorn/1", None, 400),
        ("PUT", "companies/20000001", [spec(280)], 400),
        ("PUT", "companies/20000001", [], 400),
        ("GET", "companies?limit=501", None, 400),
    ],
)
def test_link_refused(hubspot: Client, contact: int, method: str, suffix: str, body, status: int) -> None:
    answer = hubspot(method, f"/crm/v4/objects/contacts/{contact}/associations/{suffix}", body)
    assert answer.status_code == status


def test_links_page(hubspot: Client, contact: int) -> None:
    companies = sorted(hubspot.store.neighbours["companies"])
    for company in companies:
        hubspot.store.link(("contacts", contact), ("companies", company), {("HUBSPOT_DEFINED", 279)})
    path, seen, after = f"/crm/v4/objects/contacts/{contact}/associations/companies", [], None
    while True:
        page = hubspot.get(path, limit=2, **({"after": after} if after else {}))
        seen += [row["toObjectId"] for row in page["results"]]
        if "paging" not in page:
            break
        after = page["paging"]["next"]["after"]
    assert seen == companies


def test_path_of_the_guide(hubspot: Client, contact: int) -> None:
    note = next(iter(hubspot.store.neighbours["notes"]))
    path = f"{CONTACTS}/{contact}/associations/notes/{note}/201"
    assert hubspot("PUT", path).status_code == 200
    assert hubspot.get(f"{CONTACTS}/{contact}", associations="notes")["associations"]["notes"]["results"] == [
        {"id": str(note), "type": "contact_to_note"}
    ]
    assert hubspot("DELETE", path).status_code == 204
    assert "associations" not in hubspot.get(f"{CONTACTS}/{contact}", associations="notes")
    assert hubspot("PUT", path.replace("/201", "/202")).status_code == 400


@pytest.mark.parametrize("root", PAIRS)
def test_batches(hubspot: Client, contact: int, company: int, root: str) -> None:
    pair = {"from": {"id": str(contact)}, "to": {"id": str(company)}}
    done = hubspot("POST", f"{root}/batch/associate/default", {"inputs": [pair]})
    assert (done.status_code, len(done.json()["results"])) == (200, 1)
    typed = pair | {"types": [spec(36, "USER_DEFINED")]}
    assert hubspot("POST", f"{root}/batch/create", {"inputs": [typed]}).status_code == 201
    part = hubspot("POST", f"{root}/batch/create", {"inputs": [typed, typed | {"to": {"id": "1"}}]})
    assert (part.status_code, part.json()["numErrors"]) == (207, 1)
    read = hubspot("POST", f"{root}/batch/read", {"inputs": [{"id": str(contact)}]})
    assert [t["label"] for t in read.json()["results"][0]["to"][0]["associationTypes"]] == [None, "Decision maker"]
    gone = 200 if "2026" in root else 204
    assert hubspot("POST", f"{root}/batch/labels/archive", {"inputs": [typed]}).status_code == gone
    assert hubspot.store.links[("contacts", contact)][("companies", company)] == {("HUBSPOT_DEFINED", 279)}
    archive = {"inputs": [{"from": {"id": str(contact)}, "to": [{"id": str(company)}]}]}
    assert hubspot("POST", f"{root}/batch/archive", archive).status_code == gone
    assert not hubspot.store.links.get(("contacts", contact))
    assert hubspot("POST", f"{root}/batch/read", {"inputs": [{"id": "1"}] * 1001}).status_code == 400
    labels = {row["typeId"]: row["label"] for row in hubspot.get(f"{root}/labels")["results"]}
    assert (labels[279], labels[1]) == (None, "Primary")


def test_create_with_links_and_pin(hubspot: Client) -> None:
    note = next(iter(hubspot.store.neighbours["notes"]))
    link = {"to": {"id": note}, "types": [spec(201)]}
    made = hubspot(
        "POST",
        CONTACTS,
        {"properties": {"email": "pin@example.com", "hs_pinned_engagement_id": note}, "associations": [link]},
    )
    assert made.status_code == 201
    assert hubspot.store.links[("contacts", int(made.json()["id"]))]
    unpinnable = {"properties": {"email": "pin2@example.com", "hs_pinned_engagement_id": note}}
    assert hubspot("POST", CONTACTS, unpinnable).status_code == 400
    other = sorted(hubspot.store.neighbours["notes"])[1]
    patch = hubspot("PATCH", f"{CONTACTS}/{made.json()['id']}", {"properties": {"hs_pinned_engagement_id": other}})
    assert patch.status_code == 400
    for wrong in ({"to": {"id": 1}, "types": [spec(201)]}, {"to": {"id": note}, "types": [spec(202)]}):
        body = {"properties": {"email": "lonely@example.com"}, "associations": [wrong]}
        assert hubspot("POST", CONTACTS, body).status_code == 400
    assert hubspot.store.resolve("lonely@example.com", "email") is None, "all or nothing"


def test_properties(hubspot: Client) -> None:
    names = {row["name"]: row for row in hubspot.get(PROPERTIES)["results"]}
    assert names["hs_object_id"]["modificationMetadata"]["readOnlyValue"]
    assert not names["email"]["modificationMetadata"]["readOnlyValue"]
    new = {"groupName": "contactinformation", "name": "lead_key", "label": "Key", "type": "string", "fieldType": "text"}
    made = hubspot("POST", "/crm/properties/2026-03/contacts", new | {"hasUniqueValue": True})
    assert (made.status_code, made.json()["hasUniqueValue"]) == (201, True)
    assert hubspot("POST", PROPERTIES, new).status_code == 409
    upsert = [{"id": "k1", "idProperty": "lead_key", "properties": {"lead_key": "k1", "firstname": "K"}}]
    assert hubspot("POST", f"{CONTACTS}/batch/upsert", {"inputs": upsert}).json()["results"][0]["new"]
    changed = hubspot("PATCH", f"{PROPERTIES}/lead_key", {"label": "Better"})
    assert (changed.status_code, hubspot.get(f"{PROPERTIES}/lead_key")["label"]) == (200, "Better")
    assert hubspot("PATCH", f"{PROPERTIES}/lead_key", {"name": "other"}).status_code == 400
    assert hubspot("DELETE", f"{PROPERTIES}/lead_key").status_code == 204
    assert hubspot("GET", f"{PROPERTIES}/lead_key").status_code == 404
    assert hubspot("DELETE", f"{PROPERTIES}/email").status_code == 400
    for key, value in (("name", "Bad Name"), ("type", "text"), ("groupName", "nope"), ("label", "")):
        assert hubspot("POST", PROPERTIES, new | {key: value}).status_code == 400
    assert hubspot("GET", f"{PROPERTIES}?dataSensitivity=secret").status_code == 400
    several = {"inputs": [new | {"name": "one"}, new | {"name": "two"}]}
    assert hubspot("POST", f"{PROPERTIES}/batch/create", several).status_code == 201
    read = hubspot("POST", f"{PROPERTIES}/batch/read", {"inputs": [{"name": "one"}, {"name": "two"}]})
    assert len(read.json()["results"]) == 2
    assert hubspot("POST", f"{PROPERTIES}/batch/archive", {"inputs": [{"name": "one"}]}).status_code == 204
    group = {"name": "own", "label": "Own"}
    assert hubspot("POST", f"{PROPERTIES}/groups", group).status_code == 201
    assert hubspot("POST", f"{PROPERTIES}/groups", group).status_code == 409
    assert "own" in [row["name"] for row in hubspot.get(f"{PROPERTIES}/groups")["results"]]


@pytest.mark.parametrize("root", ["/crm/v3/owners", "/crm/owners/2026-03"])
def test_owners(hubspot: Client, root: str) -> None:
    owners = hubspot.get(root)["results"]
    assert {owner["type"] for owner in owners} == {"PERSON", "QUEUE"}
    page = hubspot.get(root, limit=2)
    assert hubspot.get(root, limit=2, after=page["paging"]["next"]["after"])["results"] == owners[2:]
    assert hubspot.get(root, email=owners[0]["email"])["results"] == owners[:1]
    assert hubspot.get(f"{root}/{owners[0]['id']}") == owners[0]
    assert hubspot.get(f"{root}/{owners[0]['userId']}", idProperty="userId") == owners[0]
    assert hubspot("GET", f"{root}/{owners[0]['userId']}").status_code == 404
    assert len(hubspot.get(root, archived="true")["results"]) == 1


def test_account_information(hubspot: Client) -> None:
    assert hubspot.get("/account-info/v3/details")["portalId"]
    usage = hubspot.get("/account-info/v3/api-usage/daily/private-apps")["results"][0]
    assert usage["currentUsage"] > 0


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "sandbox-hubspot-token"}])
def test_wrong_token(hubspot: Client, header: dict) -> None:
    answer = requests.get(hubspot.api.origin + CONTACTS, headers=header, timeout=5)
    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")
    assert requests.get(hubspot.api.origin + "/nowhere", headers=header, timeout=5).status_code == 401


def test_scopes(serve) -> None:
    sandbox = serve(hubspot_tokens={"reader": ["crm.objects.contacts.read"]})
    reader = Client(sandbox.hubspot)
    reader.session.headers["Authorization"] = "Bearer reader"
    assert reader.get(CONTACTS)["results"]
    for method, path in (("POST", CONTACTS), ("POST", PROPERTIES), ("GET", "/crm/v3/owners")):
        answer = reader(method, path, {} if method == "POST" else None)
        assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
        assert answer.json()["errors"][0]["context"]["requiredGranularScopes"]


@pytest.mark.parametrize("version", ["v1", "v3", "2026-03"])
def test_oauth(serve, version: str) -> None:
    sandbox = serve(oauth_expires_in=0.4)
    client, url = Client(sandbox.hubspot), f"/oauth/{version}/token"
    form = {
        "grant_type": "refresh_token",
        "client_id": sandbox.config.oauth_client_id,
        "client_secret": sandbox.config.oauth_client_secret,
        "refresh_token": sandbox.config.oauth_refresh_token,
    }
    client.session.headers.pop("Authorization")
    tokens = [client("POST", url, data=form).json()["access_token"] for _ in range(2)]
    assert tokens[0] != tokens[1]
    headers = {"Authorization": f"Bearer {tokens[1]}"}
    alive = client("GET", CONTACTS, headers=headers)
    assert alive.status_code == 200
    assert "X-HubSpot-RateLimit-Daily" not in alive.headers
    bad = client("POST", url, data=form | {"refresh_token": "x"})
    assert (bad.status_code, bad.json()["status"]) == (400, "BAD_REFRESH_TOKEN")
    assert client("POST", url, form).status_code == 400, "JSON is no form"
    assert client("POST", url, params=form).status_code == (200 if version == "v1" else 400)
    import time

    time.sleep(0.45)
    ended = client("GET", CONTACTS, headers=headers)
    assert (ended.status_code, ended.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
