"""Enrolling leads into a campaign over real HTTP: who is fit now joins once, everybody else is told of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.exceptions import AirflowSkipException

from airflow_providers_leads.leads.files.staging import StagingError, read_rows, write_rows
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.outcomes import WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.enrol import LeadsEnrolOperator
from airflow_providers_leads.operators.leads import LeadsDeduplicateOperator, LeadsExtractOperator
from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.tasks.returns import LeadsWriteError

CONN = "persistiq_default"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(people=40, seed=7, limits=False) as running:
        for name, value in running.connection_env().items():
            extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 0}
            monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
        yield running


def new_leads(sandbox: Sandbox, count: int) -> list[Any]:
    """Add leads as an upsert would, without asking the API."""
    from airflow_providers_leads.sandbox.persistiq.store import Lead

    store, now = sandbox.persistiq.store, sandbox.persistiq.store.clock.now()
    first = len(store.leads)
    leads = [Lead(store.next_id("l"), "active", {"email": f"n{first + i}@neu.example"}, now, now) for i in range(count)]
    for lead in leads:
        store.add(lead)
    return leads


def results(tmp_path: Path, leads: list[Any], outcome: Any = "created", name: str = "r") -> dict[str, Any]:
    uri = f"{tmp_path}/{name}.parquet"
    rows = [WriteResult(email_key=lead.data["email"], outcome=outcome, target_id=lead.id) for lead in leads]
    write_rows(uri, WriteResult, rows)
    return {"results": uri, "conn_id": CONN, "created": len(leads)}


def active(sandbox: Sandbox) -> Any:
    return next(campaign for campaign in sandbox.persistiq.store.campaigns.values() if campaign.active)


def enrol(tmp_path: Path, leads: Any, campaign: Any, run: str | None = None, **more: Any) -> dict[str, Any]:
    more = {"conn_id": CONN, "output": f"file://{tmp_path}/out", **more}
    ti = SimpleNamespace(dag_id=f"dag-{run}", run_id=run, task_id="enrol", map_index=-1)
    return LeadsEnrolOperator(
        task_id="enrol", campaign_id=getattr(campaign, "id", campaign), leads=leads, **more
    ).execute({"ti": ti} if run else {})


def fates(result: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    rows = pq.read_table(result["results"].removeprefix("file://")).to_pylist()
    assert len({row["target_id"] for row in rows}) == len(rows)
    return {row["target_id"]: (row["outcome"], row["reason"]) for row in rows}


def counts(result: dict[str, Any]) -> dict[str, int]:
    return {k: v for k, v in result.items() if isinstance(v, int) and not isinstance(v, bool) and v}


def test_leads_join_in_hundreds_and_once(sandbox: Sandbox, tmp_path: Path) -> None:
    leads, campaign = new_leads(sandbox, 230), active(sandbox)
    handed = results(tmp_path, leads)
    result = enrol(tmp_path, handed, campaign)
    assert counts(result) == {"enrolled": 230}
    assert {lead.id for lead in leads} <= set(campaign.members)
    # Two leads short of a hundred more would be one request more.
    assert sandbox.persistiq.stats.writes == 3
    assert len(sandbox.persistiq.store.messages_sent) == 230
    # So many are found in the list, not one by one.
    assert sandbox.persistiq.stats.by_route["GET /v1/leads/{id}"] == 0

    again = enrol(tmp_path, handed, campaign)
    assert counts(again) == {"unchanged": 230}
    assert sandbox.persistiq.stats.writes == 3
    assert "@" not in json.dumps([result, again])


def test_who_may_be_somebody_elses_is_not_mailed_as_new(sandbox: Sandbox, tmp_path: Path, capsys: Any) -> None:
    leads, campaign = new_leads(sandbox, 3), active(sandbox)
    handed = results(tmp_path, leads)
    rows = list(read_rows(handed["results"], WriteResult))
    rows[1].unsure = True
    write_rows(handed["results"], WriteResult, rows)
    result = enrol(tmp_path, handed, campaign)
    assert counts(result) == {"enrolled": 2, "suppressed": 1}
    assert fates(result)[leads[1].id] == ("suppressed", "maybe_not_new")
    assert "nothing tells whether the upsert or somebody else created them" in capsys.readouterr().out
    # Whoever takes those who were there as well has decided already.
    assert counts(enrol(tmp_path, handed, campaign, outcomes=["created", "unchanged"])) == {
        "enrolled": 1, "unchanged": 2,
    }  # fmt: skip
    # An older version has written results without the column.
    table = pq.read_table(handed["results"])
    pq.write_table(table.drop_columns(["unsure"]), handed["results"])
    assert counts(enrol(tmp_path, handed, campaign)) == {"unchanged": 3}


def test_who_must_not_be_mailed_by_now_is_left_out(sandbox: Sandbox, tmp_path: Path) -> None:
    leads, campaign = new_leads(sandbox, 6), active(sandbox)
    store = sandbox.persistiq.store
    handed = results(tmp_path, leads)
    leads[0].optedout = True
    leads[1].bounced = True
    leads[2].data["email"] = f"someone@{next(iter(store.dnc.values()))}"
    leads[3].data["email"] = "no address"
    del store.leads[leads[4].id]
    result = enrol(tmp_path, handed, campaign, on_failure="report")
    assert [fates(result)[lead.id] for lead in leads] == [
        ("suppressed", "opted_out"),
        ("suppressed", "bounced"),
        ("suppressed", "do_not_contact_domain"),
        ("suppressed", "no_usable_address"),
        ("failed", "PersistIQ has no such lead any more"),
        ("enrolled", None),
    ]
    assert set(campaign.members) & {lead.id for lead in leads} == {leads[5].id}
    assert [message["lead_id"] for message in store.messages_sent] == [leads[5].id]
    with pytest.raises(LeadsWriteError, match="1 of 6 leads were not enrolled") as caught:
        enrol(tmp_path, handed, campaign)
    assert "@" not in str(caught.value)


@pytest.mark.parametrize("known", [True, False])
def test_who_objected_beside_another_address_in_one_field_is_left_out(
    sandbox: Sandbox, tmp_path: Path, known: bool
) -> None:
    leads, campaign = new_leads(sandbox, 3), active(sandbox)
    addresses = [lead.data["email"] for lead in leads]
    scope = ("persistiq", CONN) if known else ("fair", "fair")
    rows = [Lead(*scope, lead.id, email=a, email_key=a) for lead, a in zip(leads, addresses, strict=True)]
    rows.append(Lead("fair", "fair", "9", email=f"old@neu.example, {addresses[1]}", opted_out=True))
    uri = f"{tmp_path}/people.leads.parquet"
    write_rows(uri, Lead, rows)
    assert counts(enrol(tmp_path, uri, campaign)) == {"enrolled": 2, "suppressed": 1}
    assert set(campaign.members) & {lead.id for lead in leads} == {leads[0].id, leads[2].id}


@pytest.mark.parametrize("fault", [None, Fault(status=404, body={"status": "error"}), Fault(status=400, body={})])
def test_members_stay_as_they_are_even_where_they_can_not_be_listed(
    sandbox: Sandbox, tmp_path: Path, fault: Fault | None
) -> None:
    leads, campaign = new_leads(sandbox, 3), active(sandbox)
    store = sandbox.persistiq.store
    store.join(campaign, leads[0], campaign.owner["default_mailbox_id"])
    mails = len(store.messages_sent)
    sandbox.persistiq.faults = lambda number, call: (
        fault if call.method == "GET" and call.path.endswith(f"{campaign.id}/leads") else None
    )
    result = enrol(tmp_path, results(tmp_path, leads), campaign)
    assert counts(result) == {"enrolled": 2, "unchanged": 1}
    assert fates(result)[leads[0].id][0] == "unchanged"
    assert len(store.messages_sent) == mails + 2


def test_a_dry_run_adds_nobody(sandbox: Sandbox, tmp_path: Path) -> None:
    leads, campaign = new_leads(sandbox, 3), active(sandbox)
    leads[0].optedout = True
    result = enrol(tmp_path, results(tmp_path, leads), campaign, dry_run="True")
    assert counts(result) == {"enrolled": 2, "suppressed": 1}
    assert result["dry_run"] is True
    assert sandbox.persistiq.stats.writes == 0
    assert sandbox.persistiq.store.messages_sent == []


def test_only_the_outcomes_that_are_asked_for(sandbox: Sandbox, tmp_path: Path) -> None:
    new, old, campaign = new_leads(sandbox, 2), new_leads(sandbox, 3), active(sandbox)
    handed = [results(tmp_path, new), results(tmp_path, old, "updated", "u")]
    assert counts(enrol(tmp_path, handed, campaign)) == {"enrolled": 2}
    assert counts(enrol(tmp_path, handed, campaign, outcomes="['created', 'updated']")) == {
        "enrolled": 3,
        "unchanged": 2,
    }


def test_an_answer_that_is_lost_is_ambiguous_and_the_next_run_knows(sandbox: Sandbox, tmp_path: Path) -> None:
    leads, campaign = new_leads(sandbox, 2), active(sandbox)
    handed = results(tmp_path, leads)
    sandbox.persistiq.faults = lambda number, call: Fault("after", cut=True) if call.method == "POST" else None
    assert counts(enrol(tmp_path, handed, campaign, on_failure="report")) == {"ambiguous": 2}
    sandbox.persistiq.faults = None
    assert counts(enrol(tmp_path, handed, campaign)) == {"unchanged": 2}
    assert len(sandbox.persistiq.store.messages_sent) == 2


def test_no_campaign_skips_and_nothing_handed_over_asks_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    handed = results(tmp_path, new_leads(sandbox, 1))
    for nothing in (None, "", "None"):
        with pytest.raises(AirflowSkipException, match="nobody was enrolled"):
            enrol(tmp_path, handed, nothing)
    dry = {"results": None, "conn_id": CONN}
    assert counts(enrol(tmp_path, dry, active(sandbox))) == {}
    assert sandbox.persistiq.stats.requests == 0


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"campaign": "c_none"}, ValueError, "campaign_id names none of the"),
        ({"leads": {"results": "x", "conn_id": "other"}}, ValueError, "results of connection 'other'"),
        ({"leads": {"rows": 3}}, ValueError, "results of an upsert, a merge"),
        ({"leads": {"golden": "/nowhere.parquet"}}, StagingError, "does not exist"),
        ({"leads": "/nowhere.parquet"}, StagingError, "does not exist"),
        ({"conn_id": "hubspot_default"}, ValueError, "HubSpot has no campaigns"),
        ({"outcomes": ["failed"]}, ValueError, "outcomes must be any of"),
        ({"max_failed": "few"}, ValueError, "max_failed"),
    ],
)
def test_bad_input_adds_nobody(
    sandbox: Sandbox, tmp_path: Path, arguments: dict[str, Any], kind: type[Exception], said: str
) -> None:
    given = {"leads": results(tmp_path, new_leads(sandbox, 1)), "campaign": active(sandbox), **arguments}
    with pytest.raises(kind, match=said):
        enrol(tmp_path, **given)
    assert sandbox.persistiq.stats.writes == 0
    assert sandbox.persistiq.store.messages_sent == []


def test_a_run_adds_no_more_than_it_may_and_the_next_goes_on(sandbox: Sandbox, tmp_path: Path) -> None:
    leads, campaign = new_leads(sandbox, 5), active(sandbox)
    before = len(campaign.members)
    handed = results(tmp_path, leads)
    first = enrol(tmp_path, handed, campaign, max_leads=3)
    assert (first["enrolled"], first["suppressed"], len(campaign.members) - before) == (3, 2, 3)
    second = enrol(tmp_path, handed, campaign, max_leads=3)
    assert (second["enrolled"], second["unchanged"], len(campaign.members) - before) == (2, 3, 5)
    with pytest.raises(ValueError, match="max_leads"):
        enrol(tmp_path, handed, campaign, max_leads=0)


def test_a_cap_per_day_holds_for_all_campaigns_runs_and_tries(sandbox: Sandbox, tmp_path: Path) -> None:
    one, two = [c for c in sandbox.persistiq.store.campaigns.values() if c.active][:2]
    leads, others = new_leads(sandbox, 6), new_leads(sandbox, 6)
    mine, theirs = results(tmp_path, leads), results(tmp_path, others, name="o")
    capped = {"ledger": f"file://{tmp_path}/ledger", "max_leads_per_day": "5"}
    assert counts(enrol(tmp_path, theirs, two, dry_run=True, **capped)) == {"enrolled": 5, "suppressed": 1}

    # The first try is killed after the leads have joined and before it could say so.
    sandbox.persistiq.faults = lambda number, call: (
        Fault("after", cut=True) if call.method == "POST" and call.path.endswith("/leads") else None
    )
    result = enrol(tmp_path, mine, one, "a", max_leads=3, on_failure="report", **capped)
    assert counts(result) == {"ambiguous": 3, "suppressed": 3}
    assert len(sandbox.persistiq.store.messages_sent) == 3
    sandbox.persistiq.faults = lambda number, call: None
    result = enrol(tmp_path, mine, one, "a", max_leads=3, **capped)
    assert counts(result) == {"unchanged": 3, "suppressed": 3}
    assert {reason for _, reason in fates(result).values()} == {"is in the campaign already", "max_leads"}

    result = enrol(tmp_path, theirs, two, "b", **capped)
    assert counts(result) == {"enrolled": 2, "suppressed": 4}
    assert ("suppressed", "max_leads_per_day") in fates(result).values()
    assert counts(enrol(tmp_path, theirs, two, "c", **capped)) == {"unchanged": 2, "suppressed": 4}
    assert len(sandbox.persistiq.store.messages_sent) == 5
    # A higher cap takes the next of them.
    result = enrol(tmp_path, theirs, two, "c", **{**capped, "max_leads_per_day": 7})
    assert counts(result) == {"enrolled": 2, "unchanged": 2, "suppressed": 2}
    assert "@" not in "".join(file.read_text() for file in (tmp_path / "ledger").rglob("*.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_leads_per_day": 0, "ledger": "/tmp/x"}, "max_leads_per_day"),
        ({"max_leads_per_day": 5}, "max_leads_per_day needs a place where all runs count"),
        ({"timezone": "Mars/Base"}, "timezone must be the name of a time zone such as Europe/Berlin, not 'Mars/Base'"),
    ],
)
def test_caps_that_cant_be_kept_are_refused_before_anybody_is_added(
    sandbox: Sandbox, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        enrol(tmp_path, results(tmp_path, new_leads(sandbox, 1)), active(sandbox), **arguments)
    assert sandbox.persistiq.stats.writes == 0


def golden(tmp_path: Path, *files: list[Lead] | str) -> dict[str, Any]:
    """Merge leads, which a file or CRM told of, as a run does."""
    inputs = []
    for number, file in enumerate(files):
        uri = file if isinstance(file, str) else f"file://{tmp_path}/in{number}.parquet"
        if not isinstance(file, str):
            write_rows(uri.removeprefix("file://"), Lead, file)
        inputs.append(uri)
    return LeadsDeduplicateOperator(task_id="g", inputs=inputs, output=f"file://{tmp_path}/golden").execute({})


def person(address: str, number: int = 0, **more: Any) -> Lead:
    key = email_key(address)
    return Lead(
        source="fair", source_scope="fair", source_id=f"{address}{number}", email=address, email_key=key, **more
    )


def test_golden_people_join_who_are_there_and_may_be_mailed(sandbox: Sandbox, tmp_path: Path) -> None:
    leads, campaign = new_leads(sandbox, 6), active(sandbox)
    store = sandbox.persistiq.store
    store.join(campaign, leads[0], campaign.owner["default_mailbox_id"])
    leads[1].optedout = True
    address = [lead.data["email"] for lead in leads]
    handed = golden(
        tmp_path,
        [person(one) for one in address[:3]]
        # As another source knows; PersistIQ doesn't.
        + [person(address[3], opted_out=True), person(address[4], bounced=True), person("new@neu.example")]
        + [person(address[5].upper())],
    )
    mails, known = len(store.messages_sent), len(store.leads)
    for dry_run in (True, False):
        result = enrol(tmp_path, handed, campaign, dry_run=dry_run)
        rows = pq.read_table(result["results"].removeprefix("file://")).to_pylist()
        assert {row["email_key"]: (row["outcome"], row["reason"]) for row in rows} == {
            address[0]: ("unchanged", "is in the campaign already"),
            address[1]: ("suppressed", "opted_out"),
            address[2]: ("enrolled", None),
            address[3]: ("suppressed", "opted_out"),
            address[4]: ("suppressed", "bounced"),
            address[5]: ("enrolled", None),
            "new@neu.example": ("suppressed", "not_in_crm"),
        }
        assert len(store.messages_sent) == mails + (0 if dry_run else 2)
    assert len(store.leads) == known
    assert "@" not in json.dumps(result)
    # By its URI alone it is the same.
    again = enrol(tmp_path, handed["golden"], campaign)
    assert counts(again) == {"unchanged": 3, "suppressed": 4}


def test_a_person_of_several_leads_joins_once_or_not_at_all(sandbox: Sandbox, tmp_path: Path) -> None:
    (one, two, three, four), campaign = new_leads(sandbox, 4), active(sandbox)
    store = sandbox.persistiq.store
    read = LeadsExtractOperator(task_id="x", conn_id=CONN, output=f"file://{tmp_path}/x.parquet").execute({})
    rows = list(read_rows(read["uri"].removeprefix("file://"), Lead))
    # By the policy who has one phone is one person.
    for pair, phone in (((one, two), "+4930123456"), ((three, four), "+4930654321")):
        for row in rows:
            if row.source_id in {lead.id for lead in pair}:
                row.phone, row.last_name = phone, "Neu"
    mine = [row for row in rows if row.source_id in {lead.id for lead in (one, two, three, four)}]
    write_rows(f"{tmp_path}/mine.parquet", Lead, mine)
    four.optedout = True
    handed = LeadsDeduplicateOperator(
        task_id="g", inputs=[f"{tmp_path}/mine.parquet"], output=f"file://{tmp_path}/golden",
        policy={"identity": {"match_on": ["email", "phone"]}},
    ).execute({})  # fmt: skip
    assert handed["rows"]["golden"] == 2
    before = set(campaign.members)
    assert counts(enrol(tmp_path, handed, campaign)) == {"enrolled": 1, "suppressed": 1}
    assert len(set(campaign.members) - before) == 1
    assert set(campaign.members) & {three.id, four.id} == set()
    # In the campaign is in the campaign, whichever lead of theirs it is.
    (joined,) = set(campaign.members) - before
    assert joined in {one.id, two.id}
    assert counts(enrol(tmp_path, handed, campaign)) == {"unchanged": 1, "suppressed": 1}
    assert len(store.messages_sent) == 1


def test_who_was_taken_out_of_a_campaign_is_not_put_into_it_again(sandbox: Sandbox, tmp_path: Path) -> None:
    leads, campaign = new_leads(sandbox, 8), active(sandbox)
    store = sandbox.persistiq.store
    for lead in leads[:3]:
        store.join(campaign, lead, campaign.owner["default_mailbox_id"])
        del campaign.members[lead.id]
    mails = len(store.messages_sent)
    result = enrol(tmp_path, results(tmp_path, leads), campaign)
    assert counts(result) == {"enrolled": 5, "unchanged": 3}
    assert fates(result)[leads[0].id] == ("unchanged", "was in the campaign before")
    # Of a few each is asked for; and another campaign is another one.
    assert counts(enrol(tmp_path, results(tmp_path, leads[:2]), campaign)) == {"unchanged": 2}
    other = next(one for one in store.campaigns.values() if one.active and one is not campaign)
    assert counts(enrol(tmp_path, results(tmp_path, leads[:2]), other)) == {"enrolled": 2}
    assert len(store.messages_sent) == mails + 7


def test_leads_of_an_extract_join_by_filter_and_by_list(sandbox: Sandbox, tmp_path: Path) -> None:
    leads, campaign = new_leads(sandbox, 3), active(sandbox)
    for lead in leads[:2]:
        lead.status = "qualified"
    read = LeadsExtractOperator(
        task_id="x", conn_id=CONN, scope={"status": "qualified"}, output=f"file://{tmp_path}/x.parquet"
    ).execute({})
    enrol(tmp_path, read, campaign)
    assert {leads[0].id, leads[1].id} <= set(campaign.members)
    assert leads[2].id not in campaign.members

    # Contacts of another CRM are found by their addresses.
    both = next(
        one for one in sandbox.people
        if one.kind == "contactable"
        if {"hubspot", "persistiq"} <= {copy.crm for copy in one.copies if copy.fields["email"] == one.email}
    )  # fmt: skip
    quiet = next(one for one in sandbox.persistiq.store.campaigns.values() if not one.members)
    read = LeadsExtractOperator(
        task_id="h", conn_id="hubspot_default", scope={"filters": {"email": both.email}},
        output=f"file://{tmp_path}/h.parquet",
    ).execute({})  # fmt: skip
    assert read["rows"] == 1
    assert counts(enrol(tmp_path, read, quiet)) == {"enrolled": 1}
    (joined,) = quiet.members
    assert email_key(sandbox.persistiq.store.leads[joined].data["email"]) == email_key(both.email)
