"""An upsert of 300 people that meets a fault, is retried until it succeeds, and is held against the undisturbed one."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from crm_records import by_address, records_in
from upsert_tries import EXIT_RETRIED, RETRIED, Task, hurried, make_plan, run_try, start_worker

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.leads.files.staging import read_rows, write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.sandbox import Fault, FaultPlan, Rule, Sandbox
from airflow_providers_leads.sandbox.core.shell import Call, Reply, Scene

FUNNEL: Final = "65f0a0000000000000000001"
NEW, CHANGED, SAME, OPTED_OUT = 200, 70, 20, 10
MAX_TRIES: Final = 4
QUOTAS: Final = {"hubspot": (100, 10), "persistiq": (100, 60), "perspective": (100, 60)}
"""As documented: how much is sent side by side follows from it."""
OPTIONS: Final[dict[str, dict[str, Any]]] = {"perspective": {"write_options": {"funnel_id": FUNNEL}}}

PLANTED: Final[dict[str, Rule]] = {
    "cut before the effect": Rule(fault="cut_before"),
    "cut after the effect": Rule(fault="cut_after"),
    "500 after the effect": Rule(fault="error_500_after"),
    "502 with HTML": Rule(fault="error_502"),
    # Longer than a task waits for, so that it ends the try.
    "429 for ten minutes": Rule(fault="limit_seconds", options={"seconds": 600}),
    "truncated JSON after the effect": Rule(fault="truncated"),
}
KILLED: Final = {"killed before the effect": "before", "killed after the effect": "after"}
FAULTS: Final = (*PLANTED, *KILLED)


# --- the people -------------------------------------------------------------------------------------------------------


def golden_people() -> list[Lead]:
    """Return the golden records, in this order: new, changed, the same, opted out."""
    return [
        Lead(
            source="golden",
            source_scope="",
            source_id=str(number),
            email=f"p{number}@people.example",
            email_key=f"p{number}@people.example",
            first_name=f"Zoë {number}",
            last_name="O'Brien-Müller" if number % 3 else "Nguyễn",
            phone=f"+4930{number:07}",
            address=f"Hauptstraße {number}",
            city="Köln",
            country="Germany",
            website=f"https://p{number}.example",
            company="Nord & Süd",
            opted_out=True if number >= NEW + CHANGED + SAME else None,
        )
        for number in range(NEW + CHANGED + SAME + OPTED_OUT)
    ]


def people_before() -> list[Lead]:
    """Return what the destination holds: the changed ones with other values, the same ones, half of the opted out."""
    golden = golden_people()
    changed, rest = golden[NEW : NEW + CHANGED], golden[NEW + CHANGED : NEW + CHANGED + SAME + OPTED_OUT // 2]
    before = [_elsewhere(lead) for lead in changed]
    for lead in before[::7]:
        lead.phone = "+49221"
    strangers = [_elsewhere(lead, f"stranger{lead.source_id}@other.example") for lead in golden[:5]]
    return [*before, *rest, *strangers]


def _elsewhere(lead: Lead, email: str | None = None) -> Lead:
    other = copy.copy(lead)
    other.city = "Bonn"
    other.email = other.email_key = email or lead.email
    return other


# --- what the stores hold ---------------------------------------------------------------------------------------------


def mail_caused(store: Any) -> int:
    return len(getattr(store, "automations_fired", ())) + len(getattr(store, "messages_sent", ()))


# --- faults -----------------------------------------------------------------------------------------------------------


class Kill:
    """Kills the worker once, when a request of a certain number arrives, or when it took effect."""

    def __init__(self, index: int, when: str) -> None:
        self.index, self.when = index, when
        self.worker: BaseProcess | None = None
        self.struck = False

    def __call__(self, index: int, call: Call) -> Fault | None:
        if index != self.index:
            return None
        self.struck = True
        if self.when == "before":
            self._kill()
            return Fault(cut=True)
        return Fault("after", change=self._change)

    def _change(self, reply: Reply, scene: Scene) -> Reply:
        self._kill()
        return reply

    def _kill(self) -> None:
        while self.worker is None or self.worker.pid is None:
            time.sleep(0.001)
        os.kill(self.worker.pid, signal.SIGKILL)


class Storm:
    """Strikes a share of all requests with whatever fault the seed draws, retries included."""

    def __init__(self, crm: str, seed: int, share: float) -> None:
        self._random, self._share = random.Random(f"{crm} {seed}"), share
        self._kinds = [FaultPlan((rule,)).for_crm(crm) for rule in PLANTED.values()]

    def __call__(self, index: int, call: Call) -> Fault | None:
        if self._random.random() >= self._share:
            return None
        return self._random.choice(self._kinds)(index, call)


# --- the run ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One disturbed upsert.

    :param crm: the destination
    :param fault: a name in :data:`FAULTS`
    :param index: number of the request that is struck, from 0
    :param max_retries: of the connection; with 0 every fault reaches the task
    :param state_store: Airflow has a task state store
    :param settle_seconds: how often what is settled is made durable
    :param planned_before: a task before this one made the plan; this one only applies it
    """

    crm: str
    fault: str
    index: int
    max_retries: int = 0
    state_store: bool = True
    settle_seconds: float = 5.0
    planned_before: bool = False


