"""The contract between the pipeline and a CRM."""

from __future__ import annotations

import math
import threading
from abc import abstractmethod
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pkgutil import resolve_name
from typing import Any, ClassVar, TypeVar

from airflow_providers_leads.get_provider_info import CRMS
from airflow_providers_leads.hooks.connected import ConnectedHook, fetch_connection
from airflow_providers_leads.hooks.erasing import Trail, erasures
from airflow_providers_leads.hooks.reading import LeadPage, Position
from airflow_providers_leads.hooks.settings import LeadsSettingsError, label_for
from airflow_providers_leads.hooks.writing import PASSED, Batch, Settled, batched, side_by_side
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsConflictError,
    LeadsNotFoundError,
    LeadsServerError,
    LeadsValidationError,
)
from airflow_providers_leads.leads.model.erasure import Erasure, checked_people
from airflow_providers_leads.leads.model.outcomes import Outcome, PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead

T = TypeVar("T")

# Errors that concern the records of one request; any other would meet the next request as well.
RECORD_ERRORS = (LeadsValidationError, LeadsConflictError, LeadsNotFoundError)
_SERVER_ERRORS_IN_A_ROW = 3
_MOST_THREADS = 8
_ROWS_PER_PAGE = 100


class LeadsHook(ConnectedHook):
    """Reads and writes the leads of one CRM.

    Subclasses give the class attributes, :meth:`iter_leads`, :meth:`find_leads`, :meth:`_create`, :meth:`_update` and
    :meth:`_probe`.

    :param conn_id: the Airflow connection
    """

    app: ClassVar[str]
    """Address of the CRM's own pages."""
    scope_keys: ClassVar[frozenset[str]] = frozenset()
    """What :meth:`iter_leads` may be narrowed by."""
    write_options: ClassVar[frozenset[str]] = frozenset()
    """What :meth:`apply_plan` takes besides the rows."""
    create_batch: ClassVar[int] = 1
    """Creates per request."""
    update_batch: ClassVar[int] = 1
    """Updates per request."""
    lookup_rows: ClassVar[int] = 0
    """Up to how many addresses asking for them one by one is less work than reading everything; 0: never."""
    settle_seconds: ClassVar[float] = 0.0
    """How long a change may take to be found by time; 0: :meth:`iter_leads` finds it at once."""
    overlap_seconds: ClassVar[float] = 300.0
    """How far successive reads by time should overlap, for clocks that differ and for what is found late."""
    writable_flags: ClassVar[frozenset[str]] = frozenset()
    """Which of ``opted_out`` and ``bounced`` this CRM can be told."""

    # What the pipeline uses -------------------------------------------------------------------------------------------

    @abstractmethod
    def iter_leads(self, *, updated_after: datetime | str | None = None, **scope: Any) -> Iterator[Lead]:
        """Yield the CRM's leads as they are read, a page in memory at a time.

        :param updated_after: only leads changed at or after this time, as far as the API can tell
        :param scope: narrows the read, see :attr:`scope_keys`
        """

    def lead_pages(
        self,
        *,
        updated_after: datetime | str | None = None,
        updated_before: datetime | str | None = None,
        position: Position | None = None,
        **scope: Any,
    ) -> Iterator[LeadPage]:
        """Yield what :meth:`iter_leads` does, page by page and with the position of each.

        :param updated_after: see :meth:`iter_leads`
        :param updated_before: only leads changed before this time, where the API can tell
            (:attr:`settle_seconds` above 0); otherwise newer ones are yielded as well
        :param position: of the page to start with, default the first; what it holds may be yielded again
        :param scope: narrows the read, see :attr:`scope_keys`
        :raises LeadsServerError: when the list ends before the number of rows that the API says it has
        """
        leads = self.iter_leads(updated_after=updated_after, **scope)
        return (LeadPage(chunk, {}) for chunk in chunked(leads, _ROWS_PER_PAGE))

    def check_read(self, **scope: Any) -> None:
        """Refuse a scope that names what the CRM doesn't have and would pass over in silence.

        :raises ValueError: naming it
        """
        self.check_scope(**scope)

    def scopes_to_read(self, **scope: Any) -> list[str] | None:
        """Return the parts into which the CRM divides leads and that a read covers, ``None`` where it doesn't."""
        return None

    def scope_of(self, parts: list[str], **scope: Any) -> dict[str, Any]:
        """Return a scope that is narrowed to some of :meth:`scopes_to_read`."""
        return dict(scope)

    @abstractmethod
    def find_leads(self, emails: Iterable[str], **scope: Any) -> Iterator[Lead]:
        """Yield the records that the CRM holds for these addresses, in the API's largest batches."""

    def writable_fields(self) -> frozenset[str]:
        """Return the lead fields that this CRM has a place for; may ask the API."""
        return frozenset()

    def blocked_domains(self) -> frozenset[str]:
        """Return the domains that the CRM is told never to contact."""
        return frozenset()

    def check_properties(self, names: Collection[str]) -> None:
        """Refuse custom properties that a plan can't write here, before the first write.

        :param names: as the CRM names them
        :raises ValueError: naming the property and what to do
        """
        if names:
            raise ValueError(
                f"{self.label}: properties: there is no place for {min(names)!r}; a plan writes {self.hook_name}'s "
                "standard fields only"
            )

    def write_cost(self, row: PlanRow) -> float:
        """Return what writing a plan row costs in API calls: a share of one where a call takes several."""
        return {"create": 1 / self.create_batch, "update": 1 / self.update_batch}.get(row.action, 0.0)

    @property
    def requests_per_second(self) -> float:
        """What the quota allows: the connection's, or what the vendor's headers told since."""
        limiter = self.client.limiters.get("default")
        limit, period = (limiter.limit, limiter.period) if limiter else self.quotas["default"]
        return limit / period

    def target_scope(self, **options: Any) -> str | None:
        """Return the one scope that a plan with these options is written to, ``None`` where a CRM has no scopes."""
        return None

    def scope_to_read(self, target_scope: str) -> dict[str, Any]:
        """Return the scope by which :meth:`iter_leads` reads just what :meth:`target_scope` names."""
        return {}

    def scope_to_write(self, target_scope: str) -> dict[str, Any]:
        """Return the write options that name just what :meth:`target_scope` does."""
        return {}

    def limits_left(self) -> list[str]:
        """Return what is left of each quota, one sentence each; may ask the API."""
        return [
            f"Quota {bucket}: {limiter.limit} requests per {limiter.period:g} s, {limiter.left()} left now."
            for bucket, limiter in self.client.limiters.items()
        ]

    def app_url(self, record_id: str | None = None) -> str:
        """Return where people see their leads in the CRM's own pages; may ask the API.

        :param record_id: of one lead, where the CRM's pages are known to have an address per lead; default the list
        """
        return self.app

    def check_scope(self, **scope: Any) -> None:
        """Refuse what :meth:`iter_leads` can't be narrowed by, before the first request.

        :raises ValueError: naming the key
        """
        if unknown := sorted(set(scope) - self.scope_keys):
            raise ValueError(
                f"{self.label}: unknown scope {unknown[0]!r}; {self.hook_name} knows {sorted(self.scope_keys)}"
            )

    def check_write_options(self, **options: Any) -> None:
        """Refuse options that are unknown or missing, before the first write.

        :raises ValueError: naming the option
        """
        if unknown := sorted(set(options) - self.write_options):
            raise ValueError(
                f"{self.label}: unknown write option {unknown[0]!r}; "
                f"{self.hook_name} knows {sorted(self.write_options)}"
            )

    def apply_plan(self, rows: Iterable[PlanRow], **options: Any) -> Iterator[WriteResult]:
        """Write a plan and yield one result per row, in the order in which they are settled.

        Creates and updates are gathered into the API's largest batches, which run side by side. An error that would
        meet every further request (key, permission, quota, host) ends it after the results of the rows in hand were
        yielded.

        :param rows: plan rows; ``unchanged`` and ``suppress`` rows pass through without a request
        :param options: of this CRM, see :attr:`write_options`
        :raises LeadsApiError: when going on makes no sense
        :raises ValueError: for an unknown or missing option, before the first request
        """
        settled = self.write_batches(self.batched(rows), **options)
        return (result for batch in settled for result in batch.results)

    def batched(self, rows: Iterable[PlanRow]) -> Iterator[Batch]:
        """Yield the rows of a plan in the batches in which this CRM takes them."""
        return batched(rows, {"create": self.create_batch, "update": self.update_batch})

    def write_batches(self, batches: Iterable[Batch], **options: Any) -> Generator[Settled, None, None]:
        """Write batches side by side and yield what became of each, in their order; otherwise as :meth:`apply_plan`.

        Close the generator if you leave it early: it returns when no request is under way any more.

        :param batches: from :meth:`batched`; they are taken one by one, as they can be sent
        """
        self.check_write_options(**options)
        return self._write_batches(batches, options)

    def _write_batches(self, batches: Iterable[Batch], options: Mapping[str, Any]) -> Generator[Settled, None, None]:
        self._prepare_writes(options)
        stop = threading.Event()
        fatal: LeadsApiError | None = None
        server_errors = 0

        def work(batch: Batch) -> Settled:
            if stop.is_set():
                return Settled([], sent=False)
            settled = self._settle(batch, options)
            if meets_all(settled.error):
                stop.set()
            return settled

        for settled in side_by_side(batches, work, self.write_threads, stop, _stumbled):
            server_errors = server_errors + 1 if isinstance(settled.error, LeadsServerError) else 0
            if fatal is None and (meets_all(settled.error) or server_errors >= _SERVER_ERRORS_IN_A_ROW):
                fatal = settled.error
                stop.set()
            # Also what was not sent: a thread may have begun the batch after it a moment earlier, and whoever counts
            # batches must not take the one for the other.
            yield settled
        if fatal is not None:
            raise fatal

    def _settle(self, batch: Batch, options: Mapping[str, Any]) -> Settled:
        results = list(batch.known)
        if batch.action == PASSED:
            return Settled([*results, *map(_passed, batch.rows)])
        write = {"create": self._create, "update": self._update}[batch.action]
        settled: set[str] = set()
        error: LeadsApiError | None = None
        try:
            for result in write(batch.rows, **options) if batch.rows else ():
                settled.add(result.email_key)
                results.append(result)
        except LeadsApiError as raised:
            error = raised
            results.extend(failed_result(row, raised) for row in batch.rows if row.email_key not in settled)
        return Settled(results, error)

    def _prepare_writes(self, options: Mapping[str, Any]) -> None:
        """Get ready for a plan, before threads share what is learnt here."""

    def repeats_quietly(self, **options: Any) -> bool:
        """Tell whether writing a value once more that a record has already does nothing, with these write options."""
        return True

    @property
    def write_threads(self) -> int:
        """How many batches are sent side by side: what the quota feeds while answers take a second."""
        limiter = self.client.limiters.get("default")
        return min(_MOST_THREADS, max(2, math.ceil(limiter.limit / limiter.period))) if limiter else 1

    def erase(
        self,
        email_keys: Iterable[str],
        *,
        dry_run: bool = False,
        block_addresses: bool = True,
        block_domains: bool = False,
    ) -> Iterator[Erasure]:
        """Remove people as far as the API can, and yield what was done, step by step; there is no way back.

        Every person is told of at least once. What fails is told of, too, and stops no other step; running it again
        does no harm.

        :param email_keys: addresses, in any spelling
        :param dry_run: true sends no write and yields what would be done
        :param block_addresses: true (default) bars the addresses where the CRM has a list of such (HubSpot)
        :param block_domains: true bars the domains too where the CRM has a list of such (PersistIQ), unless they are
            known as mail providers'; default false
        :raises ValueError: when there is nobody, or what is no address, before the first request
        """
        people = checked_people("email_keys", email_keys)
        trail = Trail(self, dry_run, block_addresses, block_domains)
        return erasures(trail, people, self._erase(trail, people))

    def _erase(self, trail: Trail, people: Mapping[str, str]) -> Iterator[Erasure]:
        """Take the steps of an erasure; ``people`` is email key → address as given."""
        raise NotImplementedError(f"{self.hook_name} has no erasure")

    @abstractmethod
    def _create(self, rows: list[PlanRow], **options: Any) -> Iterable[WriteResult]:
        """Create up to :attr:`create_batch` records and return one result per row."""

    @abstractmethod
    def _update(self, rows: list[PlanRow], **options: Any) -> Iterable[WriteResult]:
        """Update up to :attr:`update_batch` records by id and return one result per row."""


