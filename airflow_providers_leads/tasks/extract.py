"""The work of the extract: a CRM's leads into a file, so that a try that was killed is taken up by the next."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import msgspec
import pendulum
import pyarrow as pa

from airflow_providers_leads.hooks.arguments import items
from airflow_providers_leads.hooks.reading import record_batch
from airflow_providers_leads.hooks.telemetry import count_rows
from airflow_providers_leads.leads.files.ahead import read_ahead
from airflow_providers_leads.leads.files.parts import Parts
from airflow_providers_leads.leads.files.provenance import accounts_metadata
from airflow_providers_leads.leads.memory.watermarks import Round, plan_round
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.tasks.paths import storage_path
from airflow_providers_leads.tasks.progress import Progress, phase

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.hooks.reading import LeadPage
    from airflow_providers_leads.tasks.checkpoint import Checkpoint

# Handled together: Arrow waits for the interpreter after each step, so steps are to be few and long.
_PAGES_AHEAD: Final = 20
# What is read is made durable this often: so much is read once more after a kill.
_DURABLE_SECONDS: Final = 15.0
_DURABLE_ROWS: Final = 10_000
# What an older try has read may have changed a good deal since.
_GOES_ON_WITHIN: Final = timedelta(days=1)


def extract(
    hook: LeadsHook,
    uri: str,
    *,
    scope: Mapping[str, Any],
    log: Any,
    reads: Round | None = None,
    checkpoint: Checkpoint | None = None,
) -> dict[str, Any]:
    """Read a CRM's leads into a file and return what is worth knowing of it.

    :param hook: of the CRM
    :param uri: the file
    :param scope: narrows the read
    :param log: the task's logger
    :param reads: what to read; default everything within the scope
    :param checkpoint: of the task; with it a retry goes on from the last durable part
    :raises LeadsServerError: when a list ends before the number of rows that the CRM says it has
    """
    if reads is None:
        nothing = timedelta()
        reads = plan_round(None, pendulum.now("UTC"), scope=scope, settle=nothing, overlap=nothing)
    work = _Reading(hook, uri, reads, checkpoint, log)
    try:
        with phase(log, f"Read the leads of {hook.conn_id}"):
            work.run()
    except Exception:
        # A kill leaves it at the last part, but whoever can still write loses nothing.
        with suppress(Exception):
            work.make_durable()
        raise
    finally:
        if checkpoint is None:
            work.parts.discard()
    log.info("Read %d leads from %s, %d of them without a usable address", work.rows, hook.conn_id, work.rejects)
    # What an earlier try has read was counted by that one.
    count_rows(hook.conn_type, {"read": work.rows - work.rows_before})
    return {
        "uri": uri,
        "rows": work.rows,
        "watermark": reads.watermark.at,
        "conn_id": hook.conn_id,
        "source": hook.conn_type,
        "account": hook.known_account,
        # Where properties are read by name, the absence of others says nothing.
        "narrows_properties": "properties" in hook.scope_keys,
        # Further properties make a read richer, not smaller.
        "complete": reads.full and not set(scope) - {"properties"},
        "properties": items("properties", scope["properties"], split=True) if scope.get("properties") else [],
        "rejects": work.rejects,
        "since": next((read.since for read in reads.reads if read.since), None),
        "parts": dict(work.by_part),
    }


class _Reading:
    """How far the reads of a run have come: pages in memory, and parts of the file that a retry finds again."""

    def __init__(self, hook: LeadsHook, uri: str, reads: Round, checkpoint: Checkpoint | None, log: Any) -> None:
        self._hook, self._reads, self._checkpoint, self._log = hook, reads.reads, checkpoint, log
        owner = checkpoint.owner if checkpoint else uuid4().hex[:12]
        metadata = accounts_metadata({hook.conn_id: [hook.known_account]})
        self.parts: Parts[Lead] = Parts(storage_path(uri), Lead, owner, metadata=metadata)
        self.rows = self.rejects = 0
        self.by_part: Counter[str] = Counter()
        self._waiting = 0
        self._at: tuple[int, Mapping[str, Any]] | None = None
        self._known: set[tuple[str, str]] = set()
        self.rows_before = 0
        """Of the rows, those that earlier tries have read."""
        self._durable = time.monotonic()

    def run(self) -> None:
        """Read, and write the file."""
        start, position = self._taken_up()
        self._progress = Progress(self._log, f"{self._hook.conn_id}: read", done=self.rows)
        for number, read in enumerate(self._reads[start:], start):
            pages = self._hook.lead_pages(
                updated_after=read.since, updated_before=read.until, position=position, **read.scope
            )
            position = None
            for found in read_ahead(pages, _PAGES_AHEAD):
                self._take(number, found)
        if self._waiting:
            self.parts.append()
        self.parts.assemble()
        if self._checkpoint is not None:
            self._checkpoint.clear()
            self.parts.discard()

    def _taken_up(self) -> tuple[int, Mapping[str, Any] | None]:
        """Return the read and the page to go on with; the first ones unless an earlier try has left parts."""
        done = (self._checkpoint.state if self._checkpoint else {}).get("extracted")
        if not done:
            return 0, None
        self.parts.count = int(done["parts"])
        if not self.parts.complete():
            self._log.warning("%s: parts of what was read are gone, reading from the start", self._hook.conn_id)
            self.parts.count = 0
            return 0, None
        self.rows = self.rows_before = int(done["rows"])
        self.rejects, self.by_part = int(done["rejects"]), Counter(done["by_part"])
        # The page is asked for again, and by now others may have moved to it.
        self._known = {(lead.source_scope, lead.source_id) for lead in self.parts}
        self._log.info("%s: going on after %d leads that an earlier try has read", self._hook.conn_id, self.rows)
        return int(done["read"]), done["position"]

    def _take(self, number: int, pages: Sequence[LeadPage]) -> None:
        batch, known = record_batch(pages), self._known
        if batch is not None and not (known and known.intersection(_identities(batch))):
            self._add(batch, (number, pages[-1].position))
        else:
            for page in pages:
                leads = [lead for lead in page.leads if (lead.source_scope, lead.source_id) not in known]
                self._add(leads, (number, page.position))
        if self._waiting >= _DURABLE_ROWS or time.monotonic() - self._durable >= _DURABLE_SECONDS:
            self.make_durable()
        self._progress.at(self.rows)

    def _add(self, leads: Sequence[Lead] | pa.RecordBatch, at: tuple[int, Mapping[str, Any]]) -> None:
        # What can't be written is no place to go on from, nor what was added before it.
        self._at = None
        self.parts.add(leads)
        scopes, rejects = _tally(leads)
        self._waiting += scopes.total()
        self.rows += scopes.total()
        self.rejects += rejects
        self.by_part.update(scopes)
        self._at = at

    def make_durable(self) -> None:
        """Write what waits into a part, and note the page that it ends with."""
        self._durable = time.monotonic()
        if not self._waiting or self._at is None:
            return
        (read, position), self._at = self._at, None
        self.parts.append()
        self._waiting = 0
        if self._checkpoint is None:
            return
        self._checkpoint.note(
            extracted={
                "parts": self.parts.count,
                "read": read,
                "position": dict(position),
                "rows": self.rows,
                "rejects": self.rejects,
                "by_part": dict(self.by_part),
            }
        )


def _identities(batch: pa.RecordBatch) -> Iterator[tuple[str, str]]:
    return zip(batch.column("source_scope").to_pylist(), batch.column("source_id").to_pylist(), strict=True)


def _tally(leads: Sequence[Lead] | pa.RecordBatch) -> tuple[Counter[str], int]:
    """Return how many leads there are of each scope, and how many have no usable address."""
    if not isinstance(leads, pa.RecordBatch):
        return Counter(lead.source_scope for lead in leads), sum(lead.email_key is None for lead in leads)
    counted = leads.column("source_scope").value_counts().to_pylist()
    return Counter({each["values"]: each["counts"] for each in counted}), leads.column("email_key").null_count


def frozen_round(checkpoint: Checkpoint | None, asked: str, plan: Any) -> Round:
    """Return what an interrupted try was reading, unless it is long ago or asked for otherwise; else a new round.

    :param checkpoint: of the task
    :param asked: tells whether it is the same question
    :param plan: makes a new round
    """
    now = pendulum.now("UTC")
    if checkpoint is None:
        return plan()  # type: ignore[no-any-return]
    begun = datetime.fromisoformat(checkpoint.state.get("round_at") or "1970-01-01T00:00:00Z")
    if checkpoint.state.get("round_of") == asked and now - pendulum.instance(begun) <= _GOES_ON_WITHIN:
        return msgspec.convert(checkpoint.state["round"], Round)
    checkpoint.clear()
    made: Round = plan()
    checkpoint.note(round=msgspec.to_builtins(made), round_of=asked, round_at=now.isoformat())
    return made
