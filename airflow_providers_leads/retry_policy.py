"""When Airflow should try a task again: what no retry can mend fails at once, quotas are waited for as long as told."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsPermissionError,
    LeadsValidationError,
)

try:
    from airflow.sdk import RetryDecision, RetryPolicy
except ImportError:
    # Airflow below 3.3; whoever asks for a policy is told.
    RetryDecision, RetryPolicy = None, object  # type: ignore[assignment,misc]

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["LeadsRetryPolicy", "leads_retry_args", "leads_retry_policy"]

_SPREAD: Final = 0.2
"""Tasks that are told the same second come back within this share of the wait after it."""


class LeadsRetryPolicy(RetryPolicy):
    """Decides by the error of a CRM; any other error is left to the task's own ``retries`` and ``retry_delay``.

    :param spread: returns a number from 0 to 1, by which waits are drawn apart
    """

    def __init__(self, spread: Callable[[], float] = random.random) -> None:
        self._spread = spread

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Return what to do after a failure; see :func:`leads_retry_policy`."""
        from airflow_providers_leads.hooks.settings import LeadsSettingsError

        hopeless: dict[type[BaseException], str] = {
            LeadsAuthError: "the CRM refuses the key",
            LeadsPermissionError: "the key lacks a permission",
            LeadsSettingsError: "the connection can't be used as it is",
            LeadsValidationError: "the CRM refuses what was sent",
        }
        for kind, reason in hopeless.items():
            if isinstance(exception, kind):
                return RetryDecision.fail(f"{reason}: trying again would not help")
        wait = exception.retry_after if isinstance(exception, LeadsApiError) else None
        if wait is None:
            return RetryDecision.default()
        seconds = max(1.0, wait) * (1 + _SPREAD * self._spread())
        return RetryDecision.retry(timedelta(seconds=seconds), f"the CRM asks to wait {wait:.0f} s")

    def serialize(self) -> dict[str, Any]:
        """Return nothing: the policy has no settings."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> LeadsRetryPolicy:
        """Return a policy."""
        return cls()


def leads_retry_policy() -> LeadsRetryPolicy:
    """Return a retry policy for tasks that talk to a CRM. Needs Airflow 3.3.

    A wrong key, a missing permission, an unusable connection and a request that the CRM refuses fail at once. Where the
    CRM says how long to wait, the task is retried after that time. Everything else goes by the task's own settings;
    no policy adds a retry beyond ``retries``.

    .. code-block:: python

        @dag(default_args={"retries": 3, "retry_policy": leads_retry_policy()})

    :raises AirflowOptionalProviderFeatureException: on Airflow below 3.3
    """
    if RetryDecision is None:
        from airflow import __version__
        from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

        raise AirflowOptionalProviderFeatureException(
            f"leads_retry_policy() needs Airflow 3.3 or newer, this is {__version__}: leave retry_policy out"
        )
    return LeadsRetryPolicy()


def leads_retry_args(retries: int = 3, retry_delay: timedelta = timedelta(minutes=1)) -> dict[str, Any]:
    """Return ``default_args`` for tasks that talk to a CRM: retries, and :func:`leads_retry_policy` where there is one.

    A task that is tried again goes on where the last try ended, and looks up what that may have created.

    .. code-block:: python

        @dag(default_args=leads_retry_args())

    :param retries: how often a task is tried again; default 3
    :param retry_delay: wait before each, unless the CRM asks for another; default a minute
    :return: ``retries``, ``retry_delay`` and, on Airflow 3.3 and newer, ``retry_policy``
    """
    arguments: dict[str, Any] = {"retries": retries, "retry_delay": retry_delay}
    # Airflow below 3.3 refuses an argument of that name.
    return arguments if RetryDecision is None else arguments | {"retry_policy": leads_retry_policy()}
