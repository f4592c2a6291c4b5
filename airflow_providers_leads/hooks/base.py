"""The contract between the pipeline and a CRM: all that a CRM must give, may give, and gets.

``docs/own_crm.md`` builds a CRM by it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pkgutil import resolve_name
from typing import Any, ClassVar, NamedTuple

from airflow_providers_leads.hooks.arguments import refuse_properties, refuse_unknown, require
from airflow_providers_leads.hooks.batches import chunked
from airflow_providers_leads.hooks.campaigns import Campaigns, Lists
from airflow_providers_leads.hooks.connected import ConnectedHook, fetch_connection
from airflow_providers_leads.hooks.erasing import Subject, Trail, erasures
from airflow_providers_leads.hooks.reading import LeadPage, Position
from airflow_providers_leads.hooks.registry import crms
from airflow_providers_leads.hooks.settings import LeadsSettingsError, label_for
from airflow_providers_leads.hooks.streams import Poll, Stream
from airflow_providers_leads.hooks.writing import (
    RECORD_ERRORS,
    Batch,
    Settled,
    batched,
    failed_result,
    meets_all,
    write_side_by_side,
)
from airflow_providers_leads.leads.model.erasure import Erasure, checked_people
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.property_types import PropertyTypes

__all__ = [
    "RECORD_ERRORS", "LeadsHook", "Parts", "all_scope_keys", "chunked", "failed_result", "get_leads_hook", "hook_class",
    "is_divided", "meets_all", "refuse_properties", "require",
]  # fmt: skip

_ROWS_PER_PAGE = 100


class Parts(NamedTuple):
    """How a CRM is divided, if it is: every lead belongs to one part, and is read and written there.

    :param scope_key: what names parts in a scope, a list of their ids; ``None``: the CRM is not divided
    :param write_option: what names the one part that a plan is written to
    """

    scope_key: str | None = None
    write_option: str | None = None

    def to_read(self, parts: list[str]) -> dict[str, Any]:
        """Return the scope by which :meth:`LeadsHook.iter_leads` reads just these parts."""
        return {self.scope_key: parts} if self.scope_key else {}

    def to_write(self, part: str) -> dict[str, Any]:
        """Return the write options that name just this part."""
        return {self.write_option: part} if self.write_option else {}


class LeadsHook(ConnectedHook):
    """Reads and writes the leads of one CRM.

    **Required** of a subclass: :meth:`iter_leads`, :meth:`find_leads`, :meth:`create_rows`, :meth:`update_rows` and
    :meth:`probe`; the attributes :attr:`app` and :attr:`asset_path`, and those of
    :class:`~airflow_providers_leads.hooks.connected.ConnectedHook` without a default.

    **Optional** is the rest. What a CRM loses that leaves it out:

    ==================================================  ==============================================================
    left out                                            what that means
    ==================================================  ==============================================================
    :meth:`lead_pages`                                  a read that was killed begins anew instead of at its last page
    :attr:`settle_seconds`                              what changes during a read by time comes twice
    :attr:`scope_keys`, :meth:`check_read`              reads can't be narrowed
    :attr:`lookup_rows`                                 a plan reads all that the CRM holds, however few it is for
    :meth:`leads_by_id`                                 of a few people that are looked up, a record whose address has
                                                        changed is not found
    :attr:`create_batch`, :attr:`update_batch`          a request for each record
    :meth:`writable_fields`                             records are created with their address only and never updated
    :attr:`writable_flags`                              opt-outs of other CRMs are not pushed here
    :meth:`check_properties`                            plans write no custom properties
    :attr:`lead_fields`, :attr:`explicit_fields`        a plan's ``fields`` know lead fields by their own names only
    :attr:`owners`                                      a plan's ``fields`` can't name an owner
    :meth:`property_types`                              values are written and compared as text
    :meth:`blocked_domains`                             only the opt-outs of leads themselves suppress a write
    :attr:`write_options`, :meth:`check_write_options`  writes know no options
    :attr:`parts`                                       the account is one whole; else give :meth:`scopes_to_read` and
                                                        :meth:`target_scope` as well
    :meth:`write_cost`                                  a plan's cost is counted as one call per batch
    :meth:`repeats_quietly`                             an update in doubt is sent once more after a kill
    :meth:`prepare_writes`                              nothing is learnt before the threads of a plan start
    :meth:`app_url`                                     links open the CRM's start page
    :meth:`erase_steps`                                 ``LeadsEraseOperator`` reports people as left to do by hand
    :attr:`campaigns`                                   ``LeadsEnrolOperator`` refuses the connection
    :attr:`lists`                                       ``LeadsToListOperator`` refuses the connection
    :attr:`streams`                                     there is nothing that sensors and triggers could wait for
    :attr:`dialect`                                     of waits, quotas and errors what most APIs have is understood
    ==================================================  ==============================================================

    **Given** to every CRM: :meth:`apply_plan` and :meth:`write_batches` (batches, threads, what ends the work),
    :meth:`erase`, and all of :class:`~airflow_providers_leads.hooks.connected.ConnectedHook`: the signed, paced and
    retried conversation, pages, quotas and ``test_connection``.

    :param conn_id: the Airflow connection
    """

    app: ClassVar[str]
    """Address of the CRM's own pages."""
    asset_path: ClassVar[str]
    """What the CRM calls its people, the last part of their asset URI; with :attr:`parts`, what it calls those."""
    scope_keys: ClassVar[frozenset[str]] = frozenset()
    """What :meth:`iter_leads` may be narrowed by."""
    write_options: ClassVar[frozenset[str]] = frozenset()
    """What :meth:`apply_plan` takes besides the rows."""
    create_batch: ClassVar[int] = 1
    """Creates per request."""
    update_batch: ClassVar[int] = 1
    """Updates per request."""
    lookup_rows: int = 0
    """Up to how many addresses asking for them one by one is less work than reading everything; 0: never."""
    settle_seconds: ClassVar[float] = 0.0
    """How long a change may take to be found by time; 0: :meth:`iter_leads` finds it at once."""
    lead_fields: ClassVar[Mapping[str, str]] = {}
    """Field of the CRM → the lead field that it holds, where a plan's ``fields`` may name either."""
    explicit_fields: ClassVar[frozenset[str]] = frozenset()
    """Lead fields that are written only where a table of fields names them."""
    writable_flags: ClassVar[frozenset[str]] = frozenset()
    """Which of ``opted_out`` and ``bounced`` this CRM can be told."""
    parts: ClassVar[Parts] = Parts()
    """How the CRM is divided; default not at all."""
    streams: ClassVar[Mapping[str, Stream | Poll]] = {}
    """Name → what sensors and triggers can wait for."""

    # Required ---------------------------------------------------------------------------------------------------------

    @abstractmethod
    def iter_leads(self, *, updated_after: datetime | str | None = None, **scope: Any) -> Iterator[Lead]:
        """Yield the CRM's leads as they are read, a page in memory at a time.

        :param updated_after: only leads changed at or after this time, as far as the API can tell
        :param scope: narrows the read, see :attr:`scope_keys`
        """

    @abstractmethod
    def find_leads(self, emails: Iterable[str], **scope: Any) -> Iterator[Lead]:
        """Yield the records that the CRM holds for these addresses, in the API's largest batches."""

    @abstractmethod
    def create_rows(self, rows: list[PlanRow], **options: Any) -> Iterable[WriteResult]:
        """Create up to :attr:`create_batch` records and return one result per row.

        Called from several threads. After a kill it may meet what the try before has created: whoever is there already
        must not be created twice.

        :raises LeadsApiError: for the rows that have no result yet
        """

    @abstractmethod
    def update_rows(self, rows: list[PlanRow], **options: Any) -> Iterable[WriteResult]:
        """Update up to :attr:`update_batch` records by their own id and return one result per row.

        :raises LeadsApiError: for the rows that have no result yet
        """

    # Optional: reading ------------------------------------------------------------------------------------------------

    def leads_by_id(self, ids: Sequence[str], **scope: Any) -> Iterable[Lead] | None:
        """Return the records of some ids, those that are there; ``None`` where the CRM can't be asked by id.

        :param ids: of records that were there once
        :param scope: narrows the read, see :attr:`scope_keys`
        """
        return None

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
        """Return the :attr:`parts` that a read covers, ``None`` where the CRM isn't divided."""
        return None

    # Optional: writing ------------------------------------------------------------------------------------------------

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

    @property
    def owners(self) -> Mapping[str, str]:
        """Address of a user who can own records → id, by which records name their owner; may ask the API."""
        return {}

    def property_types(self) -> PropertyTypes:
        """Return what the CRM's values mean, by which a plan converts and compares them; may ask the API."""
        return PropertyTypes()

    def check_write_options(self, **options: Any) -> None:
        """Refuse options that are unknown or missing, before the first write.

        :raises ValueError: naming the option
        """
        refuse_unknown(self.label, self.hook_name, "write option", options, self.write_options)

    def target_scope(self, **options: Any) -> str | None:
        """Return the one of the :attr:`parts` that a plan is written to, ``None`` where the CRM isn't divided."""
        return None

    def write_cost(self, row: PlanRow) -> float:
        """Return what writing a plan row costs in API calls: a share of one where a call takes several."""
        return {"create": 1 / self.create_batch, "update": 1 / self.update_batch}.get(row.action, 0.0)

    def repeats_quietly(self, **options: Any) -> bool:
        """Tell whether writing a value once more that a record has already does nothing, with these write options."""
        return True

    def prepare_writes(self, options: Mapping[str, Any]) -> None:
        """Get ready for a plan, before threads share what is learnt here."""

    # Optional: the rest -----------------------------------------------------------------------------------------------

    @property
    def day_quota(self) -> dict[str, int] | None:
        """Calls that are ``spent`` of a day's quota and its ``limit``, as the last answer said; ``None``: none did."""
        client: Any = self.__dict__.get("client")
        quota = client.day_quota if client else None
        if quota is None or not quota.limit or quota.remaining is None:
            return None
        return {"spent": max(quota.limit - quota.remaining, 0), "limit": quota.limit}

    def app_url(self, record_id: str | None = None) -> str:
        """Return where people see their leads in the CRM's own pages; may ask the API.

        :param record_id: of one lead, where the CRM's pages are known to have an address per lead; default the list
        """
        return self.app

    @classmethod
    def record_url(cls, list_url: str, record_id: str) -> str:
        """Return where people see one lead, an empty text where the CRM's pages have no address per lead.

        :param list_url: what :meth:`app_url` returned for the list
        :param record_id: of the lead
        """
        return ""

    def erase_steps(self, trail: Trail, people: Mapping[str, str]) -> Iterator[Erasure]:
        """Take the steps of an erasure and yield what became of each.

        :param trail: takes a step and tells of it; in a dry run it only tells
        :param people: email key → address as given
        """
        reason = f"nothing is known of how to erase people in {self.hook_name}: do it there by hand"
        return (trail.tell(Subject(key), "erase", "not_possible", reason) for key in people)

    @property
    def campaigns(self) -> Campaigns | None:
        """What the CRM writes to leads by, ``None`` where it has no such thing."""
        return None

    @property
    def lists(self) -> Lists | None:
        """By what the CRM sorts its records, ``None`` where it has no such thing."""
        return None

    # Given ------------------------------------------------------------------------------------------------------------

    def check_scope(self, **scope: Any) -> None:
        """Refuse what :meth:`iter_leads` can't be narrowed by, before the first request.

        :raises ValueError: naming the key
        """
        refuse_unknown(self.label, self.hook_name, "scope", scope, self.scope_keys)

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
        writers = {"create": partial(self.create_rows, **options), "update": partial(self.update_rows, **options)}
        return write_side_by_side(
            batches, writers, prepare=partial(self.prepare_writes, options), threads=lambda: self.write_threads
        )

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
        :param block_addresses: true (default) bars the addresses where the CRM has a list of such
        :param block_domains: true bars the domains too where the CRM has a list of such, unless they are known as mail
            providers'; default false
        :raises ValueError: when there is nobody, or what is no address, before the first request
        """
        people = checked_people("email_keys", email_keys)
        trail = Trail(self, dry_run, block_addresses, block_domains)
        return erasures(trail, people, self.erase_steps(trail, people))


def get_leads_hook(conn_id: str) -> LeadsHook:
    """Return the hook of the CRM that a connection belongs to.

    :param conn_id: an Airflow connection of the type of a lead CRM, of this package or of another that is installed
    :raises AirflowNotFoundException: when there is no such connection
    :raises LeadsSettingsError: when it is of another type
    """
    conn = fetch_connection(conn_id)
    if conn.conn_type not in crms():
        raise LeadsSettingsError(
            f"{label_for(conn_id)} is of type '{conn.conn_type}', which is no lead CRM. Use one of: "
            f"{', '.join(crms())}."
        )
    hook = conn.get_hook()  # type: ignore[no-untyped-call]
    if not isinstance(hook, LeadsHook):
        raise LeadsSettingsError(
            f"{label_for(conn_id)}: another package has registered the connection type '{conn.conn_type}'. "
            "Uninstall it, or use the hook of this package by its class."
        )
    return hook


def hook_class(conn_type: str) -> type[LeadsHook] | None:
    """Return the hook class of a CRM, ``None`` when no CRM of this type is installed."""
    crm = crms().get(conn_type)
    found: type[LeadsHook] | None = resolve_name(crm.hook) if crm else None
    return found


def is_divided(conn_type: str) -> bool:
    """Tell whether the scopes of a CRM's leads are parts of one account; false when no such CRM is installed."""
    hook = hook_class(conn_type)
    return hook is not None and hook.parts.scope_key is not None


def all_scope_keys() -> frozenset[str]:
    """Return every key by which any of the CRMs can be narrowed."""
    keys: frozenset[str] = frozenset()
    for crm in crms().values():
        # Another package that is broken must not stop this CRM's reads.
        with suppress(ImportError, AttributeError):
            keys |= resolve_name(crm.hook).scope_keys
    return keys
