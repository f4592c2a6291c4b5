"""Access tokens are renewed in time, and once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from http_fakes import FakeClock

from airflow_providers_leads.http.errors import LeadsAuthError
from airflow_providers_leads.http.oauth import RefreshingToken

THREADS = 16


class Issuer:
    """A token endpoint that counts."""

    def __init__(self, lifetime: float = 1800.0, *, pause: float = 0.0) -> None:
        self.lifetime, self.pause, self.issued = lifetime, pause, 0

    def __call__(self) -> tuple[str, float]:
        issued = self.issued + 1
        time.sleep(self.pause)
        self.issued = issued
        return f"token-{issued}", self.lifetime


def test_sixteen_threads_share_one_refresh(clock: FakeClock) -> None:
    issuer = Issuer(pause=0.02)
    token, start = RefreshingToken(issuer, clock), threading.Barrier(THREADS)

    def ask(_: int) -> str:
        start.wait()
        return token.current()

    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(ask, range(THREADS))) == {"token-1"}
    assert issuer.issued == 1


def test_sixteen_refused_requests_share_one_renewal(clock: FakeClock) -> None:
    issuer = Issuer(pause=0.02)
    token, start = RefreshingToken(issuer, clock), threading.Barrier(THREADS)
    refused = token.current()

    def renew(_: int) -> bool:
        start.wait()
        return token.renew_after_401(refused)

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(renew, range(THREADS)))
    assert issuer.issued == 2
    assert token.current() == "token-2"


@pytest.mark.parametrize(("lifetime", "good_for"), [(1800.0, 1680.0), (241.0, 121.0), (240.0, 120.0), (60.0, 30.0)])
def test_a_token_is_replaced_before_it_expires(clock: FakeClock, lifetime: float, good_for: float) -> None:
    issuer = Issuer(lifetime)
    token = RefreshingToken(issuer, clock)
    token.current()
    clock.now += good_for - 0.5
    assert token.current() == "token-1"
    clock.now += 0.5
    assert token.current() == "token-2"
    clock.now += good_for - 0.5
    assert (token.current(), issuer.issued) == ("token-2", 2)


def test_the_same_token_again_is_no_reason_to_try_again(clock: FakeClock) -> None:
    token = RefreshingToken(lambda: ("always the same", 1800.0), clock)
    assert token.renew_after_401(token.current()) is False


def revoked() -> tuple[str, float]:
    raise LeadsAuthError("revoked")


def test_a_dead_refresh_token_raises_and_the_next_caller_may_try(clock: FakeClock) -> None:
    answers: Iterator[Callable[[], tuple[str, float]]] = iter([revoked, lambda: ("token", 1800.0)])

    def refresh() -> tuple[str, float]:
        return next(answers)()

    token = RefreshingToken(refresh, clock)
    with pytest.raises(LeadsAuthError, match="revoked"):
        token.current()
    assert token.current() == "token"


def test_the_token_is_not_shown(clock: FakeClock) -> None:
    token = RefreshingToken(lambda: ("sekrit", 1800.0), clock)
    token.current()
    assert "sekrit" not in repr(token)
