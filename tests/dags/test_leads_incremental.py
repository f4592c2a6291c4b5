"""Only what is new, in real Airflow: watermarks that move when everything is written, at the cost of the change."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.airflow_run import DagResult, run_dag_file
from airflow_providers_leads.sandbox.persistiq.store import Lead

FILE = Path(__file__).resolve().parents[2] / "dags" / "leads_incremental.py"


def run(tmp_path: Path, **params: Any) -> DagResult:
    return run_dag_file(FILE, {"staging": f"file://{tmp_path}/files", **params})


def watermarks() -> dict[str, Any]:
    """Return the watermarks as Airflow's database holds them."""
    from airflow.models.asset_state_store import AssetStateStoreModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return {row.key: json.loads(row.value) for row in session.scalars(select(AssetStateStoreModel))}


def events() -> list[tuple[str, dict[str, Any]]]:
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(
            select(AssetModel.uri, AssetEvent.extra)
            .join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
            # The database is shared with the tests of other DAGs.
            .where(AssetEvent.source_dag_id == FILE.stem)
            .order_by(AssetEvent.id)
        )
        return [(uri, extra) for uri, extra in found]


@pytest.fixture
def never_run() -> None:
    """Forget how far others have read: the database is shared with the tests of other DAGs and of the docs."""
    from airflow.models.asset_state_store import AssetStateStoreModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete, inspect

    with create_session() as session:
        # The first DAG that runs makes the tables.
        if inspect(session.connection()).has_table(AssetStateStoreModel.__tablename__):
            session.execute(delete(AssetStateStoreModel))


@pytest.mark.story
@pytest.mark.usefixtures("never_run")
def test_first_everything_then_only_what_is_new(sandbox: Sandbox, tmp_path: Path) -> None:
    first = run(tmp_path)
    assert first.state == "success"
    extracted = {one["conn_id"]: one for one in first.returned("extract")}
    assert all(one["complete"] for one in extracted.values())
    # Who is read in full is not asked once more.
    assert sum(one["people"] for one in first.returned("look_up")) == 0
    kept = watermarks()
    assert {key: entry["at"] for key, entry in kept.items()} == {
        conn_id: one["watermark"] for conn_id, one in extracted.items()
    }
    told = Counter(uri for uri, _ in events())
    assert told["hubspot://hubspot_default/contacts"] == 2, "read and written"
    assert told["persistiq://persistiq_default/leads"] == 2
    assert {uri.partition(":")[0] for uri in told} == {"hubspot", "persistiq", "perspective"}
    assert "@" not in json.dumps(events())

    store, email = sandbox.persistiq.store, "new.lead@incremental.example"
    at = store.clock.now()
    store.add(Lead(store.next_id("l"), "active", {"email": email}, at, at))
    second = run(tmp_path, sources=["persistiq_default", "hubspot_default"], destinations=["hubspot_default"])
    assert second.state == "success"
    assert not any(one["complete"] for one in second.returned("extract"))
    (upserted,) = second.returned("upsert")
    assert upserted["created"] == 1
    assert email in {contact.properties.get("email") for contact in sandbox.hubspot.store.contacts.values()}
    moved = watermarks()
    assert moved["persistiq_default"]["at"] > kept["persistiq_default"]["at"]
    assert moved["perspective_default"] == kept["perspective_default"]
