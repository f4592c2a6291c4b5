"""Extracts of some of a CRM's people, against the sandbox: by filters, lists, campaign, status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.hubspot import HubSpotSearchContactsOperator
from airflow_providers_leads.operators.leads import (
    LeadsApplyOperator,
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsFromFileOperator,
    LeadsPlanOperator,
    LeadsToListOperator,
)
from airflow_providers_leads.operators.persistiq import PersistIQListLeadsOperator
from airflow_providers_leads.operators.perspective import PerspectiveListContactsOperator
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.hubspot.store import RecordList


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=400, seed=7, limits=False) as running:
        running.hubspot.store.lists |= {
            "10": RecordList("Nobody"), "2026": RecordList("2025"), "11": RecordList("2031"),
            "12": RecordList("Gone", deleted=running.hubspot.store.born),
        }  # fmt: skip
        yield running


@pytest.fixture(autouse=True)
def connections(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.connection_env().items():
        extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 1}
        monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))


def extract(tmp_path: Path, crm: str, **scope: Any) -> tuple[dict[str, Any], list[Lead]]:
    operator = LeadsExtractOperator(task_id="e", conn_id=f"{crm}_default", output=str(tmp_path), scope=scope)
    result = operator.execute({})
    return result, list(read_rows(result["uri"], Lead))


def status_of(sandbox: Sandbox) -> tuple[str, set[str]]:
    """Return a lead status that some contacts have, and who they are."""
    by_status: dict[str, set[str]] = {}
    for contact in sandbox.hubspot.store.contacts.values():
        if contact.archived is None and (status := contact.properties.get("hs_lead_status")):
            by_status.setdefault(status, set()).add(str(contact.id))
    return max(by_status.items(), key=lambda item: len(item[1]))


def test_a_name_of_digits_is_a_name_where_it_is_no_id() -> None:
    assert HubSpotHook().list_ids(["2031", "2026", "2025", 7]) == ["11", "2026", "7"]


def test_by_filters_in_both_forms(sandbox: Sandbox, tmp_path: Path) -> None:
    status, expected = status_of(sandbox)
    short, leads = extract(tmp_path, "hubspot", filters={"hs_lead_status": status})
    assert {lead.source_id for lead in leads} == expected
    assert not short["complete"]
    groups = [{"filters": [{"propertyName": "hs_lead_status", "operator": "EQ", "value": status}]}]
    _, leads = extract(tmp_path, "hubspot", filters=groups)
    assert {lead.source_id for lead in leads} == expected
    times = sorted(lead.created_at for lead in leads if lead.created_at)
    middle = times[len(times) // 2]
    _, later = extract(
        tmp_path, "hubspot", filters={"hs_lead_status": [status], "createdate": {"after": middle.isoformat()}}
    )
    assert {lead.source_id for lead in later} == {
        lead.source_id for lead in leads if lead.created_at and lead.created_at >= middle
    }


@pytest.mark.parametrize("named", ["7", "Trade fair 2026"])
def test_members_of_a_list(sandbox: Sandbox, tmp_path: Path, named: str) -> None:
    contacts = sandbox.hubspot.store.contacts
    expected = {
        str(contact)
        for contact, lists in sandbox.hubspot.store.memberships.items()
        if "7" in lists and contacts[contact].archived is None
    }
    assert len(expected) > 100, "more than a page"
    hook = HubSpotHook()
    assert hook.list_ids([named]) == ["7"]
    assert expected <= set(hook.list_members("7"))
    result, leads = extract(tmp_path, "hubspot", lists=[named])
    assert {lead.source_id for lead in leads} == expected
    assert not result["complete"]
    status, with_status = status_of(sandbox)
    _, both = extract(tmp_path, "hubspot", lists=[named, "10"], filters={"hs_lead_status": status})
    assert {lead.source_id for lead in both} == expected & with_status


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ({"filters": {"hs_led_status": "NEW"}}, "no contact property 'hs_led_status'"),
        ({"filters": {"hs_lead_status": "NEWISH"}}, "none of its options .*NEW"),
        ({"filters": {"createdate": {"since": "2026-01-01T00:00:00Z"}}}, "'since' is none of"),
        ({"filters": {"createdate": {"after": "2026-01-01"}}}, "createdate"),
        ({"lists": ["Trade fare"]}, "no list 'Trade fare'"),
        ({"lists": ["9"]}, "list '9' .Key accounts. is of other records"),
        ({"lists": ["Key accounts"]}, "no list 'Key accounts' of contacts"),
        ({"lists": ["12"]}, "no list '12'"),
        ({"lists": ["7"], "archived": True}, "leave archived out"),
    ],
)
def test_what_does_not_exist_is_told_before_anything_is_read(
    tmp_path: Path, scope: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        extract(tmp_path, "hubspot", **scope)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_campaign_by_id_and_name(sandbox: Sandbox, tmp_path: Path) -> None:
    store = sandbox.persistiq.store
    campaign = max(store.campaigns.values(), key=lambda one: len(one.members))
    assert campaign.members
    for named in (campaign.id, campaign.name):
        result, leads = extract(tmp_path, "persistiq", campaign=named)
        assert {lead.source_id for lead in leads} == set(campaign.members)
        assert not result["complete"]
    with pytest.raises(ValueError, match="no campaign 'gone'"):
        extract(tmp_path, "persistiq", campaign="gone")


def test_a_status_of_contacts(tmp_path: Path) -> None:
    whole, everyone = extract(tmp_path, "perspective")
    statuses = {lead.status for lead in everyone if lead.status}
    wanted = sorted(statuses)[0]
    result, leads = extract(tmp_path, "perspective", contact_status=wanted.upper())
    assert {lead.source_id for lead in leads} == {lead.source_id for lead in everyone if lead.status == wanted}
    assert whole["complete"] and not result["complete"]


def test_a_narrowed_extract_is_never_what_a_destination_holds(tmp_path: Path) -> None:
    result, _ = extract(tmp_path / "some", "hubspot", lists=["7"])
    whole, _ = extract(tmp_path / "all", "hubspot")
    golden = LeadsDeduplicateOperator(task_id="m", inputs=[whole], output=str(tmp_path / "m")).execute({})
    plan = LeadsPlanOperator(
        task_id="p", conn_id="hubspot_default", golden=golden, existing=[result], output=str(tmp_path / "p")
    ).execute({})
    assert plan["create"] == 0


def test_leads_go_into_a_list_once(sandbox: Sandbox, tmp_path: Path) -> None:
    store = sandbox.hubspot.store
    some = [contact for contact in store.contacts.values() if contact.properties.get("email")][:3]
    rows = [
        WriteResult(email_key=f"p{number}@example.com", outcome="updated", target_id=str(contact.id))
        for number, contact in enumerate(some)
    ]
    rows += [
        WriteResult(email_key="gone@example.com", outcome="created", target_id="999999999"),
        WriteResult(email_key="no@example.com", outcome="suppressed", target_id=str(max(store.contacts))),
    ]
    write_rows(f"{tmp_path}/r.parquet", WriteResult, rows)

    def change(**more: Any) -> dict[str, Any]:
        arguments = {"conn_id": "hubspot_default", "list": "Nobody", "leads": f"{tmp_path}/r.parquet", **more}
        return LeadsToListOperator(task_id="l", **arguments).execute({})

    members = lambda: {contact for contact, lists in store.memberships.items() if "10" in lists}  # noqa: E731
    assert [change(dry_run=True, outcomes=said)["changed"] for said in (["updated"], ["created"])] == [3, 1]
    # A template of nothing is no narrower wish.
    assert [change(dry_run=True, **said)["changed"] for said in ({}, {"outcomes": None}, {"outcomes": "None"})] == [
        4
    ] * 3
    assert members() == set()
    first = change()
    assert (first["changed"], first["missing"]) == (3, 1)
    assert members() == {contact.id for contact in some}
    assert change()["changed"] == 0
    for list_, message in (("8", "'8' is an active one"), ("Customers", "active one"), ("9", "of other records")):
        with pytest.raises(ValueError, match=message):
            change(list=list_)
    assert change(remove=True)["changed"] == 3
    assert members() == set()
    with pytest.raises(ValueError, match="no list 'Somebody'"):
        change(list="Somebody")
    with pytest.raises(ValueError, match="PersistIQ has no lists"):
        change(conn_id="persistiq_default")
    assert HubSpotHook().find_list("10")["name"] == "Nobody"
    assert HubSpotHook().change_list("8", []).changed == set()


def test_a_date_is_compared_with_a_date(sandbox: Sandbox, tmp_path: Path) -> None:
    contact = next(one for one in sandbox.hubspot.store.contacts.values() if one.archived is None)
    contact.properties["contract_start"] = "2026-03-04"
    for number, (after, before) in enumerate((("2026-03-04", "2026-03-05"), (date(2026, 3, 5), date(2026, 3, 6)))):
        _, leads = extract(tmp_path, "hubspot", filters={"contract_start": {"after": after, "before": before}})
        assert [lead.source_id for lead in leads] == [str(contact.id)][number:]


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "jsonl.gz"])
def test_files_of_searches_and_lists_are_files_of_leads(sandbox: Sandbox, tmp_path: Path, ending: str) -> None:
    def leads(operator: Any, **columns: Any) -> list[Lead]:
        read = LeadsFromFileOperator(
            task_id="f", input=operator.execute({}), source="found", output=str(tmp_path / operator.task_id),
            columns=columns,
        ).execute({})  # fmt: skip
        golden = LeadsDeduplicateOperator(task_id="g", inputs=[read], output=str(tmp_path / "g")).execute({})
        assert golden["rows"]["golden"] == len({lead.email_key for lead in read_rows(read["uri"], Lead)})
        return list(read_rows(read["uri"], Lead))

    search = HubSpotSearchContactsOperator(
        task_id="search", query="a", properties=["email", "firstname", "hs_email_optout"],
        output=f"{tmp_path}/search.{ending}",
    )  # fmt: skip
    found = {lead.source_id: lead for lead in leads(search, source_id="id")}
    contacts = sandbox.hubspot.store.contacts
    assert len(found) > 10
    for record, lead in found.items():
        contact = contacts[int(record)].properties
        assert (lead.email_key, lead.first_name) == (email_key(contact["email"]), contact.get("firstname"))
        assert bool(lead.opted_out) == (contact.get("hs_email_optout") == "true")
    listed = leads(PersistIQListLeadsOperator(task_id="listed", output=f"{tmp_path}/listed.{ending}"))
    assert sum(bool(lead.opted_out) for lead in listed) == sum(
        bool(lead.optedout and email_key(lead.data["email"])) for lead in sandbox.persistiq.store.leads.values()
    )
    funnel = PerspectiveListContactsOperator(
        task_id="funnel", funnel_id=next(iter(sandbox.perspective.store.funnels)), output=f"{tmp_path}/funnel.{ending}"
    )
    assert not any(str(lead.address or "").startswith("{") for lead in leads(funnel))


def test_a_lifecycle_stage_goes_back_only_where_it_is_meant_to(sandbox: Sandbox, tmp_path: Path) -> None:
    contact = next(
        one for one in sandbox.hubspot.store.contacts.values()
        if one.properties.get("lifecyclestage") == "customer" and email_key(one.properties.get("email"))
        if one.archived is None and not {"hs_email_optout", "hs_email_hard_bounce_reason_enum"} & set(one.properties)
    )  # fmt: skip
    address = str(contact.properties["email"])
    row = Lead("fair", "fair", "1", address, email_key(address))
    write_rows(f"{tmp_path}/fair.parquet", Lead, [row])
    golden = LeadsDeduplicateOperator(task_id="m", inputs=[f"{tmp_path}/fair.parquet"], output=f"{tmp_path}/g").execute(
        {}
    )
    for back, stage, number in ((False, "customer", 0), (True, "lead", 1), (True, "lead", 0)):
        plan = LeadsPlanOperator(
            task_id="p", conn_id="hubspot_default", golden=golden, output=f"{tmp_path}/p",
            fields={"lifecyclestage": {"constant": "lead", "back": back}},
        ).execute({})  # fmt: skip
        assert plan["update"] == number
        context: Any = {"ti": SimpleNamespace(dag_id="d", run_id=f"r{back}{number}", task_id="a", map_index=-1)}
        LeadsApplyOperator(task_id="a", conn_id="hubspot_default", plan=plan, output=f"{tmp_path}/a").execute(context)
        assert contact.properties["lifecyclestage"] == stage


def test_a_stage_stays_where_what_goes_with_it_is_refused(sandbox: Sandbox) -> None:
    contact = next(
        one for one in sandbox.hubspot.store.contacts.values()
        if one.properties.get("lifecyclestage") == "customer" and one.archived is None
    )  # fmt: skip
    row = PlanRow(
        email_key="x@example.com", action="update", target_id=str(contact.id),
        properties={"lifecyclestage": "lead", "hs_object_id": "1"},
        properties_before={"lifecyclestage": "customer", "hs_object_id": None},
    )  # fmt: skip
    (result,) = HubSpotHook().update_rows([row])
    assert result.outcome == "failed"
    assert contact.properties["lifecyclestage"] == "customer"
