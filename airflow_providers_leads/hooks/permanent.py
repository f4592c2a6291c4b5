"""Errors that no retry can mend, as Airflow and as a DAG's author know them at once.

Each is the error it was, so that ``except LeadsAuthError`` and retry policies go on matching, and
``AirflowFailException`` as well, which ends a task without retries. They are ordinary classes: what runs a task may
send them on to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException

from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import (
    LeadsAuthError,
    LeadsNetworkError,
    LeadsPermissionError,
    LeadsServerError,
    LeadsValidationError,
)


class PermanentLeadsAuthError(LeadsAuthError, AirflowFailException):
    """The key is missing, wrong, expired or revoked."""


class PermanentLeadsPermissionError(LeadsPermissionError, AirflowFailException):
    """The key may not do this."""


class PermanentLeadsSettingsError(LeadsSettingsError, AirflowFailException):
    """The connection can't be used as it is."""


class PermanentConnectionNotFoundError(AirflowNotFoundException, AirflowFailException):
    """There is no such connection."""


class PermanentLeadsServerError(LeadsServerError, AirflowFailException):
    """The vendor failed, and what must not be done twice may have been done."""

    retryable = False


class PermanentLeadsNetworkError(LeadsNetworkError, AirflowFailException):
    """No answer arrived, and what must not be done twice may have been done."""

    retryable = False


class PermanentLeadsValidationError(LeadsValidationError, AirflowFailException):
    """The vendor gave up on a request (408), and what must not be done twice may have been done."""


PERMANENT: Final[dict[type[Exception], type[Exception]]] = {
    LeadsAuthError: PermanentLeadsAuthError,
    LeadsPermissionError: PermanentLeadsPermissionError,
    LeadsSettingsError: PermanentLeadsSettingsError,
    AirflowNotFoundException: PermanentConnectionNotFoundError,
}
"""Kind of error → what it is raised as where nothing but a task's retries would catch it."""

MAYBE_DONE: Final[dict[type[Exception], type[Exception]]] = {
    LeadsServerError: PermanentLeadsServerError,
    LeadsNetworkError: PermanentLeadsNetworkError,
    LeadsValidationError: PermanentLeadsValidationError,
}
"""The same for errors that leave it unclear whether a call took effect that would do the same thing again."""


def without_retries(error: Exception, kinds: Mapping[type[Exception], type[Exception]] = PERMANENT) -> Exception:
    """Return an error as one that Airflow doesn't retry, with its message and attributes.

    :param error: of one of the kinds; any other is returned as it is
    :param kinds: :data:`PERMANENT` or :data:`MAYBE_DONE`
    """
    for kind, permanent in kinds.items():
        if isinstance(error, kind) and not isinstance(error, AirflowFailException):
            made = permanent(*error.args)
            made.__dict__.update(error.__dict__)
            return made
    return error
