"""Rows that are read in one thread while those before them are used in another."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from contextvars import copy_context
from itertools import islice
from queue import Empty, Queue
from typing import Final, TypeVar

T = TypeVar("T")

_WAITING: Final = 2


def read_ahead(rows: Iterable[T], size: int) -> Generator[list[T], None, None]:
    """Yield rows in lists, the next of which is made while the caller uses the last.

    The first list is made in the caller's thread, and rows that are no more than that start no other. An error of the
    rows is raised in the caller's turn. When the caller ends early, the rows' thread ends with the row that it is at.

    :param rows: taken by one thread at a time
    :param size: rows per list
    """
    iterator = iter(rows)
    chunk = list(islice(iterator, size))
    if len(chunk) < size:
        yield from filter(None, [chunk])
        return
    waiting: Queue[list[T] | BaseException] = Queue(_WAITING)
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                chunk = list(islice(iterator, size))
                waiting.put(chunk)
                if len(chunk) < size:
                    return
        except BaseException as error:
            waiting.put(error)

    # No one waits for it at the end: a task that is stopped must not sit out a request or a wait for the quota.
    threading.Thread(target=copy_context().run, args=(read,), name="leads-read", daemon=True).start()
    try:
        while len(chunk) == size:
            yield chunk
            got = waiting.get()
            if isinstance(got, BaseException):
                raise got
            chunk = got
        yield from filter(None, [chunk])
    finally:
        stop.set()
        try:
            # Makes room for what the thread is about to leave here.
            while True:
                waiting.get_nowait()
        except Empty:
            pass
