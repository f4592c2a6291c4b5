"""What Airflow's database knows of the runs that move leads: their states, tasks, and what these returned."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import Text, cast, func, or_, select

from airflow_providers_leads.leads.files.plan_facts import ACTIONS
from airflow_providers_leads.leads.model.outcomes import OUTCOMES
from airflow_providers_leads.operators.links import CrmLink, ReportLink, site
from airflow_providers_leads.report.run import FAILURE

RETURNED: Final = "return_value"
_LINK_KEYS: Final = (CrmLink().xcom_key, ReportLink().xcom_key)
"""What tasks of this package leave besides their results, whatever class they are of."""
_FOLDERS: Final = ("output_uri", "files")
"""Attributes of the package's operators that hold a folder of the run's files, rendered."""
_WAITING: Final = ("awaiting_input", "deferred")
"""States of a task that waits for an answer; the second before Airflow 3.3."""
_ASKING: Final = ("ApprovalOperator", "HITLOperator", "HITLBranchOperator", "HITLEntryOperator")
_FAILED: Final = ("failed", "up_for_retry")
_LONGEST_OF_RUN: Final = 1_000_000
_LONGEST: Final = 20_000
"""Letters of a result that is looked at in the list: other tasks may return anything."""


class TaskLine(NamedTuple):
    """One task instance.

    :param label: what a mapped one is for
    :param conn_id: of a failed one, the connection that it was about, as far as it has said
    :param reason: of a failed one, why, as far as it has said
    """

    task_id: str
    map_index: int
    state: str
    label: str
    tries: int
    started: datetime | None
    ended: datetime | None
    url: str
    conn_id: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """The task for people to read."""
        return f"{self.task_id} · {self.label}" if self.label else self.task_id


@dataclass(slots=True)
class Counts:
    """What the tasks of a run say that they did.

    :param read: leads that were read, ``None`` when no task says so
    :param sources: connection → leads that were read from it
    :param people: golden records
    :param planned: action → rows of the plans
    :param outcomes: outcome → rows of the results
    :param quotas: connection → calls spent of a day's quota, and the quota, when its task ended
    """

    read: int | None = None
    sources: Counter[str] = field(default_factory=Counter)
    people: int | None = None
    planned: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    quotas: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, returned: Any) -> None:
        """Take what a task returned; anything else is passed over."""
        if not isinstance(returned, Mapping):
            return
        rows = returned.get("rows")
        if isinstance(returned.get("uri"), str) and "watermark" in returned:
            self.read = (self.read or 0) + _whole(rows)
            if isinstance(conn_id := returned.get("conn_id"), str):
                self.sources[conn_id] += _whole(rows)
        if "golden" in returned and isinstance(rows, Mapping):
            self.people = (self.people or 0) + _whole(rows.get("golden"))
        if isinstance(quota := returned.get("quota"), Mapping):
            conn_id, spent = str(returned.get("conn_id")), _whole(quota.get("spent"))
            self.quotas[conn_id] = max((spent, _whole(quota.get("limit"))), self.quotas.get(conn_id, (0, 0)))
        for key, names, into in (("plan", ACTIONS, self.planned), ("results", OUTCOMES, self.outcomes)):
            if isinstance(returned.get(key), str):
                into.update({name: _whole(returned[name]) for name in names if name in returned})


@dataclass(slots=True)
class RunLine:
    """One run, as the list shows it.

    :param number: Airflow's own, in the order in which runs were made
    :param waiting: a task of it waits for an answer
    """

    number: int
    dag_id: str
    run_id: str
    state: str
    at: datetime
    started: datetime | None
    ended: datetime | None
    waiting: bool = False
    counts: Counts = field(default_factory=Counts)

    @property
    def url(self) -> str:
        """Where Airflow shows the run."""
        return f"{site()}/dags/{quote(self.dag_id, safe='')}/runs/{quote(self.run_id, safe='')}"


@dataclass(slots=True)
class RunDetails:
    """One run.

    :param returned: what its tasks returned
    :param folders: folders that its tasks were told to write to, and whether files of the whole run lie below one
    :param links: where the CRM shows its list, by connection
    :param report: where its report is shown
    """

    line: RunLine
    tasks: list[TaskLine]
    returned: list[Any]
    folders: list[tuple[str, bool]]
    links: dict[str, str]
    report: str
    earlier: str | None
    later: str | None


def lead_dags() -> set[str]:
    """Return the DAGs of which a task of this package has ended."""
    with create_session() as session:
        return set(session.scalars(select(XComModel.dag_id).where(XComModel.key.in_(_LINK_KEYS)).distinct()))


def runs(
    dag_ids: Collection[str], *, search: str = "", state: str = "", before: int | None = None, size: int = 30
) -> tuple[list[RunLine], int | None]:
    """Return the last runs, and before which run the next page begins.

    :param dag_ids: of these DAGs
    :param search: text that stands in the DAG's or the run's id
    :param state: a state of Airflow's, or ``waiting``
    :param before: only runs that were made before that of this number
    :param size: of a page
    """
    query = select(DagRun).where(DagRun.dag_id.in_(sorted(dag_ids))).order_by(DagRun.id.desc()).limit(size + 1)
    for word in search.split():
        query = query.where(
            or_(*(column.icontains(word, autoescape=True) for column in (DagRun.dag_id, DagRun.run_id)))
        )
    if state == "waiting":
        query = query.where(DagRun.state == "running", _waits())
    elif state:
        query = query.where(DagRun.state == state)
    if before is not None:
        query = query.where(DagRun.id < before)
    with create_session() as session:
        lines = [_line(run) for run in session.scalars(query)]
        more, lines = len(lines) > size, lines[:size]
        _complete(session, lines)
    return lines, lines[-1].number if more else None


def run_details(dag_id: str, run_id: str) -> RunDetails | None:
    """Return a run, ``None`` when there is none."""
    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if run is None:
            return None
        line = _line(run)
        instances = session.scalars(_of_run(select(TaskInstance), TaskInstance, line)).all()
        line.waiting = any(ti.state in _WAITING and ti.operator in _ASKING for ti in instances)
        said = _failures(session, line)
        tasks = [_task(line, ti, said.get((ti.task_id, ti.map_index), {})) for ti in instances]
        tasks.sort(key=lambda task: (task.started is None, task.started or line.at, task.task_id, task.map_index))
        returned, links, reports = _xcoms(session, line)
        for value in returned:
            line.counts.add(value)
        rendered = session.scalars(
            _of_run(select(RenderedTaskInstanceFields.rendered_fields), RenderedTaskInstanceFields, line)
        )
        folders = {
            (value.rstrip("/"), name == "files"): None
            for fields in rendered
            for name in _FOLDERS
            if isinstance(fields, Mapping) and isinstance(value := fields.get(name), str) and "://" in value
        }
        beside = select(DagRun.run_id).where(DagRun.dag_id == dag_id).limit(1)
        earlier = session.scalar(beside.where(DagRun.id < line.number).order_by(DagRun.id.desc()))
        later = session.scalar(beside.where(DagRun.id > line.number).order_by(DagRun.id))
    return RunDetails(line, tasks, returned, list(folders), links, reports, earlier, later)


def earlier_runs(line: RunLine, most: int) -> list[RunLine]:
    """Return the runs of the same DAG before one, the oldest first."""
    return runs([line.dag_id], before=line.number, size=most)[0][::-1]


def _waits() -> Any:
    return (
        select(TaskInstance.id)
        .where(
            TaskInstance.dag_id == DagRun.dag_id,
            TaskInstance.run_id == DagRun.run_id,
            TaskInstance.state.in_(_WAITING),
            TaskInstance.operator.in_(_ASKING),
        )
        .exists()
    )


def _of_run(query: Any, model: Any, line: RunLine) -> Any:
    return query.where(model.dag_id == line.dag_id, model.run_id == line.run_id)


def _line(run: Any) -> RunLine:
    at = run.logical_date or run.run_after
    return RunLine(run.id, run.dag_id, run.run_id, str(run.state), at, run.start_date, run.end_date)


def _complete(session: Any, lines: Sequence[RunLine]) -> None:
    """Add what the runs' tasks returned, and whether one waits."""
    by_number = {line.number: line for line in lines}
    ours = select(XComModel.dag_run_id, XComModel.value).where(
        XComModel.dag_run_id.in_(by_number),
        XComModel.key == RETURNED,
        # Of the other tasks in such a run a result may be large.
        func.length(cast(XComModel.value, Text)) < _LONGEST,
    )
    for number, value in session.execute(ours):
        by_number[number].counts.add(_plain(value))
    waiting = select(DagRun.id).where(DagRun.id.in_(by_number), DagRun.state == "running", _waits())
    for number in session.scalars(waiting):
        by_number[number].waiting = True


