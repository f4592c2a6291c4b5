"""The web application behind the page of reports: shows people the reports of the DAGs whose runs they may read."""

from __future__ import annotations

import re
from typing import Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse

_NAME = re.compile(r"[\w+=@-][\w.+=@-]*")
_SAFE = {
    # A report holds what CRMs hold: nothing in it may run, send or be framed elsewhere.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MOST_RUNS = 20
_LARGEST_REPORT = 20_000_000


def make_app() -> FastAPI:
    """Return the application."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import get_user, requires_access_dag

    app = FastAPI(title="Lead reports", docs_url=None, redoc_url=None, openapi_url=None)
    reader = Depends(get_user)
    may_read = Depends(requires_access_dag("GET", DagAccessEntity.RUN))

    @app.get("/")
    def index(user: Any = reader) -> HTMLResponse:
        from airflow.api_fastapi.app import get_auth_manager

        manager = get_auth_manager()
        return _html(index_page(manager.get_authorized_dag_ids(user=user, method="GET")))

    @app.get("/view/{dag_id}/{task_id}/{name}", dependencies=[may_read])
    def view(dag_id: str, task_id: str, name: str) -> HTMLResponse:
        return _html(report_text(dag_id, task_id, name))

    return app


def _html(text: str) -> HTMLResponse:
    return HTMLResponse(text, headers=_SAFE)


def index_page(dag_ids: set[str]) -> str:
    """Return the list of the last reports.

    :param dag_ids: whose reports may be listed
    """
    from airflow_providers_leads.operators.links import reports_folder
    from airflow_providers_leads.report.history import recent
    from airflow_providers_leads.report.page import render
    from airflow_providers_leads.tasks.paths import storage_path

    folder = reports_folder()
    found = []
    for dag in _folders(storage_path(folder)) if folder else []:
        if dag.name in dag_ids:
            for task in _folders(dag):
                entries = [entry for entry in reversed(recent(task, _MOST_RUNS)) if _NAME.fullmatch(entry.report)]
                if entries:
                    found.append({"dag_id": dag.name, "task_id": task.name, "entries": entries})
    return render("index", folder=folder, found=found)


def report_text(dag_id: str, task_id: str, name: str) -> str:
    """Return a report.

    :raises HTTPException: 404 when there is none of this name, or the file is something else
    """
    from airflow_providers_leads.operators.links import reports_folder
    from airflow_providers_leads.report.page import is_page
    from airflow_providers_leads.tasks.paths import storage_path

    missing = HTTPException(404, "There is no such report.")
    folder = reports_folder()
    # A name never leads out of the folder: none begins with a dot or holds a slash.
    if not folder or not name.endswith(".html") or not all(map(_NAME.fullmatch, (dag_id, task_id, name))):
        raise missing
    try:
        with storage_path(f"{folder}/{dag_id}/{task_id}/{name}").open("rb") as file:
            text = str(file.read(_LARGEST_REPORT).decode())
    except (OSError, UnicodeDecodeError):
        raise missing from None
    if not is_page(text):
        raise missing
    return text


def _folders(path: Any) -> list[Any]:
    try:
        return sorted((child for child in path.iterdir() if child.is_dir()), key=lambda child: str(child.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
