"""What is known of a run beside its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True, kw_only=True)
class Run:
    """The run that a report is of.

    :param at: aware time that the run stands for
    :param started: aware time at which it began, ``None`` when unknown
    :param finished: aware time of the report
    :param failed: tasks that did not succeed, and their states
    :param files: kind and URI of the files that were read
    """

    dag_id: str
    run_id: str
    at: datetime
    started: datetime | None
    finished: datetime
    failed: Sequence[tuple[str, str]] = ()
    files: Sequence[tuple[str, str]] = ()
