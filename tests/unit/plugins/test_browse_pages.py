"""The pages of runs and people: who sees what, of which files, and that nothing hostile comes through."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from airflow_rows import START, Task, add_run, audit_log, clear, make_database
from fastapi import HTTPException
from fastapi.testclient import TestClient
from report_files import write_merge

from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import RowWriter, write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.plugins import access, reports_app

ATTACK = "<script>alert(1)</script><img src=//evil.example/x onerror=alert(2)>\"'&"
BIDI = "\u202egnp.exe\u2066"
PEOPLE = ("ann@example.org", "ben@example.org", "cem@example.org", "dan@example.org")
SECRETS = ("Köln", "Ulm", "0221 777")
TAKEN = f"{PEOPLE[3]} is taken {ATTACK}"
WRITTEN = {"created": 1, "updated": 1, "failed": 1}
LIST = "https://app.hubspot.com/contacts/7/objects/0-1/views/all/list"


def write_plan(folder: Path, *, applied: bool = True) -> dict[str, Any]:
    stem = folder / "hubspot_default.0"
    facts = PlanFacts(
        conn_id="hubspot_default", conn_type="hubspot", mode="update", planned_at=START, requests_per_second=10.0,
        properties=[ATTACK],
    )  # fmt: skip
    ann, ben, cem, dan = PEOPLE
    rows = [
        PlanRow(email_key=ann, action="create", values={"city": "Köln", "first_name": ATTACK}),
        PlanRow(email_key=ben, action="update", target_id="77", values={"city": BIDI}, before={"city": "Ulm"}),
        PlanRow(email_key=cem, action="suppress", reason="opted_out"),
        PlanRow(email_key=dan, action="create", values={"phone": "0221 777"}, properties={ATTACK: ATTACK}),
    ]
    with RowWriter(f"{stem}.plan.parquet", PlanRow, metadata=facts.metadata()) as writer:
        writer.write_all(rows)
    if applied:
        results = [
            WriteResult(email_key=ann, outcome="created", target_id="76", fields=["city", "first_name"]),
            WriteResult(email_key=ben, outcome="updated", target_id="77", fields=["city"]),
            WriteResult(email_key=cem, outcome="suppressed", reason="opted_out"),
            WriteResult(email_key=dan, outcome="failed", reason=TAKEN, request_id=ATTACK),
        ]
        write_rows(f"{stem}.results.parquet", WriteResult, results)
    return {
        "plan": f"file://{stem}.plan.parquet", "conn_id": "hubspot_default",
        "create": 2, "update": 1, "unchanged": 0, "suppress": 1,
        **({"results": f"file://{stem}.results.parquet", **WRITTEN} if applied else {}),
    }  # fmt: skip


def add_sync(folder: Path, dag_id: str, run_id: str, *, day: int = 0, merges: bool = True, **more: Any) -> Path:
    """Add a run of which the files lie below its DAG's and its own name."""
    place = folder / dag_id / run_id / "upsert"
    returned = write_plan(place)
    upsert = Task("upsert", returned, 0, rendered={"output_uri": f"file://{place}"}, xcoms={"_link_CrmLink": LIST})
    if not merges:
        add_run(dag_id, run_id, [upsert], day=day, **more)
        return place
    write_merge(place.parent)
    names = ("golden", "members", "conflicts", "rejects")
    merged = {name: f"file://{place.parent}/golden/{name}.parquet" for name in names}
    rows = {"golden": 3, "inputs": 7}
    merge = Task("deduplicate", {**merged, "rows": rows}, rendered={"output_uri": f"file://{place.parent}/golden"})
    add_run(dag_id, run_id, [merge, upsert], day=day, **more)
    return place


class Manager:
    """Lets three users read the DAG "mine"; an editor and an officer may edit it, the latter has the permission."""

    def is_authorized_dag(self, *, method: str, details: Any, user: Any, **_: Any) -> bool:
        return details.id == "mine" and user.name in (
            ("reader", "editor", "officer") if method == "GET" else ("editor", "officer")
        )

    def get_authorized_dag_ids(self, **_: Any) -> set[str]:
        return {"mine", "theirs"}

    def is_authorized_custom_view(self, *, resource_name: str, user: Any, **_: Any) -> bool:
        return resource_name == access.PERMISSION and user.name == "officer"


class User:
    def __init__(self, name: str) -> None:
        self.name = name

    def get_id(self) -> str:
        return f"id-{self.name}"

    def get_name(self) -> str:
        return self.name


Get = Callable[..., Any]


