"""The web application behind the pages: shows people runs and reports of the DAGs whose runs they may read."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import parse_qs

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.operators.links import reports_folder
from airflow_providers_leads.plugins import access
from airflow_providers_leads.plugins.airflow_runs import lead_dags
from airflow_providers_leads.plugins.opened_run import Opened, open_run
from airflow_providers_leads.plugins.person_page import find_person, person_page
from airflow_providers_leads.plugins.rows_page import rows_page, seen
from airflow_providers_leads.plugins.run_page import run_page
from airflow_providers_leads.plugins.runs_page import runs_page
from airflow_providers_leads.plugins.view import View, segment
from airflow_providers_leads.report.history import recent
from airflow_providers_leads.report.page import is_page, render
from airflow_providers_leads.report.rows import place_in
from airflow_providers_leads.tasks.paths import storage_path

RunNumber = Annotated[int | None, Query(ge=0, le=2**31 - 1)]
_NAME = re.compile(r"[\w+=@-][\w.+=@-]*")
_SAFE = {
    # A report holds what CRMs hold: nothing in it may run, send or be framed elsewhere.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; "
    "form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MASKED = "You may not see addresses: the Airflow option [leads] unmask says who may."
_LONGEST_FORM = 2_000
_MOST_RUNS = 20
_LARGEST_REPORT = 20_000_000


def make_app() -> FastAPI:
    """Return the application."""
    app = FastAPI(title="Lead reports", docs_url=None, redoc_url=None, openapi_url=None)
    reader = Depends(get_user)
    may_read = [Depends(requires_access_dag("GET", DagAccessEntity.RUN))]
    # What tasks returned says which files are shown.
    may_look_in = [
        *may_read,
        *(
            Depends(requires_access_dag("GET", entity))
            for entity in (DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM)
        ),
    ]

    @app.get("/")
    def runs(user: Any = reader, search: str = "", state: str = "", before: RunNumber = None) -> HTMLResponse:
        dag_ids = access.readable(lead_dags(), user)
        return _html(runs_page(dag_ids, search=search[:200], state=state, before=before))

    @app.get("/runs/{dag_id}/{run_id}", dependencies=may_look_in)
    def run(dag_id: str, run_id: str) -> HTMLResponse:
        return _html(run_page(_opened(dag_id, run_id), View()))

    @app.get("/runs/{dag_id}/{run_id}/{key}", dependencies=may_look_in)
    def rows(request: Request, dag_id: str, run_id: str, key: str, user: Any = reader) -> HTMLResponse:
        opened, asked = _opened(dag_id, run_id), dict(request.query_params)
        files = _there(opened.write(key))
        view = _view(user, dag_id, run_id, asked, files=key, rows=seen(asked))
        return _html(rows_page(opened, files, asked, view))

    @app.get("/runs/{dag_id}/{run_id}/{key}/{at}", dependencies=may_look_in)
    def one(request: Request, dag_id: str, run_id: str, key: str, at: str, user: Any = reader) -> HTMLResponse:
        opened, place = _opened(dag_id, run_id), _there(place_in(at))
        files = _there(opened.write(key))
        view = _view(user, dag_id, run_id, dict(request.query_params), files=key, rows=str(place))
        try:
            return _html(_there(person_page(opened, files, place, view)))
        except StagingError as error:
            raise HTTPException(404, str(error)) from None

    @app.post("/runs/{dag_id}/{run_id}/{key}", dependencies=may_look_in)
    async def look_up(request: Request, dag_id: str, run_id: str, key: str, user: Any = reader) -> Response:
        # In the body, because addresses of pages are logged.
        body = await request.body()
        return await run_in_threadpool(_looked_up, user, dag_id, run_id, key, body)

    @app.get("/reports")
    def index(user: Any = reader) -> HTMLResponse:
        return _html(index_page(access.readable(report_dags(), user)))

    @app.get("/view/{dag_id}/{task_id}/{name}", dependencies=may_read)
    def view(dag_id: str, task_id: str, name: str) -> HTMLResponse:
        return _html(report_text(dag_id, task_id, name))

    return app


def _looked_up(user: Any, dag_id: str, run_id: str, key: str, body: bytes) -> Response:
    """Return the way to a person's page: only for those who may see people, others could find out who is there."""
    if not access.may_unmask(dag_id, user):
        raise HTTPException(403, _MASKED)
    files = _there(_opened(dag_id, run_id).write(key))
    address = email_key(parse_qs(body[:_LONGEST_FORM].decode("utf-8", "replace")).get("address", [""])[0])
    access.note_unmasking(user, dag_id, run_id, files=key, rows="one, looked up by address")
    try:
        place = find_person(files, address) if address else None
    except StagingError as error:
        raise HTTPException(404, str(error)) from None
    here = segment(key)
    return RedirectResponse(f"{here}/{place}?show=1" if place else f"{here}?nobody=1", status_code=303)


def _opened(dag_id: str, run_id: str) -> Opened:
    opened: Opened = _there(open_run(dag_id, run_id))
    return opened


def _there(found: Any) -> Any:
    if found is None:
        raise HTTPException(404, "There is no such run, or it has no such files.")
    return found


def _view(user: Any, dag_id: str, run_id: str, asked: dict[str, str], **what: str) -> View:
    """Return how a page is shown; who is shown people is written down first."""
    allowed, shown = access.may_unmask(dag_id, user), asked.get("show") == "1"
    if shown and not allowed:
        raise HTTPException(403, _MASKED)
    if shown:
        access.note_unmasking(user, dag_id, run_id, **what)
    return View(shown=shown, may_unmask=allowed)


def _html(text: str) -> HTMLResponse:
    return HTMLResponse(text, headers=_SAFE)


def report_dags() -> set[str]:
    """Return the DAGs that have reports."""
    folder = reports_folder()
    return {dag.name for dag in _folders(storage_path(folder))} if folder else set()


def index_page(dag_ids: set[str]) -> str:
    """Return the list of the last reports, which are there also where Airflow has forgotten the runs.

    :param dag_ids: whose reports may be listed
    """
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
