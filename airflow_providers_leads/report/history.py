"""What earlier runs came to: one small file per run beside the reports, so that a re-run replaces its own.

One file each, not lines of a common one: object stores can't append, and two runs that end at once lose nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from airflow_providers_leads.leads.files.staging import as_path
from airflow_providers_leads.report.page import write_text

FOLDER: Final = "history"
_UNSAFE: Final = re.compile(r"[^\w.+=@-]+")


class Entry(msgspec.Struct, kw_only=True):
    """What is kept of a run: counts, never a person.

    :param kind: ``sync`` or ``metrics``
    :param at: aware time that the run stands for; with ``run_id`` it names the entry
    :param status: ``ok``, ``problem``, ``planned`` (nothing was to be written) or ``rejected``
    :param summary: one sentence
    :param report: name of the report's file, beside the folder of the entries
    :param outcomes: outcome → leads, over all destinations that were written to
    :param planned: the same of those that were planned only
    :param reasons: reason → leads that were left out for it; ``None`` in entries of older versions
    """

    kind: str
    dag_id: str
    run_id: str
    at: datetime
    status: Literal["ok", "problem", "planned", "rejected"]
    summary: str
    report: str = ""
    leads: int = 0
    people: int = 0
    rejects: int = 0
    conflicts: int = 0
    requests: int = 0
    outcomes: dict[str, int] = {}
    reasons: dict[str, int] | None = None
    planned: dict[str, int] = {}

    @property
    def counts(self) -> Counter[str]:
        """Outcomes that happened, others as 0; earlier versions counted those of a dry run among them."""
        return Counter() if self.status == "planned" else Counter(self.outcomes)


def entry_name(at: datetime, run_id: str) -> str:
    """Return the name of a run's entry: in the order of time, and the same whenever the run is repeated."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S%f}.{_UNSAFE.sub('_', run_id)}.json"


def keep(folder: Any, entry: Entry) -> None:
    """Write down what a run came to.

    :param folder: URI or path object of the reports
    """
    # A pendulum time is a datetime to everybody but msgspec.
    text = msgspec.json.encode(entry, enc_hook=datetime.isoformat).decode()
    write_text(as_path(folder) / FOLDER / entry_name(entry.at, entry.run_id), text)


def recent(folder: Any, most: int, *, until: datetime | None = None) -> list[Entry]:
    """Return the last runs, the oldest first; what is no entry is passed over.

    :param folder: URI or path object of the reports
    :param most: how many
    :param until: only runs before this time
    """
    place = as_path(folder) / FOLDER
    try:
        names = sorted(path.name for path in place.iterdir() if path.name.endswith(".json"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    if until is not None:
        # Names begin with the time.
        names = [name for name in names if name < entry_name(until, "")]
    entries: list[Entry] = []
    for name in reversed(names):
        if len(entries) == most:
            break
        try:
            entries.append(msgspec.json.decode((place / name).read_bytes(), type=Entry))
        except (msgspec.MsgspecError, OSError):
            continue
    return entries[::-1]
