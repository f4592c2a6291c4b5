"""Erasing people step by step: each step is told of, and none that fails stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from airflow_providers_leads.hooks.connected import ConnectedHook
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsConflictError,
    LeadsNotFoundError,
    LeadsRateLimitError,
    LeadsValidationError,
    scrub,
)
from airflow_providers_leads.leads.model.erasure import Erasure, Status
from airflow_providers_leads.leads.model.identity import person_hash

# Each would wait through all its retries; a person's other steps are worth more than that time.
_FAILURES_IN_A_ROW: Final = 3
_ABOUT_THE_RECORD: Final = (LeadsValidationError, LeadsConflictError, LeadsNotFoundError)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a step is about.

    :param key: the person
    :param record_id: the CRM's id of the record
    :param scope: funnel or campaign
    """

    key: str
    record_id: str | None = None
    scope: str | None = None

    def within(self, scope: str) -> Subject:
        """Return the same record's part in a campaign or funnel."""
        return replace(self, scope=scope)


@dataclass(slots=True)
class Trail:
    """Takes the steps of an erasure at one CRM and tells what became of each.

    :param hook: of the CRM
    :param dry_run: no step is taken, each is told of as planned
    :param block_addresses: the addresses are to be barred where the CRM has a list of such
    :param block_domains: company domains are to be barred where the CRM has a list of such
    """

    hook: ConnectedHook
    dry_run: bool = False
    block_addresses: bool = True
    block_domains: bool = False
    told: set[str] = field(default_factory=set)
    _stopped: LeadsApiError | None = None
    _failures: int = 0

    def tell(
        self, about: Subject, step: str, status: Status, reason: str | None = None, request_id: str | None = None
    ) -> Erasure:
        """Return the row that tells of a step."""
        self.told.add(about.key)
        return Erasure(
            crm=self.hook.conn_type,
            conn_id=self.hook.conn_id,
            person=person_hash(about.key),
            # The names of custom fields are anybody's invention.
            step=scrub(step) if "@" in step else step,
            status=status,
            at=datetime.now(UTC),
            record_id=about.record_id,
            scope=about.scope,
            reason=reason,
            request_id=request_id,
        )

    def failed(self, about: Subject, step: str, error: LeadsApiError) -> Erasure:
        """Return the row of a step that ended in an error; the vendor's own words could repeat a value."""
        return self.tell(about, step, "failed", str(error), error.request_id)

    def read(self, call: Callable[[], T]) -> T:
        """Return what a read gives that the next steps need.

        :raises LeadsApiError: when it fails, or an earlier request has shown that it would
        """
        if self._stopped:
            raise self._stopped
        try:
            return call()
        except LeadsApiError as error:
            self._count(error)
            raise

    def take(
        self,
        about: Subject,
        step: str,
        write: Callable[[], Any],
        *,
        refused: str | None = None,
        gone: str | None = None,
    ) -> Erasure:
        """Take a step and tell what became of it.

        :param about: what it is about
        :param step: its name
        :param write: takes it; false means that there was nothing to do
        :param refused: what to do by hand when the CRM refuses it, which is then no failure
        :param gone: likewise when the CRM finds nothing; without it that is ``not_found``
        """
        if self.dry_run:
            return self.tell(about, step, "planned")
        if self._stopped:
            return self.tell(about, step, "failed", f"not sent, because an earlier request failed: {self._stopped}")
        try:
            done = write()
        except LeadsNotFoundError as error:
            self._count(error)
            return self.tell(about, step, "not_possible" if gone else "not_found", gone, error.request_id)
        except (LeadsValidationError, LeadsConflictError) as error:
            self._count(error)
            if refused is None or error.ambiguous:
                return self.failed(about, step, error)
            return self.tell(about, step, "not_possible", f"{refused} ({_code(error)})", error.request_id)
        except LeadsApiError as error:
            self._count(error)
            return self.failed(about, step, error)
        self._failures = 0
        return self.tell(about, step, "not_found" if done is False else "done")

    def _count(self, error: LeadsApiError) -> None:
        """Give up once every further request would fail likewise."""
        self._failures = 0 if isinstance(error, _ABOUT_THE_RECORD) else self._failures + 1
        if isinstance(error, (LeadsAuthError, LeadsRateLimitError)) or self._failures >= _FAILURES_IN_A_ROW:
            self._stopped = error


def _code(error: LeadsApiError) -> str:
    return ", ".join(filter(None, (f"HTTP {error.status}" if error.status else None, error.category)))


def erasures(trail: Trail, people: Mapping[str, str], steps: Iterator[Erasure]) -> Iterator[Erasure]:
    """Yield the steps; a CRM that can't be read at all gives each person that it didn't tell of a failed one.

    :param trail: of this CRM
    :param people: email key → address
    :param steps: of this CRM
    """
    try:
        yield from steps
    except LeadsApiError as error:
        for key in people:
            if key not in trail.told:
                yield trail.failed(Subject(key), "find", error)
        return
    for key in people:
        if key not in trail.told:
            yield trail.tell(Subject(key), "find", "not_found")
