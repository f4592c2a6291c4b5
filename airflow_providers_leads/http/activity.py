"""What this process is about with the CRMs just now, for those who wait for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Activity:
    """The last thing that any thread began, and how many answers have come.

    :param label: of the connection
    :param what: what it does or waits for, as a sentence goes on after the label
    :param answers: of the process so far
    """

    label: str = ""
    what: str = ""
    answers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, label: str, what: str) -> None:
        """Note what is begun."""
        self.label, self.what = label, what

    def answered(self) -> None:
        """Count an answer."""
        with self._lock:
            self.answers += 1


ACTIVITY = Activity()
"""A worker's process runs one task, and a command line one command."""
