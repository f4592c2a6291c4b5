"""What the forms of the example DAGs take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

FILES = sorted(Path(__file__).resolve().parents[2].glob("dags/*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files_never_go_to_the_root_of_a_worker_s_disk(file: Path) -> None:
    """Without it ``{{ params.staging }}/leads_sync`` is a folder beside ``/etc``, gone with the container."""
    from airflow.dag_processing.dagbag import DagBag

    (dag,) = DagBag(dag_folder=str(file)).dags.values()
    staging: Any = dag.params.get_param("staging")
    if "null" in staging.schema["type"]:
        assert staging.resolve(None) is None
        return
    with pytest.raises(ParamValidationError):
        staging.resolve("")
    assert staging.resolve("s3://b/leads") == "s3://b/leads"
