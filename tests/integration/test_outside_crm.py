"""A CRM of another package, ``tests/outside_crm``: it is read, merged and written, and no file here knows of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import Asset
from rolodex.hook import RolodexHook
from rolodex.server import KEY, Rolodex

import airflow_providers_leads
from airflow_providers_leads.asset_uris import crm_asset_uri
from airflow_providers_leads.cli.definition import main
from airflow_providers_leads.hooks.base import all_scope_keys, get_leads_hook
from airflow_providers_leads.hooks.registry import crms
from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.enrol import LeadsEnrolOperator
from airflow_providers_leads.operators.erase import LeadsEraseOperator
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file

# No vendor of this package's own knows them.
pytestmark = pytest.mark.invented_requests
ROOT = Path(__file__).resolve().parents[2]
NEW = {"email": "new@rolodex.example", "given_name": "Nora", "family_name": "New", "company": "Rolodex"}
GONE = {"email": "gone@rolodex.example", "given_name": "Gerd", "unsubscribed": True}
NOBODY = {"email": "no address", "given_name": "Nemo"}


def plug_in(api: Rolodex, monkeypatch: pytest.MonkeyPatch, key: str = KEY, conn_id: str = "rolodex_default") -> None:
    conn = {"conn_type": "rolodex", "host": api.origin, "password": key, "extra": {"max_retries": 3}}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(conn))


@pytest.fixture
def rolodex(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rolodex]:
    people = [{"email": f"p{number}@rolodex.example", "circle": "a" if number < 4 else "b"} for number in range(8)]
    with Rolodex(NEW, GONE, NOBODY, *people) as api:
        plug_in(api, monkeypatch)
        yield api


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(people=40, seed=7, limits=False) as running:
        for name, value in running.connection_env().items():
            extra = {"rate_limit": 100_000, "rate_limit_period": 1}
            monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
        yield running


def sync(tmp_path: Path, **params: Any) -> DagResult:
    both = ["rolodex_default", "hubspot_default"]
    params = {"sources": both, "destinations": both, "staging": f"file://{tmp_path}/files", **params}
    return run_dag_file(ROOT / "dags" / "leads_sync.py", params)


def outcomes(upserted: dict[str, Any]) -> dict[str, str]:
    rows = pq.read_table(upserted["results"].removeprefix("file://")).to_pylist()
    return {row["email_key"]: row["outcome"] for row in rows}


@pytest.mark.story
def test_leads_sync_reads_merges_and_writes_it(rolodex: Rolodex, sandbox: Sandbox, tmp_path: Path) -> None:
    from airflow.models.asset import AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    contacts = sandbox.hubspot.store.contacts
    known = email_key(next(c.properties["email"] for c in contacts.values() if c.properties.get("email")))
    first = sync(tmp_path)
    assert first.state == "success"
    uri = crm_asset_uri("rolodex", "rolodex_default")
    assert uri == Asset(uri=uri).uri == "rolodex://rolodex_default/people"
    with create_session() as session:
        assert uri in session.scalars(select(AssetModel.uri)).all()
    here, there = first.returned("upsert")
    assert (here["conn_id"], there["conn_id"]) == ("rolodex_default", "hubspot_default")
    assert here["failed"] == there["failed"] == here["ambiguous"] == 0
    # Who is in one of them is in both, once.
    assert here["created"] > 0
    addresses = [email_key(person["email"]) for person in rolodex.people.values()]
    assert len(addresses) == len(set(addresses) - {None}) + 1
    assert known in addresses
    in_hubspot = {email_key(c.properties.get("email")): c.properties for c in contacts.values()}
    assert in_hubspot[NEW["email"]]["company"] == "Rolodex"
    # Whoever opted out here is not made there.
    assert GONE["email"] not in in_hubspot
    assert outcomes(there)[GONE["email"]] == "suppressed"
    assert "Rolodex" in Path(first.returned("report")[0]["report"].removeprefix("file://")).read_text()
    assert "@" not in json.dumps([task.returned for task in first.tasks])

    written = rolodex.writes
    second = sync(tmp_path)
    assert second.state == "success"
    assert rolodex.writes == written
    assert [u["created"] + u["updated"] for u in second.returned("upsert")] == [0, 0]


def test_a_dry_run_writes_nothing(rolodex: Rolodex, tmp_path: Path) -> None:
    result = sync(tmp_path, sources=["rolodex_default"], destinations=["rolodex_default"], dry_run=True)
    assert result.state == "success"
    assert rolodex.writes == 0


def test_its_quota_is_kept_by_waiting(rolodex: Rolodex) -> None:
    rolodex.quota = 3
    hook = get_leads_hook("rolodex_default")
    assert len(list(hook.iter_leads())) == len(rolodex.people) == 11
    assert rolodex.refusals


def test_a_read_goes_on_from_a_page_that_was_kept(rolodex: Rolodex) -> None:
    pages = list(get_leads_hook("rolodex_default").lead_pages())
    assert len(pages) == 4
    rest = list(get_leads_hook("rolodex_default").lead_pages(position=json.loads(json.dumps(pages[2].position))))
    assert [lead for page in rest for lead in page.leads] == [lead for page in pages[2:] for lead in page.leads]


def test_a_scope_of_its_own_and_opt_outs(rolodex: Rolodex) -> None:
    assert "circle" in all_scope_keys()
    hook = get_leads_hook("rolodex_default")
    assert len(list(hook.iter_leads(circle="a"))) == 4
    with pytest.raises(ValueError, match=r"unknown scope 'status'; Rolodex knows \['circle'\]"):
        list(hook.iter_leads(status="x"))
    row = PlanRow(email_key=NEW["email"], action="update", target_id="p1", values={"opted_out": "true"})
    assert [result.outcome for result in hook.apply_plan([row])] == ["updated"]
    assert rolodex.people["p1"]["unsubscribed"] is True
    (found,) = hook.find_leads([NEW["email"]])
    assert found.opted_out is True


def test_whom_another_try_has_created_is_not_created_again(rolodex: Rolodex) -> None:
    (result,) = get_leads_hook("rolodex_default").apply_plan([PlanRow(email_key=NEW["email"], action="create")])
    assert (result.outcome, result.target_id, rolodex.writes) == ("unchanged", "p1", 0)


def test_the_test_button_and_the_command_line(
    rolodex: Rolodex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert RolodexHook().test_connection() == (True, "Rolodex accepts the key, which may read and write.")
    plug_in(rolodex, monkeypatch, key="wrong", conn_id="other")
    works, told = RolodexHook("other").test_connection()
    assert not works
    assert "Settings > API" in told
    assert "wrong" not in told

    assert main(["check", "rolodex_default"]) == 0
    assert "Quota default: 50 requests per 1 s" in capsys.readouterr().out
    assert main(["check", "other"]) == 1
    assert main(["pull", "rolodex_default", str(tmp_path / "a.parquet"), "--scope", "circle=a"]) == 0
    assert len(list(read_rows(f"file://{tmp_path}/a.parquet", Lead))) == 4
    capsys.readouterr()
    assert main(["diff", "rolodex_default", str(tmp_path / "a.parquet")]) == 0
    assert "unchanged 4" in capsys.readouterr().out
    assert main(["diff", "rolodex_default", str(tmp_path / "a.parquet"), "--option", "colour=red"]) == 2
    assert "Rolodex knows []" in capsys.readouterr().err


def test_what_it_does_not_offer_is_refused_or_told(rolodex: Rolodex, tmp_path: Path) -> None:
    enrol = LeadsEnrolOperator(
        task_id="enrol", conn_id="rolodex_default", campaign_id="c", leads=(), output=tmp_path.as_uri()
    )
    with pytest.raises(ValueError, match="Rolodex has no campaigns"):
        enrol.execute({})
    erase = LeadsEraseOperator(
        task_id="erase", conn_ids="rolodex_default", email_keys=[NEW["email"]], output=f"file://{tmp_path}"
    )
    told = erase.execute({})
    assert (told["not_possible"], told["done"], told["failed"]) == (1, 0, 0)
    (row,) = pq.read_table(told["report"].removeprefix("file://")).to_pylist()
    assert row["reason"].endswith("by hand")
    assert rolodex.writes == 0


def test_the_hook_of_the_guide_works(rolodex: Rolodex) -> None:
    """The guide's CRM has the same API, but for the names of the header and of the fields."""
    guide: dict[str, Any] = {}
    exec((ROOT / "docs" / "own_crm.md").read_text().split("```python\n")[1].split("```")[0], guide)
    hook = type("Guide", (guide["AcmeHook"],), {"key_header": RolodexHook.key_header})("rolodex_default")
    assert hook.test_connection() == (True, "Acme accepts the key.")
    assert len(list(hook.iter_leads())) == 11
    assert [lead.opted_out for lead in hook.find_leads([GONE["email"]])] == [True]
    rows = [
        PlanRow(email_key="more@rolodex.example", action="create", values={"phone": "0228 1"}),
        PlanRow(email_key=NEW["email"], action="create"),
        PlanRow(email_key=NEW["email"], action="update", target_id="p1", values={"phone": "0228 2"}),
    ]
    outcomes = sorted((result.email_key, result.outcome) for result in hook.apply_plan(rows))
    assert outcomes == [
        ("more@rolodex.example", "created"), (NEW["email"], "unchanged"), (NEW["email"], "updated"),
    ]  # fmt: skip
    assert rolodex.people["p1"]["phone"] == "0228 2"


def test_its_form_has_what_all_forms_have() -> None:
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    provider = ProvidersManagerTaskRuntime().providers["airflow-providers-rolodex"]
    (form,) = provider.data["connection-types"]
    assert {"rate_limit", "timeout", "max_retries"} <= form["conn-fields"].keys()
    assert crms()["rolodex"] == ("Rolodex", "rolodex.hook.RolodexHook")
    assert distribution("airflow-providers-rolodex").requires == ["airflow-providers-leads"]


def test_no_shared_file_names_it() -> None:
    files = [path for path in Path(airflow_providers_leads.__file__).parent.rglob("*") if path.suffix in (".py", ".j2")]
    assert len(files) > 100
    for path in (*files, *(ROOT / "dags").glob("*.py"), ROOT / "pyproject.toml"):
        assert "rolodex" not in path.read_text().lower(), path
