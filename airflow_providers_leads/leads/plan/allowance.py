"""How many leads may still join campaigns of an account today, whoever adds them: other runs, tries and DAGs.

Each task writes down whom it is about to add before it adds them, and only then counts what all have written down. So
two tasks at once may add too few, never too many, and a task that was killed counts with all that it may have added.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

import msgspec

from airflow_providers_leads.leads.files.places import files_below, remove
from airflow_providers_leads.leads.files.staging import StagingError, appearing, as_path

# A killed task may have been at work past midnight.
_OPEN: Final = timedelta(days=1)
# No claim that counts can have begun earlier.
_COUNTED: Final = timedelta(days=3)
_KEPT: Final = timedelta(days=8)
_TURNS: Final = 5
_ENDING: Final = ".json"


class Claim(msgspec.Struct, kw_only=True):
    """Whom one task adds to campaigns.

    :param at: when it began
    :param until: when it was done, ``None``: it is at work, or was killed
    :param lead_ids: whom it has added, or is about to
    """

    at: datetime
    until: datetime | None = None
    lead_ids: list[str] = []


class Allowance:
    """The share that one task has of an account's day.

    :param folder: where the account's claims are, the same for all tasks that share its days
    :param owner: tells the task from all others, and is the same in each of its tries
    :param day: time zone whose midnight begins a day
    :param clock: returns the present, aware
    :param sleep: waits for some seconds
    """

    def __init__(
        self,
        folder: Any,
        owner: str,
        *,
        day: tzinfo = UTC,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._owner, self._day = as_path(folder), owner, day
        self._clock, self._sleep = clock, sleep
        self._began = self._now()
        self._mine: list[str] = []
        self._recalled: Mapping[str, None] = {}

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)

    @property
    def claimed(self) -> int:
        """How many this task has added or is about to, in all its tries."""
        return len(self._mine)

    def foresee(self, lead_ids: Sequence[str], run: int | None, day: int | None) -> list[str]:
        """Return what :meth:`claim` would, of which nothing is written down."""
        claims = [*self._counted()]
        again, more = self._recall(lead_ids, claims)
        chosen = more[: self._room(claims, run, day)]
        self._mine += chosen
        return [*again, *chosen]

    def claim(self, lead_ids: Sequence[str], run: int | None, day: int | None) -> list[str]:
        """Write down whom the task is about to add, and return them: as many of the first as the caps allow.

        Whom an earlier try of the task has written down stays counted, and isn't counted again.

        :param lead_ids: who shall join
        :param run: most that this task adds in all its tries, ``None``: any number
        :param day: most of a day, ``None``: any number, which are counted for those tasks that have a cap
        :raises StagingError: when it can't be written down: then nobody may be added
        """
        claims = [*self._counted()]
        again, more = self._recall(lead_ids, claims)
        earlier = [name for name, _ in claims if self._is_mine(name) and name != self._name]
        for turn in range(_TURNS):
            chosen = more[: self._room(claims, run, day)]
            self._write([*self._mine, *chosen])
            claims = [*self._counted()]
            room = self._room(claims, run, day)
            if room is None or len(chosen) <= room:
                break
            # Another task has looked at the same time, and steps back as well: the first to look again takes what is
            # left.
            chosen = chosen[:room]
            self._write([*self._mine, *chosen])
            if turn < _TURNS - 1:
                self._sleep(random.uniform(0.2, 1.5))
                claims = [*self._counted()]
        for name in earlier:
            remove(self._folder / name)
        self._mine += chosen
        return [*again, *chosen]

    def _recall(self, lead_ids: Sequence[str], claims: Sequence[tuple[str, Claim]]) -> tuple[list[str], list[str]]:
        """Return who was written down by an earlier try, and who wasn't."""
        own = (one for name, claim in claims if self._is_mine(name) for one in claim.lead_ids)
        known = dict.fromkeys(own)
        self._mine, self._recalled = [*known], known
        return [one for one in lead_ids if one in known], [one for one in lead_ids if one not in known]

    def _room(self, claims: Sequence[tuple[str, Claim]], run: int | None, day: int | None) -> int | None:
        """Return how many more may join, ``None``: any number."""
        others = sum(len(claim.lead_ids) for name, claim in claims if not self._is_mine(name))
        rooms = [most - taken - len(self._mine) for most, taken in ((run, 0), (day, others)) if most is not None]
        return max(0, min(rooms)) if rooms else None

    def settle(self, failed: Sequence[str], were_in: Sequence[str] = ()) -> None:
        """Write down that the task is done.

        :param failed: who certainly has not joined, of those that :meth:`claim` returned
        :param were_in: who was there before; it may be that an earlier try of this task has added them
        """
        missed = {*failed, *(one for one in were_in if one not in self._recalled)}
        self._write([one for one in self._mine if one not in missed], until=self._now())

    @property
    def _name(self) -> str:
        return f"{self._began:%Y-%m-%d}.{self._owner}{_ENDING}"

    def _is_mine(self, name: str) -> bool:
        return name.partition(".")[2] == f"{self._owner}{_ENDING}"

    def _write(self, lead_ids: list[str], until: datetime | None = None) -> None:
        claim = Claim(at=self._began, until=until, lead_ids=lead_ids)
        with appearing(self._folder / self._name) as part:
            part.write_bytes(msgspec.json.encode(claim))

    def _counted(self) -> Iterator[tuple[str, Claim]]:
        """Yield the claims that count today by the names of their files, and remove those that never will again."""
        now = self._now()
        midnight = now.astimezone(self._day).replace(hour=0, minute=0, second=0, microsecond=0)
        for path in files_below(self._folder):
            name = str(path.name)
            date = name.partition(".")[0]
            if not name.endswith(_ENDING) or date < f"{now - _COUNTED:%Y-%m-%d}":
                if name.endswith(_ENDING) and date < f"{now - _KEPT:%Y-%m-%d}":
                    remove(path)
                continue
            with suppress(FileNotFoundError):
                claim = self._read(path)
                if claim.until >= midnight if claim.until else claim.at >= midnight - _OPEN:
                    yield name, claim

    @staticmethod
    def _read(path: Any) -> Claim:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Claim)
        except msgspec.MsgspecError:
            raise StagingError(
                f"{path} can't be read as a note of who joined a campaign. Restore it; or remove it, and the leads of "
                "its run don't count for the day."
            ) from None