@pytest.fixture
def get(monkeypatch: pytest.MonkeyPatch) -> Iterator[Get]:
    """Ask for a page as a user; without one, as nobody."""
    from airflow.api_fastapi.core_api import security

    make_database()
    clear()
    monkeypatch.setattr(access, "get_auth_manager", Manager)
    monkeypatch.setattr(security, "get_auth_manager", Manager)
    monkeypatch.setattr("airflow.models.dag.DagModel.get_team_name", lambda _: None)

    def user(token: str | None = None) -> User:
        if token is None:
            raise HTTPException(401)
        return User(token)

    app = reports_app.make_app()
    app.dependency_overrides[security.get_user] = user
    with TestClient(app, follow_redirects=False) as client:

        def ask(path: str, user: str | None = "reader", query: Mapping[str, str] | None = None) -> Any:
            more = urlencode({**(query or {}), **({"token": user} if user else {})})
            return client.get(f"{path}{'&' if '?' in path else '?'}{more}")

        ask.client = client  # type: ignore[attr-defined]
        yield ask
    clear()


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html.split("</style>")[1]).split())


def check_harmless(answer: Any) -> None:
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert not {"\u202e", "\u2066"} & set(answer.text)
    policy = answer.headers["content-security-policy"]
    assert all(part in policy for part in ("default-src 'none'", "form-action 'self'", "base-uri 'none'"))
    assert answer.headers["cache-control"] == "no-store"


PAGES = ("/runs/mine/r1", "/runs/mine/r1/hubspot_default.0", "/runs/mine/r1/hubspot_default.0/p3")


def test_the_list_has_the_runs_that_the_user_may_read(get: Get, tmp_path: Path) -> None:
    add_sync(tmp_path, "mine", "r1")
    add_sync(tmp_path, "theirs", "r2")
    add_run("unrelated", "r3", [Task("t", {"plan": "x"}, operator="PythonOperator")])
    page = get("/")
    assert page.status_code == 200
    check_harmless(page)
    assert 'href="runs/mine/r1"' in page.text
    assert "theirs" not in page.text
    assert "unrelated" not in page.text
    text = text_of(page.text)
    assert "1 created" in text
    assert "1 not written" in text
    assert "needs a look" in text


def test_the_list_is_searched_and_paged(get: Get, tmp_path: Path) -> None:
    for day in range(33):
        add_sync(tmp_path, "mine", f"r{day:02}_%", day=day, merges=day < 2, state="failed" if day == 4 else "success")
    first = get("/")
    assert first.text.count('href="runs/mine/') == 30
    older = re.search(r'rel="next" href="\?([^"]+)"', first.text)
    assert older
    assert get(f"/?{older[1]}").text.count('href="runs/mine/') == 3
    assert get("/", query={"search": "mine r04"}).text.count('href="runs/mine/') == 1
    # What stands for anything in SQL stands for itself.
    assert get("/", query={"search": "4_%"}).text.count('href="runs/mine/') == 3
    assert get("/", query={"state": "failed"}).text.count('href="runs/mine/') == 1
    assert get("/", query={"before": "9" * 30}).status_code == 422
    hostile = get("/", query={"search": ATTACK, "state": ATTACK})
    check_harmless(hostile)
    assert "No run fits" in hostile.text


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("user", "status"), [(None, 401), ("stranger", 403), ("reader", 200)])
def test_who_may_not_read_the_dag_sees_nothing(
    path: str, user: str | None, status: int, get: Get, tmp_path: Path
) -> None:
    add_sync(tmp_path, "mine", "r1")
    answer = get(path, user)
    assert answer.status_code == status
    assert ("hubspot_default" in answer.text) is (status == 200)
    add_sync(tmp_path, "theirs", "r1")
    assert get(path.replace("mine", "theirs"), "reader").status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_people_are_masked_and_nothing_of_them_runs(path: str, get: Get, tmp_path: Path) -> None:
    add_sync(tmp_path, "mine", "r1")
    page = get(path)
    check_harmless(page)
    for secret in (*PEOPLE, *SECRETS):
        assert secret not in page.text
    assert audit_log() == []


def test_a_failed_task_says_why_and_of_which_connection(get: Get) -> None:
    reason = f"hubspot_default: {PEOPLE[0]} {ATTACK} is refused, make a new key"
    left = {"_link_CrmLink": LIST, "leads_failure": {"conn_id": "hubspot_default", "reason": reason}}
    failed = Task("upsert", None, 0, state="failed", label="hubspot_default", xcoms=left)
    cleared = Task("extract", None, state="success", xcoms={"leads_failure": {"reason": "of an earlier try"}})
    odd = Task("plan", None, state="failed", xcoms={"leads_failure": [1]})
    killed = Task("apply", None, state="failed")
    add_run("mine", "r1", [failed, cleared, odd, killed], state="failed")
    page = get("/runs/mine/r1")
    check_harmless(page)
    assert PEOPLE[0] not in page.text
    text = text_of(page.text)
    assert "upsert · hubspot_default : failed. hubspot_default: " in text
    assert "is refused, make a new key" in text
    assert "of an earlier try" not in text
    assert "apply : failed; its log says why" in text
    assert "plan : failed; its log says why" in text


