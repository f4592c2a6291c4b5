from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from sandbox_client import Client

from airflow_providers_leads.sandbox import PerspectiveGrant
from airflow_providers_leads.sandbox.perspective.metrics import CHARTS, KPIS

YEAR = {"from": "2025-06-01T00:00:00.000Z", "to": "2026-11-01T00:00:00.000Z"}


@pytest.fixture
def funnel(perspective: Client) -> str:
    return next(iter(perspective.store.funnels))


@pytest.fixture
def sparse(perspective: Client) -> str:
    return list(perspective.store.funnels)[-1]


def walk(client: Client, path: str, **params: Any) -> list[dict]:
    rows, page = [], 0
    while True:
        body = client.get(path, page=page, limit=7, **params)
        rows += body["data"]
        assert body["meta"] == {"total": body["meta"]["total"], "page": page, "limit": 7,
                                "hasNext": len(rows) < body["meta"]["total"]}  # fmt: skip
        if not body["meta"]["hasNext"]:
            return rows
        page += 1


def test_workspaces(perspective: Client) -> None:
    data = perspective.get("/v1/workspaces")["data"]
    assert len(data) == 3
    campaigns = [campaign for workspace in data for campaign in workspace["campaigns"]]
    assert {c["id"] for c in campaigns} == set(perspective.store.funnels)
    assert {c["status"] for c in campaigns} == {"online", "offline"}


@pytest.mark.parametrize("field", ["ps_converted_at", "email", "firstName", "lastName"])
@pytest.mark.parametrize("order", ["-1", "1"])
def test_list_is_sorted_with_missing_values_at_the_low_end(
    perspective: Client, funnel: str, field: str, order: str
) -> None:
    rows = walk(perspective, f"/v1/funnels/{funnel}/contacts", sortField=field, sortOrder=order)
    assert {row["id"] for row in rows} == set(perspective.store.funnels[funnel].contacts)
    values = [row["meta"].get(field) if field.startswith("ps_") else row.get(field) for row in rows]
    assert None in values
    keys = [(value is not None, value or "") for value in values]
    assert keys == sorted(keys, reverse=order == "-1")


def test_list_defaults(perspective: Client, funnel: str) -> None:
    body = perspective.get(f"/v1/funnels/{funnel}/contacts")
    assert (body["meta"]["page"], body["meta"]["limit"]) == (0, 50)
    assert body == perspective.get(f"/v1/funnels/{funnel}/contacts", sortField="ps_converted_at", sortOrder="-1")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "page=-1", "sortField=phone", "sortOrder=desc", "sortOrder=0"]
)
def test_list_refuses(perspective: Client, funnel: str, query: str) -> None:
    answer = perspective("GET", f"/v1/funnels/{funnel}/contacts?{query}")
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert isinstance(answer.json()["error"], str)


def test_create_read_and_automations(perspective: Client, funnel: str) -> None:
    path, fired = f"/v1/funnels/{funnel}/contacts", perspective.store.automations_fired
    before = len(fired)
    body = {"email": "New@Example.com", "status": "lead", "address": {"city": "Kiel"}, "skipAutomationTrigger": True}
    made = [perspective("POST", path, body) for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 201]
    first, second = (answer.json()["data"] for answer in made)
    assert first["id"] != second["id"], "no deduplication"
    assert len(fired) == before
    read = perspective.get(f"{path}/{first['id']}")["data"]
    assert read == first
    assert (read["email"], read["address"]) == ("New@Example.com", {"city": "Kiel"})
    assert "ps_converted_at" not in read["meta"]
    perspective("POST", path, {"phone": "1"})
    assert fired[before]["trigger"] == "status:new"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"firstName": "A"}, "Email or phone"),
        ({"email": "ann@"}, "Invalid email format"),
        ({"email": " ann@example.com"}, "Invalid email format"),
        ({"email": "a@example.com", "meta": {}}, "meta"),
        ({"email": "a@example.com", "utmParams": {}}, "utmParams"),
        ({"email": "a@example.com", "properties": {}}, "properties"),
        ({"email": "a@example.com", "status": "won"}, "status"),
        ({"email": "a@example.com", "phone": 5}, "phone"),
        ({"email": "a@example.com", "skipAutomationTrigger": "true"}, "skipAutomationTrigger"),
        ({"email": "a@example.com", "city": "Kiel"}, "city"),
        ({"email": "a@example.com", "address": "Kiel"}, "address"),
    ],
)
def test_create_refuses(perspective: Client, funnel: str, body: dict, text: str) -> None:
    total = len(perspective.store.funnels[funnel].contacts)
    answer = perspective("POST", f"/v1/funnels/{funnel}/contacts", body)
    assert (answer.status_code, text in answer.json()["error"]) == (400, True), answer.text
    assert len(perspective.store.funnels[funnel].contacts) == total


