"""People who stand in all three CRMs, erased over real HTTP: what is left is what the report says."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG

from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.model.erasure import verify
from airflow_providers_leads.leads.model.identity import email_key, person_hash
from airflow_providers_leads.operators.erase import LeadsEraseOperator
from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.tasks.returns import LeadsWriteError

ALL = ["persistiq_default", "hubspot_default", "perspective_default"]
ANN, ZOE = "Ann.Planted@Firma-Planted.example", "zoe.stays@firma-planted.example"
KEY = "ann.planted@firma-planted.example"
MARKS = ("Planted", "planted", "4711")


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(people=40, seed=7, limits=False) as running:
        for name, value in running.connection_env().items():
            extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 0}
            monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
        yield running


@pytest.fixture
def planted(sandbox: Sandbox) -> Sandbox:
    """Plant Ann, and Zoe beside her, in every CRM: live, archived, secondary, padded, in a campaign, with answers."""
    from airflow_providers_leads.hooks.base import get_leads_hook

    hubspot, persistiq, perspective = (
        get_leads_hook(f"{name}_default") for name in ("hubspot", "persistiq", "perspective")
    )
    for address, last in ((ANN, "Planted"), (ZOE, "Stays")):
        own = hubspot.create_contact({"email": address, "firstname": "A", "lastname": last, "phone": "4711"})
        hubspot.archive_contact(own["id"])
        second = hubspot.create_contact({"email": f"old-{address}", "lastname": last, "phone": "4711"})
        hubspot.update_contact(second["id"], {"hs_additional_emails": address.lower()})
        leads = [{"email": f"  {address} ", "first_name": "A", "last_name": last, "phone": "4711"}]
        store, campaigns = sandbox.persistiq.store, list(sandbox.persistiq.store.campaigns)
        # The stand-in, too, takes a padded address only from an import.
        done = persistiq.create_leads([{**leads[0], "email": address}]).succeeded[0]
        store.leads[done.id].data["email"] = leads[0]["email"]
        persistiq.add_leads_to_campaign(campaigns[3], lead_id=done.id)
        for funnel in list(sandbox.perspective.store.funnels)[:2]:
            contact = perspective.create_contact(
                funnel, email=address, first_name="A", last_name=last, phone="4711", address={"street": last}
            )
            perspective.update_contact(funnel, contact["id"], {"question_9": last}, allow_custom=True)
    for api in sandbox.apis:
        assert any(word in everything(sandbox)[api.name] for word in MARKS)
    return sandbox


def everything(sandbox: Sandbox) -> dict[str, str]:
    """Return all that the CRMs hold of people now, as text."""
    leads = sandbox.persistiq.store.leads.values()
    return {
        "hubspot": str([contact.properties for contact in sandbox.hubspot.store.contacts.values()]),
        "persistiq": str([lead.data for lead in leads]),
        "perspective": str([list(funnel.contacts.values()) for funnel in sandbox.perspective.store.funnels.values()]),
    }


def context(run_id: str = "r1") -> Any:
    return {"ti": SimpleNamespace(dag_id="d", run_id=run_id, task_id="erase", map_index=-1)}


def erase(tmp_path: Path, people: Any = ANN, run_id: str = "r1", **more: Any) -> dict[str, Any]:
    more = {"conn_ids": ALL, "output": f"file://{tmp_path}/report", **more}
    return LeadsEraseOperator(task_id="erase", email_keys=people, **more).execute(context(run_id))


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    return pq.read_table(result["report"].removeprefix("file://")).to_pylist()


def writes(sandbox: Sandbox) -> int:
    return sum(api.stats.writes for api in sandbox.apis)


def test_nothing_of_a_person_is_left_but_what_the_report_says(planted: Sandbox, tmp_path: Path) -> None:
    zoe = {name: text.count("Stays") for name, text in everything(planted).items()}
    result = erase(tmp_path)
    assert result["failed"] == result["planned"] == 0
    told = rows(result)
    left = everything(planted)
    # The addresses that the two other APIs don't let go are all that is left, and the report names those steps.
    for name, text in left.items():
        for address in (ANN, KEY, f"old-{KEY}"):
            text = text.replace(address, "") if name != "hubspot" else text
        rest = text.replace(ZOE, "").replace(f"old-{ZOE}", "").replace("firma-planted.example", "")
        assert "Planted" not in rest and "ann.planted" not in rest, name
        assert zoe[name] == left[name].count("Stays") > 0, name
    assert {row["crm"] for row in told if row["step"] in ("delete lead", "delete contact")} == {
        "persistiq",
        "perspective",
    }
    assert {row["status"] for row in told if row["step"] in ("delete lead", "delete contact", "blank email")} == {
        "not_possible"
    }
    deleted = [row for row in told if row["step"] == "gdpr_delete"]
    assert [row["status"] for row in deleted] == ["done", "done"]
    store = planted.persistiq.store
    ann = next(lead for lead in store.leads.values() if email_key(lead.data.get("email")) == KEY)
    assert ann.optedout
    assert {name for name, value in ann.data.items() if value} == {"email"}
    assert not any(ann.id in campaign.members for campaign in store.campaigns.values())
    assert KEY in planted.hubspot.store.blocked
    assert planted.perspective.store.automations_fired == []
    assert store.messages_sent == []


def test_a_second_erasure_finds_nothing_to_delete(planted: Sandbox, tmp_path: Path) -> None:
    erase(tmp_path / "one")
    before = everything(planted)
    again = erase(tmp_path / "two", run_id="r2")
    assert {row["status"] for row in rows(again) if row["step"] == "gdpr_delete"} == {"not_found"}
    assert everything(planted) == before
    assert again["failed"] == 0


def test_the_report_is_signed_holds_no_address_and_says_which_run(
    planted: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        result = erase(tmp_path)
    about = json.loads(Path(result["summary"].removeprefix("file://")).read_text())
    assert verify(result["report"]) == result["sha256"] == about["sha256"]
    assert (about["dag_id"], about["run_id"], about["conn_ids"], about["people"]) == ("d", "r1", ALL, 1)
    assert about["started_at"] < about["finished_at"]
    shown = json.dumps(result) + json.dumps(about) + str(rows(result)) + caplog.text
    assert "@" not in shown
    assert "lanted" not in shown.replace("ann.planted", "lanted")
    assert {row["person"] for row in rows(result)} == {person_hash(KEY)}


def test_a_dry_run_writes_nothing(planted: Sandbox, tmp_path: Path) -> None:
    before, sent = everything(planted), writes(planted)
    result = erase(tmp_path, dry_run="true", block_domains=True)
    assert writes(planted) == sent
    assert everything(planted) == before
    assert result["planned"] > 0
    assert result["done"] == result["failed"] == 0
    assert {row["crm"] for row in rows(result) if row["status"] == "planned"} == {"hubspot", "persistiq", "perspective"}


def test_a_crm_that_fails_stops_no_other_and_a_retry_completes_the_report(planted: Sandbox, tmp_path: Path) -> None:
    planted.persistiq.faults = lambda *about: Fault(status=500)
    with pytest.raises(LeadsWriteError, match="steps of the erasure failed") as caught:
        erase(tmp_path)
    assert "@" not in str(caught.value)
    first = rows({"report": f"file://{tmp_path}/report/erasure.parquet"})
    assert {row["status"] for row in first if row["crm"] == "persistiq"} == {"failed"}
    assert [row["status"] for row in first if row["step"] == "gdpr_delete"] == ["done", "done"]

    planted.persistiq.faults = None
    result = erase(tmp_path)
    told = rows(result)
    assert result["failed"] == 0
    # What the first try deleted can't be found by the second, and stands in the report all the same.
    assert [row["status"] for row in told if row["step"] == "gdpr_delete"] == ["done", "done", "not_found"]
    assert "opt out" in {row["step"] for row in told}
    assert verify(result["report"]) == result["sha256"]


def test_the_report_of_another_run_is_not_overwritten(planted: Sandbox, tmp_path: Path) -> None:
    result = erase(tmp_path)
    sent = writes(planted)
    with pytest.raises(ValueError, match="is the report of another erasure"):
        erase(tmp_path, [ZOE], run_id="r2")
    assert writes(planted) == sent
    assert verify(result["report"]) == result["sha256"]


def test_a_file_of_addresses(planted: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_text(f"id;E-Mail\n1;{ANN}\n2;{ZOE}\n3;{ANN.upper()}\n")
    result = erase(tmp_path, f"{tmp_path}/who.csv", dry_run=True)
    assert result["people"] == 2


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"people": [ANN, "ann.planted"]}, ValueError, "entry 2 is no e-mail address"),
        ({"people": []}, ValueError, "names nobody"),
        ({"people": "/nowhere/who.txt"}, StagingError, "does not exist"),
        ({"conn_ids": []}, ValueError, "conn_ids"),
        ({"conn_ids": [*ALL, "no_key"]}, LeadsSettingsError, "no key"),
        ({"dry_run": "perhaps"}, ValueError, "dry_run"),
    ],
)
def test_bad_input_is_told_before_the_first_request(
    planted: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    kind: type[Exception],
    said: str,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NO_KEY", json.dumps({"conn_type": "hubspot", "host": planted.hubspot.origin}))
    sent = [api.stats.requests for api in planted.apis]
    with pytest.raises(kind, match=said) as caught:
        erase(tmp_path, **arguments)
    assert [api.stats.requests for api in planted.apis] == sent
    assert "planted" not in str(caught.value).lower().replace(str(tmp_path).lower(), "")


def test_addresses_are_neither_rendered_nor_serialized_and_their_template_is_resolved(
    planted: Sandbox, tmp_path: Path
) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("d") as dag:
        LeadsEraseOperator(task_id="erase", email_keys=[ANN], conn_ids=ALL)
        templated = LeadsEraseOperator(
            task_id="templated", email_keys="{{ who }}", conn_ids=ALL, output=f"{tmp_path}", dry_run=True
        )
    assert "@" not in json.dumps(DagSerialization.to_dict(dag))
    assert "email_keys" not in LeadsEraseOperator.template_fields
    assert templated.execute({**context(), "who": [ANN, ZOE]})["people"] == 2


def test_a_list_from_another_task_makes_it_wait_for_that_task() -> None:
    from airflow.providers.standard.operators.empty import EmptyOperator

    with DAG("d"):
        before = EmptyOperator(task_id="before")
        task = LeadsEraseOperator(task_id="erase", email_keys=before.output["uri"], conn_ids=ALL)
    assert task.upstream_task_ids == {"before"}


def test_a_task_that_is_cut_off_leaves_what_it_did_in_the_report(
    planted: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_providers_leads.hooks.perspective import PerspectiveHook

    def cut(self: Any, *args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PerspectiveHook, "list_workspaces", cut)
        with pytest.raises(KeyboardInterrupt):
            erase(tmp_path)
    report = f"{tmp_path}/report/erasure"
    assert json.loads(Path(f"{report}.json").read_text())["finished_at"] is None
    assert [row["status"] for row in rows({"report": f"{report}.parquet"}) if row["step"] == "gdpr_delete"] == [
        "done",
        "done",
    ]
    told = rows(erase(tmp_path))
    assert [row["status"] for row in told if row["step"] == "gdpr_delete"] == ["done", "done", "not_found"]
    assert "delete contact" in {row["step"] for row in told}


def test_of_whom_a_killed_try_erased_the_retry_does_not_say_that_nothing_was_there(
    planted: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_providers_leads.hooks.perspective import PerspectiveHook
    from airflow_providers_leads.operators import erase as operators

    saved = operators._Report.save

    def killed(self: Any, *args: Any, **options: Any) -> Any:
        # What a killed worker has not written by then, it never writes.
        return None if self._new else saved(self, *args, **options)

    def cut(self: Any, *args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(operators._Report, "save", killed)
        patch.setattr(PerspectiveHook, "list_workspaces", cut)
        with pytest.raises(KeyboardInterrupt):
            erase(tmp_path, [ANN, "nobody@firma.example"])
    told = [row for row in rows(erase(tmp_path, [ANN, "nobody@firma.example"])) if row["step"] == "gdpr_delete"]
    assert {row["status"] for row in told} == {"not_found"}
    assert all("an earlier try was cut off" in row["reason"] for row in told)
    again = [
        row for row in rows(erase(tmp_path, ANN, "r2", output=f"file://{tmp_path}/r2")) if row["step"] == "gdpr_delete"
    ]
    assert [(row["status"], row["reason"]) for row in again] == [("not_found", None)]
