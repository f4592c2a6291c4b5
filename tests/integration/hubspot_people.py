"""People who edit, make, merge and delete HubSpot contacts while somebody reads them, and what a read may show then."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import requests

from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.sandbox import Sandbox

OBJECTS = "/crm/objects/2026-03/contacts"
NEVER, FOR_EVER = float("-inf"), float("inf")


@dataclass
class State:
    """What a contact held for a while, as far as it can be known from outside.

    :param city: its city, ``None``: it was gone
    :param since: when it began at the earliest and at the latest
    """

    city: str | None
    since: tuple[float, float]


@dataclass
class People(AbstractContextManager["People"]):
    """Act at random until the block ends.

    :param sandbox: has the account
    :param keys: each with a quota of its own
    :param seed: of the dice
    :ivar refused: requests of theirs for which their quota had no room
    """

    sandbox: Sandbox
    keys: Sequence[str]
    seed: int
    lives: dict[str, list[State]] = field(default_factory=lambda: defaultdict(list))
    acts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    refused: int = 0

    def __post_init__(self) -> None:
        self._dice, self._stop = random.Random(self.seed), threading.Event()
        self._session = requests.Session()
        for contact in self.sandbox.hubspot.store.contacts.values():
            self.lives[str(contact.id)] = [State(contact.properties["city"], (NEVER, NEVER))]
        self._thread = threading.Thread(target=self._live)
        self._failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join()
        self._session.close()
        if self._failed:
            raise self._failed

    def _live(self) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                number += 1
                act = self._dice.choice((*[self.edit] * 5, self.make, self.merge, self.archive, self.erase))
                act(number)
                self.acts[act.__name__] += 1
        except BaseException as error:
            self._failed = error

    def _some(self) -> str:
        known = list(self.lives)
        while self.lives[one := self._dice.choice(known)][-1].city is None:
            pass
        return one

    def _send(self, method: str, path: str, body: Any = None) -> tuple[Any, tuple[float, float]]:
        url = self.sandbox.hubspot.origin + OBJECTS + path
        while True:
            signed, sent = {"Authorization": f"Bearer {self._dice.choice(self.keys)}"}, time.time()
            answer = self._session.request(method, url, json=body, headers=signed, timeout=10)
            if answer.status_code != 429:
                assert answer.ok, answer.text
                return answer.json() if answer.content else None, (sent, time.time())
            # A fast machine's people have spent this key's quota.
            self.refused += 1
            time.sleep(0.05)

    def edit(self, number: int) -> None:
        one, city = self._some(), f"Edited {number}"
        _, at = self._send("PATCH", f"/{one}", {"properties": {"city": city}})
        self.lives[one].append(State(city, at))

    def make(self, number: int) -> None:
        city = f"Made {number}"
        made, at = self._send("POST", "", {"properties": {"email": f"made{number}@people.example", "city": city}})
        self.lives[str(made["id"])].append(State(city, at))

    def merge(self, number: int) -> None:
        primary, other = self._some(), self._some()
        if primary != other:
            _, at = self._send("POST", "/merge", {"primaryObjectId": primary, "objectIdToMerge": other})
            self.lives[other].append(State(None, at))

    def archive(self, number: int) -> None:
        one = self._some()
        self.lives[one].append(State(None, self._send("DELETE", f"/{one}")[1]))

    def erase(self, number: int) -> None:
        one = self._some()
        self.lives[one].append(State(None, self._send("POST", "/gdpr-delete", {"objectId": one})[1]))

    def wrong(self, leads: Iterable[Lead], begun: float, ended: float) -> list[str]:
        """Return what a read shows that was so at no moment of it, and whom it lacks who was there all the time."""
        found: list[str] = []
        seen: set[str] = set()
        for lead in leads:
            one = lead.source_id
            states = [*self.lives[one], State(None, (FOR_EVER, FOR_EVER))]
            held = [
                state.city for state, after in pairwise(states) if state.since[0] <= ended and after.since[1] >= begun
            ]
            if lead.city not in held or lead.city is None:
                found.append(f"{one}: {lead.city} instead of {held}")
            if one in seen:
                found.append(f"{one}: twice")
            seen.add(one)
        for one, states in self.lives.items():
            died = [state.since[0] for state in states if state.city is None]
            if states[0].since[1] < begun and not any(at <= ended for at in died) and one not in seen:
                found.append(f"{one}: missing")
        return found
