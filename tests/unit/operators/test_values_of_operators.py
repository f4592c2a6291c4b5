"""Operators and what templates, data frames and skipped tasks make of their arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
import requests_mock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import SandboxedEnvironment

from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators import hubspot, persistiq, perspective
from airflow_providers_leads.operators.endpoint import EndpointOperator
from airflow_providers_leads.operators.leads import (
    LeadsDeduplicateOperator,
    LeadsLookupOperator,
    LeadsPlanOperator,
)
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sensors.hubspot import HubSpotNewContactSensor
from airflow_providers_leads.tasks.returns import LeadsWriteError, tolerance


def rendered(operator: Any, native: bool = False, **context: Any) -> Any:
    environment = NativeEnvironment() if native else SandboxedEnvironment()
    operator.render_template_fields({**context}, environment)
    return operator


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[requests_mock.Mocker]:
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", '{"conn_type": "hubspot", "password": "secret-key-0123"}')
    with requests_mock.Mocker() as mock:
        mock.register_uri(requests_mock.ANY, requests_mock.ANY, json={"id": "5", "properties": {}})
        yield mock


NOTHING = [None, float("nan"), pd.NA, pd.NaT, np.nan]
PHONE = "{{ x }}"


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("x", NOTHING, ids=repr)
def test_a_template_of_nothing_is_absent_at_every_depth(x: Any, native: bool) -> None:
    """Row 6."""
    common = {"task_id": "t", "render_template_as_native_obj": native}
    inputs = [{"email": "a@b.de", "properties": {"phone": PHONE, "deep": [PHONE, "y"], "said": "is {{ x }}{{ x }}."}}]
    operator = hubspot.HubSpotUpsertContactsOperator(inputs=inputs, **common)
    assert rendered(operator, native, x=x).call_arguments()["inputs"] == [
        {"email": "a@b.de", "properties": {"phone": None, "deep": [None, "y"], "said": "is ."}}
    ]
    single = perspective.PerspectiveUpdateContactValueOperator(
        funnel_id="f", contact_id="c", field="city", value=PHONE, **common
    )
    with pytest.raises(ValueError, match="value must not be empty"):
        rendered(single, native, x=x).call_arguments()
    sensor = HubSpotNewContactSensor(filters=PHONE, since="2025-01-01T00:00:00Z", **common)
    assert rendered(sensor, native, x=x).query({})["filters"] == []


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("template", "meant"),
    [
        ('{"phone": "{{ x }}", "city": "Bonn"}', {"city": "Bonn"}),
        ("{'phone': '{{ x }}', 'city': '{{ city }}'}", {"city": "Bonn"}),
        ("{'phone': {{ x }}, 'city': 'Bonn'}", {"city": "Bonn"}),
        ('{"city": ["{{ x }}", "{{ city }}"]}', {"city": "Bonn"}),
    ],
)
def test_a_template_of_nothing_is_absent_in_a_mapping_as_text(
    template: str, meant: Any, native: bool, crm: Any
) -> None:
    """Rows 4 and 6."""
    operator = hubspot.HubSpotUpdateContactOperator(
        task_id="t", contact_id="5", properties=template, render_template_as_native_obj=native
    )
    run(rendered(operator, native, x=None, city="Bonn"))
    assert crm.request_history[-1].json() == {"properties": meant}


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("word", ["None", "null", "nan", "NaN", "Nan", "NaT", "<NA>"])
def test_an_honest_word_is_one_and_an_empty_text_clears(word: str, native: bool, crm: Any) -> None:
    """Row 6."""
    properties = {"lastname": word, "note": "", "city": "{{ x }}", "state": "a {{ y }}"}
    operator = hubspot.HubSpotUpdateContactOperator(
        task_id="t", contact_id="5", properties=properties, render_template_as_native_obj=native
    )
    run(rendered(operator, native, x="", y=word))
    assert crm.request_history[-1].json()["properties"] == {
        "lastname": word,
        "note": "",
        "city": "",
        "state": f"a {word}",
    }


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("word", ["None", "null", "nan", "NaT", "+4930901820", "0049", "1e5", "True", "['a']"])
def test_a_name_that_is_a_word_for_nothing_stays_a_name(word: str, native: bool, crm: Any) -> None:
    """Row 6: the value of an expression counts, not how it looks as text."""
    operator = hubspot.HubSpotUpdateContactOperator(
        task_id="t",
        contact_id="5",
        properties={"lastname": "{{ x }}", "city": "Bonn"},
        render_template_as_native_obj=native,
    )
    run(rendered(operator, native, x=word))
    assert crm.request_history[-1].json()["properties"] == {"lastname": word, "city": "Bonn"}


@pytest.mark.parametrize("value", ["x", -1, "-0.1", "nan", True, [], {}, 10**400, b"x"])
def test_what_is_no_number_tolerates_nothing(value: Any) -> None:
    with pytest.raises(ValueError, match="max_failed"):
        tolerance("fail", value)


@pytest.mark.parametrize("value", [*NOTHING, "", 0, np.int64(0)], ids=repr)
def test_a_missing_number_tolerates_nothing_either(value: Any) -> None:
    assert tolerance("fail", value) == 0


# Skipped tasks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(people=5, seed=7, limits=False) as running:
        for name, value in running.connection_env().items():
            monkeypatch.setenv(name, json.dumps({**json.loads(value), "extra": {"max_retries": 0}}))
        yield running


def run(operator: Any) -> Any:
    return operator.execute({"ti": SimpleNamespace(dag_id="d", run_id=uuid4().hex, task_id="t", map_index=-1)})


def leads(tmp_path: Path) -> str:
    uri = f"file://{tmp_path}/leads.parquet"
    write_rows(uri, Lead, [Lead("perspective", "f", "1", "ann@new.example", "ann@new.example")])
    return uri


@pytest.mark.parametrize("skipped", [None, float("nan"), ""])
def test_results_of_skipped_tasks_are_passed_over_and_told(
    skipped: Any, tmp_path: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 40."""
    read = {"uri": leads(tmp_path), "complete": True, "conn_id": "perspective_default"}
    out = f"file://{tmp_path}/out"
    merged = run(LeadsDeduplicateOperator(task_id="t", inputs=[read, skipped], output=out))
    assert merged["rows"]["golden"] == 1
    assert "inputs: 1 of 2 results are missing" in capsys.readouterr().out
    planned = run(
        LeadsPlanOperator(
            task_id="p", conn_id="hubspot_default", golden=merged, existing=[skipped, read, skipped], output=out
        )
    )
    assert planned["create"] == 1
    assert "existing: 2 of 3 results are missing" in capsys.readouterr().out
    found = run(LeadsLookupOperator(task_id="l", conn_id="hubspot_default", inputs=[skipped, read], output=out))
    assert found["people"] == 1
    for kind, more in ((LeadsDeduplicateOperator, {}), (LeadsLookupOperator, {"conn_id": "hubspot_default"})):
        with pytest.raises(ValueError, match="inputs holds no result"):
            run(kind(task_id="n", inputs=[skipped, skipped], output=out, **more))


