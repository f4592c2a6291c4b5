"""Row 17: whoever is written by a secondary address keeps the primary one."""

from __future__ import annotations

from typing import Any

import pytest
import requests_mock
from hubspot_hooks import CONTACTS, batch_of, make_hook, quick, record, url

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.leads.model.outcomes import PlanRow

BATCH = url(CONTACTS + "/batch/")
ANN = record(5, email="Ann@main.de", hs_additional_emails="ann@old.de;ann@older.de")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    return quick(make_hook(monkeypatch))


def written(request: Any, context: Any) -> Any:
    """Answer an upsert as HubSpot does: what ``email`` says becomes the primary address."""
    rows = [
        {**record(5 if "ann" in sent["id"] else 6, **sent["properties"]), "new": False,
         "objectWriteTraceId": sent["objectWriteTraceId"]}
        for sent in request.json()["inputs"]
    ]  # fmt: skip
    return batch_of(*rows)


def test_row_17_an_upsert_by_a_secondary_address(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    read = requests_mock.post(BATCH + "read", json=batch_of(ANN))
    upsert = requests_mock.post(BATCH + "upsert", json=written)
    inputs = [
        {"email": "ANN@old.de", "city": "Ulm"}, {"id": "ann@older.de", "properties": {"city": "Bonn"}},
        {"email": "bob@x.de", "city": "Ulm"}, {"id": "ann@old.de", "properties": {"email": "ann@new.de"}},
    ]  # fmt: skip
    result = hook.batch_upsert_contacts(inputs)
    assert result, result.failed
    assert [done.input for done in result.succeeded] == inputs
    assert {i["id"] for i in read.last_request.json()["inputs"]} == {"ann@old.de", "ann@older.de", "bob@x.de"}
    sent = [one for request in upsert.request_history for one in request.json()["inputs"]]
    told = [(one["id"], one["properties"]) for one in sorted(sent, key=lambda one: int(one["objectWriteTraceId"]))]
    assert told == [
        ("ann@main.de", {"email": "ann@main.de", "city": "Ulm"}),
        ("ann@main.de", {"email": "ann@main.de", "city": "Bonn"}),
        ("bob@x.de", {"email": "bob@x.de", "city": "Ulm"}),
        # Who asks for another address gets it.
        ("ann@main.de", {"email": "ann@new.de"}),
    ]
    # Those of one contact never share a request, which HubSpot refuses.
    for request in upsert.request_history:
        keys = [one["id"] for one in request.json()["inputs"]]
        assert len(keys) == len(set(keys))


def test_row_17_what_cannot_be_looked_up_is_not_written(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    error = {"category": "INTERNAL_ERROR", "message": "no", "context": {"ids": ["ann@old.de"]}}
    requests_mock.post(BATCH + "read", status_code=207, json=batch_of(errors=[error]))
    upsert = requests_mock.post(BATCH + "upsert", json=written)
    result = hook.batch_upsert_contacts([{"email": "ann@old.de"}, {"email": "bob@x.de"}])
    assert [(f.index, f.category, f.refused) for f in result.failed] == [(0, "INTERNAL_ERROR", False)]
    assert [one["id"] for one in upsert.last_request.json()["inputs"]] == ["bob@x.de"]


def test_row_17_a_key_that_dies_at_the_lookup_writes_nothing(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    hook.client.policy = type(hook.client.policy)(max_retries=0)
    requests_mock.post(BATCH + "read", status_code=500)
    upsert = requests_mock.post(BATCH + "upsert", json=written)
    result = hook.batch_upsert_contacts([{"email": f"p{n}@x.de"} for n in range(150)])
    assert (len(result.failed), upsert.called) == (150, False)
    assert not any(f.refused or f.ambiguous for f in result.failed)


def test_row_17_a_planned_create_leaves_whom_the_address_belongs_to_alone(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    requests_mock.post(BATCH + "read", json=batch_of(ANN))
    upsert = requests_mock.post(BATCH + "upsert", json=written)
    rows = [PlanRow(email_key=key, action="create", values={"city": "Ulm"}) for key in ("ann@old.de", "bob@x.de")]
    results = {result.email_key: result for result in hook.apply_plan(rows)}
    ann = results["ann@old.de"]
    assert (ann.outcome, ann.reason, ann.target_id) == ("unchanged", "secondary_address", "5")
    assert [one["id"] for one in upsert.last_request.json()["inputs"]] == ["bob@x.de"]


@pytest.mark.parametrize(
    ("properties", "sent"),
    [
        ({"email": " ANN@old.de ", "city": "Ulm"}, {"city": "Ulm"}),
        ({"city": "Ulm"}, {"city": "Ulm"}),
        ({"email": "ann@new.de"}, {"email": "ann@new.de"}),
    ],
)
def test_row_17_a_single_update_by_address(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, properties: Any, sent: Any
) -> None:
    requests_mock.patch(url(CONTACTS + "/ann%40old.de"), json=ANN)
    hook.update_contact("ann@old.de", properties, id_property="email")
    assert requests_mock.last_request.json() == {"properties": sent}


@pytest.mark.parametrize(
    ("warnings", "reason"),
    [
        (["a value was left out for ann@x.de"], "warning: a value was left out for <address>"),
        ([{"message": "too long", "category": "TRUNCATED"}, "x"], "warning: TRUNCATED: too long; x"),
        ([{}], "warning: without words"),
        ([], None), (None, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("action", ["create", "update"])
def test_warnings_reach_the_result_of_a_row(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, action: Any, warnings: Any, reason: str | None
) -> None:
    requests_mock.post(BATCH + "read", json=batch_of())
    answer = batch_of({**record(5, email="bob@x.de"), "objectWriteTraceId": "0", "warnings": warnings})
    requests_mock.post(BATCH + ("upsert" if action == "create" else "update"), json=answer)
    row = PlanRow(email_key="bob@x.de", action=action, target_id="5", values={"city": "Ulm"})
    (result,) = hook.apply_plan([row])
    assert (result.outcome in ("created", "updated"), result.reason) == (True, reason)


def test_row_20_a_create_without_an_address_says_what_to_do(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker
) -> None:
    hook.client.policy = type(hook.client.policy)(max_retries=0)
    requests_mock.post(BATCH + "create", status_code=502)
    requests_mock.post(BATCH + "read", status_code=207, json=batch_of())
    result = hook.batch_create_contacts([{"firstname": "Ann"}, {"email": "bob@x.de"}])
    ann, bob = result.failed
    assert ann.ambiguous and "no email to look it up by" in ann.reason
    assert bob.ambiguous and "no email" not in bob.reason
