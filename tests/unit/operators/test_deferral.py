"""Long waits: a deferrable operator leaves its worker, any other fails with what to do; nobody sleeps past its time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import requests_mock
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_providers_leads.http import client as client_module
from airflow_providers_leads.http.errors import LeadsApiError, LeadsAuthError, LeadsRateLimitError
from airflow_providers_leads.operators.hubspot import (
    HubSpotCreateContactOperator,
    HubSpotCreateContactsOperator,
    HubSpotGetContactOperator,
    HubSpotReadContactsOperator,
)
from airflow_providers_leads.operators.leads import LeadsApplyOperator, LeadsExtractOperator, LeadsUpsertOperator
from airflow_providers_leads.tasks.returns import LeadsWriteError

ORIGIN = "https://hubspot.test.example"
LIMITED = {"status_code": 429, "json": {"status": "error", "errorType": "RATE_LIMIT"}}
DAILY = {"status_code": 429, "json": {"policyName": "DAILY", "message": "You have reached your daily limit."}}
FOUND = {"json": {"id": "5", "properties": {}}}


def limited(seconds: int, status: int = 429) -> dict[str, Any]:
    return {**LIMITED, "status_code": status, "headers": {"Retry-After": str(seconds)}}


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    real = client_module.HttpClient.__post_init__

    def with_noted_sleep(self: Any) -> None:
        real(self)
        self.sleep, self.limiters = seconds.append, {}

    monkeypatch.setattr(client_module.HttpClient, "__post_init__", with_noted_sleep)
    connection = {"conn_type": "hubspot", "host": ORIGIN, "password": "s3cret-key"}
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(connection))
    return seconds


@pytest.fixture
def wire() -> Iterator[requests_mock.Mocker]:
    with requests_mock.Mocker() as mocker:
        yield mocker


def get(**options: Any) -> Any:
    return HubSpotGetContactOperator(task_id="t", contact_id="5", **options)


def serve(wire: requests_mock.Mocker, *answers: dict[str, Any]) -> None:
    wire.register_uri(requests_mock.ANY, requests_mock.ANY, list(answers))


def deferred(work: Callable[[], Any]) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        work()
    return caught.value


@pytest.mark.parametrize(("answer", "least"), [(limited(61), 61), (limited(3600), 3600), (limited(7200, 477), 7200)])
def test_a_wait_of_more_than_a_minute_frees_the_worker(
    wire: requests_mock.Mocker, slept: list[float], answer: dict[str, Any], least: int
) -> None:
    serve(wire, answer, FOUND)
    operator = get(deferrable=True)
    before = datetime.now(UTC)
    wait = deferred(lambda: operator.execute({}))
    assert slept == []
    path, arguments = wait.trigger.serialize()
    assert path == "airflow.providers.standard.triggers.temporal.DateTimeTrigger"
    assert timedelta(seconds=least) < arguments["moment"] - before < timedelta(seconds=least + 35)
    assert "s3cret" not in repr(arguments)
    assert (wait.method_name, wait.kwargs) == ("resume", {"waits": 1})
    assert operator.resume({}, event=arguments["moment"], **wait.kwargs)["id"] == "5"


def test_up_to_a_minute_is_slept(wire: requests_mock.Mocker, slept: list[float]) -> None:
    serve(wire, limited(60), FOUND)
    assert get(deferrable=True).execute({})["id"] == "5"
    assert 60 <= sum(slept) <= 61


def test_a_task_that_is_not_deferrable_sleeps_two_minutes_at_most(
    wire: requests_mock.Mocker, slept: list[float]
) -> None:
    serve(wire, limited(119), FOUND)
    assert get().execute({})["id"] == "5"
    serve(wire, limited(121), FOUND)
    with pytest.raises(LeadsRateLimitError, match="asks to wait 121 s"):
        get().execute({})
    assert 119 <= sum(slept) <= 120


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (DAILY, LeadsRateLimitError),
        (limited(100_000), LeadsRateLimitError),
        (LIMITED, LeadsRateLimitError),
        ({"status_code": 503, "headers": {"Retry-After": "100"}}, LeadsApiError),
        ({"status_code": 401}, LeadsAuthError),
    ],
    ids=["daily", "longer than a day", "nobody knows how long", "no rate limit", "key"],
)
def test_what_no_wait_mends_is_no_reason_to_defer(
    wire: requests_mock.Mocker, slept: list[float], answer: dict[str, Any], kind: type[LeadsApiError]
) -> None:
    serve(wire, answer)
    with pytest.raises(kind) as caught:
        get(deferrable=True).execute({})
    assert isinstance(caught.value, AirflowFailException) is (kind is LeadsAuthError)


def test_waiting_ends_some_day(wire: requests_mock.Mocker, slept: list[float]) -> None:
    serve(wire, limited(90))
    operator = get(deferrable=True)
    wait = deferred(lambda: operator.execute({}))
    for number in range(1, 20):
        assert wait.kwargs == {"waits": number}
        waits = wait.kwargs["waits"]
        wait = deferred(partial(operator.resume, {}, event=None, waits=waits))
    with pytest.raises(LeadsRateLimitError):
        operator.resume({}, event=None, **wait.kwargs)


def test_no_task_sleeps_into_its_execution_timeout(wire: requests_mock.Mocker, slept: list[float]) -> None:
    serve(wire, limited(50))
    with pytest.raises(LeadsRateLimitError, match="execution_timeout ends before another try"):
        get(execution_timeout=timedelta(seconds=40)).execute({})
    assert slept == []
    # Deferred, a task gets its time anew.
    deferred(lambda: get(execution_timeout=timedelta(seconds=40), deferrable=True).execute({}))


def test_a_create_that_was_refused_for_now_is_sent_once_more_after_the_wait(
    wire: requests_mock.Mocker, slept: list[float]
) -> None:
    serve(wire, limited(90), FOUND)
    operator = HubSpotCreateContactOperator(task_id="t", properties={"email": "a@b.example"}, deferrable=True)
    wait = deferred(lambda: operator.execute({}))
    assert operator.resume({}, event=None, **wait.kwargs)["id"] == "5"
    assert wire.call_count == 2


def test_airflows_default_decides_unless_told() -> None:
    for make in (LeadsExtractOperator, LeadsApplyOperator, LeadsUpsertOperator):
        needed = {LeadsExtractOperator: {}, LeadsApplyOperator: {"plan": "p"}, LeadsUpsertOperator: {"golden": "g"}}
        assert make(task_id="t", conn_id="c", **needed[make]).deferrable is False
        assert make(task_id="t", conn_id="c", deferrable=True, **needed[make]).deferrable is True
        make.partial(task_id="t", deferrable=True, **needed[make]).expand(conn_id=["a", "b"])
    HubSpotGetContactOperator.partial(task_id="t", deferrable=True).expand(contact_id=["1", "2"])


def read(**options: Any) -> Any:
    return HubSpotReadContactsOperator(task_id="t", ids=[str(i) for i in range(150)], **options)


def found(request: Any, context: Any) -> Any:
    return {"results": [{"id": one["id"], "properties": {}} for one in request.json()["inputs"]]}


def test_a_batch_waits_in_the_triggerer_and_begins_anew(wire: requests_mock.Mocker, slept: list[float]) -> None:
    serve(wire, {"json": found}, limited(600), {"json": found}, {"json": found})
    operator = read(deferrable=True)
    wait = deferred(lambda: operator.execute({}))
    assert operator.resume({}, event=None, **wait.kwargs)["succeeded"] == 150
    assert slept == []


def test_a_batch_that_would_do_something_twice_waits_only_while_nothing_is_done(
    wire: requests_mock.Mocker, slept: list[float]
) -> None:
    def made(request: Any, context: Any) -> Any:
        traces = [one["objectWriteTraceId"] for one in request.json()["inputs"]]
        return {"results": [{"id": trace, "properties": {}, "objectWriteTraceId": trace} for trace in traces]}

    people = [{"firstname": f"A{i}"} for i in range(150)]
    operator = HubSpotCreateContactsOperator(task_id="t", inputs=people, deferrable=True)
    serve(wire, limited(600), {"json": made}, limited(600))
    wait = deferred(lambda: operator.execute({}))
    with pytest.raises(LeadsWriteError, match=r"50 of 150 failed: .* What ended it: .* asks to wait 600 s"):
        operator.resume({}, event=None, **wait.kwargs)


def test_a_batch_that_may_not_be_deferred_says_what_ended_it(wire: requests_mock.Mocker, slept: list[float]) -> None:
    serve(wire, limited(600))
    with pytest.raises(LeadsWriteError, match=r"150 of 150 failed: .* What ended it: .* asks to wait 600 s"):
        read().execute({})
    serve(wire, DAILY)
    with pytest.raises(LeadsWriteError, match=r"What ended it: .* daily quota is spent"):
        read(deferrable=True).execute({})
