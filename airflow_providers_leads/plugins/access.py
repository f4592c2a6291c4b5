"""Who may see what: Airflow's permissions decide, and whoever sees addresses is written down."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any, Final

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.models.dag import DagModel
from airflow.models.log import Log
from airflow.providers.common.compat.sdk import conf
from airflow.utils.session import create_session
from fastapi import HTTPException

PERMISSION: Final = "Lead addresses"
"""Resource of the auth manager's permissions, such as ``can_read on Lead addresses`` with FAB."""
EVENT: Final = "leads_unmask"
"""Name of the entries in Airflow's audit log."""
_WHO: Final = ("nobody", "editors", "permission")

log = logging.getLogger(__name__)


def readable(dag_ids: Iterable[str], user: Any) -> set[str]:
    """Return those DAGs whose runs a user may read."""
    manager = get_auth_manager()
    allowed = manager.get_authorized_dag_ids(user=user, method="GET") & set(dag_ids)
    return {dag_id for dag_id in allowed if _may(manager, "GET", dag_id, user)}


def may_unmask(dag_id: str, user: Any) -> bool:
    """Tell whether a user may see the addresses and values of a DAG's runs, by the option ``[leads] unmask``.

    ``nobody`` is the default. ``editors``: whoever may edit the DAG's runs. ``permission``: whoever may edit them and
    has the auth manager's permission to read :data:`PERMISSION`.
    """
    who = str(conf.get("leads", "unmask", fallback="nobody")).strip().lower()
    if who not in _WHO:
        log.warning("The Airflow option [leads] unmask must be one of %s: nobody sees addresses", ", ".join(_WHO))
    if who not in _WHO[1:]:
        return False
    manager = get_auth_manager()
    if not _may(manager, "PUT", dag_id, user):
        return False
    # The simple auth manager knows no permissions of others and lets everybody through here.
    return who == "editors" or bool(
        manager.is_authorized_custom_view(method="GET", resource_name=PERMISSION, user=user)
    )


def _may(manager: Any, method: Any, dag_id: str, user: Any) -> bool:
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return bool(manager.is_authorized_dag(method=method, access_entity=DagAccessEntity.RUN, details=details, user=user))


def note_unmasking(user: Any, dag_id: str, run_id: str, **seen: str | int) -> None:
    """Write down that a user sees people of a run, in Airflow's audit log and the server's; never whom.

    :param seen: which rows, by their numbers
    :raises HTTPException: 503 when it can't be written down: then nothing is shown
    """
    try:
        with create_session() as session:
            session.add(
                Log(
                    event=EVENT, owner=str(user.get_id()), owner_display_name=str(user.get_name()), dag_id=dag_id,
                    run_id=run_id, extra=json.dumps(seen),
                )
            )  # fmt: skip
    except Exception as error:
        log.error("Addresses are not shown: the audit log can't be written (%s)", type(error).__name__)
        raise HTTPException(503, "Addresses are not shown: the audit log can't be written.") from None
    log.info("%s: user %s sees people of %s %s: %s", EVENT, user.get_id(), dag_id, run_id, seen)
