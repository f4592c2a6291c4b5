"""How much memory an upsert of 100,000 people takes: the CRM in a process of its own, the task in another.

Figures are written to the folder that ``FAULTS_OUTPUT`` names; ``make test-faults`` runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.model.schema import Lead

PEOPLE = 100_000
MEGABYTES = 300

SERVER = """
import json, sys
from airflow_providers_leads.sandbox import Sandbox
with Sandbox(people=0, limits=False) as sandbox:
    print(json.dumps({"host": sandbox.hubspot.origin, "password": sandbox.hubspot.key}), flush=True)
    sys.stdin.read()
"""

# The peak of this very program, not of the one that started it, which ru_maxrss would tell.
WORKER = """
import json, sys, time
from types import SimpleNamespace

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

from airflow.sdk import DAG, BaseOperator
from airflow.models import Connection
bare = peak()
from airflow_providers_leads.operators.leads import LeadsUpsertOperator
golden, folder, run_id = sys.argv[1:]
ti = SimpleNamespace(dag_id="d", run_id=run_id, task_id="t", map_index=-1)
operator = LeadsUpsertOperator(
    task_id="t", conn_id="hubspot_default", golden=golden, output=f"file://{folder}/{run_id}"
)
began = time.monotonic()
told = operator.execute({"ti": ti})
counts = {name: told[name] for name in ("created", "updated", "unchanged", "failed", "ambiguous")}
print(json.dumps({"bare": bare, "peak": peak(), "seconds": time.monotonic() - began, **counts}))
"""


def person(number: int, city: str) -> Lead:
    address = f"person.{number}@people.example"
    return Lead(
        source="golden", source_scope="", source_id=str(number), email=address, email_key=address,
        first_name=f"Zoë {number}", last_name="O'Brien-Müller", phone=f"+4930{number:07}", company=f"Company {number}",
        website=f"https://www.company-{number}.example", address=f"Hauptstraße {number % 200}", city=city,
        country="Germany", properties=json.dumps({"utm_source": "newsletter", "answers": ["yes", "no", str(number)]}),
    )  # fmt: skip


@pytest.fixture
def crm() -> Iterator[dict[str, str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
        server.stdin.close()


def upsert(crm: dict[str, str], folder: Path, run_id: str, city: str, changed: int) -> dict[str, Any]:
    golden = folder / f"{run_id}.parquet"
    write_rows(str(golden), Lead, (person(n, city if n < changed else "Bonn") for n in range(PEOPLE)))
    extra = {"rate_limit": 1_000_000, "rate_limit_period": 10}
    connection = {"conn_type": "hubspot", **crm, "extra": extra}
    run = subprocess.run(
        [sys.executable, "-c", WORKER, str(golden), str(folder), run_id],
        env={**os.environ, "AIRFLOW_CONN_HUBSPOT_DEFAULT": json.dumps(connection)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    if output := os.environ.get("FAULTS_OUTPUT"):
        Path(output).mkdir(parents=True, exist_ok=True)
        (Path(output) / f"memory {run_id}.json").write_text(json.dumps(told | {"people": PEOPLE}))
    return told


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc")
def test_the_memory_of_a_task_does_not_grow_with_its_people(crm: dict[str, str], tmp_path: Path) -> None:
    created = upsert(crm, tmp_path, "create", "Bonn", 0)
    assert (created["created"], created["failed"], created["ambiguous"]) == (PEOPLE, 0, 0)
    updated = upsert(crm, tmp_path, "update", "Köln", PEOPLE // 2)
    assert (updated["updated"], updated["unchanged"]) == (PEOPLE // 2, PEOPLE // 2)
    for told in (created, updated):
        assert told["peak"] - told["bare"] < MEGABYTES, told