def test_a_lookup_asks_for_the_properties_that_the_read_beside_it_has(
    crm: requests_mock.Mocker, tmp_path: Path
) -> None:
    asked = crm.post(requests_mock.ANY, json={"results": []})
    read = {"uri": leads(tmp_path), "conn_id": "hubspot_default", "complete": False, "properties": ["budget"]}
    found = run(
        LeadsLookupOperator(task_id="l", conn_id="hubspot_default", inputs=[read], output=f"file://{tmp_path}/out")
    )
    assert asked.request_history[-1].path.endswith("/batch/read")
    assert "budget" in asked.request_history[-1].json()["properties"]
    assert (found["narrows_properties"], found["properties"]) == (True, ["budget"])


# Every operator -------------------------------------------------------------------------------------------------------

ENDPOINTS = [
    member
    for module in (hubspot, persistiq, perspective)
    for member in vars(module).values()
    if isinstance(member, type) and issubclass(member, EndpointOperator) and member.method
]
ODD = st.recursive(
    st.one_of(
        st.sampled_from(
            [*NOTHING, "None", "nan", "['a']", "[1,", "", "\ud83d", np.int64(5), 2.0, 10**30, b"x", object()]
        ),
        st.text(max_size=3),
        st.booleans(),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
RIGHT = {
    "email": "a@b.de", "properties": {"a": "b"}, "inputs": [{"id": "1", "a": "b"}], "ids": ["1"],
    "leads": [{"email": "a"}], "lead_ids": ["l"], "start": "2025-01-01T00:00:00Z", "end": "2025-01-02T00:00:00Z",
    "values": {"city": "Bonn"},
}  # fmt: skip


@pytest.fixture(scope="module")
def nobody() -> Iterator[None]:
    """Connections to a host that nobody listens at: what is sent fails as a matter of the network."""
    with pytest.MonkeyPatch.context() as patch:
        for crm in ("hubspot", "persistiq", "perspective"):
            extra = {"max_retries": 0, "rate_limit": 100_000, "rate_limit_period": 1}
            value = {"conn_type": crm, "password": "k" * 20, "host": "http://127.0.0.1:9", "extra": extra}
            patch.setenv(f"AIRFLOW_CONN_{crm.upper()}_DEFAULT", json.dumps(value))
        yield


@pytest.mark.parametrize("kind", ENDPOINTS, ids=lambda kind: kind.__name__)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_an_operator_is_given_is_sent_or_refused_in_words(
    kind: Any, data: st.DataObject, nobody: None
) -> None:
    """Rows 1 to 6."""
    names = [name for name in kind.arguments if not name.endswith("_conn_id")]
    if not names:
        return
    required = {name: RIGHT.get(name, "5") for name, p in kind.arguments.items() if p.default is p.empty}
    odd = data.draw(st.sampled_from(names))
    arguments = {**required, odd: data.draw(ODD)}
    try:
        result = run(kind(task_id="t", **arguments))
    except (ValueError, LeadsApiError, LeadsWriteError) as error:
        assert not isinstance(error, UnicodeError)
        assert str(error)
    else:
        json.dumps(result)
