"""How long to wait between looks at a CRM, and which errors are worth another look."""

from __future__ import annotations

import random
import traceback
from pathlib import PurePath
from typing import Final, NamedTuple

from airflow_providers_leads.http.errors import LeadsApiError

LEAST_INTERVAL: Final = 5.0
"""Seconds between two looks, at least: the triggerer's threads and the CRM's quota are shared."""
LONGEST_WAIT: Final = 600.0
"""Seconds between two looks while they fail, at most."""
MISSES: Final = 10
"""Looks in a row that a sensor lets fail."""


class Verdict(NamedTuple):
    """What an error means for a wait.

    :param message: the sentence to show, free of keys and addresses
    :param hopeless: looking again gives the same
    :param retry: a later try of the task may fare better
    :param wait: seconds that the CRM asks to wait
    """

    message: str
    hopeless: bool
    retry: bool
    wait: float = 0.0


def verdict(error: Exception, conn_id: str) -> Verdict:
    """Tell what an error of a look at a CRM means.

    :param error: as raised by a poll
    :param conn_id: the connection that was used
    """
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    if isinstance(error, LeadsApiError):
        # A daily quota comes back at midnight, and a task's retries wait better than a poll does.
        spent = error.category == "DAILY"
        return Verdict(str(error), spent or not error.retryable, error.retryable, error.retry_after or 0.0)
    if isinstance(error, (ValueError, AirflowNotFoundException)):
        return Verdict(str(error), hopeless=True, retry=False)
    # Not ours, and what its text holds nobody knows.
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    message = f"Connection '{conn_id}': the look failed with {type(error).__name__}{place}."
    return Verdict(message, hopeless=False, retry=True)


def wait_after(misses: int, interval: float, retry_after: float = 0.0) -> float:
    """Return the seconds until the next look.

    :param misses: looks that failed in a row
    :param interval: seconds between looks that succeed
    :param retry_after: seconds that the CRM asks to wait
    """
    base = max(LEAST_INTERVAL, interval)
    if misses:
        base = max(base, min(LONGEST_WAIT, base * 2.0 ** min(misses, 16)), min(LONGEST_WAIT, retry_after))
    # Watchers that were started together must not ask together for ever.
    return base * random.uniform(0.95, 1.1)
