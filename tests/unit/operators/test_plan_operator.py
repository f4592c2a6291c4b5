"""The plan operator against the three sandbox CRMs, over real HTTP."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.leads.files import parquet
from airflow_providers_leads.leads.files.plan_facts import read_plan_facts
from airflow_providers_leads.leads.files.staging import StagingError, read_rows, write_rows
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.leads import (
    LeadsApplyOperator,
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsPlanOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.sandbox import Sandbox

CRMS = ("hubspot", "perspective", "persistiq")


@pytest.fixture(scope="module")
def seeded() -> Iterator[Sandbox]:
    with Sandbox(people=60, seed=7, limits=False) as running:
        yield running


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox of one's own, for tests that write."""
    with Sandbox(people=60, seed=7, limits=False) as running:
        connect(running, monkeypatch)
        yield running


@pytest.fixture
def held(seeded: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that tests only read."""
    connect(seeded, monkeypatch)
    return seeded


def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.connection_env().items():
        extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 1}
        monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))


def run(kind: Any, tmp_path: Path, **given: Any) -> dict[str, Any]:
    # A task instance of its own each time: what an earlier one noted is not for it.
    ti = SimpleNamespace(dag_id="d", run_id=uuid4().hex, task_id="t", map_index=-1)
    context: Any = {"ti": ti}
    operator = kind(task_id="t", output=f"file://{tmp_path}/{kind.__name__}", **given)
    result: dict[str, Any] = operator.execute(context)
    return result


def plan(tmp_path: Path, **given: Any) -> tuple[dict[str, Any], dict[str, PlanRow]]:
    told = run(LeadsPlanOperator, tmp_path, **given)
    rows = list(read_rows(told["plan"], PlanRow))
    assert Counter(row.action for row in rows) == Counter(
        {action: told[action] for action in ("create", "update", "unchanged", "suppress") if told[action]}
    )
    assert len({row.email_key for row in rows}) == len(rows)
    assert "@" not in json.dumps(told)
    return told, {row.email_key: row for row in rows}


def merged(tmp_path: Path, *conn_ids: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    extracts = [run(LeadsExtractOperator, tmp_path, conn_id=conn_id) for conn_id in conn_ids]
    return run(LeadsDeduplicateOperator, tmp_path, inputs=extracts), extracts


def golden_file(tmp_path: Path, *people: dict[str, Any]) -> str:
    rows = [
        Lead(source="golden", source_scope="", source_id=str(number), email_key=email_key(person["email"]), **person)
        for number, person in enumerate(people)
    ]
    uri = f"file://{tmp_path}/golden.parquet"
    write_rows(uri, Lead, rows)
    return uri


def few(tmp_path: Path, golden: dict[str, Any], number: int) -> str:
    rows = list(read_rows(golden["golden"], Lead))[:number]
    uri = f"file://{tmp_path}/few.parquet"
    write_rows(uri, Lead, rows)
    return uri


def writes(sandbox: Sandbox) -> int:
    return sum(api.stats.writes for api in sandbox.apis)


# What the destination holds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crm", ["hubspot", "persistiq"])
def test_looking_up_and_reading_give_the_same_plan(
    crm: str, held: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    golden, extracts = merged(tmp_path, *(f"{name}_default" for name in CRMS))
    uri = few(tmp_path, golden, 20)
    conn_id, given = f"{crm}_default", {"golden": uri, "members": golden["members"]}
    looked_up, by_lookup = plan(tmp_path, conn_id=conn_id, **given)
    log = capfd.readouterr().out
    assert "looking up" in log
    _, by_extract = plan(tmp_path, conn_id=conn_id, existing=extracts, **given)
    # Nobody else was read, unless a record of the people was spelled such that it can't be asked for.
    known = {row["email_key"] for row in pq.read_table(looked_up["existing"].removeprefix("file://")).to_pylist()}
    assert len(known) < 60 or "not found by address" in log
    assert by_lookup == by_extract
    assert {row.action for row in by_lookup.values()} >= {"unchanged"}


def test_many_people_are_compared_with_all_that_is_held(
    held: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_providers_leads.hooks.hubspot import HubSpotHook

    monkeypatch.setattr(HubSpotHook, "lookup_rows", 1)
    golden = golden_file(tmp_path, {"email": "a@new.example"}, {"email": "b@new.example"})
    told, _ = plan(tmp_path, conn_id="hubspot_default", golden=golden)
    log = capfd.readouterr().out
    assert "reading all that it holds" in log
    assert "looking up" not in log
    assert pq.read_metadata(told["existing"].removeprefix("file://")).num_rows > 10


def test_a_record_that_only_the_merge_knows_is_not_created_again(
    held: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    contact = next(contact for contact in held.hubspot.store.contacts.values() if contact.properties.get("email"))
    golden = golden_file(tmp_path, {"email": "elsewhere@new.example", "city": "Ulm"})
    names = ("source", "source_scope", "source_id", "email_key", "address")
    member = ("hubspot", "hubspot_default", str(contact.id), "elsewhere@new.example", None)
    uri = f"{tmp_path}/members.parquet"
    import pyarrow as pa

    pq.write_table(pa.table({n: pa.array([v], pa.string()) for n, v in zip(names, member, strict=True)}), uri)
    _, rows = plan(tmp_path, conn_id="hubspot_default", golden=golden, members=f"file://{uri}")
    log = capfd.readouterr().out
    assert "1 records known before were not found by address" in log
    assert rows["elsewhere@new.example"].target_id == str(contact.id)


@pytest.mark.parametrize("partial", [{"complete": False}, {"conn_id": "other"}])
def test_an_extract_that_may_lack_somebody_is_not_taken_for_all(
    partial: dict[str, Any], held: Sandbox, tmp_path: Path
) -> None:
    contact = next(contact for contact in held.hubspot.store.contacts.values() if contact.properties.get("email"))
    email = str(contact.properties["email"])
    write_rows(f"file://{tmp_path}/part.parquet", Lead, [])
    extract = {"conn_id": "hubspot_default", "complete": True, "uri": f"file://{tmp_path}/part.parquet", **partial}
    golden = golden_file(tmp_path, {"email": email})
    _, rows = plan(tmp_path, conn_id="hubspot_default", golden=golden, existing=[extract])
    assert [row.action for row in rows.values()] != ["create"]
    _, rows = plan(
        tmp_path,
        conn_id="hubspot_default",
        golden=golden,
        existing=[{**extract, "complete": True, "conn_id": "hubspot_default"}],
    )
    assert [row.action for row in rows.values()] == ["create"]


# Cost and facts -------------------------------------------------------------------------------------------------------


def test_requests_minutes_and_facts(held: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = json.loads(held.connection_env()["AIRFLOW_CONN_PERSISTIQ_DEFAULT"])
    extra = {"rate_limit": 1, "rate_limit_period": 30}
    monkeypatch.setenv("AIRFLOW_CONN_PERSISTIQ_DEFAULT", json.dumps({**env, "extra": extra}))
    people = [{"email": f"p{number}@new.example", "city": "Ulm"} for number in range(25)]
    empty = f"file://{tmp_path}/empty.parquet"
    write_rows(empty, Lead, [])
    # No waiting for a quota: the account is asked twice, before the first write.
    monkeypatch.setattr("airflow_providers_leads.http.rate_limit.RateLimiter.acquire", lambda self, *bounds: 0.0)
    monkeypatch.setattr("airflow_providers_leads.http.rate_limit.RateLimiter.arrived", lambda self: None)
    golden = golden_file(tmp_path, *people)
    told, rows = plan(tmp_path, conn_id="persistiq_default", golden=golden, existing=empty, mode="fill")
    # Row 47: the first of them goes at once.
    assert (told["create"], told["requests"], told["minutes"]) == (25, 3, 1.0)
    assert sum(row.requests for row in rows.values()) == pytest.approx(2.5)
    facts = read_plan_facts(told["plan"])
    assert (facts.conn_id, facts.conn_type, facts.mode, facts.scope) == ("persistiq_default", "persistiq", "fill", None)
    assert facts.requests_per_second == pytest.approx(1 / 30)
    assert facts.planned_at.utcoffset() is not None
    assert facts.existing_at is None


def test_a_perspective_plan_names_its_funnel_and_leaves_alone_what_it_can_not_write(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    person = next(
        p for p in sandbox.people if p.kind == "contactable" and any(c.crm == "perspective" for c in p.copies)
    )
    funnel = next(copy.scope for copy in person.copies if copy.crm == "perspective")
    golden = golden_file(tmp_path, {"email": person.email, "address": "somewhere without number"})
    given = {"conn_id": "perspective_default", "golden": golden, "write_options": {"funnel_id": funnel}}
    told, rows = plan(tmp_path, **given)
    (row,) = rows.values()
    assert (row.action, row.target_scope) in (("update", funnel), ("unchanged", funnel))
    assert told["requests"] == row.requests == len(row.values)
    assert read_plan_facts(told["plan"]).scope == funnel
    run(LeadsApplyOperator, tmp_path, conn_id="perspective_default", plan=told, write_options=given["write_options"])
    _, again = plan(tmp_path, **given)
    assert next(iter(again.values())).action == "unchanged"


# Suppression ----------------------------------------------------------------------------------------------------------


def test_lists_and_other_crms_domains_keep_people_out(
    sandbox: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from airflow_providers_leads.hooks.persistiq import PersistIQHook

    PersistIQHook().create_dnc_domain("Bücher.example")
    (tmp_path / "list.csv").write_text("Email;Reason\nANN@new.example;asked\n@blocked.example;lawyer\n")
    (tmp_path / "empty.txt").write_text("\n")
    golden = golden_file(
        tmp_path,
        *({"email": email} for email in ("ann@new.example", "a@blocked.example", "a@bücher.example", "b@new.example")),
    )
    lists = [f"file://{tmp_path}/list.csv", str(tmp_path / "empty.txt"), "persistiq_default"]
    _, rows = plan(tmp_path, conn_id="hubspot_default", golden=golden, suppressions=lists)
    log = capfd.readouterr().out
    assert {key: (row.action, row.reason) for key, row in rows.items()} == {
        "ann@new.example": ("suppress", "suppression_list"),
        "a@blocked.example": ("suppress", "suppression_list"),
        "a@xn--bcher-kva.example": ("suppress", "do_not_contact_domain"),
        "b@new.example": ("create", None),
    }
    assert "new.example" not in log
    (line,) = [line for line in log.splitlines() if "empty.txt" in line]
    assert "warning" in line
    _, rows = plan(tmp_path, conn_id="hubspot_default", golden=golden, suppressions=f"file://{tmp_path}/list.csv")
    assert rows["a@xn--bcher-kva.example"].action == "create"


# Opt-outs and properties ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crm", ["persistiq", "hubspot"])
def test_opt_outs_are_pushed_where_they_can_be_told(crm: str, sandbox: Sandbox, tmp_path: Path) -> None:
    email = next(
        person.email for person in sandbox.people for copy in person.copies
        if person.kind == "contactable" and copy.crm == crm and copy.fields["email"] == person.email
    )  # fmt: skip
    golden = golden_file(tmp_path, {"email": email, "opted_out": True}, {"email": "new@new.example", "opted_out": True})
    given = {"conn_id": f"{crm}_default", "golden": golden, "push_opt_outs": "true"}
    told = run(LeadsUpsertOperator, tmp_path, **given)
    rows = {row.email_key: row for row in read_rows(told["plan"], PlanRow)}
    pushed = crm == "persistiq"
    assert rows["new@new.example"].action == "suppress"
    assert rows[str(email)].reason == ("opt_out_pushed" if pushed else "opted_out")
    assert (told["updated"], told["suppressed"], writes(sandbox)) == ((1, 1, 1) if pushed else (0, 2, 0))
    again = run(LeadsUpsertOperator, tmp_path / "again", **given)
    assert (again["updated"], again["suppressed"], writes(sandbox)) == (0, 2, int(pushed))


def test_custom_properties_are_written_once(sandbox: Sandbox, tmp_path: Path) -> None:
    told = json.dumps({"utmParams": {"utm_source": "ads"}})
    known = next(
        c
        for c in sandbox.hubspot.store.contacts.values()
        if c.properties.get("email") and "hs_email_optout" not in c.properties
    )
    golden = golden_file(
        tmp_path,
        {"email": "new@new.example", "properties": told},
        {"email": known.properties["email"], "properties": told},
    )
    names = {"utmParams.utm_source": "utm_source"}
    given = {"conn_id": "hubspot_default", "golden": golden, "properties": names}
    first = run(LeadsUpsertOperator, tmp_path, **given)
    assert (first["created"], first["updated"]) == (1, 1)
    assert known.properties["utm_source"] == "ads"
    extract = run(LeadsExtractOperator, tmp_path, conn_id="hubspot_default")
    # That extract lacks the property, and all would seem to differ.
    again = run(LeadsUpsertOperator, tmp_path / "again", existing=extract, **given)
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, 2)
    whole = run(LeadsExtractOperator, tmp_path, conn_id="hubspot_default", scope={"properties": ["utm_source"]})
    assert whole["complete"]
    told_again, rows = plan(tmp_path, existing=whole, **given)
    assert told_again["existing"] == whole["uri"]
    assert {row.action for row in rows.values()} == {"unchanged"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "upsert"}, "mode must be one of"),
        ({"properties": {"a": "nowhere"}}, "there is no 'nowhere'"),
        ({"properties": {"a": "createdate"}}, "can only be read"),
        ({"properties": {"a": "utm_source", "b": "utm_source"}}, "two of them"),
        ({"properties": ["a"]}, "must be a mapping"),
        ({"properties": {"a": 7}}, "names to names"),
        ({"conn_id": "perspective_default"}, "funnel_id must say"),
        (
            {"conn_id": "perspective_default", "write_options": {"funnel_id": "f"}, "properties": {"a": "b"}},
            "no place for",
        ),
        ({"suppressions": "{tmp}/broken.txt"}, "line 2"),
        ({"suppressions": "{tmp}/nowhere.csv"}, "does not exist"),
        ({"suppressions": [7]}, "must be URIs"),
        ({"suppressions": "no_such_conn"}, "not defined"),
        ({"push_opt_outs": "perhaps"}, "must be true or false"),
        ({"golden": "{tmp}/nowhere.parquet"}, "does not exist"),
        ({"golden": "{tmp}/old.parquet"}, "schema version 0"),
    ],
)
def test_bad_input_is_told_before_anything_is_written(
    given: dict[str, Any], said: str, held: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "broken.txt").write_text("a@x.de\nplanted words\n")
    golden = golden_file(tmp_path, {"email": "a@new.example"})
    table = pq.read_table(golden.removeprefix("file://"))
    pq.write_table(table.replace_schema_metadata({"leads.schema_version": "0"}), tmp_path / "old.parquet")
    filled = {k: v.format(tmp=tmp_path) if isinstance(v, str) else v for k, v in given.items()}
    with pytest.raises(Exception, match=said) as caught:
        run(LeadsPlanOperator, tmp_path, **{"conn_id": "hubspot_default", "golden": golden, **filled})
    assert "planted" not in str(caught.value)
    assert isinstance(caught.value, ValueError | StagingError) or said == "not defined"
    assert not list((tmp_path / "LeadsPlanOperator").glob("**/*plan.parquet"))


# The whole of it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crm", CRMS)
def test_every_golden_row_stands_once_in_the_plan_and_a_second_plan_changes_nothing(
    crm: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    golden, _ = merged(tmp_path, *(f"{name}_default" for name in CRMS))
    keys = sorted(row["email_key"] for row in pq.read_table(golden["golden"].removeprefix("file://")).to_pylist())
    given: dict[str, Any] = {"conn_id": f"{crm}_default", "golden": golden}
    if crm == "perspective":
        funnel = next(copy.scope for person in sandbox.people for copy in person.copies if copy.crm == "perspective")
        given["write_options"] = {"funnel_id": funnel}
    first, rows = plan(tmp_path, **given)
    assert sorted(rows) == keys
    assert first["create"] > 0
    applied = run(
        LeadsApplyOperator, tmp_path, plan=first, conn_id=given["conn_id"], write_options=given.get("write_options")
    )
    assert applied["failed"] == applied["ambiguous"] == 0
    sent = writes(sandbox)
    again, rows = plan(tmp_path / "again", **given)
    assert (again["create"], again["update"], again["requests"]) == (0, 0, 0)
    assert sorted(rows) == keys
    assert writes(sandbox) == sent


def test_what_golden_records_say_of_themselves_is_read_once(
    held: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden, extracts = merged(tmp_path, "hubspot_default", "persistiq_default")
    opened: Counter[str] = Counter()

    def counted(uri: Any, *arguments: Any) -> Any:
        opened[Path(str(uri)).name] += 1
        return parquet.ParquetFiles(uri, *arguments)

    # Whoever reads rows has a name of its own for it.
    monkeypatch.setattr(parquet, "open_parquet", counted)
    plan(tmp_path, conn_id="persistiq_default", golden=golden, existing=extracts)
    assert opened["golden.parquet"] == 1
