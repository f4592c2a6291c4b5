"""What a command shows while it works: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from airflow_providers_leads.tasks.progress import Display, heartbeat


class Terminal(Display):
    """Takes the place of a task's logger.

    :param console: default standard error, so that what a command prints can be piped
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._beats = ExitStack()

    def __enter__(self) -> Terminal:
        if self.console.is_terminal:
            words = TextColumn("{task.description} {task.completed:,}", markup=False)
            self._bars = Progress(words, BarColumn(), TimeElapsedColumn(), console=self.console, transient=True)
            self._bars.start()
        else:
            self._beats.enter_context(heartbeat(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beats.close()
        if self._bars:
            self._bars.stop()

    @property
    def draws(self) -> bool:
        """Whether there is a terminal to draw on."""
        return self._bars is not None

    def draw(self, what: str, done: int, total: int | None) -> None:
        """Move the bar of some work."""
        if self._bars is None:
            return
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)

    def info(self, message: str, *values: Any) -> None:
        """Print a line, unless it only folds others in Airflow's UI."""
        if not message.startswith("::"):
            told = values[0] if len(values) == 1 and isinstance(values[0], dict) else values
            self.console.print(message % told if values else message, markup=False, highlight=False)

    def log(self, level: int, message: str, *values: Any) -> None:
        """Print a line."""
        self.info(message, *values)

    warning = error = info
