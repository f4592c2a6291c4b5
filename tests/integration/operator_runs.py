"""One run of each operator over real HTTP: what it is given, what must have become of it, which routes it took.

A case is a generator: it yields arguments, receives what the operator returned, checks that and the stand-in's memory,
and may go on with further arguments. What goes to a file by `output` is read back, and the case receives its rows.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from airflow_providers_leads.operators.endpoint import BatchOperator, EndpointOperator, RowsOperator
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.hubspot.store import Contact
from airflow_providers_leads.sandbox.persistiq.store import Lead
from airflow_providers_leads.sandbox.perspective.store import Funnel
from airflow_providers_leads.sandbox.server import Api

Case = Callable[["World"], Generator[dict[str, Any], Any, None]]
CASES: dict[type[EndpointOperator], Case] = {}
# Fast, and with a single retry a fault of the stand-in itself shows.
EXTRA = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 1}


def case(operator: type[EndpointOperator]) -> Callable[[Case], Case]:
    """Enter a case into the table."""

    def enter(function: Case) -> Case:
        assert operator not in CASES
        CASES[operator] = function
        return function

    return enter


def connection(api: Api, **changes: Any) -> str:
    """Return an Airflow connection to a stand-in."""
    given = {"conn_type": api.name, "host": api.origin, "password": api.key, "extra": EXTRA, **changes}
    return json.dumps(given)


class World:
    """The stand-ins' memories, and fresh records: no case meets what another one changed."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.hubspot = sandbox.hubspot.store
        self.perspective = sandbox.perspective.store
        self.persistiq = sandbox.persistiq.store
        self._numbers = itertools.count(1)

    def number(self) -> int:
        return next(self._numbers)

    def email(self) -> str:
        return f"run{self.number()}@runs.example"

    def emails(self, count: int) -> list[str]:
        return [self.email() for _ in range(count)]

    def contacts(self, count: int, **properties: str) -> list[Contact]:
        """Put contacts into the HubSpot account."""
        made = ({"email": email, "firstname": "Ann", **properties} for email in self.emails(count))
        return [self.hubspot.plan_create(values).commit() for values in made]

    def neighbour(self, kind: str) -> int:
        """Return the id of a HubSpot record of another type."""
        found: int = min(self.hubspot.neighbours[kind])
        return found

    def linked(self, kind: str, types: set[tuple[str, int]]) -> tuple[Contact, int]:
        """Return a HubSpot contact and a record that it is associated with."""
        [contact], other = self.contacts(1), self.neighbour(kind)
        self.hubspot.link(("contacts", contact.id), (kind, other), types)
        return contact, other

    def links(self, contact: Contact | str, kind: str) -> dict[int, set[int]]:
        """Return what a HubSpot contact is associated with: record id → association type ids."""
        contact_id = contact.id if isinstance(contact, Contact) else int(contact)
        found = self.hubspot.links.get(("contacts", contact_id), {})
        return {number: {t for _, t in types} for (name, number), types in found.items() if name == kind}

    @property
    def funnel(self) -> Funnel:
        """The Perspective funnel with the most contacts."""
        found: Funnel = max(self.perspective.funnels.values(), key=lambda funnel: len(funnel.contacts))
        return found

    def visitor(self) -> dict[str, Any]:
        """Put a contact into the funnel."""
        contact = {"id": self.perspective.next_id(), "status": "new", "email": self.email(), "meta": {}}
        contact |= {"utmParams": {}, "properties": {}}
        self.funnel.add(contact)
        return contact

    def leads(self, count: int) -> list[Lead]:
        """Put leads into the PersistIQ company."""
        now = self.persistiq.clock.now()
        made = [Lead(self.persistiq.next_id("l"), "new", {"email": e}, now, now) for e in self.emails(count)]
        for lead in made:
            self.persistiq.add(lead)
        return made


class Ledger:
    """Runs each operator once and keeps the routes it took."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._taken: dict[type[EndpointOperator], Counter[str]] = {}
        self._endings = itertools.cycle((".parquet", ".jsonl"))

    def routes(self, operator: type[EndpointOperator]) -> Counter[str]:
        """Return the routes that an operator took, as `METHOD path`, with how often."""
        if operator not in self._taken:
            self._taken[operator] = Counter()
            self._run(operator)
        return self._taken[operator]

    def _run(self, operator: type[EndpointOperator]) -> None:
        steps = CASES[operator](self.world)
        arguments = next(steps)
        while True:
            returned = self._execute(operator, arguments)
            try:
                arguments = steps.send(returned)
            except StopIteration:
                return

    def _execute(self, operator: type[EndpointOperator], arguments: dict[str, Any]) -> Any:
        to_file = issubclass(operator, BatchOperator) or (
            operator.hands_over == RowsOperator.hands_over and operator.method.startswith(("list_", "search_"))
        )
        path = self.world.folder / f"{operator.__name__}{self.world.number()}{next(self._endings)}"
        output: dict[str, Any] = {"output": f"file://{path}"} if to_file else {}
        with routes_taken(self.world.sandbox, self._taken[operator]):
            returned = operator(task_id="t", **arguments, **output).execute({})
        json.dumps(returned)  # XCom takes it
        if not to_file:
            return returned
        rows = list(read_rows(path))
        assert returned["uri"] == output["output"]
        if operator.hands_over == RowsOperator.hands_over:
            assert returned == {"uri": output["output"], "rows": len(rows)}
        else:
            assert [row["index"] for row in rows] == list(range(len(rows)))
            assert returned["succeeded"] == sum(row["ok"] for row in rows) == len(rows)
        return rows


@contextmanager
def routes_taken(sandbox: Sandbox, into: Counter[str]) -> Iterator[None]:
    """Add the routes that are taken within a block to a counter."""

    def so_far() -> Counter[str]:
        return sum((Counter(api.stats.by_route) for api in sandbox.apis), Counter())

    before = so_far()
    try:
        yield
    finally:
        into.update(so_far() - before)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of either kind, nested values as such."""
    if path.suffix == ".jsonl":
        yield from map(json.loads, path.read_text().splitlines())
        return
    for row in pq.read_table(path).to_pylist():
        yield {name: _unpacked(value) for name, value in row.items()}


def _unpacked(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value
