"""An OAuth app against the sandbox: tokens that end while work goes on, one renewal for all, and a dead app."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.http.errors import LeadsAuthError
from airflow_providers_leads.operators.leads import LeadsExtractOperator
from airflow_providers_leads.sandbox import FaultPlan, Rule, Sandbox

THREADS = 12
TOKENS = "POST /oauth/{version}/token"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Sandbox, HubSpotHook]]]:
    running: list[Sandbox] = []

    def start(refresh_token: str = "", **settings: Any) -> tuple[Sandbox, HubSpotHook]:
        sandbox = Sandbox(people=250, limits=False, **settings).start()
        running.append(sandbox)
        app = {
            "client_id": sandbox.config.oauth_client_id,
            "client_secret": sandbox.config.oauth_client_secret,
            "refresh_token": refresh_token or sandbox.config.oauth_refresh_token,
        }
        extra = {**app, "max_retries": 3, "rate_limit": 10**6}
        connection = {"conn_type": "hubspot", "host": sandbox.hubspot.origin, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps(connection))
        hook = HubSpotHook()
        hook.client.sleep = lambda seconds: None
        return sandbox, hook

    yield start
    for sandbox in running:
        sandbox.stop()


def renewals(sandbox: Sandbox) -> int:
    return sandbox.hubspot.stats.by_route[TOKENS]


def end_all_tokens(sandbox: Sandbox) -> None:
    tokens = sandbox.hubspot.store.tokens
    tokens._known = {name: token for name, token in tokens._known.items() if not token.oauth}


def at_once(work: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(THREADS)

    def one(_: int) -> Any:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def test_threads_share_one_token_and_one_renewal(serve: Any) -> None:
    sandbox, hook = serve()
    first = at_once(lambda: len(list(hook.list_contacts())))
    assert (len(set(first)), renewals(sandbox)) == (1, 1)
    end_all_tokens(sandbox)
    assert at_once(lambda: len(list(hook.list_contacts()))) == first
    assert renewals(sandbox) == 2


def test_a_token_that_ends_in_the_middle_of_a_list_is_renewed_and_no_row_is_lost(serve: Any) -> None:
    sandbox, hook = serve()
    whole = [row["id"] for row in hook.list_contacts()]
    found = []
    for number, row in enumerate(hook.list_contacts()):
        if number == 50:
            end_all_tokens(sandbox)
        found.append(row["id"])
    assert found == whole
    assert renewals(sandbox) == 2
    assert sandbox.hubspot.stats.by_status["401"] == 1


def test_a_create_that_meets_the_end_of_a_token_is_made_once(serve: Any) -> None:
    sandbox, hook = serve()
    hook.test_connection()
    end_all_tokens(sandbox)
    hook.create_contact({"email": "late@oauth.example"})
    held = [c.properties.get("email") for c in sandbox.hubspot.store.contacts.values()]
    assert held.count("late@oauth.example") == 1


def test_short_tokens_are_renewed_before_they_end(serve: Any) -> None:
    sandbox, hook = serve(oauth_expires_in=2)
    hook.client.auth._headers()
    token = sandbox.hubspot.store.tokens
    for _ in range(60):
        hook.test_connection()
    assert sandbox.hubspot.stats.by_status["401"] == 0
    assert len([t for t in token._known.values() if t.oauth]) == renewals(sandbox)


def test_an_expired_token_that_stays_refused_is_renewed_once_per_request(serve: Any) -> None:
    plan = FaultPlan((Rule(fault="token_expired", path="/crm/*"),))
    sandbox, hook = serve(faults=plan)
    with pytest.raises(LeadsAuthError):
        list(hook.list_contacts())
    assert renewals(sandbox) == 2
    assert sandbox.hubspot.stats.by_status["401"] == 2


def test_a_renewal_survives_faults_of_the_token_endpoint(serve: Any) -> None:
    rules = [Rule(fault=kind, path="/oauth/*", nth=(1,)) for kind in ("cut_after", "error_502", "truncated")]
    sandbox, hook = serve(faults=FaultPlan(tuple(rules)))
    assert hook.test_connection()[0]
    assert renewals(sandbox) == 4


def test_a_dead_refresh_token_ends_a_task_at_once_and_without_retries(serve: Any, tmp_path: Any) -> None:
    sandbox, _ = serve(refresh_token="dead-refresh-token-4711")
    operator = LeadsExtractOperator(task_id="t", conn_id="hubspot_default", output=f"file://{tmp_path}/x.parquet")
    with pytest.raises(LeadsAuthError, match="install the app again") as caught:
        operator.execute({"ti": None})
    assert isinstance(caught.value, AirflowFailException)
    assert "dead-refresh-token" not in str(caught.value)
    assert (renewals(sandbox), sandbox.hubspot.stats.requests) == (1, 1)


def test_an_app_that_is_uninstalled_in_the_middle_ends_the_work(serve: Any) -> None:
    sandbox, hook = serve()
    assert hook.test_connection()[0]
    object.__setattr__(sandbox.hubspot.store.tokens.config, "oauth_refresh_token", "another")
    end_all_tokens(sandbox)
    before = sandbox.hubspot.stats.requests
    with pytest.raises(LeadsAuthError, match="refused to renew"):
        list(hook.list_contacts())
    assert sandbox.hubspot.stats.requests == before + 2