def test_the_number_of_the_run_before_stands_beside_each(get: Get, tmp_path: Path) -> None:
    add_sync(tmp_path, "mine", "r1")
    assert "the run before" not in text_of(get("/runs/mine/r1").text)
    add_sync(tmp_path, "mine", "r2", day=1)
    assert "1 created the run before: 1" in text_of(get("/runs/mine/r2").text)


def test_the_list_in_the_crm_is_found_beside_tasks_that_left_none(get: Get, tmp_path: Path) -> None:
    place = tmp_path / "mine" / "r1"
    returned = write_plan(place)
    extract = Task("extract", {"uri": "file:///x", "rows": 1, "watermark": None, "conn_id": "hubspot_default"})
    upsert = Task("upsert", returned, rendered={"output_uri": f"file://{place}"}, xcoms={"_link_CrmLink": LIST})
    add_run("mine", "r1", [extract, upsert])
    assert f'href="{LIST}"' in get("/runs/mine/r1").text


def test_a_run_leads_to_people_tasks_logs_neighbours_and_the_crm(get: Get, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        add_sync(tmp_path, "mine", f"r{number}", day=number)
    page = get("/runs/mine/r2").text
    assert 'rel="prev" href="r1"' in page
    assert 'rel="next" href="r3"' in page
    assert 'href="r2/hubspot_default.0"' in page
    assert "/dags/mine/runs/r2/tasks/upsert/mapped/0" in page
    assert f'href="{LIST}"' in page
    assert 'href="r2/hubspot_default.0?outcome=failed"' in page
    assert "opted out" in page


def test_rows_are_filtered(get: Get, tmp_path: Path) -> None:
    add_sync(tmp_path, "mine", "r1")
    path = PAGES[1]
    assert get(path).text.count('data-name="person"') == 4
    for query, number in (
        ({"action": "create"}, 2), ({"outcome": "failed"}, 1), ({"field": "city"}, 2), ({"action": "unchanged"}, 0),
        ({"action": "create", "outcome": "created"}, 1), ({"field": f"properties.{ATTACK}"}, 1),
        ({"outcome": "pending"}, 0), ({"action": ATTACK}, 0), ({"after": "1"}, 2), ({"before": "1"}, 1),
        ({"after": "x"}, 4), ({"after": "9" * 40}, 4),
    ):  # fmt: skip
        page = get(path, query=query)
        assert page.text.count('data-name="person"') == number, query
        check_harmless(page)
    by_reason = re.search(r'href="r1/hubspot_default.0\?reason=([0-9a-f]+)">opted out', get(PAGES[0]).text)
    assert by_reason
    assert get(path, query={"reason": by_reason[1]}).text.count('data-name="person"') == 1


@pytest.mark.parametrize(
    ("option", "user", "status"),
    [
        ("nobody", "editor", 403),
        ("Anything", "editor", 403),
        ("editors", "reader", 403),
        ("editors", "editor", 200),
        ("permission", "editor", 403),
        ("permission", "officer", 200),
    ],
)
def test_who_may_see_people_sees_them_and_that_is_written_down_without_them(
    option: str,
    user: str,
    status: int,
    get: Get,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("AIRFLOW__LEADS__UNMASK", option)
    add_sync(tmp_path, "mine", "r1")
    masked = get(PAGES[1], user)
    assert not any(secret in masked.text for secret in (*PEOPLE, *SECRETS))
    assert ("show=1" in masked.text) is (status == 200)
    page = get(PAGES[1], user, query={"show": "1"})
    assert page.status_code == status
    entries = audit_log()
    if status == 403:
        assert entries == []
        assert not any(secret in page.text for secret in (*PEOPLE, *SECRETS))
        return
    check_harmless(page)
    assert all(secret in page.text for secret in (*PEOPLE, *SECRETS))
    (entry,) = entries
    assert (entry["event"], entry["owner"], entry["dag_id"], entry["run_id"]) == (
        "leads_unmask", f"id-{user}", "mine", "r1"
    )  # fmt: skip
    assert "@" not in entry["extra"]
    assert not any(secret in caplog.text for secret in (*PEOPLE, *SECRETS))


def test_what_cannot_be_written_down_is_not_shown(get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__LEADS__UNMASK", "editors")
    add_sync(tmp_path, "mine", "r1")

    def broken(**_: Any) -> None:
        raise OSError(PEOPLE[0])

    monkeypatch.setattr(access, "Log", broken)
    page = get(PAGES[1], "editor", query={"show": "1"})
    assert page.status_code == 503
    assert not any(secret in page.text for secret in (*PEOPLE, *SECRETS))


@pytest.mark.parametrize(
    "path",
    [
        "/runs/mine/none", "/runs/mine/r1/none", "/runs/mine/r1/..%2fhubspot_default.0", "/runs/mine/..%2f..%2fetc",
        "/runs/mine/r1/file:%2f%2f%2fetc%2fpasswd", "/runs/mine/../theirs/r1/hubspot_default.0",
        "/runs/mine/r1/%00", "/runs/mine/r1/hubspot_default.0/p99", "/runs/mine/r1/hubspot_default.0/..%2fx",
        "/runs/mine/r1/hubspot_default.0/x1", "/runs/mine%2f..%2ftheirs/r1",
    ],
)  # fmt: skip
def test_an_address_never_leads_to_other_files(path: str, get: Get, tmp_path: Path) -> None:
    add_sync(tmp_path, "mine", "r1")
    add_sync(tmp_path, "theirs", "r1")
    assert get(path).status_code in (403, 404)


@pytest.mark.parametrize("way", ["other DAG", "dots", "other run", "percent", "no scheme"])
def test_results_that_name_files_of_others_open_none(way: str, get: Get, tmp_path: Path) -> None:
    """A user who may change a result in Airflow must not read another DAG's people by it."""
    theirs = add_sync(tmp_path, "theirs", "r1")
    mine = tmp_path / "mine" / "r1" / "upsert"
    mine.mkdir(parents=True)
    name = "hubspot_default.0.plan.parquet"
    uri = {
        "other DAG": f"file://{theirs}/{name}",
        "dots": f"file://{mine}/../../../theirs/r1/upsert/{name}",
        "other run": f"file://{add_sync(tmp_path, 'mine', 'r0')}/{name}",
        "percent": f"file://{mine}/%2e%2e/%2e%2e/%2e%2e/theirs/r1/upsert/{name}",
        "no scheme": f"{theirs}/{name}",
    }[way]
    upsert = Task("upsert", {"plan": uri, "conn_id": "c"}, rendered={"output_uri": f"file://{mine}"})
    add_run("mine", "r1", [upsert], day=1)
    page = get("/runs/mine/r1")
    assert "Each person and each change" not in page.text
    assert get("/runs/mine/r1/hubspot_default.0").status_code == 404


def test_a_task_that_failed_after_it_wrote_is_looked_into_by_its_folder(get: Get, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    write_plan(place)
    add_run("mine", "r1", [Task("upsert", state="failed", rendered={"output_uri": f"file://{place}"})], state="failed")
    assert get(PAGES[1]).text.count('data-name="person"') == 4
    assert "Tasks that did not succeed" in get(PAGES[0]).text


@pytest.mark.parametrize("harm", ["gone", "damaged", "older", "no people"])
def test_files_that_cannot_be_read_leave_the_rest_of_the_page(harm: str, get: Get, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = add_sync(tmp_path, "mine", "r1")
    for file in place.iterdir():
        if harm == "gone":
            file.unlink()
        elif harm == "damaged":
            file.write_bytes(b"PAR1 nonsense")
        elif harm == "no people":
            pq.write_table(pa.table({"x": [1]}), file)
        else:
            table = pq.read_table(file)
            kept = [name for name in table.column_names if name in ("email_key", "action", "outcome", "values")]
            metadata = {"leads.schema_version": "0", "leads.plan": '{"old": 1}'}
            pq.write_table(table.select(kept).replace_schema_metadata(metadata), file)
    page, rows = get(PAGES[0]), get(PAGES[1])
    assert page.status_code == rows.status_code == 200
    assert "1 created" in text_of(page.text)
    assert rows.text.count('data-name="person"') == (4 if harm == "older" else 0)
    if harm != "older":
        assert re.search(r"is gone|can(.|&#39;)t be (read|shown)", rows.text)


def test_a_run_that_waits_leads_to_its_answer(get: Get, tmp_path: Path) -> None:
    place = tmp_path / "mine" / "r1" / "plan"
    plan = Task("plan", write_plan(place, applied=False), 0, rendered={"output_uri": f"file://{place}"})
    approve = Task("approve", state="awaiting_input", operator="ApprovalOperator")
    add_run("mine", "r1", [plan, approve], state="running")
    page = get(PAGES[0]).text
    assert "waits for an answer" in page
    assert "/dags/mine/runs/r1/required_actions" in page
    assert "planned, nothing is written yet" in page
    assert "2 create" in text_of(page)


def test_a_person_is_shown_with_each_change_its_origin_conflicts_and_record(
    get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LEADS__UNMASK", "editors")
    add_sync(tmp_path, "mine", "r1")
    path = PAGES[1]
    ben, ann = get(f"{path}/p1", "editor", query={"show": "1"}), get(f"{path}/p0", "editor", query={"show": "1"})
    for page in (ben, ann):
        check_harmless(page)
    text = text_of(ben.text)
    assert "ben@example.org" in text
    assert "Updated in hubspot_default" in text
    assert "city Ulm �gnp.exe� yes" in text
    assert 'href="https://app.hubspot.com/contacts/7/record/0-1/77"' in ben.text
    text = text_of(ann.text)
    assert "Where each value came from" in text
    assert "Conflicts" in text
    # Of three spellings one was kept; each says whose it is.
    assert all(f"{city} " in text for city in ("Köln", "Koeln", "KÖLN"))
    assert "hubspot-2" in text
    assert "perspective-1" in text
    assert "PersistIQ" in text
    assert "persistiq-3 ann@example.org" in text
    masked = get(f"{path}/p0", "editor")
    assert not any(secret in masked.text for secret in (*PEOPLE, *SECRETS, "Koeln"))
    assert "Where each value came from" in masked.text
    assert [entry["extra"] for entry in audit_log()] == [
        f'{{"files": "hubspot_default.0", "rows": "{place}"}}' for place in ("p1", "p0")
    ]


def test_a_person_is_found_by_an_address_that_stands_in_no_log(
    get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LEADS__UNMASK", "editors")
    add_sync(tmp_path, "mine", "r1")
    client: TestClient = get.client  # type: ignore[attr-defined]

    def look_up(address: str, user: str = "editor") -> Any:
        return client.post(f"{PAGES[1]}?token={user}", data={"address": address})

    found = look_up(" BEN@Example.org ")
    assert (found.status_code, found.headers["location"]) == (303, "hubspot_default.0/p1?show=1")
    for nobody in ("nobody@example.org", "no address", "", ATTACK):
        assert look_up(nobody).headers["location"] == "hubspot_default.0?nobody=1"
    assert "Nobody has this address" in get(PAGES[1], "editor", query={"nobody": "1"}).text
    # Who may not see people can't find out who is there.
    assert look_up("ben@example.org", "reader").status_code == 403
    assert all("@" not in entry["extra"] for entry in audit_log())


def test_what_is_unlike_the_last_runs_stands_on_top(
    get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def sync(day: int, read: int, created: int, reason: str) -> None:
        place = tmp_path / "mine" / f"r{day}" / "upsert"
        rows = [WriteResult(email_key=PEOPLE[0], outcome="suppressed", reason=reason)]
        write_rows(f"{place}/c.results.parquet", WriteResult, rows)
        quota = {"spent": 249_900 if day == 4 else 10, "limit": 250_000}
        upsert = {"results": f"file://{place}/c.results.parquet", "conn_id": "c", "created": created, "quota": quota}
        extract = {"uri": "file:///x", "rows": read, "watermark": None}
        add_run("mine", f"r{day}", [Task("extract", extract), Task("upsert", upsert)], day=day)

    for day in range(1, 4):
        sync(day, 1_000 + day, 10, "opted_out")
    sync(4, 400, 90, f"mail ann@example.org {ATTACK}")
    assert "Unlike the last runs" not in get("/runs/mine/r3").text
    page = get("/runs/mine/r4")
    check_harmless(page)
    text = text_of(page.text)
    assert "90 people were created, 9 times as many as in the 3 runs before (10)." in text
    assert "400 leads were read, 60 % fewer than in the 3 runs before (1,002)." in text
    assert "c: 100 of 250,000 calls are left today." in text
    assert "A reason that the 3 runs before did not have: mail …" in text
    monkeypatch.setenv("AIRFLOW__LEADS__UNLIKE", '{"created": 10, "read": 0.1}')
    text = text_of(get("/runs/mine/r4").text)
    assert "were created" not in text
    assert "fewer" not in text
    monkeypatch.setenv("AIRFLOW__LEADS__UNLIKE", '{"creations": 10}')
    assert "were created" in text_of(get("/runs/mine/r4").text)
    assert "unlike: unknown key" in caplog.text
