"""Rows that are read in one thread while those before them are used in another."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextvars import copy_context
from queue import Empty, Queue
from typing import Final, TypeVar

T = TypeVar("T")

_WAITING: Final = 2
_SECONDS: Final = 5.0


def read_ahead(rows: Iterable[T], size: int, seconds: float = _SECONDS) -> Generator[list[T], None, None]:
    """Yield rows in lists, the next of which is made while the caller uses the last.

    The first list is made in the caller's thread, and rows that are no more than that start no other. An error of the
    rows is raised in the caller's turn. When the caller ends early, the rows' thread ends with the row that it is at.

    :param rows: taken by one thread at a time
    :param size: most rows per list
    :param seconds: after which a list is yielded though it is shorter, with the row that comes next; default 5
    """
    iterator = iter(rows)
    chunk, more = _some(iterator, size, seconds)
    if not more:
        yield from filter(None, [chunk])
        return
    waiting: Queue[tuple[list[T], bool] | BaseException] = Queue(_WAITING)
    stop = threading.Event()

    def read() -> None:
        try:
            more = True
            while more and not stop.is_set():
                chunk, more = _some(iterator, size, seconds)
                waiting.put((chunk, more))
        except BaseException as error:
            waiting.put(error)

    # No one waits for it at the end: a task that is stopped must not sit out a request or a wait for the quota.
    threading.Thread(target=copy_context().run, args=(read,), name="leads-read", daemon=True).start()
    try:
        while more:
            yield chunk
            got = waiting.get()
            if isinstance(got, BaseException):
                raise got
            chunk, more = got
        yield from filter(None, [chunk])
    finally:
        stop.set()
        try:
            # Makes room for what the thread is about to leave here.
            while True:
                waiting.get_nowait()
        except Empty:
            pass


def _some(rows: Iterator[T], size: int, seconds: float) -> tuple[list[T], bool]:
    """Return the next rows, and whether there may be more."""
    found: list[T] = []
    until = time.monotonic() + seconds
    for row in rows:
        found.append(row)
        if len(found) == size or time.monotonic() >= until:
            return found, True
    return found, False