def test_update_one_value(perspective: Client, funnel: str) -> None:
    path = f"/v1/funnels/{funnel}/contacts"
    made = perspective("POST", path, {"email": "u@example.com", "skipAutomationTrigger": True}).json()["data"]["id"]
    fired = perspective.store.automations_fired
    before = len(fired)

    def put(**body: Any) -> requests.Response:
        return perspective("PUT", f"{path}/{made}/values", body)

    answer = put(fieldName="zip", value="24103", skipAutomationTrigger=True)
    assert answer.status_code == 200
    assert set(answer.json()["data"]) == {"id", "fieldName", "value", "updatedAt"}
    put(fieldName="lastName", value="Žžž", skipAutomationTrigger=True)
    put(fieldName="favouriteColour", value="blue", skipAutomationTrigger=True)
    assert len(fired) == before
    put(fieldName="status", value="qualified")
    assert fired[before:] == [{"funnelId": funnel, "contactId": made, "trigger": "status:qualified"}]
    read = perspective.get(f"{path}/{made}")["data"]
    assert read["address"] == {"postalCode": "24103"}
    assert read["properties"] == {"favouriteColour": "blue"}
    assert perspective.get(path, sortField="lastName", limit=1)["data"][0]["id"] == made, "sort orders follow"
    for body in (
        {"fieldName": "ps_source", "value": "x"},
        {"fieldName": "status", "value": "won"},
        {"fieldName": "email", "value": "x"},
        {"fieldName": "lastName", "value": 5},
        {"fieldName": "lastName"},
        {"firstName": "A", "lastName": "B"},
        {"fieldName": "lastName", "value": "A", "extra": 1},
    ):
        assert put(**body).status_code == 400, body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/funnels/none/contacts", 404),
        ("GET", "/v1/funnels/{f}/contacts/none", 404),
        ("PUT", "/v1/funnels/{f}/contacts/none/values", 404),
        ("PATCH", "/v1/funnels/{f}/contacts/none", 405),
        ("GET", "/v1/funnels", 404),
        ("GET", "/v1/funnels/{f}/analytics", 404),
    ],
)
def test_not_found(perspective: Client, funnel: str, method: str, path: str, status: int) -> None:
    answer = perspective(method, path.format(f=funnel), {"fieldName": "email", "value": "x"})
    assert (answer.status_code, answer.json()["status"]) == (status, status)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, "API key is required"),
        ({"Authorization": "Bearer sandbox-perspective-key"}, "API key is required"),
        ({"x-perspective-api-key": "wrong"}, "Invalid or unauthorized API key"),
    ],
)
def test_keys(perspective: Client, headers: dict, text: str) -> None:
    answer = requests.get(f"{perspective.api.origin}/v1/workspaces", headers=headers, timeout=5)
    assert (answer.status_code, answer.json()) == (401, {"error": text, "status": 401})


def test_permissions(serve) -> None:
    grant = PerspectiveGrant(permissions=frozenset({"crm:read"}), workspaces=frozenset({"ws_energy"}))
    client = Client(serve(perspective_keys={"crm": grant}).perspective)
    client.session.headers["x-perspective-api-key"] = "crm"
    funnels = list(client.store.funnels)
    assert client("GET", "/v1/workspaces").status_code == 403
    assert client("GET", f"/v1/funnels/{funnels[0]}/contacts").status_code == 200
    assert client("POST", f"/v1/funnels/{funnels[0]}/contacts", {"phone": "1"}).status_code == 403
    assert client("GET", f"/v1/funnels/{funnels[2]}/contacts").status_code == 403


@pytest.mark.parametrize("subtype", sorted(KPIS))
def test_kpis(perspective: Client, funnel: str, sparse: str, subtype: str) -> None:
    data = perspective.get(f"/v1/funnels/{funnel}/metrics/kpis/{subtype}", **YEAR)["data"]
    assert data["type"].startswith("kpi")
    assert "_" not in data["type"]
    assert data["value"] > 0
    assert ("count" in data) == subtype.endswith("_rate")
    missing = perspective("GET", f"/v1/funnels/{sparse}/metrics/kpis/{subtype}", params=YEAR)
    assert missing.status_code == 404


