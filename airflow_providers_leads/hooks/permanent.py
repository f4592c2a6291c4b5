"""Errors that no retry can mend, as Airflow and as a DAG's author know them at once.

Each is the error it was, so that ``except LeadsAuthError`` and retry policies go on matching, and
``AirflowFailException`` as well, which ends a task without retries. They are ordinary classes: what runs a task may
send them on to another process.
"""

from __future__ import annotations

from typing import Final

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException

from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import LeadsAuthError, LeadsPermissionError


class PermanentLeadsAuthError(LeadsAuthError, AirflowFailException):
    """The key is missing, wrong, expired or revoked."""


class PermanentLeadsPermissionError(LeadsPermissionError, AirflowFailException):
    """The key may not do this."""


class PermanentLeadsSettingsError(LeadsSettingsError, AirflowFailException):
    """The connection can't be used as it is."""


class PermanentConnectionNotFoundError(AirflowNotFoundException, AirflowFailException):
    """There is no such connection."""


PERMANENT: Final[dict[type[Exception], type[Exception]]] = {
    LeadsAuthError: PermanentLeadsAuthError,
    LeadsPermissionError: PermanentLeadsPermissionError,
    LeadsSettingsError: PermanentLeadsSettingsError,
    AirflowNotFoundException: PermanentConnectionNotFoundError,
}
"""Kind of error → what it is raised as where nothing but a task's retries would catch it."""


def without_retries(error: Exception) -> Exception:
    """Return an error of :data:`PERMANENT` as one that Airflow doesn't retry, with its message and attributes.

    :param error: of one of these kinds; any other is returned as it is
    """
    for kind, permanent in PERMANENT.items():
        if isinstance(error, kind) and not isinstance(error, AirflowFailException):
            made = permanent(*error.args)
            made.__dict__.update(error.__dict__)
            return made
    return error
