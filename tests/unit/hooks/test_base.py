from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pkgutil import resolve_name
from typing import Any, ClassVar

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_providers_leads.get_provider_info import CRMS, get_provider_info
from airflow_providers_leads.hooks.base import LeadsHook, all_scope_keys, chunked, get_leads_hook, require
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsNetworkError,
    LeadsServerError,
    LeadsValidationError,
)
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult


class ScriptedHook(LeadsHook):
    """A hook whose batches do what the test says."""

    conn_type = "hubspot"
    hook_name = "Scripted"
    host = "https://api.scripted.example"
    key_header = "x-key"
    quotas: ClassVar[Mapping[str, tuple[int, float]]] = {"default": (100, 10.0)}
    write_options = frozenset({"colour"})
    create_batch = 2

    def __init__(self, script: Iterable[LeadsApiError | None]) -> None:
        super().__init__("scripted")
        self.script = iter(script)
        self.sent: list[list[str]] = []

    def iter_leads(self, **_: Any) -> Iterator[Any]:
        return iter(())

    def find_leads(self, emails: Iterable[str], **_: Any) -> Iterator[Any]:
        return iter(())

    def create_rows(self, rows: list[PlanRow], **options: Any) -> Iterable[WriteResult]:
        self.sent.append([row.email_key for row in rows])
        if error := next(self.script, None):
            raise error
        return [WriteResult(email_key=row.email_key, outcome="created") for row in rows]

    def update_rows(self, rows: list[PlanRow], **options: Any) -> Iterable[WriteResult]:
        self.sent.append([row.email_key for row in rows])
        return [WriteResult(email_key=row.email_key, outcome="updated") for row in rows]

    def probe(self) -> tuple[bool, str]:
        raise next(self.script) or AssertionError


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SCRIPTED", json.dumps({"conn_type": "hubspot", "password": "k"}))


def creates(number: int) -> list[PlanRow]:
    return [PlanRow(email_key=f"p{i}@example.com", action="create") for i in range(number)]


def settle(hook: ScriptedHook, rows: list[PlanRow]) -> tuple[dict[str, str], LeadsApiError | None]:
    outcomes: dict[str, str] = {}
    try:
        for result in hook.apply_plan(rows):
            assert result.email_key not in outcomes
            outcomes[result.email_key] = result.outcome
    except LeadsApiError as error:
        return outcomes, error
    return outcomes, None


def test_every_row_is_settled_once_and_batches_are_full() -> None:
    hook = ScriptedHook([])
    rows = [
        *creates(3),
        PlanRow(email_key="u@example.com", action="update", target_id="1"),
        PlanRow(email_key="s@example.com", action="suppress", reason="opted_out"),
        PlanRow(email_key="n@example.com", action="unchanged", target_id="2"),
    ]
    outcomes, error = settle(hook, rows)
    assert error is None
    assert sorted(outcomes.values()) == ["created", "created", "created", "suppressed", "unchanged", "updated"]
    assert [len(batch) for batch in hook.sent] == [2, 1, 1]


def test_a_refused_batch_does_not_sink_the_next() -> None:
    outcomes, error = settle(ScriptedHook([LeadsValidationError("no", category="BAD")]), creates(4))
    assert error is None
    assert list(outcomes.values()) == ["failed", "failed", "created", "created"]


@pytest.mark.parametrize("fatal", [LeadsAuthError("key"), LeadsNetworkError("host", ambiguous=True)])
def test_an_error_that_meets_every_request_ends_the_apply_after_settling_the_rows_in_hand(fatal: LeadsApiError) -> None:
    hook = ScriptedHook([None, fatal])
    outcomes, error = settle(hook, creates(6))
    assert error is fatal
    assert list(outcomes.values()) == ["created"] * 2 + (["ambiguous"] * 2 if fatal.ambiguous else ["failed"] * 2)
    assert len(hook.sent) == 2


def test_a_server_error_may_be_one_poisoned_batch_but_three_in_a_row_are_not() -> None:
    down = LeadsServerError("500", status=500)
    outcomes, error = settle(ScriptedHook([down, None, down]), creates(6))
    assert error is None
    assert list(outcomes.values()).count("created") == 2
    hook = ScriptedHook([down] * 9)
    outcomes, error = settle(hook, creates(20))
    assert error is down
    assert len(hook.sent) == 3


def test_unknown_write_option_is_refused_before_any_row_is_read() -> None:
    hook = ScriptedHook([])
    with pytest.raises(ValueError, match="'color'"):
        hook.apply_plan(creates(1), color="red")
    assert hook.sent == []


def test_connection_test_never_raises() -> None:
    assert ScriptedHook([LeadsAuthError("wrong key")]).test_connection() == (False, "wrong key")


def test_missing_connection_says_how_to_make_it() -> None:
    with pytest.raises(AirflowNotFoundException, match="AIRFLOW_CONN_NOWHERE"):
        get_leads_hook("nowhere")


def test_connection_of_another_type_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WEB", json.dumps({"conn_type": "http", "host": "x"}))
    with pytest.raises(LeadsSettingsError, match=r"type 'http'.*hubspot, perspective, persistiq"):
        get_leads_hook("web")


@pytest.mark.parametrize("crm", CRMS, ids=lambda crm: str(crm["conn_type"]))
def test_each_type_yields_its_hook_and_a_missing_key_is_told(
    crm: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps({"conn_type": crm["conn_type"]}))
    hook = get_leads_hook("crm")
    assert type(hook) is resolve_name(crm["hook"])
    assert (hook.conn_type, hook.hook_name) == (crm["conn_type"], crm["name"])
    assert hook.scope_keys <= all_scope_keys()
    ok, message = hook.test_connection()
    assert not ok
    # Airflow's form tests a copy under a random id.
    assert message.startswith("This connection: no key")


def test_the_contract_is_small_and_a_hook_that_lacks_some_of_it_can_not_be_made() -> None:
    assert LeadsHook.__abstractmethods__ == {"iter_leads", "find_leads", "create_rows", "update_rows", "probe"}
    with pytest.raises(TypeError, match="find_leads"):
        type("Half", (ScriptedHook,), {"find_leads": LeadsHook.find_leads})([])
    methods = {name for name, member in vars(LeadsHook).items() if callable(member) and not name.startswith("__")}
    assert len(methods) <= 24
    table = LeadsHook.__doc__ or ""
    given = {"apply_plan", "batched", "check_scope", "erase", "write_batches"}
    assert {name for name in methods - given if f":meth:`{name}`" not in table} == set()


def test_provider_info_matches_the_forms() -> None:
    info = get_provider_info()
    assert info["package-name"] == "airflow-providers-leads"
    assert [t["connection-type"] for t in info["connection-types"]] == ["hubspot", "perspective", "persistiq"]
    for form in info["connection-types"]:
        assert {"rate_limit", "timeout", "max_retries"} <= form["conn-fields"].keys()
        requests, seconds = resolve_name(form["hook-class-name"]).quotas["default"]
        assert f"{requests} in {seconds:g} seconds" in form["conn-fields"]["rate_limit"]["description"]


def test_chunks_and_required_arguments() -> None:
    assert list(chunked(range(5), 2)) == [[0, 1], [2, 3], [4]]
    for empty in (None, "", "  ", []):
        with pytest.raises(ValueError, match="contact_id"):
            require("contact_id", empty)
