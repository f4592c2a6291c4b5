"""What people see who trigger an example DAG: a title for each field, the dry run first, no other words."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

DAGS = Path(__file__).resolve().parents[2] / "dags"
FILES = sorted(DAGS.glob("*.py"))
READS_ONLY = {"persistiq_campaign_stats", "perspective_metrics"}
REVIEWED = {"leads_sync_reviewed"}
"""Whose plan is looked at by somebody before anything is written."""


def dag_of(file: Path) -> Any:
    bag = DagBag(dag_folder=str(file))
    assert not bag.import_errors
    return next(iter(bag.dags.values()))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_form_says_what_each_field_is(file: Path) -> None:
    dag = dag_of(file)
    params = dag.params
    schemas = {name: params.get_param(name).schema for name in params}
    params.validate()
    for name, schema in schemas.items():
        assert schema.get("title"), name
        assert params.get_param(name).description, name
    titles = [schema["title"] for schema in schemas.values()]
    assert len(set(titles)) == len(titles)
    if dag.dag_id not in READS_ONLY | REVIEWED:
        assert next(iter(schemas)) == "dry_run"
    # Airflow shows what has no section first, and each section once.
    sections = [section for section, _ in groupby(schema.get("section") for schema in schemas.values())]
    assert len(set(sections)) == len(sections)
    assert sections[0] is None or dag.dag_id in READS_ONLY


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_has_few_choices_takes_no_other_word(file: Path) -> None:
    params = dag_of(file).params
    chosen = [name for name in params if "enum" in params.get_param(name).schema]
    assert [name for name in ("mode", "watermark") if name in params and name not in chosen] == []
    for name in chosen:
        with pytest.raises(ParamValidationError):
            params[name] = "updat"
            params.validate()
