"""What is known of a run beside its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


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
