"""What a call does anew whenever it is made: when it may have been done, Airflow doesn't make the call again."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
import requests_mock as rm
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_providers_leads.http.errors import LeadsApiError, LeadsNetworkError, LeadsServerError, LeadsValidationError
from airflow_providers_leads.operators.hubspot import HubSpotCreateContactOperator, HubSpotUpdateContactOperator
from airflow_providers_leads.operators.persistiq import (
    PersistIQCreateCampaignOperator,
    PersistIQDuplicateCampaignOperator,
    PersistIQSendReplyOperator,
)
from airflow_providers_leads.operators.perspective import (
    PerspectiveCreateContactOperator,
    PerspectiveUpdateContactValueOperator,
)


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hubspot", "perspective", "persistiq"):
        value = {"conn_type": name, "password": "a key of its own", "extra": {"rate_limit": 10**6, "max_retries": 0}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}_DEFAULT", json.dumps(value))


def field(**options: Any) -> Any:
    given = {"funnel_id": "f", "contact_id": "c", "field": "status", "value": "won", **options}
    return PerspectiveUpdateContactValueOperator(task_id="t", **given)


ONCE: dict[str, Any] = {
    "reply": lambda: PersistIQSendReplyOperator(task_id="t", campaign_id="c", inbox_message_id="m", body="x"),
    "campaign": lambda: PersistIQCreateCampaignOperator(task_id="t", name="n", owner_id="u"),
    "copy": lambda: PersistIQDuplicateCampaignOperator(task_id="t", campaign_id="c", owner_id="u"),
    "contact": lambda: PerspectiveCreateContactOperator(task_id="t", funnel_id="f", email="ann@x.de"),
    "contact without an address": lambda: HubSpotCreateContactOperator(task_id="t", properties={"firstname": "A"}),
    "automations": lambda: field(skip_automation_trigger="false"),
}
AGAIN: dict[str, Any] = {
    "an update": lambda: HubSpotUpdateContactOperator(task_id="t", contact_id="5", properties={"city": "U"}),
    "a field": field,
}
UNCLEAR: dict[str, Any] = {
    "fault": ({"status_code": 502}, LeadsServerError),
    "given up": ({"status_code": 408}, LeadsValidationError),
    "cut": ({"exc": requests.exceptions.ConnectionError("cut")}, LeadsNetworkError),
}


@pytest.mark.parametrize("unclear", UNCLEAR)
@pytest.mark.parametrize("call", ONCE)
def test_it_is_not_tried_again_when_it_may_have_been_done(call: str, unclear: str) -> None:
    answer, kind = UNCLEAR[unclear]
    with rm.Mocker() as mocker:
        mocker.register_uri(rm.ANY, rm.ANY, **answer)
        with pytest.raises(AirflowFailException, match="It may have taken effect") as caught:
            ONCE[call]().execute({})
    assert isinstance(caught.value, kind) and caught.value.ambiguous
    assert mocker.call_count == 1


@pytest.mark.parametrize("call", [*ONCE, *AGAIN])
def test_what_was_not_done_may_be_tried_again(call: str) -> None:
    with rm.Mocker() as mocker:
        mocker.register_uri(rm.ANY, rm.ANY, status_code=400)
        with pytest.raises(LeadsApiError) as caught:
            {**ONCE, **AGAIN}[call]().execute({})
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("call", AGAIN)
def test_what_does_no_harm_a_second_time_may_be_tried_again(call: str) -> None:
    with rm.Mocker() as mocker:
        mocker.register_uri(rm.ANY, rm.ANY, status_code=502)
        with pytest.raises(LeadsServerError) as caught:
            AGAIN[call]().execute({})
    assert caught.value.ambiguous and not isinstance(caught.value, AirflowFailException)