def meets_all(error: LeadsApiError | None) -> bool:
    """Tell whether an error would meet every further request as well."""
    return error is not None and not isinstance(error, (*RECORD_ERRORS, LeadsServerError))


def _stumbled(settled: Settled) -> bool:
    return settled.error is not None


def _passed(row: PlanRow) -> WriteResult:
    outcome: Outcome = "suppressed" if row.action == "suppress" else "unchanged"
    return WriteResult(email_key=row.email_key, outcome=outcome, target_id=row.target_id, reason=row.reason)


def failed_result(row: PlanRow, error: LeadsApiError) -> WriteResult:
    """Return the result of a row whose request ended in an error."""
    reason = ", ".join((error.category or type(error).__name__, *error.codes)) + (
        f": {error.words}" if error.words else ""
    )
    return WriteResult(
        email_key=row.email_key,
        outcome="ambiguous" if error.ambiguous else "failed",
        target_id=row.target_id,
        reason=reason,
        request_id=error.request_id,
        refused=isinstance(error, RECORD_ERRORS) and not error.ambiguous,
    )


def refuse_properties(
    label: str, names: Iterable[str], known: Mapping[str, bool], ours: Collection[str], how: str
) -> None:
    """Refuse custom properties that a CRM would refuse a whole record for.

    :param label: names the connection
    :param names: the properties that are to be written
    :param known: those that there are, and whether they can be written
    :param ours: those that hold a lead field or the address
    :param how: how to make one
    :raises ValueError: naming the property
    """
    for name in names:
        if name in ours:
            raise ValueError(f"{label}: properties: {name!r} is written from a lead field already; leave it out")
        if name not in known:
            raise ValueError(f"{label}: properties: there is no {name!r}. {how}")
        if not known[name]:
            raise ValueError(f"{label}: properties: {name!r} can only be read; leave it out")


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to ``size`` items, in order."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def require(name: str, value: object) -> None:
    """Refuse an empty argument before any request.

    :raises ValueError: naming the argument
    """
    if value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, Sequence) and not value):
        raise ValueError(f"{name} must not be empty")


def get_leads_hook(conn_id: str) -> LeadsHook:
    """Return the hook of the CRM that a connection belongs to.

    :param conn_id: an Airflow connection of one of the three types
    :raises AirflowNotFoundException: when there is no such connection
    :raises LeadsSettingsError: when it is of another type
    """
    conn = fetch_connection(conn_id)
    known = [crm["conn_type"] for crm in CRMS]
    if conn.conn_type not in known:
        raise LeadsSettingsError(
            f"{label_for(conn_id)} is of type '{conn.conn_type}', which is no lead CRM. Use one of: {', '.join(known)}."
        )
    hook = conn.get_hook()  # type: ignore[no-untyped-call]
    if not isinstance(hook, LeadsHook):
        raise LeadsSettingsError(
            f"{label_for(conn_id)}: another package has registered the connection type '{conn.conn_type}'. "
            "Uninstall it, or use the hook of this package by its class."
        )
    return hook


def all_scope_keys() -> frozenset[str]:
    """Return every key by which any of the CRMs can be narrowed."""
    return frozenset().union(*(resolve_name(crm["hook"]).scope_keys for crm in CRMS))
