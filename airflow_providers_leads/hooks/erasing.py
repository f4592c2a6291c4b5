"""Erasing people step by step: each step is told of, and none that fails stops the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import structs

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
from airflow_providers_leads.leads.files.list_entries import addresses_within, entries_in
from airflow_providers_leads.leads.model.erasure import Erasure, Status
from airflow_providers_leads.leads.model.identity import email_key, person_hash

# Each would wait through all its retries; a person's other steps are worth more than that time.
_FAILURES_IN_A_ROW: Final = 3
_ABOUT_THE_RECORD: Final = (LeadsValidationError, LeadsConflictError, LeadsNotFoundError)

_NAMED: Final = (
    "the record names this person, but in its address field beside others or in a form that leaves room for doubt, or "
    "in another field: look at it, and erase by hand what is the person's"
)
_WORD: Final = re.compile(r"[^\s,;:|/()<>\[\]{}\"'=?&@]+@[^\s,;:|/()<>\[\]{}\"'=?&@]+")

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


class Named(NamedTuple):
    """Who of the people to be erased a record names.

    :param owners: those whose record it is: its address field names them and nobody else
    :param others: those whom it names otherwise
    """

    owners: list[str]
    others: set[str]

    def __bool__(self) -> bool:
        return bool(self.owners or self.others)


def named_in(address: str | None, record: Any, people: Collection[str]) -> Named:
    """Return who of the people a record names: address fields hold what somebody typed, several addresses among it.

    :param address: what the address field holds
    :param record: all of the record's values, at any depth
    :param people: email keys
    """
    if (key := email_key(address)) in people:
        return Named([str(key)], set())
    written = address or ""
    keys = [entry.key for entry in entries_in(written) or ()] if key is None and "@" in written else []
    if keys and all(one in people for one in keys):
        return Named(list(dict.fromkeys(keys)), set())
    odd = addresses_within(written) if key is None else set[str]()
    words = {email_key(word.strip(".-")) for text in _texts(record) if "@" in text for word in _WORD.findall(text)}
    return Named([], {one for one in (*odd, *words) if one is not None and one in people})


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


_DO_IT: Final = "run again, and if it stays, erase it there by hand"


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

    def tell_of_all(self, named: Named, about: Subject, steps: Iterator[Erasure]) -> Iterator[Erasure]:
        """Yield the steps of a record, for each of its owners, and what is left to do for those whom it only names.

        :param named: in the record
        :param about: the record, of its first owner
        :param steps: of the record; none are taken unless it has an owner
        """
        if named.owners:
            for row in steps:
                yield row
                yield from (structs.replace(row, person=person_hash(key)) for key in named.owners[1:])
            self.told.update(named.owners)
        for key in sorted(named.others):
            yield self.tell(replace(about, key=key), "erase by hand", "not_possible", _NAMED)

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
        read: Callable[[], Any] | None = None,
    ) -> Erasure:
        """Take a step and tell what became of it.

        :param about: what it is about
        :param step: its name
        :param write: takes it; false means that there was nothing to do
        :param refused: what to do by hand when the CRM refuses it, which is then no failure
        :param gone: likewise when the CRM finds nothing; without it that is ``not_found``
        :param read: reads what it is about: a record that is there all the same has not been erased
        """
        if self.dry_run:
            return self.tell(about, step, "planned")
        if self._stopped:
            return self.tell(about, step, "failed", f"not sent, because an earlier request failed: {self._stopped}")
        try:
            done = write()
        except LeadsNotFoundError as error:
            self._count(error)
            if read is not None and _is_there(read):
                reason = f"{self.hook.hook_name} says that there is no such record, and it is there: {_DO_IT}"
                return self.tell(about, step, "failed", reason, error.request_id)
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


def _is_there(read: Callable[[], Any]) -> bool:
    """Tell whether a record can be read; true also where that isn't known: nothing is called gone that may be there."""
    try:
        read()
    except LeadsNotFoundError:
        return False
    except LeadsApiError:
        pass
    return True


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
