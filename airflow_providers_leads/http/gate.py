"""The last moment before a request leaves, and the first in which its answer says "wait".

A thread that has its place in the quota still has to sign its request, wait for the interpreter and perhaps connect.
What another thread is told meanwhile is looked up once more right before the first byte is written, an answer that is
there but unread is read first, and a 429 counts as soon as its headers are: none leaves after an answer has said so.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse
from urllib3.util import wait_for_read

from airflow_providers_leads.http.answers import TimedHead
from airflow_providers_leads.http.rate_limit import RateLimiter

# How long the others wait until the whole answer is read, which may say how long in truth.
_UNTIL_READ: Final = 1.0
_leaving = threading.local()


@contextmanager
def leaving_by(limiter: RateLimiter | None) -> Iterator[None]:
    """Have the requests that this thread sends meanwhile held back where a limiter is blocked.

    :raises HeldBackError: by what sends the request, of which nothing was written
    """
    _leaving.limiter = limiter
    try:
        yield
    finally:
        _leaving.limiter = None


def _readable(way: socket.socket) -> bool:
    try:
        return wait_for_read(way, timeout=0)
    except (OSError, ValueError):
        # Another thread has just closed it.
        return False


class _Gated(HTTPConnection):
    response_class = TimedHead
    _before: RateLimiter | None = None

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is None:
            self.connect()
        self._before = getattr(_leaving, "limiter", None)
        super().request(*args, **options)

    def send(self, data: Any) -> None:
        limiter, self._before = self._before, None
        if limiter is None:
            super().send(data)
            return
        # The head of the request.
        with limiter.leaving(self.sock, _readable):
            super().send(data)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        limiter: RateLimiter | None = getattr(_leaving, "limiter", None)
        if limiter is None:
            return super().getresponse()
        way, wait = self.sock, None
        try:
            response = super().getresponse()
            wait = _UNTIL_READ if response.status == 429 else None
            return response
        finally:
            limiter.answered(way, wait)


class _GatedTls(_Gated, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Gated


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _GatedTls


class GatedAdapter(HTTPAdapter):
    """Sends requests through the gate, see :func:`leaving_by`."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _gate(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        _gate(manager)
        return manager


def _gate(manager: PoolManager) -> None:
    # SOCKS has connections of its own kind: there the limiter alone holds back.
    if type(manager).__name__ != "SOCKSProxyManager":
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
