"""What plans ask of hooks: cost, properties, flags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests_mock as rm

from airflow_providers_leads.hooks.base import LeadsHook, get_leads_hook
from airflow_providers_leads.leads.model.outcomes import PlanRow

HUBSPOT = "https://api.hubapi.com/crm/properties/2026-03/contacts"
PERSISTIQ = "https://api.persistiq.com/v1"


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for crm in ("hubspot", "perspective", "persistiq"):
        value = {"conn_type": crm, "password": "k", "extra": {"max_retries": 0}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{crm.upper()}", json.dumps(value))
        value["extra"] |= {"rate_limit": 30, "rate_limit_period": 60}  # type: ignore[operator]
        monkeypatch.setenv(f"AIRFLOW_CONN_SLOW_{crm.upper()}", json.dumps(value))


@pytest.fixture
def api() -> Iterator[rm.Mocker]:
    with rm.Mocker() as mocker:
        mocker.get(
            HUBSPOT,
            json={
                "results": [
                    {"name": "utm_source", "modificationMetadata": {"readOnlyValue": False}},
                    {"name": "plain"},
                    {"name": "score", "calculated": True},
                    {"name": "created", "modificationMetadata": {"readOnlyValue": True}},
                    {"name": "firstname"},
                    {"name": "email"},
                ]
            },
        )
        fields = [{"name": name} for name in ("email", "first_name", "utm_source", "zip", "domain")]
        mocker.get(f"{PERSISTIQ}/lead_fields", json={"status": "success", "lead_fields": fields})
        yield mocker


def row(action: Any, values: dict[str, str] | None = None, before: dict[str, str | None] | None = None) -> PlanRow:
    return PlanRow(email_key="a@x.de", action=action, target_id="1", values=values or {}, before=before or {})


ADDRESS = {"address": "Weg 1", "city": "Ulm"}
COSTS = [
    ("hubspot", row("create"), 0.01), ("hubspot", row("update", {"city": "x"}), 0.01),
    ("persistiq", row("create"), 0.1), ("persistiq", row("update", {"city": "x", "phone": "1"}), 1.0),
    ("perspective", row("create", ADDRESS), 1.0), ("perspective", row("update", {"city": "x"}), 1.0),
    ("perspective", row("update", ADDRESS, {"address": "Gasse 2", "city": None}), 3.0),
    ("perspective", row("update", {"address": "am Wald"}, {"address": None}), 1.0),
    ("perspective", row("update", {"address": "am Wald"}, {"address": "Gasse 2"}), 0.0),
    *((crm, row(action), 0.0) for crm in ("hubspot", "perspective") for action in ("unchanged", "suppress")),
]  # fmt: skip


@pytest.mark.parametrize(("crm", "planned", "cost"), COSTS)
def test_cost_of_a_row(crm: str, planned: PlanRow, cost: float) -> None:
    assert get_leads_hook(crm).write_cost(planned) == pytest.approx(cost)


@pytest.mark.parametrize(
    ("conn_id", "per_second"),
    [("hubspot", 10.0), ("perspective", 100 / 60), ("persistiq", 100 / 60), ("slow_hubspot", 0.5)],
)  # fmt: skip
def test_pace_is_the_quotas_or_the_connections(conn_id: str, per_second: float) -> None:
    hook = get_leads_hook(conn_id)
    assert hook.requests_per_second == pytest.approx(per_second)
    hook.client.limiters["default"].resize(7, 1.0)
    assert hook.requests_per_second == pytest.approx(7.0)


def test_what_each_crm_can_be_told() -> None:
    hooks: dict[str, LeadsHook] = {crm: get_leads_hook(crm) for crm in ("hubspot", "perspective", "persistiq")}
    assert {crm: hook.writable_flags for crm, hook in hooks.items()} == {
        "hubspot": frozenset(), "perspective": frozenset(), "persistiq": frozenset({"opted_out"}),
    }  # fmt: skip
    assert {crm: hook.lookup_rows for crm, hook in hooks.items()} == {
        "hubspot": 10_000, "perspective": 0, "persistiq": 100,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("crm", "names", "said"),
    [
        ("hubspot", ["utm_source", "nowhere"], "there is no 'nowhere'. Make it in HubSpot"),
        ("hubspot", ["created"], "'created' can only be read"),
        ("hubspot", ["score"], "'score' can only be read"),
        ("hubspot", ["firstname"], "'firstname' is written from a lead field"),
        ("hubspot", ["email"], "'email' is written from a lead field"),
        ("persistiq", ["nowhere"], "there is no 'nowhere'. Make the lead field"),
        ("persistiq", ["zip"], "'zip' is written from a lead field"),
        ("persistiq", ["domain"], "'domain' is written from a lead field"),
        ("perspective", ["b", "a"], "no place for 'a'"),
    ],
)
def test_properties_that_a_plan_can_not_write(crm: str, names: list[str], said: str, api: rm.Mocker) -> None:
    with pytest.raises(ValueError, match=f"Connection '{crm}': properties: ") as caught:
        get_leads_hook(crm).check_properties(names)
    assert said in str(caught.value)


@pytest.mark.parametrize(("crm", "names"), [("hubspot", ["utm_source", "plain"]), ("persistiq", ["utm_source"])])
def test_properties_that_a_plan_can_write(crm: str, names: list[str], api: rm.Mocker) -> None:
    get_leads_hook(crm).check_properties(names)
    assert api.called


@pytest.mark.parametrize("crm", ["hubspot", "persistiq", "perspective"])
def test_nothing_is_asked_where_no_property_is_to_be_written(crm: str, api: rm.Mocker) -> None:
    get_leads_hook(crm).check_properties([])
    assert not api.called


@pytest.mark.parametrize(
    ("planned", "body", "fields"),
    [
        ({"values": {"opted_out": "true"}}, {"optedout": True}, ["opted_out"]),
        (
            {"values": {"first_name": "Ann"}, "properties": {"utm_source": "ads"}},
            {"data": {"first_name": "Ann", "utm_source": "ads"}}, ["first_name", "properties.utm_source"],
        ),
        ({"properties": {"utm_source": "ads"}}, {"data": {"utm_source": "ads"}}, ["properties.utm_source"]),
    ],
)  # fmt: skip
def test_persistiq_is_told_opt_outs_and_custom_fields(
    planned: dict[str, Any], body: dict[str, Any], fields: list[str], api: rm.Mocker
) -> None:
    api.patch(f"{PERSISTIQ}/leads/l_1", json={"status": "success", "lead": {"id": "l_1"}})
    update = PlanRow(email_key="a@x.de", action="update", target_id="l_1", **planned)
    (result,) = get_leads_hook("persistiq").apply_plan([update])
    assert (result.outcome, result.fields, result.reason) == ("updated", fields, None)
    (sent,) = [request.json() for request in api.request_history if request.method == "PATCH"]
    assert sent == body


def test_persistiq_is_never_told_to_take_an_opt_out_back(api: rm.Mocker) -> None:
    update = PlanRow(
        email_key="a@x.de", action="update", target_id="l_1", values={"first_name": "A", "opted_out": "false"}
    )
    api.patch(f"{PERSISTIQ}/leads/l_1", json={"status": "success", "lead": {"id": "l_1"}})
    (result,) = get_leads_hook("persistiq").apply_plan([update])
    assert "optedout" not in api.request_history[-1].json()
    assert result.fields == ["first_name"]


def test_custom_properties_go_into_creates(api: rm.Mocker) -> None:
    create = PlanRow(
        email_key="a@x.de", action="create", values={"first_name": "Ann"}, properties={"utm_source": "ads"}
    )
    wire = {"email": "a@x.de", "first_name": "Ann", "utm_source": "ads"}
    api.post(f"{PERSISTIQ}/leads", json={"status": "success", "errors": [], "leads": [{"id": "l", "data": wire}]})
    (result,) = get_leads_hook("persistiq").apply_plan([create])
    assert api.request_history[-1].json()["leads"] == [wire]
    assert result.fields == ["first_name", "properties.utm_source"]
