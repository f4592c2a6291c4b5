"""The decorators as tasks; what they do to leads is held by test_leads_functions.py."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import task

from airflow_providers_leads.decorators.leads import LeadsFilterOperator, LeadsMapOperator
from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.merge.functions import FunctionError
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.leads import LeadsDeduplicateOperator

CONTEXT: Any = {"ti": SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1), "run_id": "r"}


@pytest.fixture
def extracted(tmp_path: Path) -> dict[str, Any]:
    uri = f"file://{tmp_path}/crm.leads.parquet"
    people = [("ann", "DE"), ("bob", "FR"), ("eve", "DE")]
    rows = [
        Lead("hubspot", "crm", name, email=f"{name}@x.example", email_key=f"{name}@x.example", country=country)
        for name, country in people
    ]
    write_rows(uri, Lead, rows)
    return {"uri": uri, "rows": 3, "conn_id": "crm", "source": "hubspot", "complete": True, "watermark": "w"}


def operator(kind: Any, function: Any, *args: Any, tmp_path: Path, **given: Any) -> Any:
    options = {"task_id": "t", "output": f"file://{tmp_path}/out", "op_args": args, **given}
    return kind(python_callable=function, **options)


def names(uri: str) -> list[str]:
    return [row.source_id for row in read_rows(uri, Lead)]


def german(leads: list[dict[str, Any]]) -> list[bool]:
    return [lead["country"] == "DE" for lead in leads]


def test_a_filtered_extract_is_never_taken_for_all_that_a_crm_holds(extracted: dict[str, Any], tmp_path: Path) -> None:
    result = operator(LeadsFilterOperator, german, extracted, tmp_path=tmp_path).execute(CONTEXT)
    assert result == {
        "uri": f"file://{tmp_path}/out/crm.kept.parquet",
        "rows": 2, "dropped": 1, "protected": 0, "rejects": 0,
        "conn_id": "crm", "source": "hubspot", "watermark": "w", "complete": False,
    }  # fmt: skip
    assert names(result["uri"]) == ["ann", "eve"]
    assert names(extracted["uri"]) == ["ann", "bob", "eve"]


def test_a_mapped_file_is_not_what_the_crm_holds_either(extracted: dict[str, Any], tmp_path: Path) -> None:
    result = operator(LeadsMapOperator, lambda leads: [{"city": "Bonn"}] * len(leads), extracted["uri"],
                      tmp_path=tmp_path).execute(CONTEXT)  # fmt: skip
    assert result == {
        "uri": f"file://{tmp_path}/out/crm.mapped.parquet", "rows": 3, "changed": 3, "rejects": 0, "complete": False,
    }  # fmt: skip


def test_further_arguments_and_the_context_reach_the_function(extracted: dict[str, Any], tmp_path: Path) -> None:
    seen: list[Any] = []

    def only(leads: list[dict[str, Any]], country: str, *, run_id: str | None = None, least: int = 0) -> list[bool]:
        seen.append((len(leads), country, run_id, least))
        return [lead["country"] == country for lead in leads]

    given: dict[str, Any] = {"tmp_path": tmp_path, "batch_rows": "2"}
    operator(LeadsFilterOperator, only, extracted, "FR", op_kwargs={"least": 2}, **given).execute(CONTEXT)
    operator(LeadsFilterOperator, only, op_kwargs={"leads": extracted, "country": "FR"}, **given).execute(CONTEXT)
    assert seen == [(2, "FR", "r", 2), (1, "FR", "r", 2), (2, "FR", "r", 0), (1, "FR", "r", 0)]


def test_golden_records_stay_a_merges_result(extracted: dict[str, Any], tmp_path: Path) -> None:
    merge = LeadsDeduplicateOperator(task_id="m", inputs=extracted, output=f"file://{tmp_path}/golden")
    merged = merge.execute(CONTEXT)
    result = operator(LeadsFilterOperator, german, merged, tmp_path=tmp_path, form="dicts").execute(CONTEXT)
    assert result["golden"] == f"file://{tmp_path}/out/golden.kept.parquet"
    assert len(names(result["golden"])) == 2
    assert {key: result[key] for key in ("members", "conflicts", "rejects")} == {
        key: merged[key] for key in ("members", "conflicts", "rejects")
    }
    assert result["rows"] == {**merged["rows"], "golden": 2}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"op_args": ()}, "give the task the result of an extract or a merge, or a URI"),
        ({"op_args": ([{"uri": "a"}, {"uri": "b"}],)}, r"map it over them: german\.expand\(leads=extract\.output\)"),
        ({"op_args": ({"rows": 1},)}, "expected a URI, or a task's result with the key 'uri'"),
        ({"form": "pandas"}, "form must be one of dicts, arrow"),
        ({"batch_rows": "none"}, "batch_rows must be a whole number"),
        ({"output": None}, r"\[leads\] staging is not set"),
    ],
)
def test_bad_input_is_told_before_the_function_is_called(
    given: dict[str, Any], said: str, extracted: dict[str, Any], tmp_path: Path
) -> None:
    called: list[Any] = []

    def german(leads: Any = None) -> list[bool]:
        called.append(leads)
        return []

    # When the DAG is parsed where it can be known then, else when the task runs.
    with pytest.raises(ValueError, match=said):
        operator(LeadsFilterOperator, german, extracted, tmp_path=tmp_path, **given).execute(CONTEXT)
    assert not called


def test_the_file_that_is_read_is_never_written_over(extracted: dict[str, Any], tmp_path: Path) -> None:
    made = operator(LeadsMapOperator, german, extracted, tmp_path=tmp_path, output=extracted["uri"])
    with pytest.raises(ValueError, match="output is the file that is read"):
        made.execute(CONTEXT)
    assert names(extracted["uri"]) == ["ann", "bob", "eve"]


def test_a_bad_return_value_ends_the_task_in_one_line(extracted: dict[str, Any], tmp_path: Path) -> None:
    made = operator(LeadsFilterOperator, lambda leads: [True, "ann@x.example", True], extracted, tmp_path=tmp_path)
    with pytest.raises(FunctionError, match=r"^row 2: the function must return true or false and returned a str$") as r:
        made.execute(CONTEXT)
    assert not [entry for entry in r.traceback if str(entry.path).endswith("functions.py")]


def test_airflow_knows_the_decorators() -> None:
    from airflow.sdk import DAG

    with DAG("taskflow_probe", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

        @task.leads_filter(output="file:///tmp/x", form="arrow")
        def keep(leads: Any) -> Any:
            return leads["city"].is_valid()

        @task.leads_map
        def change(leads: Any) -> Any:
            return leads

        made = change(keep("file:///tmp/in.parquet"))
        mapped = keep.override(task_id="each").expand(leads=["a", "b"])
    assert isinstance(made.operator, LeadsMapOperator)
    (upstream,) = made.operator.upstream_list
    assert isinstance(upstream, LeadsFilterOperator)
    assert (upstream.form, upstream.output_uri) == ("arrow", "file:///tmp/x")
    assert mapped.operator.task_id == "each"
