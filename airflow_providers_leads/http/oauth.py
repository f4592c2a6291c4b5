"""Access tokens that are renewed before they expire, once, however many threads ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_LEAD_SECONDS = 120.0


@dataclass
class RefreshingToken:
    """An OAuth access token with its refresh.

    :param refresh: performs the token request; returns (access token, lifetime in seconds); a dead refresh token raises
    :param clock: monotonic seconds
    """

    refresh: Callable[[], tuple[str, float]]
    clock: Callable[[], float] = time.monotonic
    _token: str = field(default="", repr=False)
    _expires: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def current(self) -> str:
        """Return a token that is good for at least two more minutes, refreshing it when it is not."""
        with self._lock:
            if not self._token or self.clock() >= self._expires:
                self._renew()
            return self._token

    def renew_after_401(self, used: str) -> bool:
        """Replace a token that the API refused; true when there is another one to try.

        :param used: the refused token: if another thread has replaced it meanwhile, nothing is requested
        """
        with self._lock:
            if self._token == used:
                self._renew()
            return self._token != used

    def _renew(self) -> None:
        token, lifetime = self.refresh()
        # A short-lived token is renewed at half its life, or the lead time would ask for a new one at each request.
        self._token, self._expires = token, self.clock() + lifetime - min(_LEAD_SECONDS, lifetime / 2)
