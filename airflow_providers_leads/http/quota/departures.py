"""The times at which requests left, kept in memory or in a file that all processes of this machine share."""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Final

from airflow_providers_leads.http.auth import origin_of

try:
    import fcntl
except ImportError:  # Windows, where Airflow doesn't run: what reads this module still can
    fcntl = None  # type: ignore[assignment]

CAPACITY: Final = 4096
"""Departures that a file holds; quotas of more requests per window are kept by each process for itself."""
_COUNT, _BLOCKED, _FIRST = 0, 1, 2
_NEVER: Final = float("-inf")


class Departures:
    """The last departures of one key, newest last. Use it within ``with``, which locks it.

    :param capacity: departures remembered
    :param file: a file descriptor, where other processes add to the same departures; default: this process alone
    """

    def __init__(self, capacity: int = CAPACITY, file: int | None = None) -> None:
        size = 8 * (_FIRST + capacity)
        self.capacity = capacity
        self._file = file
        # A number is written at once: whatever is killed, the others read whole ones.
        self._cells = memoryview(bytearray(size) if file is None else mmap.mmap(file, size)).cast("d")
        self._lock = threading.Lock()

    def __enter__(self) -> Departures:
        self._lock.acquire()
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._lock.release()

    def nth_last(self, number: int) -> float:
        """Return when the request left that was so many departures ago, minus infinity if there was none."""
        count = int(self._cells[_COUNT])
        return self._cells[_FIRST + (count - number) % self.capacity] if number <= count else _NEVER

    def add(self, moment: float) -> int:
        """Note a departure, and return its place for :meth:`correct`."""
        count = int(self._cells[_COUNT])
        self._cells[_FIRST + count % self.capacity] = moment
        self._cells[_COUNT] = count + 1
        return count

    def correct(self, place: int, moment: float) -> None:
        """Note that a departure was later than thought, if it is still remembered."""
        cell = _FIRST + place % self.capacity
        if place < int(self._cells[_COUNT]) <= place + self.capacity:
            self._cells[cell] = max(self._cells[cell], moment)

    def forget(self) -> None:
        """Forget everything."""
        self._cells[_COUNT] = self._cells[_BLOCKED] = 0.0

    @property
    def blocked_until(self) -> float:
        """Before this time nothing may leave."""
        return self._cells[_BLOCKED]

    @blocked_until.setter
    def blocked_until(self, moment: float) -> None:
        self._cells[_BLOCKED] = moment


def window_name(origin: str, key: str, bucket: str) -> str:
    """Return what the window of a key is called wherever it is kept: a hash, the same on every machine.

    :param origin: the API's origin URL
    :param key: the secret that the vendor counts by
    :param bucket: name of the vendor's quota
    """
    return hashlib.sha256(repr((origin_of(origin), key, bucket)).encode()).hexdigest()


def shared_departures(folder: Path | None, origin: str, key: str, bucket: str) -> Departures:
    """Return the departures of a key that all processes of this machine share, or this process's own.

    They are its own where there are no file locks or the folder can't be trusted: a quota is then kept less well when
    several processes spend it, and nothing else is lost.

    :param folder: of the files, made if missing; default one of this user in the system's temporary folder
    :param origin: the API's origin URL
    :param key: the secret that the vendor counts by; the file's name holds a hash of it
    :param bucket: name of the vendor's quota
    """
    if fcntl is None:
        return Departures()
    home = folder or Path(tempfile.gettempdir()) / f"airflow-leads-{os.getuid()}"
    try:
        return Departures(file=_open(home, window_name(origin, key, bucket)))
    except (OSError, ValueError):
        return Departures()


def _open(folder: Path, name: str) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    # In a folder that anybody may write to, another user could have laid one out for us.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise OSError("not a folder of this user")
    file = os.open(folder / f"{name}.quota", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.ftruncate(file, 8 * (_FIRST + CAPACITY))
    return file