def test_kpis_add_up_over_time(perspective: Client, funnel: str) -> None:
    path = f"/v1/funnels/{funnel}/metrics"
    whole = perspective.get(f"{path}/kpis/kpi_new_contacts", **YEAR)["data"]["value"]
    for offset in ("0", "120", "-120"):
        points = perspective.get(f"{path}/charts/chart_contacts_over_time", offset=offset, **YEAR)["data"]
        assert sum(point["value"] for point in points) == whole
    middle = "2026-04-01T00:00:00.000Z"
    halves = [
        perspective.get(f"{path}/kpis/kpi_new_contacts", **{"from": YEAR["from"], "to": middle}),
        perspective.get(f"{path}/kpis/kpi_new_contacts", **{"from": middle, "to": YEAR["to"]}),
    ]
    assert sum(half["data"]["value"] for half in halves) == whole
    assert 0 < halves[0]["data"]["value"] < whole


def test_offset_moves_days(perspective: Client, funnel: str) -> None:
    contacts = perspective.store.funnels[funnel].contacts.values()
    shifted = [perspective.get(f"/v1/funnels/{funnel}/metrics/charts/chart_contacts_over_time", offset=str(offset),
                               **YEAR)["data"] for offset in (0, 600, -600)]  # fmt: skip
    for offset, points in zip((0, 600, -600), shifted, strict=True):
        days: dict[str, int] = {}
        for contact in contacts:
            if converted := contact["meta"].get("ps_converted_at"):
                at = datetime.fromisoformat(converted) + timedelta(minutes=offset)
                days[f"{at:%Y-%m-%d}"] = days.get(f"{at:%Y-%m-%d}", 0) + 1
        assert {p["key"]: p["value"] for p in points if p["value"]} == days


@pytest.mark.parametrize("subtype", sorted(CHARTS))
def test_charts(perspective: Client, funnel: str, sparse: str, subtype: str) -> None:
    path = f"/v1/funnels/{funnel}/metrics/charts/{subtype}"
    points = perspective.get(path, **YEAR)["data"]
    assert points
    assert perspective.get(path.replace(funnel, sparse), **YEAR)["data"] == []
    if subtype == "chart_page_to_page_conversion_rate":
        parts = [perspective.get(path, abTest=test, **YEAR)["data"] for test in ("all", "original", "variant")]
        assert parts[0] == points
        assert [a["value"] + b["value"] for a, b in zip(*parts[1:], strict=True)] == [p["value"] for p in points]
        assert perspective("GET", path, params=YEAR | {"abTest": "b"}).status_code == 400
    else:
        assert perspective("GET", path, params=YEAR | {"abTest": "all"}).status_code == 400


def test_insight(perspective: Client, funnel: str) -> None:
    data = perspective.get(f"/v1/funnels/{funnel}/metrics/insights/question_2", **YEAR)["data"]
    assert set(data) == {"title", "answers", "groupedAnswers"}
    assert any("; " in key for key in data["groupedAnswers"])
    assert sum(data["answers"].values()) > sum(data["groupedAnswers"].values())


@pytest.mark.parametrize(
    ("path", "change", "text"),
    [
        ("kpis/kpi_nothing", {}, "KPI not found"),
        ("charts/chart_nothing", {}, "not found"),
        ("insights/question_99", {}, "Insight not found"),
        ("kpis/kpi_new_contacts", {"to": None}, "to is required"),
        ("kpis/kpi_new_contacts", {"to": YEAR["from"]}, "before"),
        ("kpis/kpi_new_contacts", {"from": "2025-06-01"}, "ISO 8601"),
        ("kpis/kpi_new_contacts", {"from": "2025-06-01T00:00:00+02:00"}, "ISO 8601"),
        ("kpis/kpi_new_contacts", {"offset": "+02:00"}, "offset"),
        ("kpis/kpi_new_contacts", {"abTest": "all"}, "abTest"),
    ],
)
def test_metrics_refuse(perspective: Client, funnel: str, path: str, change: dict, text: str) -> None:
    query = {key: value for key, value in (YEAR | change).items() if value is not None}
    answer = perspective("GET", f"/v1/funnels/{funnel}/metrics/{path}", params=query)
    assert (answer.status_code, text in answer.json()["error"]) == (400, True), answer.text
