"""Batches of any size: each input ends in one place, whatever HubSpot answers."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import requests_mock
from hubspot_hooks import CONTACTS, batch_of, make_hook, no_secondary, quick, record, url
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests_mock import ANY

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.http.errors import LeadsAuthError, LeadsPermissionError
from airflow_providers_leads.leads.model.outcomes import BatchResult, PlanRow

BATCH = url(CONTACTS + "/batch/")
CUT = requests.exceptions.ConnectionError("cut")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    return quick(make_hook(monkeypatch))


def accounted(result: BatchResult, inputs: list[Any]) -> BatchResult:
    """Check that every input stands exactly once, as it was given, each list in input order."""
    for part in (result.succeeded, result.failed):
        assert [e.index for e in part] == sorted(e.index for e in part)
    both = sorted([*result.succeeded, *result.failed], key=lambda e: e.index)
    assert [e.index for e in both] == list(range(len(inputs)))
    assert [e.input for e in both] == inputs
    return result


def failures(result: BatchResult) -> dict[int, str | None]:
    return {f.index: f.category for f in result.failed}


EXACT: dict[str, tuple[Callable[[HubSpotHook], Any], str, str, Any]] = {
    "read": (
        lambda h: h.batch_read_contacts([5, "6"]),
        "read", "", {"inputs": [{"id": "5"}, {"id": "6"}]},
    ),
    "read by email": (
        lambda h: h.batch_read_contacts([" A@b.de"], id_property="email", properties=["phone"], archived=True),
        "read", "archived=true",
        {"inputs": [{"id": "a@b.de"}], "idProperty": "email", "properties": ["phone", "email", "hs_additional_emails"]},
    ),
    "read by email, default properties": (
        lambda h: h.batch_read_contacts(["a@b.de"], id_property="email"),
        "read", "",
        {"inputs": [{"id": "a@b.de"}], "idProperty": "email",
         "properties": ["email", "firstname", "lastname", "hs_additional_emails"]},
    ),
    "read by unique value with history": (
        lambda h: h.batch_read_contacts(["X1"], id_property="customer", properties_with_history="email"),
        "read", "",
        {"inputs": [{"id": "X1"}], "idProperty": "customer", "propertiesWithHistory": ["email"],
         "properties": ["email", "firstname", "lastname", "customer"]},
    ),
    "create": (
        lambda h: h.batch_create_contacts([
            {"properties": {"email": "a@b.de", "n": 1}, "associations": [(9, 279)]}, {"email": "c@d.de", "x": None},
        ]),
        "create", "",
        {"inputs": [
            {"properties": {"email": "a@b.de", "n": "1"}, "objectWriteTraceId": "0", "associations": [
                {"to": {"id": "9"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]}]},
            {"properties": {"email": "c@d.de"}, "objectWriteTraceId": "1"},
        ]},
    ),
    "update": (
        lambda h: h.batch_update_contacts([{"id": 5, "properties": {"a": "b"}}, {"id": "6", "a": ""}], "hs_object_id"),
        "update", "",
        {"inputs": [
            {"id": "5", "properties": {"a": "b"}, "objectWriteTraceId": "0"},
            {"id": "6", "properties": {"a": ""}, "objectWriteTraceId": "1"},
        ]},
    ),
    "update by unique value": (
        lambda h: h.batch_update_contacts([{"id": "X1", "properties": {"a": "b"}}], id_property="customer"),
        "update", "",
        {"inputs": [{"id": "X1", "idProperty": "customer", "properties": {"a": "b"}, "objectWriteTraceId": "0"}]},
    ),
    "upsert": (
        lambda h: h.batch_upsert_contacts([
            {"email": " Ann@B.de ", "a": None, "b": True}, {"id": "C@d.de", "properties": {"b": 2}},
        ]),
        "upsert", "",
        {"inputs": [
            {"id": "ann@b.de", "idProperty": "email", "properties": {"email": "ann@b.de", "b": "true"},
             "objectWriteTraceId": "0"},
            {"id": "c@d.de", "idProperty": "email", "properties": {"email": "c@d.de", "b": "2"},
             "objectWriteTraceId": "1"},
        ]},
    ),
    "upsert by unique value": (
        lambda h: h.batch_upsert_contacts([{"customer": 7, "email": "a@b.de"}], id_property="customer"),
        "upsert", "",
        {"inputs": [{"id": "7", "idProperty": "customer", "properties": {"customer": "7", "email": "a@b.de"},
                     "objectWriteTraceId": "0"}]},
    ),
    "archive": (lambda h: h.batch_archive_contacts([5, "6"]), "archive", "", {"inputs": [{"id": "5"}, {"id": "6"}]}),
}  # fmt: skip


@pytest.mark.parametrize(("call", "verb", "query", "sent"), EXACT.values(), ids=EXACT)
def test_exact_requests(
    hook: HubSpotHook,
    requests_mock: requests_mock.Mocker,
    call: Callable[[HubSpotHook], Any],
    verb: str,
    query: str,
    sent: Any,
) -> None:
    # A create that the answer doesn't mention is looked up, so it is answered in full.
    no_secondary(requests_mock)
    requests_mock.post(BATCH + verb, json=batch_of(record(1, email="a@b.de"), record(2, email="c@d.de")))
    call(hook)
    *before, request = requests_mock.request_history
    looked_up = [{"inputs": [{"id": "ann@b.de"}, {"id": "c@d.de"}], "idProperty": "email",
                  "properties": ["email", "hs_additional_emails"]}]  # fmt: skip
    assert [one.json() for one in before] == (
        looked_up if "idProperty" in str(sent) and "ann@b.de" in str(sent) else []
    )
    assert request.json() == sent
    assert request.query == query
    assert request.headers["Authorization"] == "Bearer pat-eu1-secret-key"


class Crm:
    """HubSpot's upsert as the fact sheet has it: 207 by trace id, refusal of repeated ids, any order."""

    def __init__(self, bad: set[str], *, echo: bool = False, whole: bool = False) -> None:
        self.bad, self.echo, self.whole = bad, echo, whole
        self.known: dict[str, dict[str, str]] = {}
        self.sizes: list[int] = []

    def __call__(self, request: Any, context: Any) -> dict[str, Any]:
        inputs = request.json()["inputs"]
        self.sizes.append(len(inputs))
        keys = [i["id"] for i in inputs]
        if len(set(keys)) < len(keys) or len(keys) > 100:
            context.status_code = 400
            return {"category": "VALIDATION_ERROR", "message": "Duplicate IDs found in batch input"}
        if self.whole and self.bad & set(keys):
            context.status_code = 400
            return {"category": "VALIDATION_ERROR", "message": "one of them is bad"}
        results, errors = [], []
        for sent in inputs:
            trace = sent["objectWriteTraceId"]
            if sent["id"] in self.bad:
                errors.append(
                    {"category": "VALIDATION_ERROR", "message": "bad", "context": {"objectWriteTraceId": [trace]}}
                )
                continue
            new = sent["id"] not in self.known
            self.known.setdefault(sent["id"], {}).update(sent["properties"])
            echo = {"objectWriteTraceId": trace} if self.echo else {}
            results.append({**record(abs(hash(sent["id"])), **sent["properties"]), "new": new, **echo})
        random.Random(len(inputs)).shuffle(results)
        context.status_code = 207 if errors else 200
        return batch_of(*results, errors=errors or None)


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_bad_records_sink_no_other(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, echo: bool, whole: bool
) -> None:
    bad = {"p3@x.de", "p4@x.de", "p77@x.de", "p249@x.de"}
    crm = Crm(bad, echo=echo, whole=whole)
    no_secondary(requests_mock)
    requests_mock.post(BATCH + "upsert", json=crm)
    inputs = [{"email": f"P{i}@x.de", "n": str(i)} for i in range(250)]
    result = accounted(hook.batch_upsert_contacts(inputs), inputs)
    assert failures(result) == dict.fromkeys((3, 4, 77, 249), "VALIDATION_ERROR")
    assert all(s.new and s.record["properties"]["n"] == s.input["n"] for s in result.succeeded if s.record)
    assert all(s.id for s in result.succeeded)
    assert crm.sizes == [100, 100, 50] if not whole else len(crm.sizes) < 60
    assert not result.failed[0].ambiguous


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.integers(0, 150), max_size=260),
    bad=st.sets(st.integers(0, 150), max_size=5),
    whole=st.booleans(),
)
def test_repeated_keys_are_all_written_in_order(hook: HubSpotHook, keys: list[int], bad: set[int], whole: bool) -> None:
    crm = Crm({f"p{i}@x.de" for i in bad}, whole=whole)
    inputs = [{"email": f"p{key}@x.de", "n": str(turn)} for turn, key in enumerate(keys)]
    with requests_mock.Mocker() as wire:
        no_secondary(wire)
        wire.post(BATCH + "upsert", json=crm)
        result = accounted(hook.batch_upsert_contacts(inputs), inputs)
    assert {f.input["email"] for f in result.failed} <= crm.bad or whole
    if not whole:
        assert len(result.failed) == sum(key in bad for key in keys)
        last = {f"p{key}@x.de": str(turn) for turn, key in enumerate(keys) if key not in bad}
        assert {email: held["n"] for email, held in crm.known.items()} == last


