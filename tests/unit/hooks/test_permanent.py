"""Errors survive the way to another process, and those that no retry can mend end a task at once."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException

import airflow_providers_leads
from airflow_providers_leads.hooks.permanent import PERMANENT, without_retries
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http import errors
from airflow_providers_leads.http.rate_limit import NoRoomError
from airflow_providers_leads.leads.files.yaml_text import YamlTextError
from airflow_providers_leads.operators.base import in_one_line

TOLD: dict[str, Any] = {
    "status": 401,
    "category": "INVALID_AUTHENTICATION",
    "codes": ("A", "B(c)"),
    "request_id": "r-1",
    "retry_after": 2.5,
    "ambiguous": True,
    "existing_id": "51",
    "words": "no",
    "not_found": True,
    "exists": True,
}


def every_error() -> Iterator[type[Exception]]:
    for found in pkgutil.walk_packages(airflow_providers_leads.__path__, "airflow_providers_leads."):
        if ".sandbox" in found.name or found.name.endswith("__main__") or ".spark" in found.name:
            continue
        for kind in vars(importlib.import_module(found.name)).values():
            if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == found.name:
                yield kind


def made(kind: type[Exception]) -> Exception:
    if issubclass(kind, errors.LeadsApiError):
        return kind("Connection 'x': GET /y failed", **TOLD)
    further = {NoRoomError: (1.5,), YamlTextError: ("what failed", 7)}
    return kind(*further.get(kind, ("what failed and what to do",)))


@pytest.mark.parametrize("kind", sorted(set(every_error()), key=lambda kind: kind.__qualname__))
def test_an_error_keeps_class_message_and_attributes_on_its_way(kind: type[Exception]) -> None:
    error = made(kind)
    for moved in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(moved) is kind
        assert (str(moved), moved.args, vars(moved)) == (str(error), error.args, vars(error))


def test_every_error_is_among_them() -> None:
    names = {kind.__name__ for kind in every_error()}
    assert {"LeadsAuthError", "LeadsWriteError", "NoRoomError", "PolicyError", "PermanentLeadsAuthError"} <= names


@pytest.mark.parametrize("kind", list(PERMANENT))
def test_what_no_retry_can_mend_is_both(kind: type[Exception]) -> None:
    error = made(kind)

    def fail() -> None:
        raise error

    with pytest.raises(AirflowFailException) as caught:
        in_one_line(fail)
    assert isinstance(caught.value, kind)
    assert type(caught.value) is PERMANENT[kind]
    assert (str(caught.value), vars(caught.value)) == (str(error), vars(error))
    assert type(error) is kind
    moved = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(moved, kind) and isinstance(moved, AirflowFailException)


def test_an_error_of_a_kind_from_elsewhere_is_still_of_its_base() -> None:
    class Expired(errors.LeadsAuthError):
        pass

    found = without_retries(Expired("over", status=401))
    assert isinstance(found, errors.LeadsAuthError) and isinstance(found, AirflowFailException)
    assert found.status == 401


@pytest.mark.parametrize(
    "error",
    [errors.LeadsServerError("x"), ValueError("x"), errors.LeadsValidationError("x"), KeyError("x")],
    ids=lambda error: type(error).__name__,
)
def test_any_other_error_stays_what_it_is(error: Exception) -> None:
    assert without_retries(error) is error


def test_a_permanent_error_is_not_wrapped_twice() -> None:
    once = without_retries(AirflowNotFoundException("x"))
    assert without_retries(once) is once
    assert isinstance(without_retries(LeadsSettingsError("x")), ValueError)
