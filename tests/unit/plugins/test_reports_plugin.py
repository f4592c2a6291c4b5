"""The page of reports in Airflow's UI: who sees which, and that nothing else is ever served."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from report_files import ATTACK, NOW, files_of, run_of, write_run

from airflow_providers_leads.plugins import access, reports, reports_app
from airflow_providers_leads.report.history import Entry, keep
from airflow_providers_leads.report.page import write_text
from airflow_providers_leads.report.sync import sync_page
from airflow_providers_leads.report.sync_facts import read_sync


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__LEADS__REPORTS", f"file://{tmp_path}/reports")
    write_run(tmp_path / "run")
    html = sync_page(read_sync(files_of(tmp_path / "run")), run_of())
    for dag in ("mine", "theirs"):
        place = tmp_path / "reports" / dag / "report"
        write_text(str(place / "r.html"), html)
        entry = Entry(
            kind="sync", dag_id=dag, run_id="r", at=NOW, status="ok", summary=f"{ATTACK} {dag}", report="r.html"
        )
        keep(str(place), entry)
        entry.at, entry.report = NOW + timedelta(hours=1), "../../secret.html"
        keep(str(place), entry)
    (tmp_path / "reports" / "mine" / "report" / "notes.html").write_text("<html>no report of ours</html>")
    (tmp_path / "reports" / "secret.html").write_text(html)
    return tmp_path / "reports"


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    from airflow.api_fastapi.core_api import security

    class Manager:
        """Lets one user read one DAG."""

        def is_authorized_dag(self, *, details: Any, user: Any, **_: Any) -> bool:
            return user == "reader" and details.id == "mine"

        def get_authorized_dag_ids(self, **_: Any) -> set[str]:
            return {"mine"}

    monkeypatch.setattr(access, "get_auth_manager", Manager)
    monkeypatch.setattr(security, "get_auth_manager", Manager)
    monkeypatch.setattr(security.DagModel, "get_team_name", lambda _: None)

    def user(token: str | None = None) -> str:
        if token is None:
            raise HTTPException(401)
        return token

    app = reports_app.make_app()
    app.dependency_overrides[security.get_user] = user
    with TestClient(app) as made:
        yield made


def test_the_list_shows_what_the_user_may_read_and_escapes_it(client: TestClient) -> None:
    answer = client.get("/reports", params={"token": "reader"})
    assert answer.status_code == 200
    assert 'href="view/mine/report/r.html"' in answer.text
    assert "theirs" not in answer.text
    assert "secret" not in answer.text
    assert "<script" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("view/mine/report/r.html", "reader", 200),
        ("view/mine/report/r.html", None, 401),
        ("view/mine/report/r.html", "stranger", 403),
        ("view/theirs/report/r.html", "reader", 403),
        ("view/mine/report/none.html", "reader", 404),
        ("view/mine/report/notes.html", "reader", 404),
        ("view/mine/report/history", "reader", 404),
        ("view/mine/report/..%2f..%2fsecret.html", "reader", 404),
        ("view/mine/..%2f../secret.html", "reader", 404),
        ("view/mine/../secret.html", "reader", 404),
        ("", None, 401),
        ("reports", None, 401),
    ],
)
def test_only_reports_are_served_and_only_to_those_who_may_read_the_dag(
    client: TestClient, path: str, token: str | None, status: int
) -> None:
    answer = client.get(f"/{path}", params={"token": token} if token else {})
    assert answer.status_code == status
    if status == 200:
        assert "7 leads from 3 sources" in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["../../secret.html", "..", ".hidden.html", "a/b.html", "r.json", ""])
def test_a_name_never_leads_out_of_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(HTTPException):
        reports_app.report_text("mine", "report", name)


def test_without_an_option_the_list_says_what_to_set() -> None:
    assert "[leads] reports" in reports_app.index_page({"mine"})


def test_an_empty_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__LEADS__REPORTS", f"file://{tmp_path}/none")
    assert "no reports yet" in reports_app.index_page({"mine"})


def test_airflow_takes_the_plugin() -> None:
    from importlib.metadata import entry_points

    from airflow._shared.plugins_manager.plugins_manager import is_valid_plugin

    (found,) = (point for point in entry_points(group="airflow.plugins") if point.name == "leads_reports")
    assert found.load() is reports.LeadsReportsPlugin
    assert is_valid_plugin(reports.LeadsReportsPlugin)


def test_the_application_is_made_at_the_first_visit(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(reports_app, "make_app", lambda: made.append(client.app) or client.app)
    reports._app.cache_clear()
    with TestClient(reports.ReportsApp()) as visitor:
        assert made == [client.app]
        assert visitor.get("/reports", params={"token": "reader"}).status_code == 200
    reports._app.cache_clear()
