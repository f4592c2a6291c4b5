"""The Redis through which machines share their windows: reached within a second, or done without."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from airflow_providers_leads.http.quota.script import KEYS

log = logging.getLogger(__name__)

Script = Callable[[list[str], Sequence[str]], list[str]]
"""(keys, arguments) → what the script returns."""

# Seconds: for a connection or an answer; for the first connection in all, whose name may have to be looked up; and
# between two looks whether the store is back.
_PATIENCE: Final = 0.4
_FIRST: Final = 0.9
_LOOK_AGAIN: Final = 2.0
_SCHEMES: Final = ("redis", "rediss", "unix")
_UNKNOWN_USER: Final = ("WRONGPASS", "NOAUTH", "unauthenticated")
_PREFIX: Final = "leads:quota"
# Looks at a window of one request a second, and takes nothing.
_LOOK: Final = ("nobody", "1", "1", "0", "0", "0", "0")


class StoreError(Exception):
    """A store can't be used; the message tells why and what to do, and nothing of the URL."""


class RedisStore:
    """The windows in one Redis. Nothing that goes wrong with it reaches a request, none waits for it a second.

    :param place: how it is named in messages
    :param script: what runs there, or why it can't
    """

    def __init__(self, place: str, script: Script | StoreError) -> None:
        self._place, self._there = place, script
        self._lock = threading.Lock()
        self._script: Script | None = None
        self._process = 0
        self._complaint = ""

    def take(self, name: str, arguments: Sequence[str]) -> list[str] | None:
        """Run the script on the parts of a window; ``None`` where the store doesn't answer.

        :param name: of the window
        :param arguments: see :data:`~airflow_providers_leads.http.quota.script.TAKE`
        """
        if self._process != os.getpid():
            self._begin()
        script = self._script
        if script is None:
            return None
        try:
            return script(_keys(name), arguments)
        except Exception as error:
            self._lose(script, error)
            return None

    def _begin(self) -> None:
        """Look for the store; in a forked process once more, where no thread of the other looks any longer."""
        with self._lock:
            if self._process == os.getpid():
                return
            self._script, self._complaint = None, ""
            first = threading.Event()
            self._look(first)
            first.wait(_FIRST)
            self._process = os.getpid()
        if not first.is_set():
            self._complain("does not answer: see that it runs and can be reached from here")

    def _look(self, looked: threading.Event) -> None:
        # In a thread of its own: to look up a name may take longer than anyone should wait.
        threading.Thread(target=self._look_until_there, args=(looked,), name="leads-quota-store", daemon=True).start()

    def _look_until_there(self, looked: threading.Event) -> None:
        while self._script is None:
            try:
                if isinstance(self._there, StoreError):
                    raise self._there
                # As good as a ping, and it tells whether scripts may be run.
                self._there(_keys("nobody"), _LOOK)
            except Exception as error:
                self._complain(_reason(error))
                looked.set()
                time.sleep(_LOOK_AGAIN)
                continue
            complaint, self._complaint, self._script = self._complaint, "", self._there
            looked.set()
            if complaint:
                log.info("[leads] limiter_url: the store at %s answers, so machines share quotas again.", self._place)

    def _lose(self, script: Script, error: Exception) -> None:
        with self._lock:
            if self._script is not script:
                # Another thread has noticed before.
                return
            self._script = None
            self._complain(_reason(error))
            self._look(threading.Event())

    def _complain(self, reason: str) -> None:
        if not self._complaint:
            self._complaint = reason
            log.warning(
                "[leads] limiter_url: the store at %s %s. Until then each machine keeps quotas for itself.",
                self._place, reason,
            )  # fmt: skip


def _keys(name: str) -> list[str]:
    # What stands in braces keeps them together where a store is spread over several servers.
    return [f"{_PREFIX}:{{{name}}}:{part}" for part in KEYS]


def _reason(error: Exception) -> str:
    """Return what went wrong and what to do: never the words of what may quote the URL."""
    if isinstance(error, StoreError):
        return str(error)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "AuthenticationError" in kinds or any(word in str(error) for word in _UNKNOWN_USER):
        return "refuses the user name or password: correct limiter_url"
    if "TimeoutError" in kinds:
        return f"does not answer within {_PATIENCE:g} s: see that it runs and can be reached from here"
    if "ResponseError" in kinds:
        # Redis's own words: such as "NOPERM …", "READONLY …", "OOM …".
        return f"refuses: {str(error)[:120]!r}"
    return f"can't be reached ({type(error).__name__}): see that it runs and can be reached from here"


def _script_at(url: str) -> Script:
    try:
        # Loads the library, which is there with an extra only.
        from airflow_providers_leads.http.quota.redis_client import script_at
    except ImportError:
        raise StoreError("needs a library: pip install 'airflow-providers-leads[redis]'") from None
    try:
        return script_at(url, _PATIENCE)
    except (ValueError, TypeError):
        # Its words may quote the URL.
        raise StoreError(
            "is no Redis: set limiter_url to redis://user:password@host:6379/0, with signs such as / and # in the "
            "password percent-encoded"
        ) from None


def _place_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in _SCHEMES and parts.hostname:
            return f"{parts.hostname}:{parts.port or 6379}"
        return "a socket" if parts.scheme == "unix" else "an unreadable URL"
    except ValueError:
        # It would be quoted.
        return "an unreadable URL"


@cache
def store_at(url: str) -> RedisStore:
    """Return the one store of this process at a URL; nothing is looked for before a request leaves.

    :param url: ``redis://user:password@host:port/database``, ``rediss://`` for TLS, ``unix://`` for a socket
    """
    try:
        script: Script | StoreError = _script_at(url)
    except StoreError as error:
        script = error
    return RedisStore(_place_of(url), script)
