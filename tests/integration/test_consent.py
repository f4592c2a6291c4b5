"""Who objects between a plan and a write, or between two tries, is not written; nor whom any CRM must not contact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.hooks.persistiq import PersistIQHook
from airflow_providers_leads.http.errors import LeadsAuthError
from airflow_providers_leads.leads.files.address_lists import AddressListError
from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.leads import (
    LeadsApplyOperator,
    LeadsDeduplicateOperator,
    LeadsEnrolOperator,
    LeadsEraseOperator,
    LeadsExtractOperator,
    LeadsPlanOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.sandbox import Sandbox

ANN, BOB, EVE = "ann@new.example", "bob@new.example", "eve@new.example"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(people=20, seed=7, limits=False) as running:
        for name, value in running.connection_env().items():
            extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 1}
            monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
        yield running


@pytest.fixture
def people(tmp_path: Path) -> str:
    rows = [
        Lead(source="golden", source_scope="", source_id=email, email=email, email_key=email, first_name="New")
        for email in (ANN, BOB, EVE)
    ]
    write_rows(tmp_path / "golden.parquet", Lead, rows)
    return str(tmp_path / "golden.parquet")


class Task:
    """A task instance, tried as often as one likes."""

    def __init__(self, kind: Any, folder: Path, **arguments: Any) -> None:
        self._make = lambda: kind(task_id="t", output=f"{folder}/{kind.__name__}", **arguments)
        self._ti = SimpleNamespace(dag_id="d", run_id="r", task_id=kind.__name__, map_index=-1, try_number=0)

    def __call__(self) -> dict[str, Any]:
        self._ti.try_number += 1
        context: Any = {"ti": self._ti}
        result: dict[str, Any] = self._make().execute(context)
        return result


def fates(result: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {row.email_key: (row.outcome, row.reason) for row in read_rows(result["results"], WriteResult)}


def in_hubspot() -> dict[str, dict[str, Any]]:
    held = HubSpotHook().list_contacts(properties=["email", "firstname", "hs_email_optout"])
    return {str(contact["properties"]["email"]): contact["properties"] for contact in held}


def struck(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    """Let a try end before its first write gets through."""

    def fail(*_: Any, **__: Any) -> Any:
        raise LeadsAuthError("HubSpot: the key is revoked")

    with monkeypatch.context() as patched:
        for name in ("create_rows", "update_rows"):
            patched.setattr(HubSpotHook, name, fail)
        with pytest.raises(LeadsAuthError):
            task()


def opt_out(sandbox: Sandbox, email: str) -> None:
    store = sandbox.hubspot.store
    contact = store.resolve(email, "email")
    assert contact is not None
    # Somebody clicks on the link in a mail: the API can't write it.
    store.assign(contact, {"hs_email_optout": "true"})


@pytest.mark.parametrize("kind", ["upsert", "apply"])
@pytest.mark.parametrize("entry", [ANN, "@new.example"])
def test_row_29_who_joins_a_list_between_two_tries(
    sandbox: Sandbox, people: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, entry: str
) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("nobody@else.example\n")
    given = {"conn_id": "hubspot_default", "golden": people, "suppressions": str(listed)}
    task = Task(LeadsUpsertOperator, tmp_path, **given)
    if kind == "apply":
        task = Task(
            LeadsApplyOperator, tmp_path, conn_id="hubspot_default", plan=Task(LeadsPlanOperator, tmp_path, **given)()
        )
    struck(monkeypatch, task)
    listed.write_text(f"{entry}\n")
    result = task()
    assert fates(result)[ANN] == ("suppressed", "suppression_list")
    assert ANN not in in_hubspot()
    assert (BOB in in_hubspot()) is (entry == ANN)
    assert result["suppressed"] == (1 if entry == ANN else 3)


@pytest.mark.parametrize("if_stale", ["replan", "refuse", "ignore"])
def test_row_29_who_joins_a_list_while_a_plan_waits(
    sandbox: Sandbox, people: str, tmp_path: Path, if_stale: str
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("email\n")
    given = {"conn_id": "hubspot_default", "golden": people, "suppressions": str(listed)}
    plan = Task(LeadsPlanOperator, tmp_path, **given)()
    assert plan["create"] == 3
    listed.write_text(f"email\n{ANN}\n")
    result = Task(LeadsApplyOperator, tmp_path, conn_id="hubspot_default", plan=plan, if_stale=if_stale)()
    assert fates(result)[ANN] == ("suppressed", "suppression_list")
    assert {ANN, BOB} & set(in_hubspot()) == {BOB}


def test_row_29_a_list_that_is_gone_stops_the_write(sandbox: Sandbox, people: str, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("email\n")
    plan = Task(LeadsPlanOperator, tmp_path, conn_id="hubspot_default", golden=people, suppressions=str(listed))()
    listed.unlink()
    with pytest.raises(AddressListError, match="does not exist"):
        Task(LeadsApplyOperator, tmp_path, conn_id="hubspot_default", plan=plan)()
    assert ANN not in in_hubspot()


@pytest.mark.parametrize("kind", ["upsert", "apply"])
@pytest.mark.parametrize("lookup_rows", [10_000, 0])
def test_row_29_who_opts_out_in_the_destination_between_two_tries(
    sandbox: Sandbox, people: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, lookup_rows: int
) -> None:
    monkeypatch.setattr(HubSpotHook, "lookup_rows", lookup_rows)
    HubSpotHook().batch_create_contacts([{"email": email, "firstname": "Old"} for email in (ANN, BOB)])
    extract = Task(LeadsExtractOperator, tmp_path, conn_id="hubspot_default")()
    given = {"conn_id": "hubspot_default", "golden": people, "existing": [extract]}
    task = Task(LeadsUpsertOperator, tmp_path, **given)
    if kind == "apply":
        task = Task(
            LeadsApplyOperator, tmp_path, conn_id="hubspot_default", plan=Task(LeadsPlanOperator, tmp_path, **given)()
        )
    struck(monkeypatch, task)
    opt_out(sandbox, ANN)
    result = task()
    assert fates(result)[ANN] == ("suppressed", "opted_out")
    assert (in_hubspot()[ANN]["firstname"], in_hubspot()[BOB]["firstname"]) == ("Old", "New")
    assert EVE in in_hubspot()


def test_row_29_a_later_try_that_plans_anew_from_an_old_extract(sandbox: Sandbox, people: str, tmp_path: Path) -> None:
    HubSpotHook().batch_create_contacts([{"email": ANN, "firstname": "Old"}])
    extract = Task(LeadsExtractOperator, tmp_path, conn_id="hubspot_default")()
    task = Task(LeadsUpsertOperator, tmp_path, conn_id="hubspot_default", golden=people, existing=[extract])
    task._ti.try_number = 1
    opt_out(sandbox, ANN)
    assert fates(task())[ANN] == ("suppressed", "opted_out")
    assert in_hubspot()[ANN]["firstname"] == "Old"


def test_row_29_a_first_try_asks_the_destination_once(sandbox: Sandbox, people: str, tmp_path: Path) -> None:
    Task(LeadsUpsertOperator, tmp_path, conn_id="hubspot_default", golden=people)()
    assert sandbox.hubspot.stats.by_route["POST /crm/v3/objects/contacts/batch/read"] <= 1


@pytest.mark.parametrize(
    ("where", "action"), [(None, "suppress"), ("everywhere", "suppress"), ("destination", "create")]
)
def test_row_30_a_domain_that_a_source_must_not_contact(
    sandbox: Sandbox, tmp_path: Path, where: str | None, action: str
) -> None:
    PersistIQHook().create_leads([{"email": "someone@barred.example"}], dup="skip")
    PersistIQHook().create_dnc_domain("barred.example")
    extract = Task(LeadsExtractOperator, tmp_path, conn_id="persistiq_default")()
    golden = Task(LeadsDeduplicateOperator, tmp_path, inputs=[extract])()
    switch = {} if where is None else {"do_not_contact": where}
    plan = Task(LeadsPlanOperator, tmp_path, conn_id="hubspot_default", golden=golden, **switch)()
    rows = {row.email_key: row for row in read_rows(plan["plan"], PlanRow)}
    assert rows["someone@barred.example"].action == action
    PersistIQHook().create_dnc_domain("later.example")
    PersistIQHook().create_leads([{"email": "x@later.example"}], dup="skip")


def test_row_30_a_domain_that_is_barred_while_a_plan_waits(sandbox: Sandbox, tmp_path: Path) -> None:
    PersistIQHook().create_leads([{"email": "someone@barred.example"}], dup="skip")
    extract = Task(LeadsExtractOperator, tmp_path, conn_id="persistiq_default")()
    golden = Task(LeadsDeduplicateOperator, tmp_path, inputs=[extract])()
    plan = Task(LeadsPlanOperator, tmp_path, conn_id="hubspot_default", golden=golden)()
    PersistIQHook().create_dnc_domain("barred.example")
    result = Task(LeadsApplyOperator, tmp_path, conn_id="hubspot_default", plan=plan, on_failure="report")()
    assert fates(result)["someone@barred.example"] == ("suppressed", "do_not_contact_domain")
    assert "someone@barred.example" not in in_hubspot()


def test_row_30_a_switch_that_is_none_of_the_choices() -> None:
    with pytest.raises(ValueError, match="do_not_contact"):
        LeadsUpsertOperator(task_id="t", conn_id="hubspot_default", golden="g", do_not_contact="nowhere")


def test_row_28_a_plan_by_the_policy_reads_all_that_is_held(sandbox: Sandbox, tmp_path: Path) -> None:
    HubSpotHook().batch_create_contacts([{"email": ANN, "firstname": "Old"}])
    opt_out(sandbox, ANN)
    tagged = Lead(source="perspective", source_scope="f", source_id="1", email="ann+news@new.example",
                  email_key="ann+news@new.example")  # fmt: skip
    write_rows(tmp_path / "in.parquet", Lead, [tagged])
    merge = Task(LeadsDeduplicateOperator, tmp_path, inputs=[str(tmp_path / "in.parquet")],
                 policy={"identity": {"plus_tags": True}})()  # fmt: skip
    plan = Task(LeadsPlanOperator, tmp_path, conn_id="hubspot_default", golden=merge)()
    (row,) = read_rows(plan["plan"], PlanRow)
    assert (row.action, row.reason) == ("suppress", "opted_out")


@pytest.mark.parametrize("by_policy", [True, False])
def test_row_28_an_erasure_takes_all_addresses_of_a_person(sandbox: Sandbox, tmp_path: Path, by_policy: bool) -> None:
    HubSpotHook().batch_create_contacts([{"email": email} for email in (ANN, "ann+news@new.example", BOB)])
    policy = {"policy": {"identity": {"plus_tags": True}}} if by_policy else {}
    done = Task(LeadsEraseOperator, tmp_path, email_keys=[ANN], conn_ids="hubspot_default", **policy)()
    assert done["people"] == 1 + by_policy
    assert {ANN, BOB, "ann+news@new.example"} & set(in_hubspot()) == {BOB} | (
        set() if by_policy else {"ann+news@new.example"}
    )


def test_row_29_who_joins_a_list_before_an_enrolment(sandbox: Sandbox, people: str, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("nobody@else.example\n")
    upserted = Task(
        LeadsUpsertOperator, tmp_path, conn_id="persistiq_default", golden=people, suppressions=str(listed)
    )()
    assert upserted["created"] == 3
    listed.write_text(f"{ANN}\n")
    campaign = next(iter(PersistIQHook().list_campaigns()))["id"]
    given = {"conn_id": "persistiq_default", "campaign_id": campaign, "dry_run": True}
    enrolled = Task(LeadsEnrolOperator, tmp_path, leads=upserted, **given)()
    assert (enrolled["enrolled"], enrolled["suppressed"]) == (2, 1)
    # By the file alone too, and by a list of its own.
    (tmp_path / "more.txt").write_text(f"{BOB}\n")
    enrolled = Task(
        LeadsEnrolOperator, tmp_path, leads=upserted["results"], suppressions=str(tmp_path / "more.txt"), **given
    )()
    assert (enrolled["enrolled"], enrolled["suppressed"]) == (1, 2)
