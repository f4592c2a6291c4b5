"""One try of an extract as a worker makes it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from upsert_tries import context_of

from airflow_providers_leads.operators.leads import LeadsExtractOperator
from airflow_providers_leads.tasks import extract as _pipeline


@dataclass(frozen=True)
class Extract:
    """A task instance: what all its tries share."""

    conn_id: str
    connection: str
    folder: Path
    state_store: Path | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


def run_extract(task: Extract, **settings: int) -> dict[str, Any]:
    """Run the operator as a fresh try of the task would, with a part for every look unless the settings differ."""
    operator = LeadsExtractOperator(
        task_id="extract", conn_id=task.conn_id, output=f"file://{task.folder}", **task.arguments
    )
    with (
        patch.dict(os.environ, {f"AIRFLOW_CONN_{task.conn_id.upper()}": task.connection}),
        patch.multiple(_pipeline, **{"_DURABLE_ROWS": 1, "_PAGES_AHEAD": 2, **settings}),
    ):
        returned: dict[str, Any] = operator.execute(context_of("extract", "run", task.state_store))
    return returned
