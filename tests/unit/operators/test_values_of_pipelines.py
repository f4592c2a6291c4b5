"""What templates, data frames and other tasks make of the arguments of pipeline operators and sensors."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators import (
    engagement,
    enrol,
    erase,
    leads,
    lookup,
    metrics,
    report,
    upsert,
    watermark,
)
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.endpoint import DeclaredOperator
from airflow_providers_leads.sensors import hubspot, persistiq, perspective
from airflow_providers_leads.sensors.base import LeadsSensor
from airflow_providers_leads.tasks.inputs import some_results, task_results

ROOMS = (engagement, enrol, erase, leads, lookup, metrics, report, upsert, watermark, hubspot, persistiq, perspective)
KINDS = sorted(
    {
        member
        for room in ROOMS
        for name, member in vars(room).items()
        if inspect.isclass(member) and issubclass(member, LeadsOperator | LeadsSensor)
        and not issubclass(member, DeclaredOperator) and not name.startswith("_")
        and member not in (LeadsOperator, LeadsSensor)
    },
    key=lambda kind: kind.__name__,
)  # fmt: skip
ODD = st.recursive(
    st.sampled_from(
        [
            None, float("nan"), pd.NA, pd.NaT, np.int64(5), np.float64(2.0), np.str_("x"), np.bool_(True), 10**30, 1.5,
            -1, 0, True, "", " ", "None", "nan", "a", "a,b", "['a', 'b']", "[1,", "[]", "{}", "{'a': None}", "\ud83d",
            "a@b.de", "2025-01-15T08:00:00Z", "0001-01-01T00:00:00+14:00", "\x00", "file:///nowhere/x.parquet",
            "hubspot_default", b"x", object(), pd.Timestamp("2025-01-15"), pd.Series(["a", np.nan]), {1}, range(2),
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "uri", "name"]), inner, max_size=2)
    ),
    max_leaves=3,
)  # fmt: skip
SHARED = {"task_id", "kwargs", "self"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Files of one lead, and connections to a host that nobody listens at."""
    folder = tmp_path_factory.mktemp("world")
    uri = f"file://{folder}/leads.parquet"
    write_rows(uri, Lead, [Lead("perspective", "f", "1", "ann@new.example", "ann@new.example")])
    with pytest.MonkeyPatch.context() as patch:
        # Words and numbers are names of files, too.
        patch.chdir(folder)
        for crm in ("hubspot", "persistiq", "perspective"):
            extra = {"max_retries": 0, "rate_limit": 100_000, "rate_limit_period": 1}
            value = {"conn_type": crm, "password": "k" * 20, "host": "http://127.0.0.1:9", "extra": extra}
            patch.setenv(f"AIRFLOW_CONN_{crm.upper()}_DEFAULT", json.dumps(value))
        read = {"uri": uri, "complete": True, "conn_id": "perspective_default", "rows": 1, "watermark_key": "k"}
        yield {
            "conn_id": "hubspot_default", "inputs": [read], "golden": {"golden": uri, "members": None}, "leads": [uri],
            "output": f"file://{folder}/out", "campaign_id": "c", "email_keys": ["a@b.de"],
            "conn_ids": ["hubspot_default"], "start": "2025-01-01T00:00:00Z",
            "start_at": "2025-01-01T00:00:00Z", "end": "2025-01-02T00:00:00Z",
            "extracted": [], "plan": uri,
            "events": "reply", "filters": [], "contact_id": "5", "property_name": "city", "funnel_id": "f",
            "funnel_ids": ["f"], "since": "2025-01-01T00:00:00Z", "property": "city",
            "group": {"name": "g", "label": "G"},
            "value": "Bonn", "results": [], "merged": {"golden": uri},
            "properties": {}, "input": uri, "list": "7", "sql": "select 1", "sql_conn_id": "no_such_database",
            "table": "leads",
        }  # fmt: skip


def parameters_of(kind: type) -> dict[str, inspect.Parameter]:
    return {
        name: p
        for name, p in inspect.signature(kind.__init__).parameters.items()  # type: ignore[misc]
        if name not in SHARED and p.kind is p.KEYWORD_ONLY
    }


def run(operator: Any) -> Any:
    ti = SimpleNamespace(dag_id="d", run_id=uuid4().hex, task_id="t", map_index=-1, try_number=1)
    ti.get_task_states = lambda **kwargs: {}
    now = datetime(2025, 1, 15, tzinfo=UTC)
    dag_run = SimpleNamespace(logical_date=now, run_after=now, data_interval_end=now, start_date=now, run_id=ti.run_id)
    context = {"ti": ti, "run_id": ti.run_id, "logical_date": now, "dag_run": dag_run}
    return operator.query(context) if isinstance(operator, LeadsSensor) else operator.execute(context)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_a_pipeline_is_given_is_used_or_refused_in_words(
    kind: Any, data: st.DataObject, world: dict[str, Any]
) -> None:
    """Rows 1 to 6 and 40."""
    parameters = parameters_of(kind)
    arguments = {name: world[name] for name, p in parameters.items() if p.default is p.empty and name in world}
    if "output" in parameters:
        arguments["output"] = world["output"]
    odd = data.draw(st.sampled_from(sorted(parameters)))
    arguments[odd] = data.draw(ODD)
    try:
        run(kind(task_id="t", **arguments))
    except (ValueError, LeadsApiError, AirflowException, AirflowNotFoundException, FileNotFoundError) as error:
        assert not isinstance(error, UnicodeError)
        assert str(error)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, "", "None"], ids=repr)
def test_missing_results_are_passed_over_but_not_all_of_them(missing: Any, tmp_path: Path) -> None:
    """Row 40."""
    lines: list[str] = []
    log = SimpleNamespace(warning=lambda text, *values: lines.append(text % values))
    assert task_results("existing", ["a", missing, ["b", missing]], log) == ["a", "b"]
    assert lines == [
        "existing: 2 of 4 results are missing, as their tasks were skipped or gave none; the others are used"
    ]
    for nothing in (missing, [missing], [missing, missing], [], ["a" for _ in ()]):
        with pytest.raises(
            ValueError, match="inputs holds no result: every task that should have given one was skipped"
        ):
            some_results("inputs", nothing, log)
