"""What is known of a run beside its files, and how its tasks ended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

FAILURE: Final = "leads_failure"
"""Under which a failed task leaves its connection and its reason in XCom; the next try removes it."""
_FAILED: Final = ("failed", "upstream_failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTask:
    """A task that did not succeed.

    :param map_index: of a mapped task, else -1
    :param state: ``failed`` or ``upstream_failed``
    :param conn_id: connection that it was about, as far as it has told
    :param reason: in words, without a person; ``None`` when it was ended before it could tell
    :param reads: it was to read a source
    """

    task_id: str
    map_index: int = -1
    state: str = "failed"
    conn_id: str | None = None
    reason: str | None = None
    reads: bool = False

    @property
    def name(self) -> str:
        """The task for people to read."""
        return self.task_id if self.map_index < 0 else f"{self.task_id} [{self.map_index}]"


@dataclass(slots=True, kw_only=True)
class Run:
    """The run that a report is of.

    :param at: aware time that the run stands for
    :param started: aware time at which it began, ``None`` when unknown
    :param finished: aware time of the report
    :param failed: tasks that did not succeed
    :param rejected: somebody, or nobody in time, has said No to what it was to write
    :param files: kind and URI of the files that were read
    """

    dag_id: str
    run_id: str
    at: datetime
    started: datetime | None
    finished: datetime
    failed: Sequence[FailedTask] = ()
    rejected: bool = False
    files: Sequence[tuple[str, str]] = ()


def failed_tasks(ti: Any, tasks: Any) -> list[FailedTask]:
    """Return the run's tasks that did not succeed: what leaves no file would otherwise be missing in silence.

    :param ti: a task instance of the run
    :param tasks: the DAG's tasks by their ids
    """
    found = []
    for name, state in sorted(task_states(ti).items()):
        if state not in _FAILED:
            continue
        task_id, index = split_name(name, tasks)
        note: Any = None
        if state == "failed":
            with suppress(Exception):
                note = ti.xcom_pull(task_ids=task_id, key=FAILURE, map_indexes=index)
        note = note if isinstance(note, dict) else {}
        found.append(
            FailedTask(
                task_id=task_id, map_index=index, state=state, conn_id=note.get("conn_id"), reason=note.get("reason"),
                reads=_reads(tasks.get(task_id)),
            )
        )  # fmt: skip
    return found


def task_states(ti: Any) -> dict[str, str]:
    """Return task, or task and map index, → state of a run's tasks."""
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
    return {name: str(state) for name, state in states.items()}


def split_name(name: str, tasks: Any) -> tuple[str, int]:
    """Return task id and map index, -1 for none, of a name in :func:`task_states`."""
    task_id, _, index = name.rpartition("_")
    mapped = name not in tasks and task_id in tasks and index.isdigit()
    return (task_id, int(index)) if mapped else (name, -1)


def not_approved(ti: Any, tasks: Any) -> bool:
    """Tell whether somebody, or nobody in time, has said No to what the run was to write."""
    states: dict[str, set[str]] = {}
    for name, state in task_states(ti).items():
        states.setdefault(split_name(name, tasks)[0], set()).add(state)
    return any(
        states.get(task_id) == {"success"}
        and task.downstream_task_ids
        and all(states.get(after) == {"skipped"} for after in _written_after(task, tasks))
        for task_id, task in tasks.items()
        if _class_of(task).__name__ == "ApprovalOperator"
    )


def _written_after(task: Any, tasks: Any) -> list[str]:
    return [after for after in task.downstream_task_ids if not getattr(tasks[after], "is_teardown", False)]


def _reads(task: Any) -> bool:
    datasets = getattr(_class_of(task), "datasets", None)
    return datasets is not None and "uri" in datasets.writes


def _class_of(task: Any) -> type:
    found = getattr(task, "operator_class", None)
    return found if isinstance(found, type) else type(task)
