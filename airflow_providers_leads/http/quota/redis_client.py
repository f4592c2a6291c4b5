"""The client of a Redis that gives up soon; needs the extra ``redis``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from airflow_providers_leads.http.quota.script import TAKE


def script_at(url: str, patience: float) -> Callable[[list[str], Sequence[str]], list[str]]:
    """Return what runs the script of a window; nothing is sent before.

    :param url: of the Redis
    :param patience: seconds for a connection, and for an answer
    :raises ValueError: when the URL is none
    """
    client = redis.Redis.from_url(
        url,
        socket_connect_timeout=patience,
        socket_timeout=patience,
        # Whoever calls has the quota of its own machine to go on with.
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        decode_responses=True,
    )
    script = client.register_script(TAKE)

    def run(keys: list[str], arguments: Sequence[str]) -> list[str]:
        answer: list[str] = script(keys=keys, args=arguments)
        return answer

    return run