def _failures(session: Any, line: RunLine) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Return task and map index → what it has left of its failure."""
    rows = session.scalars(_of_run(select(XComModel), XComModel, line).where(XComModel.key == FAILURE))
    said = {(row.task_id, row.map_index): _plain(row.value) for row in rows}
    return {task: value for task, value in said.items() if isinstance(value, Mapping)}


def _task(line: RunLine, ti: Any, failure: Mapping[str, Any]) -> TaskLine:
    # A try that waits for the next one has failed, too; one that went well after it has not.
    said = failure if str(ti.state) in _FAILED else {}
    mapped = f"/mapped/{ti.map_index}" if ti.map_index >= 0 else ""
    return TaskLine(
        task_id=ti.task_id,
        map_index=ti.map_index,
        state=str(ti.state or "not started"),
        label=str(ti.rendered_map_index or ti.map_index) if ti.map_index >= 0 else "",
        tries=ti.try_number,
        started=ti.start_date,
        ended=ti.end_date,
        url=f"{line.url}/tasks/{quote(ti.task_id, safe='')}{mapped}",
        conn_id=str(said.get("conn_id") or ""),
        reason=str(said.get("reason") or ""),
    )


def _xcoms(session: Any, line: RunLine) -> tuple[list[Any], dict[str, str], str]:
    """Return what the tasks returned, where CRMs show their lists, and where the report is."""
    crm_key, report_key = _LINK_KEYS
    rows = session.scalars(
        _of_run(select(XComModel), XComModel, line).where(
            XComModel.key.in_((RETURNED, *_LINK_KEYS)), func.length(cast(XComModel.value, Text)) < _LONGEST_OF_RUN
        )
    )
    by_task: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for row in rows:
        by_task[row.task_id, row.map_index][row.key] = _plain(row.value)
    links: dict[str, str] = {}
    report = ""
    for values in by_task.values():
        returned = values.get(RETURNED)
        if isinstance(returned, Mapping) and isinstance(conn_id := returned.get("conn_id"), str):
            # Of the tasks about one connection some leave no address.
            links[conn_id] = links.get(conn_id) or web_address(values.get(crm_key))
        report = web_address(values.get(report_key), own=True) or report
    returned = [values[RETURNED] for _, values in sorted(by_task.items()) if RETURNED in values]
    return returned, {conn_id: url for conn_id, url in links.items() if url}, report


def web_address(value: Any, *, own: bool = False) -> str:
    """Return a value if it is an address of the web, else an empty text: others could run something.

    :param own: also takes a path of this very server
    """
    if not isinstance(value, str):
        return ""
    if own and value.startswith("/") and not value.startswith(("//", "/\\")):
        return value
    try:
        parts = urlsplit(value)
    except ValueError:
        return ""
    return value if parts.scheme in ("https", "http") and parts.hostname else ""


def _plain(value: Any) -> Any:
    class Row:
        """What Airflow reads a value from."""

    row: Any = Row()
    row.value = value
    return XComModel.deserialize_value(row)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