@dataclass
class Outcome:
    """What became of a case; ``problems`` is empty when all is as it would have been."""

    case: Case
    tries: int
    lost: int
    duplicated: int
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Destination:
    """One CRM of the sandbox, whose memory can be put back to how it was."""

    def __init__(self, crm: str, folder: Path) -> None:
        self.crm, self.folder = crm, folder
        self.sandbox = Sandbox(people=0, limits=False).start()
        self.api = getattr(self.sandbox, crm)
        self.golden = folder / "golden.parquet"
        write_rows(str(self.golden), Lead, golden_people())
        self._runs = 0
        self._seed()
        self._kept = {name for name in vars(self.api.store) if name not in ("config", "clock", "tokens")}
        self._memory = pickle.dumps({name: vars(self.api.store)[name] for name in self._kept})
        self._undisturbed()

    def _seed(self) -> None:
        with patch.dict(os.environ, {f"AIRFLOW_CONN_{self.crm.upper()}_DEFAULT": self._connection(5)}):
            hook = get_leads_hook(f"{self.crm}_default")
            writable = sorted(hook.writable_fields())
            rows = [
                PlanRow(
                    email_key=str(lead.email),
                    action="create",
                    values={name: value for name in writable if (value := getattr(lead, name))},
                )
                for lead in people_before()
            ]
            results = list(hook.apply_plan(rows, **OPTIONS.get(self.crm, {}).get("write_options", {})))
            assert {result.outcome for result in results} == {"created"}
            hook.client.close()

    def _undisturbed(self) -> None:
        self.api.stats.reset()
        told = run_try(self.task())
        self.requests: int = self.api.stats.requests
        self.expected = by_address(records_in(self.crm, self.api.store))
        assert {name: told[name] for name in ("created", "updated", "unchanged", "suppressed")} == {
            "created": NEW, "updated": CHANGED, "unchanged": SAME, "suppressed": OPTED_OUT,
        }  # fmt: skip
        assert set(map(len, self.expected.values())) == {1}
        assert len(self.expected) == NEW + len(people_before())

    def _connection(self, max_retries: int) -> str:
        requests, seconds = QUOTAS[self.crm]
        # Said here, or the sandbox's headers would tell the client that there is no limit.
        extra = {"max_retries": max_retries, "timeout": 10, "rate_limit": requests, "rate_limit_period": seconds}
        given = {"conn_type": self.crm, "host": self.api.origin, "password": self.api.key, "extra": extra}
        return json.dumps(given)

    def task(self, case: Case | None = None) -> Task:
        """Return a task instance that nobody has tried yet."""
        case = case or Case(self.crm, "none", -1, max_retries=5)
        self._runs += 1
        folder = self.folder / f"run{self._runs}"
        folder.mkdir()
        return Task(
            conn_id=f"{self.crm}_default",
            connection=self._connection(case.max_retries),
            golden=str(self.golden),
            folder=folder,
            run_id=f"run{self._runs}",
            state_store=folder / "state.json" if case.state_store else None,
            settle_seconds=case.settle_seconds,
            arguments=OPTIONS.get(self.crm, {}),
        )

    def reset(self) -> None:
        """Put the CRM's memory back to how it was before the first upsert."""
        vars(self.api.store).update(pickle.loads(self._memory))
        self.api.faults = None
        self.api.stats.reset()

    def close(self) -> None:
        self.sandbox.stop()

    def meet(self, case: Case) -> Outcome:
        """Run a case: retried as Airflow would, until it succeeds."""
        self.reset()
        task = self.task(case)
        if case.planned_before:
            task = replace(task, plan=make_plan(task))
        if case.fault in KILLED:
            kill = Kill(case.index, KILLED[case.fault])
            self.api.faults = kill
            tries = self._tries_after_a_kill(task, kill)
            struck = kill.struck
        else:
            plan = FaultPlan((replace(PLANTED[case.fault], nth=(case.index + 1,)),))
            self.api.faults = plan.for_crm(self.crm)
            tries = self._tries(task)
            struck = bool(self.api.stats.faults)
        return self._judged(case, task, tries, struck)

    def weather(self, seed: int, share: float, **more: Any) -> Outcome:
        """Run an upsert of whose requests a share goes wrong, in every try."""
        self.reset()
        case = Case(self.crm, f"storm {seed}", -1, **more)
        task = self.task(case)
        self.api.faults = Storm(self.crm, seed, share)
        tries = self._tries(task, at_most=200)
        # Of few requests it may strike none.
        return self._judged(case, task, tries, struck=True)

    def _tries(self, task: Task, at_most: int = MAX_TRIES) -> int:
        for number in range(1, at_most + 1):
            try:
                run_try(task)
            except RETRIED:
                continue
            return number
        raise AssertionError(f"no success in {at_most} tries")

    def _tries_after_a_kill(self, task: Task, kill: Kill) -> int:
        kill.worker = start_worker(task)
        kill.worker.join()
        code = kill.worker.exitcode
        kill.worker.close()
        assert code in ((-signal.SIGKILL,) if kill.struck else (0, EXIT_RETRIED)), f"the worker ended with {code}"
        return 1 + self._tries(task, MAX_TRIES - 1)

    def _judged(self, case: Case, task: Task, tries: int, struck: bool) -> Outcome:
        self.api.faults = None
        store, problems = self.api.store, []
        held = by_address(records_in(self.crm, store))
        lost = len(self.expected.keys() - held.keys())
        duplicated = sum(len(profiles) > 1 for profiles in held.values())
        if not struck:
            problems.append("no request was struck")
        if held != self.expected:
            wrong = [address for address in self.expected if held.get(address) != self.expected[address]]
            problems.append(f"another end state: {wrong[:3]}, {sorted(held.keys() - self.expected.keys())[:3]}")
        problems += self._problems_of_results(task)
        if mail_caused(store):
            problems.append("an automation or a message was started")
        kept = {path.name for path in task.folder.iterdir() if path.suffix != ".parquet"}
        state = json.loads(task.state_store.read_text()) if task.state_store and task.state_store.exists() else {}
        if kept - {"state.json"} or state:
            problems.append(f"left behind: {sorted(kept)}")
        writes = self.api.stats.writes
        again = run_try(self.task())
        untouched = again["unchanged"] + again["suppressed"]
        if self.api.stats.writes != writes or untouched != NEW + CHANGED + SAME + OPTED_OUT:
            problems.append("another upsert wrote something")
        shutil.rmtree(task.folder)
        shutil.rmtree(self.folder / f"run{self._runs}")
        return Outcome(case, tries, lost, duplicated, problems)

    def _problems_of_results(self, task: Task) -> list[str]:
        results = list(read_rows(str(task.folder / f"{task.conn_id}.results.parquet"), WriteResult))
        settled = Counter(result.email_key for result in results)
        problems = []
        if settled != Counter(str(lead.email_key) for lead in golden_people()):
            problems.append("a golden row is not in exactly one outcome")
        outcomes = Counter(result.outcome for result in results)
        if outcomes["failed"] or outcomes["ambiguous"] or outcomes["suppressed"] != OPTED_OUT:
            problems.append(f"outcomes {dict(outcomes)}")
        return problems


@contextmanager
def destination(crm: str, folder: Path) -> Iterator[Destination]:
    """Serve one CRM for the tests of a module."""
    folder.mkdir(parents=True, exist_ok=True)
    with hurried():
        made = Destination(crm, folder)
        try:
            yield made
        finally:
            made.close()


def sample(of: int, size: int, seed: str) -> Sequence[int]:
    """Return the first and the last request and some in between, each seed others."""
    if of <= size:
        return range(of)
    inner = random.Random(seed).sample(range(1, of - 1), max(0, size - 2))
    return sorted({0, of - 1, *inner})
