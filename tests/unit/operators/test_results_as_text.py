"""Results of tasks as a template renders them in a DAG that renders no native objects: ``{{ ti.xcom_pull("x") }}``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_providers_leads.decorators.leads import LeadsFilterOperator
from airflow_providers_leads.leads.files.staging import count_rows
from airflow_providers_leads.operators.leads import LeadsDeduplicateOperator, LeadsFromFileOperator
from airflow_providers_leads.tasks.inputs import as_list, as_result, uri_in


@pytest.mark.parametrize("show", [str, json.dumps])
def test_they_are_taken_as_the_results_they_are(show: Callable[[Any], str], tmp_path: Path) -> None:
    (tmp_path / "fair.csv").write_text("email,first_name\nann@fair.example,Ann\nbob@fair.example,Bob\n")
    file = LeadsFromFileOperator(task_id="a", input=f"file://{tmp_path}/fair.csv", output=f"file://{tmp_path}/out")
    read = file.execute({})
    merge = LeadsDeduplicateOperator(task_id="d", inputs=show(read), output=f"file://{tmp_path}/d")
    merged = merge.execute({})
    assert merged["rows"]["golden"] == 2
    keep: Any = LeadsFilterOperator(
        task_id="f",
        python_callable=lambda leads: [True] * len(leads),
        op_args=[show(merged)],
        output=str(tmp_path / "f"),
    )
    kept = keep.execute({})
    assert (kept["members"], count_rows(kept["golden"])) == (merged["members"], 2)


@pytest.mark.parametrize("show", [str, json.dumps])
def test_what_they_say_is_kept_with_its_missing_values(show: Callable[[Any], str]) -> None:
    dry = {"results": None, "conn_id": "crm", "created": 3, "plan": "s3://b/crm.plan.parquet"}
    assert as_result(show(dry)) == dry
    assert as_list(show(dry)) == [dry]
    # An extract that is not complete must not pass for a URI, of which that isn't known.
    assert as_list([show(dry), ["s3://b/x.parquet", show(dry)]]) == [dry, "s3://b/x.parquet", dry]
    assert uri_in(show(dry), "plan") == "s3://b/crm.plan.parquet"
    with pytest.raises(ValueError, match="with the key 'results'"):
        uri_in(show(dry), "results")


@pytest.mark.parametrize("text", ["{not one", "{1: }", "s3://b/{x}.parquet"])
def test_what_shows_none_is_told_or_a_uri(text: str) -> None:
    if text.startswith("{"):
        with pytest.raises(ValueError, match="results must be"):
            as_list(text)
    else:
        assert as_list(text) == [text]
