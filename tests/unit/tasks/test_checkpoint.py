"""What the tries of one task share, with Airflow's task state store and without."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_providers_leads.leads.files import places
from airflow_providers_leads.tasks.checkpoint import Checkpoint


class Store:
    """As Airflow 3.3 hands it out: shared by the tries of one task instance, JSON only."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.entries.get(key, default)

    def set(self, key: str, value: Any) -> None:
        assert value is not None
        self.entries[key] = dict(value)

    def delete(self, key: str) -> None:
        self.entries.pop(key, None)


def context(store: Store | None = None, **identity: Any) -> Any:
    ti = SimpleNamespace(**{"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1} | identity)
    return {"ti": ti} | ({"task_state_store": store} if store else {})


@pytest.fixture
def beside(tmp_path: Path) -> str:
    return f"file://{tmp_path}/deep/x.results.parquet"


def files(beside: str) -> list[str]:
    folder = Path(beside.removeprefix("file://")).parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("store", [Store(), None], ids=["state store", "file"])
def test_what_is_noted_is_there_for_the_next_try_until_it_is_cleared(store: Store | None, beside: str) -> None:
    first = Checkpoint(context(store), "apply", beside)
    assert first.state == {}
    first.note(settled=3, planned={"plan": "file:///p", "create": 2})
    first.note(settled=4)
    second = Checkpoint(context(store), "apply", beside)
    assert second.state == {"settled": 4, "planned": {"plan": "file:///p", "create": 2}}
    second.clear()
    assert second.state == {}
    assert Checkpoint(context(store), "apply", beside).state == {}
    second.clear()


def test_with_a_state_store_no_file_is_made_and_names_are_kept_apart(beside: str) -> None:
    store = Store()
    Checkpoint(context(store), "apply", beside).note(settled=1)
    assert Checkpoint(context(store), "read", beside).state == {}
    assert files(beside) == []


@pytest.mark.parametrize("other", [{"dag_id": "e"}, {"run_id": "s"}, {"task_id": "u"}, {"map_index": 1}], ids=str)
def test_tasks_that_write_to_one_place_have_checkpoints_of_their_own(other: dict[str, Any], beside: str) -> None:
    ours, theirs = Checkpoint(context(), "apply", beside), Checkpoint(context(**other), "apply", beside)
    assert ours.owner != theirs.owner
    ours.note(settled=1)
    assert Checkpoint(context(**other), "apply", beside).state == {}
    theirs.clear()
    assert Checkpoint(context(), "apply", beside).state == {"settled": 1}


def test_an_airflow_without_map_index_is_one_task(beside: str) -> None:
    without = {"ti": SimpleNamespace(dag_id="d", run_id="r", task_id="t")}
    assert Checkpoint(without, "apply", beside).owner == Checkpoint(context(), "apply", beside).owner  # type: ignore[arg-type]


def test_a_worker_that_is_killed_while_it_notes_leaves_what_was_noted_before(
    beside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(part: Any, path: Any) -> None:
        raise Killed

    noted = Checkpoint(context(), "apply", beside)
    noted.note(settled=1)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(places, "move_into_place", kill)
        noted.note(settled=2)
    after = Checkpoint(context(), "apply", beside)
    assert after.state == {"settled": 1}
    after.note(settled=3)
    assert Checkpoint(context(), "apply", beside).state == {"settled": 3}
    after.clear()
    assert files(beside) == []


@pytest.mark.parametrize("damage", [b"", b'{"settled": ', b"[1]", b"\xff"])
def test_a_damaged_file_is_none(damage: bytes, beside: str) -> None:
    Checkpoint(context(), "apply", beside).note(settled=1)
    folder = Path(beside.removeprefix("file://")).parent
    (folder / files(beside)[0]).write_bytes(damage)
    damaged = Checkpoint(context(), "apply", beside)
    assert damaged.state == {}
    damaged.note(settled=2)
    assert Checkpoint(context(), "apply", beside).state == {"settled": 2}