R5, R6, R7 = record(5), record(6), record(7)
BY_TRACE = {"category": "VALIDATION_ERROR", "context": {"objectWriteTraceId": ["1"]}}
# answer, succeeded ids by index, failed categories by index, ambiguous indices — for an update of the ids 5, 6, 7
ANSWERS: dict[str, tuple[Any, dict[int, str | None], dict[int, str], set[int]]] = {
    "all, out of order": (batch_of(R7, R5, R6), {0: "5", 1: "6", 2: "7"}, {}, set()),
    "207 by trace id": (batch_of(R7, R5, errors=[BY_TRACE]), {0: "5", 2: "7"}, {1: "VALIDATION_ERROR"}, set()),
    "200 with errors": (batch_of(R5, errors=[BY_TRACE]), {0: "5"}, {1: "VALIDATION_ERROR", 2: "UNACCOUNTED"}, {2}),
    "by ids, one error for several": (
        batch_of(R6, errors=[{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["5", "7"]}}]),
        {1: "6"}, {0: "OBJECT_NOT_FOUND", 2: "OBJECT_NOT_FOUND"}, set(),
    ),
    "by nested context and text": (
        batch_of(R5, R6, errors=[{"category": "CONFLICT", "errors": [{"context": {"id": "7"}}]}]),
        {0: "5", 1: "6"}, {2: "CONFLICT"}, set(),
    ),
    "left out without a word": (batch_of(R5, R7), {0: "5", 2: "7"}, {1: "UNACCOUNTED"}, {1}),
    "empty": (batch_of(), {}, dict.fromkeys(range(3), "UNACCOUNTED"), {0, 1, 2}),
    "only errors": ({"errors": [BY_TRACE]}, {}, {0: "UNACCOUNTED", 1: "VALIDATION_ERROR", 2: "UNACCOUNTED"}, {0, 2}),
    "failed and listed": (
        batch_of(R5, R6, R7, errors=[BY_TRACE]), {0: "5", 2: "7"}, {1: "VALIDATION_ERROR"}, set(),
    ),
    "error without context": (
        batch_of(R5, R6, errors=[{"category": "LOCKED", "message": "no ann@x.de"}]),
        {0: "5", 1: "6"}, {2: "LOCKED"}, set(),
    ),
    "one under another id": (batch_of(R5, R6, record(99)), {0: "5", 1: "6", 2: "99"}, {}, set()),
    "two under other ids": (batch_of(R5, record(98), record(99)), {0: "5", 1: None, 2: None}, {}, set()),
    "echoed trace ids": (
        batch_of({**record(98), "objectWriteTraceId": "0"}, {**record(99), "objectWriteTraceId": "2"}, R6),
        {0: "98", 1: "6", 2: "99"}, {}, set(),
    ),
    "junk": (
        {"results": [None, 5, R5], "errors": [None, "x", {"context": "y", "message": None}]},
        {0: "5"}, {1: "UNACCOUNTED", 2: "UNACCOUNTED"}, {1, 2},
    ),
    "still processing": (
        {"status": "PROCESSING", "results": []}, {}, dict.fromkeys(range(3), "UNACCOUNTED"), {0, 1, 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "taken", "failed", "ambiguous"), ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("status", [200, 202, 207])
def test_answers_are_accounted_for(
    hook: HubSpotHook,
    requests_mock: requests_mock.Mocker,
    status: int,
    body: Any,
    taken: Any,
    failed: Any,
    ambiguous: Any,
) -> None:
    requests_mock.post(BATCH + "update", status_code=status, json={"correlationId": "c-1", **body})
    inputs = [{"id": i, "properties": {"a": "b"}} for i in (5, 6, 7)]
    result = accounted(hook.batch_update_contacts(inputs), inputs)
    assert {s.index: s.id for s in result.succeeded} == taken
    assert failures(result) == failed
    assert {f.index for f in result.failed if f.ambiguous} == ambiguous
    assert all(f.request_id == "c-1" and "@" not in f.reason for f in result.failed)
    assert bool(result) is not bool(failed)
    # A lock may pass.
    assert requests_mock.call_count == (6 if "LOCKED" in failed.values() else 1)


def test_reads_resolve_secondary_addresses_and_name_the_missing(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    requests_mock.post(
        BATCH + "read",
        status_code=207,
        json=batch_of(
            record(5, email="ann@x.de", hs_additional_emails="Old@x.de;older@x.de"),
            errors=[{"category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": ["no@x.de"]}}],
        ),
    )
    inputs = ["OLD@x.de", "no@x.de", "ann@x.de"]
    result = accounted(hook.batch_read_contacts(inputs, id_property="email"), inputs)
    assert {s.index: s.id for s in result.succeeded} == {0: "5", 2: "5"}
    assert failures(result) == {1: "OBJECT_NOT_FOUND"}


@pytest.mark.parametrize(("history", "sizes"), [(None, [100, 100, 1]), ("email", [50, 50, 50, 50, 1])])
def test_reads_keep_the_limits(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, history: str | None, sizes: list[int]
) -> None:
    requests_mock.post(BATCH + "read", json=lambda r, c: batch_of(*(record(i["id"]) for i in r.json()["inputs"])))
    ids = list(range(1, 202))
    result = accounted(hook.batch_read_contacts(iter(ids), properties_with_history=history), ids)
    assert result
    assert [len(r.json()["inputs"]) for r in requests_mock.request_history] == sizes


def test_archive_has_no_results_and_takes_gone_for_done(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    gone = {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["2"]}}
    locked = {"category": "LOCKED", "context": {"ids": ["3"]}}
    requests_mock.post(
        BATCH + "archive", [{"status_code": 204}, {"status_code": 207, "json": {"errors": [gone, locked]}}]
    )
    assert accounted(hook.batch_archive_contacts([1, 2]), [1, 2])
    result = accounted(hook.batch_archive_contacts([1, 2, 3]), [1, 2, 3])
    assert failures(result) == {2: "LOCKED"}


REPEATABLE: dict[str, Callable[[HubSpotHook], BatchResult]] = {
    "read": lambda h: h.batch_read_contacts([5]),
    "update": lambda h: h.batch_update_contacts([{"id": "5", "a": "b"}]),
    "upsert": lambda h: h.batch_upsert_contacts([{"email": "a@b.de"}]),
    "archive": lambda h: h.batch_archive_contacts([5]),
}


@pytest.mark.parametrize(("verb", "call"), REPEATABLE.items(), ids=REPEATABLE)
def test_repeatable_batches_survive_faults(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, verb: str, call: Callable[[HubSpotHook], BatchResult]
) -> None:
    good = batch_of(record(5, email="a@b.de"))
    no_secondary(requests_mock)
    sent = requests_mock.post(BATCH + verb, [{"exc": CUT}, {"status_code": 524}, {"status_code": 423}, {"json": good}])
    assert call(hook)
    assert sent.call_count == 4


def test_a_create_of_unclear_fate_is_looked_up_and_never_repeated(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    made = {**record(5, email="a@b.de"), "createdAt": datetime.now(UTC).isoformat()}
    requests_mock.post(BATCH + "create", exc=CUT)
    requests_mock.post(BATCH + "read", status_code=207, json=batch_of(made, record(6, email="old@b.de")))
    inputs = [{"email": "A@b.de"}, {"email": "old@b.de"}, {"email": "lost@b.de"}, {"firstname": "Ann"}]
    result = accounted(hook.batch_create_contacts(inputs), inputs)
    assert [(s.index, s.id, s.new) for s in result.succeeded] == [(0, "5", None)]
    assert [(f.index, f.ambiguous, f.existing_id) for f in result.failed] == [
        (1, False, "6"),
        (2, True, None),
        (3, True, None),
    ]
    assert [r.path.rpartition("/")[2] for r in requests_mock.request_history] == ["create", "read"]
    assert requests_mock.request_history[1].json()["inputs"] == [{"id": k} for k in ("a@b.de", "old@b.de", "lost@b.de")]


def test_a_create_stays_ambiguous_when_it_cannot_be_looked_up(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    hook.client.policy = type(hook.client.policy)(max_retries=0)
    requests_mock.post(ANY, exc=CUT)
    inputs = [{"email": f"p{i}@b.de"} for i in range(150)]
    result = accounted(hook.batch_create_contacts(inputs), inputs)
    assert [f.ambiguous for f in result.failed] == [True] * 100 + [False] * 50
    assert {f.category for f in result.failed[100:]} == {"NOT_ATTEMPTED"}


def test_creates_say_who_stands_in_the_way(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    conflict = {
        "category": "CONFLICT", "message": "Contact already exists. Existing ID: 77",
        "context": {"objectWriteTraceId": ["1"], "existingId": ["77"]},
    }  # fmt: skip
    requests_mock.post(BATCH + "create", status_code=207, json=batch_of(record(5, email="a@b.de"), errors=[conflict]))
    inputs = [{"email": "a@b.de"}, {"email": "c@d.de"}]
    result = accounted(hook.batch_create_contacts(inputs), inputs)
    assert result.succeeded[0].new is True
    assert (result.failed[0].category, result.failed[0].existing_id) == ("CONFLICT", "77")


@pytest.mark.parametrize("whole", [True, False])
def test_an_upsert_that_met_another_is_tried_again(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, whole: bool
) -> None:
    clash: dict[str, Any] = {"status_code": 409, "json": {"message": "Contact already exists"}}
    if not whole:
        error = {"category": "CONFLICT", "context": {"objectWriteTraceId": ["0"]}}
        clash = {"status_code": 207, "json": batch_of(errors=[error])}
    no_secondary(requests_mock)
    good = {"json": batch_of({**record(5, email="a@b.de"), "new": False})}
    sent = requests_mock.post(BATCH + "upsert", [clash, good])
    result = accounted(hook.batch_upsert_contacts([{"email": "a@b.de"}]), [{"email": "a@b.de"}])
    assert result.succeeded[0].new is False
    assert sent.call_count == 2


def test_what_went_through_is_kept_when_a_later_chunk_dies(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    crm = Crm(set())
    dead = {"status_code": 401, "json": {"category": "EXPIRED_AUTHENTICATION"}}
    no_secondary(requests_mock)
    sent = requests_mock.post(BATCH + "upsert", [{"json": crm}, dead])
    inputs = [{"email": f"p{i}@x.de"} for i in range(350)]
    result = accounted(hook.batch_upsert_contacts(inputs), inputs)
    assert len(result.succeeded) == 100
    assert result.summary["reasons"] == {"EXPIRED_AUTHENTICATION": 100, "NOT_ATTEMPTED": 150}
    assert sent.call_count == 2


@pytest.mark.parametrize(("status", "kind"), [(401, LeadsAuthError), (403, LeadsPermissionError)])
def test_a_key_that_never_worked_is_an_error(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, status: int, kind: type[Exception]
) -> None:
    requests_mock.post(ANY, status_code=status, json={})
    for call in (*REPEATABLE.values(), lambda h: h.batch_create_contacts([{"email": "a"}])):
        with pytest.raises(kind):
            call(hook)


def test_a_call_that_is_wrong_for_everybody_is_not_dissected(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    no_secondary(requests_mock)
    requests_mock.post(BATCH + "upsert", status_code=400, json={"category": "VALIDATION_ERROR"})
    inputs = [{"email": f"p{i}@x.de"} for i in range(1000)]
    result = accounted(hook.batch_upsert_contacts(inputs), inputs)
    assert len(result.failed) == 1000
    assert requests_mock.call_count < 40


@pytest.mark.parametrize("call", [
    lambda h: h.batch_read_contacts([]), lambda h: h.batch_create_contacts([]), lambda h: h.batch_update_contacts([]),
    lambda h: h.batch_upsert_contacts([]), lambda h: h.batch_archive_contacts([]),
])  # fmt: skip
def test_nothing_in_nothing_sent(hook: HubSpotHook, requests_mock: requests_mock.Mocker, call: Any) -> None:
    assert call(hook) == BatchResult()
    assert not requests_mock.called


@pytest.mark.parametrize("odd", ["a/b", "..", "-1", "https://x.example/5", "１２"])
def test_what_is_no_record_id_never_passes_for_archived(hook: HubSpotHook, odd: str) -> None:
    with pytest.raises(ValueError, match=r"ids\[1\] must be a record id"):
        hook.batch_archive_contacts(["5", odd])


def test_a_key_that_may_not_read_definitions_writes_stages_all_the_same(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    asked = requests_mock.get(
        url("/crm/properties/2026-03/contacts"), status_code=403, json={"category": "MISSING_SCOPES"}
    )
    requests_mock.post(BATCH + "update", json=batch_of(record(1)))
    row = PlanRow(
        email_key="p@x.de", action="update", target_id="1",
        properties={"lifecyclestage": "customer"}, properties_before={"lifecyclestage": "lead"},
    )  # fmt: skip
    for _ in range(2):
        (result,) = hook.update_rows([row])
        assert result.outcome == "updated"
    assert asked.call_count == 1
