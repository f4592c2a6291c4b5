"""What all operators share: errors that end a task in one line, and where files go."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowNotFoundException,
    BaseOperator,
    Context,
    conf,
)

_UNSAFE = re.compile(r"[^\w.+=@-]+")


class LeadsOperator(BaseOperator):
    """Base of the operators: runs :meth:`run` and turns what a user can mend into one line.

    Errors keep their class, so retry policies can match it. Those that no retry can mend (a wrong key, a missing
    permission, an unusable connection) also are ``AirflowFailException`` and end the task at once.
    """

    ui_color = "#eef5ff"

    def execute(self, context: Context) -> Any:
        """Run the operator; see :meth:`run`."""
        from airflow_providers_leads.hooks.settings import LeadsSettingsError
        from airflow_providers_leads.http.errors import LeadsApiError, LeadsAuthError, LeadsPermissionError

        try:
            return self.run(context)
        except (LeadsAuthError, LeadsPermissionError, LeadsSettingsError, AirflowNotFoundException) as error:
            raise _without_retries(error) from None
        except (LeadsApiError, ValueError) as error:
            # The message says it all: our own frames would only push it off the screen.
            raise error.with_traceback(None) from None

    @abstractmethod
    def run(self, context: Context) -> Any:
        """Do the work and return what goes to XCom."""


def _without_retries(error: Exception) -> Exception:
    """Return the error as one that Airflow doesn't retry, still of its own class."""
    kind = type(error)
    error.__class__ = type(kind.__name__, (kind, AirflowFailException), {"__module__": kind.__module__})
    return error.with_traceback(None)


def given(value: Any) -> Any:
    """Return ``None`` for the ways in which a template says "nothing": ``None``, an empty text, the word None."""
    return None if isinstance(value, str) and value.strip() in ("", "None", "null") else value


def given_entries(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the entries of a possibly templated mapping that say something; see :func:`given`."""
    return {name: value for name, value in (values or {}).items() if given(value) is not None}


def as_bool(name: str, value: Any) -> bool:
    """Return a possibly templated switch as a boolean.

    :raises ValueError: naming the argument; guessing could turn a dry run into a real one
    """
    words = {"true": True, "false": False, "1": True, "0": False}
    if isinstance(value, bool):
        return value
    if (found := words.get(str(value).strip().lower())) is None:
        raise ValueError(f"{name} must be true or false")
    return found


def as_count(name: str, value: Any) -> int:
    """Return a possibly templated whole number of at least 1.

    :raises ValueError: naming the argument
    """
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ValueError(f"{name} must be a whole number of at least 1")
    return number


def resolve_folder(output: Any, context: Context) -> str:
    """Return the URI prefix below which a task writes its files.

    :param output: as given to the operator; without it ``[leads] staging`` / dag id / run id / task id
    :param context: the task's context
    :raises ValueError: when there is neither
    """
    if (uri := given(output)) is not None:
        return str(uri).rstrip("/")
    staging = conf.get("leads", "staging", fallback=None)
    if not staging:
        raise ValueError(
            "output is not given and the Airflow option [leads] staging is not set: give one of them a URI such as "
            "s3://conn_id@bucket/leads"
        )
    ti: Any = context["ti"]
    parts = (ti.dag_id, ti.run_id, ti.task_id)
    return "/".join([staging.rstrip("/"), *(safe_name(str(part)) for part in parts)])


def safe_name(text: str) -> str:
    """Return a text as one path segment that every store takes."""
    return _UNSAFE.sub("_", text)


def file_name(conn_id: str, context: Mapping[str, Any]) -> str:
    """Return the stem of the files of one task instance: the connection, and the map index when it is mapped."""
    index = getattr(context.get("ti"), "map_index", -1)
    return safe_name(conn_id) if not isinstance(index, int) or index < 0 else f"{safe_name(conn_id)}.{index}"


def storage_path(uri: str) -> Any:
    """Return Airflow's path object for a URI, which knows the credentials of its connection."""
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath(uri)
