"""Erasing people from HubSpot: which requests are sent, and what is told of each answer."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import requests_mock
from hubspot_hooks import CONTACTS, batch_of, make_hook, quick, record, url

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.leads.model.erasure import Erasure
from airflow_providers_leads.leads.model.identity import person_hash

ANN, BOB = "ann@x.de", "bob@y.de"
PLAIN, PUNY = "ann@bücher.de", "ann@xn--bcher-kva.de"
CUT = requests.exceptions.ConnectionError("cut")
DELETE = url(CONTACTS + "/gdpr-delete")
GONE = {"status_code": 404, "json": {"status": "error", "message": "resource not found", "correlationId": "c-1"}}
FORBIDDEN = {"status_code": 403, "json": {"category": "MISSING_SCOPES", "correlationId": "c-2"}}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    return quick(make_hook(monkeypatch, extra={"max_retries": 1}))


@pytest.fixture
def wire() -> Any:
    with requests_mock.Mocker() as mocker:
        yield mocker


def serve(wire: Any, live: Any = (), archived: Any = (), deletes: Any = None) -> None:
    listed = [";".join(row["properties"].values()) for row in live]
    held = set(";".join(listed).split(";"))
    missing = [{"category": "OBJECT_NOT_FOUND", "context": {"ids": sorted({ANN, BOB, PUNY, PLAIN} - held)}}]
    wire.post(url(CONTACTS + "/batch/read"), json=batch_of(*live, errors=missing))
    wire.get(url(CONTACTS), json={"results": [{**row, "archived": True} for row in archived]})
    wire.post(DELETE, deletes or [{"status_code": 204}])


def deletes(wire: Any) -> list[Any]:
    return [r.json() for r in wire.request_history if r.url.startswith(DELETE)]


def told(rows: list[Erasure]) -> list[tuple[str, str, str, str | None]]:
    names = {person_hash(ANN): "ann", person_hash(BOB): "bob"}
    return [(names[row.person], row.step, row.status, row.record_id) for row in rows]


def by_email(address: str) -> dict[str, str]:
    return {"objectId": address, "idProperty": "email"}


def test_live_and_archived_contacts_are_deleted_by_id_and_then_the_address_is_barred(
    hook: HubSpotHook, wire: Any
) -> None:
    serve(wire, live=[record(1, email=ANN)], archived=[record(2, email="Ann@X.de "), record(3, email="zoe@z.de")])
    rows = list(hook.erase([" Ann@x.de"]))
    assert told(rows) == [
        ("ann", "gdpr_delete", "done", "1"),
        ("ann", "gdpr_delete", "done", "2"),
        ("ann", "block address", "done", None),
    ]
    assert deletes(wire) == [{"objectId": "1"}, {"objectId": "2"}, by_email(ANN)]
    read, listed = wire.request_history[:2]
    assert read.json() == {
        "inputs": [{"id": ANN}],
        "properties": ["email", "hs_additional_emails"],
        "idProperty": "email",
    }
    assert listed.qs["archived"] == ["true"]
    assert {(row.crm, row.conn_id) for row in rows} == {("hubspot", "hubspot_default")}


def test_a_secondary_address_finds_its_contact_and_the_other_addresses_are_told_of(
    hook: HubSpotHook, wire: Any
) -> None:
    serve(wire, live=[record(1, email="main@x.de", hs_additional_emails=f"{ANN};old@x.de")])
    rows = list(hook.erase([ANN]))
    assert told(rows)[:2] == [("ann", "gdpr_delete", "done", "1"), ("ann", "other addresses", "not_possible", "1")]
    assert "2 more of them" in (rows[1].reason or "")
    assert not any("@" in str(row) for row in rows)


def test_one_contact_of_two_given_addresses_is_deleted_once(hook: HubSpotHook, wire: Any) -> None:
    serve(wire, live=[record(1, email=ANN, hs_additional_emails=BOB)])
    rows = list(hook.erase([ANN, BOB]))
    assert [row for row in told(rows) if row[1] == "gdpr_delete"] == [
        ("ann", "gdpr_delete", "done", "1"),
        ("bob", "gdpr_delete", "done", "1"),
    ]
    assert deletes(wire) == [{"objectId": "1"}, by_email(ANN), by_email(BOB)]


def test_nobody_there_is_not_found_and_the_address_is_barred(hook: HubSpotHook, wire: Any) -> None:
    serve(wire)
    assert told(list(hook.erase([ANN]))) == [
        ("ann", "gdpr_delete", "not_found", None),
        ("ann", "block address", "done", None),
    ]
    assert told(list(hook.erase([ANN], block_addresses=False))) == [("ann", "gdpr_delete", "not_found", None)]
    assert deletes(wire) == [by_email(ANN)]


def test_a_dry_run_sends_no_delete(hook: HubSpotHook, wire: Any) -> None:
    serve(wire, live=[record(1, email=ANN)])
    assert told(list(hook.erase([ANN, BOB], dry_run=True))) == [
        ("ann", "gdpr_delete", "planned", "1"),
        ("ann", "block address", "planned", None),
        ("bob", "gdpr_delete", "not_found", None),
        ("bob", "block address", "planned", None),
    ]
    assert deletes(wire) == []


@pytest.mark.parametrize("second", [{"status_code": 204}, GONE], ids=["not yet", "was done"])
@pytest.mark.parametrize("first", [{"exc": CUT}, {"status_code": 502, "text": "<html>"}], ids=["cut", "502"])
def test_a_delete_without_an_answer_is_sent_again(hook: HubSpotHook, wire: Any, first: Any, second: Any) -> None:
    serve(wire, live=[record(1, email=ANN)], deletes=[first, second])
    rows = list(hook.erase([ANN], block_addresses=False))
    assert told(rows) == [("ann", "gdpr_delete", "done", "1")]
    assert deletes(wire) == [{"objectId": "1"}] * 2


def test_a_contact_that_vanished_meanwhile_is_not_found(hook: HubSpotHook, wire: Any) -> None:
    serve(wire, live=[record(1, email=ANN)], deletes=[GONE])
    wire.get(url(f"{CONTACTS}/1"), **GONE)
    assert told(list(hook.erase([ANN], block_addresses=False))) == [("ann", "gdpr_delete", "not_found", "1")]


@pytest.mark.parametrize("read", [{"json": record(1, email=ANN)}, {"status_code": 500}], ids=["there", "not known"])
def test_a_contact_that_is_said_to_be_gone_and_may_be_there_is_a_failure(
    hook: HubSpotHook, wire: Any, read: Any
) -> None:
    serve(wire, live=[record(1, email=ANN)], deletes=[GONE])
    wire.get(url(f"{CONTACTS}/1"), **read)
    (row,) = hook.erase([ANN], block_addresses=False)
    assert (row.status, row.record_id) == ("failed", "1")
    assert "erase it there by hand" in (row.reason or "")


def test_an_archived_contact_that_can_not_be_deleted_is_left_to_hands(hook: HubSpotHook, wire: Any) -> None:
    serve(wire, archived=[record(2, email=ANN)], deletes=[GONE])
    (row,) = hook.erase([ANN], block_addresses=False)
    assert (row.status, row.record_id) == ("not_possible", "2")
    assert "restore it in HubSpot" in (row.reason or "")


def test_a_failure_stops_nobody_else(hook: HubSpotHook, wire: Any) -> None:
    refusal = {
        "status_code": 400,
        "json": {"category": "VALIDATION_ERROR", "message": f"{ANN} no", "correlationId": "c"},
    }
    serve(wire, live=[record(1, email=ANN), record(2, email=BOB)], deletes=[refusal, {"status_code": 204}])
    rows = list(hook.erase([ANN, BOB], block_addresses=False))
    assert told(rows) == [("ann", "gdpr_delete", "failed", "1"), ("bob", "gdpr_delete", "done", "2")]
    assert rows[0].request_id == "c"
    assert "@" not in str(rows)


def test_a_missing_right_is_told_for_each_and_given_up_after_three(hook: HubSpotHook, wire: Any) -> None:
    people = [f"p{number}@x.de" for number in range(5)]
    serve(wire, live=[record(n, email=address) for n, address in enumerate(people)], deletes=[FORBIDDEN])
    rows = list(hook.erase(people, block_addresses=False))
    assert [row.status for row in rows] == ["failed"] * 5
    assert len(deletes(wire)) == 3
    assert "crm.objects.contacts.write" in (rows[0].reason or "")
    assert "not sent, because an earlier request failed" in (rows[4].reason or "")


def test_a_key_that_is_refused_leaves_a_row_for_everybody(hook: HubSpotHook, wire: Any) -> None:
    wire.post(url(CONTACTS + "/batch/read"), status_code=401, json={"category": "INVALID_AUTHENTICATION"})
    rows = list(hook.erase([ANN, BOB]))
    assert told(rows) == [("ann", "find", "failed", None), ("bob", "find", "failed", None)]
    assert deletes(wire) == []


def test_an_archive_that_can_not_be_listed_is_told_and_the_rest_is_done(hook: HubSpotHook, wire: Any) -> None:
    serve(wire, live=[record(1, email=ANN)])
    wire.get(url(CONTACTS), status_code=500, json={})
    assert told(list(hook.erase([ANN, BOB], block_addresses=False))) == [
        ("ann", "find archived contacts", "failed", None),
        ("ann", "gdpr_delete", "done", "1"),
        ("bob", "find archived contacts", "failed", None),
    ]


def test_an_unencoded_domain_is_looked_for_in_both_spellings(hook: HubSpotHook, wire: Any) -> None:
    serve(wire)
    refusal = {"status_code": 400, "json": {"category": "VALIDATION_ERROR"}}
    wire.post(DELETE, [refusal, {"status_code": 204}])
    rows = list(hook.erase(["Ann@bücher.de"]))
    assert [i["id"] for i in wire.request_history[0].json()["inputs"]] == [PLAIN, PUNY]
    assert [row.status for row in rows] == ["not_found", "done"]
    assert deletes(wire) == [by_email(PLAIN), by_email(PUNY)]


@pytest.mark.parametrize("people", [[], ["nobody"], "ann@x.de"])
def test_bad_input_sends_nothing(hook: HubSpotHook, wire: Any, people: Any) -> None:
    with pytest.raises(ValueError, match="email_keys"):
        hook.erase(people)
    assert wire.request_history == []


@pytest.mark.parametrize(
    ("alone", "status"),
    [({"json": record(7, email=ANN)}, "done"), (GONE, "not_found"), (FORBIDDEN, "failed")],
    ids=["there", "not there", "not to be asked"],
)
def test_whom_a_lookup_leaves_out_without_a_word_is_asked_for_alone(
    hook: HubSpotHook, wire: Any, alone: dict[str, Any], status: str
) -> None:
    serve(wire)
    wire.post(url(CONTACTS + "/batch/read"), json=batch_of())
    wire.get(url(CONTACTS + "/ann%40x.de"), **alone)

    rows = list(hook.erase([ANN], block_addresses=False))

    assert [row.status for row in rows] == [status]
    assert [d["objectId"] for d in deletes(wire)] == (["7"] if status == "done" else [])
