"""When a task is tried again, asked of Airflow's own evaluation."""

from __future__ import annotations

import builtins
import importlib
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException
from airflow.sdk import RetryAction
from airflow.sdk.execution_time.task_runner import _evaluate_retry_policy

from airflow_providers_leads import retry_policy
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import (
    LeadsAuthError,
    LeadsConflictError,
    LeadsNetworkError,
    LeadsPermissionError,
    LeadsRateLimitError,
    LeadsServerError,
    LeadsValidationError,
)
from airflow_providers_leads.retry_policy import LeadsRetryPolicy, leads_retry_args, leads_retry_policy


def decide(error: BaseException, policy: Any = None) -> Any:
    """Return what Airflow's task runner makes of an error; it swallows a policy that breaks."""
    task = SimpleNamespace(retry_policy=policy or leads_retry_policy())
    server = SimpleNamespace(max_tries=3)
    ti: Any = SimpleNamespace(task=task, try_number=1, _ti_context_from_server=server)
    decision = _evaluate_retry_policy(ti, error, structlog.get_logger(), None)
    assert decision is not None
    return decision


@pytest.mark.parametrize(
    "error",
    [
        LeadsAuthError("m", status=401),
        LeadsPermissionError("m", status=403),
        LeadsValidationError("m", status=400),
        LeadsSettingsError("m"),
        # Even when the vendor adds a wait: the key doesn't get better by it.
        LeadsAuthError("m", status=401, retry_after=5.0),
    ],
)
def test_what_no_retry_can_mend_fails_at_once(error: Exception) -> None:
    decision = decide(error)
    assert decision.action is RetryAction.FAIL
    assert decision.reason.endswith("trying again would not help")


@pytest.mark.parametrize("kind", [LeadsRateLimitError, LeadsServerError])
@pytest.mark.parametrize(
    ("asked", "spread", "waited"), [(120.0, 0.0, 120.0), (120.0, 1.0, 144.0), (0.0, 0.0, 1.0), (0.25, 0.0, 1.0)]
)
def test_a_wait_that_the_crm_asks_for_is_kept_and_never_cut(
    kind: type[Any], asked: float, spread: float, waited: float
) -> None:
    decision = decide(kind("m", retry_after=asked), LeadsRetryPolicy(spread=lambda: spread))
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == timedelta(seconds=waited)


@pytest.mark.parametrize(
    "error",
    [
        LeadsRateLimitError("m", status=429, category="DAILY"),
        LeadsServerError("m", status=502),
        LeadsNetworkError("m"),
        LeadsConflictError("m", status=409),
        ValueError("m"),
        KeyError("m"),
    ],
)
def test_everything_else_is_left_to_the_tasks_own_settings(error: Exception) -> None:
    assert decide(error).action is RetryAction.DEFAULT


def test_below_airflow_3_3_it_is_imported_and_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def older(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if name == "airflow.sdk" and "RetryPolicy" in (fromlist or ()):
            raise ImportError("cannot import name 'RetryPolicy'")
        return real(name, globals, locals, fromlist, level)

    try:
        with monkeypatch.context() as patched:
            patched.setattr(builtins, "__import__", older)
            importlib.reload(retry_policy)
            with pytest.raises(
                AirflowOptionalProviderFeatureException, match=r"needs Airflow 3\.3 or newer, this is 3"
            ):
                retry_policy.leads_retry_policy()
            assert retry_policy.leads_retry_args() == {"retries": 3, "retry_delay": timedelta(minutes=1)}
    finally:
        importlib.reload(retry_policy)


def test_arguments_of_a_dag_bring_the_policy() -> None:
    """Row 45."""
    arguments = leads_retry_args(retries=5, retry_delay=timedelta(seconds=20))
    assert type(arguments.pop("retry_policy")).__name__ == "LeadsRetryPolicy"
    assert arguments == {"retries": 5, "retry_delay": timedelta(seconds=20)}
