"""What this process is about with the CRMs just now, for those who wait for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """What threads are doing, and how many answers have come.

    :ivar answers: of the process so far
    """

    def __init__(self) -> None:
        self.answers = 0
        self._doing: dict[object, str] = {}
        self._lock = threading.Lock()

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Note what a thread does or waits for, as long as the block lasts.

        :param what: a sentence without its end
        """
        key = object()
        self._doing[key] = what
        try:
            yield
        finally:
            del self._doing[key]

    @property
    def latest(self) -> str:
        """What was begun last of what goes on, empty when nothing does."""
        # Copied at one step, as threads come and go.
        return next(reversed([*self._doing.values()]), "")

    def answered(self) -> None:
        """Count an answer."""
        with self._lock:
            self.answers += 1


ACTIVITY = Activity()
"""A worker's process runs one task, and a command line one command."""
