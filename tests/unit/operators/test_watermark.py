"""Watermarks: kept per connection and scope, moved when what was read is durable, told when they can't be used."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_providers_leads.hooks import account
from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.memory.watermarks import Watermark
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.leads import (
    LeadsExtractOperator,
    LeadsMoveWatermarkOperator,
    LeadsUpsertOperator,
)
from airflow_providers_leads.operators.watermark import WATERMARKS, full_every, seconds, watermark_key
from airflow_providers_leads.sandbox import Fault, Sandbox
from airflow_providers_leads.sandbox.core.config import HUBSPOT_SCOPES
from airflow_providers_leads.sandbox.hubspot.account import Token
from airflow_providers_leads.tasks.assets import EXTRACTED, UPSERTED
from airflow_providers_leads.tasks.inputs import get_hook

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CRMS = ("hubspot", "perspective", "persistiq")


class State(dict[str, Any]):
    """Stands in for the state of one asset."""

    def set(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.pop(key, None)


class Events(dict[Any, Any]):
    """Stands in for the outlet events of a task."""

    def __missing__(self, alias: AssetAlias) -> Any:
        self[alias] = SimpleNamespace(told=[])
        self[alias].add = lambda asset, extra: self[alias].told.append((asset.uri, extra))
        return self[alias]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=30, limits=False) as running:
        yield running


@pytest.fixture(autouse=True)
def connections(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 0}
    for name, value in sandbox.connection_env().items():
        monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": extra}))
    monkeypatch.setattr(pendulum, "now", lambda tz=None: pendulum.instance(NOW))
    yield
    for api in sandbox.apis:
        api.faults = None


@pytest.fixture
def state() -> State:
    return State()


Extract = Callable[..., dict[str, Any]]


@pytest.fixture
def extract(state: State, tmp_path: Path) -> Extract:
    def run(crm: str = "persistiq", context: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        ti = SimpleNamespace(dag_id="d", run_id=f"r{len(list(tmp_path.iterdir()))}", task_id="t", map_index=-1)
        given = {"asset_state_store": {WATERMARKS: state}} if context is None else context
        options = {"watermark": "auto"} | options
        operator = LeadsExtractOperator(
            task_id="t", conn_id=f"{crm}_default", output=f"file://{tmp_path}/{ti.run_id}", **options
        )
        return operator.execute({"ti": ti, **given})  # type: ignore[typeddict-item,no-any-return]

    return run


@pytest.mark.parametrize("crm", CRMS)
def test_the_first_run_reads_everything_and_the_next_what_is_new(
    sandbox: Sandbox, extract: Extract, state: State, crm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extract(crm)
    assert (first["complete"], first["since"]) == (True, None)
    key = f"{crm}_default"
    assert (state[key]["at"], state[key]["full_at"]) == (first["watermark"], first["watermark"])
    later = NOW + timedelta(hours=1)
    monkeypatch.setattr(pendulum, "now", lambda tz=None: pendulum.instance(later))
    second = extract(crm)
    assert second["complete"] is False
    # Contacts of a funnel that never converted have no time: they come along, and neither end nor move anything.
    undated = [lead for lead in read_rows(second["uri"].removeprefix("file://"), Lead) if not lead.updated_at]
    assert len(undated) == second["rows"] < first["rows"]
    assert crm == "perspective" or not undated
    assert datetime.fromisoformat(second["since"]) == NOW - timedelta(minutes=5)
    # HubSpot's search may not know yet what changed in the last minute.
    settled = later - timedelta(seconds=60 if crm == "hubspot" else 0)
    assert datetime.fromisoformat(state[key]["at"]) == settled == datetime.fromisoformat(second["watermark"])


def test_a_read_that_fails_moves_nothing(sandbox: Sandbox, extract: Extract, state: State) -> None:
    sandbox.persistiq.faults = lambda index, call: Fault(cut=True)
    with pytest.raises(Exception, match="persistiq_default"):
        extract()
    assert state == {}


def test_a_later_task_can_move_it(extract: Extract, state: State) -> None:
    found = [extract(crm, move_watermark="False") for crm in CRMS]
    assert state == {}
    # As XCom has it.
    extracted = json.loads(json.dumps(found))
    context: Any = {"asset_state_store": {WATERMARKS: state}}
    move = LeadsMoveWatermarkOperator(task_id="m", extracted=extracted, dry_run="True")
    assert (move.execute(context), state) == ({}, {})
    moved = LeadsMoveWatermarkOperator(task_id="m", extracted=extracted).execute(context)
    assert moved == {f"{one['conn_id']}": one["watermark"] for one in found}
    assert state.keys() == moved.keys()
    with pytest.raises(ValueError, match="watermark='auto'"):
        LeadsMoveWatermarkOperator(task_id="m", extracted=[{"uri": "x"}]).execute(context)


def test_it_never_goes_back_but_by_a_reset(extract: Extract, state: State) -> None:
    ahead = (NOW + timedelta(minutes=5)).isoformat()
    state.set("persistiq_default", {"at": ahead})
    extract()
    assert datetime.fromisoformat(state["persistiq_default"]["at"]) == datetime.fromisoformat(ahead)
    assert extract(watermark="reset")["complete"] is True
    assert datetime.fromisoformat(state["persistiq_default"]["at"]) == NOW


@pytest.mark.parametrize("later_task", [False, True], ids=["at once", "by a later task"])
@pytest.mark.parametrize("crm", CRMS)
def test_row_34_another_account_is_read_from_the_start(
    sandbox: Sandbox, extract: Extract, state: State, crm: str, later_task: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    account._IDS.clear()
    extract(crm)
    ours, name = state[f"{crm}_default"], f"AIRFLOW_CONN_{crm.upper()}_DEFAULT"
    assert extract(crm)["since"] is not None
    with Sandbox(people=3, limits=False) as theirs:
        told = json.loads(os.environ[name])
        monkeypatch.setenv(name, json.dumps({**told, "host": getattr(theirs, crm).origin}))
        # The clock of this run is behind: only another account's watermark is taken back.
        monkeypatch.setattr(pendulum, "now", lambda tz=None: pendulum.instance(NOW - timedelta(hours=1)))
        found = extract(crm, move_watermark=not later_task)
        assert (found["complete"], found["since"]) == (True, None)
        if later_task:
            context: Any = {"asset_state_store": {WATERMARKS: state}}
            LeadsMoveWatermarkOperator(task_id="m", extracted=[found]).execute(context)
        theirs_kept = state[f"{crm}_default"]
        assert theirs_kept["account"] != ours["account"]
        assert theirs_kept["at"] == found["watermark"] < ours["at"]
        assert extract(crm)["since"] is not None


def test_a_watermark_that_knows_no_account_is_gone_on_from(extract: Extract, state: State) -> None:
    state["persistiq_default"] = {"at": (NOW - timedelta(hours=2)).isoformat()}
    assert extract()["since"] is not None
    assert state["persistiq_default"]["account"].startswith("key:")


def test_the_account_is_asked_for_once_and_a_rotated_key_goes_on(
    sandbox: Sandbox, extract: Extract, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    sandbox.hubspot.faults = lambda index, call: asked.append(call.path) if "account-info" in call.path else None

    def run(expected: int) -> dict[str, Any]:
        account._IDS.clear()
        found = extract("hubspot")
        assert len(asked) == expected
        return found

    assert run(1)["since"] is None
    assert run(1)["since"] is not None
    name = "AIRFLOW_CONN_HUBSPOT_DEFAULT"
    monkeypatch.setenv(name, json.dumps({**json.loads(os.environ[name]), "password": "rotated-token"}))
    monkeypatch.setitem(
        sandbox.hubspot.store.tokens._known, "rotated-token", Token("rotated-token", frozenset(HUBSPOT_SCOPES))
    )
    assert run(2)["since"] is not None


@pytest.mark.parametrize(
    ("stored", "options", "said"),
    [
        ({"at": "2027-01-01T00:00:00Z"}, {}, "lies in the future"),
        (None, {"watermark": None, "updated_after": "2027-01-01T00:00:00Z"}, "lies in the future"),
        ({"at": "yesterday"}, {}, "Correct or delete the entry"),
        (None, {"updated_after": "2026-01-01T00:00:00Z"}, "can't be given together"),
        (None, {"watermark": "always"}, "watermark must be one of auto, reset"),
        (None, {"overlap": "-1"}, "overlap must be"),
        (None, {"settle": "soon"}, "settle must be"),
        (None, {"full_every": "0"}, "full_every must be"),
        (None, {"scope": {"status": "no such status"}}, "no lead status 'no such status'"),
        (None, {"crm": "hubspot", "scope": {"properties": ["no_such"]}}, "no contact property 'no_such'"),
        (None, {"crm": "perspective", "scope": {"funnel_ids": ["gone"]}}, "funnel 'gone' was not found"),
    ],
)
def test_what_can_not_be_read_is_told_and_nothing_moved(
    extract: Extract, state: State, stored: Any, options: dict[str, Any], said: str
) -> None:
    if stored:
        state.set("persistiq_default", stored)
    before = dict(state)
    with pytest.raises(Exception, match=said):
        extract(**options)
    assert state == before


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ({}, "needs Airflow 3.3.*updated_after"),
        ({"task_state_store": State()}, "inlets=.*WATERMARKS.*partial"),
        ({"asset_state_store": {}}, "inlets=.*WATERMARKS"),
    ],
)
def test_an_airflow_without_state_is_told_the_explicit_form(
    sandbox: Sandbox, extract: Extract, context: dict[str, Any], said: str
) -> None:
    asked = sandbox.persistiq.stats.requests
    with pytest.raises(ValueError, match=said):
        extract(context=context)
    assert sandbox.persistiq.stats.requests == asked
    assert extract(context=context, watermark=None)["complete"] is True


def test_entries_are_apart_by_connection_and_scope(extract: Extract, state: State) -> None:
    extract(scope={"status": "active"})
    extract(scope={"status": "replied", "funnel_ids": ["of another CRM"]})
    extract()
    assert len(state) == 3
    assert watermark_key("persistiq_default", {}) in state
    assert {json.dumps(entry["scope"]) for entry in state.values()} == {
        "{}", '{"status": "active"}', '{"status": "replied"}',
    }  # fmt: skip


def test_everything_is_read_again_when_it_is_due(extract: Extract, state: State) -> None:
    mark = Watermark((NOW - timedelta(hours=1)).isoformat(), (NOW - timedelta(days=8)).isoformat())
    for every, full in (("9", False), (None, False), ({"perspective": 1}, False), ({"persistiq": 7}, True)):
        state.set("persistiq_default", {"at": mark.at, "full_at": mark.full_at})
        assert extract(full_every=every)["complete"] is full, every


@pytest.mark.parametrize(("value", "expected"), [(None, 7.0), ("None", 7.0), ("0", 0), (90, 90), (1.5, 1.5)])
def test_seconds(value: Any, expected: float) -> None:
    assert seconds("overlap", value, 7.0) == timedelta(seconds=expected)
    assert seconds("overlap", timedelta(minutes=1), 7.0) == timedelta(minutes=1)


@pytest.mark.parametrize("value", ["x", -1, "nan", "inf", [], timedelta(seconds=-1)])
def test_what_are_no_seconds(value: Any) -> None:
    with pytest.raises(ValueError, match="overlap"):
        seconds("overlap", value, 7.0)
    if not isinstance(value, (list, timedelta)):
        with pytest.raises(ValueError, match="full_every"):
            full_every(value, "hubspot")


def test_assets_are_told_without_a_secret_or_an_address(extract: Extract, state: State) -> None:
    events = Events()
    found = extract("perspective", {"asset_state_store": {WATERMARKS: state}, "outlet_events": events})
    told = events[EXTRACTED].told
    assert {uri.rpartition("/")[2]: extra["rows"] for uri, extra in told} == found["parts"]
    assert {uri.rpartition("/")[0] for uri, _ in told} == {"perspective://perspective_default"}
    assert {extra["watermark"] for _, extra in told} == {found["watermark"]}
    assert "@" not in json.dumps(told)
    again = Events()
    extract("perspective", {"asset_state_store": {WATERMARKS: state}, "outlet_events": again})
    # Who waits for new leads is not woken by none.
    assert again == {} or sum(extra["rows"] for _, extra in again[EXTRACTED].told) < found["rows"]


def test_inlets_and_outlets_of_the_user_stay() -> None:
    mine = Asset("mine")
    extract = LeadsExtractOperator(task_id="a", conn_id="c", watermark="auto", inlets=[mine], outlets=[mine])
    assert (extract.inlets, extract.outlets) == ([mine, WATERMARKS], [mine, EXTRACTED])
    plain = LeadsExtractOperator(task_id="b", conn_id="c", inlets=[WATERMARKS], outlets=mine)
    assert (plain.inlets, plain.outlets) == ([WATERMARKS], [mine, EXTRACTED])
    assert LeadsUpsertOperator(task_id="d", conn_id="c", golden="g").outlets == [UPSERTED]


@pytest.mark.parametrize("key", ["perspectiv", "perspective_default", "hubSpot"])
def test_a_mapping_of_connection_types_names_such(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passed over, a funnel would never be read in full again, and nobody would be told."""
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", '{"conn_type": "hubspot", "password": "x"}')
    with pytest.raises(ValueError, match=f"full_every: '{key}' is no type of connection; there are hubspot, "):
        full_every({key: 7}, "hubspot")
    with pytest.raises(ValueError, match=f"max_people: '{key}' is no type of connection"):
        get_hook("hubspot_default", {key: 100})


@pytest.mark.parametrize("text", ['{"hubspot": 7, "persistiq": null}', "{'hubspot': 7}", "7", {"hubspot": "7"}])
def test_a_mapping_may_be_what_a_template_renders_to_text(text: Any) -> None:
    assert full_every(text, "hubspot") == timedelta(days=7)
    assert full_every({"persistiq": 3}, "hubspot") is None
