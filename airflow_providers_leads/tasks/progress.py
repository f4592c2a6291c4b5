"""How long work shows in a task's log: phases that fold, and a line every ten seconds."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from airflow_providers_leads.http.activity import ACTIVITY

PROGRESS_SECONDS: Final = 10.0


class _LastLine:
    """When work was last told of in this process, by monotonic seconds."""

    at = 0.0


@contextmanager
def heartbeat(log: Any, seconds: float | None = None) -> Iterator[None]:
    """Log a line whenever the block has been silent for a while, saying what it waits for.

    :param log: the task's logger
    :param seconds: of silence; default :data:`PROGRESS_SECONDS`
    """
    silence = PROGRESS_SECONDS if seconds is None else seconds
    began = _LastLine.at = time.monotonic()
    answers, over = ACTIVITY.answers, threading.Event()

    def beat() -> None:
        while not over.wait(silence / 10):
            now = time.monotonic()
            if now - _LastLine.at < silence:
                continue
            _LastLine.at = now
            doing, so_far = ACTIVITY.latest or "at work", ACTIVITY.answers - answers
            log.info("%s; %d answers of CRMs so far, %.0f s since the start", doing, so_far, now - began)

    # A logger may know its task by the context.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(beat,), name="leads-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Display:
    """A log that can draw how far work has come, and is told each time."""

    @property
    def draws(self) -> bool:
        """Whether it can draw now."""
        return True

    def draw(self, what: str, done: int, total: int | None) -> None:
        """Show how far some work has come.

        :param what: names the work
        :param done: how much is done
        :param total: how much there is to do, ``None`` when nobody knows
        """


@contextmanager
def phase(log: Any, title: str) -> Iterator[None]:
    """Fold what the block logs under a title in Airflow's UI; what follows it, such as an error, stands outside.

    :param log: the task's logger
    :param title: what is being done, and to what
    """
    log.info("::group::%s", title)
    try:
        yield
    finally:
        log.info("::endgroup::")


class Progress:
    """Logs how far work has come, every ten seconds at most.

    :param log: the task's logger
    :param what: begins the line, such as ``hubspot_default: read``
    :param total: how much there is to do, ``None`` when nobody knows
    :param done: how much was done before
    :param clock: monotonic seconds
    """

    def __init__(
        self,
        log: Any,
        what: str,
        *,
        total: int | None = None,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._what, self._total, self._before, self._clock = log, what, total, done, clock
        self._began = self._logged = clock()

    def at(self, done: int) -> None:
        """Take note of how much is done by now, with what was done before."""
        if isinstance(self._log, Display) and self._log.draws:
            self._log.draw(self._what, done, self._total)
            return
        now = self._clock()
        if now - self._logged < PROGRESS_SECONDS:
            return
        self._logged = _LastLine.at = now
        rate = (done - self._before) / (now - self._began)
        if self._total is None:
            self._log.info("%s %d, %.0f per second", self._what, done, rate)
            return
        left = (self._total - done) / max(rate, 1e-9)
        self._log.info(
            "%s %d of %d, %.0f per second, about %.0f s left", self._what, done, self._total, rate, left
        )  # fmt: skip
